local edit = require "perilune.dialects.anthropic_edit"
local json = require "perilune.json"
local read = require "perilune.dialects.anthropic_read"
local shape = require "perilune.shape"
local tree = require "support.tree"

-- A body passed on, and what was left out. `more`: params, quirks, max_output.
local function passed(body, more)
  more = more or {}
  local drops, target = shape.drops(), {
    upstream = "up", dialect = "anthropic_messages", max_output = more.max_output, abilities = { reasoning = true },
      quirks = more.quirks or {},
  }
  local request = assert(read.request(body))
  return edit.body(request, body, target, more.params or {}, drops, { { key = "model", raw = '"up"' } }), drops:list()
end

-- A request with these members before its model.
local function with(members, more)
  local body, dropped = passed("{" .. members .. ',"model":"m","messages":[]}', more)
  return body:match '^{(.-),?"model":"up","messages":%[%](.*)}$', body:match '"messages":%[%],?(.*)}$', dropped
end

describe("anthropic_messages, passed on", function()
  it("stays byte for byte but for the model", function()
    local body = tree.read "spec/fixtures/anthropic_messages/claude_code.json"
    local expected = body:gsub('"model":"claude%-sonnet%-4%-6"', '"model":"up"')
    assert.equal(expected, (passed(body)))
    for _, kind in ipairs { "adaptive", "always" } do
      assert.equal(expected, (passed(body, { quirks = { thinking = kind }, max_output = 64000 })))
    end
  end)

  it("loses what was for the router", function()
    assert.equal('{"model":"up","messages":[]}', (passed '{"models":["a"],"model":"m","messages":[]}'))
  end)

  for _, case in ipairs {
    { { "temperature", "0" }, '"temperature":1', '"temperature":0', "" },
    { { "temperature", "1.5" }, '"temperature":1', '"temperature":1', "", "temperature" },
    { { "temperature" }, '"temperature":1', "", "" },
    { { "max_completion_tokens", "7" }, '"max_tokens":9', '"max_tokens":7', "" },
    { { "stop", '["a"]' }, '"max_tokens":9', '"max_tokens":9', '"stop_sequences":["a"]' },
    { { "stop" }, '"stop_sequences":["b"]', "", "" },
    { { "user", '"u"' }, '"metadata":{"user_id":"v"}', '"metadata":{"user_id":"u"}', "" },
    { { "seed", "1" }, '"max_tokens":9', '"max_tokens":9', "", "seed" },
    { { "metadata", '{"a":"b"}' }, '"metadata":{"user_id":"v"}', '"metadata":{"user_id":"v"}', "", "metadata" },
    { { "parallel_tool_calls", "false" }, '"tools":[{"name":"f","x":1}]', '"tools":[{"name":"f","x":1}]',
      '"tool_choice":{"type":"auto","disable_parallel_tool_use":true}' },
    { { "thinking", '{"type":"disabled"}' }, '"thinking":{"type":"adaptive"}', '"thinking":{"type":"disabled"}', "" },
    { { "inference_geo", '"eu"' }, '"max_tokens":9', '"max_tokens":9', '"inference_geo":"eu"' },
    { { "context_management" }, '"context_management":{}', "", "" },
    { { "extra", '{"speed":"fast"}' }, '"max_tokens":9', '"max_tokens":9', '"speed":"fast"' },
  } do
    it(("takes a step's %s = %s over %s"):format(case[1][1], tostring(case[1][2]), case[2]), function()
      local before, behind, dropped = with(case[2], { params = { case[1] } })
      assert.same({ case[3], case[4], case[5] }, { before, behind, dropped })
    end)
  end

  it("takes an effort in the place of the client's, beside the format that stays", function()
    local body = '{"model":"m","max_tokens":9000,"messages":[],"thinking":{"type":"enabled","budget_tokens":5000},'
      .. '"output_config":{"format":{"type":"json_schema","schema":{"type":"object"}}},"temperature":1}'
    local value = assert(json.decode((passed(body, { params = { { "reasoning_effort", '"low"' } } }))))
    assert.same({ type = "enabled", budget_tokens = 2048 }, value.thinking)
    value = assert(json.decode((passed(body, { params = { { "reasoning_effort", '"low"' } }, quirks = { thinking = "adaptive" } }))))
    assert.same({ type = "adaptive" }, value.thinking)
    assert.same({ effort = "low", format = { type = "json_schema", schema = { type = "object" } } }, value.output_config)
    assert.equal(1, value.temperature)
    value = assert(json.decode((passed(body, { params = { { "reasoning_effort" } } }))))
    assert.is_nil(value.thinking)
  end)

  it("takes a format beside the effort that stays", function()
    local before = with('"output_config":{"effort":"low","new":1}', { params = {
      { "response_format", '{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"string"}}}' },
    } })
    assert.equal('"output_config":{"effort":"low","new":1,"format":{"type":"json_schema","schema":{"type":"string"}}}', before)
  end)
end)

describe("anthropic_messages, passed on to a target that refuses some of it", function()
  it("loses that, and says so", function()
    assert.same({ '"top_p":0.5', "", "temperature" }, { with('"temperature":1,"top_p":0.5',
      { quirks = { unsupported = { "temperature" } } }) })
    assert.same({ "", "", "temperature, top_p" }, { with('"temperature":1,"top_p":0.5', { quirks = { no_sampling = true } }) })
    assert.same({ '"stop_sequences":["a"]', "", "stop" }, { with('"stop_sequences":["a","b"]', { quirks = { max_stop = 1 } }) })
    assert.same({ '"max_tokens":50', "" }, { with('"max_tokens":99', { max_output = 50 }) })
  end)

  it("thinks as that target does", function()
    local before, _, dropped = with('"max_tokens":9000,"thinking":{"type":"enabled","budget_tokens":5000}',
      { quirks = { thinking = "adaptive" } })
    assert.same({ '"max_tokens":9000,"thinking":{"type":"adaptive"}' }, { before, dropped })
    before = with('"max_tokens":9000,"thinking":{"type":"adaptive"},"output_config":{"effort":"low"}', { quirks = { thinking = "budget" } })
    assert.equal('"max_tokens":9000,"thinking":{"type":"enabled","budget_tokens":2048}', before)
    assert.same({ '"max_tokens":9000', '"output_config":{"effort":"low"}', "reasoning_effort" },
      { with('"max_tokens":9000,"thinking":{"type":"disabled"}', { quirks = { thinking = "always" } }) })
  end)

  it("thinks less than it may say", function()
    local before = with('"max_tokens":9000,"thinking":{"type":"enabled","budget_tokens":8000}', { max_output = 4000 })
    assert.equal('"max_tokens":4000,"thinking":{"type":"enabled","budget_tokens":3999}', before)
  end)
end)

describe("anthropic_messages, passed on after other models' turns", function()
  local sealed = shape.seal({ kind = "encrypted", value = "abc", by = "openai_responses", model = "gpt-5" }, "anthropic_messages")

  local function turns(list)
    local body = passed('{"model":"m","max_tokens":9,"messages":' .. list .. "}")
    return body:match '"messages":(.*)}$'
  end

  it("[F10] holds no thinking of theirs, and all else as it was", function()
    assert.equal('[{"role":"user","content":"a"},{ "content":'
      .. '[{"type":"text", "text":"b"},{"type":"thinking","thinking":"1","signature":"c2ln"}],"role":"assistant"}]',
      turns('[{"role":"user","content":"a"},{ "content":[{"type":"thinking","thinking":"x","signature":"' .. sealed .. '"},'
        .. '{"type":"redacted_thinking","data":"' .. sealed
          .. '"},{"type":"text", "text":"b"},{"type":"thinking","thinking":"1","signature":"c2ln"}]'
        .. ',"role":"assistant"},{"role":"assistant","content":[{"type":"thinking","thinking":"x","signature":"' .. sealed .. '"}]}]'))
  end)

  it("speaks of such signatures freely", function()
    local list = '[{"role":"user","content":[{"type":"text","text":"pl1.x"},{"type":"text","text":"say \\"pl1.none\\""}]}]'
    assert.equal(list, turns(list))
  end)

  it("has ids the provider takes, on both sides", function()
    local out = assert(json.decode(turns([=[[
      {"role":"assistant","content":[{"type":"tool_use","id":"f.x:0","name":"f","input":{"a":1.50}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"f.x:0","content":"y"}]}]]=])))
    local id = out[1].content[1].id
    assert.is_truthy(id:find "^[%w_-]+$")
    assert.equal(id, out[2].content[1].tool_use_id)
  end)
end)
