local evaluate = require "perilune.evaluate"
local fleet = require "perilune.fleet"
local kit = require "support.policy_kit"

describe("evaluate", function()
  local all

  before_each(function()
    kit.setup()
    all = fleet.begin(kit.request())
  end)

  local function list(f, want)
    local out = {}
    for j, i in ipairs((evaluate.eval(f, want or math.huge))) do
      out[j] = i
    end
    return out
  end

  it("evaluates filters inside filters, to any depth", function()
    -- A filter that looks at fleets itself, while the outer walk is under way.
    local f = all:where(function(t)
      return all:cheapest():where(function(u)
        return all:best():take(1)[1].id ~= u.id
      end):take(2)[1].id == t.id
    end):cheapest()
    assert.same({ 2 }, list(f))
  end)

  it("sorts what was sorted, stable", function()
    assert.same({ 2, 4, 1, 3, 5 }, list(all:best():cheapest()))
    assert.same({ 3, 4, 1, 2, 5 }, list(all:cheapest():best()))
  end)

  it("commutes filters and one order", function()
    local before = list(all:except("gpt-4o-mini"):cheapest())
    assert.same(before, list(all:cheapest():except "gpt-4o-mini"))
  end)

  it("takes before it filters, where the words say so", function()
    assert.same({}, list(all:take(1):except "gpt-4o"))
    assert.same({ 2 }, list(all:except("gpt-4o"):take(1)))
  end)

  it("does not run a filter over an empty fleet", function()
    local ran = false
    local f = all:take(0):where(function()
      ran = true
    end):cheapest():able()
    assert.same({}, list(f))
    assert.is_false(ran)
  end)

  it("serves more words than it keeps nodes for", function()
    local f = all
    for _ = 1, 500 do
      f = f:where(function() return true end)
    end
    assert.same({ 1, 2, 3, 4, 5 }, list(f))
  end)

  it("goes on after a filter that failed", function()
    for _ = 1, 10 do
      pcall(function()
        list(all:where(function() error "no" end))
      end)
    end
    assert.same({ 2, 4 }, list(all:cheapest():take(2)))
  end)
end)
