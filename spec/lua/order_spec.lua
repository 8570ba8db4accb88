local hash = require "perilune.hash"
local order = require "perilune.order"

describe("order.sort", function()
  it("sorts, stable, at any length", function()
    local random = hash.random(3)
    for _, n in ipairs { 0, 1, 2, 7, 8, 9, 16, 17, 100, 1000 } do
      local list, keys = {}, {}
      for i = 1, n do
        list[i], keys[i] = i, math.floor(random() * 10)
      end
      order.sort(list, keys)
      assert.equal(n, #list)
      for i = 2, n do
        local a, b = list[i - 1], list[i]
        assert(keys[a] < keys[b] or (keys[a] == keys[b] and a < b))
      end
    end
  end)
end)

describe("order.walk", function()
  local function points(n, seed, spread)
    local random = hash.random(seed)
    local items, x, y = {}, {}, {}
    for i = 1, n do
      items[i] = i
      x[i] = spread and random() * 100 or math.floor(random() * 5)
      y[i] = spread and random() * 100 or math.floor(random() * 5)
    end
    return items, x, y
  end

  local function walked(plane, a, b, limit)
    local out = {}
    order.walk(plane, a, b, function(item)
      out[#out + 1] = item
      return limit and #out >= limit
    end, order.scratch())
    return out
  end

  for _, spread in ipairs { true, false } do
    it("gives every item in ascending cost, whatever the weights" .. (spread and "" or ", with many ties"), function()
      local items, x, y = points(300, 5, spread)
      local plane = order.plane(items, x, y)
      for _, w in ipairs {
        { 1, 0 }, { 0, 1 }, { 1, 1 }, { 1000, 300 }, { 300, 1000 }, { 100000, 1 }, { 1, 100000 }, { 33, 1 }, { 7, 2 },
      } do
        local out = walked(plane, w[1], w[2])
        assert.equal(300, #out)
        local last, seen = -1, {}
        for _, item in ipairs(out) do
          local cost = w[1] * x[item] + w[2] * y[item]
          assert(cost >= last - 1e-6, "out of order")
          assert(not seen[item], "twice")
          last, seen[item] = cost, true
        end
      end
    end)
  end

  it("stops when told and looks at few until then", function()
    local looked = 0
    local items, x, y = points(1000, 9, true)
    local plane = order.plane(items, x, y)
    local counted = setmetatable({}, { __index = function(_, class)
      looked = looked + 1
      return x[class]
    end })
    plane.xs = counted
    assert.equal(3, #walked(plane, 1000, 300, 3))
    assert(looked < 100, looked)
  end)

  it("keeps items of one point in the order they were given", function()
    local plane = order.plane({ 3, 1, 2 }, { 1, 1, 1 }, { 2, 2, 2 })
    assert.same({ 3, 1, 2 }, walked(plane, 1, 1))
  end)

  it("takes no items", function()
    assert.same({}, walked(order.plane({}, {}, {}), 1, 1))
  end)
end)

describe("order.move", function()
  it("leaves the orders as sorting them anew would", function()
    local random = hash.random(5)
    local moved, sorted = order.blank(60), order.blank(60)
    local function tell(plane, i, x, y)
      plane.xs[i], plane.ys[i] = x, y
    end
    for i = 1, 60 do
      local x, y = math.floor(random() * 20), math.floor(random() * 20)
      tell(moved, i, x, y)
      tell(sorted, i, x, y)
    end
    order.resort(moved)
    for _ = 1, 200 do
      local i, x, y = 1 + math.floor(random() * 60), math.floor(random() * 20), math.floor(random() * 20)
      order.move(moved, i, x, y)
      tell(sorted, i, x, y)
    end
    order.resort(sorted)
    assert.same(sorted.values, moved.values)
    for _, list in ipairs(moved.lists) do
      table.sort(list)
      assert.same(60, list[60])
      assert.same(60, #list)
    end
  end)
end)
