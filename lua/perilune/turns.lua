--- Messages as turns, for dialects in which user and model take turns, and every call of a turn is answered in the next one.
---
--- Clients are free to do otherwise: several messages of one role in a row, results apart or after text, results missing or of no call.
--- Here that is put right; what is left to a dialect is how each part is written.
local M = {}

local ipairs = ipairs

---@class perilune.TurnItem
---@field part perilune.Part
---@field at integer the message it is from, counted from 0

---@class perilune.TurnResult : perilune.TurnItem
---@field call perilune.Part the call it answers

---@class perilune.Turn
---@field assistant boolean
---@field results perilune.TurnResult[] one for each call of the turn before, in their order; empty in an assistant's turn
---@field items perilune.TurnItem[] all else, in order
---@field asked boolean the user says something in it: with the last such turn the current exchange begins

local MISSING = "No result came back."

local function turn_for(list, assistant)
  local turn = list[#list]
  if not turn or turn.assistant ~= assistant then
    turn = { assistant = assistant, results = {}, items = {}, asked = false }
    list[#list + 1] = turn
  end
  return turn
end

local function add(turn, message, at)
  turn.asked = turn.asked or message.role == "user"
  for _, part in ipairs(message.parts) do
    local into = part.kind == "result" and turn.results or turn.items
    into[#into + 1] = { part = part, at = at }
  end
end

local function calls_of(turn)
  local calls = {}
  for _, item in ipairs(turn and turn.assistant and turn.items or {}) do
    if item.part.kind == "call" then
      calls[#calls + 1] = item.part
    end
  end
  return calls
end

-- Results by the id they answer, in their order: of each list those before `next` are taken.
local function by_id(results)
  local found = {}
  for _, item in ipairs(results) do
    local list = found[item.part.id]
    if not list then
      list = { next = 1 }
      found[item.part.id] = list
    end
    list[#list + 1] = item
  end
  return found
end

-- The first result that answers a call, and that none has taken.
local function take(found, id)
  local list = found[id]
  local item = list and list[list.next]
  if item then
    list.next = list.next + 1
    item.taken = true
  end
  return item
end

local function missing(call)
  return { kind = "result", id = call.id, parts = { { kind = "text", text = MISSING } }, error = true }
end

-- Gives each call its result. What answers no call is said as text, before the rest.
local function pair(turn, calls)
  local results, found, answers = turn.results, by_id(turn.results), {}
  for i, call in ipairs(calls) do
    local item = take(found, call.id)
    answers[i] = { part = item and item.part or missing(call), at = item and item.at or 0, call = call }
  end
  turn.results = answers
  local items = {}
  for _, item in ipairs(results) do
    for _, part in ipairs(item.taken and {} or item.part.parts) do
      items[#items + 1] = { part = part, at = item.at }
    end
  end
  if items[1] then
    for _, item in ipairs(turn.items) do
      items[#items + 1] = item
    end
    turn.items = items
  end
end

--- The turns of a conversation, and the parts of the system text it begins with. System text that comes later is said by the user, where it
--- stands.
---@param messages perilune.Message[]
---@return perilune.Turn[] turns, perilune.Part[] system
function M.of(messages)
  local list, system = {}, {}
  for i, message in ipairs(messages) do
    if message.role == "system" and not list[1] then
      for _, part in ipairs(message.parts) do
        system[#system + 1] = part
      end
    else
      add(turn_for(list, message.role == "assistant"), message, i - 1)
    end
  end
  if calls_of(list[#list])[1] then
    turn_for(list, false)
  end
  for i, turn in ipairs(list) do
    if not turn.assistant then
      pair(turn, calls_of(list[i - 1]))
    end
  end
  return list, system
end

--- The turn with which the current exchange begins: the last in which the user says something; 0 for none.
---@param turns perilune.Turn[]
---@return integer
function M.current(turns)
  for i = #turns, 1, -1 do
    if turns[i].asked then
      return i
    end
  end
  return 0
end

return M
