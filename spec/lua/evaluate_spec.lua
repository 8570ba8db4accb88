local evaluate = require "perilune.evaluate"
local fleet = require "perilune.fleet"
local kit = require "support.policy_kit"

describe("evaluate", function()
  local all

  before_each(function()
    kit.setup()
    all = fleet.begin(kit.request())
  end)

  local function list(f, want)
    local out = {}
    for j, i in ipairs((evaluate.eval(f, want or math.huge))) do
      out[j] = i
    end
    return out
  end

  it("evaluates filters inside filters, to any depth", function()
    -- A filter that looks at fleets itself, while the outer walk is under way.
    local f = all:where(function(t)
      return all:cheapest():where(function(u)
        return all:best():take(1)[1].id ~= u.id
      end):take(2)[1].id == t.id
    end):cheapest()
    assert.same({ 2 }, list(f))
  end)

  it("sorts what was sorted, stable", function()
    assert.same({ 2, 4, 1, 3, 5 }, list(all:best():cheapest()))
    assert.same({ 3, 4, 1, 2, 5 }, list(all:cheapest():best()))
  end)

  it("commutes filters and one order", function()
    local before = list(all:except("gpt-4o-mini"):cheapest())
    assert.same(before, list(all:cheapest():except "gpt-4o-mini"))
  end)

  it("takes before it filters, where the words say so", function()
    assert.same({}, list(all:take(1):except "gpt-4o"))
    assert.same({ 2 }, list(all:except("gpt-4o"):take(1)))
  end)

  it("does not run a filter over an empty fleet", function()
    local ran = false
    local f = all:take(0):where(function()
      ran = true
    end):cheapest():able()
    assert.same({}, list(f))
    assert.is_false(ran)
  end)

  it("serves more words than it keeps nodes for", function()
    local f = all
    for _ = 1, 500 do
      f = f:where(function() return true end)
    end
    assert.same({ 1, 2, 3, 4, 5 }, list(f))
  end)

  it("goes on after a filter that failed", function()
    for _ = 1, 10 do
      pcall(function()
        list(all:where(function() error "no" end))
      end)
    end
    assert.same({ 2, 4 }, list(all:cheapest():take(2)))
  end)
end)

-- What a call costs, in instructions of the virtual machine: the same on every machine, however busy. A microsecond is about 300 of them.
describe("a decision over a thousand targets", function()
  local host = require "perilune.host"

  setup(function()
    local random = require("perilune.hash").random(42)
    local targets, figures = {}, {}
    for i = 1, 1000 do
      local input = 10 ^ (random() * 2 - 1)
      targets[i] = kit.target(("p%d/m%d"):format(i % 10, i), {
        price = { input = input, output = input * (2 + random() * 6) }, quality = random() * 60,
        abilities = { tools = random() < 0.9, images = random() < 0.5 },
      })
      figures[i] = { index = i, ttft_ms = { p50 = 100 + random() * 2000 }, tokens_per_s = 20 + random() * 200 }
    end
    kit.setup(targets)
    host.update(figures)
    for _, name in ipairs { "cheapest", "fastest", "quality", "tier" } do
      kit.load_shipped(name)
    end
    kit.load([[return function(req, fleet)
      return { tostring(fleet:able():at_least { quality = 20 }:at_most { cost = 0.02 }:count()) and fleet[1] }
    end]], "bounds")
    kit.load([[return function(req, fleet)
      return fleet:able():where(function(t) return t.quality > 20 end):by(function(t) return t.price.input end):take(3)
    end]], "scan")
  end)

  local function instructions(name, over)
    local req = kit.request { uses = { tools = true }, seed = 7 }
    for k, v in pairs(over or {}) do
      req[k] = v
    end
    local n, compiles = 0, jit.status()
    jit.off()
    debug.sethook(function()
      n = n + 1
    end, "", 10)
    local ok, why = pcall(host.decide, name, req)
    debug.sethook()
    if compiles then
      jit.on()
    end
    assert(ok, why)
    return 10 * n
  end

  for name, most in pairs { cheapest = 2000, fastest = 4500, quality = 1500, tier = 3500, bounds = 28000, scan = 32000 } do
    it("costs no more than it should: " .. name, function()
      instructions(name)
      local n = instructions(name)
      assert(n < most, n)
    end)
  end

  it("costs no more while figures change between decisions", function()
    local u, worst, sum = { { index = 1, ttft_ms = {} } }, 0, 0
    for k = 1, 100 do
      u[1].index, u[1].ttft_ms.p50 = k * 7, 50 + k % 13
      host.update(u)
      local n = instructions("fastest", { seed = k })
      worst, sum = n > worst and n or worst, sum + n
    end
    assert(sum / 100 < 4500 and worst < 6000, worst)
  end)
end)
