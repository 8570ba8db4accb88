local bundle = require "perilune.bundle"

local function files(list)
  local out = {}
  for name, text in pairs(list) do
    out[name] = { path = "policies/" .. name .. ".lua", text = text }
  end
  return out
end

local function libs(list, name)
  local source, finding = bundle.collect(name or "p", files(list))
  assert(source, finding and finding.message)
  local out = {}
  for i, lib in ipairs(source.libs) do
    out[i] = lib.name .. "=" .. lib.path
  end
  return table.concat(out, " ")
end

describe("bundle.collect", function()
  it("follows what is required, however it is written, in order of name", function()
    assert.equal("", libs { p = "return 1" })
    assert.equal("a=policies/lib/a.lua b=policies/lib/b.lua c=policies/lib/c.lua d=policies/lib/d.lua", libs {
      p = 'local d = require("d")\nlocal a = require"a" local x = require ( \'b\' )',
      ["lib/a"] = "return require 'c'", ["lib/b"] = "return 1", ["lib/c"] = 'return require "a"', ["lib/d"] = "",
      ["lib/unused"] = "",
    })
  end)

  it("takes a library before a policy, and a policy where there is none", function()
    assert.equal("x=policies/lib/x.lua", libs { p = 'require "x"', x = "", ["lib/x"] = "" })
    assert.equal("x=policies/x.lua", libs { p = 'require "x"', x = "" })
  end)

  it("does not take words in comments and texts for it", function()
    assert.equal("", libs { p = [==[
      -- require "a"
      --[[ require "b" ]] --[=[ require(name)
      ]] ]=]
      local s = "do not require(x)" .. 'require "c"' .. [[ require(name) ]] .. "a\"require(x)"
      local required, prerequire = 1, 2
      local t = { 1 } t[1] = 2 -- require(
    ]==] })
  end)

  it("refuses a name that is not written out, with its line", function()
    for _, text in ipairs { "require(name)", "require(('x'):rep(1))", "local r = require", "require [[x]]" } do
      local source, finding = bundle.collect("p", files { p = "\n" .. text })
      assert.is_nil(source)
      assert.same({ "policies/p.lua", 2 }, { finding.path, finding.line })
      assert.matches("written out", finding.message)
    end
  end)

  it("says which file wants what is not there", function()
    local _, finding = bundle.collect("p", files { p = 'require "a"', ["lib/a"] = '\n\nrequire "prics"', ["lib/prices"] = "" })
    assert.same({ "policies/lib/a.lua", 3, 'did you mean "prices"?' }, { finding.path, finding.line, finding.hint })
    _, finding = bundle.collect("tire", files { tier = "" })
    assert.matches('did you mean "tier"', finding.message)
  end)
end)
