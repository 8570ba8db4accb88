local steps = require "perilune.steps"

describe("steps.step", function()
  it("gives the core's form", function()
    assert.same({ timeout_ms = 5, retries = 0, max_cost_usd = 0.5 },
      steps.step { target = "x", timeout_ms = 5, retries = 0, max_cost_usd = 0.5 })
    assert.same({}, steps.step { max_cost_usd = math.huge })
  end)

  it("orders parameters by name and flattens extra", function()
    local params = steps.step({ params = { top_p = 0.5, extra = { a = { x = { 1 } } }, drop = { "seed" } } }).params
    assert.same({ { "a", '{"x":[1]}' }, { "seed" }, { "top_p", "0.5" } }, params)
  end)

  for _, case in ipairs {
    { { timeout_ms = -1 }, "milliseconds" }, { { timeout_ms = 0 / 0 }, "milliseconds" }, { { timeout_ms = "5" }, 'got "5"' },
    { { max_cost_usd = -1 }, "dollars" }, { { params = 3 }, "table of parameters" }, { { params = { stream = true } }, "not a parameter" },
    { { params = { extra = 1 } }, "fields for the wire" }, { { params = { drop = { "model" } } }, "parameter names" },
    { { params = { a = 1, extra = { a = 2 } } }, "set twice" }, { { params = { [1] = 2 } }, "parameter names" },
  } do
    it("refuses " .. case[2], function()
      assert.error_matches(function() steps.step(case[1]) end, case[2])
    end)
  end
end)

describe("steps.chain", function()
  it("gives the core's form", function()
    local fields = { deadline_ms = 1, max_attempts = 3, on_exhausted = "queue", hold_ms = 0, after_first_byte = "error", reason = "x" }
    assert.same(fields, steps.chain(fields))
  end)

  it("refuses what it does not know", function()
    assert.error_matches(function() steps.chain { after_first_byte = "retry" } end, '"error"')
    assert.error_matches(function() steps.chain { max_attempts = 0 } end, "from 1 to 100")
    assert.error_matches(function() steps.chain(3) end, "table of chain fields")
  end)
end)

describe("steps.merge", function()
  it("lets the second win and changes neither", function()
    local a, b = { x = 1, y = 1 }, { y = 2 }
    assert.same({ x = 1, y = 2 }, steps.merge(a, b))
    assert.same({ x = 1, y = 1 }, a)
    assert.equal(a, steps.merge(a, false))
    assert.equal(b, steps.merge(nil, b))
    assert.is_false(steps.merge(nil, nil))
  end)
end)
