--- The ways an attempt can fail, and how a provider's refusals are told apart. Data.
---
--- The classes are a closed set; their order is that of `enum failure` in core/base/failure.h, because masks of classes cross
--- between the two as numbers.
local near = require "perilune.near"

local M = {}

---@alias perilune.FailureClass
---| "connect" | "timeout" | "first_token" | "idle" | "rate_limited" | "overloaded" | "server_error" | "auth" | "quota"
---| "context_length" | "content_filter" | "not_found" | "bad_request" | "bad_response" | "cut_stream" | "cost" | "latency" | "cancelled"

--- Class names by number, from 1; number 0 is "none".
M.classes = {
  "connect", "timeout", "first_token", "idle", "rate_limited", "overloaded", "server_error", "auth", "quota",
  "context_length", "content_filter", "not_found", "bad_request", "bad_response", "cut_stream", "cost", "latency",
  "cancelled",
}

--- Number by class name.
M.number = {}
for i, name in ipairs(M.classes) do
  M.number[name] = i
end

--- The bit mask of a list of classes (bit i for class number i), as steps carry it; nil and why when it has none.
---@param names string|string[]
---@param add fun(why: string) is told of names that are no class
---@return integer|nil, string|nil
function M.mask(names, add)
  if type(names) == "string" then
    names = { names }
  end
  if type(names) ~= "table" then
    return nil, ("expected a list of failure classes, got a %s"):format(type(names))
  end
  local mask, seen = 0, {}
  for _, name in ipairs(names) do
    local i = M.number[name]
    if not i then
      add(('no failure class "%s"%s (the classes are %s)'):format(tostring(name), near.hint(name, M.number), near.names(M.classes)))
    elseif not seen[i] then
      seen[i] = true
      mask = mask + 2 ^ i
    end
  end
  if mask == 0 then
    return nil, "no failure class is left in the list; without `when` the default holds"
  end
  return mask
end

---@class perilune.FailureRule
---@field status? integer|integer[]  one status, or { from, to }
---@field code? string               equal to error.code or error.type
---@field text? string               part of error.message, case ignored
---@field class perilune.FailureClass

--- What OpenAI-compatible services say, most telling first: a rule fits when all it states fits, the first that fits decides. Texts
--- stand before bare statuses because vendors disagree on statuses more than on words.
---@type perilune.FailureRule[]
M.rules = {
  -- Codes: exact, so they lead.
  { code = "context_length_exceeded", class = "context_length" },
  { code = "string_above_max_length", class = "context_length" },
  { code = "exceed_context_size_error", class = "context_length" },
  { code = "content_policy_violation", class = "content_filter" },
  { code = "content_filter", class = "content_filter" },
  { code = "data_inspection_failed", class = "content_filter" },
  { code = "insufficient_quota", class = "quota" },
  { code = "billing_hard_limit_reached", class = "quota" },
  { code = "billing_not_active", class = "quota" },
  { code = "insufficient_balance", class = "quota" },
  { code = "rate_limit_exceeded", class = "rate_limited" },
  { code = "queue_exceeded", class = "overloaded" },
  { code = "overloaded_error", class = "overloaded" },
  { code = "slow_down", class = "overloaded" },
  { code = "invalid_api_key", class = "auth" },
  { code = "model_not_found", class = "not_found" },
  { code = "DeploymentNotFound", class = "not_found" },
  { code = "tool_use_failed", class = "bad_response" },

  -- Words, where the code is missing or says only "invalid request".
  { status = { 400, 422 }, text = "maximum context length", class = "context_length" },
  { status = { 400, 422 }, text = "context length", class = "context_length" },
  { status = { 400, 422 }, text = "context window", class = "context_length" },
  { status = { 400, 422 }, text = "context size", class = "context_length" },
  { status = { 400, 422 }, text = "prompt is too long", class = "context_length" },
  { status = { 400, 422 }, text = "too many tokens", class = "context_length" },
  { status = { 400, 403 }, text = "content policy", class = "content_filter" },
  { status = { 400, 403 }, text = "content management policy", class = "content_filter" },
  { status = { 400, 403 }, text = "content filter", class = "content_filter" },
  { status = { 400, 403 }, text = "moderation", class = "content_filter" },
  { status = { 400, 403 }, text = "credit balance", class = "quota" },
  { status = { 400, 429 }, text = "exceeded your current quota", class = "quota" },
  { status = { 400, 429 }, text = "insufficient balance", class = "quota" },
  { status = 400, text = "incorrect api key", class = "auth" },
  { status = 400, text = "invalid api key", class = "auth" },
  { status = 400, text = "api key not valid", class = "auth" },
  { status = { 400, 404 }, text = "model does not exist", class = "not_found" },
  { status = 503, text = "loading model", class = "overloaded" },

  -- Statuses.
  { status = 401, class = "auth" },
  { status = 402, class = "quota" },
  { status = 403, class = "auth" },
  { status = 404, class = "not_found" },
  { status = 408, class = "timeout" },
  { status = 409, class = "server_error" },
  { status = 410, class = "not_found" },
  { status = 413, class = "context_length" },
  { status = 425, class = "server_error" },
  { status = 429, class = "rate_limited" },
  { status = 498, class = "overloaded" },
  { status = 503, class = "overloaded" },
  { status = 504, class = "timeout" },
  { status = 524, class = "timeout" },
  { status = 529, class = "overloaded" },
  { status = { 400, 499 }, class = "bad_request" },
  { status = { 500, 599 }, class = "server_error" },
}

--- One rule as the core takes it, checked.
---@param rule perilune.FailureRule
---@return table|nil, string|nil
function M.normalise(rule)
  if type(rule) ~= "table" then
    return nil, "expected a rule { status =, code =, text =, class = }"
  end
  if not M.number[rule.class] then
    return nil, ('no failure class "%s"%s'):format(tostring(rule.class), near.hint(rule.class, M.number))
  end
  for k in pairs(rule) do
    if k ~= "status" and k ~= "code" and k ~= "text" and k ~= "class" then
      return nil, ('a failure rule has no field "%s"%s'):format(tostring(k), near.hint(k, { "status", "code", "text", "class" }))
    end
  end
  local from, to = 0, 0
  if type(rule.status) == "table" then
    from, to = rule.status[1], rule.status[2]
  elseif rule.status ~= nil then
    from, to = rule.status, rule.status
  end
  if type(from) ~= "number" or type(to) ~= "number" or from > to or from % 1 ~= 0 or to % 1 ~= 0 or from < 0 or to > 999 then
    return nil, "status: expected a status or { from, to }"
  end
  for _, field in ipairs { "code", "text" } do
    if rule[field] ~= nil and (type(rule[field]) ~= "string" or rule[field] == "") then
      return nil, field .. ": expected a text"
    end
  end
  if from == 0 and not rule.code and not rule.text then
    return nil, "a rule states a status, a code or a text"
  end
  return { status_from = from, status_to = to, code = rule.code, text = rule.text, class = rule.class }
end

--- The class of an answer by a list of normalised rules, as the core decides it: for specs and `explain`.
---@param rules table[]
---@param answer { status: integer, code?: string, type?: string, message?: string }
---@return perilune.FailureClass|nil
function M.classify(rules, answer)
  local message = answer.message and answer.message:lower()
  for _, rule in ipairs(rules) do
    local fits = rule.status_from == 0 or (answer.status >= rule.status_from and answer.status <= rule.status_to)
    fits = fits and (not rule.code or rule.code == answer.code or rule.code == answer.type)
    fits = fits and (not rule.text or (message ~= nil and message:find(rule.text:lower(), 1, true) ~= nil))
    if fits then
      return rule.class
    end
  end
  return nil
end

return M
