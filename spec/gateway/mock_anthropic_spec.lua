-- Anthropic's Messages as `perilune mock` speaks it.
local http = require "support.http"
local loop = require "support.loop"
local mock = require "support.mock"

local VERSION = { ["anthropic-version"] = "2023-06-01" }
local SIGNATURE = "bW9jayBzaWduYXR1cmU="

local function body(changes)
  local request = { model = "claude-x", max_tokens = 1000, messages = { { role = "user", content = "hello there" } } }
  for name, value in pairs(changes or {}) do
    request[name] = value ~= http.null and value or nil
  end
  return request
end

-- Events as one line: names, and what a delta says.
local function told(answer)
  local parts = {}
  for _, event in ipairs(answer.events) do
    local data = event.json
    if not data then
      parts[#parts + 1] = "garbage"
    else
      assert.equal(event.event, data.type)
      local delta = data.delta
      local text = delta and (delta.text or delta.thinking or delta.partial_json or delta.signature or delta.stop_reason)
      local block = data.content_block and data.content_block.type
      parts[#parts + 1] = data.type:gsub("content_block_", "") .. (data.index or "") ..
        (text and ":" .. text or "") .. (block and ":" .. block or "")
    end
  end
  return table.concat(parts, "|")
end

describe("the mock as Anthropic", function()
  local up

  setup(loop.test(function()
    up = mock.start()
  end))
  teardown(loop.test(function()
    up:stop()
  end))

  local function path_of(words)
    return (words and "/~" .. words or "") .. "/v1/messages"
  end
  local function plain(words, changes, headers)
    return http.post(up.port, path_of(words), body(changes), headers or VERSION)
  end
  local function stream(words, changes)
    changes = changes or {}
    changes.stream = true
    return http.stream(up.port, path_of(words), body(changes), VERSION)
  end

  it("answers", loop.test(function()
    local answer = plain()
    assert.equal(200, answer.status, answer.body)
    assert.same({ "message", "assistant", "claude-x" }, { answer.json.type, answer.json.role, answer.json.model })
    assert.same({ { type = "text", text = "You said: hello there" } }, answer.json.content)
    assert.same({ "end_turn", http.null, http.null }, {
      answer.json.stop_reason, answer.json.stop_sequence, answer.json.stop_details,
    })
    local usage = answer.json.usage
    assert.same({ 7, 6, 0, 0 }, {
      usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens,
    })
    assert.truthy(answer.headers["request-id"])
  end))

  it("streams events with names, in order", loop.test(function()
    local answer = stream()
    assert.equal("message_start|ping|start0:text|delta0:You |delta0:said: |delta0:hello |delta0:there|stop0|" ..
      "message_delta:end_turn|message_stop", told(answer))
    assert.is_true(answer.whole)
    local start, last = answer.events[1].json.message, answer.events[#answer.events - 1].json
    assert.same({ {}, http.null, 7, 1 }, {
      start.content, start.stop_reason, start.usage.input_tokens, start.usage.output_tokens,
    })
    assert.equal(6, last.usage.output_tokens)
  end))

  it("thinks, with a signature before the block's end", loop.test(function()
    local whole = plain("reasoning;content=ok").json
    assert.same({ type = "thinking", thinking = "Somebody said something, so I say it again.", signature = SIGNATURE },
      whole.content[1])
    assert.equal(11, whole.usage.output_tokens_details.thinking_tokens)
    local line = told(stream "reasoning;content=ok")
    assert.truthy(line:find("|start0:thinking|delta0:Somebody |", 1, true))
    assert.truthy(line:find("|delta0:" .. SIGNATURE .. "|stop0|start1:text|delta1:ok|stop1|", 1, true))
  end))

  it("calls tools, several at once, one block after the other", loop.test(function()
    local tools = { { name = "f", input_schema = { type = "object" } }, { name = "g", input_schema = { type = "object" } } }
    local whole = plain("tools=2;content=ok", { tools = tools }).json
    assert.equal("tool_use", whole.stop_reason)
    assert.same({ "text", "tool_use", "tool_use" }, { whole.content[1].type, whole.content[2].type, whole.content[3].type })
    assert.same({ "f", "g" }, { whole.content[2].name, whole.content[3].name })
    assert.same({ text = "hello there", call = 1 }, whole.content[3].input)
    assert.not_equal(whole.content[2].id, whole.content[3].id)
    assert.equal("message_start|ping|start0:tool_use|delta0:{}|stop0|start1:tool_use|delta1:{}|stop1|" ..
      "message_delta:tool_use|message_stop", told(stream("tools=2;tool_input={}", { tools = tools })))
    assert.same({}, plain("tool;tool_input=", { tools = tools }).json.content[1].input)
    assert.truthy(told(stream("tool;tool_input=", { tools = tools })):find("start0:tool_use|delta0:|stop0", 1, true))
  end))

  it("shapes what it says", loop.test(function()
    local refused = plain("refusal").json
    assert.same({ "refusal", "refusal" }, { refused.stop_reason, refused.stop_details.type })
    assert.equal("max_tokens", plain("content=12345678", { max_tokens = 1 }).json.stop_reason)
    assert.equal("pause_turn", plain("finish=pause_turn").json.stop_reason)
    local usage = plain("cached=20;written=30").json.usage
    assert.same({ 0, 20, 30 }, { usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens })
    assert.equal(told(stream()), told(stream "crlf"))
    assert.equal(told(stream()), told(stream "bytewise"))
    assert.truthy(told(stream "extra"):find("|mock_unknown|", 1, true))
    assert.equal("0", plain("ratelimit=0%2F50").headers["anthropic-ratelimit-requests-remaining"])
    assert.equal("50", plain("ratelimit=0%2F50").headers["anthropic-ratelimit-requests-limit"])
    assert.truthy(plain("ratelimit=0%2F50").headers["anthropic-ratelimit-tokens-reset"]:match "^%d+%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$")
    assert.is_nil(plain("").headers["anthropic-ratelimit-requests-limit"])
  end))

  it("counts tokens", loop.test(function()
    local request = body { max_tokens = http.null }
    local answer = http.post(up.port, "/v1/messages/count_tokens", request, VERSION)
    assert.same({ input_tokens = 7 }, answer.json)
    assert.equal(400, http.post(up.port, "/v1/messages/count_tokens", body(), VERSION).status)
  end))

  it("lists models", loop.test(function()
    local list = http.get(up.port, "/v1/models", VERSION).json
    assert.same({ "model", "mock-small", false, "mock-small", "mock-large" }, {
      list.data[1].type, list.data[1].id, list.has_more, list.first_id, list.last_id,
    })
  end))

  it("fails in its own shape", loop.test(function()
    local types = {
      [400] = "invalid_request_error", [401] = "authentication_error", [429] = "rate_limit_error", [500] = "api_error",
      [529] = "overloaded_error",
    }
    for status, expected in pairs(types) do
      local answer = plain("status=" .. status .. ";retry_after=3")
      assert.equal(status, answer.status)
      assert.same({ "error", expected, answer.headers["request-id"] }, {
        answer.json.type, answer.json.error.type, answer.json.request_id,
      })
      assert.equal("3", answer.headers["retry-after"])
      assert.is_nil(answer.headers["anthropic-ratelimit-tokens-limit"])
    end
    assert.equal("no way", plain("status=400;message=no%20way").json.error.message)
  end))

  local BROKEN = {
    ["cut_event=0"] = { "^message_start$", false },
    ["cut_event=1"] = { "^message_start|ping|start0:text$", false },
    ["cut_event=2"] = { "|delta0:You $", false },
    ["cut_after=1"] = { "|delta0:You $", true },
    ["error_after=0"] = { "^message_start|ping|error$", true },
    ["error_after=2"] = { "|delta0:said: |error$", true },
    ["no_finish"] = { "|delta0:there|message_stop$", true },
    ["no_done"] = { "|message_delta:end_turn$", true },
    ["no_content"] = { "^message_start|ping|message_delta:end_turn|message_stop$", true },
    ["cut_frame"] = { "|stop0$", true },
    ["garbage"] = { "^garbage$", true },
  }
  for words, expected in pairs(BROKEN) do
    it("breaks by " .. words, loop.test(function()
      local answer = stream(words)
      assert.truthy(told(answer):find(expected[1]), told(answer))
      assert.equal(expected[2], answer.whole)
    end))
  end

  it("says what went wrong in a stream, and leaves usage out when told", loop.test(function()
    local events = stream("error_after=1").events
    assert.equal("overloaded_error", events[#events].json.error.type)
    events = stream("error_after=1;type=api_error;message=oh").events
    assert.same({ type = "api_error", message = "oh" }, events[#events].json.error)
    for _, event in ipairs(stream("no_usage").events) do
      assert.is_nil(event.json.usage or event.json.message and event.json.message.usage)
    end
    assert.is_nil(plain("no_usage").json.usage)
  end))

  local USE = { type = "tool_use", id = "t1", name = "f", input = { a = 1 } }
  local RESULT = { type = "tool_result", tool_use_id = "t1", content = "42" }
  local TEXT = { type = "text", text = "x" }

  local function talk(...)
    local messages = { { role = "user", content = "hi" } }
    for i, content in ipairs { ... } do
      messages[#messages + 1] = { role = i % 2 == 1 and "assistant" or "user", content = content }
    end
    return { messages = messages }
  end

  local REFUSED = {
    ["no max_tokens"] = { { max_tokens = http.null }, "max_tokens" },
    ["a field nobody knows"] = { { frequency_penalty = 1 }, "frequency_penalty" },
    ["a temperature over 1"] = { { temperature = 1.5 }, "temperature" },
    ["a system text without letters"] = { { system = { { type = "text", text = "" } } }, "non%-empty" },
    ["a tool without a schema of an object"] = { { tools = { { name = "f", input_schema = { type = "x" } } } }, "input_schema" },
    ["a choice without tools"] = { { tool_choice = { type = "auto" } }, "tool_choice" },
    ["a thinking budget that is too small"] = { { thinking = { type = "enabled", budget_tokens = 9 } }, "budget_tokens" },
    ["a thinking budget over max_tokens"] = { { thinking = { type = "enabled", budget_tokens = 2000 } }, "max_tokens" },
    ["a system message first"] = { { messages = { { role = "system", content = "x" } } }, "role" },
    ["another role"] = { { messages = { { role = "user", content = "x" }, { role = "tool", content = "x" } } }, "role" },
    ["an assistant first"] = { { messages = { { role = "assistant", content = "x" } } }, "first message" },
    ["an empty text"] = { { messages = { { role = "user", content = "" } } }, "non%-empty" },
    ["an empty text block"] = { talk { { type = "text", text = "" } }, "non%-empty" },
    ["a call without a result at the end"] = { talk { USE }, "t1" },
    ["a call without a result in the next turn"] = { talk({ USE }, { TEXT }), "t1" },
    ["a result behind a text"] = { talk({ USE }, { TEXT, RESULT }), "before other content" },
    ["a result nobody asked for"] = { talk({ TEXT }, { RESULT }), "no tool_use" },
    ["a call whose input is text"] = { talk { { type = "tool_use", id = "t1", name = "f", input = "{}" } }, "input" },
    ["an id of foreign letters"] = { talk { { type = "tool_use", id = "a.b", name = "f", input = { a = 1 } } }, "id" },
    ["a thought nobody signed"] = { talk { { type = "thinking", thinking = "x", signature = "mine" } }, "signature" },
  }
  for name, case in pairs(REFUSED) do
    it("refuses " .. name, loop.test(function()
      local answer = plain(nil, case[1])
      assert.equal(400, answer.status, answer.body)
      assert.equal("invalid_request_error", answer.json.error.type)
      assert.truthy(answer.json.error.message:find(case[2]), answer.json.error.message)
      assert.equal(200, plain("lenient", case[1]).status)
    end))
  end

  it("refuses a request without a version, and sampling in the newest one", loop.test(function()
    assert.equal(400, plain(nil, nil, {}).status)
    local newest = { ["anthropic-version"] = "2026-10-21" }
    assert.equal(200, plain(nil, nil, newest).status)
    assert.equal(400, plain(nil, { temperature = 1 }, newest).status)
    assert.equal(400, plain(nil, { top_k = 1 }, newest).status)
  end))

  it("is found on Vertex AI, the model in the path and the version in the body", loop.test(function()
    local function vertex(changes)
      changes.model = changes.model or http.null
      local path = "/v1/projects/p/locations/eu/publishers/anthropic/models/claude-x%4020251001:rawPredict"
      return http.post(up.port, path, body(changes))
    end
    local answer = vertex { anthropic_version = "vertex-2023-10-16" }
    assert.equal(200, answer.status, answer.body)
    assert.equal("claude-x@20251001", answer.json.model)
    assert.equal(400, vertex({}).status)
    assert.equal(400, vertex({ anthropic_version = "vertex-2023-10-16", model = "claude-x" }).status)
    assert.equal(400, plain(nil, { anthropic_version = "vertex-2023-10-16" }).status)
    local streamed = http.stream(up.port, "/v1/projects/p/models/claude-x:streamRawPredict",
      body { model = http.null, stream = true, anthropic_version = "vertex-2023-10-16" })
    assert.truthy(told(streamed):find "|message_stop$")
  end))

  it("takes a history with calls and thoughts, and answers what the user said last", loop.test(function()
    local history = talk({ { type = "thinking", thinking = "x", signature = SIGNATURE }, TEXT, USE }, { RESULT })
    local answer = plain(nil, history)
    assert.equal(200, answer.status, answer.body)
    assert.equal("You said: hi", answer.json.content[1].text)
    assert.equal("You said: x", plain(nil, talk({ USE }, { RESULT, TEXT })).json.content[1].text)
  end))
end)
