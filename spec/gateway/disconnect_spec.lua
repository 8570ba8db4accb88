-- A client that leaves takes its upstream request with it, and nobody else's.
local gateway = require "support.gateway"
local loop = require "support.loop"
local upstream = require "support.upstream"

-- The upstream must hear of it within this many milliseconds.
local SOON = 100 * loop.stretch

describe("a client that leaves", function()
  local house, up
  local begun, ended_at -- requests the upstream works on; when it lost the last one

  setup(loop.test(function()
    up = upstream.start(function(peer, request)
      begun = begun + 1
      if request.json.stream then
        peer:send(upstream.STREAM_HEAD .. upstream.chunk '{"content":"a"}')
      end
      peer:read() -- nothing comes: this returns when the gateway gives up
      ended_at = loop.now()
      peer:close()
    end)
    house = gateway.start { providers = { a = gateway.provider(up.url) } }
  end))
  teardown(loop.test(function()
    house:stop()
    up:close()
    assert.same({}, up.faults)
  end))
  before_each(function()
    begun, ended_at = 0, nil
  end)

  local function upstream_is_cancelled(left_at)
    loop.until_true(function()
      return ended_at
    end, "the upstream request to be cancelled")
    assert.is_true(ended_at - left_at <= SOON, ("cancelled after %d ms"):format(ended_at - left_at))
  end

  local function ask(stream)
    local c = house:ask { stream = stream }
    loop.until_true(function()
      return begun == 1
    end, "the upstream request")
    return c
  end

  for how, leave in pairs {
    ["closes"] = function(c) c:close() end,
    ["resets"] = function(c) c:reset() end,
    ["closes its side"] = function(c) c:half_close() end,
  } do
    it("[H2] " .. how .. " while it waits: the upstream request is cancelled", loop.test(function()
      local c = ask(false)
      local left_at = loop.now()
      leave(c)
      upstream_is_cancelled(left_at)
      c:close()
    end))

    it("[H1] " .. how .. " in mid stream: the upstream request is cancelled", loop.test(function()
      local c = ask(true)
      local head = assert(c:head())
      c:events(head, function()
        return true
      end)
      local left_at = loop.now()
      leave(c)
      upstream_is_cancelled(left_at)
      c:close()
    end))
  end

  it("does not disturb the others", loop.test(function()
    local clients = {}
    for i = 1, 20 do
      clients[i] = house:ask { stream = true }
    end
    loop.until_true(function()
      return begun == 20
    end, "twenty upstream requests")
    for i = 1, 20, 2 do
      clients[i]:reset()
    end
    for i = 2, 20, 2 do
      local head = assert(clients[i]:head())
      assert.equal(200, head.status)
      local events = clients[i]:events(head, function()
        return true
      end)
      assert.equal("a", events[1].json.choices[1].delta.content)
      clients[i]:close()
    end
  end))
end)
