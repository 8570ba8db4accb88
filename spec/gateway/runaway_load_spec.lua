-- While one call in a thousand runs away for ever, the others hardly notice: the same load, in turns without and with them.
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local mock = require "support.mock"

local DEADLINE_MS = 5 -- of a policy, unless configured
local MORE_MS = 5 -- at most, for the others' p99
local ROUNDS = gateway.is_sanitized() and 1 or 5 -- of each kind
local CALLS = 1000 -- a round: so there is one runaway in it
local LANES = 16 -- connections
local EVERY_MS = 16 * loop.stretch -- between the calls of a lane: 1,000 a second over all

local BODY = { model = "m", messages = { { role = "user", content = "hello" } } }

local function percentile(list, share)
  table.sort(list)
  return list[math.max(1, math.ceil(share * #list))]
end

local function median(list)
  return percentile(list, 0.5)
end

describe("policies that run away under load", function()
  local house, up

  setup(loop.test(function()
    up = mock.start()
    house = gateway.start {
      providers = { a = up:provider(), spare = up:provider() },
      policies = {
        good = "return function(req, fleet) return fleet:only { 'a/m' }:cheapest():take(2) end",
        runaway = "return function() while true do pcall(function() while true do end end) end end",
      },
      config = { policies = { fallback = { "spare/m" }, quarantine = { kills = 0, kills_one_key = 0 } } },
    }
  end))
  teardown(loop.test(function()
    house:stop()
    up:stop()
  end))

  local function call(c, policy)
    c:send_request { method = "POST", path = "/v1/chat/completions", body = BODY, headers = { ["x-route-policy"] = policy } }
    local answer = assert(c:response())
    assert.equal(200, answer.status, answer.body)
    return answer.headers["x-routed-provider"]
  end

  -- One round, the lanes evenly apart: a call is due at its time, whether the one before it has ended or not. Returns how long
  -- the good ones and the runaways took, from when they were due.
  local function round(with_runaways)
    local good, runaway = {}, {}
    local began = loop.now() + EVERY_MS
    local lanes = {}
    for lane = 1, LANES do
      lanes[lane] = function()
        local c = assert(http.connect(house.port))
        for i = lane, CALLS, LANES do
          local due = began + i * EVERY_MS / LANES
          if due > loop.now() then
            loop.pause(math.ceil(due - loop.now()))
            due = loop.now()
          end
          local runs_away = with_runaways and i == CALLS / 2
          local provider = call(c, runs_away and "runaway" or "good")
          assert.equal(runs_away and "spare" or "a", provider)
          table.insert(runs_away and runaway or good, loop.now() - due)
        end
        c:close()
      end
    end
    loop.all(lanes)
    return good, runaway
  end

  local function kills()
    local sum, _, output = 0, house:command("status", "--json")
    for n in output:gmatch '"kills":(%d+)' do
      sum = sum + n
    end
    return sum
  end

  it("are answered by the fallback chain, and cost the others next to nothing", loop.test(function()
    local calm, stormy, usual, runaways = {}, {}, {}, {}
    round(false) -- warms up
    for i = 1, ROUNDS do
      local quiet = round(false)
      local others, ran = round(true)
      assert.equal(1, #ran)
      calm[i], stormy[i] = percentile(quiet, 0.99), percentile(others, 0.99)
      usual[i], runaways[i] = percentile(quiet, 0.5), ran[1]
    end
    assert.equal(ROUNDS, kills())
    if gateway.is_sanitized() then
      return
    end
    -- The deadline is of processor time. How long that takes by the clock depends on who else wants the cores, the load generator
    -- included, and that only ever adds: the quickest round of each kind tells best. What every kill costs shows in all of them.
    local quickest = percentile(runaways, 0)
    local others, alone = percentile(stormy, 0), percentile(calm, 0)
    local figures = ("p99 of the others %.1f ms, %.1f ms without runaways; a runaway %.1f ms, usual %.1f ms"):format(
      others, alone, quickest, median(usual))
    assert(others <= alone + MORE_MS, figures)
    assert(quickest <= median(usual) + 2 * DEADLINE_MS, figures)
    if os.getenv "SPEC_FIGURES" then
      print(figures)
    end
  end))
end)
