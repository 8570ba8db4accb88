--- Requests for Amazon Bedrock's Converse.
local json = require "perilune.json"
local media = require "perilune.media"
local shape = require "perilune.shape"
local tool_names = require "perilune.tool_names"
local turns = require "perilune.turns"

local M = {}

local NAME = "bedrock_converse"

local quote = json.quote
local member, object, array = json.put, json.object, json.array
local taken, drop_part = shape.taken, shape.drop_part
local ipairs, next, tonumber = ipairs, next, tonumber

local MIN_BUDGET = 1024 -- Claude's smallest

-- Conversations must begin with the user.
local NOTHING_SAID = '{"role":"user","content":[{"text":"Continue."}]}'
local NO_OUTPUT = '{"text":"(no output)"}' -- empty texts are refused
local CACHE_POINT = '{"cachePoint":{"type":"default"}}'

local DO_NOT_CALL = "Do not call any tool. Answer with text."
local ANSWER_JSON = "Answer with one JSON object and nothing else."

-- The tool that stands in for a response format, unless a schema has a name of its own.
local ANSWER_TOOL = "json_answer"

local NO_ARGUMENTS = '{"type":"object","properties":{}}'
---@class perilune.BedrockBuild one build under way
---@field target perilune.AimedAt
---@field quirks perilune.Quirks
---@field drops perilune.Drops
---@field refused table<string, boolean> fields the target does not take
---@field names perilune.ToolNames
---@field ids perilune.ToolNames of calls
---@field n_documents integer

local function new_build(target, drops)
  return {
    target = target, quirks = target.quirks, drops = drops, refused = shape.refused(target.quirks), n_documents = 0,
    names = tool_names.new("[^%w_-]", 64), ids = tool_names.new("[^%w_-]", 64),
  }
end

----------------------------------------------------------------------------------------------------------------------------
-- Content

local IMAGES = { ["image/png"] = "png", ["image/jpeg"] = "jpeg", ["image/gif"] = "gif", ["image/webp"] = "webp" }

local DOCUMENTS = {
  ["application/pdf"] = "pdf", ["text/csv"] = "csv", ["text/html"] = "html", ["text/plain"] = "txt", ["text/markdown"] = "md",
  ["application/msword"] = "doc", ["application/vnd.ms-excel"] = "xls",
  ["application/vnd.openxmlformats-officedocument.wordprocessingml.document"] = "docx",
  ["application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"] = "xlsx",
}

-- Where the bytes are; nil for what Bedrock can not fetch.
local function source_of(part)
  if part.data then
    return ('{"bytes":%s}'):format(quote(part.data))
  elseif part.url and part.url:find "^s3://" then
    return ('{"s3Location":{"uri":%s}}'):format(quote(part.url))
  end
  return nil
end

local WRITE = {}

function WRITE.text(_, item)
  return not shape.is_blank(item.part.text) and ('{"text":%s}'):format(quote(item.part.text)) or nil
end

WRITE.refusal = WRITE.text

function WRITE.image(b, item)
  local part = item.part
  local mime = part.data and media.image_type(part) or part.mime or media.type_of_name(part.url)
  local source, format = source_of(part), IMAGES[mime]
  if not source or not format then
    return drop_part(b, item, "image_url")
  end
  return ('{"image":{"format":"%s","source":%s}}'):format(format, source)
end

-- Documents have names of few characters, and no two in a conversation the same.
local function document_name(b, name)
  b.n_documents = b.n_documents + 1
  name = (name or ""):gsub("%.%w+$", ""):gsub("[^%w%-()%[%]]+", " "):match "^%s*(.-)%s*$"
  name = name == "" and "document" or name:sub(1, 180)
  return b.n_documents == 1 and name or ("%s (%d)"):format(name, b.n_documents)
end

function WRITE.file(b, item)
  local part = item.part
  if part.text then
    return WRITE.text(b, item)
  end
  local mime = part.data and media.file_type(part) or part.mime or media.type_of_name(part.url)
  local source, format = source_of(part), DOCUMENTS[mime]
  if not source or not format then
    return drop_part(b, item, "file")
  end
  return ('{"document":{"format":"%s","name":%s,"source":%s}}'):format(format, quote(document_name(b, part.name)), source)
end

function WRITE.audio(b, item)
  return drop_part(b, item, item.part.data and "input_audio" or "audio")
end

function WRITE.call(b, item)
  local part = item.part
  local input = part.custom and ('{"input":%s}'):format(quote(part.arguments)) or part.arguments
  return ('{"toolUse":{"toolUseId":%s,"name":%s,"input":%s}}'):format(quote(b.ids:of(part.id)), quote(b.names:of(part.name)), input)
end

-- What was thought goes back when this model said it, with its signature; other models' thoughts stay behind.
function WRITE.reasoning(b, item)
  local part, state = item.part, item.part.state
  if not state or not shape.goes_back(state, b.target) then
    return nil
  elseif state.kind == "redacted" then
    return ('{"reasoningContent":{"redactedContent":%s}}'):format(quote(state.value))
  end
  return ('{"reasoningContent":{"reasoningText":{"text":%s,"signature":%s}}}'):format(quote(part.text or ""), quote(state.value))
end

function WRITE.opaque(b, item)
  if item.part.dialect == NAME then
    return item.part.raw
  end
  local fields = json.kind(item.part.raw) == "object" and json.fields(item.part.raw) or {}
  return drop_part(b, item, json.text(fields.type) or "content")
end

local function put(b, out, item)
  local raw = WRITE[item.part.kind](b, item)
  out[#out + 1] = raw
  if raw and item.part.cache and not b.refused.cache_control then
    out[#out + 1] = CACHE_POINT
  end
end

local function put_result(b, out, item)
  local content = {}
  for _, inner in ipairs(item.part.parts) do
    if inner.kind == "opaque" and inner.dialect ~= NAME then
      content[#content + 1] = ('{"text":%s}'):format(quote(inner.raw)) -- better told as it is than the result lost
    else
      content[#content + 1] = WRITE[inner.kind](b, { part = inner, at = item.at })
    end
  end
  if not content[1] then
    content[1] = NO_OUTPUT
  end
  out[#out + 1] = ('{"toolResult":{"toolUseId":%s,"content":%s%s}}'):format(quote(b.ids:of(item.call.id)), array(content),
    item.part.error and ',"status":"error"' or "")
  if item.part.cache and not b.refused.cache_control then
    out[#out + 1] = CACHE_POINT
  end
end

local function content_of(b, turn)
  local out = {}
  for _, item in ipairs(turn.results) do
    put_result(b, out, item)
  end
  for _, item in ipairs(turn.items) do
    put(b, out, item)
  end
  return out
end

-- Turns of which nothing is left are left out, and their neighbours become one.
local function messages_of(b, list)
  local messages = {}
  for _, turn in ipairs(list) do
    local content, last = content_of(b, turn), messages[#messages]
    if last and last.assistant == turn.assistant then
      for _, raw in ipairs(content) do
        last.content[#last.content + 1] = raw
      end
    elseif content[1] then
      messages[#messages + 1] = { assistant = turn.assistant, content = content }
    end
  end
  local out = {}
  if not messages[1] or messages[1].assistant then
    out[1] = NOTHING_SAID
  end
  for _, message in ipairs(messages) do
    out[#out + 1] = ('{"role":"%s","content":%s}'):format(message.assistant and "assistant" or "user", array(message.content))
  end
  return array(out)
end

local function system_of(b, parts)
  local out = {}
  for _, part in ipairs(parts) do
    put(b, out, { part = part, at = 0 })
  end
  return out
end

----------------------------------------------------------------------------------------------------------------------------
-- Tools

local function with_type(schema)
  if json.kind(schema) ~= "object" then
    return NO_ARGUMENTS
  end
  local fields = json.fields(schema)
  return fields and not fields.type and json.splice(schema, { { key = "type", raw = '"object"' } }) or schema
end

local function spec_of(b, tool)
  local text = tool.description
  if tool.custom and tool.grammar then
    text = (text and text .. "\n\n" or "") .. "The input has this form: " .. tool.grammar
  end
  local out = {}
  member(out, "name", quote(b.names:of(tool.name)))
  member(out, "description", not shape.is_blank(text) and quote(text) or nil)
  member(out, "inputSchema", ('{"json":%s}'):format(tool.custom and shape.custom_schema or with_type(tool.schema)))
  return ('{"toolSpec":%s}'):format(object(out))
end

local function is_allowed(tool, names)
  for _, name in ipairs(names or { tool.name }) do
    if name == tool.name then
      return true
    end
  end
  return false
end

-- The tools a request names. Which of them may be called is said by leaving out the others.
local function named_tools(b, request)
  local out = {}
  for i, tool in ipairs(taken(b, "tools", request.tools) or {}) do
    if tool.hosted and tool.hosted.dialect ~= NAME then
      b.drops:add(("tools[%d].%s"):format(i - 1, tool.hosted.type))
    elseif tool.hosted then
      out[#out + 1] = tool.hosted.raw
    elseif is_allowed(tool, request.tool_choice and request.tool_choice.names) then
      out[#out + 1] = spec_of(b, tool)
      if tool.cache and not b.refused.cache_control then
        out[#out + 1] = CACHE_POINT
      end
    end
  end
  return out
end

-- A history that calls tools is refused without any: those it calls stand in for them.
local function tools_in_history(b, list)
  local out, known = {}, {}
  for _, turn in ipairs(list) do
    for _, item in ipairs(turn.items) do
      local part = item.part
      if part.kind == "call" and not known[part.name] then
        known[part.name] = true
        out[#out + 1] = spec_of(b, { name = part.name, custom = part.custom })
      end
    end
  end
  return out
end

-- toolChoice; nil for the model's own. That tools may not be called at all is not among the choices.
local function choice_of(b, choice)
  local mode = choice and choice.mode
  if mode == "required" or mode == "named" then
    if b.quirks.no_forced_tools then
      b.drops:add "tool_choice"
      return nil
    end
    return mode == "named" and ('{"tool":{"name":%s}}'):format(quote(b.names:of(choice.name))) or '{"any":{}}', true
  end
  return mode == "auto" and '{"auto":{}}' or nil
end

---@class perilune.BedrockTools
---@field config? perilune.Raw toolConfig
---@field note? string what the system text must say besides
---@field forced boolean the model has to call one
---@field emulated? string

-- A name for the tool that stands in for a format: its own or ours, written as it can be, and no other tool's.
local function answer_tool(b, format, request)
  local name = tool_names.new("[^%w_-]", 48):of(format.name or ANSWER_TOOL)
  for _, tool in ipairs(request.tools or {}) do
    if b.names:of(tool.name) == name then
      return name .. "_as_answer"
    end
  end
  return name
end

-- A schema for the answer becomes a tool that must be called, or one among those that must be.
local function emulate(b, format, tools, request)
  local name = answer_tool(b, format, request)
  local choice = tools[1] and '{"any":{}}' or ('{"tool":{"name":%s}}'):format(quote(name))
  tools[#tools + 1] = spec_of(b, { name = name, description = format.description or "Gives the answer.", schema = format.schema })
  return { config = ('{"tools":%s,"toolChoice":%s}'):format(array(tools), choice), forced = true, emulated = name }
end

local function tools_of(b, request, list)
  local choice = request.tool_choice
  local tools = named_tools(b, request)
  local format = taken(b, "response_format", request.format)
  local schema = format and format.kind == "schema"
  if schema and not b.quirks.no_forced_tools then
    return emulate(b, format, choice and choice.mode == "none" and {} or tools, request)
  end
  local note
  if format and format.kind ~= "text" then
    note = ANSWER_JSON .. (schema and format.schema and " It has this schema: " .. format.schema or "")
    b.drops:add "response_format"
  end
  local history = tools_in_history(b, list)
  local may_call = tools[1] ~= nil and not (choice and choice.mode == "none")
  if not may_call and not history[1] then
    return { note = note, forced = false }
  elseif not may_call then
    note = note and note .. "\n" .. DO_NOT_CALL or DO_NOT_CALL
  end
  local out = {}
  member(out, "tools", array(tools[1] and tools or history))
  local raw, forced
  if may_call then
    raw, forced = choice_of(b, choice)
  end
  member(out, "toolChoice", raw)
  return { config = object(out), note = note, forced = forced or false }
end

----------------------------------------------------------------------------------------------------------------------------
-- Thinking, which each family of models names in its own way

local function is_claude(target)
  return target.quirks.thinking ~= nil or target.upstream:find("anthropic.claude", 1, true) ~= nil
end

-- Claude's budget: at least 1024, and less than the answer may be long; nil where that leaves none.
local function fitting_budget(budget, most)
  budget = math.max(budget, MIN_BUDGET)
  if most and budget >= most then
    budget = most - 1
  end
  return budget >= MIN_BUDGET and budget or nil
end

local function claude_thinking(b, out, request, effort)
  local how = b.quirks.thinking or "budget"
  if effort == "none" then
    if how == "always" then
      b.drops:add "reasoning_effort"
    elseif how == "adaptive" then
      member(out, "thinking", '{"type":"disabled"}')
    end
    return false
  elseif how ~= "budget" then
    member(out, "thinking", how == "adaptive" and '{"type":"adaptive"}' or nil)
    local level = shape.nearest_effort(effort or "high", b.quirks.efforts or { "low", "medium", "high", "max" })
    member(out, "output_config", effort and ('{"effort":%s}'):format(quote(level)))
    return true
  end
  local wish = request.reasoning
  local wanted = shape.budget_of { budget = wish.budget, effort = effort and shape.nearest_effort(effort, b.quirks.efforts) }
  local budget = wanted and fitting_budget(wanted, request.max_tokens or b.target.max_output)
  if wanted and not budget then
    b.drops:add "reasoning_effort"
  end
  member(out, "thinking", budget and ('{"type":"enabled","budget_tokens":%d}'):format(budget))
  return budget ~= nil
end

-- Puts what asks for thinking; whether the model will think, as Claude does, with all that this rules out.
local function put_thinking(b, out, request, forced)
  local wish = taken(b, "reasoning_effort", request.reasoning)
  local effort = shape.effort_of(wish)
  if not wish then
    return false
  elseif b.quirks.reasoning == "reasoning_effort" then
    member(out, "reasoning_effort", effort and quote(shape.nearest_effort(effort, b.quirks.efforts) or effort))
    return false
  elseif not is_claude(b.target) or (forced and effort ~= "none" and b.quirks.thinking ~= "always") then
    if effort and effort ~= "none" then
      b.drops:add "reasoning_effort"
    end
    return false
  end
  return claude_thinking(b, out, request, effort)
end

----------------------------------------------------------------------------------------------------------------------------
-- The whole

local function stop_of(b, list)
  local out, most = {}, b.quirks.max_stop or 2500
  for _, text in ipairs(taken(b, "stop", list) or {}) do
    if #out == most then
      b.drops:add "stop"
      break
    elseif not shape.is_blank(text) then
      out[#out + 1] = quote(text)
    end
  end
  return out[1] and array(out)
end

-- Converse goes up to 1 where OpenAI goes up to 2.
local function temperature_of(b, raw)
  raw = taken(b, "temperature", raw)
  if raw and (tonumber(raw) or 0) > 1 then
    b.drops:add "temperature"
    return "1"
  end
  return raw
end

local function inference_of(b, request, thinks)
  local out = {}
  member(out, "maxTokens", request.max_tokens and ("%d"):format(request.max_tokens))
  if thinks then -- no model that thinks takes these
    for _, name in ipairs { "temperature", "top_p" } do
      if request[name] then
        b.drops:add(name)
      end
    end
  else
    member(out, "temperature", temperature_of(b, request.temperature))
    member(out, "topP", taken(b, "top_p", request.top_p))
  end
  member(out, "stopSequences", stop_of(b, request.stop))
  return out[1] and object(out)
end

local function put_top_k(b, out, raw, thinks)
  raw = taken(b, "top_k", raw)
  if raw and thinks then
    b.drops:add "top_k"
  elseif raw and b.target.upstream:find("amazon.nova", 1, true) then
    member(out, "inferenceConfig", ('{"topK":%s}'):format(raw))
  else
    member(out, "top_k", raw)
  end
end

-- What Converse has no word for: OpenAI's name, and the request's.
local LOST = {
  { "frequency_penalty", "frequency_penalty" }, { "presence_penalty", "presence_penalty" }, { "seed", "seed" }, { "logprobs", "logprobs" },
  { "top_logprobs", "top_logprobs" }, { "logit_bias", "logit_bias" }, { "service_tier", "service_tier" }, { "store", "store" },
  { "user", "user" }, { "metadata", "metadata" }, { "verbosity", "verbosity" }, { "prompt_cache_key", "cache_key" }, { "audio", "audio" },
  { "prediction", "prediction" }, { "web_search_options", "web_search" },
}

local function drop_rest(b, request)
  for _, field in ipairs(LOST) do
    if request[field[2]] then
      b.drops:add(field[1])
    end
  end
  if request.n and request.n > 1 then
    b.drops:add "n"
  end
  if request.parallel == false then
    b.drops:add "parallel_tool_calls"
  end
  if request.modalities and request.modalities:find('"audio"', 1, true) then
    b.drops:add "modalities"
  end
  for _, field in ipairs(request.extra) do
    b.drops:add(field[1])
  end
end

-- Names of models hold colons and slashes (ARNs), which are signed as they are sent: encoded.
local function path_of(target, stream)
  local name = target.upstream:gsub("[^%w._~-]", function(c)
    return ("%%%02X"):format(c:byte())
  end)
  return "/model/" .. name .. (stream and "/converse-stream" or "/converse")
end

--- See perilune.Dialect.
function M.build(request, target, drops)
  local b = new_build(target, drops)
  local list, parts = turns.of(request.messages)
  local tools = tools_of(b, request, list)
  local system = system_of(b, parts)
  if tools.note then
    system[#system + 1] = ('{"text":%s}'):format(quote(tools.note))
  end
  local more = {}
  local thinks = put_thinking(b, more, request, tools.forced)
  put_top_k(b, more, request.top_k, thinks)
  local out = {}
  member(out, "messages", messages_of(b, list))
  member(out, "system", system[1] and array(system))
  member(out, "inferenceConfig", inference_of(b, request, thinks))
  member(out, "toolConfig", tools.config)
  member(out, "additionalModelRequestFields", next(more) and object(more))
  drop_rest(b, request)
  return { path = path_of(target, request.stream), body = object(out), emulated = tools.emulated, names = b.names.back }
end

return M
