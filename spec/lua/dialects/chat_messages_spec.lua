local json = require "perilune.json"
local messages = require "perilune.dialects.chat_messages"
local shape = require "perilune.shape"

-- Messages as they go up to a target of these quirks, and what was dropped.
local function write(list, quirks, more)
  local target = {
    provider = "other", dialect = "openai_chat", upstream = "m", quirks = quirks or {},
    abilities = { images = true, audio = true, files = true },
  }
  for k, v in pairs(more or {}) do
    target[k] = v
  end
  local drops = shape.drops()
  local out = messages.write(list, target, drops)
  for _, raw in ipairs(out) do
    assert(json.valid(raw))
  end
  return out, drops:list()
end

local function text(s)
  return { kind = "text", text = s }
end

local function user(...)
  return { role = "user", parts = { ... } }
end

local function turn(...)
  return { role = "assistant", parts = { ... } }
end

local function call(id, name, more)
  local part = { kind = "call", id = id, name = name or "f", arguments = '{"z":1,"a":2}' }
  for k, v in pairs(more or {}) do
    part[k] = v
  end
  return part
end

local function result(id, s, more)
  local part = { kind = "result", id = id, parts = { text(s) } }
  for k, v in pairs(more or {}) do
    part[k] = v
  end
  return part
end

local function results(...)
  return { role = "tool", parts = { ... } }
end

local CALL = '{"id":"c1","type":"function","function":{"name":"f","arguments":"{\\"z\\":1,\\"a\\":2}"}}'

describe("chat_messages, content", function()
  it("is a string for one text, and parts for more", function()
    assert.same({
      '{"role":"user","content":"a"}',
      '{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}',
    }, (write { user(text "a"), user(text "a", text "b") }))
  end)

  it("has pictures, sounds and files", function()
    local out, dropped = write {
      user({ kind = "image", data = "QQ", mime = "image/gif" }, { kind = "image", url = "https://x", detail = "low" },
        { kind = "audio", data = "QQ", format = "wav" }, { kind = "file", data = "QQ", mime = "application/pdf", name = "a" },
        { kind = "file", file_id = "f" }, { kind = "file", text = "plain" },
        { kind = "opaque", dialect = "openai_chat", raw = '{"type":"video_url"}' }),
    }
    assert.same({
      '{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/gif;base64,QQ"}},'
        .. '{"type":"image_url","image_url":{"url":"https://x","detail":"low"}},{"type":"input_audio","input_audio":{"data":"QQ",'
          .. '"format":"wav"}},'
        .. '{"type":"file","file":{"file_data":"data:application/pdf;base64,QQ","filename":"a"}},{"type":"file","file":{"file_id":"f"}},'
        .. '{"type":"text","text":"plain"},{"type":"video_url"}]}',
    }, out)
    assert.is_nil(dropped)
  end)

  it("loses what the target can not take, by name", function()
    local list = { user(text "x"), user({ kind = "image", url = "https://x" }, { kind = "audio", data = "Q" }, { kind = "file",
      file_id = "f" },
      { kind = "opaque", dialect = "anthropic_messages", raw = '{"type":"search_result"}' }, text "y") }
    local out, dropped = write(list, nil, { abilities = {} })
    assert.same({ '{"role":"user","content":"x"}', '{"role":"user","content":[{"type":"text","text":"y"}]}' }, out)
    assert.equal("messages[1].image, messages[1].audio, messages[1].file, messages[1].search_result", dropped)
    assert.equal("messages[0].image", select(2, write({ user({ kind = "image", url = "https://x" }, text "y") },
      { no_images_by_url = true })))
  end)

  it("has marks for the cache where OpenAI reads them, and says nothing elsewhere", function()
    local list = { user { kind = "text", text = "a", cache = '{"type":"ephemeral","ttl":"1h"}' }, user { kind = "text", text = "b",
      cache = "{}" } }
    assert.same({
      '{"role":"user","content":[{"type":"text","text":"a","prompt_cache_breakpoint":{"mode":"explicit","ttl":"12h"}}]}',
      '{"role":"user","content":[{"type":"text","text":"b","prompt_cache_breakpoint":{"mode":"explicit"}}]}',
    }, (write(list, nil, { native = true })))
    local out, dropped = write(list)
    assert.same({ '{"role":"user","content":"a"}', '{"role":"user","content":"b"}' }, out)
    assert.is_nil(dropped)
  end)

  it("[F1] leaves empty texts out, and is null in a turn that only calls", function()
    assert.same({
      '{"role":"user","content":[{"type":"text","text":"a"}]}',
      '{"role":"assistant","content":null,"tool_calls":[' .. CALL .. "]}",
    }, (write { user(text "", text "a"), turn(text "", call "c1"), turn(text "") }))
  end)

  for quirk, content in pairs { null = '"content":null,', text = '"content":"",', omit = "" } do
    it("[F2] of a turn that only calls is what the service takes: " .. quirk, function()
      assert.same({ '{"role":"assistant",' .. content .. '"tool_calls":[' .. CALL .. "]}" }, (write({ turn(call "c1") },
        { empty_content = quirk })))
    end)
  end

  it("[F2] is never an empty message", function()
    assert.same({ '{"role":"user","content":"a"}' }, (write { { role = "system", parts = { text "" } }, user(text ""), user(),
      user(text "a") }))
  end)

  it("has refusals in OpenAI's words, or in plain ones", function()
    local list = { turn { kind = "refusal", text = "no" } }
    assert.same({ '{"role":"assistant","content":null,"refusal":"no"}' }, (write(list, nil, { native = true })))
    assert.same({ '{"role":"assistant","content":[{"type":"text","text":"no"}]}' }, (write(list)))
  end)

  it("refers to what the assistant spoke where that was OpenAI", function()
    local list = { turn(text "a", { kind = "audio", id = "au" }) }
    assert.same({ '{"role":"assistant","content":"a","audio":{"id":"au"}}' }, (write(list, nil, { native = true })))
    assert.equal("messages[0].audio", select(2, write(list)))
  end)
end)

describe("chat_messages, roles", function()
  local function system(s)
    return { role = "system", parts = { text(s) } }
  end

  it("call the system what the service does", function()
    assert.same({ '{"role":"system","content":"s"}' }, (write { system "s" }))
    assert.same({ '{"role":"developer","content":"s"}' }, (write({ system "s" }, { system = "developer" })))
  end)

  it("give later words of the system to the user where it may only begin", function()
    local list = { system "a", system "b", user(text "c"), system "d" }
    assert.same({
      '{"role":"system","content":"a"}', '{"role":"system","content":"b"}', '{"role":"user","content":"c"}',
        '{"role":"user","content":"d"}',
    }, (write(list, { no_system_later = true })))
    assert.equal('{"role":"system","content":"d"}', write(list)[4])
  end)

  it("[F14] put an assistant's turn between a result and the user where one is wanted", function()
    local list = { turn(call "c1"), results(result("c1", "1")), user(text "x") }
    local out = write(list, { assistant_after_tool = true })
    assert.same({
      '{"role":"tool","tool_call_id":"c1","content":"1"}', '{"role":"assistant","content":"Understood."}', '{"role":"user","content":"x"}',
    }, { out[2], out[3], out[4] })
    assert.equal(3, #write(list))
    assert.equal(3, #write({ list[1], list[2], turn(text "x") }, { assistant_after_tool = true }))
  end)
end)

describe("chat_messages, calls and results", function()
  it("are one turn, and a message for each result", function()
    assert.same({
      '{"role":"assistant","content":"x","tool_calls":[' .. CALL .. "," .. CALL:gsub("c1", "c2") .. "]}",
      '{"role":"tool","tool_call_id":"c1","content":"1"}',
      '{"role":"tool","tool_call_id":"c2","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}',
    }, (write { turn(text "x", call "c1", call "c2"), results(result("c1", "1"), result("c2", "", { parts = { text "a", text "b" } })) }))
  end)

  it("name the tool where that is wanted", function()
    local list = { turn(call("c1", "look")), results(result("c1", "1")) }
    assert.equal('{"role":"tool","tool_call_id":"c1","name":"look","content":"1"}', write(list, { tool_result_name = true })[2])
  end)

  it("tell of a failure in words, and what is unknown as it is", function()
    assert.equal('{"role":"tool","tool_call_id":"c","content":"Error: no file"}', write({ results(result("c", "no file",
      { error = true })) })[1])
    assert.equal('{"role":"tool","tool_call_id":"c","content":"error 5"}', write({ results(result("c", "error 5", { error = true })) })[1])
    local opaque = { kind = "opaque", dialect = "anthropic_messages", raw = '{"type":"x"}' }
    assert.equal('{"role":"tool","tool_call_id":"c","content":"{\\"type\\":\\"x\\"}"}', write({ results(result("c", "",
      { parts = { opaque } })) })[1])
    assert.equal('{"role":"tool","tool_call_id":"c","content":""}', write({ results(result("c", "", { parts = {} })) })[1])
  end)

  it("hand on the pictures of a result with the user's next words", function()
    local image = { kind = "image", data = "QQ", mime = "image/png" }
    local list = { turn(call("c1", "look"), call "c2"), results(result("c1", "see", { parts = { text "see", image } }), result("c2", "2")) }
    local out = write(list)
    assert.same({ '{"role":"tool","tool_call_id":"c1","content":"see"}', '{"role":"tool","tool_call_id":"c2","content":"2"}',
      '{"role":"user","content":[{"type":"text","text":"What look returned:"},{"type":"image_url",'
        .. '"image_url":{"url":"data:image/png;base64,QQ"}}]}',
    }, { out[2], out[3], out[4] })
    local _, dropped = write(list, nil, { abilities = {} })
    assert.equal("messages[1].image", dropped)
  end)

  it("[F13] have ids of nine letters and digits where only those are taken, the same on both sides", function()
    local list, seen = {}, {}
    for i = 1, 50 do
      list[#list + 1] = turn(call("call_" .. i), call "abcDEF123")
      list[#list + 1] = results(result("call_" .. i, "x"), result("abcDEF123", "y"))
    end
    local out = write(list, { tool_ids = "nine" })
    for i = 1, #out, 3 do
      local calls = json.read(out[i]).tool_calls
      local first, second = json.read(out[i + 1]).tool_call_id, json.read(out[i + 2]).tool_call_id
      assert.matches("^%w%w%w%w%w%w%w%w%w$", first)
      assert.same({ first, "abcDEF123", second }, { calls[1].id, calls[2].id, second })
      assert.is_nil(seen[first])
      seen[first] = true
    end
    assert.same(out, (write(list, { tool_ids = "nine" })))
  end)

  it("[F21] turn custom calls into calls of a function of one string where the service is not OpenAI", function()
    local list = { turn(call("c1", "patch", { custom = true, arguments = 'a "b"\n' })), results(result("c1", "ok")) }
    assert.equal('{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"patch",'
      .. '"arguments":"{\\"input\\":\\"a \\\\\\"b\\\\\\"\\\\n\\"}"}}]}', write(list)[1])
    assert.equal('{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"custom","custom":{"name":"patch",'
      .. '"input":"a \\"b\\"\\n"}}]}',
      write(list, nil, { native = true })[1])
  end)

  it("carry signatures where they are wanted", function()
    local list = { turn(call("c1", "f", { signature = "s" })) }
    assert.matches('"extra_content":{"google":{"thought_signature":"s"}}}%]}$', write(list, { signatures = true })[1])
    assert.is_nil(write(list)[1]:find "extra_content")
    assert.matches('"content":"x","extra_content":', write({ turn { kind = "text", text = "x", signature = "s" } },
      { signatures = true })[1])
  end)
end)

describe("chat_messages, thoughts", function()
  local thought = { kind = "reasoning", text = "why" }
  local list = { turn(thought, text "a"), turn(thought, call "c1"), turn(call "c1"), turn(text "b") }

  local function told(quirk)
    local out = {}
    for i, raw in ipairs((write(list, { reasoning_back = quirk }))) do
      out[i] = json.read(raw).reasoning_content or false
    end
    return out
  end

  it("[F11] go back as the service wants them", function()
    assert.same({ false, false, false, false }, told "never")
    assert.same({ "why", "why", false, false }, told "always")
    assert.same({ false, "why", "", false }, told "calls")
    assert.same({ false, false, false, false }, told(nil))
  end)

  it("carry states only to whom they belong", function()
    local entry = '{"type":"reasoning.encrypted","data":"d","format":"x","index":0}'
    local own = { kind = "encrypted", value = entry, by = "openai_chat" }
    local foreign = { kind = "signature", value = "s", by = "anthropic_messages" }
    local states = { turn({ kind = "reasoning", text = "why", state = own }, { kind = "reasoning", state = foreign }, text "a") }
    assert.same({ '{"role":"assistant","content":"a","reasoning_content":"why","reasoning_details":[' .. entry .. "]}" },
      (write(states, { reasoning_back = "always" })))
    assert.same({ '{"role":"assistant","content":"a"}' }, (write(states)))
  end)
end)
