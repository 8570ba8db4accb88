-- From a client's first byte to its last: who is told what when somebody leaves, and what is left of it.
local cross = require "support.cross"
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local upstream = require "support.upstream"

-- A Messages stream that has told what the prompt was, and said something.
local BEGUN = upstream.STREAM_HEAD ..
  'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m",' ..
  '"content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1000000,"output_tokens":1}}}\n\n' ..
  'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n' ..
  'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}\n\n'

-- A Gemini stream whose events tell what they used so far.
local TOLD = 6
local TELLING = upstream.STREAM_HEAD
for i = 1, TOLD do
  TELLING = TELLING .. ('data: {"candidates":[{"content":{"parts":[{"text":"x"}],"role":"model"},"index":0}],' ..
    '"usageMetadata":{"promptTokenCount":0,"candidatesTokenCount":%d}}\n\n'):format(i)
end

describe("the life of a request", function()
  local house, hanging, telling, limited, good
  local begun, ended -- requests at the upstream that hangs: all, and those it has lost

  setup(loop.test(function()
    hanging = upstream.start(function(peer, request)
      begun = begun + 1
      if request.json.stream then
        peer:send(BEGUN)
      end
      peer:read() -- until the gateway gives up
      ended = ended + 1
      peer:close()
    end)
    telling = upstream.start(function(peer)
      peer:send(TELLING)
      peer:read()
    end)
    limited = upstream.start(function(peer)
      peer:send(upstream.answer(429, '{"error":{"message":"slow down"}}', { ["retry-after"] = "1" }))
    end)
    good = upstream.start(function(peer, request)
      local text = upstream.chunk '{"content":"good"}' .. upstream.chunk("{}", '"stop"') .. "data: [DONE]\n\n"
      peer:send(request.json.stream and upstream.STREAM_HEAD .. text or upstream.answer(200, upstream.completion "good"))
      peer:close()
    end)
    house = gateway.start {
      providers = {
        a = gateway.provider(hanging.url, {
          dialect = "anthropic_messages", models = { { name = "m", price = { input = 2, output = 10 } } },
        }),
        c = gateway.provider(telling.url, { dialect = "gemini", models = { { name = "m", price = { input = 2, output = 10 } } } }),
        limited = gateway.provider(limited.url),
        good = gateway.provider(good.url),
      },
      policies = { retrying = "return function() return { { target = 'limited/m', retries = 1 } } end" },
      args = { "--log", "debug" },
    }
  end))
  teardown(loop.test(function()
    house:stop()
    for _, up in ipairs { hanging, telling, limited, good } do
      up:close()
      assert.same({}, up.faults)
    end
  end))
  before_each(function()
    begun, ended = 0, 0
  end)

  local function figures()
    local sums = {}
    local _, output = house:command("status", "--json")
    for _, worker in ipairs(assert(http.json(output), output).workers) do
      for name, n in pairs(worker) do
        sums[name] = (sums[name] or 0) + n
      end
    end
    return sums
  end

  -- Asks the upstream that hangs and leaves again; the id of the request, where the client was told one.
  local function abandon(stream)
    local before = begun
    local c = house:ask { model = "a/m", stream = stream }
    loop.until_true(function()
      return begun == before + 1
    end, "the upstream request")
    local id
    if stream then
      local head = assert(c:head())
      id = head.headers["x-request-id"]
      c:events(head, function()
        return true
      end)
    end
    c:close()
    loop.until_true(function()
      return ended == before + 1
    end, "the upstream request to be given up")
    return id
  end

  it("[H2] a client that leaves before there is an answer is noticed at once, and counted as gone", loop.test(function()
    local before = figures()
    abandon(false)
    local after
    loop.until_true(function()
      after = figures()
      return after.in_flight == 0
    end, "the request to be over")
    assert.equal(before.cancelled + 1, after.cancelled)
    assert.equal(before.answered, after.answered)
    assert.equal(before.failed, after.failed)
    assert.truthy(house:wait_for_log "/v1/chat/completions 499 ")
  end))

  it("[C8] clients that leave are not held against the provider", loop.test(function()
    local counted = figures()
    for _ = 1, 12 do
      abandon(true)
    end
    local after = figures()
    assert.equal(counted.failed, after.failed)
    assert.equal(counted.cancelled + 12, after.cancelled)
    local before = #hanging.requests
    local c = house:ask { model = "a/m", stream = true }
    local head = assert(c:head())
    assert.equal("a", head.headers["x-routed-provider"])
    assert.equal("1", head.headers["x-route-attempts"])
    assert.equal(before + 1, #hanging.requests)
    c:close()
  end))

  -- A million tokens in at two dollars, one out at ten.
  it("[H3] what an abandoned stream had told of its usage is paid for", loop.test(function()
    local id = abandon(true)
    house:wait_for_log(id)
    local line = house.process.output:match(id .. " [^\n]*")
    assert.truthy(line:find(" 499 ", 1, true), line)
    assert.truthy(line:find(" nanousd=2000010000 ", 1, true), line)
  end))

  -- Events that are alike are passed on without a look at each: what they have told is asked for at the end.
  it("[H3] so is what a translated one had told by then", loop.test(function()
    local c = house:ask { model = "c/m", stream = true }
    local head, n = assert(c:head()), 0
    c:events(head, function(event)
      local delta = event.json and event.json.choices[1] and event.json.choices[1].delta
      n = n + (delta and delta.content == "x" and 1 or 0)
      return n == TOLD
    end)
    c:close()
    local id = head.headers["x-request-id"]
    house:wait_for_log(id)
    local line = house.process.output:match(id .. " [^\n]*")
    assert.truthy(line:find((" nanousd=%d "):format(TOLD * 10000), 1, true), line)
  end))

  it("[H4] a client is told not to retry what was retried", loop.test(function()
    local before = #limited.requests
    local answer = house:chat { model = "auto", policy = "retrying" }
    assert.equal(429, answer.status, answer.body)
    assert.equal(before + 2, #limited.requests)
    assert.equal("2", answer.headers["x-route-attempts"])
    assert.equal("false", answer.headers["x-should-retry"])
    -- The second refusal counts, not the first one, which is over.
    assert.equal("1", answer.headers["retry-after"])
  end))

  it("[H5] after the first content nobody else answers, before it anybody may", loop.test(function()
    local mixed, up = cross.start()
    for _, from in ipairs(cross.inbound) do
      local chain = { ["x-route-strict"] = false }
      chain["x-route-models"] = "gemini/breaks,anthropic_messages/plain"
      local told, answer = cross.ask(mixed, from, { model = "auto", stream = true, turns = { { user = "hi" } } }, chain)
      assert.equal("one two ", told.text)
      assert.is_truthy(told.error)
      assert.equal("gemini", answer.headers["x-routed-provider"])
      chain["x-route-models"] = "gemini/starts,anthropic_messages/plain"
      told, answer = cross.ask(mixed, from, { model = "auto", stream = true, turns = { { user = "hi" } } }, chain)
      assert.equal(cross.TEXT, told.text)
      assert.is_nil(told.error)
      assert.equal("anthropic_messages", answer.headers["x-routed-provider"])
    end
    mixed:stop()
    up:stop()
  end))
end)
