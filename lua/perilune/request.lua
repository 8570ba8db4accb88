--- What a policy reads as `req`: a table made for each call. Behind it are the core's fields, read when they are asked for, defaults,
--- random(), clock() and messages for misspelt fields.
local call = require "perilune.call"
local json = require "perilune.json"
local near = require "perilune.near"
local sandbox = require "perilune.sandbox"

local M = {}

local type, error, tostring, floor, huge = type, error, tostring, math.floor, math.huge
local setmetatable, getmetatable, rawget, rawset = setmetatable, getmetatable, rawget, rawset
local pairs = pairs

-- Fields that may be missing, with what reading them gives then. Tables are made anew each time, because req is the policy's own.
local ABSENT = {}
local FIELDS = {
  model = true, models = true, endpoint = true, dialect = true, stream = true, headers = true, key = true, tier = true, user = true,
  session = true, tags = true, tokens = true, uses = true, tool_names = true, tool_choice = true, last = true, turns = true, text = true,
  system = true, bound_to = true, limits = true, budget = true, params = true, now = true, clock = true, random = true, strict = true,
  max_tokens = true, id = true, seed = true, last_target = true, cached = true, chat = true, most = true, usable = true,
}

-- What the library goes by and policies are not told of: sticky() by the last target, cost() by what of the session is cached where (tokens
-- by target id), able() by whether the model has to answer at all, and by the most tokens there can be, where a cap needs room for them;
-- the fleet begins with what the key is kept to.
local HIDDEN = { last_target = true, cached = true, chat = true, most = true, usable = true }

local function empty()
  return {}
end

--- What `req.key` and `req.budget` hold.
M.key_fields = { "id", "name", "project", "tags", "meta" }
M.budget_fields = { "left_usd", "used", "free_left" }

local DEFAULTS = {
  models = empty,
  headers = empty,
  key = function()
    return { tags = {}, meta = {} }
  end,
  tags = empty,
  tokens = function()
    return { input = 0, output = 0 }
  end,
  uses = empty,
  tool_names = empty,
  last = empty,
  limits = empty,
  budget = function()
    return { left_usd = huge, used = 0, free_left = 0 }
  end,
  stream = function()
    return false
  end,
  strict = function()
    return false
  end,
  turns = function()
    return 0
  end,
}

--- Names of the fields policies are told of, sorted.
---@return string[]
function M.fields()
  local out = {}
  for name in pairs(FIELDS) do
    if not HIDDEN[name] then
      out[#out + 1] = name
    end
  end
  table.sort(out)
  return out
end

---@class perilune.Clock
---@field year integer
---@field month integer
---@field day integer
---@field hour integer
---@field minute integer
---@field weekday integer 1 is Monday
---@field date string "2026-11-22"

-- Days since 1970-01-01 to year, month, day (Gregorian).
local function civil(days)
  -- Years begin in March, so that the leap day ends one; eras have 400 years.
  local z = days + 719468
  local era = floor(z / 146097)
  local doe = z - era * 146097
  local yoe = floor((doe - floor(doe / 1460) + floor(doe / 36524) - floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + floor(yoe / 4) - floor(yoe / 100))
  local mp = floor((5 * doy + 2) / 153)
  local month = mp < 10 and mp + 3 or mp - 9
  return yoe + era * 400 + (month <= 2 and 1 or 0), month, doy - floor((153 * mp + 2) / 5) + 1
end

--- Seconds east of UTC. Only offsets: the rules of named zones change, and a wrong hour is worse than none.
---@param zone string|nil "UTC" (or none), "+02:00", "-0530", "+9"
---@return integer
local function offset_of(zone)
  if zone == nil or zone == "UTC" or zone == "Z" then
    return 0
  end
  local sign, hours, minutes
  if type(zone) == "string" then
    sign, hours, minutes = zone:match "^([+-])(%d%d?):?(%d?%d?)$"
  end
  hours, minutes = tonumber(hours), minutes == "" and 0 or tonumber(minutes)
  if not sign or hours > 14 or minutes > 59 then
    local got = type(zone) == "string" and ('"%s"'):format(zone) or "a " .. type(zone)
    error(('clock: expected "UTC" or an offset like "+02:00", got %s'):format(got), 3)
  end
  return (sign == "-" and -1 or 1) * (hours * 3600 + minutes * 60)
end

-- The clock of the request's moment (`now`, seconds since 1970).
local function clock_of(now)
  return function(a, b)
    local zone = type(a) == "table" and b or a -- req.clock(zone) and req:clock(zone) alike
    if type(zone) == "table" then
      zone = nil
    end
    local t = floor(now + offset_of(zone))
    local days = floor(t / 86400)
    local seconds = t - days * 86400
    local year, month, day = civil(days)
    return {
      year = year, month = month, day = day,
      hour = floor(seconds / 3600), minute = floor(seconds / 60) % 60,
      weekday = (days + 3) % 7 + 1, -- the first of January 1970 was a Thursday
      date = ("%04d-%02d-%02d"):format(year, month, day),
    }
  end
end

local function random(a, b, c)
  if type(a) == "table" then -- req:random()
    return call.random(b, c)
  end
  return call.random(a, b)
end

local lazy -- the core's own __index, for fields it pushes only when they are read
local params -- of the policy that is asked

local field -- the core's, which knows the request under way
local header_read -- the core's, which is told what of the headers is asked for
local present -- the `req` of it

-- What null stands for is not there, to a policy.
local function without_nulls(value)
  for k, v in pairs(value) do
    if v == json.null then
      value[k] = nil
    elseif type(v) == "table" then
      without_nulls(v)
    end
  end
  return value
end

-- The core's key, whose metadata is a text of JSON.
local function key_of(value)
  local meta = value.meta and json.decode(value.meta)
  value.meta = type(meta) == "table" and without_nulls(meta) or {}
  return value
end

-- A request that a policy kept from an earlier call has nothing to read any more.
local function core_index(req, key)
  if field and req == present then
    local value = field(key)
    if key == "headers" and header_read then
      value = sandbox.watched(value, header_read)
    elseif key == "key" and value then
      value = key_of(value)
    end
    if value ~= nil then
      rawset(req, key, value)
    end
    return value
  end
  return nil
end

local Request = {
  __metatable = false,
  __index = function(req, key)
    if key == "params" then
      if type(params) == "function" then
        rawset(req, "params", params())
        return rawget(req, "params")
      end
      return params
    elseif key == "random" then
      return random
    elseif key == "clock" then
      return clock_of(req.now or 0)
    end
    local value
    if type(lazy) == "function" then
      value = lazy(req, key)
    elseif type(lazy) == "table" then
      value = lazy[key]
    end
    if value == nil and DEFAULTS[key] then
      value = DEFAULTS[key]()
      rawset(req, key, value)
    end
    if value == nil and not FIELDS[key] then
      error(('req has no field "%s"%s'):format(tostring(key), near.hint(key, FIELDS)), 2)
    end
    return value
  end,
}

--- Sets who knows the fields of requests that make() makes, and who is told which headers are read.
---@param f? fun(name: string): any
---@param told? fun(name: string|nil)
function M.setup(f, told)
  field, header_read = f, told
end

--- A request of the core's.
---@param model string
---@return table
function M.make(model)
  local req = setmetatable({ model = model }, Request)
  present, lazy = req, core_index
  return req
end

--- Puts what the library gives behind the core's table.
---@param req table
---@param of_policy table|fun(): table see params.handout
function M.dress(req, of_policy)
  local meta = getmetatable(req)
  params = of_policy
  if meta ~= false then -- false: dressed before
    lazy = meta and meta.__index or ABSENT
    setmetatable(req, Request)
  end
end

return M
