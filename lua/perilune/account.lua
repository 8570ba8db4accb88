--- Who asks and what may be spent, as the configuration says it: keys, projects, limits, caps, the record of it all. Its shape, what must
--- fit together in it, and how the core has it (core/base/account.h): money in whole nano-dollars, zones in minutes, moments in seconds.
local json = require "perilune.json"
local moment = require "perilune.moment"
local routes = require "perilune.routes"
local S = require "perilune.schema"

local M = {}

local floor, abs, max = math.floor, math.abs, math.max

----------------------------------------------------------------------------------------------------------------------------
-- Values

local amount = S.number(0, 1e9)

--- Dollars as whole nano-dollars. What is no multiple of one is refused, but for what reckoning with fractions leaves: 0.1 + 0.2 is 0.3.
---@type perilune.Check
function M.usd(v, path, add)
  local dollars = amount(v, path, add)
  if not dollars then
    return nil
  end
  local whole = floor(dollars)
  local part = (dollars - whole) * 1e9 -- taken by itself, so that it is exact beside many dollars, too
  local nano = floor(part + 0.5)
  if abs(part - nano) > max(1e-3, dollars * 1e-6) then
    add(path, ("expected dollars in whole nano-dollars, got %.17g"):format(dollars))
    return nil
  end
  return whole * 1e9 + nano
end

local function zone(v, path, add)
  local minutes = moment.minutes_of(v)
  if not minutes then
    add(path, 'expected "UTC" or how far it is ahead of that, like "+02:00"', "zones have no names here, and no summer time")
  end
  return minutes
end

local percents = S.list(S.integer(1, 100))

local function shares(v, path, add)
  local list = percents(v, path, add)
  if list and #list > 4 then
    add(path, "expected at most 4 shares of a cap, in percent")
    return nil
  end
  table.sort(list or {})
  return list
end

local function expires(v, path, add)
  local seconds = moment.seconds(v)
  if not seconds then
    add(path, 'expected a moment like "2027-01-01T00:00:00Z"')
  end
  return seconds
end

-- What stands in paths, headers and records as it is.
local function id(v, path, add)
  if type(v) ~= "string" or #v > 64 or not v:find "^[%w_.-]+$" then
    add(path, "expected up to 64 letters, digits, dots, dashes and underscores")
    return nil
  end
  return v
end

local some_texts = S.list(S.text)

-- A list that allows nothing would be read as one that forbids nothing.
local function allowed(v, path, add)
  local list = some_texts(v, path, add)
  if list and type(v) == "table" and next(v) == nil then
    add(path, "expected at least one name", "leave it out to allow all")
  end
  return list
end

-- enum keys_grant of core/base/account.h
local GRANTS = { policy = 1, tier = 2, models = 4 }
local grant_names = S.list(S.one_of(GRANTS))

local function grants(v, path, add)
  local bits, seen = 0, {}
  for _, name in ipairs(grant_names(v, path, add) or {}) do
    bits = bits + (seen[name] and 0 or GRANTS[name])
    seen[name] = true
  end
  return bits
end

local object = S.map(routes.plain)

local function metadata(v, path, add)
  local ok, why = json.encode(object(v, path, add) or {})
  if not ok then
    add(path, why)
  end
  return ok
end

-- Its path is often all that keeps others from using it, so it is in no message.
local function webhook(v, path, add)
  if type(v) ~= "string" or not v:find "^https?://[%w%.%-%[%]:_]+" or v:find '[%s%c#@\\"<>]' then
    add(path, 'expected a URL like "https://hooks.example.com/alerts"')
    return nil
  end
  return v
end

----------------------------------------------------------------------------------------------------------------------------
-- Settings

local function merged(...)
  local out = {}
  for _, fields in ipairs { ... } do
    for name, check in pairs(fields) do
      out[name] = check
    end
  end
  return out
end

local COUNT = S.integer(1, 1e9)
local LIMITS = { rpm = COUNT, tpm = COUNT, concurrent = COUNT }
local CAPS = { daily_usd = M.usd, monthly_usd = M.usd, total_usd = M.usd, zone = zone, alerts = shares }
local ASKER = merged(LIMITS, CAPS, { tier = S.text, policy = routes.assignment, tags = S.list(S.text) })

local KEY = merged(ASKER, {
  secret = S.secret, id = id, name = S.text, project = S.text, metadata = metadata, models = allowed, policies = allowed,
  grants = grants, strict = S.boolean, expires = expires,
})
local BODIES = { max_bytes = S.integer(1, 128 * 1024), retention_days = S.integer(1, 3650), redact = S.boolean }
local PROJECT = merged(ASKER, { free_requests = S.integer(0, 1e15), markup = S.number(0, 100), bodies = S.record(BODIES) })
local ACCOUNT = merged(CAPS, { request_usd = M.usd })
local DURABILITY = { process = true, power = true }
local LEDGER = { durability = S.one_of(DURABILITY), spill = S.text, retention_days = S.integer(0, 36500) }
local ALERTS = { webhook = webhook, secret = S.secret }
local ON_CAP = { clamp = true, refuse = true }

-- Where money is spent: the endpoints of core/route/endpoint.c that generate.
local SPENDING = {
  ["/v1/chat/completions"] = true, ["/v1/completions"] = true, ["/v1/embeddings"] = true, ["/v1/responses"] = true, ["/v1/messages"] = true,
}

local key_record, ledger_record, alerts_record = S.record(KEY), S.record(LEDGER), S.record(ALERTS)

-- A secret alone, or a table with all of a key. `setting` and `place` say where it stands.
local function client_key(v, path, add)
  local key
  if type(v) == "table" then
    key = key_record(v, path, add)
    if v.secret == nil then
      add(S.join(path, "secret"), "expected the key that clients present, got nothing")
    end
  else
    key = { secret = S.secret(v, path, add) }
  end
  key.setting, key.place = path, path:match "%[(%d+)%]$"
  return key
end

local function ledger(v, path, add)
  if type(v) == "boolean" then
    return v and {} or v
  end
  return ledger_record(v, path, add)
end

local function alerts(v, path, add)
  local out = alerts_record(v, path, add)
  if out and v.webhook and v.secret == nil then
    add(S.join(path, "secret"), "expected a secret that what is sent is signed with, got nothing")
  end
  return out
end

--- The settings at the top, and the fields of what is set there: for the configuration, documentation and its specs.
M.settings = {
  client_keys = S.list(client_key),
  projects = S.map(S.record(PROJECT), id),
  account = S.record(ACCOUNT),
  route_caps = S.map(S.record(CAPS), S.one_of(SPENDING)),
  model_limits = S.map(S.record(LIMITS)),
  on_cap = S.one_of(ON_CAP),
  ledger = ledger,
  access_log = S.text,
  alerts = alerts,
}
M.fields = { client_keys = KEY, projects = PROJECT, bodies = BODIES, account = ACCOUNT, ledger = LEDGER, alerts = ALERTS }
M.spending = SPENDING

----------------------------------------------------------------------------------------------------------------------------
-- Caps

local PERIODS = { { "daily_usd", "day" }, { "monthly_usd", "month" }, { "total_usd", "total" } }

-- The caps that one table states.
local function caps_of(rule, scope, name, out)
  for _, period in ipairs(PERIODS) do
    local nano = rule[period[1]]
    if nano then
      out[#out + 1] = {
        scope = scope, name = name, period = period[2], nano = nano, alerts = rule.alerts or { 80, 100 },
        offset_min = period[2] ~= "total" and rule.zone or 0,
      }
    end
  end
  return out
end

----------------------------------------------------------------------------------------------------------------------------
-- What must fit together

local ENVIRONMENT = "environment"

-- By its place where it has no name of its own: nothing that is shown is made of a secret.
local function id_of(key)
  return key.id or "key_" .. key.place
end

-- Which of two that are the same key a request came with would be chance.
local function check_secrets(keys, missing, add)
  local seen = {}
  for _, key in ipairs(keys) do
    local first = key.secret and seen[key.secret]
    if first and key.secret ~= missing then
      add(key.setting, ("this is the same key as %s"):format(first))
    elseif key.secret then
      seen[key.secret] = key.setting
    end
  end
end

local function check_ids(keys, add)
  local ids = { [ENVIRONMENT] = "PERILUNE_API_KEY" }
  for _, key in ipairs(keys) do
    local name = id_of(key)
    if ids[name] then
      add(key.setting, ('the id "%s" is that of %s'):format(name, ids[name]), "give it another id")
    end
    ids[name] = key.setting
  end
end

local function check_projects(keys, projects, add)
  for _, key in ipairs(keys) do
    if key.project and key.project ~= "default" and not projects[key.project] then
      add(S.join(key.setting, "project"), ('there is no project "%s"'):format(key.project), S.did_you_mean(key.project, projects))
    end
  end
end

-- Whether anything is counted that should outlive the process.
local function counts(config)
  for _, project in pairs(config.projects or {}) do
    if project.free_requests or #caps_of(project, "project", nil, {}) > 0 then
      return true
    end
  end
  for _, key in ipairs(config.client_keys or {}) do
    if #caps_of(key, "key", nil, {}) > 0 then
      return true
    end
  end
  local account = config.account or {}
  return #caps_of(account, "account", nil, {}) > 0 or next(config.route_caps or {}) ~= nil
end

--- Ids and secrets of keys are there once, their projects are there, and what is counted is kept.
---@param config table what the settings let through
---@param missing string what stands for a secret that is not there, which is told by itself
---@param add fun(setting: string, message: string, hint?: string, warning?: boolean)
function M.check(config, missing, add)
  local keys = config.client_keys or {}
  check_secrets(keys, missing, add)
  check_ids(keys, add)
  check_projects(keys, config.projects or {}, add)
  if config.ledger == false and counts(config) then
    add("ledger", "without it caps and free requests begin anew with each start", nil, true)
  end
end

local function named_by_keys(config, field)
  local list = {}
  for _, key in ipairs(config.client_keys or {}) do
    for i, name in ipairs(key[field] or {}) do
      list[#list + 1] = { setting = S.join(S.join(key.setting, field), i), name = name }
    end
  end
  return list
end

---@alias perilune.Named { setting: string, name: string }

--- The policies that keys name.
---@return perilune.Named[]
function M.policies_named(config)
  return named_by_keys(config, "policies")
end

--- The models and targets that keys and limits name. A chain of the configuration may be limited: clients name it as well.
---@return perilune.Named[]
function M.models_named(config)
  local list = named_by_keys(config, "models")
  for name in pairs(config.model_limits or {}) do
    if not (config.chains and config.chains[name]) then
      list[#list + 1] = { setting = S.join("model_limits", name), name = name }
    end
  end
  return list
end

----------------------------------------------------------------------------------------------------------------------------
-- Assignments

--- The assignments that keys and projects carry, and the settings of all that are there, by scope and name. A project `default` is there
--- without being named, and so is the key of the environment.
---@return table<string, table<string, perilune.Assignment>> assignments
---@return table<string, table<string, string>> settings
function M.assignments(config)
  local given = { key = {}, project = {} }
  local settings = { key = { [ENVIRONMENT] = "PERILUNE_API_KEY" }, project = { default = "projects.default" } }
  for _, key in ipairs(config.client_keys or {}) do
    given.key[id_of(key)] = key.policy
    settings.key[id_of(key)] = S.join(key.setting, "policy")
  end
  for name, project in pairs(config.projects or {}) do
    given.project[name] = project.policy
    settings.project[name] = S.join(S.join("projects", name), "policy")
  end
  return given, settings
end

----------------------------------------------------------------------------------------------------------------------------
-- As the core has it

local function names_sorted(map)
  local names = {}
  for name in pairs(map or {}) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

local function asker(given, scope, name)
  return {
    tier = given.tier, policy = given.policy and given.policy.policy, tags = given.tags or {},
    rpm = given.rpm, tpm = given.tpm, concurrent = given.concurrent, caps = caps_of(given, scope, name, {}),
  }
end

local function core_key(key)
  local out = asker(key, "key", id_of(key))
  out.id, out.secret, out.name = id_of(key), key.secret, key.name or id_of(key)
  out.project, out.metadata = key.project or "default", key.metadata
  out.models, out.policies = key.models or {}, key.policies or {}
  out.grants, out.strict, out.expires_s = key.grants or 0, key.strict or false, key.expires
  return out
end

--- All keys: those of the file, then that of the environment, which is the operator's own and may choose whatever it wants.
---@param config table
---@param env fun(name: string): string|nil
---@return table[]
function M.keys(config, env)
  local list, own = {}, env "PERILUNE_API_KEY"
  for i, key in ipairs(config.client_keys or {}) do
    list[i] = core_key(key)
    own = own ~= key.secret and own or nil
  end
  if own and own ~= "" then
    list[#list + 1] = core_key { id = ENVIRONMENT, name = "PERILUNE_API_KEY", secret = own, grants = 7 }
  end
  return list
end

---@return table[]
function M.projects(config)
  local list = {}
  for i, name in ipairs(names_sorted(config.projects)) do
    local given = config.projects[name]
    local out, bodies = asker(given, "project", name), given.bodies
    out.name, out.free_requests = name, given.free_requests
    out.markup_ppm = floor((given.markup or 0) * 1e6 + 0.5)
    if bodies then
      out.bodies_max_bytes, out.bodies_retention_days = bodies.max_bytes or 16384, bodies.retention_days or 7
      out.bodies_redact = bodies.redact ~= false
    end
    list[i] = out
  end
  return list
end

--- Those of the account, of each request and of routes.
---@return table[]
function M.caps(config)
  local account = config.account or {}
  local list = caps_of(account, "account", nil, {})
  if account.request_usd then
    list[#list + 1] = { scope = "request", period = "total", nano = account.request_usd, alerts = {}, offset_min = 0 }
  end
  for _, endpoint in ipairs(names_sorted(config.route_caps)) do
    caps_of(config.route_caps[endpoint], "route", endpoint, list)
  end
  return list
end

---@return table[]
function M.model_limits(config)
  local list = {}
  for i, model in ipairs(names_sorted(config.model_limits)) do
    local rule = config.model_limits[model]
    list[i] = { model = model, rpm = rule.rpm, tpm = rule.tpm, concurrent = rule.concurrent }
  end
  return list
end

return M
