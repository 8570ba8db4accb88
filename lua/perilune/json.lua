--- JSON in plain Lua: reading values out of a text without building it, putting pieces back as they were, and encoding what is ours.
---
--- What is opaque to us (tool schemas, tool input, metadata, unknown fields) is never decoded, because decoding loses the order of
--- keys, large integers and the difference between [] and {}. It is handed on as a *raw slice*: the bytes of its value.
local has_cjson, cjson = pcall(require, "cjson") -- policy states have none, and read no streams
local has_native, native = pcall(require, "perilune.rawjson") -- core/script/rawjson.c, in trusted states of the gateway

local M = {}

local byte, find, sub, match, format, char = string.byte, string.find, string.sub, string.match, string.format, string.char
local concat = table.concat
local type, pairs, select, tostring, tonumber, error = type, pairs, select, tostring, tonumber, error
local floor, huge = math.floor, math.huge

local MAX_DEPTH = 256

--- What null decodes to.
M.null = has_cjson and cjson.null or setmetatable({}, {
  __tostring = function()
    return "null"
  end,
  __newindex = function()
    error("json.null can not be changed", 2)
  end,
  __metatable = false,
})

----------------------------------------------------------------------------------------------------------------------------
-- Scanning. All positions are 1-based; an end is the position behind the last byte. Malformed text raises { json = message } inside
-- this file, which the public functions turn into nil, message.

local function malformed(at, what)
  error({ json = ("%s at byte %d"):format(what, at) }, 0)
end

local function skip(s, i)
  return (match(s, "^[ \t\r\n]*()", i))
end

local ESCAPES = { [34] = '"', [92] = "\\", [47] = "/", [98] = "\b", [102] = "\f", [110] = "\n", [114] = "\r", [116] = "\t" }

-- i is at the opening quote.
local function string_end(s, i)
  local at = i + 1
  while true do
    local j = find(s, '["\\%c]', at)
    if not j then
      malformed(i, "unfinished string")
    end
    local c = byte(s, j)
    if c == 34 then
      return j + 1
    elseif c == 92 then
      local e = byte(s, j + 1)
      if e == 117 then
        if not find(s, "^%x%x%x%x", j + 2) then
          malformed(j, "bad escape")
        end
        at = j + 6
      elseif e and ESCAPES[e] then
        at = j + 2
      else
        malformed(j, "bad escape")
      end
    elseif c < 32 then
      malformed(j, "control character in a string")
    else
      at = j + 1
    end
  end
end

local function scalar_end(s, i)
  local at = match(s, "^true()", i) or match(s, "^false()", i) or match(s, "^null()", i)
  if at then
    return at
  end
  at = match(s, "^%-?0()", i) or match(s, "^%-?[1-9]%d*()", i)
  if not at then
    malformed(i, i > #s and "unexpected end" or "unexpected character")
  end
  at = match(s, "^%.%d+()", at) or at
  return match(s, "^[eE][+-]?%d+()", at) or at
end

-- The end of the value at i, with everything inside it checked. Not recursive.
local function value_end(s, i)
  local stack, depth = {}, 0 -- closing byte of each open container
  local at = i
  while true do
    -- A value starts at `at`.
    local c = byte(s, at)
    local closed = false
    if c == 34 then
      at = string_end(s, at)
      closed = true
    elseif c == 123 or c == 91 then
      depth = depth + 1
      if depth > MAX_DEPTH then
        malformed(at, "nested too deeply")
      end
      stack[depth] = c + 2 -- "{" and "}", "[" and "]" are two apart
      at = skip(s, at + 1)
      if byte(s, at) == stack[depth] then
        depth = depth - 1
        at = at + 1
        closed = true
      elseif c == 123 then
        if byte(s, at) ~= 34 then
          malformed(at, "expected a key")
        end
        at = skip(s, string_end(s, at))
        if byte(s, at) ~= 58 then
          malformed(at, "expected a colon")
        end
        at = skip(s, at + 1)
      end
    else
      at = scalar_end(s, at)
      closed = true
    end
    -- A value ended: go on in what holds it.
    while closed do
      if depth == 0 then
        return at
      end
      at = skip(s, at)
      c = byte(s, at)
      if c == stack[depth] then
        depth = depth - 1
        at = at + 1
      elseif c == 44 then
        at = skip(s, at + 1)
        if stack[depth] == 125 then
          if byte(s, at) ~= 34 then
            malformed(at, "expected a key")
          end
          at = skip(s, string_end(s, at))
          if byte(s, at) ~= 58 then
            malformed(at, "expected a colon")
          end
          at = skip(s, at + 1)
        end
        closed = false
      else
        malformed(at, "expected a comma or the end")
      end
    end
  end
end

local function utf8(code)
  if code < 0x80 then
    return char(code)
  elseif code < 0x800 then
    return char(0xc0 + floor(code / 64), 0x80 + code % 64)
  elseif code < 0x10000 then
    return char(0xe0 + floor(code / 4096), 0x80 + floor(code / 64) % 64, 0x80 + code % 64)
  end
  return char(0xf0 + floor(code / 262144), 0x80 + floor(code / 4096) % 64, 0x80 + floor(code / 64) % 64, 0x80 + code % 64)
end

-- The text between the quotes at i and the end `to` of a checked string.
local function unescape(s, i, to)
  local text = sub(s, i + 1, to - 2)
  if not find(text, "\\", 1, true) then
    return text
  end
  local out, at = {}, 1
  while true do
    local j = find(text, "\\", at, true)
    if not j then
      out[#out + 1] = sub(text, at)
      return concat(out)
    end
    out[#out + 1] = sub(text, at, j - 1)
    local e = byte(text, j + 1)
    if e == 117 then
      local code = tonumber(sub(text, j + 2, j + 5), 16)
      at = j + 6
      if code >= 0xd800 and code < 0xdc00 then
        local low = match(text, "^\\u(%x%x%x%x)", at)
        low = low and tonumber(low, 16)
        if low and low >= 0xdc00 and low < 0xe000 then
          code = 0x10000 + (code - 0xd800) * 1024 + (low - 0xdc00)
          at = at + 6
        else
          code = 0xfffd
        end
      elseif code >= 0xdc00 and code < 0xe000 then
        code = 0xfffd -- half of a pair means nothing
      end
      out[#out + 1] = utf8(code)
    else
      out[#out + 1] = ESCAPES[e]
      at = j + 2
    end
  end
end

local function caught(why)
  if type(why) == "table" and why.json then
    return nil, why.json
  end
  error(why, 0)
end

-- Calls f(...) and turns malformed text into nil, message.
local function guard(f, ...)
  local ok, a, b = pcall(f, ...)
  if ok then
    return a, b
  end
  return caught(a)
end

----------------------------------------------------------------------------------------------------------------------------
-- Raw slices

---@alias perilune.Raw string the bytes of one JSON value

--- The kind of a raw value: "object", "array", "string", "number", "boolean", "null"; nil for nothing at all.
---@param raw perilune.Raw|nil
---@return string|nil
function M.kind(raw)
  local c = raw and byte(raw, skip(raw, 1))
  if c == 123 then
    return "object"
  elseif c == 91 then
    return "array"
  elseif c == 34 then
    return "string"
  elseif c == 116 or c == 102 then
    return "boolean"
  elseif c == 110 then
    return "null"
  elseif c then
    return "number"
  end
  return nil
end

---@class perilune.Member
---@field key string unescaped
---@field raw perilune.Raw the value
---@field from integer where the key begins
---@field value_from integer where the value begins
---@field to integer behind the value

-- Walks an array or an object that is all of `s`: read(at, n) reads the n-th of it and returns where that ends.
local function walk(s, opening, closing, what, read)
  local at, n = skip(s, 1), 0
  if byte(s, at) ~= opening then
    malformed(at, "expected an " .. what)
  end
  at = skip(s, at + 1)
  local over = byte(s, at) == closing
  if over then
    at = at + 1
  end
  while not over do
    n = n + 1
    at = skip(s, read(at, n))
    local c = byte(s, at)
    over = c == closing
    if not over and c ~= 44 then
      malformed(at, "expected a comma or the end")
    end
    at = over and at + 1 or skip(s, at + 1)
  end
  if skip(s, at) <= #s then
    malformed(at, "something follows the " .. what)
  end
end

local function read_members(s)
  local list = {}
  walk(s, 123, 125, "object", function(at, n)
    if byte(s, at) ~= 34 then
      malformed(at, "expected a key")
    end
    local key_end = string_end(s, at)
    local colon = skip(s, key_end)
    if byte(s, colon) ~= 58 then
      malformed(colon, "expected a colon")
    end
    local from = skip(s, colon + 1)
    local to = value_end(s, from)
    list[n] = { key = unescape(s, at, key_end), raw = sub(s, from, to - 1), from = at, value_from = from, to = to }
    return to
  end)
  return list
end

--- The members of an object, in order, with their values as raw slices; everything in it is checked.
---@param raw perilune.Raw
---@return perilune.Member[]|nil, string|nil
function M.members(raw)
  return guard(read_members, raw)
end

--- The values of an object by key, raw. Of a repeated key the last one.
---@param raw perilune.Raw
---@return table<string, perilune.Raw>|nil, string|nil
function M.fields(raw)
  local list, why = M.members(raw)
  if not list then
    return nil, why
  end
  local out = {}
  for _, m in ipairs(list) do
    out[m.key] = m.raw
  end
  return out
end

--- The same, and the keys in the order in which they stand.
---@param raw perilune.Raw
---@return table<string, perilune.Raw>|nil fields, string[]|string keys_or_why
function M.ordered(raw)
  local list, why = M.members(raw)
  if not list then
    return nil, why
  end
  local out, keys = {}, {}
  for i, m in ipairs(list) do
    out[m.key], keys[i] = m.raw, m.key
  end
  return out, keys
end

local function read_items(s)
  local list = {}
  walk(s, 91, 93, "array", function(at, n)
    local to = value_end(s, at)
    list[n] = sub(s, at, to - 1)
    return to
  end)
  return list
end

--- The items of an array, raw.
---@param raw perilune.Raw
---@return perilune.Raw[]|nil, string|nil
function M.items(raw)
  return guard(read_items, raw)
end

--- The text of a raw string; nil for anything else.
---@param raw perilune.Raw|nil
---@return string|nil
function M.text(raw)
  if M.kind(raw) ~= "string" then
    return nil
  end
  local at = skip(raw, 1)
  local to = guard(string_end, raw, at)
  return to and unescape(raw, at, to) or nil
end

--- The value of a raw number; nil for anything else.
---@param raw perilune.Raw|nil
---@return number|nil
function M.number(raw)
  return M.kind(raw) == "number" and tonumber(raw) or nil
end

---@class perilune.Edit
---@field key string
---@field raw perilune.Raw|nil nil takes the member out

-- One member replaced, or taken out with the comma that belongs to it.
local function apply(list, k, raw)
  local m = list[k]
  if raw then
    return m.value_from, m.to, raw
  end
  if list[k + 1] then
    return m.from, list[k + 1].from, ""
  elseif list[k - 1] then
    return list[k - 1].to, m.to, ""
  end
  return m.from, m.to, ""
end

local function spliced(s, edits)
  local list = read_members(s)
  for _, edit in ipairs(edits) do
    local found
    for k, m in ipairs(list) do
      if m.key == edit.key then
        found = k
      end
    end
    if found then
      local from, to, with = apply(list, found, edit.raw)
      s = sub(s, 1, from - 1) .. with .. sub(s, to)
      list = read_members(s)
    elseif edit.raw then
      local close = match(s, "()}[ \t\r\n]*$")
      local comma = list[1] and "," or ""
      s = sub(s, 1, close - 1) .. comma .. M.encode(edit.key) .. ":" .. edit.raw .. sub(s, close)
      list = read_members(s)
    end
  end
  return s
end

--- An object's text with members set, added or taken out; every other byte stays.
---@param raw perilune.Raw
---@param edits perilune.Edit[]
---@return perilune.Raw|nil, string|nil
function M.splice(raw, edits)
  return guard(spliced, raw, edits)
end

--- Whether a text is one valid JSON value.
---@param raw string
---@return boolean, string|nil
function M.valid(raw)
  local ok, why = guard(function(s)
    local to = value_end(s, skip(s, 1))
    if skip(s, to) <= #s then
      malformed(to, "something follows the value")
    end
    return true
  end, raw)
  return ok or false, why
end

----------------------------------------------------------------------------------------------------------------------------
-- Building, for shapes that are ours

local decode_value

local function decode_object(s)
  local out = {}
  for _, m in ipairs(read_members(s)) do
    out[m.key] = decode_value(m.raw)
  end
  return out
end

local function decode_array(s)
  local out = {}
  for i, raw in ipairs(read_items(s)) do
    out[i] = decode_value(raw)
  end
  return out
end

function decode_value(raw)
  local kind = M.kind(raw)
  if kind == "object" then
    return decode_object(raw)
  elseif kind == "array" then
    return decode_array(raw)
  elseif kind == "string" then
    return M.text(raw)
  elseif kind == "number" then
    return tonumber(raw)
  elseif kind == "null" then
    return M.null
  end
  return match(raw, "^[ \t\r\n]*true") ~= nil
end

--- The whole value built: for small texts of our own. null becomes json.null.
---@param text string
---@return any, string|nil
function M.decode(text)
  local ok, why = M.valid(text)
  if not ok then
    return nil, why
  end
  return guard(decode_value, match(text, "^[ \t\r\n]*(.-)[ \t\r\n]*$"))
end

--- The same in C, for many small texts whose every value is of a kind we know: the events of streams. null becomes json.null; the order of
--- keys, and integers beyond 2^53, are lost, so that what is opaque is never read this way. What is read is JSON: cjson alone takes more
--- (NaN, bare line ends in texts), and slices out of it would not be there.
---@param text string
---@return any, string|nil
function M.read(text)
  local ok, value = M.valid(text)
  if not ok then
    return nil, value
  end
  ok, value = pcall(cjson.decode, text)
  if ok then
    return value
  end
  return guard(decode_value, text) -- which takes half surrogates
end

local CONTROL = { ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ['"'] = '\\"', ["\\"] = "\\\\" }

local function escape(c)
  return CONTROL[c] or (c == "\127" and c) or format("\\u%04x", byte(c))
end

--- Characters of a text.
---@param s string
---@return integer
function M.characters(s)
  return select(2, s:gsub("[^\128-\191]", ""))
end

--- A text as a JSON string.
---@param s string
---@return perilune.Raw
function M.quote(s)
  if find(s, '[%c"\\]') then
    s = s:gsub('[%c"\\]', escape)
  end
  return '"' .. s .. '"'
end

local quote = has_native and native.quote or M.quote

--- Puts a member into an object that is being written, a list of texts; a value of nil leaves it out. See object().
---@param out string[]
---@param key string
---@param raw perilune.Raw|nil
function M.put(out, key, raw)
  if raw ~= nil then
    out[#out + 1] = quote(key) .. ":" .. raw
  end
end

--- The object whose members were put into a list.
---@param out string[]
---@return perilune.Raw
function M.object(out)
  return "{" .. concat(out, ",") .. "}"
end

--- The array of raw values.
---@param list perilune.Raw[]
---@return perilune.Raw
function M.array(list)
  return "[" .. concat(list, ",") .. "]"
end

local encode_value

local function encode_table(t, depth)
  if depth > 64 then
    error({ json = "nested too deeply" }, 0)
  end
  local out = {}
  if t[1] ~= nil then
    local n = #t
    for k in pairs(t) do
      if type(k) ~= "number" or k < 1 or k > n or k % 1 ~= 0 then
        error({ json = "a table is either a list or has names, not both" }, 0)
      end
    end
    for i = 1, n do
      out[i] = encode_value(t[i], depth + 1)
    end
    return "[" .. concat(out, ",") .. "]"
  end
  local keys = {}
  for k in pairs(t) do
    if type(k) ~= "string" then
      error({ json = "names in an object are texts, not a " .. type(k) }, 0)
    end
    keys[#keys + 1] = k
  end
  table.sort(keys)
  for i, k in ipairs(keys) do
    out[i] = quote(k) .. ":" .. encode_value(t[k], depth + 1)
  end
  return "{" .. concat(out, ",") .. "}"
end

function encode_value(v, depth)
  local kind = type(v)
  if v == M.null then
    return "null"
  elseif kind == "string" then
    return quote(v)
  elseif kind == "number" then
    if v ~= v or v == huge or v == -huge then
      error({ json = "JSON has no such number as " .. tostring(v) }, 0)
    elseif v % 1 == 0 and v > -1e15 and v < 1e15 then
      return format("%d", v)
    end
    return format("%.17g", v)
  elseif kind == "boolean" then
    return tostring(v)
  elseif kind == "table" then
    return encode_table(v, depth)
  end
  return error({ json = "JSON has no " .. kind }, 0)
end

--- JSON of a value; keys sorted; an empty table is {}.
---@param value any
---@return string|nil, string|nil
function M.encode(value)
  return guard(encode_value, value, 0)
end

-- The same in C, word for word, where it is there: a request of 400 KB is cut up in 1.5 ms instead of 32.
for name, f in pairs(has_native and native or {}) do
  M[name] = f
end

--- A plain table as JSON, members in the order of their names. Lua can not tell an empty list from an empty object: `lists` is the set of
--- keys that hold lists. A number without bounds is null; of others twelve digits are enough.
---@param value any
---@param lists table<string, boolean>
---@param key? any under which it stands
---@return string
function M.report(value, lists, key)
  if value == math.huge then
    return "null"
  elseif type(value) == "number" and value % 1 ~= 0 then
    return ("%.12g"):format(value)
  elseif type(value) ~= "table" or value == M.null then
    return (assert(M.encode(value)))
  end
  local out, names = {}, {}
  if lists[key] then
    for k, item in ipairs(value) do
      out[k] = M.report(item, lists)
    end
    return M.array(out)
  end
  for name in pairs(value) do
    names[#names + 1] = tostring(name)
  end
  table.sort(names)
  for _, name in ipairs(names) do
    M.put(out, name, M.report(value[name], lists, name))
  end
  return M.object(out)
end

return M
