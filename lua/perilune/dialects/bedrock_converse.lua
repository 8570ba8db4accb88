--- Amazon Bedrock's Converse and ConverseStream.
---
--- No client speaks it here: requests are built and answers are read, and that is all. Its streams are binary frames, which the core takes
--- apart: an event's name is the frame's :event-type, or :exception-type where the stream failed, and its data the payload.
local build = require "perilune.dialects.bedrock_build"
local json = require "perilune.json"

---@type perilune.Dialect
local M = { name = "bedrock_converse", build = build.build, echo = { texts = "text input", loose = "p" } }

local NAME = "bedrock_converse"

local type, ipairs, next, tostring, setmetatable = type, ipairs, next, tostring, setmetatable
local read_json = json.read

local function string_or_nil(v)
  return type(v) == "string" and v ~= "" and v or nil
end

local function object_or_empty(v)
  return type(v) == "table" and v or {}
end

----------------------------------------------------------------------------------------------------------------------------
-- What streams and whole answers share

local FINISH = {
  end_turn = "stop", stop_sequence = "stop", tool_use = "tool_calls", max_tokens = "length", model_context_window_exceeded = "length",
  guardrail_intervened = "content_filter", content_filtered = "content_filter",
}

local function tell_finish(sink, reason, more)
  local finish = FINISH[reason]
  if finish then
    local stop = string_or_nil(object_or_empty(more).stop_sequence)
    sink:finish(0, finish, stop and { stop_sequence = stop })
  elseif reason:find "^malformed_" then
    sink:fail { message = ("The model stopped with %s."):format(reason), code = reason }
  else
    sink:finish(0, "stop") -- an end all the same
  end
end

local function count(n)
  return type(n) == "number" and n >= 0 and n < 2 ^ 53 and n - n % 1 or nil
end

-- inputTokens leaves out what was read from a cache and what was written to one.
local function tell_usage(sink, said)
  local input, read, written = count(said.inputTokens), count(said.cacheReadInputTokens), count(said.cacheWriteInputTokens)
  local hour
  for _, detail in ipairs(object_or_empty(said.cacheDetails)) do
    if type(detail) == "table" and detail.ttl == "1h" then
      hour = count(detail.inputTokens)
    end
  end
  sink:usage {
    input_tokens = input and input + (read or 0) + (written or 0),
    output_tokens = count(said.outputTokens),
    cached_tokens = read,
    cache_write_tokens = written,
    cache_write_1h_tokens = hour,
  }
end

----------------------------------------------------------------------------------------------------------------------------
-- Streams

---@class perilune.BedrockReader : perilune.Reader
---@field calls table<any, boolean> blocks that are calls, and open
---@field signatures table<any, string> what came of each block's signature
---@field finished boolean
local Reader = {}
Reader.__index = Reader

local EVENT = {}

function EVENT.messageStart(_, sink)
  sink:begin {}
end

function EVENT.contentBlockStart(self, sink, value)
  local use = object_or_empty(value.start).toolUse
  if type(use) == "table" then
    local index = value.contentBlockIndex or 0
    self.calls[index] = true
    sink:call(0, index, string_or_nil(use.toolUseId), string_or_nil(use.name))
  end
end

local function reasoning_delta(self, sink, index, delta)
  if string_or_nil(delta.text) then
    sink:reasoning(0, delta.text)
  end
  if string_or_nil(delta.signature) then
    self.signatures[index] = (self.signatures[index] or "") .. delta.signature
  end
  if string_or_nil(delta.redactedContent) then
    sink:state(0, { kind = "redacted", value = delta.redactedContent, by = NAME })
  end
end

function EVENT.contentBlockDelta(self, sink, value)
  local delta = object_or_empty(value.delta)
  if string_or_nil(delta.text) then
    sink:text(0, delta.text)
    return
  end
  local index = value.contentBlockIndex or 0
  if type(delta.toolUse) == "table" and string_or_nil(delta.toolUse.input) then
    sink:arguments(0, index, delta.toolUse.input)
  elseif type(delta.reasoningContent) == "table" then
    reasoning_delta(self, sink, index, delta.reasoningContent)
  end
end

-- A signature is told whole, however it came.
local function tell_signature(self, sink, index)
  local signature = self.signatures[index]
  if signature then
    self.signatures[index] = nil
    sink:state(0, { kind = "signature", value = signature, by = NAME })
  end
end

function EVENT.contentBlockStop(self, sink, value)
  local index = value.contentBlockIndex or 0
  tell_signature(self, sink, index)
  if self.calls[index] then
    self.calls[index] = nil
    sink:call_done(0, index)
  end
end

function EVENT.messageStop(self, sink, value)
  for index in next, self.signatures do
    tell_signature(self, sink, index)
  end
  self.finished = true
  tell_finish(sink, string_or_nil(value.stopReason) or "end_turn", value.additionalModelResponseFields)
end

-- Comes behind messageStop, and is the last.
function EVENT.metadata(self, sink, value)
  if type(value.usage) == "table" then
    tell_usage(sink, value.usage)
  end
  if self.finished then
    sink:stop()
  end
end

local function tell_exception(sink, name, data)
  local value = read_json(data)
  local message = type(value) == "table" and (string_or_nil(value.message) or string_or_nil(value.Message)
    or string_or_nil(value.originalMessage))
  sink:fail { message = message or ("The stream ended with %s."):format(name), code = name }
end

function Reader:feed(sink, event, data)
  local tell = EVENT[event]
  if not tell then
    if event and event:find("Exception", 1, true) then
      tell_exception(sink, event, data)
      return true
    end
    return event ~= nil, "an event has no name" -- names that are not known yet are passed over
  end
  local value, why = read_json(data)
  if type(value) ~= "table" then
    return false, "an event is not JSON: " .. tostring(why or "no object")
  end
  tell(self, sink, value)
  return true
end

--- See perilune.Dialect.
---@return perilune.Reader
function M.reader()
  return setmetatable({ calls = {}, signatures = {}, finished = false }, Reader)
end

----------------------------------------------------------------------------------------------------------------------------
-- Whole answers

local function fields_of(raw)
  return json.kind(raw) == "object" and json.fields(raw) or {}
end

local BLOCK = {}

function BLOCK.text(sink, raw)
  sink:text(0, json.text(raw) or "")
end

function BLOCK.toolUse(sink, raw, i)
  local use = fields_of(raw)
  sink:call(0, i, json.text(use.toolUseId), json.text(use.name))
  sink:arguments(0, i, json.kind(use.input) == "object" and use.input or "{}")
  sink:call_done(0, i)
end

function BLOCK.reasoningContent(sink, raw)
  local fields = fields_of(raw)
  local said, redacted = fields_of(fields.reasoningText), json.text(fields.redactedContent)
  local text, signature = json.text(said.text), json.text(said.signature)
  if text then
    sink:reasoning(0, text)
  end
  if signature then
    sink:state(0, { kind = "signature", value = signature, by = NAME })
  elseif redacted then
    sink:state(0, { kind = "redacted", value = redacted, by = NAME })
  end
end

local function tell_block(sink, raw, i)
  local block = fields_of(raw)
  for _, name in ipairs { "text", "toolUse", "reasoningContent" } do
    if block[name] then
      BLOCK[name](sink, block[name], i)
      return
    end
  end
  if next(block) then
    sink:opaque(0, NAME, raw)
  end
end

--- See perilune.Dialect.
function M.read_answer(body, sink)
  local fields, why = json.fields(body)
  if not fields then
    return false, "the answer is not JSON: " .. why
  end
  local message = json.text(fields.message) or json.text(fields.Message)
  if not fields.output and not fields.stopReason then
    if not message then
      return false, "the answer is not Converse's"
    end
    sink:fail { message = message, code = json.text(fields.__type) or json.text(fields.code) }
    return true
  end
  sink:begin {}
  local content = fields_of(fields_of(fields.output).message).content
  for i, raw in ipairs(json.kind(content) == "array" and json.items(content) or {}) do
    tell_block(sink, raw, i - 1)
  end
  tell_finish(sink, json.text(fields.stopReason) or "end_turn", fields.additionalModelResponseFields
    and json.read(fields.additionalModelResponseFields))
  if fields.usage then
    tell_usage(sink, object_or_empty(json.read(fields.usage)))
  end
  return true
end

return M
