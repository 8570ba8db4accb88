--- Assignments: which policy decides for whom, with which params, under which limits. Their shape, and policies/routes.lua as a text:
--- a table that is written for people to read and edit.
---
---   return {
---     account = { policy = "tier" },
---     tier = { free = { policy = "cheapest", limits = { max_cost_usd = 0.002 } } },
---     endpoint = { ["/v1/messages"] = { policy = "quality", params = { at_least = 20 } } },
---   }
local S = require "perilune.schema"

local M = {}

local huge = math.huge

local DAY_MS = 24 * 3600 * 1000

--- For whom one may be, the first that has one decides.
M.scopes = { "key", "project", "tier", "endpoint", "account" }

local LIMITS = {
  max_cost_usd = S.number(0, 1e6),
  max_latency_ms = S.integer(1, DAY_MS),
  deadline_ms = S.integer(1, DAY_MS),
}
M.limits = S.record(LIMITS)

--- What can be written into the file and handed to a policy as it is.
---@type perilune.Check
function M.plain(v, path, add, depth)
  if type(v) == "table" and (depth or 0) < 16 then
    for key, member in pairs(v) do
      M.plain(member, S.join(path, key), add, (depth or 0) + 1)
    end
  elseif type(v) ~= "string" and type(v) ~= "boolean" and not (type(v) == "number" and v == v and v > -huge and v < huge) then
    add(path, "expected a text, a number, true, false, or a table of these")
  end
  return v
end

local fields = S.record { policy = S.text, params = S.map(M.plain), limits = M.limits }

---@class perilune.Assignment
---@field scope? string
---@field name? string nil for the account's
---@field policy string
---@field params? table
---@field limits? { max_cost_usd: number?, max_latency_ms: integer?, deadline_ms: integer? }

--- An assignment: the name of a policy, or { policy =, params =, limits = }.
---@type perilune.Check
function M.assignment(v, path, add)
  if type(v) ~= "table" then
    local policy = S.text(v, path, add)
    return policy and { policy = policy }
  end
  local out = fields(v, path, add)
  if out and v.policy == nil then
    add(S.join(path, "policy"), "expected the name of a policy, got nothing")
    return nil
  end
  return out and out.policy and out or nil
end

--- The name of an endpoint.
---@type perilune.Check
function M.endpoint(name, path, add)
  if not name:find "^/" then
    add(path, 'expected an endpoint like "/v1/chat/completions"')
    return nil
  end
  return name
end

local SCOPES = { account = M.assignment }
for _, scope in ipairs { "key", "project", "tier" } do
  SCOPES[scope] = S.map(M.assignment)
end
SCOPES.endpoint = S.map(M.assignment, M.endpoint)

--- All of policies/routes.lua.
M.schema = S.record(SCOPES)

local PLACE = {}
for i, scope in ipairs(M.scopes) do
  PLACE[scope] = i
end

--- What M.schema let through as a list, in a steady order.
---@return perilune.Assignment[]
function M.list(scopes)
  local list = {}
  local function add(scope, name, given)
    list[#list + 1] = { scope = scope, name = name, policy = given.policy, params = given.params, limits = given.limits }
  end
  for scope, given in pairs(scopes) do
    if scope == "account" then
      add(scope, nil, given)
    else
      for name, one in pairs(given) do
        add(scope, name, one)
      end
    end
  end
  table.sort(list, function(a, b)
    if a.scope ~= b.scope then
      return PLACE[a.scope] < PLACE[b.scope]
    end
    return (a.name or "") < (b.name or "")
  end)
  return list
end

----------------------------------------------------------------------------------------------------------------------------
-- Writing

local HEAD = [[
-- Which policy decides for whom. `PUT /api/routes/...` and `perilune policy` write this file anew, and so may you:
-- values that are changed here stay, comments do not. It is data: nothing is computed in it. What perilune.lua
-- says itself comes first.
return ]]

-- Line ends, control characters and bytes that are no ASCII are written so that every editor shows and keeps them.
local function quoted(text)
  return '"' .. text:gsub('[%c"\\]', function(c)
    return c == "\n" and "\\n" or (c == '"' or c == "\\") and "\\" .. c or ("\\%03d"):format(c:byte())
  end) .. '"'
end

local KEYWORDS = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat return then true until
  while]]):gmatch "%a+" do
  KEYWORDS[word] = true
end

local function key_of(key)
  if type(key) == "number" then
    return ("[%.17g]"):format(key)
  end
  return key:find "^[%a_][%w_]*$" and not KEYWORDS[key] and key or "[" .. quoted(key) .. "]"
end

local function sorted_keys(value)
  local keys = {}
  for key in pairs(value) do
    keys[#keys + 1] = key
  end
  table.sort(keys, function(a, b)
    if type(a) ~= type(b) then
      return type(a) == "number"
    end
    return a < b
  end)
  return keys
end

local write

-- Members after each other: in one line where they fit, else one a line.
local function write_table(value, indent)
  local parts, n = {}, #value
  for _, item in ipairs(value) do
    parts[#parts + 1] = write(item, indent .. "  ")
  end
  for _, key in ipairs(sorted_keys(value)) do
    if type(key) ~= "number" or key % 1 ~= 0 or key < 1 or key > n then
      parts[#parts + 1] = key_of(key) .. " = " .. write(value[key], indent .. "  ")
    end
  end
  local line = table.concat(parts, ", ")
  if #parts == 0 then
    return "{}"
  elseif indent ~= "" and #line + #indent <= 100 and not line:find "\n" then
    return "{ " .. line .. " }"
  end
  return ("{\n%s  %s,\n%s}"):format(indent, table.concat(parts, ",\n" .. indent .. "  "), indent)
end

function write(value, indent)
  if type(value) == "table" then
    return write_table(value, indent)
  elseif type(value) == "string" then
    return quoted(value)
  elseif type(value) == "number" then
    local short = ("%.14g"):format(value)
    return tonumber(short) == value and short or ("%.17g"):format(value)
  end
  return tostring(value)
end

local function filled(t)
  return t and next(t) ~= nil and t or nil
end

--- The file of these assignments.
---@param list perilune.Assignment[]
---@return string
function M.write(list)
  local scopes = {}
  for _, a in ipairs(list) do
    local given = { policy = a.policy, params = filled(a.params), limits = filled(a.limits) }
    if a.scope == "account" then
      scopes.account = given
    else
      scopes[a.scope] = scopes[a.scope] or {}
      scopes[a.scope][a.name] = given
    end
  end
  return HEAD .. write(scopes, "") .. "\n"
end

--- What the file says with one assignment put in (nil: taken out) in the place of the one that is there.
---@param scopes table as M.schema let it through
---@param scope string
---@param name? string
---@param value perilune.Assignment|nil
---@return string|nil text nil: there is none to take out
function M.edit(scopes, scope, name, value)
  local list, found = {}, false
  for _, a in ipairs(M.list(scopes)) do
    if a.scope == scope and a.name == name then
      found = true
    else
      list[#list + 1] = a
    end
  end
  if not value and not found then
    return nil
  elseif value then
    list[#list + 1] = {
      scope = scope, name = name, policy = value.policy, params = value.params, limits = value.limits,
    }
  end
  return M.write(list)
end

return M
