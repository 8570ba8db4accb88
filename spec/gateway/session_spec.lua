-- A session's next request may go to whoever answered the one before: sticky(), on every worker and for that client key alone.
local gateway = require "support.gateway"
local loop = require "support.loop"
local mock = require "support.mock"

local POLICIES = {
  to_b = "return function() return { 'b/m' } end",
  sticky = "return function(req, fleet) return fleet:prefer { 'a/m' }:sticky() end",
}

describe("a session", function()
  local house, up

  setup(loop.test(function()
    up = mock.start()
    house = gateway.start {
      providers = { a = up:provider(), b = up:provider() }, policies = POLICIES,
      config = { client_keys = { { secret = "one", grants = { "policy" } }, { secret = "other", grants = { "policy" } } } },
    }
  end))
  teardown(loop.test(function()
    house:stop()
    up:stop()
  end))

  local function provider(policy, key, session)
    local answer = house:chat { policy = policy, headers = { authorization = "Bearer " .. key, ["x-route-session"] = session } }
    assert.equal(200, answer.status, answer.body)
    return answer.headers["x-routed-provider"]
  end

  it("stays where it was answered last", loop.test(function()
    assert.equal("a", provider("sticky", "one", "s1"))
    assert.equal("b", provider("to_b", "one", "s2"))
    for _ = 1, 8 do
      assert.equal("b", provider("sticky", "one", "s2"))
      assert.equal("a", provider("sticky", "one", "s1"))
      assert.equal("a", provider("sticky", "other", "s2"))
    end
  end))
end)
