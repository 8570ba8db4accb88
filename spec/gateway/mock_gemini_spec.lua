-- Google's Gemini API as `perilune mock` speaks it.
local http = require "support.http"
local loop = require "support.loop"
local mock = require "support.mock"

local SIGNATURE = "bW9jayBzaWduYXR1cmU="

-- What the parts of the chunks say, with the finish reason behind the chunk it comes with.
local function told(answer)
  local words = {}
  for _, event in ipairs(answer.events) do
    local candidate = event.json and event.json.candidates and event.json.candidates[1]
    if not candidate then
      words[#words + 1] = event.json and "error" or "garbage"
    else
      local said = {}
      for _, part in ipairs(candidate.content.parts or {}) do
        said[#said + 1] = part.functionCall and part.functionCall.name .. "()" or part.text
      end
      words[#words + 1] = table.concat(said, "+") .. (candidate.finishReason and "!" .. candidate.finishReason or "")
    end
  end
  return table.concat(words, "|")
end

describe("the mock as Gemini", function()
  local up

  setup(loop.test(function()
    up = mock.start()
  end))
  teardown(loop.test(function()
    up:stop()
  end))

  local function body(changes)
    local request = { contents = { { role = "user", parts = { { text = "hello there" } } } } }
    for name, value in pairs(changes or {}) do
      request[name] = value
    end
    return request
  end
  local function path_of(words, model, method)
    return ("%s/v1beta/models/%s:%s"):format(words and "/~" .. words or "", model or "gemini-2.5-flash", method)
  end
  local function plain(words, changes, model)
    return http.post(up.port, path_of(words, model, "generateContent"), body(changes))
  end
  local function stream(words, changes, model)
    return http.stream(up.port, path_of(words, model, "streamGenerateContent?alt=sse"), body(changes))
  end

  it("answers", loop.test(function()
    local answer = plain()
    assert.equal(200, answer.status, answer.body)
    local candidate = answer.json.candidates[1]
    assert.same({ role = "model", parts = { { text = "You said: hello there" } } }, candidate.content)
    assert.same({ "STOP", "gemini-2.5-flash" }, { candidate.finishReason, answer.json.modelVersion })
    assert.same({ promptTokenCount = 7, candidatesTokenCount = 6, totalTokenCount = 13 }, answer.json.usageMetadata)
    assert.is_string(answer.json.responseId)
  end))

  it("streams chunks that end in CR LF, the finish in the last", loop.test(function()
    local answer = stream()
    assert.equal("You |said: |hello |there!STOP", told(answer))
    assert.is_true(answer.whole)
    assert.truthy(answer.events[1].raw:sub(1, 6) == "data: ")
    assert.equal(1, answer.events[1].json.usageMetadata.candidatesTokenCount)
    assert.equal(6, answer.events[4].json.usageMetadata.candidatesTokenCount)
    local c = assert(http.connect(up.port))
    c:send_request { path = path_of(nil, nil, "streamGenerateContent?alt=sse"), body = body() }
    assert.truthy(c:body(c:head()):find "^data: [^\r\n]*\r\n\r\ndata: ")
    c:close()
  end))

  it("streams one array without alt=sse", loop.test(function()
    local answer = http.post(up.port, path_of(nil, nil, "streamGenerateContent"), body())
    assert.equal("You said: hello there", answer.json[1].candidates[1].content.parts[1].text)
  end))

  it("thinks, and signs what came of it", loop.test(function()
    local answer = plain("reasoning").json
    local parts = answer.candidates[1].content.parts
    assert.same({ true, SIGNATURE }, { parts[1].thought, parts[2].thoughtSignature })
    assert.equal(11, answer.usageMetadata.thoughtsTokenCount)
    assert.equal(6, answer.usageMetadata.candidatesTokenCount)
    local events = stream("reasoning").events
    assert.is_true(events[1].json.candidates[1].content.parts[1].thought)
    assert.equal(SIGNATURE, events[#events].json.candidates[1].content.parts[1].thoughtSignature)
  end))

  it("calls tools whole, the first of them signed", loop.test(function()
    local tools = { { functionDeclarations = { { name = "f" }, { name = "g" } } } }
    local parts = plain("tools=2", { tools = tools }, "gemini-3-pro").json.candidates[1].content.parts
    assert.same({ "f", "g" }, { parts[1].functionCall.name, parts[2].functionCall.name })
    assert.same({ text = "hello there", call = 1 }, parts[2].functionCall.args)
    assert.same({ SIGNATURE, nil }, { parts[1].thoughtSignature, parts[2].thoughtSignature })
    assert.not_equal(parts[1].functionCall.id, parts[2].functionCall.id)
    assert.is_nil(plain("tool").json.candidates[1].content.parts[1].functionCall.id)
    assert.equal("f()|g()!STOP", told(stream("tools=2", { tools = tools })))
    assert.equal("f()|g()|!STOP", told(stream("tools=2;split_stop", { tools = tools })))
    assert.same({}, plain("tool;tool_input=").json.candidates[1].content.parts[1].functionCall.args)
  end))

  it("shapes what it says", loop.test(function()
    assert.equal("SAFETY", plain("refusal").json.candidates[1].finishReason)
    local short = plain("content=12345678", { generationConfig = { maxOutputTokens = 1 } })
    assert.equal("MAX_TOKENS", short.json.candidates[1].finishReason)
    assert.equal("MALFORMED_FUNCTION_CALL", plain("finish=MALFORMED_FUNCTION_CALL").json.candidates[1].finishReason)
    assert.equal(30, plain("cached=30").json.usageMetadata.cachedContentTokenCount)
    assert.equal(told(stream()), told(stream "bytewise"))
    assert.equal(4, #stream("events=4;content=abcd").events)
    assert.equal("a%2Fb", plain("model=a%252Fb").json.modelVersion)
  end))

  it("lists models", loop.test(function()
    assert.equal("models/mock-small", http.get(up.port, "/v1beta/models").json.models[1].name)
  end))

  it("fails in its own shape, with the delay in the body", loop.test(function()
    local answer = plain "status=429;retry_after=7"
    assert.same({ 429, "RESOURCE_EXHAUSTED" }, { answer.json.error.code, answer.json.error.status })
    assert.same({ { ["@type"] = "type.googleapis.com/google.rpc.RetryInfo", retryDelay = "7s" } }, answer.json.error.details)
    assert.is_nil(answer.headers["retry-after"])
    answer = plain "status=400;code=API_KEY_INVALID"
    assert.same({ "INVALID_ARGUMENT", "API_KEY_INVALID" }, {
      answer.json.error.status, answer.json.error.details[1].reason,
    })
    assert.equal("UNAVAILABLE", plain("status=503").json.error.status)
    assert.is_nil(plain("status=500").json.error.details)
  end))

  local BROKEN = {
    ["cut_event=2"] = { "You ", false },
    ["cut_after=2"] = { "You |said: ", true },
    ["cut_after=4"] = { "You |said: |hello |there", true },
    ["error_after=1"] = { "You |error", true },
    ["no_finish"] = { "You |said: |hello |there", true },
    ["no_content"] = { "!STOP", true },
    ["cut_frame"] = { "You |said: |hello |there", true },
    ["garbage"] = { "garbage", true },
  }
  for words, expected in pairs(BROKEN) do
    it("breaks by " .. words, loop.test(function()
      local answer = stream(words)
      assert.equal(expected[1], told(answer))
      assert.equal(expected[2], answer.whole)
    end))
  end

  it("gives an error as a chunk, and leaves usage out when told", loop.test(function()
    local events = stream("error_after=1").events
    assert.same({ 503, "UNAVAILABLE" }, { events[2].json.error.code, events[2].json.error.status })
    assert.is_nil(plain("no_usage").json.usageMetadata)
  end))

  local function calls(n, more)
    local parts = {}
    for i = 1, n do
      parts[i] = { functionCall = { name = "f", args = { a = i } } }
    end
    for name, value in pairs(more or {}) do
      parts[1][name] = value
    end
    return { role = "model", parts = parts }
  end
  local function results(n, response)
    local parts = {}
    for i = 1, n do
      parts[i] = { functionResponse = { name = "f", response = response or { output = i } } }
    end
    return { role = "user", parts = parts }
  end
  local HI = { role = "user", parts = { { text = "hi" } } }
  local function declared(parameters)
    return { tools = { { functionDeclarations = { { name = "f", parameters = parameters } } } } }
  end

  local REFUSED = {
    ["a field nobody knows"] = { { messages = {} }, "Unknown name" },
    ["a setting nobody knows"] = { { generationConfig = { max_tokens = 1 } }, "Unknown name" },
    ["another role"] = { { contents = { { role = "assistant", parts = { { text = "x" } } } } }, "role" },
    ["no parts"] = { { contents = { { role = "user", parts = {} } } }, "parts" },
    ["fewer results than calls"] = { { contents = { HI, calls(2), results(1) } }, "as many" },
    ["calls without results"] = { { contents = { HI, calls(1) } }, "as many" },
    ["results without calls"] = { { contents = { HI, results(1) } }, "as many" },
    ["a result that is no object"] = { { contents = { HI, calls(1), results(1, "42") } }, "object" },
    ["a keyword of JSON Schema"] = {
      declared { type = "object", additionalProperties = false }, "additionalProperties",
    },
    ["a keyword deep in a schema"] = {
      declared { type = "object", properties = { a = { type = "string", ["$ref"] = "x" } } }, "%$ref",
    },
    ["a schema without a type"] = { declared { type = "object", properties = { a = { description = "x" } } }, "type" },
    ["an array without items"] = { declared { type = "object", properties = { a = { type = "ARRAY" } } }, "items" },
    ["two ways to think"] = {
      { generationConfig = { thinkingConfig = { thinkingBudget = 0, thinkingLevel = "LOW" } } }, "exclude",
    },
  }
  for name, case in pairs(REFUSED) do
    it("refuses " .. name, loop.test(function()
      local answer = plain(nil, case[1])
      assert.equal(400, answer.status, answer.body)
      assert.equal("INVALID_ARGUMENT", answer.json.error.status)
      assert.truthy(answer.json.error.message:find(case[2]), answer.json.error.message)
      assert.equal(200, plain("lenient", case[1]).status)
    end))
  end

  it("refuses a request without contents", loop.test(function()
    assert.equal(400, plain("lenient", { contents = {} }).status)
  end))

  it("wants the signature back in the third generation", loop.test(function()
    local without = { contents = { HI, calls(2), results(2) } }
    assert.equal(200, plain(nil, without).status)
    assert.equal(400, plain(nil, without, "gemini-3-pro").status)
    local with = { contents = { HI, calls(2, { thoughtSignature = SIGNATURE }), results(2) } }
    assert.equal(200, plain(nil, with, "gemini-3-pro").status)
    local past = { contents = { HI, calls(1), results(1), { role = "model", parts = { { text = "x" } } }, HI } }
    assert.equal(200, plain(nil, past, "gemini-3-pro").status)
  end))

  it("takes names in both spellings", loop.test(function()
    local answer = plain(nil, {
      system_instruction = { parts = { { text = "brief" } } },
      generation_config = { max_output_tokens = 1 },
    })
    assert.equal(200, answer.status, answer.body)
    assert.equal("MAX_TOKENS", answer.json.candidates[1].finishReason)
  end))
end)
