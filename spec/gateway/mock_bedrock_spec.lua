-- Amazon Bedrock's Converse as `perilune mock` speaks it.
local bit = require "bit"
local http = require "support.http"
local loop = require "support.loop"
local mock = require "support.mock"

local function number(bytes, at)
  local a, b, c, d = bytes:byte(at, at + 3)
  return ((a * 256 + b) * 256 + c) * 256 + d
end

-- CRC-32, bit by bit.
local function sum(bytes)
  local crc = bit.bnot(0)
  for i = 1, #bytes do
    crc = bit.bxor(crc, bytes:byte(i))
    for _ = 1, 8 do
      local low = bit.band(crc, 1)
      crc = bit.rshift(crc, 1)
      crc = low == 1 and bit.bxor(crc, 0xedb88320) or crc
    end
  end
  return bit.bnot(crc) % 2 ^ 32
end

local function headers_of(bytes)
  local headers, at = {}, 1
  while at <= #bytes do
    local name_len = bytes:byte(at)
    local name = bytes:sub(at + 1, at + name_len)
    at = at + 1 + name_len
    assert.equal(7, bytes:byte(at))
    local len = bytes:byte(at + 1) * 256 + bytes:byte(at + 2)
    headers[name] = bytes:sub(at + 3, at + 2 + len)
    at = at + 3 + len
  end
  return headers
end

-- The frames of a body, up to the first that is broken or incomplete; whether all were whole.
local function frames_of(bytes)
  local frames, at = {}, 1
  while at <= #bytes do
    local rest = #bytes - at + 1
    local total = rest >= 16 and number(bytes, at) or math.huge
    if rest < total or sum(bytes:sub(at, at + total - 5)) ~= number(bytes, at + total - 4) then
      return frames, false
    end
    assert.equal(sum(bytes:sub(at, at + 7)), number(bytes, at + 8))
    local header_len = number(bytes, at + 4)
    local payload = bytes:sub(at + 12 + header_len, at + total - 5)
    frames[#frames + 1] = { headers = headers_of(bytes:sub(at + 12, at + 11 + header_len)), json = http.json(payload) }
    at = at + total
  end
  return frames, true
end

-- Frames as one line: types, blocks, and what a delta says.
local function told(frames)
  local parts = {}
  for _, frame in ipairs(frames) do
    local data = frame.json
    local kind = frame.headers[":event-type"] or frame.headers[":exception-type"]
    local delta = data and data.delta
    local thought = delta and delta.reasoningContent
    local text = delta and (delta.text or thought and (thought.text or thought.signature) or delta.toolUse and delta.toolUse.input)
    parts[#parts + 1] = kind:gsub("contentBlock", "") .. (data and data.contentBlockIndex or "") .. (text and ":" .. text or "")
  end
  return table.concat(parts, "|")
end

describe("the mock as Bedrock", function()
  local up

  setup(loop.test(function()
    up = mock.start()
  end))
  teardown(loop.test(function()
    up:stop()
  end))

  local function body(changes)
    local request = { messages = { { role = "user", content = { { text = "hello there" } } } } }
    for name, value in pairs(changes or {}) do
      request[name] = value
    end
    return request
  end
  local function path_of(words, method, model)
    return ("%s/model/%s/%s"):format(words and "/~" .. words or "", model or "us.claude-v1%3A0", method)
  end
  local function plain(words, changes, model)
    return http.post(up.port, path_of(words, "converse", model), body(changes))
  end
  local function stream(words, changes)
    local answer = http.post(up.port, path_of(words, "converse-stream"), body(changes))
    if answer.status == 200 then
      assert.equal("application/vnd.amazon.eventstream", answer.headers["content-type"])
      answer.frames, answer.sound = frames_of(answer.body)
    end
    return answer
  end
  local function line(words, changes)
    return told(stream(words, changes).frames)
  end

  it("answers", loop.test(function()
    local answer = plain()
    assert.equal(200, answer.status, answer.body)
    assert.same({ role = "assistant", content = { { text = "You said: hello there" } } }, answer.json.output.message)
    assert.equal("end_turn", answer.json.stopReason)
    assert.same({ inputTokens = 7, outputTokens = 6, totalTokens = 13, cacheReadInputTokens = 0, cacheWriteInputTokens = 0 },
      answer.json.usage)
    assert.is_string(answer.headers["x-amzn-requestid"])
  end))

  it("takes the model out of the path, decoded", loop.test(function()
    http.exchange(up.port, { method = "DELETE", path = "/_mock/stats" })
    plain(nil, nil, "arn%3Aaws%3Abedrock%3A%3A1%3Ainference-profile%2Fus.x")
    assert.same({ ["arn:aws:bedrock::1:inference-profile/us.x"] = 1 }, up:stats().by_model)
    local answer = plain(nil, nil, "a/b")
    assert.same({ 404, "UnknownOperationException" }, { answer.status, answer.headers["x-amzn-errortype"] })
  end))

  it("streams frames, the usage behind the stop", loop.test(function()
    local answer = stream()
    assert.is_true(answer.whole and answer.sound)
    assert.equal("messageStart|Delta0:You |Delta0:said: |Delta0:hello |Delta0:there|Stop0|messageStop|metadata",
      told(answer.frames))
    assert.same({ [":message-type"] = "event", [":event-type"] = "messageStart", [":content-type"] = "application/json" },
      answer.frames[1].headers)
    assert.equal("end_turn", answer.frames[7].json.stopReason)
    assert.equal(6, answer.frames[8].json.usage.outputTokens)
  end))

  it("thinks, with a signature", loop.test(function()
    local thought = plain("reasoning").json.output.message.content[1].reasoningContent.reasoningText
    assert.is_string(thought.text)
    assert.is_string(thought.signature)
    assert.truthy(line("reasoning;content=ok"):find("|Delta0:" .. thought.signature .. "|Stop0|Delta1:ok|Stop1|", 1, true))
  end))

  it("calls tools, several at once", loop.test(function()
    local config = { toolConfig = { tools = {
      { toolSpec = { name = "f", inputSchema = { json = { type = "object" } } } },
      { toolSpec = { name = "g", inputSchema = { json = { type = "object" } } } },
    } } }
    local answer = plain("tools=2;content=ok", config).json
    assert.equal("tool_use", answer.stopReason)
    local content = answer.output.message.content
    assert.same({ "ok", "f", "g" }, { content[1].text, content[2].toolUse.name, content[3].toolUse.name })
    assert.same({ text = "hello there", call = 1 }, content[3].toolUse.input)
    local streamed = stream("tools=2;tool_input={}", config)
    assert.equal("messageStart|Start0|Delta0:{}|Stop0|Start1|Delta1:{}|Stop1|messageStop|metadata", told(streamed.frames))
    assert.equal("g", streamed.frames[5].json.start.toolUse.name)
    assert.not_equal(streamed.frames[2].json.start.toolUse.toolUseId, streamed.frames[5].json.start.toolUse.toolUseId)
  end))

  it("shapes what it says", loop.test(function()
    assert.equal("content_filtered", plain("refusal").json.stopReason)
    assert.equal("max_tokens", plain("content=12345678", { inferenceConfig = { maxTokens = 1 } }).json.stopReason)
    assert.equal("guardrail_intervened", plain("finish=guardrail_intervened").json.stopReason)
    local usage = plain("cached=20;written=30").json.usage
    assert.same({ 0, 20, 30, 56 }, {
      usage.inputTokens, usage.cacheReadInputTokens, usage.cacheWriteInputTokens, usage.totalTokens,
    })
    -- Neither comments nor line ends have a place in frames.
    assert.equal(line(), line "crlf;comment;ping_ms=1;first_ms=5")
    assert.equal(line(), line "bytewise")
    assert.truthy(line("extra"):find("|mockUnknown|", 1, true))
  end))

  it("fails in its own shape", loop.test(function()
    local types = {
      [400] = "ValidationException", [403] = "AccessDeniedException", [429] = "ThrottlingException",
      [500] = "InternalServerException", [503] = "ServiceUnavailableException",
    }
    for status, expected in pairs(types) do
      local answer = plain("status=" .. status .. ";message=no")
      assert.same({ status, expected, { message = "no" } }, {
        answer.status, answer.headers["x-amzn-errortype"], answer.json,
      })
    end
    assert.equal("ServiceQuotaExceededException",
      plain("status=400;type=ServiceQuotaExceededException").headers["x-amzn-errortype"])
  end))

  local BROKEN = {
    ["cut_event=2"] = { "messageStart|Delta0:You ", false, false },
    ["cut_after=1"] = { "messageStart|Delta0:You ", true, true },
    ["error_after=1"] = { "messageStart|Delta0:You |internalServerException", true, true },
    ["error_after=1;type=throttlingException"] = { "messageStart|Delta0:You |throttlingException", true, true },
    ["no_finish;content=x"] = { "messageStart|Delta0:x|metadata", true, true },
    ["no_usage;content=x"] = { "messageStart|Delta0:x|Stop0|messageStop", true, true },
    ["no_content"] = { "messageStart|messageStop|metadata", true, true },
    ["frame_crc"] = { "messageStart", true, false },
    ["cut_frame;content=x"] = { "messageStart|Delta0:x|Stop0", true, false },
  }
  for words, expected in pairs(BROKEN) do
    it("breaks by " .. words, loop.test(function()
      local answer = stream(words)
      assert.equal(expected[1], told(answer.frames))
      assert.equal(expected[2], answer.whole)
      assert.equal(expected[3], answer.sound)
    end))
  end

  it("marks an exception as one, and sends garbage in a sound frame", loop.test(function()
    local frames = stream("error_after=0;message=oh").frames
    assert.equal("exception", frames[#frames].headers[":message-type"])
    assert.same({ message = "oh" }, frames[#frames].json)
    frames = stream("garbage").frames
    assert.equal(1, #frames)
    assert.is_nil(frames[1].json)
  end))

  local TOOLS = { tools = { { toolSpec = { name = "f", inputSchema = { json = { type = "object" } } } } } }
  local USE = { toolUse = { toolUseId = "t1", name = "f", input = { a = 1 } } }
  local RESULT = { toolResult = { toolUseId = "t1", content = { { text = "42" } } } }
  local TEXT = { text = "x" }
  local function talk(config, ...)
    local messages = { { role = "user", content = { { text = "hi" } } } }
    for i, content in ipairs { ... } do
      messages[#messages + 1] = { role = i % 2 == 1 and "assistant" or "user", content = content }
    end
    return { messages = messages, toolConfig = config }
  end

  local REFUSED = {
    ["a history with calls without toolConfig"] = { talk(nil, { USE }, { RESULT }), "toolConfig" },
    ["a toolConfig without tools"] = { { toolConfig = { tools = {} } }, "tools" },
    ["a choice there is not"] = { { toolConfig = { tools = TOOLS.tools, toolChoice = { none = {} } } }, "toolChoice" },
    ["a field nobody knows"] = { { model = "x" }, "model" },
    ["a setting nobody knows"] = { { inferenceConfig = { topK = 1 } }, "topK" },
    ["a temperature over 1"] = { { inferenceConfig = { temperature = 2 } }, "temperature" },
    ["an empty text"] = { talk(nil, { { text = "" } }), "blank" },
    ["an empty system text"] = { { system = { { text = "" } } }, "blank" },
    ["an assistant first"] = { { messages = { { role = "assistant", content = { TEXT } } } }, "alternate" },
    ["two turns of one role"] = {
      { messages = { { role = "user", content = { TEXT } }, { role = "user", content = { TEXT } } } }, "alternate",
    },
    ["a call without a result"] = { talk(TOOLS, { USE }), "toolUse" },
    ["a call without a result in the next turn"] = { talk(TOOLS, { USE }, { TEXT }), "toolUse" },
    ["a result without a call"] = { talk(TOOLS, { TEXT }, { RESULT }), "toolResult" },
    ["a call whose input is text"] = {
      talk(TOOLS, { { toolUse = { toolUseId = "t1", name = "f", input = "{}" } } }), "input",
    },
  }
  for name, case in pairs(REFUSED) do
    it("refuses " .. name, loop.test(function()
      local answer = plain(nil, case[1])
      assert.equal(400, answer.status, answer.body)
      assert.equal("ValidationException", answer.headers["x-amzn-errortype"])
      assert.truthy(answer.json.message:find(case[2]), answer.json.message)
      assert.equal(200, plain("lenient", case[1]).status)
    end))
  end

  it("takes a history, and answers what the user said last", loop.test(function()
    local answer = plain(nil, talk(TOOLS, { TEXT, USE }, { RESULT }))
    assert.equal(200, answer.status, answer.body)
    assert.equal("You said: hi", answer.json.output.message.content[1].text)
  end))
end)
