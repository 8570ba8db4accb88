local fields = require "perilune.dialects.chat_fields"
local reasoning = require "perilune.dialects.chat_reasoning"
local shape = require "perilune.shape"

local function wish_of(...)
  local request = { extra = {}, fields = {} }
  for _, pair in ipairs { ... } do
    local set, problem = fields.set(request, pair[1], pair[2])
    assert(set or pair[1] == "chat_template_kwargs", problem and problem.message)
  end
  return request.reasoning
end

describe("chat_reasoning, reading", function()
  for _, case in ipairs {
    { { effort = "high" }, { "reasoning_effort", '"high"' } },
    { { effort = "none" }, { "thinking", '{"type":"disabled"}' } },
    { { effort = "medium" }, { "thinking", '{"type":"enabled"}' } },
    { { budget = 2000 }, { "thinking", '{"type":"enabled","budget_tokens":2000}' } },
    { { effort = "none" }, { "enable_thinking", "false" } },
    { { budget = 50 }, { "enable_thinking", "true" }, { "thinking_budget", "50" } },
    { { effort = "high" }, { "reasoning_effort", '"high"' }, { "enable_thinking", "true" } },
    { { effort = "low", hidden = true }, { "reasoning", '{"effort":"low","exclude":true}' } },
    { { budget = 9, summary = "auto" }, { "reasoning", '{"max_tokens":9,"summary":"auto"}' } },
    { { effort = "none" }, { "reasoning", '{"enabled":false}' } },
    { { effort = "none" }, { "chat_template_kwargs", '{"enable_thinking":false}' } },
  } do
    it("understands " .. case[2][1] .. " " .. case[2][2], function()
      assert.same(case[1], wish_of(unpack(case, 2)))
    end)
  end

  it("says what is no effort", function()
    local set, problem = fields.set({ extra = {} }, "reasoning_effort", '"huge"')
    assert.is_false(set)
    assert.matches("^reasoning_effort: expected one of none, minimal", problem.message)
  end)

  it("keeps what a template is told besides", function()
    local request = { extra = {} }
    assert.is_false((fields.set(request, "chat_template_kwargs", '{"enable_thinking":true,"x":1}')))
    assert.same({ effort = "medium" }, request.reasoning)
  end)
end)

-- What goes up: members by name, and what was dropped.
local function written(request, quirks, abilities, extra)
  local out, drops = {}, shape.drops()
  reasoning.write(request, { quirks = quirks, abilities = abilities or { reasoning = true } }, drops, function(name, raw)
    out[name] = raw
  end, extra)
  return out, drops:list()
end

describe("chat_reasoning, writing", function()
  for _, case in ipairs {
    { { effort = "high" }, {}, { reasoning_effort = '"high"' } },
    { { effort = "max" }, { efforts = { "low", "high" } }, { reasoning_effort = '"high"' } },
    { { budget = 2048 }, {}, { reasoning_effort = '"low"' } },
    { { effort = "none" }, { reasoning = "thinking" }, { thinking = '{"type":"disabled"}' } },
    { { effort = "low" }, { reasoning = "thinking" }, { thinking = '{"type":"enabled"}' } },
    {
      { effort = "low" }, { reasoning = "thinking", efforts = { "high", "max" } },
      { thinking = '{"type":"enabled"}', reasoning_effort = '"high"' },
    },
    { { effort = "low" }, { reasoning = "enable_thinking" }, { enable_thinking = "true", thinking_budget = "2048" } },
    { { effort = "high" }, { reasoning = "enable_thinking" }, { enable_thinking = "true" } },
    { { effort = "none" }, { reasoning = "enable_thinking" }, { enable_thinking = "false" } },
    { { budget = 77 }, { reasoning = "enable_thinking" }, { enable_thinking = "true", thinking_budget = "77" } },
    { { effort = "high", hidden = true }, { reasoning = "reasoning" }, { reasoning = '{"effort":"high","exclude":true}' } },
    { { budget = 5 }, { reasoning = "reasoning" }, { reasoning = '{"max_tokens":5}' } },
    { { effort = "none" }, { reasoning = "reasoning" }, { reasoning = '{"enabled":false}' } },
    { { effort = "low" }, { reasoning = "reasoning", efforts = {} }, { reasoning = '{"enabled":true}' } },
    { { effort = "low" }, { reasoning = "chat_template_kwargs" }, { chat_template_kwargs = '{"enable_thinking":true}' } },
    { nil, { reasoning = "thinking" }, {} },
    { { summary = "auto" }, { reasoning = "enable_thinking" }, {} },
  } do
    it("says it as " .. (case[2].reasoning or "reasoning_effort") .. ": " .. (next(case[3]) or "nothing"), function()
      local out, dropped = written({ reasoning = case[1] }, case[2])
      assert.same(case[3], out)
      assert.is_nil(dropped)
    end)
  end

  it("leaves what else a template is told", function()
    local out = written({ reasoning = { effort = "none" } }, { reasoning = "chat_template_kwargs" }, nil, '{"x":1,"enable_thinking":true}')
    assert.same({ chat_template_kwargs = '{"x":1,"enable_thinking":false}' }, out)
  end)

  it("names a wish nobody can grant", function()
    for _, case in ipairs { { { reasoning = "none" } }, { {}, {} } } do
      local out, dropped = written({ reasoning = { effort = "high" } }, case[1], case[2])
      assert.same({}, out)
      assert.equal("reasoning_effort", dropped)
      assert.is_nil(select(2, written({ reasoning = { effort = "none" } }, case[1], case[2])))
    end
    assert.equal("reasoning.exclude", select(2, written({ reasoning = { effort = "low", hidden = true } }, {})))
  end)

  it("[F15] turns thinking off where there is no stream, if the service wants one for it", function()
    local quirks = { reasoning = "enable_thinking", thinking_off_unstreamed = true }
    assert.same({ enable_thinking = "false" }, (written({ stream = false }, quirks)))
    assert.same({}, (written({ stream = true }, quirks)))
    local out, dropped = written({ stream = false, reasoning = { effort = "high" } }, quirks)
    assert.same({ enable_thinking = "false" }, out)
    assert.equal("reasoning_effort", dropped)
  end)

  it("[F16] turns thinking off where a tool is forced, if the service can not do both", function()
    local quirks, tools = { reasoning = "thinking", thinking_off_when_forced = true }, { { name = "f" } }
    for mode, expected in pairs {
      required = { thinking = '{"type":"disabled"}' }, named = { thinking = '{"type":"disabled"}' }, auto = {}, none = {},
    } do
      assert.same(expected, (written({ tools = tools, tool_choice = { mode = mode } }, quirks)))
    end
    assert.same({}, (written({ tool_choice = { mode = "required" } }, quirks)))
  end)
end)
