local kit = require "support.policy_kit"

describe("tier", function()
  before_each(function()
    kit.setup()
    kit.load_shipped "tier"
  end)

  it("gives paying users the best", function()
    local ids, decision = kit.ask("tier", { tier = "paid" })
    assert.same({ "anthropic/claude-sonnet-4-6", "azure/gpt-4o", "openai/gpt-4o" }, ids)
    assert.is_nil(decision.max_cost_usd)
  end)

  it("gives the others the cheapest that is good enough, under a ceiling", function()
    local ids, decision = kit.ask("tier", { tier = "free" })
    assert.same({ "azure/gpt-4o", "openai/gpt-4o", "anthropic/claude-sonnet-4-6" }, ids)
    assert.equal(0.02, decision.max_cost_usd)
    assert.same({}, (kit.ask("tier", { tokens = { input = 100000, output = 100 } })))
  end)

  it("holds the ceiling also for a model that was named", function()
    assert.equal("openai/gpt-4o-mini", kit.ask("tier", { model = "gpt-4o-mini" })[1])
    local ids = kit.ask("tier", { model = "claude-sonnet-4-6", tokens = { input = 10000, output = 100 } })
    assert.same({}, ids)
  end)

  it("is set in the configuration", function()
    kit.setup(nil, { params = { tier = { paid = { "gold" }, quality = 5, max_cost_usd = 0.001 } } })
    kit.load_shipped "tier"
    assert.equal("anthropic/claude-sonnet-4-6", kit.ask("tier", { tier = "gold" })[1])
    assert.same({ "openai/gpt-4o-mini" }, (kit.ask("tier", { tier = "paid" })))
  end)
end)
