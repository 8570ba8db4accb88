--- Moments as people write them, for specs.
local M = {}

-- Days from 1970-01-01 to a date (Gregorian). Years begin in March, so that the leap day ends one.
local function days_to(year, month, day)
  local y = month <= 2 and year - 1 or year
  local m = (month + 9) % 12
  return 365 * y + math.floor(y / 4) - math.floor(y / 100) + math.floor(y / 400) + math.floor((153 * m + 2) / 5) + day - 1 - 719468
end

local function offset_of(text)
  if text == "" or text == "UTC" or text == "Z" then
    return 0
  end
  local sign, hours, minutes = text:match "^([+-])(%d%d?):?(%d?%d?)$"
  if not sign then
    return nil
  end
  return (sign == "-" and -1 or 1) * (tonumber(hours) * 3600 + (tonumber(minutes) or 0) * 60)
end

--- Seconds since 1970.
---@param text string "2026-11-22 09:00 +01:00", "2026-11-22 08:00:30", "2026-11-22"
---@return number
function M.at(text)
  local year, month, day, rest = tostring(text):match "^(%d%d%d%d)-(%d%d)-(%d%d)[ T]?(.*)$"
  local hour, minute, second, zone = (rest or ""):match "^(%d%d):(%d%d):?(%d?%d?)%s*(%S*)$"
  if rest == "" then
    hour, minute, second, zone = 0, 0, 0, ""
  end
  year, month, day, hour, minute = tonumber(year), tonumber(month), tonumber(day), tonumber(hour), tonumber(minute)
  local offset = zone and offset_of(zone)
  if not offset or month < 1 or month > 12 or day < 1 or day > 31 or hour > 23 or minute > 59 then
    error(('at: expected a moment like "2026-11-22 09:00 +01:00", got "%s"'):format(tostring(text)), 2)
  end
  return days_to(year, month, day) * 86400 + hour * 3600 + minute * 60 + (tonumber(second) or 0) - offset
end

return M
