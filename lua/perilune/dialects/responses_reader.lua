--- What a provider answers in the Responses dialect, told to a sink.
---
--- An answer is a list of items. In a stream each is opened, comes in pieces and is closed with all of it once more, so that what a server
--- left out of the pieces is still found at the end.
local json = require "perilune.json"

local M = {}

local NAME = "openai_responses"

local read, fields_of, quote = json.read, json.fields, json.quote
local type, floor = type, math.floor

-- Values of a decoded event are of any kind, null included.
local function text(v)
  return type(v) == "string" and v or nil
end

local function object(v)
  return type(v) == "table" and v or {}
end

local function count(v)
  return type(v) == "number" and v >= 0 and v < 2 ^ 53 and floor(v) or nil
end

----------------------------------------------------------------------------------------------------------------------------
-- What both forms of an answer hold

local function tell_begin(sink, response)
  sink:begin {
    id = text(response.id), model = text(response.model), created = count(response.created_at), service_tier = text(response.service_tier),
  }
end

local function tell_usage(sink, usage)
  if type(usage) ~= "table" then
    return
  end
  local input, output = object(usage.input_tokens_details), object(usage.output_tokens_details)
  local counts = {
    input_tokens = count(usage.input_tokens),
    output_tokens = count(usage.output_tokens),
    cached_tokens = count(input.cached_tokens),
    cache_write_tokens = count(input.cache_write_tokens),
    reasoning_tokens = count(output.reasoning_tokens),
    total_tokens = count(usage.total_tokens),
  }
  if next(counts) then
    sink:usage(counts)
  end
end

-- The `error` of an event or an answer: an object, or a bare message with some servers.
local function failure_in(held)
  local kind = type(held.error)
  return (kind == "table" or kind == "string") and held.error or nil
end

local function tell_failure(sink, failure, otherwise)
  failure = type(failure) == "string" and { message = failure } or object(failure)
  sink:fail {
    message = text(failure.message) or otherwise, code = text(failure.code) or text(failure.type), type = text(failure.type),
  }
end

-- Chat Completions nests what lies flat here; it knows citations of the web and no others.
local function tell_annotation(sink, annotation)
  if annotation.type ~= "url_citation" then
    return
  end
  local cited = json.encode {
    start_index = count(annotation.start_index), end_index = count(annotation.end_index), url = text(annotation.url),
    title = text(annotation.title),
  }
  sink:text(0, "", { annotations = '[{"type":"url_citation","url_citation":' .. cited .. "}]" })
end

local function logprobs(raw)
  return raw and { logprobs = '{"content":' .. raw .. ',"refusal":null}' }
end

-- A member of an object, raw: what is opaque stays as it came. nil also where the decoder took what is not quite JSON.
local function raw_member(raw, key)
  local fields = raw and fields_of(raw)
  return fields and fields[key]
end

-- One that is a list with something in it; else nil.
local function raw_list(raw, decoded, key)
  return type(decoded[key]) == "table" and decoded[key][1] ~= nil and raw_member(raw, key) or nil
end

-- One part of a message that was not told in pieces; `raw` is the part.
local function tell_part(sink, part, raw)
  if part.type == "refusal" then
    sink:refusal(0, text(part.refusal) or "")
    return
  elseif part.type ~= "output_text" then
    return
  end
  sink:text(0, text(part.text) or "", logprobs(raw_list(raw, part, "logprobs")))
  for _, annotation in ipairs(object(part.annotations)) do
    tell_annotation(sink, object(annotation))
  end
end

local function tell_texts(sink, parts, summary)
  for i, part in ipairs(object(parts)) do
    if i > 1 then
      sink:reasoning(0, "\n\n", summary)
    end
    sink:reasoning(0, text(object(part).text) or "", summary)
  end
end

local function tell_state(sink, item)
  local value = text(item.encrypted_content)
  if value and value ~= "" then
    sink:state(0, { kind = "encrypted", value = value, id = text(item.id), by = NAME })
  end
end

-- A call, seen first or again.
local function tell_call(sink, key, item)
  sink:call(0, key, text(item.call_id), text(item.name), { custom = item.type == "custom_tool_call" or nil })
end

-- Whole items, by type: fun(sink, key, item, raw, told); `told` when its pieces have been.
local ITEMS = {
  message = function(sink, _, item, raw, told)
    if told then
      return
    end
    local parts = json.items(raw_member(raw, "content") or "[]") or {}
    for i, part in ipairs(object(item.content)) do
      tell_part(sink, object(part), parts[i])
    end
  end,
  reasoning = function(sink, _, item, _, told)
    if not told then
      tell_texts(sink, item.content, false)
      tell_texts(sink, item.summary, true)
    end
    tell_state(sink, item)
  end,
  function_call = function(sink, key, item, _, told)
    tell_call(sink, key, item)
    if told ~= "closed" then
      sink:call_done(0, key, text(item.arguments))
    end
  end,
  custom_tool_call = function(sink, key, item, _, told)
    tell_call(sink, key, item)
    if told ~= "closed" then
      sink:call_done(0, key, text(item.input))
    end
  end,
}

local function tell_item(sink, key, item, raw, told)
  local tell = ITEMS[item.type]
  if tell then
    tell(sink, key, item, raw, told)
  elseif raw and text(item.type) then
    sink:opaque(0, NAME, raw)
  end
end

-- All items of a response object; `raw` is the object.
local function tell_output(sink, response, raw)
  local raws = json.items(raw_member(raw, "output") or "[]") or {}
  for i, item in ipairs(object(response.output)) do
    tell_item(sink, i - 1, object(item), raws[i])
  end
end

local REASONS = { max_output_tokens = "length", content_filter = "content_filter" }

local function tell_incomplete(sink, response)
  sink:finish(0, REASONS[object(response.incomplete_details).reason] or "length")
  sink:stop()
end

local function tell_complete(sink)
  sink:finish(0, "stop")
  sink:stop()
end

----------------------------------------------------------------------------------------------------------------------------
-- Streams

---@class perilune.ResponsesReader : perilune.Reader
---@field told table<any, true|"closed"> items of which something was told, by their place in the output
local Reader = {}
Reader.__index = Reader

-- Which item an event is about. Its place is surer than its id, which some servers make anew for every event.
local function key_of(event)
  return count(event.output_index) or text(event.item_id) or text(object(event.item).id) or 0
end

-- A piece of an item: fun(sink, key, event, data).
local function piece(tell)
  return function(self, sink, event, data)
    local key = key_of(event)
    if text(event.delta) then
      self.told[key] = self.told[key] or true
      tell(sink, key, event, data)
    end
  end
end

-- The end of what came in pieces, with the whole of it in `member` should none have come.
local function whole(member, tell)
  return function(self, sink, event)
    local key = key_of(event)
    if not self.told[key] and text(event[member]) then
      self.told[key] = true
      tell(sink, event[member])
    end
  end
end

local function call_over(member)
  return function(self, sink, event)
    local key = key_of(event)
    self.told[key] = "closed"
    sink:call_done(0, key, text(event[member]))
  end
end

local function response_begins(_, sink, event)
  tell_begin(sink, object(event.response))
end

-- The last word about the answer. Servers that tell no items one by one tell them here.
local function response_ends(tell)
  return function(self, sink, event, data)
    local response = object(event.response)
    tell_begin(sink, response)
    if not next(self.told) and type(response.output) == "table" then
      tell_output(sink, response, raw_member(data, "response"))
    end
    tell_usage(sink, response.usage)
    tell(sink, response)
  end
end

local function piece_of_arguments(sink, key, event)
  sink:arguments(0, key, event.delta)
end

local EVENTS = {
  ["response.created"] = response_begins,
  ["response.in_progress"] = response_begins,
  ["response.output_item.added"] = function(_, sink, event)
    local item = object(event.item)
    if item.type == "function_call" or item.type == "custom_tool_call" then
      tell_call(sink, key_of(event), item)
    end
  end,
  ["response.output_text.delta"] = piece(function(sink, _, event, data)
    sink:text(0, event.delta, logprobs(raw_list(data, event, "logprobs")))
  end),
  ["response.output_text.done"] = whole("text", function(sink, all)
    sink:text(0, all)
  end),
  ["response.output_text.annotation.added"] = function(_, sink, event)
    tell_annotation(sink, object(event.annotation))
  end,
  ["response.refusal.delta"] = piece(function(sink, _, event)
    sink:refusal(0, event.delta)
  end),
  ["response.refusal.done"] = whole("refusal", function(sink, all)
    sink:refusal(0, all)
  end),
  ["response.reasoning_summary_part.added"] = function(_, sink, event)
    if (count(event.summary_index) or 0) > 0 then
      sink:reasoning(0, "\n\n", true)
    end
  end,
  ["response.reasoning_summary_text.delta"] = piece(function(sink, _, event)
    sink:reasoning(0, event.delta, true)
  end),
  ["response.reasoning_summary_text.done"] = whole("text", function(sink, all)
    sink:reasoning(0, all, true)
  end),
  ["response.reasoning_text.delta"] = piece(function(sink, _, event)
    sink:reasoning(0, event.delta, false)
  end),
  ["response.reasoning_text.done"] = whole("text", function(sink, all)
    sink:reasoning(0, all, false)
  end),
  ["response.function_call_arguments.delta"] = piece(piece_of_arguments),
  ["response.function_call_arguments.done"] = call_over "arguments",
  ["response.custom_tool_call_input.delta"] = piece(piece_of_arguments),
  ["response.custom_tool_call_input.done"] = call_over "input",
  ["response.output_item.done"] = function(self, sink, event, data)
    local key = key_of(event)
    tell_item(sink, key, object(event.item), raw_member(data, "item"), self.told[key])
    self.told[key] = "closed"
  end,
  ["response.completed"] = response_ends(tell_complete),
  ["response.incomplete"] = response_ends(tell_incomplete),
  ["response.failed"] = function(_, sink, event)
    local response = object(event.response)
    tell_begin(sink, response)
    tell_usage(sink, response.usage)
    tell_failure(sink, response.error, "the response failed")
  end,
  ["response.cancelled"] = function(_, sink)
    tell_failure(sink, nil, "the response was cancelled")
  end,
  ["error"] = function(_, sink, event)
    tell_failure(sink, failure_in(event) or { message = event.message, code = event.code }, "the provider reported an error")
  end,
}

--- A reader of one stream.
---@return perilune.Reader
function M.reader()
  return setmetatable({ told = {} }, Reader)
end

---@param sink perilune.Sink
---@param name string|nil
---@param data string
---@return boolean, string|nil
function Reader:feed(sink, name, data)
  if not data:find "%S" or data:find "^%s*%[DONE%]" then
    return true
  end
  local event, why = read(data)
  if type(event) ~= "table" then
    return false, "an event is not JSON: " .. (why or "it is no object")
  end
  local kind = text(event.type) or (name ~= "" and name) or (failure_in(event) and "error")
  if not kind then
    return false, "an event of the Responses API has a type"
  end
  local tell = EVENTS[kind]
  if tell then
    tell(self, sink, event, data)
  end
  return true -- what is new is skipped
end

----------------------------------------------------------------------------------------------------------------------------
-- Whole answers

local ENDS = {
  completed = tell_complete,
  incomplete = tell_incomplete,
  failed = function(sink, response)
    tell_failure(sink, response.error, "the response failed")
  end,
}

--- Reads a whole answer.
---@param body string
---@param sink perilune.Sink
---@return boolean, string|nil
function M.read_answer(body, sink)
  local response, why = read(body)
  if type(response) ~= "table" then
    return false, "the answer is not JSON: " .. (why or "it is no object")
  elseif type(response.output) ~= "table" then
    if not failure_in(response) then
      return false, "the answer has no output"
    end
    tell_failure(sink, failure_in(response), "the provider reported an error")
    return true
  end
  tell_begin(sink, response)
  tell_output(sink, response, body)
  tell_usage(sink, response.usage)
  local status = text(response.status) or "completed"
  local tell = ENDS[status]
  if tell then
    tell(sink, response)
  else
    tell_failure(sink, nil, ("the response ended as %s"):format(quote(status)))
  end
  return true
end

return M
