-- Who is in which arm of an experiment: the same for every worker, over reloads and restarts.
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local mock = require "support.mock"

local USERS = 60

describe("an experiment", function()
  local upstream, house

  setup(loop.test(function()
    upstream = mock.start()
    house = gateway.start {
      providers = { a = upstream:provider(), b = upstream:provider() },
      config = { policies = { default = "split", params = { split = { experiment = "x", arms = { { "a/m", 50 }, { "b/m", 50 } } } } } },
    }
  end))
  teardown(loop.test(function()
    house:stop()
    upstream:stop()
  end))

  -- A connection for each request, so that both workers answer.
  local function arms()
    local out = {}
    for user = 1, USERS do
      local answer = house:chat { model = "auto", body = { user = "user " .. user } }
      assert.equal(200, answer.status, answer.body)
      out[user] = answer.headers["x-routed-provider"]
      assert.equal("x=" .. out[user] .. "/m", answer.headers["x-route-arm"])
    end
    return out
  end

  local function requests_by_worker()
    local counts = {}
    for _, worker in ipairs(http.json(house:admin("GET", "/api/status").body).workers) do
      counts[#counts + 1] = worker.requests
    end
    return counts
  end

  it("has everybody where they were, on any worker, after a reload and after a restart", loop.test(function()
    local first = arms()
    local by_worker = requests_by_worker()
    assert(by_worker[1] > 0 and by_worker[2] > 0, "one worker answered all")
    assert.same(first, arms())
    assert.equal(200, house:admin("POST", "/api/reload").status)
    assert.same(first, arms())
    house.process:stop()
    house:launch {}
    assert.same(first, arms())
  end))
end)
