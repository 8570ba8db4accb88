-- Where client and provider speak the same, bytes stay what they were, both ways: but for the model's name in the request nothing is
-- written anew, so cache marks, signatures, fields nobody here knows, spaces and the order of keys arrive.
local http = require "support.http"
local cross = require "support.cross"
local gateway = require "support.gateway"
local loop = require "support.loop"
local tree = require "support.tree"
local upstream = require "support.upstream"

-- The requests, with %s where the model stands.
local REQUESTS = {
  openai_chat = {
    path = "/v1/chat/completions",
    body = '{ "vendor_extra":{"z":[],"a":{},"big":12345678901234567890}, "model" :"%s",\n "messages":' ..
      '[{"role":"system","content":"Be brief."},' ..
      '{"role":"user","content":[{"type":"text","text":"caf\\u00e9","cache_control":{"type":"ephemeral"}}]}],"temperature":0.70}',
  },
  openai_responses = {
    path = "/v1/responses",
    body = '{"store" : false,"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"caf\\u00e9"}]},' ..
      '{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAA=="},{"type":"message","role":"assistant","content":' ..
      '[{"type":"output_text","text":"x","annotations":[]}]},{"role":"user","content":"go on"}],\t"model":"%s","vendor_extra":' ..
      '[1.0,{"b":null}],"include":["reasoning.encrypted_content"],"prompt_cache_key":"k"}',
  },
  anthropic_messages = {
    path = "/v1/messages",
    body = '{"max_tokens":1024, "system":[{"type":"text","text":"Be brief.","cache_control":{"type":"ephemeral","ttl":"1h"}}],' ..
      '"tools":[{"name":"f","input_schema":{"type":"object","properties":{"z":{},"a":{"enum":[1.0,2]}}},"cache_control":' ..
      '{"type":"ephemeral"},"vendor_extra":true}],"model":"%s","vendor_extra":{"x":[]},"messages":[{"role":"user","content":"hi"},' ..
      '{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"EqoB+/=="},{"type":"text","text":"yes"}]},' ..
      '{"role":"user","content":[{"type":"text","text":"caf\\u00e9","cache_control":{"type":"ephemeral"}}]}]}',
  },
}

local STREAMS = {
  openai_responses = "spec/fixtures/openai_responses/tools_parallel_stream.sse",
  anthropic_messages = "spec/fixtures/anthropic_messages/thinking_stream.sse",
}
local ANSWERS = {
  openai_responses = "spec/fixtures/openai_responses/good.json",
  anthropic_messages = "spec/fixtures/anthropic_messages/good.json",
}

-- Each dialect has a provider that is spoken to through the Lua adapter and one past it.
local function name_of(dialect, adapt)
  return dialect .. (adapt and "_adapted" or "_direct")
end

describe("the same dialect on both sides", function()
  local house, up
  local said -- what the provider answers

  setup(loop.test(function()
    up = upstream.start(function(peer, request)
      if request.json.stream then
        peer:send(upstream.STREAM_HEAD .. said)
        peer:close()
      else
        peer:send(upstream.answer(200, said))
      end
    end)
    local providers = {}
    for dialect in pairs(REQUESTS) do
      for _, adapt in ipairs { true, false } do
        local like = dialect == "anthropic_messages" and "anthropic" or "openai_compatible"
        providers[name_of(dialect, adapt)] = gateway.provider(up.url, { like = like, dialect = dialect, adapt = adapt })
      end
    end
    house = gateway.start { providers = providers }
  end))
  teardown(loop.test(function()
    house:stop()
    up:close()
    assert.same({}, up.faults)
  end))

  local WHOLE = { openai_chat = upstream.completion "x" }
  local function answer_of(dialect)
    return WHOLE[dialect] or tree.read(ANSWERS[dialect])
  end

  for _, dialect in ipairs(cross.inbound) do
    for _, adapt in ipairs { false, true } do
      local name, request = name_of(dialect, adapt), REQUESTS[dialect]
      local way = adapt and ", through the adapter" or ""

      it(dialect .. way .. ": the request goes up byte for byte", loop.test(function()
        said = answer_of(dialect)
        local answer = http.post(house.port, request.path, request.body:format(name .. "/m"))
        assert.equal(200, answer.status, answer.body)
        assert.equal(request.body:format "m", up.requests[#up.requests].body)
        assert.is_nil(answer.headers["x-route-dropped"])
      end))

      it(dialect .. way .. ": the answer comes back byte for byte", loop.test(function()
        said = answer_of(dialect)
        local answer = http.post(house.port, request.path, request.body:format(name .. "/m"))
        assert.equal(said, answer.body)
        assert.equal(answer.json.model, answer.headers["x-routed-model"])
      end))

      if STREAMS[dialect] then
        it(dialect .. way .. ": a stream comes back byte for byte", loop.test(function()
          said = tree.read(STREAMS[dialect])
          local c = assert(http.connect(house.port))
          c:send_request { path = request.path, body = request.body:format(name .. "/m"):gsub("^{", '{"stream":true,') }
          local body, whole = c:body(c:head())
          c:close()
          assert.is_true(whole)
          assert.equal(said, body)
        end))
      end
    end
  end

  it("the vendor's own headers go along, and nobody else's", loop.test(function()
    local sent = {
      ["anthropic-version"] = "2023-01-01", ["anthropic-beta"] = "tools-2024-04-04,x", ["openai-beta"] = "assistants=v2",
      cookie = "a=1", authorization = "Bearer mine", ["x-custom"] = "1",
    }
    for _, adapt in ipairs { false, true } do
      for _, dialect in ipairs(cross.inbound) do
        said = answer_of(dialect)
        local name = name_of(dialect, adapt)
        local answer = http.post(house.port, REQUESTS[dialect].path, REQUESTS[dialect].body:format(name .. "/m"), sent)
        assert.equal(200, answer.status, answer.body)
        local got = up.requests[#up.requests].headers
        local anthropic = dialect == "anthropic_messages"
        assert.equal(anthropic and "2023-01-01" or nil, got["anthropic-version"])
        assert.equal(anthropic and "tools-2024-04-04,x" or nil, got["anthropic-beta"])
        assert.equal(not anthropic and "assistants=v2" or nil, got["openai-beta"])
        assert.same({}, { got.cookie, got["x-custom"] })
        assert.not_equal("Bearer mine", got.authorization)
      end
    end
  end))

  it("what only the router reads is taken out", loop.test(function()
    for _, dialect in ipairs(cross.inbound) do
      said = answer_of(dialect)
      local name = name_of(dialect, true)
      local body = REQUESTS[dialect].body:format("auto"):gsub("^{", ('{"models":["%s/m"],'):format(name))
      local answer = http.post(house.port, REQUESTS[dialect].path, body)
      assert.equal(200, answer.status, answer.body)
      assert.equal(name, answer.headers["x-routed-provider"])
      assert.is_nil(up.requests[#up.requests].json.models)
      assert.equal("m", up.requests[#up.requests].json.model)
    end
  end))
end)
