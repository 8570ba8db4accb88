--- Chat Completions on both sides: the client's own bytes, with what must change.
---
--- What a target's quirks change is found by writing the request twice, once for the target and once for one that can do everything: where
--- the two differ the client's bytes give way, and nowhere else.
local json = require "perilune.json"
local build = require "perilune.dialects.chat_build"
local fields = require "perilune.dialects.chat_fields"
local messages = require "perilune.dialects.chat_messages"
local reasoning = require "perilune.dialects.chat_reasoning"
local shape = require "perilune.shape"

local M = {}

local said = fields.said

-- Fields that are for the router and not for a provider.
local OURS = { "models", "route" }

-- stream_options that ask for usage, whatever else the client set there.
local function with_usage(raw)
  if json.kind(raw) ~= "object" then
    return '{"include_usage":true}'
  end
  return assert(json.splice(raw, { { key = "include_usage", raw = "true" } }))
end

-- The other name of the same thing, which must not contradict an override.
local TWINS = {
  max_tokens = "max_completion_tokens", max_completion_tokens = "max_tokens", user = "safety_identifier", safety_identifier = "user",
}

local WISHES = {}
for _, name in ipairs(reasoning.names) do
  WISHES[name] = true
end

-- Overrides, in the body and in what was read of it. Returns the name of one that is about thinking.
local function override(request, params, edits)
  local about_thinking
  for _, param in ipairs(params) do
    local name, raw = param[1], param[2]
    if name == "extra" and json.kind(raw) == "object" then
      for _, m in ipairs(json.members(raw)) do
        edits[#edits + 1] = { key = m.key, raw = m.raw }
      end
    else
      fields.set(request, name, raw)
      request.fields[name] = raw
      edits[#edits + 1] = { key = name, raw = raw }
      about_thinking = about_thinking or (WISHES[name] and name)
    end
    if TWINS[name] then
      request.fields[TWINS[name]] = nil
      edits[#edits + 1] = { key = TWINS[name] }
    end
  end
  return about_thinking
end

local EVERYTHING = setmetatable({}, {
  __index = function()
    return true
  end,
})

local function copy(t)
  local out = {}
  for k, v in pairs(t) do
    out[k] = v
  end
  return out
end

-- The name the client gives a thing that has two.
local function own_name(request, better, other)
  return said(request.fields[better]) and better or other
end

-- Whether what is said of thinking stays: it is said in the target's form already, or nothing is known of that form.
local function thinking_stays(request, quirks, overridden)
  local form = quirks.reasoning
  if reasoning.must_not(request, quirks) then
    return false
  end
  return not form or (form ~= "chat_template_kwargs" and said(request.fields[form]) ~= nil and (overridden or form) == form)
end

-- The target as the client's bytes are held against it: what is no quirk of it, they settle between themselves.
local function aimed(request, target, overridden)
  local out, quirks = copy(target), copy(target.quirks)
  quirks.max_tokens = quirks.max_tokens or own_name(request, "max_completion_tokens", "max_tokens")
  quirks.seed = quirks.seed or own_name(request, "random_seed", "seed")
  quirks.reasoning_back = quirks.reasoning_back or "always"
  quirks.signatures = true
  out.quirks, out.abilities = quirks, EVERYTHING
  out.as_said = thinking_stays(request, target.quirks, overridden)
  out.unmarked = not messages.is_openai(target)
  out.user_name = own_name(request, "safety_identifier", "user")
  return out
end

-- One that can do everything, and is told it in the client's words.
local function faithful(request, body, target, actual)
  local system = actual.quirks.system and (body:find('"developer"', 1, true) and "developer" or "system")
  return {
    id = target.id, model = target.model, upstream = target.upstream, provider = target.provider, dialect = target.dialect,
    abilities = EVERYTHING, faithful = true, as_said = true, unmarked = actual.unmarked, user_name = actual.user_name,
    quirks = {
      max_tokens = own_name(request, "max_completion_tokens", "max_tokens"), seed = own_name(request, "random_seed", "seed"),
      reasoning_back = "always", signatures = true, tool_result_name = actual.quirks.tool_result_name, system = system,
    },
  }
end

-- Fields settled elsewhere.
local SETTLED = { stream = true, stream_options = true }

local function edit_fields(request, plain, actual, as_said, edits)
  local function edit(name)
    local raw = actual.names[name]
    if raw ~= request.fields[name] then
      edits[#edits + 1] = { key = name, raw = raw }
    end
  end
  for _, list in ipairs { plain.list, actual.list } do
    for _, name in ipairs(list) do
      if not SETTLED[name] and plain.names[name] ~= actual.names[name] then
        edit(name)
      end
    end
  end
  if not as_said then
    for _, name in ipairs(reasoning.names) do
      edit(name)
    end
  end
end

local ROLES = { developer = "system", ["function"] = "tool" }

local function role_of(raw)
  local role = json.text(json.fields(raw).role)
  return ROLES[role] or role
end

-- Whether what was written stands message by message where the client's stand.
local function in_place(items, plain, actual)
  if #items ~= #plain or #plain ~= #actual then
    return false
  end
  for i, raw in ipairs(items) do
    if role_of(raw) ~= role_of(plain[i]) then
      return false
    end
  end
  return true
end

local function edit_messages(request, plain, actual, edits)
  local changed = #plain ~= #actual
  for i = 1, #actual do
    changed = changed or plain[i] ~= actual[i]
  end
  if not changed then
    return
  end
  local items = json.items(request.fields.messages)
  if in_place(items, plain, actual) then
    for i = 1, #items do
      items[i] = plain[i] == actual[i] and items[i] or actual[i]
    end
  else
    items = actual
  end
  edits[#edits + 1] = { key = "messages", raw = "[" .. table.concat(items, ",") .. "]" }
end

--- The client's body for a target.
---@param request perilune.Request what it says
---@param body string
---@param target perilune.AimedAt
---@param params perilune.Param[]
---@param drops perilune.Drops
---@return perilune.Http|nil, perilune.Problem|nil
function M.edit(request, body, target, params, drops)
  local edits = { { key = "model", raw = json.quote(target.upstream) } }
  for _, key in ipairs(OURS) do
    edits[#edits + 1] = { key = key }
  end
  if target.quirks.no_stream_options then
    edits[#edits + 1] = { key = "stream_options" }
  elseif request.stream then
    edits[#edits + 1] = { key = "stream_options", raw = with_usage(request.fields.stream_options) }
  end
  local overridden = override(request, params, edits)
  if next(target.quirks) then
    local actual = aimed(request, target, overridden)
    local plan = build.plan(request, actual, drops)
    local plain = build.plan(request, faithful(request, body, target, actual), shape.drops())
    edit_fields(request, plain, plan, actual.as_said, edits)
    edit_messages(request, plain.messages, plan.messages, edits)
  end
  local out, why = json.splice(body, edits)
  if not out then
    return nil, { message = "The request is not JSON: " .. why .. "." }
  end
  return { path = "/chat/completions", body = out }
end

return M
