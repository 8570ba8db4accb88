-- What `perilune mock` does as a vendor of Chat Completions with habits of its own, and the small endpoints beside it.
local ffi = require "ffi"
local http = require "support.http"
local loop = require "support.loop"
local mock = require "support.mock"

local MESSAGES = { { role = "user", content = "hello there" } }

describe("the mock as a vendor of Chat Completions", function()
  local up

  setup(loop.test(function()
    up = mock.start()
  end))
  teardown(loop.test(function()
    up:stop()
  end))

  local function post(words, path, body, headers)
    return http.post(up.port, (words and "/~" .. words or "") .. path, body, headers)
  end
  local function chat(words, changes)
    local body = { model = "m", messages = MESSAGES }
    for name, value in pairs(changes or {}) do
      body[name] = value
    end
    return post(words, "/v1/chat/completions", body)
  end
  local function choice(words, changes)
    return chat(words, changes).json.choices[1]
  end
  local function stream(words, body)
    body = body or { model = "m", stream = true, messages = MESSAGES }
    return http.stream(up.port, "/~" .. words .. "/v1/chat/completions", body)
  end
  -- All parts of calls a stream brings, in order.
  local function call_parts(words)
    local list = {}
    for _, event in ipairs(stream(words).events) do
      local delta = event.json and event.json.choices[1] and event.json.choices[1].delta or {}
      for _, part in ipairs(delta.tool_calls or {}) do
        list[#list + 1] = part
      end
    end
    return list
  end
  local function column(list, name)
    local values = {}
    for i, part in ipairs(list) do
      values[i] = tostring(part[name])
    end
    return table.concat(values, " ")
  end

  it("calls several tools at once", loop.test(function()
    local tools = { { type = "function", ["function"] = { name = "f" } }, { type = "function", ["function"] = { name = "g" } } }
    local calls = choice("tools=3", { tools = tools }).message.tool_calls
    assert.same({ "f", "g", "f" }, { calls[1]["function"].name, calls[2]["function"].name, calls[3]["function"].name })
    assert.equal('{"text": "hello there", "call": 2}', calls[3]["function"].arguments)
    assert.is_nil(calls[1].index)
    assert.not_equal(calls[1].id, calls[2].id)
    assert.equal(http.null, choice("tools=2").message.content)
    assert.equal("ok", choice("tools=2;content=ok").message.content)
  end))

  it("has an end of calls", loop.test(function()
    assert.equal(1000, #choice("tools=1000000000").message.tool_calls)
  end))

  it("streams calls one after the other, or by turns", loop.test(function()
    assert.equal("0 0 1 1", column(call_parts "tools=2;tool_input=12;events=2", "index"))
    local by_turns = call_parts "tools=2;tool_input=12;events=2;interleave"
    assert.equal("0 1 0 1", column(by_turns, "index"))
    assert.same({ "1", "2" }, { by_turns[1]["function"].arguments, by_turns[3]["function"].arguments })
  end))

  it("forgets or mistakes what tells calls apart", loop.test(function()
    assert.equal("nil nil", column(call_parts "tools=2;no_index;events=1", "index"))
    assert.equal("0 0", column(call_parts "tools=2;zero_index;events=1", "index"))
    assert.equal("nil nil", column(call_parts "tools=2;no_id;events=1", "id"))
    assert.is_nil(choice("tool;no_id").message.tool_calls[1].id)
    local late = call_parts "tool;late_id_empty;events=2"
    assert.same({ "", "", http.null }, { late[2].id, late[2].type, late[2]["function"].name })
  end))

  it("gives arguments in forms of its own", loop.test(function()
    assert.same({ text = "hello there" }, choice("tool;args_object").message.tool_calls[1]["function"].arguments)
    local parts = call_parts "tool;args_object;events=5"
    assert.equal(1, #parts)
    assert.same({ text = "hello there" }, parts[1]["function"].arguments)
    assert.equal("", choice("tool;args_empty").message.tool_calls[1]["function"].arguments)
    assert.equal("", call_parts("tool;args_empty")[1]["function"].arguments)
    assert.equal('{"a":1}', choice('tool;tool_input={"a":1}').message.tool_calls[1]["function"].arguments)
  end))

  it("puts usage where nobody looks", loop.test(function()
    local function last_chunk(place)
      local events = stream("usage_place=" .. place).events
      assert.equal("[DONE]", events[#events].data)
      return events[#events - 1].json
    end
    assert.equal(7, last_chunk("x_groq").x_groq.usage.prompt_tokens)
    assert.equal(7, last_chunk("choice").choices[1].usage.prompt_tokens)
    assert.equal(7, last_chunk("last").usage.prompt_tokens)
    assert.equal("stop", last_chunk("last").choices[1].finish_reason)
    assert.equal(7, choice("usage_place=choice").usage.prompt_tokens)
    assert.is_nil(chat("usage_place=choice").json.usage)
    assert.is_nil(chat("usage_place=choice;no_usage").json.choices[1].usage)
  end))

  it("reasons in details", loop.test(function()
    local message = choice("reasoning;think_details").message
    assert.is_nil(message.reasoning_content)
    assert.same({ message.reasoning, "reasoning.text" }, {
      message.reasoning_details[1].text, message.reasoning_details[1].type,
    })
    local delta = stream("reasoning;think_details").events[2].json.choices[1].delta
    assert.equal("Somebody ", delta.reasoning)
  end))

  it("refuses, and ends for reasons of its own", loop.test(function()
    local refused = choice("refusal")
    assert.same({ http.null, "stop" }, { refused.message.content, refused.finish_reason })
    assert.is_string(refused.message.refusal)
    local said = {}
    for _, event in ipairs(stream("refusal").events) do
      said[#said + 1] = event.json and event.json.choices[1].delta.refusal or nil
    end
    assert.equal(http.null, table.remove(said, 1))
    assert.equal(refused.message.refusal, table.concat(said))
    assert.equal("eos", choice("finish=eos").finish_reason)
    local events = stream("finish=eos").events
    assert.equal("eos", events[#events - 1].json.choices[1].finish_reason)
  end))

  it("tells how likely its words were", loop.test(function()
    local logprobs = choice("logprobs;content=hi").logprobs.content
    assert.same({ { token = "hi", logprob = -0.25, bytes = { 104, 105 }, top_logprobs = {} } }, logprobs)
    local events = stream("logprobs;content=hi").events
    assert.same(logprobs, events[2].json.choices[1].logprobs.content)
    assert.equal(http.null, events[1].json.choices[1].logprobs)
  end))

  it("counts what comes from a cache", loop.test(function()
    local usage = chat("cached=20;written=5").json.usage
    assert.same({ 25, 20, 5 }, {
      usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens, usage.prompt_tokens_details.cache_write_tokens,
    })
  end))

  it("tells what is left of its limits", loop.test(function()
    assert.is_nil(chat().headers["x-ratelimit-limit-requests"])
    local headers = chat("ratelimit=3%2F10").headers
    assert.same({ "10", "3", "1s" }, {
      headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-tokens"], headers["x-ratelimit-reset-tokens"],
    })
    assert.equal("0", chat("status=429;ratelimit=0%2F10").headers["x-ratelimit-remaining-requests"])
  end))

  local CALLS = { role = "assistant", tool_calls = { { id = "c1", type = "function", ["function"] = { name = "f" } } } }
  local RESULT = { role = "tool", tool_call_id = "c1", content = "42" }
  local USER = MESSAGES[1]

  it("wants a result for each call, and a call for each result", loop.test(function()
    assert.equal(200, chat(nil, { messages = { USER, CALLS, RESULT } }).status)
    for _, messages in ipairs { { USER, CALLS }, { USER, CALLS, USER }, { USER, RESULT }, { USER, CALLS, RESULT, RESULT } } do
      local answer = chat(nil, { messages = messages })
      assert.same({ 400, "messages" }, { answer.status, answer.json.error.param })
      assert.equal(200, chat("lenient", { messages = messages }).status)
    end
  end))

  it("counts the tokens of all dialects alike", loop.test(function()
    local version = { ["anthropic-version"] = "2023-06-01" }
    local anthropic = { model = "m", max_tokens = 99, messages = MESSAGES }
    local asks = {
      { "/v1/chat/completions", { model = "m", messages = MESSAGES } },
      { "/v1/messages", anthropic, version },
      { "/v1/responses", { model = "m", input = "hello there" } },
      { "/v1beta/models/m:generateContent", { contents = { { parts = { { text = "hello there" } } } } } },
      { "/model/m/converse", { messages = { { role = "user", content = { { text = "hello there" } } } } } },
    }
    http.exchange(up.port, { method = "DELETE", path = "/_mock/stats" })
    for i, ask in ipairs(asks) do
      assert.equal(200, post(nil, ask[1], ask[2], ask[3]).status)
      local stats = up:stats()
      assert.same({ i * 7, i * 6 }, { stats.prompt_tokens, stats.completion_tokens })
    end
    assert.same({ m = #asks }, up:stats().by_model)
    assert.equal("/model/m/converse", up:last().path)
  end))
end)

describe("the mock's smaller endpoints", function()
  local up

  setup(loop.test(function()
    up = mock.start()
  end))
  teardown(loop.test(function()
    up:stop()
  end))

  local function completions(words, changes)
    local body = { model = "m", prompt = "hello there" }
    for name, value in pairs(changes or {}) do
      body[name] = value
    end
    local path = (words and "/~" .. words or "") .. "/v1/completions"
    return body.stream and http.stream(up.port, path, body) or http.post(up.port, path, body)
  end

  it("goes on with a prompt", loop.test(function()
    local answer = completions().json
    assert.same({ "text_completion", "You said: hello there", "stop", 3 }, {
      answer.object, answer.choices[1].text, answer.choices[1].finish_reason, answer.usage.prompt_tokens,
    })
    assert.equal("You said: x", completions(nil, { prompt = { "x" } }).json.choices[1].text)
    assert.equal("length", completions(nil, { max_tokens = 1 }).json.choices[1].finish_reason)
    assert.equal(400, completions(nil, { prompt = { "x", "y" } }).status)
    assert.equal("You said: hello there", completions("tool;reasoning").json.choices[1].text)
  end))

  it("streams a completion", loop.test(function()
    local events = completions("content=a%20b", { stream = true, stream_options = { include_usage = true } }).events
    assert.same({ "a ", "b", "" }, {
      events[1].json.choices[1].text, events[2].json.choices[1].text, events[3].json.choices[1].text,
    })
    assert.same({ http.null, "stop" }, {
      events[2].json.choices[1].finish_reason, events[3].json.choices[1].finish_reason,
    })
    assert.same({ {}, 1, "[DONE]" }, {
      events[4].json.choices, events[4].json.usage.completion_tokens, events[5].data,
    })
    assert.is_false(completions("cut_event=1", { stream = true }).whole)
  end))

  local function embed(body, words)
    body.model = body.model or "m"
    return http.post(up.port, (words and "/~" .. words or "") .. "/v1/embeddings", body)
  end

  it("makes the same vector of the same text", loop.test(function()
    local list = embed({ input = { "a", "b", "a" } }).json
    assert.equal("list", list.object)
    assert.same({ 0, 1, 2 }, { list.data[1].index, list.data[2].index, list.data[3].index })
    assert.equal(8, #list.data[1].embedding)
    assert.same(list.data[1].embedding, list.data[3].embedding)
    assert.not_same(list.data[1].embedding, list.data[2].embedding)
    assert.same(list.data[1].embedding, embed({ input = "a" }).json.data[1].embedding)
    assert.same({ prompt_tokens = 1, total_tokens = 1 }, list.usage)
    assert.equal(3, #embed({ input = "a", dimensions = 3 }).json.data[1].embedding)
    assert.equal(1, #embed({ input = { 1, 2, 3 } }).json.data)
    assert.equal(2, #embed({ input = { { 1, 2 }, { 3 } } }).json.data)
  end))

  it("gives vectors in base64", loop.test(function()
    local letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    local floats = embed({ input = "a", dimensions = 3 }).json.data[1].embedding
    local text = embed({ input = "a", dimensions = 3, encoding_format = "base64" }).json.data[1].embedding
    assert.equal(16, #text) -- three floats of four bytes
    local bytes = text:gsub("....", function(four)
      local n = 0
      for letter in four:gmatch "." do
        n = n * 64 + letters:find(letter, 1, true) - 1
      end
      return string.char(math.floor(n / 65536), math.floor(n / 256) % 256, n % 256)
    end)
    local values = ffi.cast("const float *", ffi.cast("const char *", bytes))
    for i = 1, 3 do
      assert.near(floats[i], tonumber(values[i - 1]), 1e-6)
    end
  end))

  it("refuses what can not be embedded", loop.test(function()
    for _, body in ipairs { { input = "" }, { input = { "a", "" } }, {}, { input = "a", dimensions = 5000 } } do
      assert.equal(400, embed(body).status)
    end
    assert.equal(429, embed({ input = "a" }, "status=429").status)
  end))

  it("gives out tokens for signed assertions, which can be read afterwards", loop.test(function()
    local function ask(form)
      return http.exchange(up.port, {
        method = "POST", path = "/token", body = form,
        headers = { ["content-type"] = "application/x-www-form-urlencoded" },
      })
    end
    http.exchange(up.port, { method = "DELETE", path = "/_mock/stats" })
    local form = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=aa.bb.cc"
    local answer = ask(form)
    assert.equal(200, answer.status, answer.body)
    assert.same({ 3600, "Bearer" }, { answer.json.expires_in, answer.json.token_type })
    assert.truthy(answer.json.access_token:find "^ya29%.")
    assert.equal(form, up:last().body)
    assert.same({}, up:stats().by_model)
    assert.equal("invalid_grant", ask("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=aa").json.error)
    assert.equal("unsupported_grant_type", ask("grant_type=x").json.error)
    assert.equal(500, http.exchange(up.port, { method = "POST", path = "/~status=500/token", body = form }).status)
  end))

  it("answers 405 where something else than POST is asked", loop.test(function()
    for _, path in ipairs { "/v1/messages", "/v1/responses", "/v1/embeddings", "/model/m/converse" } do
      assert.equal(405, http.get(up.port, path).status)
    end
  end))
end)
