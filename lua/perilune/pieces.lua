--- A text that comes in pieces, as the arguments of a call do: put together, and looked at for its end, without going over it again for
--- each piece. The list is a table of the pieces; what is known of it is kept in its fields.
local json = require "perilune.json"

local M = {}

local byte, find, concat = string.byte, string.find, table.concat

---@class perilune.Pieces
---@field [integer] string
---@field scanned? integer so many pieces have been looked at: nil as long as nobody asked
---@field depth? integer objects that are open behind them
---@field quoted? boolean they end within a text,
---@field escaped? boolean and there behind a backslash
---@field begun? boolean an object began
---@field never? boolean it is not one object, whatever comes

local QUOTE, BACKSLASH, OPEN = byte '"', byte "\\", byte "{"

-- What one more piece changes.
local function scan_piece(list, s)
  local at = 1
  if list.escaped and s ~= "" then
    list.escaped, at = false, 2
  end
  while true do
    at = find(s, list.quoted and '["\\]' or '["{}]', at)
    if not at then
      return
    end
    local c = byte(s, at)
    at = at + 1
    if c == BACKSLASH then
      list.escaped = at > #s
      at = at + 1
    elseif c == QUOTE then
      list.quoted = not list.quoted
    elseif c == OPEN then
      list.depth, list.begun = list.depth + 1, true
    else
      list.depth = list.depth - 1
    end
  end
end

local function scan(list)
  if not list.scanned then
    list.scanned, list.depth, list.quoted, list.escaped, list.begun = 0, 0, false, false, false
  end
  for i = list.scanned + 1, #list do
    scan_piece(list, list[i])
  end
  list.scanned = #list
end

--- All of it; the list holds it as one piece from then on.
---@param list perilune.Pieces
---@return string
function M.join(list)
  if list[2] then
    if list.scanned then
      scan(list)
      list.scanned = 1
    end
    list[1] = concat(list)
    for i = #list, 2, -1 do
      list[i] = nil
    end
  end
  return list[1] or ""
end

--- Whether it is one JSON object, so far.
---@param list perilune.Pieces
---@return boolean
function M.is_object(list)
  if list.never then
    return false
  end
  scan(list)
  if not list.begun or list.quoted or list.depth > 0 then
    return false
  end
  local text = M.join(list)
  local whole = json.kind(text) == "object" and json.valid(text) == true
  list.never = not whole
  return whole
end

return M
