local kit = require "support.policy_kit"

local function heads(name, n, over)
  local counts = {}
  for i = 1, n do
    over.session = "s" .. i
    local id = kit.ask(name, over)[1]
    counts[id] = (counts[id] or 0) + 1
  end
  return counts
end

describe("split", function()
  it("divides between its arms by weight", function()
    kit.setup(nil, { params = { split = { experiment = "e", arms = { { "gpt-4o-mini", 80 }, { "claude-sonnet-4-6", 20 } } } } })
    kit.load_shipped "split"
    local counts = heads("split", 1000, {})
    assert(math.abs(counts["openai/gpt-4o-mini"] - 800) < 50, counts["openai/gpt-4o-mini"])
    assert.equal(1000, counts["openai/gpt-4o-mini"] + counts["anthropic/claude-sonnet-4-6"])
    assert.equal("azure/gpt-4o", kit.ask("split", { model = "azure/gpt-4o" })[1])
  end)

  it("without arms divides a model between those that have it, by their weights", function()
    local targets = kit.catalogue()
    targets[4].weight = 3
    kit.setup(targets)
    kit.load_shipped "split"
    local counts = heads("split", 1000, { model = "gpt-4o" })
    assert(math.abs(counts["azure/gpt-4o"] - 750) < 50, counts["azure/gpt-4o"])
    assert.equal(1000, counts["azure/gpt-4o"] + counts["openai/gpt-4o"])
  end)

  it("without arms and without a named model takes the cheapest", function()
    kit.setup()
    kit.load_shipped "split"
    assert.same({ "openai/gpt-4o-mini", "azure/gpt-4o", "openai/gpt-4o" }, (kit.ask "split"))
  end)

  it("divides nothing between targets whose weight is 0", function()
    local targets = kit.catalogue()
    targets[1].weight, targets[4].weight = 0, 0
    kit.setup(targets)
    kit.load_shipped "split"
    assert.equal("openai/gpt-4o", kit.ask("split", { model = "gpt-4o" })[1])
  end)
end)
