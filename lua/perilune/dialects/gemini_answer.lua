--- Gemini's answers: read from its events or a whole body, and written as it would.
---
--- An event is a whole answer with what is new in it. There is no end mark: the end of the bytes is the end of the answer.
local json = require "perilune.json"
local shape = require "perilune.shape"

local M = {}

local NAME = "gemini"

local type, ipairs, next, tostring, setmetatable = type, ipairs, next, tostring, setmetatable
local read_json, quote, concat, member, object = json.read, json.quote, table.concat, json.put, json.object

----------------------------------------------------------------------------------------------------------------------------
-- Slices, for what must stay as it was written

-- The raw parts of the i-th candidate of an event; nil where there are none.
local function raw_parts(data, i)
  local fields = json.kind(data) == "object" and json.fields(data)
  local candidates = fields and json.kind(fields.candidates) == "array" and json.items(fields.candidates)
  local candidate = candidates and json.kind(candidates[i]) == "object" and json.fields(candidates[i])
  local content = candidate and json.kind(candidate.content) == "object" and json.fields(candidate.content)
  return content and json.kind(content.parts) == "array" and json.items(content.parts)
end

local function raw_args(raw)
  local part = json.fields(raw)
  local call = part and json.kind(part.functionCall) == "object" and json.fields(part.functionCall)
  local args = call and call.args
  return json.kind(args) == "object" and args or "{}"
end

----------------------------------------------------------------------------------------------------------------------------
-- Reading

---@class perilune.GeminiReader : perilune.Reader
---@field begun boolean
---@field calls integer calls seen, over all candidates: the key that tells them apart
---@field content table<integer, boolean> candidates that said something
---@field prompt? number of each count the last that was said
---@field tools? number
---@field cached? number
---@field candidates? number
---@field thoughts? number
local Reader = {}
Reader.__index = Reader

local function new_reader()
  return setmetatable({ begun = false, calls = 0, content = {} }, Reader)
end

local function string_or_nil(v)
  return type(v) == "string" and v ~= "" and v or nil
end

local function tell_call(self, sink, choice, part, raw)
  local call = part.functionCall
  local key = self.calls
  self.calls = key + 1
  local signature = string_or_nil(part.thoughtSignature)
  sink:call(choice, key, string_or_nil(call.id), string_or_nil(call.name), signature and { signature = signature })
  sink:arguments(choice, key, raw and raw_args(raw) or "{}")
  sink:call_done(choice, key)
end

local function tell_text(sink, choice, part, extra)
  local text, signature = part.text, string_or_nil(part.thoughtSignature)
  if part.thought == true then
    if text ~= "" then
      sink:reasoning(choice, text)
    end
    if signature then
      sink:state(choice, shape.unseal(signature, NAME, "signature"))
    end
    return
  end
  if signature then
    extra = extra or {}
    extra.signature = signature
  end
  if text ~= "" or extra then
    sink:text(choice, text, extra)
  end
end

-- What Chat Completions calls logprobs, of one candidate of an event.
local function logprobs_of(result)
  if type(result) ~= "table" or type(result.chosenCandidates) ~= "table" then
    return nil
  end
  local out = {}
  local function entry(c, others)
    local p = type(c) == "table" and c.logProbability
    local known = type(p) == "number" and p - p == 0 and type(c.token) == "string" -- JSON has numbers that no double holds
    return known and ('{"token":%s,"logprob":%.17g,"bytes":null%s}'):format(quote(c.token), c.logProbability, others)
  end
  for i, chosen in ipairs(result.chosenCandidates) do
    local top = {}
    local step = type(result.topCandidates) == "table" and result.topCandidates[i]
    for _, other in ipairs(type(step) == "table" and type(step.candidates) == "table" and step.candidates or {}) do
      top[#top + 1] = entry(other, "") or nil
    end
    out[#out + 1] = entry(chosen, ',"top_logprobs":[' .. concat(top, ",") .. "]") or nil
  end
  return out[1] and { logprobs = '{"content":[' .. concat(out, ",") .. '],"refusal":null}' } or nil
end

-- A part that is neither text nor a call: something only Gemini knows, or a signature that stands alone.
local function tell_other(self, sink, choice, part, raw)
  local signature = string_or_nil(part.thoughtSignature)
  if signature and next(part, next(part)) == nil then
    sink:text(choice, "", { signature = signature })
  elseif next(part) then
    self.content[choice] = true
    sink:opaque(choice, NAME, raw or json.encode(part))
  end
end

-- A part of text and nothing else costs no slices.
local function tell_parts(self, sink, choice, parts, data, i, extra)
  local slices
  for k = 1, #parts do
    local part = parts[k]
    if type(part) == "table" and type(part.text) == "string" then
      self.content[choice] = self.content[choice] or part.text ~= ""
      tell_text(sink, choice, part, extra)
      extra = nil
    elseif type(part) == "table" then
      slices = slices or raw_parts(data, i) or {}
      if type(part.functionCall) == "table" then
        self.content[choice] = true
        tell_call(self, sink, choice, part, slices[k])
      else
        tell_other(self, sink, choice, part, slices[k])
      end
    end
  end
end

local FINISH = {
  STOP = "stop", MAX_TOKENS = "length", CONTINUATION = "length",
  SAFETY = "content_filter", RECITATION = "content_filter", BLOCKLIST = "content_filter", PROHIBITED_CONTENT = "content_filter",
  SPII = "content_filter", LANGUAGE = "content_filter", IMAGE_SAFETY = "content_filter", IMAGE_PROHIBITED_CONTENT = "content_filter",
  IMAGE_RECITATION = "content_filter", MODEL_ARMOR = "content_filter",
}

local BROKEN = { MALFORMED_FUNCTION_CALL = true, UNEXPECTED_TOOL_CALL = true, TOO_MANY_TOOL_CALLS = true, MALFORMED_RESPONSE = true }

-- OTHER and what is not known are an end if something was said, and a failure if not.
local function tell_finish(self, sink, choice, reason, message)
  local finish = FINISH[reason] or (not BROKEN[reason] and self.content[choice] and "stop")
  if finish then
    sink:finish(choice, finish)
  else
    sink:fail { message = string_or_nil(message) or ("The model stopped with %s."):format(reason), code = reason }
  end
end

local function tell_candidate(self, sink, candidate, data, i)
  local choice = type(candidate.index) == "number" and candidate.index or i - 1
  local content = candidate.content
  local parts = type(content) == "table" and content.parts
  local extra = candidate.logprobsResult and logprobs_of(candidate.logprobsResult)
  if type(parts) == "table" then
    tell_parts(self, sink, choice, parts, data, i, extra)
  end
  local reason = candidate.finishReason
  if type(reason) == "string" and reason ~= "" then
    tell_finish(self, sink, choice, reason, candidate.finishMessage)
  end
end

local function latest(n, known)
  return type(n) == "number" and n >= 0 and n < 2 ^ 53 and n - n % 1 or known
end

-- Each event tells more, and some only a part: of each count the last one holds. Thoughts are not among the candidates' tokens.
local function tell_usage(self, sink, said)
  local prompt = latest(said.promptTokenCount, self.prompt)
  local tools = latest(said.toolUsePromptTokenCount, self.tools)
  local cached = latest(said.cachedContentTokenCount, self.cached)
  local candidates = latest(said.candidatesTokenCount, self.candidates)
  local thoughts = latest(said.thoughtsTokenCount, self.thoughts)
  self.prompt, self.tools, self.cached, self.candidates, self.thoughts = prompt, tools, cached, candidates, thoughts
  sink:usage {
    input_tokens = prompt and prompt + (tools or 0),
    output_tokens = (candidates or thoughts) and (candidates or 0) + (thoughts or 0),
    cached_tokens = cached,
    reasoning_tokens = thoughts,
    total_tokens = latest(said.totalTokenCount),
  }
end

local function tell_error(sink, failure)
  if type(failure) ~= "table" then
    sink:fail { message = tostring(failure) }
    return
  end
  local status, code = string_or_nil(failure.status), failure.code
  sink:fail {
    message = string_or_nil(failure.message) or "The provider reported an error.",
    code = status or ((type(code) == "number" or type(code) == "string") and tostring(code) or nil),
  }
end

local function is_answer(value)
  return value.candidates or value.usageMetadata or value.promptFeedback or value.modelVersion or value.responseId or next(value) == nil
end

local tell

-- Without alt=sse, and for errors, Google sends a list.
local function tell_list(self, sink, list, data)
  local slices = json.items(data) or {}
  for i, item in ipairs(list) do
    local ok, why = tell(self, sink, item, slices[i] or "")
    if not ok then
      return false, why
    end
  end
  return true
end

function tell(self, sink, value, data)
  if type(value) ~= "table" then
    return false, "an event is no object"
  elseif value[1] ~= nil then
    return tell_list(self, sink, value, data)
  elseif value.error and value.error ~= json.null then
    tell_error(sink, value.error)
    return true
  elseif not is_answer(value) then
    return false, "an event is not Gemini's"
  end
  if not self.begun then
    self.begun = true
    sink:begin { id = string_or_nil(value.responseId), model = string_or_nil(value.modelVersion) }
  end
  local candidates, feedback = value.candidates, value.promptFeedback
  if type(candidates) == "table" then
    for i = 1, #candidates do
      if type(candidates[i]) == "table" then
        tell_candidate(self, sink, candidates[i], data, i)
      end
    end
  end
  -- A prompt that is not taken has an answer without content that ends for that reason: status 200, as Google sends it.
  if type(feedback) == "table" and string_or_nil(feedback.blockReason) then
    sink:finish(0, "content_filter")
  end
  if type(value.usageMetadata) == "table" then
    tell_usage(self, sink, value.usageMetadata)
  end
  return true
end

function Reader:feed(sink, _, data)
  local value, why = read_json(data)
  if value == nil then
    return false, "an event is not JSON: " .. tostring(why)
  end
  return tell(self, sink, value, data)
end

--- See perilune.Dialect.
---@return perilune.Reader
function M.reader()
  return new_reader()
end

--- See perilune.Dialect.
function M.read_answer(body, sink)
  local value, why = read_json(body)
  if value == nil then
    return false, "the answer is not JSON: " .. tostring(why)
  end
  return tell(new_reader(), sink, value, body)
end

----------------------------------------------------------------------------------------------------------------------------
-- Writing

local REASONS = { stop = "STOP", tool_calls = "STOP", length = "MAX_TOKENS", content_filter = "SAFETY" }

local function text_part(text, signature)
  return ('{"text":%s%s}'):format(quote(text), signature and ',"thoughtSignature":' .. quote(signature) or "")
end

local function thought_part(text, state)
  return ('{"text":%s,"thought":true%s}'):format(quote(text), state and ',"thoughtSignature":' .. quote(shape.seal(state, NAME)) or "")
end

local function call_part(id, name, arguments, fields)
  local args = fields.custom and ('{"input":%s}'):format(quote(arguments)) or arguments
  return ('{"functionCall":{"id":%s,"name":%s,"args":%s}%s}'):format(quote(id), quote(name), args,
    fields.signature and ',"thoughtSignature":' .. quote(fields.signature) or "")
end

local function count(n)
  return n and ("%d"):format(n)
end

local function usage_raw(usage)
  local output, thoughts = usage.output_tokens, usage.reasoning_tokens
  local out = {}
  member(out, "promptTokenCount", count(usage.input_tokens))
  member(out, "cachedContentTokenCount", count(usage.cached_tokens))
  member(out, "candidatesTokenCount", count(output and output - (thoughts or 0)))
  member(out, "thoughtsTokenCount", count(thoughts))
  member(out, "totalTokenCount", count(usage.total_tokens or (usage.input_tokens and output and usage.input_tokens + output)))
  return object(out)
end

local function candidate_raw(index, parts, reason)
  return ('{"content":{"parts":[%s],"role":"model"}%s,"index":%d}'):format(concat(parts, ","),
    reason and ',"finishReason":"' .. REASONS[reason] .. '"' or "", index)
end

local function answer_raw(candidates, usage, model, id)
  local out = {}
  member(out, "candidates", "[" .. concat(candidates, ",") .. "]")
  member(out, "usageMetadata", usage and usage_raw(usage))
  member(out, "modelVersion", quote(model))
  member(out, "responseId", quote(id))
  return object(out)
end

---@class perilune.GeminiWriter : perilune.Writer
---@field context perilune.Context
---@field calls table<string, { id: string, name: string, fields: table }> calls whose arguments are not all there
local Writer = {}
Writer.__index = Writer

local function event(self, candidates, usage)
  return "data: " .. answer_raw(candidates, usage, self.model, self.id) .. "\n\n"
end

local function part_event(self, choice, part)
  return event(self, { candidate_raw(choice, { part }) })
end

-- Nothing is said before there is something to say.
function Writer:begin(info)
  self.id, self.model = info.id or self.context.id, info.model
  return ""
end

function Writer:text(choice, text, extra)
  return part_event(self, choice, text_part(text, extra and extra.signature))
end

function Writer:refusal(choice, text)
  return part_event(self, choice, text_part(text))
end

function Writer:reasoning(choice, text)
  return part_event(self, choice, thought_part(text))
end

function Writer:state(choice, state)
  return part_event(self, choice, thought_part("", state))
end

-- A call is one part, said when it is whole.
function Writer:call(choice, n, id, name, fields)
  self.calls[choice .. "/" .. n] = { id = id, name = name, fields = fields }
  return ""
end

function Writer.arguments()
  return ""
end

function Writer:call_done(choice, n, whole)
  local key = choice .. "/" .. n
  local call = self.calls[key]
  self.calls[key] = nil
  return part_event(self, choice, call_part(call.id, call.name, whole, call.fields))
end

-- There is no place for OpenAI's audio.
function Writer.audio()
  return ""
end

function Writer:opaque(choice, dialect, raw)
  return dialect == NAME and part_event(self, choice, raw) or ""
end

function Writer:finish(ends, usage)
  local candidates = {}
  for i, e in ipairs(ends) do
    candidates[i] = candidate_raw(e.choice, { '{"text":""}' }, e.reason)
  end
  return event(self, candidates, usage)
end

--- See perilune.Dialect.
---@param context perilune.Context
---@return perilune.Writer
function M.writer(context)
  return setmetatable({ context = context, id = context.id, model = context.model, calls = {} }, Writer)
end

local WRITE = {}

function WRITE.text(part)
  return text_part(part.text, part.signature)
end

function WRITE.refusal(part)
  return text_part(part.text)
end

function WRITE.reasoning(part)
  return thought_part(part.text or "", part.state)
end

function WRITE.call(part)
  return call_part(part.id, part.name, part.arguments, part)
end

function WRITE.opaque(part)
  return part.dialect == NAME and part.raw or nil
end

--- See perilune.Dialect.
---@param answer perilune.Answer
---@param context perilune.Context
---@return string
function M.write_answer(answer, context)
  local candidates = {}
  for i, choice in ipairs(answer.choices) do
    local parts = {}
    for _, part in ipairs(choice.parts) do
      parts[#parts + 1] = WRITE[part.kind] and WRITE[part.kind](part)
    end
    candidates[i] = candidate_raw(choice.index, parts, choice.finish)
  end
  return answer_raw(candidates, answer.usage, answer.model, answer.id or context.id)
end

return M
