-- What `perilune mock` puts on the wire, fault by fault, and what it tells of what it served.
local http = require "support.http"
local loop = require "support.loop"
local mock = require "support.mock"

local BODY = { model = "m", messages = { { role = "user", content = "hello there" } } }
local STREAM = {
  model = "m", stream = true, stream_options = { include_usage = true }, messages = BODY.messages,
}

local function path_of(words)
  return (words and "/~" .. words or "") .. "/v1/chat/completions"
end

describe("the mock", function()
  local up

  setup(loop.test(function()
    up = mock.start()
  end))
  teardown(loop.test(function()
    up:stop()
  end))

  local function plain(words, headers)
    return http.post(up.port, path_of(words), BODY, headers)
  end

  local function stream(words, headers)
    return http.stream(up.port, path_of(words), STREAM, headers)
  end

  -- Contents, finish reasons, usage and errors of a stream, in order, as one line.
  local function told(answer)
    local parts = {}
    for _, event in ipairs(answer.events) do
      local chunk = event.json
      if event.data == "[DONE]" then
        parts[#parts + 1] = "done"
      elseif not chunk then
        parts[#parts + 1] = "garbage"
      elseif chunk.error then
        parts[#parts + 1] = "error"
      elseif not chunk.choices[1] then
        parts[#parts + 1] = "usage"
      else
        local choice = chunk.choices[1]
        parts[#parts + 1] = choice.finish_reason ~= http.null and choice.finish_reason or choice.delta.role or
          choice.delta.content
      end
    end
    return table.concat(parts, "|")
  end

  -- All bytes a connection gives for one request, and how it ended.
  local function raw(words, body)
    local c = assert(http.connect(up.port))
    c:send_request { path = path_of(words), body = body or BODY }
    local bytes, err = c:read_all()
    c:close()
    return bytes, err
  end

  it("answers from the request alone", loop.test(function()
    local answer = plain()
    assert.equal(200, answer.status)
    assert.equal("m", answer.json.model)
    assert.equal("You said: hello there", answer.json.choices[1].message.content)
    assert.equal("stop", answer.json.choices[1].finish_reason)
    assert.same({ 7, 6, 13 }, {
      answer.json.usage.prompt_tokens, answer.json.usage.completion_tokens, answer.json.usage.total_tokens,
    })
  end))

  it("streams", loop.test(function()
    local answer = stream()
    assert.equal("assistant|You |said: |hello |there|stop|usage|done", told(answer))
    assert.is_true(answer.whole)
    local without = http.stream(up.port, path_of(), { model = "m", stream = true, messages = BODY.messages })
    assert.equal("assistant|You |said: |hello |there|stop|done", told(without))
  end))

  local STREAMS = {
    ["events=2;content=abcd"] = { "assistant|ab|cd|stop|usage|done", true },
    ["cut_after=0"] = { "assistant", true },
    ["cut_after=2"] = { "assistant|You |said: ", true },
    ["cut_after=4"] = { "assistant|You |said: |hello |there", true },
    ["cut_event=0"] = { "", false },
    ["cut_event=1"] = { "assistant", false },
    ["cut_event=3"] = { "assistant|You |said: ", false },
    ["error_after=0"] = { "assistant|error", true },
    ["error_after=1"] = { "assistant|You |error", true },
    ["garbage"] = { "garbage", true },
    ["no_usage"] = { "assistant|You |said: |hello |there|stop|done", true },
    ["no_finish"] = { "assistant|You |said: |hello |there|usage|done", true },
    ["no_done"] = { "assistant|You |said: |hello |there|stop|usage", true },
    ["no_content"] = { "assistant|stop|usage|done", true },
    ["crlf"] = { "assistant|You |said: |hello |there|stop|usage|done", true },
    ["bytewise"] = { "assistant|You |said: |hello |there|stop|usage|done", true },
    ["gap_ms=2;first_ms=2"] = { "assistant|You |said: |hello |there|stop|usage|done", true },
  }
  for words, expected in pairs(STREAMS) do
    it("streams with " .. words, loop.test(function()
      local answer = stream(words)
      assert.equal(expected[1], told(answer))
      assert.equal(expected[2], answer.whole)
    end))
  end

  it("sends 103 before the answer", loop.test(function()
    for _, body in ipairs { BODY, STREAM } do
      local c = assert(http.connect(up.port))
      c:send_request { path = path_of "early_hints", body = body }
      assert.equal(103, c:head().status)
      assert.equal(200, c:head().status)
      c:close()
    end
  end))

  it("waits before the first content and between contents, and pings meanwhile", loop.test(function()
    local answer = stream "first_ms=60;ping_ms=20;gap_ms=20"
    local times = {}
    for _, event in ipairs(answer.events) do
      times[#times + 1] = event.at
    end
    assert.is_true(times[2] - times[1] >= 55)
    assert.is_true(times[3] - times[2] >= 15)
    assert.is_true(#answer.comments >= 1)
  end))

  it("waits before an answer", loop.test(function()
    local began = loop.now()
    assert.equal(200, plain("slow=50").status)
    assert.is_true(loop.now() - began >= 45)
  end))

  it("gives errors, whatever was asked for", loop.test(function()
    for _, ask in ipairs { plain, stream } do
      local answer = ask "status=429;retry_after=2;code=c;type=t;message=no%20way"
      assert.equal(429, answer.status)
      assert.equal("2", answer.headers["retry-after"])
      assert.same({ message = "no way", type = "t", code = "c", param = http.null }, answer.json.error)
      assert.equal("rate_limit_exceeded", ask("status=429").json.error.code)
      assert.equal(502, ask("html").status)
      assert.equal("text/html", ask("html").headers["content-type"])
      assert.equal(200, ask("html;status=200").status)
      assert.equal(302, ask("redirect=http:%2F%2Fx%2F").status)
      assert.equal("http://x/", ask("redirect=http:%2F%2Fx%2F").headers.location)
    end
    local garbage = plain "garbage"
    assert.equal(200, garbage.status)
    assert.is_nil(garbage.json)
  end))

  it("breaks connections", loop.test(function()
    local bytes, err = raw "reset"
    assert.equal("", bytes)
    assert.equal("ECONNRESET", err and err:match "ECONNRESET")
    bytes, err = raw "half_headers"
    assert.equal("HTTP/1.1 200 OK\r\ncontent-type: applica", bytes)
    assert.is_nil(err)
    bytes, err = raw "cut=body"
    local length, body = bytes:match "content%-length: (%d+).-\r\n\r\n(.*)$"
    assert.is_true(#body > 0 and #body < tonumber(length))
    assert.is_nil(err)
    local answer = plain "wrong_length"
    assert.is_true(answer.whole)
    assert.is_nil(answer.json)
  end))

  it("hangs until the client leaves, and counts that", loop.test(function()
    for _, words in ipairs { "hang", "half_headers=hang" } do
      local before = up:stats().cancelled
      local c = assert(http.connect(up.port))
      c:send_request { path = path_of(words), body = STREAM }
      loop.until_true(function()
        return up:last().path == path_of(words)
      end, "the request to be there")
      c:close()
      loop.until_true(function()
        return up:stats().cancelled == before + 1
      end, "the cancelled request to be counted")
    end
  end))

  it("counts what a stream said, not what it would have", loop.test(function()
    local function said(words)
      http.exchange(up.port, { method = "DELETE", path = "/_mock/stats" })
      stream("tokens=40;events=10;" .. words)
      return up:stats().completion_tokens
    end
    assert.equal(40, said "no_usage")
    assert.equal(12, said "cut_after=3")
    assert.equal(12, said "cut_event=4") -- half of an event says nothing
    assert.equal(0, said "cut_after=0")
  end))

  it("shapes answers", loop.test(function()
    assert.equal("other", plain("model=other").json.model)
    assert.equal(5000, #plain("big=5000").json.choices[1].message.content)
    assert.equal(10, plain("tokens=10").json.usage.completion_tokens)
    assert.equal("tool_calls", plain("tool").json.choices[1].finish_reason)
    assert.is_string(plain("reasoning").json.choices[1].message.reasoning_content)
    assert.is_table(plain("extra").json.x_mock)
    assert.equal("flood", plain("headers=50").headers["x-mock-50"])
    assert.equal("gzip", plain("gzip").headers["content-encoding"])
    assert.equal("\31\139", plain("gzip").body:sub(1, 2))
    assert.equal("You said: hello there", plain("bytewise").json.choices[1].message.content)
    local kinds = {}
    for _, event in ipairs(stream("reasoning;tool;comment").events) do
      local delta = event.json and event.json.choices[1] and event.json.choices[1].delta or {}
      kinds[#kinds + 1] = delta.reasoning_content and "r" or delta.tool_calls and "t" or "-"
    end
    assert.is_truthy(table.concat(kinds):match "^%-r+t+%-+$")
  end))

  it("harms only the first requests, or each so many", loop.test(function()
    local first, every = {}, {}
    for i = 1, 4 do
      first[i] = plain("status=500;fail_first=2;name=first").status
      every[i] = plain("status=500;every=2;name=every").status
    end
    assert.same({ 500, 500, 200, 200 }, first)
    assert.same({ 200, 500, 200, 500 }, every)
  end))

  it("takes its words from a header before the path", loop.test(function()
    assert.equal(503, plain("status=500", { ["x-mock"] = "status=503" }).status)
    assert.equal(503, plain(nil, { ["x-mock"] = "status=503" }).status)
    local wrong = plain "statsu=500"
    assert.equal(400, wrong.status)
    assert.is_truthy(wrong.json.error.message:find("statsu", 1, true))
  end))

  it("refuses what is no chat request", loop.test(function()
    local function code(method, path, body)
      return http.exchange(up.port, { method = method, path = path, body = body }).status
    end
    assert.equal(400, code("POST", path_of(), "{"))
    assert.equal(400, code("POST", path_of(), { model = "m" }))
    assert.equal(405, code("GET", path_of()))
    assert.equal(404, code("POST", "/v1/other", {}))
    assert.equal(404, code("GET", "/_mock/other"))
    assert.equal(200, code("GET", "/any/prefix/v1/models"))
  end))

  it("tells what it served", loop.test(function()
    assert.equal(200, http.exchange(up.port, { method = "DELETE", path = "/_mock/stats" }).status)
    assert.equal(0, up:stats().requests)
    plain()
    plain "name=a"
    stream "name=a"
    local stats = up:stats()
    assert.same({ 3, 1, 0, 3 * 13 }, { stats.requests, stats.streams, stats.cancelled, stats.tokens })
    assert.same({ m = 3 }, stats.by_model)
    assert.same({ a = 2 }, stats.by_name)
    assert.equal(2, stats.by_path[path_of "name=a"])
    assert.is_true(stats.open >= 1 and stats.connections >= stats.open)
    http.post(up.port, "/p/v1/chat/completions", BODY, { ["x-a"] = "b" })
    local last = up:last()
    assert.same({ "POST", "/p/v1/chat/completions", "b" }, { last.method, last.path, last.headers["x-a"] })
    assert.same(BODY, http.json(last.body))
    assert.equal(4, #http.get(up.port, "/_mock/requests").json)
  end))
end)

describe("the mock's script", function()
  it("decides before header and path, over all workers", loop.test(function()
    local up = mock.start {
      args = { "--workers", "2" },
      script = [[
        return function(req)
          if req.provider == "broken" then return { status = 500, message = tostring(req.n) } end
          if req.provider == "wrong" then error "a mistake" end
        end]],
    }
    local function post(path)
      return http.post(up.port, path, BODY, { ["x-mock"] = "status=418" })
    end
    assert.equal(500, post("/broken/v1/chat/completions").status)
    assert.equal("2", post("/~name=broken;status=429/v1/chat/completions").json.error.message)
    assert.equal(418, post("/fine/v1/chat/completions").status)
    local wrong = post "/wrong/v1/chat/completions"
    assert.equal(400, wrong.status)
    assert.is_truthy(wrong.json.error.message:find "script.lua:%d+: a mistake")
    assert.equal(4, up:stats().requests)
    assert.equal(4, #http.get(up.port, "/_mock/requests").json)
    up:stop()
  end))
end)
