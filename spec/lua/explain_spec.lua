local explain = require "perilune.explain"
local host = require "perilune.host"
local json = require "perilune.json"
local kit = require "support.policy_kit"

describe("explain", function()
  before_each(function()
    kit.setup()
  end)

  local function report(body, req, assumptions)
    assert(host.load { name = "it", path = "policies/it.lua", text = "return function(req, fleet) " .. body .. " end" })
    return explain.report("it@1", "it", kit.request(req), assumptions)
  end

  local function by_target(r)
    local out = {}
    for _, c in ipairs(r.candidates) do
      out[c.target] = c
    end
    return out
  end

  local CHAIN = [[note("why", "spec")
    return fleet:able():at_least { quality = 10 }:cheapest():take(2)
      :with { retries = 1, when = { "connect", "timeout" }, params = { temperature = 0.5 } }:chain { deadline_ms = 9000 }, "cheap"]]

  it("says when the gateway would have stopped the decision", function()
    assert(host.load { name = "it", path = "policies/it.lua", text = "return function(req, fleet) return fleet:able() end" })
    local function took(ms)
      local now = 0
      local _, text = explain.answer("it", kit.request {}, {}, "it@1", 0, 5, function()
        now = now + ms
        return now
      end)
      return text
    end
    assert.matches("the gateway would stop it at 5 ms\n", took(6), 1, true)
    assert.not_matches("the gateway would stop", took(5), 1, true)
  end)

  it("tells who asks and what is left, where that is known", function()
    local key = { id = "ci", name = "CI", project = "shop", tags = { a = true }, meta = { team = "x" } }
    local r = report("return fleet:able()", { key = key, budget = { left_usd = 0.0008, used = 0.95, free_left = 2 } })
    assert.same({ id = "ci", name = "CI", project = "shop", tags = { "a" }, meta = { team = "x" } }, r.request.key)
    assert.same({ left_usd = 0.0008, used = 0.95, free_left = 2 }, r.request.budget)
    assert.equal("able: price over budget", by_target(r)["openai/gpt-4o"].why)
    assert.equal("able: price_unknown", by_target(r)["vllm/llama-3.3-70b"].why)
    local lines = "\nkey ci (CI) of project shop\n$0.000800 left under the tightest cap, 95% of it is used, 2 free requests left\n"
    assert.matches(lines, explain.text(r), 1, true)
    r = report "return fleet:able()"
    assert.same({}, { r.request.key, r.request.budget })
    assert.not_matches("key", explain.text(r), 1, true)
  end)

  it("has every target, with the word that left it out", function()
    local r = report(CHAIN, { uses = { images = true } })
    local c = by_target(r)
    assert.equal(5, #r.candidates)
    assert.same({ "chosen", 1 }, { c["azure/gpt-4o"].verdict, c["azure/gpt-4o"].step })
    assert.same({ "chosen", 2 }, { c["openai/gpt-4o"].verdict, c["openai/gpt-4o"].step })
    assert.equal("left_out", c["openai/gpt-4o-mini"].verdict)
    assert.equal("at_least: quality too low", c["openai/gpt-4o-mini"].why)
    assert.equal("able: abilities: images", c["vllm/llama-3.3-70b"].why)
    assert.equal("not_chosen", c["anthropic/claude-sonnet-4-6"].verdict)
    assert.equal("azure/gpt-4o", r.candidates[1].target)
    assert.same({ "cheap", "it@1", "spec" }, { r.reason, r.policy, r.notes.why })
  end)

  it("blames the word that cut a target from the whole, not from one side of it", function()
    local function why(body)
      local out = {}
      for _, c in ipairs(report(body).candidates) do
        out[#out + 1] = ("%s %s"):format(c.verdict, c.why or c.step)
      end
      return out
    end
    local behind = "not_chosen take: behind the first 3"
    assert.same({ "chosen 1", "chosen 2", "chosen 3", behind, behind }, why [[local order = fleet:cheapest()
      return (order:where(function(t) return t.provider == "openai" end, "not openai") .. order):take(3)]])
    assert.same({ "chosen 1", "chosen 2", "chosen 3", behind, behind }, why [[return (fleet:take(1) .. fleet):take(3)]])
    -- What neither side has was left out; what is cut behind the join as well.
    assert.same({ "chosen 1", "chosen 2", "left_out where: dear", "left_out where: dear", "left_out where: dear" }, why [[
      return (fleet:take(1) .. fleet):where(function(t) return t.provider == "openai" end, "dear")]])
  end)

  it("prices the chain, with its retries and its ceiling", function()
    local r = report(CHAIN)
    -- 1,000 tokens in and 500 out: azure 0.0025 + 0.0045, openai 0.0025 + 0.005; each once more.
    assert.near(0.007, r.cost_usd.expected, 1e-12)
    assert.near(2 * (0.007 + 0.0075), r.cost_usd.most, 1e-12)
    r = report "return fleet:only('gpt-4o'):chain { max_cost_usd = 0.01 }"
    assert.equal(0.01, r.cost_usd.most)
    r = report "return { 'vllm/llama-3.3-70b' }"
    assert.same({}, r.cost_usd)
  end)

  it("gives back what steps and chain say", function()
    local r = report(CHAIN)
    local step = r.chain.steps[1]
    assert.same({ "connect", "timeout" }, step.when)
    assert.same({ temperature = 0.5 }, step.params)
    assert.same({ 1, 9000 }, { step.retries, r.chain.deadline_ms })
  end)

  it("supposes", function()
    local r = report("return fleet:able():fastest():take(1)", {}, { "openai/gpt-4o.ttft_ms=300", "anthropic.ttft_ms=900" })
    assert.equal("openai/gpt-4o", r.candidates[1].target)
    assert.equal(300, r.latency_ms)
    assert.same({ "openai/gpt-4o.ttft_ms=300", "anthropic.ttft_ms=900" }, r.assumed)
    local none, why = report("return fleet", {}, { "nobody=down" })
    assert.is_nil(none)
    assert(why:find("nobody", 1, true))
  end)

  it("tells a refusal, an empty chain and ad hoc targets", function()
    local r = report "return nil, { status = 402, message = 'no' }"
    assert.same({ status = 402, code = "policy_refused", message = "no" }, r.refused)
    assert(explain.text(r):find("refused: 402 policy_refused: no", 1, true))
    r = report "return fleet:only 'nobody'"
    assert.same({}, r.chain.steps)
    assert(explain.text(r):find("nothing is left to try", 1, true))
    r = report "return { 'openai/gpt-next' }"
    assert.same({ "chosen", "openai/gpt-next" }, { r.candidates[1].verdict, r.candidates[1].target })
  end)

  it("is JSON with lists where lists belong, and short numbers", function()
    local text = explain.json(report(CHAIN, { tier = "free" }))
    local back = assert(json.read(text))
    assert.equal("free", back.request.tier)
    assert.equal(5, #back.candidates)
    assert(text:find('"assumed":[]', 1, true))
    assert(text:find('"cost_usd":0.007,', 1, true), text)
    assert(explain.json(report "return {}"):find('"steps":[]', 1, true))
  end)

  it("is a page a terminal can show", function()
    local text = explain.text(report(CHAIN, { uses = { images = true }, tier = "free" }, { "azure=down", "openai.error_rate=0.5" }))
    assert(text:find("tier free, needs images", 1, true))
    assert(text:find("assuming azure=down", 1, true))
    assert(text:find("50%% errors"))
    assert(text:find "\n  1  openai/gpt%-4o +2%.5/10 +%$0%.007500")
    assert(text:find("azure/gpt-4o", 1, true) and text:find("open", 1, true))
    for line in text:gmatch "[^\n]+" do
      assert(#line <= 110, line)
    end
  end)

  it("lets no text of a policy steer the terminal", function()
    local text = explain.text(report "note('a', '\\27[2J\\n\\r') return fleet, '\\27]0;title\\7'")
    assert.is_nil(text:find "[%z\1-\9\11-\31\127]")
    assert(text:find("note a: ?[2J??", 1, true), text)
  end)

  it("sums up what a long fleet does not say", function()
    local many = {}
    for i = 1, 60 do
      many[i] = kit.target(("p%d/m"):format(i))
    end
    kit.setup(many)
    local text = explain.text(report "return fleet:take(3)")
    assert(text:find("and 37 more", 1, true), text)
  end)

  it("raises what the policy raises, and explains the next one all the same", function()
    assert.has_error(function()
      report "error 'no'"
    end)
    assert.equal(5, #report("return fleet").candidates)
  end)
end)
