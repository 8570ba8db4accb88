--- For specs: the targets that come with Perilune, with the prices, windows, abilities and qualities of providers/, found without any key.
local config = require "perilune.config"
local near = require "perilune.near"
local provider = require "perilune.provider"

local M = {}

local function read(path)
  local file = path and io.open(path, "rb")
  if not file then
    return nil
  end
  local text = file:read "*a" -- nil for a folder
  file:close()
  return text and { path = path, text = text }
end

--- A file that comes with the library: a module of the rock, or beside it in a clone.
---@param folder "policies"|"providers"
---@param name string
---@return { path: string, text: string }|nil
function M.file(folder, name)
  local here = package.searchpath("perilune.spec", package.path)
  return read(package.searchpath(("perilune.%s.%s"):format(folder, name), package.path))
    or here and read((here:gsub("lua/perilune/spec%.lua$", folder .. "/" .. name .. ".lua")))
end

M.read = read

-- A provider's file and those it is like; your own folder's before ours.
local function files_of(name)
  local list, seen = {}, {}
  while name and not seen[name] do
    local file = read("providers/" .. name .. ".lua") or M.file("providers", name)
    if not file then
      return nil
    end
    seen[name] = true
    list[#list + 1] = { name = name, path = file.path, text = file.text }
    name = file.text:match '\n%s*like%s*=%s*"([^"]+)"'
  end
  return list
end

-- Prices of the core, in whole nano-dollars, as scripts have them.
local function dollars(price)
  local out = {}
  for _, part in ipairs { "input", "output", "cached", "cache_write" } do
    out[part] = price[part] >= 0 and price[part] / 1e9 or nil
  end
  return out
end

local function positive(n)
  return n > 0 and n or nil
end

--- Prices of the core as the policy state has them, with the rules that change them.
---@param price table
---@param rules table[]
---@return table
function M.price(price, rules)
  local out = dollars(price)
  for k, rule in ipairs(rules) do
    local one = dollars(rule)
    one.above = rule.above >= 0 and rule.above or nil
    one.until_s, one.days = positive(rule.until_s), positive(rule.days)
    if rule.from_min >= 0 then
      one.from_min, one.to_min = rule.from_min, rule.to_min
    end
    out.rules = out.rules or {}
    out.rules[k] = one
  end
  return out
end

local function abilities(mask)
  local set = {}
  for k, name in ipairs(provider.abilities) do
    set[name] = math.floor(mask / 2 ^ (k - 1)) % 2 == 1 or nil
  end
  return set
end

local function set_of(names)
  local set = {}
  for _, name in ipairs(names) do
    set[name] = true
  end
  return set
end

local function target_of(t, name)
  return {
    id = t.id, provider = name, model = t.model, upstream = t.upstream, price = M.price(t.price, t.rules), context = positive(t.context),
    max_output = positive(t.max_output), abilities = abilities(t.abilities), quality = t.quality, weight = t.weight, tags = set_of(t.tags),
  }
end

local known = {} -- by provider: { list =, by_id = }

-- What the configuration makes of a provider's file; nil where there is none. No request is sent, so that no key and no address is needed.
local function targets_of(name)
  if not known[name] then
    local files = files_of(name)
    if not files then
      return nil
    end
    local text = ('return { providers = { [%q] = { auth = "none", base_url = "http://localhost/v1" } } }'):format(name)
    local read_as, findings = config.read(text, "spec", { env = function() end, file = function() end, provider_files = files })
    if not read_as then
      error(("providers/%s.lua: %s"):format(name, findings[1].message), 0)
    end
    local all = { list = {}, by_id = {} }
    for k, t in ipairs(read_as.targets) do
      all.list[k] = target_of(t, name)
      all.by_id[t.id] = all.list[k]
    end
    for _, alias in ipairs(read_as.aliases) do
      all.by_id[alias.name] = all.by_id[alias.name] or all.by_id[alias.targets[1]]
    end
    known[name] = all
  end
  return known[name]
end

--- The targets a name means: "openai/gpt-4o" or "openai/*". Where there is none: nil, and why.
---@param name string
---@return table[]|nil, string|nil
function M.targets(name)
  local of, model = name:match "^([^/]+)/(.+)$"
  if not of then
    error(('expected a target\'s id, like "openai/gpt-4o", or "openai/*", got "%s"'):format(name), 0)
  end
  local all = targets_of(of)
  if not all then
    return nil, ('no provider "%s": there is no providers/%s.lua'):format(of, of)
  elseif model == "*" then
    return all.list
  elseif not all.by_id[name] then
    return nil, ('no target "%s" in providers/%s.lua%s'):format(name, of, near.hint(name, all.by_id))
  end
  return { all.by_id[name] }
end

return M
