-- When every target failed, the client is told what was tried, with a status it can act on.
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local upstream = require "support.upstream"

local function fail(code, headers, body)
  return function(peer)
    headers = headers or {}
    headers["content-type"] = "application/json"
    peer:send(upstream.answer(code, body or '{"error":{"message":"vendor says no","type":"t","code":"c"}}', headers))
  end
end

local function says(message, code)
  return ('{"error":{"message":"%s","type":"invalid_request_error","param":null,"code":"%s"}}'):format(message, code)
end

local UPSTREAMS = {
  limited_7 = fail(429, { ["retry-after"] = "7" }),
  limited_3 = fail(429, { ["retry-after"] = "3" }),
  broken = fail(500),
  denied = fail(401, nil, says("Incorrect API key provided: sk-canary", "invalid_api_key")),
  garbage = function(peer)
    peer:send(upstream.answer(200, "garbage"))
  end,
  hang = function(peer)
    peer:read()
  end,
  picky = fail(400, nil, says("Unsupported value: temperature", "unsupported_value")),
  too_long = fail(400, nil, says("This model's maximum context length is 8 tokens.", "context_length_exceeded")),
  too_long_in_silence = fail(413, nil, "{}"),
  filtered = fail(400, nil, says("flagged", "content_filter")),
  good = function(peer)
    peer:send(upstream.answer(200, upstream.completion "good"))
  end,
}

-- Targets of no list: they have no breaker that would remember the case before.
local POLICY = [[
return function(req)
  local chain = {}
  for name in req.headers["x-chain"]:gmatch "[%w_]+" do
    chain[#chain + 1] = { target = name .. "/any", retries = 0, timeout_ms = 200 }
  end
  return chain
end]]

describe("an exhausted chain", function()
  local house
  local ups = {}

  setup(loop.test(function()
    local providers = {}
    for name, act in pairs(UPSTREAMS) do
      ups[name] = upstream.start(act)
      providers[name] = gateway.provider(ups[name].url, { api_keys = { "sk-canary" } })
    end
    house = gateway.start { providers = providers, policies = { listed = POLICY }, headers = { ["x-route-policy"] = "listed" } }
  end))
  teardown(loop.test(function()
    house:stop()
    for _, up in pairs(ups) do
      up:close()
    end
  end))

  local function ask(chain, kind)
    return house[kind or "chat"](house, { headers = { ["x-chain"] = chain } })
  end

  for chain, status in pairs {
    ["limited_7 limited_3"] = 429,
    ["hang hang"] = 504,
    ["denied garbage"] = 502, -- two classes that mean the same
    ["denied denied"] = 502,
    ["garbage garbage"] = 502,
    ["broken broken"] = 503,
    ["broken limited_3"] = 503,
    ["broken"] = 503,
  } do
    it(chain .. ": " .. status, loop.test(function()
      for _, kind in ipairs { "chat", "stream" } do
        local answer = ask(chain, kind)
        assert.equal(status, answer.status)
        assert.equal("fallbacks_exhausted", answer.json.error.code)
        assert.equal("false", answer.headers["x-should-retry"])
        assert.is_truthy(answer.headers["x-request-id"])
        assert.is_truthy(answer.headers["x-route-policy"]:match "^listed@")
      end
    end))
  end

  it("lists its attempts", loop.test(function()
    local answer = ask "broken limited_7"
    local route = answer.json.error.route
    assert.equal("2", answer.headers["x-route-attempts"])
    assert.equal(answer.headers["x-request-id"], route.id)
    assert.equal(2, #route.attempts)
    assert.equal("broken/any", route.attempts[1].target)
    assert.equal("server_error", route.attempts[1].failure)
    assert.equal(500, route.attempts[1].status)
    assert.equal("number", type(route.attempts[1].ms))
    assert.equal("rate_limited", route.attempts[2].failure)
  end))

  it("says when the earliest target opens again", loop.test(function()
    for _, chain in ipairs { "limited_7 limited_3", "limited_3 limited_7" } do
      local answer = ask(chain)
      local seconds = tonumber(answer.headers["retry-after"])
      assert.is_true(seconds >= 2 and seconds <= 3, answer.headers["retry-after"])
      assert.is_true(answer.json.error.route.retry_after_ms <= 3000)
    end
  end))

  it("tells nobody a provider's key", loop.test(function()
    assert.is_nil(ask("denied").body:find("sk-canary", 1, true))
    assert.is_nil(house.process.output:find("sk-canary", 1, true))
  end))

  it("stops at a request the provider calls wrong, in the provider's own words", loop.test(function()
    local before = #ups.good.requests
    local answer = ask "picky good"
    assert.equal(400, answer.status)
    assert.equal("Unsupported value: temperature", answer.json.error.message)
    assert.equal("unsupported_value", answer.json.error.code)
    assert.equal(before, #ups.good.requests)
  end))

  it("calls an overflow by its name", loop.test(function()
    local answer = ask "too_long"
    assert.equal(400, answer.status)
    assert.equal("context_length_exceeded", answer.json.error.code)
  end))

  it("says so too where the provider had no words for it", loop.test(function()
    local answer = ask "too_long_in_silence"
    assert.equal(400, answer.status)
    assert.equal("context_length_exceeded", answer.json.error.code)
    assert.is_truthy(answer.json.error.message:find("context window", 1, true))
  end))

  it("stops at what was refused for its content", loop.test(function()
    local before = #ups.good.requests
    local answer = ask "filtered good"
    assert.equal(400, answer.status)
    assert.equal(before, #ups.good.requests)
  end))

  it("obeys a deadline over the whole chain", loop.test(function()
    local answer = house:chat { headers = { ["x-chain"] = "hang hang hang hang hang hang", ["x-route-deadline-ms"] = "300" } }
    assert.equal(504, answer.status)
    assert.equal("deadline_exceeded", answer.json.error.code)
  end))

  it("sends errors as JSON that is not to be cached or sniffed", loop.test(function()
    local answer = ask "broken"
    assert.equal("application/json", answer.headers["content-type"])
    assert.equal(http.null, answer.json.error.param)
  end))
end)
