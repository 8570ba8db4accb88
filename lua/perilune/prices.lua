--- Prices in provider files: what may be said of them, and how the core has them. Said in dollars a million tokens, kept in whole
--- nano-dollars.
---
---   price = { input = 2.5, output = 15, cached = 0.25, rules = { { above = 272000, input = 5, output = 22.5, cached = 0.5 } } }
---
--- A rule holds when all it states holds: more input tokens than `above`, no later than the day `until`, between `hours` and on `days` of
--- the week, both in UTC. The first that holds is the price; what it does not say is as without it.
local moment = require "perilune.moment"
local S = require "perilune.schema"

local M = {}

local floor = math.floor

-- The moment a price ends: the end of that day, in UTC.
local function last_day(v, path, add)
  local year, month, day
  if type(v) == "string" then
    year, month, day = v:match "^(%d%d%d%d)-(%d%d)-(%d%d)$"
    year, month, day = tonumber(year), tonumber(month), tonumber(day)
  end
  if not year or month < 1 or month > 12 or day < 1 or day > 31 then
    add(path, 'expected the last day it holds, like "2026-12-31"')
    return nil
  end
  return (moment.days_since_1970(year, month, day) + 1) * 86400
end

local function minute_of(v)
  local hour, minute = tostring(v):match "^(%d%d):(%d%d)$"
  hour, minute = tonumber(hour), tonumber(minute)
  return hour and hour < 24 and minute < 60 and 60 * hour + minute or nil
end

local function hours(v, path, add)
  local from, to = minute_of(type(v) == "table" and v[1]), minute_of(type(v) == "table" and v[2])
  if not from or not to or from == to or v[3] ~= nil then
    add(path, 'expected from and to in UTC, like { "16:30", "00:30" }')
    return nil
  end
  return { from, to }
end

local DAYS = { mon = 0, tue = 1, wed = 2, thu = 3, fri = 4, sat = 5, sun = 6 }

-- { "sat", "sun" } as bits, Monday first.
local function weekdays(v, path, add)
  local bits, seen = 0, {}
  for i, name in ipairs(type(v) == "table" and v or {}) do
    if not DAYS[name] then
      add(S.join(path, i), ("expected one of mon, tue, wed, thu, fri, sat, sun, got %s"):format(tostring(name)))
      return nil
    elseif not seen[name] then
      seen[name] = true
      bits = bits + 2 ^ DAYS[name]
    end
  end
  if bits == 0 then
    add(path, 'expected days of the week, like { "sat", "sun" }')
    return nil
  end
  return bits
end

local dollars = S.number(0, 1e6)
local PARTS = { "input", "output", "cached", "cache_write" }

local price_rule = S.record {
  input = dollars, output = dollars, cached = dollars, cache_write = dollars,
  above = S.integer(0, 1e9), ["until"] = last_day, hours = hours, days = weekdays,
}

local function stated_rule(v, path, add)
  local rule = price_rule(v, path, add)
  if rule and type(v) == "table" and v.above == nil and v["until"] == nil and v.hours == nil and v.days == nil then
    add(path, "expected when it holds: above, until, hours or days")
    return nil
  end
  return rule
end

local record = S.record { input = dollars, output = dollars, cached = dollars, cache_write = dollars, rules = S.list(stated_rule) }

--- The check for provider files.
---@type perilune.Check
function M.schema(v, path, add)
  local out = record(v, path, add)
  if out and out.rules and not (out.input and out.output) then
    add(S.join(path, "rules"), "expected a price for input and output to stand beside")
    return nil
  end
  return out
end

-- Dollars to whole nano-dollars; -1 where unknown.
local function nano(amount)
  return amount and floor(amount * 1e9 + 0.5) or -1
end

--- The price when no rule holds, part by part.
---@param p table as the schema has it
---@return { input: integer, output: integer, cached: integer, cache_write: integer }
function M.base(p)
  local out = {}
  for _, part in ipairs(PARTS) do
    out[part] = nano(p[part])
  end
  return out
end

local function with(p, r)
  local out = {}
  for _, part in ipairs(PARTS) do
    out[part] = r[part] or p[part]
  end
  return out
end

--- The rules as struct price_rule of the core, by its own names.
---@param p table
---@return table[]
function M.rules(p)
  local list = {}
  for i, r in ipairs(p.rules or {}) do
    local out = M.base(with(p, r))
    out.above, out.until_s, out.days = r.above or -1, r["until"] or 0, r.days or 0
    out.from_min, out.to_min = r.hours and r.hours[1] or -1, r.hours and r.hours[2] or -1
    list[i] = out
  end
  return list
end

return M
