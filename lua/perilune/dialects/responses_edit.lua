--- A client's own Responses request, going to a provider of the same dialect: its bytes stay but for what must change.
local json = require "perilune.json"
local shape = require "perilune.shape"

local M = {}

-- For the router, not for a provider.
local OURS = { "models" }

-- OpenAI's other names for a field, and what this dialect has none for.
local RENAMED = { max_tokens = "max_output_tokens", max_completion_tokens = "max_output_tokens" }
local UNKNOWN = {
  n = true, stop = true, seed = true, logit_bias = true, logprobs = true, frequency_penalty = true, presence_penalty = true, top_k = true,
  modalities = true, audio = true, prediction = true, web_search_options = true,
}

---@class perilune.ResponsesEdit a body being changed: its members as they will be
---@field fields table<string, perilune.Raw|nil>
---@field edits perilune.Edit[]
---@field drops perilune.Drops

local function set(edit, key, raw)
  if raw == nil and edit.fields[key] == nil then
    return
  end
  edit.fields[key] = raw
  edit.edits[#edit.edits + 1] = { key = key, raw = raw }
end

-- A member of an object that is itself a member; an object that is not there, or is null, is made.
local function set_within(edit, key, inner, raw)
  local held = json.kind(edit.fields[key]) == "object" and edit.fields[key]
  if not held and not raw then
    return
  end
  set(edit, key, assert(json.splice(held or "{}", { { key = inner, raw = raw } })))
end

-- Chat Completions nests what lies flat here: {"type":"function","function":{...}} becomes {"type":"function",...}.
local function flat(raw)
  local fields = json.kind(raw) == "object" and json.fields(raw) or {}
  local kind = json.text(fields.type)
  local inner = kind and fields[kind]
  if json.kind(inner) ~= "object" then
    return raw
  end
  local members = inner:match "^%s*{%s*(.-)%s*}%s*$"
  return '{"type":' .. fields.type .. (members ~= "" and "," or "") .. members .. "}"
end

local function flat_list(raw)
  local out = {}
  for i, item in ipairs(json.kind(raw) == "array" and json.items(raw) or {}) do
    out[i] = flat(item)
  end
  return "[" .. table.concat(out, ",") .. "]"
end

local function flat_choice(raw)
  local choice = flat(raw)
  local fields = json.kind(choice) == "object" and json.fields(choice) or {}
  if json.text(fields.type) ~= "allowed_tools" or not fields.tools then
    return choice
  end
  return assert(json.splice(choice, { { key = "tools", raw = flat_list(fields.tools) } }))
end

-- Parameters whose place or form is another one here.
local PARAMS = {
  reasoning_effort = function(edit, raw)
    set_within(edit, "reasoning", "effort", raw)
  end,
  verbosity = function(edit, raw)
    set_within(edit, "text", "verbosity", raw)
  end,
  response_format = function(edit, raw)
    set_within(edit, "text", "format", raw and flat(raw))
  end,
  tools = function(edit, raw)
    set(edit, "tools", raw and flat_list(raw))
  end,
  tool_choice = function(edit, raw)
    set(edit, "tool_choice", raw and flat_choice(raw))
  end,
}

local function apply(edit, param)
  local name, raw = param[1], param[2]
  if PARAMS[name] then
    PARAMS[name](edit, raw)
  elseif UNKNOWN[name] then
    if raw then
      edit.drops:add(name)
    end
  else
    set(edit, RENAMED[name] or name, raw)
  end
end

local function leave_out(edit, key, name)
  if edit.fields[key] then
    set(edit, key, nil)
    edit.drops:add(name or key)
  end
end

-- Quirks name fields as Chat Completions does.
local REFUSED = {
  max_tokens = "max_output_tokens", max_completion_tokens = "max_output_tokens", reasoning_effort = "reasoning", response_format = "text",
}

local function apply_quirks(edit, target)
  local quirks = target.quirks
  if quirks.no_sampling then
    leave_out(edit, "temperature")
    leave_out(edit, "top_p")
  end
  for _, name in ipairs(quirks.unsupported or {}) do
    leave_out(edit, REFUSED[name] or name, name)
  end
  local reasoning = json.kind(edit.fields.reasoning) == "object" and json.fields(edit.fields.reasoning) or {}
  local effort = json.text(reasoning.effort)
  local taken = effort and shape.nearest_effort(effort, quirks.efforts)
  if taken and taken ~= effort then
    set_within(edit, "reasoning", "effort", json.quote(taken))
  end
  local bound = json.number(edit.fields.max_output_tokens)
  if bound and target.max_output and bound > target.max_output then
    set(edit, "max_output_tokens", ("%d"):format(target.max_output))
  end
end

-- Thoughts of other models, which our writer sealed: this provider would take them for forgeries.
local function is_sealed(item)
  local fields = json.kind(item) == "object" and json.fields(item) or {}
  return json.text(fields.type) == "reasoning" and (json.text(fields.encrypted_content) or ""):find "^pl1%." ~= nil
end

local function leave_sealed(edit, body)
  if not body:find('"pl1.', 1, true) or json.kind(edit.fields.input) ~= "array" then
    return
  end
  local kept, all = {}, json.items(edit.fields.input)
  for _, item in ipairs(all) do
    kept[#kept + 1] = not is_sealed(item) and item or nil
  end
  if #kept < #all then
    set(edit, "input", "[" .. table.concat(kept, ",") .. "]")
  end
end

--- The client's own bytes with what must change.
---@param body string
---@param target perilune.AimedAt
---@param params perilune.Param[]
---@param drops perilune.Drops
---@return perilune.Http|nil, perilune.Problem|nil
function M.edit(body, target, params, drops)
  local fields, why = json.fields(body)
  if not fields then
    return nil, { message = "the request is not a JSON object: " .. why }
  end
  local edit = { fields = fields, edits = {}, drops = drops }
  set(edit, "model", json.quote(target.upstream))
  for _, key in ipairs(OURS) do
    set(edit, key, nil)
  end
  for _, param in ipairs(params) do
    apply(edit, param)
  end
  apply_quirks(edit, target)
  leave_sealed(edit, body)
  return { path = "/responses", body = assert(json.splice(body, edit.edits)) }
end

return M
