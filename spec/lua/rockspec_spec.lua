-- The rock has every module, and nothing else.
describe("the rockspec", function()
  it("lists the library", function()
    local spec = {}
    setfenv(assert(loadfile "perilune-scm-1.rockspec"), spec)()
    local listed, there = {}, {}
    for module, path in pairs(spec.build.modules) do
      listed[#listed + 1] = path
      assert.equal(path, "lua/" .. module:gsub("%.", "/") .. ".lua")
    end
    local pipe = assert(io.popen "find lua/perilune -name '*.lua'")
    for path in pipe:lines() do
      there[#there + 1] = path
    end
    pipe:close()
    table.sort(listed)
    table.sort(there)
    assert.same(there, listed)
  end)
end)
