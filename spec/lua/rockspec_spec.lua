-- The rock has every module, and nothing else.
local tree = require "support.tree"

describe("the rockspec", function()
  local spec = {}
  setfenv(assert(loadfile "perilune-scm-1.rockspec"), spec)()

  -- What is listed, against what is there; both sorted.
  local function compared(modules, there, path_of)
    local listed = {}
    for module, path in pairs(modules) do
      listed[#listed + 1] = path
      assert.equal(path, path_of(module))
    end
    table.sort(listed)
    table.sort(there)
    assert.same(there, listed)
  end

  it("lists the library", function()
    compared(spec.build.modules, tree.matching("lua/perilune", "%.lua$"), function(module)
      return "lua/" .. module:gsub("%.", "/") .. ".lua"
    end)
  end)

  it("lists the shipped policies and providers", function()
    local shipped = tree.committed "providers"
    for _, path in ipairs(tree.committed "policies") do
      shipped[#shipped + 1] = path:match "^policies/[^/]+$" -- examples are read, not required
    end
    compared(spec.build.install.lua, shipped, function(module)
      return module:match("^perilune%.(.*)$"):gsub("%.", "/") .. ".lua"
    end)
  end)
end)
