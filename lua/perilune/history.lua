--- What a record tells of targets at a moment: their figures as the policies of a worker were told them, and whether they were failing.
---
---   local h = history.new()
---   h:figures(worker, line)              a line of figures
---   h:ended(target, at, failed)          an attempt
---   h:changes(worker, at, told, each)    what a policy state must be told to know what that worker's knew then
---   h:failing(target, at)
---
--- Lines are written when something ends, decisions are made before that: a moment may lie behind what was read last, by as much as the
--- history goes back.
local M = {}
M.__index = M

local pairs, floor = pairs, math.floor

-- So many figures of a target are kept, in the order they came: at four changes a second, those of four minutes and more.
local KEPT = 1024

--- Seconds before and after a moment in which a failure says that the target was failing.
M.NEAR_S = 30

-- Seconds of failures and answers that are kept.
local KEPT_S = 900

---@class perilune.FigureLine a line of figures, as it was recorded; what it does not say is not known
---@field at number
---@field target string
---@field state? string
---@field error_rate? number
---@field in_flight? number
---@field headroom? number
---@field ttft_ms? { p50?: number, p95?: number, p99?: number }
---@field total_ms? { p50?: number, p95?: number, p99?: number }
---@field tokens_per_s? number

---@class perilune.History
function M.new()
  return setmetatable({ of = {}, workers = 0, ends = {} }, M)
end

--- Takes in a line of figures.
---@param worker integer
---@param line perilune.FigureLine
function M:figures(worker, line)
  local targets = self.of[worker]
  if not targets then
    targets = {}
    self.of[worker] = targets
    self.workers = self.workers + 1
  end
  local list = targets[line.target]
  if not list then
    list = { n = 0 }
    targets[line.target] = list
  end
  if list.n == 2 * KEPT then
    for i = 1, KEPT do
      list[i], list[i + KEPT] = list[i + KEPT], nil
    end
    list.n = KEPT
  end
  list.n = list.n + 1
  list[list.n] = line
end

local function at_moment(list, at)
  for i = list.n, 1, -1 do
    if list[i].at <= at then
      return list[i]
    end
  end
  return nil
end

--- What was known of a target; nil: nothing.
---@param worker integer
---@param target string
---@param at number
---@return perilune.FigureLine|nil
function M:known(worker, target, at)
  local targets = self.of[worker]
  local list = targets and targets[target]
  return list and at_moment(list, at)
end

--- The lines that make a state which knows `told` know what the worker's knew at that moment, in no order; a line with nothing but the
--- target makes it unknown. `told` (target -> line) is brought up to date. nil: nothing changed.
---@param worker integer
---@param at number
---@param told table<string, perilune.FigureLine>
---@return perilune.FigureLine[]|nil
function M:changes(worker, at, told)
  local out
  local targets = self.of[worker] or {}
  for target, list in pairs(targets) do
    local line = at_moment(list, at)
    if line ~= told[target] then
      told[target] = line
      out = out or {}
      out[#out + 1] = line or { target = target }
    end
  end
  if self.workers > 1 or not self.of[worker] then
    for target in pairs(told) do
      if not targets[target] then
        told[target] = nil
        out = out or {}
        out[#out + 1] = { target = target }
      end
    end
  end
  return out
end

--- An attempt ended: it failed in a way that speaks of the target, or it answered.
---@param target string
---@param at number
---@param failed boolean
function M:ended(target, at, failed)
  local e = self.ends[target]
  if not e then
    e = { failed = {}, answered = {}, seconds = {}, first = 1, last = 0, failures = 0 }
    self.ends[target] = e
  end
  local second = floor(at)
  if not e.failed[second] and not e.answered[second] then
    e.last = e.last + 1
    e.seconds[e.last] = second
    while e.last - e.first >= KEPT_S do
      local old = e.seconds[e.first]
      e.failures = e.failures - (e.failed[old] and 1 or 0)
      e.seconds[e.first], e.failed[old], e.answered[old] = nil, nil, nil
      e.first = e.first + 1
    end
  end
  if not failed then
    e.answered[second] = true
  elseif not e.failed[second] then
    e.failed[second] = true
    e.failures = e.failures + 1
  end
end

--- Whether an attempt at the target failed within half a minute of that moment, and none answered.
---@param target string
---@param at number
---@return boolean
function M:failing(target, at)
  local e = self.ends[target]
  if not e or e.failures == 0 then
    return false
  end
  local failed = false
  for second = floor(at) - M.NEAR_S, floor(at) + M.NEAR_S do
    if e.answered[second] then
      return false
    end
    failed = failed or e.failed[second] or false
  end
  return failed
end

return M
