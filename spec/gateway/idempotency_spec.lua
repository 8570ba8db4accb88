-- What is sent twice under one Idempotency-Key is answered once, also while the first one runs, on whatever worker.
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local upstream = require "support.upstream"

local STREAM = upstream.STREAM_HEAD .. upstream.chunk '{"content":"a"}' .. upstream.chunk '{"content":"b"}' ..
  upstream.chunk("{}", '"stop"') .. "data: [DONE]\n\n"

describe("an Idempotency-Key", function()
  local house, up
  local held    -- requests the upstream works on, while `hold` is set
  local hold
  local answers -- what it says, one after the other; the last one for ever

  local function respond(peer, request)
    local bytes = #answers > 1 and table.remove(answers, 1) or answers[1]
    peer:send(request.json.stream and STREAM or bytes)
    if request.json.stream then
      peer:close()
    end
  end

  setup(loop.test(function()
    up = upstream.start(function(peer, request)
      if not hold then
        return respond(peer, request)
      end
      held[#held + 1] = { peer = peer, request = request }
    end)
    house = gateway.start {
      providers = { a = gateway.provider(up.url) },
      config = { client_keys = { "pk-one", "pk-two", { secret = "pk-once", id = "once", rpm = 1 } }, timeouts = { drain_ms = 200 } },
      headers = { authorization = "Bearer pk-one" },
    }
  end))
  teardown(loop.test(function()
    house:stop()
    up:close()
    assert.same({}, up.faults)
  end))
  local function with(key, options)
    options = options or {}
    options.headers = options.headers or {}
    options.headers["idempotency-key"] = key
    return options
  end

  local function under_way()
    local n = 0
    for _, worker in ipairs(house:admin("GET", "/api/status").json.workers) do
      n = n + worker.in_flight
    end
    return n
  end

  local function wait_for_under_way(n)
    loop.until_true(function()
      return under_way() == n
    end, n .. " requests under way")
  end

  -- A request counts for a moment after its client has the answer: the next test counts its own.
  before_each(loop.test(function()
    wait_for_under_way(0)
    up.requests, held, hold = {}, {}, false
    answers = { upstream.answer(200, upstream.completion "once") }
  end))

  local function wait_for_held(n)
    loop.until_true(function()
      return #held == n
    end, n .. " requests at the upstream")
  end

  -- Until every worker has answered somebody: what it was at before is done, and what it was told before it has heard.
  local function turn_all()
    for _ = 1, 16 do
      http.get(house.port, "/health")
    end
  end

  local function release(n)
    local one = held[n or 1]
    respond(one.peer, one.request)
  end

  it("answers the second with what the first one got, and asks nobody", loop.test(function()
    local first, second = house:chat(with "k-plain"), house:chat(with "k-plain")
    assert.equal(200, first.status)
    assert.is_nil(first.headers["idempotent-replayed"])
    assert.equal(200, second.status)
    assert.equal(first.body, second.body)
    assert.equal("true", second.headers["idempotent-replayed"])
    assert.equal(first.headers["x-request-id"], second.headers["x-idempotent-original"])
    assert.not_equal(first.headers["x-request-id"], second.headers["x-request-id"])
    for _, name in ipairs { "content-type", "x-routed-model", "x-routed-provider", "x-route-policy" } do
      assert.is_string(first.headers[name], name)
      assert.equal(first.headers[name], second.headers[name], name)
    end
    assert.equal("0", second.headers["x-route-attempts"])
    assert.is_nil(second.headers["x-route-cost-usd"])
    assert.equal(1, #up.requests)
  end))

  it("replays a stream event by event", loop.test(function()
    local first, second = house:stream(with "k-stream"), house:stream(with "k-stream")
    assert.is_true(first.whole and second.whole)
    assert.equal("true", second.headers["idempotent-replayed"])
    assert.equal(first.headers["content-type"], second.headers["content-type"])
    assert.equal(#first.events, #second.events)
    for i, event in ipairs(first.events) do
      assert.equal(event.raw, second.events[i].raw)
    end
    assert.equal("[DONE]", second.events[#second.events].data)
    assert.equal(1, #up.requests)
  end))

  it("with another body is refused, while the first one runs as well", loop.test(function()
    hold = true
    local c = house:ask(with "k-body")
    wait_for_held(1)
    local other = with("k-body", { body = { temperature = 0.5 } })
    local answer = house:chat(other)
    assert.equal(400, answer.status)
    assert.equal("idempotency_mismatch", answer.json.error.code)
    assert.equal("idempotency-key", answer.json.error.param)
    release()
    assert.equal(200, c:response().status)
    c:close()
    assert.equal(400, house:chat(other).status)
    assert.equal(1, #up.requests)
  end))

  it("is each client key's own", loop.test(function()
    house:chat(with "k-own")
    local answer = house:chat(with("k-own", { headers = { authorization = "Bearer pk-two" }, body = { temperature = 1 } }))
    assert.equal(200, answer.status)
    assert.is_nil(answer.headers["idempotent-replayed"])
    assert.equal(2, #up.requests)
  end))

  it("counts once: neither limits nor the ledger's costs see more", loop.test(function()
    local function ask(key)
      return house:chat(with(key, { headers = { authorization = "Bearer pk-once" } }))
    end
    assert.equal(200, ask("k-once").status)
    for _ = 1, 3 do
      assert.equal("true", ask("k-once").headers["idempotent-replayed"])
    end
    local last = ask "k-once"
    assert.is_nil(last.headers["x-ratelimit-limit-requests"])
    assert.equal(429, ask("k-twice").status)
    local record = loop.until_true(function()
      local found = house:admin("GET", "/api/requests/" .. last.headers["x-request-id"])
      return found.status == 200 and found.json
    end, "the replay in the ledger")
    assert.equal(200, record.status)
    assert.equal("once", record.key)
    assert.equal(0, record.attempts)
    assert.equal(1, #up.requests)
  end))

  it("lets many wait for the one that runs, on every worker", loop.test(function()
    hold = true
    local waiting = {}
    for i = 1, 24 do
      waiting[i] = loop.go(function()
        return house:chat(with "k-many")
      end)
    end
    wait_for_under_way(24)
    wait_for_held(1)
    for _, worker in ipairs(house:admin("GET", "/api/status").json.workers) do
      assert.is_true(worker.in_flight > 0)
    end
    release()
    local replayed, originals = 0, {}
    for _, task in ipairs(waiting) do
      local answer = task()
      assert.equal("once", answer.json.choices[1].message.content)
      replayed = replayed + (answer.headers["idempotent-replayed"] and 1 or 0)
      originals[answer.headers["x-idempotent-original"] or answer.headers["x-request-id"]] = true
    end
    assert.equal(23, replayed)
    assert.is_nil(next(originals, (next(originals))))
    assert.equal(1, #up.requests)
  end))

  it("keeps what the provider has against the request itself", loop.test(function()
    answers = { upstream.answer(400, '{"error":{"message":"temperature is too high","code":"bad_temperature"}}') }
    local first, second = house:chat(with "k-bad"), house:chat(with "k-bad")
    assert.equal(400, first.status)
    assert.equal(400, second.status)
    assert.equal("bad_temperature", second.json.error.code)
    assert.equal("true", second.headers["idempotent-replayed"])
    assert.equal(1, #up.requests)
  end))

  for what, bytes in pairs {
    ["a failure"] = upstream.answer(500, '{"error":{"message":"broken"}}'),
    ["a rate limit"] = upstream.answer(429, '{"error":{"message":"slow down"}}', { ["retry-after"] = "60" }),
    ["a wrong provider key"] = upstream.answer(401, '{"error":{"message":"who are you"}}'),
  } do
    it("keeps no answer that was " .. what, loop.test(function()
      local broken = upstream.start(function(peer)
        peer:send(bytes)
      end)
      local other = gateway.start { providers = { a = gateway.provider(broken.url), b = gateway.provider(up.url) } }
      local failed = with("k-fails", { model = "a/m", headers = { ["x-route-strict"] = "1" } })
      local answer = other:chat(failed)
      assert.is_true(answer.status >= 429)
      answer = other:chat(failed)
      assert.is_true(answer.status >= 429)
      assert.is_nil(answer.headers["idempotent-replayed"])
      -- Its key is free for anything.
      assert.equal(200, other:chat(with("k-fails", { model = "b/m" })).status)
      other:stop()
      broken:close()
    end))
  end

  it("whose first request fails has one of those that wait run", loop.test(function()
    hold = true
    answers = { upstream.answer(500, '{"error":{"message":"broken"}}'), answers[1] }
    local first = loop.go(function()
      return house:chat(with("k-turns", { headers = { ["x-route-strict"] = "1" } }))
    end)
    wait_for_held(1)
    local waiting = {}
    for i = 1, 4 do
      waiting[i] = loop.go(function()
        return house:chat(with("k-turns", { headers = { ["x-route-strict"] = "1" } }))
      end)
    end
    wait_for_under_way(5)
    release(1)
    assert.equal(503, first().status)
    wait_for_held(2)
    release(2)
    local replayed = 0
    for _, task in ipairs(waiting) do
      local answer = task()
      assert.equal(200, answer.status)
      replayed = replayed + (answer.headers["idempotent-replayed"] and 1 or 0)
    end
    assert.equal(3, replayed)
    assert.equal(2, #up.requests)
  end))

  for kind, stream in pairs { ["an answer"] = false, ["a stream"] = true } do
    it("goes on with " .. kind .. " whose client leaves while another waits for it", loop.test(function()
      hold = true
      local c = house:ask(with("k-left" .. kind, { stream = stream or nil }))
      wait_for_held(1)
      local second = loop.go(function()
        return (stream and house.stream or house.chat)(house, with("k-left" .. kind))
      end)
      wait_for_under_way(2)
      turn_all() -- it is counted a moment before it waits
      c:close()
      turn_all()
      release()
      local answer = second()
      assert.equal(200, answer.status)
      assert.equal("true", answer.headers["idempotent-replayed"])
      assert.equal(1, #up.requests)
      wait_for_under_way(0)
    end))
  end

  it("is free again when its client leaves and nobody waits", loop.test(function()
    hold = true
    local c = house:ask(with "k-alone")
    wait_for_held(1)
    c:close()
    wait_for_under_way(0)
    hold = false
    local answer = house:chat(with "k-alone")
    assert.equal(200, answer.status)
    assert.is_nil(answer.headers["idempotent-replayed"])
  end))

  it("loses nothing when one that waits leaves", loop.test(function()
    hold = true
    local c = house:ask(with "k-waiter")
    wait_for_held(1)
    local second = house:ask(with "k-waiter")
    wait_for_under_way(2)
    second:close()
    wait_for_under_way(1)
    release()
    assert.equal(200, c:response().status)
    c:close()
    assert.equal("true", house:chat(with "k-waiter").headers["idempotent-replayed"])
    assert.equal(1, #up.requests)
  end))

  it("waits no longer than the request may take", loop.test(function()
    hold = true
    local c = house:ask(with "k-late")
    wait_for_held(1)
    local answer = house:chat(with("k-late", { headers = { ["x-route-deadline-ms"] = "100" } }))
    assert.equal(504, answer.status)
    assert.equal("deadline_exceeded", answer.json.error.code)
    release()
    assert.equal(200, c:response().status)
    c:close()
  end))

  it("keeps no stream that broke", loop.test(function()
    hold = true
    local c = house:ask(with("k-cut", { stream = true }))
    wait_for_held(1)
    held[1].peer:send(upstream.STREAM_HEAD .. upstream.chunk '{"content":"a"}')
    local head = assert(c:head())
    held[1].peer:close()
    local events = c:events(head)
    assert.is_truthy(events[#events - 1].json.error)
    c:close()
    hold = false
    local answer = house:stream(with "k-cut")
    assert.is_nil(answer.headers["idempotent-replayed"])
    assert.is_true(answer.whole)
    assert.equal(2, #up.requests)
  end))

  it("remembers that there was an answer that is too large to be kept", loop.test(function()
    answers = { upstream.answer(200, upstream.completion(("x"):rep(1024 * 1024))) }
    assert.equal(200, house:chat(with "k-large").status)
    local answer = house:chat(with "k-large")
    assert.equal(409, answer.status)
    assert.equal("conflict", answer.json.error.code)
    assert.equal("false", answer.headers["x-should-retry"])
    assert.equal(1, #up.requests)
  end))

  it("is a short one", loop.test(function()
    for _, key in ipairs { ("k"):rep(256), "" } do
      local answer = house:chat(with(key))
      assert.equal(400, answer.status)
      assert.equal("invalid_request", answer.json.error.code)
      assert.equal("idempotency-key", answer.json.error.param)
    end
    assert.equal(200, house:chat(with(("k"):rep(255))).status)
  end))

  it("is no provider's business", loop.test(function()
    house:chat(with "k-private")
    assert.is_nil(up.requests[1].headers["idempotency-key"])
  end))

  it("holds up no shutdown: the first and those that wait are told", loop.test(function()
    hold = true
    local other = gateway.start { providers = { a = gateway.provider(up.url) }, config = { timeouts = { drain_ms = 200 } } }
    local asked = {}
    for i = 1, 8 do
      asked[i] = other:ask(with "k-stop")
    end
    wait_for_held(1)
    other.process:signal "sigterm"
    for _, c in ipairs(asked) do
      local answer = c:response()
      assert.is_true(not answer or answer.status == 503)
      c:close()
    end
    other:stop()
  end))
end)
