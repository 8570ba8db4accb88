--- Checking settings against a description, with the path of the setting, what was expected, and the nearest known name.
---
---   local S = schema
---   local shape = S.record { listen = S.address, workers = S.integer(1, 256), chains = S.map(S.list(S.text)) }
---   local value = S.check(shape, given, "", add)     add(setting, message, hint) is called for each thing wrong
local near = require "perilune.near"

local M = {}

local huge = math.huge

---@alias perilune.Check fun(value: any, path: string, add: fun(setting: string, message: string, hint?: string)): any

local function show(v)
  if type(v) == "string" then
    return #v <= 60 and ('"%s"'):format((v:gsub("%c", "?"))) or "a long text"
  elseif type(v) == "number" or type(v) == "boolean" then
    return tostring(v)
  elseif v == nil then
    return "nothing"
  end
  return "a " .. type(v)
end

-- Whether what stands there may be a secret, or hold one, even where something else was expected.
local function is_private(path, v)
  return path:find "key" or path:find "headers" or path:find "^alerts" or (type(v) == "string" and v:find("://[^/]*@"))
end

--- The hint that names what was probably meant; nil when nothing is near.
---@param name any
---@param known table a list of names, or a set with names as keys
---@return string|nil
function M.did_you_mean(name, known)
  local found = near.nearest(name, known)
  return found and ('did you mean "%s"?'):format(found)
end

local function wrong(add, path, expected, v)
  local got = type(v) == "string" and is_private(path, v) and "a text" or show(v)
  add(path, ("expected %s, got %s"):format(expected, got))
  return nil
end

local function join(path, key)
  if type(key) == "number" then
    return ("%s[%d]"):format(path, key)
  elseif tostring(key):find "^[%a_][%w_]*$" then
    return path == "" and key or path .. "." .. key
  end
  return ('%s["%s"]'):format(path, tostring(key))
end

--- A text that is not empty and has no control characters.
---@type perilune.Check
function M.text(v, path, add)
  if type(v) ~= "string" or v == "" or v:find "%c" then
    return wrong(add, path, "a text", v)
  end
  return v
end

--- A secret: like a text without spaces, but its value is in no message.
---@type perilune.Check
function M.secret(v, path, add)
  if type(v) == "number" then
    add(path, "expected a key, got a number")
    return nil
  elseif type(v) ~= "string" then
    return wrong(add, path, "a key", v)
  elseif v == "" or v:find "[%c%s\127-\255]" then
    add(path, "expected a key: ASCII characters without spaces, at least one")
    return nil
  end
  return v
end

---@type perilune.Check
function M.boolean(v, path, add)
  if type(v) ~= "boolean" then
    return wrong(add, path, "true or false", v)
  end
  return v
end

---@return perilune.Check
function M.number(min, max)
  return function(v, path, add)
    if type(v) ~= "number" or v ~= v or v < min or v > max then
      local expected = max == huge and ("a number not below %.14g"):format(min) or ("a number from %.14g to %.14g"):format(min, max)
      return wrong(add, path, expected, v)
    end
    return v
  end
end

---@return perilune.Check
function M.integer(min, max)
  return function(v, path, add)
    if type(v) ~= "number" or v % 1 ~= 0 or v < min or v > max then
      return wrong(add, path, ("a whole number from %d to %d"):format(min, max), v)
    end
    return v
  end
end

---@return perilune.Check
function M.one_of(set)
  return function(v, path, add)
    if type(v) ~= "string" or not set[v] then
      add(path, ("expected one of %s, got %s"):format(near.names(set), show(v)), M.did_you_mean(v, set))
      return nil
    end
    return v
  end
end

--- An address to listen on: "127.0.0.1:4100", "[::1]:4100".
---@type perilune.Check
function M.address(v, path, add)
  local host, port
  if type(v) == "string" then
    host, port = v:match "^(%[[%x:.]+%]):(%d+)$"
    if not host then
      host, port = v:match "^([%w.-]+):(%d+)$"
    end
  end
  port = tonumber(port)
  if not host or port > 65535 then
    return wrong(add, path, 'an address like "127.0.0.1:4100"', v)
  end
  return v
end

--- A base URL as vendors print it; the slash at its end is dropped.
---@type perilune.Check
function M.url(v, path, add)
  if type(v) ~= "string" or not v:find "^https?://[%w%.%-%[%]:_]+" or v:find "[%s%c?#@\\\"<>]" then
    return wrong(add, path, 'a URL like "https://api.example.com/v1", without user, query and spaces', v)
  end
  return (v:gsub("/+$", ""))
end

---@return perilune.Check
function M.list(of)
  return function(v, path, add)
    if type(v) ~= "table" then
      return wrong(add, path, "a list", v)
    end
    local n = #v
    for k in pairs(v) do
      if type(k) ~= "number" or k % 1 ~= 0 or k < 1 or k > n then
        add(is_private(path) and path or join(path, k), "expected a list without names and holes")
        return nil
      end
    end
    local out = {}
    for i = 1, n do
      out[#out + 1] = of(v[i], join(path, i), add)
    end
    return out
  end
end

---@return perilune.Check
function M.map(of, key_check)
  return function(v, path, add)
    if type(v) ~= "table" then
      return wrong(add, path, "a table of names", v)
    end
    local out = {}
    for k, member in pairs(v) do
      if type(k) ~= "string" or k == "" or k:find "%c" then
        add(join(path, k), "expected a name as key")
      elseif not key_check or key_check(k, join(path, k), add) then
        out[k] = of(member, join(path, k), add)
      end
    end
    return out
  end
end

--- A table with these fields and no others.
---@return perilune.Check
function M.record(fields)
  return function(v, path, add)
    if type(v) ~= "table" then
      return wrong(add, path, "a table", v)
    end
    local out = {}
    for k, member in pairs(v) do
      local check = fields[k]
      if check then
        out[k] = check(member, join(path, k), add)
      else
        add(join(path, k), ("unknown setting (known here: %s)"):format(near.names(fields)), M.did_you_mean(k, fields))
      end
    end
    return out
  end
end

--- A setting that is known and refused.
---@return perilune.Check
function M.not_yet(why)
  return function(_, path, add)
    add(path, why)
    return nil
  end
end

--- Any value but functions.
---@type perilune.Check
function M.anything(v, path, add)
  if type(v) == "function" then
    return wrong(add, path, "a plain value", v)
  end
  return v
end

M.join = join

return M
