local bedrock = require "perilune.dialects.bedrock_build"
local json = require "perilune.json"
local shape = require "perilune.shape"
local shapes = require "support.shapes"

local function text(s, cache)
  return { kind = "text", text = s, cache = cache }
end

local function call(id, name, arguments)
  return { kind = "call", id = id, name = name, arguments = arguments or "{}" }
end

local function result(id, said)
  return { kind = "result", id = id, parts = { text(said) } }
end

local function message(role, ...)
  return { role = role, parts = { ... } }
end

local CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
local TOOL = { name = "f", description = "does f", schema = '{"type":"object","properties":{"b":{},"a":{}},"x-own":[]}' }

-- A request with `fields` in it, built: the body decoded, the rest, and what was dropped.
local function build(fields, quirks, upstream, more)
  local request = { stream = false, wants_usage = true, messages = { message("user", text "hi") }, extra = {}, fields = {},
    dialect = "openai_chat" }
  for key, value in pairs(fields) do
    request[key] = value
  end
  local target = {
    id = "bedrock/m", model = "m", upstream = upstream or CLAUDE, provider = "bedrock", dialect = "bedrock_converse", abilities = {},
    quirks = quirks or {}, max_output = more and more.max_output,
  }
  local drops = shape.drops()
  local http = assert(bedrock.build(request, target, drops))
  return assert(json.decode(http.body)), http, drops:list()
end

describe("bedrock_converse, messages", function()
  it("[F20] are the whole history, with system text apart and no empty texts", function()
    local _, http = build {
      messages = {
        message("system", text "s1", text "  ", text "s2"), message("user", text "one", text ""), message("user", text "two"),
        message("assistant", text "three"), message("user", text "four"), message("assistant", text "\n"), message("user", text "six"),
      },
    }
    assert.equal('{"messages":[{"role":"user","content":[{"text":"one"},{"text":"two"}]},{"role":"assistant","content":[{"text":"three"}]},'
      .. '{"role":"user","content":[{"text":"four"},{"text":"six"}]}],"system":[{"text":"s1"},{"text":"s2"}]}', http.body)
  end)

  it("[F3] answer calls in one turn, in their order and before text", function()
    local body = build {
      tools = { TOOL },
      messages = {
        message("user", text "go"), message("assistant", text "so", call("a", "f", '{"z":1}'), call("b", "f")), message("user",
          text "and?"),
        message("tool", result("b", "2"), { kind = "result", id = "a", parts = {}, error = true }),
      },
    }
    assert.equal(3, #body.messages)
    assert.same({ { text = "so" }, { toolUse = { toolUseId = "a", name = "f", input = { z = 1 } } },
      { toolUse = { toolUseId = "b", name = "f", input = {} } } }, body.messages[2].content)
    assert.same({
      { toolResult = { toolUseId = "a", content = { { text = "(no output)" } }, status = "error" } },
      { toolResult = { toolUseId = "b", content = { { text = "2" } } } }, { text = "and?" },
    }, body.messages[3].content)
  end)

  it("begin with the user, and say something where nobody did", function()
    for _, messages in ipairs { { message("system", text "s") }, {}, { message("assistant", text "a") }, { message("user", text "") } } do
      local body = build { messages = messages }
      assert.equal("user", body.messages[1].role)
      assert.matches("%S", body.messages[1].content[1].text)
    end
  end)

  it("have pictures and documents as bytes, and leave out what Bedrock can not fetch", function()
    local body, _, dropped = build {
      messages = {
        message("user", text "look", { kind = "image", data = "/9j/4AAQ" }, { kind = "image", url = "s3://b/p.png" },
          { kind = "image", url = "https://example.com/a.png" }, { kind = "image", data = "AA", mime = "image/bmp" },
          { kind = "file", data = "JVBERi", name = "my_file: v2.pdf" }, { kind = "file", data = "AA", mime = "text/csv" },
          { kind = "file", text = "plain" }, { kind = "file", file_id = "file-1" }, { kind = "audio", data = "AA", format = "wav" }),
      },
    }
    assert.same({
      { text = "look" }, { image = { format = "jpeg", source = { bytes = "/9j/4AAQ" } } },
      { image = { format = "png", source = { s3Location = { uri = "s3://b/p.png" } } } },
      { document = { format = "pdf", name = "my file v2", source = { bytes = "JVBERi" } } },
      { document = { format = "csv", name = "document (2)", source = { bytes = "AA" } } }, { text = "plain" },
    }, body.messages[1].content)
    assert.equal("messages[0].image_url, messages[0].file, messages[0].input_audio", dropped)
  end)

  it("have the thoughts this model had, and no other's", function()
    local function thought(by, kind, model)
      return { kind = "reasoning", text = kind == "signature" and "t" or nil, state = { kind = kind, value = "c2ln", by = by,
        model = model } }
    end
    local body = build {
      messages = {
        message("user", text "x"),
        message("assistant", thought("bedrock_converse", "signature"), thought("bedrock_converse", "redacted", CLAUDE),
          thought("bedrock_converse", "signature", "another"), thought("anthropic_messages", "signature"), { kind = "reasoning",
            text = "u" },
          text "a"),
      },
    }
    assert.same({
      { reasoningContent = { reasoningText = { text = "t", signature = "c2ln" } } }, { reasoningContent = { redactedContent = "c2ln" } },
      { text = "a" },
    }, body.messages[2].content)
  end)

  it("mark what is to be cached, where the target takes marks", function()
    local fields = {
      messages = {
        message("system", text("s", '{"type":"ephemeral"}')), message("user", text("hi", '{"type":"ephemeral"}'), text "there"),
        message("assistant", call("a", "f")),
        message("tool", { kind = "result", id = "a", parts = { text "1" }, cache = '{"type":"ephemeral"}' }),
      },
      tools = { { name = "f", cache = '{"type":"ephemeral"}' } },
    }
    local body = build(fields)
    local mark = { cachePoint = { type = "default" } }
    assert.same({ { text = "s" }, mark }, body.system)
    assert.same({ { text = "hi" }, mark, { text = "there" } }, body.messages[1].content)
    assert.same(mark, body.messages[3].content[2])
    assert.same(mark, body.toolConfig.tools[2])
    assert.is_nil(build(fields, { unsupported = { "cache_control" } }) and select(2, build(fields,
      { unsupported = { "cache_control" } })).body
      :find("cachePoint", 1, true))
  end)

  it("keep of other dialects' blocks what results hold; the rest is dropped by name", function()
    local foreign = { kind = "opaque", dialect = "anthropic_messages", raw = '{"type":"search_result"}' }
    local body, _, dropped = build {
      messages = {
        message("user", text "x", foreign), message("assistant", call("a", "f"), { kind = "opaque", dialect = "bedrock_converse",
          raw = '{"x":1}' }),
        message("tool", { kind = "result", id = "a", parts = { foreign } }),
      },
    }
    assert.same({ x = 1 }, body.messages[2].content[2])
    assert.same({ { text = foreign.raw } }, body.messages[3].content[1].toolResult.content)
    assert.equal("messages[0].search_result", dropped)
  end)

  it("have names and ids Bedrock can write, everywhere alike", function()
    local id = "call|" .. ("x"):rep(80)
    local body, http = build {
      tools = { { name = "a.b" } }, tool_choice = { mode = "named", name = "a.b" },
      messages = { message("user", text "x"), message("assistant", call(id, "a.b")), message("tool", result(id, "1")) },
    }
    local use = body.messages[2].content[1].toolUse
    assert.matches("^[%w_-]+$", use.toolUseId)
    assert.equal(64, #use.toolUseId)
    assert.equal(use.toolUseId, body.messages[3].content[1].toolResult.toolUseId)
    assert.equal(use.name, body.toolConfig.tools[1].toolSpec.name)
    assert.equal(use.name, body.toolConfig.toolChoice.tool.name)
    assert.same({ [use.name] = "a.b" }, http.names)
  end)
end)

describe("bedrock_converse, tools", function()
  it("have their schemas as they came, and always one", function()
    local _, http = build { tools = { TOOL, { name = "g", description = " " }, { name = "h", schema = '{"properties":{}}' } } }
    assert.matches('"toolConfig":{"tools":[{"toolSpec":{"name":"f","description":"does f","inputSchema":{"json":' .. TOOL.schema .. '}}},'
      .. '{"toolSpec":{"name":"g","inputSchema":{"json":{"type":"object","properties":{}}}}},'
      .. '{"toolSpec":{"name":"h","inputSchema":{"json":{"properties":{},"type":"object"}}}}]}', http.body, 1, true)
  end)

  it("[F6] are taken from the history where the request has none, and are not to be called", function()
    local history = {
      message("user", text "x"), message("assistant", call("a", "f"), call("b", "g"), call("c", "f")),
      message("tool", result("a", "1"), result("b", "2"), result("c", "3")),
    }
    local body = build { messages = history }
    assert.equal(2, #body.toolConfig.tools)
    assert.equal("f", body.toolConfig.tools[1].toolSpec.name)
    assert.equal("object", body.toolConfig.tools[1].toolSpec.inputSchema.json.type)
    assert.equal("g", body.toolConfig.tools[2].toolSpec.name)
    assert.is_nil(body.toolConfig.toolChoice)
    assert.matches("not call", body.system[1].text)
    assert.is_nil(build({}).toolConfig)
  end)

  it("are left out when none may be called, unless the history calls some", function()
    assert.is_nil(build({ tools = { TOOL }, tool_choice = { mode = "none" } }).toolConfig)
    local body = build {
      tools = { TOOL }, tool_choice = { mode = "none" },
      messages = { message("system", text "s"), message("user", text "x"), message("assistant", call("a", "f")), message("tool",
        result("a", "1")) },
    }
    assert.equal("does f", body.toolConfig.tools[1].toolSpec.description)
    assert.matches("not call", body.system[2].text)
  end)

  for _, case in ipairs {
    { { mode = "auto" }, '{"auto":{}}' }, { { mode = "required" }, '{"any":{}}' }, { { mode = "named", name = "f" },
      '{"tool":{"name":"f"}}' },
  } do
    it("may be called as told: " .. case[2], function()
      local _, http = build { tools = { TOOL }, tool_choice = case[1] }
      assert.matches('"toolChoice":' .. case[2] .. "}", http.body, 1, true)
    end)
  end

  it("are only those that may be called", function()
    local body = build { tools = { TOOL, { name = "g" } }, tool_choice = { mode = "required", names = { "g" } } }
    assert.equal(1, #body.toolConfig.tools)
    assert.equal("g", body.toolConfig.tools[1].toolSpec.name)
    assert.same({ any = {} }, body.toolConfig.toolChoice)
  end)

  it("are not forced where that is refused", function()
    local body, _, dropped = build({ tools = { TOOL }, tool_choice = { mode = "required" } }, { no_forced_tools = true })
    assert.is_nil(body.toolConfig.toolChoice)
    assert.equal("tool_choice", dropped)
  end)

  it("take text as one text of an object, and are no other provider's", function()
    local body, _, dropped = build {
      tools = {
        { name = "patch", custom = true, description = "d", grammar = "{}" },
        { name = "x", hosted = { dialect = "openai_responses", type = "web_search", raw = "{}" } },
        { name = "y", hosted = { dialect = "bedrock_converse", type = "systemTool", raw = '{"systemTool":{"name":"n"}}' } },
      },
      messages = {
        message("user", text "x"), message("assistant", { kind = "call", id = "a", name = "patch", custom = true, arguments = "*** x" }),
        message("tool", result("a", "ok")),
      },
    }
    assert.same({ input = "*** x" }, body.messages[2].content[1].toolUse.input)
    assert.same({ "input" }, body.toolConfig.tools[1].toolSpec.inputSchema.json.required)
    assert.same({ systemTool = { name = "n" } }, body.toolConfig.tools[2])
    assert.equal("tools[1].web_search", dropped)
  end)
end)

describe("bedrock_converse, a format for the answer", function()
  local FORMAT = { kind = "schema", name = "shape", schema = '{"type":"object","z":1,"a":[]}' }

  it("is a tool that must be called, and no other tool's name", function()
    local body, http = build { format = FORMAT }
    assert.equal("shape", http.emulated)
    assert.same({ tool = { name = "shape" } }, body.toolConfig.toolChoice)
    assert.matches('"json":' .. FORMAT.schema, http.body, 1, true)
    body, http = build { format = FORMAT, tools = { TOOL, { name = "shape" } } }
    assert.equal("shape_as_answer", http.emulated)
    assert.same({ any = {} }, body.toolConfig.toolChoice)
    assert.equal("shape_as_answer", body.toolConfig.tools[3].toolSpec.name)
    assert.is_nil(http.names)
    body, http = build { format = FORMAT, tools = { TOOL }, tool_choice = { mode = "none" } }
    assert.equal(1, #body.toolConfig.tools)
    assert.equal("shape", http.emulated)
  end)

  it("is asked for in words where no tool can stand in, which is said", function()
    local body, http, dropped = build({ format = FORMAT }, { no_forced_tools = true })
    assert.is_nil(http.emulated)
    assert.matches(FORMAT.schema, body.system[1].text, 1, true)
    assert.equal("response_format", dropped)
    body, http, dropped = build { format = { kind = "json" } }
    assert.is_nil(http.emulated)
    assert.matches("JSON", body.system[1].text)
    assert.equal("response_format", dropped)
    assert.is_nil(build({ format = { kind = "text" } }).system)
  end)
end)

describe("bedrock_converse, settings", function()
  it("are what was said, numbers as they were written", function()
    local _, http = build { max_tokens = 100, temperature = "0.70", top_p = "0.9", stop = { "A", " ", "B" }, top_k = "40" }
    assert.matches('"inferenceConfig":{"maxTokens":100,"temperature":0.70,"topP":0.9,"stopSequences":["A","B"]},'
      .. '"additionalModelRequestFields":{"top_k":40}', http.body, 1, true)
    assert.same({ inferenceConfig = { topK = 40 } },
      build({ top_k = "40" }, {}, "us.amazon.nova-pro-v1:0").additionalModelRequestFields)
  end)

  it("drop what Converse can not do, and say so", function()
    local body, _, dropped = build {
      temperature = "1.5", seed = "1", n = 2, frequency_penalty = "1", presence_penalty = "1", logprobs = true, top_logprobs = "1",
      logit_bias = "{}", parallel = false, service_tier = "flex", store = true, user = "u", metadata = "{}", verbosity = "low",
      cache_key = "k", audio = "{}", prediction = "{}", web_search = "{}", modalities = '["audio"]', extra = { { "own", "1" } },
    }
    assert.equal(1, body.inferenceConfig.temperature)
    assert.equal("temperature, frequency_penalty, presence_penalty, seed, logprobs, top_logprobs, logit_bias, service_tier, store, user, "
      .. "metadata, verbosity, prompt_cache_key, audio, prediction, web_search_options, n, parallel_tool_calls, modalities, own", dropped)
    assert.is_nil((select(3, build { parallel = true, store = false, n = 1, modalities = '["text"]' })))
    body, _, dropped = build({ temperature = "0", stop = { "1", "2" }, top_k = "1" }, { no_sampling = true, max_stop = 1 })
    assert.same({ stopSequences = { "1" } }, body.inferenceConfig)
    assert.is_nil(body.additionalModelRequestFields)
    assert.equal("top_k, temperature, stop", dropped)
  end)

  for _, case in ipairs {
    -- request, quirks, upstream, additionalModelRequestFields, dropped
    { { reasoning = { effort = "low" } }, {}, CLAUDE, '{"thinking":{"type":"enabled","budget_tokens":2048}}' },
    { { reasoning = { budget = 10 } }, {}, CLAUDE, '{"thinking":{"type":"enabled","budget_tokens":1024}}' },
    { { reasoning = { effort = "high" }, max_tokens = 4000 }, {}, CLAUDE, '{"thinking":{"type":"enabled","budget_tokens":3999}}' },
    { { reasoning = { effort = "high" }, max_tokens = 500 }, {}, CLAUDE, nil, "reasoning_effort" },
    { { reasoning = { effort = "none" } }, {}, CLAUDE, nil },
    { { reasoning = { effort = "none" } }, { thinking = "always" }, CLAUDE, nil, "reasoning_effort" },
    { { reasoning = { effort = "none" } }, { thinking = "adaptive" }, CLAUDE, '{"thinking":{"type":"disabled"}}' },
    { { reasoning = { effort = "xhigh" } }, { thinking = "adaptive" }, CLAUDE,
      '{"thinking":{"type":"adaptive"},"output_config":{"effort":"high"}}' },
    { { reasoning = { effort = "medium" } }, { thinking = "always" }, CLAUDE, '{"output_config":{"effort":"medium"}}' },
    { { reasoning = { summary = "auto" } }, {}, CLAUDE, nil },
    { { reasoning = { effort = "high" }, top_k = "5", temperature = "1", top_p = "1" }, {}, CLAUDE,
      '{"thinking":{"type":"enabled","budget_tokens":16384}}', "top_k, temperature, top_p" },
    { { reasoning = { effort = "high" }, tools = { TOOL }, tool_choice = { mode = "required" }, temperature = "1" }, {}, CLAUDE, nil,
      "reasoning_effort" },
    { { reasoning = { effort = "max" } }, { reasoning = "reasoning_effort", efforts = { "low", "high" } }, "openai.gpt-oss-120b-1:0",
      '{"reasoning_effort":"high"}' },
    { { reasoning = { effort = "high" } }, {}, "meta.llama3-1-8b-instruct-v1:0", nil, "reasoning_effort" },
    { { reasoning = { effort = "none" } }, {}, "meta.llama3-1-8b-instruct-v1:0", nil },
  } do
    it("think as wished: " .. tostring(case[4]) .. " for " .. json.encode(case[1]) .. " with " .. json.encode(case[2]), function()
      local _, http, dropped = build(case[1], case[2], case[3])
      assert.equal(case[4], http.body:match '"additionalModelRequestFields":(%b{})')
      assert.equal(case[5], dropped)
    end)
  end

  it("think no longer than the model can answer", function()
    local body = build({ reasoning = { effort = "max" } }, {}, CLAUDE, { max_output = 8192 })
    assert.equal(8191, body.additionalModelRequestFields.thinking.budget_tokens)
  end)
end)

describe("bedrock_converse, the address", function()
  it("has the model encoded", function()
    local _, http = build({}, {}, "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.x-v1:0")
    assert.equal("/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Ainference-profile%2Feu.x-v1%3A0/converse", http.path)
    _, http = build({ stream = true }, {}, "amazon.nova-pro-v1:0")
    assert.equal("/model/amazon.nova-pro-v1%3A0/converse-stream", http.path)
  end)
end)

describe("bedrock_converse, any request", function()
  local able = {
    fields = { "max_tokens", "temperature", "top_p", "top_k", "stop", "effort", "format", "user" },
    parts = { "image", "image_url", "audio", "file" }, result_parts = { "image" }, custom = true, allowed = true, many_texts = true,
      reasoning = true,
  }

  it("keeps what Converse insists on: turns, results for all calls, no empty texts, tools where they are used", function()
    for _, request in ipairs(shapes.requests(able, 17, 300)) do
      local body, http = build(request)
      assert.is_true(json.valid(http.body))
      local open, role, uses = {}, "assistant", false
      for _, turn in ipairs(body.messages) do
        assert.are_not.equal(role, turn.role)
        role = turn.role
        local answered = 0
        for _, block in ipairs(turn.content) do
          if block.toolResult then
            answered = answered + 1
            assert.equal(open[answered], block.toolResult.toolUseId)
            assert.is_table(block.toolResult.content[1])
          end
          assert(not block.text or block.text:find "%S")
        end
        assert.equal(#open, answered)
        open = {}
        for _, block in ipairs(turn.content) do
          open[#open + 1] = block.toolUse and block.toolUse.toolUseId
        end
        uses = uses or open[1] ~= nil
      end
      assert.same({}, open)
      assert(not uses or body.toolConfig.tools[1])
    end
  end)
end)
