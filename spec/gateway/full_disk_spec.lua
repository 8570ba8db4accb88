-- A disk that takes no more: nothing is spent that could not be recorded, clients are told so, and what they got is there when there is
-- room again.
local gateway = require "support.gateway"
local http = require "support.http"
local ledger = require "support.ledger"
local loop = require "support.loop"
local process = require "support.process"
local upstream = require "support.upstream"
local uv = require "luv"

local BLOCKS = 1200 -- of 512 bytes, that a file may have: the folder of journals is full after some hundred requests

describe("a ledger without room", function()
  local up, house

  -- The gateway under test, of which no file may grow beyond that.
  local function start(options)
    local binary, dir = process.binary(), process.folder()
    process.write(dir .. "/perilune", ("#!/bin/sh\ntrap '' XFSZ; ulimit -f %d; exec \"%s\" \"$@\"\n"):format(BLOCKS, binary))
    assert(uv.fs_chmod(dir .. "/perilune", 493))
    local old = process.binary
    process.binary = function()
      return dir .. "/perilune"
    end
    local ok, started = pcall(gateway.start, options)
    process.binary = old
    return assert(ok and started, started)
  end

  before_each(loop.test(function()
    up = upstream.start(function(peer)
      peer:send(upstream.answer(200, upstream.completion "x"))
    end)
  end))
  after_each(loop.test(function()
    house:stop()
    up:close()
  end))

  -- Asks until it is refused, or so often; the ids of what was answered, and the refusal.
  local function ask(times)
    local answered, refused = {}, nil
    loop.spread(times, 16, function()
      if refused then
        return
      end
      local got = house:chat()
      if got.status == 200 then
        answered[#answered + 1] = got.headers["x-request-id"]
      else
        refused = got
      end
    end)
    return answered, refused
  end

  local function recorded(id)
    return #ledger.rows(house, ("SELECT id FROM requests WHERE id = '%s' AND outcome = 0"):format(id)) == 1
  end

  it("stops spending, and has lost nothing", loop.test(function()
    house = start { providers = { a = gateway.provider(up.url) }, config = { workers = 1 } }
    local answered, refused = ask(20000)
    assert.equal(503, refused and refused.status)
    assert.equal("ledger_unavailable", refused.json.error.code)
    local asked = #up.requests
    assert.equal(503, house:chat().status)
    assert.equal(asked, #up.requests) -- nobody was asked
    local ready = http.get(house.port, "/ready")
    assert.equal(503, ready.status)
    assert.equal("ledger_unavailable", ready.json.status)
    assert.is_true(#answered > 100)
    house.process:signal "sigkill"
    house.process:wait()
    house:launch {}
    assert.equal(200, house:chat().status)
    loop.until_true(function()
      return recorded(answered[#answered])
    end, "the last one's record")
    local all = ledger.value(house, "SELECT count(*) FROM requests WHERE outcome = 0")
    assert.is_true(all >= #answered)
    for i = 1, #answered, 50 do
      assert.is_true(recorded(answered[i]), answered[i])
    end
  end))
end)
