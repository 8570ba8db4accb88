-- What passes through the gateway when nothing goes wrong, and what must not.
local gateway = require "support.gateway"
local loop = require "support.loop"
local upstream = require "support.upstream"

local ANSWER = '{"id":"chatcmpl-9","object":"chat.completion","created":1700000000,"model":"m",' ..
  '"vendor_field":{"a":[],"n":12345678901234567890},' ..
  '"choices":[{"index":0,"message":{"role":"assistant","content":"caf\\u00e9 \\"x\\""},"finish_reason":"stop","logprobs":null}],' ..
  '"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}'

local EVENTS = {
  upstream.chunk '{"role":"assistant","content":""}',
  upstream.chunk '{"content":"one "}',
  upstream.chunk '{"content":"two","vendor":{"deep":[[]]}}',
  upstream.chunk("{}", '"stop"'),
}

local function stream_all(peer)
  peer:send(upstream.STREAM_HEAD)
  for _, event in ipairs(EVENTS) do
    peer:send(event)
  end
  peer:send "data: [DONE]\n\n"
  peer:close()
end

describe("relay", function()
  local house, up

  setup(loop.test(function()
    up = upstream.start(function(peer, request)
      if request.json.stream then
        return stream_all(peer)
      end
      peer:send(upstream.answer(200, ANSWER, {
        ["content-type"] = "application/json",
        ["set-cookie"] = "session=1",
        ["x-request-id"] = "req_vendor",
        ["x-vendor-secret"] = "1",
        ["openai-processing-ms"] = "17",
      }))
    end)
    house = gateway.start {
      providers = { a = gateway.provider(up.url, { api_keys = { "sk-canary-a" } }) },
      policies = { only_a = "return function() return { 'a/m' } end" },
      headers = { ["x-route-policy"] = "only_a" },
    }
  end))
  teardown(loop.test(function()
    house:stop()
    up:close()
    assert.same({}, up.faults)
  end))
  before_each(function()
    up.requests = {}
  end)

  it("hands an answer on as it came", loop.test(function()
    local answer = house:chat()
    assert.equal(200, answer.status)
    assert.equal(ANSWER, answer.body)
    assert.equal("application/json", answer.headers["content-type"])
  end))

  it("hands a stream on event by event as it came", loop.test(function()
    local answer = house:stream()
    assert.equal(200, answer.status)
    assert.is_truthy(answer.headers["content-type"]:find "^text/event%-stream")
    assert.equal("no-cache", answer.headers["cache-control"])
    for i, event in ipairs(EVENTS) do
      assert.equal(event:sub(1, -3), answer.events[i].raw)
    end
    assert.equal("[DONE]", answer.events[#EVENTS + 1].data)
    assert.equal(#EVENTS + 1, #answer.events)
    assert.is_true(answer.whole)
  end))

  it("sends the body on as it came, but for what must change", loop.test(function()
    local body = '{ "model" : "m", "vendor": {"x":[], "big":12345678901234567890, "s":"\\u00e9"},\n' ..
      ' "messages":[{"role":"user","content":"hi"}] }'
    house:chat { raw = body }
    assert.equal(body, up.requests[1].body)
  end))

  it("puts the provider's own model name into the request, and takes router-only fields out", loop.test(function()
    house:chat { raw = '{"models":["a/m"],"model":"a/m","messages":[{"role":"user","content":"hi"}],"seed":7}' }
    local sent = up.requests[1].json
    assert.equal("m", sent.model)
    assert.is_nil(sent.models)
    assert.equal(7, sent.seed)
  end))

  it("asks at the base URL, with the provider's key", loop.test(function()
    house:chat()
    assert.equal("POST", up.requests[1].method)
    assert.equal("/v1/chat/completions", up.requests[1].path)
    assert.equal("Bearer sk-canary-a", up.requests[1].headers.authorization)
    assert.equal("127.0.0.1:" .. up.port, up.requests[1].headers.host)
    assert.equal("identity", up.requests[1].headers["accept-encoding"])
    assert.is_nil(up.requests[1].headers.expect)
  end))

  it("lets no client header through that is not on the list", loop.test(function()
    house:chat { headers = {
      authorization = "Bearer sk-client", cookie = "a=b", ["x-api-key"] = "sk-client", ["x-anything"] = "1", ["x-route-tags"] = "x",
      ["x-forwarded-for"] = "10.0.0.1", connection = "keep-alive, x-anything", te = "trailers", ["openai-beta"] = "assistants=v2",
    } }
    local headers = up.requests[1].headers
    assert.equal("Bearer sk-canary-a", headers.authorization)
    assert.equal("assistants=v2", headers["openai-beta"])
    for _, name in ipairs { "cookie", "x-api-key", "x-anything", "x-route-tags", "x-route-policy", "x-forwarded-for", "te" } do
      assert.is_nil(headers[name], name)
    end
  end))

  it("lets no provider header through that is not on the list", loop.test(function()
    local headers = house:chat().headers
    assert.equal("17", headers["openai-processing-ms"])
    assert.equal("req_vendor", headers["x-upstream-request-id"])
    assert.is_nil(headers["set-cookie"])
    assert.is_nil(headers["x-vendor-secret"])
  end))

  it("says who answered, why, and how long it took", loop.test(function()
    for _, answer in ipairs { house:chat(), house:stream() } do
      local headers = answer.headers
      assert.equal("m", headers["x-routed-model"])
      assert.equal((answer.json or answer.events[1].json).model, headers["x-routed-model"])
      assert.equal("a", headers["x-routed-provider"])
      assert.is_truthy(headers["x-route-policy"]:match "^only_a@%x%x%x%x%x%x%x%x$")
      assert.equal("1", headers["x-route-attempts"])
      assert.is_truthy(headers["server-timing"])
      assert.is_truthy(headers["x-request-id"]:match "^%w+$")
    end
  end))

  it("gives every request an id of its own", loop.test(function()
    assert.not_equal(house:chat().headers["x-request-id"], house:chat().headers["x-request-id"])
  end))

  it("explains itself in the body when asked to", loop.test(function()
    local answer = house:chat { headers = { ["x-route-trace"] = "1" } }
    assert.equal("a/m", answer.json.route.attempts[1].target)
  end))
end)

describe("a model with another name at its provider", function()
  local house, up

  setup(loop.test(function()
    up = upstream.start(function(peer, request)
      if request.json.stream then
        peer:send(upstream.STREAM_HEAD .. upstream.chunk('{"content":"x"}', nil, "vendor-name-2"))
        peer:send(upstream.chunk("{}", '"stop"', "vendor-name-2") .. "data: [DONE]\n\n")
        peer:close()
      else
        peer:send(upstream.answer(200, upstream.completion("x", "vendor-name-2")))
      end
    end)
    house = gateway.start { providers = { a = gateway.provider(up.url) } }
  end))
  teardown(loop.test(function()
    house:stop()
    up:close()
    assert.same({}, up.faults)
  end))

  it("is called the same in header and body", loop.test(function()
    local plain, streamed = house:chat(), house:stream()
    assert.equal(plain.headers["x-routed-model"], plain.json.model)
    assert.equal(streamed.headers["x-routed-model"], streamed.events[1].json.model)
    assert.equal(streamed.headers["x-routed-model"], streamed.events[2].json.model)
  end))
end)
