/* runaways.h - scripts that do not end, each in its own way. */
#ifndef PERILUNE_SPEC_RUNAWAYS_H
#define PERILUNE_SPEC_RUNAWAYS_H

#include <stddef.h>

struct runaway {
    const char *name, *text;
};

/* So many of them, the first, stay in C for long, where no hook is asked. */
enum { RUNAWAYS_OUTSIDE = 3 };

static const struct runaway runaways[] = {
    { "catastrophic pattern", "return ('a'):rep(60):find(('a-'):rep(40) .. 'b')" },
    { "catastrophic pattern in pcall",
      "while true do pcall(string.match, ('a'):rep(60), ('a*'):rep(30) .. 'b') end" },
    { "long plain search", "local s, what = ('a'):rep(200000), ('a'):rep(100000) .. 'b' while true "
                           "do s:find(what, 1, true) end" },
    { "tight loop", "while true do end" },
    { "arithmetic", "local n = 0 for i = 1, math.huge do n = n + i % 7 end" },
    { "loop in pcall", "while true do pcall(function() while true do end end) end" },
    { "errors in pcall", "while true do pcall(error, 'x') end" },
    { "errors from deep inside", "local function f(n) if n == 0 then error { } end return (f(n - "
                                 "1)) end while true do pcall(f, 100) end" },
    { "stack overflow in pcall",
      "local function f() return 1 + f() end while true do pcall(f) end" },
    { "loop in a coroutine", "coroutine.wrap(function() while true do end end)()" },
    { "coroutine back and forth", "local co = coroutine.wrap(function() while true do "
                                  "coroutine.yield() end end) while true do co() end" },
    { "coroutines without end",
      "while true do coroutine.wrap(function() coroutine.yield() end)() end" },
    { "errors in coroutines",
      "while true do coroutine.resume(coroutine.create(function() error('x') end)) end" },
    { "string bomb", "local s = 'x' while true do s = s .. s end" },
    { "string.rep bomb", "return ('x'):rep(2^31 - 1)" },
    { "string.rep bombs in pcall", "while true do pcall(string.rep, 'x', 1e8) end" },
    { "table bomb", "local t = {} for i = 1, math.huge do t[i] = { i } end" },
    { "nested table bomb", "local t = {} while true do t = { t, t } end" },
    { "unique strings", "local t = {} for i = 1, math.huge do t[i] = 'key ' .. i end" },
    { "garbage", "while true do local t = {} for i = 1, 100 do t[i] = { i } end end" },
    { "string garbage", "for i = 1, math.huge do local s = ('%d'):format(i):rep(10) end" },
    { "gsub callback", "return (('x'):rep(100):gsub('x', function() while true do end end))" },
    { "gsub doubling", "local s = 'x' while true do s = s:gsub('x', 'xx') end" },
    { "gmatch in loop", "while true do for w in ('a b c '):rep(100):gmatch('%a+') do end end" },
    { "format", "while true do local s = ('%99.99f'):format(1 / 3) end" },
    { "tostring of numbers", "local n = 0.1 while true do n = n + 1 local s = tostring(n) end" },
    { "__index",
      "local t = setmetatable({}, { __index = function() while true do end end }) return t.x" },
    { "__newindex",
      "local t = setmetatable({}, { __newindex = function() while true do end end }) t.x = 1" },
    { "__concat", "local t = setmetatable({}, { __concat = function() while true do end end }) "
                  "return t .. 'x'" },
    { "__lt", "local m = { __lt = function() while true do end end } "
              "return setmetatable({}, m) < setmetatable({}, m)" },
    { "__eq", "local m = { __eq = function() while true do end end } "
              "return setmetatable({}, m) == setmetatable({}, m)" },
    { "__call",
      "local t = setmetatable({}, { __call = function() while true do end end }) return t()" },
    { "errors in __index", "local t = setmetatable({}, { __index = function() error('x') end }) "
                           "while true do pcall(function() return t.x end) end" },
    { "errors in __tostring", "local t = setmetatable({}, { __tostring = function() error('x') end "
                              "}) while true do pcall(tostring, t) end" },
    { "__tostring of no string", "local t = setmetatable({}, { __tostring = function() return {} "
                                 "end }) while true do pcall(tostring, t) end" },
    { "endless comparison",
      "local t = { 3, 2, 1 } table.sort(t, function() while true do end end)" },
    { "errors while sorting",
      "while true do pcall(table.sort, { 3, 2, 1 }, function() error('x') end) end" },
    { "sorting for ever", "local t = {} for i = 1, 5000 do t[i] = i % 97 end "
                          "while true do table.sort(t, function(a, b) return a > b end) end" },
    { "loop in a message handler", "xpcall(error, function() while true do end end)" },
    { "errors in a message handler",
      "while true do xpcall(error, function() error('again') end) end" },
    { "concat",
      "local t = {} for i = 1, 1000 do t[i] = 'abc' end while true do table.concat(t, ',') end" },
    { "unpack",
      "local t = {} for i = 1, 200 do t[i] = i end while true do select('#', unpack(t)) end" },
    { "closures",
      "local f = function() end while true do local g = f f = function() return g end end" },
    { "insert at the front",
      "local t = {} while true do table.insert(t, 1, 1) if #t > 5000 then t = {} end end" },
    { "next", "local t = {} for i = 1, 1000 do t['k' .. i] = i end while true do for k in pairs(t) "
              "do end end" },
};

#define RUNAWAY_COUNT (sizeof runaways / sizeof *runaways)

#endif
