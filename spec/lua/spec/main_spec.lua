-- What `perilune test` runs, without the binary: exit codes, coverage and JSON of a folder of specs.
local json = require "cjson"
local process = require "support.process"

local POLICY = [[
return function(req, fleet)
  if req.tier == "paid" then
    return fleet:best()
  end
  return fleet:cheapest(), "cheapest"
end
]]

local SPEC = [[
local spec = require "perilune.spec"
describe("p", function()
  local fleet = spec.targets { "openai/gpt-4o", "openai/gpt-4o-mini" }
  it("is cheap", function()
    assert.routes(spec.route("p", {}, fleet)).to("openai/gpt-4o-mini")
  end)
  it("is dear", function()
    assert.routes(spec.route("p", {}, fleet)).to("openai/gpt-4o")
  end)
end)
]]

describe("perilune.spec.main", function()
  local root = assert(io.popen "pwd"):read "*l"
  local dir

  before_each(function()
    dir = process.folder()
    process.write(dir .. "/policies/p.lua", POLICY)
    process.write(dir .. "/policies/lib/never.lua", "return 1\n")
    process.write(dir .. "/spec/p_spec.lua", SPEC)
  end)
  after_each(function()
    process.remove(dir)
  end)

  -- The exit code, and all that was printed.
  local function run(words)
    local main = root .. "/lua/perilune/spec/main.lua"
    local command = ("cd '%s' && LUA_PATH='%s/lua/?.lua;;' luajit %s %s 2>&1; echo $?"):format(dir, root, main, words)
    local pipe = assert(io.popen(command))
    local output = pipe:read "*a"
    pipe:close()
    return tonumber(output:match "(%d+)\n$"), output
  end

  it("ends with 0 when all hold and 1 when one does not, and shows its decision", function()
    assert.equal(0, (run "--filter cheap"))
    local code, output = run ""
    assert.equal(1, code)
    assert.is_truthy(output:find("spec/p_spec.lua:8: expected to go to openai/gpt-4o first", 1, true), output)
    assert.is_truthy(output:find("  1. openai/gpt-4o-mini, $0.000450", 1, true), output)
  end)

  it("tells which lines of policies have not run, and fails below a share", function()
    local code, output = run "--filter cheap --coverage"
    assert.equal(0, code)
    assert.is_truthy(output:find(" 75.0%  policies/p.lua: not run: 3\n", 1, true), output)
    assert.is_truthy(output:find("  0.0%  policies/lib/never.lua: not run: 1\n", 1, true), output)
    assert.is_truthy(output:find(" 60.0%  of all lines", 1, true), output)
    assert.equal(0, (run "--filter cheap --fail-under 60"))
    assert.equal(1, (run "--filter cheap --fail-under 61"))
  end)

  it("says the same as JSON", function()
    local code, output = run "--json --coverage"
    local result = json.decode((output:match "^(.-)\n"))
    assert.equal(1, code)
    assert.same({ false, 1, 1, 60 }, { result.ok, result.passed, result.failed, result.percent })
    assert.same({ "spec/p_spec.lua", 8 }, { result.failures[1].file, result.failures[1].line })
    assert.same({ path = "policies/p.lua", lines = 4, run = 3, missed = { 3 } }, result.coverage[2])
  end)

  it("ends with 1 when no spec ran, and says so", function()
    local code, output = run "--filter nothing"
    assert.equal(1, code)
    assert.is_truthy(output:find('no spec matches "nothing"', 1, true), output)
    code, output = run "--filter nothing --json"
    assert.equal(1, code)
    assert.is_false(json.decode(output:match "{.-}\n").ok)
    process.write(dir .. "/spec/p_spec.lua", "local none = {}")
    code, output = run ""
    assert.equal(1, code)
    assert.is_truthy(output:find("there is no spec in spec", 1, true), output)
    assert.equal(1, (run "policies"))
  end)

  it("ends with 3 when there is nothing of that name", function()
    local code, output = run "nowhere"
    assert.equal(3, code)
    assert.is_truthy(output:find("there is no nowhere", 1, true))
  end)
end)
