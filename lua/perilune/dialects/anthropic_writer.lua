--- Anthropic Messages: an answer, written for a client.
---
--- Clients are strict here: message_start comes first, blocks one after the other with indexes without gaps, each begun and ended, every
--- event under its name. What a model wants back and this dialect has no place for is sealed into signatures of thinking blocks, which come
--- back with the next request.
local json = require "perilune.json"
local shape = require "perilune.shape"

local M = {}

local NAME = "anthropic_messages"

local quote, format, concat = json.quote, string.format, table.concat

-- Thinking that nobody signed still needs a signature; this one says that it is none.
local UNSIGNED = shape.seal({ kind = "signature", value = "", by = "none" }, NAME)

-- Bytes of text that are about a token, where the provider did not count.
local BYTES_A_TOKEN = 4

----------------------------------------------------------------------------------------------------------------------------
-- What streams and whole answers share

-- Usage with every key clients look for. This dialect's input leaves out what went through a cache.
local function usage_json(usage, input, output)
  local read, written = usage.cached_tokens or 0, usage.cache_write_tokens or 0
  local hour = math.min(usage.cache_write_1h_tokens or 0, written)
  local plain = math.max((usage.input_tokens or input) - read - written, 0)
  return format('{"input_tokens":%d,"cache_creation_input_tokens":%d,"cache_read_input_tokens":%d,'
    .. '"cache_creation":{"ephemeral_5m_input_tokens":%d,"ephemeral_1h_input_tokens":%d},"output_tokens":%d%s,"service_tier":"standard"}',
    plain, written, read, written - hour, hour, usage.output_tokens or output,
    usage.reasoning_tokens and format(',"output_tokens_details":{"thinking_tokens":%d}', usage.reasoning_tokens) or "")
end

local REASONS = { stop = "end_turn", tool_calls = "tool_use", length = "max_tokens", content_filter = "refusal" }

-- stop_reason, stop_sequence and stop_details of an end; `refusal` is what the model said instead of an answer.
local function end_json(ending, refusal)
  local reason = REASONS[ending.reason]
  if refusal and ending.reason == "stop" then
    reason = "refusal"
  elseif ending.reason == "stop" and ending.stop_sequence then
    reason = "stop_sequence"
  end
  local sequence = ending.stop_sequence and quote(ending.stop_sequence) or "null"
  local details = "null"
  if reason == "refusal" then
    details = '{"type":"refusal","category":null,"explanation":' .. (refusal and quote(refusal) or "null") .. "}"
  end
  return format('"stop_reason":"%s","stop_sequence":%s,"stop_details":%s', reason, sequence, details)
end

local function message_json(info, context, content, ending, usage)
  local id = info.id and info.id:find "^msg_" and info.id or "msg_" .. context.id
  return '{"id":' .. quote(id) .. ',"type":"message","role":"assistant","model":' .. quote(info.model) .. ',"content":' .. content .. ","
    .. ending .. ',"usage":' .. usage .. "}"
end

local function redacted_json(data)
  return '{"type":"redacted_thinking","data":' .. quote(data) .. "}"
end

-- Gemini's signature of a call has no place in the call: it stands before it.
local function call_signature(signed)
  return redacted_json(shape.seal({ kind = "signature", value = signed, by = "gemini" }, NAME))
end

local function custom_input(text)
  return '{"input":' .. quote(text) .. "}"
end

----------------------------------------------------------------------------------------------------------------------------
-- Streams

---@class perilune.AnthropicWriter : perilune.Writer
---@field context perilune.Context
---@field index integer of the block that is open, or comes next
---@field open? "text"|"thinking"|"call"
---@field signed boolean the open thinking block has its signature
---@field head string how a delta of the open block begins
---@field bytes integer written
---@field refused? string[] pieces
local Writer = {}
Writer.__index = Writer
Writer.sequential = true

--- A writer of one stream.
---@param context perilune.Context
---@return perilune.Writer
function M.new(context)
  return setmetatable({ context = context, index = 0, signed = false, head = "", bytes = 0 }, Writer)
end

local function event(name, members)
  return "event: " .. name .. '\ndata: {"type":"' .. name .. '",' .. members .. "}\n\n"
end

function Writer:begin(info)
  local usage = usage_json(info.usage or {}, self.context.input_tokens or 0, 1)
  local empty = '"stop_reason":null,"stop_sequence":null,"stop_details":null'
  return event("message_start", '"message":' .. message_json(info, self.context, "[]", empty, usage))
    .. 'event: ping\ndata: {"type":"ping"}\n\n'
end

local function start_block(self, kind, block)
  self.open = kind
  return event("content_block_start", format('"index":%d,"content_block":', self.index) .. block)
end

-- How all deltas of one kind in this block begin.
local function deltas(self, kind, key)
  self.head = 'event: content_block_delta\ndata: {"type":"content_block_delta","index":'
    .. format('%d,"delta":{"type":"%s","%s":', self.index, kind, key)
end

local function delta(self, text)
  self.bytes = self.bytes + #text
  return self.head .. quote(text) .. "}}\n\n"
end

local function sign(self, value)
  self.signed = true
  return event("content_block_delta", format('"index":%d,"delta":{"type":"signature_delta","signature":%s}', self.index, quote(value)))
end

-- Ends the block that is open, if any.
local function close(self)
  local out = ""
  if not self.open then
    return out
  elseif self.open == "thinking" and not self.signed then
    out = sign(self, UNSIGNED)
  end
  out = out .. event("content_block_stop", format('"index":%d', self.index))
  self.open, self.index = nil, self.index + 1
  return out
end

local function whole_block(self, block)
  local out = close(self) .. start_block(self, "whole", block)
  return out .. close(self)
end

local function open_thinking(self)
  local out = close(self) .. start_block(self, "thinking", '{"type":"thinking","thinking":"","signature":""}')
  self.signed = false
  deltas(self, "thinking_delta", "thinking")
  return out
end

-- This dialect has one answer to a request.
local function first_only(write)
  return function(self, choice, ...)
    return choice == 0 and write(self, ...) or ""
  end
end

local function write_text(self, text)
  if text == "" then -- annotations alone, which have no form here
    return text
  elseif self.open == "text" then
    return delta(self, text)
  end
  local out = close(self) .. start_block(self, "text", '{"type":"text","text":""}')
  deltas(self, "text_delta", "text")
  return out .. delta(self, text)
end

Writer.text = first_only(write_text)

Writer.reasoning = first_only(function(self, text)
  if self.open == "thinking" and not self.signed then
    return delta(self, text)
  end
  return open_thinking(self) .. delta(self, text)
end)

Writer.state = first_only(function(self, state)
  local sealed = shape.seal(state, NAME)
  if state.kind == "redacted" then
    return whole_block(self, redacted_json(sealed))
  end
  local out = self.open == "thinking" and not self.signed and "" or open_thinking(self)
  return out .. sign(self, sealed)
end)

Writer.refusal = first_only(function(self, text)
  self.refused = self.refused or {}
  self.refused[#self.refused + 1] = text
  return write_text(self, text)
end)

-- Lines end events: what came with some between its members loses them.
Writer.opaque = first_only(function(self, dialect, raw)
  return dialect == NAME and whole_block(self, (raw:gsub("[\r\n]", " "))) or ""
end)

function Writer.audio()
  return ""
end

Writer.call = first_only(function(self, _, id, name, fields)
  local out = fields.signature and whole_block(self, call_signature(fields.signature)) or close(self)
  self.custom = fields.custom
  out = out .. start_block(self, "call", '{"type":"tool_use","id":' .. quote(id) .. ',"name":' .. quote(name) .. ',"input":{}}')
  deltas(self, "input_json_delta", "partial_json")
  return out
end)

Writer.arguments = first_only(function(self, _, piece)
  return not self.custom and delta(self, piece) or ""
end)

Writer.call_done = first_only(function(self, _, whole)
  return (self.custom and delta(self, custom_input(whole)) or "") .. close(self)
end)

-- The end of the one answer there is.
local function ending_of(ends)
  for _, ending in ipairs(ends) do
    if ending.choice == 0 then
      return ending
    end
  end
  return ends[1]
end

function Writer:finish(ends, usage)
  local counts = usage_json(usage, self.context.input_tokens or 0, math.ceil(self.bytes / BYTES_A_TOKEN))
  return close(self)
    .. event("message_delta", '"delta":{' .. end_json(ending_of(ends), self.refused and concat(self.refused)) .. '},"usage":' .. counts)
    .. 'event: message_stop\ndata: {"type":"message_stop"}\n\n'
end

----------------------------------------------------------------------------------------------------------------------------
-- Whole answers

local function thinking_json(text, signed)
  return '{"type":"thinking","thinking":' .. quote(text) .. ',"signature":' .. quote(signed) .. "}"
end

local function text_json(part)
  return part.text ~= "" and '{"type":"text","text":' .. quote(part.text) .. "}" or nil
end

-- Blocks of a whole answer; nil for what has no place in one.
local BLOCKS = {
  text = text_json,
  refusal = text_json,
  reasoning = function(part)
    local state = part.state
    if state and state.kind == "redacted" then
      return redacted_json(shape.seal(state, NAME))
    end
    return thinking_json(part.text or "", state and shape.seal(state, NAME) or UNSIGNED)
  end,
  call = function(part)
    local before = part.signature and call_signature(part.signature) .. "," or ""
    return before .. '{"type":"tool_use","id":' .. quote(part.id) .. ',"name":' .. quote(part.name) .. ',"input":'
      .. (part.custom and custom_input(part.arguments) or part.arguments) .. "}"
  end,
  opaque = function(part)
    return part.dialect == NAME and part.raw or nil
  end,
}

--- A whole answer.
---@param answer perilune.Answer
---@param context perilune.Context
---@return string
function M.answer(answer, context)
  local choice, blocks, bytes = answer.choices[1], {}, 0
  local refused
  for _, part in ipairs(choice.parts) do
    local write = BLOCKS[part.kind]
    local block = write and write(part)
    blocks[#blocks + 1] = block
    bytes = bytes + (block and #block or 0)
    refused = part.kind == "refusal" and (refused or "") .. part.text or refused
  end
  local usage = usage_json(answer.usage, context.input_tokens or 0, math.ceil(bytes / BYTES_A_TOKEN))
  local ending = end_json({ reason = choice.finish, stop_sequence = choice.stop_sequence }, refused)
  return message_json(answer, context, "[" .. concat(blocks, ",") .. "]", ending, usage)
end

return M
