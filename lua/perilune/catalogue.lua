--- The catalogue of a policy state: every target with its figures, orders kept ready, and what names mean.
---
--- One a state: setup() fills it, and the tables below are the same from then on. They are shared by all requests: scripts see targets
--- only as read-only proxies, and no list in here is handed out.
local near = require "perilune.near"
local order = require "perilune.order"
local sandbox = require "perilune.sandbox"

local M = {}

local SMALL = 24 -- up to so many targets, looking at all is cheaper than walking orders
local APART = 32 -- so many targets may have moved before the order by speed is made anew
local SPENT = 0.02 -- with less left of its rate limit than this a target is taken to answer 429
local huge, floor, ceil = math.huge, math.floor, math.ceil
local nan = 0 / 0

---@class perilune.Record what a target is; unknown figures are nil
---@field index integer
---@field id string
---@field model string
---@field input? number
---@field output? number
---@field cached? number
---@field cache_write? number

M.records = {} ---@type perilune.Record[] by index; behind `n` the ad hoc ones of the current request
-- What words look at, by index as well, a table a figure: a walk over a thousand targets reads nothing else. An unknown figure is not a
-- number (NaN), so that no comparison holds; but an unknown limit is huge to able(), and unknown abilities are all.
M.inputs, M.outputs = {}, {} -- dollars a million tokens of this request: of the input, as much of it as is cached is in this price
M.classes = {} -- targets of one class can do the same: there are few classes, and able() asks each once
M.contexts, M.max_outputs, M.masks = {}, {}, {} -- of classes
M.firsts, M.per_token = {}, {} -- ms until the first token (without a known speed: of the whole answer), and for each one then
M.standings = {} -- one of M.FINE, M.BEHIND, M.OPEN
M.figures = {} -- the figures of at_least{} and at_most{} by name, each such a table

--- How a target stands, in the order of preference; a place is left for what evaluation puts between.
M.FINE, M.LATE, M.BEHIND, M.OPEN = 1, 2, 3, 4
M.views = {} -- by index: the proxy policies see
M.index_of = setmetatable({}, { __mode = "k" }) -- proxy -> index
M.n = 0
M.everyone = {} -- 1 .. n, in the order of configuration
M.named = {} -- target id, model, provider/*, alias -> list of indices
M.tagged, M.has_tag = {}, {} -- tag -> list of indices; tag -> set of them
M.chains = {} -- name -> list of names
M.known = {} -- set of names, for "did you mean"
M.by_price = {} -- indices, the cheapest for longer prompts than answers first, unknown and varying prices as they come
M.by_quality = {} -- indices, best first, equal ones by price, unknown last
M.is_order = {} -- set of the lists that are an order of all targets
M.quality_rank = {} -- by index: its place there
M.prices = nil -- order of the targets with known, steady prices; nil in small catalogues
M.unpriced = {} -- those whose prices are not known
M.is_ruled = {} -- by index, of the next
M.ruled = {} -- those whose prices depend on the size of a prompt, the date or the hour: see price_for()
M.n_behind, M.n_measured = 0, 0 -- targets that do not stand fine; targets with known times
M.speeds = nil -- order of the targets by times, all of them; nil in small catalogues
M.TOKENS = 256 -- of so many are the times in it: of an answer of middling length, so that both figures weigh alike
M.moved, M.n_moved = {}, 0 -- whose times changed since then, as a list: they have no place in that order
M.warm = {} -- those that are expected to have a part of this request cached
M.ability_bit, M.ability_names = {}, {}
M.lacks = {} -- by mask of abilities: how a reason names them
M.ables = {} -- room for what able() works out about all targets; see perilune.fleet

M.n_ad_hoc = 0 -- targets of this request that no catalogue has

-- For which requests the prices of `ruled` stand: more tokens than, at most, of the minute.
local price_above, price_upto, price_minute = 0, -1, false

local prior_first, prior_per_token = nan, nan -- times of the target in the middle of those that are known; NaN: none is
local n_changed = 0 -- times that changed since the prior was worked out
local data_of = {} -- by index: what the proxy reads from
local index_of_data = setmetatable({}, { __mode = "k" })
local providers = {} -- set of names

----------------------------------------------------------------------------------------------------------------------------
-- Targets

-- Fields that may be nil; reading any other that is not there is a mistake worth a message.
local OPTIONAL = {
  context = true, max_output = true, quality = true, error_rate = true, in_flight = true, headroom = true, ttft_ms = true,
  total_ms = true, tokens_per_s = true, cached_tokens = true,
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
---@field total_ms { p50: number, p95?: number, p99?: number }|nil
---@field tokens_per_s number|nil
---@field cached_tokens number|nil of this session, expected to be read from its cache
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
  r.base = { input = price.input, output = price.output, cached = price.cached, cache_write = price.cache_write, view = base_view }
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

-- The prices of a record where walks look for them.
local function keep_price(r)
  local i = r.index
  local input, output = r.input or nan, r.output or nan
  M.inputs[i], M.outputs[i] = input, output
  M.figures.input[i], M.figures.output[i] = input, output
end

local LIVE = { "error_rate", "in_flight", "headroom", "tokens_per_s" }
local TIMES = { "ttft_ms", "total_ms" }
local STATED = { "quality", "context", "max_output" }

--- Set of the names in `figures`.
M.figure_names = { weight = true, input = true, output = true, ttft_ms = true }
for _, names in ipairs { STATED, LIVE } do
  for _, name in ipairs(names) do
    M.figure_names[name] = true
  end
end

local class_of = {} -- context, max_output, mask -> class

-- The class of a target, made when there is none.
local function keep_class(i, context, max_output, mask)
  local key = ("%s %s %s"):format(context, max_output, mask)
  local class = class_of[key]
  if not class then
    class = #M.contexts + 1
    class_of[key] = class
    M.contexts[class], M.max_outputs[class], M.masks[class] = context, max_output, mask
  end
  M.classes[i] = class
end

local times = {} -- by name, by index: the percentiles, and the view of them

local function keep_figures(i, t)
  local flat = M.figures
  for _, name in ipairs(STATED) do
    flat[name][i] = t[name] or nan
  end
  for _, name in ipairs(LIVE) do
    flat[name][i] = nan
  end
  flat.weight[i], flat.ttft_ms[i] = t.weight or 1, nan
  M.firsts[i], M.per_token[i], M.standings[i] = nan, 0, M.FINE
end

local function add(i, t)
  local price = t.price or {}
  local r = {
    index = i, id = t.id, model = t.model,
    input = price.input, output = price.output, cached = price.cached, cache_write = price.cache_write,
  }
  M.records[i] = r
  keep_price(r)
  keep_figures(i, t)
  keep_class(i, t.context or huge, t.max_output or huge, M.mask(t.abilities) or -1)
  local data = {
    id = t.id, provider = t.provider, model = t.model, context = t.context, max_output = t.max_output, quality = t.quality,
    weight = t.weight or 1, state = "closed",
    price = price_view(price),
    abilities = shared_set(t.abilities, "the abilities of a target"),
    tags = shared_set(t.tags, "the tags of a target"),
  }
  if price.rules and price.rules[1] and r.input and r.output then
    keep_rules(r, price, data.price)
    M.ruled[#M.ruled + 1] = i
    M.is_ruled[i] = true
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
        M.has_tag[tag] = M.has_tag[tag] or {}
        M.has_tag[tag][i] = true
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
    local r, known = M.records[i], M.figures.quality[i]
    M.everyone[i], M.by_quality[i], M.by_price[i] = i, i, i
    quality[i] = known == known and -known or huge
    blend[i] = r.input and r.output and 3 * r.input + r.output or huge
    if blend[i] == huge then
      M.unpriced[#M.unpriced + 1] = i
    elseif not r.rules then
      x[i], y[i] = r.input, r.output
      priced[#priced + 1] = i
    end
  end
  order.sort(M.by_quality, blend)
  order.sort(M.by_price, blend)
  M.is_order = { [M.everyone] = true, [M.by_price] = true, [M.by_quality] = true }
  M.ables = {}
  order.sort(M.by_quality, quality)
  for place, i in ipairs(M.by_quality) do
    M.quality_rank[i] = place
  end
  M.prices = M.n > SMALL and order.plane(priced, x, y) or nil
end

local function blank_figures()
  local out = {}
  for name in pairs(M.figure_names) do
    out[name] = {}
  end
  return out
end

--- Fills the catalogue. Once a state; again only in specs.
---@param setup perilune.Setup
function M.setup(setup)
  M.records, M.views, M.everyone, M.by_quality, M.by_price, M.unpriced, M.ruled, M.is_ruled = {}, {}, {}, {}, {}, {}, {}, {}
  M.inputs, M.outputs = {}, {}
  M.classes, M.contexts, M.max_outputs, M.masks, class_of = {}, {}, {}, {}, {}
  M.firsts, M.per_token, M.standings, M.warm, M.moved = {}, {}, {}, {}, {}
  M.figures, times = blank_figures(), { ttft_ms = {}, total_ms = {} }
  M.quality_rank = {}
  M.has_tag = {}
  M.named, M.tagged, M.known, M.chains = {}, {}, {}, setup.chains or {}
  M.ability_bit, M.ability_names, M.lacks = {}, {}, {}
  M.n, M.n_behind, M.n_measured, M.n_moved = #setup.targets, 0, 0, 0
  prior_first, prior_per_token, n_changed = nan, nan, 0
  data_of, providers, sets, M.n_ad_hoc = {}, {}, {}, 0
  price_above, price_upto, price_minute = 0, -1, false
  for k, name in ipairs(setup.abilities or {}) do
    M.ability_names[k], M.ability_bit[name] = name, 2 ^ (k - 1)
  end
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
  M.speeds = M.n > SMALL and order.blank(M.n) or nil
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
    r.input, r.output, r.cached, r.cache_write = price.input, price.output, price.cached, price.cache_write
    keep_price(r)
    data_of[i].price = price.view
  end
end

-- Takes back what the session of the request before had cached.
local function forget_warm()
  for k, i in ipairs(M.warm) do
    keep_price(M.records[i])
    data_of[i].cached_tokens = nil
    if M.prices then
      M.prices.apart[i] = nil
    end
    M.warm[k] = nil
  end
end

--- Tells what a session is expected to have cached: what is read from there has its own price, and where writing has one, too, the rest
--- is written. Holds for this request; behind price_for().
---@param cached table<string, number>|nil tokens by target id
---@param tokens number of the request
function M.warm_for(cached, tokens)
  for id, expected in pairs(cached or {}) do
    local i = M.named[id] and M.named[id][1]
    local r = i and M.records[i]
    if r and r.id == id and expected > 0 and tokens > 0 then
      local hit = expected < tokens and expected or tokens
      M.warm[#M.warm + 1] = i
      data_of[i].cached_tokens = hit
      if r.input and r.cached then
        M.inputs[i] = (hit * r.cached + (tokens - hit) * (r.cache_write or r.input)) / tokens
      end
      if M.prices then
        M.prices.apart[i] = true
      end
    end
  end
  table.sort(M.warm) -- one order, whatever that of the table
end

--- Forgets what was of one request alone.
function M.forget()
  if M.warm[1] then
    forget_warm()
  end
  if M.n_ad_hoc > 0 then
    M.forget_ad_hoc()
  end
end

--- Sets prices of one target and keeps the orders by price again: for what explains and replays, not for every request.
---@param i integer
---@param price { input?: number, output?: number } dollars per million tokens
function M.reprice(i, price)
  local r, data = M.records[i], data_of[i]
  r.input, r.output = price.input or r.input, price.output or r.output
  keep_price(r)
  data.price = price_view { input = r.input, output = r.output, cached = data.price.cached, cache_write = data.price.cache_write }
  if r.rules then -- what is set holds whatever the rules say
    r.base, r.rules, M.is_ruled[i] = nil, nil, nil
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
---@field ttft_ms? { p50: number|false, p95?: number|false, p99?: number|false }|false
---@field total_ms? { p50: number|false, p95?: number|false, p99?: number|false }|false
---@field tokens_per_s? number|false

local PERCENTILES = { "p50", "p95", "p99" }

-- The percentiles a target's view shows under `name`: one table for good, so that figures that change make no garbage.
local function update_times(u, name, data)
  local given = u[name]
  if given == nil then
    return
  elseif not (given and given.p50) then
    data[name] = nil
    return
  end
  local kept = times[name][u.index]
  if not kept then
    kept = {}
    kept.view = sandbox.readonly(kept, "a figure of a target")
    times[name][u.index] = kept
  end
  for k = 1, #PERCENTILES do
    local p = PERCENTILES[k]
    kept[p] = given[p] or nil
  end
  data[name] = kept.view
end

-- What latency() goes by. Without a speed, how long whole answers take; without that, what is known.
local function times_of(data)
  local first, total, speed = data.ttft_ms, data.total_ms, data.tokens_per_s
  if first and speed then
    return first.p50, 1000 / speed
  end
  local whole = total or first
  return whole and whole.p50 or nan, 0
end

local function move(i)
  local place = M.speeds.apart
  if not place[i] then
    place[i] = true
    M.n_moved = M.n_moved + 1
    M.moved[M.n_moved] = i
  end
end

local function update_speed(i, data)
  M.figures.ttft_ms[i] = data.ttft_ms and data.ttft_ms.p50 or nan
  local first, per_token = times_of(data)
  local before = M.firsts[i]
  if first == before and per_token == M.per_token[i] or first ~= first and before ~= before then
    return
  end
  M.n_measured = M.n_measured + (first == first and 1 or 0) - (before == before and 1 or 0)
  M.firsts[i], M.per_token[i] = first, per_token
  n_changed = n_changed + 1
  if M.speeds then
    move(i)
  end
end

local function update_standing(i, data)
  local headroom = data.headroom
  local standing = data.state == "open" and M.OPEN or (data.state == "half_open" or headroom and headroom < SPENT) and M.BEHIND or M.FINE
  if standing ~= M.standings[i] then
    M.n_behind = M.n_behind + (standing == M.FINE and -1 or 0) + (M.standings[i] == M.FINE and 1 or 0)
    M.standings[i] = standing
  end
end

local function update_one(u)
  local i = u.index
  local data = data_of[i]
  data.state = u.state or data.state
  for k = 1, #LIVE do
    local name = LIVE[k]
    local value = u[name]
    if value ~= nil then
      value = value or nil
      if name == "tokens_per_s" and value == 0 then
        value = nil
      end
      data[name] = value
      M.figures[name][i] = value or nan
    end
  end
  for k = 1, #TIMES do
    update_times(u, TIMES[k], data)
  end
  update_standing(i, data)
  update_speed(i, data)
end

-- Makes the order by speed anew, with all that moved in its place.
local function sort_speeds()
  local xs, ys = M.speeds.xs, M.speeds.ys
  local few, whole = M.n_moved <= M.n / 8, false
  for k = 1, M.n_moved do
    local i = M.moved[k]
    local known = M.firsts[i] == M.firsts[i]
    local x, y = known and M.firsts[i] or order.NOWHERE, known and M.TOKENS * M.per_token[i] or order.NOWHERE
    -- What was or is nowhere has far to go.
    if few and not whole and known and xs[i] < order.NOWHERE then
      order.move(M.speeds, i, x, y)
    else
      xs[i], ys[i], whole = x, y, true
    end
    M.speeds.apart[i], M.moved[k] = nil, nil
  end
  M.n_moved = 0
  if whole then
    order.resort(M.speeds)
  end
end

-- The measured target in the middle by how long an answer of middling length takes.
local function middle()
  local known, took, n = {}, {}, 0
  for i = 1, M.n do
    local ms = M.firsts[i] + M.TOKENS * M.per_token[i]
    if ms == ms then
      n = n + 1
      known[n], took[i] = i, ms
    end
  end
  return order.sort(known, took)[ceil(n / 2)]
end

local function keep_prior()
  local i = middle()
  prior_first, prior_per_token = i and M.firsts[i] or nan, i and M.per_token[i] or nan
  n_changed = 0
end

--- What is expected of a target nobody measured: the times of the one in the middle of those that were. NaN when none was.
---@return number first, number per_token
function M.prior()
  if n_changed > 0 and not M.speeds and M.n_measured < M.n then
    keep_prior()
  end
  return prior_first, prior_per_token
end

--- Sets live figures.
---@param list perilune.Update[]
---@param n? integer how many of them count; all
function M.update(list, n)
  for k = 1, n or #list do
    update_one(list[k])
  end
  if M.n_moved > APART then
    sort_speeds()
  end
  -- Where there are many, now and then is enough, and not in the time of a decision: a middle moves slowly.
  if M.speeds and n_changed > 0 and (prior_first ~= prior_first or n_changed > APART and 8 * n_changed > M.n_measured) then
    keep_prior()
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
    M.inputs[i], M.outputs[i], M.classes[i] = nil, nil, nil
    M.firsts[i], M.per_token[i], M.standings[i] = nil, nil, nil
    for _, figure in pairs(M.figures) do
      figure[i] = nil
    end
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

--- As lookup, for a name or a target; nil and why when nothing answers to it.
---@param name string|perilune.Target
---@return integer[]|nil, string|nil
function M.find(name)
  local i = M.index_of[name]
  if i then
    return { i }
  end
  local list = type(name) == "string" and M.lookup(name)
  if list then
    return list
  end
  return nil, ('no target or model "%s"%s'):format(tostring(name), near.hint(name, M.known))
end

--- The same; raises when nothing answers to it.
---@param name string|perilune.Target
---@return integer[]
function M.resolve(name)
  local list, why = M.find(name)
  return list or error(why, 0)
end

return M
