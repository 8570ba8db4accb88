local json = require "perilune.json"
local messages = require "perilune.dialects.anthropic_messages"
local relay = require "perilune.relay"
local shape = require "perilune.shape"
local shapes = require "support.shapes"

local function target(more)
  local out = {
    id = "anthropic/claude-x", model = "claude-x", upstream = "claude-x-1", provider = "anthropic", dialect = "anthropic_messages",
    max_output = 64000, abilities = { reasoning = true }, quirks = {},
  }
  for name, value in pairs(more or {}) do
    out[name] = value
  end
  return out
end

local function text(s, cache)
  return { kind = "text", text = s, cache = cache }
end

local function request(more)
  local out = { dialect = "openai_chat", stream = false, messages = { { role = "user", parts = { text "a" } } }, fields = {}, extra = {} }
  for name, value in pairs(more or {}) do
    out[name] = value
  end
  return out
end

local function build(more, at)
  local drops = shape.drops()
  local http = assert(messages.build(request(more), at or target(), drops))
  return http, assert(json.decode(http.body)), drops:list()
end

describe("anthropic_messages, a request built", function()
  it("goes to /messages under the vendor's name for the model, with a version", function()
    local http = build()
    assert.equal("/messages", http.path)
    assert.same({ "anthropic-version: 2023-06-01" }, http.headers)
    assert.equal('{"model":"claude-x-1","max_tokens":64000,"messages":[{"role":"user","content":[{"type":"text","text":"a"}]}]}', http.body)
    assert.is_nil(http.emulated or http.names)
    assert.same({ "anthropic-version: 2026-10-21" }, build({}, target { quirks = { version = "2026-10-21" } }).headers)
  end)

  it("has the model in the path and the version in the body at resellers", function()
    local at = target { quirks = { version_in_body = "vertex-2023-10-16" } }
    local http, body = build({}, at)
    assert.same({ "/models/claude-x-1:rawPredict", "vertex-2023-10-16" }, { http.path, body.anthropic_version })
    assert.is_nil(body.model or http.headers)
    http, body = build({ stream = true }, at)
    assert.same({ "/models/claude-x-1:streamRawPredict", true }, { http.path, body.stream })
  end)

  it("asks for any JSON object behind the system text", function()
    local _, body = build { format = { kind = "json" }, messages = {
      { role = "system", parts = { text "be brief" } }, { role = "user", parts = { text "a" } },
    } }
    assert.equal("be brief", body.system[1].text)
    assert.matches("JSON", body.system[2].text)
  end)

  it("[A13] names the tool that stands in for a format, and the relay makes content of that one alone", function()
    local real = { name = "lookup", schema = '{"type":"object","properties":{}}' }
    local format = { kind = "schema", schema = '{"type":"object","properties":{}}' }
    local http = build({ format = format, tools = { real } }, target { quirks = { no_output_format = true } })
    local collector = relay.collector()
    local r = relay.new(collector, { id = "1", model = "m", request = { tools = { real } } }, { emulated = http.emulated })
    assert.is_true(messages.read_answer(('{"type":"message","stop_reason":"tool_use","content":['
      .. '{"type":"tool_use","id":"a","name":"lookup","input":{"q":1}},'
      .. '{"type":"tool_use","id":"b","name":"%s","input":{"x":1.50}}]}'):format(http.emulated), r))
    assert.is_true(r:done())
    local parts = collector.answer.choices[1].parts
    assert.same({ "call", "lookup", '{"q":1}' }, { parts[1].kind, parts[1].name, parts[1].arguments })
    assert.same({ kind = "text", text = '{"x":1.50}' }, parts[2])
    assert.equal("tool_calls", collector.answer.choices[1].finish)
  end)

  it("says how tools are called on the way back", function()
    local http = build { tools = { { name = "a.b" } } }
    local sent, original = next(http.names)
    assert.same({ "a.b", true }, { original, http.body:find('"name":"' .. sent .. '"', 1, true) ~= nil })
  end)

  it("keeps cache marks where they stand, and of more than four the last ones", function()
    local mark = '{"type":"ephemeral"}'
    local list = { { role = "system", parts = { text("s", mark) } }, { role = "user", parts = { text("1", mark), text("2", mark) } } }
    local _, body = build { tools = { { name = "f", cache = mark } }, messages = list }
    assert.is_truthy(body.tools[1].cache_control and body.system[1].cache_control)
    list[3] = { role = "assistant", parts = { { kind = "call", id = "c", name = "f", arguments = "{}", cache = mark } } }
    list[4] = { role = "tool", parts = { { kind = "result", id = "c", parts = { text("x", mark) }, cache = mark } } }
    local http
    http, body = build { tools = { { name = "f", cache = mark } }, messages = list }
    assert.equal(4, select(2, http.body:gsub("cache_control", "")))
    assert.is_nil(body.tools[1].cache_control)
    assert.is_nil(body.system[1].cache_control)
    assert.is_nil(body.messages[1].content[1].cache_control)
    assert.same(json.decode(mark), body.messages[1].content[2].cache_control)
  end)

  it("turns thinking off where the calls now answered came without it", function()
    local list = {
      { role = "user", parts = { text "a" } }, { role = "assistant",
        parts = { { kind = "call", id = "c", name = "f", arguments = "{}" } } },
      { role = "tool", parts = { { kind = "result", id = "c", parts = { text "x" } } } },
    }
    local _, body, dropped = build { reasoning = { effort = "high" }, tools = { { name = "f" } }, messages = list }
    assert.same({ "disabled", "reasoning_effort" }, { body.thinking.type, dropped })
    local state = { kind = "signature", value = "s", by = "anthropic_messages", model = "claude-x-1" }
    table.insert(list[2].parts, 1, { kind = "reasoning", text = "Hm.", state = state })
    _, body, dropped = build { reasoning = { effort = "high" }, tools = { { name = "f" } }, messages = list }
    assert.equal("enabled", body.thinking.type)
    assert.is_nil(dropped)
  end)

  it("has no fields of other dialects, and those of its own", function()
    local extra = { { "container", '"c1"' } }
    assert.is_nil(select(2, build { extra = extra }).container)
    assert.equal("c1", select(2, build { extra = extra, dialect = "anthropic_messages" }).container)
  end)

  it("must have something to answer", function()
    local http, problem = messages.build(request { messages = { { role = "user", parts = { text "" } } } }, target(), shape.drops())
    assert.is_nil(http)
    assert.equal("messages", problem.param)
  end)
end)

describe("anthropic_messages, what it can express", function()
  -- Neutral requests without what can not come back as it was.
  local ABLE = {
    fields = { "max_tokens", "top_k", "stop", "user" }, parts = { "image", "file" }, result_parts = { "image" }, strict = true,
      many_texts = true,
    states = function(r)
      return { kind = r(2) == 1 and "signature" or "redacted", value = "c2ln" .. r(9), by = "anthropic_messages" }
    end,
  }

  -- Without the tools' names, which reading adds to results.
  local function plain(list)
    for _, message in ipairs(list) do
      for _, part in ipairs(message.parts) do
        if part.kind == "result" then
          part.name = nil
        end
      end
    end
    return list
  end

  it("is read as it was written", function()
    for _, wanted in ipairs(shapes.requests(ABLE, 11, 300)) do
      local drops = shape.drops()
      local http = assert(messages.build(wanted, target(), drops))
      local back = assert(messages.read(http.body))
      assert.is_nil(drops:list())
      assert.same(plain(wanted.messages), plain(back.messages))
      assert.same(wanted.tools, back.tools)
      local single = wanted.tools and wanted.parallel == false
      assert.same(wanted.tool_choice or (single and { mode = "auto" }) or nil, back.tool_choice)
      assert.equal((single and back.tool_choice.mode ~= "none") or false, back.parallel == false)
      for _, field in ipairs { "top_k", "stop", "user", "stream" } do
        assert.same(wanted[field], back[field])
      end
      assert.equal(wanted.max_tokens or 64000, back.max_tokens)
    end
  end)
end)

describe("anthropic_messages, a request passed on", function()
  local BODY = '{ "model":"claude-y","max_tokens" : 10,"messages":[{"role":"user","content":"a"}] ,"zzz":[ ]}'

  local function edit(body, at)
    local drops = shape.drops()
    return messages.edit(assert(messages.read(body)), body, at or target(), {}, drops)
  end

  it("changes nothing but the model", function()
    local http = edit(BODY)
    assert.equal('{ "model":"claude-x-1","max_tokens" : 10,"messages":[{"role":"user","content":"a"}] ,"zzz":[ ]}', http.body)
    assert.same({ "/messages", { "anthropic-version: 2023-06-01" } }, { http.path, http.headers })
  end)

  it("is for a reseller without one", function()
    local http = edit('{"model":"x","stream":true,"messages":[]}', target { quirks = { version_in_body = "v" } })
    assert.same({ '{"stream":true,"messages":[],"anthropic_version":"v"}', "/models/claude-x-1:streamRawPredict" },
      { http.body, http.path })
  end)
end)

it("anthropic_messages has every word of a dialect", function()
  assert.equal("anthropic_messages", messages.name)
  for _, name in ipairs { "read", "build", "edit", "reader", "read_answer", "writer", "write_answer" } do
    assert.is_function(messages[name])
  end
end)
