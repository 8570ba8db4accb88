-- However a request ends, what was set aside for it is there again: its money, its place under limits, its free request.
local gateway = require "support.gateway"
local loop = require "support.loop"
local upstream = require "support.upstream"

local MODELS = { { name = "m", price = { input = 1, output = 2 }, context = 100000, max_output = 1000 } }

describe("what is set aside for a request", function()
  local house, good, bad, deaf, asked

  setup(loop.test(function()
    good = upstream.start(function(peer, request)
      asked = asked + 1
      if request.json.stream then
        return peer:send(upstream.STREAM_HEAD .. upstream.chunk '{"content":"a"}')
      end
      peer:send(upstream.answer(200, upstream.completion "x"))
    end)
    bad = upstream.start(function(peer)
      peer:send(upstream.answer(500, '{"error":{"message":"broken"}}'))
    end)
    deaf = upstream.start(function()
      asked = asked + 1
    end)
    local function provider(up)
      return gateway.provider(up.url, { models = MODELS })
    end
    house = gateway.start {
      providers = { good = provider(good), bad = provider(bad), deaf = provider(deaf) },
      policies = {
        one = "return function(req) return { req.tier .. '/m' } end",
        hedges = [[return function(req, fleet)
          return fleet:only { "deaf/m", "good/m" }:prefer { "deaf/m" }:chain { hedge_after_ms = 20 }
        end]],
        refuses = "return function() return nil, { status = 403, code = 'no', message = 'no' } end",
        raises = "return { decide = function() error 'broken' end, on_error = 'refuse' }",
        queues = [[return function(req, fleet)
          return fleet:only { "bad/m" }:chain { on_exhausted = "queue", retry_window_ms = 60000, max_attempts = 100 }
        end]],
      },
      config = {
        client_keys = {
          { secret = "s-paid", id = "paid", project = "paid", grants = { "policy", "tier" }, concurrent = 1, daily_usd = 100 },
          { secret = "s-gift", id = "gift", project = "gift", grants = { "tier" }, concurrent = 1 },
        },
        projects = { paid = { concurrent = 1, monthly_usd = 100 }, gift = { free_requests = 3 } },
        account = { total_usd = 100 },
        policies = { default = "one" },
      },
    }
  end))
  teardown(loop.test(function()
    house:stop()
    for _, up in ipairs { good, bad, deaf } do
      up:close()
    end
  end))
  before_each(function()
    asked = 0
  end)

  local function options(more)
    more = more or {}
    more.headers = more.headers or {}
    more.headers.authorization = more.headers.authorization or "Bearer s-paid"
    more.headers["x-route-tier"] = more.headers["x-route-tier"] or "good"
    return more
  end

  local function under_way()
    local n = 0
    for _, worker in ipairs(house:admin("GET", "/api/status").json.workers) do
      n = n + worker.in_flight
    end
    return n
  end

  -- Nothing is held, and the one place there is can be had.
  local function assert_given_back()
    loop.until_true(function()
      return under_way() == 0
    end, "nothing under way")
    local caps = house:admin("GET", "/api/caps").json.caps
    assert.equal(3, #caps)
    for _, cap in ipairs(caps) do
      assert.equal(0, cap.held_nano, cap.scope)
    end
    assert.equal(200, house:chat(options()).status)
  end

  -- Asks, waits until it is where it should be, and leaves.
  local function leave(more, is_there)
    local c = house:ask(options(more))
    loop.until_true(is_there or function()
      return asked > 0
    end, "the request under way")
    c:close()
  end

  local function one_under_way()
    return under_way() == 1
  end

  local ways = {
    ["is answered"] = function()
      assert.equal(200, house:chat(options()).status)
    end,
    ["fails"] = function()
      assert.is_true(house:chat(options { headers = { ["x-route-tier"] = "bad" } }).status >= 500)
    end,
    ["is refused by its policy"] = function()
      assert.equal(403, house:chat(options { policy = "refuses" }).status)
    end,
    ["is refused because its policy fails"] = function()
      assert.equal(403, house:chat(options { policy = "raises" }).status)
    end,
    ["is hedged"] = function()
      assert.equal(200, house:chat(options { policy = "hedges" }).status)
    end,
    ["is hedged and left"] = function()
      leave({ policy = "hedges", stream = true }, function() return asked > 1 end)
    end,
    ["is left before the answer"] = function()
      leave { headers = { ["x-route-tier"] = "deaf" } }
    end,
    ["is left in the answer"] = function()
      leave { stream = true }
    end,
    ["is left in the queue"] = function()
      leave({ policy = "queues" }, one_under_way)
    end,
    ["is too late"] = function()
      assert.equal(504, house:chat(options { headers = { ["x-route-tier"] = "deaf", ["x-route-deadline-ms"] = "50" } }).status)
    end,
    ["is too late in the queue"] = function()
      assert.is_true(house:chat(options { policy = "queues", headers = { ["x-route-deadline-ms"] = "50" } }).status >= 503)
    end,
    ["is left while it waits for another"] = function()
      local first = house:ask(options { headers = { ["x-route-tier"] = "deaf", ["idempotency-key"] = "k" } })
      loop.until_true(function() return asked > 0 end, "the first")
      leave({ headers = { ["x-route-tier"] = "deaf", ["idempotency-key"] = "k" } }, function() return under_way() == 2 end)
      loop.until_true(one_under_way, "the first alone")
      first:close()
    end,
  }

  for way, go in pairs(ways) do
    it("is given back when it " .. way, loop.test(function()
      go()
      assert_given_back()
    end))
  end

  it("is a free request only where it was answered", loop.test(function()
    local function left()
      loop.until_true(function()
        return under_way() == 0
      end, "nothing under way")
      return house:admin("GET", "/api/projects/gift").json.free_left
    end
    local function gift(tier)
      return { headers = { authorization = "Bearer s-gift", ["x-route-tier"] = tier } }
    end
    leave(gift "deaf")
    assert.equal(3, left())
    assert.is_true(house:chat(options(gift "bad")).status >= 500)
    assert.equal(3, left())
    assert.equal(200, house:chat(options(gift "good")).status)
    assert.equal(2, left())
  end))
end)
