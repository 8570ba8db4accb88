-- What was known of a target at a moment, and whether it was failing then.
local history = require "perilune.history"

local function line(at, target, fields)
  local out = { at = at, target = target }
  for k, v in pairs(fields or {}) do
    out[k] = v
  end
  return out
end

describe("figures", function()
  it("are those of the moment, not the newest", function()
    local h = history.new()
    h:figures(0, line(10, "a", { headroom = 0.9 }))
    h:figures(0, line(20, "a", { headroom = 0.1 }))
    assert.is_nil(h:known(0, "a", 9.9))
    assert.equal(0.9, h:known(0, "a", 10).headroom)
    assert.equal(0.9, h:known(0, "a", 19.9).headroom)
    assert.equal(0.1, h:known(0, "a", 500).headroom)
    assert.is_nil(h:known(0, "b", 500))
    assert.is_nil(h:known(1, "a", 500))
  end)

  it("are told when they change, and no more often", function()
    local h, told = history.new(), {}
    h:figures(0, line(10, "a"))
    h:figures(0, line(20, "a"))
    h:figures(0, line(15, "b"))
    local changes = h:changes(0, 12, told)
    assert.same({ { at = 10, target = "a" } }, changes)
    assert.is_nil(h:changes(0, 13, told))
    assert.equal(2, #h:changes(0, 30, told))
    assert.is_nil(h:changes(0, 31, told))
    -- Back again, to before anything was known.
    changes = h:changes(0, 5, told)
    table.sort(changes, function(x, y)
      return x.target < y.target
    end)
    assert.same({ { target = "a" }, { target = "b" } }, changes)
    assert.same({}, told)
  end)

  it("of another worker are not what this one knew", function()
    local h, told = history.new(), {}
    h:figures(0, line(10, "a", { headroom = 0.5 }))
    h:figures(1, line(10, "b", { headroom = 0.7 }))
    assert.same({ { at = 10, target = "a", headroom = 0.5 } }, h:changes(0, 11, told))
    local changes = h:changes(1, 11, told)
    table.sort(changes, function(x, y)
      return x.target < y.target
    end)
    assert.same({ { target = "a" }, { at = 10, target = "b", headroom = 0.7 } }, changes)
    assert.same({ { target = "b" } }, h:changes(2, 11, told))
  end)

  it("are kept for a while", function()
    local h = history.new()
    for at = 1, 5000 do
      h:figures(0, line(at, "a"))
    end
    assert.is_true(#h.of[0].a <= 2048)
    assert.equal(4100, h:known(0, "a", 4100.5).at)
  end)
end)

describe("a target", function()
  it("was failing when an attempt failed within half a minute and none answered", function()
    local h = history.new()
    h:ended("a", 100, true)
    for at, failing in pairs { [69] = false, [70] = true, [100] = true, [130] = true, [131] = false } do
      assert.equal(failing, h:failing("a", at), at)
    end
    h:ended("a", 120, false)
    assert.is_false(h:failing("a", 100))
    assert.is_true(h:failing("a", 75))
    assert.is_false(h:failing("b", 100))
  end)

  it("is forgotten, second by second, and its failures with it", function()
    local h = history.new()
    h:ended("a", 1, true)
    for at = 2, 2000 do
      h:ended("a", at, false)
    end
    assert.is_false(h:failing("a", 1))
    assert.equal(0, h.ends.a.failures)
    local kept = 0
    for _ in pairs(h.ends.a.seconds) do
      kept = kept + 1
    end
    assert.equal(900, kept)
  end)
end)
