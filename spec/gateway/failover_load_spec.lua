-- At load, a target that fails in whatever way costs no client its answer while another lives, and is left alone after a few attempts.
local gateway = require "support.gateway"
local loop = require "support.loop"
local mock = require "support.mock"
local upstream = require "support.upstream"

-- What the mock does wrong; the rest of the faults need more than words.
local FAULTS = {
  reset = "reset", hang = "hang", status_500 = "status=500", status_429 = "status=429;retry_after=30", half_headers = "half_headers",
  cut_body = "cut=body;cut_event=0", error_in_stream = "error_after=0;status=500",
}

local POLICY = [[
return function(req)
  return { { target = req.headers["x-first"] .. "/m", timeout_ms = 400, first_token_ms = 400 }, "good/m" }
end]]

local REQUESTS, AT_A_TIME = 160, 16

-- A target is asked by those that were under way when it failed first, then now and then.
local ASKED_AT_MOST = AT_A_TIME + 12

describe("failover at load", function()
  local house, up, stopped, ups

  setup(loop.test(function()
    up, stopped = mock.start(), mock.start()
    ups = {
      refused = upstream.refusing(),
      deaf = upstream.deaf(), -- the kernel takes connections, nobody answers
      bad_tls = upstream.start(function(peer) peer:close() end),
    }
    local providers = {
      good = up:provider(), stopped = stopped:provider(), refused = gateway.provider(ups.refused.url),
      deaf = gateway.provider(ups.deaf.url),
      bad_tls = gateway.provider((ups.bad_tls.url:gsub("^http:", "https:"))),
    }
    for name, words in pairs(FAULTS) do
      providers[name] = up:provider(words)
    end
    house = gateway.start { providers = providers, policies = { pair = POLICY }, headers = { ["x-route-policy"] = "pair" } }
  end))
  teardown(loop.test(function()
    house:stop()
    up:stop()
    stopped.process:signal "sigcont"
    stopped:stop()
    for _, other in pairs(ups) do
      other:close()
    end
  end))

  it("a process that is stopped in the middle of it: nobody notices", loop.test(function()
    local ends = {}
    for _, answer in ipairs(loop.spread(REQUESTS, AT_A_TIME, function(i)
      if i == REQUESTS / 4 then
        stopped.process:signal "sigstop"
      end
      return house:chat { headers = { ["x-first"] = "stopped" } }
    end)) do
      assert.equal(200, answer.status, answer.body)
      local by = answer.headers["x-routed-provider"]
      ends[by] = (ends[by] or 0) + 1
    end
    assert.equal(REQUESTS, ends.stopped + ends.good)
    assert.is_true(ends.stopped >= REQUESTS / 4 - AT_A_TIME, ends.stopped .. " were answered before")
  end))

  for _, name in ipairs {
    "refused", "deaf", "bad_tls", "reset", "hang", "status_500", "status_429", "half_headers", "cut_body", "error_in_stream",
  } do
    it(name .. ": nobody notices", loop.test(function()
      local asked = 0
      for _, answer in ipairs(loop.spread(REQUESTS, AT_A_TIME, function(i)
        local ask = i % 2 == 0 and house.chat or house.stream
        return ask(house, { headers = { ["x-first"] = name } })
      end)) do
        assert.equal(200, answer.status, answer.body)
        assert.equal("good", answer.headers["x-routed-provider"])
        assert.is_true(answer.whole)
        asked = asked + tonumber(answer.headers["x-route-attempts"]) - 1
      end
      assert.is_true(asked >= 1 and asked <= ASKED_AT_MOST, asked .. " asked it")
    end))
  end
end)
