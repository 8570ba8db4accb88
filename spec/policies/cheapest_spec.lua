local host = require "perilune.host"
local kit = require "support.policy_kit"

describe("cheapest", function()
  before_each(function()
    kit.setup(nil, { chains = { ["gpt-4o"] = { "gpt-4o", "claude-sonnet-4-6" } } })
    kit.load_shipped "cheapest"
  end)

  it("takes the three cheapest, unknown prices last", function()
    local ids, decision = kit.ask "cheapest"
    assert.same({ "openai/gpt-4o-mini", "azure/gpt-4o", "openai/gpt-4o" }, ids)
    assert.equal("cheapest that can do it", decision.reason)
  end)

  it("leaves out what can not do it", function()
    local ids = kit.ask("cheapest", { tokens = { input = 200000, output = 100 } })
    assert.same({ "anthropic/claude-sonnet-4-6" }, ids)
  end)

  it("tries what the client named first, then its chain, then the cheapest", function()
    assert.same({ "openai/gpt-4o", "azure/gpt-4o", "anthropic/claude-sonnet-4-6" }, (kit.ask("cheapest", { model = "gpt-4o" })))
    assert.same({ "anthropic/claude-sonnet-4-6", "openai/gpt-4o-mini", "azure/gpt-4o" },
      (kit.ask("cheapest", { model = "claude-sonnet-4-6" })))
    assert.same({ "anthropic/claude-sonnet-4-6" }, (kit.ask("cheapest", { model = "claude-sonnet-4-6", strict = true })))
  end)

  it("keeps under the client's ceiling and behind its latency limit", function()
    assert.same({ "openai/gpt-4o-mini" }, (kit.ask("cheapest", { limits = { max_cost_usd = 0.001 } })))
    host.update { { index = 2, ttft_ms = { p50 = 5000 } } }
    assert.equal("azure/gpt-4o", kit.ask("cheapest", { limits = { max_latency_ms = 1000 } })[1])
  end)

  it("tries as many as it is told", function()
    kit.setup(nil, { params = { cheapest = { steps = 1 } } })
    kit.load_shipped "cheapest"
    assert.same({ "openai/gpt-4o-mini" }, (kit.ask "cheapest"))
  end)

  it("answers nothing when nobody can", function()
    local ids, decision = kit.ask("cheapest", { uses = { audio = true } })
    assert.same({}, ids)
    assert.same({ "able: abilities: audio: 5" }, kit.cuts(decision))
  end)
end)
