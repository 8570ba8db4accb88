-- Every fault `perilune mock` knows, through the gateway: none reaches a client while another target can answer.
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local mock = require "support.mock"

-- Before any content, so that the second target can take over. Where a stream and a plain answer differ, both are harmed.
local FAULTS = {
  "status=401", "status=404", "status=429", "status=500", "status=503", "status=529", "html", "html;status=200", "garbage", "reset", "hang",
  "half_headers", "half_headers=hang", "slow=2000", "no_content", "redirect=http://127.0.0.1:1/",
}

local PLAIN_ONLY = { "cut=body" }
local STREAM_ONLY = { "cut_event=0", "cut_event=1", "cut_after=0", "error_after=0", "first_ms=2000" }

-- After content: told in-band.
local BREAKS = { "cut_after=2;gap_ms=20", "cut_event=2;gap_ms=20", "error_after=2;gap_ms=20", "no_finish;no_done;gap_ms=20" }

-- Targets of no list: they have no breaker that would remember the fault before.
local POLICY = [[
return function(req)
  return {
    { target = req.headers["x-first"] .. "/any", retries = 0, timeout_ms = 300, first_token_ms = 300 },
    "good/m",
  }
end]]

describe("with the mock as provider", function()
  local house, up
  local names = {} -- fault -> provider

  setup(loop.test(function()
    up = mock.start()
    local providers = { good = up:provider "tokens=8" }
    for _, list in ipairs { FAULTS, PLAIN_ONLY, STREAM_ONLY, BREAKS } do
      for _, fault in ipairs(list) do
        local name = "p" .. fault:gsub("%W", "_")
        names[fault] = name
        providers[name] = up:provider((fault:gsub("[:/]", function(c)
          return ("%%%02X"):format(c:byte())
        end)) .. ";tokens=8")
      end
    end
    house = gateway.start { providers = providers, policies = { pair = POLICY }, headers = { ["x-route-policy"] = "pair" } }
  end))
  teardown(loop.test(function()
    house:stop()
    up:stop()
  end))

  local function falls_over(fault, kind)
    it(("%s, %s: the second target answers"):format(fault, kind), loop.test(function()
      local answer = house[kind](house, { headers = { ["x-first"] = names[fault] } })
      assert.equal(200, answer.status, answer.body)
      assert.equal("good", answer.headers["x-routed-provider"])
      assert.equal("2", answer.headers["x-route-attempts"])
      assert.is_true(answer.whole)
    end))
  end

  for _, fault in ipairs(FAULTS) do
    falls_over(fault, "chat")
    falls_over(fault, "stream")
  end
  for _, fault in ipairs(PLAIN_ONLY) do
    falls_over(fault, "chat")
  end
  for _, fault in ipairs(STREAM_ONLY) do
    falls_over(fault, "stream")
  end

  for _, fault in ipairs(BREAKS) do
    it(fault .. ": the stream ends in an error", loop.test(function()
      local answer = house:stream { headers = { ["x-first"] = names[fault] } }
      local events = answer.events
      assert.equal("[DONE]", events[#events].data)
      -- On a busy machine all of it may come at once, before any content has gone out: then the second answers.
      assert.is_truthy(events[#events - 1].json.error or answer.headers["x-routed-provider"] == "good")
    end))
  end

  it("usage that is missing is no failure", loop.test(function()
    local other = gateway.start { providers = { a = up:provider "no_usage" } }
    assert.equal(200, other:chat().status)
    local events = other:stream({ body = { stream_options = { include_usage = true } } }).events
    assert.equal("[DONE]", events[#events].data)
    other:stop()
  end))

  it("thousands of requests at once lose none", loop.test(function()
    local before = up:stats().requests
    local failed = 0
    loop.spread(3000, 64, function(i)
      local answer = house:chat { headers = { ["x-first"] = i % 3 == 0 and names["status=500"] or "good" } }
      failed = failed + (answer.status == 200 and 0 or 1)
    end)
    assert.equal(0, failed)
    assert.is_true(up:stats().requests - before >= 4000)
  end))

  it("what the mock was sent can be read", loop.test(function()
    house:chat { headers = { ["x-first"] = "good" } }
    assert.is_table(up:last())
    assert.equal(200, http.get(up.port, "/_mock/requests").status)
  end))
end)
