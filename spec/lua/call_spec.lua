local call = require "perilune.call"
local catalogue = require "perilune.catalogue"
local kit = require "support.policy_kit"

describe("call", function()
  before_each(function()
    kit.setup()
    call.begin { tokens = { input = 1000, output = 500 }, seed = 3 }
  end)

  it("works out cost and latency for this request, or says nil", function()
    kit.setup { kit.target("p/a", { price = { input = 1, output = 4 } }), kit.target("p/b", { price = { input = 1 } }) }
    call.begin { tokens = { input = 1000, output = 500 } }
    local a, b = catalogue.records[1], catalogue.records[2]
    assert.is_true(math.abs(call.cost(a) - 0.003) < 1e-12)
    assert.is_nil(call.cost(b))
    assert.is_nil(call.latency(a))
    local function told(figures)
      figures.index = 1
      catalogue.update { figures }
      return call.latency(a)
    end
    assert.equal(200, told { ttft_ms = { p50 = 200 } })
    assert.equal(900, told { total_ms = { p50 = 900 } }) -- no speed: what whole answers take
    assert.equal(5200, told { tokens_per_s = 100 })
    assert.equal(900, told { ttft_ms = false }) -- answers that were no streams
    assert.is_nil(told { total_ms = false })
  end)

  it("explores with a few of its requests, by their seeds, and tries one target in each", function()
    local n = 0
    for seed = 1, 5000 do
      call.begin { seed = seed }
      local first, second = call.lifts(1), call.lifts(2)
      assert.equal(first, call.lifts(1))
      assert.is_false(second)
      assert.same(first and { { "explored", catalogue.records[1].id } } or nil, call.notes())
      n = n + (first and 1 or 0)
    end
    assert(math.abs(n / 5000 - call.EXPLORE) < 0.01, n)
  end)

  it("prices what a session has cached, and what its rest costs to write", function()
    kit.setup {
      kit.target("p/reads", { price = { input = 10, output = 0, cached = 1 } }),
      kit.target("p/writes", { price = { input = 10, output = 0, cached = 1, cache_write = 20 } }),
      kit.target("p/neither", { price = { input = 10, output = 0 } }),
    }
    local function costs(cached)
      local out = {}
      call.begin { tokens = { input = 1000, output = 0 }, cached = cached }
      for i = 1, 3 do
        out[i] = math.floor(call.cost(catalogue.records[i]) * 1e6 + 0.5)
      end
      return out
    end
    assert.same({ 2800, 200 + 16000, 10000 },
      costs { ["p/reads"] = 800, ["p/writes"] = 200, ["p/neither"] = 500, ["p/gone"] = 5 })
    assert.equal(800, catalogue.views[1].cached_tokens)
    assert.same({ 1000, 10000, 10000 }, costs { ["p/reads"] = 5000, ["p/writes"] = 0 })
    assert.equal(1000, catalogue.views[1].cached_tokens)
    assert.same({ 10000, 10000, 10000 }, costs(nil))
    assert.is_nil(catalogue.views[1].cached_tokens)
  end)

  it("counts each cut target once a word and reason", function()
    call.cut("able", "context", 1)
    call.cut("able", "context", 1)
    call.cut("able", "context", 2)
    call.cut("where", "context", 1)
    call.cut_many("take", "rest", 7)
    call.cut_many("take", "rest", 5)
    call.cut_many("take", "none", 0)
    local out = {}
    for i, c in ipairs(call.cuts()) do
      out[i] = c.word .. " " .. c.why .. " " .. c.count
    end
    assert.same({ "able context 2", "where context 1", "take rest 7" }, out)
  end)

  it("takes back what was noted of targets a fleet has after all", function()
    call.cut("tagged", "without tag eu", 1)
    call.cut("tagged", "without tag eu", 2)
    call.uncut({ 2, 3 }, 2)
    assert.same({ 1, 1 }, { call.cuts()[1].count, call.cut_total })
    call.cut("take", "behind the first 1", 2)
    call.uncut({ 2 }, 0)
    assert.equal(2, call.cut_total)
  end)

  it("counts once more none of those that are cut all together", function()
    call.cut("able", "context", 1)
    call.cut_all("able", "context", 3)
    call.cut("able", "context", 2)
    call.cut_all("able", "context", 3)
    assert.equal(3, call.cuts()[1].count)
    assert.equal(3, call.cut_total)
    call.begin {}
    call.cut("able", "context", 2)
    assert.equal(1, call.cuts()[1].count)
  end)

  it("goes by what it was told of a request, whatever is in it", function()
    local req = { tokens = { input = 1, output = 1 }, limits = { max_cost_usd = 5 }, seed = 1, strict = true }
    call.tell(req, 10, 20, 3, 0.5, math.huge, 900, false, false, 7, 0, nil)
    call.begin(req)
    assert.same({ 10, 20, 3, 0.5, 900, false }, { call.t_in, call.t_out, call.need, call.money, call.latency_limit, call.strict })
    local told = call.chance(1)
    call.begin(req)
    assert.same({ 1, 1, 0, 5, false, true }, { call.t_in, call.t_out, call.need, call.money, call.latency_limit, call.strict })
    assert.not_equal(told, call.chance(1))
  end)

  it("forgets them with the next request", function()
    call.cut("able", "context", 1)
    call.note("a", 1)
    call.begin {}
    assert.is_nil(call.cuts())
    assert.is_nil(call.notes())
    call.cut("able", "context", 1)
    assert.equal(1, call.cuts()[1].count)
  end)

  it("bounds notes", function()
    for i = 1, 100 do
      call.note(("k"):rep(500), ("v"):rep(5000))
      assert(i > 0)
    end
    assert.equal(64, #call.notes())
    assert.equal(128, #call.notes()[1][1])
    assert.equal(1024, #call.notes()[1][2])
  end)

  it("draws whole numbers within bounds", function()
    local seen = {}
    for _ = 1, 200 do
      seen[call.random(3)] = true
      local v = call.random(-1, 1)
      assert(v >= -1 and v <= 1 and v % 1 == 0)
    end
    assert.same({ true, true, true }, seen)
  end)
end)

describe("a price that varies", function()
  local fleet = require "perilune.fleet"
  local SUNDAY = 1795305600 -- 2026-11-22 00:00 UTC

  -- Half price over night and on Sundays, twice above 1,000 tokens.
  local function target(id, input, with_rules)
    return kit.target(id, {
      price = {
        input = input, output = input,
        rules = with_rules and {
          { above = 1000, input = 2 * input, output = 2 * input },
          { from_min = 990, to_min = 30, input = input / 2, output = input / 2, cached = 0 },
          { days = 64, until_s = SUNDAY + 86400, input = input / 2, output = input / 2 },
        } or nil,
      },
    })
  end

  local function begin(now, tokens)
    return fleet.begin(kit.request { now = now, tokens = { input = tokens or 100, output = 0 } })
  end

  local function order_of(all, want)
    local out, sorted = {}, (want and all:cheapest():take(want) or all:cheapest()):list()
    for i = 1, #sorted do
      out[i] = sorted[i].id:match "/(.*)"
    end
    return table.concat(out, " ")
  end

  it("[E7] is that of the hour, the day, the date and the size", function()
    kit.setup { target("p/night", 10, true), target("p/steady", 7) }
    local monday = SUNDAY + 86400
    for _, case in ipairs {
      { monday + 12 * 3600, 100, 10 }, { monday + 16.5 * 3600 - 1, 100, 10 }, { monday + 16.5 * 3600, 100, 5 },
      { monday + 86400 + 1799, 100, 5 }, { monday + 86400 + 1800, 100, 10 }, { monday + 20 * 3600, 1000, 5 },
      { monday + 20 * 3600, 1001, 20 }, { SUNDAY + 12 * 3600, 100, 5 }, { SUNDAY + 7 * 86400 + 12 * 3600, 100, 10 },
    } do
      local all = begin(case[1], case[2])
      local t = all:only("p/night")[1]
      assert.equal(case[3], t.price.input)
      assert.is_true(math.abs(t.cost() - case[2] * case[3] / 1e6) < 1e-12)
      assert.equal(case[3] < 7 and "night steady" or "steady night", order_of(all))
    end
    assert.is_nil(begin(monday + 12 * 3600):only("p/night")[1].price.cached)
    assert.equal(0, begin(monday + 17 * 3600):only("p/night")[1].price.cached)
  end)

  it("without a time is what no time decides", function()
    kit.setup { target("p/night", 10, true) }
    call.begin { tokens = { input = 5000, output = 0 } }
    assert.is_true(math.abs(call.cost(catalogue.records[1]) - 0.1) < 1e-12)
    call.begin { tokens = { input = 5, output = 0 } }
    assert.is_true(math.abs(call.cost(catalogue.records[1]) - 5e-5) < 1e-12)
  end)

  it("finds its place among a hundred others, whose order is kept ready", function()
    local targets = {}
    for i = 1, 100 do
      targets[i] = target("p/m" .. i, (i * 37) % 101 + 1, i % 9 == 0)
    end
    kit.setup(targets)
    for _, now in ipairs { SUNDAY, SUNDAY + 86400 + 12 * 3600, SUNDAY + 86400 + 20 * 3600 } do
      for _, tokens in ipairs { 100, 2000 } do
        local all = begin(now, tokens)
        local whole = order_of(all)
        local first = {}
        for name in whole:gmatch "%S+" do
          first[#first + 1] = #first < 4 and name or nil
        end
        assert.equal(table.concat(first, " "), order_of(begin(now, tokens), 4))
        assert.equal(4, #first)
        local sorted = begin(now, tokens):cheapest():list()
        for i = 2, #sorted do
          assert(sorted[i - 1].cost() <= sorted[i].cost())
        end
      end
    end
  end)
end)
