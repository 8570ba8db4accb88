local kit = require "support.policy_kit"

describe("quality", function()
  it("takes the best, the cheaper of equals first", function()
    kit.setup()
    kit.load_shipped "quality"
    assert.same({ "anthropic/claude-sonnet-4-6", "azure/gpt-4o", "openai/gpt-4o" }, (kit.ask "quality"))
    assert.same({ "openai/gpt-4o-mini", "anthropic/claude-sonnet-4-6", "azure/gpt-4o" }, (kit.ask("quality", { model = "gpt-4o-mini" })))
  end)

  it("keeps the weak and the unknown out when told", function()
    kit.setup(nil, { params = { quality = { floor = 11, steps = 20 } } })
    kit.load_shipped "quality"
    assert.same({ "anthropic/claude-sonnet-4-6", "azure/gpt-4o", "openai/gpt-4o" }, (kit.ask "quality"))
  end)

  it("stays under the client's ceiling", function()
    kit.setup()
    kit.load_shipped "quality"
    assert.same({ "azure/gpt-4o", "openai/gpt-4o-mini" }, (kit.ask("quality", { limits = { max_cost_usd = 0.007 } })))
  end)
end)
