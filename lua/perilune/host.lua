--- The one door between the core and policies: what the core calls in a policy state.
---
---   host.setup { targets =, chains =, aliases =, providers =, params = }     once
---   host.load { name =, version =, path =, text =, libs = }                  once a policy
---   host.prepare(name)                                                       once, after all are loaded
---   host.request(model, ...)                                                 the `req` of what follows
---   host.decide(name, req)                                                   once a request
---   host.on_failure(name, req, failure, rest)                                after a failed attempt, where the policy has it
local call = require "perilune.call"
local catalogue = require "perilune.catalogue"
local failure = require "perilune.failure"
local fleet = require "perilune.fleet"
local json = require "perilune.json"
local near = require "perilune.near"
local params = require "perilune.params"
local request = require "perilune.request"
local sandbox = require "perilune.sandbox"
local steps = require "perilune.steps"

local M = {}

local type, error, pairs, ipairs, tostring, pcall = type, error, pairs, ipairs, tostring, pcall

local policies = {} -- by name: { decide, on_failure, prepare, prepared, declared, params, assigned, refuses, paths }
local set_params = {} -- by policy: what the configuration set
local assignments = {} -- in the core's order, those with params: { policy =, scope =, name =, params = }; false for others

---@class perilune.Setup
---@field targets table[] id, provider, model, upstream, price, context, max_output, abilities, quality, weight, tags
---@field providers? string[] names of configured providers, those without targets too
---@field chains? table<string, string[]>
---@field aliases? table<string, string[]>
---@field params? table<string, table|string> by policy; a text is a JSON object
---@field assignments? (perilune.Assigned|false)[] with params, over those of the policy; false: without
---@field clamp_least? integer a cap may cut an answer down to that many tokens; nil: it cuts none
---@field abilities? string[] the core's names of them, in the order of their bits
---@field field? fun(name: string): any what a field of the request under way holds; nil for none
---@field header_read? fun(name: string|nil) is told which of its headers a policy asks for; nil: all of them

---@alias perilune.Assigned { policy: string, scope: string, name: string?, params: table|string }

local function decoded(values)
  return type(values) == "string" and assert(json.decode(values)) or values
end

--- Tells the state what is configured. Closes the way through string methods, too.
---@param setup perilune.Setup
function M.setup(setup)
  sandbox.seal_strings()
  catalogue.setup(setup)
  request.setup(setup.field, setup.header_read)
  call.clamp_least = setup.clamp_least or false
  policies, set_params, assignments = {}, {}, setup.assignments or {}
  for name, values in pairs(setup.params or {}) do
    set_params[name] = decoded(values)
  end
  for _, a in ipairs(assignments) do
    if a then
      a.params = decoded(a.params)
    end
  end
end

----------------------------------------------------------------------------------------------------------------------------
-- Loading

-- The source lines around a line, the line itself marked.
local function excerpt(text, line)
  local out, n = {}, 0
  for source in (text .. "\n"):gmatch "(.-)\r?\n" do
    n = n + 1
    if n >= line - 1 and n <= line + 1 then
      out[#out + 1] = ("%s %4d | %s"):format(n == line and ">" or " ", n, source)
    end
  end
  return table.concat(out, "\n")
end

local HINTS = {
  { "unexpected symbol near '<eof>'", "something is missing at the end of the file" },
  { "'=' expected", "a statement is an assignment or a call" },
  { "'end' expected", "a block is not closed" },
  { "attempt to index %S+ '([^']+)' %(a nil value%)", "'%1' is nil here; test it first" },
  { "attempt to compare nil with number", "a figure that is not known is nil; test it first" },
  { "attempt to compare number with nil", "a figure that is not known is nil; test it first" },
  { "attempt to call method '([^']+)' %(a nil value%)", "there is no '%1'; fleet words are called with a colon" },
  { "attempt to perform arithmetic on %S+ '([^']+)' %(a nil value%)", "'%1' is nil here; test it first" },
}

local function hint_for(message)
  for _, h in ipairs(HINTS) do
    local captured = { message:match(h[1]) }
    if captured[1] then
      return (h[2]:gsub("%%1", function()
        return captured[1]
      end))
    end
  end
  return nil
end

-- Errors can be anything; a table's __tostring is the script's own code and is not called.
local function message_of(why)
  if type(why) == "string" then
    return why
  elseif type(why) == "number" then
    return tostring(why)
  end
  return "an error that is no text (a " .. type(why) .. ")"
end

-- A position inside the library says nothing to the author: only those in the policy's own files stay.
local function tidy(why, paths)
  local message = message_of(why)
  local path, line, rest = message:match "^(.-):(%d+): (.*)$"
  if path and not paths[path] then
    return rest, nil, nil
  end
  return message, path, tonumber(line)
end

local function finding(source, why, paths)
  local message, path, line = tidy(why, paths)
  local text = source.text
  for _, lib in ipairs(source.libs or {}) do
    if lib.path == path then
      text = lib.text
    end
  end
  return {
    message = message,
    line = path == source.path and line or nil,
    path = path,
    hint = hint_for(message),
    excerpt = line and excerpt(text, line) or nil,
  }
end

-- require "name" of one policy: its libraries by name, each run once in the policy's own environment.
local function requirer(source, env_of)
  local loaded, loading = {}, {}
  local by_name = {}
  for _, lib in ipairs(source.libs or {}) do
    by_name[lib.name] = lib
  end
  return function(name)
    if loaded[name] ~= nil then
      return loaded[name]
    end
    local lib = by_name[name]
    if not lib then
      error(('require: no policies/lib/%s.lua and no shipped policy of that name%s'):format(tostring(name), near.hint(name, by_name)), 2)
    end
    if loading[name] then
      error(('require: "%s" requires itself'):format(name), 2)
    end
    loading[name] = true
    local chunk, why = load(lib.text, "@" .. lib.path, "t", env_of())
    if not chunk then
      error(why, 0)
    end
    local value = chunk(name)
    loading[name] = nil
    loaded[name] = value == nil and true or value
    return loaded[name]
  end
end

local ON_ERROR = { fallback = true, refuse = true }
local POLICY_FIELDS = { decide = "function", on_failure = "function", prepare = "function", params = "table", on_error = "string" }

-- What a policy file returned, as a policy.
local function shape(value)
  if type(value) == "function" then
    return { decide = value }
  end
  if type(value) ~= "table" then
    error(("expected a policy file to return a function or a table { decide = ... }, got %s"):format(
      value == nil and "nothing" or "a " .. type(value)), 0)
  end
  for name, v in pairs(value) do
    local expected = POLICY_FIELDS[name]
    if not expected then
      error(('a policy has no field "%s"%s (the fields are %s)'):format(tostring(name), near.hint(name, POLICY_FIELDS),
        near.names(POLICY_FIELDS)), 0)
    elseif type(v) ~= expected then
      error(("%s: expected a %s, got a %s"):format(name, expected, type(v)), 0)
    end
  end
  if not value.decide then
    error("a policy table needs decide = function(req, fleet) ... end", 0)
  end
  if value.on_error and not ON_ERROR[value.on_error] then
    error(('on_error: expected "fallback" or "refuse", got "%s"%s'):format(value.on_error, near.hint(value.on_error, ON_ERROR)), 0)
  end
  return value
end

-- By the place of an assignment: what its requests read as req.params.
local function assigned_handouts(name, declared, set)
  local handouts = {}
  for i, a in ipairs(assignments) do
    if a and a.policy == name then
      local values = {}
      for _, given in ipairs { set or {}, a.params } do
        for k, v in pairs(given) do
          values[k] = v
        end
      end
      local ok, checked = pcall(params.values, declared, values)
      if not ok then
        error(("assigned to the %s%s: %s"):format(a.scope, a.name and " " .. a.name or "", checked), 0)
      end
      handouts[i] = params.handout(checked, declared)
    end
  end
  return handouts
end

---@class perilune.Source
---@field name string
---@field version? string
---@field path string for messages
---@field text string
---@field libs? { name: string, path: string, text: string }[]

---@class perilune.Finding
---@field message string
---@field path? string
---@field line? integer
---@field hint? string
---@field excerpt? string

--- Compiles a policy and runs its file once.
---@param source perilune.Source
---@return true|nil, perilune.Finding|nil
function M.load(source)
  local paths = { [source.path] = true }
  for _, lib in ipairs(source.libs or {}) do
    paths[lib.path] = true
  end
  local env
  env = sandbox.environment {
    random = call.random,
    note = call.note,
    require = requirer(source, function()
      return env
    end),
  }
  local ok, why = pcall(function()
    local chunk, syntax = load(source.text, "@" .. source.path, "t", env)
    if not chunk then
      error(syntax, 0)
    end
    -- A file may look at the fleet words and at random numbers while it loads, but at no request.
    fleet.begin {}
    local value = shape(chunk(source.name))
    local declared = params.declare(value.params)
    local set = set_params[source.name]
    policies[source.name] = {
      decide = value.decide,
      on_failure = value.on_failure,
      prepare = value.prepare,
      refuses = value.on_error == "refuse",
      declared = declared,
      params = params.handout(params.values(declared, set), declared),
      assigned = assigned_handouts(source.name, declared, set),
      path = source.path,
      paths = paths,
    }
  end)
  if not ok then
    policies[source.name] = nil
    return nil, finding(source, why, paths)
  end
  return true
end

local function policy_of(name)
  local policy = policies[name]
  if not policy then
    error(('no policy "%s"%s'):format(tostring(name), near.hint(name, policies)), 0)
  end
  return policy
end

local function rethrow(why, policy)
  local message, path = tidy(why, policy.paths)
  local hint = hint_for(message)
  error((path and message or ("%s: %s"):format(policy.path, message)) .. (hint and "; " .. hint or ""), 0)
end

--- Runs the policy's prepare(), once the catalogue and all policies are there. Raises what it raises.
---@param name string
function M.prepare(name)
  local policy = policy_of(name)
  if policy.prepare then
    local ok, result = pcall(policy.prepare, fleet.begin {})
    if not ok then
      rethrow(result, policy)
    end
    policy.prepared = result
  end
end

---@param name string
---@return { refuses_on_error: boolean, has_on_failure: boolean, has_prepare: boolean }
function M.info(name)
  local policy = policy_of(name)
  return {
    refuses_on_error = policy.refuses,
    has_on_failure = policy.on_failure ~= nil,
    has_prepare = policy.prepare ~= nil,
  }
end

----------------------------------------------------------------------------------------------------------------------------
-- Answers

local function is_target(value)
  return catalogue.index_of[value] ~= nil
end

-- An index alone where there is no more to say.
local function step_of(i, fields)
  if i <= catalogue.n and not fields then
    return i
  end
  local r = catalogue.records[i]
  if not r then
    error("a step names no target", 0)
  end
  local step = {}
  for k, v in pairs(fields or {}) do
    step[k] = v
  end
  if i <= catalogue.n then
    step.index = i
  else
    step.id = r.id -- the core makes it again
  end
  return step
end

-- Appends the steps of a fleet to `out`; returns how many there are then, and whether that is all it says.
local function add_fleet(out, n, f)
  local list, how, said = fleet.evaluate(f)
  for j = 1, #list do
    n = n + 1
    out[n] = step_of(list[j], how and how[list[j]])
  end
  if said then
    for k, v in pairs(said) do
      out[k] = v
    end
  end
  return n, not said or nil
end

-- A name that nothing answers to is left out, with a finding.
local function add_targets(out, n, name, fields, path)
  local list, why = catalogue.find(name)
  if not list then
    call.finding(path, why)
  end
  for _, i in ipairs(list or {}) do
    n = n + 1
    out[n] = step_of(i, fields)
  end
  return n, list ~= nil
end

-- Appends what one entry of a list means; false as second result when it was not sound.
local function add_entry(out, n, entry, path)
  if type(entry) == "string" or is_target(entry) then
    return add_targets(out, n, entry, nil, path)
  elseif fleet.is_fleet(entry) then
    return (add_fleet(out, n, entry)), true
  elseif type(entry) == "table" and entry.target ~= nil then
    return add_targets(out, n, entry.target, steps.step(entry, path, call.finding), path .. ".target")
  end
  call.finding(path, type(entry) == "table" and 'expected a step { target = "provider/model", ... }: target is missing'
    or ("expected a target's name or a step { target = ... }, got a %s"):format(type(entry)))
  return n, false
end

local MAX_STEPS = 1000

-- What of a list is no step: the fields of the chain. Keys that are neither are findings.
local function fields_of(list, top)
  local fields, sound = {}, true
  for k, v in pairs(list) do
    if type(k) == "string" then
      fields[k] = v
    elseif type(k) ~= "number" or k < 1 or k > top or k % 1 ~= 0 then
      call.finding(("chain[%s]"):format(tostring(k)), "a chain is a list without holes")
      sound = false
    end
  end
  return fields, sound
end

local function add_list(out, list)
  local n, top = 0, #list
  local fields, all_sound = fields_of(list, top)
  for k = 1, top do
    local sound
    n, sound = add_entry(out, n, list[k], ("chain[%d]"):format(k))
    all_sound = all_sound and sound
  end
  if n == 0 and not all_sound then
    error(table.concat(call.findings(), "; "), 0)
  end
  for k, v in pairs(steps.chain(fields, "chain", call.finding)) do
    out[k] = v
  end
  return n
end

local function index_of(step)
  if type(step) == "number" then
    return step
  end
  return step.index or catalogue.resolve(step.id)[1]
end

-- Takes out what the client's own wish (strict) or the chain's ceiling rules out.
local function prune(out, n)
  local named = call.strict and fleet.named_by_client()
  local limited = out.max_cost_usd ~= nil
  if not named and not limited then
    return
  end
  local kept = 0
  for j = 1, n do
    local i = index_of(out[j])
    local r = catalogue.records[i]
    if named and not named[i] then
      call.cut("strict", "not named by the client", i)
    elseif limited and not (r.input and r.output) then
      call.cut("chain", "price_unknown", i)
    else
      kept = kept + 1
      out[kept] = out[j]
    end
  end
  for j = kept + 1, n do
    out[j] = nil
  end
end

-- A policy's answer as the core takes it.
local function chain_of(answer)
  -- Room for what is said of the chain, so that the table does not grow field by field.
  local out = { nil, nil, nil, nil, reason = nil, cuts = nil, plain = nil, notes = nil }
  local n
  if fleet.is_fleet(answer) then
    n, out.plain = add_fleet(out, 0, answer)
  elseif is_target(answer) then
    error("expected a list of targets; put the target into braces: { target }", 0)
  elseif type(answer) == "table" then
    n = add_list(out, answer)
  elseif type(answer) == "string" then
    error(('expected a fleet or a list of names, got "%s"; put it into braces: { "%s" }'):format(answer, answer), 0)
  else
    error(("expected a fleet, a list of names and steps, or nil and a refusal, got %s"):format(
      answer == nil and "nil alone" or "a " .. type(answer)), 0)
  end
  for j = MAX_STEPS + 1, n do
    out[j] = nil
  end
  prune(out, n < MAX_STEPS and n or MAX_STEPS)
  return out
end

local function refusal_status(v)
  if type(v) == "number" and v % 1 == 0 and v >= 400 and v <= 599 then
    return v
  end
  return nil, "expected a whole number from 400 to 599, got " .. tostring(v)
end

local function refusal_text(v)
  if type(v) == "string" then
    return v
  end
  return nil, "expected a text, got a " .. type(v)
end

local REFUSAL = { status = refusal_status, code = refusal_text, message = refusal_text }

-- A refusal stands, whatever it says of itself.
local function refusal(r)
  local refused = {}
  for k, v in pairs(r) do
    local read, why = REFUSAL[k], "a refusal has no such field" .. near.hint(k, REFUSAL) .. " (the fields are status, code, message)"
    if read then
      refused[k], why = read(v)
    end
    if why then
      call.finding("refused." .. tostring(k), why)
    end
  end
  return { refused = refused }
end

local function answer_of(answer, second)
  if answer == nil and type(second) == "table" and not fleet.is_fleet(second) then
    return refusal(second)
  end
  local out = chain_of(answer)
  if type(second) == "string" then
    out.reason = second
  elseif second ~= nil then
    call.finding("reason", ("expected a text as second value, got a %s"):format(type(second)))
  end
  return out
end

-- With what is for the trace. `plain`: there is nothing in it beside steps, reason and cuts, so that the core need not look.
local function written_down(out)
  local notes, findings = call.notes(), call.findings()
  if notes or findings then
    out.notes, out.findings, out.plain = notes, findings, nil
  end
  out.cuts = call.cuts()
  return out
end

local function answered(policy, answer, second)
  local ok, out = pcall(answer_of, answer, second)
  if not ok then
    rethrow(out, policy)
  end
  return written_down(out)
end

local function asked(policy, req, all)
  local answer, second = policy.decide(req, all, policy.prepared)
  return answer_of(answer, second)
end

--- The core's `req` for the next question. It is nearly empty: most policies read little, and what is read comes from the core's
--- `field`; what the library itself looks at in every call is told here.
---@param model string
---@param t_in number expected tokens
---@param t_out number
---@param uses integer bits of the core's abilities
---@param max_cost_usd number huge: none
---@param left_usd number what the tightest cap leaves; huge: there is none
---@param max_latency_ms number 0: none
---@param strict boolean
---@param lists boolean whether the client gave a list of models
---@param session boolean whether there are targets of this session
---@param seed number
---@param now number
---@param usable? string[] the models its key is kept to; nil: all
---@param most_in? number the most tokens there can be, where a cap holds
---@param most_out? number huge: as many as the model can
---@return table
function M.request(model, t_in, t_out, uses, max_cost_usd, left_usd, max_latency_ms, strict, lists, session, seed, now, usable, most_in,
    most_out)
  local req = request.make(model)
  if usable then
    rawset(req, "usable", usable)
  end
  call.tell(req, t_in, t_out, uses, max_cost_usd, left_usd, max_latency_ms, strict, lists, seed, now, session and req.cached, most_in,
    most_out)
  return req
end

--- Asks a policy. Raises when the policy does, or answers with nothing but nonsense; what of its answer can not be used is in `findings`,
--- each with its place first: "chain[2].timeout_ms: expected milliseconds". What it returns is good until the next call.
---
--- `req` is of request(), or a table with all there is; it may have an __index of its own for what is dear to make.
---@param name string
---@param req table
---@param assignment? integer the place of the one that chose the policy, whose params count then
---@return table decision
function M.decide(name, req, assignment)
  local policy = policies[name] or policy_of(name)
  local all = fleet.begin(req, rawget(req, "usable"))
  request.dress(req, policy.assigned[assignment] or policy.params)
  local ok, out = pcall(asked, policy, req, all)
  if not ok then
    rethrow(out, policy)
  end
  return written_down(out)
end

-- The rest of a chain, as the core has it: indices, or step tables with index or id.
local function rest_of(rest)
  local list, map = {}, false
  for j, step in ipairs(rest or {}) do
    local i
    if type(step) == "number" then
      i = step
    else
      i = step.index or catalogue.resolve(step.id)[1]
      local fields
      for k, v in pairs(step) do
        if k ~= "index" and k ~= "id" then
          fields = fields or {}
          fields[k] = v
        end
      end
      if fields then
        map = map or {}
        map[i] = fields
      end
    end
    list[j] = i
  end
  return fleet.of(list, map)
end

--- Tells a policy of a failed attempt: nil to go on as planned, { retry_in_ms = n } to stay, or a chain.
---@param name string
---@param req table
---@param what table class, target, status, retry_after_ms, message, attempt, elapsed_ms, spent_usd, left_ms
---@param rest table[]
---@param assignment? integer as for decide()
---@return table|nil
function M.on_failure(name, req, what, rest, assignment)
  local policy = policy_of(name)
  if not policy.on_failure then
    return nil
  end
  local all = fleet.begin(req, rawget(req, "usable"))
  request.dress(req, policy.assigned[assignment] or policy.params)
  local ok, answer, second = pcall(policy.on_failure, req, what, rest_of(rest), all)
  if not ok then
    rethrow(answer, policy)
  end
  if answer == nil and second == nil then
    return nil
  end
  if type(answer) == "table" and not fleet.is_fleet(answer) and not is_target(answer) and answer.retry_in_ms ~= nil then
    local ms = answer.retry_in_ms
    if type(ms) ~= "number" or not (ms >= 0 and ms < 86400000) then
      error("retry_in_ms: expected milliseconds, a number not below 0, got " .. tostring(ms), 0)
    end
    return { retry_in_ms = ms }
  end
  return answered(policy, answer, second)
end

--- A policy's own params as JSON: by name, { type, default, min, max, choices, doc, value }.
---@param name string
---@return string
function M.params(name)
  local policy = policy_of(name)
  local values = type(policy.params) == "function" and policy.params() or policy.params
  local list = {}
  for param, declared in pairs(policy.declared) do
    local one = { value = values[param] }
    for field, v in pairs(declared) do
      one[field] = v
    end
    list[param] = one
  end
  return json.encode(list) or "{}"
end

--- Sets live figures of targets; see perilune.catalogue.
M.update = catalogue.update

--- Whether decisions name every target that was left out, which costs looking at all of them.
---@param on boolean
function M.explain(on)
  call.explain = on and true or false
end

--- Names of the failure classes in the core's order.
M.failure_classes = failure.classes

return M
