-- `perilune test` runs this; docs/testing.md of Perilune tells what else can be said.
local spec = require "perilune.spec"

local fleet = spec.targets { "openai/gpt-4o", "openai/gpt-4o-mini", "anthropic/claude-sonnet-4-6" }

describe("starter", function()
  it("gives paying users the best model", function()
    local decision = spec.route("starter", { tier = "paid" }, fleet)
    assert.routes(decision).to("anthropic/claude-sonnet-4-6").because("the best")
  end)

  it("gives everyone else the cheapest", function()
    local decision = spec.route("starter", { tier = "free" }, fleet)
    assert.routes(decision).to("openai/gpt-4o-mini").costs_at_most(0.001)
  end)

  it("goes on when a provider fails", function()
    local decision = spec.route("starter", {}, fleet)
    assert.walks(spec.walk(decision, { ["openai/*"] = "overloaded" })).answers("anthropic/claude-sonnet-4-6")
  end)
end)
