-- The rock has every module, and nothing else.
describe("the rockspec", function()
  local spec = {}
  setfenv(assert(loadfile "perilune-scm-1.rockspec"), spec)()

  -- The listed paths and those that are there, sorted.
  local function compared(modules, folder, path_of)
    local listed, there = {}, {}
    for module, path in pairs(modules) do
      listed[#listed + 1] = path
      assert.equal(path, path_of(module))
    end
    local pipe = assert(io.popen(("find %s -name '*.lua'"):format(folder)))
    for path in pipe:lines() do
      there[#there + 1] = path
    end
    pipe:close()
    table.sort(listed)
    table.sort(there)
    assert.same(there, listed)
  end

  it("lists the library", function()
    compared(spec.build.modules, "lua/perilune", function(module)
      return "lua/" .. module:gsub("%.", "/") .. ".lua"
    end)
  end)

  it("lists the shipped policies", function()
    compared(spec.build.install.lua, "policies", function(module)
      return module:match("^perilune%.(.*)$"):gsub("%.", "/") .. ".lua"
    end)
  end)
end)
