--- Chat Completions on both sides, from services that break it: each event goes on as it came, or with the least that puts it right.
---
--- What a repaired event does not need changed is cut out of its bytes and put back, so that fields nobody knows stay.
local json = require "perilune.json"
local reader = require "perilune.dialects.chat_reader"

local M = {}

local read, null, type, setmetatable = json.read, json.null, type, setmetatable
local quote = json.quote

---@class perilune.ChatRepair : perilune.Repair
local Repair = {}
Repair.__index = Repair


local function filled(v)
  return type(v) == "string" and v ~= ""
end

local function event_bytes(event, data)
  if data:find("\n", 1, true) then
    data = data:gsub("\n", "\ndata: ")
  end
  if event and event ~= "" then
    return "event: " .. event .. "\ndata: " .. data .. "\n\n"
  end
  return "data: " .. data .. "\n\n"
end

local function is_object(raw)
  return json.kind(raw) == "object"
end

-- The items of a list; none when it is something else.
local function items_of(raw)
  return json.kind(raw) == "array" and json.items(raw) or {}
end

local function put(edits, key, raw)
  edits[#edits + 1] = { key = key, raw = raw }
end

local function splice(raw, edits)
  return edits[1] and assert(json.splice(raw, edits)) or raw
end

----------------------------------------------------------------------------------------------------------------------------
-- Calls

-- An id nobody else has: made where there is none, and where another call has the same.
local function id_for(self, call, given)
  if not call.told_id then
    local id = given
    if not id or self.ids[id] then
      self.made = self.made + 1
      id = ("call_%s%d"):format(self.context.id, self.made)
    end
    self.ids[id] = true
    call.told_id = id
  end
  return call.told_id
end

-- Arguments as a text, whatever came.
local function edit_arguments(edits, key, value, raw, first)
  if type(value) == "table" then
    put(edits, key, quote(raw))
  elseif type(value) ~= "string" and (first or value ~= nil) then
    put(edits, key, '""')
  end
end

-- The inner object of an entry: its name once, its arguments as text.
local function repair_inner(item, raw, call, first)
  local key = call.custom and "custom" or "function"
  local argument = call.custom and "input" or "arguments"
  local inner, inner_raw = item[key], json.fields(raw)[key]
  if json.kind(inner_raw) ~= "object" then
    return first and key or nil, first and ('{"name":%s,"%s":""}'):format(quote(call.name or ""), argument) or nil
  end
  local edits = {}
  if inner.name ~= nil and (call.told_name or not filled(inner.name)) then
    put(edits, "name")
  end
  call.told_name = call.told_name or filled(inner.name)
  edit_arguments(edits, argument, inner[argument], reader.slice(inner_raw, argument), first)
  return edits[1] and key or nil, edits[1] and splice(inner_raw, edits) or nil
end

-- What every entry of a list is to have: where it stands, and, when it is the first of its call, who it is.
local function repair_item(self, item, raw, call, whole)
  local edits, first = {}, not call.told
  call.told = true
  if not whole and item.index ~= call.key then
    put(edits, "index", tostring(call.key))
  end
  if first then
    local id = id_for(self, call, filled(item.id) and item.id or nil)
    if item.id ~= id then
      put(edits, "id", quote(id))
    end
    local kind = call.custom and "custom" or "function"
    if item.type ~= kind then
      put(edits, "type", quote(kind))
    end
  else
    if item.id ~= nil then
      put(edits, "id") -- clients put pieces together, those of ids and names as well
    end
    if item.type ~= nil and not filled(item.type) then
      put(edits, "type")
    end
  end
  local key, inner = repair_inner(item, raw, call, first)
  if key then
    put(edits, key, inner)
  end
  return splice(raw, edits), edits[1] ~= nil
end

-- The list of calls of a delta or a message; nil when it may stay.
local function repair_calls(self, index, list, raw, whole)
  local items, changed = items_of(raw), false
  for i, item in ipairs(list) do
    local call = (self.reader.items[index] or {})[i]
    if call and is_object(items[i]) then
      local now
      items[i], now = repair_item(self, item, items[i], call, whole)
      changed = changed or now
    end
  end
  return changed and "[" .. table.concat(items, ",") .. "]" or nil
end

-- Calls that were never given arguments, as the entries that close them.
local function closing(self, index)
  local list = {}
  for _, call in ipairs(self.reader:calls(index)) do
    if not call.custom and not table.concat(call.pieces):find "%S" then
      list[#list + 1] = ('{"index":%d,"function":{"arguments":"{}"}}'):format(call.key)
    end
  end
  return list[1] and table.concat(list, ",")
end

----------------------------------------------------------------------------------------------------------------------------
-- Choices

local CLOSED = { stop = true, length = true, tool_calls = true, content_filter = true, function_call = true }

-- The word to say instead of a finish reason; nil to leave it.
local function repair_finish(self, index, word)
  if word == nil or word == null then
    return nil
  end
  local reason = reader.finish_of(word)
  if not reason then
    return "null"
  end
  local called = self.reader:calls(index)[1] ~= nil
  if reason == "stop" and called and not self.context.native then
    return '"tool_calls"'
  end
  return not CLOSED[word] and quote(reason) or nil
end

-- Whether a choice of a chunk has anything to repair: the way nearly all of them go.
local function is_sound(self, choice)
  local delta, index = choice.delta, choice.index
  if type(delta) ~= "table" or type(index) ~= "number" or index < 0 or index % 1 ~= 0 or delta.tool_calls ~= nil then
    return false
  end
  local word = choice.finish_reason
  if word ~= nil and word ~= null then
    return false
  end
  local role = delta.role
  if self.begun[index] then
    return role == nil or role == null
  end
  return role == "assistant"
end

local function index_of(choice, position)
  local index = choice.index
  return type(index) == "number" and index >= 0 and index % 1 == 0 and index or position - 1
end

local function repair_role(self, index, delta, edits)
  if not self.begun[index] then
    self.begun[index] = true
    if delta.role ~= "assistant" then
      put(edits, "role", '"assistant"')
    end
  elseif delta.role ~= nil and delta.role ~= null then
    put(edits, "role")
  end
end

-- The delta's edits: its role, its calls, and the end of calls that had no arguments.
local function repair_delta(self, index, delta, raw, whole, finished)
  local edits = {}
  repair_role(self, index, delta, edits)
  local calls = delta.tool_calls
  local list
  if calls ~= nil and (type(calls) ~= "table" or calls[1] == nil) then
    put(edits, "tool_calls")
  elseif calls then
    list = repair_calls(self, index, calls, json.fields(raw).tool_calls, whole)
  end
  local last = finished and closing(self, index)
  if last then
    local open = list or (type(calls) == "table" and calls[1] ~= nil and json.fields(raw).tool_calls)
    list = open and open:match "^(.*)%]%s*$" .. "," .. last .. "]" or "[" .. last .. "]"
  end
  if list then
    put(edits, "tool_calls", list)
  end
  return edits
end

-- A message that came in a chunk, as a delta: its calls get their places.
local function as_delta(self, index, message, raw)
  if type(message.tool_calls) ~= "table" then
    return raw
  end
  local items = items_of(json.fields(raw).tool_calls)
  for i in ipairs(items) do
    local call = is_object(items[i]) and (self.reader.items[index] or {})[i]
    items[i] = call and splice(items[i], { { key = "index", raw = tostring(call.key) } }) or items[i]
  end
  return splice(raw, { { key = "tool_calls", raw = "[" .. table.concat(items, ",") .. "]" } })
end

local function repair_choice(self, choice, position, raw)
  local index, edits = index_of(choice, position), {}
  if choice.index ~= index then
    put(edits, "index", tostring(index))
  end
  local fields = json.fields(raw)
  local word = repair_finish(self, index, choice.finish_reason)
  local finished = reader.finish_of(choice.finish_reason) ~= nil
  local delta, delta_raw = choice.delta, fields.delta
  if not is_object(delta_raw) then
    local message = is_object(fields.message) and choice.message
    delta, delta_raw = message or {}, message and as_delta(self, index, message, fields.message) or "{}"
    put(edits, "delta", delta_raw)
    put(edits, "message")
  end
  local inner = repair_delta(self, index, delta, delta_raw, fields.delta == nil, finished)
  if inner[1] then
    put(edits, "delta", splice(delta_raw, inner))
  end
  if word then
    put(edits, "finish_reason", word)
  end
  return splice(raw, edits), edits[1] ~= nil
end

-- The choices of a chunk; nil when they may stay.
local function repair_choices(self, chunk, data)
  local choices, sound = chunk.choices, true
  for position = 1, #choices do
    sound = sound and type(choices[position]) == "table" and is_sound(self, choices[position])
  end
  if sound then
    for position = 1, #choices do
      self.begun[choices[position].index] = true
    end
    return nil
  end
  local items, changed = items_of(json.fields(data).choices), false
  for position, choice in ipairs(chunk.choices) do
    if is_object(items[position]) then
      local now
      items[position], now = repair_choice(self, choice, position, items[position])
      changed = changed or now
    end
  end
  return changed and "[" .. table.concat(items, ",") .. "]" or nil
end

----------------------------------------------------------------------------------------------------------------------------
-- Chunks

-- One id, model and time in all of a stream: the first that were said.
local function repair_head(self, chunk, object, edits)
  self.id = self.id or (filled(chunk.id) and chunk.id) or "chatcmpl-" .. self.context.id
  self.model = self.model or (filled(chunk.model) and chunk.model) or self.context.model
  self.created = self.created or reader.seconds(chunk.created) or self.context.created
  if chunk.id ~= self.id then
    put(edits, "id", quote(self.id))
  end
  if chunk.model ~= self.model then
    put(edits, "model", quote(self.model))
  end
  if chunk.created ~= self.created then
    put(edits, "created", ("%d"):format(self.created))
  end
  if chunk.object ~= object then
    put(edits, "object", quote(object))
  end
  if chunk.error ~= nil and chunk.error ~= null then
    put(edits, "error") -- clients take it for a failure, even when it is empty
  end
end

-- Whether a chunk says nothing a client can read: no choices, and no usage it asked for.
local function is_idle(self, chunk)
  local choices = chunk.choices
  if type(choices) == "table" and choices[1] ~= nil then
    return false
  end
  local counted = type(chunk.usage) == "table"
  return counted and not self.wants_usage or (not counted and not filled(chunk.id))
end

local function repaired(self, chunk, data)
  local edits = {}
  repair_head(self, chunk, "chat.completion.chunk", edits)
  if type(chunk.choices) ~= "table" then
    put(edits, "choices", "[]")
  else
    local choices = repair_choices(self, chunk, data)
    if choices then
      put(edits, "choices", choices)
    end
  end
  if type(chunk.usage) == "table" and not self.wants_usage then
    put(edits, "usage")
  end
  return splice(data, edits)
end

function Repair:feed(sink, event, data)
  local chunk = read(data)
  if type(chunk) ~= "table" or (event == "error" and chunk.error == nil) then
    local ok, why = self.reader:feed(sink, event, data)
    return ok and "" or nil, why
  end
  self.reader.items = {}
  if not self.reader:take(sink, chunk, data) or is_idle(self, chunk) then
    return ""
  end
  return event_bytes(event, repaired(self, chunk, data))
end

----------------------------------------------------------------------------------------------------------------------------
-- Whole answers

-- Calls without arguments have none.
local function fill_arguments(raw)
  local items = items_of(raw)
  for i, item in ipairs(items) do
    local inner = reader.slice(item, "function")
    local text = json.text(reader.slice(item, "function", "arguments"))
    if text and is_object(inner) and not text:find "%S" then
      items[i] = splice(item, { { key = "function", raw = splice(inner, { { key = "arguments", raw = '"{}"' } }) } })
    end
  end
  return "[" .. table.concat(items, ",") .. "]"
end

local function repair_message(self, index, message, raw)
  local edits = {}
  if message.role ~= "assistant" then
    put(edits, "role", '"assistant"')
  end
  if message.content == nil then
    put(edits, "content", "null")
  end
  local calls = message.tool_calls
  if calls ~= nil and (type(calls) ~= "table" or calls[1] == nil) then
    put(edits, "tool_calls")
  elseif calls then
    local before = json.fields(raw).tool_calls
    local after = fill_arguments(repair_calls(self, index, calls, before, true) or before)
    if after:gsub("%s", "") ~= before:gsub("%s", "") then
      put(edits, "tool_calls", after)
    end
  end
  return splice(raw, edits), edits[1] ~= nil
end

local function repair_whole(self, choice, position, raw)
  local index, edits = index_of(choice, position), {}
  if choice.index ~= index then
    put(edits, "index", tostring(index))
  end
  local inner = json.fields(raw).message
  if is_object(inner) then
    local message, changed = repair_message(self, index, choice.message, inner)
    if changed then
      put(edits, "message", message)
    end
  end
  local word = repair_finish(self, index, choice.finish_reason)
  if word then
    put(edits, "finish_reason", word)
  end
  return splice(raw, edits), edits[1] ~= nil
end

function Repair:answer(sink, body)
  local answer = read(body)
  if type(answer) ~= "table" or not is_object(body) then
    return nil, "The answer is not JSON of Chat Completions."
  end
  if not self.reader:take(sink, answer, body) then
    return ""
  end
  local edits = {}
  repair_head(self, answer, "chat.completion", edits)
  if type(answer.choices) == "table" then
    local items, changed = items_of(json.fields(body).choices), false
    for position, choice in ipairs(answer.choices) do
      if is_object(items[position]) then
        local now
        items[position], now = repair_whole(self, choice, position, items[position])
        changed = changed or now
      end
    end
    if changed then
      put(edits, "choices", "[" .. table.concat(items, ",") .. "]")
    end
  end
  return splice(body, edits)
end

--- What repairs one answer.
---@param context perilune.Context
---@return perilune.ChatRepair
function M.new(context)
  return setmetatable({
    context = context, wants_usage = context.request.wants_usage, reader = reader.new(), begun = {}, ids = {}, made = -1,
  }, Repair)
end

return M
