--- A policy over requests that were recorded: which decisions change, and what that would have meant, by what was known then.
---
---   local r = replay.new { decide =, cost =, against = false, since =, upto =, only =, show = 5 }
---   r:feed(line)                       each line of the record, in order
---   while not r:finish(1000) do end    what waited for lines behind it
---   local report = r:report { max_cost_increase = 0.05, ... }
---   print(replay.text(report))
---
--- Both decisions are judged by the same rules, so that nothing but the decision makes a difference: who would have answered (walk), for
--- how much (the tokens that were really used, at today's prices), how fast (the figures of that moment). What is not known is counted
--- and not guessed. docs/replay.md says it for people.
local history = require "perilune.history"
local json = require "perilune.json"

local M = {}
M.__index = M

local type, pairs, ipairs, huge = type, pairs, ipairs, math.huge

local LINE_MAX = 1024 * 1024
local NAMED = 5 -- broken lines and errors that are quoted
local WAITING = 10000 -- decisions that wait for what is recorded within half a minute behind them
local LATE_S = history.NEAR_S + 1

-- Failures that say something of the target. The others are the request's doing, or ours.
local SPEAKS = {
  connect = true, timeout = true, first_token = true, idle = true, rate_limited = true, overloaded = true, server_error = true,
  auth = true, quota = true, not_found = true, bad_response = true, cut_stream = true,
}

---@class perilune.Decided what a policy said to a recorded request
---@field chain string[] targets, as many as were kept
---@field steps? integer how many there are, where that is more
---@field refused? integer the status of a refusal
---@field read_text? boolean it looked at what somebody wrote
---@field read_headers? boolean it looked at headers that are not recorded

---@class perilune.ReplayOptions
--- Asks a policy ("policy", or "against") for the request of the line under way, once its state knows `changes`. nil, class
--- and message of a failure, and whether the state is another one now, which knows nothing.
---@field decide fun(which: string, req: table, changes?: perilune.FigureLine[]): perilune.Decided?, string?, string?, boolean?
--- Whole nano-dollars of so many tokens at a target; nil where a price is not known.
---@field cost fun(target: string, tokens: { input: integer, output: integer, cached: integer, written: integer }, at: number): integer|nil
---@field policy string name and version, for the report
---@field against? string the other policy's; nil: what was recorded
---@field since? number Unix time
---@field upto? number
---@field only? string requests which the policy of that name decided, and no others
---@field show? integer changed decisions to name

---@param options perilune.ReplayOptions
function M.new(options)
  return setmetatable({
    o = options, history = history.new(), told = { policy = {}, against = {} }, now = 0,
    waiting = {}, first = 1, last = 0,
    lines = { total = 0, requests = 0, figures = 0, broken = 0 }, broken = {}, unknown = {}, kinds = 0,
    left_out = { outside = 0, other_policy = 0, read_text = 0, read_headers = 0, failed = 0 },
    requests = 0, changed = 0, changed_first = 0,
    errors = { count = 0, classes = {}, messages = {} },
    targets = {}, shown = {},
    cost = { before = 0, after = 0, compared = 0, unknown = 0 },
    latency = { before = 0, after = 0, compared = 0, unknown = 0 },
    met = { before = 0, after = 0, avoided = 0, met = 0 },
    unanswered = { before = 0, after = 0 },
  }, M)
end

----------------------------------------------------------------------------------------------------------------------------
-- Reading lines, which anybody may have written

-- Not below 0, and of a size that sums can take.
local function count(v)
  return type(v) == "number" and v >= 0 and v < 1e15 and v or nil
end

-- Unix time; the year 5138 is late enough.
local function moment(v)
  return count(v) and v < 1e11 and v or nil
end

local function text(v)
  return type(v) == "string" and v or nil
end

local function list(v)
  return type(v) == "table" and v or {}
end

local function names(v)
  local out = {}
  for _, name in ipairs(list(v)) do
    out[#out + 1] = text(name)
  end
  return out
end

function M:break_line(why)
  self.lines.broken = self.lines.broken + 1
  if #self.broken < NAMED then
    self.broken[#self.broken + 1] = { line = self.lines.total, why = why }
  end
end

function M:note_unknown(kind)
  if not self.unknown[kind] then
    self.kinds = self.kinds + 1
    kind = self.kinds > NAMED and "others" or kind
  end
  self.unknown[kind] = (self.unknown[kind] or 0) + 1
end

local function percentiles(v)
  v = list(v)
  return count(v.p50) and { p50 = count(v.p50), p95 = count(v.p95), p99 = count(v.p99) } or nil
end

local STATES = { closed = true, open = true, half_open = true }

function M:take_figures(line)
  local target = text(line.target)
  if not target then
    return self:break_line "figures of no target"
  end
  self.lines.figures = self.lines.figures + 1
  self.history:figures(count(line.worker) or 0, {
    at = moment(line.at) or self.now, target = target, state = STATES[line.state] and line.state or nil,
    error_rate = count(line.error_rate), in_flight = count(line.in_flight), headroom = count(line.headroom),
    ttft_ms = percentiles(line.ttft_ms), total_ms = percentiles(line.total_ms), tokens_per_s = count(line.tokens_per_s),
  })
end

-- What became of the request at each target, the tokens it used, and when its attempts ended.
function M:take_attempts(line, at)
  local outcomes, tokens, answered_by = {}, nil, nil
  local ended = at
  for _, a in ipairs(list(line.attempts)) do
    local target = type(a) == "table" and a.skipped ~= true and text(a.target)
    if target then
      local class = text(a.failure)
      ended = moment(ended + (count(a.ms) or 0) / 1000) or ended
      if not class or SPEAKS[class] then
        self.history:ended(target, ended, class ~= nil)
      end
      if not class then
        outcomes[target], answered_by = "answered", target
        if count(a.input_tokens) and count(a.output_tokens) then
          tokens = {
            input = a.input_tokens, output = a.output_tokens, cached = count(a.cached_tokens) or -1,
            written = count(a.written_tokens) or -1,
          }
        end
      elseif SPEAKS[class] and not outcomes[target] then
        outcomes[target] = "failed"
      end
    end
  end
  return outcomes, tokens, answered_by
end

local function recorded(line)
  return { chain = names(line.chain), steps = count(line.steps), refused = count(line.refused) }
end

----------------------------------------------------------------------------------------------------------------------------
-- Deciding

function M:note_error(which, class, message)
  local e = self.errors
  e.count = e.count + 1
  e.classes[class] = (e.classes[class] or 0) + 1
  if #e.messages < NAMED and not e.messages[message] then
    e.messages[#e.messages + 1] = { policy = which == "policy" and self.o.policy or self.o.against, class = class, message = message }
    e.messages[message] = true
  end
end

-- Who was stopped is asked once more: on a machine that is busy with other things, time may have been taken for the policy's own.
function M:ask(which, line, worker, at, again)
  local changes = self.history:changes(worker, at, self.told[which])
  local decided, class, message, fresh = self.o.decide(which, line.req, changes)
  if fresh then
    self.told[which] = {}
    if not again then
      return self:ask(which, line, worker, at, true)
    end
  end
  if not decided then
    self:note_error(which, class or "raised", message or "it did not say why")
  end
  return decided
end

-- The two decisions, or nil and why the request is left out.
function M:decide(line, worker, at)
  local after = self:ask("policy", line, worker, at)
  local before = self.o.against and self:ask("against", line, worker, at) or not self.o.against and recorded(line)
  if not after or not before then
    return nil, "failed"
  elseif after.read_text or before.read_text then
    return nil, "read_text"
  elseif after.read_headers or before.read_headers then
    return nil, "read_headers"
  end
  return before, after
end

function M:outside(line, at)
  local policy = text(line.policy) or ""
  if (self.o.since and at < self.o.since) or (self.o.upto and at >= self.o.upto) then
    return "outside"
  elseif self.o.only and policy ~= self.o.only and policy:match "^(.*)@" ~= self.o.only then
    return "other_policy"
  end
  return nil
end

function M:take_request(line)
  if type(line.req) ~= "table" then
    return self:break_line "a request without req"
  end
  self.lines.requests = self.lines.requests + 1
  local at, worker = moment(line.at) or self.now, count(line.worker) or 0
  local outcomes, tokens, answered_by = self:take_attempts(line, at)
  local why = self:outside(line, at)
  local before, after
  if not why then
    before, after = self:decide(line, worker, at)
    why = not before and after or nil
  end
  if why then
    self.left_out[why] = self.left_out[why] + 1
    return
  end
  self.last = self.last + 1
  self.waiting[self.last] = {
    at = at, worker = worker, id = text(line.id), tier = text(line.req.tier), before = before, after = after, outcomes = outcomes,
    tokens = tokens, answered_by = answered_by, output = tokens and tokens.output or count(list(line.req.tokens).output) or 0,
  }
end

----------------------------------------------------------------------------------------------------------------------------
-- Comparing

-- Who would have answered the chain, and how many failures it would have met before. What the request itself saw of a target says
-- more than what others did.
function M:walk(p, decided)
  local met = 0
  for _, target in ipairs(decided.chain) do
    local own = p.outcomes[target]
    local known = self.history:known(p.worker, target, p.at)
    if own == "answered" then
      return target, met
    elseif own == "failed" or (known and known.state == "open") or self.history:failing(target, p.at) then
      met = met + 1
    else
      return target, met
    end
  end
  return nil, met
end

-- A cache that the answering target had is nobody else's.
function M:cost_at(p, target)
  local tokens = p.tokens
  if not tokens or not target then
    return nil
  elseif target ~= p.answered_by then
    tokens = { input = tokens.input, output = tokens.output, cached = -1, written = -1 }
  end
  return self.o.cost(target, tokens, p.at)
end

function M:latency_at(p, target)
  local known = target and self.history:known(p.worker, target, p.at)
  if not known then
    return nil
  end
  local first, total, speed = known.ttft_ms and known.ttft_ms.p50, known.total_ms and known.total_ms.p50, known.tokens_per_s
  if first and speed and speed > 0 then
    return first + p.output * 1000 / speed
  end
  return total or first
end

local function same(a, b)
  if a.refused ~= b.refused or (a.steps or #a.chain) ~= (b.steps or #b.chain) or #a.chain ~= #b.chain then
    return false
  end
  for i = 1, #a.chain do
    if a.chain[i] ~= b.chain[i] then
      return false
    end
  end
  return true
end

local function add_pair(sums, before, after)
  if before and after then
    sums.before, sums.after, sums.compared = sums.before + before, sums.after + after, sums.compared + 1
  else
    sums.unknown = sums.unknown + 1
  end
end

function M:count_target(name, side)
  local t = self.targets[name]
  if not t then
    t = { before = 0, after = 0 }
    self.targets[name] = t
  end
  t[side] = t[side] + 1
end

local function ahead(a, b)
  if a.more ~= b.more then
    return a.more > b.more
  end
  return a.cost > b.cost
end

-- Keeps the dearest changes, the dearest first.
function M:show(entry)
  local shown, n = self.shown, self.o.show or 5
  local place = #shown + 1
  while place > 1 and ahead(entry, shown[place - 1]) do
    place = place - 1
  end
  if place <= n then
    table.insert(shown, place, entry)
    shown[n + 1] = nil
  end
end

function M:side(p, which)
  local decided = p[which]
  local target, met = self:walk(p, decided)
  local name = decided.refused and "(refused)" or target or "(nobody)"
  self:count_target(name, which)
  self.met[which] = self.met[which] + met
  if not target and not decided.refused then
    self.unanswered[which] = self.unanswered[which] + 1
  end
  return { target = target, met = met, cost = self:cost_at(p, target), latency = self:latency_at(p, target) }
end

function M:compare(p)
  local before, after = self:side(p, "before"), self:side(p, "after")
  self.requests = self.requests + 1
  add_pair(self.cost, before.cost, after.cost)
  add_pair(self.latency, before.latency, after.latency)
  if before.met > 0 and after.met == 0 then
    self.met.avoided = self.met.avoided + 1
  elseif before.met == 0 and after.met > 0 then
    self.met.met = self.met.met + 1
  end
  if same(p.before, p.after) then
    return
  end
  self.changed = self.changed + 1
  if p.before.chain[1] ~= p.after.chain[1] or p.before.refused ~= p.after.refused then
    self.changed_first = self.changed_first + 1
  end
  self:show {
    id = p.id, tier = p.tier, before = p.before, after = p.after, cost_before = before.cost, cost_after = after.cost,
    more = (after.cost or 0) - (before.cost or 0), cost = after.cost or 0,
  }
end

-- Compares what has waited long enough; at most `max` of it.
function M:settle(upto, max)
  while self.first <= self.last and max > 0 do
    local p = self.waiting[self.first]
    if p.at > upto and self.last - self.first < WAITING then
      break
    end
    self.waiting[self.first] = nil
    self.first = self.first + 1
    self:compare(p)
    max = max - 1
  end
end

----------------------------------------------------------------------------------------------------------------------------
-- Lines

local KINDS = { figures = M.take_figures, request = M.take_request }

--- Takes the next line. What is wrong with it is counted, and named for the first few.
---@param line string
---@param wrong? string what the caller has found wrong with it, who reads it too
function M:feed(line, wrong)
  self.lines.total = self.lines.total + 1
  if #line > LINE_MAX then
    return self:break_line "longer than a megabyte"
  elseif not line:find "%S" then
    return
  elseif wrong then
    return self:break_line(wrong)
  end
  local value, why = json.read(line)
  if type(value) ~= "table" then
    return self:break_line(why or "no object")
  end
  local kind = text(value.kind)
  if not kind then
    return self:break_line "no kind"
  elseif not KINDS[kind] then
    return self:note_unknown(kind:sub(1, 64))
  end
  -- A request's line was written when it was over.
  local written = moment(value.at) and moment(value.at + (count(value.ms) or 0) / 1000)
  if written and written > self.now then
    self.now = written
  end
  KINDS[kind](self, value)
  self:settle(self.now - LATE_S, huge)
end

--- After the last line: compares what waited, at most `max` requests of it. True when that was all.
---@param max integer
---@return boolean
function M:finish(max)
  self:settle(huge, max)
  return self.first > self.last
end

----------------------------------------------------------------------------------------------------------------------------
-- The report

-- Change of a sum, 0.05 for five in a hundred more; huge where there was nothing before; nil where nothing can be said.
local function change(before, after)
  if before > 0 then
    return after / before - 1
  end
  return after > 0 and huge or 0
end

local function share(n, of)
  return of > 0 and n / of or 0
end

local THRESHOLDS = {
  { name = "max_cost_increase", option = "--max-cost-increase", value = function(r) return r.cost.change end },
  { name = "max_latency_increase", option = "--max-latency-increase", value = function(r) return r.latency.change end },
  { name = "max_changed", option = "--max-changed", value = function(r) return r.changed_share end },
  { name = "max_errors", option = "--max-errors", value = function(r) return r.errors.count end },
}

--- What was passed. A record of which nothing could be compared lets nothing through, and neither does a threshold nothing is known for.
local function check(report, limits)
  local out, any = {}, false
  for _, t in ipairs(THRESHOLDS) do
    local limit = limits[t.name]
    if limit then
      any = true
      local value = t.value(report)
      local unknown = t.name == "max_cost_increase" and report.cost.compared == 0
        or t.name == "max_latency_increase" and report.latency.compared == 0
      if unknown or value > limit + 1e-9 then
        out[#out + 1] = { threshold = t.option, limit = limit, value = not unknown and value or nil }
      end
    end
  end
  if any and report.requests == 0 then
    out[#out + 1] = { threshold = "requests", limit = 1, value = 0 }
  end
  return out
end

local function targets_of(self)
  local out = {}
  for name, t in pairs(self.targets) do
    out[#out + 1] = { target = name, before = t.before, after = t.after }
  end
  table.sort(out, function(a, b)
    if a.after ~= b.after then
      return a.after > b.after
    elseif a.before ~= b.before then
      return a.before > b.before
    end
    return a.target < b.target
  end)
  return out
end

local function shown_of(self)
  local out = {}
  for i, s in ipairs(self.shown) do
    out[i] = {
      id = s.id, tier = s.tier, before = s.before.chain, after = s.after.chain, refused_before = s.before.refused,
      refused_after = s.after.refused, cost_before_usd = s.cost_before and s.cost_before / 1e9,
      cost_after_usd = s.cost_after and s.cost_after / 1e9,
    }
  end
  return out
end

local function mean(sum, n)
  return n > 0 and sum / n or nil
end

--- Everything there is to say, as plain data. `limits`: shares (0.05 is five in a hundred), and a number for max_errors.
---@param limits { max_cost_increase?: number, max_latency_increase?: number, max_changed?: number, max_errors?: number }
function M:report(limits)
  local cost, latency = self.cost, self.latency
  local report = {
    policy = self.o.policy, against = self.o.against or "recorded",
    lines = {
      total = self.lines.total, requests = self.lines.requests, figures = self.lines.figures, broken = self.lines.broken,
      first_broken = self.broken, unknown_kinds = self.unknown,
    },
    requests = self.requests, left_out = self.left_out,
    changed = self.changed, changed_first = self.changed_first, changed_share = share(self.changed, self.requests),
    errors = { count = self.errors.count, classes = self.errors.classes, messages = {} },
    targets = targets_of(self),
    cost = {
      before_usd = cost.before / 1e9, after_usd = cost.after / 1e9, change = change(cost.before, cost.after),
      compared = cost.compared, unknown = cost.unknown,
    },
    latency = {
      before_ms = mean(latency.before, latency.compared), after_ms = mean(latency.after, latency.compared),
      change = change(latency.before, latency.after), compared = latency.compared, unknown = latency.unknown,
    },
    failures = { met_before = self.met.before, met_after = self.met.after, avoided = self.met.avoided, met = self.met.met },
    unanswered = { before = self.unanswered.before, after = self.unanswered.after },
    shown = shown_of(self),
  }
  for i, m in ipairs(self.errors.messages) do
    report.errors.messages[i] = m
  end
  report.passed = check(report, limits)
  return report
end

----------------------------------------------------------------------------------------------------------------------------
-- The report for people

local function percent(x)
  if x == huge then
    return "from nothing"
  end
  return ("%+.1f%%"):format(100 * x)
end

local function usd(x)
  return x and ("$%.6f"):format(x) or "unknown"
end

local function chain_text(chain, refused)
  if refused then
    return ("refused (%d)"):format(refused)
  elseif #chain == 0 then
    return "nobody"
  end
  local shown = table.concat(chain, ", ", 1, math.min(#chain, 3))
  return #chain > 3 and ("%s, %d more"):format(shown, #chain - 3) or shown
end

-- One line, whatever a record or a policy says in it.
local function add(out, line, ...)
  local said = { ... }
  for k, v in ipairs(said) do
    said[k] = type(v) == "string" and v:gsub("%c", "?") or v
  end
  out[#out + 1] = line:format(unpack(said))
end

local function add_sums(out, r)
  add(out, "changed     %d of %d decisions (%.2f%%), the first target of %d", r.changed, r.requests, 100 * r.changed_share, r.changed_first)
  if r.cost.compared > 0 then
    add(out, "cost        %s -> %s (%s); unknown for %d", usd(r.cost.before_usd), usd(r.cost.after_usd), percent(r.cost.change),
      r.cost.unknown)
  else
    add(out, "cost        unknown for all %d", r.cost.unknown)
  end
  if r.latency.compared > 0 then
    add(out, "latency     %.0f ms -> %.0f ms on average (%s); unknown for %d", r.latency.before_ms, r.latency.after_ms,
      percent(r.latency.change), r.latency.unknown)
  else
    add(out, "latency     unknown for all %d", r.latency.unknown)
  end
  add(out, "failures    met %d -> %d; %d requests avoid them, %d meet new ones", r.failures.met_before, r.failures.met_after,
    r.failures.avoided, r.failures.met)
  add(out, "unanswered  %d -> %d", r.unanswered.before, r.unanswered.after)
  add(out, "errors      %d", r.errors.count)
  for _, m in ipairs(r.errors.messages) do
    add(out, "  %s: %s: %s", m.policy, m.class, m.message)
  end
end

local function add_left_out(out, r)
  local l = r.left_out
  local why = {
    { l.outside, "outside of the time asked for" }, { l.other_policy, "decided by another policy" },
    { l.read_text, "not replayable: the policy read the text, which is not recorded" },
    { l.read_headers, "not replayable: the policy read a header that is not recorded (see record_headers)" },
    { l.failed, "not decided: see errors" },
  }
  for _, w in ipairs(why) do
    if w[1] > 0 then
      add(out, "left out    %d %s", w[1], w[2])
    end
  end
  if r.lines.broken > 0 then
    add(out, "broken      %d lines", r.lines.broken)
    for _, b in ipairs(r.lines.first_broken) do
      add(out, "  line %d: %s", b.line, b.why)
    end
  end
  for kind, n in pairs(r.lines.unknown_kinds) do
    add(out, 'unknown     %d lines of kind "%s"', n, kind)
  end
end

local function add_targets(out, r)
  if r.requests == 0 then
    return
  end
  add(out, "\n%-44s %8s %8s", "who would have answered", "before", "after")
  for i, t in ipairs(r.targets) do
    if i > 20 then
      add(out, "  and %d more", #r.targets - 20)
      break
    end
    add(out, "  %-42s %7.1f%% %7.1f%%", t.target, 100 * t.before / r.requests, 100 * t.after / r.requests)
  end
end

local function add_shown(out, r)
  if #r.shown > 0 then
    add(out, "\nchanged, the dearest first")
  end
  for _, s in ipairs(r.shown) do
    add(out, "  %s%s  %s -> %s  %s -> %s", s.id or "(no id)", s.tier and " " .. s.tier or "", chain_text(s.before, s.refused_before),
      chain_text(s.after, s.refused_after), usd(s.cost_before_usd), usd(s.cost_after_usd))
  end
end

local function add_passed(out, r)
  if #r.passed > 0 then
    add(out, "")
  end
  for _, p in ipairs(r.passed) do
    if p.threshold == "requests" then
      add(out, "stopped: no request could be compared")
    elseif p.threshold == "--max-errors" then
      add(out, "stopped by %s %d: there are %d", p.threshold, p.limit, p.value)
    elseif not p.value then
      add(out, "stopped by %s %.14g%%: it is not known", p.threshold, 100 * p.limit)
    else
      add(out, "stopped by %s %.14g%%: it is %s", p.threshold, 100 * p.limit, percent(p.value))
    end
  end
end

--- The report as lines for a terminal.
---@param r table
---@return string
function M.text(r)
  local out = {}
  add(out, "%s against %s: %d requests", r.policy, r.against == "recorded" and "what was recorded" or r.against, r.requests)
  add_sums(out, r)
  add_left_out(out, r)
  add_targets(out, r)
  add_shown(out, r)
  add_passed(out, r)
  return table.concat(out, "\n") .. "\n"
end

local LISTS = { targets = true, shown = true, passed = true, first_broken = true, messages = true, before = true, after = true }

--- The report as JSON, members in the order of their names. A change from nothing, which no number says, is null.
---@param r table
---@return string
function M.json(r)
  return json.report(r, LISTS)
end

return M
