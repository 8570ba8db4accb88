-- A slow attempt gets company: the first content wins, the loser is cancelled and written down, and it costs few requests more.
local gateway = require "support.gateway"
local loop = require "support.loop"
local upstream = require "support.upstream"

local HEDGE_MS = 100

local POLICIES = {
  raced = ("return function() return { 'a/m', 'b/m', 'c/m', hedge_after_ms = %d } end"):format(HEDGE_MS),
  alone = "return function() return { 'a/m' } end",
  hardly = ([[
    return function()
      return { { target = "a/m" }, { target = "b/m", when = { "timeout" } }, hedge_after_ms = %d }
    end]]):format(HEDGE_MS),
}

local function answer_of(name)
  return function(peer, request)
    if request.json.stream then
      local said = upstream.chunk(('{"content":"%s"}'):format(name)) .. upstream.chunk("{}", '"stop"')
      peer:send(upstream.STREAM_HEAD .. said .. "data: [DONE]\n\n")
      peer:close()
    else
      peer:send(upstream.answer(200, upstream.completion(name)))
    end
  end
end

-- Takes the request and is silent; notes when the peer leaves.
local function silent(up)
  return function(peer)
    up.silent = (up.silent or 0) + 1
    if not peer:read() then
      up.left = (up.left or 0) + 1
    end
  end
end

local function failing(peer)
  peer:send(upstream.answer(500, '{"error":{"message":"down"}}'))
end

describe("a hedge", function()
  local house, ups

  before_each(loop.test(function()
    ups = {}
    local providers = {}
    for _, name in ipairs { "a", "b", "c" } do
      ups[name] = upstream.start(answer_of(name))
      providers[name] = gateway.provider(ups[name].url)
    end
    house = gateway.start { providers = providers, policies = POLICIES, headers = { ["x-route-trace"] = "1" }, config = { workers = 1 } }
  end))
  after_each(loop.test(function()
    house:stop()
    for _, up in pairs(ups) do
      up:close()
      assert.same({}, up.faults)
    end
  end))

  for _, kind in ipairs { "chat", "stream" } do
    it("answers in the place of one that is slow, which is cancelled and recorded once: " .. kind, loop.test(function()
      ups.a.handler = silent(ups.a)
      local answer = house[kind](house, { policy = "raced" })
      assert.equal(200, answer.status, answer.body)
      assert.equal("b", answer.headers["x-routed-provider"])
      assert.equal("2", answer.headers["x-route-attempts"])
      local route = kind == "chat" and answer.json.route
      for _, event in ipairs(answer.events or {}) do
        route = event.json and event.json.route or route
      end
      assert.equal(2, #route.attempts)
      local loser, winner = route.attempts[1], route.attempts[2]
      assert.same({ "a/m", "cancelled", true }, { loser.target, loser.failure, loser.maybe_accepted })
      assert.same({ "b/m", true }, { winner.target, winner.hedge })
      loop.until_true(function()
        return ups.a.left == 1
      end, "the loser to be let go")
      assert.equal(0, #ups.c.requests)
    end))
  end

  it("is not begun for a step that does not take slowness", loop.test(function()
    ups.a.handler = function(peer, request)
      loop.pause(3 * HEDGE_MS)
      answer_of "a"(peer, request)
    end
    local answer = house:chat { policy = "hardly" }
    assert.equal("1", answer.headers["x-route-attempts"])
    assert.equal(0, #ups.b.requests)
  end))

  it("goes on when the other one fails, and the walk goes on behind both", loop.test(function()
    ups.a.handler = function(peer)
      ups.b:wait_for(1)
      failing(peer)
    end
    ups.b.handler = function(peer, request)
      loop.pause(HEDGE_MS) -- the first one fails meanwhile
      answer_of "b"(peer, request)
    end
    assert.equal("b", house:chat({ policy = "raced" }).headers["x-routed-provider"])
    ups.b.handler = failing
    ups.a.handler = function(peer)
      ups.b:wait_for(2)
      failing(peer)
    end
    local answer = house:chat { policy = "raced" }
    assert.equal("c", answer.headers["x-routed-provider"])
    assert.equal("3", answer.headers["x-route-attempts"])
    assert.equal(1, #ups.c.requests)
  end))

  it("leaves no more behind than one attempt when its client leaves", loop.test(function()
    ups.a.handler, ups.b.handler = silent(ups.a), silent(ups.b)
    local c = house:ask { policy = "raced" }
    ups.b:wait_for(1)
    c:close()
    loop.until_true(function()
      return ups.a.left == 1 and ups.b.left == 1
    end, "both to be cancelled")
  end))

  it("does not close a target because others were quicker", loop.test(function()
    ups.a.handler = silent(ups.a)
    for _ = 1, 8 do
      assert.equal("b", house:chat({ policy = "raced" }).headers["x-routed-provider"])
    end
    ups.a.handler = answer_of "a"
    assert.equal("a", house:chat({ policy = "alone" }).headers["x-routed-provider"])
  end))

  it("has a budget: a twentieth of all requests, and a few to begin with", loop.test(function()
    local begun = 0
    ups.a.handler = function(peer, request)
      loop.pause(2 * HEDGE_MS)
      answer_of "a"(peer, request)
    end
    local n = 200
    for _, answer in ipairs(loop.spread(n, 50, function()
      return house:chat { policy = "raced" }
    end)) do
      assert.equal(200, answer.status)
      begun = begun + tonumber(answer.headers["x-route-attempts"]) - 1
    end
    assert.is_true(begun >= 10 and begun <= 10 + n / 20, begun .. " hedges")
  end))

  it("cuts the slow tail for few requests more", loop.test(function()
    local SLOW_MS, n, asked = 20 * HEDGE_MS, 400, 0
    ups.a.handler = function(peer, request)
      asked = asked + 1
      if asked % 50 == 0 then
        loop.pause(SLOW_MS)
      end
      answer_of "a"(peer, request)
    end
    local function measure(policy)
      local times = loop.spread(n, 10, function()
        local began = loop.now()
        assert.equal(200, house:chat({ policy = policy }).status)
        return loop.now() - began
      end)
      table.sort(times)
      return times[math.ceil(0.99 * n)]
    end
    local plain, raced = measure "alone", measure "raced"
    assert.is_true(plain >= SLOW_MS and plain >= 5 * raced, plain .. " ms and " .. raced .. " ms")
    assert.is_true(asked + #ups.b.requests <= 2 * n * 1.05)
    assert.is_true(#ups.b.requests <= 0.05 * n)
  end))
end)
