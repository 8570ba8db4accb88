local chat = require "perilune.dialects.openai_chat"
local reader = require "perilune.dialects.chat_reader"
local sinks = require "support.sink"

-- What a stream of these events tells.
local function fed(...)
  local sink, r = sinks.new(), chat.reader()
  for _, data in ipairs { ... } do
    assert(r:feed(sink, nil, data))
  end
  return sink
end

local function delta(members, finish)
  return ('{"id":"c","model":"m","choices":[{"index":0,"delta":{%s},"finish_reason":%s}]}'):format(members, finish or "null")
end

local function whole(body)
  local sink = sinks.new()
  local ok, why = chat.read_answer(body, sink)
  return ok and sink or why
end

-- Calls as a sink that goes by keys has them: { id, name, arguments }.
local function calls_of(sink)
  local list, by_key = {}, {}
  for _, c in ipairs(sink:only("call", "arguments")) do
    local call = by_key[c[3]]
    if not call then
      call = { "", "", "" }
      by_key[c[3]] = call
      list[#list + 1] = call
    end
    if c[1] == "arguments" then
      call[3] = call[3] .. c[4]
    else
      call[1], call[2] = c[4] or call[1], c[5] or call[2]
    end
  end
  return list
end

local function tools(...)
  return delta('"tool_calls":[' .. table.concat({ ... }, ",") .. "]")
end

describe("chat_reader, texts", function()
  it("are told piece by piece, by choice", function()
    local sink = fed('{"id":"c","created":1790000000,"model":"m","service_tier":"flex","system_fingerprint":"fp",'
      .. '"choices":[{"index":1,"delta":'
      .. '{"role":"assistant","content":""},"finish_reason":null}],"usage":null}', delta '"content":"Hé \\ud83d\\ude00"',
        delta('"content":null', '"stop"'))
    assert.same({
      { "begin", { id = "c", model = "m", created = 1790000000, service_tier = "flex", fingerprint = "fp" } },
      { "text", 0, "Hé \240\159\152\128" }, { "finish", 0, "stop" },
    }, sink.calls)
  end)

  it("come with what stands beside them, cut out as it was", function()
    local sink = fed('{"choices":[{"index":0,"delta":{"content":"x","annotations":[{"z":1,"a":2}]},"logprobs":{"content":[{"z":1,'
      .. '"a":[]}]}}]}')
    assert.same({ { "text", 0, "x", { logprobs = '{"content":[{"z":1,"a":[]}]}', annotations = '[{"z":1,"a":2}]' } } }, sink.calls)
    assert.same({ { "text", 0, "x", { signature = "s" } } }, whole(
      '{"choices":[{"message":{"content":"x","extra_content":{"google":{"thought_signature":"s"}}}}]}').calls)
  end)

  it("may be lists of chunks", function()
    local sink = fed(delta('"content":[{"type":"thinking","thinking":[{"type":"text","text":"why"}]},{"type":"text","text":"x"},'
      .. '{"type":"reference"}]'))
    assert.same({ { "reasoning", 0, "why" }, { "text", 0, "x" } }, sink:only("reasoning", "text"))
  end)

  for _, name in ipairs { "reasoning_content", "reasoning", "reasoning_text", "thinking" } do
    it("of thought are found in " .. name, function()
      assert.same({ { "reasoning", 0, "why" } }, fed(delta('"content":null,"' .. name .. '":"why"')):only("reasoning", "text"))
    end)
  end

  it("of thought are told once when they stand in two places", function()
    local sink = fed(delta('"reasoning":"why","reasoning_content":"why","reasoning_details":[{"type":"reasoning.text",'
      .. '"text":"why","index":0}]'))
    assert.same({ { "reasoning", 0, "why" } }, sink:only("reasoning", "state"))
    sink = fed(delta('"reasoning_details":[{"type":"reasoning.summary","summary":"short"},{"type":"reasoning.text",'
      .. '"signature":"s","format":"gemini"}]'))
    assert.same({ { "reasoning", 0, "short", true }, { "state", 0, { kind = "signature", value = "s", by = "gemini" } } },
      sink:only("reasoning", "state"))
    local entry = '{"type":"reasoning.encrypted","z":1,"data":"d","format":"xai-responses-v1"}'
    sink = fed(delta('"reasoning_details":[' .. entry .. "]"))
    assert.same({ { "state", 0, { kind = "encrypted", value = entry, by = "openai_chat" } } }, sink:only "state")
  end)

  it("of refusal and sound are told", function()
    assert.same({ { "refusal", 0, "no" } }, fed(delta '"refusal":"no"'):only "refusal")
    assert.same({ { "audio", 0, '{"id":"a","data":"QQ"}' } }, fed(delta '"audio":{"id":"a","data":"QQ"}'):only "audio")
  end)

  it("[A14] that look like calls or thoughts are texts", function()
    local sink = fed(delta '"content":"<think>hm</think><tool_call>{}</tool_call>"', delta("", '"stop"'))
    assert.equal("<think>hm</think><tool_call>{}</tool_call>", sink:joined "text")
    assert.same({ { "finish", 0, "stop" } }, sink:only("call", "reasoning", "finish"))
  end)

  it("may come in a message where a delta should be, or not at all", function()
    assert.equal("x", fed('{"choices":[{"message":{"content":"x"}}]}'):joined "text")
    assert.same({}, fed('{"choices":[{"index":0}]}', '{"choices":[null]}', '{"choices":null}', "{}").calls)
  end)
end)

describe("chat_reader, calls", function()
  it("go by their index", function()
    assert.same({ { "a", "f", '{"x":1}' }, { "b", "g", "{}" } }, calls_of(fed(
      tools '{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}',
      tools '{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":"{"}}',
      tools '{"index":0,"function":{"arguments":"{\\"x\\":"}}', tools '{"index":1,"function":{"arguments":"}"}}',
      tools '{"index":0,"function":{"arguments":"1}"}}')))
  end)

  it("[A2] go by their id where there is no index", function()
    assert.same({ { "a", "f", '{"x":1}' }, { "b", "g", "{}" } }, calls_of(fed(
      tools '{"id":"a","function":{"name":"f","arguments":"{\\"x\\":"}}', tools '{"id":"b","function":{"name":"g","arguments":"{}"}}',
      tools '{"id":"a","function":{"arguments":"1}"}}')))
    assert.same({ { "a", "f", "{}" } }, calls_of(fed(tools '{"id":"a","function":{"name":"f","arguments":"{"}}',
      tools '{"function":{"arguments":"}"}}')))
  end)

  it("[A3] with a new id on a used index are new", function()
    assert.same({ { "a", "f", '{"x":1}' }, { "b", "f", "{}" } }, calls_of(fed(
      tools('{"index":0,"id":"a","function":{"name":"f","arguments":"{\\"x\\":"}}',
        '{"index":0,"id":"b","function":{"name":"f","arguments":"{"}}'),
      tools '{"index":0,"function":{"arguments":"}"}}', tools '{"index":0,"id":"a","function":{"arguments":"1}"}}')))
  end)

  it("that are all at index 0, without ids, are told apart by what they are", function()
    assert.same({ { "", "f", "{}" }, { "", "g", "{}" }, { "", "g", '{"x":1}' } }, calls_of(fed(
      tools '{"index":0,"function":{"name":"f","arguments":"{}"}}', tools '{"index":0,"function":{"name":"g","arguments":"{}"}}',
      tools '{"index":0,"function":{"name":"g","arguments":"{\\"x\\":1}"}}')))
  end)

  it("[A9] keep what they have when later pieces say nothing, or say it again", function()
    local sink = fed(tools '{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{"}}',
      tools '{"index":0,"id":"","type":"","function":{"name":null,"arguments":"\\"x\\":"}}',
      tools '{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"1}"}}')
    assert.same({ { "a", "f", '{"x":1}' } }, calls_of(sink))
    assert.equal(1, #sink:only "call")
  end)

  it("[A10] without any id are told", function()
    local sink = fed(tools '{"index":0,"type":"function","function":{"name":"f","arguments":"{}"}}', delta("", '"tool_calls"'))
    assert.same({ { "call", 0, 0, nil, "f" }, { "arguments", 0, 0, "{}" }, { "call_done", 0, 0 }, { "finish", 0, "tool_calls" } },
      sink:only("call", "arguments", "call_done", "finish"))
  end)

  it("that get their id and name late have them", function()
    assert.same({ { "a", "f", "{}" } }, calls_of(fed(tools '{"index":0,"function":{"arguments":"{}"}}',
      tools '{"index":0,"id":"a","function":{"name":"f"}}')))
  end)

  it("[A11] keep the keys of arguments that came as an object in order", function()
    local item = '{"index":0,"id":"a","function":{"name":"f","arguments":{"z":1,"a":12345678901234567890,"e":[]}}}'
    assert.same({ { "a", "f", '{"z":1,"a":12345678901234567890,"e":[]}' } }, calls_of(fed(tools(item))))
    assert.same({ { "a", "f", '{"z":1,"a":12345678901234567890,"e":[]}' } },
      calls_of(whole('{"choices":[{"message":{"tool_calls":[' .. item .. ']},"finish_reason":"stop"}]}')))
  end)

  it("[A12] are told whatever else is in the delta", function()
    local sink = fed(delta('"content":"x","reasoning_content":"y","tool_calls":[{"index":0,"id":"a","function":{"name":"f",'
      .. '"arguments":"{}"}}]'))
    assert.same({ "begin", "reasoning", "text", "call", "arguments" }, (function()
      local names = {}
      for i, call in ipairs(sink.calls) do
        names[i] = call[1]
      end
      return names
    end)())
  end)

  it("of a whole answer are as many as are listed, whatever their ids", function()
    assert.same({ { "a", "f", "{}" }, { "a", "f", "{}" }, { "", "g", "" } }, calls_of(whole('{"choices":[{"message":{"tool_calls":['
      .. '{"id":"a","function":{"name":"f","arguments":"{}"}},{"id":"a","function":{"name":"f","arguments":"{}"}},'
      .. '{"id":"","function":{"name":"g","arguments":null}}]}}]}')))
  end)

  it("may be custom, signed, or of the old kind", function()
    assert.same({ { "call", 0, 0, "a", "p", { custom = true } }, { "arguments", 0, 0, "*** x" } },
      fed(tools '{"index":0,"id":"a","type":"custom","custom":{"name":"p","input":"*** x"}}'):only("call", "arguments"))
    assert.same({ { "call", 0, 0, "a", "f", { signature = "s" } } },
      fed(tools '{"index":0,"id":"a","function":{"name":"f"},"extra_content":{"google":{"thought_signature":"s"}}}'):only "call")
    assert.same({ { "", "f", "{}" } }, calls_of(fed(delta '"function_call":{"name":"f","arguments":""}',
      delta '"function_call":{"arguments":"{}"}')))
  end)
end)

describe("chat_reader, ends", function()
  for word, reason in pairs {
    stop = "stop", eos = "stop", ["end"] = "stop", end_turn = "stop", stop_sequence = "stop", STOP = "stop", nonsense = "stop",
    length = "length", model_length = "length", max_tokens = "length", length_limit = "length", MAX_TOKENS = "length",
    tool_calls = "tool_calls", function_call = "tool_calls", tool_use = "tool_calls",
    content_filter = "content_filter", SAFETY = "content_filter",
  } do
    it("[B6] are words of a closed set: " .. word, function()
      assert.same({ { "finish", 0, reason } }, fed(delta("", '"' .. word .. '"')):only "finish")
    end)
  end

  for _, word in ipairs { "error", "abort", "insufficient_system_resource" } do
    it("are failures where the service broke off: " .. word, function()
      local sink = fed(delta("", '"' .. word .. '"'))
      assert.same({}, sink:only "finish")
      assert.equal(word, sink:only("fail")[1][2].code)
    end)
  end

  it("tell the text that stopped it", function()
    assert.same({ { "finish", 0, "stop", { stop_sequence = "END" } } },
      fed('{"choices":[{"index":0,"delta":{},"finish_reason":"stop","stop_reason":"END"}]}'):only "finish")
  end)

  it("[C2] are not invented", function()
    assert.same({}, fed(delta '"content":"x"', delta('"content":"y"', '""'), "[DONE]"):only "finish")
    assert.same({ { "stop" } }, fed("[DONE]").calls)
  end)

  it("[B8] come with the usage where thinking ate the bound", function()
    local sink = whole('{"model":"m","choices":[{"message":{"role":"assistant","content":""},"finish_reason":"length"}],'
      .. '"usage":{"prompt_tokens":5,"completion_tokens":9,"completion_tokens_details":{"reasoning_tokens":9}}}')
    assert.same({ { "finish", 0, "length" }, { "usage", { input_tokens = 5, output_tokens = 9, reasoning_tokens = 9 } } },
      sink:only("finish", "usage"))
  end)

  it("[D10] do not come of Azure's first chunk, and nothing is taken from it", function()
    local sink = fed('{"id":"","model":"","created":0,"object":"","choices":[],"prompt_filter_results":[{"prompt_index":0}]}',
      delta '"content":"x"')
    assert.same({ { "begin", { id = "c", model = "m" } }, { "text", 0, "x" } }, sink.calls)
  end)

  for name, chunk in pairs {
    ["a chunk of its own"] = '{"choices":[],"usage":{"prompt_tokens":9}}',
    ["the last with content"] = '{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9}}',
    ["Groq's"] = '{"choices":[{"index":0,"delta":{}}],"x_groq":{"usage":{"prompt_tokens":9}}}',
    ["Moonshot's"] = '{"choices":[{"index":0,"delta":{},"usage":{"prompt_tokens":9}}]}',
  } do
    it("may hold the usage: " .. name, function()
      assert.same({ { "usage", { input_tokens = 9 } } }, fed(chunk):only "usage")
    end)
  end
end)

describe("chat_reader, failures", function()
  for body, message in pairs {
    ['{"error":{"message":"overloaded","code":503,"type":"t"}}'] = "overloaded", ['{"error":"text"}'] = "text",
    ['{"object":"error","message":"old","code":400}'] = "old", ['{"detail":"bad"}'] = "bad", ['{"detail":[{"msg":"worse"}]}'] = "worse",
    ['{"message":"no","code":"x"}'] = "no", ['{"errors":[{"message":"first"}]}'] = "first", ['[{"error":{"message":"listed"}}]'] = "listed",
    ['{"success":false,"error":"failed"}'] = "failed", ['{"success":false}'] = "The provider reported an error.",
    ['{"error":{"code":"x"}}'] = "x", ['{"error":{}}'] = "The provider reported an error.",
    ['{"error":{"code":502,"metadata":{"raw":"upstream said no"}}}'] = "upstream said no",
    ['{"error":{"message":"mid"},"choices":[{"index":0,"delta":{},"finish_reason":"error"}]}'] = "mid",
    ['{"error":true,"message":"flag"}'] = "flag", ['{"choices":null,"detail":"nothing"}'] = "nothing",
  } do
    it("[C9] are understood in a stream and in an answer: " .. body, function()
      for _, sink in ipairs { fed(body), whole(body) } do
        assert.equal(1, #sink.calls)
        assert.same({ "fail", message }, { sink.calls[1][1], sink.calls[1][2].message })
      end
    end)
  end

  it("have their code as a text", function()
    assert.same({ message = "m", code = "503", type = "t" }, fed('{"error":{"message":"m","code":503,"type":"t"}}').calls[1][2])
  end)

  it("are not seen where there are none", function()
    for _, body in ipairs {
      '{"error":null,"choices":[]}', '{"error":{},"choices":[{"index":0,"delta":{}}]}', '{"error":"","choices":[]}',
        '{"error":false,"choices":[]}',
      '{"message":"hello","choices":[{"index":0,"delta":{}}]}',
    } do
      assert.same({}, fed(body):only "fail")
    end
  end)

  it("may be an event of that name", function()
    for _, data in ipairs { '{"message":"gone"}', "gone", '{"error":{"message":"gone"}}' } do
      local sink = sinks.new()
      assert(chat.reader():feed(sink, "error", data))
      assert.equal("gone", sink.calls[1][2].message)
    end
  end)

  it("are not what is no JSON at all", function()
    for _, data in ipairs { "", "null", '"x"', "<html>", "data", "5", '{"choices":[' } do
      local sink = sinks.new()
      local ok, why = chat.reader():feed(sink, nil, data)
      assert.is_false(ok)
      assert.matches("not JSON", why)
      assert.matches("not JSON", whole(data))
      assert.same({}, sink.calls)
    end
  end)
end)

describe("chat_reader, small things", function()
  it("reads times as services write them", function()
    assert.equal(1790000000, reader.seconds(1790000000.9))
    assert.equal(1790000000, reader.seconds "1790000000")
    for _, v in ipairs { 0, -5, "x", "" } do
      assert.is_nil(reader.seconds(v))
    end
    assert.is_nil(reader.seconds(nil))
    assert.is_nil(reader.seconds(require("perilune.json").null))
  end)

  it("cuts out what is asked for, or nothing", function()
    assert.equal('{"z":1}', reader.slice('{"a":[0,{"b":{"z":1}}]}', "a", 2, "b"))
    assert.is_nil(reader.slice('{"a":[0]}', "a", 2, "b"))
    assert.is_nil(reader.slice('{"a":5}', "a", "b"))
  end)
end)
