--- A policy's own settings: declared in its file with types and defaults, set in the configuration, read as req.params.
local near = require "perilune.near"
local sandbox = require "perilune.sandbox"

local M = {}

---@class perilune.Param
---@field type "number"|"string"|"boolean"|"list"|"table"
---@field default any
---@field min? number
---@field max? number
---@field choices? any[]
---@field doc? string

local FIELDS = { type = true, default = true, min = true, max = true, choices = true, doc = true }
local TYPES = { number = true, string = true, boolean = true, list = true, table = true }

local function kind_of(v)
  return type(v) == "table" and (v[1] ~= nil or next(v) == nil) and "list" or type(v)
end

local function fits(expected, v)
  local kind = kind_of(v)
  return kind == expected or (expected == "table" and type(v) == "table")
end

-- A value against its declaration; raises.
local function checked(where, param, v)
  if not fits(param.type, v) then
    error(("%s: expected a %s, got a %s"):format(where, param.type, kind_of(v)), 0)
  end
  if param.type == "number" then
    if v ~= v or (param.min and v < param.min) or (param.max and v > param.max) then
      error(("%s: expected a number from %s to %s, got %s"):format(where, tostring(param.min or "any"), tostring(param.max or "any"),
        tostring(v)), 0)
    end
  end
  if param.choices then
    for _, c in ipairs(param.choices) do
      if c == v then
        return v
      end
    end
    error(("%s: expected one of %s, got %s"):format(where, near.names(param.choices), tostring(v)), 0)
  end
  return v
end

--- The declarations of a policy, checked; a bare value stands for its type with that default. Raises.
---@param declared table<string, perilune.Param|any>|nil
---@return table<string, perilune.Param>
function M.declare(declared)
  local out = {}
  for name, d in pairs(declared or {}) do
    if type(name) ~= "string" then
      error("params: expected names as keys", 0)
    end
    local where = "params." .. name
    if type(d) ~= "table" or d.type == nil then
      d = { type = kind_of(d), default = d }
    end
    for k in pairs(d) do
      if not FIELDS[k] then
        error(('%s: a parameter has no field "%s"%s'):format(where, tostring(k), near.hint(k, FIELDS)), 0)
      end
    end
    if not TYPES[d.type] then
      error(('%s.type: expected one of %s, got "%s"'):format(where, near.names(TYPES), tostring(d.type)), 0)
    end
    if d.default ~= nil then
      checked(where .. ".default", d, d.default)
    end
    out[name] = d
  end
  return out
end

--- Values of all parameters: what was set, else the default. Raises on what was not declared or does not fit.
---@param declared table<string, perilune.Param>
---@param set table|nil
---@return table
function M.values(declared, set)
  local out = {}
  for name, v in pairs(set or {}) do
    local param = declared[name]
    if not param then
      error(('this policy declares no parameter "%s"%s'):format(tostring(name), near.hint(name, declared)), 0)
    end
    out[name] = checked("params." .. name, param, v)
  end
  for name, param in pairs(declared) do
    if out[name] == nil then
      out[name] = param.default
    end
  end
  return out
end

local function copy_of(v, depth)
  if type(v) ~= "table" then
    return v
  end
  if depth > 32 then
    error("params: nested too deeply", 0)
  end
  local out = {}
  for k, member in pairs(v) do
    out[k] = copy_of(member, depth + 1)
  end
  return out
end

-- What reading a name gives that has no value: nil where it is declared, else an error, because a misspelt one would be nil somewhere
-- far from here.
local function missing_of(declared)
  return function(_, name)
    if not declared[name] then
      error(('this policy declares no parameter "%s"%s'):format(tostring(name), near.hint(name, declared)), 2)
    end
    return nil
  end
end

--- What a request reads as req.params, so that none can change it for the next: a read-only view where all values are plain, and
--- a function that makes a copy where there are tables among them (a view of a list would have no length).
---@param values table
---@param declared table<string, perilune.Param>
---@return table|fun(): table
function M.handout(values, declared)
  local meta = { __index = missing_of(declared), __metatable = false }
  for _, v in pairs(values) do
    if type(v) == "table" then
      return function()
        return setmetatable(copy_of(values, 0), meta)
      end
    end
  end
  return sandbox.readonly(setmetatable(values, meta), "req.params")
end

return M
