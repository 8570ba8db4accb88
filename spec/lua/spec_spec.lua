-- What users write specs with. It is asked as they would ask it: a file or a name, a request, a fleet of plain tables.
local process = require "support.process"
local spec = require "perilune.spec"

local FLEET = {
  { id = "openai/gpt-4o", price = { input = 2.5, output = 10 }, quality = 11 },
  { id = "openai/gpt-4o-mini", price = { input = 0.15, output = 0.6 }, quality = 7 },
  { id = "vllm/llama-3.3-70b", context = 8192, abilities = "tools", tags = { "own" } },
}

describe("perilune.spec", function()
  local dir

  before_each(function()
    dir = process.folder()
  end)
  after_each(function()
    process.remove(dir)
  end)

  -- A policy file of that text, and what it decides.
  local function route(text, request, fleet)
    process.write(dir .. "/p.lua", text)
    return spec.route(dir .. "/p.lua", request, fleet or FLEET)
  end

  local function fails(text, request, fleet)
    local ok, why = pcall(route, text, request, fleet)
    assert(not ok, "expected it to fail")
    return why
  end

  it("gives the targets in the order they are tried", function()
    local decision = route "return function(req, fleet) return fleet:cheapest() end"
    assert.same({ "openai/gpt-4o-mini", "openai/gpt-4o", "vllm/llama-3.3-70b" }, decision.targets)
    assert.is_nil(decision.refused)
  end)

  it("gives all that is said of steps and chain, the reason, notes and cuts", function()
    local decision = route [[
      return function(req, fleet)
        note("tier", req.tier)
        local first = fleet:at_least { quality = 10 }:with { timeout_ms = 800 }
        return (first .. fleet:tagged "own"):chain { deadline_ms = 9000 }, "because"
      end]]
    assert.same({ { target = "openai/gpt-4o", timeout_ms = 800 }, { target = "vllm/llama-3.3-70b" } }, decision.steps)
    assert.same({ deadline_ms = 9000 }, decision.chain)
    assert.equal("because", decision.reason)
    assert.same({ tier = "nil" }, decision.notes)
    table.sort(decision.cuts)
    assert.same({ "at_least: quality too low: 1", "at_least: quality unknown: 1", "tagged: without tag own: 2" }, decision.cuts)
  end)

  it("names targets that no catalogue has", function()
    assert.same({ "openai/gpt-next" }, route('return function() return { "openai/gpt-next" } end').targets)
  end)

  it("gives who asks and what is left the shape they have in the gateway", function()
    local policy = [[return function(req, fleet)
      local k, b = req.key, req.budget
      return fleet:able(), ("%s %s %s %s %s %s"):format(k.name, k.project, k.tags.ci, k.meta.plan, b.left_usd, b.used)
    end]]
    assert.equal("nil default nil nil inf 0", route(policy).reason)
    local said = { key = { name = "CI", tags = { ci = true } }, budget = { left_usd = 2 } }
    assert.equal("CI default true nil 2 0", route(policy, said).reason)
    assert.matches('^key%.nam: .*did you mean "name"', fails(policy, { key = { nam = "CI" } }))
    assert.matches("^budget%.used: expected a number from 0 to 1", fails(policy, { budget = { used = 2 } }))
    -- A cap leaves out what it has no room for, and what nobody knows the price of.
    assert.same({ "able: price_unknown: 1" }, route(policy, { budget = { left_usd = 0.003 } }).cuts)
    assert.same({}, route(policy, { budget = { left_usd = 0 } }).targets)
  end)

  it("says where who asks and what is left stand", function()
    process.write(dir .. "/p.lua", "return function(req, fleet) return fleet:able() end")
    local ok, why = pcall(spec.route, dir .. "/p.lua", {}, FLEET, { assume = { "budget.used=0.5" } })
    assert.is_false(ok)
    assert.is_truthy(why:find("is said in the request", 1, true), why)
  end)

  it("gives a refusal", function()
    local decision = route [[return function() return nil, { status = 413, message = "no" } end]]
    assert.same({ status = 413, message = "no" }, decision.refused)
    assert.same({}, decision.targets)
  end)

  it("hands the request's fields over, and says which there is none of", function()
    local policy = [[
      return function(req, fleet)
        return fleet:only(req.tier == "paid" and req.uses.tools and "gpt-4o" or "gpt-4o-mini")
      end]]
    assert.same({ "openai/gpt-4o" }, route(policy, { tier = "paid", uses = { tools = true } }).targets)
    assert.same({ "openai/gpt-4o-mini" }, route(policy, {}).targets)
    assert.equal('req has no field "teir"; did you mean "tier"?', fails(policy, { teir = "paid" }))
  end)

  it("takes the policy's settings as the request's params", function()
    local policy = "return { params = { n = 1 }, decide = function(req, fleet) return fleet:take(req.params.n) end }"
    assert.equal(1, #route(policy).targets)
    assert.equal(2, #route(policy, { params = { n = 2 } }).targets)
    assert.is_truthy(fails(policy, { params = { n = "two" } }):find("expected a number", 1, true))
  end)

  it("takes live figures", function()
    local fleet = {
      { id = "a/m", ttft_ms = 900, tokens_per_s = 50 },
      { id = "b/m", ttft_ms = 300, tokens_per_s = 50 },
      { id = "c/m", ttft_ms = 100, state = "open" },
    }
    assert.same({ "b/m", "a/m", "c/m" }, route("return function(_, fleet) return fleet:able():fastest() end", nil, fleet).targets)
  end)

  it("takes a target that has no more than a name to be able to do anything", function()
    assert.same({ "a/m" }, route("return function(_, fleet) return fleet:able() end", { uses = { images = true } }, { "a/m" }).targets)
  end)

  it("says what is wrong with a fleet", function()
    local policy = "return function(_, fleet) return fleet end"
    assert.is_truthy(fails(policy, nil, { { id = "a/m", qualty = 3 } }):find('^fleet%[1%]%.qualty: .*did you mean "quality"'))
    assert.is_truthy(fails(policy, nil, { { id = "m" } }):find("fleet[1].id: expected a target's id", 1, true))
    assert.is_truthy(fails(policy, nil, {}):find("expected a fleet", 1, true))
  end)

  it("raises what would make the policy fail, with file and line", function()
    assert.is_truthy(fails("return function(req, fleet)\nreturn fleet:bets()\nend"):find('p.lua:2: .*no word "bets"; did you mean "best"'))
    assert.is_truthy(fails("return function(\nend"):find("p.lua:2: ", 1, true))
    assert.is_truthy(fails("return function() return nil end"):find("nil alone", 1, true))
    assert.is_truthy(fails("return function() return os.time() end"):find('there is no "os" here', 1, true))
  end)

  it("tells a wrong figure with the policy's line", function()
    local why = fails("return function(req, fleet)\nlocal f = fleet:at_most { cots = 1 }\nreturn f\nend")
    assert.is_truthy(why:find('p.lua:2: at_most: a target has no figure "cots"', 1, true), why)
  end)

  it("tells what has no line in a policy with the line that asked", function()
    process.write(dir .. "/p.lua", "return { params = { n = 1 }, decide = function() return nil end }")
    local line = debug.getinfo(1, "l").currentline
    for k, ask in ipairs {
      function() local d = spec.route(dir .. "/p.lua", {}, FLEET) return d end,
      function() local d = spec.route(dir .. "/p.lua", { params = { n = "x" } }, FLEET) return d end,
      function() local d = spec.targets { "opnai/gpt-4o" } return d end,
      function() local d = spec.walk {} return d end,
    } do
      local ok, why = pcall(ask)
      assert.is_false(ok)
      assert.is_truthy(why:find(("spec_spec.lua:%d: "):format(line + 1 + k), 1, true), why)
    end
  end)

  it("follows require beside the policy", function()
    process.write(dir .. "/lib/floor.lua", "return 10")
    local policy = 'local floor = require "floor"; return function(_, fleet) return fleet:at_least { quality = floor } end'
    assert.same({ "openai/gpt-4o" }, route(policy).targets)
    assert.is_truthy(fails('return require "flor"'):find("p.lua:1: ", 1, true))
  end)

  it("finds a policy by name, and shipped ones wherever the library lies", function()
    assert.equal("openai/gpt-4o", spec.route("tier", { tier = "paid" }, FLEET).targets[1])
    assert.is_truthy(select(2, pcall(spec.route, "teir", {}, FLEET)):find('no policy "teir"', 1, true))
    assert.is_truthy(select(2, pcall(spec.route, dir .. "/none.lua", {}, FLEET)):find("no file", 1, true))
    local root = io.popen("pwd"):read "*l"
    local code = ([[cd %q && LUA_PATH=%q luajit -e 'print(require("perilune.spec").route("cheapest", {}, { "a/m" }).targets[1])']])
      :format(dir, root .. "/lua/?.lua")
    assert.equal("a/m", io.popen(code):read "*l")
  end)

  it("forgets one question before the next", function()
    local one = route("return function(_, fleet) return fleet end", { tier = "paid" })
    route("return function(_, fleet) return fleet:take(1) end", {}, { "x/y" })
    assert.equal(3, #one.targets)
    assert.equal("openai/gpt-4o", one.targets[1])
  end)
end)
