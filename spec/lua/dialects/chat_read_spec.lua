local read = require "perilune.dialects.chat_read"

local function messages(list)
  local request, problem = read.read('{"model":"m","messages":' .. list .. "}")
  return request and request.messages, problem
end

-- The parts of the only message.
local function parts(content)
  return assert(messages('[{"role":"user","content":' .. content .. "}]"))[1].parts
end

describe("chat_read, a request", function()
  it("keeps what it does not know, in order, and the body's own members", function()
    local request = assert(read.read '{"model":"m","min_p":0.10,"messages":[{"role":"user","content":"x"}],"zed":{"b":1},"n":null}')
    assert.same({ { "min_p", "0.10" }, { "zed", '{"b":1}' } }, request.extra)
    assert.equal("0.10", request.fields.min_p)
    assert.equal("openai_chat", request.dialect)
  end)

  it("must be JSON and have messages", function()
    assert.matches("^The request is not JSON", select(2, read.read "nonsense").message)
    for _, body in ipairs { "{}", '{"messages":null}', '{"messages":[]}' } do
      assert.equal("messages", select(2, read.read(body)).param)
    end
  end)

  it("fails, and does not raise, on a body cut anywhere", function()
    local body = '{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"\\u00e9"}]}],"stop":["a"],"n":1}'
    for n = 1, #body - 1 do
      local request, problem = read.read(body:sub(1, n))
      assert.is_nil(request)
      assert.is_string(problem.message)
    end
  end)
end)

describe("chat_read, parts", function()
  for content, expected in pairs {
    ['"hi"'] = { { kind = "text", text = "hi" } },
    ["null"] = {},
    ['[{"type":"text","text":"a","prompt_cache_breakpoint":{"mode":"explicit","ttl":"12h"}}]'] = {
      { kind = "text", text = "a", cache = '{"type":"ephemeral","ttl":"1h"}' },
    },
    ['[{"type":"text","text":"a","prompt_cache_breakpoint":{"mode":"explicit"}}]'] = {
      { kind = "text", text = "a", cache = '{"type":"ephemeral"}' },
    },
    ['[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}]'] = { { kind = "text", text = "a",
      cache = '{"type":"ephemeral"}' } },
    ['[{"type":"image_url","image_url":{"url":"https://x/y.png","detail":"high"}}]'] = {
      { kind = "image", url = "https://x/y.png", detail = "high" },
    },
    ['[{"type":"image_url","image_url":{"url":"data:image/png;base64,QUJD"}}]'] = { { kind = "image", mime = "image/png", data = "QUJD" } },
    ['[{"type":"image_url","image_url":"https://x"}]'] = { { kind = "image", url = "https://x" } },
    ['[{"type":"input_audio","input_audio":{"data":"QQ","format":"wav"}}]'] = { { kind = "audio", data = "QQ", format = "wav" } },
    ['[{"type":"file","file":{"file_id":"f1"}}]'] = { { kind = "file", file_id = "f1" } },
    ['[{"type":"file","file":{"file_data":"data:application/pdf;base64,QQ","filename":"a"}}]'] = {
      { kind = "file", data = "QQ", mime = "application/pdf", name = "a" },
    },
    ['[{"type":"file","file":{"file_data":"QQ"}}]'] = { { kind = "file", data = "QQ" } },
    ['[{"type":"video_url","video_url":{"z":1,"a":2}}]'] = {
      { kind = "opaque", dialect = "openai_chat", raw = '{"type":"video_url","video_url":{"z":1,"a":2}}' },
    },
  } do
    it("reads " .. content, function()
      assert.same(expected, parts(content))
    end)
  end

  for content, param in pairs {
    ["5"] = "messages[0].content", ["[5]"] = "messages[0].content[0]", ['[{"type":"text","text":5}]'] = "messages[0].content[0].text",
    ['[{"type":"image_url","image_url":{}}]'] = "messages[0].content[0].image_url.url",
    ['[{"type":"text","text":"a"},{"type":"file"}]'] = "messages[0].content[1].file",
  } do
    it("names " .. param .. " for " .. content, function()
      assert.equal(param, select(2, messages('[{"role":"user","content":' .. content .. "}]")).param)
    end)
  end
end)

describe("chat_read, roles", function()
  it("are four", function()
    assert.same({
      { role = "system", parts = { { kind = "text", text = "a" } } }, { role = "system", parts = { { kind = "text", text = "b" } } },
      { role = "user", parts = { { kind = "text", text = "c" } }, name = "bob" },
      { role = "assistant", parts = { { kind = "text", text = "d" }, { kind = "refusal", text = "e" }, { kind = "audio", id = "au" } } },
    }, messages [[ [{"role":"system","content":"a"},{"role":"developer","content":"b"},{"role":"user","name":"bob","content":"c"},
      {"role":"assistant","content":"d","refusal":"e","audio":{"id":"au"},"tool_calls":null}] ]])
  end)

  it("are not others", function()
    assert.same({ message = 'messages[0].role: there is no role "bot".', param = "messages[0].role" }, select(2,
      messages '[{"role":"bot"}]'))
    assert.equal("messages[0].role", select(2, messages '[{"content":"x"}]').param)
  end)
end)

-- The parts of an assistant's message of these members.
local function turn(members)
  local list, problem = messages('[{"role":"assistant",' .. members .. "}]")
  return list and list[1].parts or problem
end

local function call(id, name, arguments)
  return ('{"id":"%s","type":"function","function":{"name":"%s","arguments":%s}}'):format(id, name, arguments)
end

describe("chat_read, calls", function()
  it("are parts of the turn", function()
    assert.same({
      { kind = "text", text = "x" }, { kind = "call", id = "c1", name = "f", arguments = '{"z":1,"a":2}', signature = "sig" },
      { kind = "call", id = "c2", name = "p", arguments = "*** patch", custom = true },
    }, turn [["content":"x","tool_calls":[
      {"id":"c1","type":"function","function":{"name":"f","arguments":"{\"z\":1,\"a\":2}"},"extra_content":{"google":{
        "thought_signature":"sig"}}},
      {"id":"c2","type":"custom","custom":{"name":"p","input":"*** patch"}}] ]])
  end)

  for _, arguments in ipairs { '""', '"  \\n"', "null", '"{}"' } do
    it("without arguments take none: " .. arguments, function()
      assert.equal("{}", turn('"tool_calls":[' .. call("c", "f", arguments) .. "]")[1].arguments)
    end)
  end

  it("[A11] keep the keys of arguments that came as an object in order", function()
    assert.equal('{"z":1,"a":12345678901234567890}', turn('"tool_calls":[' .. call("c", "f", '{"z":1,"a":12345678901234567890}')
      .. "]")[1].arguments)
  end)

  for _, arguments in ipairs { '"{"', '"[1]"', '"x"', "5", '"\\"x\\""' } do
    it("[A7] refuse arguments that are no object, by their place: " .. arguments, function()
      local problem = turn('"tool_calls":[' .. call("c", "f", '"{}"') .. "," .. call("d", "g", arguments) .. "]")
      assert.equal("messages[0].tool_calls[1].function.arguments", problem.param)
    end)
  end

  it("get ids where they have none, and results find them by order", function()
    local list = messages('[{"role":"assistant","tool_calls":[' .. call("", "f", '"{}"') .. ',{"function":{"name":"g","arguments":"{}"}}]},'
      .. '{"role":"tool","content":"1"},{"role":"tool","tool_call_id":"lost","content":"2"}]')
    assert.same({ "call_1_1", "call_1_2" }, { list[1].parts[1].id, list[1].parts[2].id })
    assert.same({
      { kind = "result", id = "call_1_1", parts = { { kind = "text", text = "1" } } },
      { kind = "result", id = "call_1_2", parts = { { kind = "text", text = "2" } } },
    }, list[2].parts)
  end)

  it("of the old kind are calls, too", function()
    local list = messages [[ [{"role":"assistant","content":null,"function_call":{"name":"f","arguments":""}},
      {"role":"function","name":"f","content":"done"}] ]]
    assert.same({ { kind = "call", id = "call_1_1", name = "f", arguments = "{}" } }, list[1].parts)
    assert.same({ { kind = "result", id = "call_1_1", name = "f", parts = { { kind = "text", text = "done" } } } }, list[2].parts)
  end)

  it("[F3] have all their results in one message, right behind, whatever came between", function()
    local list = messages('[{"role":"assistant","tool_calls":[' .. call("a", "f", '"{}"') .. "," .. call("b", "f", '"{}"') .. "]},"
      .. '{"role":"tool","tool_call_id":"b","content":"B"},{"role":"user","content":"and"},{"role":"tool","tool_call_id":"a",'
        .. '"content":[]}]')
    assert.same({
      { role = "tool", parts = { { kind = "result", id = "b", parts = { { kind = "text", text = "B" } } }, { kind = "result", id = "a",
        parts = {} } } },
      { role = "user", parts = { { kind = "text", text = "and" } } },
    }, { list[2], list[3] })
    assert.equal(3, #list)
  end)

  it("leave a result nobody asked for as the user's words", function()
    local list = messages('[{"role":"tool","tool_call_id":"gone","content":"x"},{"role":"assistant","tool_calls":[' .. call("a", "f",
      '"{}"')
      .. ']},{"role":"tool","tool_call_id":"a","content":"1"},{"role":"tool","tool_call_id":"a","content":"again"}]')
    assert.same({ "user", "assistant", "tool", "user" }, { list[1].role, list[2].role, list[3].role, list[4].role })
    assert.equal("again", list[4].parts[1].text)
    assert.equal(1, #list[3].parts)
  end)
end)

describe("chat_read, thoughts", function()
  for members, expected in pairs {
    ['"content":"x","reasoning_content":"why"'] = { { kind = "reasoning", text = "why" }, { kind = "text", text = "x" } },
    ['"content":"x","reasoning":"why","reasoning_content":""'] = { { kind = "reasoning", text = "why" }, { kind = "text", text = "x" } },
    ['"content":null,"reasoning":"why"'] = { { kind = "reasoning", text = "why" } },
    ['"content":[{"type":"thinking","thinking":[{"type":"text","text":"why"}]},{"type":"text","text":"x"}]'] = {
      { kind = "reasoning", text = "why" }, { kind = "text", text = "x" },
    },
    ['"thinking_blocks":[{"type":"thinking","thinking":"why","signature":"s"},{"type":"redacted_thinking","data":"d"}],'
      .. '"reasoning_content":"why"'] = {
      { kind = "reasoning", text = "why", state = { kind = "signature", value = "s", by = "anthropic_messages" } },
      { kind = "reasoning", state = { kind = "redacted", value = "d", by = "anthropic_messages" } },
    },
    ['"reasoning_content":"why","reasoning_details":[{"type":"reasoning.text","signature":"s","format":"anthropic_messages",'
      .. '"model":"c","index":0}]'] = {
      { kind = "reasoning", text = "why", state = { kind = "signature", value = "s", by = "anthropic_messages", model = "c" } },
    },
    ['"reasoning_content":"onetwo","reasoning_details":[{"type":"reasoning.text","signature":"s","format":"anthropic_messages","index":0},'
      .. '{"type":"reasoning.text","text":"two","signature":"t","format":"anthropic_messages","index":1}]'] = {
      { kind = "reasoning", text = "one", state = { kind = "signature", value = "s", by = "anthropic_messages" } },
      { kind = "reasoning", text = "two", state = { kind = "signature", value = "t", by = "anthropic_messages" } },
    },
    ['"reasoning_content":"short","reasoning_details":[{"type":"reasoning.encrypted","data":"e","format":"openai_responses",'
      .. '"id":"rs","index":0}]'] = {
      { kind = "reasoning", text = "short", summary = true, state = { kind = "encrypted", value = "e", by = "openai_responses",
        id = "rs" } },
    },
    ['"reasoning_content":"all","reasoning_details":[{"type":"reasoning.encrypted","data":"r","format":"anthropic_messages",'
      .. '"index":0}]'] = {
      { kind = "reasoning", text = "all" }, { kind = "reasoning", state = { kind = "redacted", value = "r", by = "anthropic_messages" } },
    },
    ['"reasoning":"why","reasoning_details":[{"type":"reasoning.text","text":"why","format":"unknown","index":0}]'] = {
      { kind = "reasoning", text = "why" },
    },
  } do
    it("are read from " .. members, function()
      local list = turn(members)
      assert.same(expected, list)
    end)
  end

  it("may be signed in the text they led to", function()
    assert.same({ { kind = "text", text = "x", signature = "s" } },
      turn '"content":"x","extra_content":{"google":{"thought_signature":"s"}}')
  end)
end)
