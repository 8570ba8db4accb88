--- Anthropic Messages: a provider's answer, read into a sink.
local json = require "perilune.json"

local M = {}

local NAME = "anthropic_messages"

local type, null, characters = type, json.null, json.characters

----------------------------------------------------------------------------------------------------------------------------
-- What streams and whole answers share

local function text_of(v)
  return type(v) == "string" and v ~= "" and v or nil
end

local function count(v)
  return type(v) == "number" and v >= 0 and v < 2 ^ 53 and v - v % 1 or nil
end

local COUNTS = { "input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens" }

-- Takes over what an object says and tells the sum. The same count comes again and again, and the last one holds; this dialect's input
-- leaves out what went through a cache.
local function tell_usage(counts, usage, sink)
  if type(usage) ~= "table" then
    return
  end
  for _, name in ipairs(COUNTS) do
    local n = usage[name]
    if n ~= nil then
      counts[name] = count(n) or counts[name]
    end
  end
  local written = type(usage.cache_creation) == "table" and usage.cache_creation
  counts.hour = written and count(written.ephemeral_1h_input_tokens) or counts.hour
  local details = type(usage.output_tokens_details) == "table" and usage.output_tokens_details
  counts.thinking = details and count(details.thinking_tokens) or counts.thinking
  local input, creation, read = counts.input_tokens, counts.cache_creation_input_tokens, counts.cache_read_input_tokens
  sink:usage {
    input_tokens = (input or creation or read) and (input or 0) + (creation or 0) + (read or 0) or nil,
    output_tokens = counts.output_tokens, cached_tokens = read, cache_write_tokens = creation, cache_write_1h_tokens = counts.hour,
    reasoning_tokens = counts.thinking,
  }
end

-- A turn that paused for the provider's own tools is over for the client.
local FINISHES = {
  end_turn = "stop", stop_sequence = "stop", pause_turn = "stop", tool_use = "tool_calls", max_tokens = "length",
  model_context_window_exceeded = "length", refusal = "content_filter",
}

-- `delta` holds stop_reason, stop_sequence and stop_details. A reason nobody knows yet is a plain stop.
local function tell_finish(delta, sink)
  local reason = text_of(delta.stop_reason)
  if not reason then
    return
  end
  local details = type(delta.stop_details) == "table" and delta.stop_details
  if reason == "refusal" and details and text_of(details.explanation) then
    sink:refusal(0, details.explanation)
  end
  local sequence = text_of(delta.stop_sequence)
  sink:finish(0, FINISHES[reason] or "stop", sequence and { stop_sequence = sequence } or nil)
end

local function tell_failure(value, sink)
  local failure = type(value.error) == "table" and value.error or {}
  local kind = text_of(failure.type)
  sink:fail { message = text_of(failure.message) or text_of(value.error) or "the provider reported an error", code = kind, type = kind }
end

local TIERS = { standard = "default" }

local function tell_message(message, sink)
  local usage = type(message.usage) == "table" and message.usage or {}
  local tier = text_of(usage.service_tier)
  sink:begin { id = text_of(message.id), model = text_of(message.model), service_tier = TIERS[tier] or tier }
end

-- Blocks of the provider's own tools, which only this dialect has.
local function is_hosted(kind)
  return kind == "server_tool_use" or kind == "mcp_tool_use" or kind == "container_upload" or kind:find("_tool_result$") ~= nil
end

local function signature(value, model)
  return { kind = "signature", value = value, by = NAME, model = model }
end

-- Citations of pages in the web, as the annotations Chat Completions has for them; those of the client's own documents have no such form.
-- They are about the characters from `from` to `to` of the whole text.
local function tell_citations(citations, from, to, sink)
  local out = {}
  for _, raw in ipairs(citations) do
    local citation = json.kind(raw) == "object" and json.fields(raw) or {}
    if json.kind(citation.url) == "string" then
      local title = json.kind(citation.title) == "string" and ',"title":' .. citation.title or ""
      out[#out + 1] = ('{"type":"url_citation","url_citation":{"start_index":%d,"end_index":%d,"url":'):format(from, to) .. citation.url
        .. title .. "}}"
    end
  end
  if out[1] then
    sink:text(0, "", { annotations = "[" .. table.concat(out, ",") .. "]" })
  end
end

----------------------------------------------------------------------------------------------------------------------------
-- Streams

---@class perilune.AnthropicReader : perilune.Reader
---@field model? string
---@field counts table<string, integer>
---@field blocks table<integer, table> what is open, by index
---@field chars integer of text, so far
local Reader = {}
Reader.__index = Reader

--- A reader of one stream.
---@return perilune.Reader
function M.new()
  return setmetatable({ counts = {}, blocks = {}, chars = 0 }, Reader)
end

-- What the event holds at a path, as its own bytes.
local function slice(data, ...)
  local raw = data
  for _, key in ipairs { ... } do
    raw = json.kind(raw) == "object" and json.fields(raw)[key] or nil
  end
  return raw
end

-- How blocks begin: (reader, sink, index, block, data) -> what is kept until they end.
local STARTS = {
  text = function(self, sink, _, block)
    local state = { from = self.chars }
    if text_of(block.text) then
      self.chars = self.chars + characters(block.text)
      sink:text(0, block.text)
    end
    return state
  end,
  thinking = function(self, sink, _, block)
    if text_of(block.thinking) then
      sink:reasoning(0, block.thinking)
    end
    if text_of(block.signature) then
      sink:state(0, signature(block.signature, self.model))
    end
    return {}
  end,
  redacted_thinking = function(self, sink, _, block)
    if text_of(block.data) then
      sink:state(0, { kind = "redacted", value = block.data, by = NAME, model = self.model })
    end
    return {}
  end,
  tool_use = function(_, sink, index, block, data)
    sink:call(0, index, text_of(block.id), text_of(block.name))
    local given = type(block.input) == "table" and next(block.input) ~= nil
    return { call = true, whole = given and slice(data, "content_block", "input") or nil }
  end,
}

local EVENTS = {}

function EVENTS.message_start(self, sink, value)
  local message = value.message
  if type(message) == "table" then
    self.model = text_of(message.model)
    tell_message(message, sink)
    tell_usage(self.counts, message.usage, sink)
  end
end

function EVENTS.content_block_start(self, sink, value, data)
  local block, index = value.content_block, count(value.index) or 0
  local kind = type(block) == "table" and text_of(block.type)
  if kind and STARTS[kind] then
    self.blocks[index] = STARTS[kind](self, sink, index, block, data)
  elseif kind and is_hosted(kind) then
    self.blocks[index] = { opaque = slice(data, "content_block"), pieces = {} }
  end
end

-- What may come of a block: (reader, sink, index, delta, data).
local DELTAS = {
  text_delta = function(self, sink, _, delta)
    local text = text_of(delta.text)
    if text then
      self.chars = self.chars + characters(text)
      sink:text(0, text)
    end
  end,
  thinking_delta = function(_, sink, _, delta)
    if text_of(delta.thinking) then
      sink:reasoning(0, delta.thinking)
    end
  end,
  signature_delta = function(self, sink, _, delta)
    if text_of(delta.signature) then
      sink:state(0, signature(delta.signature, self.model))
    end
  end,
  input_json_delta = function(self, sink, index, delta)
    local piece, block = text_of(delta.partial_json), self.blocks[index]
    if piece and block and block.call then
      sink:arguments(0, index, piece)
    elseif piece and block and block.opaque then
      block.pieces[#block.pieces + 1] = piece
    end
  end,
  citations_delta = function(self, _, index, _, data)
    local block = self.blocks[index]
    if block and block.from then
      block.citations = block.citations or {}
      table.insert(block.citations, slice(data, "delta", "citation"))
    end
  end,
}

function EVENTS.content_block_delta(self, sink, value, data)
  local delta = value.delta
  local read = type(delta) == "table" and DELTAS[delta.type]
  if read then
    read(self, sink, count(value.index) or 0, delta, data)
  end
end

-- A server tool's input came in pieces, and belongs into its block.
local function whole_block(block)
  local input = table.concat(block.pieces)
  if json.kind(input) ~= "object" or not json.valid(input) then
    return block.opaque
  end
  return assert(json.splice(block.opaque, { { key = "input", raw = input } }))
end

function EVENTS.content_block_stop(self, sink, value)
  local index = count(value.index) or 0
  local block = self.blocks[index]
  self.blocks[index] = nil
  if not block then
    return
  elseif block.call then
    sink:call_done(0, index, block.whole)
  elseif block.opaque then
    sink:opaque(0, NAME, whole_block(block))
  elseif block.citations then
    tell_citations(block.citations, block.from, self.chars, sink)
  end
end

function EVENTS.message_delta(self, sink, value)
  tell_usage(self.counts, value.usage, sink)
  if type(value.delta) == "table" then
    tell_finish(value.delta, sink)
  end
end

function EVENTS.message_stop(_, sink)
  sink:stop()
end

function EVENTS.error(_, sink, value)
  tell_failure(value, sink)
end

--- One event.
---@param sink perilune.Sink
---@param event string|nil
---@param data string
---@return boolean, string|nil
function Reader:feed(sink, event, data)
  local value, why = json.read(data)
  if type(value) ~= "table" then
    return false, "an event is not a JSON object" .. (why and ": " .. why or "")
  end
  local kind = text_of(value.type) or text_of(event)
  if kind == nil and value.error ~= nil and value.error ~= null then
    kind = "error"
  end
  if not kind then
    return false, "an event has no type"
  end
  local read = EVENTS[kind]
  if read then
    read(self, sink, value, data)
  end
  return true
end

----------------------------------------------------------------------------------------------------------------------------
-- Whole answers

-- Blocks of a whole answer: (sink, number, block, model, chars, raw) -> chars. `raw`, the block as it came, is there unless COPIED.
local WHOLE = {
  text = function(sink, _, block, _, chars, raw)
    local text = text_of(block.text)
    local to = chars
    if text then
      sink:text(0, text)
      to = chars + characters(text)
    end
    if type(block.citations) == "table" then
      local citations = slice(raw, "citations")
      tell_citations(json.kind(citations) == "array" and json.items(citations) or {}, chars, to, sink)
    end
    return to
  end,
  thinking = function(sink, _, block, model)
    local text, signed = text_of(block.thinking), text_of(block.signature)
    if text then
      sink:reasoning(0, text)
    end
    if signed then
      sink:state(0, signature(signed, model))
    end
  end,
  redacted_thinking = function(sink, _, block, model)
    local data = text_of(block.data)
    if data then
      sink:state(0, { kind = "redacted", value = data, by = NAME, model = model })
    end
  end,
  tool_use = function(sink, n, block, _, _, raw)
    local input = slice(raw, "input")
    sink:call(0, n, text_of(block.id), text_of(block.name))
    sink:call_done(0, n, json.kind(input) == "object" and input or "{}")
  end,
}
local COPIED = { text = true, thinking = true, redacted_thinking = true }

local function tell_blocks(content, body, model, sink)
  local chars, raws = 0, nil
  for n, block in ipairs(type(content) == "table" and content or {}) do
    block = type(block) == "table" and block or {}
    local kind = text_of(block.type) or ""
    if not raws and (not COPIED[kind] or type(block.citations) == "table") then
      raws = json.items(json.fields(body).content)
    end
    if WHOLE[kind] then
      chars = WHOLE[kind](sink, n - 1, block, model, chars, raws and raws[n]) or chars
    elseif is_hosted(kind) then
      sink:opaque(0, NAME, raws[n])
    end
  end
end

--- A whole answer.
---@param body string
---@param sink perilune.Sink
---@return boolean, string|nil
function M.answer(body, sink)
  local value = json.kind(body) == "object" and json.read(body)
  if not value then
    local _, why = json.fields(body)
    return false, "the answer is not JSON: " .. why
  elseif value.type == "error" or (value.error ~= nil and value.error ~= null) then
    tell_failure(value, sink)
    return true
  elseif value.type ~= "message" then
    return false, "the answer is no message"
  end
  tell_message(value, sink)
  tell_blocks(value.content, body, text_of(value.model), sink)
  tell_usage({}, value.usage, sink)
  tell_finish(value, sink)
  sink:stop()
  return true
end

return M
