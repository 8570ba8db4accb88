-- Targets by name, with what providers/ says of them.
local shipped = require "perilune.spec.shipped"
local spec = require "perilune.spec"

describe("shipped targets", function()
  it("have the prices, windows and abilities of providers/", function()
    local t = shipped.targets "openai/gpt-4o"[1]
    assert.same({ input = 2.5, output = 10, cached = 1.25 }, t.price)
    assert.equal(128000, t.context)
    assert.is_true(t.abilities.images)
    assert.is_nil(t.abilities.embeddings)
    assert(#shipped.targets "anthropic/*" > 5)
  end)

  it("have rules that change their prices", function()
    local ruled
    for _, t in ipairs(shipped.targets "openai/*") do
      ruled = ruled or t.price.rules and t
    end
    local rule, price = ruled.price.rules[1], ruled.price
    local function cost(tokens)
      return spec.route("quality", { tokens = { input = tokens, output = 0 } }, spec.targets { ruled.id }).costs[1]
    end
    assert.equal(1000 * price.input / 1e6, cost(1000))
    assert.equal((rule.above + 1) * rule.input / 1e6, cost(rule.above + 1))
  end)

  it("are found by what vendors call them, and near names are told", function()
    assert.equal("openai/gpt-4o", shipped.targets "openai/gpt-4o-2024-08-06"[1].id)
    local function why(name)
      return select(2, shipped.targets(name))
    end
    assert.equal('no target "openai/gpt-4oo" in providers/openai.lua; did you mean "openai/gpt-4o"?', why "openai/gpt-4oo")
    assert.equal('no provider "opnai": there is no providers/opnai.lua', why "opnai/gpt-4o")
    assert.has_error(function()
      shipped.targets "gpt-4o"
    end, 'expected a target\'s id, like "openai/gpt-4o", or "openai/*", got "gpt-4o"')
  end)

  it("need no key, whatever the provider asks of its users", function()
    for _, name in ipairs { "azure_openai", "bedrock", "vertex", "google", "mistral", "deepseek" } do
      assert(#shipped.targets(name .. "/*") > 0, name)
    end
  end)
end)

describe("spec.targets", function()
  it("makes a fleet of them, with what is said beside an id", function()
    local fleet = spec.targets { "openai/gpt-4o-mini", { id = "openai/gpt-4o", price = { input = 0.01, output = 0.01 }, ttft_ms = 90 } }
    local decision = spec.route("cheapest", nil, fleet)
    assert.same({ "openai/gpt-4o", "openai/gpt-4o-mini" }, decision.targets)
    assert.same({ (1000 * 0.01 + 500 * 0.01) / 1e6, (1000 * 0.15 + 500 * 0.6) / 1e6 }, decision.costs)
    assert.equal(15, #spec.targets { "anthropic/*" })
  end)

  it("takes targets of one's own among them, written out", function()
    local own = { id = "azure/gpt-4o", price = { input = 0.01, output = 0.01 }, tags = { "eu" } }
    local fleet = spec.targets { "openai/gpt-4o", own, { id = "openai/mine", context = 8192 } }
    local decision = spec.route("cheapest", nil, fleet)
    assert.same({ "azure/gpt-4o", "openai/gpt-4o", "openai/mine" }, decision.targets)
    assert.same({ (1000 * 0.01 + 500 * 0.01) / 1e6, (1000 * 2.5 + 500 * 10) / 1e6, false }, decision.costs)
  end)

  it("does not take a slip for one of them", function()
    for _, slip in ipairs { "opnai/gpt-4o", { id = "opnai/gpt-4o", ttft_ms = 90 } } do
      local ok, why = pcall(spec.targets, { "openai/gpt-4o", slip })
      assert.is_false(ok)
      assert.is_truthy(why:find('targets[2]: no provider "opnai": there is no providers/opnai.lua', 1, true), why)
    end
  end)

  it("says what is wrong with one", function()
    local ok, why = pcall(spec.targets, { { id = "openai/gpt-4o", qualty = 3 } })
    assert.is_false(ok)
    assert.is_truthy(why:find('^targets%[1%]%.qualty: .*did you mean "quality"'), why)
  end)
end)
