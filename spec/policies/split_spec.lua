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

  -- A hundred thousand askers, and to which arm each came: shares, and one text for all.
  local function divide(weights)
    local arms = {}
    for k, name in ipairs { "openai/gpt-4o", "openai/gpt-4o-mini", "anthropic/claude-sonnet-4-6" } do
      arms[k] = { name, weights[k] }
    end
    kit.setup(nil, { params = { split = { experiment = "shares", arms = arms } } })
    kit.load_shipped "split"
    local counts, heads_of = {}, {}
    for i = 1, 100000 do
      local id = kit.ask("split", { user = "user " .. i, seed = i })[1]
      counts[id] = (counts[id] or 0) + 1
      heads_of[i] = id
    end
    return counts, heads_of
  end

  it("keeps shares within half a point over a hundred thousand users, and moves no more than it must", function()
    local counts, before = divide { 50, 40, 10 }
    for id, share in pairs { ["openai/gpt-4o"] = 50, ["openai/gpt-4o-mini"] = 40, ["anthropic/claude-sonnet-4-6"] = 10 } do
      assert.near(share, counts[id] / 1000, 0.5)
    end
    local _, again = divide { 50, 40, 10 } -- a state of its own, as another worker, a reload or a restart has it
    assert.same(before, again)
    local _, raised = divide { 50, 40, 20 }
    local moved = 0
    for i = 1, #before do
      if before[i] ~= raised[i] then
        assert.equal("anthropic/claude-sonnet-4-6", raised[i]) -- nobody moves between the others
        moved = moved + 1
      end
    end
    assert.near(100000 * (20 / 110 - 10 / 100), moved, 500)
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
