--- Anthropic Messages: a client's request, read into the neutral shape.
---
--- What this dialect alone knows (server tools and their blocks) is kept as it came and marked as its own; fields nobody knows stay in
--- `extra`. A block inside a tool's result is never lost with the result, and a text that says nothing is no part.
local json = require "perilune.json"
local shape = require "perilune.shape"

local M = {}

local NAME = "anthropic_messages"

-- Raises what M.request() hands back as a problem.
local function refuse(param, message)
  error({ problem = { param = param, message = param .. ": " .. message } }, 0)
end

-- What was said: a null is nothing. Slices have nothing around them.
local function said(raw)
  return raw ~= "null" and raw or nil
end

local function object(raw, param)
  if json.kind(raw) ~= "object" then
    refuse(param, "expected an object")
  end
  return json.fields(raw)
end

local function list(raw, param)
  if json.kind(raw) ~= "array" then
    refuse(param, "expected an array")
  end
  return json.items(raw)
end

-- A text that has to be there and says something.
local function wanted(raw, param)
  local text = json.text(raw)
  if not text or text == "" then
    refuse(param, "expected a text")
  end
  return text
end

local NOTHING = {}

local function inner(raw)
  return raw and json.kind(raw) == "object" and json.fields(raw) or NOTHING
end

local function mark(block)
  local cache = block.cache_control
  return cache and json.kind(cache) == "object" and cache or nil
end

----------------------------------------------------------------------------------------------------------------------------
-- Blocks

local function text_part(text, cache)
  return text and text ~= "" and { kind = "text", text = text, cache = cache } or nil
end

-- The texts of some content, joined: a string, or blocks.
local function joined_text(raw)
  if json.kind(raw) ~= "array" then
    return json.text(raw)
  end
  local out = {}
  for _, item in ipairs(json.items(raw)) do
    out[#out + 1] = json.text(inner(item).text)
  end
  return table.concat(out, "\n")
end

-- Pictures and documents say in the same way where they are.
local function from_source(kind, block)
  local source = inner(block.source)
  local where = json.text(source.type)
  local part = { kind = kind, name = kind == "file" and json.text(block.title) or nil, cache = mark(block) }
  if where == "base64" then
    part.data, part.mime = json.text(source.data), json.text(source.media_type)
  elseif where == "url" then
    part.url = json.text(source.url)
  elseif where == "file" then
    part.file_id = json.text(source.file_id)
  elseif where == "text" and kind == "file" then
    part.text, part.mime = json.text(source.data), json.text(source.media_type)
  elseif where == "content" and kind == "file" then
    part.text = joined_text(source.content)
  end
  return (part.data or part.url or part.file_id or part.text) and part or nil
end

-- A hit of the client's own search: every model can read it as text.
local function search_result(block)
  local out = {}
  for _, text in ipairs { json.text(block.title) or "", json.text(block.source) or "", joined_text(block.content) or "" } do
    if text ~= "" then
      out[#out + 1] = text
    end
  end
  return text_part(table.concat(out, "\n"), mark(block))
end

-- Blocks that mean the same in a turn and in a tool's result: each returns a part, nothing for one that says nothing, or false for one
-- it can not make sense of.
local COMMON = {
  text = function(block)
    if json.kind(block.text) ~= "string" then
      return false
    end
    return text_part(json.text(block.text), mark(block))
  end,
  image = function(block)
    return from_source("image", block) or false
  end,
  document = function(block)
    return from_source("file", block) or false
  end,
  search_result = search_result,
}

-- What stands in a result: an unknown block becomes its own text, so that the model still sees it and the result its call.
local function result_parts(raw, param)
  if json.kind(raw) == "string" then
    return { text_part(json.text(raw)) }
  end
  local parts = {}
  for i, item in ipairs(said(raw) and list(raw, param) or {}) do
    local block = object(item, ("%s[%d]"):format(param, i - 1))
    local read = COMMON[json.text(block.type) or ""]
    local part = read and read(block)
    if not read or part == false then
      part = text_part(item)
    end
    parts[#parts + 1] = part
  end
  return parts
end

-- The arguments of a call. Histories hold what other gateways made of them: a text, or nothing.
local function input_of(raw)
  if json.kind(raw) == "string" then
    local text = json.text(raw)
    if not text:find "%S" then
      return "{}"
    end
    raw = json.kind(text) == "object" and json.valid(text) and text or raw
  end
  if not said(raw) then
    return "{}"
  end
  return json.kind(raw) == "object" and raw or '{"input":' .. raw .. "}"
end

-- A signature or a redacted text: of a Claude model, or one of another dialect in our own wrapping. An empty one is none.
local function state_of(raw, kind)
  local text = json.text(raw)
  local state = text and text ~= "" and shape.unseal(text, NAME, kind)
  return state and state.value ~= "" and state or nil
end

local function thinking(block)
  local text = json.text(block.thinking)
  local state = state_of(block.signature, "signature")
  if not state and (text or "") == "" then
    return nil
  end
  return { kind = "reasoning", text = text ~= "" and text or nil, state = state }
end

local function redacted(block)
  local state = state_of(block.data, "redacted")
  return state and { kind = "reasoning", state = state } or nil
end

-- What a block of an assistant's turn alone is.
local function call(block, param, names)
  local part = {
    kind = "call", id = wanted(block.id, param .. ".id"), name = wanted(block.name, param .. ".name"),
    arguments = input_of(block.input), cache = mark(block),
  }
  names[part.id] = part.name
  return part
end

local function result(block, param, names)
  local id = wanted(block.tool_use_id, param .. ".tool_use_id")
  return {
    kind = "result", id = id, name = names[id], parts = result_parts(block.content, param .. ".content"),
    error = block.is_error == "true" or nil, cache = mark(block),
  }
end

local ROLES = {
  user = { tool_result = result },
  assistant = { tool_use = call, thinking = thinking, redacted_thinking = redacted },
  system = {},
}
local ONE_ROLE = { tool_result = "user", tool_use = "assistant" }

-- The signature of a call of Gemini's stands in a redacted block of ours before the call.
local function signed(parts, part)
  local before = parts[#parts]
  local state = part.kind == "call" and before and before.kind == "reasoning" and not before.text and before.state
  if state and state.kind == "signature" and state.by == "gemini" then
    part.signature = state.value
    parts[#parts] = nil
  end
  return part
end

local function read_block(raw, role, param, names)
  local block = object(raw, param)
  local kind = json.text(block.type)
  if not kind then
    refuse(param .. ".type", "expected a text")
  elseif ONE_ROLE[kind] and ONE_ROLE[kind] ~= role then
    refuse(param, ("a %s block belongs to a turn of the %s"):format(kind, ONE_ROLE[kind]))
  end
  local read = ROLES[role][kind] or COMMON[kind]
  local part
  if read then
    part = read(block, param, names)
  end
  if not read or part == false then
    return { kind = "opaque", dialect = NAME, raw = raw, cache = mark(block) }
  end
  return part
end

local function read_content(raw, role, param, names)
  if json.kind(raw) == "string" then
    return { text_part(json.text(raw)) }
  end
  local parts = {}
  for i, item in ipairs(list(raw, param)) do
    local part = read_block(item, role, ("%s[%d]"):format(param, i - 1), names)
    if part then
      part = signed(parts, part)
      parts[#parts + 1] = part
    end
  end
  return parts
end

----------------------------------------------------------------------------------------------------------------------------
-- Messages

local function add(messages, role, parts)
  if parts[1] then
    messages[#messages + 1] = { role = role, parts = parts }
  end
end

-- A user's turn may hold results: they are a message of their own, before the rest.
local function add_user(messages, parts)
  local results, rest = {}, {}
  for _, part in ipairs(parts) do
    local into = part.kind == "result" and results or rest
    into[#into + 1] = part
  end
  add(messages, "tool", results)
  add(messages, "user", rest)
end

local function read_messages(fields)
  local messages, names = {}, {}
  if said(fields.system) then
    add(messages, "system", read_content(fields.system, "system", "system", names))
  end
  for i, raw in ipairs(list(fields.messages, "messages")) do
    local param = ("messages[%d]"):format(i - 1)
    local message = object(raw, param)
    local role = json.text(message.role)
    if not role or not ROLES[role] then
      refuse(param .. ".role", 'expected "user", "assistant" or "system"')
    end
    local parts = read_content(message.content, role, param .. ".content", names)
    if role == "user" then
      add_user(messages, parts)
    else
      add(messages, role, parts)
    end
  end
  return messages
end

----------------------------------------------------------------------------------------------------------------------------
-- Tools and settings

local function read_tool(raw, param)
  local tool = object(raw, param)
  local kind = json.text(tool.type)
  if kind and kind ~= "custom" then
    return { name = json.text(tool.name) or kind, hosted = { dialect = NAME, type = kind, raw = raw } }
  end
  return {
    name = wanted(tool.name, param .. ".name"), description = json.text(tool.description),
    schema = json.kind(tool.input_schema) == "object" and tool.input_schema or nil,
    strict = tool.strict == "true" or nil, cache = mark(tool),
  }
end

local function read_tools(raw)
  local tools = {}
  for i, item in ipairs(list(raw, "tools")) do
    tools[i] = read_tool(item, ("tools[%d]"):format(i - 1))
  end
  return tools[1] and tools or nil
end

local MODES = { auto = "auto", any = "required", tool = "named", none = "none" }

local function read_choice(raw, request)
  local choice = object(raw, "tool_choice")
  local mode = MODES[json.text(choice.type) or ""]
  if not mode then
    refuse("tool_choice.type", 'expected "auto", "any", "tool" or "none"')
  end
  request.tool_choice = { mode = mode, name = mode == "named" and wanted(choice.name, "tool_choice.name") or nil }
  if json.kind(choice.disable_parallel_tool_use) == "boolean" then
    request.parallel = choice.disable_parallel_tool_use == "false"
  end
end

-- Thinking that is on without a word on how much is of high effort: so the API has it.
local function read_reasoning(thinking_raw, output)
  local asked, effort = inner(thinking_raw), json.text(output.effort)
  local kind = json.text(asked.type)
  if kind == "disabled" then
    return { effort = "none" }
  elseif not kind then
    return effort and { effort = effort } or nil
  end
  local budget, display = json.number(asked.budget_tokens), json.text(asked.display)
  return {
    effort = effort or (not budget and "high") or nil, budget = budget,
    summary = display == "summarized" and "auto" or nil, hidden = display == "omitted" or nil,
  }
end

-- Not called strict: what this API takes as a schema is more than others do under that word.
local function read_format(raw)
  local format = inner(raw)
  if json.text(format.type) ~= "json_schema" or json.kind(format.schema) ~= "object" then
    return nil
  end
  return { kind = "schema", schema = format.schema }
end

local function whole(raw, param)
  local n = json.number(raw)
  if not n or n < 0 or n % 1 ~= 0 then
    refuse(param, "expected a whole number")
  end
  return n
end

local function number(raw, param)
  if raw and json.kind(raw) ~= "number" then
    refuse(param, "expected a number")
  end
  return raw
end

local function read_stop(raw)
  local stop = {}
  for i, item in ipairs(list(raw, "stop_sequences")) do
    stop[i] = json.text(item) or refuse(("stop_sequences[%d]"):format(i - 1), "expected a text")
  end
  return stop[1] and stop or nil
end

local TIERS = { auto = "auto", standard_only = "default" }

local function read_settings(request, fields)
  local output = inner(fields.output_config)
  request.max_tokens = said(fields.max_tokens) and whole(fields.max_tokens, "max_tokens")
  request.temperature = number(said(fields.temperature), "temperature")
  request.top_p, request.top_k = number(said(fields.top_p), "top_p"), number(said(fields.top_k), "top_k")
  request.stop = said(fields.stop_sequences) and read_stop(fields.stop_sequences)
  request.tools = said(fields.tools) and read_tools(fields.tools)
  if said(fields.tool_choice) then
    read_choice(fields.tool_choice, request)
  end
  request.reasoning = read_reasoning(fields.thinking, output)
  request.format = read_format(output.format) or read_format(fields.output_format)
  request.user = json.text(inner(fields.metadata).user_id)
  request.service_tier = TIERS[json.text(fields.service_tier) or ""]
end

-- Of a thread that goes on, only what is new is here: the rest is kept where it began, and no other model can read it. One that begins
-- is whole, so it can be answered, but nobody keeps it.
local function refuse_continued(thread)
  if json.text(inner(thread).type) == "continue" then
    refuse("thread", "what was said before is not here; send all of it")
  end
end

local KNOWN = {}
for _, name in ipairs {
  "model", "models", "messages", "system", "max_tokens", "temperature", "top_p", "top_k", "stop_sequences", "stream", "metadata",
  "service_tier", "tools", "tool_choice", "thinking", "output_config", "output_format",
} do
  KNOWN[name] = true
end

local function read(fields, keys)
  local extra = {}
  for _, key in ipairs(keys) do
    if not KNOWN[key] then
      extra[#extra + 1] = { key, fields[key] }
    end
  end
  refuse_continued(fields.thread)
  local request = {
    dialect = NAME, stream = fields.stream == "true", wants_usage = true, messages = read_messages(fields),
    fields = fields, extra = extra,
  }
  read_settings(request, fields)
  return request
end

--- A client's request.
---@param body string
---@return perilune.Request|nil, perilune.Problem|nil
function M.request(body)
  local fields, keys = json.ordered(body)
  if not fields then
    return nil, { message = "the request is not JSON: " .. keys }
  end
  local ok, request = pcall(read, fields, keys)
  if ok then
    return request
  elseif type(request) == "table" and request.problem then
    return nil, request.problem
  end
  return error(request, 0)
end

return M
