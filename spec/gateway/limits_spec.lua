-- What is too large, too slow or not what was asked for gets an answer that names it, and costs nobody else anything.
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local upstream = require "support.upstream"

describe("limits", function()
  local house, up

  setup(loop.test(function()
    up = upstream.start(function(peer)
      peer:send(upstream.answer(200, upstream.completion "x"))
    end)
    house = gateway.start {
      providers = { a = gateway.provider(up.url, { models = { "large-model", "m" } }) },
      config = { limits = { max_body = 1024 * 1024 }, timeouts = { head_ms = 300, body_ms = 300 } },
    }
  end))
  teardown(loop.test(function()
    assert.equal(200, house:chat().status)
    house:stop()
    up:close()
  end))

  -- Sends bytes, and wants one refusal of that status and the end of the connection.
  local function refused(bytes, status, code)
    local c = assert(http.connect(house.port))
    c:post(bytes)
    local answer = assert(c:response())
    assert.equal(status, answer.status, answer.body)
    assert.equal(code, answer.json.error.code)
    assert.equal("string", type(answer.json.error.message))
    local rest = c:read_all()
    assert.equal("", rest)
    c:close()
    return answer
  end

  local HEAD = "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"

  it("a body announced too large is 413 before it is sent", loop.test(function()
    refused(HEAD .. "content-length: 99999999\r\n\r\n", 413, "request_too_large")
  end))

  it("a chunked body that grows too large is 413", loop.test(function()
    local piece = ("%x\r\n%s\r\n"):format(65536, ("x"):rep(65536))
    refused(HEAD .. "transfer-encoding: chunked\r\n\r\n" .. piece:rep(17), 413, "request_too_large")
  end))

  it("a head that is too large is 431", loop.test(function()
    refused(HEAD .. ("x-filler: %s\r\n\r\n"):format(("x"):rep(70000)), 431, "request_too_large")
  end))

  it("too many headers are 431", loop.test(function()
    refused(HEAD .. ("x-a: b\r\n"):rep(200) .. "\r\n", 431, "request_too_large")
  end))

  it("a request line that is too long is refused", loop.test(function()
    local c = assert(http.connect(house.port))
    c:post("GET /" .. ("x"):rep(70000) .. " HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
    local answer = assert(c:response())
    assert.is_true(answer.status == 414 or answer.status == 431, answer.body)
    c:close()
  end))

  it("a head that does not come is 408", loop.test(function()
    refused(HEAD, 408, "timeout")
  end))

  it("a body that does not come is 408", loop.test(function()
    refused(HEAD .. "content-length: 100\r\n\r\n{", 408, "timeout")
  end))

  it("a compressed body is 415", loop.test(function()
    local answer = http.post(house.port, "/v1/chat/completions", "\31\139x", { ["content-encoding"] = "gzip" })
    assert.equal(415, answer.status)
    assert.equal("unsupported_encoding", answer.json.error.code)
  end))

  it("an unknown route is 404, naming the nearest", loop.test(function()
    local answer = http.post(house.port, "/v1/chat/completion", {})
    assert.equal(404, answer.status)
    assert.equal("not_found", answer.json.error.code)
    assert.is_truthy(answer.json.error.message:find("/v1/chat/completions", 1, true))
  end))

  it("a wrong method is 405, with the right ones", loop.test(function()
    local answer = http.get(house.port, "/v1/chat/completions")
    assert.equal(405, answer.status)
    assert.equal("method_not_allowed", answer.json.error.code)
    assert.is_truthy(answer.headers.allow:find("POST", 1, true))
  end))

  -- What is wrong with a body, and the parameter the answer must name.
  local BODIES = {
    { "is empty", "", nil },
    { "is no JSON", "{oops", nil },
    { "is cut", '{"model":"m","messages":[', nil },
    { "has bytes behind it", '{"model":"m","messages":[]} x', nil },
    { "is no object", "[1]", nil },
    { "is broken where nobody reads", '{"model":"m","messages":[{"role":"user","content":"x"}],"metadata":{"a":tru}}', nil },
    { "is no UTF-8", '{"model":"m","messages":[{"role":"user","content":"\255\254"}]}', nil },
    { "is too deep", '{"model":"m","messages":[],"x":' .. ("["):rep(100000) .. ("]"):rep(100000) .. "}", nil },
    { "lacks model", '{"messages":[{"role":"user","content":"x"}]}', "model" },
    { "has a number for model", '{"model":7,"messages":[{"role":"user","content":"x"}]}', "model" },
    { "has an empty model", '{"model":"","messages":[{"role":"user","content":"x"}]}', "model" },
    { "lacks messages", '{"model":"m"}', "messages" },
    { "has a text for messages", '{"model":"m","messages":"hi"}', "messages" },
    { "has no messages", '{"model":"m","messages":[]}', "messages" },
    { "has a text for stream", '{"model":"m","stream":"yes","messages":[{"role":"user","content":"x"}]}', "stream" },
    { "has a text for max_tokens", '{"model":"m","max_tokens":"7","messages":[{"role":"user","content":"x"}]}', "max_tokens" },
    { "repeats model", '{"model":"m","model":"m","messages":[{"role":"user","content":"x"}]}', "model" },
    { "repeats model, written otherwise", '{"model":"m","mod\\u0065l":"m","messages":[{"role":"user","content":"x"}]}', "model" },
    { "repeats stream", '{"model":"m","stream":true,"stream":false,"messages":[{"role":"user","content":"x"}]}', "stream" },
    { "repeats messages", '{"model":"m","messages":[{"role":"user","content":"x"}],"messages":[]}', "messages" },
  }
  for _, case in ipairs(BODIES) do
    it("a body that " .. case[1] .. " is 400", loop.test(function()
      local before = #up.requests
      local answer = house:chat { raw = case[2] }
      assert.equal(400, answer.status, answer.body)
      assert.equal("invalid_request", answer.json.error.code)
      assert.equal("invalid_request_error", answer.json.error.type)
      assert.equal(case[3] or http.null, answer.json.error.param)
      assert.equal(before, #up.requests)
    end))
  end

  it("a wrong x-route header is 400, by its name", loop.test(function()
    for name, value in pairs { ["x-route-deadline-ms"] = "soon", ["x-route-max-cost-usd"] = "-1", ["x-route-polcy"] = "x" } do
      local answer = house:chat { headers = { [name] = value } }
      assert.equal(400, answer.status)
      assert.equal(name, answer.json.error.param)
    end
  end))

  it("a key that is not read may come twice", loop.test(function()
    assert.equal(200, house:chat({ raw = '{"model":"m","x":1,"x":2,"messages":[{"role":"user","content":"x"}]}' }).status)
  end))

  it("unstreamed answers of more than 8 MB are the upstream's failure, not a held megabyte more", loop.test(function()
    local big = upstream.start(function(peer)
      peer:send(upstream.answer(200, upstream.completion(("x"):rep(9 * 1024 * 1024))))
    end)
    local other = gateway.start { providers = { big = gateway.provider(big.url) } }
    local answer = other:chat()
    assert.equal(502, answer.status)
    assert.equal("fallbacks_exhausted", answer.json.error.code)
    other:stop()
    big:close()
  end))

  it("more requests under way than configured are refused at once, however slowly their bodies come", loop.test(function()
    local slow = upstream.start(function() end)
    local other = gateway.start {
      providers = { a = gateway.provider(slow.url) }, config = { workers = 1, limits = { max_in_flight = 1 } },
    }
    local bytes = http.request_bytes {
      method = "POST", path = "/v1/chat/completions", body = { model = "m", messages = { { role = "user", content = "x" } } },
    }
    local head = bytes:match "^.-\r\n\r\n" .. "{"
    local late, first = assert(http.connect(other.port)), assert(http.connect(other.port))
    late:send(head) -- there is room when its head comes
    first:send(bytes)
    slow:wait_for(1)
    late:send(bytes:sub(#head + 1))
    for _, c in ipairs { late, other:ask() } do
      local answer = assert(c:response())
      assert.equal(503, answer.status)
      assert.equal("overloaded", answer.json.error.code)
      assert.is_truthy(answer.headers["retry-after"])
      c:close()
    end
    assert.equal(1, #slow.requests)
    first:close()
    other:stop()
    slow:close()
  end))
end)
