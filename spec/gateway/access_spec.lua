-- Who may ask: with client keys those who have one, without any only this machine and no web page.
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local port = require "support.port"
local upstream = require "support.upstream"

local function answering()
  return upstream.start(function(peer)
    peer:send(upstream.answer(200, upstream.completion "x"))
  end)
end

describe("with client keys", function()
  local house, up

  setup(loop.test(function()
    up = answering()
    house = gateway.start {
      providers = { a = gateway.provider(up.url) },
      env = { PERILUNE_API_KEY = "pk-correct-horse" },
    }
  end))
  teardown(loop.test(function()
    house:stop()
    up:close()
    assert.is_nil(house.process.output:find("pk-correct-horse", 1, true))
  end))

  it("one is enough, in either header", loop.test(function()
    assert.equal(200, house:chat({ headers = { authorization = "Bearer pk-correct-horse" } }).status)
    assert.equal(200, house:chat({ headers = { authorization = "bearer  pk-correct-horse" } }).status)
    assert.equal(200, house:chat({ headers = { ["x-api-key"] = "pk-correct-horse" } }).status)
  end))

  it("every other one is 401 in the same words", loop.test(function()
    local texts = {}
    for _, key in ipairs { false, "Bearer ", "Bearer pk-correct-hors", "Bearer pk-correct-horsex", "Basic cGs6", "pk-correct-horse" } do
      local answer = house:chat { headers = { authorization = key } }
      assert.equal(401, answer.status)
      assert.equal("invalid_api_key", answer.json.error.code)
      texts[answer.json.error.message] = true
    end
    assert.is_truthy(next(texts))
    assert.is_nil(next(texts, (next(texts))))
    assert.equal(401, http.get(house.port, "/v1/models").status)
  end))

  it("a bad key is refused before the body is read", loop.test(function()
    local c = assert(http.connect(house.port))
    c:send "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n"
    assert.equal(401, c:response().status)
    c:close()
  end))

  it("health needs none", loop.test(function()
    assert.equal(200, http.get(house.port, "/health").status)
    assert.equal(200, http.get(house.port, "/ready").status)
    assert.equal(200, http.get(house.port, "/").status)
  end))

  it("the host's name does not matter", loop.test(function()
    assert.equal(200, house:chat({ headers = { authorization = "Bearer pk-correct-horse", host = "gateway.example" } }).status)
  end))
end)

describe("pages of any origin", function()
  local PAGE = { origin = "https://any.example" }

  it("may ask where that is configured, with a key", loop.test(function()
    local up = answering()
    local house = gateway.start {
      providers = { a = gateway.provider(up.url) }, config = { cors = { origins = { "*" } } }, env = { PERILUNE_API_KEY = "pk-1" },
    }
    local asked = http.exchange(house.port, {
      method = "OPTIONS", path = "/v1/chat/completions",
      headers = { origin = PAGE.origin, ["access-control-request-method"] = "POST", ["access-control-request-headers"] = "authorization" },
    })
    assert.equal(204, asked.status)
    assert.equal("*", asked.headers["access-control-allow-origin"])
    assert.equal("authorization", asked.headers["access-control-allow-headers"])
    assert.is_nil(asked.headers["access-control-allow-credentials"])
    assert.equal(401, house:chat({ headers = PAGE }).status)
    local answer = house:chat { headers = { origin = PAGE.origin, authorization = "Bearer pk-1" } }
    assert.equal(200, answer.status)
    assert.equal("*", answer.headers["access-control-allow-origin"])
    house:stop()
    up:close()
  end))

  it("may not without keys, whatever is configured", loop.test(function()
    local up = answering()
    local house = gateway.start { providers = { a = gateway.provider(up.url) }, config = { cors = { origins = { "*" } } } }
    assert.equal(403, house:chat({ headers = PAGE }).status)
    house:stop()
    up:close()
  end))
end)

describe("a page of a configured origin", function()
  local ORIGIN = "https://app.example"
  local house, up

  setup(loop.test(function()
    up = answering()
    house = gateway.start {
      providers = { a = gateway.provider(up.url) },
      config = { client_keys = { "pk-1" }, cors = { origins = { ORIGIN, "http://localhost:3000" } } },
    }
  end))
  teardown(loop.test(function()
    house:stop()
    up:close()
    assert.same({}, up.faults)
  end))

  local function preflight(path, origin, method)
    return http.exchange(house.port, {
      method = "OPTIONS", path = path,
      headers = {
        origin = origin, ["access-control-request-method"] = method or "POST",
        ["access-control-request-headers"] = "authorization,content-type,idempotency-key,x-route-policy,x-stainless-os",
      },
    })
  end

  it("is told by every route what it may, without a key", loop.test(function()
    for path, method in pairs {
      ["/v1/chat/completions"] = "POST", ["/v1/responses"] = "POST", ["/v1/messages"] = "POST", ["/v1/messages/count_tokens"] = "POST",
      ["/v1/completions"] = "POST", ["/v1/embeddings"] = "POST", ["/v1/feedback"] = "POST",
      ["/v1/models"] = "GET", ["/v1/models/m"] = "GET", ["/health"] = "GET", ["/ready"] = "GET",
    } do
      local answer = preflight(path, ORIGIN, method)
      local headers = answer.headers
      assert.equal(204, answer.status, path)
      assert.equal("", answer.body)
      assert.equal(ORIGIN, headers["access-control-allow-origin"], path)
      assert.is_truthy(headers["access-control-allow-methods"]:find(method, 1, true), path)
      assert.equal("authorization,content-type,idempotency-key,x-route-policy,x-stainless-os", headers["access-control-allow-headers"])
      assert.equal("600", headers["access-control-max-age"])
      assert.equal("origin", headers.vary)
      assert.is_nil(headers["access-control-allow-credentials"])
    end
  end))

  it("reads every header of ours", loop.test(function()
    local answer = house:chat { headers = { origin = ORIGIN, authorization = "Bearer pk-1", ["idempotency-key"] = "page" } }
    local again = house:chat {
      headers = { origin = "http://localhost:3000", authorization = "Bearer pk-1", ["idempotency-key"] = "page" },
    }
    assert.equal(ORIGIN, answer.headers["access-control-allow-origin"])
    assert.equal("http://localhost:3000", again.headers["access-control-allow-origin"])
    assert.equal("true", again.headers["idempotent-replayed"])
    for _, one in ipairs { answer, again } do
      local exposed = ", " .. one.headers["access-control-expose-headers"] .. ","
      for name in pairs(one.headers) do
        -- What browsers show anyway, and what is not for scripts.
        if name:find "^x%-" or name:find "^idempotent" or name == "server-timing" then
          assert.is_truthy(exposed:find(", " .. name .. ",", 1, true), name)
        end
      end
    end
  end))

  it("hears of errors, too", loop.test(function()
    for path, options in pairs {
      ["/v1/chat/completions"] = { method = "POST", body = "{" }, ["/v1/nothing"] = {}, ["/v1/models/none/such"] = {},
    } do
      options.path = path
      options.headers = { origin = ORIGIN, authorization = "Bearer pk-1" }
      local answer = http.exchange(house.port, options)
      assert.is_true(answer.status >= 400 and answer.status < 500, path)
      assert.equal(ORIGIN, answer.headers["access-control-allow-origin"], path)
    end
    local refused = house:chat { headers = { origin = ORIGIN } }
    assert.equal(401, refused.status)
    assert.equal(ORIGIN, refused.headers["access-control-allow-origin"])
    local stream = house:stream { headers = { origin = ORIGIN, authorization = "Bearer pk-none" } }
    assert.equal(ORIGIN, stream.headers["access-control-allow-origin"])
  end))

  it("is the only one", loop.test(function()
    for _, origin in ipairs { "https://evil.example", "https://app.example.evil.example", "null", "http://app.example" } do
      local answer = preflight("/v1/chat/completions", origin)
      for name in pairs(answer.headers) do
        assert.is_nil(name:find("access-control", 1, true), origin)
      end
    end
  end))
end)

describe("beyond this machine", function()
  it("a reload that takes the last key away changes nothing", loop.test(function()
    local up = answering()
    local house = gateway.start {
      providers = { a = gateway.provider(up.url) },
      config = { client_keys = { "pk-1" }, listen = "0.0.0.0:" .. port.free() },
    }
    house.config.client_keys = nil
    house:write_config(house.config)
    local code, output = house:command "reload"
    assert.not_equal(0, code)
    assert.is_truthy(output:find("client_keys", 1, true), output)
    assert.equal(401, house:chat().status)
    assert.equal(200, house:chat({ headers = { authorization = "Bearer pk-1" } }).status)
    house:stop()
    up:close()
  end))
end)

describe("without client keys", function()
  local house, up

  setup(loop.test(function()
    up = answering()
    house = gateway.start { providers = { a = gateway.provider(up.url) } }
  end))
  teardown(loop.test(function()
    house:stop()
    up:close()
  end))

  it("this machine may ask, by its loopback names", loop.test(function()
    for _, host in ipairs { "127.0.0.1", "127.0.0.1:4100", "localhost", "localhost:4100", "[::1]:4100" } do
      assert.equal(200, house:chat({ headers = { host = host } }).status, host)
    end
  end))

  it("a foreign host is refused: a web page reaches us by a rebound name", loop.test(function()
    for _, host in ipairs { "evil.example", "127.0.0.1.evil.example", "localhost.evil.example" } do
      assert.equal(403, house:chat({ headers = { host = host } }).status, host)
    end
  end))

  it("a foreign origin is refused", loop.test(function()
    for _, origin in ipairs { "https://evil.example", "null", "http://127.0.0.1.evil.example" } do
      assert.equal(403, house:chat({ headers = { origin = origin } }).status, origin)
    end
  end))

  it("a body that a form could send is refused", loop.test(function()
    for _, kind in ipairs { "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", false } do
      local answer = house:chat { headers = { ["content-type"] = kind } }
      assert.equal(415, answer.status, tostring(kind))
    end
    assert.equal(200, house:chat({ headers = { ["content-type"] = "application/json; charset=utf-8" } }).status)
  end))

  it("nobody is told that other pages may read the answer", loop.test(function()
    assert.is_nil(house:chat().headers["access-control-allow-origin"])
  end))
end)
