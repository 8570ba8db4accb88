--- For specs of policies: what a policy decides for a request, worked out by the very library the gateway runs.
---
---   local spec = require "perilune.spec"
---   local fleet = {
---     { id = "openai/gpt-4o", price = { input = 2.5, output = 10 }, quality = 11 },
---     { id = "vllm/llama-3.3-70b", context = 8192, abilities = "tools", tags = { "own" } },
---   }
---   local decision = spec.route("policies/tier.lua", { tier = "paid" }, fleet)
---   assert(decision.targets[1] == "openai/gpt-4o")
---
--- It needs LuaJIT and lua-cjson: no gateway, no network, no test framework of its own.
local bundle = require "perilune.bundle"
local host = require "perilune.host"
local near = require "perilune.near"
local provider = require "perilune.provider"
local request_fields = require("perilune.request").fields
local S = require "perilune.schema"

local M = {}

----------------------------------------------------------------------------------------------------------------------------
-- The fleet

local LIVE = {
  state = S.one_of { closed = true, open = true, half_open = true },
  error_rate = S.number(0, 1),
  headroom = S.number(0, 1),
  in_flight = S.integer(0, 1e9),
  ttft_ms = S.number(0, 1e9),
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

-- One target as the core hands it over; what the configuration would make of the same fields.
local function target_of(given, where)
  local function wrong(setting, message, hint)
    error(("%s: %s%s"):format(setting, message, hint and "; " .. hint or ""), 0)
  end
  local t = target_record(type(given) == "string" and { id = given } or given, where, wrong)
  local provider_name, model = (t.id or ""):match "^([^/]+)/(.+)$"
  if not model then
    wrong(S.join(where, "id"), 'expected a target\'s id, like "openai/gpt-4o"')
  end
  t.provider, t.model, t.upstream = provider_name, model, model
  t.abilities = t.abilities or set_of(provider.abilities) -- nothing said: taken to be able, as in the configuration
  t.tags = set_of(t.tags)
  return t
end

local function figures_of(t, index)
  local figures = { index = index }
  for name in pairs(LIVE) do
    figures[name] = t[name]
  end
  figures.ttft_ms = t.ttft_ms and { p50 = t.ttft_ms }
  return figures
end

local function set_up(fleet, name, params)
  if type(fleet) ~= "table" or #fleet == 0 then
    error('expected a fleet, a list of targets like { id = "openai/gpt-4o" }', 0)
  end
  local targets, figures = {}, {}
  for i, given in ipairs(fleet) do
    targets[i] = target_of(given, ("fleet[%d]"):format(i))
    figures[i] = figures_of(targets[i], i)
  end
  host.setup { targets = targets, params = { [name] = params } }
  host.update(figures)
  return targets
end

----------------------------------------------------------------------------------------------------------------------------
-- The policy

local function read(path)
  local file = io.open(path, "rb")
  if not file then
    return nil
  end
  local text = file:read "*a" -- nil for a folder
  file:close()
  return text and { path = path, text = text }
end

-- A shipped policy: a module of the rock, or beside the library in a clone.
local function shipped(name)
  local path = package.searchpath("perilune.policies." .. name, package.path)
  local here = package.searchpath("perilune.spec", package.path)
  return path and read(path) or here and read((here:gsub("lua/perilune/spec%.lua$", "policies/" .. name .. ".lua")))
end

-- The files of a policy's folder, with the shipped ones behind them, read as they are asked for.
local function files_of(folder)
  return setmetatable({}, {
    __index = function(files, name)
      local file = read(folder .. name .. ".lua") or not name:find "^lib/" and shipped(name) or nil
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
  if folder and not read(policy) then
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
for _, name in ipairs(request_fields()) do
  KNOWN[name] = true
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
  req.params = nil -- the library makes them, of what is declared and what is set
  return req
end

----------------------------------------------------------------------------------------------------------------------------
-- The decision

---@class perilune.Decision
---@field targets string[] the ids of the steps, in the order they are tried
---@field steps table[] the same with all that is said of each: { target = "openai/gpt-4o", timeout_ms = 8000 }
---@field chain table what is said of the chain: { max_cost_usd = 0.02 }
---@field reason string|nil the second value the policy returned
---@field refused { status?: integer, code?: string, message?: string }|nil
---@field notes table<string, string> what note() wrote
---@field cuts string[] what each word left out: "at_least: quality too low: 1"
---@field findings string[] what of the answer could not be used: "chain[2].timeout_ms: expected milliseconds"

local OWN = { reason = true, refused = true, notes = true, cuts = true, findings = true }

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
  out.findings = answer.findings or {}
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

--- What a policy decides. Raises what would make it fail in the gateway, with file and line.
---@param policy string a file, "policies/tier.lua", or a name: the one in policies/, or else a shipped one
---@param request table|nil the fields of `req` that matter; `params` are the policy's settings
---@param fleet table[] targets, in the order of the configuration
---@return perilune.Decision
function M.route(policy, request, fleet)
  local source, finding = source_of(policy)
  if not source then
    raise(finding)
  end
  local req = request_of(request)
  local targets = set_up(fleet, source.name, request and request.params)
  local loaded, why = host.load(source)
  if not loaded then
    raise(why)
  end
  host.prepare(source.name)
  return decision_of(host.decide(source.name, req), targets)
end

return M
