local hash = require "perilune.hash"
local host = require "perilune.host"
local kit = require "support.policy_kit"

local GPT, MINI, SONNET, AZURE, LLAMA =
  "openai/gpt-4o", "openai/gpt-4o-mini", "anthropic/claude-sonnet-4-6", "azure/gpt-4o", "vllm/llama-3.3-70b"

describe("a fleet", function()
  before_each(function()
    host.explain(false)
    kit.setup(nil, { chains = { ["gpt-4o"] = { "gpt-4o", "claude-sonnet-4-6" } }, aliases = { smart = { "claude-sonnet-4-6", "gpt-4o" } } })
  end)

  it("is everything, in the order of configuration", function()
    assert.same({ GPT, MINI, SONNET, AZURE, LLAMA }, (kit.eval "fleet"))
  end)

  describe("able", function()
    it("says of each request what is so of it, whatever was said of those before", function()
      local function asked(input, output, uses)
        local ids, decision = kit.eval("fleet:able()", { uses = uses, tokens = { input = input, output = output } })
        return { n = #ids, cuts = kit.cuts(decision) }
      end
      local sizes = { { 1, 1 }, { 100000, 1000 }, { 190000, 9000 }, { 10, 20000 }, { 128000 - 10, 10 }, { 128000 - 9, 10 } }
      local first = {}
      for round = 1, 2 do
        for k, size in ipairs(sizes) do
          for _, uses in ipairs { {}, { images = true } } do
            local key = k .. (uses.images and " images" or "")
            if round == 1 then
              kit.setup() -- nothing is kept
              first[key] = asked(size[1], size[2], uses)
            else
              assert.same(first[key], asked(size[1], size[2], uses))
            end
          end
        end
      end
    end)

    it("leaves out what only embeds, where an answer is wanted", function()
      local targets = kit.catalogue()
      targets[#targets + 1] = kit.target("openai/text-embedding-3-small", { abilities = { embeddings = true } })
      for i = 1, #targets - 1 do
        targets[i].abilities = { chat = true, tools = true }
      end
      kit.setup(targets)
      assert.equal(#targets - 1, #kit.eval("fleet:able()", { chat = true }))
      assert.same({ "openai/text-embedding-3-small" }, (kit.eval("fleet:able()", { uses = { embeddings = true } })))
      kit.setup()
    end)

    it("takes out what can not do it, and says why", function()
      local ids, decision = kit.eval("fleet:able()", { uses = { images = true }, tokens = { input = 100000, output = 1000 } })
      assert.same({ GPT, MINI, SONNET, AZURE }, ids)
      assert.same({ "able: context: 1" }, kit.cuts(decision))
      ids, decision = kit.eval("fleet:able()", { uses = { images = true } })
      assert.same({ GPT, MINI, SONNET, AZURE }, ids)
      assert.same({ "able: abilities: images: 1" }, kit.cuts(decision))
    end)

    it("names each target when explaining", function()
      host.explain(true)
      local _, decision = kit.eval("fleet:able():take(1)", { uses = { images = true, json_schema = true } })
      assert.same({
        "able: abilities: images, json_schema: " .. LLAMA, "take: behind the first 1: " .. SONNET, "take: behind the first 1: " .. AZURE,
        "take: behind the first 1: " .. MINI,
      }, kit.cuts(decision))
    end)

    it("looks at the output, too", function()
      assert.same({}, (kit.eval("fleet:able()", { tokens = { input = 1, output = 20000 } })))
    end)

    it("keeps to the request's limits, and leaves out unknown prices then", function()
      local ids, decision = kit.eval("fleet:able()", { limits = { max_cost_usd = 0.001 } })
      assert.same({ MINI }, ids)
      assert.same({ "able: price over max_cost_usd: 3", "able: price_unknown: 1" }, kit.cuts(decision))
      ids, decision = kit.eval("fleet:able()", { limits = { max_cost_usd = 1 }, budget = { left_usd = 0.001 } })
      assert.same({ MINI }, ids)
      assert.same({ "able: price over budget: 3", "able: price_unknown: 1" }, kit.cuts(decision))
      assert.equal(5, #kit.eval("fleet:able()", { budget = { left_usd = math.huge } }))
    end)

    it("asks a cap for the room the core sets aside: a byte may be a token, an answer as long as is allowed", function()
      local function over_budget(left_usd, most)
        local _, decision = kit.eval("fleet:able()", { budget = { left_usd = left_usd }, most = most })
        for _, cut in ipairs(decision.cuts or {}) do
          if cut.why == "price over budget" then
            return cut.count
          end
        end
        return 0
      end
      assert.equal(0, over_budget(0.0125)) -- what is expected of claude-sonnet-4-6: 1000 tokens and 500 of answer
      assert.equal(1, over_budget(0.0125, { input = 2000, output = 500 }))
      assert.equal(3, over_budget(0.0125, { input = 1000 })) -- 16384 tokens of answer
      kit.setup(nil, { clamp_least = 100 })
      assert.equal(0, over_budget(0.0125, { input = 1000 }))
      assert.equal(1, over_budget(0.0044, { input = 1000 })) -- 0.0045 there, with the shortest answer
      assert.equal(1, over_budget(0.0029, { input = 1000, output = 0 })) -- no answer at all: 0.003
    end)

    it("puts open targets last, and leaves them last", function()
      host.update { { index = 2, state = "open" } }
      assert.same({ GPT, SONNET, AZURE, LLAMA, MINI }, (kit.eval "fleet:able()"))
      assert.same({ AZURE, GPT, SONNET, LLAMA, MINI }, (kit.eval "fleet:able():cheapest()"))
      assert.same({ SONNET, MINI }, (kit.eval 'fleet:able():only{ "gpt-4o-mini", "claude-sonnet-4-6" }:prefer "gpt-4o-mini"'))
    end)

    it("puts those that recover and those without any rate limit left behind, before the open ones", function()
      host.update { { index = 2, state = "half_open" }, { index = 4, headroom = 0.01 }, { index = 1, state = "open" } }
      assert.same({ SONNET, LLAMA, MINI, AZURE, GPT }, (kit.eval "fleet:able():cheapest()"))
      assert.same({ SONNET, LLAMA, MINI, AZURE, GPT }, (kit.eval 'fleet:able():cheapest():prefer { "gpt-4o-mini", "openai/gpt-4o" }'))
      assert.same({ MINI, AZURE, GPT, SONNET, LLAMA }, (kit.eval "fleet:cheapest()"))
    end)

    it("lets one that recovers keep its place in a few requests, so that it is found out", function()
      host.update { { index = 2, state = "half_open" } }
      local n = 0
      for seed = 1, 1000 do
        local ids, decision = kit.eval("fleet:able():cheapest():take(2)", { seed = seed })
        if ids[1] == MINI then
          n = n + 1
          assert.same({ { "explored", MINI } }, decision.notes)
        else
          assert.same({ AZURE, GPT }, ids)
        end
      end
      assert(n > 20 and n < 70, n)
    end)
  end)

  it("only: a filter that keeps the fleet's order", function()
    assert.same({ GPT, SONNET, AZURE }, (kit.eval 'fleet:only { "claude-sonnet-4-6", "gpt-4o" }'))
    assert.same({ GPT, MINI }, (kit.eval 'fleet:only "openai/*"'))
    assert.same({ GPT, SONNET, AZURE }, (kit.eval 'fleet:only "smart"'))
    assert.same({ AZURE }, (kit.eval 'fleet:cheapest():only { "azure/gpt-4o" }'))
    assert.same({ MINI, GPT }, (kit.eval 'fleet:able():cheapest():only { fleet[1], fleet[2] }'))
    local ids, decision = kit.eval 'fleet:only { "openai/gpt-9" }'
    assert.same({ "openai/gpt-9" }, ids)
    assert.same({ "only: not named: 4" }, kit.cuts(decision))
    ids, decision = kit.eval 'fleet:only { "gpt-40" }'
    assert.same({}, ids)
    assert.same({ 'only: not named: 5', 'only: unknown name "gpt-40"; did you mean "gpt-4o"?: 0' }, kit.cuts(decision))
  end)

  it("except", function()
    local ids, decision = kit.eval 'fleet:except { "openai/*", "llama-3.3-70b" }'
    assert.same({ SONNET, AZURE }, ids)
    assert.same({ "except: named: 3" }, kit.cuts(decision))
  end)

  it("prefer: to the front, in that order, only what is there", function()
    assert.same({ LLAMA, GPT, AZURE, MINI, SONNET }, (kit.eval 'fleet:prefer { "llama-3.3-70b", "gpt-4o", "nobody" }'))
    assert.same({ MINI, SONNET }, (kit.eval 'fleet:except { "gpt-4o", "llama-3.3-70b" }:prefer { "gpt-4o", "gpt-4o-mini" }'))
    assert.same({ SONNET, MINI }, (kit.eval 'fleet:cheapest():prefer { "claude-sonnet-4-6" }:take(2)'))
  end)

  it("where: with a reason", function()
    local ids, decision = kit.eval 'fleet:where(function(t) return t.quality and t.quality > 10 end, "too weak")'
    assert.same({ GPT, SONNET, AZURE }, ids)
    assert.same({ "where: too weak: 2" }, kit.cuts(decision))
  end)

  it("at_least and at_most: unknown figures fail", function()
    local ids, decision = kit.eval "fleet:at_least { quality = 11, context = 100000 }"
    assert.same({ GPT, SONNET, AZURE }, ids)
    assert.same({ "at_least: context too low: 1", "at_least: quality too low: 1" }, kit.cuts(decision))
    ids, decision = kit.eval "fleet:at_most { cost = 0.007 }"
    assert.same({ MINI, AZURE }, ids)
    assert.same({ "at_most: price: cost too high: 2", "at_most: price_unknown: 1" }, kit.cuts(decision))
    assert.same({}, (kit.eval "fleet:at_least { tokens_per_s = 1 }"))
  end)

  it("tagged", function()
    assert.same({ AZURE, LLAMA }, (kit.eval 'fleet:tagged "eu"'))
    assert.same({ LLAMA }, (kit.eval 'fleet:tagged "eu":tagged "own"'))
    assert.same({}, (kit.eval 'fleet:tagged "nowhere"'))
  end)

  it("by: ascending, stable, nil last", function()
    assert.same({ MINI, GPT, AZURE, SONNET, LLAMA }, (kit.eval "fleet:by(function(t) return t.quality end)"))
    assert.same({ GPT, MINI, SONNET, AZURE, LLAMA }, (kit.eval "fleet:by(function(t) return 1 end)"))
    assert.same({ SONNET, MINI }, (kit.eval [[fleet:by(function(t) return -(t.quality or 0) end)
      :by(function(t) return t.id:find "gpt%-4o$" and 2 or t.price.input and 1 end):take(2)]]))
    assert.same({ GPT, MINI }, (kit.eval "fleet:by(function(t) return 0 / 0 end):take(2)"))
  end)

  it("cheapest: by what this request costs, unknown last", function()
    assert.same({ MINI, AZURE, GPT, SONNET, LLAMA }, (kit.eval "fleet:cheapest()"))
    assert.same({ MINI, GPT, AZURE, SONNET, LLAMA }, (kit.eval("fleet:cheapest()", { tokens = { input = 100, output = 0 } })))
  end)

  it("cheapest keeps to the client's latency limit", function()
    host.update { { index = 2, ttft_ms = { p50 = 900 }, tokens_per_s = 10 } }
    assert.same({ AZURE, GPT, SONNET, LLAMA, MINI }, (kit.eval("fleet:cheapest()", { limits = { max_latency_ms = 1000 } })))
    assert.same({ MINI }, (kit.eval("fleet:cheapest():take(1)", { limits = { max_latency_ms = 100000 } })))
  end)

  it("best: by quality, equal ones by price, unknown last", function()
    assert.same({ SONNET, AZURE, GPT, MINI, LLAMA }, (kit.eval "fleet:best()"))
    assert.same({ SONNET, AZURE }, (kit.eval "fleet:best():take(2)"))
  end)

  it("fastest: nothing is known at first, then what was measured leads", function()
    assert.same({ GPT, MINI, SONNET, AZURE, LLAMA }, (kit.eval "fleet:fastest()"))
    host.update {
      { index = 3, ttft_ms = { p50 = 300, p95 = 400 }, tokens_per_s = 100 },
      { index = 5, ttft_ms = { p50 = 100 }, tokens_per_s = 200 },
    }
    -- The unknown stand behind the middle of the known.
    assert.same({ LLAMA, GPT, MINI, AZURE, SONNET }, (kit.eval "fleet:fastest()"))
    assert.same({ LLAMA }, (kit.eval "fleet:fastest():take(1)"))
    host.update { { index = 5, ttft_ms = false } }
    assert.same({ SONNET, GPT }, (kit.eval "fleet:fastest():take(2)"))
  end)

  it("fastest tries what nobody measured, able and not open, in a few requests that a replay repeats", function()
    host.update { { index = 1, ttft_ms = { p50 = 100 } }, { index = 2, state = "open" } }
    local seen, n = {}, 0
    for seed = 1, 2000 do
      local ids, decision = kit.eval("fleet:able():fastest():take(2)", { seed = seed, uses = { images = true } })
      local first = ids[1]
      seen[first] = (seen[first] or 0) + 1
      if first ~= GPT then
        n = n + 1
        assert.same({ { "explored", first } }, decision.notes)
        assert.equal(GPT, ids[2])
        assert.same(ids, (kit.eval("fleet:able():fastest():take(2)", { seed = seed, uses = { images = true } })))
      end
    end
    assert(n > 40 and n < 130, n)
    assert(seen[SONNET] and seen[AZURE] and not seen[MINI] and not seen[LLAMA])
  end)

  it("fastest keeps open ones behind although they are within a tenth", function()
    host.update { { index = 1, ttft_ms = { p50 = 100 } }, { index = 3, ttft_ms = { p50 = 100 }, state = "open" } }
    for seed = 1, 50 do
      assert.not_equal(SONNET, kit.eval("fleet:able():fastest()", { seed = seed })[1])
    end
  end)

  it("fastest spreads over those within a tenth", function()
    host.update {
      { index = 1, ttft_ms = { p50 = 100 } }, { index = 2, ttft_ms = { p50 = 105 } }, { index = 3, ttft_ms = { p50 = 200 } },
    }
    local first = {}
    for seed = 1, 200 do
      local ids = kit.eval("fleet:fastest():take(2)", { seed = seed, tokens = { input = 1, output = 0 } })
      first[ids[1]] = (first[ids[1]] or 0) + 1
    end
    assert(first[GPT] > 60 and first[MINI] > 60 and not first[SONNET])
  end)

  it("take", function()
    local ids, decision = kit.eval "fleet:cheapest():take(2)"
    assert.same({ MINI, AZURE }, ids)
    assert.same({ "take: behind the first 2: 3" }, kit.cuts(decision))
    assert.same({}, (kit.eval "fleet:take(0)"))
    assert.equal(5, #kit.eval "fleet:take(100)")
  end)

  it("..: joined, no repeats", function()
    assert.same({ SONNET, GPT, MINI, AZURE }, (kit.eval 'fleet:best():take(1) .. fleet:only "openai/*" .. fleet:only { "gpt-4o" }'))
    assert.same({ SONNET, MINI }, (kit.eval '(fleet:best():take(1) .. fleet:best():take(1) .. fleet:cheapest()):take(2)'))
  end)

  it("with: fields ride along, the later wins, also through joins", function()
    local _, decision = kit.eval [[fleet:only "gpt-4o":with { timeout_ms = 100, retries = 2 }:with { timeout_ms = 200 }:best()
      .. fleet:cheapest():take(1)]]
    assert.same({ { index = 4, timeout_ms = 200, retries = 2 }, { index = 1, timeout_ms = 200, retries = 2 }, 2 },
      { decision[1], decision[2], decision[3] })
  end)

  it("with: classes and parameters in the form of the core", function()
    local _, decision = kit.eval [[fleet:take(1):with { when = { "connect", "timeout" }, first_token_ms = 5,
      params = { temperature = 0, stop = { "a" }, extra = { min_p = 0.5 }, drop = { "logprobs" } } }]]
    assert.same({
      index = 1, when = 6, first_token_ms = 5,
      params = { { "logprobs" }, { "min_p", "0.5" }, { "stop", '["a"]' }, { "temperature", "0" } },
    }, decision[1])
  end)

  it("chain: fields of the whole, kept by later words", function()
    local _, decision = kit.eval [[fleet:chain { deadline_ms = 5000, on_exhausted = "queue" }:cheapest():take(1)
      :chain { deadline_ms = 6000 }]]
    assert.equal(6000, decision.deadline_ms)
    assert.equal("queue", decision.on_exhausted)
    _, decision = kit.eval [[fleet:take(1):chain { max_attempts = 2 } .. fleet:chain { max_attempts = 3, hold_ms = 1 }]]
    assert.equal(2, decision.max_attempts)
    assert.equal(1, decision.hold_ms)
  end)

  it("with and chain take what is sound, and say what is not", function()
    local _, decision = kit.eval "fleet:take(1):with { timout_ms = 3, retries = 1 }:chain { max_cost_usd = -1, deadline_ms = 5 }"
    assert.same({ index = 1, retries = 1 }, decision[1])
    assert.equal(5, decision.deadline_ms)
    assert.matches('^with.timout_ms: a step has no such field; did you mean "timeout_ms"', decision.findings[1])
    assert.matches("^chain.max_cost_usd: expected dollars", decision.findings[2])
  end)

  it("chain with a ceiling takes no unknown prices", function()
    local ids, decision = kit.eval 'fleet:only { "llama-3.3-70b", "gpt-4o" }:chain { max_cost_usd = 1 }'
    assert.same({ GPT, AZURE }, ids)
    assert.equal("price_unknown", decision.cuts[#decision.cuts].why)
  end)

  it("is walked, counted, listed and indexed", function()
    kit.load [[return function(req, fleet)
      local seen = {}
      for i, t in ipairs(fleet:cheapest()) do seen[i] = t.model end
      for i, t in pairs(fleet:take(1)) do seen[#seen + 1] = t.id end
      local list = fleet:list()
      table.insert(list, "mine")
      seen[#seen + 1] = fleet:count() .. #list .. tostring(fleet[2]) .. tostring(fleet[9]) .. tostring(fleet)
      return {}, table.concat(seen, " ")
    end]]
    local _, decision = kit.ask "spec"
    assert.equal("gpt-4o-mini gpt-4o gpt-4o claude-sonnet-4-6 llama-3.3-70b openai/gpt-4o 56openai/gpt-4o-mininilfleet", decision.reason)
  end)

  describe("requested", function()
    it("is what the client named, then its chain", function()
      assert.same({ GPT, AZURE, SONNET }, (kit.eval("fleet:requested()", { model = "gpt-4o" })))
      assert.same({ AZURE, GPT, SONNET }, (kit.eval("fleet:requested()", { model = "azure/gpt-4o" })))
      assert.same({ MINI, GPT, AZURE, SONNET }, (kit.eval("fleet:requested()", { models = { "gpt-4o-mini", "gpt-4o" }, model = "x" })))
      assert.same({ "openai/gpt-9" }, (kit.eval("fleet:requested()", { model = "openai/gpt-9" })))
      assert.same({ SONNET, GPT, AZURE }, (kit.eval("fleet:requested()", { model = "smart" })))
    end)

    it("is empty when the choice is ours", function()
      for _, model in ipairs { "auto", "auto:cheapest", "policy/tier" } do
        assert.same({}, (kit.eval("fleet:requested()", { model = model })))
        assert.same({ MINI }, (kit.eval("(fleet:requested():able() .. fleet:cheapest()):take(1)", { model = model })))
      end
    end)
  end)

  it("keeps to what a strict client named", function()
    local ids, decision = kit.eval("fleet:requested() .. fleet", { model = "gpt-4o", strict = true })
    assert.same({ GPT, AZURE }, ids)
    assert.same({ "strict: not named by the client: 3" }, kit.cuts(decision))
    assert.equal(5, #kit.eval("fleet", { strict = true }))
  end)

  it("keeps to a chain, where that is all there is of the name a strict client said", function()
    kit.setup(nil, { chains = { both = { "gpt-4o-mini", "claude-sonnet-4-6" } } })
    assert.same({ MINI, SONNET }, (kit.eval("fleet:requested() .. fleet", { model = "both", strict = true })))
  end)

  describe("split", function()
    local function heads(expression, n)
      kit.load("return function(req, fleet) return " .. expression .. " end")
      local out = {}
      for i = 1, n do
        out[i] = kit.ask("spec", { session = "s" .. i })[1]
      end
      return out
    end

    local function share(list, id)
      local n = 0
      for _, v in ipairs(list) do
        n = n + (v == id and 1 or 0)
      end
      return n / #list
    end

    it("divides by weight and sticks", function()
      local expression = 'fleet:split("e", { { "gpt-4o-mini", 90 }, { "claude-sonnet-4-6", 10 } }):take(1)'
      local a, b = heads(expression, 2000), heads(expression, 2000)
      assert.same(a, b)
      assert(math.abs(share(a, MINI) - 0.9) < 0.03, share(a, MINI))
    end)

    it("moves only as many as a weight asks for", function()
      local before = heads('fleet:split("e", { { "gpt-4o-mini", 90 }, { "claude-sonnet-4-6", 10 } }):take(1)', 2000)
      local after = heads('fleet:split("e", { { "gpt-4o-mini", 90 }, { "claude-sonnet-4-6", 20 } }):take(1)', 2000)
      local moved = 0
      for i = 1, #before do
        if before[i] ~= after[i] then
          moved = moved + 1
          assert.equal(SONNET, after[i]) -- towards the arm that was raised, never away from it
        end
      end
      local due = 20 / 110 - 10 / 100
      assert(math.abs(moved / #before - due) < 0.02, moved / #before)
    end)

    it("divides two experiments independently", function()
      local a = heads('fleet:split("a", { { "gpt-4o-mini", 1 }, { "claude-sonnet-4-6", 1 } }):take(1)', 2000)
      local b = heads('fleet:split("b", { { "gpt-4o-mini", 1 }, { "claude-sonnet-4-6", 1 } }):take(1)', 2000)
      local same = 0
      for i = 1, #a do
        same = same + (a[i] == b[i] and 1 or 0)
      end
      assert(math.abs(same / #a - 0.5) < 0.05, same / #a)
    end)

    it("puts the arm first, the other arms next, the rest behind, and notes which", function()
      local ids, decision = kit.eval('fleet:split("e", { { "gpt-4o-mini", 1 }, { "llama-3.3-70b", 1e-9 } }, "me")')
      assert.same({ MINI, LLAMA, GPT, SONNET, AZURE }, ids)
      assert.same({ { "split:e", "gpt-4o-mini" } }, decision.notes)
    end)

    it("goes on with the next arm where the fleet has not the first", function()
      local ids, decision = kit.eval [[fleet:except "gpt-4o-mini"
        :split("e", { { "gpt-4o-mini", 1 }, { "llama-3.3-70b", 1e-9 } }, "me"):take(1)]]
      assert.same({ LLAMA }, ids)
      assert.same({ { "split:e", "llama-3.3-70b" } }, decision.notes)
    end)

    it("sticks to session, else user, else key, else divides each request by itself", function()
      local function head(over)
        return kit.eval('fleet:split("e", { { "gpt-4o-mini", 1 }, { "claude-sonnet-4-6", 1 } }):take(1)', over)[1]
      end
      for i = 1, 20 do
        local name = "n" .. i
        assert.equal(head { session = name, user = "x", seed = 1 }, head { user = name, seed = 2 })
        assert.equal(head { user = name, seed = 3 }, head { key = { id = name }, seed = 4 })
      end
      local seen = {}
      for seed = 1, 50 do
        seen[head { seed = seed }] = true
      end
      assert(seen[MINI] and seen[SONNET])
    end)
  end)

  it("sticky: the session's last target first", function()
    assert.same({ MINI }, (kit.eval "fleet:cheapest():sticky():take(1)"))
    assert.same({ SONNET, MINI }, (kit.eval("fleet:cheapest():sticky():take(2)", { last_target = SONNET })))
    assert.same({ MINI }, (kit.eval("fleet:cheapest():sticky():take(1)", { last_target = "gone/model" })))
    assert.same({ MINI }, (kit.eval('fleet:cheapest():except "claude-sonnet-4-6":sticky():take(1)', { last_target = SONNET })))
    host.update { { index = 3, state = "open" } }
    assert.same({ MINI }, (kit.eval("fleet:cheapest():sticky():take(1)", { last_target = SONNET })))
    host.update { { index = 3, state = "half_open" } }
    assert.same({ SONNET }, (kit.eval("fleet:cheapest():sticky():take(1)", { last_target = SONNET })))
    assert.same({ MINI }, (kit.eval("fleet:able():cheapest():sticky():take(1)", { last_target = SONNET })))
  end)

  it("cheapest counts what the session's targets have cached", function()
    local targets = kit.catalogue()
    targets[3].price.cached = 0.1
    kit.setup(targets)
    local req = { tokens = { input = 100000, output = 0 }, cached = { [SONNET] = 99000 } }
    assert.same({ SONNET, MINI }, (kit.eval("fleet:able():cheapest():take(2)", req)))
    assert.same({ MINI, GPT }, (kit.eval("fleet:able():cheapest():take(2)", { tokens = { input = 100000, output = 0 } })))
    assert.same({ "99000" }, { select(2, kit.eval("fleet, tostring(fleet[3].cached_tokens)", req)).reason })
  end)

  describe("misuse", function()
    for body, expected in pairs {
      ["return fleet.able()"] = "with a colon",
      ["return fleet:abel()"] = 'did you mean "able"',
      ["return fleet:take(-1)"] = "whole number",
      ["return fleet:take '3'"] = "whole number, got a string",
      ["return fleet:only(3)"] = "list of names",
      ["return fleet:only { 3 }"] = "list of names",
      ["return fleet:where(true)"] = "expected a function",
      ["return fleet:where(print)"] = 'there is no "print"',
      ["return fleet:at_least { qualty = 3 }"] = 'did you mean "quality"',
      ["return fleet:at_least { quality = 'x' }"] = "expected a number for quality",
      ["return fleet:at_least {}"] = "expected figures",
      ["return fleet:by(3)"] = "expected a function",
      ["return fleet:by(function() return 'x' end):take(1)"] = "expected a number or nil for openai/gpt%-4o",
      ["return fleet:split('e', {})"] = "expected arms",
      ["return fleet:split('e', { { 'gpt-4o', -1 } })"] = "weight not below 0",
      ["return fleet:split('e', { { 'gpt-4o', 0 } })"] = "all weights are 0",
      ["return fleet:split({}, {})"] = "name of the experiment",
      ["return fleet:with(3)"] = "table of step fields",
      ["return fleet .. { 'x' }"] = "expected two fleets",
      ["return fleet:tagged {}"] = "name of a tag",
      ["return fleet[1].qualty"] = 'did you mean "quality"',
      ["return fleet:where(function(t) return t.latncy() end)"] = 'did you mean "latency"',
    } do
      it(body, function()
        assert.matches(expected, kit.fails(body))
      end)
    end

    it("of a fleet kept from an earlier request is found out", function()
      kit.load [[local kept
        return function(req, fleet)
          if kept then return kept:take(1) end
          kept = fleet:best():cheapest():best()
          return {}
        end]]
      kit.ask "spec"
      local ok, why = pcall(kit.ask, "spec")
      assert.is_false(ok)
      assert.matches("earlier request", why)
    end)
  end)
end)

describe("a fleet of a thousand", function()
  local targets, touched = {}, 0

  setup(function()
    host.explain(false)
    local random = hash.random(11)
    for i = 1, 1000 do
      local price = i % 50 == 0 and {} or { input = random() * 10, output = random() * 50 }
      targets[i] = kit.target(("p%d/m%d"):format(i % 7, i), {
        price = price, quality = i % 3 == 0 and "unknown" or math.floor(random() * 60), abilities = { tools = random() < 0.8 },
        tags = i % 100 == 0 and { rare = true } or {},
      })
    end
    kit.setup(targets)
  end)

  local function naive(keep, key)
    local list = {}
    for i, t in ipairs(targets) do
      if keep(t) then
        list[#list + 1] = { i = i, k = key(t) or math.huge }
      end
    end
    table.sort(list, function(a, b)
      return a.k < b.k or (a.k == b.k and a.i < b.i)
    end)
    return list
  end

  local function cost(t)
    return t.price.input and 1000 * t.price.input + 500 * t.price.output
  end

  it("finds the cheapest as a full sort would", function()
    local expected = naive(function(t) return t.abilities.tools end, cost)
    for _, n in ipairs { 1, 3, 20, 64, 65, 1000 } do
      local ids = kit.eval(("fleet:able():cheapest():take(%d)"):format(n), { uses = { tools = true } })
      for j = 1, math.min(n, #expected) do
        assert.equal(targets[expected[j].i].id, ids[j])
      end
    end
  end)

  it("finds the best as a full sort would", function()
    local ids = kit.eval("fleet:able():best():take(1000)", { uses = { tools = true } })
    local last = math.huge
    local by_id = {}
    for _, t in ipairs(targets) do
      by_id[t.id] = t
    end
    for _, id in ipairs(ids) do
      local q = by_id[id].quality or -1
      assert(q <= last)
      last = q
    end
    assert.same(ids[1], kit.eval("fleet:able():best():take(1)", { uses = { tools = true } })[1])
  end)

  it("looks at a few for a few", function()
    kit.load [[return function(req, fleet)
      local n = 0
      local chain = fleet:where(function() n = n + 1 return true end):cheapest():take(3)
      return chain, tostring(n)
    end]]
    local _, decision = kit.ask "spec"
    touched = tonumber(decision.reason)
    assert(touched < 10, touched)
    assert.same({ "take: behind the first 3: 997" }, kit.cuts(decision))
  end)

  it("looks at no more for only and tagged than they name", function()
    local ids, decision = kit.eval 'fleet:tagged "rare":able():cheapest():take(20)'
    assert.equal(10, #ids)
    assert.same({ "tagged: without tag rare: 990" }, kit.cuts(decision))
    ids = kit.eval 'fleet:only { "p1/m1", "m8" }:cheapest()'
    assert.equal(2, #ids)
  end)

  it("puts open ones behind without looking at all", function()
    local first = kit.eval("fleet:able():cheapest():take(2)")
    local index
    for i, t in ipairs(targets) do
      if t.id == first[1] then
        index = i
      end
    end
    host.update { { index = index, state = "open" } }
    assert.equal(first[2], kit.eval("fleet:able():cheapest():take(1)")[1])
    local all = kit.eval "fleet:able():cheapest()"
    assert.equal(1000, #all)
    assert.equal(first[1], all[1000])
    host.update { { index = index, state = "closed" } }
  end)

  it("finds the cheapest where a session has some cached, as a full sort would", function()
    local cached = {}
    for i = 3, 900, 300 do
      targets[i].price.cached = 0
      cached[targets[i].id] = 9990
    end
    kit.setup(targets)
    local tokens = { input = 10000, output = 10 }
    local whole = kit.eval("fleet:cheapest()", { cached = cached, tokens = tokens })
    local first = kit.eval("fleet:cheapest():take(20)", { cached = cached, tokens = tokens })
    for j = 1, 20 do
      assert.equal(whole[j], first[j])
    end
    assert.not_same(first, (kit.eval("fleet:cheapest():take(20)", { tokens = tokens })))
  end)

  it("finds the fastest as a full sort would, whatever changed since its order was made", function()
    local random = hash.random(5)
    for round = 1, 60 do
      local list = {}
      for k = 1, round % 7 == 0 and 60 or 5 do
        local i = k == 1 and 17 or math.floor(random() * 1000) + 1 -- one of them changes all the time
        local known = random() < 0.9
        list[k] = {
          index = i, ttft_ms = known and { p50 = 50 + random() * 1000 } or false, tokens_per_s = known and 10 + random() * 200 or false,
          state = random() < 0.1 and "open" or "closed",
        }
      end
      host.update(list)
      for _, tokens in ipairs { 0, 60, 500, 8000 } do
        local req = { seed = 2, tokens = { input = 10, output = tokens } }
        local whole = kit.eval("fleet:able():fastest()", req)
        for _, n in ipairs { 1, 3, 20 } do
          local ids = kit.eval(("fleet:able():fastest():take(%d)"):format(n), req)
          for j = 1, n do
            assert.equal(whole[j], ids[j])
          end
        end
      end
    end
  end)

  it("says of everyone why, when explaining", function()
    host.explain(true)
    local _, decision = kit.eval("fleet:able():cheapest():take(3)", { uses = { tools = true } })
    host.explain(false)
    assert.equal(997, #decision.cuts)
    for _, c in ipairs(decision.cuts) do
      assert(c.target and c.count == 1)
    end
  end)
end)
