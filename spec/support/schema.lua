--- Whether a value is what a JSON Schema says, as far as docs/openapi.json goes: type, enum, const, properties, required,
--- additionalProperties, items, maxItems, minimum, maximum, maxLength, $ref. Any other keyword is an error, so that none is passed over.
---
---   local wrong = schema.check(document, { ["$ref"] = "#/components/schemas/Key" }, answer.json)
---   assert.is_nil(wrong, wrong)
local cjson = require "cjson"

local M = {}

local NOTES = { description = true, format = true, ["$ref"] = true }

local check

-- An empty table is either: cjson makes both of the same.
local function is_array(value)
  return type(value) == "table" and (next(value) == nil or value[1] ~= nil)
end

local function is_object(value)
  return type(value) == "table" and (next(value) == nil or value[1] == nil)
end

local is_type = {
  null = function(value) return value == cjson.null end,
  boolean = function(value) return type(value) == "boolean" end,
  string = function(value) return type(value) == "string" end,
  number = function(value) return type(value) == "number" end,
  integer = function(value) return type(value) == "number" and value % 1 == 0 end,
  array = is_array,
  object = is_object,
}

local function any_of(list, test)
  for _, item in ipairs(list) do
    if test(item) then
      return true
    end
  end
  return false
end

local keywords = {}

function keywords.type(_, types, value)
  types = type(types) == "table" and types or { types }
  if not any_of(types, function(name) return is_type[name](value) end) then
    return ("is no %s"):format(table.concat(types, " or "))
  end
end

function keywords.enum(_, values, value)
  if not any_of(values, function(one) return one == value end) then
    return ("is %s, none of those it may be"):format(tostring(value))
  end
end

function keywords.const(_, only, value)
  if value ~= only then
    return ("is not %s"):format(tostring(only))
  end
end

function keywords.minimum(_, least, value)
  if type(value) == "number" and value < least then
    return "is too small"
  end
end

function keywords.maximum(_, most, value)
  if type(value) == "number" and value > most then
    return "is too large"
  end
end

function keywords.maxLength(_, most, value)
  if type(value) == "string" and #value > most then
    return "is too long"
  end
end

function keywords.maxItems(_, most, value)
  if type(value) == "table" and #value > most then
    return "has too many"
  end
end

function keywords.required(_, names, value)
  for _, name in ipairs(type(value) == "table" and names or {}) do
    if value[name] == nil then
      return ("has no %s"):format(name)
    end
  end
end

function keywords.properties(document, properties, value, path)
  for name, part in pairs(is_object(value) and properties or {}) do
    local wrong = value[name] ~= nil and check(document, part, value[name], path .. "." .. name)
    if wrong then
      return nil, wrong
    end
  end
end

function keywords.additionalProperties(document, rest, value, path, schema)
  for name, part in pairs(is_object(value) and value or {}) do
    if not (schema.properties and schema.properties[name]) then
      if rest == false then
        return ("has %s, which is not described"):format(tostring(name))
      end
      local wrong = rest ~= true and check(document, rest, part, path .. "." .. tostring(name))
      if wrong then
        return nil, wrong
      end
    end
  end
end

function keywords.items(document, item, value, path)
  for i, part in ipairs(is_array(value) and value or {}) do
    local wrong = check(document, item, part, ("%s[%d]"):format(path, i))
    if wrong then
      return nil, wrong
    end
  end
end

--- What a "#/a/b" of the document means.
---@param document table
---@param ref string
function M.resolve(document, ref)
  local at = document
  for name in ref:gmatch "/([^/]+)" do
    at = at and at[name]
  end
  return assert(at, ref .. " is not there")
end

function check(document, schema, value, path)
  if schema["$ref"] then
    return check(document, M.resolve(document, schema["$ref"]), value, path)
  end
  for keyword, what in pairs(schema) do
    if not NOTES[keyword] then
      local test = assert(keywords[keyword], "the checker does not know " .. keyword)
      local own, below = test(document, what, value, path, schema)
      if own or below then
        return below or ("%s %s"):format(path, own)
      end
    end
  end
  return nil
end

--- What is wrong first; nil: nothing is.
---@param document table  that the schema's references are of
---@param schema table
---@param value any
---@return string?
function M.check(document, schema, value)
  return check(document, schema, value, "it")
end

return M
