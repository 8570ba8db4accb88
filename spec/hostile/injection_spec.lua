-- Ends of lines, NUL and their like wherever somebody's text may come to stand in a header, an event or a line of the log: names of
-- models, sessions, tags, what a policy returns, what a provider says. They arrive as text, or are refused; never as something else.
local cjson = require "cjson"
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local upstream = require "support.upstream"

local POISONS = {
  ["CR LF and a field"] = "m\r\nx-injected: 1",
  ["CR LF, twice, and a request"] = "m\r\n\r\nGET /injected HTTP/1.1\r\nhost: x\r\n\r\n",
  ["LF and a field"] = "m\nx-injected: 1",
  ["CR and a field"] = "m\rx-injected: 1",
  ["NUL"] = "m\0x-injected: 1",
  ["an event"] = 'm\n\ndata: {"injected":1}\n\n',
  ["an event's fields"] = "m\nevent: injected\nid: 1\nretry: 1",
  ["an event behind CR"] = 'm\r\rdata: {"injected":1}\r\r',
  ["other ends of lines"] = "m\11x\12\27[2J\194\133x-injected: 1\226\128\168data: x\226\128\169x",
}

-- A policy that returns what the request's text says, as `form` has it.
local function policy(form)
  return ("local poisons = %s\nreturn function(req) local text = poisons[req.headers['x-poison']] return %s end")
    :format(gateway.lua(POISONS), form)
end

local POLICIES = {
  target = policy "{ 'a/' .. text, 'a/m' }",
  model = policy "{ { target = 'a/m', params = { user = text } } }",
  refusal = policy "nil, { status = 403, code = text, message = text }",
  note = "local poisons = " .. gateway.lua(POISONS) ..
    "\nreturn function(req) note(poisons[req.headers['x-poison']]) return { 'a/m' } end",
  list = policy "text",
}

-- What of a request holds the text: fields of its body.
local BODIES = {
  model = function(text)
    return { model = text }
  end,
  ["a provider's model"] = function(text)
    return { model = "a/" .. text }
  end,
  ["a policy's name"] = function(text)
    return { model = "policy/" .. text }
  end,
  ["the list of models"] = function(text)
    return { models = { text, "a/" .. text } }
  end,
  user = function(text)
    return { user = text, prompt_cache_key = text, safety_identifier = text }
  end,
  metadata = function(text)
    return { metadata = { user_id = "user_session_" .. text, [text] = text } }
  end,
  ["a message"] = function(text)
    return { messages = { { role = "user", content = text, name = text } } }
  end,
  ["a tool"] = function(text)
    return { tools = { { type = "function", ["function"] = { name = text, description = text } } }, tool_choice = text }
  end,
}

describe("ends of lines", function()
  local house, up
  local said -- by the upstream
  local read_of_log = 0

  setup(loop.test(function()
    up = upstream.start(function(peer, request)
      local text = said or "x"
      local quoted = cjson.encode(text):sub(2, -2)
      if request.path:find("/messages", 1, true) then
        return peer:send(upstream.answer(200, cjson.encode {
          id = text, type = "message", role = "assistant", model = text, stop_reason = "end_turn", stop_sequence = text,
          content = { { type = "text", text = text } }, usage = { input_tokens = 3, output_tokens = 2 },
        }))
      elseif said and request.json.seed then
        local refusal = { message = text, type = text, code = text, param = text }
        return peer:send(upstream.answer(request.json.seed, cjson.encode { error = refusal }))
      elseif request.json.stream then
        peer:send(upstream.STREAM_HEAD .. upstream.chunk('{"content":"' .. quoted .. '"}', nil, quoted))
        peer:send(upstream.chunk("{}", '"stop"', quoted) .. "data: [DONE]\n\n")
        return peer:close()
      end
      peer:send(upstream.answer(200, upstream.completion(quoted, quoted)))
    end)
    house = gateway.start {
      providers = {
        a = gateway.provider(up.url), fails = gateway.provider(up.url),
        b = { like = "anthropic", base_url = up.url, api_keys = { "k" }, models = { "claude" } },
      },
      policies = POLICIES, config = { workers = 1 }, headers = { ["x-route-trace"] = "1" }, args = { "--log", "debug" },
    }
  end))
  teardown(loop.test(function()
    house:stop()
    up:close()
    assert.same({}, up.faults)
  end))
  before_each(function()
    up.requests, said = {}, nil
  end)

  local function assert_one_line_each(text)
    assert.is_nil(text:gsub("\r\n", ""):find "[%z\r\n]", text)
    assert.is_nil(text:find "\r\nx%-injected")
  end

  -- Everything that went out, on both sides, is what it should be and no more.
  local function check(answer)
    assert_one_line_each(answer.raw)
    if answer.events then
      for _, event in ipairs(answer.events) do
        assert.is_true(event.data == "[DONE]" or event.json ~= nil and event.json.injected == nil, event.raw)
        assert.is_nil(event.raw:find "\r")
        assert.is_nil(event.event or event.id or event.retry)
      end
      assert.is_true(answer.whole)
    else
      assert.is_not_nil(answer.json, answer.body)
    end
    for _, request in ipairs(up.requests) do
      assert_one_line_each(request.raw)
      assert.equal("POST", request.method)
      assert.is_nil(request.path:find "injected")
      assert.is_not_nil(request.json)
    end
    local log = house.process.output:sub(read_of_log + 1)
    read_of_log = read_of_log + #log
    for line in log:gmatch "[^\n]+" do
      assert.is_nil(line:find "^x%-injected")
      assert.is_nil(line:find "^data:")
      assert.is_nil(line:find "[%z\r\27]", line)
    end
  end

  local function both(options)
    check(house:chat(options))
    check(house:stream(options))
  end

  for poison, text in pairs(POISONS) do
    describe(("(%s)"):format(poison), function()
      for place, body in pairs(BODIES) do
        it(("in %s are text"):format(place), loop.test(function()
          both { body = body(text) }
        end))
      end

      for name in pairs(POLICIES) do
        it(("in what a policy returns as %s are text"):format(name), loop.test(function()
          both { policy = name, headers = { ["x-poison"] = poison } }
        end))
      end

      it("in what a provider says are text", loop.test(function()
        said = text
        both()
        both { model = "b/claude" }
        local answer = house:stream()
        assert.equal(text, answer.events[1].json.choices[1].delta.content)
        for _, status in ipairs { 400, 401, 404, 429, 500 } do
          both { model = "fails/any", body = { seed = status } }
        end
      end))

      it("in fields of the head are refused", loop.test(function()
        local value = text:gsub("\r\n", "\r") -- CR LF would just end it
        for _, name in ipairs {
          "authorization", "x-route-policy", "x-route-models", "x-route-session", "x-route-tags", "x-route-tier", "idempotency-key",
        } do
          local c = assert(http.connect(house.port))
          c:post(("POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 2\r\n%s: %s\r\n\r\n{}"):format(name, value))
          local answer = assert(c:response())
          assert.equal(400, answer.status)
          check(answer)
          c:close()
        end
        assert.equal(0, #up.requests)
      end))
    end)
  end
end)
