--- The configuration: perilune.lua, the provider files and the environment, made into settings the core takes as they are.
local account = require "perilune.account"
local json = require "perilune.json"
local provider = require "perilune.provider"
local routes = require "perilune.routes"
local sandbox = require "perilune.sandbox"
local S = require "perilune.schema"

local M = {}

local MB = 1024 * 1024
local milliseconds = S.integer(0, 24 * 3600 * 1000)
local bytes = S.integer(1024, 4096 * MB)

-- An origin as browsers send it, or "*" for every page's.
local function origin(v, path, add)
  if v ~= "*" and not (type(v) == "string" and v:find "^%l[%l%d+.-]*://[^/%s%c?#@%u]+$") then
    add(path, 'expected an origin like "https://app.example.com", in lower case and without a path, or "*"')
    return nil
  end
  return v
end

-- What policies are not shown is not recorded either (is_secret() of core/route/access.c).
local SECRET_HEADERS = {
  ["authorization"] = true, ["proxy-authorization"] = true, ["cookie"] = true, ["x-api-key"] = true, ["x-goog-api-key"] = true,
  ["api-key"] = true, ["set-cookie"] = true,
}

local function recorded_header(v, path, add)
  if type(v) ~= "string" or not v:find "^[%l%d_-]+$" then
    add(path, 'expected the name of a header in lower case, like "x-team"')
    return nil
  elseif SECRET_HEADERS[v] then
    add(path, ('"%s" holds a secret: it is never recorded'):format(v))
    return nil
  end
  return v
end

local UNSUPPORTED = { drop = true, refuse = true }
local RETIRED = { refuse = true, reroute = true }

-- "tier_next", or { policy = "tier_next", share = 0.1 }.
local shadow_fields = S.record { policy = S.text, share = S.number(0, 1) }

local function shadow(v, path, add)
  if type(v) == "string" then
    return { policy = S.text(v, path, add), share = 1 }
  end
  local out = shadow_fields(v, path, add)
  if out and not out.policy then
    add(S.join(path, "policy"), "expected the name of a policy")
    return nil
  end
  return out and { policy = out.policy, share = out.share or 1 }
end

local SETTINGS = {
  listen = S.address,
  admin = S.address,
  workers = S.integer(1, 256),
  data_dir = S.text,
  providers_dir = S.text,
  lua_dir = S.text,
  client_keys = account.settings.client_keys,
  projects = account.settings.projects,
  account = account.settings.account,
  route_caps = account.settings.route_caps,
  model_limits = account.settings.model_limits,
  on_cap = account.settings.on_cap,
  ledger = account.settings.ledger,
  access_log = account.settings.access_log,
  alerts = account.settings.alerts,
  providers = S.map(provider.configured_schema, provider.name_check),
  chains = S.map(S.list(S.text)),
  aliases = S.map(S.list(S.text)),
  unsupported = S.one_of(UNSUPPORTED),
  retired = S.one_of(RETIRED),
  record = S.text,
  record_max_bytes = S.integer(MB, 1024 * 1024 * MB),
  record_headers = S.list(recorded_header),
  policies = S.record {
    dir = S.text,
    default = routes.assignment,
    auto = S.text,
    fallback = S.list(S.text),
    routes = S.map(routes.assignment, routes.endpoint),
    tiers = S.map(routes.assignment),
    shadow = S.map(shadow),
    params = S.map(S.map(S.anything)),
    deadline_ms = S.integer(1, 1000),
    memory_mb = S.integer(1, 1024),
    quarantine = S.record { kills = S.integer(0, 64), kills_one_key = S.integer(0, 64) }, -- 0: that rule is off
  },
  cors = S.record { origins = S.list(origin) },
  limits = S.record {
    max_body = bytes,
    max_bodies = bytes,
    max_header_bytes = S.integer(1024, MB),
    max_headers = S.integer(8, 1000),
    max_connections = S.integer(1, 1e6),
    max_in_flight = S.integer(1, 1e6),
    max_lag_ms = milliseconds, -- 0: any
  },
  queue = S.record { max = S.integer(0, 1e6), max_a_key = S.integer(0, 1e6) },
  timeouts = S.record {
    head_ms = milliseconds,
    body_ms = milliseconds,
    idle_ms = milliseconds,
    write_ms = milliseconds,
    deadline_ms = milliseconds,
    hold_ms = milliseconds,
    drain_ms = milliseconds,
  },
  tls = S.not_yet "TLS towards clients is not there yet: put a proxy in front",
}
local settings = S.record(SETTINGS)

--- Names of the settings at the top, for documentation and its specs.
M.settings = SETTINGS

---@class perilune.ConfigHost
---@field env fun(name: string): string|nil
---@field file fun(path: string): string|nil, string|nil
--- Provider files, of which a later one of the same name wins, and names of policies (nil: not checked): lists, or functions of the
--- folder that is configured.
---@field provider_files perilune.ProviderFile[]|fun(dir: string): perilune.ProviderFile[]
---@field mock_url? string
---@field mock_known? boolean it answers already, and that has been said
---@field now? number
---@field policies? string[]|fun(dir: string): string[]
--- The file of assignments in the folder of policies, or a function of that folder; nil: there is none.
---@field routes? perilune.ProviderFile|fun(dir: string): perilune.ProviderFile|nil

---@alias perilune.ProviderFile { name: string, path: string, text: string }

---@class perilune.ConfigFinding
---@field path string
---@field line? integer
---@field setting? string
---@field message string
---@field hint? string
---@field warning? boolean

----------------------------------------------------------------------------------------------------------------------------
-- Findings

-- The line where a setting stands, by looking for its names one after the other. nil when they are not all there.
local function line_of(text, setting)
  local at, found = 1, nil
  for key in setting:gsub('%["(.-)"%]', ".%1"):gsub("%[%d+%]", ""):gmatch "[^.]+" do
    local from, to = text:find("%f[%w_]" .. key:gsub("%p", "%%%0") .. "%f[^%w_]", at)
    if not from then
      return found
    end
    at = to + 1
    local _, breaks = text:sub(1, from):gsub("\n", "")
    found = breaks + 1
  end
  return found
end

-- What is wrong with one file, in a list of its own or at the end of one that is there.
local function collector(path, text, findings)
  findings = findings or {}
  local function add(setting, message, hint, warning)
    findings[#findings + 1] = {
      path = path, setting = setting ~= "" and setting or nil, message = message, hint = hint,
      line = text and setting and setting ~= "" and line_of(text, setting) or nil, warning = warning or nil,
    }
  end
  return findings, add
end

local function failed(findings)
  for _, f in ipairs(findings) do
    if not f.warning then
      return true
    end
  end
  return false
end

-- In the order in which people meet them: file by file, from the top down. Tables are walked in no order at all.
local function in_order(findings)
  local files, n = {}, 0
  for _, f in ipairs(findings) do
    if not files[f.path] then
      n = n + 1
      files[f.path] = n
    end
  end
  table.sort(findings, function(a, b)
    if a.path ~= b.path then
      return files[a.path] < files[b.path]
    elseif (a.line or 0) ~= (b.line or 0) then
      return (a.line or 0) < (b.line or 0)
    end
    return (a.setting or "") .. a.message < (b.setting or "") .. b.message
  end)
  return findings
end

----------------------------------------------------------------------------------------------------------------------------
-- Reading Lua

-- The line of the script's call of the function that calls this.
local function calling_line()
  local _, where = pcall(error, "", 4)
  return tonumber(tostring(where):match ":(%d+): $")
end

-- What a parser says without the token it met, unless that is a word or a sign: a key whose quotes are not closed is one, too.
local function without_token(why)
  return (why:gsub("^(.*) near '(.*)'$", function(said, token)
    if #token <= 20 and (token:find "^[%a_]+$" or not token:find "%w") or token == "<eof>" then
      return nil
    end
    return said
  end))
end

-- Runs a file of settings; returns its table, or nil with findings added.
local function run(path, text, gifts, findings)
  local function fail(why)
    local line, message = tostring(why):match "^.-:(%d+): (.*)$"
    findings[#findings + 1] = { path = path, line = tonumber(line), message = message or tostring(why) }
  end
  local chunk, why = load(text, "@" .. path, "t", sandbox.environment(gifts))
  if not chunk then
    fail(without_token(why))
    return nil
  end
  local ok, value = pcall(chunk)
  if not ok then
    fail(type(value) == "string" and value or "the file raised a " .. type(value))
    return nil
  end
  if type(value) ~= "table" then
    fail(("expected the file to return a table, got %s"):format(value == nil and "nothing" or "a " .. type(value)))
    return nil
  end
  return value
end

-- What stands for a variable or a file that is not there, while the rest is read.
local MISSING = "(missing)"

-- env() and file() of the configuration. What is missing is noted, all of it, and the start fails after the file was read.
local function gifts_of(path, host, findings)
  local function missing(message, hint)
    findings[#findings + 1] = { path = path, line = calling_line(), message = message, hint = hint }
    return MISSING
  end
  return {
    env = function(name, default)
      if type(name) ~= "string" then
        error(("env: expected the name of a variable, got a %s"):format(type(name)), 2)
      end
      local value = host.env(name)
      if value and value ~= "" then
        return value
      elseif default ~= nil then
        return default
      end
      return missing(("environment variable %s is not set"):format(name), ('set it, or give a default: env("%s", "...")'):format(name))
    end,
    file = function(name)
      if type(name) ~= "string" then
        error(("file: expected a path, got a %s"):format(type(name)), 2)
      end
      local text, why = host.file(name)
      if text then
        return (text:gsub("[\r\n]+$", ""))
      end
      return missing(("can not read %s: %s"):format(name, tostring(why)), nil)
    end,
  }
end

-- Runs and checks one; `about` is the provider whose models it adds to, nil for a whole provider.
local function read_provider_file(f, about, files, findings)
  local own, add = collector(f.path, f.text)
  local value = run(f.path, f.text, {}, own)
  local checked = value and (about and provider.models_schema or provider.file_schema)(value, "", add)
  if not about then
    files[f.name] = checked or nil
  elseif checked and files[about] then
    provider.add_models(files[about], checked)
  elseif checked then
    add(nil, ('no provider file "%s" to add models to'):format(about), S.did_you_mean(about, files))
  end
  for _, finding in ipairs(own) do
    findings[#findings + 1] = finding
  end
end

-- All of them, those of models (NAME.models) once the providers are there.
local function read_provider_files(list, findings)
  local files, order, place, later = {}, {}, {}, {}
  for _, f in ipairs(list) do
    if f.name:find "%.models$" then
      later[#later + 1] = f
    else
      read_provider_file(f, nil, files, findings)
      if not place[f.name] then
        order[#order + 1] = f.name
        place[f.name] = true
      end
    end
  end
  for _, f in ipairs(later) do
    read_provider_file(f, f.name:match "^(.*)%.models$", files, findings)
  end
  return files, order
end

----------------------------------------------------------------------------------------------------------------------------
-- Providers

-- The usual variables, for the message when nothing is configured.
local function variables(files, order)
  local list = {}
  for _, name in ipairs(order) do
    local file = files[name]
    if file and file.env and file.env.key and not file.on_request then
      list[#list + 1] = file.env.key
    end
  end
  return table.concat(list, ", ")
end

-- Which providers there are: name, file name and settings of each, in a steady order.
local function wanted(config, files, order, host, add)
  local list = {}
  if config.providers then
    local names = {}
    for name in pairs(config.providers) do
      names[#names + 1] = name
    end
    table.sort(names)
    for _, name in ipairs(names) do
      local configured = config.providers[name]
      list[#list + 1] = { name = name, file = configured.like or (files[name] and name) or "openai_compatible", configured = configured }
    end
    return list
  end
  for _, name in ipairs(order) do
    local template = files[name] and provider.template(files, name)
    if template and provider.is_on(template, host.env) then
      list[#list + 1] = { name = name, file = name, configured = {} }
    elseif template and not template.on_request and provider.env_key(template, host.env) then
      add(nil, ("%s is set, and nothing says where %s is"):format(template.env.key, name),
        "set its address, or name the provider in perilune.lua", true)
    end
  end
  if #list == 0 and not config.has_file and host.mock_url and files.mock then
    list[1] = { name = "mock", file = "mock", configured = { base_url = { host.mock_url } } }
    if not host.mock_known then
      add(nil, "no configuration and no provider key: a mock answers", "set one of " .. variables(files, order), true)
    end
    return list, true
  end
  return list
end

local function build_providers(list, files, host, add)
  local all = {}
  for _, want in ipairs(list) do
    local template, why = provider.template(files, want.file)
    local named_only = not (files[want.name] or want.configured.like or want.configured.base_url)
    if named_only then
      add(S.join("providers", want.name), ('no provider file "%s", and neither like nor base_url'):format(want.name),
        S.did_you_mean(want.name, files) or provider.EXAMPLE)
    elseif not template then
      add(S.join(S.join("providers", want.name), "like"), why, S.did_you_mean(want.file, files))
    else
      all[#all + 1] = provider.build(want.name, template, want.configured, host, add)
    end
  end
  return all
end

-- Aliases of all providers. One that begins with another provider's name would be taken for a model of that one.
local function gather_aliases(all, names)
  local aliases = {}
  for _, built in ipairs(all) do
    for alias, targets in pairs(built.aliases) do
      local first = alias:match "^([^/]+)/"
      if not first or first == built.provider.name or not names[first] then
        aliases[alias] = aliases[alias] or {}
        for _, target in ipairs(targets) do
          table.insert(aliases[alias], target)
        end
      end
    end
  end
  return aliases
end

-- Retired models, each at the provider that retired it: what others are asked for by such a name is between them and who asks. Without a
-- provider the name is retired too, unless somebody still has it.
local function gather_retired(all, answered)
  local list, seen = {}, {}
  for _, built in ipairs(all) do
    for _, gone in ipairs(built.retired) do
      for _, name in ipairs { built.provider.name .. "/" .. gone.model, gone.model } do
        if not seen[name] and not answered[name] then
          seen[name] = true
          list[#list + 1] = { model = name, instead = gone.instead, since = gone.since }
        end
      end
    end
  end
  table.sort(list, function(a, b)
    return a.model < b.model
  end)
  return list
end

-- What all providers have together, as the core takes it.
local function put_together(all)
  local out, names, answered = { providers = {}, targets = {} }, {}, {}
  for i, built in ipairs(all) do
    out.providers[i] = built.provider
    names[built.provider.name] = true
    for _, t in ipairs(built.targets) do
      t.provider = i
      out.targets[#out.targets + 1] = t
      answered[t.model], answered[t.id] = true, true
    end
  end
  out.aliases = gather_aliases(all, names)
  for alias in pairs(out.aliases) do
    answered[alias] = true
  end
  out.retired = gather_retired(all, answered)
  return out
end

----------------------------------------------------------------------------------------------------------------------------
-- Normalising

local function pairs_sorted(map, convert)
  local out = {}
  for name, value in pairs(map or {}) do
    out[#out + 1] = { name = name, value = convert and convert(value) or value }
  end
  table.sort(out, function(a, b)
    return a.name < b.name
  end)
  return out
end

local function chains_sorted(map)
  local out = {}
  for _, entry in ipairs(pairs_sorted(map)) do
    out[#out + 1] = { name = entry.name, targets = entry.value }
  end
  return out
end

local function folder(path)
  return path and path:match "^(.*)/[^/]*$"
end

-- A folder of the configuration, beside its file unless it is absolute.
local function beside(path, dir)
  local base = folder(path)
  if dir:find "^/" or not base then
    return dir
  end
  return base .. "/" .. dir
end

local function policies_dir(config, path)
  return beside(path, config.policies and config.policies.dir or "policies")
end

-- What the host gives as a list, or as a function of the folder to look into.
local function listed(given, dir)
  if type(given) == "function" then
    return given(dir)
  end
  return given
end

local function data_dir(config, env)
  if config.data_dir then
    return config.data_dir
  end
  local state, home = env "XDG_STATE_HOME", env "HOME"
  if state and state ~= "" then
    return state .. "/perilune"
  elseif home and home ~= "" and home ~= "/" and home ~= "/root" then
    return home .. "/.local/state/perilune"
  end
  return "/var/lib/perilune"
end

-- By the name of the live policy: which one decides beside it, on which share of its requests.
local function shadows(map)
  local out = {}
  for _, entry in ipairs(pairs_sorted(map)) do
    out[#out + 1] = { live = entry.name, candidate = entry.value.policy, share = entry.value.share }
  end
  return out
end

----------------------------------------------------------------------------------------------------------------------------
-- Assignments

-- What policies/routes.lua says, and how to say what is wrong with it.
local function read_routes(file, findings)
  local _, add = collector(file.path, file.text, findings)
  local value = run(file.path, file.text, {}, findings)
  return value and routes.schema(value, "", add) or {}, add
end

local SETTING = { account = "policies.default", endpoint = "policies.routes", tier = "policies.tiers" }

local function setting_of(a, base)
  return a.name and S.join(base, a.name) or base
end

-- What the configuration says itself, and where its keys and projects stand.
local function own_assignments(config)
  local policies = config.policies or {}
  local askers, places = account.assignments(config)
  local list = routes.list {
    account = policies.default, endpoint = policies.routes, tier = policies.tiers, key = askers.key, project = askers.project,
  }
  for _, a in ipairs(list) do
    a.setting = SETTING[a.scope] and setting_of(a, SETTING[a.scope]) or places[a.scope][a.name]
  end
  return list, places
end

-- All of them, each with how to say what is wrong with it. What the configuration says itself goes before what the file says.
local function assignments(config, file, findings, add)
  local list, places = own_assignments(config)
  local there = {}
  for _, a in ipairs(list) do
    a.managed, a.add = true, add
    there[setting_of(a, a.scope)] = a
  end
  local scopes, add_to_file = {}, nil
  if file then
    scopes, add_to_file = read_routes(file, findings)
  end
  for _, a in ipairs(routes.list(scopes)) do
    a.add, a.setting = add_to_file, setting_of(a, a.scope)
    if there[a.setting] then
      a.add(a.setting, ("this is not used: %s is set in the configuration"):format(there[a.setting].setting), nil, true)
    else
      list[#list + 1] = a
    end
  end
  return list, places
end

-- Keys and projects are made by command line and admin side as well, of which the configuration does not know: only what is nearly one of
-- its own is taken for a mistake.
local function check_askers(assigned, places)
  for _, a in ipairs(assigned) do
    local known = places[a.scope]
    local meant = known and not known[a.name] and S.did_you_mean(a.name, known)
    if meant then
      a.add(a.setting, ('the configuration has no %s "%s"'):format(a.scope, a.name), meant, true)
    end
  end
end

local function normalised(assigned)
  local list = {}
  for i, a in ipairs(assigned) do
    local limits = a.limits or {}
    list[i] = {
      scope = a.scope, name = a.name, policy = a.policy, managed = a.managed or false,
      params = a.params and assert(json.encode(a.params)),
      max_cost_usd = limits.max_cost_usd, max_latency_ms = limits.max_latency_ms, deadline_ms = limits.deadline_ms,
    }
  end
  return list
end

-- Struct config of core/base/snapshot.h, by its own names.
local function normalise(config, path, host, assigned)
  local policies, limits, timeouts = config.policies or {}, config.limits or {}, config.timeouts or {}
  local quarantine, queue = policies.quarantine or {}, config.queue or {}
  local ledger, alerts = config.ledger or {}, config.alerts or {}
  local state = data_dir(config, host.env)
  local function in_state(file)
    return file and beside(state .. "/", file)
  end
  return {
    path = path,
    listen = config.listen or "127.0.0.1:4100",
    admin = config.admin or "127.0.0.1:4101",
    workers = config.workers or 0, -- 0: as many as there are cores
    data_dir = state,
    record = in_state(config.record),
    record_max_bytes = config.record_max_bytes or 1024 * MB,
    record_headers = config.record_headers or {},
    policies_dir = policies_dir(config, path),
    providers_dir = beside(path, config.providers_dir or "providers"),
    lua_dir = beside(path, config.lua_dir or "lua"),
    auto_policy = policies.auto or "auto",
    fallback = policies.fallback or {},
    assignments = assigned,
    shadows = shadows(policies.shadow),
    policy_params = pairs_sorted(policies.params, function(value)
      return assert(json.encode(value))
    end),
    keys = account.keys(config, host.env),
    projects = account.projects(config),
    caps = account.caps(config),
    model_limits = account.model_limits(config),
    clamp = config.on_cap ~= "refuse",
    clamp_least = 16, -- the least that OpenAI's Responses take as a maximum
    ledger = config.ledger ~= false,
    ledger_power = ledger.durability == "power",
    ledger_spill = in_state(ledger.spill),
    ledger_retention_days = ledger.retention_days or 0,
    access_log = config.access_log == "stdout" and "stdout" or in_state(config.access_log),
    alert_webhook = alerts.webhook,
    alert_secret = alerts.secret,
    cors_origins = config.cors and config.cors.origins or {},
    unsupported = config.unsupported or "drop",
    reroute_retired = config.retired == "reroute",
    policy_deadline_ms = policies.deadline_ms or 5,
    policy_memory = (policies.memory_mb or 16) * MB,
    quarantine_kills = quarantine.kills or 3,
    quarantine_kills_one = quarantine.kills_one_key or 10,
    max_body = limits.max_body or 32 * MB,
    max_bodies = limits.max_bodies or 256 * MB,
    max_header_bytes = limits.max_header_bytes or 32768,
    max_headers = limits.max_headers or 100,
    max_connections = limits.max_connections or 10000,
    max_in_flight = limits.max_in_flight or 4096,
    max_lag_ms = limits.max_lag_ms or 200,
    queue_max = queue.max or 1000,
    queue_max_a_key = queue.max_a_key or 100,
    head_ms = timeouts.head_ms or 10000,
    body_ms = timeouts.body_ms or 60000,
    idle_ms = timeouts.idle_ms or 75000,
    write_ms = timeouts.write_ms or 60000,
    deadline_ms = timeouts.deadline_ms or 600000,
    hold_ms = timeouts.hold_ms or 10000,
    drain_ms = timeouts.drain_ms or 30000,
  }
end

----------------------------------------------------------------------------------------------------------------------------
-- Checks across settings

local function known_names(providers, targets, aliases, chains)
  local names, provider_names = {}, {}
  for _, p in ipairs(providers) do
    provider_names[p.name] = true
    names[p.name .. "/*"] = true
  end
  for _, t in ipairs(targets) do
    names[t.id], names[t.model] = true, true
  end
  for alias in pairs(aliases) do
    names[alias] = true
  end
  for chain in pairs(chains or {}) do
    names[chain] = names[chain] or false
  end
  return function(name)
    local first = name:match "^([^/]+)/."
    return names[name] or (first and provider_names[first]) or false
  end, names
end

-- Names nothing answers to: a warning, because models come and go and the rest of the chain still works.
local function check_name(setting, name, known, names, add)
  if not known(name) then
    add(setting, ('no configured provider has "%s"'):format(name), S.did_you_mean(name, names), true)
  end
end

local function check_names(setting, list, known, names, add)
  for i, name in ipairs(list or {}) do
    check_name(S.join(setting, i), name, known, names, add)
  end
end

local function check_policies(config, assigned, names, add)
  if not names then
    return
  end
  local there = { auto = true }
  for _, name in ipairs(names) do
    there[name] = true
  end
  local function one(setting, name, add_to, warning)
    if name and not there[name] then
      (add_to or add)(setting, ('no policy "%s"'):format(name), S.did_you_mean(name, there), warning)
    end
  end
  local policies = config.policies or {}
  one("policies.auto", policies.auto)
  for _, a in ipairs(assigned) do
    one(a.setting, a.policy, a.add)
  end
  for live, s in pairs(policies.shadow or {}) do
    one(S.join("policies.shadow", live), live)
    one(S.join("policies.shadow", live), s and s.policy)
  end
  for name in pairs(policies.params or {}) do
    one(S.join("policies.params", name), name)
  end
  for _, named in ipairs(account.policies_named(config)) do
    one(named.setting, named.name, nil, true)
  end
end

local function check_params(config, assigned, add)
  for _, a in ipairs(assigned) do
    local ok, why = json.encode(a.params)
    if a.params and not ok then
      a.add(S.join(a.setting, "params"), why)
    end
  end
  for name, value in pairs(config.policies and config.policies.params or {}) do
    local ok, why = json.encode(value)
    if not ok then
      add(S.join("policies.params", name), why)
    end
  end
end

-- Every page may ask, with a key; without client keys none may but those of this machine, or any page could spend.
local function check_origins(config, env, add)
  for i, name in ipairs(config.cors and config.cors.origins or {}) do
    if name == "*" and #account.keys(config, env) == 0 then
      add(S.join("cors.origins", i), '"*" counts only with client keys', "set client_keys, or name the pages", true)
    end
  end
end

--- Reads the configuration.
---@param text string|nil nil: there is no file
---@param path string|nil
---@param host perilune.ConfigHost
---@return table|nil config { config, providers, targets, chains, aliases, retired, mock_only }
---@return perilune.ConfigFinding[] findings warnings, or what is wrong
function M.read(text, path, host)
  local findings, add = collector(path or "perilune.lua", text)
  local config = {}
  if text then
    local value = run(path, text, gifts_of(path, host, findings), findings)
    if value then
      config = settings(value, "", add) or {}
    end
  end
  config.has_file = text ~= nil
  local provider_files = listed(host.provider_files, beside(path, config.providers_dir or "providers"))
  local files, order = read_provider_files(provider_files or {}, findings)
  local dir = policies_dir(config, path)
  local assigned, askers = assignments(config, listed(host.routes, dir), findings, add)
  local sound = not failed(findings) -- else providers would be looked for in half a configuration
  check_policies(config, assigned, listed(host.policies, dir), add)
  check_askers(assigned, askers)
  check_params(config, assigned, add)
  check_origins(config, host.env, add)
  account.check(config, MISSING, add)
  if not sound then
    return nil, in_order(findings)
  end
  local list, mock_only = wanted(config, files, order, host, add)
  local built = put_together(build_providers(list, files, host, add))
  local providers, targets, aliases = built.providers, built.targets, built.aliases
  if #providers == 0 and not failed(findings) then
    add(text and "providers" or nil, "no provider is configured",
      ("set one of %s, or providers = { ... } in perilune.lua"):format(variables(files, order)))
  end
  if failed(findings) then
    return nil, in_order(findings)
  end
  for alias, names in pairs(config.aliases or {}) do
    aliases[alias] = names
  end
  local known, names = known_names(providers, targets, aliases, config.chains)
  check_names("policies.fallback", config.policies and config.policies.fallback, known, names, add)
  for _, map in ipairs { "chains", "aliases" } do
    for name, chain in pairs(config[map] or {}) do
      check_names(S.join(map, name), chain, known, names, add)
    end
  end
  for _, named in ipairs(account.models_named(config)) do
    check_name(named.setting, named.name, known, names, add)
  end
  return {
    config = normalise(config, path, host, normalised(assigned)),
    providers = providers,
    targets = targets,
    chains = chains_sorted(config.chains),
    aliases = chains_sorted(aliases),
    retired = built.retired,
    mock_only = mock_only or false,
  }, in_order(findings)
end

--- Where the state folder is, for those who only talk to who runs with it: what is wrong with other settings, and variables that are not
--- set, do not matter to them.
---@param text string|nil nil: there is no file, or it can not be read
---@param path string|nil
---@param host perilune.ConfigHost
---@return { data_dir: string } place
---@return boolean known false: the file does not say, and it is the folder that is taken without one
function M.place(text, path, host)
  local value = text and run(path, text, gifts_of(path, host, {}), {}) or nil
  local given = value and value.data_dir
  local said = type(given) == "string" and not given:find(MISSING, 1, true)
  return { data_dir = data_dir({ data_dir = said and given or nil }, host.env) }, not text or value ~= nil and (said or given == nil)
end

--- The text of policies/routes.lua with one assignment changed, in a form of its own; comments are lost.
---@param file perilune.ProviderFile|nil nil: there is none yet
---@param scope string
---@param name? string nil for the account's
---@param value? string JSON of { policy, params, limits }; nil: the assignment is taken out
---@return string|nil text nil: nothing has changed
---@return perilune.ConfigFinding[] findings with a path: of the file, which can not be used; without: of the value; none: there is no
--- such assignment to take out
function M.edit_routes(file, scope, name, value)
  local findings, add = collector(nil, nil)
  local scopes = file and read_routes(file, findings) or {}
  local given = value and assert(json.decode(value)) or nil
  for field, v in pairs(given or {}) do
    given[field] = v ~= json.null and v or nil
  end
  local assignment = given and routes.assignment(given, "", add)
  if failed(findings) then
    return nil, findings
  end
  return routes.edit(scopes, scope, name, assignment), findings
end

return M
