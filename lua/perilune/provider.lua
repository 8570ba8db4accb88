--- Provider files: from a page of data and what the configuration says about it to a provider and its targets as the core has them.
local failure = require "perilune.failure"
local near = require "perilune.near"
local S = require "perilune.schema"

local M = {}

local huge = math.huge

--- Abilities in the order of core/base/ability.h: the first is bit 0.
M.abilities = { "tools", "images", "audio", "json_schema", "reasoning", "files", "embeddings", "chat" }

local ABILITY_BIT = {}
for i, name in ipairs(M.abilities) do
  ABILITY_BIT[name] = 2 ^ (i - 1)
end

-- "tools images", { "tools", "images" } and { tools = true } alike, as a set.
local function abilities(v, path, add)
  local set = {}
  local function one(name)
    if ABILITY_BIT[name] then
      set[name] = true
    else
      local found = near.nearest(name, ABILITY_BIT)
      add(path, ('no ability "%s" (the abilities are %s)'):format(tostring(name), near.names(M.abilities)),
        found and ('did you mean "%s"?'):format(found))
    end
  end
  if type(v) == "string" then
    for name in v:gmatch "%S+" do
      one(name)
    end
  elseif type(v) == "table" then
    for k, name in pairs(v) do
      if type(k) == "number" then
        one(name)
      elseif name then
        one(k)
      end
    end
  else
    add(path, "expected abilities, like { \"tools\", \"images\" }")
    return nil
  end
  return set
end

local price = S.number(0, 1e6)

local MODEL = {
  name = S.text,
  upstream = S.text,
  price = S.record { input = price, output = price, cached = price, cache_write = price },
  context = S.integer(1, 1e9),
  max_output = S.integer(1, 1e9),
  abilities = abilities,
  quality = S.number(0, 100),
  quality_date = S.text,
  quality_source = S.text,
  quality_inherited = S.boolean,
  weight = S.number(0, huge),
  tags = S.list(S.text),
  aliases = S.list(S.text),
  note = S.text,
}

--- What may be said of a model, field by field.
M.model_fields = MODEL

local model_record = S.record(MODEL)

local function model_name(name, path, add)
  if #name > 200 or name:find "%s" then
    add(path, "expected a model name: at most 200 characters, no spaces")
    return nil
  end
  return name
end

-- "gpt-4o" and { name = "gpt-4o", price = ... } alike.
local function model(v, path, add)
  local out
  if type(v) == "string" then
    out = { name = S.text(v, path, add) }
  else
    out = model_record(v, path, add)
    if out and not out.name then
      add(S.join(path, "name"), "expected the model's name")
    end
  end
  if not out or not out.name or not model_name(out.name, path, add) then
    return nil
  end
  return out
end

local function header_name(name, path, add)
  if not name:find "^[%w!#$%%&'*+.^_`|~-]+$" then
    add(path, "expected a header name")
    return nil
  end
  local lower = name:lower()
  if lower == "host" or lower == "content-length" or lower == "transfer-encoding" or lower == "connection" then
    add(path, "this header is the core's own")
    return nil
  end
  return name
end

local function header_value(v, path, add)
  if type(v) ~= "string" or v:find "%c" then
    add(path, "expected a header value: a text without line ends")
    return nil
  end
  return v
end

local function rule(v, path, add)
  local out, why = failure.normalise(v)
  if not out then
    add(path, why)
  end
  return out
end

local secret_with_weight = S.record { key = S.secret, weight = S.integer(1, 1000) }

local function key(v, path, add)
  if type(v) == "table" then
    local out = secret_with_weight(v, path, add)
    return out and out.key and { secret = out.key, weight = out.weight or 1 }
  end
  local secret = S.secret(v, path, add)
  return secret and { secret = secret, weight = 1 }
end

local milliseconds = S.integer(1, 24 * 3600 * 1000)
local timeouts = S.record {
  connect_ms = milliseconds,
  timeout_ms = milliseconds,
  first_token_ms = milliseconds,
  idle_ms = milliseconds,
}

M.dialects = { openai_chat = true }
local AUTH = { none = true, bearer = true }

-- What a provider file and the configuration may both say.
local COMMON = {
  like = S.text,
  base_url = S.url,
  dialect = S.one_of(M.dialects),
  auth = S.one_of(AUTH),
  models = S.list(model),
  tags = S.list(S.text),
  headers = S.map(header_value, header_name),
  timeouts = timeouts,
  failures = S.list(rule),
  weight = S.number(0, huge),
}

local FILE = {
  env = S.record { key = S.text, base_url = S.text, headers = S.map(S.text, header_name) },
  default = model_record,
  title = S.text,
  docs = S.text,
  prices = S.record { source = S.text, date = S.text },
  quality = S.record { source = S.text, date = S.text },
  hidden = S.boolean,
}
local CONFIGURED = {
  api_keys = S.list(key),
  api_key = key,
  adapt = S.boolean,
}
for name, check in pairs(COMMON) do
  FILE[name], CONFIGURED[name] = check, check
end

--- Checks for a provider file and for a provider in the configuration.
M.file_schema = S.record(FILE)
M.configured_schema = S.record(CONFIGURED)

--- A provider's name in the configuration.
---@type perilune.Check
function M.name_check(name, path, add)
  if not name:find "^[%w][%w_.-]*$" or #name > 64 then
    add(path, "expected a provider name: letters, digits, - _ . (a slash divides provider and model)")
    return nil
  end
  return name
end

local function merge(under, over)
  local out = {}
  for k, v in pairs(under or {}) do
    out[k] = v
  end
  for k, v in pairs(over or {}) do
    out[k] = v
  end
  return out
end

local function append_all(out, list)
  for _, v in ipairs(list or {}) do
    out[#out + 1] = v
  end
  return out
end

--- A provider file with all it is `like` under it.
---@param files table<string, table> checked files by name
---@param name string
---@return table|nil, string|nil
function M.template(files, name, depth)
  local file = files[name]
  if not file then
    return nil, ('no provider file "%s"'):format(name)
  end
  if not file.like then
    return file
  end
  if (depth or 0) > 4 then
    return nil, ('provider file "%s" is like itself'):format(name)
  end
  local under, why = M.template(files, file.like, (depth or 0) + 1)
  if not under then
    return nil, why
  end
  local out = merge(under, file)
  -- Models are not handed down: a service that speaks like another does not have its models.
  out.models = file.models
  out.failures = append_all(append_all({}, file.failures), under.failures)
  out.timeouts = merge(under.timeouts, file.timeouts)
  out.headers = merge(under.headers, file.headers)
  out.env = file.env
  return out
end

-- Models in order: those of the file (for "*" or when none are named), with what the configuration says over them.
local function models_of(template, configured)
  local listed, by_name = {}, {}
  for _, m in ipairs(template.models or {}) do
    by_name[m.name] = m
  end
  local place = {}
  local function put(m)
    local known = place[m.name]
    if known then
      listed[known] = merge(listed[known], m)
    else
      listed[#listed + 1] = merge(merge(template.default, by_name[m.name]), m)
      place[m.name] = #listed
    end
  end
  if not configured.models then
    for _, m in ipairs(template.models or {}) do
      put(m)
    end
  end
  for _, m in ipairs(configured.models or {}) do
    if m.name == "*" then
      for _, every in ipairs(template.models or {}) do
        put(every)
      end
    else
      put(m)
    end
  end
  return listed
end

-- Dollars to whole nano-dollars; -1 where unknown.
local function nano(dollars)
  return dollars and math.floor(dollars * 1e9 + 0.5) or -1
end

local function sorted_set(...)
  local set, list = {}, {}
  for _, names in ipairs { ... } do
    for _, name in ipairs(names) do
      if not set[name] then
        set[name] = true
        list[#list + 1] = name
      end
    end
  end
  table.sort(list)
  return list
end

local function target_of(name, template, configured, m)
  local mask = 0
  for _, ability in ipairs(M.abilities) do
    -- Nothing said: taken to be able, because refusing what might work is worse; the provider says no where it is not.
    if not m.abilities or m.abilities[ability] then
      mask = mask + ABILITY_BIT[ability]
    end
  end
  local p = m.price or {}
  return {
    id = name .. "/" .. m.name,
    model = m.name,
    upstream = m.upstream or m.name,
    price = { input = nano(p.input), output = nano(p.output), cached = nano(p.cached), cache_write = nano(p.cache_write) },
    context = m.context or 0,
    max_output = m.max_output or 0,
    abilities = mask,
    quality = m.quality,
    weight = m.weight or configured.weight or template.weight or 1,
    tags = sorted_set(template.tags or {}, configured.tags or {}, m.tags or {}),
  }
end

local function header_lines(template, configured, env)
  local headers = merge(template.headers, nil)
  for name, variable in pairs(template.env and template.env.headers or {}) do
    local value = env(variable)
    if value and value ~= "" and not value:find "%c" then
      headers[name] = value
    end
  end
  headers = merge(headers, configured.headers)
  local lines = {}
  for name, value in pairs(headers) do
    lines[#lines + 1] = name .. ": " .. value
  end
  table.sort(lines)
  return lines
end

local DEFAULT_TIMEOUTS = { connect_ms = 5000, timeout_ms = 300000, first_token_ms = 60000, idle_ms = 60000 }

--- The key of a file's usual variable, or nil.
---@param file table
---@param env fun(name: string): string|nil
---@return string|nil
function M.env_key(file, env)
  local value = file.env and file.env.key and env(file.env.key)
  if value then
    value = value:match "^%s*(.-)%s*$"
  end
  return value ~= "" and value or nil
end

--- A provider and its targets.
---@param name string
---@param template table
---@param configured table
---@param env fun(name: string): string|nil
---@param add fun(setting: string, message: string, hint?: string)
---@return table|nil provider, table[]|nil targets, table<string, string[]>|nil aliases
function M.build(name, template, configured, env, add)
  local setting = S.join("providers", name)
  local auth = configured.auth or template.auth or "bearer"
  local keys = append_all({}, configured.api_keys)
  if configured.api_key then
    keys[#keys + 1] = configured.api_key
  end
  if #keys == 0 and auth == "bearer" then
    local secret = M.env_key(template, env)
    if secret then
      secret = S.secret(secret, setting, function(where, message)
        add(where, ("%s: %s"):format(template.env.key, message))
      end)
    elseif template.env and template.env.key and not configured.base_url then
      add(setting, "no key", ('set %s, or api_keys = { env "..." }'):format(template.env.key))
      return nil
    end
    keys[1] = secret and { secret = secret, weight = 1 }
  end
  if #keys == 0 then
    auth = "none"
  end
  local base_url = configured.base_url
  if not base_url and template.env and template.env.base_url and (env(template.env.base_url) or "") ~= "" then
    base_url = S.url(env(template.env.base_url), setting, function(where, message)
      add(where, ("%s: %s"):format(template.env.base_url, message))
    end)
  end
  base_url = base_url or template.base_url
  if not base_url then
    add(S.join(setting, "base_url"), "expected the base URL of the service, version path included", 'base_url = "http://localhost:8000/v1"')
    return nil
  end
  local times = merge(merge(DEFAULT_TIMEOUTS, template.timeouts), configured.timeouts)
  local rules = append_all(append_all({}, configured.failures), template.failures)
  for _, r in ipairs(failure.rules) do
    rules[#rules + 1] = assert(failure.normalise(r))
  end
  local provider = {
    name = name,
    base_url = base_url,
    dialect = configured.dialect or template.dialect or "openai_chat",
    auth = auth,
    keys = keys,
    headers = header_lines(template, configured, env),
    rules = rules,
    connect_ms = times.connect_ms,
    timeout_ms = times.timeout_ms,
    first_token_ms = times.first_token_ms,
    idle_ms = times.idle_ms,
    adapt = configured.adapt or false,
  }
  local targets, aliases = {}, {}
  for _, m in ipairs(models_of(template, configured)) do
    targets[#targets + 1] = target_of(name, template, configured, m)
    for _, alias in ipairs(m.aliases or {}) do
      aliases[alias] = aliases[alias] or {}
      table.insert(aliases[alias], name .. "/" .. m.name)
    end
  end
  return provider, targets, aliases
end

return M
