-- on_exhausted = "queue": requests wait for a target to come back, by turns, in a bounded queue, and leave it with their clients.
local gateway = require "support.gateway"
local loop = require "support.loop"
local upstream = require "support.upstream"

local AGAIN_MS = 600

local POLICIES = {
  patient = [[
    return function()
      return { { target = "a/m", retries = 0 }, on_exhausted = "queue", retry_window_ms = 20000, hold_ms = 50 }
    end]],
  brief = [[
    return function()
      return { { target = "a/m", retries = 0 }, on_exhausted = "queue", retry_window_ms = 300 }
    end]],
}

local function limited(peer)
  peer:send(upstream.answer(429, '{"error":{"message":"slowly"}}', {
    ["content-type"] = "application/json", ["retry-after-ms"] = tostring(AGAIN_MS),
  }))
end

local function good(peer, request)
  if request.json.stream then
    peer:send(upstream.STREAM_HEAD .. upstream.chunk '{"content":"good"}' .. upstream.chunk("{}", '"stop"') .. "data: [DONE]\n\n")
    peer:close()
  else
    peer:send(upstream.answer(200, upstream.completion "good"))
  end
end

describe("the queue", function()
  local house, up

  local function start(config)
    config.workers = 1
    up = upstream.start(good)
    house = gateway.start {
      providers = { a = gateway.provider(up.url) }, policies = POLICIES, config = config, headers = { ["x-route-policy"] = "patient" },
    }
  end
  after_each(loop.test(function()
    house:stop()
    up:close()
    assert.same({}, up.faults)
  end))

  it("keeps requests until their target may be asked again, and tells streams where they stand", loop.test(function()
    start {}
    up.handler = limited
    local waiting = {}
    for i = 1, 3 do
      waiting[i] = house:ask { stream = true }
      waiting[i].first = waiting[i]:head()
    end
    local whole = loop.go(function()
      return house:chat()
    end)
    up.handler = good
    for i, c in ipairs(waiting) do
      local events, ended = c:events(c.first)
      assert.is_true(ended)
      assert.equal(("queued %d of %d"):format(i, i), events[1].comment)
      assert.equal("[DONE]", events[#events].data)
      c:close()
    end
    assert.equal("good", whole().json.choices[1].message.content)
    assert.equal(1 + 4, #up.requests)
    assert.is_true(up.requests[2].at - up.requests[1].at >= AGAIN_MS)
  end))

  it("lets one through first, and the others when it had its answer", loop.test(function()
    start {}
    up.handler = limited
    local waiting, held = {}, nil
    for i = 1, 5 do
      waiting[i] = house:ask { stream = true }
      waiting[i].first = waiting[i]:head()
    end
    up.handler = function(peer, request)
      up.handler, held = good, { peer, request }
    end
    up:wait_for(2)
    assert.equal(2, #up.requests)
    good(unpack(held))
    for _, c in ipairs(waiting) do
      local events = c:events(c.first)
      assert.equal("[DONE]", events[#events].data)
      c:close()
    end
    assert.equal(6, #up.requests)
  end))

  it("that is full says so at once, and when to come again; a client that leaves makes room", loop.test(function()
    start { queue = { max = 1 } }
    up.handler = limited
    local waiting = house:ask { stream = true }
    assert.equal(200, waiting:head().status) -- it waits long enough to be told
    local refused = house:chat()
    assert.equal(429, refused.status)
    assert.equal("queue_full", refused.json.error.code)
    assert.is_true(tonumber(refused.headers["retry-after"]) >= 1)
    waiting:close()
    local another
    loop.until_true(function()
      if another then
        another:close()
      end
      another = house:ask { stream = true }
      return another:head().status == 200
    end, "room in the queue")
    up.handler = good
    assert.is_true(select(2, another:events { headers = { ["transfer-encoding"] = "chunked" }, status = 200 }))
    another:close()
  end))

  it("goes round by client key", loop.test(function()
    start { client_keys = { { secret = "greedy", grants = { "policy" } }, { secret = "modest", grants = { "policy" } } } }
    up.handler = limited
    local function ask(key)
      local c = house:ask {
        stream = true, headers = { authorization = "Bearer " .. key }, messages = { { role = "user", content = key } },
      }
      c.first = c:head()
      return c
    end
    local all = {}
    for i = 1, 5 do
      all[i] = ask "greedy"
    end
    all[6] = ask "modest"
    local order = {}
    up.handler = function(peer, request)
      order[#order + 1] = request.json.messages[1].content
      good(peer, request)
    end
    for _, c in ipairs(all) do
      local events = c:events(c.first)
      assert.equal("[DONE]", events[#events].data)
      c:close()
    end
    assert.is_true(order[1] == "modest" or order[2] == "modest", table.concat(order, " "))
    assert.equal(6, #order)
  end))

  it("is not for what will not be back within the retry window", loop.test(function()
    start {}
    up.handler = limited
    local answer = house:chat { policy = "brief" }
    assert.equal(429, answer.status)
    assert.equal("fallbacks_exhausted", answer.json.error.code)
    assert.equal("1", answer.headers["x-route-attempts"])
    assert.matches("The wait of 300 ms ends before a target comes back", answer.json.error.message, 1, true)
    -- Whoever comes while it may not be asked is told the same, though without a try.
    local other = house:chat { policy = "brief" }
    assert.equal(429, other.status)
    assert.equal("no_eligible_target", other.json.error.code)
    assert.matches("No target was tried.*The wait of 300 ms ends before", other.json.error.message)
  end))

  it("ends with the request's deadline", loop.test(function()
    start {}
    up.handler = limited
    local first = house:ask { stream = true }
    first:head()
    up.handler = function(peer)
      peer:read() -- the one whose turn it is keeps the others waiting
    end
    local answer = house:chat { headers = { ["x-route-deadline-ms"] = tostring(AGAIN_MS + 200) } }
    assert.equal(504, answer.status, answer.body)
    assert.equal("deadline_exceeded", answer.json.error.code)
    assert.equal("0", answer.headers["x-route-attempts"])
    first:close()
  end))
end)
