--- Provider files: from a page of data and what the configuration says about it to a provider and its targets as the core has them.
local failure = require "perilune.failure"
local json = require "perilune.json"
local near = require "perilune.near"
local prices = require "perilune.prices"
local quirks = require "perilune.quirks"
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
      add(path, ('no ability "%s" (the abilities are %s)'):format(tostring(name), near.names(M.abilities)),
        S.did_you_mean(name, ABILITY_BIT))
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
  -- Every model answers but those that only embed.
  if not (set.embeddings and next(set, next(set)) == nil) then
    set.chat = true
  end
  return set
end

----------------------------------------------------------------------------------------------------------------------------
-- What may be said

--- The dialects of the core. The last two are only passed through: nothing is translated into them.
M.dialects = {
  openai_chat = true, openai_responses = true, anthropic_messages = true, gemini = true, bedrock_converse = true,
  openai_completions = true, openai_embeddings = true,
}
local TARGET_DIALECTS = { openai_chat = true, openai_responses = true, anthropic_messages = true, gemini = true, bedrock_converse = true }

--- How a key is presented.
M.auths = {
  none = true, bearer = true, ["x-api-key"] = true, ["x-goog-api-key"] = true, ["api-key"] = true, ["aws-sigv4"] = true,
  ["google-jwt"] = true,
}

-- "/openai/deployments/{model}/chat/completions?api-version=2024-10-21".
local function url_path(v, path, add)
  if type(v) ~= "string" or not v:find "^/" or v:gsub("{model}", ""):find '[%s%c#"<>{}\\]' then
    add(path, 'expected what follows the base URL, like "/deployments/{model}/chat"')
    return nil
  end
  return v
end

local MODEL = {
  name = S.text,
  upstream = S.text,
  price = prices.schema,
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
  dialect = S.one_of(TARGET_DIALECTS),
  speaks = S.list(S.one_of(M.dialects)),
  quirks = quirks.schema,
  path = url_path,
  bytes_a_token = S.number(0.5, 16),
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

-- A key; of a Google service account its JSON text.
local function secret(v, path, add)
  if type(v) == "string" and v:find "^%s*{" then
    if v:find '"private_key"' and v:find '"client_email"' then
      return v
    end
    add(path, "expected a key, or the JSON text of a service account")
    return nil
  end
  return S.secret(v, path, add)
end

local key_record = S.record { key = secret, weight = S.integer(1, 1000), rpm = S.integer(1, 1e9), tpm = S.integer(1, 4e9) }

-- "sk-1" and { key = "sk-1", weight = 2, rpm = 500 } alike.
local function key(v, path, add)
  if type(v) == "table" then
    local out = key_record(v, path, add)
    return out and out.key and { secret = out.key, weight = out.weight or 1, rpm = out.rpm, tpm = out.tpm }
  end
  local text = secret(v, path, add)
  return text and { secret = text, weight = 1 }
end

local milliseconds = S.integer(1, 24 * 3600 * 1000)
local timeouts = S.record {
  connect_ms = milliseconds,
  timeout_ms = milliseconds,
  first_token_ms = milliseconds,
  idle_ms = milliseconds,
}

-- A base URL, or several of which the first counts whose {NAMES} are all set.
local function base_urls(v, path, add)
  local out = {}
  for i, url in ipairs(type(v) == "table" and v or { v }) do
    local where = type(v) == "table" and S.join(path, i) or path
    if type(url) ~= "string" or not url:find "{[%w_]+}" then
      out[i] = S.url(url, where, add)
    elseif S.url((url:gsub("^{[%w_]+}", "https://x"):gsub("{[%w_]+}", "x")), where, add) then
      out[i] = url:gsub("/+$", "")
    end
  end
  if #out == 0 and type(v) == "table" and v[1] == nil then
    add(path, "expected a URL")
  end
  return out[1] and out
end

local retired = S.record { instead = S.text, since = S.text }

-- What a provider file and the configuration may both say.
local COMMON = {
  like = S.text,
  base_url = base_urls,
  dialect = S.one_of(TARGET_DIALECTS),
  speaks = S.list(S.one_of(M.dialects)),
  auth = S.one_of(M.auths),
  region = S.text,
  quirks = quirks.schema,
  adapt = S.boolean,
  default = model_record,
  models = S.list(model),
  retired = S.map(retired),
  tags = S.list(S.text),
  headers = S.map(header_value, header_name),
  timeouts = timeouts,
  failures = S.list(rule),
  weight = S.number(0, huge),
  pace_wait_ms = S.integer(0, 600000),
}

local FILE = {
  env = S.record { key = S.text, base_url = S.text, region = S.text, headers = S.map(S.text, header_name) },
  -- Values of variables in base URLs that count as not set.
  blank = S.map(S.text),
  title = S.text,
  docs = S.text,
  prices = S.record { source = S.text, date = S.text },
  quality = S.record { source = S.text, date = S.text },
  hidden = S.boolean,
  -- OpenAI's own service: it takes all of Chat Completions, and means what it says in answers.
  native = S.boolean,
  -- Never switched on by the environment: a service of one's own, or a key that is there for something else.
  on_request = S.boolean,
}
local CONFIGURED = {
  api_keys = S.list(key),
  api_key = key,
  vars = S.map(S.text),
}
for name, check in pairs(COMMON) do
  FILE[name], CONFIGURED[name] = check, check
end

--- Checks for a provider file and for a provider in the configuration.
M.file_schema = S.record(FILE)
M.configured_schema = S.record(CONFIGURED)

--- The check for NAME.models.lua: models that come to those of NAME.lua, or stand over them field by field.
M.models_schema = S.record { models = COMMON.models, retired = COMMON.retired, prices = FILE.prices }

--- Names of what may be said in a file and in the configuration, for documentation and its specs.
M.file_fields, M.provider_fields = FILE, CONFIGURED

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
  out.quirks = merge(under.quirks, file.quirks)
  out.speaks = file.speaks or not file.dialect and under.speaks or nil
  out.env, out.retired, out.on_request, out.title = file.env, file.retired, file.on_request, file.title
  return out
end

-- A model with what is said over it, field by field; quirks one by one.
local function over(under, above)
  local out = merge(under, above)
  if under and under.quirks and above and above.quirks then
    out.quirks = merge(under.quirks, above.quirks)
  end
  return out
end

--- Puts the models of NAME.models.lua over those of a provider file.
---@param file table
---@param more table
function M.add_models(file, more)
  local place, models = {}, append_all({}, file.models)
  for i, m in ipairs(models) do
    place[m.name] = i
  end
  for _, m in ipairs(more.models or {}) do
    local at = place[m.name] or #models + 1
    models[at], place[m.name] = over(models[at], m), at
  end
  file.models, file.retired = models, merge(file.retired, more.retired)
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
      listed[known] = over(listed[known], m)
    else
      listed[#listed + 1] = over(over(by_name[m.name] or template.default, configured.default), m)
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

local function ability_mask(set)
  local mask = 0
  for _, ability in ipairs(M.abilities) do
    -- Nothing said: taken to be able, because refusing what might work is worse; the provider says no where it is not.
    if not set or set[ability] then
      mask = mask + ABILITY_BIT[ability]
    end
  end
  return mask
end

-- JSON of quirks for the core, which hands it on as it is; nil without any.
local function quirks_text(under, above)
  local all = merge(under, above)
  return next(all) and assert(json.encode(all)) or nil
end

-- All a service speaks, its main dialect first.
local function spoken(dialect, list)
  local out = { dialect }
  for _, name in ipairs(list or {}) do
    if name ~= dialect then
      out[#out + 1] = name
    end
  end
  return out
end

-- What one model of it speaks: embedding is for those that embed, everything else for those that answer.
local function spoken_by(m, provider)
  local list = m.dialect and spoken(m.dialect, m.speaks) or m.speaks and spoken(provider.dialect, m.speaks) or provider.speaks
  local can, out = m.abilities, {}
  for _, name in ipairs(list) do
    local needs = name == "openai_embeddings" and "embeddings" or "chat"
    if not can or can[needs] then
      out[#out + 1] = name
    end
  end
  return out
end

-- Everything but what RFC 3986 calls unreserved, and the colon of the vendors' versions.
local function in_path(upstream)
  return (upstream:gsub("[^%w%-._~:]", function(c)
    return ("%%%02X"):format(c:byte())
  end))
end

local function target_of(name, provider, template, configured, m)
  local p, upstream = m.price or {}, m.upstream or m.name
  return {
    id = name .. "/" .. m.name,
    model = m.name,
    upstream = upstream,
    dialect = m.dialect,
    speaks = spoken_by(m, provider),
    quirks = quirks_text(merge(template.quirks, configured.quirks), m.quirks),
    path = m.path and m.path:gsub("{model}", (in_path(upstream):gsub("%%", "%%%%"))) or nil,
    price = prices.base(p),
    rules = prices.rules(p),
    bytes_a_token = m.bytes_a_token,
    context = m.context or 0,
    max_output = m.max_output or 0,
    abilities = ability_mask(m.abilities),
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
local DEFAULT_PACE_WAIT_MS = 1000

local function variable(env, name)
  local value = name and env(name)
  value = value and value:match "^%s*(.-)%s*$"
  return value ~= "" and value or nil
end

--- The key of a file's usual variable, or nil.
---@param file table
---@param env fun(name: string): string|nil
---@return string|nil
function M.env_key(file, env)
  return variable(env, file.env and file.env.key)
end

-- The text of a service account: in a variable, or in the file one names.
local function google_account(host)
  local text = variable(host.env, "GOOGLE_APPLICATION_CREDENTIALS_JSON")
  if text then
    return text, "GOOGLE_APPLICATION_CREDENTIALS_JSON"
  end
  local path = variable(host.env, "GOOGLE_APPLICATION_CREDENTIALS")
  if path then
    return host.file and host.file(path) or "", "GOOGLE_APPLICATION_CREDENTIALS"
  end
end

local function aws_key(env)
  local id, own = variable(env, "AWS_ACCESS_KEY_ID"), variable(env, "AWS_SECRET_ACCESS_KEY")
  if id and own then
    local session = variable(env, "AWS_SESSION_TOKEN")
    return id .. ":" .. own .. (session and ":" .. session or ""), "AWS_SECRET_ACCESS_KEY"
  end
end

-- What the environment has for a way of authenticating: a key, and the variable it is from.
local function key_of_environment(template, auth, host)
  local found = M.env_key(template, host.env)
  if found then
    return found, template.env.key
  elseif auth == "aws-sigv4" then
    return aws_key(host.env)
  elseif auth == "google-jwt" then
    return google_account(host)
  end
end

local HINTS = {
  ["aws-sigv4"] = "set %s, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
  ["google-jwt"] = "set GOOGLE_APPLICATION_CREDENTIALS, or api_keys = { file \"account.json\" }",
}

-- The keys of a provider; nil when there must be some and are none.
local function keys_of(setting, template, configured, auth, host, add)
  local keys = append_all({}, configured.api_keys)
  keys[#keys + 1] = configured.api_key
  if #keys > 0 or auth == "none" then
    return keys
  end
  local text, name = key_of_environment(template, auth, host)
  if text then
    text = secret(text, setting, function(where, message)
      add(where, ("%s: %s"):format(name, message))
    end)
    return text and { { secret = text, weight = 1 } } or {}
  end
  local usual = template.env and template.env.key
  if (usual or HINTS[auth]) and not configured.base_url then
    add(setting, "no key", (HINTS[auth] or 'set %s, or api_keys = { env "..." }'):format(usual))
    return nil
  end
  return keys
end

-- How the keys there are can be presented: a cloud's own key of one piece is a bearer's.
local function auth_of(setting, auth, keys, add)
  if #keys == 0 then
    return "none"
  end
  for _, k in ipairs(keys) do
    local account = k.secret:find "^%s*{" ~= nil
    if account ~= (auth == "google-jwt") then
      add(setting, account and "the JSON text of a service account is a key of auth = \"google-jwt\" alone"
        or "expected the JSON text of a service account as key")
    elseif auth == "aws-sigv4" and not k.secret:find ":" then
      return "bearer"
    end
  end
  return auth
end

local function region_of(template, configured, env)
  return configured.region or variable(env, template.env and template.env.region) or template.region
end

-- A base URL with its {NAMES} filled in; nil and the name of one that is not set.
local function filled(url, template, configured, env)
  local missing
  url = url:gsub("{([%w_]+)}", function(name)
    local value = configured.vars and configured.vars[name] or variable(env, name)
    if name == "region" then
      value = region_of(template, configured, env)
    end
    if not value or (template.blank and template.blank[name] == value) then
      missing = missing or name
      return ""
    end
    return (value:gsub("/+$", ""))
  end)
  return not missing and url or nil, missing
end

M.EXAMPLE = 'base_url = "http://localhost:8000/v1"'

local function base_url_of(setting, template, configured, env, add)
  local own = not configured.base_url and variable(env, template.env and template.env.base_url)
  if own then
    return S.url(own, setting, function(where, message)
      add(where, ("%s: %s"):format(template.env.base_url, message))
    end)
  end
  local urls, missing = configured.base_url or template.base_url, nil
  for _, url in ipairs(urls or {}) do
    local whole, name = filled(url, template, configured, env)
    if whole then
      return S.url(whole, S.join(setting, "base_url"), add)
    end
    missing = name
  end
  add(S.join(setting, "base_url"), missing and ("%s is not set"):format(missing)
    or "expected the base URL of the service, version path included",
    missing and ("set it, or vars = { %s = \"...\" }, or base_url"):format(missing) or M.EXAMPLE)
  return nil
end

--- Whether the environment has all a provider needs to be switched on by it: its key, and what its address is made of.
---@param template table
---@param env fun(name: string): string|nil
---@return boolean
function M.is_on(template, env)
  if template.on_request or not M.env_key(template, env) then
    return false
  end
  return base_url_of("", template, {}, env, function() end) ~= nil
end

local function rules_of(template, configured)
  local rules = append_all(append_all({}, configured.failures), template.failures)
  for _, r in ipairs(failure.rules) do
    rules[#rules + 1] = assert(failure.normalise(r))
  end
  return rules
end

-- Other names of a model, each also behind the provider's name: a vendor's own name is one of them.
local function add_aliases(aliases, name, m)
  local names = append_all({ m.upstream }, m.aliases)
  for _, alias in ipairs(names) do
    if alias ~= m.name then
      for _, each in ipairs { alias, name .. "/" .. alias } do
        aliases[each] = aliases[each] or {}
        table.insert(aliases[each], name .. "/" .. m.name)
      end
    end
  end
end

local function retired_of(template, configured)
  local list = {}
  for model_gone, what in pairs(merge(template.retired, configured.retired)) do
    list[#list + 1] = { model = model_gone, instead = what.instead, since = what.since }
  end
  return list
end

---@class perilune.BuiltProvider
---@field provider table struct provider of the core, by its own names
---@field targets table[]
---@field aliases table<string, string[]>
---@field retired { model: string, instead?: string, since?: string }[]

--- A provider and its targets; nil when something is wrong.
---@param name string
---@param template table
---@param configured table
---@param host { env: fun(name: string): string|nil, file?: fun(path: string): string|nil }
---@param add fun(setting: string, message: string, hint?: string)
---@return perilune.BuiltProvider|nil
function M.build(name, template, configured, host, add)
  local setting = S.join("providers", name)
  local wanted = configured.auth or template.auth or "bearer"
  local keys = keys_of(setting, template, configured, wanted, host, add)
  local auth = keys and auth_of(setting, wanted, keys, add)
  local base_url = keys and base_url_of(setting, template, configured, host.env, add)
  if not base_url then
    return nil
  end
  local times = merge(merge(DEFAULT_TIMEOUTS, template.timeouts), configured.timeouts)
  local dialect = configured.dialect or template.dialect or "openai_chat"
  local adapt = configured.adapt
  if adapt == nil then
    adapt = template.adapt or false
  end
  local provider = {
    name = name,
    base_url = base_url,
    dialect = dialect,
    speaks = spoken(dialect, configured.speaks or not configured.dialect and template.speaks or nil),
    auth = auth,
    region = region_of(template, configured, host.env),
    quirks = quirks_text(merge(template.quirks, template.default and template.default.quirks), configured.quirks),
    keys = keys,
    headers = header_lines(template, configured, host.env),
    rules = rules_of(template, configured),
    connect_ms = times.connect_ms,
    timeout_ms = times.timeout_ms,
    first_token_ms = times.first_token_ms,
    idle_ms = times.idle_ms,
    adapt = adapt,
    native = template.native or false,
    pace_wait_ms = configured.pace_wait_ms or template.pace_wait_ms or DEFAULT_PACE_WAIT_MS,
  }
  local built = { provider = provider, targets = {}, aliases = {}, retired = retired_of(template, configured) }
  for _, m in ipairs(models_of(template, configured)) do
    built.targets[#built.targets + 1] = target_of(name, provider, template, configured, m)
    add_aliases(built.aliases, name, m)
  end
  return built
end

return M
