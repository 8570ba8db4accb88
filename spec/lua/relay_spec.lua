-- What a provider said, put right: numbers, ids and arguments of calls, finish reasons, one thing at a time.
local json = require "perilune.json"
local relay = require "perilune.relay"

-- A writer that writes down what it is told, a line each.
local function scribe(sequential)
  local lines = {}
  local function note(...)
    local words = { ... }
    for i = 1, select("#", ...) do
      words[i] = type(words[i]) == "table" and json.encode(words[i]) or tostring(words[i])
    end
    lines[#lines + 1] = table.concat(words, " ")
    return ""
  end
  local writer = { lines = lines, sequential = sequential }
  for _, name in ipairs { "text", "reasoning", "refusal", "arguments", "call_done", "audio", "opaque" } do
    writer[name] = function(_, choice, a, b)
      return b == nil and note(name, choice, a) or note(name, choice, a, b)
    end
  end
  function writer.begin(_, info)
    return note("begin", info.model)
  end
  function writer.state(_, choice, state)
    return note("state", choice, state.value)
  end
  function writer.call(_, choice, n, id, name, fields)
    return note("call", choice, n, id, name, fields.custom and "custom" or fields.signature or "-")
  end
  function writer.finish(_, ends, usage)
    for _, e in ipairs(ends) do
      note("finish", e.choice, e.reason)
    end
    return note("usage", usage.input_tokens, usage.output_tokens)
  end
  return writer
end

local function context(tools)
  return { id = "01ID", created = 1790000000, model = "m", input_tokens = 7, request = { tools = tools, messages = {} } }
end

-- Plays a script of sink calls, each { method, ... }; the lines the writer was told.
local function play(script, options)
  options = options or {}
  local writer = scribe(options.sequential)
  local r = relay.new(writer, context(options.tools), options)
  for _, step in ipairs(script) do
    r[step[1]](r, unpack(step, 2, 6))
  end
  local ok, why = r:done()
  return writer.lines, r, ok, why
end

local function call(choice, key, id, name, ...)
  local steps = { { "call", choice, key, id, name } }
  for _, piece in ipairs { ... } do
    steps[#steps + 1] = { "arguments", choice, key, piece }
  end
  return steps
end

local function script(...)
  local out = {}
  for _, part in ipairs { ... } do
    if type(part[1]) == "table" then
      for _, step in ipairs(part) do
        out[#out + 1] = step
      end
    else
      out[#out + 1] = part
    end
  end
  return out
end

local STOP = { "finish", 0, "stop" }

describe("the relay", function()
  it("begins once, when there is something to say, and ends with what is known by then", function()
    local lines = play {
      { "usage", { input_tokens = 3 } },
      { "begin", { id = "x", model = "vendor-m" } },
      { "text", 0, "" },
      { "begin", { model = "other" } },
      { "text", 0, "Hi" },
      STOP,
      { "usage", { output_tokens = 1 } },
    }
    assert.same({ "begin vendor-m", "text 0 Hi", "finish 0 stop", "usage 3 1" }, lines)
  end)

  it("gives the target's name where the provider gave none", function()
    assert.equal("begin m", play({ { "text", 0, "Hi" }, STOP })[1])
  end)

  it("tells in one number what was seen, and whether there is more to read", function()
    local r = relay.new(scribe(), context())
    assert.equal(0, r:flags())
    r:begin { model = "vm" }
    assert.equal(32, r:flags())
    assert.equal(0, r:flags())
    r:text(0, "a")
    assert.equal(65 + 128, r:flags())
    r:begin { model = "vm" }
    r.seen.text = 0
    assert.equal(65, r:flags())
    r:usage { output_tokens = 1 }
    assert.equal(97, r:flags())
    r:usage { output_tokens = 1 }
    r:finish(0, "length")
    assert.equal(7, r:flags())
    r:stop()
    assert.equal(15, r:flags())
    r:fail { message = "no" }
    assert.equal(63, r:flags())
  end)

  it("counts the bytes a provider bills as output", function()
    local function text(steps, options)
      local r = relay.new(scribe(), context(), options)
      for _, step in ipairs(steps) do
        r[step[1]](r, unpack(step, 2))
      end
      return r.seen.text
    end
    assert.equal(0, text {})
    assert.equal(7, text { { "text", 0, "Héj" }, { "reasoning", 0, "a", true }, { "refusal", 1, "no" } })
    assert.equal(2, text { { "call", 0, 0, "x", "f" }, { "arguments", 0, 0, "{}" }, { "call_done", 0, 0, "{}" } })
    assert.equal(2, text { { "call", 0, 0, "x", "f" }, { "call_done", 0, 0, "{}" } })
    assert.equal(2, text({ { "call", 0, 0, "x", "f" }, { "arguments", 0, 0, "{}" } }, { emulated = "f" }))
    assert.equal(0, text { { "text", 0, "", { logprobs = "[1]" } }, { "audio", 0, '{"data":"AA"}' },
                           { "state", 0, { kind = "signature", value = "abc" } }, { "opaque", 0, "gemini", "{}" } })
  end)

  it("tells an event of one text, or one piece of arguments, from all others", function()
    local function plain(steps, options)
      local r = relay.new(scribe(), context(), options)
      r:call(0, 0, "x", "f")
      r.told = 0
      for _, step in ipairs(steps) do
        r[step[1]](r, unpack(step, 2))
      end
      return r:flags() % 128 >= 64
    end
    assert.is_true(plain { { "text", 0, "a" } })
    assert.is_true(plain { { "reasoning", 0, "a", true } })
    assert.is_true(plain { { "refusal", 0, "a" } })
    assert.is_true(plain { { "arguments", 0, 0, "{" } })
    assert.is_true(plain { { "begin", { model = "vm" } }, { "text", 0, "a" }, { "usage", { output_tokens = 1 } } })
    assert.is_false(plain {})
    assert.is_false(plain { { "text", 0, "" } })
    assert.is_false(plain { { "text", 0, "a" }, { "reasoning", 0, "b" } })
    assert.is_false(plain { { "text", 0, "a", { logprobs = "{}" } } })
    assert.is_false(plain { { "text", 0, "a" }, { "state", 0, { kind = "signature", value = "s" } } })
    assert.is_false(plain { { "text", 0, "a" }, { "call", 0, 0, "x", "f" } })
    assert.is_false(plain { { "arguments", 0, 0, "{}" }, { "call_done", 0, 0 } })
    assert.is_false(plain { { "text", 0, "a" }, { "finish", 0, "stop" } })
    assert.is_false(plain { { "audio", 0, "{}" } })
  end)

  it("takes what numbers no choice for the first", function()
    local lines = play {
      { "text", 1 / 0, "a" }, { "text", -1, "b" }, { "text", 0.5, "c" }, { "text", 1e9, "d" }, { "text", nil, "e" },
      { "call", 1 / 0, 0, "x", "f" }, { "arguments", 1 / 0, 0, "{}" }, { "finish", 1 / 0, "stop" },
    }
    assert.same({
      "begin m", "text 0 a", "text 0 b", "text 0 c", "text 0 d", "text 0 e", "call 0 0 x f -", "arguments 0 0 {}", "call_done 0 0 {}",
      "finish 0 tool_calls", "usage nil nil",
    }, lines)
  end)

  it("[E1] sets usage and never adds it up", function()
    local lines = play {
      { "text", 0, "Hi" }, { "usage", { input_tokens = 3, output_tokens = 1 } }, { "usage", { output_tokens = 5 } }, STOP,
      { "usage", { input_tokens = 4 } },
    }
    assert.equal("usage 4 5", lines[#lines])
  end)

  describe("of calls", function()
    it("[A1] counts them from 0 in each choice, whatever their keys are", function()
      local lines = play(script(
        call(0, 7, "a", "f", "{}"), call(0, 9, "b", "g", "{}"), call(1, 7, "c", "h", "{}"), STOP, { "finish", 1, "tool_calls" }))
      assert.same({
        "begin m", "call 0 0 a f -", "arguments 0 0 {}", "call 0 1 b g -", "arguments 0 1 {}", "call 1 0 c h -", "arguments 1 0 {}",
        "call_done 0 0 {}", "call_done 0 1 {}", "call_done 1 0 {}", "finish 0 tool_calls", "finish 1 tool_calls", "usage nil nil",
      }, lines)
    end)

    it("[A3] takes a new id on a used key for a new call", function()
      local lines = play(script(call(0, 0, "a", "f", '{"x":1}'), call(0, 0, "b", "g", '{"y":2}'), STOP))
      assert.same({
        "begin m", "call 0 0 a f -", 'arguments 0 0 {"x":1}', "call 0 1 b g -", 'arguments 0 1 {"y":2}', 'call_done 0 0 {"x":1}',
        'call_done 0 1 {"y":2}', "finish 0 tool_calls", "usage nil nil",
      }, lines)
    end)

    it("[A9] never takes an id or a name back", function()
      local lines = play {
        { "call", 0, 0, "a", "f" }, { "call", 0, 0, "", "" }, { "arguments", 0, 0, "{}" }, { "call", 0, 0, nil, nil }, STOP,
      }
      assert.same({ "begin m", "call 0 0 a f -", "arguments 0 0 {}", "call_done 0 0 {}", "finish 0 tool_calls", "usage nil nil" }, lines)
    end)

    it("[A10] makes an id where none comes, and waits for none", function()
      local lines, r = play { { "call", 0, 0, nil, "f" }, { "call", 0, 1, "", "f" }, STOP }
      assert.equal("call 0 0 call_01ID0 f -", lines[2])
      assert.equal("call 0 1 call_01ID1 f -", lines[3])
      assert.is_true(r.seen.content)
    end)

    it("makes ids that came twice different", function()
      local lines = play(script(call(0, 0, "a", "f"), call(0, 1, "a", "g"), STOP))
      assert.equal("call 0 0 a f -", lines[2])
      assert.equal("call 0 1 a_2 g -", lines[3])
    end)

    it("waits for the name, and keeps the arguments until then", function()
      local lines = play {
        { "call", 0, 0, "a", nil }, { "arguments", 0, 0, '{"x"' }, { "call", 0, 0, nil, "f" }, { "arguments", 0, 0, ":1}" }, STOP,
      }
      assert.same({ "begin m", "call 0 0 a f -", 'arguments 0 0 {"x"', "arguments 0 0 :1}", 'call_done 0 0 {"x":1}' },
        { unpack(lines, 1, 5) })
    end)

    it("names a call that never was by the only tool there is", function()
      local lines = play({ { "arguments", 0, 0, '{"x":1}' }, STOP }, { tools = { { name = "only" } } })
      assert.equal("call 0 0 call_01ID0 only -", lines[2])
    end)

    it("[A6] gives a call without arguments an empty object", function()
      local lines = play(script(call(0, 0, "a", "f", ""), { { "call_done", 0, 0, "" } }, STOP))
      assert.same({ "begin m", "call 0 0 a f -", "arguments 0 0 {}", "call_done 0 0 {}" }, { unpack(lines, 1, 4) })
    end)

    it("takes the arguments from the end when no piece of them came", function()
      local lines = play(script(call(0, 0, "a", "f"), { { "call_done", 0, 0, '{"x":1}' } }, STOP))
      assert.equal('arguments 0 0 {"x":1}', lines[3])
    end)
  end)

  describe("for a writer of one thing at a time", function()
    it("[A5] puts off what is interleaved with a call until that is over", function()
      local lines = play({
        { "call", 0, 0, "a", "f" }, { "arguments", 0, 0, '{"x"' },
        { "call", 0, 1, "b", "g" }, { "arguments", 0, 1, '{"y"' },
        { "text", 0, "meanwhile" },
        { "arguments", 0, 0, ":1}" }, { "arguments", 0, 1, ":2}" },
        STOP,
      }, { sequential = true })
      assert.same({
        "begin m", "call 0 0 a f -", 'arguments 0 0 {"x"', "arguments 0 0 :1}", 'call_done 0 0 {"x":1}', "call 0 1 b g -",
        'arguments 0 1 {"y":2}', 'call_done 0 1 {"y":2}', "text 0 meanwhile", "finish 0 tool_calls", "usage nil nil",
      }, lines)
    end)

    it("goes on at once where the open call's arguments are whole", function()
      local lines = play(script(call(0, 0, "a", "f", '{"x":', "1}"), call(0, 1, "b", "g", "{"), { { "arguments", 0, 1, "}" } }, STOP),
        { sequential = true })
      assert.same({
        "begin m", "call 0 0 a f -", 'arguments 0 0 {"x":', "arguments 0 0 1}", 'call_done 0 0 {"x":1}', "call 0 1 b g -",
        "arguments 0 1 {", "arguments 0 1 }", "call_done 0 1 {}",
      }, { unpack(lines, 1, 9) })
    end)

    it("keeps the order of three that wait for each other", function()
      local lines = play({
        { "call", 0, 0, "a", "f" }, { "call", 0, 1, "b", "f" }, { "call", 0, 2, "c", "f" }, { "arguments", 0, 2, "{}" },
        { "reasoning", 0, "hm" }, { "arguments", 0, 1, '{"k":1}' }, { "arguments", 0, 0, '{"k":0}' }, STOP,
      }, { sequential = true })
      local order = {}
      for _, line in ipairs(lines) do
        order[#order + 1] = line:match "^call 0 (%d)" or line:match "^(reasoning)"
      end
      assert.same({ "0", "1", "2", "reasoning" }, order)
    end)
  end)

  describe("of finish reasons", function()
    it("[B1] makes a stop after a call tool_calls", function()
      local lines = play(script(call(0, 0, "a", "f", "{}"), STOP))
      assert.equal("finish 0 tool_calls", lines[#lines - 1])
    end)

    it("[B2] remembers the call over events", function()
      local lines = play { { "call", 0, 0, "a", "f" }, { "call_done", 0, 0, "{}" }, { "begin", {} }, { "text", 0, "" }, STOP }
      assert.equal("finish 0 tool_calls", lines[#lines - 1])
    end)

    it("[B4] leaves length and filters as they are, with calls or without", function()
      for _, reason in ipairs { "length", "content_filter" } do
        local lines, r = play(script(call(0, 0, "a", "f", "{}"), { "finish", 0, reason }, STOP))
        assert.equal("finish 0 " .. reason, lines[#lines - 1])
        assert.is_true(r.seen.excused)
      end
    end)

    it("has no tool_calls without a call", function()
      local lines = play { { "text", 0, "Hi" }, { "finish", 0, "tool_calls" } }
      assert.equal("finish 0 stop", lines[#lines - 1])
    end)

    it("[C2] invents none: an answer without one has no end", function()
      local lines, r, ok, why = play { { "text", 0, "Hi" } }
      assert.is_nil(ok)
      assert.equal("The answer ended without a finish reason.", why)
      assert.is_false(r.seen.finished)
      assert.same({ "begin m", "text 0 Hi" }, lines)
    end)

    it("waits for all choices", function()
      local _, r, ok = play { { "text", 0, "a" }, { "text", 1, "b" }, { "finish", 1, "stop" } }
      assert.is_false(r.seen.finished)
      assert.is_nil(ok)
    end)

    it("[B8] lets an answer be empty when reasoning ate the budget", function()
      local lines, r, ok = play { { "finish", 0, "length" }, { "usage", { input_tokens = 1, output_tokens = 9 } } }
      assert.is_true(ok)
      assert.is_true(r.seen.excused)
      assert.same({ "begin m", "finish 0 length", "usage 1 9" }, lines)
    end)

    it("[C7] does not take an answer of nothing for one", function()
      local _, r, ok, why = play { { "begin", { model = "m" } }, { "stop" } }
      assert.is_nil(ok)
      assert.equal("The answer was empty.", why)
      assert.is_false(r.seen.content)
    end)
  end)

  it("[F21] turns a function that stands for a custom tool back into it", function()
    local lines = play(script(call(0, 0, "a", "apply_patch", '{"inp', 'ut":"*** Begin\\nx"}'), STOP),
      { tools = { { name = "apply_patch", custom = true } } })
    assert.same({ "call 0 0 a apply_patch custom", "arguments 0 0 *** Begin\nx", "call_done 0 0 *** Begin\nx" }, { unpack(lines, 2, 4) })
  end)

  it("leaves a native custom call as it is", function()
    local lines = play({ { "call", 0, 0, "a", "patch", { custom = true } }, { "arguments", 0, 0, "raw" }, { "call_done", 0, 0 }, STOP },
      { tools = { { name = "patch", custom = true } } })
    assert.same({ "call 0 0 a patch custom", "arguments 0 0 raw", "call_done 0 0 raw" }, { unpack(lines, 2, 4) })
  end)

  it("[A13] makes content of the tool that stands in for a response format, and of no other", function()
    local lines = play(script(call(0, 0, "a", "answer_as_json", '{"x":', "1}"), call(0, 1, "b", "real", "{}"), STOP),
      { emulated = "answer_as_json" })
    assert.same({ 'text 0 {"x":', "text 0 1}", "call 0 0 b real -" }, { unpack(lines, 2, 4) })
    lines = play(script(call(0, 0, "a", "answer_as_json", '{"x":1}'), STOP), { emulated = "answer_as_json" })
    assert.equal("finish 0 stop", lines[#lines - 1])
  end)

  it("calls tools by the client's names for them", function()
    local lines = play(script(call(0, 0, "a", "get_weather", "{}"), STOP), { names = { get_weather = "get.weather" } })
    assert.equal("call 0 0 a get.weather -", lines[2])
  end)

  it("[A12] passes on whatever is no text", function()
    local lines = play {
      { "reasoning", 0, "hm" }, { "state", 0, { value = "sig" } }, { "refusal", 0, "no" }, { "audio", 0, '{"data":"x"}' },
      { "opaque", 0, "anthropic_messages", "{}" }, STOP,
    }
    assert.same({ "reasoning 0 hm", "state 0 sig", "refusal 0 no", 'audio 0 {"data":"x"}', "opaque 0 anthropic_messages {}" },
      { unpack(lines, 2, 6) })
  end)

  it("tells a failure apart, with its code", function()
    local r = relay.new(relay.silent(), context())
    r:fail { message = "busy", code = "overloaded_error" }
    assert.is_true(r.seen.error)
    assert.equal("overloaded_error", r.seen.code)
  end)

  it("keeps what a model wants back with its first call, and signatures with theirs", function()
    local _, r = play({
      { "reasoning", 0, "I " }, { "reasoning", 0, "think" },
      { "state", 0, { kind = "signature", value = "sig", by = "anthropic_messages" } },
      { "call", 0, 0, "a", "f" }, { "call", 0, 1, "b", "g", { signature = "s2" } }, { "call", 0, 2, "c", "h" }, STOP,
    }, { keep = true })
    assert.equal(2, #r.seen.keeps)
    assert.equal("a", r.seen.keeps[1][1])
    local state = { kind = "signature", value = "sig", by = "anthropic_messages" }
    assert.same({ parts = { { kind = "reasoning", text = "I think", state = state } } }, json.decode(r.seen.keeps[1][2]))
    assert.same({ "b", '{"signature":"s2"}' }, r.seen.keeps[2])
  end)

  describe("into a whole answer", function()
    local function collect(steps, objects, options)
      local collector = relay.collector(objects)
      local r = relay.new(collector, context(), options)
      for _, step in ipairs(steps) do
        r[step[1]](r, unpack(step, 2, 6))
      end
      assert(r:done())
      return collector.answer, collector
    end

    it("[A8] goes the same way as a stream", function()
      local answer = collect {
        { "begin", { id = "x", model = "vm", created = 5 } }, { "reasoning", 0, "hm" }, { "state", 0, { value = "sig" } },
        { "text", 0, "Hel" }, { "text", 0, "lo" }, { "call", 0, 3, nil, "f" }, { "call_done", 0, 3, "" }, STOP,
        { "usage", { input_tokens = 1, output_tokens = 2 } },
      }
      assert.same({
        id = "x", model = "vm", created = 5, usage = { input_tokens = 1, output_tokens = 2 },
        choices = { {
          index = 0, finish = "tool_calls",
          parts = {
            { kind = "reasoning", text = "hm", state = { value = "sig" } }, { kind = "text", text = "Hello" },
            { kind = "call", id = "call_01ID0", name = "f", arguments = "{}" },
          },
        } },
      }, answer)
    end)

    it("[A7] finds arguments that are no object, unless the answer was cut off", function()
      local _, collector = collect({ { "call", 0, 0, "a", "f" }, { "arguments", 0, 0, '"text"' }, STOP })
      assert.equal("The arguments of the call of f are no JSON object.", collector.broken)
      local answer
      answer, collector = collect({ { "call", 0, 0, "a", "f" }, { "arguments", 0, 0, '{"x' }, { "finish", 0, "length" } }, true)
      assert.is_nil(collector.broken)
      assert.equal("{}", answer.choices[1].parts[1].arguments)
    end)
  end)

  it("fails what is larger than any answer, whatever it is made of", function()
    local mb = ("x"):rep(1024 * 1024)
    for _, step in ipairs {
      { "text", 0, mb }, { "reasoning", 0, mb }, { "arguments", 0, 0, mb }, { "refusal", 0, mb }, { "opaque", 0, "gemini", mb },
      { "state", 0, { kind = "signature", value = mb, by = "gemini" } },
    } do
      local r = relay.new(relay.silent(), context {}, { keep = true })
      r:call(0, 0, "a", "f")
      for _ = 1, 16 do
        assert.is_false(r.seen.error)
        r[step[1]](r, unpack(step, 2))
      end
      r[step[1]](r, unpack(step, 2))
      assert.is_true(r.seen.error)
      assert.equal("The answer is larger than 16 MB.", r.seen.message)
    end
  end)

  it("asks whether a call is whole in time by its length, however much comes beside it", function()
    local steps, before = { { "call", 0, 0, "a", "f" }, { "arguments", 0, 0, '{"a":"' } }, os.clock()
    for i = 1, 5000 do
      steps[#steps + 1] = { "arguments", 0, 0, ("}"):rep(200) }
      steps[#steps + 1] = { "text", 0, "t" .. i }
    end
    steps[#steps + 1] = { "arguments", 0, 0, '"}' }
    steps[#steps + 1] = { "finish", 0, "stop" }
    local lines = play(steps, { sequential = true })
    assert.equal("text 0 t5000", lines[#lines - 2])
    assert.is_true(os.clock() - before < 3)
  end)

  it("puts a whole answer of very many pieces together in time by their number", function()
    local collector, before = relay.collector(), os.clock()
    local r = relay.new(collector, context {}, {})
    for _ = 1, 300000 do
      r:text(0, "ab")
    end
    r:finish(0, "stop")
    assert(r:done())
    assert.equal(600000, #collector.answer.choices[1].parts[1].text)
    assert.is_true(os.clock() - before < 3)
  end)
end)
