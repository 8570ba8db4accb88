local dialect = require "perilune.dialects.anthropic_read"
local shape = require "perilune.shape"
local tree = require "support.tree"

local function read(body)
  return assert(dialect.request(body))
end

local function messages(list, system)
  return read(('{"model":"m","max_tokens":9,%s"messages":%s}'):format(system and '"system":' .. system .. "," or "", list)).messages
end

-- The parts of one turn.
local function parts(content, role)
  local list = messages(('[{"role":"%s","content":%s}]'):format(role or "user", content))
  return list[1] and list[1].parts or {}
end

local function settings(members)
  return read('{"model":"m","messages":[],' .. members .. "}")
end

local function refused(body)
  local request, problem = dialect.request(body)
  assert.is_nil(request)
  return problem
end

describe("anthropic_messages, a client's request", function()
  it("is read whole, as a coding agent sends it", function()
    local request = read(tree.read "spec/fixtures/anthropic_messages/claude_code.json")
    assert.is_true(request.stream)
    assert.is_true(request.wants_usage)
    assert.equal("anthropic_messages", request.dialect)
    assert.equal(32000, request.max_tokens)
    assert.same({ effort = "medium" }, request.reasoning)
    assert.equal("user_abc_session_1", request.user)
    assert.same({ { "context_management", '{"edits":[]}' } }, request.extra)
    assert.equal('"claude-sonnet-4-6"', request.fields.model)
    local roles = {}
    for i, message in ipairs(request.messages) do
      roles[i] = message.role
    end
    assert.same({ "system", "user", "assistant", "tool", "user" }, roles)
    assert.same({
      { kind = "text", text = "You are a coding agent." },
      { kind = "text", text = "Repository notes.", cache = '{"type":"ephemeral","ttl":"1h"}' },
    }, request.messages[1].parts)
    assert.same({ { kind = "text", text = "Fix the test." } }, request.messages[2].parts)
    assert.same({
      { name = "Read", description = "Reads a file.", schema = '{"type":"object","properties":{"path":{"type":"string"}}}',
        cache = '{"type":"ephemeral"}' },
      { name = "Glob", schema = '{"type":"object","properties":{}}' },
      { name = "web_search", hosted = {
        dialect = "anthropic_messages", type = "web_search_20250305",
        raw = '{"type":"web_search_20250305","name":"web_search","max_uses":5}',
      } },
    }, request.tools)
  end)

  it("must be JSON of the right kinds, and a problem names the place", function()
    assert.matches("not JSON", refused("nonsense").message)
    for body, param in pairs {
      ['{"messages":{}}'] = "messages", ["{}"] = "messages", ['{"messages":[1]}'] = "messages[0]",
      ['{"messages":[{"role":"robot","content":""}]}'] = "messages[0].role",
      ['{"messages":[{"role":"user"}]}'] = "messages[0].content",
      ['{"messages":[{"role":"user","content":["x"]}]}'] = "messages[0].content[0]",
      ['{"messages":[{"role":"user","content":[{"text":"x"}]}]}'] = "messages[0].content[0].type",
      ['{"messages":[{"role":"user","content":[{"type":"tool_result"}]}]}'] = "messages[0].content[0].tool_use_id",
      ['{"messages":[{"role":"user","content":[{"type":"tool_use"}]}]}'] = "messages[0].content[0]",
      ['{"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"a","name":""}]}]}'] = "messages[0].content[0].name",
      ['{"messages":[],"max_tokens":"9"}'] = "max_tokens", ['{"messages":[],"max_tokens":1.5}'] = "max_tokens",
      ['{"messages":[],"temperature":"1"}'] = "temperature", ['{"messages":[],"stop_sequences":[1]}'] = "stop_sequences[0]",
      ['{"messages":[],"tools":[{}]}'] = "tools[0].name", ['{"messages":[],"tool_choice":{"type":"x"}}'] = "tool_choice.type",
      ['{"messages":[],"tool_choice":{"type":"tool"}}'] = "tool_choice.name", ['{"messages":[],"system":3}'] = "system",
    } do
      local problem = refused(body)
      assert.equal(param, problem.param)
      assert.equal(param, problem.message:match "^(.-): ")
    end
  end)

  it("refuses a thread that goes on, for what began it is not here", function()
    assert.equal("thread", refused('{"messages":[],"thread":{"type":"continue","previous_message_id":"msg_1"}}').param)
    assert.same({ { "thread", '{"type":"create"}' } }, settings('"thread":{"type":"create"}').extra)
    assert.same({}, settings('"thread":null').messages)
  end)

  it("takes null for nothing", function()
    local request = settings '"system":null,"tools":null,"max_tokens":null,"stop_sequences":null,"tool_choice":null,"temperature":null'
    assert.same({}, request.messages)
    assert.is_nil(request.tools or request.max_tokens or request.stop or request.tool_choice or request.temperature)
  end)
end)

describe("anthropic_messages, a turn read", function()
  it("may be a plain text, and one that is empty is none", function()
    assert.same({ { role = "system", parts = { { kind = "text", text = "s" } } },
      { role = "user", parts = { { kind = "text", text = "u" } } } },
      messages('[{"role":"user","content":"u"},{"role":"assistant","content":""}]', '"s"'))
    assert.same({}, messages('[{"role":"user","content":[{"type":"text","text":""}]}]', '[{"type":"text","text":""}]'))
  end)

  it("may be the system's in the middle", function()
    assert.same({ "user", "system" }, (function()
      local list = messages '[{"role":"user","content":"u"},{"role":"system","content":[{"type":"text","text":"now"}]}]'
      return { list[1].role, list[2].role }
    end)())
  end)

  it("holds pictures and documents from everywhere", function()
    assert.same({
      { kind = "image", data = "aGk=", mime = "image/png", cache = '{"type":"ephemeral"}' },
      { kind = "image", url = "https://x/y.png" },
      { kind = "image", file_id = "file_1" },
      { kind = "file", data = "JVBE", mime = "application/pdf", name = "a.pdf" },
      { kind = "file", url = "https://x/y.pdf" },
      { kind = "file", text = "plain", mime = "text/plain" },
      { kind = "file", text = "one\ntwo" },
    }, parts [=[[
      {"type":"image","source":{"type":"base64","media_type":"image/png","data":"aGk="},"cache_control":{"type":"ephemeral"}},
      {"type":"image","source":{"type":"url","url":"https://x/y.png"}},
      {"type":"image","source":{"type":"file","file_id":"file_1"}},
      {"type":"document","title":"a.pdf","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"}},
      {"type":"document","source":{"type":"url","url":"https://x/y.pdf"}},
      {"type":"document","source":{"type":"text","media_type":"text/plain","data":"plain"}},
      {"type":"document","source":{"type":"content","content":[{"type":"text","text":"one"},{"type":"text","text":"two"}]}}]]=])
  end)

  it("tells search results as text", function()
    assert.same({ { kind = "text", text = "Rain\nhttps://x\nIt rains." } },
      parts '[{"type":"search_result","title":"Rain","source":"https://x","content":[{"type":"text","text":"It rains."}]}]')
  end)

  it("keeps what only this dialect knows as it came", function()
    local raw = '{"type":"server_tool_use","id":"s1","name":"web_search","input":{"q":1.50}}'
    assert.same({ { kind = "opaque", dialect = "anthropic_messages", raw = raw } }, parts("[" .. raw .. "]", "assistant"))
    raw = '{"type":"image","source":{"type":"hologram"}}'
    assert.same({ { kind = "opaque", dialect = "anthropic_messages", raw = raw } }, parts("[" .. raw .. "]"))
  end)

  it("[F4] keeps a result whose inner block nobody knows, and that block as text", function()
    local list = messages [=[[
      {"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"find","input":{"q":"x"}}]},
      {"role":"user","content":[{"type":"text","text":"before"},
        {"type":"tool_result","tool_use_id":"t1","content":[{"type":"tool_reference","tool_name":"Edit"},
          {"type":"image","source":{"type":"base64","media_type":"image/png","data":"aGk="}},{"type":"text","text":""}]}]}]]=]
    assert.same({ role = "tool", parts = { { kind = "result", id = "t1", name = "find", parts = {
      { kind = "text", text = '{"type":"tool_reference","tool_name":"Edit"}' }, { kind = "image", data = "aGk=", mime = "image/png" },
    } } } }, list[2])
    assert.same({ role = "user", parts = { { kind = "text", text = "before" } } }, list[3])
  end)

  it("reads results that are texts, empty, missing or errors", function()
    assert.same({
      { kind = "result", id = "a", parts = { { kind = "text", text = "x" } }, error = true }, { kind = "result", id = "b", parts = {} },
      { kind = "result", id = "c", parts = {} },
    }, parts [=[[{"type":"tool_result","tool_use_id":"a","content":"x","is_error":true},
      {"type":"tool_result","tool_use_id":"b","content":""},{"type":"tool_result","tool_use_id":"c"}]]=])
  end)

  it("[F5] takes text behind a call in the model's turn", function()
    local list = parts('[{"type":"tool_use","id":"t1","name":"f","input":{}},{"type":"text","text":"after"}]', "assistant")
    assert.same({ "call", "text" }, { list[1].kind, list[2].kind })
  end)

  it("[A6] makes an object of a call's input that is empty, missing or a text, as poisoned histories have it", function()
    for input, arguments in pairs {
      ['"input":""'] = "{}", ['"input":" "'] = "{}", ['"input":null'] = "{}", ['"x":1'] = "{}", ['"input":"{\\"a\\":1}"'] = '{"a":1}',
      ['"input":"{\\"a\\":"'] = '{"input":"{\\"a\\":"}', ['"input":[1]'] = '{"input":[1]}', ['"input":{"b":1.50}'] = '{"b":1.50}',
    } do
      assert.equal(arguments, parts(('[{"type":"tool_use","id":"t","name":"f",%s}]'):format(input), "assistant")[1].arguments)
    end
  end)
end)

describe("anthropic_messages, thinking that comes back", function()
  it("is a state of this dialect when it is native", function()
    assert.same({
      { kind = "reasoning", text = "Hm.", state = { kind = "signature", value = "c2ln", by = "anthropic_messages" } },
      { kind = "reasoning", state = { kind = "redacted", value = "aGk=", by = "anthropic_messages" } },
    }, parts('[{"type":"thinking","thinking":"Hm.","signature":"c2ln"},{"type":"redacted_thinking","data":"aGk="}]', "assistant"))
  end)

  it("is of the model it was sealed for, and nobody's when it was never signed", function()
    local sealed = shape.seal({ kind = "encrypted", value = "a.b", by = "openai_responses", model = "gpt-5" }, "anthropic_messages")
    local none = shape.seal({ kind = "signature", value = "", by = "none" }, "anthropic_messages")
    assert.same({
      { kind = "reasoning", text = "Hm.", state = { kind = "encrypted", value = "a.b", by = "openai_responses", model = "gpt-5" } },
      { kind = "reasoning", text = "So." },
    }, parts(([=[[{"type":"thinking","thinking":"Hm.","signature":"%s"},{"type":"thinking","thinking":"So.","signature":"%s"},
      {"type":"thinking","thinking":"","signature":"%s"},{"type":"redacted_thinking","data":""}]]=]):format(
        sealed, none, none), "assistant"))
  end)

  it("[F9] gives a call of Gemini's its signature back", function()
    local sealed = shape.seal({ kind = "signature", value = "dGhvdWdodA==", by = "gemini" }, "anthropic_messages")
    assert.same({ { kind = "call", id = "t1", name = "f", arguments = "{}", signature = "dGhvdWdodA==" } },
      parts(('[{"type":"redacted_thinking","data":"%s"},{"type":"tool_use","id":"t1","name":"f","input":{}}]'):format(sealed), "assistant"))
  end)
end)

describe("anthropic_messages, settings read", function()
  it("keep numbers as they were written", function()
    local request = settings '"temperature":0.70,"top_p":1e-1,"top_k":40,"stop_sequences":["a","\\n"],"max_tokens":0'
    assert.same({ "0.70", "1e-1", "40", { "a", "\n" }, 0 }, {
      request.temperature, request.top_p, request.top_k, request.stop, request.max_tokens,
    })
  end)

  for raw, expected in pairs {
    ['{"type":"auto"}'] = { { mode = "auto" } }, ['{"type":"none"}'] = { { mode = "none" } },
    ['{"type":"any","disable_parallel_tool_use":true}'] = { { mode = "required" }, false },
    ['{"type":"tool","name":"f","disable_parallel_tool_use":false}'] = { { mode = "named", name = "f" }, true },
  } do
    it("know the choice " .. raw, function()
      local request = settings('"tool_choice":' .. raw)
      assert.same(expected, { request.tool_choice, request.parallel })
    end)
  end

  for members, expected in pairs {
    ['"thinking":{"type":"enabled","budget_tokens":5000}'] = { budget = 5000 },
    ['"thinking":{"type":"enabled","budget_tokens":5000,"display":"omitted"},"output_config":{"effort":"low"}'] = {
      budget = 5000, effort = "low", hidden = true,
    },
    ['"thinking":{"type":"adaptive","display":"summarized"}'] = { effort = "high", summary = "auto" },
    ['"thinking":{"type":"disabled"},"output_config":{"effort":"low"}'] = { effort = "none" },
    ['"output_config":{"effort":"max"}'] = { effort = "max" },
  } do
    it("know the thinking " .. members, function()
      assert.same(expected, settings(members).reasoning)
    end)
  end

  it("know formats, tiers, strict tools and marks on the whole", function()
    local format = '{"format":{"type":"json_schema","schema":{"type":"object","properties":{}}}}'
    assert.same({ kind = "schema", schema = '{"type":"object","properties":{}}' }, settings('"output_config":' .. format).format)
    assert.is_nil(settings('"output_config":{"format":{"type":"other"}}').format)
    assert.equal("default", settings('"service_tier":"standard_only"').service_tier)
    assert.same({ { name = "f", strict = true } }, settings('"tools":[{"type":"custom","name":"f","strict":true}]').tools)
    assert.same({ { "cache_control", '{"type":"ephemeral"}' } }, settings('"cache_control":{"type":"ephemeral"}').extra)
    assert.same({}, settings('"models":["a"]').extra)
  end)
end)
