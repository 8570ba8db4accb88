local call = require "perilune.call"
local kit = require "support.policy_kit"

describe("call", function()
  before_each(function()
    kit.setup()
    call.begin { tokens = { input = 1000, output = 500 }, seed = 3 }
  end)

  it("works out cost and latency for this request, or says nil", function()
    assert.is_true(math.abs(call.cost { input = 1, output = 4 } - 0.003) < 1e-12)
    assert.is_nil(call.cost { input = 1 })
    assert.equal(5200, call.latency { ttft = 200, ms_per_token = 10 })
    assert.equal(200, call.latency { ttft = 200 })
    assert.is_nil(call.latency {})
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
