--- What a fleet comes to. A fleet is a node that notes which word was asked of which fleet; here nodes are made and turned into targets.
---
--- Filters and one ordering commute, so they run as a single walk over whatever they stand on, and a walk ends when as many targets as are
--- wanted have passed. Over the whole catalogue the walk follows an order that is kept ready (perilune.order).
---
--- Scripts hold nodes and could write into them. So a node holds only what belongs to requests' own words: names, numbers, functions, and
--- tables made for them. Lists that requests share are looked up here and put into no node.
local call = require "perilune.call"
local catalogue = require "perilune.catalogue"
local order = require "perilune.order"
local steps = require "perilune.steps"

local M = {}

local error, type, setmetatable, rawget = error, type, setmetatable, rawget
local floor, huge = math.floor, math.huge
local insert, remove = table.insert, table.remove
local merge = steps.merge
local latency_of, cut = call.latency, call.cut

local FEW = 64 -- up to so many wanted, the best are kept by insertion; more are sorted whole
local EMPTY = {}

----------------------------------------------------------------------------------------------------------------------------
-- Nodes

--- The metatable of fleets; perilune.fleet fills it.
M.Fleet = { __metatable = false }

-- Making a table of a dozen fields costs more than all a word does with it, so the first nodes of a request are those of the request
-- before. A fleet that a script kept is found out by its number, or is by then another fleet of the request that runs: it shows nothing
-- of the one before.
local POOL = 64
local pool, used = {}, 0

-- Every field of every op, so that reading one never asks the metatable. No field may be called like a word.
local function blank()
  return setmetatable({
    is_fleet = true, call = 0, op = "base", up = false,
    said = false, -- what chain{} said
    behind = false, -- open targets go last
    word = false, test = false, many = false, asks = false, why = false, narrow = false, tag = false, -- op "test"
    key = false, figure = false, -- op "sort"
    fields = false, -- op "with"
    found = false, how = false, -- op "list": indices (false: none), step fields by index
    a = false, b = false, -- op "join"
  }, M.Fleet)
end

local function node(op, up, said, behind)
  used = used + 1
  local f = pool[used]
  if not f then
    f = blank()
    if used <= POOL then
      pool[used] = f
    end
  end
  -- is_fleet as well: a script may have written into the node when it was its own.
  f.is_fleet, f.call, f.op, f.up, f.said, f.behind = true, call.number, op, up, said, behind
  return f
end

local function is_empty(f)
  return f.op == "list" and not f.found
end

local depth = 0 -- of evaluations: a filter's function may look at fleets itself

--- The whole fleet of a request that begins.
function M.base()
  used, depth = 0, 0
  return node("base", false, false, false)
end

--- A filter: test(record, index) says why a target is left out, or nil. `word` false: it leaves no trace.
function M.filter(up, word, test)
  if is_empty(up) then
    return up
  end
  local f = node("test", up, up.said, up.behind)
  f.word, f.test, f.many, f.asks, f.why, f.narrow, f.tag = word, test, false, false, false, false, false
  return f
end

--- A filter that can do many at once, too: many(source, n, out) puts those that stay into `out`, which may be the source, notes its
--- own cuts, and returns how many they are.
function M.filter_many(up, word, test, many)
  local f = M.filter(up, word, test)
  if f ~= up then
    f.many = many
  end
  return f
end

--- A filter of a script's own: asks(target) says whether it stays, `why` is the reason when not.
function M.asking(up, word, asks, why)
  local f = M.filter(up, word, false)
  if f ~= up then
    f.asks, f.why = asks, why
  end
  return f
end

--- An ordering: `key` is "cost", "quality", "latency", or "by" with a script's own function of a target; ascending, nil last.
function M.sorted(up, key, by)
  if is_empty(up) then
    return up
  end
  local f = node("sort", up, up.said, up.behind)
  f.key, f.figure = key, by or false
  return f
end

--- Step fields, or false, for all of a fleet, and what is said of the chain.
function M.with(up, fields, said)
  local f = node("with", up, said, up.behind)
  f.fields = fields
  return f
end

--- Given targets: a list made for this request, and step fields by index or false.
function M.list(found, how, said)
  local f = node("list", false, said, false)
  f.found, f.how = found[1] and found or false, how
  return f
end

--- One fleet behind another, without repeats.
function M.join(a, b)
  if is_empty(a) and not a.said then
    return b
  end
  local f = node("join", false, merge(b.said, a.said), false)
  f.a, f.b = a, b
  return f
end

--- Raises unless `fleet` is one of this request.
function M.check(word, fleet)
  if type(fleet) == "table" and fleet.call == call.number then
    return
  end
  if type(fleet) ~= "table" or not rawget(fleet, "is_fleet") then
    error(("%s is a word of a fleet: write fleet:%s, with a colon"):format(word, word), 3)
  end
  error(("%s: this fleet belongs to an earlier request; policies keep nothing between requests"):format(word), 3)
end

----------------------------------------------------------------------------------------------------------------------------
-- Scratch: tables used again by every evaluation, one set for each depth.

local scratches = {}

local function scratch_of(d)
  local s = scratches[d]
  if not s then
    s = order.scratch()
    s.tests, s.keys, s.passing = {}, {}, {}
    scratches[d] = s
  end
  return s
end

----------------------------------------------------------------------------------------------------------------------------
-- Walks

-- tests[1] is the outermost filter, so they run from the last to the first.
local function passes(r, i, tests, nt)
  for k = nt, 1, -1 do
    local t = tests[k]
    local why
    if t.asks then
      why = not t.asks(catalogue.views[i]) and t.why
    else
      why = t.test(r, i)
    end
    if why then
      if t.word then
        cut(t.word, why, i)
      end
      return false
    end
  end
  return true
end

-- All of a source that pass, in order: one filter after the other over all, which is faster than all filters over each. The list is
-- the source itself or scratch.
local function filtered(source, tests, nt, scratch)
  local records, views = catalogue.records, catalogue.views
  local out, n = scratch.passing, #source
  for k = nt, 1, -1 do
    local t = tests[k]
    local word, test, asks, why = t.word, t.test, t.asks, t.why
    local m = 0
    if t.many then
      m = t.many(source, n, out)
    else
      for j = 1, n do
        local i = source[j]
        local left_out
        if asks then
          left_out = not asks(views[i]) and why
        else
          left_out = test(records[i], i)
        end
        if not left_out then
          m = m + 1
          out[m] = i
        elseif word then
          cut(word, left_out, i)
        end
      end
    end
    source, n = out, m
  end
  return source, n
end

local RANK_LATE, RANK_OPEN = 2, 3

local function rank_of(r, behind, timed)
  if behind and r.open then
    return RANK_OPEN
  end
  local ms = timed and latency_of(r)
  if ms and ms > call.latency_limit then
    return RANK_LATE
  end
  return 1
end

-- Stable: what is predicted too late goes behind, what is open behind that.
local function by_rank(list, behind, timed)
  local bins = { {}, {}, {} }
  for j = 1, #list do
    local bin = bins[rank_of(catalogue.records[list[j]], behind, timed)]
    bin[#bin + 1] = list[j]
  end
  local out = bins[1]
  for rank = RANK_LATE, RANK_OPEN do
    local bin = bins[rank]
    for j = 1, #bin do
      out[#out + 1] = bin[j]
    end
  end
  return out
end

local function number_or_unknown(v, i)
  if v ~= nil and type(v) ~= "number" then
    error(("by: expected a number or nil for %s, got a %s"):format(catalogue.records[i].id, type(v)), 0)
  end
  return v == v and v or huge -- what is not a number is not known
end

-- Keys of `n` targets into keys[1 .. n].
local function fill_keys(list, n, kind, by, keys)
  local records, views = catalogue.records, catalogue.views
  if kind == "cost" then
    local t_in, t_out = call.t_in, call.t_out
    local inputs, outputs = catalogue.inputs, catalogue.outputs
    for j = 1, n do
      local i = list[j]
      local input, output = inputs[i], outputs[i]
      keys[j] = input and output and t_in * input + t_out * output or huge
    end
  elseif kind == "quality" then
    local rank = catalogue.quality_rank
    for j = 1, n do
      keys[j] = rank[list[j]] or huge
    end
  elseif kind == "latency" then
    for j = 1, n do
      keys[j] = latency_of(records[list[j]]) or huge
    end
  else
    for j = 1, n do
      local v = by(views[list[j]])
      keys[j] = type(v) == "number" and v == v and v or number_or_unknown(v, list[j])
    end
  end
end

-- The best `want` of n by their keys, few enough to keep sorted by insertion. Stable.
local function best_few(list, n, keys, want)
  local best, m = { false, false, false, false }, 0
  -- The keys of the best stand at the front of `keys`: there are never more of them than were read.
  for j = 1, want > 0 and n or 0 do
    local i, k = list[j], keys[j]
    if m < want or k < keys[m] then
      local at = m < want and m + 1 or m
      m = at
      while at > 1 and keys[at - 1] > k do
        keys[at], best[at] = keys[at - 1], best[at - 1]
        at = at - 1
      end
      keys[at], best[at] = k, i
    end
  end
  for at = m + 1, 4 do
    best[at] = nil
  end
  return best
end

local function all_sorted(list, n, keys)
  local out, of = {}, {}
  for j = 1, n do
    out[j] = list[j]
    of[list[j]] = keys[j]
  end
  order.sort(out, of)
  return out, of
end

-- One of those within a tenth of the fastest goes first, by chance: the requests of one moment do not all pick the same.
local function spread(list, keys)
  local best = list[1] and keys[list[1]]
  if best and best < huge then
    local n = 1
    while list[n + 1] and keys[list[n + 1]] <= best * 1.1 do
      n = n + 1
    end
    insert(list, 1, remove(list, floor(call.random() * n) + 1))
  end
  return list
end

local function first_passing(source, tests, nt, want)
  local records = catalogue.records
  local list, m = { false, false, false, false }, 0
  for j = 1, #source do
    if m >= want then
      break
    end
    local i = source[j]
    if passes(records[i], i, tests, nt) then
      m = m + 1
      list[m] = i
    end
  end
  for at = m + 1, 4 do
    list[at] = nil
  end
  return list
end

-- A taker for walks: keeps what passes until there are `want`; what ranks lower is kept apart and goes behind.
local function taker(tests, nt, want, ranked, behind, timed)
  local records = catalogue.records
  local list, m, late, open = { false, false, false, false }, 0, nil, nil
  local function take(i)
    local r = records[i]
    if not passes(r, i, tests, nt) then
      return false
    end
    local rank = ranked and rank_of(r, behind, timed)
    if rank == RANK_LATE then
      late = late or {}
      late[#late + 1] = i
      return false
    elseif rank == RANK_OPEN then
      open = open or {}
      open[#open + 1] = i
      return false
    end
    m = m + 1
    list[m] = i
    return m >= want
  end
  local function finish()
    for at = m + 1, 4 do
      list[at] = nil
    end
    for _, lower in ipairs { late or EMPTY, open or EMPTY } do
      for j = 1, #lower do
        m = m + 1
        list[m] = lower[j]
      end
    end
    return list
  end
  return take, finish
end

local function walk_list(source, take)
  for j = 1, #source do
    if take(source[j]) then
      return
    end
  end
end

-- The cheapest of those not taken yet, by its place in the catalogue's `ruled`; nil when none is left.
local function least(costs, n)
  local at, cost
  for k = 1, n do
    local c = costs[k]
    if c and (not at or c < cost) then
      at, cost = k, c
    end
  end
  return at, cost
end

-- Calls take(i) for targets whose price varies, cheapest first, as long as they cost less than another target `i` does (nil: all that
-- have a price). They are few, and few of them are taken: no order of them is kept. Returns true when take() has enough.
local function take_ruled(take, costs, i, limit)
  local ruled = catalogue.ruled
  local at, cost = least(costs, #ruled)
  while at and (not i or cost < limit or (cost == limit and ruled[at] < i)) do
    costs[at] = false
    if take(ruled[at]) then
      return true
    end
    at, cost = least(costs, #ruled)
  end
  return false
end

local function ruled_costs(a, b, costs)
  for k, i in ipairs(catalogue.ruled) do
    local input, output = catalogue.inputs[i], catalogue.outputs[i]
    costs[k] = a * input + b * output -- known: rules stand beside a known price
  end
  return costs
end

local function walk_prices(take, scratch)
  local over = false
  local a, b = call.t_in, call.t_out
  if a + b <= 0 then
    a, b = 3, 1 -- nothing is known of this request: prompts are longer than answers
  end
  local costs = nil
  if catalogue.ruled[1] then
    scratch.ruled = scratch.ruled or {}
    costs = ruled_costs(a, b, scratch.ruled)
  end
  order.walk(catalogue.prices, a, b, function(i, cost)
    over = (costs and take_ruled(take, costs, i, cost)) or take(i)
    return over
  end, scratch)
  over = over or (costs and take_ruled(take, costs)) or false
  if not over then
    walk_list(catalogue.unpriced, take)
  end
end

-- `whole`: the source is all of the catalogue.
local function select(source, whole, tests, nt, kind, by, want, behind, scratch)
  if kind == "latency" and catalogue.n_measured == 0 then
    kind = nil -- nobody was measured: the order stays
  end
  local timed = kind and kind ~= "latency" and call.latency_limit and catalogue.n_measured > 0
  local ranked = timed or (behind and catalogue.n_open > 0)
  if whole and kind == "quality" then
    source, kind = catalogue.by_quality, nil
  end
  local walks_prices = whole and kind == "cost" and catalogue.prices and want <= FEW
  if walks_prices or not kind then
    if not ranked and not walks_prices then
      return first_passing(source, tests, nt, want)
    end
    local take, finish = taker(tests, nt, want, ranked, behind, timed)
    if walks_prices then
      walk_prices(take, scratch)
    elseif want > 0 then
      walk_list(source, take)
    end
    return finish()
  end
  local passing, n = filtered(source, tests, nt, scratch)
  local keys = scratch.keys
  fill_keys(passing, n, kind, by, keys)
  if want <= FEW and not ranked and kind ~= "latency" then
    return best_few(passing, n, keys, want)
  end
  local list, of = all_sorted(passing, n, keys)
  if kind == "latency" then
    list = spread(list, of)
  end
  return ranked and by_rank(list, behind, timed) or list
end

----------------------------------------------------------------------------------------------------------------------------
-- Evaluation

local eval

-- What an index narrows the whole fleet to: the smallest list a filter knows.
local function narrowed(tests, nt)
  local source, by
  for k = 1, nt do
    local t = tests[k]
    local list = t.narrow or (t.tag and (catalogue.tagged[t.tag] or EMPTY))
    if list and (not source or #list < #source) then
      source, by = list, t
    end
  end
  if source and by.word then
    call.cut_many(by.word, by.why, catalogue.n - #source)
  end
  return source
end

-- When each cut is to be named: all targets, and the ad hoc ones a filter names, which are on offer although no catalogue has them.
local function everybody(tests, nt)
  local source
  for k = 1, nt do
    local narrow = tests[k].narrow or EMPTY
    for j = 1, #narrow do
      if narrow[j] > catalogue.n then
        if not source then
          source = {}
          for i = 1, catalogue.n do
            source[i] = i
          end
        end
        source[#source + 1] = narrow[j]
      end
    end
  end
  return source
end

local function eval_join(f, want)
  local list, seen, n, how = { false, false, false, false }, {}, 0, false
  for side = 1, 2 do
    if n < want then
      local part, part_how = eval(side == 1 and f.a or f.b, want)
      for j = 1, #part do
        local i = part[j]
        if not seen[i] then
          seen[i] = true
          n = n + 1
          list[n] = i
          if part_how and part_how[i] then
            how = how or {}
            how[i] = part_how[i]
          end
          if n >= want then
            break
          end
        end
      end
    end
  end
  for at = n + 1, 4 do
    list[at] = nil
  end
  return list, how, true
end

-- Gathers filters, step fields and one ordering down to the fleet they stand on.
local function gather(f, tests)
  local nt, kind, by, fields = 0, nil, nil, false
  local at, op = f, f.op
  while true do
    if op == "test" then
      nt = nt + 1
      tests[nt] = at
    elseif op == "with" then
      fields = merge(at.fields, fields)
    elseif op == "sort" and not kind then
      kind, by = at.key, at.figure
    else
      return at, nt, kind, by, fields
    end
    at = at.up
    op = at.op
  end
end

local function eval_gathered(f, want, scratch)
  local tests = scratch.tests
  local at, nt, kind, by, fields = gather(f, tests)
  local source, how, whole = catalogue.everyone, false, at.op == "base"
  if whole then
    local other
    if call.explain then
      other = everybody(tests, nt)
    else
      other = nt > 0 and narrowed(tests, nt)
    end
    if other then
      source, whole = other, false
    end
  else
    source, how = eval(at, huge)
  end
  local list = select(source, whole, tests, nt, kind, by, call.explain and huge or want, f.behind, scratch)
  if fields then
    local merged = {}
    for j = 1, #list do
      merged[list[j]] = merge(how and how[list[j]], fields)
    end
    how = merged
  end
  return list, how, true
end

--- At least `want` indices, where there are so many, and step fields by index or false. Unless the third result is true the list belongs
--- to somebody else: to be read only. It may be longer than wanted.
---@param f perilune.Fleet
---@param want number
---@return integer[] list, table|false how, boolean|nil own
function eval(f, want)
  local op = f.op
  if op == "list" then
    return f.found or EMPTY, f.how
  elseif op == "base" then
    return catalogue.everyone, false
  elseif op == "join" then
    return eval_join(f, want)
  end
  depth = depth + 1
  local list, how, own = eval_gathered(f, want, scratch_of(depth))
  depth = depth - 1
  return list, how, own
end

M.eval = eval

return M
