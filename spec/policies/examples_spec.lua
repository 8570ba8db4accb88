--- policies/examples: each does what its page says.
local catalogue = require "perilune.catalogue"
local host = require "perilune.host"
local kit = require "support.policy_kit"
local tree = require "support.tree"

local function load(name, params, targets)
  kit.setup(targets, { params = { [name] = params } })
  kit.load(kit.read(("policies/examples/%s.lua"):format(name)), name)
end

local function ask(name, over)
  local ids, decision = kit.ask(name, over)
  return ids, decision.reason, decision
end

local function figures(id, f)
  f.index = catalogue.lookup(id)[1]
  host.update { f }
end

describe("budget_downgrade", function()
  local function at(used)
    return ask("budget_downgrade", { budget = { left_usd = 100, used = used, free_left = 0 } })
  end

  it("spends less as the cap comes near", function()
    load("budget_downgrade", { quality = 10 })
    assert.equal("anthropic/claude-sonnet-4-6", at(0)[1])
    assert.equal("anthropic/claude-sonnet-4-6", at(0.69)[1])
    assert.equal("azure/gpt-4o", at(0.7)[1])
    local ids, reason = at(0.95)
    assert.equal("openai/gpt-4o-mini", ids[1])
    assert.equal("95% of the budget is used: the cheapest", reason)
  end)

  it("gives the best where there is no cap", function()
    load "budget_downgrade"
    assert.equal("anthropic/claude-sonnet-4-6", ask("budget_downgrade")[1])
  end)
end)

describe("agent_pipeline", function()
  local REASONS = { tools = true, reasoning = true, json_schema = true, images = true }

  before_each(function()
    load("agent_pipeline", nil, {
      kit.target("a/fast", { quality = 10 }), kit.target("a/thinker", { quality = 50, abilities = REASONS }),
      kit.target("a/dull-thinker", { quality = 5, abilities = REASONS }),
    })
    figures("a/fast", { ttft_ms = { p50 = 100 }, tokens_per_s = 200 })
    figures("a/thinker", { ttft_ms = { p50 = 3000 }, tokens_per_s = 40 })
    figures("a/dull-thinker", { ttft_ms = { p50 = 4000 }, tokens_per_s = 40 })
  end)

  it("plans with one that reasons and is good enough", function()
    assert.equal("a/thinker", ask("agent_pipeline", { tool_names = { "ls" }, last = { role = "user", tool_results = 0 } })[1])
    assert.equal("a/thinker", ask("agent_pipeline", { tool_names = {}, last = { role = "user" } })[1])
  end)

  it("steps fast between tools, and thinks again after many", function()
    local function after(n)
      return (ask("agent_pipeline", { tool_names = { "ls" }, last = { role = "tool", tool_results = n } }))
    end
    assert.equal("a/fast", after(1)[1])
    assert.equal("a/fast", after(7)[1])
    assert.equal("a/thinker", after(8)[1])
  end)
end)

describe("chinese_to_qwen", function()
  before_each(function()
    load("chinese_to_qwen", nil, { kit.target("x/cheap", { price = { input = 0.1, output = 0.1 } }), kit.target "qwen/qwen3-max" })
  end)

  it("knows Chinese by its characters", function()
    assert.equal("qwen/qwen3-max", ask("chinese_to_qwen", { text = "请把这段文字翻译成英文" })[1])
    assert.equal("qwen/qwen3-max", ask("chinese_to_qwen", { text = "什么是 API gateway?" })[1])
    assert.equal("x/cheap", ask("chinese_to_qwen", { text = "what does 你好 mean in this long English sentence?" })[1])
    assert.equal("x/cheap", ask("chinese_to_qwen", { text = "Grüße aus Köln" })[1])
    assert.equal("x/cheap", ask("chinese_to_qwen", { text = "" })[1])
  end)
end)

describe("long_context", function()
  before_each(function()
    load("long_context", nil, {
      kit.target("a/small", { context = 128000, price = { input = 0.1, output = 0.1 } }), kit.target("b/large", { context = 1000000 }),
    })
  end)

  it("asks for room only where a prompt is long", function()
    assert.equal("a/small", ask("long_context", { tokens = { input = 1000, output = 500 } })[1])
    assert.same({ "b/large", "a/small" }, (ask("long_context", { tokens = { input = 100000, output = 500 } })))
    assert.same({ "b/large" }, (ask("long_context", { tokens = { input = 200000, output = 500 } })))
  end)
end)

describe("canary", function()
  before_each(function()
    load("canary", { new = "openai/gpt-4o-mini", old = "openai/gpt-4o", percent = 10 })
  end)

  local function share()
    local n = 0
    for user = 1, 2000 do
      local ids = ask("canary", { user = "user " .. user })
      n = n + (ids[1] == "openai/gpt-4o-mini" and 1 or 0)
      assert.is_true(ids[1] == "openai/gpt-4o" or ids[2] == "openai/gpt-4o") -- one stands behind the other
    end
    return n / 2000
  end

  it("is one in ten, and always the same", function()
    assert.near(0.1, share(), 0.02)
    local first = ask("canary", { user = "ann" })
    assert.same(first, (ask("canary", { user = "ann", seed = 99 })))
  end)

  it("rests when it fails too often", function()
    figures("openai/gpt-4o-mini", { error_rate = 0.5 })
    assert.equal(0, share())
  end)

  it("rests where it fails, and goes on elsewhere", function()
    load("canary", { new = "gpt-4o", old = "openai/gpt-4o-mini", percent = 100 })
    figures("openai/gpt-4o", { error_rate = 0.5 })
    assert.same({ "azure/gpt-4o", "openai/gpt-4o-mini" }, { unpack((ask "canary"), 1, 2) })
  end)
end)

describe("warm_cache", function()
  local function at(over)
    over.session = "s"
    return ask("warm_cache", over)
  end

  before_each(function()
    load("warm_cache", nil, {
      kit.target("a/cheap", { price = { input = 1, output = 2 } }),
      kit.target("b/dear", { price = { input = 2, output = 2, cached = 0.2 } }),
      kit.target("c/own", { price = {} }),
    })
  end)

  it("asks the cheapest where nothing is cached", function()
    local ids, reason = at { tokens = { input = 10000, output = 100 } }
    assert.same({ "a/cheap", "nothing is cached" }, { ids[1], reason })
    assert.equal("a/cheap", at({ tokens = { input = 10000, output = 100 }, last_target = "b/dear" })[1]) -- too long ago
  end)

  it("stays while leaving saves less than a fifth", function()
    local function after(cached)
      return at { tokens = { input = 10000, output = 100 }, last_target = "b/dear", cached = { ["b/dear"] = cached } }
    end
    local ids, reason = after(9000) -- $0.004 here, $0.0102 there
    assert.same({ "b/dear", "its prompt is cached here" }, { ids[1], reason })
    assert.equal("b/dear", after(4500)[1]) -- $0.0121 here: dearer, but not by much
    ids, reason = after(1000) -- $0.0184 here
    assert.same({ "a/cheap", "elsewhere is worth a cold cache" }, { ids[1], reason })
  end)

  it("stays where no price is known", function()
    assert.equal("c/own", at({ last_target = "c/own", cached = { ["c/own"] = 500 } })[1])
  end)

  it("leaves a target whose breaker is open", function()
    figures("b/dear", { state = "open" })
    assert.equal("a/cheap", at({ tokens = { input = 10000, output = 100 }, last_target = "b/dear", cached = { ["b/dear"] = 9000 } })[1])
  end)
end)

describe("policies/examples", function()
  it("names models that the providers have", function()
    local n = 0
    for _, path in ipairs(tree.matching("policies/examples", "%.lua$")) do
      for name in kit.read(path):gmatch 'type = "string", default = "([%w.-]+%-[%w.-]+)"' do
        n = n + 1
        local found = 0
        for _, file in ipairs(tree.matching("providers", "%.lua$")) do
          found = found + select(2, kit.read(file):gsub('name = "' .. name:gsub("%p", "%%%0") .. '"', ""))
        end
        assert(found > 0, ("%s: nobody has a model %s"):format(path, name))
      end
    end
    assert(n >= 3)
  end)
end)

describe("business_hours", function()
  before_each(function()
    load "business_hours"
    figures("anthropic/claude-sonnet-4-6", { ttft_ms = { p50 = 100 }, tokens_per_s = 100 })
  end)

  local MONDAY = 1795392000 -- 2026-11-23 00:00 UTC

  it("goes by the hour of its zone, and by the weekday", function()
    assert.equal("anthropic/claude-sonnet-4-6", ask("business_hours", { now = MONDAY + 7 * 3600 })[1]) -- 08:00 there
    assert.equal("openai/gpt-4o-mini", ask("business_hours", { now = MONDAY + 6 * 3600 })[1])
    assert.equal("openai/gpt-4o-mini", ask("business_hours", { now = MONDAY + 17 * 3600 })[1]) -- 18:00
    assert.equal("openai/gpt-4o-mini", ask("business_hours", { now = MONDAY - 24 * 3600 + 9 * 3600 })[1]) -- a Sunday
  end)

  it("waits at night", function()
    local _, _, decision = ask("business_hours", { now = MONDAY })
    assert.same({ "queue", 60000 }, { decision.on_exhausted, decision.retry_window_ms })
  end)
end)

describe("coding_agent", function()
  before_each(function()
    load "coding_agent"
  end)

  it("does side work cheaply", function()
    assert.equal("openai/gpt-4o-mini", ask("coding_agent", { headers = { ["x-claude-code-request-class"] = "auxiliary" } })[1])
    assert.equal("openai/gpt-4o-mini", ask("coding_agent", { tool_names = {} })[1])
  end)

  it("gives the main thread, and what it does not know, the best", function()
    assert.equal("anthropic/claude-sonnet-4-6", ask("coding_agent", { tool_names = { "Bash" } })[1])
    assert.equal("anthropic/claude-sonnet-4-6", ask("coding_agent", { headers = { ["x-claude-code-request-class"] = "main" } })[1])
    local headers = { ["x-claude-code-request-class"] = "auxiliary", ["x-claude-code-compaction"] = "1" }
    assert.equal("anthropic/claude-sonnet-4-6", ask("coding_agent", { headers = headers })[1])
    assert.equal("openai/gpt-4o", ask("coding_agent", { model = "openai/gpt-4o", tool_names = { "Bash" } })[1])
  end)
end)
