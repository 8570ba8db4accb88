-- Which lines count, and which have run.
local coverage = require "perilune.spec.coverage"

local function lines(text)
  local list = {}
  for line in pairs(assert(coverage.executable(text))) do
    list[#list + 1] = line
  end
  table.sort(list)
  return table.concat(list, " ")
end

describe("the lines that can run", function()
  it("are those with code, in every function", function()
    assert.equal("2 3 5 6", lines "-- a comment\nlocal n = 1\nlocal f = n\n\nlocal g = f\nreturn g")
    assert.equal("2 3 5 7", lines "return function(a)\n  if a then\n    return 1\n  end\n  return 2\n\nend")
  end)

  it("leave out the return that stands behind every function, where the script says none", function()
    -- Both ways out are said; the compiler's own return at the end can not be reached.
    local text = "return {\n  f = function(a)\n    if a then\n      return 1\n    else\n      return 2\n    end\n  end,\n}"
    assert.equal("1 3 4 6 8 9", lines(text))
    -- A bare return is said.
    assert.is_true(coverage.executable("return function(a)\n  a()\n  return\nend")[3])
  end)

  it("are none of a script that does not compile", function()
    assert.is_nil(coverage.executable "return function(")
  end)
end)

describe("a report", function()
  local TEXT = table.concat({
    "return function(req, fleet)", "  local list = {}", "  for i = 1, 3 do", "    list[i] = i", "    if i > 5 then", "      break",
    "    end", "  end", "  local f = function()", "    return 1", "  end", "  while #list < 2 do", "    list[#list + 1] = 1", "  end",
    '  if req == "x" then', "    return list, f", "  end", "  return list", "end",
  }, "\n")

  it("names the lines that have not run, whatever stands in them", function()
    local seen = {}
    local f = assert(loadstring(TEXT, "@policies/p.lua"))
    jit.off()
    jit.flush()
    debug.sethook(function(_, line)
      if debug.getinfo(2, "S").source == "@policies/p.lua" then
        seen[line] = true
      end
    end, "l")
    f()("y")
    debug.sethook()
    jit.on()
    local covered = coverage.compare("policies/p.lua", TEXT, seen)
    assert.same({ 6, 10, 13, 16 }, covered.missed)
    assert.equal(covered.lines - 4, covered.run)
  end)

  it("counts files that were never loaded, and sums them up", function()
    local list = coverage.report({ "policies/a.lua", "policies/none.lua" }, function(path)
      return path == "policies/a.lua" and "local a = 1\nlocal b = 2\nreturn a, b" or nil
    end)
    assert.same({ { path = "policies/a.lua", lines = 3, run = 0, missed = { 1, 2, 3 } } }, list)
    assert.equal(0, coverage.percent(list))
    assert.equal(100, coverage.percent {})
    assert.equal("  0.0%  policies/a.lua: not run: 1-3\n  0.0%  of all lines of policies\n", coverage.text(list))
  end)

  it("is of policies alone", function()
    assert.equal("policies/a.lua", coverage.path_of "@policies/a.lua")
    assert.equal("policies/lib/a.lua", coverage.path_of "@./policies/lib/a.lua")
    assert.is_nil(coverage.path_of "@policies/a_spec.lua")
    assert.is_nil(coverage.path_of "@spec/a_spec.lua")
    assert.is_nil(coverage.path_of "=policies/a.lua")
  end)
end)
