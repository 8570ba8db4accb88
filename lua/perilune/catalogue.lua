--- The catalogue of a policy state: every target with its figures, orders kept ready, and what names mean.
---
--- One a state: setup() fills it, and the tables below are the same from then on. They are shared by all requests: scripts see targets
--- only as read-only proxies, and no list in here is handed out.
local near = require "perilune.near"
local order = require "perilune.order"
local sandbox = require "perilune.sandbox"

local M = {}

local SMALL = 24 -- up to so many targets, looking at all is cheaper than walking orders
local huge, floor = math.huge, math.floor

---@class perilune.Record the figures of a target, flat; unknown ones are nil
---@field id string
---@field model string
---@field input? number
---@field output? number
---@field context? integer
---@field max_output? integer
---@field quality? number
---@field weight number
---@field mask integer|nil abilities; nil: not known
---@field open boolean its breaker is open
---@field ttft? number
---@field ms_per_token? number

M.records = {} ---@type perilune.Record[] by index; behind `n` the ad hoc ones of the current request
-- What able() and cheapest() look at, by index as well: every target is asked each time. Unknown prices are false, unknown limits huge,
-- unknown abilities all.
M.inputs, M.outputs, M.contexts, M.max_outputs, M.masks = {}, {}, {}, {}, {}
M.views = {} -- by index: the proxy policies see
M.index_of = setmetatable({}, { __mode = "k" }) -- proxy -> index
M.n = 0
M.everyone = {} -- 1 .. n, in the order of configuration
M.named = {} -- target id, model, provider/*, alias -> list of indices
M.tagged = {} -- tag -> list of indices
M.chains = {} -- name -> list of names
M.known = {} -- set of names, for "did you mean"
M.by_quality = {} -- indices, best first, equal ones by price, unknown last
M.quality_rank = {} -- by index: its place there
M.prices = nil -- order of the targets with known, steady prices; nil in small catalogues
M.unpriced = {} -- those whose prices are not known
M.ruled = {} -- those whose prices depend on the size of a prompt, the date or the hour: see price_for()
M.n_open, M.n_measured = 0, 0 -- targets whose breaker is open; targets with a known speed
M.ability_bit, M.ability_names = {}, {}
M.lacks = {} -- by mask of abilities: how a reason names them

M.n_ad_hoc = 0 -- targets of this request that no catalogue has

-- For which requests the prices of `ruled` stand: more tokens than, at most, of the minute.
local price_above, price_upto, price_minute = 0, -1, false

local data_of = {} -- by index: what the proxy reads from
local index_of_data = setmetatable({}, { __mode = "k" })
local providers = {} -- set of names

----------------------------------------------------------------------------------------------------------------------------
-- Targets

-- Fields that may be nil; reading any other that is not there is a mistake worth a message.
local OPTIONAL = {
  context = true, max_output = true, quality = true, error_rate = true, in_flight = true, headroom = true, ttft_ms = true,
  tokens_per_s = true, cached_tokens = true,
}
local FIELDS = {
  id = true, provider = true, model = true, price = true, abilities = true, weight = true, tags = true, state = true, cost = true,
  latency = true,
}
for name in pairs(OPTIONAL) do
  FIELDS[name] = true
end

--- Names of a target's fields, sorted.
---@return string[]
function M.fields()
  local out = {}
  for name in pairs(FIELDS) do
    out[#out + 1] = name
  end
  table.sort(out)
  return out
end

local figures -- perilune.call, which knows the request

--- Who works out cost and latency for the current request.
---@param f { cost: fun(r: perilune.Record): number|nil, latency: fun(r: perilune.Record): number|nil }
function M.set_figures(f)
  figures = f
end

-- Behind what views read from. cost() and latency() of a target are made when they are first asked for.
local view_meta = {
  __index = function(data, key)
    if OPTIONAL[key] then
      return nil
    elseif key == "cost" or key == "latency" then
      local r, figure = M.records[index_of_data[data]], figures[key]
      local function f()
        return figure(r)
      end
      data[key] = f
      return f
    end
    error(('a target has no field "%s"%s'):format(tostring(key), near.hint(key, FIELDS)), 2)
  end,
}

--- A mask of abilities; names get their bits as they are met.
---@param abilities table<string, boolean>|nil
---@return integer|nil
function M.mask(abilities)
  if not abilities then
    return nil
  end
  local bit_of, mask = M.ability_bit, 0
  for name, has in pairs(abilities) do
    if has then
      if not bit_of[name] then
        M.ability_names[#M.ability_names + 1] = name
        bit_of[name] = 2 ^ (#M.ability_names - 1)
      end
      mask = mask + bit_of[name]
    end
  end
  return mask
end

---@class perilune.Target what policies read
---@field id string "openai/gpt-4o"
---@field provider string
---@field model string
---@field price { input?: number, output?: number, cached?: number, cache_write?: number } dollars per million tokens
---@field context integer|nil tokens
---@field max_output integer|nil tokens
---@field abilities table<string, boolean>
---@field quality number|nil 0 to 100
---@field weight number
---@field tags table<string, boolean>
---@field state "closed"|"open"|"half_open"
---@field error_rate number|nil
---@field in_flight integer|nil
---@field headroom number|nil
---@field ttft_ms { p50: number, p95?: number, p99?: number }|nil
---@field tokens_per_s number|nil
---@field cost fun(): number|nil dollars this request is expected to cost there
---@field latency fun(): number|nil milliseconds it is expected to take there

-- Sets that many targets have are one proxy: by kind, by the names in it.
local sets = {}

local function shared_set(set, what)
  local names = {}
  for name, has in pairs(set or {}) do
    if has then
      names[#names + 1] = name
    end
  end
  table.sort(names)
  local key = what .. "\0" .. table.concat(names, "\0")
  if not sets[key] then
    local data = {}
    for _, name in ipairs(names) do
      data[name] = true
    end
    sets[key] = sandbox.readonly(data, what)
  end
  return sets[key]
end

local PARTS = { "input", "output", "cached", "cache_write" }

local function price_view(price)
  local out = {}
  for _, part in ipairs(PARTS) do
    out[part] = price[part]
  end
  return sandbox.readonly(out, "the price of a target")
end

-- The base price of a target and those of its rules, each with what policies see of it.
local function keep_rules(r, price, base_view)
  r.base = { input = price.input, output = price.output, view = base_view }
  r.rules = {}
  for k, rule in ipairs(price.rules) do
    local kept = { view = price_view(rule) }
    for name, value in pairs(rule) do
      kept[name] = value
    end
    r.rules[k] = kept
  end
end

local function view_id(view)
  return view.id
end

local function add(i, t)
  local price = t.price or {}
  local r = {
    id = t.id, model = t.model, context = t.context, max_output = t.max_output, quality = t.quality, weight = t.weight or 1,
    input = price.input, output = price.output, mask = M.mask(t.abilities), open = false,
  }
  M.records[i] = r
  M.inputs[i], M.outputs[i] = r.input or false, r.output or false
  M.contexts[i], M.max_outputs[i], M.masks[i] = r.context or huge, r.max_output or huge, r.mask or -1
  local data = {
    id = t.id, provider = t.provider, model = t.model, context = t.context, max_output = t.max_output, quality = t.quality,
    weight = r.weight, state = "closed",
    price = price_view(price),
    abilities = shared_set(t.abilities, "the abilities of a target"),
    tags = shared_set(t.tags, "the tags of a target"),
  }
  if price.rules and price.rules[1] and r.input and r.output then
    keep_rules(r, price, data.price)
    M.ruled[#M.ruled + 1] = i
  end
  data_of[i] = setmetatable(data, view_meta)
  index_of_data[data] = i
  local view = sandbox.readonly(data, "a target", view_id)
  M.views[i] = view
  M.index_of[view] = i
end

----------------------------------------------------------------------------------------------------------------------------
-- Setting up

local function append(lists, name, i)
  local list = lists[name]
  if not list then
    list = {}
    lists[name] = list
  end
  list[#list + 1] = i
end

local function index_aliases(aliases, models)
  for name, list in pairs(aliases) do
    M.known[name] = true
    if not M.named[name] then
      local indices, seen = {}, {}
      for _, target in ipairs(list) do
        for _, i in ipairs(M.named[target] or models[target] or {}) do
          if not seen[i] then
            seen[i] = true
            indices[#indices + 1] = i
          end
        end
      end
      M.named[name] = indices
    end
  end
end

-- Exact ids before bare models before aliases.
local function index_names(targets, aliases)
  local models = {}
  for i, t in ipairs(targets) do
    M.named[t.id] = { i }
    M.known[t.id] = true
    append(models, t.model, i)
    append(M.named, t.provider .. "/*", i)
    providers[t.provider] = true
    for tag, set in pairs(t.tags or {}) do
      if set then
        append(M.tagged, tag, i)
      end
    end
  end
  for model, list in pairs(models) do
    local first = model:match "^([^/]+)/"
    -- "openai/gpt-oss" is a bare model only where no provider is called openai.
    if not (first and providers[first]) and not M.named[model] then
      M.named[model] = list
    end
    M.known[model] = true
  end
  index_aliases(aliases, models)
end

local function keep_orders()
  local quality, blend, x, y, priced = {}, {}, {}, {}, {}
  for i = 1, M.n do
    local r = M.records[i]
    M.everyone[i], M.by_quality[i] = i, i
    quality[i] = r.quality and -r.quality or huge
    blend[i] = huge
    if r.rules then
      blend[i] = 3 * r.input + r.output
    elseif r.input and r.output then
      x[i], y[i] = r.input, r.output
      blend[i] = 3 * r.input + r.output
      priced[#priced + 1] = i
    else
      M.unpriced[#M.unpriced + 1] = i
    end
  end
  order.sort(M.by_quality, blend)
  order.sort(M.by_quality, quality)
  for place, i in ipairs(M.by_quality) do
    M.quality_rank[i] = place
  end
  M.prices = M.n > SMALL and order.plane(priced, x, y) or nil
end

--- Fills the catalogue. Once a state; again only in specs.
---@param setup { targets: table[], providers?: string[], chains?: table<string, string[]>, aliases?: table<string, string[]> }
function M.setup(setup)
  M.records, M.views, M.everyone, M.by_quality, M.unpriced, M.ruled = {}, {}, {}, {}, {}, {}
  M.inputs, M.outputs, M.contexts, M.max_outputs, M.masks = {}, {}, {}, {}, {}
  M.quality_rank = {}
  M.named, M.tagged, M.known, M.chains = {}, {}, {}, setup.chains or {}
  M.ability_bit, M.ability_names, M.lacks = {}, {}, {}
  M.n, M.n_open, M.n_measured = #setup.targets, 0, 0
  data_of, providers, sets, M.n_ad_hoc = {}, {}, {}, 0
  price_above, price_upto, price_minute = 0, -1, false
  for _, name in ipairs(setup.providers or {}) do
    providers[name] = true
  end
  for i, t in ipairs(setup.targets) do
    add(i, t)
  end
  index_names(setup.targets, setup.aliases or {})
  for name in pairs(M.chains) do
    M.known[name] = true
  end
  keep_orders()
end

----------------------------------------------------------------------------------------------------------------------------
-- Prices that vary

-- The first of a target's rules that holds, else its base price. `minute`: of Unix time; nil: what a time decides does not hold.
local function price_of(r, tokens, minute)
  local of_day = minute and minute % 1440
  local weekday = minute and (floor(minute / 1440) + 3) % 7 -- 1970-01-01 was a Thursday; Monday is 0
  for _, rule in ipairs(r.rules) do
    local from, to = rule.from_min, rule.to_min
    local holds = not rule.above or tokens > rule.above
    holds = holds and (not rule.until_s or (minute and minute * 60 < rule.until_s))
    holds = holds and (not rule.days or (minute and floor(rule.days / 2 ^ weekday) % 2 == 1))
    if holds and from then
      holds = minute and (from <= to and of_day >= from and of_day < to or from > to and (of_day >= from or of_day < to))
    end
    if holds then
      return rule
    end
  end
  return r.base
end

--- Sets the prices in `ruled` to those of a request of so many input tokens at that Unix time. They hold for a while: nothing is done
--- when the request before was of that minute and as long, within the same bounds.
---@param tokens number
---@param now number|nil
function M.price_for(tokens, now)
  local minute = now and floor(now / 60) or nil
  if minute == price_minute and tokens > price_above and tokens <= price_upto then
    return
  end
  price_above, price_upto, price_minute = -1, huge, minute
  for _, i in ipairs(M.ruled) do
    local r = M.records[i]
    for _, rule in ipairs(r.rules) do
      local above = rule.above
      if above and tokens > above then
        price_above = above > price_above and above or price_above
      elseif above then
        price_upto = above < price_upto and above or price_upto
      end
    end
    local price = price_of(r, tokens, minute)
    r.input, r.output = price.input, price.output
    M.inputs[i], M.outputs[i] = price.input or false, price.output or false
    data_of[i].price = price.view
  end
end

--- Sets prices of one target and keeps the orders by price again: for what explains and replays, not for every request.
---@param i integer
---@param price { input?: number, output?: number } dollars per million tokens
function M.reprice(i, price)
  local r, data = M.records[i], data_of[i]
  r.input, r.output = price.input or r.input, price.output or r.output
  M.inputs[i], M.outputs[i] = r.input or false, r.output or false
  data.price = price_view { input = r.input, output = r.output, cached = data.price.cached, cache_write = data.price.cache_write }
  if r.rules then -- what is set holds whatever the rules say
    r.base, r.rules = nil, nil
    for k, ruled in ipairs(M.ruled) do
      if ruled == i then
        table.remove(M.ruled, k)
        break
      end
    end
  end
  M.unpriced = {}
  keep_orders()
end

----------------------------------------------------------------------------------------------------------------------------
-- Live figures

---@class perilune.Update what changed of one target; false makes a figure unknown again
---@field index integer
---@field state? "closed"|"open"|"half_open"
---@field error_rate? number|false
---@field in_flight? integer|false
---@field headroom? number|false
---@field ttft_ms? { p50: number, p95?: number, p99?: number }|false
---@field tokens_per_s? number|false

local function update_speed(u, r, data)
  if u.ttft_ms ~= nil then
    local p50 = u.ttft_ms and u.ttft_ms.p50 or nil
    M.n_measured = M.n_measured + (p50 and 1 or 0) - (r.ttft and 1 or 0)
    r.ttft = p50
    data.ttft_ms = p50 and sandbox.readonly({ p50 = p50, p95 = u.ttft_ms.p95, p99 = u.ttft_ms.p99 }, "a figure of a target") or nil
  end
  if u.tokens_per_s ~= nil then
    local speed = u.tokens_per_s and u.tokens_per_s > 0 and u.tokens_per_s or nil
    r.tokens_per_s, data.tokens_per_s = speed, speed
    r.ms_per_token = speed and 1000 / speed
  end
end

--- Sets live figures.
---@param list perilune.Update[]
---@param n? integer how many of them count; all
function M.update(list, n)
  for k = 1, n or #list do
    local u = list[k]
    local r, data = M.records[u.index], data_of[u.index]
    if u.state ~= nil then
      local open = u.state == "open"
      if open ~= r.open then
        M.n_open = M.n_open + (open and 1 or -1)
      end
      r.open, data.state = open, u.state
    end
    update_speed(u, r, data)
    for _, name in ipairs { "error_rate", "in_flight", "headroom" } do
      if u[name] ~= nil then
        r[name] = u[name] or nil
        data[name] = r[name]
      end
    end
  end
end

----------------------------------------------------------------------------------------------------------------------------
-- Names

local function ad_hoc(provider, model, id)
  for i = M.n + 1, M.n + M.n_ad_hoc do
    if M.records[i].id == id then
      return i
    end
  end
  M.n_ad_hoc = M.n_ad_hoc + 1
  add(M.n + M.n_ad_hoc, { id = id, provider = provider, model = model })
  return M.n + M.n_ad_hoc
end

--- Forgets the ad hoc targets of the request before.
function M.forget_ad_hoc()
  for i = M.n + 1, M.n + M.n_ad_hoc do
    M.records[i], M.views[i], data_of[i] = nil, nil, nil
    M.inputs[i], M.outputs[i], M.contexts[i], M.max_outputs[i], M.masks[i] = nil, nil, nil, nil, nil
  end
  M.n_ad_hoc = 0
end

--- The indices a name means, or nil: a target, provider/any-id (made for this request), a model, provider/*, an alias. The list is
--- shared: not to be changed, not to be handed to a script.
---@param name string
---@return integer[]|nil
function M.lookup(name)
  local list = M.named[name]
  if list then
    return list
  end
  local provider, model = name:match "^([^/]+)/(.+)$"
  if provider and providers[provider] and model ~= "*" then
    return { ad_hoc(provider, model, name) }
  end
  return nil
end

--- As lookup, for a name or a target; raises when nothing answers to it.
---@param name string|perilune.Target
---@return integer[]
function M.resolve(name)
  local i = M.index_of[name]
  if i then
    return { i }
  end
  local list = type(name) == "string" and M.lookup(name)
  if not list then
    error(('no target or model "%s"%s'):format(tostring(name), near.hint(name, M.known)), 0)
  end
  return list
end

return M
