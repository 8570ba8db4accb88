local chat = require "perilune.dialects.openai_chat"
local json = require "perilune.json"

local function context(wants_usage, fields)
  return {
    id = "01ABC", created = 1790000001, model = "m", input_tokens = 5, request = { wants_usage = wants_usage or false,
      fields = fields or {} },
  }
end

local function begun(ctx)
  local w = chat.writer(ctx or context())
  assert.equal("", w:begin { model = "m-1" })
  return w
end

local HEAD = 'data: {"id":"chatcmpl-01ABC","object":"chat.completion.chunk","created":1790000001,"model":"m-1","choices":['

local function chunk(delta, reason, index)
  return ('%s{"index":%d,"delta":{%s},"logprobs":null,"finish_reason":%s}]}\n\n'):format(HEAD, index or 0, delta, reason or "null")
end

local ROLE = chunk '"role":"assistant","content":"","refusal":null'
local OTHER = chunk '"role":"assistant","content":null,"refusal":null'
local USAGE = { input_tokens = 9, output_tokens = 2, cached_tokens = 4, cache_write_tokens = 1, reasoning_tokens = 1 }
local USAGE_RAW = '{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11,"prompt_tokens_details":{"cached_tokens":4,'
  .. '"cache_write_tokens":1},'
  .. '"completion_tokens_details":{"reasoning_tokens":1}}'

describe("chat_writer, a stream", function()
  it("[C12] has the role first, once in each choice, and a finish last", function()
    local w = begun()
    assert.equal(ROLE .. chunk '"content":"a\\n"', w:text(0, "a\n"))
    assert.equal(chunk '"content":"b"', w:text(0, "b"))
    assert.equal((ROLE .. chunk '"content":"c"'):gsub('"index":0', '"index":1'), w:text(1, "c"))
    assert.equal(chunk("", '"stop"') .. chunk("", '"length"', 1), w:finish({ { choice = 0, reason = "stop" }, { choice = 1,
      reason = "length" } }, {}))
  end)

  it("has the provider's id, time and more", function()
    local w = chat.writer(context())
    w:begin { id = "abc", model = "m%d", created = 7, service_tier = "flex", fingerprint = "fp" }
    assert.matches('data: {"id":"abc","object":"chat.completion.chunk","created":7,"model":"m%d","service_tier":"flex",'
      .. '"system_fingerprint":"fp","choices":[',
      w:text(0, "x"), 1, true)
  end)

  it("has calls as OpenAI has them", function()
    local w = begun()
    assert.equal(OTHER .. chunk '"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":""}}]', w:call(0,
      0, "c1", "f", {}))
    assert.equal(chunk '"tool_calls":[{"index":0,"function":{"arguments":"{\\"a\\":1}"}}]', w:arguments(0, 0, '{"a":1}'))
    assert.equal("", w:call_done(0, 0, '{"a":1}'))
    assert.equal(chunk '"tool_calls":[{"index":1,"id":"c2","type":"custom","custom":{"name":"p","input":""}}]', w:call(0, 1, "c2", "p",
      { custom = true }))
    assert.equal(chunk '"tool_calls":[{"index":1,"custom":{"input":"*** x"}}]', w:arguments(0, 1, "*** x"))
    assert.equal(chunk('"tool_calls":[{"index":2,"id":"c3","type":"function","function":{"name":"f","arguments":""},'
      .. '"extra_content":{"google":{"thought_signature":"s%"}}}]'), w:call(0, 2, "c3", "f", { signature = "s%" }))
    assert.equal(chunk("", '"tool_calls"'), w:finish({ { choice = 0, reason = "tool_calls" } }, {}))
  end)

  it("answers those who know functions alone in their words", function()
    local w = begun(context(false, { functions = "[]" }))
    assert.equal(OTHER .. chunk '"function_call":{"name":"f","arguments":""}', w:call(0, 0, "c1", "f", {}))
    assert.equal(chunk '"function_call":{"arguments":"{}"}', w:arguments(0, 0, "{}"))
    assert.equal("", w:call(0, 1, "c2", "g", {}) .. w:arguments(0, 1, "{}"))
    assert.equal(chunk("", '"function_call"'), w:finish({ { choice = 0, reason = "tool_calls" } }, {}))
  end)

  it("tells thoughts, and what a model wants back", function()
    local w = begun()
    assert.equal(OTHER .. chunk '"reasoning_content":"one"', w:reasoning(0, "one"))
    assert.equal(chunk '"reasoning_details":[{"type":"reasoning.text","signature":"s","format":"anthropic_messages","index":0}]',
      w:state(0, { kind = "signature", value = "s", by = "anthropic_messages" }))
    w:reasoning(0, "t")
    w:reasoning(0, "wo")
    assert.equal(chunk('"reasoning_details":[{"type":"reasoning.text","text":"two","signature":"t","format":"anthropic_messages",'
      .. '"index":1}]'),
      w:state(0, { kind = "signature", value = "t", by = "anthropic_messages" }))
    assert.equal("", w:opaque(0, "anthropic_messages", "{}"))
  end)

  it("tells refusals, sounds and what stands beside a text", function()
    assert.equal(OTHER .. chunk '"refusal":"no"', begun():refusal(0, "no"))
    assert.equal(OTHER .. chunk '"audio":{"id":"a"}', begun():audio(0, '{"id":"a"}'))
    assert.equal(ROLE .. chunk '"content":"x","annotations":[1],"extra_content":{"google":{"thought_signature":"s"}}',
      begun():text(0, "x", { annotations = "[1]", signature = "s" }))
    assert.matches('"delta":{"content":"x"},"logprobs":{"content":[]},"finish_reason":null}]}\n\n', begun():text(0, "x",
      { logprobs = '{"content":[]}' }), 1, true)
  end)

  it("[D11] tells the usage to who asked, in a chunk without choices behind the finish, and nobody else", function()
    local w = begun(context(true))
    assert.matches('"finish_reason":null}],"usage":null}\n\n$', w:text(0, "x"))
    assert.equal((chunk("", '"stop"'):gsub("]}\n\n$", '],"usage":null}\n\n')) .. HEAD .. '],"usage":' .. USAGE_RAW .. "}\n\n",
      w:finish({ { choice = 0, reason = "stop" } }, USAGE))
    w = begun()
    local out = w:text(0, "x") .. w:finish({ { choice = 0, reason = "stop" } }, USAGE)
    assert.is_nil(out:find "usage")
  end)

  it("[C11] never has a key for errors", function()
    local w = begun(context(true))
    local out = w:text(0, "x") .. w:reasoning(0, "y") .. w:call(0, 0, "a", "f", {}) .. w:finish({ { choice = 0, reason = "stop" } }, USAGE)
    for data in out:gmatch "data: ([^\n]*)\n\n" do
      assert.is_nil(assert(json.read(data)).error)
    end
    assert.is_nil(out:find '"error"')
  end)

  it("[B8] of nothing but thoughts is one empty message with its reason and usage", function()
    local w = begun(context(true))
    local out = w:finish({ { choice = 0, reason = "length" } }, { output_tokens = 9, reasoning_tokens = 9 })
    assert.matches('"delta":{"role":"assistant","content":"","refusal":null}', out, 1, true)
    assert.matches('"finish_reason":"length"', out, 1, true)
    assert.matches('"prompt_tokens":5,"completion_tokens":9,"total_tokens":14', out, 1, true)
  end)
end)

describe("chat_writer, a whole answer", function()
  local function written(choice, ctx, more)
    choice.index, choice.finish = 0, choice.finish or "stop"
    local answer = { model = "m-1", choices = { choice }, usage = USAGE }
    for k, v in pairs(more or {}) do
      answer[k] = v
    end
    local body = chat.write_answer(answer, ctx or context())
    return assert(json.read(body)), body
  end

  it("is OpenAI's, byte for byte", function()
    local _, body = written { parts = { { kind = "text", text = "Hi" } } }
    assert.equal('{"id":"chatcmpl-01ABC","object":"chat.completion","created":1790000001,"model":"m-1","choices":[{"index":0,"message":'
      .. '{"role":"assistant","content":"Hi","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":'
        .. USAGE_RAW .. "}", body)
  end)

  it("has null for content when it only calls, and no key for calls when there are none", function()
    local call = { kind = "call", id = "c", name = "f", arguments = "{}" }
    local _, body = written { parts = { call }, finish = "tool_calls" }
    assert.matches('"content":null,"refusal":null,"annotations":[],"tool_calls":[{"id":"c","type":"function",'
      .. '"function":{"name":"f","arguments":"{}"}}]}', body, 1, true)
    _, body = written { parts = {}, finish = "length" }
    assert.matches('"content":"",', body, 1, true)
    assert.is_nil(body:find "tool_calls")
    _, body = written({ parts = { call, call }, finish = "tool_calls" }, context(false, { functions = "[]" }))
    assert.matches('"function_call":{"name":"f","arguments":"{}"}}', body, 1, true)
    assert.matches('"finish_reason":"function_call"', body, 1, true)
  end)

  it("has all that was said", function()
    local answer = written({
      parts = {
        { kind = "reasoning", text = "why", state = { kind = "signature", value = "s", by = "gemini" } },
        { kind = "text", text = "a", annotations = "[1]" }, { kind = "text", text = "b", annotations = "[2,3]", signature = "g" },
        { kind = "opaque", dialect = "x", raw = "{}" },
      }, logprobs = '{"content":[]}', audio = '{"id":"au"}',
    }, nil, { id = "abc", created = 7, service_tier = "flex", fingerprint = "fp" })
    local message = answer.choices[1].message
    assert.same({ "abc", 7, "flex", "fp" }, { answer.id, answer.created, answer.service_tier, answer.system_fingerprint })
    assert.same({ "ab", "why", { 1, 2, 3 }, { id = "au" } }, { message.content, message.reasoning_content, message.annotations,
      message.audio })
    assert.equal("s", message.reasoning_details[1].signature)
    assert.equal("g", message.extra_content.google.thought_signature)
    assert.same({ content = {} }, answer.choices[1].logprobs)
  end)

  it("has a refusal beside null", function()
    local _, body = written { parts = { { kind = "refusal", text = "no" } } }
    assert.matches('"content":null,"refusal":"no"', body, 1, true)
  end)
end)
