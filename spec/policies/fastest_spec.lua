local host = require "perilune.host"
local kit = require "support.policy_kit"

describe("fastest", function()
  before_each(function()
    kit.setup()
    kit.load_shipped "fastest"
  end)

  it("keeps the order of the configuration while nothing was measured", function()
    assert.same({ "openai/gpt-4o", "openai/gpt-4o-mini", "anthropic/claude-sonnet-4-6" }, (kit.ask "fastest"))
  end)

  it("takes the fastest for this request", function()
    -- One answers sooner, the other writes faster: which is the fastest depends on how much there is to write.
    host.update { { index = 3, ttft_ms = { p50 = 100 }, tokens_per_s = 20 }, { index = 4, ttft_ms = { p50 = 900 }, tokens_per_s = 200 } }
    assert.equal("anthropic/claude-sonnet-4-6", kit.ask("fastest", { tokens = { input = 10, output = 5 } })[1])
    assert.equal("azure/gpt-4o", kit.ask("fastest", { tokens = { input = 10, output = 2000 } })[1])
  end)

  it("stays under the client's ceiling", function()
    assert.same({ "openai/gpt-4o-mini" }, (kit.ask("fastest", { limits = { max_cost_usd = 0.001 } })))
  end)
end)
