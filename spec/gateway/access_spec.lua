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
