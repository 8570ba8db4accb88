--- A policy version that is stopped too often does not run any more: its last good version takes over, else the fallback chain.
local gateway = require "support.gateway"
local loop = require "support.loop"
local upstream = require "support.upstream"

local GOOD = "return function() return { 'a/m' } end"
local RUNAWAY = "return function() while true do end end"
local KILLS = 4

describe("quarantine", function()
  local house, up

  local function begin(policy)
    up = upstream.start(function(peer)
      peer:send(upstream.answer(200, upstream.completion "x"))
    end)
    house = gateway.start {
      providers = { a = gateway.provider(up.url), spare = gateway.provider(up.url) },
      policies = { p = policy },
      headers = { ["x-route-policy"] = "p" },
      config = { policies = { fallback = { "spare/m" }, quarantine = { kills_one_key = KILLS } } },
    }
  end
  after_each(loop.test(function()
    house:stop()
    up:close()
  end))

  local function decided()
    local answer = house:chat { model = "auto" }
    assert.equal(200, answer.status, answer.body)
    return answer.headers["x-routed-provider"], answer.headers["x-route-policy"]
  end

  it("gives way to the last good version", loop.test(function()
    begin(GOOD)
    local _, good = decided()
    house:write_policy("p", RUNAWAY)
    loop.until_true(function()
      return decided() == "spare"
    end, "the runaway to be live")
    loop.until_true(function() -- several in a row: each worker takes it up by itself
      for _ = 1, 8 do
        if decided() ~= "a" then
          return false
        end
      end
      return true
    end, "the good version to decide again")
    house:wait_for_log "quarantine"
    assert.equal(good, select(2, decided()))
    house:write_policy("p", "return function() return { 'spare/m' } end")
    loop.until_true(function()
      local provider, version = decided()
      return provider == "spare" and version ~= "fallback"
    end, "the mended version")
  end))

  it("leaves the fallback chain where there never was a good one", loop.test(function()
    begin(RUNAWAY)
    for _ = 1, KILLS do
      assert.equal("spare", (decided()))
    end
    house:wait_for_log "quarantine"
    -- Whatever ran until the log said so, nothing runs from here on.
    local function kills()
      local sum, _, output = 0, house:command("status", "--json")
      for n in output:gmatch '"kills":(%d+)' do
        sum = sum + n
      end
      return sum
    end
    local before = kills()
    assert.is_true(before >= KILLS)
    for _ = 1, 3 * KILLS do
      assert.equal("spare", (decided()))
    end
    assert.equal(before, kills())
  end))
end)
