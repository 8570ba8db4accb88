--- Why a request goes where it goes: every target with its price, its figures and what became of it, and the chain with what it may cost.
---
--- One decision worked out with nothing left unsaid. report() makes a plain table, for JSON; text() makes of that what a person reads.
local assume = require "perilune.assume"
local call = require "perilune.call"
local catalogue = require "perilune.catalogue"
local failure = require "perilune.failure"
local host = require "perilune.host"
local json = require "perilune.json"
local request = require "perilune.request"

local M = {}

---@class perilune.Explained one target
---@field target string
---@field price { input?: number, output?: number, cached?: number, cache_write?: number } dollars per million tokens
---@field figures table what is known of it lately
---@field cost_usd? number this request there
---@field latency_ms? number
---@field verdict "chosen"|"left_out"|"not_chosen"
---@field step? integer its place in the chain
---@field why? string the word that left it out, and its reason

---@class perilune.Report
---@field policy string
---@field reason? string the policy's own
---@field request table what the policy went by
---@field candidates perilune.Explained[] chosen ones in order, then the others in the order of the configuration
---@field chain table its fields, and `steps`
---@field cost_usd { expected?: number, most?: number } of the first step; of all attempts together
---@field latency_ms? number of the first step
---@field refused? { status: integer, code: string, message: string }
---@field notes table<string, string>
---@field assumed string[]
---@field stopped_at_ms? number the decision took longer, and so much it may take in the gateway

---@class perilune.Stopwatch
---@field limit_ms number what a decision may take in the gateway
---@field now fun(): number milliseconds of processor time

local PRICES = { "input", "output", "cached", "cache_write" }
local FIGURES = { "state", "error_rate", "in_flight", "headroom", "tokens_per_s", "cached_tokens" }
local TIMES = { "p50", "p95", "p99" }
local ASKED = { "model", "models", "endpoint", "dialect", "stream", "tier", "user", "session", "max_tokens", "turns" }

local function pick(from, names)
  local out = {}
  for _, name in ipairs(names) do
    out[name] = from[name]
  end
  return out
end

local function figures_of(view)
  local out = pick(view, FIGURES)
  out.ttft_ms = view.ttft_ms and pick(view.ttft_ms, TIMES)
  return out
end

-- Sets as sorted lists: JSON has no sets.
local function names_of(set)
  local out = {}
  for name, has in pairs(set or {}) do
    if has then
      out[#out + 1] = name
    end
  end
  table.sort(out)
  return out
end

-- Who asks; nothing where that is nobody of whom anything is known.
local function key_of(key)
  local out = pick(key, request.key_fields)
  out.tags = names_of(key.tags)
  return (out.project or out.id or out.tags[1]) and out or nil
end

-- What caps leave; nothing where none holds.
local function budget_of(budget)
  local out = pick(budget, request.budget_fields)
  if out.left_usd == math.huge then
    out.left_usd, out.used = nil, nil
  end
  return (out.left_usd or (out.free_left or 0) > 0) and out or nil
end

local function request_of(req)
  local out = pick(req, ASKED)
  out.models = out.models and out.models[1] and out.models or nil
  out.tokens = { input = call.t_in, output = call.t_out }
  out.uses, out.tags = names_of(req.uses), names_of(req.tags)
  out.limits = next(req.limits) and req.limits or nil
  out.key, out.budget = key_of(req.key), budget_of(req.budget)
  return out
end

local function params_of(list)
  local out = {}
  for _, param in ipairs(list) do
    out[param[1]] = param[2] and json.read(param[2]) or json.null
  end
  return out
end

local function classes_of(mask)
  local out = {}
  for number, name in ipairs(failure.classes) do
    if math.floor(mask / 2 ^ number) % 2 == 1 then
      out[#out + 1] = name
    end
  end
  return out
end

local READ = { params = params_of, when = classes_of } -- fields the core takes in a form of its own

-- A step of the decision, which is an index alone where there is no more to say.
local function step_of(step)
  local fields = type(step) == "table" and step or {}
  local i = type(step) == "number" and step or fields.index or catalogue.resolve(fields.id)[1]
  local r = catalogue.records[i]
  local out = { target = r.id, cost_usd = call.cost(r), latency_ms = call.latency(r) }
  for name, value in pairs(fields) do
    if name ~= "index" and name ~= "id" then
      out[name] = READ[name] and READ[name](value) or value
    end
  end
  return out, i
end

local OWN = { reason = true, refused = true, notes = true, cuts = true, findings = true, plain = true }

local function chain_of(decision)
  local chain, places = { steps = {} }, {}
  for k, step in ipairs(decision) do
    local i
    chain.steps[k], i = step_of(step)
    places[i] = places[i] or k
  end
  for name, value in pairs(decision) do
    if type(name) == "string" and not OWN[name] then
      chain[name] = value
    end
  end
  return chain, places
end

-- What all attempts together can cost: each step once more for each retry it was given, up to the chain's own ceiling.
local function costs_of(chain)
  local most
  for k, step in ipairs(chain.steps) do
    most = (k == 1 or most) and step.cost_usd and (most or 0) + step.cost_usd * (1 + (step.retries or 0)) or nil
  end
  if chain.max_cost_usd and (not most or most > chain.max_cost_usd) then
    most = chain.max_cost_usd
  end
  return { expected = chain.steps[1] and chain.steps[1].cost_usd, most = most }
end

-- What left each target out, by index. Who stands behind the first n was not left out, but not chosen.
local function cuts_of(cuts)
  local why, verdict = {}, {}
  for _, cut in ipairs(cuts or {}) do
    local list = cut.target and catalogue.named[cut.target]
    local i = list and list[1]
    if i and not why[i] then
      why[i] = cut.word .. ": " .. cut.why
      verdict[i] = cut.word ~= "take" and "left_out" or nil
    end
  end
  return why, verdict
end

local function candidates_of(decision, places)
  local list = {}
  local why, verdict = cuts_of(decision.cuts)
  for i = 1, catalogue.n + catalogue.n_ad_hoc do
    local r, view = catalogue.records[i], catalogue.views[i]
    local place = places[i]
    if i <= catalogue.n or place then
      list[#list + 1] = {
        target = r.id, price = pick(view.price, PRICES), figures = figures_of(view), cost_usd = call.cost(r),
        latency_ms = call.latency(r), verdict = place and "chosen" or verdict[i] or "not_chosen", step = place,
        why = not place and why[i] or nil, order = place or #places + 1000 + i,
      }
    end
  end
  table.sort(list, function(a, b)
    return a.order < b.order
  end)
  for _, candidate in ipairs(list) do
    candidate.order = nil
  end
  return list
end

local function refusal_of(refused)
  return refused and {
    status = refused.status or 403, code = refused.code or "policy_refused", message = refused.message or "The policy refused the request.",
  }
end

--- Asks a policy with everything written down. Raises what the policy raises.
---@param version string of the policy: "tier@3f9c2a1b"
---@param name string
---@param req table
---@param assumptions? string[]
---@param assignment? integer see perilune.host's decide()
---@param watch? perilune.Stopwatch
---@return perilune.Report|nil, string|nil what is wrong with an assumption
function M.report(version, name, req, assumptions, assignment, watch)
  local assumed, why = assume.all(assumptions or {})
  if not assumed then
    return nil, why
  end
  host.explain(true)
  local began = watch and watch.now()
  local ok, decision = pcall(host.decide, name, req, assignment)
  local stopped_at_ms = watch and watch.now() - began > watch.limit_ms and watch.limit_ms or nil
  host.explain(false)
  if not ok then
    error(decision, 0)
  end
  local chain, places = chain_of(decision)
  local notes = {}
  for _, note in ipairs(decision.notes or {}) do
    notes[note[1]] = note[2]
  end
  local texts = {}
  for k, assumption in ipairs(assumed) do
    texts[k] = assumption.text
  end
  return {
    policy = version, reason = decision.reason, request = request_of(req), candidates = candidates_of(decision, places), chain = chain,
    cost_usd = costs_of(chain), latency_ms = chain.steps[1] and chain.steps[1].latency_ms, refused = refusal_of(decision.refused),
    notes = notes, assumed = texts, findings = decision.findings, stopped_at_ms = stopped_at_ms,
  }
end

----------------------------------------------------------------------------------------------------------------------------
-- JSON

-- Empty tables are objects to an encoder that can not tell.
local LISTS = { candidates = true, steps = true, assumed = true, uses = true, tags = true, models = true, when = true, findings = true }

--- The report as JSON, members in the order of their names.
---@param report perilune.Report
---@return string
function M.json(report)
  return json.report(report, LISTS)
end

----------------------------------------------------------------------------------------------------------------------------
-- Text

local ROWS = 20 -- of those not chosen; long fleets are summed up

local function usd(n)
  return n and ("$%.6f"):format(n) or "?"
end

local function ms(n)
  return n and ("%.0f ms"):format(n) or "?"
end

local function per_million(price)
  local function one(n)
    return n and ("%g"):format(n) or "?"
  end
  return ("%s/%s"):format(one(price.input), one(price.output))
end

-- What is out of the ordinary about a target.
local function remarks(c)
  local f, out = c.figures, {}
  if f.state ~= "closed" then
    out[#out + 1] = f.state
  end
  if f.error_rate and f.error_rate > 0 then
    out[#out + 1] = ("%.0f%% errors"):format(f.error_rate * 100)
  end
  if f.headroom and f.headroom < 1 then
    out[#out + 1] = ("%.0f%% headroom"):format(f.headroom * 100)
  end
  if f.cached_tokens and f.cached_tokens > 0 then
    out[#out + 1] = ("%d tokens cached"):format(f.cached_tokens)
  end
  return table.concat(out, ", ")
end

-- Rows with columns as wide as their widest entry; numbers to the right.
local function aligned(lines, rows, right)
  local widths = {}
  for _, row in ipairs(rows) do
    for k, cell in ipairs(row) do
      widths[k] = math.max(widths[k] or 0, #cell)
    end
  end
  for _, row in ipairs(rows) do
    local cells = {}
    for k, cell in ipairs(row) do
      cells[k] = ("%" .. (right[k] and "" or "-") .. widths[k] .. "s"):format(cell)
    end
    lines[#lines + 1] = (("  " .. table.concat(cells, "  ")):gsub("%s+$", ""))
  end
end

local NUMERIC = { [1] = true, [3] = true, [4] = true, [5] = true }

local function chain_lines(lines, report)
  local rows = { { "", "target", "$/M in/out", "cost", "latency", "" } }
  for _, c in ipairs(report.candidates) do
    if c.verdict == "chosen" then
      rows[#rows + 1] = { tostring(c.step), c.target, per_million(c.price), usd(c.cost_usd), ms(c.latency_ms), remarks(c) }
    end
  end
  lines[#lines + 1] = "chain"
  aligned(lines, rows, NUMERIC)
  local said = {}
  for name, value in pairs(report.chain) do
    if name ~= "steps" then
      said[#said + 1] = name .. " = " .. tostring(value)
    end
  end
  table.sort(said)
  if said[1] then
    lines[#lines + 1] = "  " .. table.concat(said, ", ")
  end
  lines[#lines + 1] = ("  expected %s in %s; at most %s over all attempts"):format(usd(report.cost_usd.expected), ms(report.latency_ms),
    usd(report.cost_usd.most))
end

local function other_lines(lines, report, verdict, title)
  local rows, more = {}, 0
  for _, c in ipairs(report.candidates) do
    if c.verdict == verdict and #rows < ROWS then
      rows[#rows + 1] = { c.target, per_million(c.price), usd(c.cost_usd), ms(c.latency_ms), c.why or "", remarks(c) }
    elseif c.verdict == verdict then
      more = more + 1
    end
  end
  if not rows[1] then
    return
  end
  lines[#lines + 1] = title
  aligned(lines, rows, { [2] = true, [3] = true, [4] = true })
  if more > 0 then
    lines[#lines + 1] = ("  ... and %d more (--json lists them all)"):format(more)
  end
end

-- Only a key says more than that it is one of ours.
local function asker_line(key)
  if not (key and key.id) then
    return ""
  end
  return ("key %s%s of project %s"):format(key.id, key.name and key.name ~= key.id and " (" .. key.name .. ")" or "", key.project or "?")
end

local function budget_line(budget)
  local said = {}
  if budget and budget.left_usd then
    said[1] = ("%s left under the tightest cap, %.0f%% of it is used"):format(usd(budget.left_usd), (budget.used or 0) * 100)
  end
  if budget and (budget.free_left or 0) > 0 then
    said[#said + 1] = ("%d free requests left"):format(budget.free_left)
  end
  return table.concat(said, ", ")
end

--- The report for a terminal.
---@param report perilune.Report
---@return string
function M.text(report)
  local req = report.request
  local lines = {
    ("%s%s"):format(report.policy, report.reason and ": " .. report.reason or ""),
    ("%s for %s, %d tokens in, %d expected out%s%s"):format(req.endpoint or "a request", req.model, req.tokens.input, req.tokens.output,
      req.tier and ", tier " .. req.tier or "", req.uses[1] and ", needs " .. table.concat(req.uses, " ") or ""),
  }
  for _, line in ipairs { asker_line(req.key), budget_line(req.budget) } do
    lines[#lines + 1] = line ~= "" and line or nil
  end
  for _, text in ipairs(report.assumed) do
    lines[#lines + 1] = "assuming " .. text
  end
  if report.refused then
    lines[#lines + 1] = ("refused: %d %s: %s"):format(report.refused.status, report.refused.code, report.refused.message)
  elseif report.chain.steps[1] then
    chain_lines(lines, report)
  else
    lines[#lines + 1] = "nothing is left to try"
  end
  other_lines(lines, report, "not_chosen", "not chosen")
  other_lines(lines, report, "left_out", "left out")
  for _, name in ipairs(names_of(report.notes)) do
    lines[#lines + 1] = ("note %s: %s"):format(name, report.notes[name])
  end
  for _, finding in ipairs(report.findings or {}) do
    lines[#lines + 1] = "finding: " .. finding
  end
  if report.stopped_at_ms then
    lines[#lines + 1] = ("it took longer than it may: the gateway would stop it at %g ms"):format(report.stopped_at_ms)
  end
  for k, line in ipairs(lines) do
    lines[k] = line:gsub("%c", "?") -- a policy's texts steer no terminal
  end
  return table.concat(lines, "\n") .. "\n"
end

--- For the core: the report as JSON and as text.
---@param name string
---@param req table
---@param assumptions string[]
---@param version string
---@param assignment integer
---@param limit_ms number
---@param now fun(): number
---@return string|nil json
---@return string text_or_why
function M.answer(name, req, assumptions, version, assignment, limit_ms, now)
  local report, why = M.report(version, name, req, assumptions, assignment, { limit_ms = limit_ms, now = now })
  if not report then
    return nil, why
  end
  return M.json(report), M.text(report)
end

return M
