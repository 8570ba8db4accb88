--- Anthropic Messages: everything of a request but its messages, as a provider wants it.
local json = require "perilune.json"
local shape = require "perilune.shape"
local tools = require "perilune.dialects.anthropic_tools"

local M = {}

local quote = json.quote

local NOTHING = {}
local LEAST_BUDGET = 1024
local EFFORTS = { "low", "medium", "high", "xhigh", "max" }
-- What an answer may have where neither the client nor the catalogue has a bound.
local DEFAULT_MAX_TOKENS = 4096
-- From this version on the API refuses sampling parameters.
local NO_SAMPLING_SINCE = "2026-10-21"

---@class perilune.AnthropicBuild one request under way
---@field target perilune.AimedAt
---@field drops perilune.Drops
---@field names perilune.ToolNames
---@field mark fun(cache: perilune.Raw|nil): string a cache mark as the last member of an object, or ""
---@field say fun(text: string) puts an instruction behind the system text
---@field unthought boolean the calls now answered came without the thinking that must stand before them

----------------------------------------------------------------------------------------------------------------------------
-- What the target refuses

-- The neutral names of fields that OpenAI calls otherwise.
local FIELDS = {
  parallel_tool_calls = "parallel", response_format = "format", reasoning_effort = "reasoning", safety_identifier = "user",
  prompt_cache_key = "cache_key", web_search_options = "web_search", max_completion_tokens = "max_tokens",
}

local function drop(request, build, field, name)
  if request[field] ~= nil then
    request[field] = nil
    build.drops:add(name or field)
  end
end

-- A number that says what is so anyway.
local function is_number(raw, n)
  return raw ~= nil and json.number(raw) == n
end

local FOREIGN = {
  "frequency_penalty", "presence_penalty", "seed", "top_logprobs", "logit_bias", "verbosity", "audio", "prediction", "metadata",
}
local PENALTIES = { frequency_penalty = true, presence_penalty = true }

-- Leaves out of a copy what has no place in this dialect. A penalty of nothing is none.
local function drop_foreign(request, build)
  for _, field in ipairs(FOREIGN) do
    local raw = request[field]
    if raw ~= nil and PENALTIES[field] and is_number(raw, 0) then
      request[field] = nil
    elseif raw ~= nil then
      drop(request, build, field)
    end
  end
  drop(request, build, "web_search", "web_search_options")
  if request.n and request.n > 1 then
    build.drops:add "n"
  end
  if request.logprobs then
    build.drops:add "logprobs"
  end
  if request.store then
    build.drops:add "store"
  end
  if request.modalities and request.modalities:find "audio" then
    build.drops:add "modalities"
  end
end

local function drop_refused(request, build)
  local quirks = build.target.quirks
  for _, name in ipairs(quirks.unsupported or NOTHING) do
    drop(request, build, FIELDS[name] or name, name)
  end
  if quirks.no_sampling or (quirks.version and quirks.version >= NO_SAMPLING_SINCE) then
    for _, name in ipairs { "temperature", "top_p", "top_k" } do
      drop(request, build, name)
    end
  end
end

----------------------------------------------------------------------------------------------------------------------------
-- Thinking and the bound of the answer

local function bound_of(request, target)
  local wanted, most = request.max_tokens, target.max_output
  if wanted and most then
    return math.min(wanted, most)
  end
  return wanted or most
end

-- A budget that leaves the answer something; nil when there is no room for thinking. What the client counted itself only has to be less
-- than the bound; what stands for an effort takes half of it at most.
local function fitting(budget, counted, bound)
  if not bound then
    return math.max(budget, LEAST_BUDGET)
  end
  local most = counted and bound - 1 or math.max(math.floor(bound / 2), LEAST_BUDGET)
  budget = math.max(math.min(budget, most), LEAST_BUDGET)
  return budget < bound and budget or nil
end

local function display_of(wish)
  return wish.hidden and ',"display":"omitted"' or wish.summary and wish.summary ~= "none" and ',"display":"summarized"' or ""
end

-- Thinking counted in tokens.
local function by_budget(wish, build, bound)
  local budget = shape.budget_of(wish)
  if not budget or budget <= 0 then
    return { off = budget ~= nil }
  end
  budget = fitting(budget, wish.budget ~= nil, bound)
  if build.unthought or not budget then
    build.drops:add "reasoning_effort"
    return { off = true }
  end
  return { on = true, budget = budget, thinking = ('{"type":"enabled","budget_tokens":%d%s}'):format(budget, display_of(wish)) }
end

-- Thinking the model measures out itself.
local function by_effort(wish, build, always)
  local effort = shape.effort_of(wish)
  if not effort then
    return { on = true, thinking = not always and '{"type":"adaptive"' .. display_of(wish) .. "}" or nil }
  elseif effort == "none" and not always then
    return { off = true }
  elseif effort == "none" then
    build.drops:add "reasoning_effort"
  end
  return {
    on = true, effort = shape.nearest_effort(effort, build.target.quirks.efforts or EFFORTS),
    thinking = (not always or display_of(wish) ~= "") and '{"type":"adaptive"' .. display_of(wish) .. "}" or nil,
  }
end

---@class perilune.AnthropicThinking
---@field on? boolean
---@field off? boolean it is to be switched off
---@field thinking? perilune.Raw
---@field effort? string
---@field budget? integer

-- How a wish is told to this target. A call that must be made can not be thought about.
local function thinking_of(request, build, forced, bound)
  local wish, kind = request.reasoning, build.target.quirks.thinking or "budget"
  if not wish then
    return { on = kind == "always" }
  elseif not build.target.abilities.reasoning then
    if shape.effort_of(wish) ~= "none" then
      build.drops:add "reasoning_effort"
    end
    return {}
  end
  local plan = kind == "budget" and by_budget(wish, build, bound) or by_effort(wish, build, kind == "always")
  if plan.on and forced and kind ~= "always" then
    build.drops:add "reasoning_effort"
    plan = { off = true }
  end
  if plan.off then
    plan.thinking = '{"type":"disabled"}'
  end
  return plan
end

----------------------------------------------------------------------------------------------------------------------------
-- Sampling

-- While it thinks, a model takes hardly any sampling parameters.
local function drop_while_thinking(request, build)
  if not is_number(request.temperature, 1) then
    drop(request, build, "temperature")
  end
  drop(request, build, "top_k")
  local top_p = json.number(request.top_p)
  if top_p and top_p < 0.95 then
    drop(request, build, "top_p")
  end
end

local function fit_sampling(request, build, thinking)
  if thinking then
    drop_while_thinking(request, build)
  end
  local temperature = json.number(request.temperature)
  if temperature and temperature > 1 then
    request.temperature = "1"
    build.drops:add "temperature"
  end
  -- Many models refuse both at once.
  if request.temperature and request.top_p then
    if is_number(request.top_p, 1) then
      request.top_p = nil
    else
      drop(request, build, "top_p")
    end
  end
end

local function stop_json(request, build)
  local out, most = {}, build.target.quirks.max_stop or math.huge
  for _, text in ipairs(request.stop or NOTHING) do
    if shape.is_blank(text) or #out >= most then
      build.drops:add "stop"
    else
      out[#out + 1] = quote(text)
    end
  end
  return out[1] and "[" .. table.concat(out, ",") .. "]" or nil
end

local TIERS = { auto = "auto", default = "standard_only" }

local function tier_json(request, build)
  local tier = request.service_tier and TIERS[request.service_tier]
  if request.service_tier and not tier then
    build.drops:add "service_tier"
  end
  return tier and quote(tier) or nil
end

----------------------------------------------------------------------------------------------------------------------------

local function output_config(effort, format)
  local out = {}
  out[1] = effort and '"effort":' .. quote(effort) or nil
  out[#out + 1] = format and '"format":' .. format or nil
  return out[1] and "{" .. table.concat(out, ",") .. "}" or nil
end

local ORDER = {
  "max_tokens", "tools", "tool_choice", "thinking", "output_config", "temperature", "top_p", "top_k", "stop_sequences", "stream",
  "metadata", "service_tier",
}

--- The settings of a request, by the names of this dialect.
---@param asked perilune.Request
---@param build perilune.AnthropicBuild
---@return table<string, perilune.Raw> members, string|nil emulated
function M.members(asked, build)
  local request = {}
  for name, value in pairs(asked) do
    request[name] = value
  end
  drop_foreign(request, build)
  drop_refused(request, build)
  local plan = tools.plan(request, build)
  local bound = bound_of(request, build.target)
  local thinking = thinking_of(request, build, plan.forced, bound)
  fit_sampling(request, build, thinking.on)
  return {
    max_tokens = ("%d"):format(bound or DEFAULT_MAX_TOKENS + (thinking.budget or 0)),
    tools = plan.tools, tool_choice = plan.tool_choice,
    thinking = thinking.thinking, output_config = output_config(thinking.effort, plan.format),
    temperature = request.temperature, top_p = request.top_p, top_k = request.top_k,
    stop_sequences = stop_json(request, build), stream = request.stream and "true" or nil,
    metadata = request.user and '{"user_id":' .. quote(request.user) .. "}" or nil,
    service_tier = tier_json(request, build),
  }, plan.emulated
end

--- The same, as text: members of an object, comma-separated.
---@param members table<string, perilune.Raw>
---@return string
function M.text(members)
  local out = {}
  for _, key in ipairs(ORDER) do
    local raw = members[key]
    if raw then
      out[#out + 1] = '"' .. key .. '":' .. raw
    end
  end
  return table.concat(out, ",")
end

return M
