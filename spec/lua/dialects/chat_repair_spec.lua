local chat = require "perilune.dialects.openai_chat"
local json = require "perilune.json"
local sinks = require "support.sink"

local function context(wants_usage, native)
  return { id = "01ABC", created = 1790000001, model = "m", native = native, request = { wants_usage = wants_usage or false,
    fields = {} } }
end

local function repair(ctx)
  local r, sink = chat.repair(ctx or context()), sinks.new()
  return function(data, event)
    return r:feed(sink, event, data)
  end, sink
end

local function chunk(choices, more)
  return '{"id":"c","object":"chat.completion.chunk","created":1,"model":"m-1","choices":[' .. choices .. "]" .. (more or "") .. "}"
end

local function choice(delta, reason, index)
  return ('{"index":%d,"delta":{%s},"finish_reason":%s}'):format(index or 0, delta, reason or "null")
end

local function bytes(data)
  return "data: " .. data .. "\n\n"
end

local FIRST = chunk(choice '"role":"assistant","content":""')

local function tools(...)
  return choice('"tool_calls":[' .. table.concat({ ... }, ",") .. "]")
end

describe("chat_repair, a stream", function()
  it("goes on as it came where all is in order", function()
    local feed, sink = repair(context(true))
    for _, data in ipairs {
      FIRST, chunk(choice '"content":"Hi"  ', ',"obfuscation":"xx","zed":[ ]'), chunk(choice '"reasoning_content":"why"'),
      chunk(tools '{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}'),
      chunk(tools '{"index":0,"function":{"arguments":"{}"}}'), chunk(choice("", '"tool_calls"')), chunk("",
        ',"usage":{"prompt_tokens":9}'),
    } do
      assert.equal(bytes(data), (feed(data)))
    end
    assert.equal("Hi", sink:joined "text")
    assert.equal("", (feed "[DONE]"))
    assert.same({ { "usage", { input_tokens = 9 } }, { "stop" } }, sink:only("usage", "stop"))
    assert.equal('event: x\ndata: {"id":"c","object":"chat.completion.chunk",\ndata: "created":1,"model":"m-1","choices":['
      .. choice '"content":"a"' .. "]}\n\n",
      (feed((chunk(choice '"content":"a"'):gsub("chunk\",", "%0\n")), "x")))
  end)

  it("has one id, model and time", function()
    local feed = repair()
    feed(FIRST)
    local other = chunk(choice '"content":"a"'):gsub('"c"', '"d"', 1):gsub("m%-1", "m-2"):gsub('"created":1', '"created":"17"')
    assert.equal(bytes(chunk(choice '"content":"a"')), (feed(other)))
    feed = repair()
    assert.equal(bytes('{"choices":[' .. choice '"role":"assistant","content":"a"'
      .. '],"id":"chatcmpl-01ABC","model":"m","created":1790000001,'
      .. '"object":"chat.completion.chunk"}'), (feed('{"choices":[' .. choice '"role":"assistant","content":"a"' .. "]}")))
  end)

  it("[C12] has the role in the first delta of a choice alone", function()
    local feed = repair()
    assert.equal(bytes(chunk(choice '"content":"a","role":"assistant"')), (feed(chunk(choice '"content":"a"'))))
    assert.equal(bytes(chunk(choice '"content":"b"')), (feed(chunk(choice '"role":"assistant","content":"b"'))))
    assert.equal(bytes(chunk(choice('"role":"assistant"', nil, 1) .. "," .. choice '"content":"c"')),
      (feed(chunk(choice('"role":"assistant"', nil, 1) .. "," .. choice '"role":"assistant","content":"c"'))))
  end)

  it("[C11] loses an empty key for errors", function()
    local feed = repair()
    assert.equal(bytes(FIRST), (feed((FIRST:gsub("}$", ',"error":{}}')))))
    local null = chunk(choice '"content":"a"', ',"error":null')
    assert.equal(bytes(null), (feed(null)))
  end)

  it("[D10] loses Azure's first chunk, [D11] and the usage of who did not ask", function()
    local feed, sink = repair()
    assert.equal("", (feed '{"id":"","model":"","created":0,"choices":[],"prompt_filter_results":[]}'))
    assert.equal(bytes(FIRST), (feed(FIRST)))
    assert.equal("", (feed(chunk("", ',"usage":{"prompt_tokens":9}'))))
    assert.equal(bytes(chunk(choice '"content":"x"')), (feed(chunk(choice '"content":"x"', ',"usage":{"prompt_tokens":9}'))))
    assert.equal(2, #sink:only "usage")
    local null = chunk(choice '"content":"x"', ',"usage":null')
    assert.equal(bytes(null), (feed(null)))
  end)

  it("[A3] numbers calls from 0, and has the ids of each once", function()
    local feed = repair()
    feed(FIRST)
    assert.equal(bytes(chunk(tools('{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}',
      '{"index":1,"id":"b","type":"function","function":{"name":"f","arguments":""}}'))),
      (feed(chunk(tools('{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}',
        '{"index":0,"id":"b","type":"function","function":{"name":"f","arguments":""}}')))))
    assert.equal(bytes(chunk(tools '{"index":1,"function":{"arguments":"{}"}}')),
      (feed(chunk(tools '{"index":0,"function":{"arguments":"{}"}}'))))
    feed = repair()
    feed(FIRST)
    assert.matches('{"index":0,"id":"a"',
      (feed(chunk(tools '{"index":1,"id":"a","type":"function","function":{"name":"f","arguments":""}}'))), 1, true)
  end)

  it("[A10] makes ids where there are none, and where another call has the same", function()
    local feed = repair()
    feed(FIRST)
    local out = feed(chunk(tools('{"index":0,"type":"function","function":{"name":"f","arguments":"{}"}}',
      '{"index":1,"id":"","type":"function","function":{"name":"g","arguments":"{}"}}',
      '{"index":2,"id":"x","type":"function","function":{"name":"h","arguments":"{}"}}',
      '{"index":3,"id":"x","type":"function","function":{"name":"i","arguments":"{}"}}')))
    local ids = {}
    for i, call in ipairs(json.read(out:sub(7)).choices[1].delta.tool_calls) do
      ids[i] = call.id
    end
    assert.same({ "call_01ABC0", "call_01ABC1", "x", "call_01ABC2" }, ids)
  end)

  it("[A9] takes empty and repeated names and ids out of later pieces", function()
    local feed = repair()
    feed(chunk(tools '{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}'))
    for _, again in ipairs {
      '{"index":0,"id":"","type":"","function":{"name":"","arguments":"1"}}',
        '{"index":0,"id":null,"type":null,"function":{"name":null,"arguments":"1"}}',
      '{"index":0,"id":"a","function":{"name":"f","arguments":"1"}}',
    } do
      assert.equal(bytes(chunk(tools '{"index":0,"function":{"arguments":"1"}}')), (feed(chunk(tools(again)))))
    end
  end)

  it("[A11] has arguments as text, with the keys in order", function()
    local feed = repair()
    feed(FIRST)
    assert.equal(bytes(chunk(tools '{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\\"z\\":1,\\"a\\":[]}"}}')),
      (feed(chunk(tools '{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":{"z":1,"a":[]}}}'))))
    assert.equal(bytes(chunk(tools '{"index":1,"id":"b","function":{"name":"g","arguments":""},"type":"function"}')),
      (feed(chunk(tools '{"index":1,"id":"b","function":{"name":"g"}}'))))
  end)

  it("closes calls that were given no arguments, and lists no calls where there are none", function()
    local feed = repair()
    feed(FIRST)
    assert.equal(bytes(chunk(choice '"content":"x"')), (feed(chunk(choice '"content":"x","tool_calls":[]'))))
    feed(chunk(tools '{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}'))
    assert.equal(bytes(chunk(choice('"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]', '"tool_calls"'))), (feed(chunk(choice("",
      '"tool_calls"')))))
  end)

  it("[A12] leaves what else is in a delta with calls", function()
    local feed = repair()
    local delta = '"role":"assistant","content":"x","zed":{"b":1},"tool_calls":[{"index":%s,"id":"a","type":"function",'
      .. '"function":{"name":"f","arguments":"{}"}}]'
    assert.equal(bytes(chunk(choice(delta:format "0"))), (feed(chunk(choice(delta:format "7")))))
  end)

  it("[B5] ends with tool_calls when a call was seen, [B3] in whatever chunk", function()
    local feed, sink = repair()
    feed(FIRST)
    feed(chunk(tools '{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}'))
    assert.equal(bytes(chunk(choice("", '"tool_calls"'))), (feed(chunk(choice("", '"stop"')))))
    assert.equal(1, #sink:only "finish")
  end)

  it("[B7] leaves OpenAI its own word", function()
    local feed = repair(context(false, true))
    feed(FIRST)
    feed(chunk(tools '{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}'))
    assert.equal(bytes(chunk(choice("", '"stop"'))), (feed(chunk(choice("", '"stop"')))))
  end)

  for word, reason in pairs { length = "length", content_filter = "content_filter", eos = "tool_calls", max_tokens = "length" } do
    it("[B6] says " .. reason .. " for " .. word .. " after a call: only a plain stop becomes one", function()
      local feed = repair()
      feed(FIRST)
      feed(chunk(tools '{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}'))
      assert.equal(bytes(chunk(choice("", '"' .. reason .. '"'))), (feed(chunk(choice("", '"' .. word .. '"')))))
    end)
  end

  it("takes an empty finish for none, and says nothing of one that is a failure", function()
    local feed, sink = repair()
    assert.equal(bytes(FIRST), (feed(chunk(choice('"role":"assistant","content":""', '""')))))
    assert.equal("", (feed(chunk(choice("", '"error"')))))
    assert.equal(1, #sink:only "fail")
  end)

  it("has a delta where a message came, and a place for each choice", function()
    local feed = repair()
    assert.equal(bytes(chunk '{"finish_reason":null,"index":0,"delta":{"role":"assistant","content":"x"}}'),
      (feed(chunk '{"message":{"role":"assistant","content":"x"},"finish_reason":null}')))
    assert.equal(bytes(chunk '{"index":0,"finish_reason":"stop","delta":{}}'), (feed(chunk '{"index":0,"finish_reason":"stop"}')))
    feed = repair()
    local call = '"id":"a","type":"function","function":{"name":"f","arguments":"{}"}'
    assert.equal(bytes(chunk('{"index":0,"finish_reason":"tool_calls","delta":{"role":"assistant","tool_calls":[{' .. call
      .. ',"index":0}]}}')),
      (feed(chunk('{"index":0,"message":{"role":"assistant","tool_calls":[{' .. call .. '}]},"finish_reason":"stop"}'))))
  end)

  it("says nothing of failures, which the core tells, and fails on what is no JSON", function()
    local feed, sink = repair()
    assert.equal("", (feed '{"error":{"message":"m"}}'))
    assert.equal("", (feed('{"message":"m"}', "error")))
    assert.equal(2, #sink:only "fail")
    local out, why = feed "<html>"
    assert.is_nil(out)
    assert.matches("not JSON", why)
  end)
end)

describe("chat_repair, of nonsense", function()
  for _, choices in ipairs {
    "null", "{}", "[null]", "[5]", "[[]]", '[{"delta":[null]}]', '[{"delta":{"tool_calls":{}}}]', '[{"delta":{"tool_calls":[[]]}}]',
    '[{"message":[]}]', '[{"message":{"tool_calls":[{"function":[]}]}}]', '[{"message":{"tool_calls":{"a":1}}}]',
  } do
    it("does not raise: " .. choices, function()
      local body = '{"id":"c","choices":' .. choices .. "}"
      local feed, sink = repair()
      assert(json.valid((assert(feed(body):match "^data: (.*)\n\n$"))))
      assert(json.valid((assert(chat.repair(context()):answer(sink, body)))))
    end)
  end
end)

describe("chat_repair, a whole answer", function()
  local function answer(body, ctx)
    local sink = sinks.new()
    local out, why = chat.repair(ctx or context()):answer(sink, body)
    return out, sink, why
  end

  local function whole(message, reason, more)
    return '{"id":"c","object":"chat.completion","created":1,"model":"m-1","choices":[{"index":0,"message":{' .. message
      .. '},"finish_reason":"'
      .. reason .. '"}]' .. (more or "") .. "}"
  end

  it("goes on as it came where all is in order", function()
    local body = whole('"role":"assistant","content":"x" ', "stop", ',"usage":{"prompt_tokens":9},"zed":[ ]')
    local out, sink = answer(body)
    assert.equal(body, out)
    assert.equal("x", sink:joined "text")
    assert.same({ { "usage", { input_tokens = 9 } } }, sink:only "usage")
    body = whole('"role":"assistant","content":null,"tool_calls":[ {"id":"a","type":"function","function":{"name":"f",'
      .. '"arguments":"{}"}} ]', "tool_calls")
    assert.equal(body, (answer(body)))
  end)

  it("has calls as clients expect them", function()
    assert.equal(whole('"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\\"z\\":1}"}},'
      .. '{"function":{"name":"g","arguments":"{}"},"id":"call_01ABC0","type":"function"}],"content":null', "tool_calls"),
      (answer(whole('"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":{"z":1}}},'
        .. '{"function":{"name":"g","arguments":""}}]', "stop"))))
    assert.equal(whole('"role":"assistant","content":"x"', "stop"), (answer(whole('"role":"assistant","content":"x","tool_calls":[]',
      "eos"))))
  end)

  it("[B7] leaves OpenAI its own word", function()
    local body = whole('"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f",'
      .. '"arguments":"{}"}}]', "stop")
    assert.equal(body, (answer(body, context(false, true))))
  end)

  it("has who and where", function()
    assert.equal('{"choices":[{"message":{"content":"x","role":"assistant"},"finish_reason":"stop","index":0}],'
      .. '"id":"chatcmpl-01ABC","model":"m",'
      .. '"created":1790000001,"object":"chat.completion"}', (answer '{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}'))
  end)

  it("is nothing when it is an error, and fails when it is no JSON", function()
    local out, sink = answer '{"error":{"message":"m"}}'
    assert.equal("", out)
    assert.equal("m", sink:only("fail")[1][2].message)
    local none, _, why = answer "<html>"
    assert.is_nil(none)
    assert.matches("not JSON", why)
  end)
end)
