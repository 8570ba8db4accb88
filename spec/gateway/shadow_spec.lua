-- A candidate decides beside the live policy: it is counted, it does nothing, and what is wrong with it is its own affair.
local gateway = require "support.gateway"
local loop = require "support.loop"
local mock = require "support.mock"

local function models(input, output)
  return { models = { { name = "m", price = { input = input, output = output } } } }
end

describe("a shadow", function()
  local up, house

  setup(loop.test(function()
    up = mock.start()
    house = gateway.start {
      providers = { dear = up:provider("", models(10, 10)), cheap = up:provider("", models(1, 1)) },
      policies = {
        live = "return function() return { 'cheap/m' } end",
        dearer = "return function() return { 'dear/m', 'cheap/m' } end",
        draws = "return function(req) return { req.random() < 0.5 and 'cheap/m' or 'dear/m' } end",
        draws_too = "return function(req) return { req.random() < 0.5 and 'cheap/m' or 'dear/m' } end",
        fine = "return function() return { 'cheap/m' } end",
        raises = "return function() error 'not yet' end",
        busy = "return function() return { 'cheap/m' } end",
        endless = "return function() while true do end end",
        refusing = "return function() return nil, { status = 403 } end",
        part = "return function() return { 'cheap/m' } end",
      },
      config = {
        workers = 1,
        policies = {
          shadow = {
            live = "dearer", draws = "draws_too", fine = "raises", busy = "endless", refusing = "live",
            part = { policy = "dearer", share = 0 },
          },
        },
      },
    }
  end))
  teardown(loop.test(function()
    house:stop()
    up:stop()
  end))

  local function ask(policy, n)
    local status
    for _ = 1, n do
      local answer = house:chat { policy = policy }
      status = answer.status
      assert(status == 200 or status == 403, answer.body)
    end
    return status
  end

  local function counts(live)
    local shadows = house:admin("GET", "/api/status").json.shadows
    for _, s in ipairs(shadows) do
      if s.live:match "^(.-)@" == live then
        return s
      end
    end
  end

  it("is counted, and decides nothing", loop.test(function()
    local before = up:stats().requests
    for _ = 1, 10 do
      assert.equal("cheap", house:chat({ policy = "live" }).headers["x-routed-provider"])
    end
    local s = counts "live"
    assert.same({ 10, 10, 10, 0, 0 }, { s.requests, s.changed, s.changed_first, s.errors, s.timeouts })
    assert.matches("^dearer@%x+$", s.candidate)
    assert.equal(10, s.expected_cost.requests)
    assert.is_true(math.abs(s.expected_cost.candidate_usd / s.expected_cost.live_usd - 10) < 0.01)
    if before then
      assert.equal(before + 10, up:stats().requests)
    end
  end))

  it("draws the numbers of the live one", loop.test(function()
    ask("draws", 40)
    local s = counts "draws"
    assert.same({ 40, 0 }, { s.requests, s.changed })
  end))

  it("that fails harms nobody, and is named in the log", loop.test(function()
    ask("fine", 3)
    local s = counts "fine"
    assert.same({ 3, 3, 0 }, { s.requests, s.errors, s.changed })
    house:wait_for_log "in the shadow: raised: policies/raises.lua:1: not yet"
  end))

  it("that has to be stopped is stopped alone, until it is in quarantine", loop.test(function()
    assert.equal(200, ask("busy", 30))
    local s = counts "busy"
    assert.equal(30, s.requests)
    assert.is_true(s.timeouts >= 1)
    assert.equal(30, s.timeouts + s.passed_over)
    for _, w in ipairs(house:admin("GET", "/api/status").json.workers) do
      assert.equal(0, w.policy_failures)
    end
    -- Another one gets the state that was made in its place.
    local again = counts("live").changed
    loop.until_true(function()
      ask("live", 1)
      return counts("live").changed > again
    end, "a candidate to decide again")
  end))

  it("beside a policy that refuses is asked although the request is over", loop.test(function()
    assert.equal(403, ask("refusing", 5))
    local s = counts "refusing"
    assert.same({ 5, 5 }, { s.requests, s.changed })
  end))

  it("decides on its share alone", loop.test(function()
    ask("part", 10)
    assert.same({ 0, 0 }, { counts("part").requests, counts("part").share })
  end))

  it("stands in the status people read", loop.test(function()
    local code, output = house:command "status"
    assert.equal(0, code)
    assert.matches("shadows", output)
    assert.matches("dearer@%x+ beside live@%x+: %d+ requests, %d+ decided otherwise", output)
    assert.matches("expected to cost %$[%d.]+ instead of %$[%d.]+", output)
  end))
end)
