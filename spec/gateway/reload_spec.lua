-- A saved policy is live at once, a broken one never is, and no request notices.
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local process = require "support.process"
local upstream = require "support.upstream"

local LIVE_WITHIN = 300 * loop.stretch
local EDITS = gateway.is_sanitized() and 8 or 20
local REQUESTS = gateway.is_sanitized() and 1000 or 10000
local BODY = { model = "m", messages = { { role = "user", content = "hello" } } }

local function to(provider, comment)
  return ("-- %s\nreturn function() return { '%s/m' } end\n"):format(comment or "", provider)
end

local BROKEN = {
  "return function( return end", "error 'at load'", "return 42", "return { decide = 1 }", "while true do end",
  "local x = require 'nothing.there' return x", "\27LJ\2\0bytecode", "",
}

describe("reload", function()
  local house, up

  before_each(loop.test(function()
    up = upstream.start(function(peer, request)
      if request.json.stream then
        peer:send(upstream.STREAM_HEAD .. upstream.chunk '{"content":"a"}')
        up.streaming = peer
        return
      end
      peer:send(upstream.answer(200, upstream.completion "x"))
    end)
    house = gateway.start {
      providers = { a = gateway.provider(up.url), b = gateway.provider(up.url) },
      policies = { p = to "a" },
      headers = { ["x-route-policy"] = "p" },
    }
  end))
  after_each(loop.test(function()
    house:stop()
    up:close()
    assert.same({}, up.faults)
  end))

  local function decides()
    local answer = house:chat()
    assert.equal(200, answer.status, answer.body)
    return answer.headers["x-routed-provider"], answer.headers["x-route-policy"]
  end

  -- Waits until every one of several requests in a row (they meet different workers) is decided so.
  local function live(provider)
    local saved_at = loop.now()
    loop.until_true(function()
      for _ = 1, 8 do
        if decides() ~= provider then
          return false
        end
      end
      return true
    end, provider .. " to decide")
    return loop.now() - saved_at
  end

  it("takes a saved policy up within 300 ms", loop.test(function()
    local _, first_version = decides()
    house:write_policy("p", to "b")
    local took = live "b"
    assert.is_true(took <= LIVE_WITHIN, ("took %d ms"):format(took))
    local _, second_version = decides()
    assert.not_equal(first_version, second_version)
  end))

  it("names a version by its content", loop.test(function()
    local _, first_version = decides()
    house:write_policy("p", to "b")
    live "b"
    house:write_policy("p", to "a")
    live "a"
    local _, third_version = decides()
    assert.equal(first_version, third_version)
  end))

  it("sees new files, sub-folders and what a policy requires", loop.test(function()
    house:write_policy("lib/where", "return { target = 'b/m' }")
    house:write_policy("q", "local where = require 'where' return function() return { where.target } end")
    loop.until_true(function()
      local answer = house:chat { policy = "q" }
      return answer.status == 200 and answer.headers["x-routed-provider"] == "b"
    end, "the new policy")
    house:write_policy("lib/where", "return { target = 'a/m' }")
    loop.until_true(function()
      return house:chat({ policy = "q" }).headers["x-routed-provider"] == "a"
    end, "the new library")
  end))

  it("keeps the last good version when a new one is broken, and says where", loop.test(function()
    house:write_policy("p", "return function()\n  return {\nend\n")
    house:wait_for_log "policies/p.lua:3"
    assert.equal("a", (decides()))
    house:write_policy("p", to "b")
    live "b"
  end))

  it("happens at SIGHUP", loop.test(function()
    house.config.policies.dir = "elsewhere"
    house:write_config(house.config)
    process.write(house.dir .. "/elsewhere/p.lua", to "b")
    house.process:signal "sighup"
    live "b"
  end))

  it("happens at `perilune reload`, which returns when all workers serve it", loop.test(function()
    house:write_policy("p", to "b")
    local code, output = house:command "reload"
    assert.equal(0, code, output)
    for _ = 1, 20 do
      assert.equal("b", (decides()))
    end
  end))

  it("keeps the configuration in force when the new one is wrong", loop.test(function()
    process.write(house.dir .. "/perilune.lua", "return { listn = 1, data_dir = 'state' }")
    local code, output = house:command "reload"
    assert.not_equal(0, code)
    assert.is_truthy(output:find("listn", 1, true))
    assert.equal("a", (decides()))
  end))

  it("lets a stream end as it began", loop.test(function()
    local c = house:ask { stream = true, body = { stream = true } }
    local head = assert(c:head())
    house:write_policy("p", to "b")
    live "b"
    up.streaming:send(upstream.chunk '{"content":"b"}' .. upstream.chunk("{}", '"stop"') .. "data: [DONE]\n\n")
    up.streaming:close()
    local events, ended_well = c:events(head)
    c:close()
    assert.is_true(ended_well)
    assert.equal("[DONE]", events[#events].data)
    assert.equal("a", head.headers["x-routed-provider"])
  end))

  it("fails no request while policies are edited, half of them badly", loop.test(function()
    local versions, served, editing = {}, 0, true
    -- Each edit waits until many requests have met the last one, and at least until that is live.
    local editor = loop.go(function()
      for i = 1, EDITS do
        house:write_policy("p", i % 2 == 0 and BROKEN[i / 2 % #BROKEN + 1] or to(i % 4 == 1 and "a" or "b", "edit " .. i))
        local enough, began = served + REQUESTS / EDITS, loop.now()
        loop.until_true(function()
          return served >= enough and loop.now() - began > LIVE_WITHIN
        end, "requests to be served", 60000)
      end
      editing = false
    end)
    local lanes = {}
    for lane = 1, 8 do
      lanes[lane] = function()
        local c = assert(http.connect(house.port))
        while editing do
          c:send_request { method = "POST", path = "/v1/chat/completions", body = BODY, headers = { ["x-route-policy"] = "p" } }
          local answer = assert(c:response())
          local provider, version = answer.headers["x-routed-provider"], answer.headers["x-route-policy"]
          assert.equal(200, answer.status, answer.body)
          assert.is_truthy(version:match "^p@%x+$", version)
          versions[version] = versions[version] or provider
          assert.equal(versions[version], provider) -- a version decides one way
          served = served + 1
        end
        c:close()
      end
    end
    loop.all(lanes)
    editor()
    assert.is_true(served >= REQUESTS, served .. " requests served")
    local n = 0
    for _ in pairs(versions) do
      n = n + 1
    end
    assert.is_true(n > EDITS / 4, n .. " versions seen")
  end))
end)
