-- More than can be done at once: refused at once, with when to come again, and nobody who was let in waits for that.
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local process = require "support.process"
local upstream = require "support.upstream"
local uv = require "luv"

local CAPACITY = 8 -- requests at once
local TAKES_MS = 50 -- an answer
local ANSWERS = 120 -- until a measurement ends

local function figures(text, ...)
  if os.getenv "SPEC_FIGURES" then
    print(text:format(...))
  end
end

local function quantile(list, share)
  table.sort(list)
  return list[math.max(1, math.ceil(#list * share))]
end

local function descriptors(pid)
  local n, scan = 0, assert(uv.fs_scandir(("/proc/%d/fd"):format(pid)))
  while uv.fs_scandir_next(scan) do
    n = n + 1
  end
  return n
end

local function assert_overloaded(answer)
  assert.equal(503, answer.status, answer.body)
  assert.equal("overloaded", answer.json.error.code)
  assert.equal("1", answer.headers["retry-after"])
end

describe("at more than its capacity", function()
  local house, up
  local held, release -- answers wait while `held`

  setup(loop.test(function()
    up = upstream.start(function(peer)
      if held then
        loop.until_true(function()
          return not held
        end, "the answers to be let go", 60000)
      else
        loop.pause(TAKES_MS)
      end
      peer:send(upstream.answer(200, upstream.completion "good"))
    end)
    function release()
      held = false
    end
    house = gateway.start {
      providers = { a = gateway.provider(up.url) }, config = { workers = 1, limits = { max_in_flight = CAPACITY } },
    }
  end))
  teardown(loop.test(function()
    house:stop()
    up:close()
    assert.same({}, up.faults)
  end))

  -- So many clients, those over capacity one by one; each asks again once it was answered, or a while after it was refused.
  local function load(clients)
    local answered, refused, began, ended = {}, {}, loop.now(), nil
    loop.spread(clients, clients, function(i)
      loop.pause(i > CAPACITY and math.floor(5 * TAKES_MS * i / clients) or 0)
      while #answered < ANSWERS do
        local asked = loop.now()
        local answer = house:chat()
        if answer.status == 200 then
          ended = loop.now()
          answered[#answered + 1] = ended - asked
        else
          assert_overloaded(answer)
          refused[#refused + 1] = loop.now() - asked
          loop.pause(5 * TAKES_MS)
        end
      end
    end)
    return { answered = answered, refused = refused, rate = #answered / (ended - began) * 1000 }
  end

  it("as many are answered, as soon, and the rest is refused at once", loop.test(function()
    load(CAPACITY)
    local before = load(CAPACITY)
    assert.equal(0, #before.refused)
    for _, times in ipairs { 2, 10 } do
      local found = load(times * CAPACITY)
      figures("%d x capacity: %.0f answers/s of %.0f, p50 %.1f ms of %.1f; %d refused, p50 %.2f ms, p99 %.2f ms", times, found.rate,
        before.rate, quantile(found.answered, 0.5), quantile(before.answered, 0.5), #found.refused, quantile(found.refused, 0.5),
        quantile(found.refused, 0.99))
      assert.is_true(#found.refused > 0)
      if not gateway.is_sanitized() then
        -- Of measurements on a busy machine no more is asked than tells a mistake from noise.
        assert.is_true(found.rate > 0.6 * before.rate, found.rate .. " answers a second")
        assert.is_true(quantile(found.answered, 0.5) < 1.5 * quantile(before.answered, 0.5) + 10)
        assert.is_true(quantile(found.refused, 0.5) <= 5, quantile(found.refused, 0.5) .. " ms to a refusal")
      end
    end
    local after = load(CAPACITY)
    figures("afterwards: %.0f answers/s, %d refused", after.rate, #after.refused)
    assert.equal(0, #after.refused)
  end))

  it("bodies of refused requests are not waited for, everything else is answered", loop.test(function()
    held = true
    local first = #up.requests
    local inside = {}
    for i = 1, CAPACITY do
      inside[i] = house:ask()
    end
    up:wait_for(first + CAPACITY)
    local c = assert(http.connect(house.port))
    c:send "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 30000000\r\n\r\n"
    c.method = "POST"
    assert_overloaded(assert(c:response()))
    c:close()
    local answer = http.post(house.port, "/v1/messages", { model = "m", max_tokens = 9, messages = { { role = "user", content = "x" } } })
    assert.equal(529, answer.status)
    assert.equal("overloaded_error", answer.json.error.type)
    assert.equal("1", answer.headers["retry-after"])
    assert.equal(200, http.get(house.port, "/health").status)
    assert.equal(200, http.get(house.port, "/v1/models").status)
    assert.equal(200, house:admin("GET", "/api/status").status)
    assert.is_truthy(house:admin("GET", "/metrics").body:find('error_type="gateway_overloaded"', 1, true))
    release()
    for _, client in ipairs(inside) do
      assert.equal(200, assert(client:response()).status)
      client:close()
    end
  end))
end)

describe("a worker that can not keep up", function()
  it("takes no new requests until it is in time again", loop.test(function()
    local up = upstream.start(function(peer)
      peer:send(upstream.answer(200, upstream.completion "good"))
    end)
    -- A policy that is slow where it is told to, of the thread's own time.
    local house = gateway.start {
      providers = { a = gateway.provider(up.url) },
      policies = { slow = [[
        return function(req)
          for _ = 1, tonumber(req.headers["x-rounds"]) do end
          return { "a/m" }
        end]] },
      headers = { ["x-route-policy"] = "slow" },
      config = { workers = 1, limits = { max_lag_ms = 20 }, policies = { deadline_ms = 1000 } },
    }
    local refused, over = 0, false
    local function ask()
      while not over do
        local answer = house:chat { headers = { ["x-rounds"] = "3000000" } }
        if answer.status ~= 200 then
          assert_overloaded(answer)
          refused, over = refused + 1, true
        end
      end
    end
    loop.spread(16, 16, ask)
    assert.is_true(refused > 0)
    local lag = house:admin("GET", "/metrics").body:match 'perilune_loop_lag_seconds{worker="0"} (%S+)'
    assert.is_true(tonumber(lag) > 0, lag)
    loop.until_true(function()
      return house:chat({ headers = { ["x-rounds"] = "0" } }).status == 200
    end, "it to be in time again")
    house:stop()
    up:close()
  end))
end)

describe("with few descriptors", function()
  local LIMIT, CLIENTS = 128, 60

  -- The gateway, of a hard limit.
  local function start(options)
    local binary = process.binary
    local dir = process.folder()
    process.write(dir .. "/perilune", ("#!/bin/sh\nulimit -n %d; exec \"%s\" \"$@\"\n"):format(LIMIT, binary()))
    assert(uv.fs_chmod(dir .. "/perilune", 493))
    process.binary = function()
      return dir .. "/perilune"
    end
    local ok, house = pcall(gateway.start, options)
    process.binary = binary
    process.remove(dir)
    return assert(ok and house, house)
  end

  it("whoever is let in is answered, the others are refused, and nothing is left of it", loop.test(function()
    local held
    local up = upstream.start(function(peer)
      loop.until_true(function()
        return not held
      end, "the answers to be let go", 60000)
      peer:send(upstream.answer(200, upstream.completion "good", { connection = "close" }))
      peer:close()
    end)
    local house = start { providers = { a = gateway.provider(up.url) }, config = { workers = 1 } }
    local pid = house.process.pid
    assert.equal(200, house:chat().status) -- what is made at the first request is there then
    local first, before = #up.requests, descriptors(pid)
    local inside, refused = 0, 0
    held = true
    local clients = {}
    for i = 1, CLIENTS do
      clients[i] = loop.go(function()
        local answer = house:chat()
        if answer.status == 200 then
          inside = inside + 1
        else
          assert_overloaded(answer)
          refused = refused + 1
        end
      end)
    end
    loop.until_true(function()
      return refused > 0 and refused + #up.requests - first == CLIENTS
    end, "all to be held or refused")
    assert.is_true(#up.requests - first > 10)
    assert.equal(200, house:admin("GET", "/api/status").status)
    held = false
    for _, client in ipairs(clients) do
      client()
    end
    figures("%d descriptors: %d clients answered, %d refused", LIMIT, inside, refused)
    assert.equal(#up.requests - first, inside)
    loop.until_true(function()
      return descriptors(pid) <= before
    end, "the descriptors to be given back")
    assert.equal(200, house:chat().status)
    house:stop()
    up:close()
    assert.same({}, up.faults)
  end))

  it("when there is none at all a client is told so, and the next one after that is served", loop.test(function()
    local up = upstream.start(function(peer)
      peer:send(upstream.answer(200, upstream.completion "good"))
      peer:close()
    end)
    local house = gateway.start { providers = { a = gateway.provider(up.url) }, config = { workers = 1 } }
    local pid = house.process.pid
    local most = ("--nofile=%d:"):format(descriptors(pid) + 4)
    local code, output = process.run({ "prlimit", "--pid", tostring(pid), most }, { dir = house.dir })
    assert.equal(0, code, output)
    local idle = {}
    for i = 1, 20 do
      idle[i] = assert(http.connect(house.port))
    end
    local answer = house:chat()
    assert.equal(503, answer.status)
    assert.equal("1", answer.headers["retry-after"])
    assert.equal("close", answer.headers.connection)
    for _, c in ipairs(idle) do
      c:close()
    end
    loop.until_true(function()
      return house:chat().status == 200
    end, "it to serve again")
    house:stop()
    up:close()
  end))
end)
