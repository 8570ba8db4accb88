--- Chat Completions for the client: the chunks of a stream, and whole answers.
---
--- All chunks of a stream have the same head, so that it is made once; an event is then a few strings put together. The end mark is the
--- core's.
local json = require "perilune.json"
local states = require "perilune.dialects.chat_states"

local M = {}

local quote, concat, setmetatable = json.quote, table.concat, setmetatable

---@class perilune.ChatWriter : perilune.Writer
local Writer = {}
Writer.__index = Writer

--- A provider's id as clients know it, or one of ours.
---@param id string|nil
---@param context perilune.Context
---@return string
local function id_of(id, context)
  return id and id ~= "" and id or "chatcmpl-" .. context.id
end

-- A client that asked in the words of before there were tools is answered in them: with one call at most.
local function is_old(request)
  return request.fields.functions ~= nil and request.fields.tools == nil
end

local function optional(name, value)
  return value and (',"%s":%s'):format(name, quote(value)) or ""
end

function Writer:begin(info)
  local context = self.context
  self.head = ('data: {"id":%s,"object":"chat.completion.chunk","created":%d,"model":%s%s%s,"choices":['):format(
    quote(id_of(info.id, context)), info.created or context.created, quote(info.model),
    optional("service_tier", info.service_tier), optional("system_fingerprint", info.fingerprint))
  return ""
end

-- What a choice's events begin with, and its first one, which has the role: with an empty text before texts, with none before all else.
local function start(self, index, content)
  local c = {
    open = self.head .. '{"index":' .. index .. ',"delta":{',
    text = self.head .. '{"index":' .. index .. ',"delta":{"content":',
    thoughts = {}, told = 0, custom = {},
  }
  self.choices[index] = c
  return c, c.open .. '"role":"assistant","content":' .. content .. ',"refusal":null' .. self.close
end

local function choice_of(self, index)
  local c = self.choices[index]
  if c then
    return c, ""
  end
  return start(self, index, "null")
end

function Writer:text(index, text, extra)
  local c, role = self.choices[index], ""
  if not c then
    c, role = start(self, index, '""')
  end
  if not extra then
    return role .. c.text .. quote(text) .. self.close
  end
  local out = role .. c.text .. quote(text) .. (extra.annotations and ',"annotations":' .. extra.annotations or "")
    .. (extra.signature and ',"extra_content":{"google":{"thought_signature":' .. quote(extra.signature) .. "}}" or "")
  if extra.logprobs then
    return out .. '},"logprobs":' .. extra.logprobs .. ',"finish_reason":null}]' .. self.tail
  end
  return out .. self.close
end

function Writer:reasoning(index, text)
  local c, role = choice_of(self, index)
  if c.told > 0 then
    c.thoughts[#c.thoughts + 1] = text
  end
  return role .. c.open .. '"reasoning_content":' .. quote(text) .. self.close
end

-- The first state is of all that was told; those that follow say themselves what they are of.
function Writer:state(index, state)
  local c, role = choice_of(self, index)
  local entry = states.write(state, c.told, c.thoughts[1] and concat(c.thoughts) or nil)
  c.told, c.thoughts = c.told + 1, {}
  return role .. c.open .. '"reasoning_details":[' .. entry .. "]" .. self.close
end

function Writer:refusal(index, text)
  local c, role = choice_of(self, index)
  return role .. c.open .. '"refusal":' .. quote(text) .. self.close
end

local function signature_raw(signature)
  return signature and ',"extra_content":{"google":{"thought_signature":' .. quote(signature) .. "}}" or ""
end

function Writer:call(index, n, id, name, fields)
  local c, role = choice_of(self, index)
  if self.old then
    return role .. (n == 0 and c.open .. '"function_call":{"name":' .. quote(name) .. ',"arguments":""}' .. self.close or "")
  end
  c.custom[n] = fields.custom
  local kind, argument = "function", "arguments"
  if fields.custom then
    kind, argument = "custom", "input"
  end
  return ('%s%s"tool_calls":[{"index":%d,"id":%s,"type":"%s","%s":{"name":%s,"%s":""}%s}]%s'):format(role, c.open, n, quote(id), kind, kind,
    quote(name), argument, signature_raw(fields.signature), self.close)
end

function Writer:arguments(index, n, piece)
  local c = self.choices[index]
  if self.old then
    return n == 0 and c.open .. '"function_call":{"arguments":' .. quote(piece) .. "}" .. self.close or ""
  elseif c.custom[n] then
    return c.open .. '"tool_calls":[{"index":' .. n .. ',"custom":{"input":' .. quote(piece) .. "}}]" .. self.close
  end
  return c.open .. '"tool_calls":[{"index":' .. n .. ',"function":{"arguments":' .. quote(piece) .. "}}]" .. self.close
end

function Writer.call_done()
  return ""
end

function Writer:audio(index, raw)
  local c, role = choice_of(self, index)
  return role .. c.open .. '"audio":' .. raw .. self.close
end

function Writer.opaque()
  return ""
end

--- The usage object.
---@param usage perilune.Usage
---@param context perilune.Context
---@return perilune.Raw
local function usage_raw(usage, context)
  local input, output = usage.input_tokens or context.input_tokens or 0, usage.output_tokens or 0
  local written = usage.cache_write_tokens and (',"cache_write_tokens":%d'):format(usage.cache_write_tokens) or ""
  return ('{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d%s},'
    .. '"completion_tokens_details":{"reasoning_tokens":%d}}'):format(input, output, input + output, usage.cached_tokens or 0, written,
    usage.reasoning_tokens or 0)
end

local function reason_of(reason, old)
  return old and reason == "tool_calls" and "function_call" or reason
end

function Writer:finish(ends, usage)
  local out = {}
  for i, e in ipairs(ends) do
    local c, role = self.choices[e.choice], ""
    if not c then
      c, role = start(self, e.choice, '""')
    end
    out[i] = role .. c.open .. '},"logprobs":null,"finish_reason":"' .. reason_of(e.reason, self.old) .. '"}]' .. self.tail
  end
  if self.context.request.wants_usage then
    out[#out + 1] = self.head .. '],"usage":' .. usage_raw(usage, self.context) .. "}\n\n"
  end
  return concat(out)
end

--- A writer of one stream.
---@param context perilune.Context
---@return perilune.ChatWriter
function M.new(context)
  local tail = context.request.wants_usage and ',"usage":null}\n\n' or "}\n\n"
  return setmetatable({
    context = context, choices = {}, tail = tail, close = '},"logprobs":null,"finish_reason":null}]' .. tail, old = is_old(context.request),
  }, Writer)
end

----------------------------------------------------------------------------------------------------------------------------
-- Whole answers

local function call_raw(part)
  local signature = signature_raw(part.signature)
  if part.custom then
    return ('{"id":%s,"type":"custom","custom":{"name":%s,"input":%s}%s}'):format(quote(part.id), quote(part.name), quote(part.arguments),
      signature)
  end
  return ('{"id":%s,"type":"function","function":{"name":%s,"arguments":%s}%s}'):format(quote(part.id), quote(part.name),
    quote(part.arguments), signature)
end

-- The parts of a choice by the member of the message they are in.
local function sort_parts(parts)
  local m = { texts = {}, refusals = {}, thoughts = {}, details = {}, calls = {}, annotations = {} }
  local thinking = {}
  for _, part in ipairs(parts) do
    if part.kind == "text" then
      m.texts[#m.texts + 1] = part.text
      m.signature = part.signature or m.signature
      m.annotations[#m.annotations + 1] = part.annotations and part.annotations:match "^%s*%[%s*(.-)%s*%]%s*$"
    elseif part.kind == "refusal" then
      m.refusals[#m.refusals + 1] = part.text
    elseif part.kind == "call" then
      m.calls[#m.calls + 1] = part
    elseif part.kind == "reasoning" then
      thinking[#thinking + 1] = part
      m.thoughts[#m.thoughts + 1] = part.text
    end
  end
  for _, part in ipairs(thinking) do
    if part.state then
      m.details[#m.details + 1] = states.write(part.state, #m.details, thinking[2] and part.text or nil)
    end
  end
  return m
end

local function calls_raw(calls, old)
  local first = calls[1]
  if not first then
    return ""
  elseif old then
    return ',"function_call":{"name":' .. quote(first.name) .. ',"arguments":' .. quote(first.arguments) .. "}"
  end
  local list = {}
  for i, part in ipairs(calls) do
    list[i] = call_raw(part)
  end
  return ',"tool_calls":[' .. concat(list, ",") .. "]"
end

-- Without a text the content is null when something else is said, and empty when nothing is.
local function content_raw(m, audio)
  local text = concat(m.texts)
  local other = m.calls[1] or m.refusals[1] or audio
  return (text ~= "" or not other) and quote(text) or "null"
end

local function message_raw(choice, old)
  local m = sort_parts(choice.parts)
  return '{"role":"assistant","content":' .. content_raw(m, choice.audio)
    .. ',"refusal":' .. (m.refusals[1] and quote(concat(m.refusals)) or "null")
    .. ',"annotations":[' .. concat(m.annotations, ",") .. "]"
    .. (m.thoughts[1] and ',"reasoning_content":' .. quote(concat(m.thoughts)) or "")
    .. (m.details[1] and ',"reasoning_details":[' .. concat(m.details, ",") .. "]" or "")
    .. (choice.audio and ',"audio":' .. choice.audio or "")
    .. calls_raw(m.calls, old) .. signature_raw(m.signature) .. "}"
end

--- A whole answer.
---@param answer perilune.Answer
---@param context perilune.Context
---@return string
function M.write_answer(answer, context)
  local old, list = is_old(context.request), {}
  for i, choice in ipairs(answer.choices) do
    list[i] = ('{"index":%d,"message":%s,"logprobs":%s,"finish_reason":"%s"}'):format(choice.index, message_raw(choice, old),
      choice.logprobs or "null", reason_of(choice.finish, old))
  end
  return ('{"id":%s,"object":"chat.completion","created":%d,"model":%s,"choices":[%s],"usage":%s%s%s}'):format(
    quote(id_of(answer.id, context)), answer.created or context.created, quote(answer.model), concat(list, ","),
    usage_raw(answer.usage, context), optional("service_tier", answer.service_tier), optional("system_fingerprint", answer.fingerprint))
end

--- What clients of the older Completions get, too.
M.usage_raw, M.optional = usage_raw, optional

return M
