--- What a step and a chain may say, checked: names with the nearest known one, values with what was expected.
local failure = require "perilune.failure"
local json = require "perilune.json"
local near = require "perilune.near"

local M = {}

local type, pairs, error, tostring = type, pairs, error, tostring
local huge = math.huge

local MS_MAX = 24 * 3600 * 1000

local function fail(field, expected, got)
  if type(got) == "string" then
    got = ('"%s"'):format(got)
  elseif type(got) == "table" or type(got) == "function" then
    got = "a " .. type(got)
  end
  error(("%s: expected %s, got %s"):format(field, expected, tostring(got)), 0)
end

local function milliseconds(field, v)
  if type(v) ~= "number" or not (v >= 0 and v <= MS_MAX) then
    fail(field, "milliseconds, a number from 0 to " .. MS_MAX, v)
  end
  return v
end

local function dollars(field, v)
  if type(v) ~= "number" or v ~= v or v < 0 then
    fail(field, "dollars, a number not below 0", v)
  end
  if v == huge then
    return nil
  end
  return v
end

local function count(from, to)
  return function(field, v)
    if type(v) ~= "number" or v % 1 ~= 0 or v < from or v > to then
      fail(field, ("a whole number from %d to %d"):format(from, to), v)
    end
    return v
  end
end

local function one_of(...)
  local allowed = { ... }
  local expected = '"' .. table.concat(allowed, '" or "') .. '"'
  return function(field, v)
    for _, a in ipairs(allowed) do
      if v == a then
        return v
      end
    end
    return fail(field, expected, v)
  end
end

local function text(field, v)
  if type(v) ~= "string" then
    fail(field, "a text", v)
  end
  return v
end

-- What the core decides about a request; a policy chooses targets instead.
local RESERVED = { model = true, models = true, messages = true, stream = true, stream_options = true, input = true, prompt = true }

local function add_param(list, name, value)
  if type(name) ~= "string" then
    error(("params: expected parameter names as keys, got %s"):format(tostring(name)), 0)
  end
  if RESERVED[name] then
    error(('params: "%s" is not a parameter of a step'):format(name), 0)
  end
  local raw, why = json.encode(value)
  if not raw then
    error(("params.%s: %s"):format(name, why), 0)
  end
  list[#list + 1] = { name, raw }
end

--- Parameter overrides as a list of { name, raw JSON }, sorted by name; { name } takes a parameter out.
---@param params table
---@return table[]
local function overrides(_, params)
  if type(params) ~= "table" then
    fail("params", "a table of parameters", params)
  end
  local list = {}
  for name, value in pairs(params) do
    if name == "extra" then
      if type(value) ~= "table" then
        fail("params.extra", "a table of fields for the wire", value)
      end
      for k, v in pairs(value) do
        add_param(list, k, v)
      end
    elseif name == "drop" then
      if type(value) ~= "table" then
        fail("params.drop", "a list of parameter names", value)
      end
      for _, k in ipairs(value) do
        if type(k) ~= "string" or RESERVED[k] then
          fail("params.drop", "a list of parameter names", k)
        end
        list[#list + 1] = { k }
      end
    else
      add_param(list, name, value)
    end
  end
  table.sort(list, function(a, b)
    return a[1] < b[1]
  end)
  for i = 2, #list do
    if list[i][1] == list[i - 1][1] then
      error(('params: "%s" is set twice'):format(list[i][1]), 0)
    end
  end
  return list
end

local STEP = {
  timeout_ms = milliseconds,
  first_token_ms = milliseconds,
  idle_ms = milliseconds,
  retries = count(0, 10),
  when = function(_, v)
    return failure.mask(v)
  end,
  params = overrides,
  max_cost_usd = dollars,
  max_latency_ms = milliseconds,
}

local CHAIN = {
  deadline_ms = milliseconds,
  max_cost_usd = dollars,
  max_latency_ms = milliseconds,
  max_attempts = count(1, 100),
  hedge_after_ms = milliseconds,
  on_exhausted = one_of("fail", "queue"),
  retry_window_ms = milliseconds,
  hold_ms = milliseconds,
  after_first_byte = one_of("error"),
  reason = text,
}

--- Names of the fields, as sets.
M.step_fields, M.chain_fields = STEP, CHAIN

local function checked(kind, fields, t, skip)
  if type(t) ~= "table" then
    error(("expected a table of %s fields, got a %s"):format(kind, type(t)), 0)
  end
  local out = {}
  for name, value in pairs(t) do
    if name ~= skip then
      local read = fields[name]
      if not read then
        error(('a %s has no field "%s"%s (the fields are %s)'):format(kind, tostring(name), near.hint(name, fields), near.names(fields)), 0)
      end
      out[name] = read(name, value)
    end
  end
  return out
end

--- The fields of a step, checked and in the form the core takes; raises. `target` is left to the caller.
---@param t table
---@return table
function M.step(t)
  return checked("step", STEP, t, "target")
end

--- The fields of a chain, checked; raises.
---@param t table
---@return table
function M.chain(t)
  return checked("chain", CHAIN, t)
end

--- Both sets of fields in a new table; `over` wins. Either may be false or nil.
---@param under table|false|nil
---@param over table|false|nil
---@return table|false
function M.merge(under, over)
  if not under then
    return over or false
  elseif not over then
    return under
  end
  local out = {}
  for k, v in pairs(under) do
    out[k] = v
  end
  for k, v in pairs(over) do
    out[k] = v
  end
  return out
end

return M
