-- Every client reaches every provider: three dialects in, five dialects out, and all that may happen on the way. The providers are the
-- mock, which refuses what the real ones refuse; the clients read as strictly as the vendors' own libraries.
local clients = require "support.clients"
local cross = require "support.cross"
local http = require "support.http"
local loop = require "support.loop"

-- One dark pixel.
local PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

local SYSTEM, HELLO = "Be brief.", "hello there"
local TOOLS = { "find_it", "weigh-it", "tell" }

-- The arguments the mock calls with.
local function arguments(call)
  return call == 0 and ('{"text": "%s"}'):format(HELLO) or ('{"text": "%s", "call": %d}'):format(HELLO, call)
end

local SITUATIONS = {
  { "t", "text" }, { "T", "text streamed" }, { "c", "tool call" }, { "C", "tool call streamed" }, { "p", "parallel calls" },
  { "P", "parallel calls streamed" }, { "h", "tool results in the history" }, { "r", "reasoning" }, { "R", "reasoning streamed" },
  { "m", "an end for length" }, { "M", "an end for length streamed" },
  { "i", "image" }, { "I", "image streamed" }, { "e", "refusal of the request" }, { "l", "rate limit" }, { "x", "stream cut" },
  { "X", "error in a stream" }, { "n", "stream cut before content: the next one answers" },
}

describe("across dialects", function()
  local house, up
  local grid = cross.grid(SITUATIONS)

  setup(loop.test(function()
    house, up = cross.start()
  end))
  teardown(loop.test(function()
    house:stop()
    up:stop()
  end))

  local function talk_to(to, model, more)
    local talk = { model = to .. "/" .. model, system = SYSTEM, max_tokens = 2000, turns = { { user = HELLO } } }
    for name, value in pairs(more or {}) do
      talk[name] = value
    end
    return talk
  end

  -- What is true of every answer.
  local function check_answer(told, answer, model, to)
    assert.equal(200, answer.status, answer.body)
    assert.is_true(answer.whole)
    assert.is_true(told.ended)
    assert.is_nil(told.error)
    assert.equal(model, told.model)
    assert.equal(told.model, answer.headers["x-routed-model"])
    assert.equal(to, answer.headers["x-routed-provider"])
    assert.is_nil(answer.headers["x-route-dropped"])
    assert.same({ cross.INPUT, cross.CACHED }, { told.input, told.cached })
  end

  -- What is true of every request that reached the provider.
  local function check_request(talk, to)
    local got = cross.got(up, to)
    assert.equal(talk.model:match "/(.*)", got.model)
    assert.equal(talk.stream == true, got.stream)
    assert.equal(SYSTEM, got.system)
    assert.equal(#(talk.tools or {}), #got.tools)
    for i, name in ipairs(talk.tools or {}) do
      assert.equal(name, got.tools[i].name)
      assert.same({ "text" }, got.tools[i].schema.required)
      assert.equal("What to look for.", got.tools[i].schema.properties.text.description)
    end
    return got
  end

  local function ask(from, to, model, more)
    local talk = talk_to(to, model, more)
    local told, answer = cross.ask(house, from, talk)
    assert.equal(200, answer.status, answer.body)
    check_answer(told, answer, model, to)
    return told, check_request(talk, to)
  end

  local act = {}

  local function text(stream)
    return function(from, to)
      local told, got = ask(from, to, "plain", { stream = stream })
      assert.equal(cross.TEXT, told.text)
      assert.same({}, told.calls)
      assert.equal("stop", told.finish)
      assert.equal(cross.tokens(cross.TEXT), told.output)
      assert.same({ { "user", HELLO } }, got.said)
      assert.equal(2000, got.max_tokens)
    end
  end
  act.t, act.T = text(), text(true)

  local function calls(model, n, stream)
    return function(from, to)
      local told = ask(from, to, model, { stream = stream, tools = TOOLS })
      local counted = {}
      assert.equal(n, #told.calls)
      for i, call in ipairs(told.calls) do
        counted[i] = arguments(i - 1)
        assert.equal(TOOLS[i], call.name)
        assert.same(http.json(counted[i]), http.json(call.arguments))
      end
      assert.equal("", told.text)
      assert.equal("tool_calls", told.finish)
      assert.equal(cross.tokens(unpack(counted)), told.output)
    end
  end
  act.c, act.C = calls("tools", 1), calls("tools", 1, true)
  act.p, act.P = calls("parallel", 3), calls("parallel", 3, true)

  -- Two calls of one turn and their results, with something said before them and after.
  function act.h(from, to)
    local told, got = ask(from, to, "plain", { tools = TOOLS, turns = {
      { user = "Find both." },
      { assistant = "I look.", calls = {
        { id = "call_A1", name = "find_it", arguments = '{"text":"a"}' }, { id = "call_B2", name = "tell", arguments = '{"text":"b"}' },
      } },
      { results = { { id = "call_A1", text = "found a" }, { id = "call_B2", text = "found b" } } },
      { user = HELLO },
    } })
    assert.equal(cross.TEXT, told.text)
    assert.equal(2, #got.calls)
    for i, expected in ipairs { { "find_it", "a" }, { "tell", "b" } } do
      local call, result = got.calls[i], got.results[i]
      assert.equal(expected[1], call.name)
      assert.same({ text = expected[2] }, http.json(call.arguments))
      assert.equal(call.id or call.name, result.id or result.name)
      assert.truthy(result.text:find("found " .. expected[2], 1, true), result.text)
    end
    assert.same({ { "user", "Find both." }, { "assistant", "I look." }, { "user", HELLO } }, got.said)
  end

  local function reasoning(stream)
    return function(from, to)
      local told, got = ask(from, to, "thinker", { stream = stream, reasoning = true, max_tokens = 20000 })
      assert.equal(cross.THOUGHT, told.reasoning)
      assert.equal(cross.TEXT, told.text)
      assert.equal("stop", told.finish)
      assert.equal(cross.tokens(cross.THOUGHT, cross.TEXT), told.output)
      assert.is_truthy(got.effort)
    end
  end
  act.r, act.R = reasoning(), reasoning(true)

  -- The mock stops after 16 tokens of four bytes.
  local function short(stream)
    return function(from, to)
      local told, got = ask(from, to, "plain", { stream = stream, max_tokens = 16 })
      assert.equal(16, got.max_tokens)
      assert.equal("length", told.finish)
      assert.equal(16, told.output)
      assert.equal(cross.TEXT:sub(1, 64), told.text)
    end
  end
  act.m, act.M = short(), short(true)

  local function image(stream)
    return function(from, to)
      local told, got = ask(from, to, "plain", { stream = stream, turns = { { user = HELLO, image = PIXEL } } })
      assert.equal(cross.TEXT, told.text)
      assert.same({ mime = "image/png", data = PIXEL }, got.image)
      assert.same({ { "user", HELLO } }, got.said)
    end
  end
  act.i, act.I = image(), image(true)

  function act.e(from, to)
    for _, stream in ipairs { false, true } do
      local told, answer = cross.ask(house, from, talk_to(to, "refused", { stream = stream or nil }))
      assert.is_nil(told)
      assert.equal(400, answer.status)
      assert.equal("The mock does not like it.", clients[from].error(answer.json).message)
      assert.equal("invalid_request_error", answer.json.error.type)
    end
  end

  -- It asks for more patience than a retry has.
  function act.l(from, to)
    local told, answer = cross.ask(house, from, talk_to(to, "limited_" .. from))
    assert.is_nil(told)
    assert.equal(429, answer.status, answer.body)
    clients[from].error(answer.json)
    assert.equal(from == "anthropic_messages" and "rate_limit_error" or "fallbacks_exhausted",
      answer.json.error[from == "anthropic_messages" and "type" or "code"])
    assert.equal("false", answer.headers["x-should-retry"])
    local seconds = tonumber(answer.headers["retry-after"])
    assert.is_true(seconds >= 1 and seconds <= 90, answer.headers["retry-after"])
  end

  -- After content: what was said, then an error in the client's words, and no end of success.
  local function broken(model)
    return function(from, to)
      local told, answer = cross.ask(house, from, talk_to(to, model, { stream = true }))
      assert.equal(200, answer.status, answer.body)
      assert.equal("one two ", told.text)
      assert.is_truthy(told.error, "no error in the stream")
      assert.is_truthy(#told.error.message > 0)
      assert.is_nil(told.finish)
      assert.not_equal(true, told.ended)
      assert.is_true(answer.whole)
    end
  end
  act.x, act.X = broken "breaks", broken "fails"

  function act.n(from, to)
    local talk = talk_to(to, "plain", { stream = true })
    local told, answer = cross.ask(house, from, talk, {
      ["x-route-models"] = to .. "/starts," .. to .. "/plain", ["x-route-strict"] = false,
    })
    check_answer(told, answer, "plain", to)
    assert.equal("2", answer.headers["x-route-attempts"])
    assert.equal(cross.TEXT, told.text)
  end

  for _, from in ipairs(cross.inbound) do
    for _, to in ipairs(cross.outbound) do
      for _, situation in ipairs(SITUATIONS) do
        it(("%s to %s: %s"):format(from, to, situation[2]), loop.test(function()
          act[situation[1]](from, to)
          grid:mark(from, to, situation[1])
        end))
      end
    end
  end

  it("every cell of the table holds", function()
    local lines, held, all = grid:text()
    io.stdout:write("\n", lines)
    assert.equal(all, held)
  end)
end)
