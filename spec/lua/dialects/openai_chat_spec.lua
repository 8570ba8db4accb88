local chat = require "perilune.dialects.openai_chat"

local function build(body, stream, params)
  return assert(chat.build(assert(chat.read(body)), { upstream = "up" }, stream or false, params or {})).body
end

local function state(body)
  return chat.new(assert(chat.read(body or "{}")))
end

describe("openai_chat, the request", function()
  it("goes on as it came but for the model", function()
    assert.equal('{ "model":"up", "tools" : [ ], "seed":12345678901234567890,"metadata":{"b":1,"a":{}} }',
      build '{ "model":"gpt-4o", "tools" : [ ], "seed":12345678901234567890,"metadata":{"b":1,"a":{}} }')
  end)

  it("loses what was for the router", function()
    assert.equal('{"model":"up","n":1}', build '{"models":["a","b"],"model":"a","n":1}')
  end)

  it("asks for usage, whatever else the client asked of the stream", function()
    assert.equal('{"model":"up","stream_options":{"include_obfuscation":false,"include_usage":true}}',
      build('{"model":"x","stream_options":{"include_obfuscation":false}}', true))
    assert.equal('{"model":"up","stream_options":{"include_usage":true}}', build('{"model":"x","stream_options":null}', true))
    assert.equal('{"model":"up","stream_options":{"include_usage":true}}',
      build('{"model":"x","stream_options":{"include_usage":false}}', true))
  end)

  it("takes the step's parameters", function()
    assert.equal('{"model":"up","temperature":0,"stop":["a"]}',
      build('{"model":"x","temperature":1,"logprobs":true}', false, { { "logprobs" }, { "temperature", "0" }, { "stop", '["a"]' } }))
  end)

  it("must be JSON", function()
    assert.is_nil((chat.read "nonsense"))
  end)
end)

describe("openai_chat, a stream", function()
  local function seen(data, body)
    return select(2, chat.feed(state(body), nil, data))
  end

  it("goes on event by event, byte for byte", function()
    local s = state()
    local data = '{"choices":[{"index":0,"delta":{"content":"Hi"} ,"finish_reason":null}],"x":[]}'
    assert.equal("data: " .. data .. "\n\n", (chat.feed(s, nil, data)))
    assert.equal("event: x\ndata: " .. data .. "\n\n", (chat.feed(s, "x", data)))
    assert.equal('data: {"a":\ndata: 1}\n\n', (chat.feed(s, "", '{"a":\n1}')))
  end)

  for delta, content in pairs {
    ['{"role":"assistant","content":""}'] = false, ['{"content":null}'] = false, ["{}"] = false, ['{"content":"a"}'] = true,
    ['{"reasoning_content":"a"}'] = true, ['{"reasoning":"a"}'] = true, ['{"refusal":"a"}'] = true, ['{"tool_calls":[]}'] = false,
    ['{"tool_calls":[{"index":0}]}'] = true, ['{"audio":{"data":"x"}}'] = true, ['{"function_call":{"name":"f"}}'] = true,
    ['{"content":[{"type":"text","text":"x"}]}'] = true, ['{"content":[ ]}'] = false, ["null"] = false,
  } do
    it("calls " .. delta .. (content and " content" or " no content"), function()
      assert.equal(content, seen(('{"choices":[{"index":0,"delta":%s,"finish_reason":null}]}'):format(delta)).content)
    end)
  end

  it("sees the finish, the model and the usage", function()
    assert.is_true(seen('{"model":"m","choices":[{"delta":{},"finish_reason":"stop"}]}').finished)
    assert.equal("m", seen('{"model":"m","choices":[{"delta":{},"finish_reason":"stop"}]}').model)
    assert.is_false(seen('{"choices":[{"delta":{},"finish_reason":null}]}').finished)
    assert.is_false(seen('{"choices":[{"delta":{},"finish_reason":""}]}').finished)
    assert.is_nil(seen('{"choices":[{"delta":{},"finish_reason":"stop"}]}').excused)
    assert.is_true(seen('{"choices":[{"delta":{},"finish_reason":"length"}]}').excused)
    assert.is_true(seen('{"choices":[{"delta":{},"finish_reason":"content_filter"}]}').excused)
    assert.equal(9, seen('{"choices":[],"usage":{"prompt_tokens":9}}').input_tokens)
    assert.is_true(seen("[DONE]").finished)
  end)

  it("drops the usage chunk for a client that did not ask, and only that", function()
    local usage = '{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2}}'
    assert.equal("", (chat.feed(state(), nil, usage)))
    assert.equal("data: " .. usage .. "\n\n", (chat.feed(state '{"stream_options":{"include_usage":true}}', nil, usage)))
    for _, other in ipairs {
      '{"choices":[],"prompt_filter_results":[]}', '{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}',
      '{"choices":[],"usage":null}',
    } do
      assert.equal("data: " .. other .. "\n\n", (chat.feed(state(), nil, other)))
    end
  end)

  for data, message in pairs {
    ['{"error":{"message":"overloaded","code":503}}'] = "overloaded", ['{"error":"text"}'] = "text",
    ['{"object":"error","message":"old"}'] = "old", ['{"error":{"code":"x"}}'] = "x", ['{"error":{}}'] = "the provider reported an error",
  } do
    it("takes an error out, for the core to tell: " .. data, function()
      local out, what = chat.feed(state(), nil, data)
      assert.equal("", out)
      assert.is_true(what.error)
      assert.equal(message, what.message)
    end)
  end

  it("is not upset by an error that is null", function()
    assert.is_false(seen('{"error":null,"choices":[]}').error)
  end)

  it("ends once", function()
    local s = state()
    assert.equal("data: [DONE]\n\n", (chat.feed(s, nil, "[DONE]")))
    assert.equal("", (chat.finish(s)))
    s = state()
    assert.equal("data: [DONE]\n\n", (chat.finish(s)))
    assert.equal("", (chat.finish(s)))
  end)

  it("fails on what is not JSON, cut at any byte", function()
    local data = '{"choices":[{"index":0,"delta":{"content":"Hé \\u00e9"},"finish_reason":null}],"n":-1.5e3}'
    for n = 1, #data - 1 do
      local out, why = chat.feed(state(), nil, data:sub(1, n))
      assert.is_nil(out)
      assert.matches("not JSON", why)
    end
    for _, text in ipairs { "", "null", "[]", "<html>", "data" } do
      assert.is_nil((chat.feed(state(), nil, text)))
    end
  end)
end)

describe("openai_chat, an answer", function()
  local function answer(status, body)
    return chat.answer(state(), status, body)
  end

  it("goes on as it came, and is looked at", function()
    local body = '{"model":"m","choices":[{"message":{"content":"x"},"finish_reason":"stop"}],'
      .. '"usage":{"prompt_tokens":1,"completion_tokens":2}}'
    local out, seen = answer(200, body)
    assert.equal(body, out)
    assert.same({ content = true, finished = true, error = false, model = "m", input_tokens = 1, output_tokens = 2 }, seen)
  end)

  it("without content is seen to have none", function()
    local _, seen = answer(200, '{"choices":[{"message":{"content":null},"finish_reason":"stop"}]}')
    assert.is_false(seen.content)
  end)

  it("that is an error says so, by its words or its status", function()
    assert.same({ true, "no" }, (function()
      local _, seen = answer(200, '{"error":{"message":"no"}}')
      return { seen.error, seen.message }
    end)())
    local _, seen = answer(500, '{"detail":"x"}')
    assert.same({ true, "status 500" }, { seen.error, seen.message })
  end)

  it("that is no JSON fails", function()
    local out, why = answer(200, "<html>")
    assert.is_nil(out)
    assert.matches("not JSON", why)
  end)
end)
