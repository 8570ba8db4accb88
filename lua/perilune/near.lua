--- Nearest known names, for "did you mean".
local M = {}

local min, floor = math.min, math.floor

-- Edit distance with swaps of neighbours counted once; gives up (returns limit + 1) when it can only be larger.
local function distance(a, b, limit)
  local la, lb = #a, #b
  if la - lb > limit or lb - la > limit then
    return limit + 1
  end
  local before, prev = nil, {}
  for j = 0, lb do
    prev[j] = j
  end
  for i = 1, la do
    local row = { [0] = i }
    local best = i
    local ca = a:byte(i)
    for j = 1, lb do
      local cb = b:byte(j)
      local d = min(prev[j] + 1, row[j - 1] + 1, prev[j - 1] + (ca == cb and 0 or 1))
      if i > 1 and j > 1 and ca == b:byte(j - 1) and a:byte(i - 1) == cb then
        d = min(d, before[j - 2] + 1)
      end
      row[j] = d
      best = min(best, d)
    end
    if best > limit then
      return limit + 1
    end
    before, prev = prev, row
  end
  return prev[lb]
end

local MAX_LENGTH = 64 -- longer names are no typing mistakes; comparing them costs

--- The known name nearest to `name`, or nil when none is close.
---@param name string
---@param known table a list of names, or a set with names as keys
---@return string|nil
function M.nearest(name, known)
  if type(name) ~= "string" or #name == 0 or #name > MAX_LENGTH then
    return nil
  end
  local lower = name:lower()
  local limit = floor(#name / 3) + 1
  local best, best_d
  local function try(candidate)
    if type(candidate) ~= "string" or #candidate > MAX_LENGTH then
      return
    end
    local d = distance(lower, candidate:lower(), limit)
    -- Ties go to the name that sorts first, so that the answer does not depend on the order of a set.
    if d <= limit and (not best or d < best_d or (d == best_d and candidate < best)) then
      best, best_d = candidate, d
    end
  end
  if rawget(known, 1) ~= nil then
    for _, candidate in ipairs(known) do
      try(candidate)
    end
  else
    for candidate in pairs(known) do
      try(candidate)
    end
  end
  return best
end

--- `; did you mean "x"?`, or "" when nothing is near: the end of a message.
---@param name any
---@param known table
---@return string
function M.hint(name, known)
  local found = M.nearest(name, known)
  return found and ('; did you mean "%s"?'):format(found) or ""
end

--- The names of a set or list, sorted and joined, for messages that say what was expected.
---@param known table
---@return string
function M.names(known)
  local list = {}
  if rawget(known, 1) ~= nil then
    for i, v in ipairs(known) do
      list[i] = tostring(v)
    end
  else
    for k in pairs(known) do
      list[#list + 1] = tostring(k)
    end
    table.sort(list)
  end
  return table.concat(list, ", ")
end

return M
