local fields = require "perilune.dialects.chat_fields"
local json = require "perilune.json"

local function empty()
  return { stream = false, wants_usage = false, messages = {}, fields = {}, extra = {}, dialect = "openai_chat" }
end

-- What a body's fields make of a request, but for what all have.
local function read(body)
  local request = empty()
  local _, problem = fields.guard(function()
    local keys
    request.fields, keys = json.ordered(body)
    fields.read(request, keys)
    return true
  end)
  request.fields, request.messages, request.dialect = nil, nil, nil
  request.extra = request.extra[1] and request.extra or nil
  request.stream = request.stream or nil
  request.wants_usage = request.wants_usage or nil
  return problem or request
end

describe("chat_fields.read", function()
  for body, expected in pairs {
    ['{"stream":true,"stream_options":{"include_usage":true}}'] = { stream = true, wants_usage = true },
    ['{"stream":null,"stream_options":null,"n":null,"tools":null,"foo":null}'] = {},
    ['{"temperature":0.70,"top_p":1,"top_k":5,"frequency_penalty":-2,"presence_penalty":1e-1}'] = {
      temperature = "0.70", top_p = "1", top_k = "5", frequency_penalty = "-2", presence_penalty = "1e-1",
    },
    ['{"seed":12345678901234567890,"logit_bias":{"5":-1},"logprobs":true,"top_logprobs":3}'] = {
      seed = "12345678901234567890", logit_bias = '{"5":-1}', logprobs = true, top_logprobs = "3",
    },
    ['{"max_tokens":5}'] = { max_tokens = 5 },
    ['{"max_completion_tokens":6,"max_tokens":5}'] = { max_tokens = 6 },
    ['{"max_tokens":5,"max_completion_tokens":null}'] = { max_tokens = 5 },
    ['{"n":2,"stop":"a"}'] = { n = 2, stop = { "a" } },
    ['{"stop":["a","b"]}'] = { stop = { "a", "b" } },
    ['{"user":"u","safety_identifier":"s"}'] = { user = "s" },
    ['{"user":"u"}'] = { user = "u" },
    ['{"prompt_cache_key":"k","service_tier":"flex","store":false,"metadata":{"a":"b"},"verbosity":"low"}'] = {
      cache_key = "k", service_tier = "flex", store = false, metadata = '{"a":"b"}', verbosity = "low",
    },
    ['{"modalities":["text","audio"],"audio":{"voice":"x","format":"wav"},"prediction":{"type":"content","content":"x"}}'] = {
      modalities = '["text","audio"]', audio = '{"voice":"x","format":"wav"}', prediction = '{"type":"content","content":"x"}',
    },
    ['{"web_search_options":{"search_context_size":"low"}}'] = { web_search = '{"search_context_size":"low"}' },
    ['{"prompt_cache_options":{"mode":"implicit"},"moderation":{}}'] = {
      extra = { { "prompt_cache_options", '{"mode":"implicit"}' }, { "moderation", "{}" } },
    },
    ['{"models":["a"],"route":"fallback","model":"x"}'] = {},
    ['{"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"z":1,"a":2},"strict":true}}]}'] = {
      tools = { { name = "f", description = "d", schema = '{"z":1,"a":2}', strict = true } },
    },
    ['{"tools":[{"type":"function","function":{"name":"f","parameters":null,"strict":null},"cache_control":{"type":"ephemeral"}}]}'] = {
      tools = { { name = "f", cache = '{"type":"ephemeral"}' } },
    },
    ['{"tools":[{"type":"custom","custom":{"name":"p","description":"d","format":{"type":"text"}}}]}'] = {
      tools = { { name = "p", description = "d", custom = true, grammar = '{"type":"text"}' } },
    },
    ['{"tools":[{"type":"web_search","x":1}]}'] = {
      tools = { { name = "web_search", hosted = { dialect = "openai_chat", type = "web_search", raw = '{"type":"web_search","x":1}' } } },
    },
    ['{"functions":[{"name":"f"}],"function_call":{"name":"f"}}'] = {
      tools = { { name = "f" } }, parallel = false, tool_choice = { mode = "named", name = "f" },
    },
    ['{"function_call":"none","parallel_tool_calls":true}'] = { tool_choice = { mode = "none" }, parallel = true },
    ['{"tool_choice":"any"}'] = { tool_choice = { mode = "required" } },
    ['{"tool_choice":{"type":"function","function":{"name":"f"}}}'] = { tool_choice = { mode = "named", name = "f" } },
    ['{"tool_choice":{"type":"custom","custom":{"name":"p"}}}'] = { tool_choice = { mode = "named", name = "p", custom = true } },
    ['{"tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function",'
      .. '"function":{"name":"f"}}]}}}'] = {
      tool_choice = { mode = "required", names = { "f" } },
    },
    ['{"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"f"}]}}'] = {
      tool_choice = { mode = "auto", names = { "f" } },
    },
    ['{"response_format":{"type":"text"}}'] = { format = { kind = "text" } },
    ['{"response_format":{"type":"json_object"}}'] = { format = { kind = "json" } },
    ['{"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"b":1},"strict":true,"description":"d"}}}'] = {
      format = { kind = "schema", name = "n", schema = '{"b":1}', strict = true, description = "d" },
    },
  } do
    it("reads " .. body, function()
      assert.same(expected, read(body))
    end)
  end

  for body, expected in pairs {
    ['{"temperature":"hot"}'] = { param = "temperature", message = "temperature: expected a number, got a string." },
    ['{"max_tokens":1.5}'] = { param = "max_tokens", message = "max_tokens: expected a whole number, got 1.5." },
    ['{"stop":[1]}'] = { param = "stop[0]", message = "stop[0]: expected a string, got a number." },
    ['{"tools":[{"type":"function"}]}'] = { param = "tools[0].function", message = "tools[0].function: expected an object, got nothing." },
    ['{"tools":[{"function":{}}]}'] = { param = "tools[0].function.name", message = "tools[0].function.name: a name is missing." },
    ['{"tool_choice":"maybe"}'] = {
      param = "tool_choice", message = 'tool_choice: expected "auto", "none" or "required", got "maybe".',
    },
    ['{"tool_choice":{"type":"x"}}'] = { param = "tool_choice.type", message = 'tool_choice.type: "x" is no kind of choice.' },
    ['{"response_format":{"type":"xml"}}'] = {
      param = "response_format.type", message = 'response_format.type: expected "text", "json_object" or "json_schema".',
    },
    ['{"stream_options":{"include_usage":1}}'] = {
      param = "stream_options.include_usage", message = "stream_options.include_usage: expected true or false, got a number.",
    },
  } do
    it("names the place of what is wrong in " .. body, function()
      assert.same(expected, read(body))
    end)
  end
end)

describe("chat_fields.set", function()
  it("sets and takes out", function()
    local request = empty()
    assert.is_true(fields.set(request, "temperature", "0.5"))
    assert.is_true(fields.set(request, "max_completion_tokens", "7"))
    assert.is_true(fields.set(request, "reasoning_effort", '"low"'))
    assert.same({ "0.5", 7, { effort = "low" } }, { request.temperature, request.max_tokens, request.reasoning })
    for _, name in ipairs { "temperature", "max_tokens", "reasoning_effort" } do
      assert.is_true(fields.set(request, name))
    end
    assert.same(empty(), request)
  end)

  it("takes null for nothing, and knows what a flag is then", function()
    local request = empty()
    request.stream, request.wants_usage = true, true
    assert.is_true(fields.set(request, "stream", "null"))
    assert.is_true(fields.set(request, "stream_options"))
    assert.same(empty(), request)
  end)

  it("sets tools of the old kind, and takes them out", function()
    local request = empty()
    assert.is_true(fields.set(request, "functions", '[{"name":"f"}]'))
    assert.same({ { name = "f" } }, request.tools)
    assert.is_true(fields.set(request, "functions"))
    assert.is_nil(request.tools)
  end)

  it("does not know what is not OpenAI's, nor values of another kind", function()
    local request = empty()
    assert.is_false((fields.set(request, "min_p", "0.1")))
    local set, problem = fields.set(request, "temperature", '"x"')
    assert.is_false(set)
    assert.equal("temperature", problem.param)
    assert.same(empty(), request)
  end)

  it("takes out what the client said beyond the dialect", function()
    local request = empty()
    request.extra = { { "min_p", "1" }, { "x", "2" } }
    assert.is_true(fields.set(request, "min_p"))
    assert.is_false((fields.set(request, "y")))
    assert.same({ { "x", "2" } }, request.extra)
  end)
end)
