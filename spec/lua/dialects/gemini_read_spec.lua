local gemini = require "perilune.dialects.gemini_read"

local function read(body)
  return assert(gemini.read(body))
end

-- What a user's part becomes.
local function part(raw)
  return read('{"contents":[{"parts":[' .. raw .. "]}]}").messages[1].parts[1]
end

describe("gemini, a request read", function()
  it("has the messages, roles told apart and results on their own", function()
    local request = read [[{
      "systemInstruction": { "parts": [ { "text": "s" } ] },
      "contents": [
        { "role": "user", "parts": [ { "text": "a" }, { "text": "b" } ] },
        { "role": "model", "parts": [ { "functionCall": { "id": "c1", "name": "f", "args": {"z":1,"a":[]} },
          "thoughtSignature": "c2ln" } ] },
        { "role": "function", "parts": [ { "functionResponse": { "id": "c1", "name": "f", "response": {"output":"1"} } },
          { "text": "go" } ] } ]
    }]]
    assert.same({
      { role = "system", parts = { { kind = "text", text = "s" } } },
      { role = "user", parts = { { kind = "text", text = "a" }, { kind = "text", text = "b" } } },
      { role = "assistant", parts = { { kind = "call", id = "c1", name = "f", arguments = '{"z":1,"a":[]}', signature = "c2ln" } } },
      { role = "tool", parts = { { kind = "result", id = "c1", name = "f", parts = { { kind = "text", text = "1" } } } } },
      { role = "user", parts = { { kind = "text", text = "go" } } },
    }, request.messages)
    assert.equal("gemini", request.dialect)
    assert.is_true(request.wants_usage)
    assert.is_false(request.stream)
  end)

  it("gives ids to calls that have none, and finds their results by name and order", function()
    local messages = read([[{"contents":[
      {"role":"model","parts":[{"functionCall":{"name":"f"}},{"functionCall":{"name":"g"}},{"functionCall":{"name":"f","args":{}}}]},
      {"parts":[{"functionResponse":{"name":"g","response":{"a":1}}},{"functionResponse":{"name":"f"}},{"functionResponse":{"name":"f",
        "response":{"error":"no"}}},{"functionResponse":{"name":"h","response":{}}}]}]}]]).messages
    local calls, results = messages[1].parts, messages[2].parts
    assert.equal("{}", calls[1].arguments)
    assert.equal(calls[2].id, results[1].id)
    assert.equal('{"a":1}', results[1].parts[1].text)
    assert.equal(calls[1].id, results[2].id)
    assert.same({}, results[2].parts)
    assert.equal(calls[3].id, results[3].id)
    assert.is_true(results[3].error)
    assert.equal("no", results[3].parts[1].text)
    assert.equal("call_unknown", results[4].id)
    assert.are_not.equal(calls[1].id, calls[3].id)
  end)

  for raw, expected in pairs {
    ['{"inlineData":{"mimeType":"image/png","data":"AA"}}'] = { kind = "image", mime = "image/png", data = "AA" },
    ['{"inline_data":{"mime_type":"audio/mpeg","data":"AA"}}'] = { kind = "audio", format = "mp3", data = "AA" },
    ['{"inlineData":{"mimeType":"application/pdf","data":"AA","displayName":"a.pdf"}}'] =
      { kind = "file", mime = "application/pdf", data = "AA", name = "a.pdf" },
    ['{"fileData":{"mimeType":"image/png","fileUri":"gs://b/p"}}'] = { kind = "image", mime = "image/png", url = "gs://b/p" },
    ['{"fileData":{"fileUri":"https://youtu.be/x"}}'] = { kind = "file", url = "https://youtu.be/x" },
    ['{"text":"t","thought":true}'] = { kind = "reasoning", text = "t" },
    ['{"text":"t","thought":true,"thought_signature":"c2ln"}'] =
      { kind = "reasoning", text = "t", state = { kind = "signature", value = "c2ln", by = "gemini" } },
    ['{"text":"","thoughtSignature":"c2ln"}'] = { kind = "text", text = "", signature = "c2ln" },
    ['{"executableCode":{ "code":"1" }}'] = { kind = "opaque", dialect = "gemini", raw = '{"executableCode":{ "code":"1" }}' },
  } do
    it("reads the part " .. raw, function()
      assert.same(expected, part(raw))
    end)
  end

  it("has the tools, their schemas as JSON Schema has them, and those Google runs as they came", function()
    local request = read [[{"tools":[{"functionDeclarations":[
      {"name":"f","description":"d","parametersJsonSchema":{"z":[],"a":1}},
        {"name":"g","parameters":{"type":"OBJECT","properties":{"a":{"type":"INTEGER"}}}},
      {"name":"h"}]},{"google_search":{"x":[]}}],
      "tool_config":{"function_calling_config":{"mode":"ANY","allowed_function_names":["f","g"]}}}]]
    assert.same({
      { name = "f", description = "d", schema = '{"z":[],"a":1}' },
      { name = "g", schema = '{"type":"object","properties":{"a":{"type":"integer"}}}' }, { name = "h" },
      { name = "google_search", hosted = { dialect = "gemini", type = "google_search", raw = '{"google_search":{"x":[]}}' } },
    }, request.tools)
    assert.same({ mode = "required", names = { "f", "g" } }, request.tool_choice)
  end)

  for config, choice in pairs {
    ['{"mode":"AUTO"}'] = { mode = "auto" }, ['{"mode":"NONE"}'] = { mode = "none" }, ['{"mode":"ANY"}'] = { mode = "required" },
    ['{"mode":"ANY","allowedFunctionNames":["f"]}'] = { mode = "named", name = "f" },
    ['{"mode":"VALIDATED","allowedFunctionNames":["f"]}'] = { mode = "auto", names = { "f" } },
  } do
    it("reads the choice " .. config, function()
      assert.same(choice, read('{"toolConfig":{"functionCallingConfig":' .. config .. "}}").tool_choice)
    end)
  end

  it("has the settings, and what it does not know as extra fields", function()
    local request = read [[{"generationConfig":{"temperature":0.70,"top_p":0.9,"topK":40,"candidateCount":2,"maxOutputTokens":9,
      "stopSequences":["x"],"seed":12345678901234567890,"presencePenalty":1,"frequencyPenalty":2,"responseMimeType":"application/json",
      "responseSchema":{"type":"STRING"},"responseLogprobs":true,"logprobs":3,"speechConfig":{"a":[]},"mediaResolution":null,
      "thinkingConfig":{"thinkingLevel":"LOW","includeThoughts":true}},"safetySettings":[],"model":"m"}]]
    assert.equal("0.70", request.temperature)
    assert.equal("0.9", request.top_p)
    assert.equal("40", request.top_k)
    assert.equal(2, request.n)
    assert.equal(9, request.max_tokens)
    assert.same({ "x" }, request.stop)
    assert.equal("12345678901234567890", request.seed)
    assert.equal("1", request.presence_penalty)
    assert.equal("2", request.frequency_penalty)
    assert.same({ kind = "schema", schema = '{"type":"string"}' }, request.format)
    assert.is_true(request.logprobs)
    assert.equal("3", request.top_logprobs)
    assert.same({ effort = "low" }, request.reasoning)
    assert.same({ { "safetySettings", "[]" }, { "generationConfig", '{"speechConfig":{"a":[]},"mediaResolution":null}' } }, request.extra)
    assert.equal("[]", request.fields.safetySettings)
  end)

  for config, wish in pairs {
    ['{"thinkingBudget":0}'] = { effort = "none" }, ['{"thinkingBudget":-1}'] = { hidden = true },
    ['{"thinkingBudget":500,"includeThoughts":true}'] = { budget = 500 },
  } do
    it("reads the wish to think " .. config, function()
      assert.same(wish, read('{"generationConfig":{"thinkingConfig":' .. config .. "}}").reasoning)
    end)
  end

  it("says what is wrong, and where", function()
    for body, param in pairs {
      ['{"contents":1}'] = "contents", ['{"contents":[1]}'] = "contents[0]", ['{"contents":[{"parts":[1]}]}'] = "contents[0]",
      ['{"contents":[{"parts":[{"functionCall":{}}]}]}'] = "contents[0]", ['{"tools":[{"functionDeclarations":[{}]}]}'] =
        "tools[0].functionDeclarations[0]", ['{"generationConfig":[]}'] = "generationConfig",
      ['{"generationConfig":{"stopSequences":[1]}}'] = "generationConfig.stopSequences",
    } do
      local request, problem = gemini.read(body)
      assert.is_nil(request)
      assert.equal(param, problem.param)
      assert.matches("%.$", problem.message)
    end
    local _, problem = gemini.read "nonsense"
    assert.matches("not JSON", problem.message)
  end)

  it("takes null for nothing, and stands a cut at every byte", function()
    assert.same({}, read('{"contents":null,"tools":null,"generationConfig":null,"systemInstruction":null}').messages)
    local body = '{"contents":[{"role":"model","parts":[{"functionCall":{"name":"f","args":{"a":[1]}}}]}],"generationConfig":{"topK":1}}'
    for at = 0, #body - 1 do
      assert.is_nil((gemini.read(body:sub(1, at))))
    end
    assert.is_table(gemini.read(body))
  end)
end)
