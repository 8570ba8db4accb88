-- A policy that may choose again after a failure does not get more for it than a chain would have: not for ever, not beyond
-- what a strict request named, not at the cost of anybody else when it runs away.
local gateway = require "support.gateway"
local loop = require "support.loop"
local upstream = require "support.upstream"

local POLICIES = {
  -- A target of no list has no breaker, which would end this sooner.
  same_rest = [[
    return { decide = function() return { "down/any" } end, on_failure = function() return { "down/any" } end }]],
  stays = [[
    return { decide = function() return { "down/any" } end, on_failure = function() return { retry_in_ms = 0 } end }]],
  goes_elsewhere = [[
    return { decide = function() return { "down/m" } end, on_failure = function() return { "good/m" } end }]],
  gives_nothing = [[
    return { decide = function() return { "down/m", "good/m" } end, on_failure = function() return {} end }]],
  runs_away = [[
    return { decide = function() return { "down/m", "good/m" } end, on_failure = function() while true do end end }]],
  raises = [[
    return { decide = function() return { "down/m", "good/m" } end, on_failure = function() error "no idea" end }]],
  nonsense = [[
    return { decide = function() return { "down/m", "good/m" } end, on_failure = function() return "\0", {} end }]],
  never_in_time = [[
    return { decide = function() return { "down/m" } end, on_failure = function() return { retry_in_ms = 1e15 } end }]],
}

-- What an attempt's failure may change at most; so many attempts are made besides the first.
local TURNS = 16

describe("on_failure", function()
  local house, down, good

  before_each(loop.test(function()
    down = upstream.start(function(peer)
      peer:send(upstream.answer(500, '{"error":{"message":"down"}}'))
    end)
    good = upstream.start(function(peer)
      peer:send(upstream.answer(200, upstream.completion "good"))
    end)
    house = gateway.start {
      providers = { down = gateway.provider(down.url), good = gateway.provider(good.url) },
      policies = POLICIES,
      config = { policies = { quarantine = { kills = 0, kills_one_key = 0 } } },
    }
  end))
  after_each(loop.test(function()
    house:stop()
    down:close()
    good:close()
    assert.same({}, down.faults)
  end))

  for _, name in ipairs { "same_rest", "stays" } do
    it("that never gives up (" .. name .. ") is given up on", loop.test(function()
      local answer = house:chat { policy = name }
      assert.equal("fallbacks_exhausted", answer.json.error.code)
      assert.equal(TURNS + 1, #down.requests)
      assert.equal(TURNS + 1, #answer.json.error.route.attempts)
    end))
  end

  it("leads a strict request nowhere it did not name", loop.test(function()
    assert.equal("good", house:chat({ policy = "goes_elsewhere" }).headers["x-routed-provider"])
    local answer = house:chat { policy = "goes_elsewhere", model = "down/m", headers = { ["x-route-strict"] = "1" } }
    assert.equal("fallbacks_exhausted", answer.json.error.code)
    assert.equal(1, #answer.json.error.route.attempts)
    assert.equal(1, #good.requests)
  end))

  it("may end the chain", loop.test(function()
    assert.equal("fallbacks_exhausted", house:chat({ policy = "gives_nothing" }).json.error.code)
    assert.equal(0, #good.requests)
  end))

  for _, name in ipairs { "runs_away", "raises", "nonsense" } do
    it("that fails (" .. name .. ") leaves the chain as it was", loop.test(function()
      for _, answer in ipairs(loop.spread(24, 8, function()
        return house:chat { policy = name, headers = { ["x-route-trace"] = "1" } }
      end)) do
        assert.equal(200, answer.status, answer.body)
        assert.equal("good", answer.headers["x-routed-provider"])
        assert.is_truthy(answer.json.route.attempts[1].failure)
      end
    end))
  end

  it("can not wait beyond all measure", loop.test(function()
    local answer = house:chat { policy = "never_in_time", headers = { ["x-route-deadline-ms"] = "5000" } }
    assert.equal("fallbacks_exhausted", answer.json.error.code)
  end))

  it("that runs away under a policy which was replaced meanwhile is no matter to the new one", loop.test(function()
    local held = {}
    down.handler = function(peer)
      held[#held + 1] = peer
    end
    local asked = {}
    for i = 1, 6 do
      asked[i] = house:ask { policy = "runs_away" }
    end
    down:wait_for(6)
    house:write_policy("runs_away", "return function() return { 'good/m' } end")
    assert.equal(0, (house:command "reload"))
    for _, peer in ipairs(held) do
      peer:send(upstream.answer(500, "{}"))
    end
    for _, c in ipairs(asked) do
      local answer = assert(c:response())
      assert.equal(200, answer.status, answer.body)
      assert.equal("2", answer.headers["x-route-attempts"])
      c:close()
    end
    assert.equal("1", house:chat({ policy = "runs_away" }).headers["x-route-attempts"])
  end))
end)
