--- What becomes of a decision when its targets fail: its chain is walked with failures out of a script, by the rules of the core, without
--- time passing. Hedges are left out: they are a matter of time, and which of the two wins is not the policy's to say.
local chain = require "perilune.spec.chain"
local failure = require "perilune.failure"
local near = require "perilune.near"

local M = {}

local ceil, floor, huge = math.ceil, math.floor, math.huge

local TURNS_MAX = 16 -- times on_failure may change its mind about one request

---@class perilune.Outcome how an attempt ends, as a spec states it
---@field class? perilune.FailureClass nil: it answers
---@field status? integer the provider's own
---@field message? string
---@field retry_after_ms? number
---@field ms? number how long it takes; unless stated a timeout takes what the step gave it, and any other failure nothing
---@field cost_usd? number what a failed attempt cost all the same

---@class perilune.WalkAttempt
---@field target string
---@field failure? perilune.FailureClass nil: it answered
---@field status? integer
---@field at_ms number when it began
---@field ms number how long it took
---@field cost_usd number
---@field over_threshold? boolean tried although predicted too slow, for want of a faster one

---@class perilune.Walked
---@field attempts perilune.WalkAttempt[] in order
---@field targets string[] their targets
---@field answer? string the target that answered
---@field error? { code: string, status: integer } what the client is told when none did
---@field waits number[] ms, in order: before a retry, or in the queue
---@field passed { target: string, why: perilune.FailureClass }[] steps that were not tried
---@field on_failure { target: string, failure: perilune.FailureClass, gave: "nothing"|"retry"|"chain" }[] each call of it
---@field cost_usd number
---@field ms number

----------------------------------------------------------------------------------------------------------------------------
-- The script of failures

local OUTCOME = { class = true, status = true, message = true, retry_after_ms = true, ms = true, cost_usd = true }

local function outcome_of(given, where)
  local out = type(given) == "string" and { class = given } or given
  if type(out) ~= "table" then
    error(('%s: expected a failure class or { class = "rate_limited", ... }, got a %s'):format(where, type(given)), 0)
  end
  for name in pairs(out) do
    if not OUTCOME[name] then
      error(('%s: an outcome has no field "%s"%s'):format(where, tostring(name), near.hint(name, OUTCOME)), 0)
    end
  end
  if out.class == "ok" then
    out = { ms = out.ms }
  elseif out.class and not failure.number[out.class] then
    error(('%s: no failure class "%s"%s'):format(where, tostring(out.class), near.hint(out.class, failure.number)), 0)
  end
  return out
end

-- What each further attempt at a target comes to. One outcome is that of all attempts; of a list each is that of one, and then it answers.
local function script_of(failures)
  local lists, used = {}, {}
  for name, given in pairs(failures or {}) do
    if type(given) == "table" and given[1] ~= nil then
      lists[name] = {}
      for k, one in ipairs(given) do
        lists[name][k] = outcome_of(one, ('failures["%s"][%d]'):format(name, k))
      end
    else
      lists[name] = { every = outcome_of(given, ('failures["%s"]'):format(tostring(name))) }
    end
  end
  return function(id)
    local name = lists[id] and id or id:match "^[^/]+/" .. "*"
    local list = lists[name] or lists["*"] or {}
    used[id] = (used[id] or 0) + 1
    return list.every or list[used[id]] or {}
  end
end

----------------------------------------------------------------------------------------------------------------------------
-- What the client is told

local STATUS = {
  rate_limited = 429, quota = 429, timeout = 504, first_token = 504, idle = 504, bad_request = 400, context_length = 400,
  content_filter = 400, auth = 502, bad_response = 502,
}

-- What all attempts have in common, or nil.
local function shared(attempts, of)
  local first = of(attempts[1])
  for _, a in ipairs(attempts) do
    if of(a) ~= first then
      return nil
    end
  end
  return first
end

local function class_of(a)
  return a.failure
end

local function status_of(a)
  return STATUS[a.failure] or 503
end

-- As core/route/outcome.c has it.
local function error_of(attempts, late, any_step, any_open)
  local last = attempts[#attempts]
  if late then
    return { code = "deadline_exceeded", status = 504 }
  elseif not last then
    return { code = "no_eligible_target", status = any_open and 503 or any_step and 402 or 503 }
  elseif last.failure == "bad_request" or last.failure == "content_filter" then
    local own = last.status and last.status >= 400 and last.status < 500 and last.status or 400
    return { code = last.failure == "bad_request" and "invalid_request" or "content_policy_violation", status = own }
  elseif shared(attempts, class_of) == "context_length" then
    return { code = "context_length_exceeded", status = 400 }
  end
  return { code = "fallbacks_exhausted", status = shared(attempts, status_of) or 503 }
end

----------------------------------------------------------------------------------------------------------------------------
-- The walk

---@class perilune.WalkWorld what a decision was made in
---@field request table
---@field view fun(id: string): perilune.Target|nil
---@field on_failure? fun(what: table, rest: perilune.WalkStep[]): table|nil
---@field deadline_ms? number the request's own
---@field jitter fun(cap_ms: number): number

-- Money as the core counts it: whole nano-dollars, rounded up.
local function nano(usd)
  return usd and ceil(usd * 1e9 - 1e-6)
end

local function steps_of(list, world)
  local out = {}
  for k, step in ipairs(list) do
    local view = world.view(step.target)
    local copy = { context = view and view.context }
    for name, value in pairs(step) do
      copy[name] = value
    end
    copy.max_cost_usd = nano(step.max_cost_usd)
    out[k] = copy
  end
  return out
end

local function chain_of(decision, world)
  local out = {}
  for name, value in pairs(decision.chain) do
    out[name] = value
  end
  out.max_cost_usd, out.steps = nano(out.max_cost_usd), steps_of(decision.steps, world)
  return out
end

local function view_of(world, result)
  return {
    bound = function(step)
      local view = world.view(step.target)
      return view and nano(view.cost())
    end,
    latency = function(step)
      local view = world.view(step.target)
      return view and view.latency()
    end,
    open = function(step)
      local view = world.view(step.target)
      if view and view.state == "open" then
        return "server_error", 1000
      end
    end,
    insist = function()
      return true
    end,
    on_skip = function(step, class)
      table.insert(result.passed, { target = step.target, why = class })
    end,
    on_open = function(step)
      table.insert(result.passed, { target = step.target, why = "open" })
    end,
    jitter = world.jitter,
  }
end

local TIMED = { timeout = "timeout_ms", first_token = "first_token_ms", idle = "idle_ms" }

-- One attempt, as the script has it.
local function attempt(walk, world, outcome, now, move)
  local step = walk.chain.steps[walk.at]
  local view, class = world.view(step.target), outcome.class
  local usual = class and (step[TIMED[class] or ""] or 0) or view and view.latency() or 0
  return {
    target = step.target, failure = class, status = outcome.status, at_ms = now, ms = outcome.ms or usual,
    cost_usd = outcome.cost_usd or not class and view and view.cost() or 0, over_threshold = move.over_threshold,
  }
end

-- Asks on_failure, where there is one; its move, if it gave one.
local function asked(walk, world, result, tried, outcome, now)
  if not world.on_failure or result.turns >= TURNS_MAX then
    return nil
  end
  local rest = {}
  for k = walk.at + 1, #walk.chain.steps do
    rest[#rest + 1] = walk.chain.steps[k]
  end
  local answer = world.on_failure({
    class = outcome.class, target = tried.target, status = outcome.status, retry_after_ms = outcome.retry_after_ms,
    message = outcome.message, attempt = walk.attempts, elapsed_ms = now, spent_usd = walk.spent / 1e9,
    left_ms = walk.deadline_ms and walk.deadline_ms - now or nil,
  }, rest)
  local gave = not answer and "nothing" or answer.retry_in_ms and "retry" or "chain"
  table.insert(result.on_failure, { target = tried.target, failure = outcome.class, gave = gave })
  result.turns = result.turns + (answer and 1 or 0)
  if gave == "retry" then
    local move = chain.stay(walk, floor(answer.retry_in_ms), now)
    return move.verdict == "wait" and move or nil
  elseif gave == "chain" then
    chain.replace(walk, steps_of(answer.steps, world))
  end
end

-- When the request is given up, if it is: the tighter of its own deadline and the chain's.
local function deadline_of(decision, world)
  local at = math.min(decision.chain.deadline_ms or huge, world.deadline_ms or huge)
  return at < huge and at > 0 and at or nil
end

--- Walks the chain of a decision.
---@param decision perilune.Decision
---@param failures table<string, string|perilune.Outcome|(string|perilune.Outcome)[]> by target, by "openai/*", or by "*"
---@param world perilune.WalkWorld
---@return perilune.Walked
function M.walk(decision, failures, world)
  local result = { attempts = {}, targets = {}, waits = {}, passed = {}, on_failure = {}, turns = 0, cost_usd = 0, ms = 0 }
  local script, view, now = script_of(failures), view_of(world, result), 0
  local walk = chain.begin(chain_of(decision, world), 0, deadline_of(decision, world))
  local move = chain.next(walk, view, nil, now)
  while move.verdict ~= "end" do
    if move.verdict == "wait" then
      table.insert(result.waits, move.wait_ms)
      now = now + move.wait_ms
      move = chain.resume(walk, view, now)
    else
      local outcome = script(walk.chain.steps[walk.at].target)
      local tried = attempt(walk, world, outcome, now, move)
      if walk.deadline_ms and now + tried.ms > walk.deadline_ms then -- the deadline is hard: it ends what is running
        tried.ms, tried.failure = walk.deadline_ms - now, "cancelled"
      end
      now = now + tried.ms
      table.insert(result.attempts, tried)
      table.insert(result.targets, tried.target)
      walk.spent = walk.spent + nano(tried.cost_usd)
      result.cost_usd = result.cost_usd + tried.cost_usd
      if not tried.failure then
        result.answer = tried.target
        break
      elseif tried.failure == "cancelled" then
        break
      end
      move = asked(walk, world, result, tried, outcome, now)
        or chain.next(walk, view, { class = outcome.class, retry_after_ms = outcome.retry_after_ms }, now)
    end
  end
  result.ms = now
  if not result.answer then
    local late = walk.deadline_ms ~= nil and now >= walk.deadline_ms
    local open = result.passed[#result.passed]
    result.error = error_of(result.attempts, late, #decision.steps > 0, open and open.why == "open")
  end
  result.turns = nil
  return result
end

return M
