-- What all dialects share: efforts and budgets, states in one text, what had to be left out.
local shape = require "perilune.shape"

describe("shape", function()
  it("finds the nearest effort a target takes: the next lower one, else the lowest", function()
    assert.equal("high", shape.nearest_effort "high")
    assert.equal("high", shape.nearest_effort("xhigh", { "low", "medium", "high" }))
    assert.equal("low", shape.nearest_effort("minimal", { "low", "medium", "high" }))
    assert.equal("medium", shape.nearest_effort("medium", { "low", "medium", "high" }))
    assert.is_nil(shape.nearest_effort("very", { "low" }))
    assert.is_nil(shape.nearest_effort "very")
    assert.is_nil(shape.nearest_effort("low", {}))
  end)

  it("counts an effort in tokens, and tokens as an effort", function()
    assert.is_nil(shape.budget_of(nil))
    assert.equal(0, shape.budget_of { effort = "none" })
    assert.equal(5000, shape.budget_of { budget = 5000, effort = "low" })
    assert.is_nil(shape.budget_of {})
    assert.is_nil(shape.effort_of(nil))
    assert.equal("none", shape.effort_of { budget = 0 })
    assert.equal("max", shape.effort_of { budget = 1e6 })
    for _, effort in ipairs { "minimal", "low", "medium", "high", "xhigh", "max" } do
      assert.is_true(shape.budget_of { effort = effort } >= 1024)
      assert.equal(effort, shape.effort_of { budget = shape.budget_of { effort = effort } })
    end
  end)

  it("seals a state in one text, and opens it again", function()
    local states = {
      { kind = "signature", value = "a.b==.c", by = "gemini", model = "gemini-3-pro" },
      { kind = "redacted", value = "", by = "anthropic_messages" },
      { kind = "encrypted", value = "x\ny", by = "openai_responses", model = "vendor/o.3%:1" },
    }
    for _, state in ipairs(states) do
      assert.same(state, shape.unseal(shape.seal(state, "openai_chat"), "openai_chat", "signature"))
    end
  end)

  it("leaves a native state as it is", function()
    assert.equal("EqQB", shape.seal({ kind = "signature", value = "EqQB", by = "anthropic_messages" }, "anthropic_messages"))
    assert.same({ kind = "signature", value = "EqQB", by = "anthropic_messages" },
      shape.unseal("EqQB", "anthropic_messages", "signature"))
  end)

  it("gives a state back to its own dialect and model alone", function()
    local target = { dialect = "anthropic_messages", upstream = "claude-x" }
    assert.is_true(shape.goes_back({ by = "anthropic_messages" }, target))
    assert.is_true(shape.goes_back({ by = "anthropic_messages", model = "claude-x" }, target))
    assert.is_false(shape.goes_back({ by = "anthropic_messages", model = "claude-y" }, target))
    assert.is_false(shape.goes_back({ by = "gemini" }, target))
  end)

  it("joins a message's text, and knows when it says nothing", function()
    local parts = { { kind = "text", text = "a" }, { kind = "image" }, { kind = "text", text = "" }, { kind = "text", text = "b" } }
    assert.equal("ab", shape.text_of(parts))
    assert.equal("a\nb", shape.text_of(parts, "\n"))
    assert.is_true(shape.is_blank(nil))
    assert.is_true(shape.is_blank " \n")
    assert.is_false(shape.is_blank " x")
  end)

  it("knows what a target does not take, and notes what was said of it", function()
    local build = { refused = shape.refused { unsupported = { "seed" }, no_sampling = true }, drops = shape.drops() }
    assert.same({ seed = true, temperature = true, top_p = true, top_k = true, frequency_penalty = true, presence_penalty = true },
      build.refused)
    assert.same({}, shape.refused {})
    assert.is_nil(shape.taken(build, "seed", "1"))
    assert.is_nil(shape.taken(build, "temperature", nil))
    assert.equal("5", shape.taken(build, "max_tokens", "5"))
    shape.drop_part(build, { at = 2 }, "image_url")
    assert.equal("seed, messages[2].image_url", build.drops:list())
  end)

  it("lists what was left out, each name once", function()
    local drops = shape.drops()
    assert.is_nil(drops:list())
    drops:add "seed"
    drops:add "logprobs"
    drops:add "seed"
    assert.equal("seed, logprobs", drops:list())
    assert.is_false(drops.refuse)
    assert.is_true(shape.drops(true).refuse)
  end)

  it("stays short, and quick, whatever a client sends", function()
    local drops = shape.drops()
    drops:add("tools." .. ("x"):rep(100000))
    for i = 1, 100000 do
      drops:add(("messages[%d].image_url"):format(i))
      drops:add(("messages[%d].image_url"):format(i))
    end
    local list = drops:list()
    assert.truthy(list:find "^tools%.x+%.%.%., messages%[1%]%.image_url, ")
    assert.truthy(list:find ", %.%.%.$")
    assert.is_true(#list < 4096)
  end)
end)
