local json = require "perilune.json"
local shape = require "perilune.shape"
local turns = require "perilune.dialects.anthropic_turns"

local TARGET = { upstream = "claude-x", dialect = "anthropic_messages", abilities = {}, quirks = {} }

local function aimed(quirks)
  return setmetatable({ quirks = quirks or {} }, { __index = TARGET })
end

-- A request's turns as they are sent, decoded; the system text; what was left out.
local function written(messages, quirks, dialect)
  local drops, request = shape.drops(), { messages = messages, dialect = dialect or "openai_chat" }
  local build = {
    target = aimed(quirks), drops = drops, names = turns.names(),
    mark = function(cache)
      return cache and ',"cache_control":' .. cache or ""
    end,
  }
  local conversation = turns.of(request)
  local system = turns.system(conversation, build, {})
  local list = turns.messages(conversation, request, build)
  return list and assert(json.decode(list)), system, drops:list(), list
end

local function text(s, cache)
  return { kind = "text", text = s, cache = cache }
end

local function user(...)
  return { role = "user", parts = { ... } }
end

local function assistant(...)
  return { role = "assistant", parts = { ... } }
end

local function system(...)
  return { role = "system", parts = { ... } }
end

local function call(id, arguments)
  return { kind = "call", id = id, name = "f", arguments = arguments or "{}" }
end

local function result(id, ...)
  return { kind = "result", id = id, parts = { ... } }
end

local function tool(...)
  return { role = "tool", parts = { ... } }
end

-- Role and types of blocks of each turn: "user: tool_result text".
local function outline(list)
  local out = {}
  for i, turn in ipairs(list) do
    local types = {}
    for k, block in ipairs(turn.content) do
      types[k] = block.type
    end
    out[i] = turn.role .. ": " .. table.concat(types, " ")
  end
  return out
end

describe("anthropic_messages, turns written", function()
  it("take turns, the user first", function()
    assert.same({ "user: text", "assistant: text", "user: text text" },
      outline((written { assistant(text "Hello"), user(text "a"), user(text "b") })))
    assert.same({ "user: text", "assistant: text" }, outline((written { user(text ""), assistant(text "Hello") })))
  end)

  it("have no empty text, and no turn without a block", function()
    assert.same({ "user: text", "assistant: tool_use", "user: tool_result" },
      outline((written { user(text ""), user(text "a"), assistant(text "\n"), assistant(text ""),
        assistant(call "c1"), tool(result("c1", text "x")) })))
    assert.is_nil((written { user(text " ") }))
    assert.is_nil((written {}))
  end)

  it("[F3] have all results first, in one turn, and the user's text behind them", function()
    local list = written {
      user(text "go"), assistant(text "Looking."), assistant(call "c1", call "c2"), tool(result("c2", text "two")), user(text "and?"),
      tool(result("c1", text "one")),
    }
    assert.same({ "user: text", "assistant: text tool_use tool_use", "user: tool_result tool_result text" }, outline(list))
    assert.same({ "c1", "c2" }, { list[3].content[1].tool_use_id, list[3].content[2].tool_use_id })
    assert.same({ "one", "two" }, { list[3].content[1].content, list[3].content[2].content })
  end)

  it("answer every call: where no result came, by an error that says so", function()
    local list = written { user(text "go"), assistant(call "c1", call "c2"), tool(result("c1", text "one")), user(text "b"),
      assistant(call "c3") }
    assert.same({ "user: text", "assistant: tool_use tool_use", "user: tool_result tool_result text", "assistant: tool_use",
      "user: tool_result" },
      outline(list))
    assert.is_true(list[3].content[2].is_error)
    assert.matches("%a", list[3].content[2].content)
    assert.same({ "c3", true }, { list[5].content[1].tool_use_id, list[5].content[1].is_error })
  end)

  it("tell a result of no call as text", function()
    assert.same({ { type = "text", text = "late" }, { type = "text", text = "a" } }, (written {
      tool(result("gone", text "late")), user(text "a"),
    })[1].content)
  end)

  it("[F5] put text behind a call before it", function()
    assert.same({ "user: text", "assistant: text tool_use", "user: tool_result" },
      outline((written { user(text "a"), assistant(call "c1", text "Reading."), tool(result("c1", text "x")) })))
  end)

  it("write ids they may have, each once, on both sides", function()
    local list = written {
      user(text "a"), assistant(call "functions.f:0"), tool(result("functions.f:0", text "x")), assistant(call "same"),
        tool(result("same")),
      assistant(call "same"), tool(result("same", text "y")),
    }
    local id = list[2].content[1].id
    assert.is_truthy(id:find "^[%w_-]+$")
    assert.equal(id, list[3].content[1].tool_use_id)
    assert.same({ "same", "same", "same_2", "same_2" }, {
      list[4].content[1].id, list[5].content[1].tool_use_id, list[6].content[1].id, list[7].content[1].tool_use_id,
    })
    assert.is_nil(list[5].content[1].content)
    assert.equal("y", list[7].content[1].content)
  end)

  it("[A6] have an object for a call's empty input, and others byte for byte", function()
    local raw = select(4, written { user(text "a"), assistant(call("c1", ""), call("c2", '{"z":1.50,"a":[]}')) })
    assert.is_truthy(raw:find('"id":"c1","name":"f","input":{}}', 1, true))
    assert.is_truthy(raw:find('"id":"c2","name":"f","input":{"z":1.50,"a":[]}}', 1, true))
  end)

  it("put the input of a custom tool into an object", function()
    local part = call("c1", 'a"b')
    part.custom = true
    assert.same({ input = 'a"b' }, (written { user(text "a"), assistant(part) })[2].content[1].input)
  end)

  it("end in no white space of the model's", function()
    local list = written { user(text "a"), assistant(text "It is \n") }
    assert.same({ { type = "text", text = "It is" } }, list[2].content)
  end)

  it("ask the model to go on where it may not have the last word", function()
    local list, _, dropped = written({ user(text "a"), assistant(text "It is") }, { no_prefill = true })
    assert.same({ "user: text", "assistant: text", "user: text" }, outline(list))
    assert.equal("prefill", dropped)
    assert.is_nil(select(3, written({ user(text "a"), assistant(call "c1") }, { no_prefill = true })))
  end)
end)

describe("anthropic_messages, system text written", function()
  it("is one text, or blocks where marks or several tell them apart", function()
    assert.equal('"be brief"', select(2, written { system(text "be brief"), user(text "a") }))
    assert.equal('[{"type":"text","text":"a"},{"type":"text","text":"b","cache_control":{"type":"ephemeral"}}]',
      select(2, written { system(text "a"), system(text(" ")), system(text("b", '{"type":"ephemeral"}')), user(text "a") }))
    assert.is_nil(select(2, written { user(text "a") }))
  end)

  it("in the middle stays there, behind a pair of call and result", function()
    local list, head = written {
      user(text "a"), assistant(call "c1"), system(text "Now in French."), tool(result("c1", text "x")),
    }
    assert.is_nil(head)
    assert.same({ "user: text", "assistant: tool_use", "user: tool_result text" }, outline(list))
    assert.equal("<system>\nNow in French.\n</system>", list[3].content[2].text)
  end)

  it("alone is what the user asks", function()
    local list, head = written { system(text "Tell a joke.") }
    assert.is_nil(head)
    assert.same({ { role = "user", content = { { type = "text", text = "Tell a joke." } } } }, list)
  end)
end)

describe("anthropic_messages, parts written", function()
  local function block(part, quirks, dialect)
    local list, _, dropped = written({ user(text "a"), user(part) }, quirks, dialect)
    return list[1].content[2] or false, dropped
  end

  it("are pictures and documents", function()
    for _, case in ipairs {
      { { kind = "image", data = "aGk=", mime = "image/jpeg", cache = "{}" },
        { type = "image", source = { type = "base64", media_type = "image/jpeg", data = "aGk=" }, cache_control = {} } },
      { { kind = "image", data = "iVBORw0KGgoAAA" }, { type = "image",
        source = { type = "base64", media_type = "image/png", data = "iVBORw0KGgoAAA" } } },
      { { kind = "image", url = "https://x" }, { type = "image", source = { type = "url", url = "https://x" } } },
      { { kind = "file", data = "JVBE", name = "a.pdf" },
        { type = "document", source = { type = "base64", media_type = "application/pdf", data = "JVBE" }, title = "a.pdf" } },
      { { kind = "file", data = "aGk=", mime = "image/png", name = "a.png" },
        { type = "image", source = { type = "base64", media_type = "image/png", data = "aGk=" } } },
      { { kind = "file", text = "plain" }, { type = "document", source = { type = "text", media_type = "text/plain", data = "plain" } } },
      { { kind = "file", url = "https://x" }, { type = "document", source = { type = "url", url = "https://x" } } },
    } do
      local out, dropped = block(case[1])
      assert.same(case[2], out)
      assert.is_nil(dropped)
    end
  end)

  it("that can not be told are left out by name", function()
    for _, case in ipairs {
      { { kind = "image", url = "https://x" }, "messages[1].image", { no_images_by_url = true } },
      { { kind = "image", file_id = "file-1" }, "messages[1].image" }, { { kind = "file", file_id = "file-1" }, "messages[1].file" },
      { { kind = "file", data = "UEs=", name = "a.docx" }, "messages[1].file" },
        { { kind = "audio", data = "x", format = "wav" }, "messages[1].audio" },
      { { kind = "opaque", dialect = "openai_responses", raw = "{}" }, "messages[1].opaque" },
    } do
      local out, dropped = block(case[1], case[3])
      assert.is_false(out)
      assert.equal(case[2], dropped)
    end
  end)

  it("of this dialect's own go back to it", function()
    assert.same({ type = "image", source = { type = "file", file_id = "file_1" } },
      (block({ kind = "image", file_id = "file_1" }, nil, "anthropic_messages")))
    assert.same({ type = "container_upload" }, (block { kind = "opaque", dialect = "anthropic_messages",
      raw = '{"type":"container_upload"}' }))
  end)

  it("are no pictures in a turn of the model's", function()
    local list, _, dropped = written { user(text "a"), assistant(text "b"), assistant({ kind = "image", url = "https://x" }),
      user(text "c") }
    assert.same({ "user: text", "assistant: text", "user: text" }, outline(list))
    assert.equal("messages[2].image", dropped)
  end)

  it("are what results hold", function()
    local part = result("c1", text("one", "{}"), text "", { kind = "image", url = "https://x" }, { kind = "audio" })
    part.error, part.cache = true, '{"type":"ephemeral"}'
    local list, _, dropped = written { user(text "a"), assistant(call "c1"), tool(part) }
    assert.same({
      type = "tool_result", tool_use_id = "c1", is_error = true, cache_control = { type = "ephemeral" },
      content = { { type = "text", text = "one", cache_control = {} }, { type = "image", source = { type = "url", url = "https://x" } } },
    }, list[3].content[1])
    assert.equal("messages[2].audio", dropped)
  end)

  it("are refusals as text", function()
    assert.same({ { type = "text", text = "No." } }, (written { user(text "a"), assistant { kind = "refusal", text = "No." } })[2].content)
  end)
end)

describe("anthropic_messages, thinking written", function()
  local function state(more)
    local s = { kind = "signature", value = "c2ln", by = "anthropic_messages", model = "claude-x" }
    for k, v in pairs(more or {}) do
      s[k] = v
    end
    return s
  end

  it("[F10] goes back unmodified to the model that made it, first in the turn", function()
    local list = written { user(text "a"), assistant(
      text "Yes", { kind = "reasoning", text = "Hm.\n ", state = state() }, { kind = "reasoning", state = state { kind = "redacted" } },
        call "c1") }
    assert.same({ { type = "thinking", thinking = "Hm.\n ", signature = "c2ln" }, { type = "redacted_thinking", data = "c2ln" },
      { type = "text", text = "Yes" } }, { list[2].content[1], list[2].content[2], list[2].content[3] })
  end)

  it("[F10] is left out whole for any other, and never becomes text", function()
    for _, s in ipairs { state { model = "claude-y" }, state { by = "openai_responses" }, state { by = "bedrock_converse" }, false } do
      local list, _, dropped = written { user(text "a"), assistant({ kind = "reasoning", text = "Hm.", state = s or nil }, text "Yes"),
        user(text "b") }
      assert.same({ { type = "text", text = "Yes" } }, list[2].content)
      assert.is_nil(dropped)
    end
  end)

  it("between calls stays there", function()
    local list = written { user(text "a"), assistant(
      { kind = "reasoning", text = "1", state = state() }, call "c1", { kind = "reasoning", text = "2", state = state() }, call "c2") }
    assert.same({ "user: text", "assistant: thinking tool_use thinking tool_use", "user: tool_result tool_result" }, outline(list))
  end)

  it("keeps its place among blocks of server tools", function()
    local opaque = { kind = "opaque", dialect = "anthropic_messages", raw = '{"type":"server_tool_use"}' }
    local list = written { user(text "a"), assistant(text "1", opaque, { kind = "reasoning", text = "2", state = state() }, text "3"),
      user(text "b") }
    assert.same({ "user: text", "assistant: text server_tool_use thinking text", "user: text" }, outline(list))
  end)

  it("is missed where calls that are answered now have none before them", function()
    local function missed(...)
      return turns.unthought(turns.of { messages = { user(text "a"), ... } }, aimed())
    end
    local thought = { kind = "reasoning", text = "Hm.", state = state() }
    assert.is_true(missed(assistant(call "c1"), tool(result("c1", text "x"))))
    assert.is_true(missed(assistant({ kind = "reasoning", text = "Hm." }, call "c1"), tool(result("c1")), user(text "b")))
    assert.is_true(missed(assistant(call "c1")))
    assert.is_false(missed(assistant(thought, call "c1"), tool(result("c1", text "x"))))
    assert.is_false(missed(assistant(thought), assistant(call "c1"), tool(result("c1", text "x"))))
    assert.is_false(missed(assistant(call "c1"), tool(result("c1", text "x")), assistant(text "done"), user(text "b")))
    assert.is_false(missed())
  end)
end)
