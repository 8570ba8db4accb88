--- A Chat Completions request, read into the neutral shape.
---
--- Clients send histories that no service wrote: results without an id, calls whose arguments are "", results far behind their calls. What
--- can be meant in one way only is read so; what can not is a problem that names the place.
local json = require "perilune.json"
local fields = require "perilune.dialects.chat_fields"
local states = require "perilune.dialects.chat_states"

local M = {}

local fail, object, list, text, said = fields.fail, fields.object, fields.list, fields.text, fields.said

----------------------------------------------------------------------------------------------------------------------------
-- Parts

local CACHES = { ["30m"] = '{"type":"ephemeral"}', ["12h"] = '{"type":"ephemeral","ttl":"1h"}' }

-- A mark for the prompt cache: OpenAI's own, or Anthropic's, which many services of this dialect take.
local function cache_of(param, part)
  if part.cache_control then
    return part.cache_control
  elseif not part.prompt_cache_breakpoint then
    return nil
  end
  local mark = object(param .. ".prompt_cache_breakpoint", part.prompt_cache_breakpoint)
  return CACHES[text(param, mark.ttl)] or CACHES["30m"]
end

-- The two halves of a data URL.
local function data_of(url)
  return url:match "^data:([^;,]+);[^,]*base64,(.*)$"
end

local function image_of(param, part)
  local image = part.image_url
  local url, detail
  if json.kind(image) == "string" then
    url = json.text(image)
  else
    local inner = object(param .. ".image_url", image)
    url, detail = text(param .. ".image_url.url", inner.url), text(param .. ".image_url.detail", inner.detail)
  end
  if not url then
    fail(param .. ".image_url.url", "an address is missing")
  end
  local mime, data = data_of(url)
  return { kind = "image", url = not data and url or nil, data = data, mime = mime, detail = detail }
end

local function audio_of(param, part)
  local audio = object(param .. ".input_audio", part.input_audio)
  return {
    kind = "audio", data = text(param .. ".input_audio.data", audio.data), format = text(param .. ".input_audio.format", audio.format),
  }
end

local function file_of(param, part)
  local file = object(param .. ".file", part.file)
  local data = text(param .. ".file.file_data", file.file_data)
  local mime, bare = data_of(data or "")
  return {
    kind = "file", file_id = text(param .. ".file.file_id", file.file_id), data = bare or data, mime = mime,
    name = text(param .. ".file.filename", file.filename),
  }
end

-- The thinking chunks of Mistral's: a text, or a list of texts.
local function thinking_of(param, part)
  local thinking = part.thinking
  if json.kind(thinking) == "array" then
    local out = {}
    for i, raw in ipairs(list(param .. ".thinking", thinking)) do
      local where = ("%s.thinking[%d]"):format(param, i - 1)
      out[i] = text(where .. ".text", object(where, raw).text) or ""
    end
    return { kind = "reasoning", text = table.concat(out) }
  end
  return { kind = "reasoning", text = text(param .. ".thinking", thinking) }
end

local PARTS = {
  text = function(param, part)
    return { kind = "text", text = text(param .. ".text", part.text) or "" }
  end,
  refusal = function(param, part)
    return { kind = "refusal", text = text(param .. ".refusal", part.refusal) or "" }
  end,
  image_url = image_of, input_audio = audio_of, file = file_of, thinking = thinking_of,
}

local function part_of(param, raw)
  local part = object(param, raw)
  local read = PARTS[text(param .. ".type", part.type)]
  if not read then
    return { kind = "opaque", dialect = "openai_chat", raw = raw }
  end
  local out = read(param, part)
  out.cache = cache_of(param, part)
  return out
end

local function content_of(param, raw)
  local kind = json.kind(raw)
  if kind == nil then
    return {}
  elseif kind == "string" then
    return { { kind = "text", text = json.text(raw) } }
  elseif kind ~= "array" then
    fail(param, "expected a string or an array of parts")
  end
  local out = {}
  for i, item in ipairs(list(param, raw)) do
    out[i] = part_of(("%s[%d]"):format(param, i - 1), item)
  end
  return out
end

----------------------------------------------------------------------------------------------------------------------------
-- What the assistant thought

-- LiteLLM's form of Anthropic's blocks.
local function read_blocks(param, raw, parts)
  for i, item in ipairs(list(param, raw)) do
    local block = object(("%s[%d]"):format(param, i - 1), item)
    local signature, data = text(param, block.signature), text(param, block.data)
    local state
    if signature then
      state = { kind = "signature", value = signature, by = "anthropic_messages" }
    elseif data then
      state = { kind = "redacted", value = data, by = "anthropic_messages" }
    end
    parts[#parts + 1] = { kind = "reasoning", text = text(param, block.thinking), state = state }
  end
end

-- `all` without the text that another entry tells itself; both when it is not in there.
local function without(all, told)
  local from, to = all:find(told, 1, true)
  return from and all:sub(1, from - 1) .. all:sub(to + 1) or all
end

-- Entries of reasoning_details, and the text of all of them that stands beside. Those that tell their own text take it from there; the
-- first signature that does not has the rest.
local function read_details(param, raw, all, parts)
  local open
  for i, item in ipairs(list(param, raw)) do
    object(("%s[%d]"):format(param, i - 1), item)
    local entry = json.read(item)
    local state, told, summary = states.read(entry, item), states.text(entry)
    if told or state then
      local part = { kind = "reasoning", text = told, summary = summary, state = state }
      all = told and all and without(all, told) or all
      if not told and not open and state.kind ~= "redacted" then
        open = part
      end
      parts[#parts + 1] = part
    end
  end
  if all and all ~= "" then
    if open then
      open.text = all
      open.summary = open.state.kind == "encrypted" and open.state.by ~= "openai_chat" or nil
    elseif not parts[1] or not parts[1].text then
      table.insert(parts, 1, { kind = "reasoning", text = all })
    end
  end
end

local function read_thoughts(param, message, parts)
  local all = text(param .. ".reasoning_content", message.reasoning_content)
  if (not all or all == "") and json.kind(message.reasoning) == "string" then
    all = json.text(message.reasoning)
  end
  if message.thinking_blocks then
    read_blocks(param .. ".thinking_blocks", message.thinking_blocks, parts)
  elseif message.reasoning_details then
    read_details(param .. ".reasoning_details", message.reasoning_details, all, parts)
  elseif all and all ~= "" then
    parts[1] = { kind = "reasoning", text = all }
  end
end

----------------------------------------------------------------------------------------------------------------------------
-- Calls

-- A history may hold what a stream left behind: no arguments at all mean none were needed.
local function arguments_of(param, raw)
  local arguments = raw
  if json.kind(raw) == "string" then
    arguments = json.text(raw)
  end
  if not arguments or not arguments:find "%S" then
    return "{}"
  end
  if json.kind(arguments) ~= "object" or not json.valid(arguments) then
    fail(param, "expected the JSON of an object")
  end
  return arguments
end

-- Where Google's OpenAI-compatible layer, and we, put a thought's signature.
local function signature_of(extra)
  local content = json.kind(extra) == "object" and json.fields(extra) or {}
  local google = json.kind(content.google) == "object" and json.fields(content.google) or {}
  return json.text(google.thought_signature)
end

local function call_of(param, raw)
  local call = object(param, raw)
  local custom = text(param .. ".type", call.type) == "custom"
  local key = custom and "custom" or "function"
  local inner = object(("%s.%s"):format(param, key), call[key])
  local name = text(("%s.%s.name"):format(param, key), inner.name)
  if not name then
    fail(("%s.%s.name"):format(param, key), "a name is missing")
  end
  local part = { kind = "call", id = text(param .. ".id", call.id), name = name, signature = signature_of(call.extra_content) }
  if custom then
    part.custom, part.arguments = true, text(param .. ".custom.input", inner.input) or ""
  else
    part.arguments = arguments_of(param .. ".function.arguments", inner.arguments)
  end
  return part
end

local function read_calls(param, message, parts)
  if message.tool_calls then
    for i, raw in ipairs(list(param .. ".tool_calls", message.tool_calls)) do
      parts[#parts + 1] = call_of(("%s.tool_calls[%d]"):format(param, i - 1), raw)
    end
  elseif message.function_call then
    local call = object(param .. ".function_call", message.function_call)
    parts[#parts + 1] = {
      kind = "call", name = text(param .. ".function_call.name", call.name) or fail(param .. ".function_call.name", "a name is missing"),
      arguments = arguments_of(param .. ".function_call.arguments", call.arguments),
    }
  end
end

----------------------------------------------------------------------------------------------------------------------------
-- Messages. `turn` is the last assistant's turn that called: { at = its place, calls, answered (by call), results (the message) }.

local function add(messages, message)
  messages[#messages + 1] = message
end

local function plain(role)
  return function(messages, param, message)
    add(messages, { role = role, parts = content_of(param .. ".content", message.content), name = text(param .. ".name", message.name) })
  end
end

local function read_assistant(messages, param, message)
  local parts = {}
  read_thoughts(param, message, parts)
  for _, part in ipairs(content_of(param .. ".content", message.content)) do
    parts[#parts + 1] = part
  end
  local refusal = text(param .. ".refusal", message.refusal)
  if refusal and refusal ~= "" then
    parts[#parts + 1] = { kind = "refusal", text = refusal }
  end
  if message.audio then
    parts[#parts + 1] = { kind = "audio", id = text(param .. ".audio.id", object(param .. ".audio", message.audio).id) }
  end
  local signature = signature_of(message.extra_content)
  local last = parts[#parts]
  if signature and last and last.kind == "text" then
    last.signature = signature
  end
  local calls = {}
  read_calls(param, message, calls)
  for i, call in ipairs(calls) do
    call.unnamed = not call.id or call.id == ""
    if call.unnamed then
      call.id = ("call_%d_%d"):format(#messages + 1, i)
    end
    parts[#parts + 1] = call
  end
  add(messages, { role = "assistant", parts = parts, name = text(param .. ".name", message.name) })
  if calls[1] then
    messages.turn = { at = #messages, calls = calls, answered = {} }
  end
end

-- The call a result is of: the one of its id; for a result without one, or whose calls had none, the first that still waits.
local function asked_by(turn, id, name)
  for _, call in ipairs(turn and turn.calls or {}) do
    local fits = call.id == id or ((not id or id == "" or call.unnamed) and (not name or name == call.name))
    if fits and not turn.answered[call] then
      return call
    end
  end
  return nil
end

-- A result nobody asked for (its call was cut off the history): no service takes it as one, so that its text is told by the user.
local function read_stray(messages, param, message)
  add(messages, { role = "user", parts = content_of(param .. ".content", message.content) })
end

local function read_result(messages, param, message)
  local turn = messages.turn
  local name = text(param .. ".name", message.name)
  local call = asked_by(turn, text(param .. ".tool_call_id", message.tool_call_id), message.tool_call_id and nil or name)
  if not call then
    return read_stray(messages, param, message)
  end
  turn.answered[call] = true
  if not turn.results then
    turn.results = { role = "tool", parts = {} }
    table.insert(messages, turn.at + 1, turn.results)
  end
  local parts = content_of(param .. ".content", message.content)
  turn.results.parts[#turn.results.parts + 1] = { kind = "result", id = call.id, name = name, parts = parts }
end

local ROLES = {
  system = plain "system", developer = plain "system", user = plain "user", assistant = read_assistant,
  tool = read_result, ["function"] = read_result,
}

local function read_message(messages, param, raw)
  local message = object(param, raw)
  local role = text(param .. ".role", message.role)
  local read = ROLES[role]
  if not read then
    fail(param .. ".role", role and ('there is no role "%s"'):format(role) or "a role is missing")
  end
  read(messages, param, message)
end

--- The messages of a request; raises problems.
---@param raw perilune.Raw
---@return perilune.Message[]
function M.messages(raw)
  local messages = {}
  for i, item in ipairs(list("messages", raw)) do
    read_message(messages, ("messages[%d]"):format(i - 1), item)
  end
  messages.turn = nil
  for _, message in ipairs(messages) do
    for _, part in ipairs(message.parts) do
      part.unnamed = nil
    end
  end
  return messages
end

local function read(body)
  local members, keys = json.ordered(body)
  if not members then
    return nil, { message = "The request is not JSON: " .. keys .. "." }
  end
  local request = { stream = false, wants_usage = false, messages = {}, fields = members, extra = {}, dialect = "openai_chat" }
  fields.read(request, keys)
  local messages = said(request.fields.messages)
  if not messages then
    fail("messages", "there are none")
  end
  request.messages = M.messages(messages)
  if not request.messages[1] then
    fail("messages", "there are none")
  end
  return request
end

--- Reads a client's request.
---@param body string
---@return perilune.Request|nil, perilune.Problem|nil
function M.read(body)
  return fields.guard(read, body)
end

return M
