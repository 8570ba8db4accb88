--- For specs of policies: what a policy decides for a request, worked out by the very library the gateway runs.
---
---   local spec = require "perilune.spec"
---   local fleet = {
---     { id = "openai/gpt-4o", price = { input = 2.5, output = 10 }, quality = 11 },
---     { id = "vllm/llama-3.3-70b", context = 8192, abilities = "tools", tags = { "own" } },
---   }
---   local decision = spec.route("policies/tier.lua", { tier = "paid" }, fleet)
---   spec.routes(decision).to("openai/gpt-4o")               -- in busted: assert.routes(decision).to("openai/gpt-4o")
---
---   local walk = spec.walk(decision, { ["openai/*"] = "rate_limited" })
---   spec.walks(walk).answers("vllm/llama-3.3-70b")
---
--- It needs LuaJIT and lua-cjson: no gateway, no network, no test framework of its own.
local assume = require "perilune.assume"
local bundle = require "perilune.bundle"
local call = require "perilune.call"
local catalogue = require "perilune.catalogue"
local civil = require "perilune.spec.time"
local expect = require "perilune.spec.expect"
local host = require "perilune.host"
local near = require "perilune.near"
local prices = require "perilune.prices"
local provider = require "perilune.provider"
local request_shape = require "perilune.request"
local S = require "perilune.schema"
local shipped = require "perilune.spec.shipped"
local walk = require "perilune.spec.walk"
local watch = require "perilune.spec.watch"

local M = {}

----------------------------------------------------------------------------------------------------------------------------
-- The fleet

local times_record = S.record { p50 = S.number(0, 1e9), p95 = S.number(0, 1e9), p99 = S.number(0, 1e9) }

-- One number stands for the middle one.
local function times(v, path, add)
  return times_record(type(v) == "number" and { p50 = v } or v, path, add)
end

local LIVE = {
  state = S.one_of { closed = true, open = true, half_open = true },
  error_rate = S.number(0, 1),
  headroom = S.number(0, 1),
  in_flight = S.integer(0, 1e9),
  ttft_ms = times,
  total_ms = times,
  tokens_per_s = S.number(0, 1e9),
}

local TARGET = { id = S.text }
for _, name in ipairs { "price", "context", "max_output", "abilities", "quality", "weight", "tags" } do
  TARGET[name] = provider.model_fields[name]
end
for name, check in pairs(LIVE) do
  TARGET[name] = check
end
local target_record = S.record(TARGET)

local function set_of(names)
  local set = {}
  for _, name in ipairs(names or {}) do
    set[name] = true
  end
  return set
end

local function wrong(setting, message, hint)
  error(("%s: %s%s"):format(setting, message, hint and "; " .. hint or ""), 0)
end

-- A target with all its fields, as the core hands it over: see targets().
local Whole = {}

local function checked(given, where)
  local t = target_record(given, where, wrong)
  t.price = t.price and shipped.price(prices.base(t.price), prices.rules(t.price))
  t.tags = t.tags and set_of(t.tags)
  return t
end

-- One target as the core hands it over; what the configuration would make of the same fields.
local function target_of(given, where)
  if getmetatable(given) == Whole then
    return given
  end
  local t = checked(type(given) == "string" and { id = given } or given, where)
  local provider_name, model = (t.id or ""):match "^([^/]+)/(.+)$"
  if not model then
    wrong(S.join(where, "id"), 'expected a target\'s id, like "openai/gpt-4o"')
  end
  t.provider, t.model, t.upstream = provider_name, model, model
  t.abilities = t.abilities or set_of(provider.abilities) -- nothing said: taken to be able, as in the configuration
  t.tags = t.tags or {}
  return t
end

-- More than figures is said of it: it can be one of the user's own.
local function is_written_out(given)
  for name in pairs(given) do
    if name ~= "id" and not LIVE[name] then
      return true
    end
  end
  return false
end

-- What an entry of a list of targets means: those that come with Perilune, or the one that is written out.
local function meant(given, over, where)
  local known, why = shipped.targets(over.id or given)
  if known then
    return known
  elseif is_written_out(over) then
    return { target_of(given, where) }
  end
  error(where .. ": " .. why .. "; a target of your own is written out: { id = ..., price = ..., context = ... }", 0)
end

--- Targets that come with Perilune, with their prices, windows, abilities and qualities. What is stated beside an id is taken instead;
--- a target of your own is written out.
---
---   spec.targets { "openai/gpt-4o", "anthropic/*", { id = "google/gemini-2.5-pro", state = "open" } }
---   spec.targets { "openai/gpt-4o", { id = "azure/gpt-4o", price = { input = 2.5, output = 10 } } }
---@param list (string|table)[]
---@return table[] fleet for route()
function M.targets(list)
  local fleet = {}
  for k, given in ipairs(list) do
    local where = ("targets[%d]"):format(k)
    local over = type(given) == "table" and checked(given, where) or {}
    for _, known in ipairs(meant(given, over, where)) do
      local t = setmetatable({}, Whole)
      for name, value in pairs(known) do
        t[name] = value
      end
      for name, value in pairs(over) do
        t[name] = name == "id" and known.id or value
      end
      fleet[#fleet + 1] = t
    end
  end
  return fleet
end

local function figures_of(t, index)
  local figures = { index = index }
  for name in pairs(LIVE) do
    figures[name] = t[name]
  end
  return figures
end

local CLAMP_LEAST = 16 -- as where the configuration says nothing of on_cap

local function set_up(fleet, name, params, assumed)
  if type(fleet) ~= "table" or #fleet == 0 then
    error('expected a fleet, a list of targets like { id = "openai/gpt-4o" }', 0)
  end
  local targets, figures = {}, {}
  for i, given in ipairs(fleet) do
    targets[i] = target_of(given, ("fleet[%d]"):format(i))
    figures[i] = figures_of(targets[i], i)
  end
  host.setup { targets = targets, params = { [name] = params }, clamp_least = CLAMP_LEAST }
  host.update(figures)
  local list, why = assume.all(assumed or {})
  if not list then
    error("assume: " .. why, 0)
  end
  for _, assumption in ipairs(list) do
    if assumption.of_asker then
      error(('assume: "%s": who asks, and what is left, is said in the request: { key = { ... }, budget = { ... } }'):format(
        assumption.text), 0)
    end
  end
  return targets
end

----------------------------------------------------------------------------------------------------------------------------
-- The policy

-- The files of a policy's folder, with the shipped ones behind them, read as they are asked for.
local function files_of(folder)
  return setmetatable({}, {
    __index = function(files, name)
      local file = shipped.read(folder .. name .. ".lua") or not name:find "^lib/" and shipped.file("policies", name) or nil
      rawset(files, name, file)
      return file
    end,
  })
end

-- "policies/tier.lua" is that file; "tier" is the one in policies/, or else the shipped one.
local function source_of(policy)
  local folder, name = policy:match "^(.-)([^/]+)%.lua$"
  local files = files_of(folder or "policies/")
  name = name or policy
  if folder and not shipped.read(policy) then
    error(("no file %s"):format(policy), 0)
  end
  return bundle.collect(name, files)
end

local function raise(finding)
  local place = finding.line and not finding.message:find("^" .. finding.path:gsub("%p", "%%%0") .. ":%d") and
    ("%s:%d: "):format(finding.path, finding.line) or ""
  error(place .. finding.message .. (finding.hint and "; " .. finding.hint or ""), 0)
end

----------------------------------------------------------------------------------------------------------------------------
-- The request

local KNOWN = { last_target = true, cached = true } -- what sticky() and cost() go by
for _, name in ipairs(request_shape.fields()) do
  KNOWN[name] = true
end

-- Parts of a request that have a shape of their own, as the core makes them.
local PARTS = {
  key = S.record { id = S.text, name = S.text, project = S.text, tags = S.map(S.boolean), meta = S.map(S.anything) },
  budget = S.record { left_usd = S.number(0, math.huge), used = S.number(0, 1), free_left = S.integer(0, 1e15) },
}
local UNSAID = {
  key = function()
    return { project = "default", tags = {}, meta = {} }
  end,
  budget = function()
    return { left_usd = math.huge, used = 0, free_left = 0 }
  end,
}

-- A part with what the spec says of it.
local function part_of(name, given)
  local part = UNSAID[name]()
  for field, value in pairs(given ~= nil and PARTS[name](given, name, wrong) or {}) do
    part[field] = value
  end
  return part
end

-- What a request says when the spec does not.
local function request_of(given)
  local req = {
    model = "auto", endpoint = "/v1/chat/completions", dialect = "openai_chat", tokens = { input = 1000, output = 500 }, turns = 1,
    seed = 1, now = 1790000000,
  }
  for name, value in pairs(given or {}) do
    if not KNOWN[name] then
      error(('req has no field "%s"%s'):format(tostring(name), near.hint(tostring(name), KNOWN)), 0)
    end
    req[name] = value
  end
  for name in pairs(PARTS) do
    req[name] = part_of(name, req[name])
  end
  req.params = nil -- the library makes them, of what is declared and what is set
  return req
end

----------------------------------------------------------------------------------------------------------------------------
-- The decision

---@class perilune.Decision
---@field targets string[] the ids of the steps, in the order they are tried
---@field steps table[] the same with all that is said of each: { target = "openai/gpt-4o", timeout_ms = 8000 }
---@field costs (number|false)[] dollars each step is expected to cost; false without a price
---@field chain table what is said of the chain: { max_cost_usd = 0.02 }
---@field reason string|nil the second value the policy returned
---@field refused { status?: integer, code?: string, message?: string }|nil
---@field notes table<string, string> what note() wrote
---@field cuts string[] what each word left out: "at_least: quality too low: 1"
---@field findings string[] what of the answer could not be used: "chain[2].timeout_ms: expected milliseconds"

local OWN = { reason = true, refused = true, notes = true, cuts = true, findings = true, plain = true }

local function step_of(step, targets)
  local out = {}
  if type(step) == "number" then
    step = { index = step }
  end
  for name, value in pairs(step) do
    out[name] = value
  end
  out.target = step.id or targets[step.index].id
  out.index, out.id = nil, nil
  return out
end

-- What the core is handed, as a spec reads it.
local function decision_of(answer, targets)
  local out = { targets = {}, steps = {}, chain = {}, reason = answer.reason, refused = answer.refused, notes = {}, cuts = {} }
  out.findings, out.costs = answer.findings or {}, {}
  for i, step in ipairs(answer) do
    out.steps[i] = step_of(step, targets)
    out.targets[i] = out.steps[i].target
  end
  for name, value in pairs(answer) do
    if type(name) == "string" and not OWN[name] then
      out.chain[name] = value
    end
  end
  for _, note in ipairs(answer.notes or {}) do
    out.notes[note[1]] = note[2]
  end
  for i, cut in ipairs(answer.cuts or {}) do
    out.cuts[i] = ("%s: %s: %d"):format(cut.word, cut.why, cut.count)
  end
  return out
end

-- What each decision was made of, for walking it.
local made = setmetatable({}, { __mode = "k" })

-- What runs code of the policy does so for a while at most.
local function watched(q, f, ...)
  local paths = { q.source.path }
  for k, lib in ipairs(q.source.libs or {}) do
    paths[k + 1] = lib.path
  end
  return watch.call(paths, f, ...)
end

-- Sets the state up for a question.
local function prepare(q)
  q.targets = set_up(q.fleet, q.source.name, q.request and q.request.params, q.assume)
  local loaded, why = watched(q, host.load, q.source)
  if not loaded then
    raise(why)
  end
  watched(q, host.prepare, q.source.name)
end

---@class perilune.RouteOptions
---@field assume? string[] what is taken to be true: "openai=down", "openai/gpt-4o.ttft_ms=900"

--- What a policy decides. Raises what would make it fail in the gateway, with file and line.
---@param policy string a file, "policies/tier.lua", or a name: the one in policies/, or else a shipped one
---@param request table|nil the fields of `req` that matter; `params` are the policy's settings
---@param fleet table[] targets, in the order of the configuration
---@param options? perilune.RouteOptions
---@return perilune.Decision
function M.route(policy, request, fleet, options)
  local source, finding = source_of(policy)
  if not source then
    raise(finding)
  end
  local q = { source = source, request = request, fleet = fleet, assume = options and options.assume }
  local req = request_of(request)
  prepare(q)
  local decision = decision_of(watched(q, host.decide, source.name, req), q.targets)
  for k, step in ipairs(decision.steps) do
    local list = catalogue.named[step.target]
    decision.costs[k] = list and call.cost(catalogue.records[list[1]]) or false
  end
  made[decision] = q
  return decision
end

----------------------------------------------------------------------------------------------------------------------------
-- Walking it

local function view_of(id)
  local list = catalogue.named[id]
  return list and catalogue.views[list[1]]
end

-- A step as the library has it, of one as a spec reads it.
local function raw_step(step)
  local raw, list = {}, catalogue.named[step.target]
  for name, value in pairs(step) do
    raw[name] = value
  end
  raw.target, raw.context = nil, nil
  raw.max_cost_usd = step.max_cost_usd and step.max_cost_usd / 1e9
  raw.index, raw.id = list and list[1], not list and step.target or nil
  return raw
end

-- The policy's on_failure, where it has one; a chain it gives is a decision.
local function on_failure_of(q)
  if not host.info(q.source.name).has_on_failure then
    return nil
  end
  return function(what, rest)
    local raw = {}
    for k, step in ipairs(rest) do
      raw[k] = raw_step(step)
    end
    local answer = watched(q, host.on_failure, q.source.name, request_of(q.request), what, raw)
    return answer and (answer.retry_in_ms and answer or decision_of(answer, q.targets))
  end
end

--- Walks the chain of a decision as the core would, with failures out of a script and without time passing. A target that is not in the
--- script answers.
---
---   spec.walk(decision, { ["openai/*"] = "overloaded", ["azure/gpt-4o"] = { "timeout", { class = "quota", status = 402 } } })
---@param decision perilune.Decision
---@param failures? table<string, string|perilune.Outcome|(string|perilune.Outcome)[]> by target, by "openai/*", or by "*"
---@return perilune.Walked
function M.walk(decision, failures)
  local q = made[decision]
  if not q then
    error("walk: expected what route() gave", 2)
  end
  prepare(q)
  local req = request_of(q.request)
  local again = watched(q, host.decide, q.source.name, req) -- so that prices and predictions are this request's
  assert(#again == #decision.steps, "the policy decides differently when it is asked again")
  return walk.walk(decision, failures, {
    view = view_of, on_failure = on_failure_of(q), deadline_ms = req.limits.deadline_ms,
    jitter = function(cap_ms)
      return math.floor(cap_ms / 2) -- what it is on the average
    end,
  })
end

----------------------------------------------------------------------------------------------------------------------------
-- Time, and what is expected

--- A moment, for `now` of a request: "2026-11-22 09:00 +01:00"; without an offset it is UTC.
M.at = civil.at

--- What is expected of a decision; in busted it is `assert.routes` as well.
M.routes = expect.routes

--- What is expected of a walk; in busted it is `assert.walks` as well.
M.walks = expect.walks

-- What is raised without a place in a policy is told with the line that asked; busted would name a line of this library.
local function raised_there(ok, ...)
  if ok then
    return ...
  end
  local why = ...
  local has_place = type(why) ~= "string" or why:find "^[^\n]-:%d+: "
  error(why, has_place and 0 or 2)
end

for _, name in ipairs { "targets", "route", "walk" } do
  local f = M[name]
  M[name] = function(...)
    return raised_there(pcall(f, ...))
  end
end

expect.install()

return M
