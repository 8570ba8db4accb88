-- A step over its cost or latency threshold is passed over although nothing failed.
local gateway = require "support.gateway"
local loop = require "support.loop"
local upstream = require "support.upstream"

describe("thresholds", function()
  local house
  local ups = {}

  setup(loop.test(function()
    for _, name in ipairs { "dear", "cheap" } do
      ups[name] = upstream.start(function(peer)
        loop.pause(name == "dear" and 12 or 0) -- the dear one is slow, too
        peer:send(upstream.answer(200, upstream.completion "x"))
      end)
    end
    house = gateway.start {
      providers = {
        dear = gateway.provider(ups.dear.url, { models = { { name = "m", price = { input = 100, output = 500 }, max_output = 1000 } } }),
        cheap = gateway.provider(ups.cheap.url, { models = { { name = "m", price = { input = 0.1, output = 0.5 }, max_output = 1000 } } }),
      },
      policies = {
        both = 'return function() return { "dear/m", "cheap/m" } end',
        capped_step = 'return function() return { { target = "dear/m", max_cost_usd = 0.01 }, "cheap/m" } end',
        capped_chain = [[
          return function(req, fleet)
            return fleet:only { "dear/m", "cheap/m" }:prefer { "dear/m" }:chain { max_cost_usd = 0.01 }
          end]],
        capped_all = [[
          return function(req, fleet) return fleet:only { "dear/m", "cheap/m" }:chain { max_cost_usd = 0.0000001 } end]],
        slow_step = 'return function() return { { target = "dear/m", max_latency_ms = 8 }, "cheap/m" } end',
        slow_all = [[
          return function()
            return { { target = "dear/m", max_latency_ms = 1 }, { target = "cheap/m", max_latency_ms = 1 } }
          end]],
      },
    }
  end))
  teardown(loop.test(function()
    house:stop()
    for _, up in pairs(ups) do
      up:close()
    end
  end))

  local function routed(policy, headers)
    local answer = house:chat { policy = policy, body = { max_tokens = 500 }, headers = headers }
    assert.equal(200, answer.status, answer.body)
    return answer.headers["x-routed-provider"], answer
  end

  it("are none unless set", loop.test(function()
    assert.equal("dear", (routed "both"))
  end))

  it("skip a step over its own cost, and say so", loop.test(function()
    local before = #ups.dear.requests
    local provider, answer = routed("capped_step", { ["x-route-trace"] = "1" })
    assert.equal("cheap", provider)
    assert.equal("cost", answer.json.route.attempts[1].failure)
    assert.equal(before, #ups.dear.requests)
  end))

  it("skip a step over the chain's cost", loop.test(function()
    assert.equal("cheap", (routed "capped_chain"))
  end))

  it("skip a step over the client's cost", loop.test(function()
    assert.equal("cheap", (routed("both", { ["x-route-max-cost-usd"] = "0.01" })))
  end))

  it("leave nobody when all cost too much", loop.test(function()
    local answer = house:chat { policy = "capped_all", body = { max_tokens = 500 } }
    assert.equal(402, answer.status, answer.body)
  end))

  it("skip a step that is predicted to be slow, once there is something to predict from", loop.test(function()
    for _ = 1, 20 do
      routed "both"
    end
    loop.until_true(function()
      return (routed "slow_step") == "cheap"
    end, "the slow step to be skipped", 3000)
  end))

  it("run the fastest when all are slow", loop.test(function()
    assert.is_truthy((routed "slow_all"))
  end))
end)
