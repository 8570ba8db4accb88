local json = require "perilune.json"
local messages = require "perilune.dialects.anthropic_messages"
local relay = require "perilune.relay"
local shape = require "perilune.shape"
local shapes = require "support.shapes"
local writer = require "perilune.dialects.anthropic_writer"

local function context()
  return { id = "01ABC", created = 1790000000, model = "gpt-5", input_tokens = 321, request = { messages = {} } }
end

local function events_of(bytes)
  local list, rest = {}, bytes:gsub("event: ([^\n]*)\ndata: ([^\n]*)\n\n", function()
    return ""
  end)
  assert.equal("", rest)
  for event, data in bytes:gmatch "event: ([^\n]*)\ndata: ([^\n]*)\n\n" do
    local value = assert(json.decode(data))
    assert.equal(event, value.type)
    list[#list + 1] = value
  end
  return list
end

-- What a client does with events: it puts the message together, and is strict about their order.
local function assembled(bytes)
  local message, open
  for _, e in ipairs(events_of(bytes)) do
    if e.type == "message_start" then
      assert.is_nil(message)
      message = e.message
    elseif e.type == "content_block_start" then
      assert.is_nil(open)
      assert.equal(#message.content, e.index)
      open = { block = e.content_block, json = "", index = e.index }
      message.content[#message.content + 1] = open.block
    elseif e.type == "content_block_delta" then
      assert.equal(open.index, e.index)
      local d, b = e.delta, open.block
      b.text = d.text and b.text .. d.text or b.text
      b.thinking = d.thinking and b.thinking .. d.thinking or b.thinking
      b.signature = d.signature or b.signature
      open.json = open.json .. (d.partial_json or "")
    elseif e.type == "content_block_stop" then
      assert.equal(open.index, e.index)
      open.block.input = open.block.input and assert(json.decode(open.json)) or nil
      open = nil
    elseif e.type == "message_delta" then
      assert.is_nil(open)
      message.stop_reason, message.stop_sequence, message.usage = e.delta.stop_reason, e.delta.stop_sequence, e.usage
      message.stop_details = e.delta.stop_details
    end
  end
  return message
end

-- The bytes of a stream that says what `steps` say.
local function written(steps, ends, usage)
  local w = writer.new(context())
  local out = { w:begin { model = "m" } }
  for _, step in ipairs(steps) do
    out[#out + 1] = w[step[1]](w, unpack(step, 2))
  end
  out[#out + 1] = w:finish(ends or { { choice = 0, reason = "stop" } }, usage or {})
  return table.concat(out)
end

local function kinds(bytes)
  local out = {}
  for i, e in ipairs(events_of(bytes)) do
    out[i] = e.type .. (e.index and " " .. e.index or "") .. (e.delta and e.delta.type and " " .. e.delta.type or "")
  end
  return out
end

describe("anthropic_messages, a stream written", function()
  it("[G1] closes every block, also when thinking becomes text, and ends the message", function()
    assert.same({
      "message_start", "ping",
      "content_block_start 0", "content_block_delta 0 thinking_delta", "content_block_delta 0 signature_delta", "content_block_stop 0",
      "content_block_start 1", "content_block_delta 1 text_delta", "content_block_stop 1",
      "content_block_start 2", "content_block_delta 2 input_json_delta", "content_block_stop 2",
      "message_delta", "message_stop",
    }, kinds(written({
      { "reasoning", 0, "Hm." }, { "text", 0, "Yes" }, { "call", 0, 0, "call_1", "f", {} }, { "arguments", 0, 0, "{}" },
      { "call_done", 0, 0, "{}" },
    }, { { choice = 0, reason = "tool_calls" } })))
  end)

  it("[G2] starts a block before its first delta, with indexes without gaps", function()
    local message = assembled(written({
      { "text", 0, "a" }, { "reasoning", 0, "b" }, { "text", 0, "c" }, { "text", 0, "d\n\"" },
    }))
    assert.same({ "text", "thinking", "text" }, { message.content[1].type, message.content[2].type, message.content[3].type })
    assert.equal('cd\n"', message.content[3].text)
  end)

  it("[G3] starts and ends an empty answer", function()
    assert.same({ "message_start", "ping", "message_delta", "message_stop" }, kinds(written {}))
    assert.equal("end_turn", assembled(written {}).stop_reason)
  end)

  it("[G4] has every key of usage in the start", function()
    local start = events_of(writer.new(context()):begin { model = "m", id = "chatcmpl-9" })[1].message
    assert.same({
      input_tokens = 321, cache_creation_input_tokens = 0, cache_read_input_tokens = 0, output_tokens = 1, service_tier = "standard",
      cache_creation = { ephemeral_5m_input_tokens = 0, ephemeral_1h_input_tokens = 0 },
    }, start.usage)
    assert.same({ "msg_01ABC", "m", "assistant", "message", json.null, json.null }, {
      start.id, start.model, start.role, start.type, start.stop_reason, start.stop_sequence,
    })
    assert.equal("msg_9", events_of(writer.new(context()):begin { model = "m", id = "msg_9" })[1].message.id)
  end)

  it("[E5] estimates the input at the start and is exact at the end", function()
    local bytes = written({ { "text", 0, "x" } }, nil, {
      input_tokens = 100, output_tokens = 7, cached_tokens = 60, cache_write_tokens = 30, cache_write_1h_tokens = 10, reasoning_tokens = 2,
    })
    assert.equal(321, events_of(bytes)[1].message.usage.input_tokens)
    assert.same({
      input_tokens = 10, cache_creation_input_tokens = 30, cache_read_input_tokens = 60, output_tokens = 7, service_tier = "standard",
      cache_creation = { ephemeral_5m_input_tokens = 20, ephemeral_1h_input_tokens = 10 }, output_tokens_details = { thinking_tokens = 2 },
    }, assembled(bytes).usage)
  end)

  it("takes the provider's count where it came early, and its own estimate where none came", function()
    local start = events_of(writer.new(context()):begin { model = "m", usage = { input_tokens = 50, cached_tokens = 20 } })[1].message
    assert.equal(30, start.usage.input_tokens)
    local usage = assembled(written { { "text", 0, ("x"):rep(41) } }).usage
    assert.same({ 321, 11 }, { usage.input_tokens, usage.output_tokens })
    assert.equal(0, assembled(written({}, nil, { input_tokens = 1, cached_tokens = 5 })).usage.input_tokens)
  end)

  it("writes a native signature as it is and seals others", function()
    local native = { kind = "signature", value = "c2ln", by = "anthropic_messages", model = "x" }
    local foreign = { kind = "encrypted", value = "abc", by = "openai_responses", model = "gpt-5" }
    local content = assembled(written {
      { "reasoning", 0, "Hm." }, { "state", 0, native }, { "reasoning", 0, "So." }, { "state", 0, foreign }, { "state", 0, foreign },
      { "state", 0, { kind = "redacted", value = "aGk=", by = "anthropic_messages" } }, { "text", 0, "Yes" },
    }).content
    assert.same({
      { type = "thinking", thinking = "Hm.", signature = "c2ln" },
      { type = "thinking", thinking = "So.", signature = shape.seal(foreign, "anthropic_messages") },
      { type = "thinking", thinking = "", signature = shape.seal(foreign, "anthropic_messages") },
      { type = "redacted_thinking", data = "aGk=" }, { type = "text", text = "Yes" },
    }, content)
  end)

  it("never leaves thinking without a signature, and that one is nobody's", function()
    local block = assembled(written { { "reasoning", 0, "Hm." } }).content[1]
    assert.equal("none", shape.unseal(block.signature, "anthropic_messages", "signature").by)
    local body = '{"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"Hm.","signature":"%s"}]}]}'
    local back = assert(messages.read(body:format(block.signature)))
    assert.same({ { kind = "reasoning", text = "Hm." } }, back.messages[1].parts)
  end)

  it("[F9] puts the signature of a call of Gemini's before the call", function()
    local content = assembled(written({
      { "text", 0, "a" }, { "call", 0, 0, "c1", "f", { signature = "dGg=" } }, { "arguments", 0, 0, '{"a":1}' },
      { "call_done", 0, 0, '{"a":1}' },
    })).content
    assert.same({ "text", "redacted_thinking", "tool_use" }, { content[1].type, content[2].type, content[3].type })
    local state = shape.unseal(content[2].data, "anthropic_messages", "redacted")
    assert.same({ kind = "signature", value = "dGg=", by = "gemini" }, state)
    assert.same({ type = "tool_use", id = "c1", name = "f", input = { a = 1 } }, content[3])
  end)

  it("[A5] keeps calls one behind the other, however they come", function()
    local bytes = {}
    local r = relay.new(writer.new(context()), context())
    r:call(0, 0, "c1", "f")
    r:arguments(0, 0, '{"a":')
    r:call(0, 1, "c2", "g")
    r:arguments(0, 1, '{"b":')
    r:arguments(0, 0, "1}")
    bytes[1] = r:take()
    r:text(0, "and")
    r:arguments(0, 1, "2}")
    r:finish(0, "tool_calls")
    assert.is_true(r:done())
    bytes[2] = r:take()
    local content = assembled(table.concat(bytes)).content
    local inputs = {}
    for _, block in ipairs(content) do
      inputs[#inputs + 1] = block.input
    end
    assert.same({ { a = 1 }, { b = 2 } }, inputs)
    assert.is_true(writer.new(context()).sequential)
  end)

  it("[A6] has {} for a call without arguments", function()
    local r = relay.new(writer.new(context()), context())
    r:call(0, 0, "c1", "f")
    r:call_done(0, 0)
    r:finish(0, "tool_calls")
    assert.is_true(r:done())
    local bytes = r:take()
    assert.same({}, assembled(bytes).content[1].input)
    assert.is_truthy(bytes:find('"partial_json":"{}"', 1, true))
  end)

  it("[A8] has the same for it in a whole answer", function()
    local collector = relay.collector(true)
    local r = relay.new(collector, context())
    r:call(0, 0, "c1", "f")
    r:finish(0, "tool_calls")
    assert.is_true(r:done())
    assert.is_truthy(writer.answer(collector.answer, context()):find('"name":"f","input":{}', 1, true))
  end)

  it("[C4] never ends by itself: what failed has no message_stop", function()
    local w = writer.new(context())
    local bytes = w:begin { model = "m" } .. w:text(0, "He") .. w:text(0, "llo")
    assert.is_nil(bytes:find("message_stop", 1, true))
    assert.is_nil(bytes:find("message_delta", 1, true))
    assert.is_nil(bytes:find("end_turn", 1, true))
  end)

  it("puts the input of a custom tool into an object", function()
    local message = assembled(written {
      { "call", 0, 0, "c1", "patch", { custom = true } }, { "arguments", 0, 0, "a\"" }, { "arguments", 0, 0, "b" },
      { "call_done", 0, 0, 'a"b' },
    })
    assert.same({ input = 'a"b' }, message.content[1].input)
  end)

  it("writes blocks of its own dialect, and nothing where it has no form", function()
    local raw = '{"type":"web_search_tool_result",\r\n"content":[]}'
    local content = assembled(written {
      { "opaque", 0, "anthropic_messages", raw }, { "opaque", 0, "openai_responses", "{}" }, { "audio", 0, "{}" },
      { "text", 0, "", { annotations = "[]" } }, { "text", 1, "another answer" },
    }).content
    assert.same({ { type = "web_search_tool_result", content = {} } }, content)
  end)

  it("tells a refusal as text, and as the reason", function()
    local message = assembled(written { { "refusal", 0, "I can" }, { "refusal", 0, " not." } })
    assert.same({ { type = "text", text = "I can not." } }, message.content)
    assert.equal("refusal", message.stop_reason)
    assert.equal("I can not.", message.stop_details.explanation)
  end)

  for reason, expected in pairs { stop = "end_turn", tool_calls = "tool_use", length = "max_tokens", content_filter = "refusal" } do
    it("ends for " .. reason .. " by " .. expected, function()
      assert.equal(expected, assembled(written({}, { { choice = 0, reason = reason } })).stop_reason)
    end)
  end

  it("names the sequence that stopped it", function()
    local message = assembled(written({}, { { choice = 1, reason = "length" }, { choice = 0, reason = "stop", stop_sequence = "E\"" } }))
    assert.same({ "stop_sequence", 'E"' }, { message.stop_reason, message.stop_sequence })
  end)
end)

describe("anthropic_messages, a whole answer written", function()
  local function answer(parts, finish, more)
    local a = { model = "m", choices = { { index = 0, parts = parts, finish = finish or "stop" } }, usage = {} }
    for k, v in pairs(more or {}) do
      a[k] = v
    end
    return assert(json.decode(writer.answer(a, context()))), writer.answer(a, context())
  end

  it("has all parts as blocks", function()
    local foreign = { kind = "encrypted", value = "abc", by = "openai_responses", model = "gpt-5" }
    local message, bytes = answer({
      { kind = "reasoning", text = "Hm.", state = foreign }, { kind = "reasoning", text = "So." },
      { kind = "reasoning", state = { kind = "redacted", value = "aGk=", by = "anthropic_messages" } },
      { kind = "text", text = "Hi" }, { kind = "text", text = "" },
      { kind = "call", id = "c1", name = "f", arguments = '{"z":1.50,"a":12345678901234567890}', signature = "dGg=" },
      { kind = "call", id = "c2", name = "g", arguments = "x", custom = true },
      { kind = "opaque", dialect = "openai_responses", raw = "{}" },
      { kind = "opaque", dialect = "anthropic_messages", raw = '{"type":"container_upload"}' },
    }, "tool_calls", { usage = { input_tokens = 9, output_tokens = 4, cached_tokens = 5 } })
    local types = {}
    for i, block in ipairs(message.content) do
      types[i] = block.type
    end
    assert.same({
      "thinking", "thinking", "redacted_thinking", "text", "redacted_thinking", "tool_use", "tool_use", "container_upload",
    }, types)
    assert.equal(shape.seal(foreign, "anthropic_messages"), message.content[1].signature)
    assert.is_truthy(bytes:find('"input":{"z":1.50,"a":12345678901234567890}', 1, true))
    assert.same({ input = "x" }, message.content[7].input)
    assert.same({ 4, 5, 4 }, { message.usage.input_tokens, message.usage.cache_read_input_tokens, message.usage.output_tokens })
    assert.same({ "tool_use", "message", "msg_01ABC" }, { message.stop_reason, message.type, message.id })
  end)

  it("may be empty, refused, stopped by a sequence", function()
    local _, bytes = answer {}
    assert.is_truthy(bytes:find('"content":[]', 1, true))
    assert.equal("refusal", (answer { { kind = "refusal", text = "No." } }).stop_reason)
    local message = answer({}, "stop", { choices = { { index = 0, parts = {}, finish = "stop", stop_sequence = "END" } } })
    assert.same({ "stop_sequence", "END" }, { message.stop_reason, message.stop_sequence })
  end)

  -- What this dialect can express, by chance.
  local ABLE = {
    states = function(r)
      return { kind = r(2) == 1 and "signature" or "redacted", value = "c2ln" .. r(9), by = "anthropic_messages", model = "m" }
    end,
    reasoning = true,
  }

  it("is read back as it was", function()
    for _, a in ipairs(shapes.answers(ABLE, 7, 200)) do
      a.model = "m"
      a.usage.total_tokens = nil
      local collector = relay.collector()
      local r = relay.new(collector, context())
      assert.is_true(messages.read_answer(writer.answer(a, context()), r))
      assert.is_true(r:done())
      local back = collector.answer
      assert.same(a.choices[1].parts, back.choices[1].parts)
      assert.equal(a.choices[1].finish, back.choices[1].finish)
      for name, n in pairs(a.usage) do
        assert.equal(n, back.usage[name])
      end
    end
  end)

  it("says what a stream of the same says", function()
    for _, a in ipairs(shapes.answers(ABLE, 8, 100)) do
      local w = writer.new(context())
      local out = { w:begin { model = a.model } }
      local n = -1
      for _, part in ipairs(a.choices[1].parts) do
        if part.kind == "call" then
          n = n + 1
          out[#out + 1] = w:call(0, n, part.id, part.name, {}) .. w:arguments(0, n, part.arguments) .. w:call_done(0, n, part.arguments)
        elseif part.kind == "reasoning" then
          out[#out + 1] = (part.text and w:reasoning(0, part.text) or "") .. (part.state and w:state(0, part.state) or "")
        else
          out[#out + 1] = w[part.kind](w, 0, part.text)
        end
      end
      out[#out + 1] = w:finish({ { choice = 0, reason = a.choices[1].finish } }, a.usage)
      local streamed, whole = assembled(table.concat(out)), assert(json.decode(writer.answer(a, context())))
      assert.same(whole.content, streamed.content)
      assert.same(whole.usage, streamed.usage)
      assert.equal(whole.stop_reason, streamed.stop_reason)
    end
  end)
end)
