local build = require "perilune.dialects.chat_build"
local json = require "perilune.json"
local shape = require "perilune.shape"

-- The members of the body that is built but for model and messages, and what was dropped.
local function built(request, quirks, more)
  local target = {
    provider = "other", dialect = "openai_chat", upstream = "up", quirks = quirks or {},
    abilities = { tools = true, reasoning = true },
  }
  for k, v in pairs(more or {}) do
    target[k] = v
  end
  request.messages = request.messages or { { role = "user", parts = { { kind = "text", text = "x" } } } }
  request.extra, request.dialect = request.extra or {}, request.dialect or "other"
  local drops = shape.drops()
  local http = build.build(request, target, drops)
  assert.equal("/chat/completions", http.path)
  local fields = assert(json.fields(http.body))
  assert.equal('"up"', fields.model)
  local messages = fields.messages
  fields.model, fields.messages = nil, nil
  return fields, drops:list(), messages
end

local OPENAI = { native = true }
local TOOLS = { { name = "f", schema = '{"z":1}', strict = true }, { name = "g", description = "d" } }

describe("chat_build, fields", function()
  it("asks for usage with every stream, unless the service knows no such thing", function()
    assert.same({ stream = "true", stream_options = '{"include_usage":true}' }, (built { stream = true }))
    assert.same({ stream = "true" }, (built({ stream = true }, { no_stream_options = true })))
    assert.same({}, (built { stream = false }))
  end)

  it("[F17] bounds the answer under the name the model takes, and takes out sampling where it is refused", function()
    assert.same({ max_completion_tokens = "9" }, (built({ max_tokens = 9 }, nil, OPENAI)))
    assert.same({ max_tokens = "9" }, (built { max_tokens = 9 }))
    assert.same({ max_completion_tokens = "9" }, (built({ max_tokens = 9 }, { max_tokens = "max_completion_tokens" })))
    local out, dropped = built({ max_tokens = 9, temperature = "0.5", top_p = "1", presence_penalty = "0" }, { no_sampling = true }, OPENAI)
    assert.same({ max_completion_tokens = "9" }, out)
    assert.equal("temperature, top_p, presence_penalty", dropped)
  end)

  it("keeps the bound within what the model can", function()
    local out, dropped = built({ max_tokens = 9000 }, nil, { max_output = 4096 })
    assert.same({ { max_tokens = "4096" }, "max_tokens" }, { out, dropped })
    assert.is_nil(select(2, built({ max_tokens = 4096 }, nil, { max_output = 4096 })))
  end)

  it("[F19] leaves out what a service refuses, and names it", function()
    local request = { metadata = '{"a":"b"}', user = "u", logprobs = true, seed = "5", store = false, temperature = "0.70" }
    local out, dropped = built(request, { unsupported = { "metadata", "user", "logprobs", "seed" }, seed = "random_seed" })
    assert.same({ store = "false", temperature = "0.70" }, out)
    assert.equal("seed, logprobs, metadata, user", dropped)
  end)

  it("calls a seed what the service does", function()
    assert.same({ random_seed = "5" }, (built({ seed = "5" }, { seed = "random_seed" })))
  end)

  it("stays within the counts of a service", function()
    local out, dropped = built({ n = 3, stop = { "a", "b", "c" } }, { max_n = 2, max_stop = 2 })
    assert.same({ n = "2", stop = '["a","b"]' }, out)
    assert.equal("n, stop", dropped)
    assert.same({}, (built({ n = 1 }, { max_n = 1 })))
    out, dropped = built({ stop = { "a" } }, { max_stop = 0 })
    assert.same({ {}, "stop" }, { out, dropped })
  end)

  it("tells only OpenAI what is OpenAI's alone", function()
    local request = { user = "u", cache_key = "k", top_k = "5" }
    local out, dropped = built(request, nil, OPENAI)
    assert.same({ safety_identifier = '"u"', prompt_cache_key = '"k"' }, out)
    assert.equal("top_k", dropped)
    assert.same({ user = '"u"', top_k = "5" }, (built(request)))
    assert.same({ user = '"' .. ("u"):rep(65) .. '"' }, (built({ user = ("u"):rep(65) }, nil, OPENAI)))
  end)

  it("knows the tiers of its own dialect", function()
    assert.same({ service_tier = '"flex"' }, (built { service_tier = "flex" }))
    assert.equal("service_tier", select(2, built { service_tier = "standard_only" }))
  end)

  it("[F12] hands on what the client said beyond the dialect to services of the same, and names it elsewhere", function()
    local request = { extra = { { "min_p", "0.10" }, { "top_a", "1" } }, dialect = "openai_chat" }
    local out, dropped = built(request, { unsupported = { "top_a" } })
    assert.same({ { min_p = "0.10" }, "top_a" }, { out, dropped })
    out, dropped = built { extra = { { "context_management", "{}" } }, dialect = "anthropic_messages" }
    assert.same({ {}, "context_management" }, { out, dropped })
  end)

  it("keeps what a template is told when thinking is asked for in it", function()
    local request = { extra = { { "chat_template_kwargs", '{"x":1}' } }, dialect = "openai_chat", reasoning = { effort = "low" } }
    assert.same({ chat_template_kwargs = '{"x":1,"enable_thinking":true}' }, (built(request, { reasoning = "chat_template_kwargs" })))
    assert.same({ chat_template_kwargs = '{"x":1}', reasoning_effort = '"low"' }, (built(request)))
  end)
end)

describe("chat_build, tools", function()
  it("are what was said", function()
    assert.same({
      tools = '[{"type":"function","function":{"name":"f","parameters":{"z":1},"strict":true}},'
        .. '{"type":"function","function":{"name":"g","description":"d"}}]',
      tool_choice = '{"type":"function","function":{"name":"g"}}', parallel_tool_calls = "false",
    }, (built { tools = TOOLS, tool_choice = { mode = "named", name = "g" }, parallel = false }))
    assert.same({}, (built { parallel = false, tool_choice = { mode = "auto" } }))
  end)

  it("follow the service's ways", function()
    local out = built({ tools = { TOOLS[1] }, tool_choice = { mode = "required" }, stream = true },
      { no_strict = true, required_choice = "any", tool_stream = true, no_stream_options = true })
    assert.same({
      tools = '[{"type":"function","function":{"name":"f","parameters":{"z":1}}}]', tool_choice = '"any"', tool_stream = "true",
        stream = "true",
    }, out)
  end)

  it("that only some may be called of are told so, or are the only ones", function()
    local request = { tools = TOOLS, tool_choice = { mode = "required", names = { "g" } } }
    assert.equal('{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"g"}}]}}',
      built(request, nil, OPENAI).tool_choice)
    assert.same({ tools = '[{"type":"function","function":{"name":"g","description":"d"}}]', tool_choice = '"required"' }, (built(request)))
  end)

  it("[F21] that take text are functions of one string where the service is not OpenAI", function()
    local request = {
      tools = { { name = "patch", description = "edits", custom = true, grammar = '{"type":"text"}' } },
      tool_choice = { mode = "named", name = "patch", custom = true },
    }
    local out = built(request)
    local tool = json.read(out.tools)[1]
    assert.same({ "function", "patch", "edits\n\nThe input has to follow this format: {\"type\":\"text\"}" },
      { tool.type, tool["function"].name, tool["function"].description })
    assert.same({ "input" }, tool["function"].parameters.required)
    assert.equal('{"type":"function","function":{"name":"patch"}}', out.tool_choice)
    assert.same({
      tools = '[{"type":"custom","custom":{"name":"patch","description":"edits","format":{"type":"text"}}}]',
      tool_choice = '{"type":"custom","custom":{"name":"patch"}}',
    }, (built(request, nil, OPENAI)))
  end)

  it("of other services are named and left out", function()
    local out, dropped = built {
      tools = {
        { name = "web_search", hosted = { dialect = "anthropic_messages", type = "web_search_20250305", raw = "{}" } },
        { name = "x", hosted = { dialect = "openai_chat", type = "x", raw = '{"type":"x"}' } },
      },
    }
    assert.same({ { tools = '[{"type":"x"}]' }, "tools.web_search_20250305" }, { out, dropped })
  end)

  it("come from the history where the service wants them with it", function()
    local call = { kind = "call", id = "c", name = "f", arguments = "{}" }
    local request = { messages = { { role = "assistant", parts = { call, call } } } }
    assert.same({
      tools = '[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}}]', tool_choice = '"none"',
    }, (built(request, { tools_from_history = true })))
    assert.same({}, (built(request)))
  end)
end)

describe("chat_build, formats", function()
  local format = { kind = "schema", name = "n", schema = '{"z":1,"a":2}', strict = true }

  it("are a schema where the service knows them", function()
    assert.same({ response_format = '{"type":"json_schema","json_schema":{"name":"n","schema":{"z":1,"a":2},"strict":true}}' },
      (built { format = format }))
    assert.same({ response_format = '{"type":"json_object"}' }, (built { format = { kind = "json" } }))
    assert.same({ response_format = '{"type":"text"}' }, (built { format = { kind = "text" } }))
  end)

  it("are told in words where it does not", function()
    local out, _, messages = built({ format = format }, { no_json_schema = true })
    assert.same({ response_format = '{"type":"json_object"}' }, out)
    local list = json.read(messages)
    assert.same({ "system", "user" }, { list[1].role, list[2].role })
    assert.matches("JSON Schema:\n{\"z\":1,\"a\":2}$", list[1].content)
    local first = { role = "system", parts = { { kind = "text", text = "be brief" } } }
    _, _, messages = built({ format = format, messages = { first, { role = "user", parts = { { kind = "text", text = "x" } } } } },
      { no_json_schema = true })
    list = json.read(messages)
    assert.equal(2, #list)
    assert.equal("be brief", list[1].content[1].text)
    assert.equal(1, #first.parts)
  end)
end)
