local steps = require "perilune.steps"

-- What is sound, and what was said of the rest.
local function read(what, t)
  local said = {}
  local out = steps[what](t, "chain[2]", function(path, why)
    said[#said + 1] = path .. ": " .. why
  end)
  return out, said
end

local function sound(what, t)
  local out, said = read(what, t)
  assert.same({}, said)
  return out
end

describe("steps.step", function()
  it("gives the core's form", function()
    assert.same({ timeout_ms = 5, retries = 0, max_cost_usd = 0.5 },
      sound("step", { target = "x", timeout_ms = 5, retries = 0, max_cost_usd = 0.5 }))
    assert.same({}, sound("step", { max_cost_usd = math.huge }))
  end)

  it("orders parameters by name and flattens extra", function()
    local params = sound("step", { params = { top_p = 0.5, extra = { a = { x = { 1 } } }, drop = { "seed" } } }).params
    assert.same({ { "a", '{"x":[1]}' }, { "seed" }, { "top_p", "0.5" } }, params)
  end)

  for _, case in ipairs {
    { { timeout_ms = -1 }, ".timeout_ms: expected milliseconds, a number from 0 to 86400000, got -1" },
    { { timeout_ms = 0 / 0 }, ".timeout_ms: expected milliseconds" }, { { timeout_ms = "5" }, 'got "5"' },
    { { timeout = 5 }, '.timeout: a step has no such field; did you mean "timeout_ms"' },
    { { retries = 1.5 }, ".retries: expected a whole number from 0 to 10" },
    { { when = { "timeot" } }, '.when: no failure class "timeot"; did you mean "timeout"' },
    { { max_cost_usd = -1 }, ".max_cost_usd: expected dollars" }, { { params = 3 }, ".params: expected a table of parameters" },
    { { params = { stream = true } }, ".params.stream: this is not a parameter" },
    { { params = { extra = 1 } }, ".params.extra: expected a table of fields for the wire" },
    { { params = { drop = { "model" } } }, ".params.drop[1]: expected the name of a parameter" },
    { { params = { drop = 3 } }, ".params.drop: expected a list of parameter names" },
    { { params = { a = 1, extra = { a = 2 } } }, ".params.extra.a: it is set twice" },
    { { params = { a = 1, drop = { "a" } } }, '.params.drop[1]: "a" is set, too' },
    { { params = { [1] = 2 } }, ".params: expected parameter names" },
    { { params = { a = function() end } }, ".params.a: JSON has no function" },
  } do
    it("says " .. case[2] .. ", and takes what is sound", function()
      case[1].idle_ms = 7
      local out, said = read("step", case[1])
      assert.equal(7, out.idle_ms)
      assert.is_nil(out.timeout_ms or out.retries or out.max_cost_usd or out.timeout)
      assert(said[1]:sub(1, 8) == "chain[2]" and said[1]:find(case[2], 1, true), said[1])
    end)
  end

  it("takes the sound ones of parameters and classes", function()
    local out, said = read("step", { when = { "connect", "timeot" }, params = { top_p = 1, model = "x" }, target = 3 })
    assert.equal(2, out.when)
    assert.same({ { "top_p", "1" } }, out.params)
    assert.equal(2, #said)
  end)

  it("raises for what is no table", function()
    assert.error_matches(function() read("step", "x") end, "table of step fields")
  end)
end)

describe("steps.chain", function()
  it("gives the core's form", function()
    local fields = { deadline_ms = 1, max_attempts = 3, on_exhausted = "queue", hold_ms = 0, after_first_byte = "error", reason = "x" }
    assert.same(fields, sound("chain", fields))
  end)

  it("says what it does not know, in one order", function()
    local out, said = read("chain", { after_first_byte = "retry", max_attempts = 0, target = "x", reason = 3, deadline_ms = 5 })
    assert.same({ deadline_ms = 5 }, out)
    assert.matches('after_first_byte: expected "error"', said[1])
    assert.matches("max_attempts: .*from 1 to 100", said[2])
    assert.matches("reason: expected a text", said[3])
    assert.matches("target: a chain has no such field", said[4])
    assert.error_matches(function() read("chain", 3) end, "table of chain fields")
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
