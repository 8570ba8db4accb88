--- What comes back from a service of Chat Completions, told to a sink: chunks of a stream and whole answers.
---
--- Services that call themselves compatible agree on little but the text. What is read here is what they were seen to send; what it means
--- is settled by what came before it in the stream. Text that looks like markup (`<think>`, `<tool_call>`) is text: a service that does not
--- parse its model's own words does not know better, and we would guess.
local json = require "perilune.json"
local pieces = require "perilune.pieces"
local states = require "perilune.dialects.chat_states"
local usage = require "perilune.usage"

local M = {}

local read, null, type, setmetatable, floor = json.read, json.null, type, setmetatable, math.floor

----------------------------------------------------------------------------------------------------------------------------
-- Words

local FINISHES = {
  stop = "stop", eos = "stop", ["end"] = "stop", end_turn = "stop", stop_sequence = "stop", eos_token = "stop", complete = "stop",
  length = "length", max_tokens = "length", model_length = "length", length_limit = "length", max_output_tokens = "length",
  tool_calls = "tool_calls", function_call = "tool_calls", tool_use = "tool_calls", tool_call = "tool_calls",
  content_filter = "content_filter", content_filtered = "content_filter", safety = "content_filter", refusal = "content_filter",
}
local FAILURES = { error = true, insufficient_system_resource = true, abort = true }

--- The reason a word stands for, of the closed set there is; nil when there is none yet; false when the service broke off. A word nobody
--- knows is an end like any other.
---@param word any
---@return perilune.Finish|nil|false
function M.finish_of(word)
  if type(word) ~= "string" or word == "" then
    return nil
  end
  local known = FINISHES[word]
  if known then
    return known
  end
  word = word:lower()
  if FAILURES[word] then
    return false
  end
  return FINISHES[word] or "stop"
end

local function text_or_nil(v)
  if type(v) == "string" and v ~= "" then
    return v
  end
  return type(v) == "number" and tostring(v) or nil
end

local UNSAID = "The provider reported an error."

-- FastAPI's: a text, or a list of what is wrong.
local function detail_of(detail)
  if type(detail) == "table" then
    detail = type(detail[1]) == "table" and detail[1].msg or detail.message or detail.msg
  end
  return text_or_nil(detail)
end

-- An error that is an object, or a text.
local function error_in(v, outer)
  if type(v) == "string" then
    return v ~= "" and { message = v } or nil
  elseif type(v) ~= "table" then
    return v == true and { message = text_or_nil(outer.message) or UNSAID } or nil
  end
  local metadata = type(v.metadata) == "table" and v.metadata or {}
  return {
    message = text_or_nil(v.message) or detail_of(v.detail) or text_or_nil(metadata.raw) or text_or_nil(v.code)
      or text_or_nil(outer.message) or UNSAID,
    code = text_or_nil(v.code), type = text_or_nil(v.type),
  }
end

--- The error an answer or a chunk is, in any of the forms services use, whatever its status; nil when it is none.
---@param answer table decoded
---@return { message: string, code?: string, type?: string }|nil
function M.error_of(answer)
  local choices = answer.choices
  local alive = type(choices) == "table" and choices[1] ~= nil
  local inner = answer.error
  if inner ~= nil and inner ~= null and inner ~= false and not (alive and type(inner) == "table" and next(inner) == nil) then
    local found = error_in(inner, answer)
    if found then
      return found
    end
  end
  if answer.object == "error" then
    return error_in({ message = answer.message, code = answer.code, type = answer.type }, answer)
  elseif choices ~= nil and choices ~= null then
    return nil
  elseif type(answer.errors) == "table" and answer.errors[1] ~= nil then
    return error_in(answer.errors[1], answer)
  elseif type(answer[1]) == "table" then
    return M.error_of(answer[1])
  elseif answer.detail ~= nil and detail_of(answer.detail) then
    return { message = detail_of(answer.detail) }
  elseif answer.success == false or (answer.code ~= nil and type(answer.message) == "string") then
    return error_in(answer, answer)
  end
  return nil
end

----------------------------------------------------------------------------------------------------------------------------
-- What is opaque is cut out of the bytes, where a whole decoded value would lose the order of its keys

local function step(raw, key)
  if type(key) == "number" then
    local items = json.kind(raw) == "array" and json.items(raw)
    return items and items[key] or nil
  end
  local fields = json.kind(raw) == "object" and json.fields(raw)
  return fields and fields[key] or nil
end

--- The bytes of the value at a path of keys and positions.
---@param raw perilune.Raw
---@param ... string|integer
---@return perilune.Raw|nil
function M.slice(raw, ...)
  for _, key in ipairs { ... } do
    raw = raw and step(raw, key)
  end
  return raw
end

local slice = M.slice

----------------------------------------------------------------------------------------------------------------------------
-- Calls

---@class perilune.ChatCall
---@field key integer counts from 0 in its choice, in the order of first sight
---@field id? string
---@field name? string
---@field custom? boolean
---@field pieces perilune.Pieces of its arguments

-- Whether a delta that names a tool, where a call stands already, is the next call and not the same again.
local function is_next(call, id, name, piece)
  if id and call.id and id ~= call.id then
    return true
  end
  if not call.name or (id and id == call.id and piece == nil) then
    return false
  end
  return name ~= call.name or (piece ~= nil and pieces.is_object(call.pieces)) -- all of it is there: another begins
end

-- The call that stands at a place: at its index, under its id where there is none, or the last one.
local function standing(calls, index, id)
  if not index then
    return id and calls.by_id[id] or not id and calls.last or nil
  end
  local call = calls.by_index[index]
  if call and id and call.id and call.id ~= id then
    return calls.by_id[id] or call -- all at one index, told apart by their ids
  end
  return call
end

-- The call a delta is of, and whether it is a new one.
local function call_of(calls, index, id, name, piece)
  local call = standing(calls, index, id)
  if call and not (name and is_next(call, id, name, piece)) then
    return call, false
  end
  call = { key = calls.n, pieces = {} }
  calls.n = calls.n + 1
  calls.list[calls.n] = call
  calls.last = call
  if index then
    calls.by_index[index] = call
  end
  if id then
    calls.by_id[id] = call
  end
  return call, true
end

local function filled(v)
  return type(v) == "string" and v ~= "" and v or nil
end

----------------------------------------------------------------------------------------------------------------------------
-- Choices

---@class perilune.ChatChoice
---@field calls { list: perilune.ChatCall[], by_index: table, by_id: table, last?: perilune.ChatCall, n: integer }

---@class perilune.ChatReader : perilune.Reader
---@field choices table<integer, perilune.ChatChoice>
---@field items? perilune.ChatCall[] the call of each entry of the last tool_calls, for who repairs them
local Reader = {}
Reader.__index = Reader

local function calls_of(self, index)
  local calls = self.choices[index]
  if not calls then
    calls = { list = {}, by_index = {}, by_id = {}, n = 0 }
    self.choices[index] = calls
  end
  return calls
end

--- The calls of a choice so far.
---@param index integer
---@return perilune.ChatCall[]
function Reader:calls(index)
  local calls = self.choices[index]
  return calls and calls.list or {}
end

local function signature_of(extra)
  local google = type(extra) == "table" and extra.google
  return type(google) == "table" and filled(google.thought_signature) or nil
end

-- The arguments as text; an object's bytes, so that its keys keep their order.
local function piece_of(arguments, data, path, ...)
  if type(arguments) == "string" then
    return arguments
  elseif type(arguments) == "table" then
    return slice(data, path[1], path[2], path[3], ...)
  end
  return nil
end

-- One entry of tool_calls. A whole message lists each call once, whatever its ids and indexes are.
local function take_call(self, sink, choice, item, position, whole, data, path)
  local custom = item.type == "custom" or (type(item.custom) == "table" and item["function"] == nil)
  local key = custom and "custom" or "function"
  local inner = type(item[key]) == "table" and item[key] or {}
  local id, name = filled(item.id), filled(inner.name)
  local argument = custom and "input" or "arguments"
  local piece = piece_of(inner[argument], data, path, "tool_calls", position, key, argument)
  local index = type(item.index) == "number" and item.index or nil
  local call, new = call_of(calls_of(self, choice), whole and position or index, id, name, piece)
  local signature = signature_of(item.extra_content)
  local late_id = not call.id and id or nil
  self.looked = self.looked or (name ~= nil and not new) -- the name again: what the arguments are so far told whether it begins a call
  if new or late_id or (name and not call.name) or signature then
    call.id, call.name, call.custom = call.id or id, call.name or name, call.custom or custom or nil
    sink:call(choice, call.key, late_id, name, (custom or signature) and { custom = custom or nil, signature = signature } or nil)
  end
  if piece and piece ~= "" then
    call.pieces[#call.pieces + 1] = piece
    sink:arguments(choice, call.key, piece)
  end
  return call
end

local function take_calls(self, sink, choice, list, whole, data, path)
  local items = {}
  for position, item in ipairs(list) do
    if type(item) == "table" then
      items[position] = take_call(self, sink, choice, item, position, whole, data, path)
    end
  end
  self.items[choice] = items
end

-- The deprecated form: one call, which never has an id.
local function take_function_call(self, sink, choice, item, data, path)
  local call, new = call_of(calls_of(self, choice), "function_call", nil, nil, nil)
  local name = filled(item.name)
  if new or (name and not call.name) then
    call.name = call.name or name
    sink:call(choice, call.key, nil, name)
  end
  local piece = piece_of(item.arguments, data, path, "function_call", "arguments")
  if piece and piece ~= "" then
    call.pieces[#call.pieces + 1] = piece
    sink:arguments(choice, call.key, piece)
  end
end

local function thinking_text(thinking)
  if type(thinking) ~= "table" then
    return filled(thinking)
  end
  local out = {}
  for _, piece in ipairs(thinking) do
    out[#out + 1] = type(piece) == "table" and filled(piece.text) or nil
  end
  return out[1] and table.concat(out)
end

-- Content as a list of chunks.
local function take_chunks(sink, choice, list)
  for _, chunk in ipairs(list) do
    if type(chunk) ~= "table" then
      chunk = { type = "text", text = chunk }
    end
    local thinking = chunk.type == "thinking" and thinking_text(chunk.thinking)
    if thinking then
      sink:reasoning(choice, thinking)
    elseif filled(chunk.text) then
      sink:text(choice, chunk.text)
    elseif chunk.type == "refusal" and filled(chunk.refusal) then
      sink:refusal(choice, chunk.refusal)
    end
  end
end

-- The same thoughts may be told under two names: the first that says anything is heard.
local function take_thoughts(sink, choice, delta, data, path)
  local text = filled(delta.reasoning_content) or filled(delta.reasoning) or filled(delta.reasoning_text) or filled(delta.thinking)
  if text then
    sink:reasoning(choice, text)
  end
  local details = delta.reasoning_details
  if type(details) ~= "table" then
    return
  end
  for i, entry in ipairs(details) do
    if type(entry) == "table" then
      local told, summary = states.text(entry)
      if told and not text then
        sink:reasoning(choice, told, summary)
      end
      local state = states.read(entry, function()
        return slice(data, path[1], path[2], path[3], "reasoning_details", i)
      end)
      if state then
        sink:state(choice, state)
      end
    end
  end
end

-- What few chunks have beside a text.
local function extra_of(choice, delta, data, path)
  local logprobs, annotations = choice.logprobs, delta.annotations
  local signature = signature_of(delta.extra_content)
  logprobs = type(logprobs) == "table" and slice(data, path[1], path[2], "logprobs") or nil
  annotations = type(annotations) == "table" and annotations[1] ~= nil and slice(data, path[1], path[2], path[3], "annotations") or nil
  if logprobs or annotations or signature then
    return { logprobs = logprobs, annotations = annotations, signature = signature }
  end
  return nil
end

-- All of a delta, or of a message that came instead.
local function take_delta(self, sink, index, choice, delta, whole, data, path)
  if delta.reasoning_content or delta.reasoning or delta.reasoning_details or delta.reasoning_text or delta.thinking then
    take_thoughts(sink, index, delta, data, path)
  end
  local content = delta.content
  local extra
  if choice.logprobs or delta.annotations or delta.extra_content then
    extra = extra_of(choice, delta, data, path)
  end
  if type(content) == "table" then
    take_chunks(sink, index, content)
  elseif extra or (content and content ~= "" and content ~= null) then
    sink:text(index, type(content) == "string" and content or "", extra)
  end
  if filled(delta.refusal) then
    sink:refusal(index, delta.refusal)
  end
  if type(delta.audio) == "table" then
    sink:audio(index, slice(data, path[1], path[2], path[3], "audio"))
  end
  if type(delta.tool_calls) == "table" then
    take_calls(self, sink, index, delta.tool_calls, whole, data, path)
  end
  if type(delta.function_call) == "table" then
    take_function_call(self, sink, index, delta.function_call, data, path)
  end
end

-- vLLM tells the text it stopped at beside the reason.
local function take_finish(self, sink, index, choice)
  local reason = M.finish_of(choice.finish_reason)
  if reason == false then
    self.failed = true
    sink:fail { message = "The provider broke the answer off: " .. choice.finish_reason .. ".", code = choice.finish_reason }
    return
  elseif not reason then
    return
  end
  for _, call in ipairs(self:calls(index)) do
    sink:call_done(index, call.key)
  end
  sink:finish(index, reason, filled(choice.stop_reason) and { stop_sequence = choice.stop_reason } or nil)
end

local function take_choice(self, sink, choice, position, data)
  local index = choice.index
  if type(index) ~= "number" or index < 0 or index % 1 ~= 0 then
    index = position - 1
  end
  local delta, whole, name = choice.delta, false, "delta"
  if type(delta) ~= "table" then
    delta, whole, name = choice.message, true, "message"
  end
  if type(delta) == "table" then
    take_delta(self, sink, index, choice, delta, whole, data, { "choices", position, name })
  end
  if choice.finish_reason then
    take_finish(self, sink, index, choice)
  end
end

----------------------------------------------------------------------------------------------------------------------------
-- Chunks and answers

--- Seconds since 1970 out of what services send: floats and texts, too. nil for 0 and for nonsense.
---@param v any
---@return integer|nil
function M.seconds(v)
  v = tonumber(v ~= null and v or nil)
  return v and v >= 1 and v < 2 ^ 53 and floor(v) or nil
end

-- Who answers. Azure's first chunk has empty ones of everything; nothing is taken from it.
local function take_head(self, sink, chunk)
  local id, model = filled(chunk.id), filled(chunk.model)
  if id or model then
    self.model = model or self.model
    self.began = self.model ~= nil
    sink:begin {
      id = id, model = model, created = M.seconds(chunk.created), service_tier = filled(chunk.service_tier),
      fingerprint = filled(chunk.system_fingerprint),
    }
  end
end

--- A chunk, or a whole answer, decoded; `data` are its bytes.
---@param sink perilune.Sink
---@param chunk table
---@param data string
---@return boolean alive false: it is an error
function Reader:take(sink, chunk, data)
  if chunk.error ~= nil or type(chunk.choices) ~= "table" or chunk.object == "error" then
    local failure = M.error_of(chunk)
    if failure then
      sink:fail(failure)
      return false
    end
  end
  if not self.began then
    take_head(self, sink, chunk)
  end
  local choices = chunk.choices
  if type(choices) == "table" then
    for position = 1, #choices do
      local choice = choices[position]
      if type(choice) == "table" then
        take_choice(self, sink, choice, position, data)
      end
    end
  end
  if chunk.usage or chunk.x_groq or (type(choices) == "table" and type(choices[1]) == "table" and choices[1].usage) then
    local counts = usage.openai(chunk)
    if counts then
      sink:usage(counts)
    end
  end
  return not self.failed
end

--- Whether an event is the end mark.
---@param data string
---@return boolean
function M.is_done(data)
  return data:find "^%s*%[DONE%]" ~= nil
end

function Reader:feed(sink, event, data)
  local chunk = read(data)
  if type(chunk) ~= "table" then
    if M.is_done(data) then
      sink:stop()
      return true
    elseif event == "error" then
      sink:fail { message = data ~= "" and data or UNSAID }
      return true
    end
    return false, "An event is not JSON of Chat Completions."
  end
  if event == "error" and chunk.error == nil then
    sink:fail(error_in(chunk, chunk))
    return true
  end
  self:take(sink, chunk, data)
  return true
end

--- A reader of one stream.
---@return perilune.ChatReader
function M.new()
  return setmetatable({ choices = {}, items = {}, began = false }, Reader)
end

--- Reads a whole answer.
---@param body string
---@param sink perilune.Sink
---@return boolean, string|nil
function M.read_answer(body, sink)
  local answer = read(body)
  if type(answer) ~= "table" then
    return false, "The answer is not JSON of Chat Completions."
  end
  M.new():take(sink, answer, body)
  return true
end

return M
