--- What a spec expects of a decision or of a walk, said so that it reads well, and told so that a failure shows why.
---
---   assert.routes(decision).to("openai/gpt-4o").falls_back { "anthropic/claude-sonnet-4-6" }.because("cheapest")
---
--- In busted a broken expectation is a failure of the spec; elsewhere it is an error.
local near = require "perilune.near"

local M = {}

----------------------------------------------------------------------------------------------------------------------------
-- Showing

local function usd(cost)
  return cost and ("$%.6f"):format(cost) or "price unknown"
end

local function describe_decision(d)
  local lines = {}
  if d.refused then
    lines[1] = ("  refused %s %s: %s"):format(d.refused.status or 403, d.refused.code or "policy_refused", d.refused.message or "")
  end
  for k, target in ipairs(d.targets) do
    lines[#lines + 1] = ("  %d. %s, %s"):format(k, target, usd(d.costs[k]))
  end
  if not lines[1] then
    lines[1] = "  no target"
  end
  lines[#lines + 1] = d.reason and "  reason: " .. d.reason or nil
  for _, cut in ipairs(d.cuts) do
    lines[#lines + 1] = "  left out: " .. cut
  end
  for _, finding in ipairs(d.findings) do
    lines[#lines + 1] = "  finding: " .. finding
  end
  return "the decision:\n" .. table.concat(lines, "\n")
end

local function describe_walk(w)
  local lines = {}
  for k, a in ipairs(w.attempts) do
    lines[k] = ("  %d. %s at %d ms: %s after %d ms, %s"):format(k, a.target, a.at_ms, a.failure or "answered", a.ms, usd(a.cost_usd))
  end
  for _, p in ipairs(w.passed) do
    lines[#lines + 1] = ("  passed over: %s (%s)"):format(p.target, p.why)
  end
  lines[#lines + 1] = w.error and ("  error: %d %s"):format(w.error.status, w.error.code) or nil
  return "the walk:\n" .. table.concat(lines, "\n")
end

----------------------------------------------------------------------------------------------------------------------------
-- Comparing

local function list_of(names)
  return #names == 0 and "nothing" or table.concat(names, ", ")
end

-- "openai/gpt-4o" or "openai/*".
local function means(pattern, id)
  return pattern == id or pattern:sub(-2) == "/*" and id:sub(1, #pattern - 1) == pattern:sub(1, -2)
end

local function same_list(wanted, got, from)
  if #got - from + 1 ~= #wanted then
    return false
  end
  for k, pattern in ipairs(wanted) do
    if not means(pattern, got[from + k - 1]) then
      return false
    end
  end
  return true
end

local function names_of(value)
  return type(value) == "table" and value or { value }
end

local function behind(list, from)
  local out = {}
  for k = from, #list do
    out[#out + 1] = list[k]
  end
  return out
end

-- Whether `wanted` come in that order, others between them or not.
local function in_order(wanted, got)
  local at = 1
  for _, id in ipairs(got) do
    if wanted[at] and means(wanted[at], id) then
      at = at + 1
    end
  end
  return at > #wanted, wanted[at]
end

local function among(pattern, got)
  for _, id in ipairs(got) do
    if means(pattern, id) then
      return id
    end
  end
end

local function contains(text, wanted)
  return text ~= nil and text:find(wanted, 1, true) ~= nil
end

----------------------------------------------------------------------------------------------------------------------------
-- What can be expected: each returns nil, or what is wrong

local never_to = function(d, patterns)
  for _, pattern in ipairs(names_of(patterns)) do
    local id = among(pattern, d.targets)
    if id then
      return ("expected never to go to %s, but %s is there"):format(pattern, id)
    end
  end
end

local DECISION = {
  to = function(d, target)
    if not d.targets[1] or not means(target, d.targets[1]) then
      return ("expected to go to %s first, not to %s"):format(target, d.targets[1] or "nobody")
    end
  end,

  falls_back = function(d, targets)
    if not same_list(names_of(targets), d.targets, 2) then
      return ("expected to fall back to %s, not to %s"):format(list_of(names_of(targets)), list_of(behind(d.targets, 2)))
    end
  end,

  in_order = function(d, targets)
    local ok, missing = in_order(targets, d.targets)
    if not ok then
      return ("expected %s in this order; %s is not where it should be"):format(list_of(targets), missing)
    end
  end,

  never_to = never_to,

  costs_at_most = function(d, most)
    local cost = d.costs[1]
    if not cost or cost > most then
      return ("expected the first target to cost at most %s, not %s"):format(usd(most), usd(cost))
    end
  end,

  refuses = function(d, status)
    local got = d.refused and (d.refused.status or 403)
    if not got or status and got ~= status then
      return ("expected a refusal%s, not %s"):format(status and " with " .. status or "", got and "one with " .. got or "a chain")
    end
  end,

  because = function(d, reason)
    if not contains(d.reason, reason) then
      return ('expected the reason to say "%s", not "%s"'):format(reason, d.reason or "")
    end
  end,
}

local WALK = {
  tries = function(w, targets)
    if not same_list(targets, w.targets, 1) then
      return ("expected attempts at %s, not at %s"):format(list_of(targets), list_of(w.targets))
    end
  end,

  answers = function(w, target)
    if not w.answer or target and not means(target, w.answer) then
      return ("expected an answer%s, not %s"):format(target and " of " .. target or "", w.answer and "one of " .. w.answer or "an error")
    end
  end,

  fails = function(w, code)
    if not w.error or code and w.error.code ~= code and w.error.status ~= code then
      return ("expected an error%s, not %s"):format(code and " " .. code or "", w.error and w.error.code or "an answer of " .. w.answer)
    end
  end,

  in_order = DECISION.in_order,
  never_to = never_to,

  costs_at_most = function(w, most)
    if w.cost_usd > most then
      return ("expected it to cost at most %s, not %s"):format(usd(most), usd(w.cost_usd))
    end
  end,

  takes_at_most = function(w, ms)
    if w.ms > ms then
      return ("expected it to take at most %d ms, not %d ms"):format(ms, w.ms)
    end
  end,
}

--- What can be expected, by name: for documentation and its specs.
M.of_decisions, M.of_walks = DECISION, WALK

----------------------------------------------------------------------------------------------------------------------------
-- Saying

-- A failure in busted, an error elsewhere; at the line of the spec.
local function broken(message)
  local luassert = package.loaded.luassert
  if luassert then
    luassert(false, message, luassert:level(3))
  end
  error(message, 3)
end

local function expectation(kind, expectations, value, describe, needs)
  if type(value) ~= "table" or value[needs] == nil then
    error(("%s: expected what spec.%s gave"):format(kind, kind == "routes" and "route" or "walk"), 3)
  end
  local self = {}
  return setmetatable(self, {
    __index = function(_, name)
      local check = expectations[name]
      if not check then
        error(('%s: nothing like "%s" can be expected%s (there are %s)'):format(kind, tostring(name), near.hint(name, expectations),
          near.names(expectations)), 2)
      end
      return function(...)
        local wrong = check(value, ...)
        if wrong then
          broken(wrong .. "\n" .. describe(value))
        end
        return self
      end
    end,
  })
end

--- Expectations of a decision; each returns them again.
---@param decision perilune.Decision
---@return table
function M.routes(decision)
  return expectation("routes", DECISION, decision, describe_decision, "cuts")
end

--- Expectations of a walk; each returns them again.
---@param walked perilune.Walked
---@return table
function M.walks(walked)
  return expectation("walks", WALK, walked, describe_walk, "attempts")
end

--- Makes them words of `assert`, where luassert is.
function M.install()
  local luassert = package.loaded.luassert
  if luassert then
    rawset(luassert, "routes", M.routes)
    rawset(luassert, "walks", M.walks)
  end
end

return M
