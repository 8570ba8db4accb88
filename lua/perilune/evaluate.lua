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
local cut, cut_list, lifts = call.cut, call.cut_list, call.lifts
local FINE, LATE, BEHIND, OPEN = catalogue.FINE, catalogue.LATE, catalogue.BEHIND, catalogue.OPEN

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
    behind = false, -- what does not stand fine goes behind
    word = false, test = false, many = false, asks = false, why = false, narrow = false, tag = false, -- op "test"
    bound = false, over = false, -- of a test by a figure
    figure = false, -- its name; of op "sort" a script's own function
    key = false, -- op "sort"
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

--- A filter: test(index, filter) says why a target is left out, or nil. `word` false: it leaves no trace. `many`, where it can do many
--- at once: many(source, n, out, filter) puts those that stay into `out`, which may be the source, notes its own cuts, and returns how
--- many they are, and their list when it is another, to be read only.
function M.filter(up, word, test, many)
  if is_empty(up) then
    return up
  end
  local f = node("test", up, up.said, up.behind)
  f.word, f.test, f.many, f.asks, f.why, f.narrow, f.tag = word, test, many or false, false, false, false, false
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
    s.tests, s.keys, s.passing, s.left, s.others, s.other_costs = {}, {}, {}, {}, {}, {}
    scratches[d] = s
  end
  return s
end

----------------------------------------------------------------------------------------------------------------------------
-- Walks

-- tests[1] is the outermost filter, so they run from the last to the first.
local function passes(i, tests, nt)
  for k = nt, 1, -1 do
    local t = tests[k]
    local why
    if t.asks then
      why = not t.asks(catalogue.views[i]) and t.why
    else
      why = t.test(i, t)
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

-- Those of a source that a script's own function says yes to.
local function ask_many(source, n, out, t, left)
  local views, asks = catalogue.views, t.asks
  local m, cuts = 0, 0
  for j = 1, n do
    local i = source[j]
    if asks(views[i]) then
      m = m + 1
      out[m] = i
    else
      cuts = cuts + 1
      left[cuts] = i
    end
  end
  if cuts > 0 then
    cut_list(t.word, t.why, left, cuts)
  end
  return m
end

local function test_many(source, n, out, t)
  local word, test = t.word, t.test
  local m = 0
  for j = 1, n do
    local i = source[j]
    local why = test(i, t)
    if not why then
      m = m + 1
      out[m] = i
    elseif word then
      cut(word, why, i)
    end
  end
  return m
end

-- All of a source that pass, in order: one filter after the other over all, which is faster than all filters over each. The list is
-- scratch or shared: to be read only.
local function filtered(source, tests, nt, scratch)
  local out, n = scratch.passing, #source
  for k = nt, 1, -1 do
    local t = tests[k]
    local many = t.many or (t.asks and ask_many or test_many)
    local list
    n, list = many(source, n, out, t, scratch.left)
    source = list or out
  end
  return source, n
end

-- How a target stands in this request: FINE, LATE where it is timed, BEHIND or OPEN where they go behind.
local function standing_of(i, behind, timed)
  local standing = behind and catalogue.standings[i] or FINE
  if standing > FINE and not (standing == BEHIND and lifts(i)) then
    return standing
  elseif timed and catalogue.firsts[i] + call.t_out * catalogue.per_token[i] > call.latency_limit then
    return LATE
  end
  return FINE
end

-- Stable: what is predicted too late goes behind, what has no good standing behind that. Says how many stand fine.
local function by_standing(list, behind, timed)
  local bins = { {}, {}, {}, {} }
  for j = 1, #list do
    local bin = bins[standing_of(list[j], behind, timed)]
    bin[#bin + 1] = list[j]
  end
  local out = bins[FINE]
  local fine = #out
  for standing = LATE, OPEN do
    local bin = bins[standing]
    for j = 1, #bin do
      out[#out + 1] = bin[j]
    end
  end
  return out, fine
end

local function number_or_unknown(v, i)
  if v ~= nil and type(v) ~= "number" then
    error(("by: expected a number or nil for %s, got a %s"):format(catalogue.records[i].id, type(v)), 0)
  end
  return v == v and v or huge -- what is not a number is not known
end

-- Where a target stands among others by time whose own is not known: a tenth behind the middle of the known.
local function unknown_latency()
  local first, per_token = catalogue.prior()
  return 1.1 * (first + call.t_out * per_token)
end

-- Keys of `n` targets into keys[1 .. n].
local function fill_keys(list, n, kind, by, keys)
  if kind == "cost" then
    local t_in, t_out = call.t_in, call.t_out
    local inputs, outputs = catalogue.inputs, catalogue.outputs
    for j = 1, n do
      local i = list[j]
      local cost = t_in * inputs[i] + t_out * outputs[i]
      keys[j] = cost == cost and cost or huge
    end
  elseif kind == "quality" then
    local rank = catalogue.quality_rank
    for j = 1, n do
      keys[j] = rank[list[j]] or huge
    end
  elseif kind == "latency" then
    local t_out, firsts, per_token = call.t_out, catalogue.firsts, catalogue.per_token
    local unknown = catalogue.n_measured < catalogue.n and unknown_latency()
    for j = 1, n do
      local i = list[j]
      local ms = firsts[i] + t_out * per_token[i]
      keys[j] = ms == ms and ms or unknown or unknown_latency() -- ad hoc targets are not counted as unmeasured
    end
  else
    local views = catalogue.views
    for j = 1, n do
      local v = by(views[list[j]])
      keys[j] = type(v) == "number" and v == v and v or number_or_unknown(v, list[j])
    end
  end
end

-- The best `want` of n by their keys, few enough to keep sorted by insertion. Equal ones stay in the order of the list, or with
-- `by_index` in that of configuration.
local function best_few(list, n, keys, want, by_index)
  local best, m, worst = { false, false, false, false }, 0, -huge
  -- The keys of the best stand at the front of `keys`: there are never more of them than were read.
  for j = 1, want > 0 and n or 0 do
    local k = keys[j]
    if k < worst or m < want or by_index and k == worst and list[j] < best[m] then
      local i = list[j]
      local at = m
      if m < want then
        m = m + 1
        at = m
      end
      while at > 1 and (keys[at - 1] > k or by_index and keys[at - 1] == k and best[at - 1] > i) do
        keys[at], best[at] = keys[at - 1], best[at - 1]
        at = at - 1
      end
      keys[at], best[at] = k, i
      worst = keys[m]
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
  return order.sort(out, of)
end

local function all_passing(source, tests, nt, scratch)
  local passing, n = filtered(source, tests, nt, scratch)
  local list = {}
  for j = 1, n do
    list[j] = passing[j]
  end
  return list
end

local function first_passing(source, tests, nt, want)
  local list, m = { false, false, false, false }, 0
  for j = 1, #source do
    if m >= want then
      break
    end
    local i = source[j]
    if passes(i, tests, nt) then
      m = m + 1
      list[m] = i
    end
  end
  for at = m + 1, 4 do
    list[at] = nil
  end
  return list
end

-- A taker for walks: take(i) keeps what passes and says whether there are `want`, and whether it kept this one; what stands lower is
-- kept apart and goes behind. finish() says how many stand fine as well.
local function taker(tests, nt, want, ranked, behind, timed)
  local list, m, lower = { false, false, false, false }, 0, nil
  local function take(i)
    if not passes(i, tests, nt) then
      return false
    end
    local standing = ranked and standing_of(i, behind, timed) or FINE
    if standing > FINE then
      lower = lower or { [LATE] = {}, [BEHIND] = {}, [OPEN] = {} }
      local list_of = lower[standing]
      list_of[#list_of + 1] = i
      return false
    end
    m = m + 1
    list[m] = i
    return m >= want, true
  end
  local function finish()
    local fine = m
    for at = m + 1, 4 do
      list[at] = nil
    end
    for standing = LATE, lower and OPEN or 0 do
      local list_of = lower[standing]
      for j = 1, #list_of do
        m = m + 1
        list[m] = list_of[j]
      end
    end
    return list, fine
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

-- The least of those not taken yet, by its place among them; nil when none is left.
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

-- Walks a plane by a * x + b * y, with `n` others beside it that have no place in it: they are few, and few of them are taken, so that no
-- order of them is kept. costs[k] is what others[k] comes to, false for none. take(i, cost) says when there are enough; true when it did.
local function walk_plane(plane, a, b, others, costs, n, take, scratch)
  local at, cost = least(costs, n)
  local over = false
  order.walk(plane, a, b, function(i, own)
    while at and not over and (cost < own or cost == own and others[at] < i) do
      costs[at] = false
      over = take(others[at], cost)
      at, cost = least(costs, n)
    end
    over = over or take(i, own)
    return over
  end, scratch)
  while at and not over do
    costs[at] = false
    over = take(others[at], cost)
    at, cost = least(costs, n)
  end
  return over
end

-- Those whose price is not the steady one: it varies, or a part of this request is cached there.
local function add_priced(list, a, b, others, costs, n, known)
  for k = 1, #list do
    local i = list[k]
    if not (known and known[i]) then
      local cost = a * catalogue.inputs[i] + b * catalogue.outputs[i]
      n = n + 1
      others[n], costs[n] = i, cost == cost and cost
    end
  end
  return n
end

local function walk_prices(take, scratch)
  local a, b = call.t_in, call.t_out
  if a + b <= 0 then
    a, b = 3, 1 -- nothing is known of this request: prompts are longer than answers
  end
  local others, costs, n = scratch.others, scratch.other_costs, 0
  if catalogue.ruled[1] then
    n = add_priced(catalogue.ruled, a, b, others, costs, n)
  end
  if catalogue.warm[1] then
    n = add_priced(catalogue.warm, a, b, others, costs, n, catalogue.is_ruled)
  end
  if not walk_plane(catalogue.prices, a, b, others, costs, n, take, scratch) then
    walk_list(catalogue.unpriced, take)
  end
end

----------------------------------------------------------------------------------------------------------------------------
-- The fastest

local SPREAD = 8 -- at most so many share the requests of one moment

-- One of those within a tenth of the fastest goes first, by chance: the requests of one moment do not all pick the same. `n` stand
-- fine.
local function spread(list, n)
  local firsts, per_token, t_out = catalogue.firsts, catalogue.per_token, call.t_out
  local best, near, m = nil, {}, 0
  for j = 1, n do
    local ms = firsts[list[j]] + t_out * per_token[list[j]]
    best = best or (ms == ms and ms) or nil
    if m >= SPREAD or best and ms > 1.1 * best then
      break
    elseif ms == ms then
      m = m + 1
      near[m] = j
    end
  end
  if m > 1 then
    insert(list, 1, remove(list, near[1 + floor(call.chance(2) * m)]))
  end
end

-- How many may share what the fastest of n by their keys gets.
local function sharing(keys, n)
  local best, m = huge, 0
  for j = 1, n do
    local k = keys[j]
    if k < best then
      best = k
    end
  end
  best = 1.1 * best
  for j = 1, n do
    if keys[j] <= best then
      m = m + 1
    end
  end
  return m < SPREAD and m or SPREAD
end

-- Puts a target nobody knows the times of to the front, by chance one of those that pass: else none would ever be known.
local function explore(list, source, tests, nt)
  local firsts, standings = catalogue.firsts, catalogue.standings
  local n = #source
  local from = 1 + floor(call.chance(3) * n)
  for k = 0, n - 1 do
    local i = source[(from + k - 1) % n + 1]
    if firsts[i] ~= firsts[i] and standings[i] < OPEN and passes(i, tests, nt) and lifts(i) then
      for j = 1, #list do
        if list[j] == i then
          remove(list, j)
          break
        end
      end
      insert(list, 1, i)
      break
    end
  end
end

-- The known by their times, as far as they are wanted; those nobody knows when their turn has come.
local function walk_speeds(take, want, scratch)
  local firsts, per_token, t_out = catalogue.firsts, catalogue.per_token, call.t_out
  local others, costs = catalogue.moved, scratch.other_costs
  for k = 1, catalogue.n_moved do
    local ms = firsts[others[k]] + t_out * per_token[others[k]]
    costs[k] = ms == ms and ms
  end
  local best, n, turn, over = nil, 0, unknown_latency(), false
  local function unknown_ones()
    turn = huge
    for i = 1, catalogue.n do
      if not over and firsts[i] ~= firsts[i] then
        over = take(i)
      end
    end
  end
  walk_plane(catalogue.speeds, 1, t_out / catalogue.TOKENS, others, costs, catalogue.n_moved, function(i, ms)
    if ms > turn then
      unknown_ones()
    end
    -- All within a tenth of the fastest are to be seen, and no more than are wanted behind them.
    if over or ms >= order.NOWHERE or n >= want and best and ms > 1.1 * best then
      return true
    end
    local kept
    over, kept = take(i)
    if kept then
      n, best = n + 1, best or ms
    end
    return over
  end, scratch)
  if not over and n < want and turn < huge then
    unknown_ones()
  end
end

local function fastest(source, whole, tests, nt, want, behind, scratch)
  local list, fine
  local ranked = behind and catalogue.n_behind > 0
  if whole and catalogue.speeds and want <= FEW then
    local take, finish = taker(tests, nt, want + SPREAD, ranked, behind)
    walk_speeds(take, want, scratch)
    list, fine = finish()
  else
    local passing, n = filtered(source, tests, nt, scratch)
    fill_keys(passing, n, "latency", nil, scratch.keys)
    if want <= FEW and not ranked then
      local sharers = sharing(scratch.keys, n)
      list = best_few(passing, n, scratch.keys, want > sharers and want or sharers)
      fine = #list
    else
      list, fine = all_sorted(passing, n, scratch.keys), n
    end
    if ranked then
      list, fine = by_standing(list, behind)
    end
  end
  spread(list, fine)
  if catalogue.n_measured < catalogue.n and call.explores() then
    explore(list, source, tests, nt)
  end
  return list
end

----------------------------------------------------------------------------------------------------------------------------
-- Choosing

-- `whole`: the source is all of the catalogue.
local function select(source, whole, tests, nt, kind, by, want, behind, scratch)
  if kind == "latency" then
    if catalogue.n_measured > 0 then
      return fastest(source, whole, tests, nt, want, behind, scratch)
    end
    kind = nil -- nobody was measured: the order stays
  end
  local timed = kind and call.latency_limit and catalogue.n_measured > 0
  local ranked = timed or (behind and catalogue.n_behind > 0)
  if whole and kind == "quality" then
    source, kind = catalogue.by_quality, nil
  end
  local walks_prices = whole and kind == "cost" and catalogue.prices and want <= FEW
  if walks_prices or not kind then
    if not ranked and not walks_prices then
      return want > FEW and all_passing(source, tests, nt, scratch) or first_passing(source, tests, nt, want)
    end
    local take, finish = taker(tests, nt, want, ranked, behind, timed)
    if walks_prices then
      walk_prices(take, scratch)
    elseif want > 0 then
      walk_list(source, take)
    end
    return (finish())
  end
  local few = want <= FEW and not ranked
  -- The cheapest are found sooner where they come early.
  local by_price = few and whole and kind == "cost"
  local passing, n = filtered(by_price and catalogue.by_price or source, tests, nt, scratch)
  local keys = scratch.keys
  fill_keys(passing, n, kind, by, keys)
  if few then
    return best_few(passing, n, keys, want, by_price)
  end
  local list = all_sorted(passing, n, keys)
  if ranked then
    list = by_standing(list, behind, timed)
  end
  return list
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
  if call.explain then
    want = huge -- who stands behind those wanted is seen too
  end
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
  if call.explain then
    call.uncut(list, n) -- what one side left out and the other has is not left out
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
