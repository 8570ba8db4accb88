local responses = require "perilune.dialects.responses_edit"
local shape = require "perilune.shape"

local function edit(body, params, more)
  local target = { upstream = "up", dialect = "openai_responses", abilities = {}, quirks = {} }
  for key, value in pairs(more or {}) do
    target[key] = value
  end
  local drops = shape.drops()
  local http = assert(responses.edit(body, target, params or {}, drops))
  assert.equal("/responses", http.path)
  return http.body, drops:list()
end

describe("responses, a request passing through", function()
  it("goes on as it came but for the model", function()
    assert.equal('{ "model":"up", "tools" : [ ], "previous_response_id":"r","new":12345678901234567890,"metadata":{"b":1,"a":{}} }',
      (edit '{ "model":"gpt-5", "tools" : [ ], "previous_response_id":"r","new":12345678901234567890,"metadata":{"b":1,"a":{}} }'))
    assert.equal('{"model":"up","input":"x"}', (edit '{"models":["a"],"model":"a","input":"x"}'))
  end)

  it("[F10] leaves out what other models thought, and keeps its own makers' word", function()
    local own = '{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAA"}'
    local sealed = '{"type":"reasoning","id":"rs_2","summary":[],"encrypted_content":"pl1.gemini.signature..c2ln"}'
    local says = '{"role":"user","content":"\\"pl1.x"}'
    assert.equal('{"model":"up","input":[' .. own .. "," .. says .. "]}",
      (edit('{"model":"a","input":[' .. own .. ", " .. sealed .. ",\n" .. says .. "]}")))
    local spaced = '{"model":"up","input":[ ' .. own .. ' , {"role":"user","content":"pl1.x"} ]}'
    assert.equal(spaced, (edit(spaced)))
    assert.equal('{"model":"up","input":"pl1.x"}', (edit '{"model":"up","input":"pl1.x"}'))
  end)

  it("takes parameters by OpenAI's names", function()
    assert.equal('{"model":"up","max_output_tokens":5}', (edit('{"model":"a"}', { { "max_tokens", "5" } })))
    assert.equal('{"model":"up","max_output_tokens":6}',
      (edit('{"model":"a","max_output_tokens":9}', { { "max_completion_tokens", "6" } })))
    assert.equal('{"model":"up"}', (edit('{"model":"a","temperature":1}', { { "temperature" }, { "top_p" } })))
    assert.equal('{"model":"up","reasoning":{"summary":"auto","effort":"low"}}',
      (edit('{"model":"a","reasoning":{"summary":"auto"}}', { { "reasoning_effort", '"low"' } })))
    assert.equal('{"model":"up","reasoning":{}}', (edit('{"model":"a","reasoning":{"effort":"low"}}', { { "reasoning_effort" } })))
    assert.equal('{"model":"up"}', (edit('{"model":"a"}', { { "reasoning_effort" }, { "verbosity" }, { "tools" }, { "tool_choice" } })))
    assert.equal('{"model":"up","text":{"verbosity":"low","format":{"type":"json_schema","name":"n","schema":{"z":1,"a":2}}}}',
      (edit('{"model":"a","text":null}', {
        { "verbosity", '"low"' }, { "response_format", '{"type":"json_schema","json_schema":{"name":"n","schema":{"z":1,"a":2}}}' },
      })))
    assert.equal('{"model":"up","text":{"format":{"type":"json_object"}},"custom_thing":[1]}',
      (edit('{"model":"a"}', { { "response_format", '{"type":"json_object"}' }, { "custom_thing", "[1]" } })))
  end)

  it("lays tools flat", function()
    assert.equal('{"model":"up","tools":[{"type":"function","name":"f","parameters":{}},{"type":"web_search"},{"type":"custom"}],'
      .. '"tool_choice":{"type":"function","name":"f"}}', (edit('{"model":"a"}', {
      { "tools", '[{"type":"function","function":{"name":"f","parameters":{}}},{"type":"web_search"},{"type":"custom","custom":{ }}]' },
      { "tool_choice", '{"type":"function","function":{"name":"f"}}' },
    })))
    local choice = '{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"f"}]}'
    assert.equal('{"model":"up","tool_choice":' .. choice .. "}", (edit('{"model":"a"}', {
      { "tool_choice", '{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"f"}}]}}' },
    })))
    assert.equal('{"model":"up","tool_choice":"required"}', (edit('{"model":"a"}', { { "tool_choice", '"required"' } })))
  end)

  it("names parameters there is no field for", function()
    local body, dropped = edit('{"model":"a"}', { { "seed", "1" }, { "stop", '["x"]' }, { "n" } })
    assert.equal('{"model":"up"}', body)
    assert.equal("seed, stop", dropped)
  end)

  it("keeps to what the target takes", function()
    local asked = '{"model":"a","temperature":1,"top_p":1,"user":"u","reasoning":{"effort":"max"},"max_output_tokens":900}'
    local body, dropped = edit(asked, {}, {
      quirks = { no_sampling = true, unsupported = { "user", "metadata" }, efforts = { "low", "high" } }, max_output = 100,
    })
    assert.equal('{"model":"up","reasoning":{"effort":"high"},"max_output_tokens":100}', body)
    assert.equal("temperature, top_p, user", dropped)
    body, dropped = edit('{"model":"a","reasoning":{"effort":"max"}}', {}, { quirks = { unsupported = { "reasoning_effort" } } })
    assert.equal('{"model":"up"}', body)
    assert.equal("reasoning_effort", dropped)
  end)

  it("must be an object", function()
    local http, why = responses.edit("[]", { upstream = "up", quirks = {} }, {}, shape.drops())
    assert.is_nil(http)
    assert.matches("not a JSON object", why.message)
  end)
end)
