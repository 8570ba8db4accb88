-- Which policy decides, and what a model's name means.
local gateway = require "support.gateway"
local loop = require "support.loop"
local upstream = require "support.upstream"

local function always(provider)
  return ("return function() return { '%s/m' } end"):format(provider)
end

describe("who decides", function()
  local house, up

  setup(loop.test(function()
    up = upstream.start(function(peer)
      peer:send(upstream.answer(200, upstream.completion "x"))
    end)
    local providers = {}
    for _, name in ipairs { "header", "model", "tier", "endpoint", "account" } do
      providers[name] = gateway.provider(up.url, { models = { "m", "only-at-" .. name } })
    end
    house = gateway.start {
      providers = providers,
      policies = {
        by_header = always "header", by_model = always "model", by_tier = always "tier", by_endpoint = always "endpoint",
        by_account = always "account",
      },
      config = {
        policies = { default = "by_account", tiers = { paid = "by_tier" }, routes = { ["/v1/chat/completions"] = "by_endpoint" } },
      },
    }
  end))
  teardown(loop.test(function()
    house:stop()
    up:close()
  end))

  local function decided_by(options)
    local answer = house:chat(options)
    assert.equal(200, answer.status, answer.body)
    return answer.headers["x-routed-provider"]
  end

  it("is the header's before all others", loop.test(function()
    assert.equal("header", decided_by { policy = "by_header", model = "policy/by_model", headers = { ["x-route-tier"] = "paid" } })
  end))

  it("then the model's", loop.test(function()
    assert.equal("model", decided_by { model = "policy/by_model", headers = { ["x-route-tier"] = "paid" } })
  end))

  it("then the tier's", loop.test(function()
    assert.equal("tier", decided_by { headers = { ["x-route-tier"] = "paid" } })
  end))

  it("then the endpoint's", loop.test(function()
    assert.equal("endpoint", decided_by())
    assert.equal("endpoint", decided_by { headers = { ["x-route-tier"] = "nobody knows it" } })
  end))

  it("may be a mode of auto", loop.test(function()
    local answer = house:chat { model = "auto:cheapest" }
    assert.equal(200, answer.status, answer.body)
    assert.is_truthy(answer.headers["x-route-policy"]:match "^cheapest@")
  end))
end)

describe("a model's name", function()
  local house
  local ups = {}

  setup(loop.test(function()
    local providers = {}
    for _, name in ipairs { "a", "b" } do
      ups[name] = upstream.start(function(peer)
        peer:send(upstream.answer(200, upstream.completion "x"))
      end)
    end
    providers.a = gateway.provider(ups.a.url, { models = { "small", "shared" } })
    providers.b = gateway.provider(ups.b.url, { models = { "large", "shared" } })
    providers.down = gateway.provider("http://127.0.0.1:1/v1", { models = { "gone" } })
    house = gateway.start { providers = providers, config = { chains = { gone = { "gone", "large" } } } }
  end))
  teardown(loop.test(function()
    house:stop()
    for _, up in pairs(ups) do
      up:close()
    end
  end))

  local function routed(options)
    local answer = house:chat(options)
    assert.equal(200, answer.status, answer.body)
    return answer.headers["x-routed-provider"], answer.headers["x-routed-model"]
  end

  it("heads the chain of a shipped policy", loop.test(function()
    assert.equal("b", (routed { model = "large" }))
    assert.equal("a", (routed { model = "small" }))
  end))

  it("with a provider in front means that target", loop.test(function()
    assert.equal("b", (routed { model = "b/shared" }))
    assert.equal("a", (routed { model = "a/shared" }))
  end))

  it("goes to that provider even without a catalogue entry", loop.test(function()
    assert.equal("b", (routed { model = "b/brand/new-model" }))
    assert.equal("brand/new-model", ups.b.requests[#ups.b.requests].json.model)
  end))

  it("is followed by its configured chain", loop.test(function()
    assert.equal("b", (routed { model = "gone" }))
  end))

  it("is kept to when the client is strict", loop.test(function()
    local answer = house:chat { model = "down/gone", headers = { ["x-route-strict"] = "1" } }
    assert.equal(503, answer.status, answer.body)
    for _, attempt in ipairs(answer.json.error.route.attempts) do
      assert.equal("down/gone", attempt.target)
    end
  end))

  it("may be a list", loop.test(function()
    assert.equal("b", (routed { model = "down/gone", body = { models = { "down/gone", "b/large" } } }))
    assert.equal("b", (routed { model = "auto", headers = { ["x-route-models"] = "down/gone, large" } }))
  end))

  it("that nobody knows is 404, with near names", loop.test(function()
    local answer = house:chat { model = "lrage" }
    assert.equal(404, answer.status)
    assert.equal("model_not_found", answer.json.error.code)
    assert.equal("model", answer.json.error.param)
    assert.is_truthy(answer.json.error.message:find("large", 1, true))
  end))
end)
