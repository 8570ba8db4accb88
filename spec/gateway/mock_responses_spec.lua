-- OpenAI's Responses as `perilune mock` speaks it.
local http = require "support.http"
local loop = require "support.loop"
local mock = require "support.mock"

-- Events as one line, "response." left out; sequence numbers are checked on the way.
local function told(answer)
  local parts = {}
  for i, event in ipairs(answer.events) do
    local data = event.json
    if not data then
      parts[#parts + 1] = "garbage"
    else
      assert.equal(event.event, data.type)
      assert.equal(i - 1, data.sequence_number)
      parts[#parts + 1] = data.type:gsub("^response%.", "") .. (data.output_index or "") ..
        (data.delta and ":" .. data.delta or "")
    end
  end
  return table.concat(parts, "|")
end

describe("the mock as OpenAI's Responses", function()
  local up

  setup(loop.test(function()
    up = mock.start()
  end))
  teardown(loop.test(function()
    up:stop()
  end))

  local function body(changes)
    local request = { model = "g", input = "hello there" }
    for name, value in pairs(changes or {}) do
      request[name] = value
    end
    return request
  end
  local function path_of(words)
    return (words and "/~" .. words or "") .. "/v1/responses"
  end
  local function plain(words, changes)
    return http.post(up.port, path_of(words), body(changes))
  end
  local function stream(words, changes)
    changes = changes or {}
    changes.stream = true
    return http.stream(up.port, path_of(words), body(changes))
  end

  it("answers", loop.test(function()
    local answer = plain()
    assert.equal(200, answer.status, answer.body)
    local response = answer.json
    assert.same({ "response", "completed", http.null, http.null }, {
      response.object, response.status, response.error, response.incomplete_details,
    })
    assert.same({
      type = "message", role = "assistant", status = "completed", id = response.output[1].id,
      content = { { type = "output_text", text = "You said: hello there", annotations = {}, logprobs = {} } },
    }, response.output[1])
    assert.same({ 7, 6, 13 }, {
      response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens,
    })
  end))

  it("streams an item from its opening to its end", loop.test(function()
    local answer = stream "content=a%20b"
    assert.equal("created|in_progress|output_item.added0|content_part.added0|output_text.delta0:a |output_text.delta0:b|" ..
      "output_text.done0|content_part.done0|output_item.done0|completed", told(answer))
    assert.is_true(answer.whole)
    local last = answer.events[#answer.events].json.response
    assert.same({ "completed", "a b", 1 }, { last.status, last.output[1].content[1].text, last.usage.output_tokens })
    assert.equal("a b", answer.events[#answer.events - 1].json.item.content[1].text)
  end))

  it("reasons, encrypted where that is asked for", loop.test(function()
    local item = plain("reasoning").json.output[1]
    assert.equal("reasoning", item.type)
    assert.is_nil(item.encrypted_content)
    assert.is_string(item.summary[1].text)
    item = plain("reasoning", { include = { "reasoning.encrypted_content" } }).json.output[1]
    assert.is_string(item.encrypted_content)
    local line = told(stream "reasoning;content=ok")
    assert.truthy(line:find("output_item.added0|reasoning_summary_part.added0|reasoning_summary_text.delta0:Somebody |", 1, true))
    assert.truthy(line:find("reasoning_summary_text.done0|reasoning_summary_part.done0|output_item.done0|" ..
      "output_item.added1|content_part.added1|output_text.delta1:ok|", 1, true))
  end))

  it("calls tools, several at once", loop.test(function()
    local tools = { { type = "function", name = "f" }, { type = "function", name = "g" } }
    local output = plain("tools=2", { tools = tools }).json.output
    assert.same({ "function_call", "f", "g" }, { output[1].type, output[1].name, output[2].name })
    assert.equal('{"text": "hello there", "call": 1}', output[2].arguments)
    assert.not_equal(output[1].call_id, output[2].call_id)
    assert.not_equal(output[1].id, output[1].call_id)
    local answer = stream("tools=2;tool_input={}", { tools = tools })
    assert.equal("created|in_progress|output_item.added0|function_call_arguments.delta0:{}|function_call_arguments.done0|" ..
      "output_item.done0|output_item.added1|function_call_arguments.delta1:{}|function_call_arguments.done1|" ..
      "output_item.done1|completed", told(answer))
    assert.same({ "", "{}" }, { answer.events[3].json.item.arguments, answer.events[6].json.item.arguments })
  end))

  it("shapes what it says", loop.test(function()
    local refused = plain("refusal").json
    assert.same({ "completed", "refusal" }, { refused.status, refused.output[1].content[1].type })
    assert.truthy(told(stream "refusal"):find("|refusal.done0|", 1, true))
    local short = plain("content=" .. ("12345678"):rep(20), { max_output_tokens = 16 }).json
    assert.same({ "incomplete", "max_output_tokens" }, { short.status, short.incomplete_details.reason })
    assert.truthy(told(stream "finish=content_filter"):find "|incomplete$")
    assert.equal(9, plain("cached=9").json.usage.input_tokens_details.cached_tokens)
    assert.equal(told(stream()), told(stream "crlf"))
    assert.equal(told(stream()), told(stream "bytewise"))
    assert.truthy(told(stream "extra"):find("|mock.unknown|", 1, true))
  end))

  it("fails in OpenAI's shape", loop.test(function()
    local answer = plain "status=429;retry_after=2"
    assert.same({ 429, "2", "rate_limit_exceeded" }, {
      answer.status, answer.headers["retry-after"], answer.json.error.code,
    })
  end))

  local BROKEN = {
    ["cut_event=0"] = { "^created$", false },
    ["cut_event=2"] = { "|output_text.delta0:You $", false },
    ["cut_after=1"] = { "|output_text.delta0:You $", true },
    ["error_after=1"] = { "|output_text.delta0:You |failed$", true },
    ["no_finish"] = { "|output_text.delta0:there$", true },
    ["no_done"] = { "|output_item.done0$", true },
    ["no_content"] = { "^created|in_progress|completed$", true },
    ["garbage"] = { "^garbage$", true },
  }
  for words, expected in pairs(BROKEN) do
    it("breaks by " .. words, loop.test(function()
      local answer = stream(words)
      assert.truthy(told(answer):find(expected[1]), told(answer))
      assert.equal(expected[2], answer.whole)
    end))
  end

  it("says in response.failed what went wrong", loop.test(function()
    local events = stream("error_after=1;code=rate_limit_exceeded;message=slow").events
    local response = events[#events].json.response
    assert.same({ "failed", { code = "rate_limit_exceeded", message = "slow" } }, { response.status, response.error })
    assert.equal(http.null, plain("no_usage").json.usage)
  end))

  local CALL = { type = "function_call", call_id = "c1", name = "f", arguments = "{}" }
  local OUTPUT = { type = "function_call_output", call_id = "c1", output = "42" }

  local REFUSED = {
    ["a response of before"] = { { previous_response_id = "resp_1" }, "previous_response_not_found" },
    ["a field nobody knows"] = { { messages = {} }, "unknown_parameter" },
    ["too few tokens"] = { { max_output_tokens = 15 }, "integer_below_min_value" },
    ["a nested tool"] = { { tools = { { type = "function", ["function"] = { name = "f" } } } } },
    ["an output without a call"] = { { input = { OUTPUT } } },
    ["a call without an output"] = { { input = { CALL } } },
    ["the tool's role"] = { { input = { { role = "tool", content = "x" } } } },
    ["what a user can not say"] = { { input = { { role = "user", content = { { type = "text", text = "x" } } } } } },
    ["what an assistant can not say"] = {
      { input = { { role = "assistant", content = { { type = "input_text", text = "x" } } } } },
    },
  }
  for name, case in pairs(REFUSED) do
    it("refuses " .. name, loop.test(function()
      local answer = plain(nil, case[1])
      assert.equal(400, answer.status, answer.body)
      assert.equal(case[2] or http.null, answer.json.error.code)
      assert.equal(200, plain("lenient", case[1]).status)
    end))
  end

  it("refuses a request without input", loop.test(function()
    assert.equal("input", plain(nil, { input = {} }).json.error.param)
  end))

  it("takes a history, and answers what the user said last", loop.test(function()
    local answer = plain(nil, {
      instructions = "be brief",
      input = {
        { role = "user", content = { { type = "input_text", text = "one" } } },
        { type = "reasoning", id = "rs_1", summary = {} },
        CALL,
        OUTPUT,
      },
    })
    assert.equal(200, answer.status, answer.body)
    assert.equal("You said: one", answer.json.output[1].content[1].text)
  end))
end)
