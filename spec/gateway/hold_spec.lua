-- A stream that waits too long for its first content is committed: 200 and comments now, the rest when it comes.
local gateway = require "support.gateway"
local loop = require "support.loop"
local upstream = require "support.upstream"

local POLICY = [[
return function(req, fleet)
  local chain = {}
  for name in req.headers["x-chain"]:gmatch "[%w_]+" do
    chain[#chain + 1] = { target = name .. "/m", retries = 0, first_token_ms = 500, timeout_ms = 5000 }
  end
  return chain
end]]

local STREAM = upstream.STREAM_HEAD .. upstream.chunk '{"content":"good"}' .. upstream.chunk("{}", '"stop"') .. "data: [DONE]\n\n"

describe("a stream that waits", function()
  local house, hang, good

  setup(loop.test(function()
    hang = upstream.start(function(peer)
      peer:read()
    end)
    good = upstream.start(function(peer)
      peer:send(STREAM)
      peer:close()
    end)
    house = gateway.start {
      providers = { hang = gateway.provider(hang.url), good = gateway.provider(good.url) },
      policies = { listed = POLICY },
      config = { timeouts = { hold_ms = 60 } },
      headers = { ["x-route-policy"] = "listed" },
    }
  end))
  teardown(loop.test(function()
    house:stop()
    hang:close()
    good:close()
    assert.same({}, good.faults)
  end))

  it("is committed with 200 and a comment before any target answered, and still falls over", loop.test(function()
    local c = house:ask { stream = true, headers = { ["x-chain"] = "hang good" } }
    local head = assert(c:head())
    assert.equal(200, head.status)
    assert.is_nil(head.headers["x-routed-provider"])
    assert.is_truthy(head.headers["x-request-id"])
    local events, ended_well = c:events(head)
    c:close()
    assert.is_true(ended_well)
    assert.is_truthy(events[1].comment)
    local contents, routed = "", nil
    for _, event in ipairs(events) do
      local choice = event.json and event.json.choices and event.json.choices[1]
      contents = contents .. (choice and choice.delta.content or "")
      routed = routed or event.json and event.json.route
    end
    assert.equal("good", contents)
    assert.equal("[DONE]", events[#events].data)
    assert.equal(2, #routed.attempts)
  end))

  it("fails in-band once committed", loop.test(function()
    local answer = house:stream { headers = { ["x-chain"] = "hang" } }
    assert.equal(200, answer.status)
    assert.equal(2, #answer.events)
    assert.equal("fallbacks_exhausted", answer.events[1].json.error.code)
    assert.is_nil(answer.events[1].json.choices)
    assert.equal("[DONE]", answer.events[2].data)
    assert.is_true(answer.whole)
  end))

  it("is not held when the content comes in time", loop.test(function()
    local answer = house:stream { headers = { ["x-chain"] = "good" } }
    assert.equal("good", answer.headers["x-routed-provider"])
    assert.equal(0, #answer.comments)
  end))

  it("never commits a request that is not streamed", loop.test(function()
    local answer = house:chat { headers = { ["x-chain"] = "hang good", ["x-route-deadline-ms"] = "200" } }
    assert.equal(504, answer.status)
  end))
end)

describe("hold_ms = 0", function()
  it("never commits while it waits", loop.test(function()
    local hang = upstream.start(function(peer)
      peer:read()
    end)
    local house = gateway.start {
      providers = { hang = gateway.provider(hang.url) },
      policies = { listed = POLICY },
      config = { timeouts = { hold_ms = 0 } },
      headers = { ["x-route-policy"] = "listed" },
    }
    local answer = house:stream { headers = { ["x-chain"] = "hang" } }
    assert.equal(504, answer.status)
    house:stop()
    hang:close()
  end))
end)
