-- Clients that are slow on purpose: heads and bodies that come a byte at a time, answers that are never read. Honest requests beside
-- them are all answered, as quickly as without them.
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local process = require "support.process"
local upstream = require "support.upstream"

-- In the long form slowhttptest sends thousands of each kind, from a process of its own, so that times can be compared.
local LONG = tonumber(os.getenv "SPEC_SLOW_CLIENTS")
local SLOW = LONG or 200
local HONEST_MS = LONG and 5000 or 150 -- of honest requests; the tool's clients go on together, every five seconds
local POST = "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"

-- Asks for an answer of a megabyte.
local LARGE = '{"model":"m","seed":1,"stream":true,"messages":[{"role":"user","content":"x"}]}'

-- What each kind of slow client begins with, and what it goes on with, a piece at a time.
local KINDS = {
  { "heads", POST, "x-a: b\r\n" },
  { "first lines", "POST /", "x" },
  { "bodies", POST .. "content-length: 1000000\r\n\r\n{", " " },
  { "chunks", POST .. "transfer-encoding: chunked\r\n\r\n", "1\r\n \r\n" },
  { "readers", POST .. "content-length: " .. #LARGE .. "\r\n\r\n" .. LARGE },
  { "silence", "" },
}

describe("slow", function()
  local house, up

  setup(loop.test(function()
    local event = upstream.chunk('{"content":"' .. ("x"):rep(30000) .. '"}')
    up = upstream.start(function(peer, request)
      if not request.json.seed then
        return peer:send(upstream.answer(200, upstream.completion "x"))
      end
      peer:send(upstream.STREAM_HEAD) -- and 1 MB to somebody who reads none of it
      for _ = 1, 33 do
        if not peer:send(event) then
          break
        end
      end
    end)
    house = gateway.start { providers = { a = gateway.provider(up.url) }, config = { workers = 1 } }
  end))
  teardown(loop.test(function()
    house:stop()
    up:close()
  end))

  -- Honest requests one after another; the time within which 99 of 100 were answered, in milliseconds.
  local function honest()
    local times, over = {}, loop.now() + HONEST_MS
    repeat
      local began = loop.now()
      local answer = house:chat()
      times[#times + 1] = loop.now() - began
      assert.equal(200, answer.status, answer.body)
    until loop.now() > over
    table.sort(times)
    return times[math.ceil(#times * 0.99)]
  end

  -- So many clients of a kind, and what makes each of them go on by a piece.
  local function crowd(kind)
    local clients = loop.spread(SLOW, 64, function()
      local c = assert(http.connect(house.port, { receive_buffer = 4096 }))
      c:post(kind[2])
      return c
    end)
    local over = false
    local going_on = loop.go(function()
      while kind[3] and not over do
        for _, c in ipairs(clients) do
          c:post(kind[3])
        end
        loop.pause(50)
      end
    end)
    return clients, function()
      over = true
      going_on()
      for _, c in ipairs(clients) do
        c:close()
      end
    end
  end

  for _, kind in ipairs(LONG and {} or KINDS) do
    it(("%s (%d of them) hold up nobody"):format(kind[1], SLOW), loop.test(function()
      local clients, disperse = crowd(kind)
      local slowest = honest()
      for _, c in ipairs(clients) do
        assert.is_false(c.handle:is_closing())
      end
      disperse()
      -- The slow ones are sent by the one who measures: only that nobody waits for them can be told.
      assert.is_true(slowest < 1000 * loop.stretch)
    end))
  end

  -- The times of honest requests while slowhttptest attacks that port.
  local function beside_attack(port, flag, method, path)
    local tool = process.start({
      "/usr/bin/slowhttptest", flag, "-c", tostring(SLOW), "-r", "2000", "-i", "5", "-l", "60", "-w", "10", "-y", "20", "-n", "5",
      "-z", "1", "-k", "10", "-f", "application/json", "-t", method, "-u", ("http://127.0.0.1:%d%s"):format(port, path),
    }, { dir = house.dir })
    loop.pause(4000) -- until all of them are there
    local slowest = honest()
    assert.is_true(tool:running(), tool.output)
    tool:signal "sigint"
    tool:wait()
    return slowest
  end

  local function median(list)
    table.sort(list)
    return list[math.ceil(#list / 2)]
  end

  local ATTACKS = {
    { "heads", "-H", "GET", "/v1/models" }, { "bodies", "-B", "POST", "/v1/chat/completions" }, { "reads", "-X", "GET", "/v1/models" },
  }
  for _, attack in ipairs(LONG and ATTACKS or {}) do
    it(("%s of slowhttptest (%d) hold up nobody"):format(attack[1], SLOW), loop.test(function()
      -- The tool takes its part of the machine as well: so that it does in both, the others attack another gateway.
      local other = gateway.start { providers = { a = gateway.provider(up.url) }, config = { workers = 1 } }
      local elsewhere, here = {}, {}
      for i = 1, 3 do
        elsewhere[i] = beside_attack(other.port, unpack(attack, 2))
        here[i] = beside_attack(house.port, unpack(attack, 2))
      end
      other:stop()
      print(("\nslow %-7s %d of them: honest p99 %.2f ms, %.2f ms when they are another gateway's; medians of three rounds"):format(
        attack[1], SLOW, median(here), median(elsewhere)))
      assert.is_true(median(here) <= 2 * median(elsewhere))
    end))
  end
end)
