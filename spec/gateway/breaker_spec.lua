-- Targets that fail are left alone, found again when they are back, and never shut for good.
local gateway = require "support.gateway"
local loop = require "support.loop"
local upstream = require "support.upstream"

local ROW = 5 -- failures that open a breaker

local function bad(peer)
  peer:send(upstream.answer(500, '{"error":{"message":"down"}}'))
end

local function good(peer)
  peer:send(upstream.answer(200, upstream.completion "good"))
end

local POLICIES = {
  one = "return function() return { 'a/m' } end",
  hasty = "return function() return { 'a/m', retry_window_ms = 300 } end",
  both = "return function() return { 'a/m', 'b/m' } end",
  choosy = [[
    return function()
      return { "a/m", { target = "b/m", when = { "timeout" } }, { target = "c/m", when = { "server_error" } } }
    end]],
}

describe("a breaker", function()
  local house, ups

  before_each(loop.test(function()
    ups = { a = upstream.start(bad), b = upstream.start(good), c = upstream.start(good) }
    local providers = {}
    for name, up in pairs(ups) do
      providers[name] = gateway.provider(up.url)
    end
    house = gateway.start { providers = providers, policies = POLICIES, headers = { ["x-route-trace"] = "1" } }
  end))
  after_each(loop.test(function()
    house:stop()
    for _, up in pairs(ups) do
      up:close()
      assert.same({}, up.faults)
    end
  end))

  local function open_a()
    for _ = 1, ROW do
      house:chat { policy = "one" }
    end
    assert.equal(ROW, #ups.a.requests)
  end

  it("that is open is passed over without an attempt, as if it had failed", loop.test(function()
    open_a()
    local answer = house:chat { policy = "both" }
    assert.equal("b", answer.headers["x-routed-provider"])
    assert.equal("1", answer.headers["x-route-attempts"])
    local first = answer.json.route.attempts[1]
    assert.same({ "a/m", "server_error", true, true }, { first.target, first.failure, first.skipped, first.open })
    assert.equal("c", house:chat({ policy = "choosy" }).headers["x-routed-provider"])
    assert.equal(ROW, #ups.a.requests)
  end))

  it("is insisted on when nothing else is left, by one at a time, and so a target that is back is found", loop.test(function()
    open_a()
    ups.a.handler = function(peer)
      ups.a.held = peer
    end
    local asked = house:ask { policy = "one" }
    ups.a:wait_for(ROW + 1)
    local other = house:chat { policy = "hasty" }
    assert.equal(503, other.status)
    assert.equal("no_eligible_target", other.json.error.code)
    assert.is_truthy(tonumber(other.headers["retry-after"]) >= 1)
    assert.equal("0", other.headers["x-route-attempts"])
    good(ups.a.held)
    local found = assert(asked:response())
    assert.equal(200, found.status)
    assert.is_true(found.json.route.attempts[2].last_resort)
    asked:close()
    ups.a.handler = good
    assert.equal("1", house:chat({ policy = "both" }).headers["x-route-attempts"])
  end))

  it("that somebody asks for want of others is waited for by those who have no others either", loop.test(function()
    open_a()
    ups.a.handler = function(peer)
      ups.a.held = peer
    end
    local function ask()
      return loop.go(function()
        return house:chat { policy = "one" }
      end)
    end
    local waiting = { ask() }
    ups.a:wait_for(ROW + 1)
    for i = 2, 12 do
      waiting[i] = ask()
    end
    -- So long that they would have been refused, had they not waited.
    assert.equal(503, house:chat({ policy = "hasty" }).status)
    assert.equal(ROW + 1, #ups.a.requests)
    ups.a.handler = good
    good(ups.a.held)
    for _, answer in ipairs(waiting) do
      assert.equal(200, answer().status)
    end
    assert.equal(ROW + 12, #ups.a.requests)
  end))

  it("that is asked in vain is not asked by those who waited for it", loop.test(function()
    open_a()
    ups.a.handler = function(peer)
      ups.a.held = peer
    end
    local function ask()
      return loop.go(function()
        return house:chat { policy = "one" }
      end)
    end
    local first = ask()
    ups.a:wait_for(ROW + 1)
    local waiting = {}
    for i = 1, 12 do
      waiting[i] = ask()
    end
    assert.equal(503, house:chat({ policy = "hasty" }).status)
    bad(ups.a.held)
    assert.equal("fallbacks_exhausted", first().json.error.code)
    for _, answer in ipairs(waiting) do
      assert.equal("no_eligible_target", answer().json.error.code)
    end
    assert.equal(ROW + 1, #ups.a.requests)
  end))

  it("lets those go on together who waited out the same Retry-After", loop.test(function()
    ups.a.handler = function(peer)
      if #ups.a.requests == 8 then
        ups.a.handler = good
      end
      ups.a:wait_for(8) -- they are all refused at the same time
      peer:send(upstream.answer(429, '{"error":{"message":"slowly"}}', {
        ["retry-after-ms"] = "500", ["content-type"] = "application/json",
      }))
    end
    for _, answer in ipairs(loop.spread(8, 8, function()
      return house:chat { policy = "one" }
    end)) do
      assert.equal(200, answer.status, answer.body)
      assert.equal("2", answer.headers["x-route-attempts"])
    end
    assert.equal(16, #ups.a.requests)
  end))

  it("that is half open lets one probe through, whichever worker asks", loop.test(function()
    open_a()
    ups.a.handler = function(peer)
      ups.a.held = peer
    end
    -- While it cools down the other one answers; the first that is let through again waits there.
    local probing = loop.go(function()
      repeat
        house:chat { policy = "both" }
      until ups.a.held
    end)
    ups.a:wait_for(ROW + 1)
    for _, answer in ipairs(loop.spread(60, 20, function()
      return house:chat { policy = "both" }
    end)) do
      assert.equal("b", answer.headers["x-routed-provider"])
      assert.equal("1", answer.headers["x-route-attempts"])
    end
    assert.equal(ROW + 1, #ups.a.requests)
    good(ups.a.held)
    probing()
  end))

  it("does not open for what clients do wrong, or for clients that leave", loop.test(function()
    ups.a.handler = function(peer)
      peer:send(upstream.answer(400, '{"error":{"message":"wrong","code":"bad"}}'))
    end
    for _ = 1, 2 * ROW do
      assert.equal(400, house:chat({ policy = "one" }).status)
    end
    ups.a.handler = function() end
    for i = 1, 2 * ROW do
      local c = house:ask { policy = "one" }
      ups.a:wait_for(2 * ROW + i)
      c:close()
    end
    ups.a.handler = good
    assert.equal("1", house:chat({ policy = "one" }).headers["x-route-attempts"])
  end))

  it("keeps a total failure from multiplying", loop.test(function()
    ups.b.handler, ups.c.handler = bad, bad
    local n = 300
    for _, answer in ipairs(loop.spread(n, 10, function()
      return house:chat { policy = "both" }
    end)) do
      assert.equal(503, answer.status, answer.body)
      assert.is_true(tonumber(answer.headers["x-route-attempts"]) <= 3) -- its chain and one probe
      assert.is_truthy(answer.json.error.code == "fallbacks_exhausted" or answer.json.error.code == "no_eligible_target")
    end
    assert.is_true(#ups.a.requests + #ups.b.requests <= 1.2 * n, #ups.a.requests + #ups.b.requests .. " attempts")
  end))

  it("obeys the moment a provider names, for want of anything else too", loop.test(function()
    ups.a.handler = function(peer)
      peer:send(upstream.answer(429, '{"error":{"message":"slowly"}}', { ["retry-after"] = "40", ["content-type"] = "application/json" }))
    end
    assert.equal(429, house:chat({ policy = "one" }).status)
    for _ = 1, 10 do
      local answer = house:chat { policy = "one" }
      assert.equal(429, answer.status)
      local seconds = tonumber(answer.headers["retry-after"])
      assert.is_true(seconds > 30 and seconds <= 40, answer.headers["retry-after"])
    end
    assert.equal(1, #ups.a.requests)
  end))
end)
