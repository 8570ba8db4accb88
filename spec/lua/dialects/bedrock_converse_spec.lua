local bedrock = require "perilune.dialects.bedrock_converse"
local recorder = require "support.sink"
local relay = require "perilune.relay"
local tree = require "support.tree"

local function fixture(name)
  return tree.read("spec/fixtures/bedrock_converse/" .. name)
end

-- The events of a stream as the core hands them on: name and payload.
local function events_of(name)
  local list = {}
  for event, data in fixture(name):gmatch "(%w+) ([^\n]+)\n" do
    list[#list + 1] = { event, data }
  end
  return list
end

local function feed(sink, list, n)
  local reader = bedrock.reader()
  for i = 1, n or #list do
    assert(reader:feed(sink, list[i][1], list[i][2]))
  end
  return sink
end

local function told(list)
  return feed(recorder.new(), list)
end

local function new_relay()
  local collector = relay.collector(true)
  return relay.new(collector, { id = "x", created = 1, model = "m", input_tokens = 1, request = {} }), collector
end

describe("bedrock_converse", function()
  it("builds and reads; no client speaks it", function()
    assert.equal("bedrock_converse", bedrock.name)
    assert.is_function(bedrock.build)
    assert.is_nil(bedrock.writer)
  end)
end)

describe("bedrock_converse, a stream read", function()
  it("tells text, the finish, the usage with the cache in it, and then the end", function()
    local sink = told(events_of "good_stream.events")
    assert.equal("Hall\195\165", sink:joined "text")
    assert.same({
      { "begin", {} }, { "finish", 0, "stop" },
      { "usage", { input_tokens = 117, output_tokens = 3, cached_tokens = 100, cache_write_tokens = 7 } }, { "stop" },
    }, sink:only("begin", "finish", "usage", "stop", "fail"))
  end)

  it("tells thoughts with their whole signature, redacted ones, and calls by their block", function()
    assert.same({
      { "begin", {} }, { "reasoning", 0, "Let me" }, { "reasoning", 0, " see." },
      { "state", 0, { kind = "signature", value = "c2lnbmVk", by = "bedrock_converse" } },
      { "state", 0, { kind = "redacted", value = "cmVk", by = "bedrock_converse" } },
      { "call", 0, 2, "tooluse_1", "f" }, { "arguments", 0, 2, '{"z":1.50,' }, { "arguments", 0, 2, '"a":[]}' }, { "call_done", 0, 2 },
      { "call", 0, 3, "tooluse_2", "g" }, { "call_done", 0, 3 }, { "finish", 0, "tool_calls" },
      { "usage", { input_tokens = 5, output_tokens = 9 } }, { "stop" },
    }, told(events_of "tools_parallel_stream.events").calls)
  end)

  it("[C5] has no end when it is cut, wherever that is", function()
    for _, name in ipairs { "good_stream.events", "tools_parallel_stream.events" } do
      local list = events_of(name)
      for n = 0, #list - 2 do -- before messageStop
        local sink = feed(recorder.new(), list, n)
        assert.same({}, sink:only("finish", "stop"))
        local r = new_relay()
        feed(r, list, n)
        assert.is_nil((r:done()))
      end
    end
    local r = new_relay()
    feed(r, events_of "cut_in_tool_stream.events")
    local ok, why = r:done()
    assert.is_nil(ok)
    assert.is_string(why)
    assert.is_false(r.seen.ended)
  end)

  it("is an answer once messageStop came, with the usage behind it or not", function()
    local list = events_of "tools_parallel_stream.events"
    for n = #list - 1, #list do
      local r, collector = new_relay()
      feed(r, list, n)
      assert(r:done())
      assert.equal(n == #list, r.seen.ended)
      local choice = collector.answer.choices[1]
      assert.equal("tool_calls", choice.finish)
      assert.equal('{"z":1.50,"a":[]}', choice.parts[3].arguments)
      assert.equal("{}", choice.parts[4].arguments)
    end
  end)

  it("takes usage that comes without messageStop for no end", function()
    local sink = told { { "metadata", '{"usage":{"inputTokens":5,"outputTokens":9}}' } }
    assert.same({ { "usage", { input_tokens = 5, output_tokens = 9 } } }, sink.calls)
  end)

  it("tells a signature also when its block never closed", function()
    local sink = told {
      { "contentBlockDelta", '{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"c2ln"}}}' }, { "messageStop",
        '{"stopReason":"end_turn"}' },
    }
    assert.same({ "state", 0, { kind = "signature", value = "c2ln", by = "bedrock_converse" } }, sink.calls[1])
  end)

  it("fails for exceptions, with their names", function()
    assert.same({ { "fail", { message = "Too many tokens, please wait before trying again.", code = "throttlingException" } } },
      told(events_of "throttled_stream.events"):only("fail", "finish", "stop"))
    assert.same({ { "fail", { message = "gone", code = "modelStreamErrorException" } } },
      told({ { "modelStreamErrorException", '{"originalMessage":"gone","originalStatusCode":500}' } }).calls)
    assert.same({ { "fail", { message = "The stream ended with internalServerException.", code = "internalServerException" } } },
      told({ { "internalServerException", "" } }).calls)
  end)

  for reason, finish in pairs {
    end_turn = "stop", stop_sequence = "stop", tool_use = "tool_calls", max_tokens = "length", model_context_window_exceeded = "length",
    guardrail_intervened = "content_filter", content_filtered = "content_filter", something_new = "stop",
  } do
    it("ends with " .. finish .. " for " .. reason, function()
      assert.same({ { "finish", 0, finish } }, told({ { "messageStop", '{"stopReason":"' .. reason .. '"}' } }):only("finish", "fail"))
    end)
  end

  it("names the text it stopped at, and fails for what is malformed", function()
    assert.same({ { "finish", 0, "stop", { stop_sequence = "END" } } },
      told({ { "messageStop", '{"stopReason":"stop_sequence","additionalModelResponseFields":{"stop_sequence":"END"}}' } }).calls)
    for _, reason in ipairs { "malformed_tool_use", "malformed_model_output" } do
      local sink = told { { "messageStop", '{"stopReason":"' .. reason .. '"}' } }
      assert.same({ "fail", { message = ("The model stopped with %s."):format(reason), code = reason } }, sink.calls[1])
      assert.same({}, sink:only "finish")
    end
  end)

  it("passes over events it does not know, and takes nothing that is no event", function()
    assert.same({}, told({ { "somethingNew", "{}" } }).calls)
    for _, event in ipairs { { nil, "{}" }, { "messageStop", "nonsense" }, { "metadata", "1" }, { "contentBlockDelta", "" } } do
      assert.is_false((bedrock.reader():feed(recorder.new(), event[1], event[2])))
    end
  end)

  it("takes no count that is none", function()
    for _, n in ipairs { "-1", "1e999", "9e99", '"5"', "{}" } do
      local sink = told { { "metadata", ('{"usage":{"inputTokens":%s,"outputTokens":2.5,"cacheReadInputTokens":%s}}'):format(n, n) } }
      assert.same({ "usage", { output_tokens = 2 } }, sink.calls[1])
    end
  end)

  it("stands every odd shape", function()
    for _, event in ipairs { "messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata" } do
      for _, data in ipairs {
        "{}", '{"contentBlockIndex":null,"start":null,"delta":null,"usage":null,"stopReason":null}',
          '{"delta":{"text":null,"toolUse":null}}',
        '{"delta":{"reasoningContent":{"text":null}},"start":{"toolUse":{}},"usage":{"inputTokens":"x","cacheDetails":[null]}}',
        '{"delta":{"toolUse":{"input":null}}}', "[]",
      } do
        bedrock.reader():feed(recorder.new(), event, data)
      end
    end
  end)
end)

describe("bedrock_converse, a whole answer read", function()
  it("tells what a stream would", function()
    local sink = recorder.new()
    assert.is_true(bedrock.read_answer(fixture "good.json", sink))
    assert.same({
      { "begin", {} }, { "reasoning", 0, "why" }, { "state", 0, { kind = "signature", value = "c2ln", by = "bedrock_converse" } },
      { "text", 0, "Hi" }, { "call", 0, 2, "tooluse_1", "f" }, { "arguments", 0, 2, '{"b":1.50,"a":[]}' }, { "call_done", 0, 2 },
      { "finish", 0, "tool_calls" },
      { "usage", { input_tokens = 17, output_tokens = 3, cached_tokens = 4, cache_write_tokens = 3, cache_write_1h_tokens = 2 } },
    }, sink.calls)
  end)

  it("hands on what only Bedrock knows, and redacted thoughts", function()
    local sink = recorder.new()
    assert(bedrock.read_answer('{"output":{"message":{"content":[{"citationsContent":{"x":[]}},'
      .. '{"reasoningContent":{"redactedContent":"cmVk"}},{"toolUse":{"name":"f","input":null}}]}},"stopReason":"end_turn"}', sink))
    assert.same({
      { "opaque", 0, "bedrock_converse", '{"citationsContent":{"x":[]}}' },
      { "state", 0, { kind = "redacted", value = "cmVk", by = "bedrock_converse" } }, { "arguments", 0, 2, "{}" },
    }, sink:only("opaque", "state", "arguments"))
  end)

  it("may be an error, and is nothing else", function()
    local sink = recorder.new()
    assert.is_true(bedrock.read_answer('{"__type":"ThrottlingException","message":"slow"}', sink))
    assert.is_true(bedrock.read_answer('{"Message":"no"}', sink))
    assert.same({ { "fail", { message = "slow", code = "ThrottlingException" } }, { "fail", { message = "no" } } }, sink.calls)
    for _, body in ipairs { "<html>", "{}", '{"choices":[]}', "[]" } do
      local ok, why = bedrock.read_answer(body, recorder.new())
      assert.is_false(ok)
      assert.is_string(why)
    end
    for _, body in ipairs { '{"output":null,"stopReason":null}', '{"output":{"message":{"content":[1,null,{}]}},"usage":null}' } do
      assert.is_true(bedrock.read_answer(body, recorder.new()))
    end
  end)
end)
