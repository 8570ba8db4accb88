-- Policies that do not end, asked by a spec: each is stopped, with the line it was at.
local process = require "support.process"
local spec = require "perilune.spec"
local watch = require "perilune.spec.watch"

describe("perilune.spec.watch", function()
  local dir, limit_s

  before_each(function()
    dir, limit_s = process.folder(), watch.limit_s
    watch.limit_s = 0.05
  end)
  after_each(function()
    watch.limit_s = limit_s
    process.remove(dir)
  end)

  local function route(text)
    process.write(dir .. "/p.lua", text)
    return pcall(spec.route, dir .. "/p.lua", {}, { "a/m" })
  end

  -- The line a policy is stopped at, in p.lua or the file that is named.
  local function stopped_at(line, text, file)
    local ok, why = route(text)
    assert.is_false(ok)
    local expected = ("%s/%s:%d: did not end within 0.05 s and was stopped; the gateway's limit is 5 ms")
    assert.equal(expected:format(dir, file or "p.lua", line), why)
  end

  it("stops a decision, a file and a prepare() that do not end", function()
    stopped_at(2, "return function()\nwhile true do end end")
    stopped_at(1, "while true do end")
    stopped_at(2, "return { decide = function() end, prepare = function()\nwhile true do end end }")
    process.write(dir .. "/lib/spin.lua", "return function()\n\nwhile true do end end")
    stopped_at(3, 'local spin = require "spin"; return function() spin() end', "lib/spin.lua")
  end)

  it("stops an on_failure that does not end", function()
    local ok, decision = route "return { decide = function(_, fleet) return fleet end, on_failure = function()\nwhile true do end end }"
    assert.is_true(ok, decision)
    ok, decision = pcall(spec.walk, decision, { ["a/m"] = "timeout" })
    assert.is_false(ok)
    assert.is_truthy(decision:find("p.lua:2: did not end", 1, true), decision)
  end)

  it("is not held up by pcall, xpcall, coroutines and what the library calls", function()
    stopped_at(2, "return function() while true do\npcall(function() while true do end end) end end")
    stopped_at(2, "return function() while true do\nxpcall(function() while true do end end, function() end) end end")
    stopped_at(2, "return function() coroutine.wrap(function()\nwhile true do end end)() end")
    stopped_at(2, "return function(_, fleet) return fleet:where(function()\nwhile true do end end) end")
  end)

  it("leaves hooks, the compiler and what is returned or raised as they were", function()
    local lines = 0
    local function hook()
      lines = lines + 1
    end
    debug.sethook(hook, "l")
    local got = { watch.call({ "p.lua" }, function(...)
      return ...
    end, 1, nil, 3) }
    local ok, why = pcall(watch.call, { "p.lua" }, error, "as it is", 0)
    local found = debug.gethook()
    debug.sethook()
    assert.same({ 1, nil, 3 }, got)
    assert.same({ false, "as it is" }, { ok, why })
    assert.equal(hook, found)
    assert.is_true(lines > 5)
    assert.is_true((require("jit").status()))
  end)
end)
