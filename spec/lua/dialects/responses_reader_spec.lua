local json = require "perilune.json"
local reader = require "perilune.dialects.responses_reader"
local recorder = require "support.sink"

local function fixture(name)
  local file = assert(io.open("spec/fixtures/openai_responses/" .. name, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

local function events_of(name)
  local list = {}
  for event, data in fixture(name .. ".sse"):gmatch "event: (%S+)\ndata: ([^\n]*)\n\n" do
    list[#list + 1] = { event, data }
  end
  return list
end

-- Feeds up to `n` events.
local function fed(events, n)
  local sink, r = recorder.new(), reader.reader()
  for i = 1, n or #events do
    assert(r:feed(sink, events[i][1], events[i][2]))
  end
  return sink
end

local function stream(name)
  return fed(events_of(name))
end

local function feed(...)
  local sink, r = recorder.new(), reader.reader()
  for _, data in ipairs { ... } do
    assert(r:feed(sink, nil, data))
  end
  return sink
end

-- The event with each member, at the top and one below, made something else.
local function mutations(data)
  return coroutine.wrap(function()
    for _, wrong in ipairs { "null", "7", '"x"', "[]", "{}", "[null,1]", "-1", "NaN" } do
      for _, m in ipairs(json.members(data)) do
        coroutine.yield(data:sub(1, m.value_from - 1) .. wrong .. data:sub(m.to))
        for _, inner in ipairs(json.members(m.raw) or {}) do
          local at = m.value_from - 1
          coroutine.yield(data:sub(1, at + inner.value_from - 1) .. wrong .. data:sub(at + inner.to))
        end
      end
    end
  end)
end

local USAGE = {
  input_tokens = 90, output_tokens = 25, cached_tokens = 64, cache_write_tokens = 3, reasoning_tokens = 7, total_tokens = 115,
}
local STATE = { kind = "encrypted", value = "gAAAenc", id = "rs_1", by = "openai_responses" }
local CITED = '[{"type":"url_citation","url_citation":{"end_index":2,"start_index":0,"title":"A","url":"https://example.com/a"}}]'

describe("responses, a stream read", function()
  it("tells text, its citations, usage and the end", function()
    local sink = stream "good_stream"
    assert.same({ "begin", { id = "resp_up1", model = "gpt-5.1-2026-08", created = 1790000000, service_tier = "default" } }, sink.calls[1])
    assert.same({ { "text", 0, "Gr" }, { "text", 0, "üße" }, { "text", 0, "", { annotations = CITED } } }, sink:only "text")
    assert.same({ { "usage", USAGE }, { "finish", 0, "stop" }, { "stop" } }, sink:only("usage", "finish", "stop", "fail"))
  end)

  it("[A4] tells calls apart by their items, not by a number of ours", function()
    local sink = stream "tools_parallel_stream"
    assert.same({
      { "call", 0, 1, "call_a", "weather", {} }, { "call", 0, 2, "call_b", "time", {} },
      { "arguments", 0, 1, '{"city":' }, { "arguments", 0, 2, "{}" }, { "arguments", 0, 1, '"Oslo"}' },
      { "call_done", 0, 1, '{"city":"Oslo"}' }, { "call_done", 0, 2, "{}" },
      { "call", 0, 1, "call_a", "weather", {} }, { "call", 0, 2, "call_b", "time", {} },
    }, sink:only("call", "arguments", "call_done"))
    assert.same({ { "finish", 0, "stop" } }, sink:only "finish")
  end)

  it("tells the summary of the thoughts, and what the model wants back", function()
    local sink = stream "tools_parallel_stream"
    assert.same({ { "reasoning", 0, "First.", true }, { "reasoning", 0, "\n\n", true }, { "reasoning", 0, "Then.", true } },
      sink:only "reasoning")
    assert.same({ { "state", 0, STATE } }, sink:only "state")
  end)

  it("takes from whole items what did not come in pieces", function()
    local sink = stream "whole_items_stream"
    assert.same({
      { "reasoning", 0, "Raw.", false }, { "state", 0, STATE },
      {
        "opaque", 0, "openai_responses",
        '{"id":"ws_1","type":"web_search_call","status":"completed","action":{"type":"search","query":"q","sources":[]}}',
      },
      { "text", 0, "Hi" },
      { "call", 0, 3, "call_a", "weather", {} }, { "call_done", 0, 3, '{"city":"Oslo"}' },
      { "call", 0, 4, "call_p", "apply_patch", { custom = true } }, { "call_done", 0, 4, "*** Begin Patch\n" },
    }, sink:only("reasoning", "state", "opaque", "text", "call", "arguments", "call_done"))
  end)

  it("takes from the last event what came in no other", function()
    local sink = feed('{"type":"response.completed","response":' .. fixture "good.json" .. "}")
    assert.equal("Grüße", sink:joined "text")
    assert.equal(2, #sink:only "call_done")
  end)

  it("[B8] an incomplete answer keeps its content and has its usage", function()
    local sink = stream "incomplete_stream"
    assert.equal("Hal", sink:joined "text")
    assert.same({ { "usage", USAGE }, { "finish", 0, "length" }, { "stop" } }, sink:only("usage", "finish", "stop", "fail"))
    sink = stream "reasoning_ate_it_stream"
    assert.same({}, sink:only("text", "reasoning", "call", "fail"))
    assert.same({ { "usage", USAGE }, { "finish", 0, "length" }, { "stop" } }, sink:only("usage", "finish", "stop"))
  end)

  it("knows why it is incomplete", function()
    local function reason(details)
      return feed('{"type":"response.incomplete","response":{"incomplete_details":' .. details .. "}}"):only("finish")[1][3]
    end
    assert.equal("content_filter", reason '{"reason":"content_filter"}')
    assert.equal("length", reason '{"reason":"max_output_tokens"}')
    assert.equal("length", reason "null")
  end)

  it("[C4] a failed answer is never a success", function()
    local sink = stream "failed_stream"
    assert.same({ { "fail", { message = "The model broke.", code = "server_error" } } }, sink:only("fail", "finish", "stop"))
    sink = stream "error_stream"
    assert.same({ { "fail", { message = "Slow down.", code = "rate_limit_exceeded" } } }, sink:only("fail", "finish", "stop"))
    for _, data in ipairs {
      '{"type":"response.failed"}', '{"type":"response.failed","response":{"error":null}}', '{"type":"response.cancelled"}',
      '{"error":{"message":"no"}}', '{"error":"no"}', '{"type":"error","error":{"message":"no","code":"x"}}',
    } do
      sink = feed(data)
      assert.equal(1, #sink:only "fail", data)
      assert.is_truthy(sink:only("fail")[1][2].message)
      assert.same({}, sink:only("finish", "stop"))
    end
    assert.equal("x", sink:only("fail")[1][2].code)
  end)

  it("tells a refusal", function()
    assert.equal("I cannot.", stream("refusal_stream"):joined "refusal")
    assert.equal("No.", feed('{"type":"response.refusal.done","refusal":"No."}'):joined "refusal")
  end)

  it("reads thoughts in the open", function()
    local sink = feed('{"type":"response.reasoning_text.delta","output_index":0,"delta":"Hm"}',
      '{"type":"response.reasoning_text.done","output_index":0,"text":"Hm"}',
      '{"type":"response.reasoning_text.done","output_index":1,"text":"Ah"}',
      '{"type":"response.reasoning_summary_text.done","output_index":2,"text":"So"}')
    assert.same({ { "reasoning", 0, "Hm", false }, { "reasoning", 0, "Ah", false }, { "reasoning", 0, "So", true } }, sink.calls)
  end)

  it("hands on probabilities as they came", function()
    local sink = feed '{"type":"response.output_text.delta","output_index":0,"delta":"a","logprobs":[{"token":"a","logprob":-0.10}]}'
    assert.same({ { "text", 0, "a", { logprobs = '{"content":[{"token":"a","logprob":-0.10}],"refusal":null}' } } }, sink.calls)
  end)

  it("reads custom tools' input in pieces", function()
    local sink = feed('{"type":"response.output_item.added","output_index":0,"item":{"type":"custom_tool_call","call_id":"c","name":"p"}}',
      '{"type":"response.custom_tool_call_input.delta","output_index":0,"delta":"ab"}',
      '{"type":"response.custom_tool_call_input.done","output_index":0,"input":"ab"}')
    assert.same({ { "call", 0, 0, "c", "p", { custom = true } }, { "arguments", 0, 0, "ab" }, { "call_done", 0, 0, "ab" } }, sink.calls)
  end)

  it("finds an item by its id where it has no place", function()
    local sink = feed('{"type":"response.output_item.added","item":{"id":"fc_9","type":"function_call","call_id":"c","name":"f"}}',
      '{"type":"response.function_call_arguments.delta","item_id":"fc_9","delta":"{}"}')
    assert.same({ { "call", 0, "fc_9", "c", "f", {} }, { "arguments", 0, "fc_9", "{}" } }, sink.calls)
  end)

  it("skips what it does not know, and refuses what is no event", function()
    assert.same({}, feed('{"type":"response.new_thing","delta":"x"}', "[DONE]", " ", '{"type":"keepalive"}').calls)
    for _, data in ipairs { "nonsense", "1", "[1", '{"object":"chat.completion.chunk","choices":[]}' } do
      local ok, why = reader.reader():feed(recorder.new(), nil, data)
      assert.is_false(ok)
      assert.is_string(why)
    end
  end)

  it("survives events cut anywhere, and members of any kind", function()
    for _, name in ipairs {
      "good_stream", "tools_parallel_stream", "whole_items_stream", "incomplete_stream", "failed_stream", "error_stream", "refusal_stream",
    } do
      local events = events_of(name)
      assert.is_true(#events > 2)
      for n = 0, #events - 1 do
        assert.same({}, fed(events, n):only "stop")
      end
      for _, event in ipairs(events) do
        for data in mutations(event[2]) do
          reader.reader():feed(recorder.new(), event[1], data) -- raises nothing
        end
      end
    end
  end)
end)

describe("responses, a whole answer read", function()
  local function answered(body)
    local sink = recorder.new()
    local ok, why = reader.read_answer(body, sink)
    return sink, ok, why
  end

  it("tells the same as a stream", function()
    local sink = answered(fixture "good.json")
    assert.same({
      { "reasoning", 0, "First.", true }, { "reasoning", 0, "\n\n", true }, { "reasoning", 0, "Then.", true }, { "state", 0, STATE },
      { "text", 0, "Grüße" }, { "text", 0, "", { annotations = CITED } },
      { "call", 0, 3, "call_a", "weather", {} }, { "call_done", 0, 3, '{"city":"Oslo"}' },
      { "call", 0, 4, "call_p", "apply_patch", { custom = true } }, { "call_done", 0, 4, "*** Begin Patch\n" },
      { "usage", USAGE }, { "finish", 0, "stop" }, { "stop" },
    }, sink:only("reasoning", "state", "text", "call", "call_done", "usage", "finish", "stop", "fail"))
    assert.equal("web_search_call", json.text(json.fields(sink:only("opaque")[1][4]).type))
  end)

  it("[B8] knows an incomplete one", function()
    local sink, ok = answered(fixture "incomplete.json")
    assert.is_true(ok)
    assert.same({ { "usage", USAGE }, { "finish", 0, "content_filter" }, { "stop" } }, sink:only("usage", "finish", "stop"))
  end)

  it("[C4] never makes a success of a failed one", function()
    local sink = answered(fixture "failed.json")
    assert.same({ { "fail", { message = "The model broke.", code = "server_error" } } }, sink:only("fail", "finish", "stop"))
    for _, body in ipairs { '{"error":{"message":"no"}}', '{"output":[],"status":"cancelled"}', '{"output":[],"status":"queued"}' } do
      sink = answered(body)
      assert.equal(1, #sink:only "fail")
      assert.same({}, sink:only("finish", "stop"))
    end
  end)

  it("takes a refusal, and one without a status", function()
    local sink = answered '{"output":[{"type":"message","content":[{"type":"refusal","refusal":"No."}]}]}'
    assert.equal("No.", sink:joined "refusal")
    assert.same({ { "finish", 0, "stop" } }, sink:only "finish")
  end)

  it("refuses another dialect", function()
    for _, body in ipairs { "", "nonsense", "3", '{"choices":[]}', '{"output":7}' } do
      local _, ok, why = answered(body)
      assert.is_false(ok)
      assert.is_string(why)
    end
  end)
end)
