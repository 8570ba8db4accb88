-- A client that reads slowly holds up its own upstream, not the gateway's memory and not its neighbours.
local gateway = require "support.gateway"
local loop = require "support.loop"
local upstream = require "support.upstream"

local PIECE = upstream.chunk('{"content":"' .. ("x"):rep(16000) .. '"}')
local PIECES = 4000 -- 64 MB in all, far beyond what kernels buffer on the way
local END = upstream.chunk("{}", '"stop"') .. "data: [DONE]\n\n"

-- Memory of a process in use, in bytes.
local function resident(pid)
  local file = assert(io.open(("/proc/%d/statm"):format(pid)))
  local pages = file:read("*a"):match "^%d+ (%d+)"
  file:close()
  return tonumber(pages) * 4096
end

describe("a slow reader", function()
  it("is waited for, within bounds, while others are served", loop.test(function()
    local taken = 0 -- pieces the gateway and the kernels have taken
    local up = upstream.start(function(peer, request)
      peer:send(upstream.STREAM_HEAD)
      for _ = 1, request.json.seed do
        if not peer:send(PIECE) then
          return
        end
        taken = taken + (request.json.seed == PIECES and 1 or 0)
      end
      peer:send(END)
      peer:close()
    end)
    local house = gateway.start { providers = { a = gateway.provider(up.url) }, config = { workers = 1 } }
    house:stream { body = { seed = 10 } }
    local before = resident(house.process.pid)

    local slow = house:ask { stream = true, body = { seed = PIECES } }
    local head = assert(slow:head())
    local neighbours = 0
    local last, stood_still = -1, 0
    loop.until_true(function() -- until nothing moves any more over five neighbours' whole streams
      stood_still = taken == last and stood_still + 1 or 0
      last = taken
      local answer = house:stream { body = { seed = 20 } }
      assert.equal(22, #answer.events)
      neighbours = neighbours + 1
      return stood_still >= 5 and taken > 0
    end, "the upstream to be held up", 20000)
    assert.is_true(taken < PIECES, "the whole stream was taken in without a reader")
    assert.is_true(neighbours >= 5)
    local growth = resident(house.process.pid) - before
    if not gateway.is_sanitized() then
      assert.is_true(growth < 4 * 1024 * 1024, ("grew by %d bytes"):format(growth))
    end

    local bytes = 0
    local events, ended_well = slow:events(head, function(event)
      bytes = bytes + #event.data
      event.data, event.raw, event.json = nil, nil, nil
    end)
    slow:close()
    assert.is_true(ended_well)
    assert.equal(PIECES + 2, #events)
    assert.is_true(bytes > PIECES * 16000)
    house:stop()
    up:close()
    assert.same({}, up.faults)
  end))
end)
