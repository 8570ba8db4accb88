--- Anthropic Messages: tools, which of them may be called, and formats, as a provider wants them.
local json = require "perilune.json"

local M = {}

local NAME = "anthropic_messages"

local quote = json.quote

local EMPTY_SCHEMA = '{"type":"object","properties":{}}'
-- A tool that takes a text is one with a single text in its object; the relay takes it out again.
local TEXT_SCHEMA = '{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}'

----------------------------------------------------------------------------------------------------------------------------
-- Schemas

local function object_schema(raw)
  local fields = raw and json.kind(raw) == "object" and json.fields(raw)
  if not fields then
    return EMPTY_SCHEMA
  elseif fields.type and fields.properties then
    return raw
  end
  return assert(json.splice(raw, {
    { key = "type", raw = fields.type or '"object"' }, { key = "properties", raw = fields.properties or "{}" },
  }))
end

local MAPS = { properties = true, ["$defs"] = true, definitions = true }
local LISTS = { anyOf = true, allOf = true, oneOf = true, prefixItems = true }

-- Edits for what `change` makes another text of.
local function changed(members, change)
  local edits = {}
  for _, m in ipairs(members) do
    local raw = change(m)
    if raw ~= m.raw then
      edits[#edits + 1] = { key = m.key, raw = raw }
    end
  end
  return edits
end

local function each_item(raw, change)
  local items = json.items(raw)
  for i, item in ipairs(items) do
    items[i] = change(item)
  end
  return "[" .. table.concat(items, ",") .. "]"
end

local function each_value(raw, change)
  return assert(json.splice(raw, changed(json.members(raw), function(m)
    return change(m.raw)
  end)))
end

--- A schema whose objects say that they take nothing else, as this API demands; what an object says already stays.
---@param raw perilune.Raw
---@return perilune.Raw
function M.closed(raw)
  if json.kind(raw) ~= "object" then
    return raw
  end
  local members, fields = json.members(raw), json.fields(raw)
  local edits = changed(members, function(m)
    local kind = json.kind(m.raw)
    if MAPS[m.key] and kind == "object" then
      return each_value(m.raw, M.closed)
    elseif LISTS[m.key] and kind == "array" then
      return each_item(m.raw, M.closed)
    end
    return m.key == "items" and M.closed(m.raw) or m.raw
  end)
  if (json.text(fields.type) == "object" or fields.properties) and not fields.additionalProperties then
    edits[#edits + 1] = { key = "additionalProperties", raw = "false" }
  end
  return edits[1] and assert(json.splice(raw, edits)) or raw
end

----------------------------------------------------------------------------------------------------------------------------
-- Tools

local function described(tool)
  if not tool.grammar then
    return tool.description
  end
  return (tool.description and tool.description .. "\n\n" or "") .. "The input follows this format: " .. tool.grammar
end

local function tool_json(tool, build)
  local out = { '{"name":' .. quote(build.names:of(tool.name)) }
  local description = described(tool)
  if description and description ~= "" then
    out[#out + 1] = '"description":' .. quote(description)
  end
  out[#out + 1] = '"input_schema":' .. (tool.custom and TEXT_SCHEMA or object_schema(tool.schema))
  if tool.strict and not build.target.quirks.no_strict then
    out[#out + 1] = '"strict":true'
  end
  return table.concat(out, ",") .. build.mark(tool.cache) .. "}"
end

-- Those the client allows, when it names them.
local function allowed(tools, choice)
  if not choice or not choice.names then
    return tools
  end
  local set, out = {}, {}
  for _, name in ipairs(choice.names) do
    set[name] = true
  end
  for _, tool in ipairs(tools) do
    if set[tool.name] then
      out[#out + 1] = tool
    end
  end
  return out
end

local function write_tools(request, build)
  local out = {}
  for _, tool in ipairs(allowed(request.tools or {}, request.tool_choice)) do
    if not tool.hosted then
      out[#out + 1] = tool_json(tool, build)
    elseif tool.hosted.dialect == NAME then
      out[#out + 1] = tool.hosted.raw
    else
      build.drops:add("tools." .. tool.hosted.type)
    end
  end
  return out
end

----------------------------------------------------------------------------------------------------------------------------
-- Formats

-- Which formats this target is asked for in another way: "config", "tool", "words" or nil.
local function way_of(request, target)
  local format = request.format
  if not format or format.kind == "text" then
    return nil
  elseif format.kind == "json" then
    return "words"
  elseif not target.quirks.no_output_format then
    return "config"
  end
  -- A call that the client wants made has no content that could have a format.
  return not (request.tool_choice and request.tool_choice.mode == "named") and "tool" or nil
end

-- A name that no tool of the client's has.
local function free_name(request)
  local name, taken = "answer_in_format", {}
  for _, tool in ipairs(request.tools or {}) do
    taken[tool.name] = true
  end
  while taken[name] do
    name = name .. "_"
  end
  return name
end

-- A tool whose arguments are the answer: its name.
local function stand_in(request, build, tools)
  local format, name = request.format, free_name(request)
  local description = "Give the final answer by calling this tool once."
  tools[#tools + 1] = tool_json({
    name = name, schema = format.schema,
    description = format.description and description .. " " .. format.description or description,
  }, build)
  return name
end

----------------------------------------------------------------------------------------------------------------------------
-- Which may be called

local MODES = { auto = "auto", none = "none", required = "any", named = "tool" }

-- A forced choice where the target refuses one: said in words.
local function ask_instead(choice, build)
  build.drops:add "tool_choice"
  if choice.mode == "named" then
    build.say(('Call the tool "%s" now.'):format(choice.name))
  else
    build.say "Call one of the tools now."
  end
  return { mode = "auto" }
end

local function choice_json(choice, single, build)
  if not choice then
    return single and '{"type":"auto","disable_parallel_tool_use":true}' or nil
  end
  local out = '{"type":"' .. MODES[choice.mode] .. '"'
  if choice.mode == "named" then
    out = out .. ',"name":' .. quote(build.names:of(choice.name))
  end
  if single and choice.mode ~= "none" then
    out = out .. ',"disable_parallel_tool_use":true'
  end
  return out .. "}"
end

local function is_forced(choice)
  return choice ~= nil and (choice.mode == "required" or choice.mode == "named")
end

---@class perilune.AnthropicToolPlan
---@field tools? perilune.Raw
---@field tool_choice? perilune.Raw
---@field forced boolean the model must call something, which it can not think about
---@field format? perilune.Raw of output_config
---@field emulated? string

--- What a request says about tools and formats.
---@param request perilune.Request
---@param build perilune.AnthropicBuild
---@return perilune.AnthropicToolPlan
function M.plan(request, build)
  local plan, tools, choice, single = {}, write_tools(request, build), request.tool_choice, request.parallel == false
  local way = way_of(request, build.target)
  if way == "config" then
    plan.format = '{"type":"json_schema","schema":' .. M.closed(request.format.schema or EMPTY_SCHEMA) .. "}"
  elseif way == "words" then
    build.say "Answer with one JSON object and nothing else: no words around it, no code fence."
  elseif way == "tool" then
    local alone = not tools[1] or (choice ~= nil and choice.mode == "none")
    plan.emulated = stand_in(request, build, tools)
    choice = alone and { mode = "named", name = plan.emulated } or { mode = "required" }
  end
  if is_forced(choice) and tools[1] and build.target.quirks.no_forced_tools then
    choice = ask_instead(choice, build)
  end
  if tools[1] then
    plan.tools = "[" .. table.concat(tools, ",") .. "]"
    plan.tool_choice = choice_json(choice, single, build)
  end
  plan.forced = plan.tools ~= nil and is_forced(choice)
  return plan
end

return M
