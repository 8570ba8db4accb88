local gemini = require "perilune.dialects.gemini_answer"
local json = require "perilune.json"
local recorder = require "support.sink"
local relay = require "perilune.relay"
local shapes = require "support.shapes"
local tree = require "support.tree"

-- The data of a stream's events.
local function events_of(stream)
  local list = {}
  for data in stream:gsub("\r\n", "\n"):gmatch "data: (.-)\n\n" do
    list[#list + 1] = data
  end
  return list
end

local function fixture(name)
  return tree.read("spec/fixtures/gemini/" .. name)
end

-- What a reader says to a list of events.
local function told(list)
  local sink, reader = recorder.new(), gemini.reader()
  for _, data in ipairs(list) do
    assert(reader:feed(sink, nil, data))
  end
  return sink
end

local function told_fixture(name)
  return told(events_of(fixture(name)))
end

local function part_event(part, more)
  return ('{"candidates":[{"content":{"parts":[%s],"role":"model"}%s,"index":0}]}'):format(part, more or "")
end

describe("gemini, a stream read", function()
  it("tells thoughts, text, signatures, the finish and the usage", function()
    local sink = told_fixture "good_stream.sse"
    assert.same({ "begin", { id = "r1", model = "gemini-3-flash" } }, sink.calls[1])
    assert.equal("Let me see.", sink:joined "reasoning")
    assert.equal("Hall\195\165", sink:joined "text")
    assert.same({ "text", 0, "l\195\165", { signature = "c2ln" } }, sink:only("text")[2])
    assert.same({ { "finish", 0, "stop" } }, sink:only "finish")
    local usage = sink:only "usage"
    assert.same({ input_tokens = 12, output_tokens = 23, cached_tokens = 4, reasoning_tokens = 20, total_tokens = 35 }, usage[#usage][2])
  end)

  it("remembers of each count the last one, where an event tells only a part", function()
    local sink = told {
      '{"usageMetadata":{"promptTokenCount":10,"thoughtsTokenCount":5}}', '{"usageMetadata":{"candidatesTokenCount":3}}',
    }
    assert.same({ "usage", { input_tokens = 10, output_tokens = 8, reasoning_tokens = 5 } }, sink.calls[#sink.calls])
  end)

  it("[B2] tells every call by a key of its own over the whole answer, and the end as it is", function()
    local sink = told_fixture "tools_parallel_stream.sse"
    assert.same({
      { "call", 0, 0, "c1", "f", { signature = "c2ln" } }, { "arguments", 0, 0, '{"z":1.50,"a":[],"n":12345678901234567890}' },
      { "call_done", 0, 0 },
      { "call", 0, 1, nil, "f" }, { "arguments", 0, 1, "{}" }, { "call_done", 0, 1 },
      { "call", 0, 2, "c3", "g" }, { "arguments", 0, 2, "{}" }, { "call_done", 0, 2 },
      { "finish", 0, "stop" },
    }, sink:only("call", "arguments", "call_done", "finish"))
    assert.same({}, sink:only "stop")
  end)

  -- What a client of Gemini's own shape would get of a fixture.
  local function relayed(name)
    local collector = relay.collector()
    local r = relay.new(collector, { id = "x", created = 1, model = "m", input_tokens = 1, request = {} })
    local reader = gemini.reader()
    for _, data in ipairs(events_of(fixture(name))) do
      assert(reader:feed(r, nil, data))
    end
    assert(r:done())
    return collector.answer.choices[1]
  end

  it("[B1] makes STOP after a call the end of calls", function()
    assert.equal("tool_calls", relayed("tools_parallel_stream.sse").finish)
    assert.equal("stop", relayed("good_stream.sse").finish)
  end)

  it("[B4] keeps MAX_TOKENS after a call what it is", function()
    assert.same({ { "finish", 0, "length" } }, told_fixture("tool_cut_by_length_stream.sse"):only "finish")
    assert.equal("length", relayed("tool_cut_by_length_stream.sse").finish)
  end)

  it("ends with length when thoughts took all there was", function()
    local sink = told_fixture "reasoning_ate_it_stream.sse"
    assert.same({ { "finish", 0, "length" } }, sink:only("finish", "text", "reasoning"))
    assert.equal(64, sink:only("usage")[1][2].output_tokens)
  end)

  it("tells a blocked prompt as an answer without content that was filtered", function()
    local sink = told_fixture "blocked_stream.sse"
    assert.same({ { "finish", 0, "content_filter" } }, sink:only("finish", "fail", "text"))
    assert.equal(7, sink:only("usage")[1][2].input_tokens)
  end)

  it("tells errors in any form", function()
    assert.same({ { "fail", { message = "The model is overloaded.", code = "UNAVAILABLE" } } },
      told_fixture("error_stream.sse"):only "fail")
    for data, failure in pairs {
      ['{"error":"gone"}'] = { message = "gone" },
      ['{"error":{"code":500}}'] = { message = "The provider reported an error.", code = "500" },
      ['[{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED"}}]'] = { message = "slow", code = "RESOURCE_EXHAUSTED" },
    } do
      assert.same({ { "fail", failure } }, told({ data }).calls)
    end
  end)

  it("tells answers apart, whatever their order", function()
    assert.same({ { "text", 0, "a" }, { "text", 1, "b" }, { "finish", 1, "stop" }, { "finish", 0, "content_filter" } },
      told_fixture("two_answers_stream.sse"):only("text", "finish"))
  end)

  it("hands on what only Gemini knows as it was written", function()
    assert.same({
      { "opaque", 0, "gemini", '{"executableCode":{"language":"PYTHON","code":"print(1)"}}' },
      { "opaque", 0, "gemini", '{"codeExecutionResult":{"outcome":"OUTCOME_OK","output":"1\\n"}}' },
      { "text", 0, "1" },
    }, told_fixture("code_stream.sse"):only("opaque", "text"))
  end)

  it("reads signatures of thoughts and ones that stand alone", function()
    assert.same({ { "reasoning", 0, "t" }, { "state", 0, { kind = "signature", value = "c2ln", by = "gemini" } } },
      told({ part_event '{"text":"t","thought":true,"thoughtSignature":"c2ln"}' }):only("reasoning", "state"))
    for _, part in ipairs { '{"thoughtSignature":"c2ln"}', '{"text":"","thoughtSignature":"c2ln"}' } do
      assert.same({ { "text", 0, "", { signature = "c2ln" } } }, told({ part_event(part) }):only "text")
    end
  end)

  for reason, finish in pairs {
    STOP = "stop", MAX_TOKENS = "length", CONTINUATION = "length", SAFETY = "content_filter", RECITATION = "content_filter",
    BLOCKLIST = "content_filter", PROHIBITED_CONTENT = "content_filter", SPII = "content_filter", IMAGE_SAFETY = "content_filter",
    IMAGE_PROHIBITED_CONTENT = "content_filter", IMAGE_RECITATION = "content_filter", LANGUAGE = "content_filter",
    OTHER = "stop", NO_IMAGE = "stop", IMAGE_OTHER = "stop", FINISH_REASON_UNSPECIFIED = "stop", SOMETHING_NEW = "stop",
  } do
    it("ends with " .. finish .. " for " .. reason, function()
      local sink = told { part_event('{"text":"x"}', ',"finishReason":"' .. reason .. '"') }
      assert.same({ { "finish", 0, finish } }, sink:only("finish", "fail"))
    end)
  end

  it("fails for what is broken, and for what ends without a word or a reason", function()
    for _, reason in ipairs { "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE" } do
      local failed = told({ part_event('{"text":"x"}', ',"finishReason":"' .. reason .. '"') }):only("finish", "fail")
      assert.equal("fail", failed[1][1])
      assert.equal(reason, failed[1][2].code)
    end
    assert.equal("OTHER", told({ part_event('{"text":""}', ',"finishReason":"OTHER"') }):only("fail")[1][2].code)
    assert.equal("said", told({ part_event("{}", ',"finishReason":"OTHER","finishMessage":"said"') }):only("fail")[1][2].message)
  end)

  it("tells log probabilities as Chat Completions has them", function()
    local data = part_event('{"text":"Hi"}', ',"logprobsResult":{"chosenCandidates":[{"token":"Hi","tokenId":1,"logProbability":-0.5}],'
      .. '"topCandidates":[{"candidates":[{"token":"Hi","logProbability":-0.5},{"token":"Ho","logProbability":-1}]}]}')
    assert.equal('{"content":[{"token":"Hi","logprob":-0.5,"bytes":null,"top_logprobs":[{"token":"Hi","logprob":-0.5,"bytes":null},'
      .. '{"token":"Ho","logprob":-1,"bytes":null}]}],"refusal":null}', told({ data }):only("text")[1][4].logprobs)
  end)

  it("takes no number that JSON can not say again", function()
    local data = part_event('{"text":"Hi"}', ',"logprobsResult":{"chosenCandidates":[{"token":"Hi","logProbability":1e999},' ..
      '{"token":"!","logProbability":-2}]}')
    assert.equal('{"content":[{"token":"!","logprob":-2,"bytes":null,"top_logprobs":[]}],"refusal":null}',
      told({ data }):only("text")[1][4].logprobs)
    for _, n in ipairs { "-1", "1e999", "9e99", '"5"' } do
      local sink = told { ('{"usageMetadata":{"promptTokenCount":%s,"candidatesTokenCount":2.5}}'):format(n) }
      assert.same({ "usage", { output_tokens = 2 } }, sink.calls[#sink.calls])
    end
  end)

  it("takes nothing that is not Gemini's", function()
    for _, data in ipairs { "nonsense", "12", '{"choices":[]}', '[{"choices":[]}]', "" } do
      local ok, why = gemini.reader():feed(recorder.new(), nil, data)
      assert.is_false(ok)
      assert.is_string(why)
    end
    assert.is_true(gemini.reader():feed(recorder.new(), nil, "{}"))
  end)

  it("stands every odd shape", function()
    for _, data in ipairs {
      '{"candidates":null,"usageMetadata":null}', '{"candidates":[null,1,{}]}', '{"candidates":[{"content":null}]}',
      '{"candidates":[{"content":{"parts":null}}]}', '{"candidates":[{"content":{"parts":[null,1,"x",{},{"text":null}]}}]}',
      '{"candidates":[{"content":{"parts":[{"functionCall":null},{"functionCall":{}}]}}]}',
      '{"candidates":[{"finishReason":null,"logprobsResult":{"chosenCandidates":[null,{}],"topCandidates":[null]}}]}',
      '{"promptFeedback":{}}', '{"candidates":{"a":1}}', "[]", '{"usageMetadata":{"promptTokenCount":"x"}}',
    } do
      gemini.reader():feed(recorder.new(), nil, data)
      gemini.read_answer(data, recorder.new())
    end
  end)

  it("may be cut behind any event, and at any byte of one", function()
    for _, name in ipairs {
      "good_stream.sse", "tools_parallel_stream.sse", "two_answers_stream.sse", "error_stream.sse", "code_stream.sse",
    } do
      local list = events_of(fixture(name))
      for n = 0, #list do
        local reader, sink = gemini.reader(), recorder.new()
        for i = 1, n do
          assert(reader:feed(sink, nil, list[i]))
        end
        assert.same({}, sink:only "stop")
      end
      for at = 1, #list[1] - 1 do
        assert.is_false((gemini.reader():feed(recorder.new(), nil, list[1]:sub(1, at))))
      end
    end
  end)
end)

describe("gemini, a whole answer read", function()
  it("tells what a stream would", function()
    local sink = recorder.new()
    assert.is_true(gemini.read_answer(fixture "good.json", sink))
    assert.same({
      { "begin", { id = "r1", model = "gemini-3-flash" } }, { "reasoning", 0, "why" },
      { "state", 0, { kind = "signature", value = "dGg=", by = "gemini" } }, { "text", 0, "Hi" }, { "call", 0, 0, nil, "f" },
      { "arguments", 0, 0, '{"b": 1, "a": {}}' }, { "call_done", 0, 0 }, { "finish", 0, "stop" },
      { "usage", { input_tokens = 10, output_tokens = 5, reasoning_tokens = 2, total_tokens = 15 } },
    }, sink.calls)
  end)

  it("may come as a list", function()
    local sink = recorder.new()
    assert.is_true(gemini.read_answer("[" .. table.concat(events_of(fixture "tools_parallel_stream.sse"), ",\n") .. "]", sink))
    assert.same(told_fixture("tools_parallel_stream.sse").calls, sink.calls)
  end)

  it("may be an error, also in a list", function()
    local sink = recorder.new()
    assert.is_true(gemini.read_answer(fixture "rate_limited.json", sink))
    assert.same({ { "fail", { message = "Quota exceeded.", code = "RESOURCE_EXHAUSTED" } } }, sink.calls)
  end)

  it("is nothing else", function()
    assert.is_false((gemini.read_answer("<html>", recorder.new())))
    assert.is_false((gemini.read_answer('{"choices":[]}', recorder.new())))
  end)
end)

describe("gemini, an answer written", function()
  local context = { id = "ours", created = 1, model = "m", input_tokens = 1, request = {} }

  it("says each piece as an event, and a call when it is whole", function()
    local w = gemini.writer(context)
    assert.equal("", w:begin { id = "up", model = "gemini-3" })
    assert.equal('data: {"candidates":[{"content":{"parts":[{"text":"Hi"}],"role":"model"},"index":0}],'
      .. '"modelVersion":"gemini-3","responseId":"up"}\n\n', w:text(0, "Hi"))
    assert.matches('{"text":"t","thought":true}', w:reasoning(0, "t"), 1, true)
    assert.matches('{"text":"no"}', w:refusal(0, "no"), 1, true)
    assert.equal("", w:call(1, 0, "c1", "f", { signature = "c2ln" }))
    assert.equal("", w:arguments(1, 0, '{"a":'))
    assert.matches('"parts":[{"functionCall":{"id":"c1","name":"f","args":{"a":1}},"thoughtSignature":"c2ln"}],"role":"model"},"index":1',
      w:call_done(1, 0, '{"a":1}'), 1, true)
    w:call(0, 1, "c2", "patch", { custom = true })
    assert.matches('"args":{"input":"*** x"}', w:call_done(0, 1, "*** x"), 1, true)
    assert.equal("", w:audio(0, "{}"))
    assert.equal("", w:opaque(0, "anthropic_messages", "{}"))
    assert.matches('"parts":[{"x":1}]', w:opaque(0, "gemini", '{"x":1}'), 1, true)
    local usage = { input_tokens = 5, output_tokens = 9, reasoning_tokens = 4, cached_tokens = 2 }
    local last = w:finish({ { choice = 0, reason = "length" } }, usage)
    assert.matches('"finishReason":"MAX_TOKENS"', last, 1, true)
    assert.matches('"usageMetadata":{"promptTokenCount":5,"cachedContentTokenCount":2,"candidatesTokenCount":5,"thoughtsTokenCount":4,'
      .. '"totalTokenCount":14}', last, 1, true)
  end)

  it("keeps other dialects' states for the way back", function()
    local w = gemini.writer(context)
    local state = { kind = "encrypted", value = "eA==", by = "openai_responses", model = "gpt-5" }
    assert.same({ { "state", 0, state } }, told(events_of(w:state(0, state))):only "state")
  end)

  local able = {
    reasoning = true, signatures = true, choices = true,
    states = function(r)
      return r(2) == 1 and { kind = "signature", value = "c2ln" .. r(9), by = "gemini" } or nil
    end,
  }

  -- What is read of bytes, as an answer.
  local function collected(feed)
    local collector = relay.collector()
    local r = relay.new(collector, context)
    feed(r)
    assert(r:done())
    return collector.answer
  end

  -- An answer as Gemini can say it.
  local function expected(answer)
    answer.created = nil
    return answer
  end

  it("is read back as it was, whole", function()
    for _, answer in ipairs(shapes.answers(able, 7, 200)) do
      local bytes = gemini.write_answer(answer, context)
      assert.is_true(json.valid(bytes))
      assert.same(expected(answer), collected(function(r)
        assert(gemini.read_answer(bytes, r))
      end))
    end
  end)

  it("is read back as it was, as a stream", function()
    for _, answer in ipairs(shapes.answers(able, 11, 200)) do
      local w, out = gemini.writer(context), {}
      out[1] = w:begin(answer)
      for _, choice in ipairs(answer.choices) do
        local n = 0
        for _, part in ipairs(choice.parts) do
          if part.kind == "call" then
            out[#out + 1] = w:call(choice.index, n, part.id, part.name, part)
            out[#out + 1] = w:call_done(choice.index, n, part.arguments)
            n = n + 1
          else
            out[#out + 1] = part.text and w[part.kind](w, choice.index, part.text) or ""
            out[#out + 1] = part.state and w:state(choice.index, part.state) or ""
          end
        end
      end
      local ends = {}
      for i, choice in ipairs(answer.choices) do
        ends[i] = { choice = choice.index, reason = choice.finish }
      end
      out[#out + 1] = w:finish(ends, answer.usage)
      assert.same(expected(answer), collected(function(r)
        local reader = gemini.reader()
        for _, data in ipairs(events_of(table.concat(out))) do
          assert(reader:feed(r, nil, data))
        end
      end))
    end
  end)
end)
