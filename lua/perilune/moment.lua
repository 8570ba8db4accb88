--- Moments as people write them, as Unix time in seconds.
---
---   moment.seconds "2027-01-01T00:00:00Z"     1798761600
---   moment.minutes_of "+05:30"                330
local M = {}

local floor = math.floor

--- Days from 1970-01-01 to a date, by the rules of the calendar.
---@param year integer
---@param month integer
---@param day integer
---@return integer
function M.days_since_1970(year, month, day)
  local y = month <= 2 and year - 1 or year
  local m = month <= 2 and month + 12 or month
  return 365 * y + floor(y / 4) - floor(y / 100) + floor(y / 400) + floor((153 * (m - 3) + 2) / 5) + day - 719469
end

-- A month is as long as it is to the first of the next one.
local function is_date(year, month, day)
  if month < 1 or month > 12 or day < 1 then
    return false
  end
  local first = M.days_since_1970(year, month, 1)
  local following = month == 12 and M.days_since_1970(year + 1, 1, 1) or M.days_since_1970(year, month + 1, 1)
  return day <= following - first
end

--- The minutes east of UTC of "+05:30", "-08:00", "Z" or "UTC"; nil for anything else.
---@param text any
---@return integer|nil
function M.minutes_of(text)
  if text == "UTC" or text == "Z" then
    return 0
  end
  local sign, hours, minutes = tostring(text):match "^([+-])(%d%d):(%d%d)$"
  hours, minutes = tonumber(hours), tonumber(minutes)
  if not sign or hours > 23 or minutes > 59 then
    return nil
  end
  return (sign == "-" and -1 or 1) * (60 * hours + minutes)
end

--- The moment RFC 3339 writes so, of which whole seconds are taken; a day alone is its beginning in UTC. nil when it is none.
---@param text any
---@return integer|nil
function M.seconds(text)
  if tostring(text):find "^[%d-]+$" then
    text = text .. "T00:00:00Z"
  end
  local year, month, day, hour, minute, second, part, zone =
    tostring(text):match "^(%d%d%d%d)%-(%d%d)%-(%d%d)[Tt ](%d%d):(%d%d):(%d%d)([%d.]*)([Zz+-].*)$"
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  hour, minute, second = tonumber(hour), tonumber(minute), tonumber(second)
  local east = zone and M.minutes_of(zone:upper())
  if not east or not is_date(year, month, day) or hour > 23 or minute > 59 or second > 60 then
    return nil
  elseif part ~= "" and not part:find "^%.%d+$" then
    return nil
  end
  return M.days_since_1970(year, month, day) * 86400 + hour * 3600 + (minute - east) * 60 + second
end

return M
