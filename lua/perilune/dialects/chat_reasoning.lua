--- How thinking is asked for in Chat Completions: OpenAI has one field for it, and the vendors who speak the dialect have each found
--- another. All of them are read into the neutral wish, and written in the form a target knows.
local json = require "perilune.json"
local shape = require "perilune.shape"

local M = {}

--- The names of all forms.
M.names = { "reasoning_effort", "reasoning", "thinking", "enable_thinking", "thinking_budget" }

-- Thinking is wanted, and nobody said how much.
local function enable(wish, on)
  if not on then
    wish.effort, wish.budget = "none", nil
  elseif wish.effort == "none" or not (wish.effort or wish.budget) then
    wish.effort = "medium"
  end
end

local function budgeted(wish, tokens)
  if tokens then
    wish.budget = tokens
    if wish.effort == "medium" or wish.effort == "none" then
      wish.effort = nil -- which enabling alone had put there
    end
  end
end

local EFFORTS = {}
for _, name in ipairs(shape.efforts) do
  EFFORTS[name] = true
end

local function effort_of(param, raw, kit)
  local effort = kit.text(param, raw)
  if effort and not EFFORTS[effort] then
    kit.fail(param, ("expected one of %s"):format(table.concat(shape.efforts, ", ")))
  end
  return effort
end

-- OpenRouter's, and Together's, which only switches.
local function read_reasoning(wish, param, raw, kit)
  local form = kit.object(param, raw)
  local enabled = kit.flag(param .. ".enabled", form.enabled)
  if enabled ~= nil then
    enable(wish, enabled)
  end
  if form.effort then
    wish.effort = effort_of(param .. ".effort", form.effort, kit)
  end
  budgeted(wish, kit.whole(param .. ".max_tokens", form.max_tokens))
  wish.hidden = kit.flag(param .. ".exclude", form.exclude) or nil
  wish.summary = kit.text(param .. ".summary", form.summary)
end

-- DeepSeek's, Moonshot's and Z.ai's, after Anthropic's.
local function read_thinking(wish, param, raw, kit)
  local form = kit.object(param, raw)
  enable(wish, kit.text(param .. ".type", form.type) ~= "disabled")
  budgeted(wish, kit.whole(param .. ".budget_tokens", form.budget_tokens))
end

local READERS = {
  reasoning_effort = function(wish, param, raw, kit)
    wish.effort = effort_of(param, raw, kit)
  end,
  reasoning = read_reasoning,
  thinking = read_thinking,
  enable_thinking = function(wish, param, raw, kit)
    enable(wish, kit.flag(param, raw))
  end,
  thinking_budget = function(wish, param, raw, kit)
    budgeted(wish, kit.whole(param, raw))
  end,
  chat_template_kwargs = function(wish, param, raw, kit)
    local on = kit.flag(param .. ".enable_thinking", kit.object(param, raw).enable_thinking)
    if on ~= nil then
      enable(wish, on)
    end
  end,
}

-- Forms that say other things as well, so that they have to be kept besides.
local SHARED = { chat_template_kwargs = true }

--- Reads one field into the wish of a request; no value forgets the wish.
---@param request perilune.Request
---@param name string
---@param raw perilune.Raw|nil
---@param kit table how values are read: perilune.dialects.chat_fields
---@return boolean whether the name is a form of it and of nothing else
function M.set(request, name, raw, kit)
  local read = READERS[name]
  if not read then
    return false
  end
  if not raw then
    request.reasoning = nil
    return not SHARED[name]
  end
  local wish = request.reasoning or {}
  read(wish, name, raw, kit)
  request.reasoning = next(wish) and wish or nil
  return not SHARED[name]
end

----------------------------------------------------------------------------------------------------------------------------
-- Writing

local FORCED = { required = true, named = true }

--- Whether a target must be told not to think, because it can not think and do what is asked.
---@param request perilune.Request
---@param quirks perilune.Quirks
---@return boolean
function M.must_not(request, quirks)
  local forced = request.tools and request.tool_choice and FORCED[request.tool_choice.mode]
  return (quirks.thinking_off_when_forced and forced or quirks.thinking_off_unstreamed and not request.stream) and true or false
end

local function write_effort(put, wish, quirks)
  local effort = shape.nearest_effort(shape.effort_of(wish) or "", quirks.efforts)
  if effort then
    put("reasoning_effort", json.quote(effort))
  end
end

local function write_reasoning(put, wish, quirks)
  local effort = shape.effort_of(wish)
  local parts = {}
  if effort == "none" then
    parts[1] = '"enabled":false'
  elseif wish.budget then
    parts[1] = ('"max_tokens":%d'):format(wish.budget)
  elseif effort then
    effort = shape.nearest_effort(effort, quirks.efforts)
    parts[1] = effort and '"effort":' .. json.quote(effort) or '"enabled":true'
  end
  if wish.hidden then
    parts[#parts + 1] = '"exclude":true'
  end
  if parts[1] then
    put("reasoning", "{" .. table.concat(parts, ",") .. "}")
  end
end

local function write_thinking(put, wish, quirks)
  local effort = shape.effort_of(wish)
  if effort then
    put("thinking", effort == "none" and '{"type":"disabled"}' or '{"type":"enabled"}')
  end
  if effort and effort ~= "none" and quirks.efforts then
    write_effort(put, wish, quirks)
  end
end

-- From "high" on a model's own bound is the best there is.
local BOUNDED = { minimal = true, low = true, medium = true }

local function write_switch(put, wish)
  local effort = shape.effort_of(wish)
  if not effort then
    return
  end
  put("enable_thinking", effort == "none" and "false" or "true")
  if wish.budget or BOUNDED[effort] then
    put("thinking_budget", ("%d"):format(shape.budget_of(wish)))
  end
end

local function write_template(put, wish, _, extra)
  local effort = shape.effort_of(wish)
  if effort then
    local edit = { key = "enable_thinking", raw = effort == "none" and "false" or "true" }
    put("chat_template_kwargs", json.kind(extra) == "object" and json.splice(extra, { edit }) or json.splice("{}", { edit }))
  end
end

local WRITERS = {
  reasoning_effort = write_effort, reasoning = write_reasoning, thinking = write_thinking, enable_thinking = write_switch,
  chat_template_kwargs = write_template,
}

--- Writes the wish in a target's form.
---@param request perilune.Request
---@param target perilune.AimedAt
---@param drops perilune.Drops
---@param put fun(name: string, raw: perilune.Raw)
---@param extra? perilune.Raw what the client itself put into chat_template_kwargs
function M.write(request, target, drops, put, extra)
  local quirks, wish = target.quirks, request.reasoning
  local effort = shape.effort_of(wish)
  local write = WRITERS[quirks.reasoning or "reasoning_effort"]
  local thinks = effort and effort ~= "none"
  if not write or not target.abilities.reasoning then
    if thinks then
      drops:add "reasoning_effort"
    end
    return
  end
  if M.must_not(request, quirks) then
    if thinks then
      drops:add "reasoning_effort"
    end
    wish = { effort = "none" }
  end
  if wish then
    if wish.hidden and write ~= write_reasoning then
      drops:add "reasoning.exclude"
    end
    write(put, wish, quirks, extra)
  end
end

return M
