--- Anthropic Messages: a client's own request, going to a provider of the same dialect. Its bytes stay but for what must change, so that
--- cache marks, betas, signatures and fields nobody here knows arrive as they were sent.
local json = require "perilune.json"
local settings = require "perilune.dialects.anthropic_settings"
local shape = require "perilune.shape"
local turns = require "perilune.dialects.anthropic_turns"

local M = {}

-- Fields of the request that are for the router and not for a provider.
local OURS = { "models" }

-- The members that say what OpenAI's parameters say, where they have other names.
local KEYS = {
  max_completion_tokens = { "max_tokens" }, stop = { "stop_sequences" }, parallel_tool_calls = { "tool_choice" },
  reasoning_effort = { "thinking", "output_config", "temperature", "top_p", "top_k" }, response_format = { "output_config" },
  user = { "metadata" }, safety_identifier = { "metadata" },
}
-- OpenAI's word for something else.
local NOT_OURS = { metadata = true }
-- This dialect's own words, which go to the wire as they are, though chat services know some of them, too.
local NATIVE = { thinking = true, output_config = true, stop_sequences = true }

local function keys_of(name)
  return KEYS[name] or { not NOT_OURS[name] and name or nil }
end

----------------------------------------------------------------------------------------------------------------------------
-- Settings

---@class perilune.AnthropicEdit
---@field request perilune.Request the client's, with the overrides
---@field target perilune.AimedAt
---@field keys table<string, boolean> members that are written anew
---@field set table<string, boolean> parameters that were overridden
---@field edits perilune.Edit[]

local function touch(edit, name)
  for _, key in ipairs(keys_of(name)) do
    edit.keys[key] = true
  end
end

-- Deep enough for what an override changes.
local function copy_of(request)
  local copy = {}
  for name, value in pairs(request) do
    copy[name] = value
  end
  copy.extra = { unpack(request.extra) }
  return copy
end

-- An effort that is set takes the place of what the client asked for, but for how it is told.
local function forget_effort(request)
  local wish = request.reasoning
  request.reasoning = wish and { summary = wish.summary, hidden = wish.hidden }
end

-- Sets a parameter by OpenAI's name; false for a name that is none.
local function set(request, name, raw)
  if NATIVE[name] then
    return false
  elseif name == "reasoning_effort" then
    forget_effort(request)
  end
  return require("perilune.dialects.openai_chat").set(request, name, raw)
end

-- A step's overrides; a name that is none of OpenAI's is a field of this dialect.
local function override(edit, params)
  for _, param in ipairs(params) do
    local name, raw = param[1], param[2]
    if name == "extra" and json.kind(raw) == "object" then
      for _, member in ipairs(json.members(raw)) do
        edit.edits[#edit.edits + 1] = { key = member.key, raw = member.raw }
      end
    elseif set(edit.request, name, raw) then
      edit.set[name] = true
      touch(edit, name)
    else
      edit.edits[#edit.edits + 1] = { key = name, raw = raw }
    end
  end
end

-- How the client asks for thinking, against how this target takes it.
local MISFITS = {
  budget = { adaptive = true, between_tools = true }, adaptive = { enabled = true }, always = { enabled = true, disabled = true },
}

local function fit_thinking(edit)
  local raw = edit.request.fields.thinking
  local kind = json.kind(raw) == "object" and json.text(json.fields(raw).type)
  local misfits = MISFITS[edit.target.quirks.thinking or ""]
  local wish, bound = edit.request.reasoning, edit.request.max_tokens
  if kind and misfits and misfits[kind] then
    edit.keys.thinking, edit.keys.output_config = true, true
  elseif wish and wish.budget and bound and wish.budget >= math.min(bound, edit.target.max_output or bound) then
    edit.keys.thinking = true
  end
end

-- What this target refuses of what the client says.
local function fit(edit)
  local quirks, request = edit.target.quirks, edit.request
  for _, name in ipairs(quirks.unsupported or {}) do
    touch(edit, name)
  end
  if quirks.no_sampling then
    for _, name in ipairs { "temperature", "top_p", "top_k" } do
      touch(edit, name)
    end
  end
  if quirks.max_stop and request.stop and #request.stop > quirks.max_stop then
    touch(edit, "stop")
  end
  if request.max_tokens and edit.target.max_output and request.max_tokens > edit.target.max_output then
    touch(edit, "max_tokens")
  end
  fit_thinking(edit)
end

-- The effort and the format are two things in one object; what else stands there stays.
local function output_config(edit, new)
  local held = edit.request.fields.output_config
  local members = new and json.fields(new) or {}
  local inner = {}
  if edit.keys.thinking then
    inner[1] = { key = "effort", raw = members.effort }
  end
  if edit.set.response_format then
    inner[#inner + 1] = { key = "format", raw = members.format }
  end
  local raw = assert(json.splice(json.kind(held) == "object" and held or "{}", inner))
  return raw:find "^{%s*}$" == nil and raw or nil
end

-- Whether a drop is about something that was written anew, or overridden.
local function concerns(edit, name)
  local concerned = edit.set[name] or false
  for _, key in ipairs(keys_of(name)) do
    concerned = concerned or edit.keys[key] or false
  end
  return concerned
end

local function write_settings(edit, drops)
  if not next(edit.keys) and not next(edit.set) then
    return
  end
  local scratch, said = shape.drops(), {}
  local members = settings.members(edit.request, {
    target = edit.target, drops = scratch, names = turns.names(), unthought = false,
    mark = function(cache)
      return cache and ',"cache_control":' .. cache or ""
    end,
    say = function(text)
      said[#said + 1] = text
    end,
  })
  if edit.keys.output_config then
    members.output_config = output_config(edit, members.output_config)
  end
  for key in pairs(edit.keys) do
    if members[key] or edit.request.fields[key] then
      edit.edits[#edit.edits + 1] = { key = key, raw = members[key] }
    end
  end
  for _, name in ipairs(scratch.names) do
    if concerns(edit, name) then
      drops:add(name)
    end
  end
end

----------------------------------------------------------------------------------------------------------------------------
-- Messages

-- The thinking of other models, which our writer wrapped; this provider would take it for a forgery.
local SEALED = "^pl1%."

-- A block as it may go up: itself, with an id it may have, or nil.
local function mended(block, ids)
  local fields = json.kind(block) == "object" and json.fields(block) or {}
  local kind = json.text(fields.type)
  local sealed = kind == "thinking" and fields.signature or kind == "redacted_thinking" and fields.data
  if sealed and (json.text(sealed) or ""):find(SEALED) then
    return nil
  end
  local key = kind == "tool_use" and "id" or kind == "tool_result" and "tool_use_id"
  local id = key and json.text(fields[key])
  if id and ids:of(id) ~= id then
    return assert(json.splice(block, { { key = key, raw = json.quote(ids:of(id)) } }))
  end
  return block
end

local function mend_message(raw, ids)
  local content = json.fields(raw).content
  if json.kind(content) ~= "array" then
    return raw
  end
  local out, same = {}, true
  for _, block in ipairs(json.items(content)) do
    local new = mended(block, ids)
    same = same and new == block
    out[#out + 1] = new
  end
  if same then
    return raw
  end
  return out[1] and assert(json.splice(raw, { { key = "content", raw = "[" .. table.concat(out, ",") .. "]" } })) or nil
end

-- Whether the history holds what a provider of this dialect has not made and would refuse.
local function is_mixed(request, body, ids)
  if body:find('"pl1.', 1, true) then
    return true
  end
  for _, message in ipairs(request.messages) do
    for _, part in ipairs(message.parts) do
      if (part.kind == "call" or part.kind == "result") and ids:of(part.id) ~= part.id then
        return true
      end
    end
  end
  return false
end

local function mend_messages(edit, body)
  local ids, out = turns.names(), {}
  if not is_mixed(edit.request, body, ids) then
    return
  end
  for _, raw in ipairs(json.items(edit.request.fields.messages)) do
    out[#out + 1] = mend_message(raw, ids)
  end
  edit.edits[#edit.edits + 1] = { key = "messages", raw = "[" .. table.concat(out, ",") .. "]" }
end

----------------------------------------------------------------------------------------------------------------------------

--- The client's own bytes with what must change.
---@param request perilune.Request
---@param body string
---@param target perilune.AimedAt
---@param params perilune.Param[]
---@param drops perilune.Drops
---@param addressed perilune.Edit[] what names model and version
---@return string
function M.body(request, body, target, params, drops, addressed)
  local edit = { request = copy_of(request), target = target, keys = {}, set = {}, edits = addressed }
  for _, key in ipairs(OURS) do
    if request.fields[key] then
      addressed[#addressed + 1] = { key = key }
    end
  end
  override(edit, params)
  fit(edit)
  write_settings(edit, drops)
  mend_messages(edit, body)
  return assert(json.splice(body, edit.edits))
end

return M
