-- Malformed requests, and those that two readers would take for different ones: each is refused, its connection ends, and nothing
-- of it or behind it reaches a provider. Odd but sound ones are served.
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local opinions = require "hostile.opinions"
local payloads = require "hostile.payloads"
local bytes = require "hostile.payloads.bytes"
local upstream = require "support.upstream"

local ALL = payloads.all()

describe("payloads", function()
  local house, up

  setup(loop.test(function()
    up = upstream.start(function(peer)
      peer:send(upstream.answer(200, upstream.completion "x"))
    end)
    house = gateway.start { providers = { a = gateway.provider(up.url) }, config = { workers = 1 } }
  end))
  teardown(loop.test(function()
    house:stop()
    up:close()
    assert.same({}, up.faults)
  end))

  it("are many, and each its own", function()
    local seen = {}
    for _, payload in ipairs(ALL) do
      assert.is_nil(seen[payload.bytes], payload.group .. ": " .. payload.name)
      seen[payload.bytes] = true
    end
    assert.is_true(#ALL >= 250)
  end)

  -- What is answered to the bytes, then to an honest request on another connection.
  local function played(payload, before)
    local forwarded = #up.requests
    local answers = opinions.ask(house.port, (before or "") .. payload.bytes)
    forwarded = #up.requests - forwarded
    assert.equal(200, http.get(house.port, "/health").status)
    return answers, forwarded
  end

  for _, payload in ipairs(ALL) do
    it(("of %s: %s"):format(payload.group, payload.name), loop.test(function()
      local expected = payload.last and { payload.status } or { payload.status, 200 }
      local answers, forwarded = played(payload)
      assert.same(expected, answers.statuses, payload.why)
      assert.equal(payload.forwarded, forwarded)
      if payload.refused then
        assert.equal("close", answers[1].headers.connection)
        assert.equal("string", type(answers[1].json.error.message))
      end
      answers, forwarded = played(payload, bytes.post())
      table.insert(expected, 1, 200)
      assert.same(expected, answers.statuses, payload.why)
      assert.equal(payload.forwarded + 1, forwarded)
    end))
  end
end)
