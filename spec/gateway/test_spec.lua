-- `perilune test`: the library out of the binary, written to a cache, runs the specs of a folder.
local loop = require "support.loop"
local process = require "support.process"

local SPEC = [[
local spec = require "perilune.spec"
it("goes to the cheapest", function()
  local source = package.searchpath("perilune.spec", package.path)
  assert(source:find("/cache/perilune/%x+/lua/perilune/spec.lua$"), source)
  assert.routes(spec.route("p", {}, spec.targets { "openai/gpt-4o", "openai/gpt-4o-mini" })).to("openai/gpt-4o-mini")
end)
]]

describe("perilune test", function()
  local dir

  before_each(function()
    dir = process.folder()
    process.write(dir .. "/policies/p.lua", "return function(_, fleet) return fleet:cheapest() end")
  end)
  after_each(function()
    process.remove(dir)
  end)

  local function run(args, path)
    local words = { process.binary(), "test", unpack(args) }
    if path then
      words = { "env", "PATH=" .. path, unpack(words) }
    end
    return process.run(words, { dir = dir, env = { XDG_CACHE_HOME = dir .. "/cache" } })
  end

  it("runs specs with the library of the binary, the second time out of the cache", loop.test(function()
    process.write(dir .. "/spec/p_spec.lua", SPEC)
    for _ = 1, 2 do
      local code, output = run {}
      assert.equal(0, code, output)
      assert.is_truthy(output:find("1 success", 1, true), output)
    end
    process.write(dir .. "/spec/p_spec.lua", (SPEC:gsub("%.to%(.-%)", '.to("openai/gpt-4o")')))
    assert.equal(1, (run {}))
    assert.equal(1, (run { "--filter", "none of that name" }))
  end))

  it("says how to install what is missing", loop.test(function()
    process.write(dir .. "/spec/p_spec.lua", SPEC)
    local code, output = run({}, dir)
    assert.equal(3, code)
    assert.is_truthy(output:find("sudo apt-get install luajit lua-busted lua-cjson", 1, true), output)
  end))

  it("ends with 2 for a wrong call, 3 for a missing file", loop.test(function()
    assert.equal(2, (run { "--fail-under", "many" }))
    assert.equal(3, (run { "nowhere" }))
  end))
end)
