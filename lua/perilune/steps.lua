--- What a step and a chain may say, checked: names with the nearest known one, values with what was expected. What is sound is taken,
--- the rest is reported.
local failure = require "perilune.failure"
local json = require "perilune.json"
local near = require "perilune.near"

local M = {}

local type, pairs, error, tostring = type, pairs, error, tostring
local huge = math.huge

local MS_MAX = 24 * 3600 * 1000

-- Readers give what a value comes to, or nil and what is wrong with it. Those of parts are told where to report a part that is wrong: to
-- add(part, why).

local function wrong(expected, got)
  if type(got) == "string" then
    got = ('"%s"'):format(got)
  elseif type(got) == "table" or type(got) == "function" then
    got = "a " .. type(got)
  end
  return nil, ("expected %s, got %s"):format(expected, tostring(got))
end

local function milliseconds(v)
  if type(v) ~= "number" or not (v >= 0 and v <= MS_MAX) then
    return wrong("milliseconds, a number from 0 to " .. MS_MAX, v)
  end
  return v
end

local function dollars(v)
  if type(v) ~= "number" or v ~= v or v < 0 then
    return wrong("dollars, a number not below 0", v)
  end
  if v == huge then
    return nil
  end
  return v
end

local function count(from, to)
  return function(v)
    if type(v) ~= "number" or v % 1 ~= 0 or v < from or v > to then
      return wrong(("a whole number from %d to %d"):format(from, to), v)
    end
    return v
  end
end

local function one_of(...)
  local allowed = { ... }
  local expected = '"' .. table.concat(allowed, '" or "') .. '"'
  return function(v)
    for _, a in ipairs(allowed) do
      if v == a then
        return v
      end
    end
    return wrong(expected, v)
  end
end

local function text(v)
  if type(v) ~= "string" then
    return wrong("a text", v)
  end
  return v
end

local function classes(v, add)
  return failure.mask(v, function(why)
    add("", why)
  end)
end

-- What the core decides about a request; a policy chooses targets instead.
local RESERVED = { model = true, models = true, messages = true, stream = true, stream_options = true, input = true, prompt = true }

local function add_params(set, params, prefix, add)
  for name, value in pairs(params) do
    local place = prefix .. "." .. tostring(name)
    if type(name) ~= "string" then
      add(prefix, ("expected parameter names as keys, got %s"):format(tostring(name)))
    elseif RESERVED[name] then
      add(place, "this is not a parameter of a step")
    elseif set[name] then
      add(place, "it is set twice")
    else
      local raw, why = json.encode(value)
      set[name] = raw and { name, raw }
      if not raw then
        add(place, why)
      end
    end
  end
end

local function drop_params(set, names, add)
  for k, name in ipairs(names) do
    if type(name) ~= "string" or RESERVED[name] then
      add((".drop[%d]"):format(k), select(2, wrong("the name of a parameter", name)))
    elseif set[name] then
      add((".drop[%d]"):format(k), ('"%s" is set, too'):format(name))
    else
      set[name] = { name }
    end
  end
end

-- The two parts of `params` that are not parameters themselves, where they are tables.
local function part_of(params, name, expected, add)
  local part = params[name]
  if part ~= nil and type(part) ~= "table" then
    add("." .. name, select(2, wrong(expected, part)))
    return {}
  end
  return part or {}
end

--- Parameter overrides as a list of { name, raw JSON }, sorted by name; { name } takes a parameter out.
---@param params table
---@return table[]|nil, string|nil
local function overrides(params, add)
  if type(params) ~= "table" then
    return wrong("a table of parameters", params)
  end
  local set, own, list = {}, {}, {}
  for name, value in pairs(params) do
    if name ~= "extra" and name ~= "drop" then
      own[name] = value
    end
  end
  add_params(set, own, "", add)
  add_params(set, part_of(params, "extra", "a table of fields for the wire", add), ".extra", add)
  drop_params(set, part_of(params, "drop", "a list of parameter names", add), add)
  for _, param in pairs(set) do
    list[#list + 1] = param
  end
  table.sort(list, function(a, b)
    return a[1] < b[1]
  end)
  return list
end

local STEP = {
  timeout_ms = milliseconds,
  first_token_ms = milliseconds,
  idle_ms = milliseconds,
  retries = count(0, 10),
  when = classes,
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

-- What was found in the table that is being read, and the name of the field: a function of its own for every field would cost more than
-- reading it.
local found, present

local function add(part, why)
  found = found or {}
  found[#found + 1] = { ("%s%s"):format(present, part), why }
end

-- In one order, whatever that of the table.
local function tell(path, report)
  local list = found
  table.sort(list, function(a, b)
    return a[1] < b[1]
  end)
  for _, f in ipairs(list) do
    report(("%s.%s"):format(path, f[1]), f[2])
  end
end

local function checked(kind, fields, t, path, report)
  if type(t) ~= "table" then
    error(("expected a table of %s fields, got a %s"):format(kind, type(t)), 0)
  end
  local out = {}
  found = nil
  for name, value in pairs(t) do
    local read, why = fields[name], nil
    present = tostring(name)
    if read then
      out[name], why = read(value, add)
    elseif name ~= "target" or fields ~= STEP then -- the target of a step is left to the caller
      why = ("a %s has no such field%s (the fields are %s)"):format(kind, near.hint(name, fields), near.names(fields))
    end
    if why then
      add("", why)
    end
  end
  if found then
    tell(path, report)
  end
  return out
end

---@alias perilune.Report fun(path: string, why: string)

--- The sound fields of a step in the form the core takes; what is wrong with others is reported with its path. Raises for what is no
--- table.
---@param t table
---@param path string of the step
---@param report perilune.Report
---@return table
function M.step(t, path, report)
  return checked("step", STEP, t, path, report)
end

--- The same of a chain's fields.
---@param t table
---@param path string
---@param report perilune.Report
---@return table
function M.chain(t, path, report)
  return checked("chain", CHAIN, t, path, report)
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
