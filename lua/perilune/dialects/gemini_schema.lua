--- JSON Schema as Gemini takes it.
---
--- Two forms. `parametersJsonSchema` is JSON Schema nearly as it is: json(). `parameters` is a message of Google's own with few fields, and
--- one field it does not know fails the whole request: proto() rewrites a schema into it, and from_proto() brings one back.
---
--- The work is done on a tree that keeps what decoding would lose: an object is { order = keys, at = values }, an array { list = items },
--- and everything else the bytes it was written in.
local json = require "perilune.json"

local M = {}

local concat, floor = table.concat, math.floor
local type, ipairs, pairs, tonumber = type, ipairs, pairs, tonumber

local MAX_REPEATS = 2 -- of one $ref inside itself: below that an object of any kind stands in
local MAX_NODES = 4000 -- written out: schemas that refer to themselves twice a level would grow without end

----------------------------------------------------------------------------------------------------------------------------
-- The tree

local function new_object()
  return { order = {}, at = {} }
end

local function set(object, key, value)
  if object.at[key] == nil then
    object.order[#object.order + 1] = key
  end
  object.at[key] = value
end

-- A tree of JSON that is known to be valid.
local function parse(raw)
  local kind = json.kind(raw)
  if kind == "object" then
    local out = new_object()
    for _, member in ipairs(json.members(raw)) do
      set(out, member.key, parse(member.raw))
    end
    return out
  elseif kind == "array" then
    local list = {}
    for i, item in ipairs(json.items(raw)) do
      list[i] = parse(item)
    end
    return { list = list }
  end
  return (raw:match "^%s*(.-)%s*$")
end

local function is_object(node)
  return type(node) == "table" and node.order ~= nil
end

local function is_array(node)
  return type(node) == "table" and node.list ~= nil
end

local function text_of(node)
  return type(node) == "string" and json.text(node) or nil
end

local function number_of(node)
  return type(node) == "string" and json.number(node) or nil
end

local function write(node)
  if type(node) == "string" then
    return node
  end
  local out = {}
  if node.list then
    for i, item in ipairs(node.list) do
      out[i] = write(item)
    end
    return "[" .. concat(out, ",") .. "]"
  end
  for i, key in ipairs(node.order) do
    out[i] = json.quote(key) .. ":" .. write(node.at[key])
  end
  return "{" .. concat(out, ",") .. "}"
end

local function copy(object)
  local out = new_object()
  for _, key in ipairs(object.order) do
    set(out, key, object.at[key])
  end
  return out
end

local function without(object, keys)
  local out = new_object()
  for _, key in ipairs(object.order) do
    if not keys[key] then
      set(out, key, object.at[key])
    end
  end
  return out
end

----------------------------------------------------------------------------------------------------------------------------
-- References

-- The node a JSON pointer names ("#/$defs/Point", "#"); nil for one that leads nowhere or out of the document.
local function resolve(root, pointer)
  local path = pointer:match "^#(.*)$"
  if not path or (path ~= "" and path:sub(1, 1) ~= "/") then
    return nil
  end
  local node = root
  for step in path:gmatch "/([^/]*)" do
    local key = step:gsub("%%(%x%x)", function(hex)
      return string.char(tonumber(hex, 16))
    end):gsub("~1", "/"):gsub("~0", "~")
    if is_object(node) then
      node = node.at[key]
    elseif is_array(node) then
      node = node.list[(tonumber(key) or -1) + 1]
    else
      return nil
    end
  end
  return is_object(node) and node or nil
end

-- A node with what its $ref names written out; its own words win. `seen` counts the references that are open above it.
local function written_out(node, root, seen)
  while true do
    local pointer = text_of(node.at["$ref"])
    if not pointer then
      return node, seen
    end
    local own = without(node, { ["$ref"] = true })
    local target = resolve(root, pointer)
    if not target or (seen[pointer] or 0) >= MAX_REPEATS then
      local stand_in = without(own, { properties = true, required = true, items = true })
      set(stand_in, "type", '"object"')
      return stand_in, seen
    end
    seen = setmetatable({ [pointer] = (seen[pointer] or 0) + 1 }, { __index = seen })
    node = copy(target)
    for _, key in ipairs(own.order) do
      set(node, key, own.at[key])
    end
  end
end

----------------------------------------------------------------------------------------------------------------------------
-- What many schemas say in one node

local function union_of(a, b)
  local out, known = {}, {}
  for _, list in ipairs { a, b } do
    for _, item in ipairs(list) do
      local bytes = write(item)
      if not known[bytes] then
        known[bytes] = true
        out[#out + 1] = item
      end
    end
  end
  return { list = out }
end

-- Takes over what `from` says and `into` does not; properties and what is required are joined.
local function merge(into, from)
  for _, key in ipairs(from.order) do
    local have, new = into.at[key], from.at[key]
    if have == nil then
      set(into, key, new)
    elseif key == "properties" and is_object(have) and is_object(new) then
      local joined = copy(have)
      for _, name in ipairs(new.order) do
        if joined.at[name] == nil then
          set(joined, name, new.at[name])
        end
      end
      into.at[key] = joined
    elseif key == "required" and is_array(have) and is_array(new) then
      into.at[key] = union_of(have.list, new.list)
    end
  end
end

-- Draws allOf into the node, and the parts of allOf of its parts. The budget of nodes counts these, too.
local function merged(node, root, seen, budget)
  node, seen = written_out(node, root, seen)
  local all = node.at.allOf
  if not is_array(all) then
    return node, seen
  end
  local out = without(node, { allOf = true })
  for _, branch in ipairs(all.list) do
    budget.left = budget.left - 1
    budget.spent = budget.spent or budget.left <= 0
    if is_object(branch) and not budget.spent then
      local part
      part, seen = merged(branch, root, seen, budget)
      merge(out, part)
    end
  end
  return out, seen
end

----------------------------------------------------------------------------------------------------------------------------
-- Types

local TYPES = {
  string = "STRING", number = "NUMBER", integer = "INTEGER", boolean = "BOOLEAN", array = "ARRAY", object = "OBJECT", null = "NULL",
}

-- The type a keyword speaks of, for nodes that name none. Looked up in this order.
local HINTS = {
  { "OBJECT", "properties", "required", "additionalProperties", "patternProperties", "minProperties", "maxProperties" },
  { "ARRAY", "items", "prefixItems", "minItems", "maxItems", "uniqueItems" },
  { "STRING", "pattern", "minLength", "maxLength", "format" },
  { "NUMBER", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf" },
}

local function type_of_value(node)
  if is_object(node) then
    return "OBJECT"
  elseif is_array(node) then
    return "ARRAY"
  end
  local kind = json.kind(node)
  if kind == "number" then
    return number_of(node) % 1 == 0 and "INTEGER" or "NUMBER"
  end
  return TYPES[kind]
end

-- The names a node gives its type, without null; and whether it may be null.
local function types_of(node)
  local said, out, nullable = node.at.type, {}, node.at.nullable == "true"
  for _, name in ipairs(is_array(said) and said.list or { said }) do
    local known = TYPES[(text_of(name) or ""):lower()]
    if known == "NULL" then
      nullable = true
    elseif known then
      out[#out + 1] = known
    end
  end
  return out, nullable
end

local function hinted_type(node)
  for _, hint in ipairs(HINTS) do
    for i = 2, #hint do
      if node.at[hint[i]] ~= nil then
        return hint[1]
      end
    end
  end
  return nil
end

----------------------------------------------------------------------------------------------------------------------------
-- The message form

local clean -- a node, whatever it is

local function is_true(node)
  return node == "true"
end

-- A bound that stands for an exclusive one, which the message does not know: exact for whole numbers only.
local function bound(node, inclusive, exclusive, step, whole)
  local own, strict = number_of(node.at[inclusive]), number_of(node.at[exclusive])
  if own and is_true(node.at[exclusive]) then -- as older drafts have it
    own, strict = nil, own
  end
  if strict then
    strict = whole and (step > 0 and floor(strict) + 1 or -floor(-strict) - 1) or strict
    own = own and (step > 0 and math.max(own, strict) or math.min(own, strict)) or strict
  end
  return own and json.encode(own)
end

local function count(node)
  local n = number_of(node)
  return n and n >= 0 and json.encode(floor(n)) or nil
end

local function put(out, key, value)
  if value ~= nil then
    set(out, key, value)
  end
end

local function put_number(out, node, whole)
  local format = text_of(node.at.format)
  if format == "int32" or format == "int64" or format == "float" or format == "double" then
    set(out, "format", node.at.format)
  end
  put(out, "minimum", bound(node, "minimum", "exclusiveMinimum", 1, whole))
  put(out, "maximum", bound(node, "maximum", "exclusiveMaximum", -1, whole))
end

local FOR_TYPE = {}

function FOR_TYPE.STRING(out, node)
  local format = text_of(node.at.format)
  if format == "date-time" or format == "enum" then
    set(out, "format", node.at.format)
  end
  put(out, "minLength", count(node.at.minLength))
  put(out, "maxLength", count(node.at.maxLength))
  put(out, "pattern", text_of(node.at.pattern) and node.at.pattern)
end

function FOR_TYPE.NUMBER(out, node)
  put_number(out, node, false)
end

function FOR_TYPE.INTEGER(out, node)
  put_number(out, node, true)
end

function FOR_TYPE.BOOLEAN() end

-- An array says what it holds. A tuple becomes a list of what any of its places may hold.
function FOR_TYPE.ARRAY(out, node, ctx, seen)
  local items, tuple = node.at.items, node.at.prefixItems
  if is_array(items) then
    items, tuple = nil, items
  end
  if is_array(tuple) and tuple.list[1] then
    items = new_object()
    set(items, "anyOf", tuple)
  end
  set(out, "items", clean(items or new_object(), ctx, seen))
  put(out, "minItems", count(node.at.minItems))
  put(out, "maxItems", count(node.at.maxItems))
end

-- The names of a list that are properties.
local function known_names(list, properties)
  local out = {}
  for _, name in ipairs(is_array(list) and list.list or {}) do
    local key = text_of(name)
    if key and properties.at[key] ~= nil then
      out[#out + 1] = name
    end
  end
  return out[1] and { list = out } or nil
end

function FOR_TYPE.OBJECT(out, node, ctx, seen)
  local given = node.at.properties
  if not is_object(given) or not given.order[1] then
    return
  end
  local properties = new_object()
  for _, name in ipairs(given.order) do
    set(properties, name, clean(given.at[name], ctx, seen))
  end
  set(out, "properties", properties)
  put(out, "required", known_names(node.at.required, properties))
  put(out, "propertyOrdering", known_names(node.at.propertyOrdering, properties))
  put(out, "minProperties", count(node.at.minProperties))
  put(out, "maxProperties", count(node.at.maxProperties))
end

-- What every node may say, whatever its type.
local function put_common(out, node, nullable)
  for _, key in ipairs { "title", "description" } do
    put(out, key, text_of(node.at[key]) and node.at[key])
  end
  if nullable then
    set(out, "nullable", "true")
  end
  put(out, "default", node.at.default ~= "null" and node.at.default or nil)
  put(out, "example", node.at.example)
end

-- The values a node is limited to, null apart; nil for none.
local function choices_of(node)
  local list = node.at.const ~= nil and { node.at.const } or is_array(node.at.enum) and node.at.enum.list
  if not list then
    return nil, false
  end
  local out, nullable = {}, false
  for _, value in ipairs(list) do
    if value == "null" then
      nullable = true
    else
      out[#out + 1] = value
    end
  end
  return out[1] and out or nil, nullable
end

-- Only texts can be listed. Numbers are listed as the texts they are written in, which is noted: the answer brings texts, too.
-- Of true and false, or of whole objects, the type is all that can be said.
local function listed(choices, ctx)
  local out, known = {}, {}
  for i, value in ipairs(choices) do
    local kind = type(value) == "string" and json.kind(value)
    if kind ~= "string" and kind ~= "number" then
      return nil
    elseif kind == "number" then
      ctx.restated = true
      value = json.quote(value)
    end
    if not known[value] then
      known[value] = true
      out[#out + 1] = choices[i] and value
    end
  end
  return { list = out }
end

-- A node with one type, or none that is known.
local function typed(node, name, nullable, ctx, seen)
  local choices, or_null = choices_of(node)
  local enum = choices and listed(choices, ctx)
  name = enum and "STRING" or name or choices and type_of_value(choices[1]) or hinted_type(node)
  name = name or (ctx.depth == 1 and "OBJECT" or "STRING")
  local out = new_object()
  set(out, "type", json.quote(name))
  put_common(out, node, nullable or or_null)
  if enum then
    set(out, "enum", enum)
    if number_of(out.at.default) then
      out.at.default = json.quote(out.at.default)
    end
  else
    FOR_TYPE[name](out, node, ctx, seen)
  end
  return out
end

-- The ways a node may go, with those that are null taken out.
local function ways_of(node)
  local ways, nullable, any = {}, false, false
  for _, key in ipairs { "anyOf", "oneOf" } do
    for _, way in ipairs(is_array(node.at[key]) and node.at[key].list or {}) do
      any = true
      local names, or_null = {}, false
      if is_object(way) then
        names, or_null = types_of(way)
      end
      if is_object(way) and not names[1] and or_null and way.at.type ~= nil then
        nullable = true
      else
        ways[#ways + 1] = way
      end
    end
  end
  return any and ways or nil, nullable
end

-- Whether ways differ in nothing but what they require: the message has no words for that.
local function only_require(ways)
  for _, way in ipairs(ways) do
    if not is_object(way) or #way.order ~= 1 or way.at.required == nil then
      return false
    end
  end
  return true
end

local WAYS = { anyOf = true, oneOf = true }
local ASIDE = { anyOf = true, oneOf = true, title = true, description = true, default = true, example = true, nullable = true }

-- A choice between schemas. Each takes over what the node says beside them; one alone is the node. Such a node has a type as well, because
-- it is refused without, and nothing else that speaks of values.
local function branched(node, ways, nullable, ctx, seen)
  local beside = without(node, ASIDE)
  local cleaned = {}
  for i, way in ipairs(ways) do
    if is_object(way) then
      local part, its_seen = merged(way, ctx.root, seen, ctx.budget)
      part = copy(part)
      merge(part, beside)
      cleaned[i] = clean(part, ctx, its_seen)
    else
      cleaned[i] = clean(way, ctx, seen)
    end
  end
  cleaned = union_of(cleaned, {}).list
  local out
  if cleaned[2] then
    out = new_object()
    set(out, "type", cleaned[1].at.type)
    put_common(out, node, nullable)
    set(out, "anyOf", { list = cleaned })
    return out
  end
  -- What the node calls itself says more than what its one way does.
  out = new_object()
  set(out, "type", cleaned[1].at.type)
  put_common(out, node, nullable)
  merge(out, cleaned[1])
  return out
end

local function one_for_each(node, names)
  local ways = {}
  for i, name in ipairs(names) do
    local way = without(node, ASIDE)
    set(way, "type", json.quote(name:lower()))
    ways[i] = way
  end
  return ways
end

local function cleaned(node, ctx, seen)
  if not is_object(node) then -- true and false are schemas, too
    node = new_object()
  end
  node, seen = merged(node, ctx.root, seen, ctx.budget)
  local ways, null_way = ways_of(node)
  local names, nullable = types_of(node)
  nullable = nullable or null_way
  if ways and not only_require(ways) then
    return branched(node, ways, nullable, ctx, seen)
  elseif names[2] then
    return branched(without(node, { type = true }), one_for_each(node, names), nullable, ctx, seen)
  end
  return typed(ways and without(node, WAYS) or node, names[1], nullable, ctx, seen)
end

function clean(node, ctx, seen)
  local budget = ctx.budget
  budget.left = budget.left - 1
  if budget.left <= 0 then
    budget.spent = true
    local out = new_object()
    set(out, "type", '"OBJECT"')
    return out
  end
  ctx.depth = ctx.depth + 1
  local out = cleaned(node, ctx, seen)
  ctx.depth = ctx.depth - 1
  return out
end

--- A schema in the message form; nil where it asks for nothing (the field is left out then), and nil and a message where it can not
--- be written. The third value is true when numbers to choose from had to become texts.
---@param raw perilune.Raw|nil
---@return perilune.Raw|nil, string|nil, boolean|nil
function M.proto(raw)
  if json.kind(raw) ~= "object" then
    return nil
  end
  local ok, why = json.valid(raw)
  if not ok then
    return nil, why
  end
  local root = parse(raw)
  local ctx = { root = root, budget = { left = MAX_NODES }, depth = 0, restated = false }
  local out = clean(root, ctx, {})
  if ctx.budget.spent then
    return nil, "the schema is too large once its references are written out"
  elseif out.at.type == '"OBJECT"' and not out.at.properties and not out.at.anyOf then
    return nil
  end
  return write(out), nil, ctx.restated
end

----------------------------------------------------------------------------------------------------------------------------
-- The other form, and the way back

local function bare_references(node)
  if is_array(node) then
    for i, item in ipairs(node.list) do
      node.list[i] = bare_references(item)
    end
    return node
  elseif not is_object(node) then
    return node
  end
  local is_reference = text_of(node.at["$ref"]) ~= nil
  local out = new_object()
  for _, key in ipairs(node.order) do
    if not is_reference or key:sub(1, 1) == "$" then
      set(out, key, bare_references(node.at[key]))
    end
  end
  return out
end

--- A schema for the fields that take JSON Schema: as it came, but that beside a $ref only words with a $ may stand.
---@param raw perilune.Raw
---@return perilune.Raw
function M.json(raw)
  if not raw:find('"$ref"', 1, true) or not json.valid(raw) then
    return raw
  end
  return write(bare_references(parse(raw)))
end

local LOWER = {}
for lower, upper in pairs(TYPES) do
  LOWER[upper] = lower
end

local from_proto

local function map_object(object, f)
  local out = new_object()
  for _, key in ipairs(object.order) do
    set(out, key, f(object.at[key]))
  end
  return out
end

local NESTED = { items = true, properties = true, anyOf = true }

local function nested_from_proto(key, value)
  if key == "properties" and is_object(value) then
    return map_object(value, from_proto)
  elseif key == "anyOf" and is_array(value) then
    local list = {}
    for i, item in ipairs(value.list) do
      list[i] = from_proto(item)
    end
    return { list = list }
  end
  return from_proto(value)
end

function from_proto(node)
  if not is_object(node) then
    return node
  end
  local out = new_object()
  local nullable = is_true(node.at.nullable)
  for _, key in ipairs(node.order) do
    local value = node.at[key]
    if key == "type" then
      local lower = LOWER[text_of(value) or ""]
      value = lower and json.quote(lower) or value
      set(out, key, nullable and { list = { value, '"null"' } } or value)
    elseif NESTED[key] then
      set(out, key, nested_from_proto(key, value))
    elseif key ~= "nullable" and key ~= "propertyOrdering" then
      set(out, key, value)
    end
  end
  return out
end

--- A schema in the message form as plain JSON Schema.
---@param raw perilune.Raw
---@return perilune.Raw
function M.from_proto(raw)
  return json.valid(raw) and write(from_proto(parse(raw))) or raw
end

return M
