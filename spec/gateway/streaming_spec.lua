-- A stream reaches the client event by event, and ends truthfully.
local gateway = require "support.gateway"
local loop = require "support.loop"
local upstream = require "support.upstream"

local POLICY = [[return function(req) return { req.headers["x-first"] .. "/m", "spare/m" } end]]

local A, B = upstream.chunk '{"content":"a"}', upstream.chunk '{"content":"b"}'
local STOP = upstream.chunk("{}", '"stop"')
local DONE = "data: [DONE]\n\n"
local USAGE = 'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[],' ..
  '"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}\n\n'

local function whole(text)
  return function(peer)
    peer:send(upstream.STREAM_HEAD .. text)
    peer:close()
  end
end

local seen -- events the client of the spec has, which upstreams wait for

-- Sends the contents a and b, and, when the client has them, what breaks the stream.
local function then_breaks(text)
  return function(peer)
    peer:send(upstream.STREAM_HEAD .. A .. B)
    loop.until_true(function()
      return seen == 2
    end, "the client to have the content")
    peer:send(text)
    peer:close()
  end
end

-- How a stream that has begun can break.
local BROKEN = {
  cut = then_breaks "",
  cut_mid_event = then_breaks(A:sub(1, -30)),
  no_finish = then_breaks(DONE),
  reset = function(peer)
    local head = upstream.STREAM_HEAD:gsub("connection: close", "transfer-encoding: chunked")
    peer:send(head .. ("%x\r\n%s\r\n"):format(#A + #B, A .. B))
    loop.until_true(function()
      return seen == 2
    end, "the client to have the content")
    peer:reset()
  end,
  error_event = then_breaks('data: {"error":{"message":"the engine died","type":"server_error","code":null}}\n\n'),
  named_error_event = then_breaks('event: error\ndata: {"error":{"message":"the engine died"}}\n\n'),
  not_json = then_breaks("data: {oops\n\n" .. STOP .. DONE),
  silent = function(peer)
    peer:send(upstream.STREAM_HEAD .. A .. B)
    peer:read()
  end,
}
describe("streaming", function()
  local house
  local ups = {}
  local script -- what the upstream "free" does, set by a spec

  setup(loop.test(function()
    ups.free = upstream.start(function(peer, request)
      script(peer, request)
    end)
    ups.spare = upstream.start(whole(upstream.chunk '{"content":"spare"}' .. STOP .. DONE))
    for name, act in pairs(BROKEN) do
      ups[name] = upstream.start(act)
    end
    local providers = {}
    for name, up in pairs(ups) do
      providers[name] = gateway.provider(up.url, { timeouts = { idle_ms = 300 } })
    end
    house = gateway.start { providers = providers, policies = { pair = POLICY }, headers = { ["x-route-policy"] = "pair" } }
  end))
  teardown(loop.test(function()
    house:stop()
    for _, up in pairs(ups) do
      up:close()
      assert.same({}, up.faults)
    end
  end))

  local function from_free(options)
    options = options or {}
    options.headers = { ["x-first"] = "free" }
    return house:stream(options)
  end

  local function contents(events)
    local parts = {}
    for _, event in ipairs(events) do
      local choice = event.json and event.json.choices and event.json.choices[1]
      parts[#parts + 1] = choice and choice.delta.content or nil
    end
    return table.concat(parts)
  end

  for name in pairs(BROKEN) do
    it("that breaks after content (" .. name .. ") ends in one error event and [DONE], with no finish", loop.test(function()
      local spare_before = #ups.spare.requests
      seen = 0
      local c = house:ask { stream = true, headers = { ["x-first"] = name } }
      local head = assert(c:head())
      local events, ended_well = c:events(head, function()
        seen = seen + 1
      end)
      c:close()
      assert.equal(200, head.status)
      assert.equal("ab", contents(events))
      assert.equal("[DONE]", events[#events].data)
      local last = events[#events - 1].json
      assert.is_truthy(last.error, events[#events - 1].raw)
      assert.is_truthy(last.error.message)
      assert.is_nil(last.choices)
      local errors = 0
      for _, event in ipairs(events) do
        local json = event.json
        errors = errors + (json and json.error and 1 or 0)
        local choice = json and json.choices and json.choices[1]
        assert.not_equal("string", type(choice and choice.finish_reason))
      end
      assert.equal(1, errors)
      assert.is_true(ended_well)
      assert.equal(spare_before, #ups.spare.requests)
    end))
  end

  it("passes each event on before the next one comes", loop.test(function()
    seen = 0
    script = function(peer)
      peer:send(upstream.STREAM_HEAD)
      for i = 1, 20 do
        peer:send(A)
        loop.until_true(function()
          return seen >= i
        end, "event " .. i .. " at the client", 2000)
      end
      peer:send(STOP .. DONE)
      peer:close()
    end
    local c = house:ask { stream = true, headers = { ["x-first"] = "free" } }
    local head = assert(c:head())
    assert.equal(200, head.status)
    local _, ended_well = c:events(head, function()
      seen = seen + 1
    end)
    c:close()
    assert.is_true(ended_well)
    assert.equal(22, seen)
    assert.same({}, ups.free.faults)
  end))

  it("is the same wherever the upstream's packets are cut", loop.test(function()
    local text = upstream.chunk '{"role":"assistant","content":""}' .. A .. ": ping\r\n\r\n" .. B:gsub("\n", "\r\n") .. STOP .. DONE
    script = function(peer)
      peer:send(upstream.STREAM_HEAD)
      for i = 1, #text do
        peer:send(text:sub(i, i))
      end
      peer:close()
    end
    local answer = from_free()
    assert.equal("ab", contents(answer.events))
    assert.equal(5, #answer.events)
    assert.equal("stop", answer.events[4].json.choices[1].finish_reason)
    assert.equal("[DONE]", answer.events[5].data)
  end))

  it("that breaks in the packet of its first content either falls over or says so", loop.test(function()
    script = whole(A .. 'data: {"error":{"message":"the engine died"}}\n\n')
    local answer = from_free()
    if answer.headers["x-routed-provider"] == "spare" then
      assert.equal("spare", contents(answer.events))
    else
      assert.is_truthy(answer.events[#answer.events - 1].json.error)
    end
  end))

  it("asks for usage, and keeps it from a client that did not", loop.test(function()
    script = whole(A .. STOP .. USAGE .. DONE)
    local answer = from_free()
    local request = ups.free.requests[#ups.free.requests]
    assert.is_true(request.json.stream_options.include_usage)
    assert.equal(3, #answer.events)
    for _, event in ipairs(answer.events) do
      assert.is_nil(event.data:find("usage", 1, true))
    end
  end))

  it("gives usage to a client that asked", loop.test(function()
    script = whole(A .. STOP .. USAGE .. DONE)
    local answer = from_free { body = { stream_options = { include_usage = true } } }
    assert.equal(4, #answer.events)
    assert.equal(5, answer.events[3].json.usage.total_tokens)
    assert.same({}, answer.events[3].json.choices)
  end))

  it("keeps other stream options", loop.test(function()
    script = whole(A .. STOP .. DONE)
    from_free { body = { stream_options = { include_obfuscation = false } } }
    local options = ups.free.requests[#ups.free.requests].json.stream_options
    assert.is_false(options.include_obfuscation)
    assert.is_true(options.include_usage)
  end))

  it("counts reasoning, refusals and tool calls as content", loop.test(function()
    for _, delta in ipairs {
      '{"reasoning_content":"hm"}', '{"reasoning":"hm"}', '{"refusal":"no"}',
      '{"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":""}}]}',
    } do
      script = whole(upstream.chunk(delta) .. STOP .. DONE)
      local answer = from_free()
      assert.equal("free", answer.headers["x-routed-provider"], delta)
      assert.equal(3, #answer.events)
    end
  end))

  it("ends without content when that is for length or filter", loop.test(function()
    for _, finish in ipairs { '"length"', '"content_filter"' } do
      script = whole(upstream.chunk '{"role":"assistant"}' .. upstream.chunk("{}", finish) .. DONE)
      assert.equal("free", from_free().headers["x-routed-provider"], finish)
    end
  end))

  it("does without [DONE] when the finish was there", loop.test(function()
    script = whole(A .. STOP)
    local answer = from_free()
    assert.equal("stop", answer.events[2].json.choices[1].finish_reason)
    assert.equal("[DONE]", answer.events[3].data)
    assert.is_nil(answer.events[2].json.error)
  end))

  it("carries events of half a megabyte", loop.test(function()
    local big = ("x"):rep(500000)
    script = whole(upstream.chunk('{"content":"' .. big .. '"}') .. STOP .. DONE)
    assert.equal(big, from_free().events[1].json.choices[1].delta.content)
  end))

  it("is not interrupted by others: fifty streams at once, each whole and in order", loop.test(function()
    script = function(peer)
      peer:send(upstream.STREAM_HEAD)
      for i = 1, 40 do
        peer:send(upstream.chunk(('{"content":"%d,"}'):format(i)))
      end
      peer:send(STOP .. DONE)
      peer:close()
    end
    local expected = {}
    for i = 1, 40 do
      expected[i] = i .. ","
    end
    expected = table.concat(expected)
    for _, text in ipairs(loop.spread(100, 50, function()
      return contents(from_free().events)
    end)) do
      assert.equal(expected, text)
    end
  end))
end)
