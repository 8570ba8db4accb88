--- New models and prices without a new binary: a catalogue in JSON, or what a provider lists, made into files NAME.models.lua, which
--- stand over the models of NAME.lua.
---
---   { "models": [ { "id": "openai/gpt-9", "upstream_model": "gpt-9", "context_window": 400000, "max_output_tokens": 128000,
---       "price_usd_per_mtok": { "input": 1, "output": 8, "cached_input": 0.1, "cache_write": null },
---       "long_context_tiers": [ { "above_input_tokens": 200000, "input": 2, "output": 12 } ],
---       "capabilities": { "tools": true, "vision": true, "json_schema": null, "reasoning": true } } ] }
---
--- What is missing or null is not known and stays as it was; what is as it was is not written.
local json = require "perilune.json"
local provider = require "perilune.provider"
local sandbox = require "perilune.sandbox"

local M = {}

---@class perilune.ModelsFile
---@field provider string
---@field text string
---@field added string[] names of models no file had
---@field changed string[] names of models that differ

local function given(v)
  if v == nil or v == json.null then
    return nil
  end
  return v
end

----------------------------------------------------------------------------------------------------------------------------
-- What there is

local function checked(file, schema)
  local chunk, why = load(file.text, "@" .. file.path, "t", sandbox.environment {})
  local ok, value = pcall(chunk or error, why)
  if not ok then
    return nil
  end
  local wrong = false
  local out = schema(value, "", function()
    wrong = true
  end)
  return not wrong and out or nil
end

-- Provider files by name, and the user's own files of models beside them.
local function read_files(list)
  local files, own = {}, {}
  for _, f in ipairs(list) do
    local about = f.name:match "^(.*)%.models$"
    if about then
      own[about] = checked(f, provider.models_schema)
      if not own[about] then
        error(("%s can not be read: mend or remove it first"):format(f.path), 0)
      end
    else
      files[f.name] = checked(f, provider.file_schema)
    end
  end
  return files, own
end

-- Models of a provider by every name that means one: what the vendor calls it counts before what people do.
local function by_names(models)
  local found = {}
  for _, key in ipairs { "alias", "name", "upstream" } do
    for _, m in ipairs(models) do
      if key == "alias" then
        for _, alias in ipairs(m.aliases or {}) do
          found[alias] = m
        end
      elseif m[key] then
        found[m[key]] = m
      end
    end
  end
  return found
end

----------------------------------------------------------------------------------------------------------------------------
-- What is new

local PRICE = { { "input", "input" }, { "output", "output" }, { "cached_input", "cached" }, { "cache_write", "cache_write" } }
local ABILITIES = {
  { "tools", "tools" }, { "vision", "images" }, { "audio", "audio" }, { "json_schema", "json_schema" }, { "reasoning", "reasoning" },
  { "files", "files" }, { "embeddings", "embeddings" },
}

local function price_of(said)
  local out = {}
  for _, pair in ipairs(PRICE) do
    out[pair[2]] = given(said[pair[1]])
  end
  return next(out) and out or nil
end

local function full_price(entry)
  local said = given(entry.price_usd_per_mtok)
  local price = said and price_of(said)
  for _, tier in ipairs(price and given(entry.long_context_tiers) or {}) do
    local rule = price_of(tier) or {}
    rule.above = tier.above_input_tokens
    price.rules = price.rules or {}
    table.insert(price.rules, rule)
  end
  return price
end

local function abilities_of(said)
  local list = {}
  for _, pair in ipairs(ABILITIES) do
    if given(said[pair[1]]) then
      list[#list + 1] = pair[2]
    end
  end
  return table.concat(list, " ")
end

local function same_price(a, b)
  for _, pair in ipairs(PRICE) do
    if a[pair[2]] ~= nil and a[pair[2]] ~= b[pair[2]] then
      return false
    end
  end
  return true
end

-- Whether a price is one the model has already, by itself or at some hour or date.
local function is_known_price(price, model)
  local known = model.price
  if not known then
    return false
  end
  for _, rule in ipairs(known.rules or {}) do
    if not rule.above and same_price(price, rule) then
      return true
    end
  end
  if not same_price(price, known) then
    return false
  end
  for _, rule in ipairs(price.rules or {}) do
    local found = false
    for _, other in ipairs(known.rules or {}) do
      found = found or (other.above == rule.above and same_price(rule, other))
    end
    if not found then
      return false
    end
  end
  return true
end

-- What an entry says of a model that is otherwise: its fields, or nil.
local function news(entry, upstream, model)
  local out = {}
  local price = full_price(entry)
  if price and not (model and is_known_price(price, model)) then
    out.price = price
  end
  for from, to in pairs { context_window = "context", max_output_tokens = "max_output" } do
    local value = given(entry[from])
    if value and not (model and model[to] == value) then
      out[to] = value
    end
  end
  if model then
    out.name = next(out) and model.name
    return out.name and out
  end
  out.name, out.abilities = upstream, given(entry.capabilities) and abilities_of(entry.capabilities)
  return out
end

----------------------------------------------------------------------------------------------------------------------------
-- Writing

local function value_text(v)
  if type(v) == "string" then
    return ("%q"):format(v)
  elseif type(v) ~= "table" then
    return type(v) == "number" and ("%.15g"):format(v) or tostring(v)
  end
  local parts = {}
  for _, item in ipairs(v) do
    parts[#parts + 1] = value_text(item)
  end
  local keys = {}
  for k in pairs(v) do
    keys[#keys + 1] = type(k) == "string" and k or nil
  end
  table.sort(keys)
  for _, k in ipairs(keys) do
    local name = k:find "^[%a_][%w_]*$" and k ~= "until" and k or ("[%q]"):format(k)
    parts[#parts + 1] = name .. " = " .. value_text(v[k])
  end
  return #parts > 0 and "{ " .. table.concat(parts, ", ") .. " }" or "{}"
end

local ORDER = { "name", "upstream", "price", "context", "max_output", "abilities" }

local function model_text(m)
  local parts, done = {}, {}
  for _, field in ipairs(ORDER) do
    done[field] = true
    if m[field] ~= nil then
      parts[#parts + 1] = field .. " = " .. value_text(m[field])
    end
  end
  local rest = {}
  for field in pairs(m) do
    rest[#rest + 1] = not done[field] and field or nil
  end
  table.sort(rest)
  for _, field in ipairs(rest) do
    parts[#parts + 1] = field .. " = " .. value_text(m[field])
  end
  return "    { " .. table.concat(parts, ", ") .. " },\n"
end

local function file_text(name, models, retired)
  local out = {
    ("--- Models over those of %s.lua: `perilune models update` writes here, and keeps what it does not know.\nreturn {\n"):format(name),
  }
  if retired and next(retired) then
    out[#out + 1] = "  retired = " .. value_text(retired) .. ",\n"
  end
  out[#out + 1] = "  models = {\n"
  for _, m in ipairs(models) do
    out[#out + 1] = model_text(m)
  end
  out[#out + 1] = "  },\n}\n"
  return table.concat(out)
end

local function put(models, fresh)
  for i, m in ipairs(models) do
    if m.name == fresh.name then
      for field, value in pairs(fresh) do
        models[i][field] = value
      end
      return
    end
  end
  models[#models + 1] = fresh
end

----------------------------------------------------------------------------------------------------------------------------
-- All of it

-- The user's own file as it is written: checking it has made other values of dates, hours and days.
local function raw_file(list, name)
  local raw = {}
  for _, f in ipairs(list) do
    if f.name == name .. ".models" then
      raw = assert(load(f.text, "@" .. f.path, "t", sandbox.environment {}))()
    end
  end
  raw.models = raw.models or {}
  for i, m in ipairs(raw.models) do
    raw.models[i] = type(m) == "string" and { name = m } or m
  end
  return raw
end

-- One provider while its entries are read.
local function new_state(file, own, list, name)
  provider.add_models(file, own or {})
  local raw = raw_file(list, name)
  return { known = by_names(file.models), models = raw.models, retired = raw.retired, added = {}, changed = {} }
end

local function take(state, entry, model, only_new)
  local upstream = given(entry.upstream_model) or model
  local known = state.known[upstream] or state.known[model]
  local fresh = not (known and only_new) and news(entry, upstream, known)
  if fresh then
    table.insert(known and state.changed or state.added, fresh.name)
    put(state.models, fresh)
  end
end

local function finished(states, order)
  local out = {}
  for _, name in ipairs(order) do
    local state = states[name]
    if #state.added + #state.changed > 0 then
      local written = file_text(name, state.models, state.retired)
      -- Nothing is written that would stop the next start.
      if not checked({ path = name, text = written }, provider.models_schema) then
        return nil, ("the models of %s are not as they should be: a price, a size or a name is none"):format(name)
      end
      out[#out + 1] = { provider = name, text = written, added = state.added, changed = state.changed }
    end
  end
  return out
end

-- "provider/model"
local function split(id)
  return tostring(id):match "^([^/]+)/(.+)$"
end

--- A catalogue's entries out of what a provider answers to GET /models: OpenAI's, Anthropic's and Gemini's way of listing.
---@param name string the provider
---@param body string
---@return table[]|nil entries
function M.listed(name, body)
  local answer = json.decode(body)
  local list = type(answer) == "table" and (given(answer.data) or given(answer.models)) or nil
  if type(list) ~= "table" then
    return nil
  end
  local entries = {}
  for _, m in ipairs(list) do
    local id = type(m) == "table" and (given(m.id) or given(m.name))
    if type(id) == "string" and not id:find "[%s%c]" then
      id = id:gsub("^models/", "")
      entries[#entries + 1] = {
        id = name .. "/" .. id, upstream_model = id, context_window = given(m.inputTokenLimit) or given(m.context_length),
        max_output_tokens = given(m.outputTokenLimit),
      }
    end
  end
  return entries
end

-- Files out of entries; `only_new`: models that are there already stay as they are.
local function renew(entries, list, only_new)
  local ok, files, own = pcall(read_files, list)
  if not ok then
    return nil, files
  end
  local states, order, skipped = {}, {}, {}
  for i, entry in ipairs(entries) do
    local name, model = split(type(entry) == "table" and entry.id)
    if not name then
      return nil, ('models[%d].id: expected "provider/model"'):format(i)
    elseif not files[name] then
      skipped[#skipped + 1] = not skipped[name] and name or nil
      skipped[name] = true
    else
      if not states[name] then
        states[name] = new_state(files[name], own[name], list, name)
        order[#order + 1] = name
      end
      take(states[name], entry, model, only_new)
    end
  end
  table.sort(skipped)
  local made, wrong = finished(states, order)
  return made, wrong or skipped
end

--- Makes the files a catalogue asks for.
---@param text string JSON
---@param list perilune.ProviderFile[] all provider files and files of models there are
---@return perilune.ModelsFile[]|nil files those that are new or differ
---@return string[]|string skipped names of providers nobody has a file for; without files: why
function M.update(text, list)
  local catalogue, why = json.decode(text)
  if type(catalogue) ~= "table" or type(catalogue.models) ~= "table" then
    return nil, why or 'expected { "models": [ ... ] }'
  end
  return renew(catalogue.models, list, false)
end

--- Makes the files that what providers list asks for: models no file has, without a price.
---@param answers { [1]: string, [2]: string }[] of each provider its name and what it answered
---@param list perilune.ProviderFile[]
---@return perilune.ModelsFile[]|nil, string[]|string
function M.discover(answers, list)
  local all = {}
  for _, answer in ipairs(answers) do
    local entries = M.listed(answer[1], answer[2])
    if not entries then
      return nil, ("what %s lists can not be read"):format(answer[1])
    end
    for _, entry in ipairs(entries) do
      all[#all + 1] = entry
    end
  end
  return renew(all, list, true)
end

return M
