--- Walking a chain as the core walks it (core/route/chain.c): which step comes next, and when. Both are held to the walks in
--- spec/fixtures/chain/walks.txt, so that what a spec says of a policy is what becomes of a request.
---
---   local walk = chain.begin(chain, now_ms, deadline_ms)
---   local move = chain.next(walk, view, nil, now_ms)                       -- the first
---   ... move.verdict == "try": try walk.at; it failed ...
---   move = chain.next(walk, view, { class = "timeout" }, now_ms)           -- and so on until "end"
local failure = require "perilune.failure"

local M = {}

local floor, huge, min = math.floor, math.huge, math.min

local BACKOFF_BASE_MS, BACKOFF_CAP_MS = 100, 5000
local RETRY_AFTER_FITS_MS = 10000 -- without a retry window, a longer Retry-After is not waited for
local DEFAULT_WINDOW_MS = 30000 -- of on_exhausted = "queue" without retry_window_ms
local WATCH_MAX_MS = 5000 -- so long a target is waited for that is about to be asked again, within the retry window

local function set_of(names)
  local set = {}
  for _, name in ipairs(names) do
    set[name] = true
  end
  return set
end

-- Failures that may be gone when the same target is asked again.
local PASSING = set_of {
  "connect", "timeout", "first_token", "idle", "rate_limited", "overloaded", "server_error", "bad_response", "cut_stream",
}

-- What a step without `when` does not take.
local STOPS = set_of { "bad_request", "content_filter", "cancelled" }

---@class perilune.WalkStep a step as a decision has it; `when` is a mask
---@field target string
---@field context? integer the target's window
---@field when? integer
---@field retries? integer
---@field max_cost_usd? number in the unit of the view's bounds
---@field max_latency_ms? number

---@class perilune.WalkChain
---@field steps perilune.WalkStep[]
---@field max_cost_usd? number
---@field max_latency_ms? number
---@field max_attempts? integer
---@field on_exhausted? "fail"|"queue"
---@field retry_window_ms? number

---@class perilune.WalkView what the walk asks about a step just before it would be tried
---@field bound fun(step: perilune.WalkStep): number|nil the most an attempt can cost; nil without a price
---@field latency fun(step: perilune.WalkStep): number|nil predicted ms; nil: nothing known yet
---@field open fun(step: perilune.WalkStep): perilune.FailureClass|nil, number|nil what opened its breaker, and in how many ms it reopens
---@field insist fun(step: perilune.WalkStep): boolean whether an open one may be asked for want of any other
---@field on_skip fun(step: perilune.WalkStep, class: "cost"|"latency")
---@field on_open fun(step: perilune.WalkStep, class: perilune.FailureClass) passed over as if it had failed so
---@field jitter fun(cap_ms: number, queue: boolean): number a whole number from 0 to cap_ms

---@class perilune.Walk
---@field chain perilune.WalkChain
---@field at integer the step last tried or to be tried, from 1
---@field tries integer of that step so far
---@field attempts integer of all
---@field spent number kept by the caller
---@field began_ms number
---@field deadline_ms? number
---@field rounds integer times it began again from the start
---@field resort? integer of those passed over as open the one that reopens first
---@field resort_ms? number when that is
---@field insisted? boolean that one has been asked,
---@field at_last? boolean and is the step tried now: there is nothing behind it

---@class perilune.WalkMove
---@field verdict "try"|"wait"|"end"
---@field wait_ms? number
---@field queue? boolean to wait for the earliest target: then all begins anew
---@field over_threshold? boolean

local END = { verdict = "end" }

--- Begins a walk.
---@param chain perilune.WalkChain
---@param now_ms number
---@param deadline_ms? number absolute
---@return perilune.Walk
function M.begin(chain, now_ms, deadline_ms)
  return { chain = chain, at = 1, tries = 0, attempts = 0, spent = 0, began_ms = now_ms, deadline_ms = deadline_ms, rounds = 0 }
end

--- Whether `step` is reached by a failure of that class of the step before it.
---@param step perilune.WalkStep
---@param class perilune.FailureClass
---@param failed? perilune.WalkStep
---@return boolean
function M.takes(step, class, failed)
  if step.when and step.when ~= 0 then
    return floor(step.when / 2 ^ failure.number[class]) % 2 == 1
  end
  if class == "context_length" and failed then
    -- Only a larger window helps; an unknown one is worth a try unless it is the same model again.
    if not step.context or not failed.context then
      return step.target ~= failed.target
    end
    return step.context > failed.context
  end
  return not STOPS[class]
end

local function spent_up(walk, now_ms)
  local most = walk.chain.max_attempts
  return most ~= nil and walk.attempts >= most or walk.deadline_ms ~= nil and now_ms >= walk.deadline_ms
end

local function too_dear(walk, view, step)
  local ceiling = min(step.max_cost_usd or huge, (walk.chain.max_cost_usd or huge) - walk.spent)
  if ceiling == huge then
    return false
  end
  local bound = view.bound(step)
  return bound == nil or bound > ceiling
end

-- Predicted time when it is over the step's or the chain's threshold, else nil.
local function too_slow(walk, view, step)
  local limit = min(step.max_latency_ms or huge, walk.chain.max_latency_ms or huge)
  local predicted = limit < huge and view.latency(step)
  return predicted and predicted > limit and predicted or nil
end

local function try_step(walk, at)
  if walk.at ~= at then
    walk.tries = 0
  end
  walk.at = at
  walk.tries = walk.tries + 1
  walk.attempts = walk.attempts + 1
  walk.at_last = nil
  return { verdict = "try" }
end

local function pass_open(walk, view, at, class, in_ms, now_ms)
  local reopens_ms = now_ms + in_ms
  if not walk.resort or reopens_ms < walk.resort_ms then
    walk.resort, walk.resort_ms = at, reopens_ms
  end
  view.on_open(walk.chain.steps[at], class)
end

-- What keeps a step from being tried, told to the view; nil: nothing. The second result is its predicted time where that is too long.
local function obstacle(walk, view, at, now_ms)
  local step = walk.chain.steps[at]
  if too_dear(walk, view, step) then
    view.on_skip(step, "cost")
    return "cost"
  end
  local slow = too_slow(walk, view, step)
  if slow then
    view.on_skip(step, "latency")
    return "latency", slow
  end
  local class, in_ms = view.open(step)
  if class then
    pass_open(walk, view, at, class, in_ms, now_ms)
  end
  return class
end

-- The first step from `from` on that takes what came before, passes its thresholds and may be asked. When nothing has been tried and only
-- slowness stands in the way, the fastest of the slow ones. `by` becomes what led there: a step behind a skipped one is reached by that
-- skip.
local function pick(walk, view, from, by, now_ms)
  local fastest, fastest_ms
  for i = from, #walk.chain.steps do
    local step = walk.chain.steps[i]
    if not by.class or M.takes(step, by.class, by.failed) then
      local class, slow = obstacle(walk, view, i, now_ms)
      if not class then
        return try_step(walk, i)
      end
      if slow and (not fastest or slow < fastest_ms) then
        fastest, fastest_ms = i, slow
      end
      by.class, by.failed = class, step
    end
  end
  if walk.attempts == 0 and fastest then
    local class, in_ms = view.open(walk.chain.steps[fastest])
    if not class then
      local move = try_step(walk, fastest)
      move.over_threshold = true
      return move
    end
    pass_open(walk, view, fastest, class, in_ms, now_ms)
  end
  return END
end

-- Nothing else is left: of those that were passed over because they were open the one that reopens first, once. What stops a walk stops it
-- here as well.
local function last_resort(walk, view, by)
  local step = walk.resort and not walk.insisted and walk.chain.steps[walk.resort]
  if not step or not M.takes({ target = step.target, context = step.context }, by.class, by.failed) or too_dear(walk, view, step)
    or not view.insist(step) then
    return END
  end
  local move = try_step(walk, walk.resort)
  walk.insisted, walk.at_last = true, true
  return move
end

-- Full jitter.
local function backoff(view, tries, for_queue)
  return view.jitter(min(BACKOFF_BASE_MS * 2 ^ min(tries, 6), BACKOFF_CAP_MS), for_queue)
end

local function fits(walk, now_ms, wait_ms, window_ms)
  local at = now_ms + wait_ms
  return (not window_ms or at <= walk.began_ms + window_ms) and (not walk.deadline_ms or at < walk.deadline_ms)
end

-- How long to wait before the same step is tried again; nil: it is not. Steps that say nothing are retried once, for a connection that
-- could not be made and for a rate limit that says when it ends, and only where the chain has nowhere else to go.
local function retry_wait(walk, view, failed, last, now_ms)
  local step, window, told = walk.chain.steps[walk.at], walk.chain.retry_window_ms, failed.retry_after_ms
  local retries = step.retries or 0
  if not PASSING[failed.class] or walk.at_last then
    return nil
  end
  if not step.retries and last and (failed.class == "connect" or failed.class == "rate_limited" and told) then
    retries = 1
  end
  if walk.tries > retries or told and not window and told > RETRY_AFTER_FITS_MS then
    return nil
  end
  local wait = told or backoff(view, walk.tries - 1, false)
  return fits(walk, now_ms, wait, window) and wait or nil
end

local function anybody_takes(walk, class)
  local steps = walk.chain.steps
  for i = walk.at + 1, #steps do
    if M.takes(steps[i], class, steps[walk.at]) then
      return true
    end
  end
  return false
end

-- How long until the first of all steps may be asked; 0: one may be now.
local function earliest(walk, view)
  local first = huge
  for _, step in ipairs(walk.chain.steps) do
    local class, in_ms = view.open(step)
    first = min(first, class and in_ms or 0)
  end
  return first
end

-- on_exhausted = "queue": once more from the start, while the retry window is open and waiting can help.
local function queue(walk, view, class, told, now_ms)
  if walk.chain.on_exhausted ~= "queue" or spent_up(walk, now_ms) or not (walk.resort or PASSING[class]) then
    return END
  end
  local first = earliest(walk, view)
  local wait = first > 0 and first or told or backoff(view, walk.rounds + 1, true)
  if not fits(walk, now_ms, wait, walk.chain.retry_window_ms or DEFAULT_WINDOW_MS) then
    return END
  end
  walk.rounds, walk.at, walk.tries, walk.resort, walk.insisted = walk.rounds + 1, 1, 0, nil, nil
  return { verdict = "wait", wait_ms = wait, queue = true }
end

-- From `from` on, then what is left to do when that leads nowhere.
local function go_on(walk, view, from, by, told, now_ms)
  local move = pick(walk, view, from, by, now_ms)
  if move.verdict == "end" then
    move = last_resort(walk, view, by)
  end
  return move.verdict == "end" and queue(walk, view, by.class, told, now_ms) or move
end

-- Whether it is worth to wait for `wait_ms` more for a target that is about to be asked again.
local function may_watch(walk, wait_ms, now_ms)
  walk.watch_ms = walk.watch_ms or now_ms
  return now_ms + wait_ms <= walk.watch_ms + WATCH_MAX_MS and fits(walk, now_ms, wait_ms, walk.chain.retry_window_ms)
end

--- The next move. Counts an attempt for each "try"; after "wait" call resume().
---@param walk perilune.Walk
---@param view perilune.WalkView
---@param failed { class: perilune.FailureClass, retry_after_ms?: number }|nil nil for the first
---@param now_ms number
---@return perilune.WalkMove
function M.next(walk, view, failed, now_ms)
  if not failed then
    return go_on(walk, view, 1, {}, nil, now_ms)
  end
  if failed.class == "cancelled" or spent_up(walk, now_ms) then
    return END
  end
  local steps = walk.chain.steps
  local wait = retry_wait(walk, view, failed, not anybody_takes(walk, failed.class), now_ms)
  if wait then
    return { verdict = "wait", wait_ms = wait }
  end
  -- The last resort may lie anywhere; the whole chain has been walked before it.
  local from = walk.at_last and #steps + 1 or walk.at + 1
  return go_on(walk, view, from, { class = failed.class, failed = steps[walk.at] }, failed.retry_after_ms, now_ms)
end

--- The wait is over: what to try.
---@param walk perilune.Walk
---@param view perilune.WalkView
---@param now_ms number
---@return perilune.WalkMove
function M.resume(walk, view, now_ms)
  if spent_up(walk, now_ms) then
    return END
  end
  if walk.tries == 0 then
    return go_on(walk, view, walk.at, {}, nil, now_ms)
  end
  -- What the tries before have cost counts; a step that was too slow then may be tried again.
  local step = walk.chain.steps[walk.at]
  local class, in_ms = view.open(step)
  if too_dear(walk, view, step) then
    view.on_skip(step, "cost")
    class = "cost"
  elseif class then
    -- Whoever asked together was told at moments of their own; the last of them holds.
    if in_ms > 0 and not anybody_takes(walk, class) and may_watch(walk, in_ms, now_ms) then
      return { verdict = "wait", wait_ms = in_ms }
    end
    pass_open(walk, view, walk.at, class, in_ms, now_ms)
  else
    return try_step(walk, walk.at)
  end
  return go_on(walk, view, walk.at + 1, { class = class, failed = step }, nil, now_ms)
end

--- Another rest of the chain, as on_failure gave it: the steps behind the present one become `rest`.
---@param walk perilune.Walk
---@param rest perilune.WalkStep[]
function M.replace(walk, rest)
  local steps = {}
  for i = 1, walk.at do
    steps[i] = walk.chain.steps[i]
  end
  for _, step in ipairs(rest) do
    steps[#steps + 1] = step
  end
  walk.chain.steps, walk.resort, walk.at_last = steps, nil, nil
end

--- The same step again in `wait_ms`, as on_failure asked.
---@param walk perilune.Walk
---@param wait_ms number
---@param now_ms number
---@return perilune.WalkMove
function M.stay(walk, wait_ms, now_ms)
  if spent_up(walk, now_ms) or walk.at_last or not fits(walk, now_ms, wait_ms, walk.chain.retry_window_ms) then
    return END
  end
  return { verdict = "wait", wait_ms = wait_ms }
end

return M
