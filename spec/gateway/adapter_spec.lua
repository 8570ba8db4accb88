-- The way through a Lua adapter gives the client what the direct way gives it.
local gateway = require "support.gateway"
local loop = require "support.loop"
local upstream = require "support.upstream"

local STOP = upstream.chunk("{}", '"stop"') .. "data: [DONE]\n\n"

describe("through the Lua adapter", function()
  local house, up, down
  local script

  setup(loop.test(function()
    up = upstream.start(function(peer, request)
      script(peer, request)
    end)
    down = upstream.refusing()
    house = gateway.start {
      providers = {
        direct = gateway.provider(up.url),
        adapted = gateway.provider(up.url, { adapt = true }),
        down = gateway.provider(down.url, { adapt = true }),
        other = gateway.provider(up.url, { dialect = "anthropic_messages" }),
      },
    }
  end))
  teardown(loop.test(function()
    house:stop()
    up:close()
    down:close()
    assert.same({}, up.faults)
  end))

  local function both(kind, options)
    local answers = {}
    for i, name in ipairs { "direct", "adapted" } do
      options.model = name .. "/m"
      answers[i] = house[kind](house, options)
      assert.equal(name, answers[i].headers["x-routed-provider"], answers[i].body)
    end
    return answers[1], answers[2]
  end

  it("an answer is the same", loop.test(function()
    script = function(peer)
      peer:send(upstream.answer(200, upstream.completion "caf\\u00e9"))
    end
    local direct, adapted = both("chat", {})
    assert.same(direct.json, adapted.json)
    assert.equal(direct.headers["x-routed-model"], adapted.headers["x-routed-model"])
  end))

  it("the request that goes up is the same", loop.test(function()
    script = function(peer)
      peer:send(upstream.answer(200, upstream.completion "x"))
    end
    local n = #up.requests
    both("chat", { body = { temperature = 0.5, max_tokens = 7, tools = { { type = "function", ["function"] = { name = "f" } } } } })
    assert.same(up.requests[n + 1].json, up.requests[n + 2].json)
    assert.equal(up.requests[n + 1].path, up.requests[n + 2].path)
    assert.equal(up.requests[n + 1].headers.authorization, up.requests[n + 2].headers.authorization)
  end))

  it("a stream is the same, at whatever byte it is cut", loop.test(function()
    local text = upstream.chunk '{"role":"assistant","content":""}' .. upstream.chunk '{"content":"a"}' ..
      upstream.chunk '{"content":"b"}' .. STOP
    script = function(peer)
      peer:send(upstream.STREAM_HEAD)
      for byte in text:gmatch "." do
        peer:send(byte)
      end
      peer:close()
    end
    local direct, adapted = both("stream", {})
    assert.equal(#direct.events, #adapted.events)
    for i, event in ipairs(direct.events) do
      assert.same(event.json, adapted.events[i].json)
    end
    assert.equal("[DONE]", adapted.events[#adapted.events].data)
  end))

  it("a stream that breaks ends in an error", loop.test(function()
    script = function(peer)
      peer:send(upstream.STREAM_HEAD .. upstream.chunk '{"content":"a"}')
      peer:close()
    end
    local _, adapted = both("stream", {})
    assert.equal(3, #adapted.events)
    assert.is_truthy(adapted.events[2].json.error)
    assert.equal("[DONE]", adapted.events[3].data)
  end))

  -- So many messages that to say them in another dialect takes longer than a call of the adapter may, or more memory.
  it("what it fails at by itself is no fault of the client: the next target is asked", loop.test(function()
    script = function(peer)
      peer:send(upstream.answer(200, upstream.completion "x"))
    end
    local n = #up.requests
    local messages = ('{"role":"user","content":"x"},'):rep(700000)
    local raw = '{"models":["other/m","direct/m"],"model":"auto","messages":[' .. messages:sub(1, -2) .. "]}"
    local answer = house:chat { raw = raw, headers = { ["x-route-trace"] = "1" } }
    assert.equal(200, answer.status, answer.body)
    assert.equal("direct", answer.headers["x-routed-provider"])
    local failed = answer.json.route.attempts[1]
    assert.same({ "other/m", "bad_response" }, { failed.target, failed.failure })
    assert.equal(n + 1, #up.requests)
    -- Nor does it say anything about the target.
    script = function(peer)
      peer:send(upstream.answer(200, '{"id":"msg_1","type":"message","role":"assistant","model":"m","content":' ..
        '[{"type":"text","text":"y"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}'))
    end
    assert.equal("y", house:chat({ model = "other/m" }).json.choices[1].message.content)
  end))

  it("a failure falls over", loop.test(function()
    script = function(peer)
      peer:send(upstream.answer(200, upstream.completion "x"))
    end
    local answer = house:chat { body = { models = { "down/m", "adapted/m" } }, model = "auto" }
    assert.equal(200, answer.status, answer.body)
    assert.equal("adapted", answer.headers["x-routed-provider"])
  end))
end)
