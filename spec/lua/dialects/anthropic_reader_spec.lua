local json = require "perilune.json"
local reader = require "perilune.dialects.anthropic_reader"
local sinks = require "support.sink"
local tree = require "support.tree"

local function fixture(name)
  return tree.read("spec/fixtures/anthropic_messages/" .. name)
end

local function events(name)
  local list = {}
  for event, data in fixture(name .. ".sse"):gmatch "event: (%S+)\ndata: ([^\n]*)\n\n" do
    list[#list + 1] = { event, data }
  end
  return list
end

-- What the first `n` events, or all, tell.
local function told(list, n)
  local sink, r = sinks.new(), reader.new()
  for i = 1, n or #list do
    assert.is_true(r:feed(sink, list[i][1], list[i][2]))
  end
  return sink
end

local function answer(body)
  local sink = sinks.new()
  return sink, reader.answer(body, sink)
end

-- The last word on each count.
local function usage(sink)
  local out = {}
  for _, call in ipairs(sink:only "usage") do
    for name, n in pairs(call[2]) do
      out[name] = n
    end
  end
  return out
end

local BEGIN = { "begin", { id = "msg_01", model = "claude-sonnet-4-6", service_tier = "default" } }
local function signature(value)
  return { kind = "signature", value = value, by = "anthropic_messages", model = "claude-sonnet-4-6" }
end
local REDACTED = { kind = "redacted", value = "aGlkZGVu", by = "anthropic_messages", model = "claude-sonnet-4-6" }

describe("anthropic_messages, a stream read", function()
  it("tells what it says, in order", function()
    assert.same({
      BEGIN, { "usage", { input_tokens = 10, output_tokens = 1, cached_tokens = 0, cache_write_tokens = 0, cache_write_1h_tokens = 0 } },
      { "text", 0, "H\195\169" }, { "text", 0, "llo" },
      { "usage", { input_tokens = 10, output_tokens = 3, cached_tokens = 0, cache_write_tokens = 0, cache_write_1h_tokens = 0 } },
      { "finish", 0, "stop" }, { "stop" },
    }, told(events "good_stream").calls)
  end)

  it("[A1] tells parallel calls apart, whatever blocks lie before them", function()
    assert.same({
      { "text", 0, "Let me look." },
      { "call", 0, 1, "toolu_1", "weather" }, { "arguments", 0, 1, '{"city":' }, { "arguments", 0, 1, '"Rom"}' }, { "call_done", 0, 1 },
      { "call", 0, 2, "toolu_2", "clock" }, { "call_done", 0, 2 }, { "finish", 0, "tool_calls" },
    }, told(events "tools_parallel_stream"):only("text", "call", "arguments", "call_done", "finish"))
  end)

  it("takes input that came whole with the block, as it was written", function()
    assert.same({ { "call", 0, 3, "t", "f" }, { "call_done", 0, 3, '{"z":1.50,"a":[]}' } }, told({
      { nil, '{"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"t","name":"f","input":{"z":1.50,"a":[]}}}' },
      { nil, '{"type":"content_block_stop","index":3}' },
    }).calls)
  end)

  it("tells thinking and what the model wants back of it", function()
    local sink = told(events "thinking_stream")
    assert.same({
      { "reasoning", 0, "Hm. " }, { "reasoning", 0, "Yes." }, { "state", 0, signature "c2lnbmVk" }, { "state", 0, REDACTED },
      { "text", 0, "Yes" },
    }, sink:only("reasoning", "state", "text"))
    assert.equal(20, usage(sink).reasoning_tokens)
  end)

  it("tells the provider's own tools as they are, their input put in, and citations as annotations", function()
    assert.same({
      { "opaque", 0, "anthropic_messages", '{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{"query":"rain"}}' },
      { "opaque", 0, "anthropic_messages",
        '{"type":"web_search_tool_result","tool_use_id":"srvtoolu_1","content":[{"type":"web_search_result",'
        .. '"url":"https://example.com/a","title":"A","encrypted_content":"ZW5j"}]}' },
      { "text", 0, "It " }, { "text", 0, "rains." },
      { "text", 0, "",
        { annotations = '[{"type":"url_citation","url_citation":{"start_index":0,"end_index":9,"url":"https://example.com/a",'
        .. '"title":"A \\"b\\""}}]' } },
      { "finish", 0, "stop" },
    }, told(events "server_tools_stream"):only("opaque", "text", "finish"))
  end)

  it("leaves input of a server tool that is no object alone", function()
    assert.same({ { "opaque", 0, "anthropic_messages", '{"type":"server_tool_use","input":{}}' } }, told({
      { nil, '{"type":"content_block_start","index":0,"content_block":{"type":"server_tool_use","input":{}}}' },
      { nil, '{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\\"a"}}' },
      { nil, '{"type":"content_block_stop","index":0}' },
    }).calls)
  end)

  it("tells a refusal with its words", function()
    assert.same({ { "refusal", 0, "I can not help with that." }, { "finish", 0, "content_filter" } },
      told(events "refused_stream"):only("refusal", "finish"))
  end)

  it("tells a failure, and no end", function()
    local sink = told(events "overloaded_stream")
    assert.same({ { "fail", { message = "Overloaded", code = "overloaded_error", type = "overloaded_error" } } },
      sink:only("fail", "finish", "stop"))
    assert.same({ { "fail", { message = "no" } } }, told({ { nil, '{"error":"no"}' } }).calls)
    assert.same({ { "fail", { message = "the provider reported an error" } } }, told({ { "error", "{}" } }).calls)
  end)

  it("skips events, blocks and deltas it does not know; a new reason is a stop", function()
    assert.same({ { "text", 0, "a" }, { "finish", 0, "stop" }, { "stop" } },
      told(events "unknown_stream"):only("text", "opaque", "reasoning", "finish", "stop"))
  end)

  it("[B8] ends for length where thinking took it all, with the usage", function()
    local sink = told(events "thinking_only_stream")
    assert.same({ { "reasoning", 0, "Long" }, { "finish", 0, "length" }, { "stop" } }, sink:only("text", "reasoning", "finish", "stop"))
    assert.equal(1024, usage(sink).output_tokens)
  end)

  it("[C5] tells no end of a stream cut in the middle of a call's arguments", function()
    local list = events "tools_parallel_stream"
    for n = 1, #list - 1 do
      assert.same({}, told(list, n):only "stop")
    end
    assert.same({}, told(list, #list - 2):only "finish")
  end)

  it("takes every beginning of every stream", function()
    for _, name in ipairs {
      "good_stream", "tools_parallel_stream", "thinking_stream", "cached_stream", "server_tools_stream", "refused_stream",
      "overloaded_stream",
      "thinking_only_stream", "unknown_stream",
    } do
      local list = events(name)
      assert.is_true(#list > 0)
      local whole = told(list).calls
      for n = 1, #list do
        for i, call in ipairs(told(list, n).calls) do
          assert.same(whole[i], call)
        end
      end
    end
  end)

  it("says what is not the dialect", function()
    local r, sink = reader.new(), sinks.new()
    for data, why in pairs {
      ["<html>"] = "not a JSON object", ["[DONE]"] = "not a JSON object", ["3"] = "not a JSON object", ['{"choices":[]}'] = "no type",
    } do
      local ok, message = r:feed(sink, nil, data)
      assert.is_false(ok)
      assert.matches(why, message)
    end
    assert.same({}, sink.calls)
  end)

  it("is not upset by members of other kinds", function()
    for _, data in ipairs {
      '{"type":"message_start","message":null}', '{"type":"message_start","message":{"usage":[],"model":3}}',
      '{"type":"content_block_start","index":"x","content_block":{"type":"text","text":null}}', '{"type":"content_block_start"}',
      '{"type":"content_block_delta","index":7,"delta":{"type":"input_json_delta","partial_json":"x"}}', '{"type":"content_block_delta"}',
      '{"type":"content_block_delta","delta":{"type":"citations_delta"}}', '{"type":"content_block_stop","index":9}',
      '{"type":"message_delta","delta":null,"usage":{"output_tokens":-1,"cache_creation":null}}',
    } do
      told { { nil, data } }
    end
  end)
end)

describe("anthropic_messages, usage read", function()
  it("[E1] sets what comes again, and never adds", function()
    assert.equal(3, usage(told(events "good_stream")).output_tokens)
  end)

  it("[E2] counts what went through a cache as input", function()
    local u = usage((answer(fixture "good.json")))
    assert.same({
      input_tokens = 20, output_tokens = 20, cached_tokens = 6, cache_write_tokens = 4, cache_write_1h_tokens = 3, reasoning_tokens = 5,
    }, u)
  end)

  it("[E3] keeps what the beginning said where the end says nothing", function()
    assert.equal(10, usage(told(events "good_stream")).input_tokens)
  end)

  it("[E4] believes the split of the end over an input that held the cached part", function()
    assert.same({ input_tokens = 100, output_tokens = 7, cached_tokens = 50, cache_write_tokens = 30, cache_write_1h_tokens = 20 },
      usage(told(events "cached_stream")))
  end)
end)

describe("anthropic_messages, a whole answer read", function()
  it("tells what a stream would", function()
    local sink, ok = answer(fixture "good.json")
    assert.is_true(ok)
    assert.same({
      BEGIN, { "reasoning", 0, "Hm." }, { "state", 0, signature "c2lnbmVk" }, { "state", 0, REDACTED }, { "text", 0, "Let me look." },
      { "call", 0, 3, "toolu_1", "weather" },
      { "call_done", 0, 3, json.fields(json.items(json.fields(fixture "good.json").content)[4]).input },
      { "call", 0, 4, "toolu_2", "clock" }, { "call_done", 0, 4, "{}" }, { "finish", 0, "tool_calls" }, { "stop" },
    }, sink:only("begin", "reasoning", "state", "text", "call", "call_done", "finish", "stop"))
  end)

  it("[A8] tells empty arguments as a stream does", function()
    local from_stream = told(events "tools_parallel_stream"):only "call_done"[2]
    local whole = answer('{"type":"message","content":[{"type":"tool_use","id":"a","name":"f","input":null}],"stop_reason":"tool_use"}')
    assert.is_nil(from_stream[4]) -- for the relay to say
    assert.equal("{}", whole:only("call_done")[1][4])
  end)

  for reason, finish in pairs {
    end_turn = "stop", stop_sequence = "stop", pause_turn = "stop", tool_use = "tool_calls", max_tokens = "length",
    model_context_window_exceeded = "length", refusal = "content_filter",
  } do
    it("ends by " .. reason .. " as " .. finish, function()
      assert.equal(finish, answer('{"type":"message","content":[],"stop_reason":"' .. reason .. '"}'):only("finish")[1][3])
    end)
  end

  it("names the sequence that stopped it, and has no end without a reason", function()
    assert.same({ { "finish", 0, "stop", { stop_sequence = "END" } } },
      answer('{"type":"message","content":[],"stop_reason":"stop_sequence","stop_sequence":"END"}'):only "finish")
    assert.same({}, answer('{"type":"message","content":[],"stop_reason":null}'):only "finish")
  end)

  it("tells server tools, and citations of the web alone, by the characters they are about", function()
    assert.same({
      { "opaque", 0, "anthropic_messages", '{"type":"web_search_tool_result","content":[]}' }, { "text", 0, "\195\169 " },
      { "text", 0, "b" },
      { "text", 0, "", { annotations = '[{"type":"url_citation","url_citation":{"start_index":2,"end_index":3,"url":"https://x"}}]' } },
    }, answer([[{"type":"message","stop_reason":"end_turn","content":[
      {"type":"web_search_tool_result","content":[]},{"type":"text","text":"é "},
      {"type":"text","text":"b","citations":[{"type":"web_search_result_location","url":"https://x","title":null},
        {"type":"char_location","document_index":0}]},{"type":"unheard"}]}]]):only("opaque", "text"))
  end)

  it("may be a failure", function()
    assert.same({ { "fail", { message = "no", code = "api_error", type = "api_error" } } },
      answer('{"type":"error","error":{"type":"api_error","message":"no"}}').calls)
    assert.same({ { "fail", { message = "no" } } }, answer('{"error":{"message":"no"}}').calls)
  end)

  it("says what is not the dialect", function()
    for body, why in pairs { ["<html>"] = "not JSON", ['{"object":"chat.completion"}'] = "no message", ["[]"] = "not JSON" } do
      local sink, ok, message = answer(body)
      assert.is_false(ok)
      assert.matches(why, message)
      assert.same({}, sink.calls)
    end
  end)
end)
