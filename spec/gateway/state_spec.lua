-- What a model wants back next turn (signatures of its thoughts, sealed reasoning) makes the way through clients of other dialects: in what
-- the dialect has a place for, and where it has none, or the client drops it, out of what the gateway kept. A model of another maker never
-- gets it. The mock refuses what the real ones refuse: a foreign signature, and a Gemini 3 model's call without its own.
local cross = require "support.cross"
local http = require "support.http"
local loop = require "support.loop"

local TOOLS = { "find_it", "weigh-it" }

-- Providers whose models think and sign: `planner` thinks, then calls two tools.
local function providers(up)
  return {
    gemini3 = cross.provider(up, "gemini", { models = { { name = "planner", upstream = "gemini-3-pro/planner" } } }),
    deepseek = cross.provider(up, "openai_chat", { quirks = { reasoning = "thinking", reasoning_back = "calls" } }),
    direct_anthropic_messages = cross.provider(up, "anthropic_messages", { adapt = false }),
    direct_openai_responses = cross.provider(up, "openai_responses", { adapt = false }),
  }
end

describe("what a model wants back", function()
  local house, up

  setup(loop.test(function()
    house, up = cross.start { providers = providers }
  end))
  teardown(loop.test(function()
    house:stop()
    up:stop()
  end))

  local function first_turn(from, model, stream)
    local talk = {
      model = model, stream = stream, reasoning = true, max_tokens = 20000, tools = TOOLS, turns = { { user = "hello there" } },
    }
    local told, answer = cross.ask(house, from, talk)
    assert.equal(200, answer.status, answer.body)
    assert.equal(2, #told.calls)
    assert.equal(cross.THOUGHT, told.reasoning)
    return told
  end

  local function results_of(told)
    local results = {}
    for i, call in ipairs(told.calls) do
      results[i] = { id = call.id, text = "result " .. i }
    end
    return results
  end

  -- The second turn: `turn` is the assistant's as the client kept it. What the provider got.
  local function second_turn(from, model, told, turn, dialect)
    local _, answer = cross.ask(house, from, {
      model = model, reasoning = true, max_tokens = 20000, tools = TOOLS,
      turns = { { user = "hello there" }, turn, { results = results_of(told) } },
    })
    assert.equal(200, answer.status, answer.body)
    local got = cross.got(up, dialect)
    assert.equal(2, #got.calls)
    assert.equal(2, #got.results)
    return got
  end

  -- What a client that knows only the standard's own members sends back.
  local function standard(told)
    return { assistant = told.text ~= "" and told.text or nil, calls = told.calls }
  end

  local SIGNED = {
    { "an Anthropic model", "anthropic_messages/planner", "anthropic_messages", "F10" },
    { "a Gemini 3 model", "gemini3/planner", "gemini", "F9" },
    { "a thinking model at Bedrock", "bedrock_converse/planner", "bedrock_converse", "F10" },
  }
  for _, case in ipairs(SIGNED) do
    for _, stream in ipairs { false, true } do
      local how = stream and ", streamed" or ""

      it(("[%s] %s has its signature back from a chat client that drops it%s"):format(case[4], case[1], how), loop.test(function()
        local told = first_turn("openai_chat", case[2], stream or nil)
        local got = second_turn("openai_chat", case[2], told, standard(told), case[3])
        assert.same({ cross.SIGNATURE }, got.states)
      end))

      it(("[%s] %s has its signature back from a Responses client%s"):format(case[4], case[1], how), loop.test(function()
        local told = first_turn("openai_responses", case[2], stream or nil)
        local got = second_turn("openai_responses", case[2], told, { items = told.items }, case[3])
        assert.same({ cross.SIGNATURE }, got.states)
      end))

      it(("[%s] %s has its signature back from a Messages client%s"):format(case[4], case[1], how), loop.test(function()
        local told = first_turn("anthropic_messages", case[2], stream or nil)
        local got = second_turn("anthropic_messages", case[2], told, { message = told.message }, case[3])
        assert.same({ cross.SIGNATURE }, got.states)
      end))
    end

    it(("[%s] %s has its signature back from a chat client that sends the message as it came"):format(case[4], case[1]),
      loop.test(function()
        local told = first_turn("openai_chat", case[2])
        local got = second_turn("openai_chat", case[2], told, { message = told.message }, case[3])
        assert.same({ cross.SIGNATURE }, got.states)
      end))
  end

  it("[F10] thoughts go back word for word", loop.test(function()
    local told = first_turn("openai_chat", "anthropic_messages/planner")
    local got = second_turn("openai_chat", "anthropic_messages/planner", told, standard(told), "anthropic_messages")
    local block = got.json.messages[2].content[1]
    assert.same({ type = "thinking", thinking = cross.THOUGHT, signature = cross.SIGNATURE }, block)
  end))

  it("sealed reasoning of a Responses model goes back from clients of the other dialects", loop.test(function()
    for _, from in ipairs { "openai_chat", "anthropic_messages" } do
      local model = "openai_responses/planner"
      local told = first_turn(from, model)
      local turn = from == "openai_chat" and standard(told) or { message = told.message }
      assert.same({ cross.SIGNATURE }, second_turn(from, model, told, turn, "openai_responses").states, from)
    end
  end))

  it("[F11] a model that wants its reasoning back as text gets it on turns with calls", loop.test(function()
    for _, from in ipairs(cross.inbound) do
      local told = first_turn(from, "deepseek/planner")
      local turn = from == "openai_chat" and standard(told) or from == "openai_responses" and { items = told.items } or
        { message = told.message }
      local got = second_turn(from, "deepseek/planner", told, turn, "openai_chat")
      assert.equal("string", type(got.json.messages[2].reasoning_content), from)
      assert.truthy(from == "openai_chat" or got.json.messages[2].reasoning_content == cross.THOUGHT, from)
    end
  end))

  it("[F11] a client that sends its reasoning along has it handed on", loop.test(function()
    local told = first_turn("openai_chat", "deepseek/planner")
    local got = second_turn("openai_chat", "deepseek/planner", told, { message = told.message }, "openai_chat")
    assert.equal(cross.THOUGHT, got.json.messages[2].reasoning_content)
  end))

  it("[F10] a model of another maker gets none of it", loop.test(function()
    for _, from in ipairs(cross.inbound) do
      local told = first_turn(from, "anthropic_messages/planner")
      local turn = from == "openai_chat" and { message = told.message } or from == "openai_responses" and { items = told.items } or
        { message = told.message }
      for _, to in ipairs { "gemini", "openai_responses", "bedrock_converse", "openai_chat" } do
        second_turn(from, to .. "/planner", told, turn, to)
        if from ~= to then
          assert.is_nil(up:last().body:find(cross.SIGNATURE, 1, true), from .. " to " .. to)
        end
      end
    end
  end))

  it("[F10] nor where client and model speak the same, past the adapter or through it", loop.test(function()
    for from, made_by in pairs { openai_responses = "anthropic_messages", anthropic_messages = "gemini3" } do
      local told = first_turn(from, made_by .. "/planner")
      local turn = from == "openai_responses" and { items = told.items } or { message = told.message }
      for _, to in ipairs { from, "direct_" .. from } do
        assert.same({}, second_turn(from, to .. "/planner", told, turn, from).states, to)
      end
    end
  end))

  it("[F10] nor does another model of the same maker", loop.test(function()
    for _, from in ipairs { "openai_chat", "openai_responses" } do
      local told = first_turn(from, "anthropic_messages/planner")
      local turn = from == "openai_chat" and standard(told) or { items = told.items }
      local got = second_turn(from, "anthropic_messages/plain", told, turn, "anthropic_messages")
      assert.same({}, got.states, from)
    end
  end))

  it("[F9] what was kept for one client's call is not given for another's of that name", loop.test(function()
    local told = first_turn("openai_chat", "anthropic_messages/planner")
    for i, call in ipairs(told.calls) do
      call.id = "call_made_up_" .. i
    end
    local got = second_turn("openai_chat", "anthropic_messages/planner", told, standard(told), "anthropic_messages")
    assert.same({}, got.states)
  end))

  it("[E5] message_start has an estimate of the input, whoever answers", loop.test(function()
    for _, to in ipairs { "openai_chat", "openai_responses", "gemini", "bedrock_converse" } do
      local told = cross.ask(house, "anthropic_messages", {
        model = to .. "/plain", stream = true, turns = { { user = ("a word "):rep(400) } },
      })
      assert.is_true(told.estimate > 300, ("%s: %d"):format(to, told.estimate))
      assert.equal(cross.INPUT, told.input)
    end
  end))

  it("[G5] tokens are counted for models of other makers, without asking them", loop.test(function()
    local before = up:stats().requests
    for _, model in ipairs { "gemini/plain", "openai_chat/plain", "bedrock_converse/plain" } do
      local answer = http.post(house.port, "/v1/messages/count_tokens?beta=true", {
        model = model, system = "Be brief.", messages = { { role = "user", content = ("a word "):rep(400) } },
      }, { ["anthropic-version"] = "2023-06-01" })
      assert.equal(200, answer.status, answer.body)
      assert.is_true(answer.json.input_tokens > 300 and answer.json.input_tokens < 1500, answer.body)
    end
    assert.equal(before, up:stats().requests)
  end))
end)
