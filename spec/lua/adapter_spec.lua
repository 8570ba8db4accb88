-- The door between the core and the dialects: requests built, streams fed, answers made, whatever dialects meet.
local adapter = require "perilune.adapter"
local json = require "perilune.json"

local CHAT = '{"model":"x","messages":[{"role":"user","content":"Hi"}]}'

local function open(over)
  local setup = {
    client = "openai_chat", spoken = "openai_chat", body = CHAT, stream = false, keep_usage = false, refuse = false, params = {},
    id = "01ID", created = 1790000000, input_tokens = 3,
    target = { id = "mock/m", model = "m", upstream = "m-1", provider = "mock", dialect = "openai_chat", abilities = {} },
  }
  for k, v in pairs(over or {}) do
    setup[k] = v
  end
  setup.target.dialect = setup.spoken
  return adapter.open(setup)
end

local function chunk(delta, finish)
  return ('{"id":"c1","object":"chat.completion.chunk","created":1,"model":"vm","choices":[{"index":0,"delta":%s,"finish_reason":%s}]}')
    :format(delta, finish and '"' .. finish .. '"' or "null")
end

-- Names of the events a Messages client is sent.
local function events_of(text)
  local names = {}
  for name in text:gmatch "event: (%S+)" do
    names[#names + 1] = name
  end
  return table.concat(names, " ")
end

describe("adapter", function()
  it("opens, feeds, finishes and closes", function()
    local before = adapter.open_streams()
    local handle, http = open { stream = true }
    assert.is_number(handle)
    assert.equal("/chat/completions", http.path)
    assert.equal("m-1", json.decode(http.body).model)
    assert.is_true(json.decode(http.body).stream_options.include_usage)
    assert.is_nil(http.dropped)
    local text = chunk '{"role":"assistant","content":"Hi"}'
    local out, seen = adapter.feed(handle, nil, text)
    assert.equal("data: " .. text .. "\n\n", out)
    assert.is_true(seen.content)
    assert.equal("vm", seen.model)
    assert.equal(2, seen.text)
    out, seen = adapter.feed(handle, nil, chunk("{}", "stop"))
    assert.equal(0, seen.text)
    assert.is_true(seen.finished)
    assert.is_false(seen.content)
    assert.equal("data: " .. chunk("{}", "stop") .. "\n\n", out)
    out, seen = adapter.feed(handle, nil, "[DONE]")
    assert.equal("", out)
    assert.is_true(seen.ended)
    out, seen = adapter.finish(handle)
    assert.equal("", out)
    assert.equal(0, seen.text)
    adapter.close(handle)
    assert.equal(before, adapter.open_streams())
    assert.error_matches(function()
      adapter.feed(handle, nil, "{}")
    end, "no open stream")
  end)

  it("keeps streams apart: one that fails leaves the others alone", function()
    local a, b = open { stream = true }, open { stream = true }
    local out, why = adapter.feed(a, nil, "{")
    assert.is_nil(out)
    assert.is_string(why)
    assert.is_string((adapter.feed(b, nil, chunk '{"content":"x"}')))
    adapter.close(a)
    assert.is_string((adapter.feed(b, nil, chunk '{"content":"x"}')))
    adapter.close(b)
    adapter.close(b)
  end)

  it("says what it can not open", function()
    local handle, why = open { body = "[1" }
    assert.is_nil(handle)
    assert.is_string(why)
    assert.error_matches(function()
      open { client = "openai_chta" }
    end, 'did you mean "openai_chat"')
  end)

  it("translates a stream into the client's events", function()
    local body = '{"model":"x","max_tokens":50,"messages":[{"role":"user","content":"Hi"}]}'
    local handle, http = open { client = "anthropic_messages", body = body, stream = true }
    assert.same({ { role = "user", content = "Hi" } }, json.decode(http.body).messages)
    local all = {}
    local chunks = { chunk '{"role":"assistant","content":""}', chunk '{"content":"Hel"}', chunk '{"content":"lo"}', chunk("{}", "stop") }
    for _, data in ipairs(chunks) do
      all[#all + 1] = assert(adapter.feed(handle, nil, data))
    end
    local out, seen = adapter.finish(handle)
    all[#all + 1] = out
    assert.is_true(seen.finished)
    assert.equal("message_start ping content_block_start content_block_delta content_block_delta content_block_stop message_delta "
      .. "message_stop", events_of(table.concat(all)))
    adapter.close(handle)
  end)

  it("translates a whole answer", function()
    local handle = open { spoken = "anthropic_messages" }
    local out, seen = adapter.answer(handle, '{"id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":['
      .. '{"type":"text","text":"Hello"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":2}}')
    local answer = json.decode(out)
    assert.equal("Hello", answer.choices[1].message.content)
    assert.equal("stop", answer.choices[1].finish_reason)
    assert.equal("claude-x", answer.model)
    assert.equal(3, seen.input_tokens)
    assert.equal("claude-x", seen.model)
    assert.equal(5, seen.text)
    adapter.close(handle)
  end)

  it("tells an error inside an answer, with its code", function()
    local handle = open { spoken = "anthropic_messages", stream = true }
    local out, seen = adapter.feed(handle, "error", '{"type":"error","error":{"type":"overloaded_error","message":"busy"}}')
    assert.equal("", out)
    assert.is_true(seen.error)
    assert.equal("busy", seen.message)
    assert.equal("overloaded_error", seen.code)
    adapter.close(handle)
  end)

  it("finds no end where there was none", function()
    local handle = open { spoken = "anthropic_messages", stream = true }
    local out, why = adapter.finish(handle)
    assert.is_nil(out)
    assert.equal("The answer was empty.", why)
    adapter.close(handle)
  end)

  it("catches up with what was answered without it", function()
    local handle = open { client = "openai_responses", spoken = "gemini", stream = true, body = '{"model":"x","input":"Hi"}' }
    local function event(text, tokens)
      return ('{"candidates":[{"content":{"parts":[{"text":"%s"}]},"index":0}],"usageMetadata":{"candidatesTokenCount":%d}}'):format(text,
        tokens)
    end
    local out, _, flags = adapter.feed(handle, nil, event("a", 1))
    assert.truthy(out:find('"sequence_number":4,', 1, true))
    assert.truthy(flags % 128 >= 64)
    local seen = adapter.catch_up(handle, nil, event("bcd", 4), 3)
    assert.equal(4, seen.output_tokens)
    out, _, flags = adapter.feed(handle, nil, event("e", 5))
    assert.truthy(out:find('"sequence_number":8,', 1, true))
    assert.truthy(flags % 128 >= 96)
    adapter.feed(handle, nil, '{"candidates":[{"finishReason":"STOP","index":0}]}')
    assert.truthy(adapter.finish(handle):find('"text":"abcde"', 1, true))
    adapter.close(handle)
    local bad = open { spoken = "gemini", stream = true }
    assert.is_nil((adapter.catch_up(bad, nil, "no JSON", 1)))
    adapter.close(bad)
  end)

  it("knows which members of a dialect's events are texts", function()
    for _, name in ipairs { "openai_chat", "openai_responses", "anthropic_messages", "gemini", "bedrock_converse" } do
      assert.is_string(adapter.echo(name).texts)
    end
    assert.equal("sequence_number", adapter.echo("openai_responses").counter)
    assert.same({}, adapter.echo "openai_completions")
  end)

  it("maps a step's params by OpenAI's names, and sends what is extra as it is", function()
    local handle, http = open {
      spoken = "anthropic_messages",
      params = { { "max_tokens", "77" }, { "stop", '["X"]' }, { "extra", '{"vendor_switch":{"b":1,"a":[]}}' } },
    }
    local body = json.decode(http.body)
    assert.equal(77, body.max_tokens)
    assert.same({ "X" }, body.stop_sequences)
    assert.truthy(http.body:find('"vendor_switch":{"b":1,"a":[]}', 1, true))
    adapter.close(handle)
  end)

  it("names what the target can not do, or refuses it by setting", function()
    local body = '{"model":"x","seed":1,"logprobs":true,"messages":[{"role":"user","content":"Hi"}]}'
    local handle, http = open { spoken = "anthropic_messages", body = body }
    assert.truthy(http.dropped:find("seed", 1, true))
    assert.truthy(http.dropped:find("logprobs", 1, true))
    adapter.close(handle)
    local refused, why, param = open { spoken = "anthropic_messages", body = body, refuse = true }
    assert.is_nil(refused)
    assert.truthy(why:find("mock/m can not take: ", 1, true))
    assert.is_string(param)
  end)

  it("[F9] gives back what was kept of a call the client's history has lost the thoughts of", function()
    local state = { kind = "signature", value = "SIG", by = "anthropic_messages", model = "m-1" }
    local kept = { a = json.encode { parts = { { kind = "reasoning", text = "hm", state = state } } } }
    local body = '{"model":"x","reasoning_effort":"low","tools":[{"type":"function","function":{"name":"f"}}],"messages":['
      .. '{"role":"user","content":"Hi"},{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function",'
      .. '"function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":"1"}]}'
    local handle, http = open {
      spoken = "anthropic_messages", body = body,
      recall = function(id)
        return kept[id]
      end,
    }
    local turn = json.decode(http.body).messages[2].content
    assert.same({ type = "thinking", thinking = "hm", signature = "SIG" }, turn[1])
    assert.equal("tool_use", turn[2].type)
    adapter.close(handle)
  end)

  it("takes requests that refer to state a provider keeps, to that provider alone", function()
    local body = '{"model":"x","input":"Hi","previous_response_id":"resp_1"}'
    local handle, http = open {
      client = "openai_responses", spoken = "openai_responses", body = body, params = { { "temperature", "0.5" } },
    }
    assert.is_number(handle)
    assert.is_true(http.passes)
    assert.truthy(http.body:find('"previous_response_id":"resp_1"', 1, true))
    adapter.close(handle)
    local refused, _, param = open { client = "openai_responses", spoken = "openai_chat", body = body }
    assert.is_nil(refused)
    assert.equal("previous_response_id", param)
  end)
end)
