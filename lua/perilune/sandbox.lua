--- What a policy can see: an environment made of an allow-list, with nothing in it that reaches out, and nothing shared that can
--- be written.
---
--- Every object that requests share (targets, libraries) is a *proxy*: an empty table whose metatable reads
--- from a hidden one and refuses to be written. Functions of the library that write or walk tables raw know about proxies.
local near = require "perilune.near"

local M = {}

-- The real ones, before anybody changes anything.
local type, next, error, tostring, select, rawget, setmetatable = type, next, error, tostring, select, rawget, setmetatable
local real_pairs, real_ipairs = pairs, ipairs
local string_rep, concat, move, unpack = string.rep, table.concat, table.move, unpack
local insert, remove, sort = table.insert, table.remove, table.sort

local REP_MAX = 1024 * 1024 -- bytes string.rep makes at most

-- proxy -> the table it reads from. Weak, because some proxies live for one request; a hidden table never holds its proxy.
local hidden = setmetatable({}, { __mode = "k" })

-- One function for all proxies of a kind: there are thousands of them.
local refusals = {}

local function refusal(what)
  local refuse = refusals[what]
  if not refuse then
    refuse = function(_, key)
      error(('%s can not be changed: tried to set "%s"'):format(what, tostring(key)), 2)
    end
    refusals[what] = refuse
  end
  return refuse
end

--- A read-only view of `data`, which must not be handed out itself.
---@param data table
---@param what string how messages call it: "a target"; one of a few
---@param to_string? fun(proxy: table): string
---@return table
function M.readonly(data, what, to_string)
  local proxy = setmetatable({}, { __index = data, __newindex = refusal(what), __metatable = false, __tostring = to_string })
  hidden[proxy] = data
  return proxy
end

local walked = setmetatable({}, { __mode = "k" }) -- watched proxy -> who is told when it is walked

--- `data` behind a table that tells which of its names are read; nil stands for all of them. It can be written.
---@param data table
---@param told fun(name: any)
---@return table
function M.watched(data, told)
  local function read(_, name)
    told(name)
    return data[name]
  end
  local proxy = setmetatable({}, { __index = read, __newindex = data, __metatable = false })
  hidden[proxy], walked[proxy] = data, told
  return proxy
end

-- What a proxy hides, for a walk over all of it.
local function whole(proxy)
  local told = walked[proxy]
  if told then
    told(nil)
  end
  return hidden[proxy]
end

-- Walking. A fleet (perilune.fleet) is walked as the list of its targets.

local function walk_list(list)
  local i = 0
  return function()
    i = i + 1
    local v = list[i]
    if v ~= nil then
      return i, v
    end
  end
end

local function walk_hidden(data)
  local k, v
  return function()
    k, v = next(data, k)
    return k, v
  end
end

local function policy_pairs(t)
  if type(t) == "table" then
    if rawget(t, "is_fleet") then
      return walk_list(t:list())
    elseif hidden[t] then
      -- A closure, not next and the table: that would hand out what the proxy hides.
      return walk_hidden(whole(t))
    end
  end
  return real_pairs(t)
end

local function policy_ipairs(t)
  if type(t) == "table" then
    if rawget(t, "is_fleet") then
      return walk_list(t:list())
    elseif hidden[t] then
      return walk_list(hidden[t])
    end
  end
  return real_ipairs(t)
end

local function policy_next(t, k)
  if type(t) == "table" and hidden[t] then
    return next(whole(t), k)
  end
  return next(t, k)
end

-- Raw writers of the table library would write into proxies behind their metatable.
local function guarded(name, f)
  return function(t, ...)
    if hidden[t] then
      error(("table.%s: this table is shared by all requests and can not be changed"):format(name), 2)
    end
    return f(t, ...)
  end
end

local function policy_concat(t, ...)
  return concat(hidden[t] or t, ...)
end

local function policy_unpack(t, ...)
  return unpack(hidden[t] or t, ...)
end

local function capped_rep(s, n, sep)
  local one = type(s) == "string" and #s or 0
  local between = type(sep) == "string" and #sep or 0
  if type(n) == "number" and (one + between) * n > REP_MAX then
    error(("string.rep: the result would have over %d bytes"):format(REP_MAX), 2)
  end
  if sep ~= nil then
    return string_rep(s, n, sep)
  end
  return string_rep(s, n)
end

local function copy_of(library, without)
  local copy = {}
  for name, value in next, library do
    if not (without and without[name]) then
      copy[name] = value
    end
  end
  return copy
end

local function string_library()
  -- string.format needs no cap of its own: LuaJIT takes two digits of width and precision at most.
  local s = copy_of(string, { dump = true, rep = true })
  s.rep = capped_rep
  return s
end

local function table_library()
  return {
    concat = policy_concat,
    insert = guarded("insert", insert),
    remove = guarded("remove", remove),
    sort = guarded("sort", sort),
    move = move and function(a, from, to, at, b)
      local target = b or a
      if hidden[target] then
        error("table.move: this table is shared by all requests and can not be changed", 2)
      end
      return move(hidden[a] or a, from, to, at, target)
    end or nil,
    unpack = policy_unpack,
  }
end

--- Closes the way through string methods: `("x"):rep()` gets the capped functions, getmetatable("") gets nothing. Once a state.
function M.seal_strings()
  local meta = getmetatable("")
  if type(meta) == "table" then
    meta.__index = string_library()
    meta.__metatable = false
  end
end

local BASE = {
  assert = assert,
  error = error,
  getmetatable = getmetatable,
  ipairs = policy_ipairs,
  next = policy_next,
  pairs = policy_pairs,
  pcall = pcall,
  rawequal = rawequal,
  select = select,
  setmetatable = setmetatable,
  tonumber = tonumber,
  tostring = tostring,
  type = type,
  unpack = policy_unpack,
  xpcall = xpcall,
}

-- Why a name that plain Lua has is missing here.
local MISSING = {}
for _, name in real_ipairs { "io", "os", "package", "debug", "ffi", "jit" } do
  MISSING[name] = "policies have no input, output or system access; all they know is in req and fleet"
end
for _, name in real_ipairs { "load", "loadstring", "loadfile", "dofile", "setfenv", "getfenv", "module" } do
  MISSING[name] = 'policies can not load code; require "name" loads policies/lib/name.lua'
end
for _, name in real_ipairs { "rawset", "rawget", "newproxy", "collectgarbage", "gcinfo", "_G" } do
  MISSING[name] = "it is not part of the policy environment"
end
MISSING.print = "use note(key, value): it goes into the trace"

---@class perilune.SandboxGifts
---@field random? fun(m?: integer, n?: integer): number becomes math.random
---@field [string] fun(...): any globals beside the plain ones

--- A fresh environment for one script and its libraries.
---@param gifts perilune.SandboxGifts
---@return table
function M.environment(gifts)
  local names = copy_of(BASE)
  local math_copy = copy_of(math, { randomseed = true })
  math_copy.random = gifts.random
  names.string = M.readonly(string_library(), "string")
  names.table = M.readonly(table_library(), "table")
  names.math = M.readonly(math_copy, "math")
  names.bit = M.readonly(copy_of(bit), "bit")
  names.coroutine = M.readonly(copy_of(coroutine), "coroutine")
  for name, value in next, gifts do
    if name ~= "random" then
      names[name] = value
    end
  end
  setmetatable(names, {
    __index = function(_, name)
      local why = MISSING[name]
      if why then
        error(('there is no "%s" here: %s'):format(tostring(name), why), 2)
      end
      error(('there is no global "%s"%s'):format(tostring(name), near.hint(name, names)), 2)
    end,
  })
  return setmetatable({}, {
    __index = names,
    __newindex = function(_, name)
      error(('assignment to global "%s": scripts keep no state between calls; write `local %s`'):format(tostring(name),
        tostring(name)), 2)
    end,
    __metatable = false,
  })
end

return M
