--- An answer, written in the Responses dialect.
---
--- One item is open at a time. Whatever comes belongs to it, or closes it and opens the next: an item is opened before its pieces, closed
--- with all of itself after them, and stands once more in the last event. Clients read one of the three, and not all the same.
local json = require "perilune.json"
local shape = require "perilune.shape"

local M = {}

local NAME = "openai_responses"

local quote, concat, setmetatable = json.quote, table.concat, setmetatable

---@class perilune.ResponsesPart a text that grows
---@field kind string of the PARTS below
---@field pieces string[]
---@field head string what stands before the piece in each of its deltas
---@field annotations string[]
---@field logprobs string[]

---@class perilune.ResponsesItem the open one
---@field type string
---@field id string
---@field index integer its place in the output
---@field part? perilune.ResponsesPart the open one
---@field content string[] parts that are closed
---@field summary string[]
---@field sealed? string
---@field call? { id: string, name: string, input: string, told: boolean }

---@class perilune.ResponsesWriter : perilune.Writer
---@field context perilune.Context
---@field said number events so far
---@field output string[] items that are closed
---@field item? perilune.ResponsesItem
local Writer = { sequential = true }
Writer.__index = Writer

-- An event; `rest` are its members behind the first two, each with a comma in front.
local function event(self, name, rest)
  local n = self.said
  self.said = n + 1
  return "event: " .. name .. '\ndata: {"type":"' .. name .. '","sequence_number":' .. n .. rest .. "}\n\n"
end

-- A raw value on one line, as an event's data must be. Outside of strings a line's end is a space, and inside there is none.
local function one_line(raw)
  return raw:find "[\r\n]" and raw:gsub("[\r\n]", " ") or raw
end

----------------------------------------------------------------------------------------------------------------------------
-- The response object

-- What a client asked comes back as it said it, or as what it means not to say it.
local ECHOED = {
  { "instructions", "null" }, { "max_output_tokens", "null" }, { "max_tool_calls", "null" }, { "metadata", "{}" },
  { "parallel_tool_calls", "true" }, { "previous_response_id", "null" }, { "prompt_cache_key", "null" },
  { "reasoning", '{"effort":null,"summary":null}' }, { "safety_identifier", "null" }, { "store", "false" }, { "temperature", "1" },
  { "text", '{"format":{"type":"text"}}' }, { "tool_choice", '"auto"' }, { "tools", "[]" }, { "top_logprobs", "0" }, { "top_p", "1" },
  { "truncation", '"disabled"' }, { "user", "null" },
}
for _, case in ipairs(ECHOED) do
  case.unsaid = ',"' .. case[1] .. '":' .. case[2]
end

local function echoed(self)
  local request, out = self.context.request, {}
  local fields = request.dialect == NAME and request.fields or {}
  for i, case in ipairs(ECHOED) do
    local raw = fields[case[1]]
    out[i] = (raw == nil or json.kind(raw) == "null") and case.unsaid or ',"' .. case[1] .. '":' .. one_line(raw)
  end
  return concat(out)
end

-- The whole object. `details` is why it is incomplete, raw.
local function response(self, status, details, usage)
  self.echo = self.echo or echoed(self)
  local info = self.info
  return concat {
    '{"id":', quote("resp_" .. self.context.id), ',"object":"response","created_at":', ("%d"):format(info.created or self.context.created),
    ',"status":"', status, '","background":false,"error":null,"incomplete_details":', details, ',"model":', quote(info.model),
    ',"output":[', concat(self.output, ","), '],"service_tier":', quote(info.service_tier or "default"), self.echo, ',"usage":', usage, "}",
  }
end

local function counts(usage)
  if not usage.input_tokens and not usage.output_tokens then
    return "null"
  end
  local input, output = usage.input_tokens or 0, usage.output_tokens or 0
  return ('{"input_tokens":%d,"input_tokens_details":{"cached_tokens":%d,"cache_write_tokens":%d},"output_tokens":%d,'
    .. '"output_tokens_details":{"reasoning_tokens":%d},"total_tokens":%d}'):format(input, usage.cached_tokens or 0,
    usage.cache_write_tokens or 0, output, usage.reasoning_tokens or 0, usage.total_tokens or input + output)
end

----------------------------------------------------------------------------------------------------------------------------
-- Parts: four kinds of growing text, of two kinds of items

local function plain(part, text)
  return ('{"type":"%s","%s":%s}'):format(part.kind, part.kind == "refusal" and "refusal" or "text", quote(text))
end

local function output_text(part, text)
  return ('{"type":"output_text","text":%s,"annotations":[%s],"logprobs":[%s]}'):format(quote(text), concat(part.annotations, ","),
    concat(part.logprobs, ","))
end

-- `event` is the name its deltas have, `frame` that of its opening and closing, `list` where it ends up in the item.
local PARTS = {
  output_text = {
    item = "message", event = "output_text", frame = "content_part", list = "content", index = "content_index", raw = output_text,
    member = "text",
  },
  refusal = {
    item = "message", event = "refusal", frame = "content_part", list = "content", index = "content_index", raw = plain, member = "refusal",
  },
  reasoning_text = {
    item = "reasoning", event = "reasoning_text", frame = "content_part", list = "content", index = "content_index", raw = plain,
    member = "text",
  },
  summary_text = {
    item = "reasoning", event = "reasoning_summary_text", frame = "reasoning_summary_part", list = "summary", index = "summary_index",
    raw = plain, member = "text",
  },
}

-- Which part of which item an event is about.
local function place(item, part)
  local how = PARTS[part.kind]
  return (',"item_id":%s,"output_index":%d,"%s":%d'):format(quote(item.id), item.index, how.index, #item[how.list])
end

local function open_part(self, kind)
  local item, how = self.item, PARTS[kind]
  local part = { kind = kind, pieces = {}, annotations = {}, logprobs = {} }
  item.part = part
  part.place = place(item, part)
  part.delta = "response." .. how.event .. ".delta"
  part.head = part.place .. ',"delta":'
  return event(self, "response." .. how.frame .. ".added", part.place .. ',"part":' .. how.raw(part, ""))
end

local function close_part(self)
  local item, part = self.item, self.item.part
  if not part then
    return ""
  end
  local how, text = PARTS[part.kind], concat(part.pieces)
  local raw = how.raw(part, text)
  local rest = part.place .. ',"' .. how.member .. '":' .. quote(text)
  if part.kind == "output_text" then
    rest = rest .. ',"logprobs":[' .. concat(part.logprobs, ",") .. "]"
  end
  item.part = nil
  item[how.list][#item[how.list] + 1] = raw
  return event(self, "response." .. how.event .. ".done", rest) .. event(self, "response." .. how.frame .. ".done",
    part.place .. ',"part":' .. raw)
end

----------------------------------------------------------------------------------------------------------------------------
-- Items

-- An item as it stands, by type: fun(item, status).
local RAW = {
  message = function(item, status)
    return ('{"id":%s,"type":"message","status":"%s","role":"assistant","content":[%s]}'):format(quote(item.id), status,
      concat(item.content, ","))
  end,
  reasoning = function(item)
    local content = item.content[1] and ',"content":[' .. concat(item.content, ",") .. "]" or ""
    local sealed = item.sealed and ',"encrypted_content":' .. quote(item.sealed) or ""
    return ('{"id":%s,"type":"reasoning","summary":[%s]'):format(quote(item.id), concat(item.summary, ",")) .. content .. sealed .. "}"
  end,
  function_call = function(item, status)
    local call = item.call
    return ('{"id":%s,"type":"function_call","status":"%s","arguments":%s,"call_id":%s,"name":%s}'):format(quote(item.id), status,
      quote(call.input), quote(call.id), quote(call.name))
  end,
  custom_tool_call = function(item, status)
    local call = item.call
    return ('{"id":%s,"type":"custom_tool_call","status":"%s","call_id":%s,"name":%s,"input":%s}'):format(quote(item.id), status,
      quote(call.id), quote(call.name), quote(call.input))
  end,
}

local PREFIX = { message = "msg_", reasoning = "rs_", function_call = "fc_", custom_tool_call = "ctc_" }

local function added(self, index, raw)
  return event(self, "response.output_item.added", (',"output_index":%d,"item":'):format(index) .. raw)
end

local function done(self, index, raw)
  self.output[index + 1] = raw
  return event(self, "response.output_item.done", (',"output_index":%d,"item":'):format(index) .. raw)
end

-- `status`: of one that was cut off, "incomplete".
local function close_item(self, status)
  local item = self.item
  if not item then
    return ""
  end
  local bytes = close_part(self)
  self.item = nil
  return bytes .. done(self, item.index, RAW[item.type](item, status or "completed"))
end

-- Opens one, behind the one that was open.
local function open_item(self, kind, members)
  local bytes = close_item(self)
  local index = #self.output
  local item = { type = kind, index = index, content = {}, summary = {}, call = members and members.call }
  item.id = members and members.id or ("%s%s_%d"):format(PREFIX[kind], self.context.id, index)
  self.item = item
  return bytes .. added(self, index, RAW[kind](item, "in_progress"))
end

-- What must be said before a piece of this kind; "" when it goes on with the piece before.
local function opened(self, kind)
  local how, bytes = PARTS[kind], ""
  if not self.item or self.item.type ~= how.item then
    bytes = open_item(self, how.item)
  end
  local part = self.item.part
  if part and part.kind == kind then
    return bytes
  end
  return bytes .. close_part(self) .. open_part(self, kind)
end

local function say(self, kind, text, rest)
  local bytes = opened(self, kind)
  local part = self.item.part
  part.pieces[#part.pieces + 1] = text
  return bytes .. event(self, part.delta, part.head .. quote(text) .. rest)
end

----------------------------------------------------------------------------------------------------------------------------
-- The writer

--- A writer of one answer.
---@param context perilune.Context
---@return perilune.Writer
function M.writer(context)
  return setmetatable({ context = context, said = 0, output = {}, info = { model = context.model } }, Writer)
end

function Writer:begin(info)
  self.info = info
  local begun = ',"response":' .. response(self, "in_progress", "null", "null")
  return event(self, "response.created", begun) .. event(self, "response.in_progress", begun)
end

-- What lies nested in Chat Completions lies flat here.
local function flat_annotation(raw)
  local fields = json.fields(one_line(raw)) or {}
  local cited = fields.url_citation and json.fields(fields.url_citation)
  if not cited then
    return nil
  end
  local out = { '{"type":"url_citation"' }
  for _, case in ipairs { { "start_index", "0" }, { "end_index", "0" }, { "url", '""' }, { "title", '""' } } do
    out[#out + 1] = ',"' .. case[1] .. '":' .. (cited[case[1]] or case[2])
  end
  return concat(out) .. "}"
end

local function annotate(self, raw)
  local bytes, part = opened(self, "output_text"), self.item.part
  for _, one in ipairs(json.items(raw) or {}) do
    local annotation = flat_annotation(one)
    if annotation then
      bytes = bytes .. event(self, "response.output_text.annotation.added",
        part.place .. (',"annotation_index":%d,"annotation":'):format(#part.annotations) .. annotation)
      part.annotations[#part.annotations + 1] = annotation
    end
  end
  return bytes
end

-- The list inside of Chat Completions' logprobs, without its brackets; "" for none.
local function inner_logprobs(raw)
  local fields = json.fields(raw) or {}
  local inner = fields.content and fields.content:match "^%s*%[%s*(.-)%s*%]%s*$"
  return inner and one_line(inner) or ""
end

function Writer:text(choice, text, extra)
  if choice > 0 then
    return ""
  elseif not extra then
    return say(self, "output_text", text, ',"logprobs":[]')
  end
  local probabilities = extra.logprobs and inner_logprobs(extra.logprobs) or ""
  local bytes = ""
  if text ~= "" then
    bytes = say(self, "output_text", text, ',"logprobs":[' .. probabilities .. "]")
    local list = self.item.part.logprobs
    list[#list + 1] = probabilities ~= "" and probabilities or nil
  end
  return extra.annotations and bytes .. annotate(self, extra.annotations) or bytes
end

function Writer:refusal(choice, text)
  return choice > 0 and "" or say(self, "refusal", text, "")
end

function Writer:reasoning(choice, text, summary)
  return choice > 0 and "" or say(self, summary and "summary_text" or "reasoning_text", text, "")
end

-- It belongs to the thoughts before it and ends them: those that follow have a state of their own.
function Writer:state(choice, state)
  if choice > 0 then
    return ""
  end
  local bytes = ""
  if not self.item or self.item.type ~= "reasoning" then
    bytes = open_item(self, "reasoning", { id = state.by == NAME and state.id or nil })
  end
  self.item.sealed = shape.seal(state, NAME)
  return bytes .. close_item(self)
end

-- Gemini's signature of a call has no place in the call: it is sealed into a reasoning item of its own before it.
local function sign(self, signature)
  return close_item(self) .. self:state(0, { kind = "signature", value = signature, by = "gemini" })
end

function Writer:call(choice, _, id, name, fields)
  if choice > 0 then
    return ""
  end
  local signed = fields.signature and sign(self, fields.signature) or ""
  return signed .. open_item(self, fields.custom and "custom_tool_call" or "function_call", { call = { id = id, name = name, input = "" } })
end

local CALLS = {
  function_call = { event = "response.function_call_arguments", member = "arguments" },
  custom_tool_call = { event = "response.custom_tool_call_input", member = "input" },
}

local function call_place(item)
  return (',"item_id":%s,"output_index":%d'):format(quote(item.id), item.index)
end

function Writer:arguments(choice, _, piece)
  if choice > 0 then
    return ""
  end
  local item = self.item
  item.place = item.place or call_place(item)
  item.call.told = true
  return event(self, CALLS[item.type].event .. ".delta", item.place .. ',"delta":' .. quote(piece))
end

function Writer:call_done(choice, n, whole)
  if choice > 0 then
    return ""
  end
  local item = self.item
  local call, how = item.call, CALLS[item.type]
  local bytes = not call.told and whole ~= "" and self:arguments(choice, n, whole) or ""
  call.input = whole
  local name = item.type == "function_call" and ',"name":' .. quote(call.name) or ""
  return bytes .. event(self, how.event .. ".done", call_place(item) .. ',"' .. how.member .. '":' .. quote(whole) .. name)
    .. close_item(self)
end

-- Spoken answers have no form in this dialect.
function Writer.audio()
  return ""
end

--- Numbers of events that went out without us.
---@param n integer
function Writer:skip(n)
  self.said = self.said + n
end

-- An item that a tool of this dialect's providers made is one for the client as well; blocks of other dialects are none.
function Writer:opaque(choice, dialect, raw)
  if choice > 0 or dialect ~= NAME then
    return ""
  end
  local bytes, index = close_item(self), #self.output
  local item = one_line(raw)
  return bytes .. added(self, index, item) .. done(self, index, item)
end

local INCOMPLETE = { length = '{"reason":"max_output_tokens"}', content_filter = '{"reason":"content_filter"}' }

-- Closes what is open; status and details of the end.
local function over(self, ends)
  local reason
  for _, one in ipairs(ends) do
    reason = one.choice == 0 and one.reason or reason
  end
  local details = INCOMPLETE[reason]
  local status = details and "incomplete" or "completed"
  return close_item(self, status), status, details or "null"
end

function Writer:finish(ends, usage)
  local bytes, status, details = over(self, ends)
  return bytes .. event(self, "response." .. status, ',"response":' .. response(self, status, details, counts(usage)))
end

----------------------------------------------------------------------------------------------------------------------------
-- Whole answers: what the writer would have said, without the events

local TOLD = {
  text = function(writer, part, logprobs)
    writer:text(0, part.text, { annotations = part.annotations, logprobs = logprobs })
  end,
  refusal = function(writer, part)
    writer:refusal(0, part.text)
  end,
  reasoning = function(writer, part)
    if part.text and part.text ~= "" then
      writer:reasoning(0, part.text, part.summary)
    end
    if part.state then
      writer:state(0, part.state)
    end
  end,
  call = function(writer, part)
    writer:call(0, 0, part.id, part.name, { custom = part.custom, signature = part.signature })
    writer:call_done(0, 0, part.arguments)
  end,
  opaque = function(writer, part)
    writer:opaque(0, part.dialect, part.raw)
  end,
}

-- The probabilities are the first text's.
local function tell(writer, choice)
  local logprobs = choice.logprobs
  for _, part in ipairs(choice.parts) do
    if TOLD[part.kind] then
      TOLD[part.kind](writer, part, logprobs)
      logprobs = part.kind ~= "text" and logprobs or nil
    end
  end
end

--- A whole answer.
---@param answer perilune.Answer
---@param context perilune.Context
---@return string
function M.write_answer(answer, context)
  local writer = M.writer(context)
  writer.info = answer
  local reason
  for _, choice in ipairs(answer.choices) do
    if choice.index == 0 then
      reason = choice.finish
      tell(writer, choice)
    end
  end
  local _, status, details = over(writer, { { choice = 0, reason = reason } })
  return response(writer, status, details, counts(answer.usage))
end

return M
