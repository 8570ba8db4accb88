local kit = require "support.config_kit"

describe("providers/openai", function()
  local r = kit.read(nil, { OPENAI_API_KEY = "k" })
  local by_model = {}
  for _, t in ipairs(r.targets) do
    by_model[t.model] = t
  end

  it("knows its models with prices in whole nano-dollars", function()
    assert.same({ input = 150000000, output = 600000000, cached = 75000000, cache_write = -1 }, by_model["gpt-4o-mini"].price)
    assert.equal(5000000, by_model["gpt-5-nano"].price.cached)
    for _, t in ipairs(r.targets) do
      local answers = not t.model:find "embedding"
      assert(t.price.input > 0 and t.context > 0, t.id)
      assert(not answers or (t.price.output > t.price.input and t.max_output > 0), t.id)
      assert(t.price.cached == -1 or t.price.cached < t.price.input, t.id)
      assert(t.price.input % 1 == 0 and t.price.output % 1 == 0, t.id)
    end
  end)

  it("knows what they can do and how good they are, where that is known", function()
    assert.equal(1 + 2 + 8 + 32 + 128, by_model["gpt-4o"].abilities)
    assert.equal(1 + 8 + 16 + 128, by_model["o3-mini"].abilities)
    assert.equal(11.1, by_model["gpt-4o"].quality)
    assert.is_nil(by_model["gpt-6-sol"].quality)
  end)

  it("tells failures apart", function()
    local failure = require "perilune.failure"
    local rules = r.providers[1].rules
    assert.equal("quota", failure.classify(rules, { status = 429, code = "insufficient_quota" }))
    assert.equal("rate_limited", failure.classify(rules, { status = 429, code = "rate_limit_exceeded" }))
    assert.equal("bad_request", failure.classify(rules, { status = 400, code = "unsupported_parameter", message = "no" }))
  end)
end)
