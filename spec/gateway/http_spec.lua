-- HTTP/1.1 as clients speak it: connections that last, pipelines, the small methods. What must be refused is in spec/hostile.
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local upstream = require "support.upstream"

local BODY = '{"model":"m","messages":[{"role":"user","content":"hello"}]}'
local HOST, JSON = "host: 127.0.0.1\r\n", "content-type: application/json\r\n"
local POST = "POST /v1/chat/completions HTTP/1.1\r\n" .. HOST .. JSON
local CHUNKED = POST .. "transfer-encoding: chunked\r\n\r\n"

describe("http", function()
  local house, up

  setup(loop.test(function()
    up = upstream.start(function(peer, request)
      if request.json.stream then
        peer:send(upstream.STREAM_HEAD .. upstream.chunk '{"content":"x"}' .. upstream.chunk("{}", '"stop"') .. "data: [DONE]\n\n")
        return peer:close()
      end
      peer:send(upstream.answer(200, upstream.completion(request.json.messages[1].content)))
    end)
    house = gateway.start { providers = { a = gateway.provider(up.url) } }
  end))
  teardown(loop.test(function()
    house:stop()
    up:close()
    assert.same({}, up.faults)
  end))

  local function connect()
    return assert(http.connect(house.port))
  end

  local function chat_bytes(content, version)
    return http.request_bytes {
      path = "/v1/chat/completions", version = version,
      body = { model = "m", messages = { { role = "user", content = content } } },
    }
  end

  it("keeps a connection for many requests", loop.test(function()
    local c = connect()
    for i = 1, 5 do
      c:send(chat_bytes("n" .. i))
      local answer = assert(c:response())
      assert.equal("n" .. i, answer.json.choices[1].message.content)
    end
    c:send_request { path = "/v1/chat/completions", body = { model = "m", stream = true, messages = { { role = "user", content = "x" } } } }
    local head = c:head()
    assert.equal("chunked", head.headers["transfer-encoding"])
    local _, whole = c:events(head)
    assert.is_true(whole)
    c:send(chat_bytes "after a stream")
    assert.equal("after a stream", c:response().json.choices[1].message.content)
    c:close()
  end))

  it("answers pipelined requests in order", loop.test(function()
    local c = connect()
    local bytes = {}
    for i = 1, 8 do
      bytes[i] = chat_bytes("n" .. i)
    end
    c:send(table.concat(bytes))
    for i = 1, 8 do
      assert.equal("n" .. i, c:response().json.choices[1].message.content)
    end
    c:close()
  end))

  it("reads a request byte by byte", loop.test(function()
    local c = connect()
    for byte in chat_bytes("slowly"):gmatch "." do
      c:send(byte)
    end
    assert.equal("slowly", c:response().json.choices[1].message.content)
    c:close()
  end))

  it("reads chunked bodies, with extensions and trailers", loop.test(function()
    local c = connect()
    c:send(CHUNKED .. ("5;a=b\r\n%s\r\n%x\r\n%s\r\n0\r\nx-trailer: 1\r\n\r\n"):format(BODY:sub(1, 5), #BODY - 5, BODY:sub(6)))
    assert.equal(200, c:response().status)
    c:close()
  end))

  it("says 100 Continue to a client that waits for it", loop.test(function()
    local c = connect()
    c:send(("POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\nexpect: 100-continue\r\n" ..
      "content-length: %d\r\n\r\n"):format(#BODY))
    assert.equal(100, c:head().status)
    c:send(BODY)
    assert.equal(200, c:response().status)
    c:close()
  end))

  it("closes when asked to", loop.test(function()
    local c = connect()
    c:send_request { path = "/health", headers = { connection = "close" } }
    local answer = c:response()
    assert.equal("close", answer.headers.connection)
    assert.equal("", (c:read_all()))
    c:close()
  end))

  it("speaks to HTTP/1.0 clients", loop.test(function()
    local c = connect()
    c:send(chat_bytes("old", "HTTP/1.0"))
    local answer = c:response()
    assert.equal("old", answer.json.choices[1].message.content)
    assert.is_nil(answer.headers["transfer-encoding"])
    assert.equal("", (c:read_all()))
    c:close()
  end))

  it("streams to HTTP/1.0 clients, to the end of the connection", loop.test(function()
    local c = connect()
    c:send_request {
      path = "/v1/chat/completions", version = "HTTP/1.0",
      body = { model = "m", stream = true, messages = { { role = "user", content = "x" } } },
    }
    local head = c:head()
    assert.is_nil(head.headers["transfer-encoding"])
    local events, whole = c:events(head)
    assert.is_true(whole)
    assert.equal("[DONE]", events[#events].data)
    c:close()
  end))

  it("answers HEAD with a head alone", loop.test(function()
    local c = connect()
    for _, path in ipairs { "/", "/health", "/v1/models" } do
      c:send_request { method = "HEAD", path = path }
      local answer = c:response()
      assert.equal(200, answer.status)
      assert.equal("", answer.body)
    end
    c:close()
  end))

  it("answers OPTIONS with the methods there are", loop.test(function()
    local answer = http.exchange(house.port, { method = "OPTIONS", path = "/v1/chat/completions" })
    assert.is_true(answer.status == 204 or answer.status == 200)
    assert.is_truthy(answer.headers.allow:find("POST", 1, true))
    assert.is_nil(answer.headers["access-control-allow-origin"])
  end))

  it("takes a missing, a doubled and a slashed /v1", loop.test(function()
    for _, path in ipairs {
      "/chat/completions", "/v1/v1/chat/completions", "/v1/chat/completions/", "/v1/chat/completions?beta=true",
    } do
      assert.equal(200, http.post(house.port, path, BODY).status, path)
    end
  end))

  it("serves 200 connections at once", loop.test(function()
    local answers = loop.spread(200, 200, function(i)
      return house:chat({ messages = { { role = "user", content = "n" .. i } } }).json.choices[1].message.content
    end)
    for i, content in ipairs(answers) do
      assert.equal("n" .. i, content)
    end
  end))
end)
