--- A client's request in the Responses dialect, read into the neutral shape.
---
--- An input is a flat list of items; turns are made of it here: what the assistant said, thought and called one after another is one
--- message, and the outputs of its calls stand right behind it, wherever the client put them.
local check = require "perilune.dialects.responses_fields"
local json = require "perilune.json"
local shape = require "perilune.shape"

local M = {}

local NAME = "openai_responses"

local kind, text_of = json.kind, json.text

local refuse, optional, object, list = check.refuse, check.optional, check.object, check.list
local text, whole, boolean, as = check.text, check.whole, check.boolean, check.as

----------------------------------------------------------------------------------------------------------------------------
-- Parts of a content

-- "data:image/png;base64,AAAA" is bytes, everything else an address.
local function from_url(part, url)
  local mime, data = url:match "^data:([^;,]*)[^,]*;base64,(.*)$"
  if mime then
    part.mime, part.data = mime ~= "" and mime or nil, data
  else
    part.url = url
  end
  return part
end

local function image(fields, where)
  local part = { kind = "image", detail = text_of(fields.detail), file_id = text_of(fields.file_id) }
  local url = text_of(fields.image_url)
  if url then
    return from_url(part, url)
  elseif not part.file_id then
    refuse(where, "%s needs an image_url or a file_id", where)
  end
  return part
end

local function file(fields, where)
  local part = { kind = "file", name = text_of(fields.filename), file_id = text_of(fields.file_id), url = text_of(fields.file_url) }
  local data = text_of(fields.file_data)
  if data then
    from_url(part, data)
    if part.url == data then -- bare base64
      part.url, part.data = nil, data
    end
  elseif not part.file_id and not part.url then
    refuse(where, "%s needs file_data, a file_url or a file_id", where)
  end
  return part
end

local function audio(fields, where)
  local inner = object(fields.input_audio, where .. ".input_audio")
  return { kind = "audio", data = text(inner.data, where .. ".input_audio.data"), format = text_of(inner.format) }
end

local function plain(fields, where)
  return { kind = "text", text = text(fields.text, where .. ".text") }
end

local PARTS = {
  input_text = plain, output_text = plain, text = plain, summary_text = plain, reasoning_text = plain,
  input_image = image, input_file = file, input_audio = audio,
  refusal = function(fields, where)
    return { kind = "refusal", text = text(fields.refusal, where .. ".refusal") }
  end,
}

-- A string, or a list of parts. One we do not know keeps its place; `keep` makes it what can be told apart later.
local function content(raw, where, keep)
  if kind(raw) == "string" then
    return { { kind = "text", text = text_of(raw) } }
  end
  local parts = {}
  for i, item in ipairs(list(raw, where)) do
    local at = ("%s[%d]"):format(where, i - 1)
    local fields = object(item, at)
    local read = PARTS[text_of(fields.type) or ""]
    parts[i] = read and read(fields, at) or { kind = "opaque", dialect = NAME, raw = keep and keep(item) or item }
  end
  return parts
end

----------------------------------------------------------------------------------------------------------------------------
-- Items of the input

---@class perilune.ResponsesTurns what the items read so far come to
---@field entries { message: perilune.Message, results?: perilune.Message }[] in order; results stand right behind
---@field open? table the assistant's entry that further items of its turn join
---@field calls table<string, { entry: table, name: string }> by call id

local function add(turns, role, parts)
  local entry = { message = { role = role, parts = parts } }
  turns.entries[#turns.entries + 1] = entry
  turns.open = nil
  return entry
end

-- The assistant's turn goes on until somebody else speaks.
local function assistant(turns)
  if not turns.open then
    turns.open = add(turns, "assistant", {})
  end
  return turns.open
end

local function say(turns, part)
  local parts = assistant(turns).message.parts
  parts[#parts + 1] = part
end

local ROLES = { user = "user", assistant = "assistant", system = "system", developer = "system" }

local function read_message(turns, fields, where)
  local role = text(fields.role, where .. ".role")
  if not ROLES[role] then
    refuse(where .. ".role", '%s.role: "%s" is none of user, assistant, system and developer', where, role)
  end
  local parts = content(fields.content, where .. ".content", function(raw)
    return ('{"type":"message","role":%s,"content":[%s]}'):format(json.quote(role), raw) -- opaque blocks are whole items
  end)
  if ROLES[role] ~= "assistant" then
    add(turns, ROLES[role], parts)
    return
  end
  for _, part in ipairs(parts) do
    if part.text ~= "" then
      say(turns, part)
    end
  end
end

-- Arguments are an object. What a model once wrote wrong can not be taken back by the client, whose session must go on: it becomes an
-- object that holds it.
local function arguments(raw, where)
  if kind(raw) == "object" then
    return raw
  end
  local written = text(raw, where)
  if shape.is_blank(written) then
    return "{}"
  elseif kind(written) == "object" and json.valid(written) then
    return written
  end
  return '{"arguments":' .. json.quote(written) .. "}"
end

local function call_id(fields, where)
  return text_of(fields.call_id) or text(fields.id, where .. ".call_id")
end

-- The signature of a call of Gemini's stands in a reasoning item of ours before the call.
local function take_signature(parts)
  local before = parts[#parts]
  local state = before and before.kind == "reasoning" and not before.text and before.state
  if state and state.kind == "signature" and state.by == "gemini" then
    parts[#parts] = nil
    return state.value
  end
  return nil
end

local function read_call(turns, part)
  part.signature = take_signature(assistant(turns).message.parts)
  say(turns, part)
  turns.calls[part.id] = { entry = turns.open, name = part.name }
end

local function function_call(turns, fields, where)
  read_call(turns, {
    kind = "call", id = call_id(fields, where), name = text(fields.name, where .. ".name"),
    arguments = arguments(fields.arguments, where .. ".arguments"),
  })
end

local function custom_call(turns, fields, where)
  read_call(turns, {
    kind = "call", id = call_id(fields, where), name = text(fields.name, where .. ".name"), custom = true,
    arguments = text(fields.input, where .. ".input"),
  })
end

local function output_parts(raw, where)
  local it_is = kind(raw)
  if it_is == "string" or it_is == "array" then
    return content(raw, where)
  elseif it_is == "null" or it_is == nil then
    return {}
  end
  return { { kind = "text", text = raw } } -- objects are told as they are
end

local function call_output(turns, fields, where)
  local id = call_id(fields, where)
  local call = turns.calls[id]
  if not call then
    refuse(where .. ".call_id", "%s.call_id: no call before it has the id %s", where, id)
  end
  local entry = call.entry
  entry.results = entry.results or { role = "tool", parts = {} }
  local parts = entry.results.parts
  parts[#parts + 1] = { kind = "result", id = id, name = call.name, parts = output_parts(fields.output, where .. ".output") }
  if turns.open == entry then
    turns.open = nil
  end
end

-- The texts of a reasoning item's summary or content; nil for none.
local function told(raw, where)
  local texts = {}
  for _, part in ipairs(optional(raw, content, where) or {}) do
    texts[#texts + 1] = part.text
  end
  return texts[1] and table.concat(texts, "\n\n")
end

local function reasoning(turns, fields, where)
  local sealed, state = text_of(fields.encrypted_content), nil
  if sealed and sealed ~= "" then
    state = shape.unseal(sealed, NAME, "encrypted")
    state.id = text_of(fields.id)
  end
  local raw, summary = told(fields.content, where .. ".content"), told(fields.summary, where .. ".summary")
  if raw or (state and not summary) then
    say(turns, { kind = "reasoning", text = raw, state = state })
    state = nil -- once is enough
  end
  if summary then
    say(turns, { kind = "reasoning", text = summary, summary = true, state = state })
  end
end

local function reference(_, _, where)
  refuse(where, "%s: an item_reference needs earlier turns' items, which are not kept for this target; send the item itself", where)
end

local ITEMS = {
  message = read_message,
  function_call = function_call, custom_tool_call = custom_call,
  function_call_output = call_output, custom_tool_call_output = call_output,
  reasoning = reasoning,
  item_reference = reference,
}

local function read_item(turns, raw, where)
  local fields = object(raw, where)
  local item = text_of(fields.type) or (fields.role and "message")
  if not item then
    refuse(where .. ".type", "%s needs a type", where)
  end
  local read = ITEMS[item]
  if read then
    read(turns, fields, where)
  else
    say(turns, { kind = "opaque", dialect = NAME, raw = raw }) -- calls the provider made itself, compactions
  end
end

local function read_input(fields)
  local turns = { entries = {}, calls = {} }
  local instructions = optional(fields.instructions, text, "instructions")
  if instructions and instructions ~= "" then
    add(turns, "system", { { kind = "text", text = instructions } })
  end
  if kind(fields.input) == "string" then
    add(turns, "user", content(fields.input, "input"))
  else
    for i, raw in ipairs(list(fields.input, "input")) do
      read_item(turns, raw, ("input[%d]"):format(i - 1))
    end
  end
  local messages = {}
  for _, entry in ipairs(turns.entries) do
    messages[#messages + 1] = entry.message
    messages[#messages + 1] = entry.results
  end
  return messages
end

----------------------------------------------------------------------------------------------------------------------------
-- Everything but the input

local function read_tool(raw, where)
  local fields = object(raw, where)
  local type_of = text(fields.type, where .. ".type")
  if type_of ~= "function" and type_of ~= "custom" then
    return { name = text_of(fields.name) or type_of, hosted = { dialect = NAME, type = type_of, raw = raw } }
  end
  local tool = { name = text(fields.name, where .. ".name"), description = optional(fields.description, text, where .. ".description") }
  if type_of == "custom" then
    tool.custom = true
    tool.grammar = optional(fields.format, as "object", where .. ".format")
  else
    tool.schema = optional(fields.parameters, as "object", where .. ".parameters")
    tool.strict = optional(fields.strict, boolean, where .. ".strict")
  end
  return tool
end

local function read_tools(raw, where)
  local tools = {}
  for i, item in ipairs(list(raw, where)) do
    tools[i] = read_tool(item, ("%s[%d]"):format(where, i - 1))
  end
  return tools[1] and tools
end

local MODES = { auto = true, none = true, required = true }

-- nil for one that names a tool the provider runs.
local function read_choice(raw, where)
  local mode = text_of(raw)
  if mode then
    return MODES[mode] and { mode = mode } or refuse(where, '%s: "%s" is none of auto, none and required', where, mode)
  end
  local fields = object(raw, where)
  local type_of = text(fields.type, where .. ".type")
  if type_of == "function" or type_of == "custom" then
    return { mode = "named", name = text(fields.name, where .. ".name"), custom = type_of == "custom" or nil }
  elseif type_of ~= "allowed_tools" then
    return nil
  end
  local names = {}
  for i, item in ipairs(list(fields.tools, where .. ".tools")) do
    local tool = object(item, ("%s.tools[%d]"):format(where, i - 1))
    names[i] = text_of(tool.name) or text_of(tool.type)
  end
  return { mode = text_of(fields.mode) == "required" and "required" or "auto", names = names }
end

local function read_format(raw, where)
  local fields = object(raw, where)
  local type_of = text(fields.type, where .. ".type")
  if type_of == "json_schema" then
    return {
      kind = "schema", name = optional(fields.name, text, where .. ".name"), schema = as "object"(fields.schema, where .. ".schema"),
      strict = optional(fields.strict, boolean, where .. ".strict"),
      description = optional(fields.description, text, where .. ".description"),
    }
  elseif type_of == "json_object" or type_of == "text" then
    return { kind = type_of == "text" and "text" or "json" }
  end
  return refuse(where .. ".type", '%s.type: "%s" is none of text, json_object and json_schema', where, type_of)
end

local function read_reasoning(raw, where)
  local fields = object(raw, where)
  local wish = {
    effort = optional(fields.effort, text, where .. ".effort"),
    summary = optional(fields.summary, text, where .. ".summary") or optional(fields.generate_summary, text, where .. ".generate_summary"),
  }
  if wish.effort and not shape.nearest_effort(wish.effort) then
    refuse(where .. ".effort", '%s.effort: "%s" is none of %s', where, wish.effort, table.concat(shape.efforts, ", "))
  end
  return next(wish) and wish
end

local function read_text(request, raw, where)
  local fields = object(raw, where)
  request.format = optional(fields.format, read_format, where .. ".format")
  request.verbosity = optional(fields.verbosity, text, where .. ".verbosity")
end

-- Asked for by a number of alternatives, or in `include`.
local function read_logprobs(request, fields)
  request.top_logprobs = optional(fields.top_logprobs, as "number", "top_logprobs")
  local wanted = request.top_logprobs and json.number(request.top_logprobs) > 0
  for _, raw in ipairs(optional(fields.include, list, "include") or {}) do
    wanted = wanted or text_of(raw) == "message.output_text.logprobs"
  end
  request.logprobs = wanted or nil
  if not wanted then
    request.top_logprobs = nil
  end
end

-- What needs answers of earlier turns, or one that is fetched later: nothing is kept here, and where it is kept no other model can read it.
local function refuse_state(fields)
  local advice = "%s needs state that only a target speaking the Responses API keeps, and this request goes to another: %s"
  for _, case in ipairs {
    { "previous_response_id", "send the whole conversation in `input`" },
    { "conversation", "send the whole conversation in `input`" },
    { "prompt", "send the prompt's text in `instructions` and `input`" },
  } do
    local raw = fields[case[1]]
    if raw and kind(raw) ~= "null" then
      refuse(case[1], advice, case[1], case[2])
    end
  end
  if optional(fields.background, boolean, "background") then
    refuse("background", advice, "background", "leave it out, and stream if it takes long")
  end
end

-- One member of the body each: field of the request, and how it is read.
local MEMBERS = {
  { "max_output_tokens", "max_tokens", whole },
  { "temperature", "temperature", as "number" },
  { "top_p", "top_p", as "number" },
  { "tools", "tools", read_tools },
  { "tool_choice", "tool_choice", read_choice },
  { "parallel_tool_calls", "parallel", boolean },
  { "reasoning", "reasoning", read_reasoning },
  { "prompt_cache_key", "cache_key", text },
  { "service_tier", "service_tier", text },
  { "store", "store", boolean },
  { "metadata", "metadata", as "object" },
}

-- Understood above and below, or without meaning for an answer: these are no extras.
local KNOWN = {
  model = true, models = true, input = true, instructions = true, stream = true, stream_options = true, text = true, include = true,
  top_logprobs = true, user = true, safety_identifier = true, previous_response_id = true, conversation = true, prompt = true,
  background = true,
}
for _, member in ipairs(MEMBERS) do
  KNOWN[member[1]] = true
end

local function read_extra(request, keys)
  for _, key in ipairs(keys) do
    local lost_choice = key == "tool_choice" and not request.tool_choice
    if (not KNOWN[key] or lost_choice) and request.fields[key] ~= "null" then
      request.extra[#request.extra + 1] = { key, request.fields[key] }
    end
  end
end

local function read_request(fields, keys)
  refuse_state(fields)
  local request = {
    stream = optional(fields.stream, boolean, "stream") or false, wants_usage = true, messages = read_input(fields), fields = fields,
    extra = {}, dialect = NAME,
  }
  for _, member in ipairs(MEMBERS) do
    request[member[2]] = optional(fields[member[1]], member[3], member[1])
  end
  optional(fields.text, function(raw)
    read_text(request, raw, "text")
  end)
  read_logprobs(request, fields)
  request.user = optional(fields.safety_identifier, text, "safety_identifier") or optional(fields.user, text, "user")
  read_extra(request, keys)
  return request
end

--- Reads a client's request.
---@param body string
---@return perilune.Request|nil, perilune.Problem|nil
function M.read(body)
  local fields, keys = json.ordered(body)
  if not fields then
    return nil, { message = "the request is not a JSON object: " .. keys }
  end
  return check.guard(read_request, fields, keys)
end

return M
