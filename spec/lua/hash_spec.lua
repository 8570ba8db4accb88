local hash = require "perilune.hash"

describe("hash.text", function()
  it("is the same for the same and differs for nearly the same", function()
    assert.equal(hash.text "session-1", hash.text "session-1")
    assert.are_not.equal(hash.text "session-1", hash.text "session-2")
    assert.are_not.equal(hash.text("a", 1), hash.text("a", 2))
  end)

  it("spreads evenly", function()
    local bins = {}
    for i = 1, 10000 do
      local bin = math.floor(hash.fraction(hash.text("user-" .. i)) * 10)
      bins[bin] = (bins[bin] or 0) + 1
    end
    for bin = 0, 9 do
      assert(bins[bin] > 850 and bins[bin] < 1150, ("bin %d has %d"):format(bin, bins[bin]))
    end
  end)

  it("gives fractions over 0 and under 1", function()
    assert(hash.fraction(-1) < 1)
    assert(hash.fraction(0) > 0)
  end)
end)

describe("hash.chance", function()
  it("is spread evenly over small seeds, and says nothing about another purpose", function()
    local n, sum, other = 0, 0, 0
    for seed = 1, 20000 do
      local c = hash.chance(seed, 1)
      sum = sum + c
      if c < 0.05 then
        n, other = n + 1, other + hash.chance(seed, 2)
      end
    end
    assert(math.abs(sum / 20000 - 0.5) < 0.01 and math.abs(n / 20000 - 0.05) < 0.006, n)
    assert(math.abs(other / n - 0.5) < 0.05, other / n)
    assert.equal(hash.chance(2 ^ 53 - 1, 1), hash.chance(2 ^ 53 - 1, 1))
  end)
end)

describe("hash.random", function()
  it("has a second number that the first says nothing about, although seeds are small", function()
    local n, sum = 0, 0
    for seed = 1, 20000 do
      local random = hash.random(seed)
      if random() < 0.05 then
        n, sum = n + 1, sum + random()
      end
    end
    assert(math.abs(sum / n - 0.5) < 0.05, sum / n)
  end)

  it("repeats for a seed", function()
    local a, b = hash.random(123456789012345), hash.random(123456789012345)
    for _ = 1, 100 do
      assert.equal(a(), b())
    end
  end)

  it("differs between seeds next to each other, from the first number on", function()
    local sum = 0
    for seed = 1, 1000 do
      local v = hash.random(seed)()
      assert(v >= 0 and v < 1)
      sum = sum + v
    end
    assert(sum > 460 and sum < 540, sum)
  end)
end)
