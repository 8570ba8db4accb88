--- The fleet: the targets on offer to one request, and the words that filter and order them.
---
--- A word returns a new fleet and does no work: a fleet is a node that notes what was asked and which fleet it came from. Work happens
--- when somebody wants targets, and only for as many as are wanted: filters and one ordering run as a single walk over an order that is
--- kept ready (perilune.order), so `able():cheapest():take(3)` looks at a few of a thousand.
---
--- One catalogue and one request at a time: a Lua state serves one snapshot, one call after the other.
---
--- Scripts hold nodes and could write into them. So a node holds only what belongs to its own request: names, numbers, functions and
--- tables made for it. What requests share (records, orders, lists by name) stays in this file and leaves it only as read-only proxies.
local hash = require "perilune.hash"
local near = require "perilune.near"
local order = require "perilune.order"
local sandbox = require "perilune.sandbox"
local steps = require "perilune.steps"

local M = {}

local band = require("bit").band
local error, type, tostring, pairs, ipairs = error, type, tostring, pairs, ipairs
local setmetatable, rawget = setmetatable, rawget
local huge, floor, log = math.huge, math.floor, math.log

local SMALL = 24 -- up to so many targets, looking at all is cheaper than walking orders
local FEW = 64 -- up to so many wanted, the best are kept by insertion; more are sorted whole

----------------------------------------------------------------------------------------------------------------------------
-- The catalogue, set once

local records -- by index: the figures of a target, flat; behind n_targets the ad hoc ones of the current request
local views -- by index: the read-only proxy policies see
local view_data -- by index: what the proxy reads from
local index_of = setmetatable({}, { __mode = "k" }) -- proxy -> index
local n_targets = 0
local everyone -- 1 .. n_targets, the order of configuration
local named -- target id, model, provider/*, alias -> list of indices
local tagged -- tag -> list of indices
local provider_of -- set of provider names
local chains -- name -> list of names
local known_names -- set, for "did you mean"
local ability_bit, ability_names

local by_quality -- indices, best first, unknown last
local price_plane -- targets with known prices; false in small catalogues
local unpriced -- the others
local n_measured, n_open = 0, 0 -- targets with a known speed; targets whose breaker is open

----------------------------------------------------------------------------------------------------------------------------
-- The request, set by begin()

local call = 0 -- counts requests, so that a fleet kept from an earlier one is found out
local request
local t_in, t_out = 0, 0 -- expected tokens
local need -- mask of abilities; nil until able() asks
local money, money_why -- the tightest ceiling on one request
local latency_limit -- or nil
local n_ad_hoc = 0
local explain = false
local cuts, n_cuts, cut_by_word, cut_total
local notes
local random

----------------------------------------------------------------------------------------------------------------------------
-- Figures

local function cost_of(r)
  local input, output = r.input, r.output
  if not input or not output then
    return nil
  end
  return (t_in * input + t_out * output) / 1e6
end

-- Until the first token, then the rest of the answer; without a known speed the first token alone.
local function latency_of(r)
  local first = r.ttft
  return first and first + t_out * (r.ms_per_token or 0)
end

-- What at_least{} and at_most{} compare.
local FIGURES = {
  quality = function(r) return r.quality end,
  context = function(r) return r.context end,
  max_output = function(r) return r.max_output end,
  weight = function(r) return r.weight end,
  input = function(r) return r.input end,
  output = function(r) return r.output end,
  cost = cost_of,
  latency = latency_of,
  ttft_ms = function(r) return r.ttft end,
  tokens_per_s = function(r) return r.tokens_per_s end,
  headroom = function(r) return r.headroom end,
  error_rate = function(r) return r.error_rate end,
  in_flight = function(r) return r.in_flight end,
}
local MONEY = { input = true, output = true, cost = true }

----------------------------------------------------------------------------------------------------------------------------
-- Cuts: what a word left out, and why

local function new_cut(word, why)
  local c = { word = word, why = why, count = 0, seen = {} }
  n_cuts = n_cuts + 1
  cuts[n_cuts] = c
  return c
end

local function cut_entry(word, why)
  local by_why = cut_by_word[word]
  if not by_why then
    by_why = {}
    cut_by_word[word] = by_why
  end
  local c = by_why[why]
  if not c then
    c = new_cut(word, why)
    by_why[why] = c
  end
  return c
end

local function cut(word, why, i)
  local c = cut_entry(word, why)
  if not c.seen[i] then
    c.seen[i] = true
    c.count = c.count + 1
    cut_total = cut_total + 1
  end
end

-- `n` targets at once, which nobody looked at one by one.
local function cut_many(word, why, n)
  if n > 0 then
    local c = cut_entry(word, why)
    if c.count < n then
      cut_total = cut_total + n - c.count
      c.count = n
    end
  end
end

-- A name nothing answers to: a line in the trace and not the end of the request, because policies move between installations.
local function cut_unknown(word, name)
  local c = cut_entry(word, ('unknown name "%s"%s'):format(name, near.hint(name, known_names)))
  c.count = 0
end

--- The cuts of this request so far. One entry a word and reason; when explaining, one a target.
---@return { target?: string, word: string, why: string, count: integer }[]
function M.cuts()
  local out, n = {}, 0
  for j = 1, n_cuts do
    local c = cuts[j]
    local listed = 0
    if explain then
      local indices = {}
      for i in pairs(c.seen) do
        indices[#indices + 1] = i
      end
      table.sort(indices)
      for _, i in ipairs(indices) do
        n = n + 1
        out[n] = { target = records[i].id, word = c.word, why = c.why, count = 1 }
      end
      listed = #indices
    end
    if listed == 0 then
      n = n + 1
      out[n] = { word = c.word, why = c.why, count = c.count }
    end
  end
  return out
end

--- Records that `word` left out target `i` (an index), for parts of the library that filter outside of this file.
M.cut = cut

--- Writes into trace and explain.
---@param key string
---@param value any
function M.note(key, value)
  if type(key) ~= "string" then
    error(("note(key, value): expected a text as key, got a %s"):format(type(key)), 2)
  end
  if type(value) == "table" or type(value) == "function" then
    error(("note(key, value): a value is a text, number or boolean, not a %s"):format(type(value)), 2)
  end
  if #notes < 64 then
    notes[#notes + 1] = { key:sub(1, 128), tostring(value):sub(1, 1024) }
  end
end

--- What was noted in this request, or nil.
function M.notes()
  return notes[1] and notes or nil
end

----------------------------------------------------------------------------------------------------------------------------
-- Targets

-- Fields that may be nil: reading any other unknown field is a mistake worth a message.
local OPTIONAL = {
  context = true, max_output = true, quality = true, error_rate = true, in_flight = true, headroom = true, ttft_ms = true,
  tokens_per_s = true, cached_tokens = true, quality_source = true, quality_date = true,
}
local FIELDS = {
  id = true, provider = true, model = true, price = true, abilities = true, weight = true, tags = true, state = true, cost = true,
  latency = true,
}
for name in pairs(OPTIONAL) do
  FIELDS[name] = true
end

local view_meta = {
  __index = function(_, key)
    if OPTIONAL[key] then
      return nil
    end
    error(('a target has no field "%s"%s'):format(tostring(key), near.hint(key, FIELDS)), 2)
  end,
}

local function mask_of(abilities)
  if not abilities then
    return nil
  end
  local mask = 0
  for name, has in pairs(abilities) do
    if has then
      if not ability_bit[name] then
        ability_names[#ability_names + 1] = name
        ability_bit[name] = 2 ^ (#ability_names - 1)
      end
      mask = mask + ability_bit[name]
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

-- Puts target `t` at index `i`.
local function add(i, t)
  local price = t.price or {}
  local r = {
    id = t.id, provider = t.provider, model = t.model, context = t.context, max_output = t.max_output, quality = t.quality,
    weight = t.weight or 1, input = price.input, output = price.output, mask = mask_of(t.abilities), open = false,
  }
  records[i] = r
  local data = {
    id = t.id, provider = t.provider, model = t.model, context = t.context, max_output = t.max_output, quality = t.quality,
    quality_source = t.quality_source, quality_date = t.quality_date,
    weight = r.weight, state = "closed",
    price = sandbox.readonly({ input = price.input, output = price.output, cached = price.cached, cache_write = price.cache_write },
      "the price of a target"),
    abilities = sandbox.readonly(t.abilities or {}, "the abilities of a target"),
    tags = sandbox.readonly(t.tags or {}, "the tags of a target"),
    cost = function()
      return cost_of(r)
    end,
    latency = function()
      return latency_of(r)
    end,
  }
  view_data[i] = setmetatable(data, view_meta)
  views[i] = sandbox.readonly(data, "a target", t.id)
  index_of[views[i]] = i
end

local function append(lists, name, i)
  local list = lists[name]
  if not list then
    list = {}
    lists[name] = list
  end
  list[#list + 1] = i
end

-- Bare model names, provider/* and aliases, behind exact ids.
local function index_names(targets, aliases)
  local models = {}
  for i, t in ipairs(targets) do
    named[t.id] = { i }
    known_names[t.id] = true
    append(models, t.model, i)
    provider_of[t.provider] = true
    append(named, t.provider .. "/*", i)
    for tag, set in pairs(t.tags or {}) do
      if set then
        append(tagged, tag, i)
      end
    end
  end
  for model, list in pairs(models) do
    local first = model:match "^([^/]+)/"
    -- "openai/gpt-oss" is a model only where no provider is called openai.
    if not (first and provider_of[first]) and not named[model] then
      named[model] = list
    end
    known_names[model] = true
  end
  for name, list in pairs(aliases or {}) do
    known_names[name] = true
    if not named[name] then
      local indices, seen = {}, {}
      for _, target in ipairs(list) do
        for _, i in ipairs(models[target] or named[target] or {}) do
          if not seen[i] then
            seen[i] = true
            indices[#indices + 1] = i
          end
        end
      end
      named[name] = indices
    end
  end
end

local function keep_orders()
  local quality, blend, x, y, priced = {}, {}, {}, {}, {}
  unpriced = {}
  for i = 1, n_targets do
    local r = records[i]
    everyone[i], by_quality[i] = i, i
    quality[i] = r.quality and -r.quality or huge
    blend[i] = huge
    if r.input and r.output then
      x[i], y[i] = r.input, r.output
      blend[i] = 3 * r.input + r.output
      priced[#priced + 1] = i
    else
      unpriced[#unpriced + 1] = i
    end
  end
  -- Equal quality: the cheaper first.
  order.sort(by_quality, blend)
  order.sort(by_quality, quality)
  price_plane = n_targets > SMALL and order.plane(priced, x, y)
end

--- Sets the catalogue. Once a state (again only in specs).
---@param setup { targets: table[], chains?: table<string, string[]>, aliases?: table<string, string[]> }
function M.setup(setup)
  records, views, view_data, everyone, by_quality = {}, {}, {}, {}, {}
  named, tagged, provider_of, known_names = {}, {}, {}, {}
  ability_bit, ability_names = {}, {}
  chains = setup.chains or {}
  n_targets, n_ad_hoc, n_measured, n_open = #setup.targets, 0, 0, 0
  for i, t in ipairs(setup.targets) do
    add(i, t)
  end
  index_names(setup.targets, setup.aliases)
  for _, name in ipairs(setup.providers or {}) do
    provider_of[name] = true
  end
  for name in pairs(chains) do
    known_names[name] = true
  end
  keep_orders()
end

--- Sets live figures: each entry names a target by index and holds what changed; `false` makes a figure unknown again.
---@param list { index: integer, state?: string, error_rate?: number|false, in_flight?: integer|false, headroom?: number|false, ttft_ms?: table|false, tokens_per_s?: number|false }[]
function M.update(list)
  for _, u in ipairs(list) do
    local r, data = records[u.index], view_data[u.index]
    if u.state ~= nil then
      local open = u.state == "open"
      if open ~= r.open then
        n_open = n_open + (open and 1 or -1)
      end
      r.open, data.state = open, u.state
    end
    if u.ttft_ms ~= nil then
      local p50 = u.ttft_ms and u.ttft_ms.p50 or nil
      n_measured = n_measured + (p50 and 1 or 0) - (r.ttft and 1 or 0)
      r.ttft = p50
      data.ttft_ms = u.ttft_ms and sandbox.readonly({ p50 = p50, p95 = u.ttft_ms.p95, p99 = u.ttft_ms.p99 }, "a figure of a target") or nil
    end
    if u.tokens_per_s ~= nil then
      r.tokens_per_s = u.tokens_per_s or nil
      r.ms_per_token = u.tokens_per_s and u.tokens_per_s > 0 and 1000 / u.tokens_per_s or nil
      data.tokens_per_s = r.tokens_per_s
    end
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
  for i = n_targets + 1, n_targets + n_ad_hoc do
    if records[i].id == id then
      return i
    end
  end
  n_ad_hoc = n_ad_hoc + 1
  add(n_targets + n_ad_hoc, { id = id, provider = provider, model = model })
  return n_targets + n_ad_hoc
end

-- The targets a name means, as a list of indices, or nil. The list is shared: not to be changed, not to be put into a node.
local function lookup(name)
  local list = named[name]
  if list then
    return list
  end
  local provider, model = name:match "^([^/]+)/(.+)$"
  if provider and provider_of[provider] and model ~= "*" then
    return { ad_hoc(provider, model, name) }
  end
  return nil
end

--- Indices a name or a target stands for: raises when it stands for nothing.
---@param name string|perilune.Target
---@return integer[]
function M.resolve(name)
  local i = index_of[name]
  if i then
    return { i }
  end
  local list = type(name) == "string" and lookup(name)
  if not list then
    error(('no target or model "%s"%s'):format(tostring(name), near.hint(name, known_names)), 0)
  end
  return list
end

--- The id of an index; and whether the catalogue has it (else it is known only by its id).
---@param i integer
---@return string|nil id, boolean in_catalogue
function M.id(i)
  local r = records[i]
  return r and r.id, i <= n_targets
end

--- Whether both prices of an index are known.
function M.priced(i)
  local r = records[i]
  return r.input ~= nil and r.output ~= nil
end

function M.is_target(value)
  return index_of[value] ~= nil
end

function M.is_fleet(value)
  return type(value) == "table" and rawget(value, "is_fleet") == true
end

----------------------------------------------------------------------------------------------------------------------------
-- Nodes

---@class perilune.Fleet
---@operator concat(perilune.Fleet): perilune.Fleet
local words = {}
local Fleet = { __metatable = false }

local function check(word, fleet)
  if type(fleet) ~= "table" or not rawget(fleet, "is_fleet") then
    error(("%s is a word of a fleet: write fleet:%s, with a colon"):format(word, word), 3)
  end
  if fleet.call ~= call then
    error(("%s: this fleet belongs to an earlier request; policies keep nothing between requests"):format(word), 3)
  end
end

-- `said`: what chain{} said, or false. No field may be called like a word. `behind`: open targets go last.
local function test_node(up, word, test)
  return setmetatable({
    is_fleet = true, call = call, op = "test", up = up, said = up.said, behind = up.behind, word = word, test = test, narrow = false,
    tag = false, why = false,
  }, Fleet)
end

local function sort_node(up, word, key)
  return setmetatable({ is_fleet = true, call = call, op = "sort", up = up, said = up.said, behind = up.behind, word = word, key = key }, Fleet)
end

local function with_node(up, fields, said)
  return setmetatable({ is_fleet = true, call = call, op = "with", up = up, said = said, behind = up.behind, fields = fields }, Fleet)
end

-- Targets found: a list of indices, and a map from index to step fields or false. Both made for this request.
local function list_node(found, how, said)
  return setmetatable({ is_fleet = true, call = call, op = "list", said = said, behind = false, found = found, how = how }, Fleet)
end

local function join_node(a, b)
  return setmetatable({ is_fleet = true, call = call, op = "join", a = a, b = b, said = steps.merge(b.said, a.said), behind = false }, Fleet)
end

----------------------------------------------------------------------------------------------------------------------------
-- Evaluation. eval(fleet, want) gives a list of at least `want` indices where there are so many, and a map of step fields or false.
-- The list may be shared and may be longer: callers read, and stop at what they want.

local eval

local function passes(i, tests, n)
  local r = records[i]
  for k = n, 1, -1 do
    local t = tests[k]
    local why = t.test(r, i)
    if why then
      if t.word then
        cut(t.word, why, i)
      end
      return false
    end
  end
  return true
end

local RANK_FINE, RANK_LATE, RANK_OPEN = 1, 2, 3

local function rank_of(r, behind, sorted)
  if behind and r.open then
    return RANK_OPEN
  end
  if sorted and latency_limit then
    local ms = latency_of(r)
    if ms and ms > latency_limit then
      return RANK_LATE
    end
  end
  return RANK_FINE
end

-- Stable: what is open or predicted too late goes behind.
local function by_rank(list, behind, sorted)
  local bins = { {}, {}, {} }
  for j = 1, #list do
    local bin = bins[rank_of(records[list[j]], behind, sorted)]
    bin[#bin + 1] = list[j]
  end
  local out = bins[1]
  for rank = 2, 3 do
    for j = 1, #bins[rank] do
      out[#out + 1] = bins[rank][j]
    end
  end
  return out
end

-- The best `want` of a source, few enough to keep sorted by insertion.
local function best_few(source, tests, nt, key, want)
  local list, keys, m = {}, {}, 0
  for j = 1, #source do
    local i = source[j]
    if passes(i, tests, nt) then
      local k = key(records[i], i) or huge
      if m < want then
        m = m + 1
      elseif k >= keys[m] then
        k = nil
      end
      if k then
        local at = m
        while at > 1 and keys[at - 1] > k do
          keys[at], list[at] = keys[at - 1], list[at - 1]
          at = at - 1
        end
        keys[at], list[at] = k, i
      end
    end
  end
  return list
end

local function all_sorted(source, tests, nt, key)
  local list, keys, m = {}, {}, 0
  for j = 1, #source do
    local i = source[j]
    if passes(i, tests, nt) then
      m = m + 1
      list[m] = i
      keys[i] = key(records[i], i) or huge
    end
  end
  order.sort(list, keys)
  return list, keys
end

-- Within a tenth of the fastest one may go first, by chance: a quarter of a second's requests do not all pick the same.
local function spread(list, keys)
  local best = list[1] and keys[list[1]]
  if best and best < huge then
    local n = 1
    while list[n + 1] and keys[list[n + 1]] <= best * 1.1 do
      n = n + 1
    end
    table.insert(list, 1, table.remove(list, floor(M.random() * n) + 1))
  end
  return list
end

-- Walks a source in its order until `want` pass. `walk(take)` calls take(i) for each until it returns true.
local function first_few(walk, tests, nt, want, ranked, behind, sorted)
  local list, m = {}, 0
  local late, open = nil, nil
  walk(function(i)
    if passes(i, tests, nt) then
      if ranked then
        local rank = rank_of(records[i], behind, sorted)
        if rank == RANK_LATE then
          late = late or {}
          late[#late + 1] = i
          return false
        elseif rank == RANK_OPEN then
          open = open or {}
          open[#open + 1] = i
          return false
        end
      end
      m = m + 1
      list[m] = i
      return m >= want
    end
    return false
  end)
  for _, behind_list in ipairs { late or {}, open or {} } do
    for _, i in ipairs(behind_list) do
      m = m + 1
      list[m] = i
    end
  end
  return list
end

-- A plain loop for the commonest walk, which needs no closures.
local function first_passing(source, tests, nt, want)
  local list, m = {}, 0
  for j = 1, #source do
    local i = source[j]
    if passes(i, tests, nt) then
      m = m + 1
      list[m] = i
      if m >= want then
        break
      end
    end
  end
  return list
end

local function walk_list(source)
  return function(take)
    for j = 1, #source do
      if take(source[j]) then
        return
      end
    end
  end
end

local function walk_prices(take)
  local over = false
  local function one(i)
    over = take(i)
    return over
  end
  local a, b = t_in, t_out
  if a + b <= 0 then
    a, b = 3, 1
  end
  order.walk(price_plane, a, b, one)
  for j = 1, not over and #unpriced or 0 do
    if take(unpriced[j]) then
      return
    end
  end
end

local KEYS = {
  cost = cost_of,
  quality = function(r)
    return r.quality and -r.quality
  end,
  latency = latency_of,
}

-- What at_least, only and the like narrow the whole fleet to, when an index knows: the smallest list there is.
local function narrowed(tests, nt)
  local source, by
  for k = 1, nt do
    local t = tests[k]
    local list = t.narrow or (t.tag and (tagged[t.tag] or {}))
    if list and (not source or #list < #source) then
      source, by = list, t
    end
  end
  if source and by.word then
    cut_many(by.word, by.why, n_targets - #source)
  end
  return source
end

-- Ad hoc targets a filter names are on offer although the catalogue does not have them.
local function with_ad_hoc(tests, nt)
  local source
  for k = 1, nt do
    for _, i in ipairs(tests[k].narrow or {}) do
      if i > n_targets then
        if not source then
          source = {}
          for j = 1, n_targets do
            source[j] = j
          end
        end
        source[#source + 1] = i
      end
    end
  end
  return source or everyone
end

local function select(source, whole, tests, nt, sort, want, behind)
  local kind = sort and sort.key
  local known = sort and latency_limit and n_measured > 0 and kind ~= "latency"
  local ranked = (behind and n_open > 0) or known
  if not sort or (kind == "latency" and n_measured == 0) then
    if not ranked then
      return first_passing(source, tests, nt, want)
    end
    return first_few(walk_list(source), tests, nt, want, true, behind, known)
  end
  if whole and price_plane and want <= FEW then
    if kind == "quality" then
      return first_few(walk_list(by_quality), tests, nt, want, ranked, behind, known)
    elseif kind == "cost" then
      return first_few(walk_prices, tests, nt, want, ranked, behind, known)
    end
  end
  local key = KEYS[kind] or kind
  if want <= FEW and not ranked and kind ~= "latency" then
    if whole and kind == "quality" then
      source = by_quality
    end
    return best_few(source, tests, nt, key, want)
  end
  local list, keys = all_sorted(whole and kind == "quality" and by_quality or source, tests, nt, key)
  if kind == "latency" then
    list = spread(list, keys)
  end
  return ranked and by_rank(list, behind, known) or list
end

local function eval_join(f, want)
  local list, seen, n, map = {}, {}, 0, false
  for side = 1, 2 do
    if n < want then
      local part, part_map = eval(side == 1 and f.a or f.b, want)
      for j = 1, #part do
        local i = part[j]
        if not seen[i] then
          seen[i] = true
          n = n + 1
          list[n] = i
          if part_map and part_map[i] then
            map = map or {}
            map[i] = part_map[i]
          end
          if n >= want then
            break
          end
        end
      end
    end
  end
  return list, map
end

function eval(f, want)
  local op = f.op
  if op == "list" then
    return f.found, f.how
  elseif op == "join" then
    return eval_join(f, want)
  elseif op == "base" then
    return everyone, false
  end
  -- Filters and step fields commute with one ordering: gather them down to whatever is below.
  local tests, nt, sort, fields = {}, 0, nil, false
  local at = f
  while true do
    if op == "test" then
      nt = nt + 1
      tests[nt] = at
    elseif op == "with" then
      fields = steps.merge(at.fields, fields)
    elseif op == "sort" and not sort then
      sort = at
    else
      break
    end
    at = at.up
    op = at.op
  end
  if explain then
    want = huge
  end
  local source, map, whole = everyone, false, op == "base"
  if not whole then
    source, map = eval(at, huge)
  else
    local few
    if explain then
      few = with_ad_hoc(tests, nt)
      few = few ~= everyone and few
    else
      few = narrowed(tests, nt)
    end
    if few then
      source, whole = few, false
    end
  end
  local list = select(source, whole, tests, nt, sort, want, f.behind)
  if fields then
    local merged = {}
    for j = 1, #list do
      local i = list[j]
      merged[i] = steps.merge(map and map[i], fields)
    end
    map = merged
  end
  return list, map
end

----------------------------------------------------------------------------------------------------------------------------
-- Words

-- Names out of the argument of a word: only{ "a", "b" } and only "a" alike; targets themselves are taken too.
local function names_of(word, arg)
  if type(arg) == "string" or index_of[arg] then
    return { arg }
  end
  if type(arg) ~= "table" then
    error(('%s: expected a list of names like { "gpt-4o", "openai/*" }, got a %s'):format(word, type(arg)), 3)
  end
  for k, name in pairs(arg) do
    if type(k) ~= "number" or (type(name) ~= "string" and not index_of[name]) then
      error(("%s: expected a list of names, got a %s at [%s]"):format(word, type(name), tostring(k)), 3)
    end
  end
  return arg
end

local function indices_of(word, names)
  local list, set = {}, {}
  for _, name in ipairs(names) do
    local found = index_of[name] and { index_of[name] } or lookup(name)
    if not found then
      cut_unknown(word, name)
    else
      for j = 1, #found do
        local i = found[j]
        if not set[i] then
          set[i] = true
          list[#list + 1] = i
        end
      end
    end
  end
  return list, set
end

-- The targets of `fleet` that `list` has, in the fleet's order, without a word in the trace.
local function part_of(fleet, list)
  local set = {}
  local narrow = {}
  for j = 1, #list do
    set[list[j]] = true
    narrow[j] = list[j]
  end
  table.sort(narrow)
  local behind = fleet.behind
  local part = test_node(fleet, false, function(r, i)
    -- Open targets are left to the tail, where the fleet has them.
    return (not set[i] or (behind and r.open)) and "not meant" or nil
  end)
  part.narrow = narrow
  return part
end

local function lacks(r)
  local missing = {}
  for j, name in ipairs(ability_names) do
    local b = 2 ^ (j - 1)
    if band(need, b) ~= 0 and band(r.mask, b) == 0 then
      missing[#missing + 1] = name
    end
  end
  return "lacks " .. table.concat(missing, ", ")
end

local function able_test(r)
  local context = r.context
  if context and t_in + t_out > context then
    return "context"
  end
  local max_output = r.max_output
  if max_output and t_out > max_output then
    return "max_output"
  end
  if need ~= 0 and r.mask and band(r.mask, need) ~= need then
    return lacks(r)
  end
  if money < huge then
    local cost = cost_of(r)
    if not cost then
      return "price_unknown"
    elseif cost > money then
      return money_why
    end
  end
  return nil
end

local function read_needs()
  need = mask_of(request.uses or {}) or 0
  money, money_why = huge, "max_cost_usd"
  local limits, budget = request.limits, request.budget
  if limits and limits.max_cost_usd then
    money = limits.max_cost_usd
  end
  if budget and budget.left_usd and budget.left_usd < money then
    money, money_why = budget.left_usd, "budget"
  end
end

--- Targets that can do it: context and output fit, all abilities are there, and the expected cost is within the request's limits. Open
--- targets go last.
---@return perilune.Fleet
function words.able(fleet)
  check("able", fleet)
  if not need then
    read_needs()
  end
  local f = test_node(fleet, "able", able_test)
  f.behind = true
  return f
end

--- Only these.
---@param names string|string[]
---@return perilune.Fleet
function words.only(fleet, names)
  check("only", fleet)
  local list, set = indices_of("only", names_of("only", names))
  table.sort(list)
  local f = test_node(fleet, "only", function(_, i)
    return not set[i] and "not named" or nil
  end)
  f.narrow, f.why = list, "not named"
  return f
end

--- All but these.
---@param names string|string[]
---@return perilune.Fleet
function words.except(fleet, names)
  check("except", fleet)
  local _, set = indices_of("except", names_of("except", names))
  return test_node(fleet, "except", function(_, i)
    return set[i] and "named" or nil
  end)
end

--- Those the filter says yes to.
---@param f fun(target: perilune.Target): any
---@param why? string for the trace
---@return perilune.Fleet
function words.where(fleet, f, why)
  check("where", fleet)
  if type(f) ~= "function" then
    error(("where: expected a function of a target, got a %s"):format(type(f)), 2)
  end
  if why ~= nil and type(why) ~= "string" then
    error(("where: expected a text as the reason, got a %s"):format(type(why)), 2)
  end
  why = why or "where"
  return test_node(fleet, "where", function(_, i)
    return not f(views[i]) and why or nil
  end)
end

local function bound_node(fleet, word, bounds, over)
  if type(bounds) ~= "table" or next(bounds) == nil then
    error(("%s: expected figures, like %s{ quality = 40 }"):format(word, word), 3)
  end
  local f = fleet
  local names = {}
  for name in pairs(bounds) do
    names[#names + 1] = tostring(name)
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local figure, bound = FIGURES[name], bounds[name]
    if not figure then
      error(('%s: a target has no figure "%s"%s (the figures are %s)'):format(word, name, near.hint(name, FIGURES), near.names(FIGURES)), 3)
    end
    if type(bound) ~= "number" or bound ~= bound then
      error(("%s: expected a number for %s, got %s"):format(word, name, type(bound) == "number" and "nan" or "a " .. type(bound)), 3)
    end
    local unknown = MONEY[name] and "price_unknown" or name .. " unknown"
    local why = ("%s %s %s"):format(name, over and "over" or "under", tostring(bound))
    f = test_node(f, word, function(r)
      local v = figure(r)
      if not v then
        return unknown
      elseif over and v > bound or not over and v < bound then
        return why
      end
      return nil
    end)
  end
  return f
end

--- Those whose figures are known and not below these.
---@param bounds table<string, number>
---@return perilune.Fleet
function words.at_least(fleet, bounds)
  check("at_least", fleet)
  return bound_node(fleet, "at_least", bounds, false)
end

--- Those whose figures are known and not above these.
---@param bounds table<string, number>
---@return perilune.Fleet
function words.at_most(fleet, bounds)
  check("at_most", fleet)
  return bound_node(fleet, "at_most", bounds, true)
end

--- Those that carry a tag.
---@param name string
---@return perilune.Fleet
function words.tagged(fleet, name)
  check("tagged", fleet)
  if type(name) ~= "string" then
    error(("tagged: expected the name of a tag, got a %s"):format(type(name)), 2)
  end
  local why = "without tag " .. name
  local f = test_node(fleet, "tagged", function(_, i)
    return not view_data[i].tags[name] and why or nil
  end)
  f.tag, f.why = name, why
  return f
end

--- By a figure of one's own, the smallest first; equal ones stay in order, nil goes last.
---@param f fun(target: perilune.Target): number|nil
---@return perilune.Fleet
function words.by(fleet, f)
  check("by", fleet)
  if type(f) ~= "function" then
    error(("by: expected a function of a target, got a %s"):format(type(f)), 2)
  end
  return sort_node(fleet, "by", function(_, i)
    local v = f(views[i])
    if v ~= nil and type(v) ~= "number" then
      error(("by: expected a number or nil for %s, got a %s"):format(records[i].id, type(v)), 0)
    end
    return v == v and v or nil -- not a number: unknown
  end)
end

--- The cheapest for this request first; those over the client's latency limit behind, unknown prices last.
---@return perilune.Fleet
function words.cheapest(fleet)
  check("cheapest", fleet)
  return sort_node(fleet, "cheapest", "cost")
end

--- The fastest for this request first, by what was measured; one within a tenth of the fastest by chance; unknown last.
---@return perilune.Fleet
function words.fastest(fleet)
  check("fastest", fleet)
  return sort_node(fleet, "fastest", "latency")
end

--- The best first, by quality; equal ones by price, unknown last.
---@return perilune.Fleet
function words.best(fleet)
  check("best", fleet)
  return sort_node(fleet, "best", "quality")
end

--- These to the front, in this order, where the fleet has them.
---@param names string|string[]
---@return perilune.Fleet
function words.prefer(fleet, names)
  check("prefer", fleet)
  names = names_of("prefer", names)
  local f = fleet
  for k = #names, 1, -1 do
    f = join_node(part_of(fleet, (indices_of("prefer", { names[k] }))), f)
  end
  return f
end

local function arms_of(arms)
  if type(arms) ~= "table" or #arms == 0 then
    error('split: expected arms like { { "gpt-4o", 90 }, { "claude-sonnet-4-6", 10 } }', 3)
  end
  local total = 0
  for k, arm in ipairs(arms) do
    local name, weight = type(arm) == "table" and arm[1], type(arm) == "table" and arm[2]
    if type(name) ~= "string" then
      error(("split: arm %d: expected { name, weight }"):format(k), 3)
    end
    if type(weight) ~= "number" or not (weight >= 0 and weight < huge) then
      error(('split: arm "%s": expected a weight not below 0'):format(name), 3)
    end
    total = total + weight
  end
  if total <= 0 then
    error("split: all weights are 0", 3)
  end
  return arms
end

-- What a split sticks to: the one who asks, as closely as is known.
local function who()
  local key = request.key
  return request.session or request.user or (type(key) == "table" and key.name) or nil
end

--- Divides requests by weight. The same `by` (else session, user, key) always gets the same arm; raising a weight moves only as many as
--- it must. The arm goes first, then the other arms, then the rest.
---@param experiment string salts the division: two experiments divide independently
---@param arms { [1]: string, [2]: number }[]
---@param by? string
---@return perilune.Fleet
function words.split(fleet, experiment, arms, by)
  check("split", fleet)
  if type(experiment) ~= "string" then
    error(("split: expected the name of the experiment, got a %s"):format(type(experiment)), 2)
  end
  if by ~= nil and type(by) ~= "string" and type(by) ~= "number" then
    error(("split: expected a text to stick to, got a %s"):format(type(by)), 2)
  end
  arms_of(arms)
  local who_asks = tostring(by or who() or M.random())
  local salt = hash.text(experiment .. "\0" .. who_asks)
  -- Weighted rendezvous: each arm draws a number of its own for each asker, so that a weight that changes moves nobody between
  -- the others.
  local draw, turn = {}, {}
  for k, arm in ipairs(arms) do
    draw[k] = arm[2] > 0 and -log(hash.fraction(hash.text(arm[1], salt))) / arm[2] or huge
    turn[k] = k
  end
  order.sort(turn, draw)
  local f, headed = fleet, nil
  for t = #turn, 1, -1 do
    local arm = arms[turn[t]]
    if arm[2] > 0 then
      local part = part_of(fleet, (indices_of("split", { arm[1] })))
      if eval(part, 1)[1] then
        headed = arm[1]
        f = join_node(part, f)
      end
    end
  end
  M.note("split:" .. experiment, headed or "none of the arms")
  return f
end

--- The session's last target first.
---@return perilune.Fleet
function words.sticky(fleet)
  check("sticky", fleet)
  local last = request.last_target
  if not last then
    return fleet
  end
  return join_node(part_of(fleet, lookup(last) or {}), fleet)
end

-- Names that are no model but ask for the router's choice.
local function is_choice(name)
  return name == "auto" or name:find("^auto:") ~= nil or name:find("^policy/") ~= nil
end

-- The names the client asked for, none when it left the choice to us.
local function client_names()
  local models, names = request.models, {}
  if models and models[1] then
    for _, name in ipairs(models) do
      if not is_choice(name) then
        names[#names + 1] = name
      end
    end
  elseif request.model and not is_choice(request.model) then
    names[1] = request.model
  end
  return names
end

local function add_new(list, seen, found)
  for j = 1, found and #found or 0 do
    local i = found[j]
    if not seen[i] then
      seen[i] = true
      list[#list + 1] = i
    end
  end
end

local function chain_of(name, found)
  local chain = chains[name]
  if not chain and found and found[1] then
    chain = chains[records[found[1]].model]
  end
  return chain
end

--- What the client named, then what the configuration's `chains` say follows it. Empty when it named nothing.
---@return perilune.Fleet
function words.requested(fleet)
  check("requested", fleet)
  local list, seen = {}, {}
  local names = client_names()
  for _, name in ipairs(names) do
    add_new(list, seen, lookup(name) or chains[name] and {} or nil)
  end
  for _, name in ipairs(names) do
    for _, follower in ipairs(chain_of(name, lookup(name)) or {}) do
      add_new(list, seen, lookup(follower))
    end
  end
  return list_node(list, false, fleet.said)
end

--- The first n.
---@param n integer
---@return perilune.Fleet
function words.take(fleet, n)
  check("take", fleet)
  if type(n) ~= "number" or n % 1 ~= 0 or n < 0 then
    error(("take: expected a whole number, got %s"):format(type(n) == "number" and tostring(n) or "a " .. type(n)), 2)
  end
  local list, map = eval(fleet, n)
  local first = {}
  for j = 1, n < #list and n or #list do
    first[j] = list[j]
  end
  if explain then
    for j = n + 1, #list do
      cut("take", "behind the first " .. n, list[j])
    end
  elseif #first == n then
    -- What was not looked at counts as left out here.
    cut_many("take", "behind the first " .. n, n_targets - cut_total - n)
  end
  return list_node(first, map, fleet.said)
end

--- Says how these steps run: timeouts, retries, conditions, parameters.
---@param fields table
---@return perilune.Fleet
function words.with(fleet, fields)
  check("with", fleet)
  return with_node(fleet, steps.step(fields), fleet.said)
end

--- Says how the chain runs: deadline, ceilings, what to do when it is exhausted.
---@param fields table
---@return perilune.Fleet
function words.chain(fleet, fields)
  check("chain", fleet)
  return with_node(fleet, false, steps.merge(fleet.said, steps.chain(fields)))
end

--- How many there are. Looks at all of them.
---@return integer
function words.count(fleet)
  check("count", fleet)
  return #eval(fleet, huge)
end

--- The targets, in order.
---@return perilune.Target[]
function words.list(fleet)
  check("list", fleet)
  local out = {}
  for j, i in ipairs((eval(fleet, huge))) do
    out[j] = views[i]
  end
  return out
end

--- Words by name, for documentation and its specs.
M.words = words

function Fleet.__index(fleet, key)
  local word = words[key]
  if word then
    return word
  end
  if type(key) == "number" then
    check("[" .. tostring(key) .. "]", fleet)
    local list = key >= 1 and eval(fleet, key) or {}
    return list[key] and views[list[key]]
  end
  error(('a fleet has no word "%s"%s'):format(tostring(key), near.hint(key, words)), 2)
end

function Fleet.__newindex(_, key)
  error(('a fleet can not be changed: tried to set "%s"; its words return new ones'):format(tostring(key)), 2)
end

function Fleet.__concat(a, b)
  for _, side in ipairs { a, b } do
    if not M.is_fleet(side) then
      error((".. joins two fleets, got a %s"):format(type(side)), 2)
    end
  end
  check("..", a)
  check("..", b)
  if a.op == "list" and not a.found[1] and not a.said then
    return b
  end
  return join_node(a, b)
end

function Fleet.__tostring()
  return "fleet"
end

----------------------------------------------------------------------------------------------------------------------------
-- Calls

--- A random number of this request: none, one or two bounds as math.random has them.
function M.random(m, n)
  if not random then
    random = hash.random(request.seed or 0)
  end
  if m == nil then
    return random()
  end
  if n == nil then
    m, n = 1, m
  end
  if type(m) ~= "number" or type(n) ~= "number" or m > n then
    error("random: expected no bounds, one, or two in ascending order", 2)
  end
  return floor(m) + floor(random() * (floor(n) - floor(m) + 1))
end

--- Whether cuts name each target, which makes every word look at all of them.
function M.explain(on)
  explain = on and true or false
end

--- Begins a request: the fleet a policy is given.
---@param req table
---@return perilune.Fleet
function M.begin(req)
  call = call + 1
  request = req
  local tokens = req.tokens
  t_in = tokens and tokens.input or 0
  t_out = tokens and tokens.output or 0
  need, random = nil, nil
  local limits = req.limits
  local ms = limits and limits.max_latency_ms
  latency_limit = ms and ms > 0 and ms < huge and ms or nil
  for i = n_targets + 1, n_targets + n_ad_hoc do
    records[i], views[i], view_data[i] = nil, nil, nil
  end
  n_ad_hoc = 0
  cuts, n_cuts, cut_by_word, cut_total = {}, 0, {}, 0
  notes = {}
  return setmetatable({ is_fleet = true, call = call, op = "base", said = false, behind = false }, Fleet)
end

--- A fleet of given targets, for the rest of a chain: indices and step fields by index.
---@param list integer[]
---@param map table<integer, table>|false
---@return perilune.Fleet
function M.of(list, map)
  return list_node(list, map, false)
end

--- What a fleet comes to: indices in order, step fields by index or false, chain fields or false.
---@param fleet perilune.Fleet
---@return integer[] list, table|false map, table|false chain
function M.evaluate(fleet)
  check("the result", fleet)
  local list, map = eval(fleet, huge)
  return list, map, fleet.said
end

--- Indices the client named (not what follows them), as a set; nil when it named nothing.
---@return table<integer, boolean>|nil
function M.named_by_client()
  local names = client_names()
  if not names[1] then
    return nil
  end
  local set = {}
  for _, name in ipairs(names) do
    for _, i in ipairs(lookup(name) or {}) do
      set[i] = true
    end
  end
  return set
end

return M
