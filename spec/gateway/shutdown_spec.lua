-- An end that loses nobody's answer and leaves nothing open.
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local process = require "support.process"
local upstream = require "support.upstream"

describe("shutdown", function()
  local up, held

  before_each(loop.test(function()
    held = {}
    up = upstream.start(function(peer, request)
      held[#held + 1] = peer
      if request.json.stream then
        peer:send(upstream.STREAM_HEAD .. upstream.chunk '{"content":"a"}')
      end
    end)
  end))
  after_each(loop.test(function()
    up:close()
    assert.same({}, up.faults)
  end))

  local function start(config)
    return gateway.start { providers = { a = gateway.provider(up.url) }, config = config }
  end

  local function upstream_has(n)
    loop.until_true(function()
      return #held == n
    end, n .. " upstream requests")
  end

  it("lets what is under way end, and takes nothing new", loop.test(function()
    local house = start { timeouts = { drain_ms = 5000 } }
    local plain, stream = house:ask(), house:ask { stream = true }
    upstream_has(2)
    local head = assert(stream:head())
    house.process:signal "sigterm"
    loop.until_true(function()
      local c = http.connect(house.port)
      if c then
        c:close()
      end
      return not c
    end, "the port to be closed")
    for _, peer in ipairs(held) do
      if peer == up.requests[1].connection and not up.requests[1].json.stream or
        peer == up.requests[2].connection and not up.requests[2].json.stream then
        peer:send(upstream.answer(200, upstream.completion "late"))
      else
        peer:send(upstream.chunk("{}", '"stop"') .. "data: [DONE]\n\n")
        peer:close()
      end
    end
    local answer = assert(plain:response())
    assert.equal("late", answer.json.choices[1].message.content)
    local events, whole = stream:events(head)
    assert.is_true(whole)
    assert.equal("[DONE]", events[#events].data)
    plain:close()
    stream:close()
    house:stop()
  end))

  it("ends a stream that outlasts the drain limit with an error, not with an invented finish", loop.test(function()
    local house = start { timeouts = { drain_ms = 100 } }
    local stream = house:ask { stream = true }
    local head = assert(stream:head())
    house.process:signal "sigterm"
    local events = stream:events(head)
    stream:close()
    for _, event in ipairs(events) do
      local choice = event.json and event.json.choices and event.json.choices[1]
      assert.not_equal("string", type(choice and choice.finish_reason))
    end
    house:stop()
  end))

  it("closes idle clients and idle upstream connections", loop.test(function()
    local house = start()
    local idle = {}
    for i = 1, 20 do
      idle[i] = assert(http.connect(house.port))
      idle[i]:send_request { path = "/health" }
      assert.equal(200, idle[i]:response().status)
    end
    house:stop()
    for _, c in ipairs(idle) do
      c:close()
    end
  end))

  it("follows SIGINT too", loop.test(function()
    local house = start()
    house.process:signal "sigint"
    assert.equal(0, (house.process:wait()))
    house:stop()
  end))

  it("is not needed by a second instance: the address is refused it", loop.test(function()
    local house = start()
    local code, output = house:command "run"
    assert.not_equal(0, code)
    assert.is_truthy(output:find(tostring(house.port), 1, true), output)
    assert.equal(200, http.get(house.port, "/health").status)
    house:stop()
  end))

  it("leaves no process behind that never served", loop.test(function()
    local code, output = gateway.command { args = { "run" }, config = "return { listn = '127.0.0.1:1' }" }
    assert.equal(4, code)
    assert.is_truthy(output:find("listn", 1, true))
    assert.is_truthy(output:find("listen", 1, true))
    assert.is_function(process.run)
  end))
end)
