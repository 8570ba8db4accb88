local gemini = require "perilune.dialects.gemini_build"
local json = require "perilune.json"
local read = require "perilune.dialects.gemini_read"
local shape = require "perilune.shape"

local function text(s)
  return { kind = "text", text = s }
end

local function call(id, name, arguments, signature)
  return { kind = "call", id = id, name = name, arguments = arguments or "{}", signature = signature }
end

local function result(id, said)
  return { kind = "result", id = id, parts = { text(said) } }
end

local function message(role, ...)
  return { role = role, parts = { ... } }
end

local function aim(quirks, more)
  local target = {
    id = "google/g", model = "g", upstream = "gemini-2.5-flash", provider = "google", dialect = "gemini",
    abilities = { reasoning = true, tools = true }, quirks = quirks or {},
  }
  for key, value in pairs(more or {}) do
    target[key] = value
  end
  return target
end

-- A request with `fields` in it, built: the body decoded and as it is, what was dropped, and the rest.
local function build(fields, quirks, more)
  local request = { stream = false, wants_usage = true, messages = { message("user", text "hi") }, extra = {}, fields = {},
    dialect = "openai_chat" }
  for key, value in pairs(fields) do
    request[key] = value
  end
  local drops = shape.drops()
  local http, problem = gemini.build(request, aim(quirks, more), drops)
  if not http then
    return nil, problem
  end
  return assert(json.decode(http.body)), http, drops:list()
end

local function contents(quirks, ...)
  return build({ messages = { ... } }, quirks).contents
end

local function config(fields, quirks, more)
  local body, _, dropped = build(fields, quirks, more)
  return body.generationConfig, dropped
end

local TOOL = { name = "f", description = "does f", schema = '{"type":"object","properties":{"b":{"type":"string"},"a":{}},"x-own":[]}' }

describe("gemini, contents", function()
  it("[F20] has the whole history, with system text apart and neighbours of one role as one", function()
    local _, http = build {
      messages = {
        message("system", text "s1", text "", text "s2"), message("user", text "one"), message("user", text "two"),
        message("assistant", text "three"), message("user", text "four"), message("assistant", text "five"), message("user", text "six"),
      },
    }
    assert.equal('{"systemInstruction":{"parts":[{"text":"s1"},{"text":"s2"}]},"contents":['
      .. '{"role":"user","parts":[{"text":"one"},{"text":"two"}]},{"role":"model","parts":[{"text":"three"}]},'
      .. '{"role":"user","parts":[{"text":"four"}]},{"role":"model","parts":[{"text":"five"}]},{"role":"user","parts":[{"text":"six"}]}]}',
      http.body)
  end)

  it("[F3] answers calls in one turn, in their order and before text, by name", function()
    local list = contents({}, message("user", text "go"), message("assistant", call("a", "f"), call("b", "g")),
      message("user", text "and?"), message("tool", result("b", "2"), result("a", "1")))
    assert.equal(3, #list)
    assert.same({
      { functionResponse = { id = "a", name = "f", response = { output = "1" } } },
      { functionResponse = { id = "b", name = "g", response = { output = "2" } } },
      { text = "and?" },
    }, list[3].parts)
  end)

  it("answers every call, also one nobody answered", function()
    local list = contents({}, message("user", text "go"), message("assistant", call("a", "f"), call("b", "g")), message("tool",
      result("b", "2")))
    assert.equal(2, #list[3].parts)
    assert.is_string(list[3].parts[1].functionResponse.response.error)
  end)

  for said, response in pairs {
    ["plain"] = '{"output":"plain"}', ["42"] = '{"output":"42"}', ['{"b":1.50,"a":[]}'] = '{"b":1.50,"a":[]}', ["[1]"] = '{"output":[1]}',
    ['{"broken'] = '{"output":"{\\"broken"}', [""] = '{"output":""}', ['{"output":"x"}'] = '{"output":"{\\"output\\":\\"x\\"}"}',
  } do
    it("makes an object of a result that is " .. said, function()
      local _, http = build { messages = { message("assistant", call("a", "f")), message("tool", result("a", said)) } }
      assert.matches('"response":' .. response .. "}", http.body, 1, true)
    end)
  end

  it("says that a result is an error, and puts its pictures behind the results", function()
    local failed = { kind = "result", id = "a", error = true, parts = { text "no", { kind = "image", data = "iVBORw0KGgo",
      mime = "image/png" } } }
    local list = contents({}, message("user", text "x"), message("assistant", call("a", "f"), call("b", "f")), message("tool", failed,
      result("b", "")))
    assert.same({ error = "no" }, list[3].parts[1].functionResponse.response)
    assert.equal("b", list[3].parts[2].functionResponse.id)
    assert.same({ mimeType = "image/png", data = "iVBORw0KGgo" }, list[3].parts[3].inlineData)
  end)

  it("keeps what a result holds of other dialects, as text", function()
    local odd = { kind = "result", id = "a", parts = { { kind = "opaque", dialect = "anthropic_messages",
      raw = '{"type":"tool_reference"}' } } }
    local list = contents({}, message("assistant", call("a", "f")), message("tool", odd))
    assert.same({ type = "tool_reference" }, list[3].parts[1].functionResponse.response)
  end)

  it("begins with the user, and says something where nobody did", function()
    for _, messages in ipairs { { message("system", text "s") }, {}, { message("assistant", text "a") }, { message("user", text "") } } do
      local body = build { messages = messages }
      assert.equal("user", body.contents[1].role)
      assert.matches("%S", body.contents[1].parts[1].text)
    end
  end)

  it("sends bytes inline, and addresses only where Google fetches them", function()
    local body, _, dropped = build {
      messages = {
        message("user", { kind = "image", data = "/9j/4AAQ" }, { kind = "image", url = "gs://b/p.png" }, { kind = "image",
          url = "https://example.com/a.png" },
          { kind = "audio", data = "AAAA", format = "mp3" }, { kind = "file", data = "JVBERi", name = "a.pdf" }, { kind = "file",
            text = "plain" },
          { kind = "file", url = "https://www.youtube.com/watch?v=x" }, { kind = "file", file_id = "files/abc" }, { kind = "image",
            file_id = "file-openai" }),
        message("assistant", { kind = "audio", id = "audio_1" }, { kind = "refusal", text = "no" }),
      },
    }
    assert.same({
      { inlineData = { mimeType = "image/jpeg", data = "/9j/4AAQ" } }, { fileData = { mimeType = "image/png", fileUri = "gs://b/p.png" } },
      { inlineData = { mimeType = "audio/mp3", data = "AAAA" } }, { inlineData = { mimeType = "application/pdf", data = "JVBERi" } },
      { text = "plain" }, { fileData = { fileUri = "https://www.youtube.com/watch?v=x" } },
      { fileData = { fileUri = "https://generativelanguage.googleapis.com/v1beta/files/abc" } },
    }, body.contents[1].parts)
    assert.same({ { text = "no" } }, body.contents[2].parts)
    assert.equal("messages[0].image_url, messages[1].audio", dropped)
  end)

  it("drops what only another dialect knows, and says so; keeps its own", function()
    local _, http, dropped = build {
      messages = {
        message("user", text "x", { kind = "opaque", dialect = "anthropic_messages", raw = '{"type":"search_result"}' }),
        message("assistant", { kind = "opaque", dialect = "gemini", raw = '{"executableCode":{"code":"1"}}' }),
      },
    }
    assert.matches('"parts":[{"executableCode":{"code":"1"}}]', http.body, 1, true)
    assert.equal("messages[0].search_result", dropped)
  end)

  it("sends custom tools' input as an object with one text", function()
    local body, http = build {
      tools = { { name = "patch", custom = true, grammar = '{"type":"text"}' } },
      messages = {
        message("assistant", { kind = "call", id = "a", name = "patch", arguments = "*** x", custom = true }), message("tool", result("a",
          "ok")),
      },
    }
    assert.same({ input = "*** x" }, body.contents[2].parts[1].functionCall.args)
    assert.matches('"parametersJsonSchema":{"type":"object","properties":{"input":', http.body, 1, true)
  end)
end)

describe("gemini, signatures", function()
  it("[F9] go back with the parts they came with, in order, and no texts are joined", function()
    local _, http = build {
      messages = {
        message("user", text "x"),
        message("assistant", { kind = "text", text = "a", signature = "c2E=" }, { kind = "text", text = "", signature = "c2I=" },
          call("c", "f", '{"b":1,"a":[]}', "c2M="), call("d", "f")),
        message("tool", result("c", "1"), result("d", "2")),
      },
    }
    assert.matches('[{"text":"a","thoughtSignature":"c2E="},{"text":"","thoughtSignature":"c2I="},'
      .. '{"functionCall":{"id":"c","name":"f","args":{"b":1,"a":[]}},"thoughtSignature":"c2M="},'
      .. '{"functionCall":{"id":"d","name":"f","args":{}}}]', http.body, 1, true)
  end)

  local HISTORY = {
    message("user", text "one"), message("assistant", call("a", "f")), message("tool", result("a", "1")), message("assistant", text "so"),
    message("user", text "two"), message("assistant", call("b", "f"), call("c", "f")), message("tool", result("b", "1"), result("c", "1")),
    message("assistant", call("d", "f", "{}", "cmVhbA==")), message("tool", result("d", "1")),
    message("assistant", text "hm", call("e", "f")), message("tool", result("e", "1")),
  }

  local function signatures(quirks)
    local out = {}
    for _, content in ipairs(contents(quirks, unpack(HISTORY))) do
      for _, part in ipairs(content.parts) do
        if part.functionCall then
          out[part.functionCall.id] = part.thoughtSignature
        end
      end
    end
    return out
  end

  it("are stood in for on the first call of each step of this exchange, where they got lost", function()
    local none = "skip_thought_signature_validator"
    assert.same({ b = none, d = "cmVhbA==", e = none }, signatures { signatures = true })
  end)

  it("are not stood in for where nobody asks for them", function()
    assert.same({ d = "cmVhbA==" }, signatures {})
  end)

  it("of thoughts go back when Gemini made them; other thoughts stay behind", function()
    local list = contents({}, message("user", text "x"),
      message("assistant", { kind = "reasoning", text = "t", state = { kind = "signature", value = "c2ln", by = "gemini" } },
        { kind = "reasoning", text = "u", state = { kind = "signature", value = "eA", by = "anthropic_messages" } },
        { kind = "reasoning", text = "v" }, text "a"))
    assert.same({ { text = "t", thought = true, thoughtSignature = "c2ln" }, { text = "a" } }, list[2].parts)
  end)
end)

describe("gemini, tools", function()
  it("are declared with their schemas as they came", function()
    local _, http = build { tools = { TOOL, { name = "g" } } }
    assert.matches('"tools":[{"functionDeclarations":[{"name":"f","description":"does f","parametersJsonSchema":' .. TOOL.schema
      .. '},{"name":"g"}]}]', http.body, 1, true)
  end)

  it("are declared in the message form where that is asked for", function()
    local body, _, dropped = build({ tools = { TOOL, { name = "g", schema = '{"type":"object","properties":{}}' } } },
      { proto_schema = true })
    assert.same({
      { name = "f", description = "does f", parameters = { type = "OBJECT", properties = { b = { type = "STRING" },
        a = { type = "STRING" } } } },
      { name = "g" },
    }, body.tools[1].functionDeclarations)
    assert.is_nil(dropped)
    dropped = select(3, build({ tools = { { name = "g", schema = '{"properties":{"a":{"enum":[1]}}}' } } }, { proto_schema = true }))
    assert.equal("tools[0].parameters.enum", dropped)
  end)

  it("are a problem where a schema can not be written", function()
    local body, problem = build({ tools = { { name = "g", schema = '{"properties":' .. ("["):rep(3) .. "}" } } }, { proto_schema = true })
    assert.is_nil(body)
    assert.equal("tools[0].parameters", problem.param)
    assert.matches("^tools%[0%]%.parameters: .*%.$", problem.message)
  end)

  it("are renamed where Gemini can not write their names, everywhere alike, and the way back is told", function()
    local long = ("x"):rep(70)
    local body, http = build {
      tools = { { name = "a/b" }, { name = long }, { name = "ok.tool:x-1" } }, tool_choice = { mode = "named", name = "a/b" },
      messages = { message("user", text "x"), message("assistant", call("c", "a/b")), message("tool", result("c", "1")) },
    }
    local declared = body.tools[1].functionDeclarations
    assert.matches("^a_b_%x+$", declared[1].name)
    assert.equal(64, #declared[2].name)
    assert.equal("ok.tool:x-1", declared[3].name)
    assert.equal(declared[1].name, body.contents[2].parts[1].functionCall.name)
    assert.equal(declared[1].name, body.contents[3].parts[1].functionResponse.name)
    assert.same({ declared[1].name }, body.toolConfig.functionCallingConfig.allowedFunctionNames)
    assert.same({ [declared[1].name] = "a/b", [declared[2].name] = long }, http.names)
  end)

  for _, case in ipairs {
    { { mode = "auto" }, '{"mode":"AUTO"}' }, { { mode = "none" }, '{"mode":"NONE"}' }, { { mode = "required" }, '{"mode":"ANY"}' },
    { { mode = "named", name = "f" }, '{"mode":"ANY","allowedFunctionNames":["f"]}' },
    { { mode = "auto", names = { "f" } }, '{"mode":"VALIDATED","allowedFunctionNames":["f"]}' },
    { { mode = "required", names = { "f", "g" } }, '{"mode":"ANY","allowedFunctionNames":["f","g"]}' },
  } do
    it("may be called as told: " .. case[2], function()
      local _, http = build { tools = { TOOL }, tool_choice = case[1] }
      assert.matches('"toolConfig":{"functionCallingConfig":' .. case[2] .. "}", http.body, 1, true)
    end)
  end

  it("that Google runs go along; other providers' do not, and a choice without functions means nothing", function()
    local body, _, dropped = build {
      tools = {
        { name = "x", hosted = { dialect = "gemini", type = "googleSearch", raw = '{"googleSearch":{}}' } },
        { name = "y", hosted = { dialect = "openai_responses", type = "web_search", raw = "{}" } },
      },
      tool_choice = { mode = "required" },
    }
    assert.same({ { googleSearch = {} } }, body.tools)
    assert.is_nil(body.toolConfig)
    assert.equal("tools[1].web_search", dropped)
  end)
end)

describe("gemini, generationConfig", function()
  it("has what was said, numbers as they were written", function()
    local _, http = build {
      temperature = "0.70", top_p = "0.9", top_k = "40", n = 2, max_tokens = 100, stop = { "A", "" }, seed = "12345678901234567890",
      presence_penalty = "1", frequency_penalty = "-1.5", logprobs = true, top_logprobs = "5",
      format = { kind = "schema", name = "x", schema = '{"type":"object","z":[],"a":1}' },
    }
    assert.matches('"generationConfig":{"temperature":0.70,"topP":0.9,"topK":40,"candidateCount":2,"maxOutputTokens":100'
      .. ',"stopSequences":["A"],'
      .. '"seed":12345678901234567890,"presencePenalty":1,"frequencyPenalty":-1.5,"responseMimeType":"application/json",'
      .. '"responseJsonSchema":{"type":"object","z":[],"a":1},"responseLogprobs":true,"logprobs":5}', http.body, 1, true)
  end)

  it("asks for JSON with a schema in the message form, or with none", function()
    assert.same({ responseMimeType = "application/json", responseSchema = { type = "OBJECT", properties = { a = { type = "INTEGER" } } } },
      config({ format = { kind = "schema", schema = '{"properties":{"a":{"type":"integer"}},"additionalProperties":false}' } },
        { proto_schema = true }))
    assert.same({ responseMimeType = "application/json" }, config { format = { kind = "json" } })
    assert.is_nil((config { format = { kind = "text" } }))
  end)

  it("says what the target can not do", function()
    local out, dropped = config({ stop = { "1", "2", "3", "4", "5", "6" }, n = 9 })
    assert.same({ "1", "2", "3", "4", "5" }, out.stopSequences)
    assert.equal(8, out.candidateCount)
    assert.equal("n, stop", dropped)
    out, dropped = config({ temperature = "1", top_k = "3", seed = "1", n = 3 }, { no_sampling = true, unsupported = { "seed" },
      max_n = 1 })
    assert.is_nil(out)
    assert.equal("temperature, top_k, n, seed", dropped)
  end)

  it("drops what Gemini has no word for, by OpenAI's names, and nothing that changes nothing", function()
    local _, _, dropped = build {
      logit_bias = "{}", parallel = false, service_tier = "flex", store = true, user = "u", metadata = "{}", verbosity = "low",
        cache_key = "k",
      audio = "{}", prediction = "{}", web_search = "{}", modalities = '["text","audio"]', extra = { { "own_thing", "1" } },
    }
    assert.equal("logit_bias, service_tier, store, user, metadata, verbosity, prompt_cache_key, audio, prediction, web_search_options, "
      .. "parallel_tool_calls, modalities, own_thing", dropped)
    assert.is_nil((select(3, build { parallel = true, store = false, modalities = '["text"]' })))
  end)

  for _, case in ipairs {
    -- wish, quirks, thinkingConfig, dropped
    { { effort = "none" }, { thinking_min = 0 }, '{"thinkingBudget":0}' },
    { { effort = "none" }, { thinking_min = 128 }, '{"thinkingBudget":128}', "reasoning_effort" },
    { { effort = "none" }, {}, nil, "reasoning_effort" },
    { { effort = "low" }, {}, '{"thinkingBudget":2048,"includeThoughts":true}' },
    { { effort = "max" }, {}, '{"thinkingBudget":24576,"includeThoughts":true}' },
    { { budget = 50 }, { thinking_min = 128 }, '{"thinkingBudget":128,"includeThoughts":true}' },
    { { effort = "high", hidden = true }, {}, '{"thinkingBudget":16384}' },
    { { summary = "auto" }, {}, '{"includeThoughts":true}' },
    { { effort = "none" }, { thinking_level = true }, '{"thinkingLevel":"MINIMAL"}', "reasoning_effort" },
    { { effort = "none" }, { thinking_level = true, efforts = { "low", "high" } }, '{"thinkingLevel":"LOW"}', "reasoning_effort" },
    { { effort = "none" }, { thinking_level = true, thinking_min = 0 }, '{"thinkingLevel":"MINIMAL"}' },
    { { effort = "medium" }, { thinking_level = true }, '{"thinkingLevel":"MEDIUM","includeThoughts":true}' },
    { { effort = "xhigh" }, { thinking_level = true }, '{"thinkingLevel":"HIGH","includeThoughts":true}' },
    { { budget = 3000 }, { thinking_level = true }, '{"thinkingLevel":"MEDIUM","includeThoughts":true}' },
    { { effort = "high" }, { unsupported = { "reasoning_effort" } }, nil, "reasoning_effort" },
  } do
    it("thinks as wished: " .. tostring(case[3]) .. " for " .. json.encode(case[1]) .. " with " .. json.encode(case[2]), function()
      local _, http, dropped = build({ reasoning = case[1] }, case[2])
      assert.equal(case[3], http.body:match '"thinkingConfig":(%b{})')
      assert.equal(case[4], dropped)
    end)
  end

  it("asks no model to think that can not", function()
    local out, dropped = config({ reasoning = { effort = "high" } }, {}, { abilities = { tools = true } })
    assert.is_nil(out)
    assert.equal("reasoning_effort", dropped)
    assert.is_nil((select(2, config({ reasoning = { effort = "none" } }, {}, { abilities = { tools = true } }))))
    assert.is_table((config({ reasoning = { effort = "high" } }, {}, { abilities = {} })))
  end)
end)

describe("gemini, the address", function()
  for upstream, path in pairs {
    ["gemini-2.5-pro"] = "/models/gemini-2.5-pro", ["models/gemini-2.5-pro"] = "/models/gemini-2.5-pro",
    ["a b/c:d%2Fe"] = "/models/a%20b/c:d%2Fe",
  } do
    it("of " .. upstream, function()
      local _, http = build({}, {}, { upstream = upstream })
      assert.equal(path .. ":generateContent", http.path)
      _, http = build({ stream = true }, {}, { upstream = upstream })
      assert.equal(path .. ":streamGenerateContent?alt=sse", http.path)
    end)
  end
end)

describe("gemini, a client's own request", function()
  local function edit(body, params, quirks, stream)
    local request = assert(read.read(body))
    request.stream = stream or false
    local drops = shape.drops()
    local http, problem = gemini.edit(request, body, aim(quirks), params, drops)
    return http and http.body, http and drops:list() or problem, http
  end

  it("goes on as it came", function()
    local body = '{ "contents" : [ {"parts":[{"text":"x"}]} ], "own":[], "generationConfig":{ "seed":1 } }'
    local out, _, http = edit(body, {}, {}, true)
    assert.equal(body, out)
    assert.equal("/models/gemini-2.5-flash:streamGenerateContent?alt=sse", http.path)
  end)

  it("takes a step's parameters, by OpenAI's names", function()
    assert.equal('{"contents":[],"generationConfig":{"temperature":0,"maxOutputTokens":9,"stopSequences":["x"]}}',
      (edit('{"contents":[],"generationConfig":{"temperature":1,"max_output_tokens":5}}',
        { { "temperature", "0" }, { "max_tokens", "9" }, { "stop", '"x"' } })))
    assert.equal('{"generation_config":{"a":1},"cachedContent":"c","own":[]}',
      (edit('{"generation_config":{"top_p":1,"a":1}}', { { "top_p" }, { "cachedContent", '"c"' }, { "extra", '{"own":[]}' } })))
    assert.equal('{"generationConfig":{"thinkingConfig":{"thinkingLevel":"LOW","includeThoughts":true}'
      .. ',"responseMimeType":"application/json",'
      .. '"responseJsonSchema":{"a":[]}}}', (edit("{}", {
        { "reasoning_effort", '"low"' }, { "response_format", '{"type":"json_schema","json_schema":{"schema":{"a":[]}}}' },
      }, { thinking_level = true })))
  end)

  it("says what of them Gemini does not know, and takes out what the target refuses", function()
    local out, dropped = edit('{"generationConfig":{"topK":1,"seed":2}}', { { "logit_bias", "{}" }, { "user" } }, { no_sampling = true })
    assert.equal('{"generationConfig":{"seed":2}}', out)
    assert.equal("logit_bias, top_k", dropped)
  end)

  it("is a problem where a schema can not be written", function()
    local defs = {}
    for i = 1, 20 do
      defs[i] = ('"D%d":{"properties":{"a":{"$ref":"#/$defs/D%d"},"b":{"$ref":"#/$defs/D%d"}}}'):format(i, i + 1, i + 1)
    end
    local schema = ('{"$ref":"#/$defs/D1","$defs":{%s,"D21":{}}}'):format(table.concat(defs, ","))
    local format = ('{"type":"json_schema","json_schema":{"schema":%s}}'):format(schema)
    local out, problem = edit("{}", { { "response_format", format } }, { proto_schema = true })
    assert.is_nil(out)
    assert.equal("response_format", problem.param)
    local _, other = build({ format = { kind = "schema", schema = schema } }, { proto_schema = true })
    assert.same(problem, other)
  end)
end)
