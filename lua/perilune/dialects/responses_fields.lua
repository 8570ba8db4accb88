--- Members of a Responses request, checked: each reader takes a raw value and its place, and raises a problem that names the place when the
--- value is of another kind. guard() catches that.
local json = require "perilune.json"

local M = {}

local kind = json.kind

--- Raises a problem.
---@param param string
---@param message string a format
---@param ... any
function M.refuse(param, message, ...)
  error({ problem = { message = message:format(...), param = param } }, 0)
end

local refuse = M.refuse

--- Calls f(...); what was refused in it is nil and the problem.
---@param f fun(...): any
---@param ... any
---@return any, perilune.Problem|nil
function M.guard(f, ...)
  local ok, result = pcall(f, ...)
  if ok then
    return result
  elseif type(result) == "table" and result.problem then
    return nil, result.problem
  end
  return error(result, 0)
end

--- The members of a value that must be an object.
---@param raw perilune.Raw|nil
---@param param string
---@return table<string, perilune.Raw>
function M.object(raw, param)
  if kind(raw) ~= "object" then
    refuse(param, "%s must be an object", param)
  end
  return assert(json.fields(raw))
end

--- The items of a value that must be a list.
---@param raw perilune.Raw|nil
---@param param string
---@return perilune.Raw[]
function M.list(raw, param)
  if kind(raw) ~= "array" then
    refuse(param, "%s must be a list", param)
  end
  return assert(json.items(raw))
end

---@param raw perilune.Raw|nil
---@param param string
---@return string
function M.text(raw, param)
  return json.text(raw) or refuse(param, "%s must be a string", param)
end

---@param raw perilune.Raw|nil
---@param param string
---@return integer
function M.whole(raw, param)
  local n = json.number(raw)
  if not n or n < 0 or n % 1 ~= 0 then
    refuse(param, "%s must be a whole number", param)
  end
  return n
end

---@param raw perilune.Raw|nil
---@param param string
---@return boolean
function M.boolean(raw, param)
  if kind(raw) ~= "boolean" then
    refuse(param, "%s must be true or false", param)
  end
  return raw:find "true" ~= nil
end

--- A reader that hands a value on as it is, once it is of the right kind.
---@param wanted string
---@return fun(raw: perilune.Raw|nil, param: string): perilune.Raw
function M.as(wanted)
  return function(raw, param)
    if kind(raw) ~= wanted then
      refuse(param, "%s must be %s %s", param, wanted == "object" and "an" or "a", wanted)
    end
    return raw
  end
end

--- Of members that may be missing or null: nil then.
---@generic T
---@param raw perilune.Raw|nil
---@param read fun(raw: perilune.Raw, param: string): T
---@param param string
---@return T|nil
function M.optional(raw, read, param)
  if raw == nil or kind(raw) == "null" then
    return nil
  end
  return read(raw, param)
end

return M
