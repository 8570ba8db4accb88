local catalogue = require "perilune.catalogue"
local kit = require "support.policy_kit"

describe("catalogue", function()
  local function ids(name)
    local out = {}
    for i, index in ipairs(catalogue.lookup(name) or {}) do
      out[i] = catalogue.records[index].id
    end
    return out
  end

  before_each(function()
    local targets = kit.catalogue()
    targets[#targets + 1] = kit.target "groq/openai/gpt-oss-120b"
    targets[#targets + 1] = kit.target "groq/meta/llama-4"
    local aliases = { smart = { "claude-sonnet-4-6", "gpt-4o" }, ["gpt-4o"] = { "llama-3.3-70b" } }
    kit.setup(targets, { aliases = aliases, providers = { "empty" } })
  end)

  it("knows what a name means", function()
    assert.same({ "openai/gpt-4o" }, ids "openai/gpt-4o")
    assert.same({ "openai/gpt-4o", "azure/gpt-4o" }, ids "gpt-4o")
    assert.same({ "openai/gpt-4o", "openai/gpt-4o-mini" }, ids "openai/*")
    assert.same({ "anthropic/claude-sonnet-4-6", "openai/gpt-4o", "azure/gpt-4o" }, ids "smart")
    assert.is_nil(catalogue.lookup "nobody")
    assert.is_nil(catalogue.lookup "nobody/model")
    assert.is_nil(catalogue.lookup "nobody/*")
  end)

  it("takes the first segment for a provider only where there is one", function()
    assert.same({ "groq/openai/gpt-oss-120b" }, ids "groq/openai/gpt-oss-120b")
    assert.same({ "openai/gpt-oss-120b" }, ids "openai/gpt-oss-120b") -- at openai, though no catalogue has it
    assert.same({ "groq/meta/llama-4" }, ids "meta/llama-4") -- no provider is called meta
    assert.same({ "empty/anything" }, ids "empty/anything")
  end)

  it("takes another price, and orders by it", function()
    local i = catalogue.lookup("openai/gpt-4o")[1]
    catalogue.reprice(i, { output = 0.01 })
    assert.equal(0.01, catalogue.views[i].price.output)
    assert.equal(2.5, catalogue.views[i].price.input)
    assert.equal(0.01, catalogue.outputs[i])
    assert.equal(0.01, catalogue.records[i].output)
  end)

  it("makes a target once a request, and forgets it", function()
    local a = catalogue.lookup("openai/new")[1]
    assert.equal(a, catalogue.lookup("openai/new")[1])
    assert.is_nil(catalogue.views[a].price.input)
    assert.is_nil(catalogue.views[a].cost())
    catalogue.forget_ad_hoc()
    assert.is_nil(catalogue.records[a])
    assert.equal(a, catalogue.lookup("openai/other")[1])
  end)

  it("resolves names and targets, or raises", function()
    assert.same({ 1 }, catalogue.resolve(catalogue.views[1]))
    assert.error_matches(function() catalogue.resolve "gpt-40" end, 'did you mean "gpt%-4o"')
    assert.error_matches(function() catalogue.resolve(3) end, "no target")
  end)

  it("shows live figures as they come", function()
    local t = catalogue.views[1]
    assert.equal("closed", t.state)
    assert.is_nil(t.ttft_ms)
    catalogue.update {
      { index = 1, state = "open", error_rate = 0.5, in_flight = 3, headroom = 0.2 },
      { index = 1, ttft_ms = { p50 = 10, p95 = 20 }, tokens_per_s = 100 },
    }
    assert.same({ "open", 0.5, 3, 0.2, 20, 100 }, { t.state, t.error_rate, t.in_flight, t.headroom, t.ttft_ms.p95, t.tokens_per_s })
    catalogue.update { { index = 1, state = "closed", error_rate = false, ttft_ms = false, tokens_per_s = false } }
    assert.same({ "closed", 3 }, { t.state, t.in_flight })
    assert.is_nil(t.error_rate)
    assert.is_nil(t.ttft_ms)
    assert.equal(0, catalogue.n_behind)
    assert.equal(0, catalogue.n_measured)
  end)

  it("counts what stands behind: recovering, without any rate limit left, or open", function()
    local function standing(figures)
      figures.index = 2
      catalogue.update { figures }
      return catalogue.standings[2]
    end
    assert.equal(catalogue.BEHIND, standing { headroom = 0.01 })
    assert.equal(catalogue.OPEN, standing { state = "open" })
    assert.equal(1, catalogue.n_behind)
    assert.equal(catalogue.BEHIND, standing { state = "half_open", headroom = 0.5 })
    assert.equal(catalogue.FINE, standing { state = "closed" })
    assert.equal(0, catalogue.n_behind)
  end)

  it("takes as many of a list as it is told to count", function()
    catalogue.update({ { index = 1, headroom = 0.5 }, { index = 2, headroom = 0.5 } }, 1)
    assert.equal(0.5, catalogue.views[1].headroom)
    assert.is_nil(catalogue.views[2].headroom)
  end)

  it("makes no garbage of figures that change", function()
    local u = { { index = 1, state = "closed", headroom = 1, ttft_ms = { p50 = 1, p95 = 2, p99 = 3 }, tokens_per_s = 1 } }
    local function tell(n)
      for k = 1, n do
        u[1].ttft_ms.p50, u[1].headroom, u[1].tokens_per_s = k, 1 / k, k
        catalogue.update(u)
      end
    end
    tell(10)
    collectgarbage()
    collectgarbage "stop"
    local before = collectgarbage "count"
    tell(1000)
    local after = collectgarbage "count"
    collectgarbage "restart"
    assert(after - before < 400, after - before) -- KB; the middle of the measured is looked for each time
  end)

  it("gives bits to abilities as they come", function()
    assert.equal(0, catalogue.mask {})
    assert.is_nil(catalogue.mask(nil))
    assert.equal(catalogue.mask { tools = true, images = true }, catalogue.mask { tools = true } + catalogue.mask { images = true })
    assert.equal(catalogue.mask { tools = true }, catalogue.mask { tools = true, audio = false })
  end)
end)
