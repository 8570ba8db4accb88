local json = require "perilune.json"
local shape = require "perilune.shape"
local tools = require "perilune.dialects.anthropic_tools"
local turns = require "perilune.dialects.anthropic_turns"

-- The plan for a request, what was left out and what is said instead.
local function planned(request, quirks)
  local said = {}
  local build = {
    target = { quirks = quirks or {}, abilities = {} }, drops = shape.drops(), names = turns.names(),
    mark = function(cache)
      return cache and ',"cache_control":' .. cache or ""
    end,
    say = function(text)
      said[#said + 1] = text
    end,
  }
  return tools.plan(request, build), build, said
end

local F = { name = "f", schema = '{"type":"object","properties":{"a":{"type":"string"}}}' }
local G = { name = "g" }

describe("anthropic_messages, tools written", function()
  it("have a schema of an object, with what it lacks put in", function()
    assert.same({
      { name = "f", description = "does", input_schema = { type = "object", properties = { a = { type = "string" } } }, strict = true },
      { name = "g", input_schema = { type = "object", properties = {} } },
      { name = "h", input_schema = { type = "object", properties = {}, title = "t" } },
      { name = "i", input_schema = { type = "object", properties = {} }, cache_control = { type = "ephemeral" } },
    }, assert(json.decode((planned { tools = {
      { name = "f", description = "does", schema = F.schema, strict = true }, G, { name = "h", schema = '{"title":"t"}' },
      { name = "i", description = "", schema = "true", cache = '{"type":"ephemeral"}' },
    } }).tools)))
  end)

  it("keep a whole schema byte for byte", function()
    local schema = '{ "type":"object", "properties":{"n":{"const":12345678901234567890}} }'
    assert.is_truthy(planned({ tools = { { name = "f", schema = schema } } }).tools:find(schema, 1, true))
  end)

  it("leave strict out where it is refused", function()
    assert.is_nil(planned({ tools = { { name = "f", strict = true } } }, { no_strict = true }).tools:find "strict")
  end)

  it("take a text as one member of an object, and are told its format", function()
    local tool = assert(json.decode(planned({ tools = {
      { name = "patch", description = "Edits.", custom = true, grammar = '{"syntax":"lark"}' },
    } }).tools))[1]
    assert.same({ "input" }, tool.input_schema.required)
    assert.equal('Edits.\n\nThe input follows this format: {"syntax":"lark"}', tool.description)
  end)

  it("have names they may have, and the way back", function()
    local plan, build = planned { tools = { { name = "a.b" }, { name = "a_b" } }, tool_choice = { mode = "named", name = "a.b" } }
    local list = assert(json.decode(plan.tools))
    assert.is_truthy(list[1].name:find "^[%w_-]+$")
    assert.equal("a_b", list[2].name)
    assert.not_equal("a_b", list[1].name)
    assert.equal("a.b", build.names.back[list[1].name])
    assert.equal(list[1].name, json.decode(plan.tool_choice).name)
  end)

  it("of a provider go to that dialect alone", function()
    local raw = '{"type":"web_search_20250305","name":"web_search","max_uses":5}'
    local plan, build = planned { tools = {
      { name = "web_search", hosted = { dialect = "anthropic_messages", type = "web_search_20250305", raw = raw } },
      { name = "x", hosted = { dialect = "openai_responses", type = "file_search", raw = "{}" } },
    } }
    assert.equal("[" .. raw .. "]", plan.tools)
    assert.equal("tools.file_search", build.drops:list())
  end)
end)

describe("anthropic_messages, which tools may be called", function()
  for _, case in ipairs {
    { nil, nil, nil }, { nil, true, nil }, { nil, false, '{"type":"auto","disable_parallel_tool_use":true}' },
    { { mode = "auto" }, nil, '{"type":"auto"}' }, { { mode = "none" }, false, '{"type":"none"}' },
    { { mode = "required" }, false, '{"type":"any","disable_parallel_tool_use":true}' },
    { { mode = "named", name = "f" }, nil, '{"type":"tool","name":"f"}' },
  } do
    it("is " .. tostring(case[3]) .. (case[2] == nil and "" or " with parallel " .. tostring(case[2])), function()
      local plan = planned { tools = { F }, tool_choice = case[1], parallel = case[2] }
      assert.equal(case[3], plan.tool_choice)
      assert.equal(case[1] ~= nil and (case[1].mode == "required" or case[1].mode == "named"), plan.forced)
    end)
  end

  it("is not said without tools", function()
    local plan = planned { tool_choice = { mode = "required" }, parallel = false }
    assert.is_nil(plan.tools or plan.tool_choice)
    assert.is_false(plan.forced)
  end)

  it("leaves out tools the client does not allow", function()
    local list = assert(json.decode(planned({ tools = { F, G }, tool_choice = { mode = "required", names = { "g" } } }).tools))
    assert.same({ 1, "g" }, { #list, list[1].name })
  end)

  it("is said in words where a forced choice is refused", function()
    local plan, build, said = planned({ tools = { F }, tool_choice = { mode = "named", name = "f" } }, { no_forced_tools = true })
    assert.equal('{"type":"auto"}', plan.tool_choice)
    assert.is_false(plan.forced)
    assert.same({ 'Call the tool "f" now.' }, said)
    assert.equal("tool_choice", build.drops:list())
    said = select(3, planned({ tools = { F }, tool_choice = { mode = "required" } }, { no_forced_tools = true }))
    assert.same({ "Call one of the tools now." }, said)
  end)
end)

describe("anthropic_messages, formats written", function()
  local SCHEMA = { kind = "schema", name = "shape", description = "a shape",
    schema = '{"type":"object","properties":{"a":{"type":"string"}}}' }

  it("are a schema whose objects are closed", function()
    local plan = planned { format = SCHEMA }
    assert.equal('{"type":"json_schema","schema":{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}}',
      plan.format)
    assert.is_nil(plan.emulated or plan.tools)
  end)

  for schema, closed in pairs {
    ['{"type":"object","properties":{"a":{"properties":{}}}}'] =
      '{"type":"object","properties":{"a":{"properties":{},"additionalProperties":false}},"additionalProperties":false}',
    ['{"type":"array","items":{"type":"object"}}'] = '{"type":"array","items":{"type":"object","additionalProperties":false}}',
    ['{"anyOf":[{"type":"null"},{"type":"object"}]}'] = '{"anyOf":[{"type":"null"},{"type":"object","additionalProperties":false}]}',
    ['{"$ref":"#/$defs/x","$defs":{"x":{"type":"object"}}}'] =
      '{"$ref":"#/$defs/x","$defs":{"x":{"type":"object","additionalProperties":false}}}',
    ['{ "type":"object","additionalProperties":{"type":"string"} }'] = '{ "type":"object","additionalProperties":{"type":"string"} }',
    ['{"const":{"type":"object"}}'] = '{"const":{"type":"object"}}', ['{"type":"string"}'] = '{"type":"string"}', ["true"] = "true",
  } do
    it("close " .. schema, function()
      assert.equal(closed, tools.closed(schema))
    end)
  end

  it("of any object are asked for in words", function()
    local plan, _, said = planned { format = { kind = "json" } }
    assert.is_nil(plan.format or plan.tools)
    assert.equal(1, #said)
    assert.matches("JSON object", said[1])
    assert.is_nil(planned({ format = { kind = "text" } }).format)
  end)

  it("[A13] are the arguments of a tool by a name of its own where there is no other way", function()
    local plan = planned({ format = SCHEMA }, { no_output_format = true })
    assert.equal("answer_in_format", plan.emulated)
    assert.equal('{"type":"tool","name":"answer_in_format"}', plan.tool_choice)
    assert.is_true(plan.forced)
    local list = assert(json.decode(plan.tools))
    assert.same({ "answer_in_format", "Give the final answer by calling this tool once. a shape" }, { list[1].name, list[1].description })
  end)

  it("[A13] never share that name with a tool of the client's, which may be called as well", function()
    local plan = planned({ format = SCHEMA, tools = { { name = "answer_in_format" } } }, { no_output_format = true })
    assert.equal("answer_in_format_", plan.emulated)
    assert.equal('{"type":"any"}', plan.tool_choice)
    local list = assert(json.decode(plan.tools))
    assert.same({ "answer_in_format", "answer_in_format_" }, { list[1].name, list[2].name })
  end)

  it("stand in alone where the client wants no tool, and not at all where it wants one", function()
    local plan = planned({ format = SCHEMA, tools = { F }, tool_choice = { mode = "none" } }, { no_output_format = true })
    assert.equal('{"type":"tool","name":"answer_in_format"}', plan.tool_choice)
    plan = planned({ format = SCHEMA, tools = { F }, tool_choice = { mode = "named", name = "f" } }, { no_output_format = true })
    assert.is_nil(plan.emulated)
    assert.equal('{"type":"tool","name":"f"}', plan.tool_choice)
  end)
end)
