--- A neutral request, written in the Responses dialect, for models that are served by nothing else.
---
--- Nothing is left at the provider: every turn goes up whole, and what a reasoning model thought goes with it, encrypted as it came.
local json = require "perilune.json"
local shape = require "perilune.shape"

local M = {}

local NAME = "openai_responses"

-- The API refuses a smaller bound of the output.
local MIN_OUTPUT = 16

local quote, concat = json.quote, table.concat

-- '{"a":1,"b":2}' of { { "a", "1" }, { "b", nil }, ... }, without those that are nil.
local function object(members)
  local out = {}
  for i = 1, #members do
    local m = members[i]
    if m[2] then
      out[#out + 1] = quote(m[1]) .. ":" .. m[2]
    end
  end
  return "{" .. concat(out, ",") .. "}"
end

local function quoted(text)
  return text and quote(text)
end

local function listed(items)
  return "[" .. concat(items, ",") .. "]"
end

----------------------------------------------------------------------------------------------------------------------------
-- Content

---@class perilune.ResponsesBuild what is being built
---@field target perilune.AimedAt
---@field drops perilune.Drops
---@field items string[]
---@field customs table<string, boolean> ids of calls of custom tools: their outputs are of another kind

local function data_url(part, mime)
  return ("data:%s;base64,%s"):format(part.mime or mime, part.data)
end

local function image(build, part)
  if part.url and build.target.quirks.no_images_by_url then
    return nil
  end
  return object {
    { "type", '"input_image"' },
    { "image_url", quoted(part.data and data_url(part, "image/png") or part.url) },
    { "file_id", quoted(part.file_id) },
    { "detail", quoted(part.detail) },
  }
end

local function file(_, part)
  if part.text then
    return object { { "type", '"input_text"' }, { "text", quote(part.text) } }
  end
  return object {
    { "type", '"input_file"' },
    { "filename", quoted(part.name) },
    { "file_data", part.data and quote(part.mime and data_url(part) or part.data) },
    { "file_url", quoted(part.url) },
    { "file_id", quoted(part.file_id) },
  }
end

local function input_text(_, part)
  return object { { "type", '"input_text"' }, { "text", quote(part.text) } }
end

-- Spoken parts have no place in this dialect.
local INPUTS = { text = input_text, refusal = input_text, image = image, file = file }

local function drop(build, where, what)
  build.drops:add(("%s.%s"):format(where, what))
end

-- One text is a string, anything else a list of parts.
local function content(build, parts, where)
  if #parts == 1 and parts[1].kind == "text" then
    return quote(parts[1].text)
  end
  local out = {}
  for _, part in ipairs(parts) do
    local write = INPUTS[part.kind]
    local raw = write and write(build, part)
    if not raw then
      drop(build, where, part.kind)
    elseif part.text ~= "" then -- empty blocks are refused
      out[#out + 1] = raw
    end
  end
  return out[1] and listed(out)
end

----------------------------------------------------------------------------------------------------------------------------
-- Items

local function put(build, item)
  build.items[#build.items + 1] = item
end

local function put_message(build, role, raw)
  put(build, object { { "type", '"message"' }, { "role", quote(role) }, { "content", raw } })
end

-- An opaque block of this dialect is an item; those of others mean nothing here.
local function put_opaque(build, part, where)
  if part.dialect == NAME then
    put(build, part.raw)
  else
    drop(build, where, "opaque")
  end
end

local function put_user(build, message, where)
  local parts = {}
  for _, part in ipairs(message.parts) do
    if part.kind == "opaque" then
      put_opaque(build, part, where)
    else
      parts[#parts + 1] = part
    end
  end
  local raw = parts[1] and content(build, parts, where)
  if raw then
    put_message(build, "user", raw)
  end
end

local function said(part)
  if part.kind == "refusal" then
    return object { { "type", '"refusal"' }, { "refusal", quote(part.text) } }
  end
  return object { { "type", '"output_text"' }, { "text", quote(part.text) }, { "annotations", "[]" } }
end

-- What the assistant said between two other items. A plain string is what every server of this dialect takes.
local function put_said(build, parts)
  if #parts == 1 and parts[1].kind == "text" then
    put_message(build, "assistant", quote(parts[1].text))
  elseif parts[1] then
    local out = {}
    for i, part in ipairs(parts) do
      out[i] = said(part)
    end
    put_message(build, "assistant", listed(out))
  end
end

local function put_call(build, part)
  if part.custom then
    build.customs[part.id] = true
  end
  put(build, object {
    { "type", part.custom and '"custom_tool_call"' or '"function_call"' },
    { "call_id", quote(part.id) },
    { "name", quote(part.name) },
    { part.custom and "input" or "arguments", quote(part.arguments) },
  })
end

-- Thoughts go back to the model that thought them and are read by no other, so that all but those are left out without a word.
local function put_reasoning(build, part)
  local state = part.state
  if not state or not shape.goes_back(state, build.target) then
    return
  end
  local text = not shape.is_blank(part.text) and part.text
  put(build, object {
    { "type", '"reasoning"' },
    { "id", quoted(state.id) },
    { "summary", text and part.summary and listed { object { { "type", '"summary_text"' }, { "text", quote(text) } } } or "[]" },
    { "content", text and not part.summary and listed { object { { "type", '"reasoning_text"' }, { "text", quote(text) } } } or nil },
    { "encrypted_content", quote(state.value) },
  })
end

local ASSISTANT = { call = put_call, reasoning = put_reasoning, opaque = put_opaque }

local function put_assistant(build, message, where)
  local spoken = {}
  for _, part in ipairs(message.parts) do
    local write = ASSISTANT[part.kind]
    if write then
      put_said(build, spoken)
      spoken = {}
      write(build, part, where)
    elseif part.kind ~= "text" and part.kind ~= "refusal" then
      drop(build, where, part.kind)
    elseif part.text ~= "" then
      spoken[#spoken + 1] = part
    end
  end
  put_said(build, spoken)
end

local function put_results(build, message, where)
  for _, part in ipairs(message.parts) do
    local parts = {}
    for i, inner in ipairs(part.parts) do
      parts[i] = inner.kind == "opaque" and { kind = "text", text = inner.raw } or inner -- better told oddly than lost
    end
    put(build, object {
      { "type", build.customs[part.id] and '"custom_tool_call_output"' or '"function_call_output"' },
      { "call_id", quote(part.id) },
      { "output", content(build, parts, where) or '""' },
    })
  end
end

local PUT = { user = put_user, assistant = put_assistant, tool = put_results }

-- System text: the first, when something follows it, is `instructions`; later ones keep their place, where the target takes them there.
local function put_messages(build, messages)
  local early, instructions = build.target.quirks.no_system_later, {}
  for i, message in ipairs(messages) do
    if message.role ~= "system" then
      PUT[message.role](build, message, ("messages[%d]"):format(i - 1))
    elseif early or (i == 1 and messages[2]) then
      instructions[#instructions + 1] = shape.text_of(message.parts, "\n\n")
    else
      put_message(build, "developer", content(build, message.parts, ("messages[%d]"):format(i - 1)) or '""')
    end
  end
  return instructions[1] and quote(concat(instructions, "\n\n"))
end

----------------------------------------------------------------------------------------------------------------------------
-- Everything but the input

local function tool(build, t)
  if t.hosted then
    if t.hosted.dialect == NAME then
      return t.hosted.raw
    end
    build.drops:add("tools." .. t.hosted.type)
    return nil
  elseif t.custom then
    return object { { "type", '"custom"' }, { "name", quote(t.name) }, { "description", quoted(t.description) }, { "format", t.grammar } }
  end
  return object {
    { "type", '"function"' },
    { "name", quote(t.name) },
    { "description", quoted(t.description) },
    { "parameters", t.schema or '{"type":"object","properties":{}}' },
    { "strict", t.strict and "true" or "false" }, -- strict is what this API makes of a tool that does not say
  }
end

local function tools(build, request)
  local out = {}
  for _, t in ipairs(request.tools or {}) do
    out[#out + 1] = tool(build, t)
  end
  return out[1] and listed(out)
end

local function tool_choice(request)
  local choice = request.tool_choice
  if not choice then
    return nil
  end
  local customs = {}
  for _, t in ipairs(request.tools) do
    customs[t.name] = t.custom
  end
  local function named(name, custom)
    return object { { "type", (custom or customs[name]) and '"custom"' or '"function"' }, { "name", quote(name) } }
  end
  if choice.mode == "named" then
    return named(choice.name, choice.custom)
  elseif not choice.names then
    return quote(choice.mode)
  end
  local allowed = {}
  for i, name in ipairs(choice.names) do
    allowed[i] = named(name)
  end
  return object { { "type", '"allowed_tools"' }, { "mode", quote(choice.mode) }, { "tools", listed(allowed) } }
end

local function format(wanted)
  if not wanted then
    return nil
  elseif wanted.kind ~= "schema" then
    return wanted.kind == "json" and '{"type":"json_object"}' or '{"type":"text"}'
  end
  return object {
    { "type", '"json_schema"' },
    { "name", quote(wanted.name or "answer") },
    { "description", quoted(wanted.description) },
    { "schema", wanted.schema },
    { "strict", wanted.strict ~= nil and tostring(wanted.strict) or nil },
  }
end

local function max_tokens(request, target)
  local n = request.max_tokens
  if not n then
    return nil
  end
  return ("%d"):format(math.max(MIN_OUTPUT, math.min(n, target.max_output or n)))
end

-- nil for an object without members.
local function unless_empty(raw)
  return raw ~= "{}" and raw or nil
end

local function text(request)
  return unless_empty(object { { "format", format(request.format) }, { "verbosity", quoted(request.verbosity) } })
end

local function reasoning(request, target)
  local wish = request.reasoning
  if not wish then
    return nil
  end
  local effort = shape.effort_of(wish)
  return unless_empty(object {
    { "effort", quoted(effort and shape.nearest_effort(effort, target.quirks.efforts)) },
    { "summary", quoted(not wish.hidden and wish.summary or nil) },
  })
end

-- Thoughts come back encrypted when asked for; a model that has none refuses to be asked.
local function include(request, target)
  local wanted = {}
  local wish = request.reasoning
  if target.abilities.reasoning or (wish and shape.effort_of(wish) ~= "none") then
    wanted[#wanted + 1] = '"reasoning.encrypted_content"'
  end
  if request.logprobs then
    wanted[#wanted + 1] = '"message.output_text.logprobs"'
  end
  return wanted[1] and listed(wanted)
end

local function flag(value)
  return value ~= nil and tostring(value) or nil
end

-- What this API has no field for, by the name a client knows.
local function drop_foreign(request, drops)
  for _, name in ipairs { "top_k", "frequency_penalty", "presence_penalty", "seed", "stop", "logit_bias", "audio", "prediction" } do
    if request[name] ~= nil then
      drops:add(name)
    end
  end
  if request.n and request.n > 1 then
    drops:add "n"
  end
  if request.modalities and request.modalities:find '"audio"' then
    drops:add "modalities"
  end
  if request.web_search then
    drops:add "web_search_options"
  end
end

-- Fields a target may refuse: name here, the client's name, value. What it refuses is named and left out.
local function optional_fields(build, request)
  local target = build.target
  local toolbox = tools(build, request)
  local fields = {
    { "tools", "tools", toolbox },
    { "tool_choice", "tool_choice", toolbox and tool_choice(request) },
    { "parallel_tool_calls", "parallel_tool_calls", flag(request.parallel) },
    { "max_output_tokens", "max_tokens", max_tokens(request, target) },
    { "temperature", "temperature", request.temperature },
    { "top_p", "top_p", request.top_p },
    { "top_logprobs", "logprobs", request.logprobs and request.top_logprobs },
    { "reasoning", "reasoning_effort", reasoning(request, target) },
    { "text", "response_format", text(request) },
    { "include", "include", include(request, target) },
    { "user", "user", quoted(request.user) },
    { "prompt_cache_key", "prompt_cache_key", quoted(request.cache_key) },
    { "service_tier", "service_tier", quoted(request.service_tier) },
    { "metadata", "metadata", request.metadata },
  }
  for _, extra in ipairs(request.extra) do
    if request.dialect == NAME then
      fields[#fields + 1] = { extra[1], extra[1], extra[2] }
    else
      build.drops:add(extra[1])
    end
  end
  return fields
end

local function kept(build, fields)
  local quirks = build.target.quirks
  local refused = shape.set_of(quirks.unsupported)
  if quirks.no_sampling then
    refused.temperature, refused.top_p = true, true
  end
  local out = {}
  for _, field in ipairs(fields) do
    local said_so, may_be = field[3], not (refused[field[1]] or refused[field[2]])
    if said_so and not may_be then
      build.drops:add(field[2])
    elseif said_so then
      out[#out + 1] = { field[1], field[3] }
    end
  end
  return out
end

--- Builds the request for a target.
---@param request perilune.Request
---@param target perilune.AimedAt
---@param drops perilune.Drops
---@return perilune.Http
function M.build(request, target, drops)
  local build = { target = target, drops = drops, items = {}, customs = {} }
  local instructions = put_messages(build, request.messages)
  drop_foreign(request, drops)
  local members = {
    { "model", quote(target.upstream) },
    { "instructions", instructions },
    { "input", listed(build.items) },
    { "stream", request.stream and "true" or "false" },
    { "store", request.store and "true" or "false" },
  }
  for _, field in ipairs(kept(build, optional_fields(build, request))) do
    members[#members + 1] = field
  end
  return { path = "/responses", body = object(members) }
end

return M
