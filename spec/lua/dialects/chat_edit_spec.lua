local chat = require "perilune.dialects.openai_chat"
local shape = require "perilune.shape"

-- The client's body as it goes to a target of these quirks, and what was dropped.
local function edit(body, quirks, params, more)
  local target = { upstream = "up", provider = "other", dialect = "openai_chat", quirks = quirks or {}, abilities = { reasoning = true } }
  for k, v in pairs(more or {}) do
    target[k] = v
  end
  local drops = shape.drops()
  local http = assert(chat.edit(assert(chat.read(body)), body, target, params or {}, drops))
  assert.equal("/chat/completions", http.path)
  return http.body, drops:list()
end

local M = '"messages":[{"role":"user","content":"x"}]'

describe("chat_edit", function()
  it("changes the model and nothing else", function()
    local body = '{ "model":"gpt-4o", "tools" : [ ], "seed":12345678901234567890,"metadata":{"b":1,"a":{}}, ' .. M .. " }"
    assert.equal((body:gsub('"gpt%-4o"', '"up"')), (edit(body)))
    assert.equal((body:gsub('"gpt%-4o"', '"up"')), (edit(body, { max_stop = 4, no_strict = true, max_n = 8 })))
  end)

  it("takes out what was for the router", function()
    assert.equal('{"model":"up","n":1,' .. M .. "}", (edit('{"models":["a"],"route":"fallback","model":"a","n":1,' .. M .. "}")))
  end)

  it("asks for usage, whatever else the client asked of the stream", function()
    for options, expected in pairs {
      ['{"include_obfuscation":false}'] = '{"include_obfuscation":false,"include_usage":true}', null = '{"include_usage":true}',
      ['{"include_usage":false}'] = '{"include_usage":true}',
    } do
      assert.equal('{"model":"up",' .. M .. ',"stream":true,"stream_options":' .. expected .. "}",
        (edit('{"model":"x",' .. M .. ',"stream":true,"stream_options":' .. options .. "}")))
    end
    assert.equal('{"model":"up",' .. M .. ',"stream":true}',
      (edit('{"model":"x",' .. M .. ',"stream":true,"stream_options":{"include_usage":true}}', { no_stream_options = true })))
  end)

  it("takes a step's overrides, and the members of extra as they are", function()
    assert.equal('{"model":"up","temperature":0,' .. M .. ',"stop":["a"],"min_p":0.10}',
      (edit('{"model":"x","temperature":1,"logprobs":true,' .. M .. "}",
      nil, { { "logprobs" }, { "temperature", "0" }, { "stop", '["a"]' }, { "extra", '{"min_p":0.10}' } })))
    assert.equal('{"model":"up",' .. M .. ',"max_tokens":5}', (edit('{"model":"x","max_completion_tokens":9,' .. M .. "}", nil,
      { { "max_tokens", "5" } })))
  end)

  it("lets overrides meet the service's own names", function()
    assert.equal('{"model":"up",' .. M .. ',"random_seed":7}', (edit('{"model":"x",' .. M .. "}", { seed = "random_seed" }, { { "seed",
      "7" } })))
  end)

  it("[F12] hands on a vendor's own switches", function()
    local body = '{"model":"up",' .. M .. ',"thinking":{"type":"disabled","clear_thinking":true},"provider":{"only":["a"]}}'
    assert.equal(body, (edit(body)))
    assert.equal(body, (edit(body, { reasoning = "thinking", max_tokens = "max_tokens" })))
  end)

  it("says a wish to think in the service's form", function()
    local body = '{"model":"up",' .. M .. ',"reasoning_effort":"none"}'
    assert.equal('{"model":"up",' .. M .. ',"thinking":{"type":"disabled"}}', (edit(body, { reasoning = "thinking" })))
    assert.equal('{"model":"up",' .. M .. ',"thinking":{"type":"disabled"}}', (edit('{"model":"up",' .. M
      .. ',"thinking":{"type":"enabled"}}',
      { reasoning = "thinking" }, { { "reasoning_effort", '"none"' } })))
  end)

  it("renames, strips and says so", function()
    local out, dropped = edit('{"model":"x","max_completion_tokens":5,"user":"u","temperature":0.5,"seed":1,"metadata":{},' .. M .. "}",
      { max_tokens = "max_tokens", unsupported = { "user", "metadata" }, no_sampling = true, seed = "random_seed" })
    assert.equal('{"model":"up",' .. M .. ',"max_tokens":5,"random_seed":1}', out)
    assert.equal("temperature, metadata, user", dropped)
  end)

  it("leaves the client's own name for a thing where the service knows both", function()
    local body = '{"model":"up","max_completion_tokens":5,"safety_identifier":"u","prompt_cache_key":"k",' .. M .. "}"
    assert.equal(body, (edit(body, { max_stop = 4 }, nil, { native = true })))
  end)

  it("turns thinking off where it must be", function()
    local body = '{"model":"up",' .. M .. ',"enable_thinking":true}'
    local out, dropped = edit(body, { reasoning = "enable_thinking", thinking_off_unstreamed = true })
    assert.equal('{"model":"up",' .. M .. ',"enable_thinking":false}', out)
    assert.equal("reasoning_effort", dropped)
  end)

  it("changes only the messages a quirk is about", function()
    local body = '{"model":"up","messages":[{"role":"developer", "content":"s"},{"role":"user", "content":"x", "zed":1},'
      .. '{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]},'
      .. '{"role":"tool","tool_call_id":"c1","content":"r"}]}'
    assert.equal((body:gsub('{"role":"developer", "content":"s"}', '{"role":"system","content":"s"}')), (edit(body, { system = "system" })))
    assert.equal((body:gsub('"content":null', '"content":""')), (edit(body, { empty_content = "text" })))
    assert.equal((body:gsub('"c1","content"', '"c1","name":"f","content"')), (edit(body, { tool_result_name = true })))
    local nine = edit(body, { tool_ids = "nine" })
    assert.matches('"zed":1', nine)
    local id = nine:match '"id":"(%w+)"'
    assert.equal(9, #id)
    assert.equal(id, nine:match '"tool_call_id":"(%w+)"')
  end)

  it("writes all messages anew where their number changes", function()
    local body = '{"model":"up","messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":'
      .. '{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c1","content":"r"},{"role":"user","content":"x"}]}'
    assert.equal((body:gsub(',{"role":"user"', ',{"role":"assistant","content":"Understood."}%0')), (edit(body,
      { assistant_after_tool = true })))
  end)

  it("sends no other model's states to a service with quirks", function()
    local turn = '{"role":"assistant","content":"a","reasoning_content":"why","reasoning_details":[{"type":"reasoning.text",'
      .. '"signature":"s",'
      .. '"format":"anthropic_messages","index":0}]}'
    local body = '{"model":"up","messages":[{"role":"user","content":"x"},' .. turn .. ',{"role":"user","content":"y"}]}'
    assert.matches('{"role":"assistant","content":"a"},', (edit(body, { reasoning_back = "never" })), 1, true)
    assert.matches('{"role":"assistant","content":"a","reasoning_content":"why"},', (edit(body, { reasoning_back = "always" })), 1, true)
  end)

  it("[F13] [F14] keep to one history", function()
    local body = '{"model":"x","messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"call_long_id",'
      .. '"type":"function","function":'
      .. '{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"call_long_id","content":"r"},{"role":"user","content":"x"}]}'
    local out = edit(body, { tool_ids = "nine", assistant_after_tool = true })
    assert.equal(out:match '"id":"(%w+)"', out:match '"tool_call_id":"(%w+)"')
    assert.matches("Understood", out)
  end)
end)
