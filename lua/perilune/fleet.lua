--- The words of a fleet: the targets on offer to one request, filtered and ordered.
---
--- Each word returns a new fleet and does no work; perilune.evaluate turns a fleet into targets, as few as are wanted.
local call = require "perilune.call"
local catalogue = require "perilune.catalogue"
local evaluate = require "perilune.evaluate"
local hash = require "perilune.hash"
local near = require "perilune.near"
local order = require "perilune.order"
local steps = require "perilune.steps"

local M = {}

local bit = require "bit"
local band = bit.band
local error, type, tostring, pairs, ipairs, next, rawget = error, type, tostring, pairs, ipairs, next, rawget
local huge, log, sort = math.huge, math.log, table.sort

local check, filter, sorted, join, eval = evaluate.check, evaluate.filter, evaluate.sorted, evaluate.join, evaluate.eval
local cost_of, cut_list = call.cost, call.cut_list
local BEHIND, OPEN = catalogue.BEHIND, catalogue.OPEN

---@class perilune.Fleet
---@operator concat(perilune.Fleet): perilune.Fleet
local words = {}

local NONE = {}

--- Words by name, for documentation and its specs.
M.words = words

----------------------------------------------------------------------------------------------------------------------------
-- able

local verdicts = {} -- by class: why its targets are not able, false when they are; nil until one is asked
local verdicts_of = 0 -- the call whose they are

-- Reasons begin with what they are about: "price", "context" or "abilities". The core tells by that which status says best why a fleet
-- was emptied.

-- "abilities: images, tools" of a mask of missing ones.
local function lacks(missing)
  local names = {}
  for j, name in ipairs(catalogue.ability_names) do
    if band(missing, 2 ^ (j - 1)) ~= 0 then
      names[#names + 1] = name
    end
  end
  sort(names)
  return "abilities: " .. table.concat(names, ", ")
end

-- Why the targets of a class are not able, or false.
local function verdict_on(class)
  local mask, why, need = catalogue.masks[class], false, call.need
  if call.t_in + call.t_out > catalogue.contexts[class] then
    why = "context"
  elseif call.t_out > catalogue.max_outputs[class] then
    why = "context: max_output"
  elseif need ~= 0 and band(mask, need) ~= need then
    local missing = need - band(mask, need)
    why = catalogue.lacks[missing]
    if not why then
      why = lacks(missing)
      catalogue.lacks[missing] = why -- kept: targets that lack something mostly lack the same
    end
  end
  verdicts[class] = why
  return why
end

local function verdict_of(class)
  local why = verdicts[class]
  if why == nil then
    return verdict_on(class)
  end
  return why
end

-- Why there is not the money for a target, or nil: it is expected to cost more than the request may, or the core could not set aside for
-- it what a cap must have room for.
local function unaffordable(i)
  local cost, bound = cost_of(catalogue.records[i]), call.left < huge and call.bound(i) or 0
  return not cost and "price_unknown" or cost > call.money and "price over max_cost_usd" or bound > call.left and "price over budget" or nil
end

-- Why a target is not able, or nil.
local function able_test(i)
  local why = verdict_of(catalogue.classes[i])
  return why or (call.limited and unaffordable(i)) or nil
end

-- Notes why targets are not able, those for the same reason together.
local function cut_unable(left, n)
  local from, why = 1, n > 0 and able_test(left[1])
  for j = 2, n + 1 do
    local other = j <= n and able_test(left[j])
    if other ~= why then
      local m = 0
      for k = from, j - 1 do
        m = m + 1
        left[m] = left[k]
      end
      cut_list("able", why, left, m)
      from, why = j, other
    end
  end
end

---@class perilune.Ables what able() says of all targets: for requests of more tokens than and at most, of as much output likewise
---@field above number
---@field upto number
---@field out_above number
---@field out_upto number
---@field whys string[]   why some are left out,
---@field counts integer[] and how many
---@field of table<integer[], integer[]> by an order of all targets: those able, in that order

-- The bounds a figure may move between without another answer, of a list of limits.
local function between(limits, value)
  local above, upto = -1, huge
  for class = 1, #limits do
    local limit = limits[class]
    if limit < value then
      above = limit > above and limit or above
    elseif limit < upto then
      upto = limit
    end
  end
  return above, upto
end

local function work_out()
  local whys, counts, place = {}, {}, {}
  for i = 1, catalogue.n do
    local class = catalogue.classes[i]
    local why = verdict_of(class)
    if why and not place[why] then
      whys[#whys + 1], place[why] = why, #whys + 1
    end
    if why then
      counts[place[why]] = (counts[place[why]] or 0) + 1
    end
  end
  local a = { whys = whys, counts = counts, of = {} }
  a.above, a.upto = between(catalogue.contexts, call.t_in + call.t_out)
  a.out_above, a.out_upto = between(catalogue.max_outputs, call.t_out)
  return a
end

-- What is said of all targets depends on few things, and the next request is mostly like one before.
local function ables()
  local need, tokens, t_out = call.need, call.t_in + call.t_out, call.t_out
  local a = catalogue.ables[need]
  if not a or tokens <= a.above or tokens > a.upto or t_out <= a.out_above or t_out > a.out_upto then
    a = work_out()
    catalogue.ables[need] = a
  end
  return a
end

local function able_of(a, source)
  local list = {}
  for j = 1, #source do
    if not verdict_of(catalogue.classes[source[j]]) then
      list[#list + 1] = source[j]
    end
  end
  a.of[source] = list
  return list
end

-- Those whose cost is within the request's limits.
local function affordable(source, n, out, left)
  local m, cuts = 0, 0
  local inputs, outputs, tokens_in, tokens_out, money = catalogue.inputs, catalogue.outputs, call.t_in, call.t_out, call.money * 1e6
  local capped, left_usd, bound = call.left < huge, call.left, call.bound
  for j = 1, n do
    local i = source[j]
    if tokens_in * inputs[i] + tokens_out * outputs[i] <= money and not (capped and bound(i) > left_usd) then
      m = m + 1
      out[m] = i
    else
      cuts = cuts + 1
      left[cuts] = i
    end
  end
  cut_unable(left, cuts)
  return m
end

-- Of an order of all targets, those that can do it are kept from request to request.
local function able_of_all(source, out, left)
  local a = ables()
  local whys, counts = a.whys, a.counts
  for k = 1, #whys do
    call.cut_all("able", whys[k], counts[k])
  end
  local list = a.of[source] or able_of(a, source)
  if call.limited then
    return affordable(list, #list, out, left)
  end
  return #list, list
end

-- Most targets are able, and asking each by a call of its own would cost more than asking.
local function able_many(source, n, out, _, left)
  if catalogue.is_order[source] and not call.explain then
    return able_of_all(source, out, left)
  end
  local m, cuts = 0, 0
  local classes, known = catalogue.classes, verdicts
  for j = 1, n do
    local i = source[j]
    local why = known[classes[i]]
    if why == nil then
      why = verdict_on(classes[i])
    end
    if not why then
      m = m + 1
      out[m] = i
    else
      cuts = cuts + 1
      left[cuts] = i
    end
  end
  cut_unable(left, cuts)
  return call.limited and affordable(out, m, out, left) or m
end

--- Targets that can do it: context and output fit, all abilities are there, the expected cost is within the request's limits, and there
--- is enough left under its caps. Those that recover or have no rate limit left go behind, open ones last.
---@param fleet perilune.Fleet
---@return perilune.Fleet
function words.able(fleet)
  check("able", fleet)
  if verdicts_of ~= call.number then
    verdicts, verdicts_of = {}, call.number
  end
  local f = filter(fleet, "able", able_test, able_many)
  if f ~= fleet then
    f.behind = true
  end
  return f
end

----------------------------------------------------------------------------------------------------------------------------
-- Filters

-- Names out of the argument of a word: only{ "a", "b" } and only "a" alike; targets themselves are taken too.
local function names_of(word, arg)
  if type(arg) == "string" or catalogue.index_of[arg] then
    return { arg }
  end
  if type(arg) ~= "table" then
    error(('%s: expected a list of names like { "gpt-4o", "openai/*" }, got a %s'):format(word, type(arg)), 3)
  end
  for k, name in pairs(arg) do
    if type(k) ~= "number" or (type(name) ~= "string" and not catalogue.index_of[name]) then
      error(("%s: expected a list of names, got a %s at [%s]"):format(word, type(name), tostring(k)), 3)
    end
  end
  return arg
end

local function indices_of(word, names)
  local list, set = {}, {}
  for _, name in ipairs(names) do
    local own = catalogue.index_of[name]
    local found = own and { own } or catalogue.lookup(name)
    if not found then
      call.cut_unknown(word, name)
    end
    for j = 1, found and #found or 0 do
      local i = found[j]
      if not set[i] then
        set[i] = true
        list[#list + 1] = i
      end
    end
  end
  return list, set
end

-- The targets of a list, in the fleet's order; `set` has the same ones.
local function narrowed_to(fleet, word, list, set, why)
  sort(list)
  local f = filter(fleet, word, function(i)
    return not set[i] and why or nil
  end)
  if f ~= fleet then
    f.narrow, f.why = list, why
  end
  return f
end

--- Only these.
---@param fleet perilune.Fleet
---@param names string|string[]
---@return perilune.Fleet
function words.only(fleet, names)
  check("only", fleet)
  local list, set = indices_of("only", names_of("only", names))
  return narrowed_to(fleet, "only", list, set, "not named")
end

--- All but these.
---@param fleet perilune.Fleet
---@param names string|string[]
---@return perilune.Fleet
function words.except(fleet, names)
  check("except", fleet)
  local _, set = indices_of("except", names_of("except", names))
  return filter(fleet, "except", function(i)
    return set[i] and "named" or nil
  end)
end

--- Those a function says yes to.
---@param fleet perilune.Fleet
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
  return evaluate.asking(fleet, "where", f, why or "where")
end

-- What at_least{} and at_most{} compare, beside the catalogue's figures.
local FIGURES = { cost = true, latency = true }
for name in pairs(catalogue.figure_names) do
  FIGURES[name] = true
end
local MONEY = { input = true, output = true, cost = true }

local sums = {} -- scratch: what a figure that depends on the request comes to, by index

-- A figure by index, of `n` targets in a list; NaN where it is not known. And how many of its units one of a bound are.
local function read_figure(name, list, n)
  local a, x, b, y, units
  if name == "cost" then
    a, x, b, y, units = call.t_in, catalogue.inputs, call.t_out, catalogue.outputs, 1e6
  elseif name == "latency" then
    a, x, b, y, units = 1, catalogue.firsts, call.t_out, catalogue.per_token, 1
  else
    return catalogue.figures[name], 1
  end
  for j = 1, n do
    local i = list[j]
    sums[i] = a * x[i] + b * y[i]
  end
  return sums, units
end

local reasons = {} -- by figure: unknown, too low, too high

local function reason(name, known, over)
  local r = reasons[name]
  if not r then
    local about = MONEY[name] and "price: " or ""
    r = { MONEY[name] and "price_unknown" or name .. " unknown", about .. name .. " too low", about .. name .. " too high" }
    reasons[name] = r
  end
  return r[known and (over and 3 or 2) or 1]
end

local one, known, unknown = {}, {}, {} -- scratch

local function bound_many(source, n, out, t)
  local values, units = read_figure(t.figure, source, n)
  local sign = t.over and -1 or 1
  local bound = sign * t.bound * units
  local m, n_known, n_unknown = 0, 0, 0
  for j = 1, n do
    local i = source[j]
    local v = sign * values[i]
    if v >= bound then
      m = m + 1
      out[m] = i
    elseif v == v then
      n_known = n_known + 1
      known[n_known] = i
    else
      n_unknown = n_unknown + 1
      unknown[n_unknown] = i
    end
  end
  if n_unknown > 0 then
    cut_list(t.word, reason(t.figure, false), unknown, n_unknown)
  end
  if n_known > 0 then
    cut_list(t.word, reason(t.figure, true, t.over), known, n_known)
  end
  return m
end

local function bound_test(i, t)
  one[1] = i
  local values, units = read_figure(t.figure, one, 1)
  local v, bound = values[i], t.bound * units
  if t.over and v <= bound or not t.over and v >= bound then
    return nil
  end
  return reason(t.figure, v == v, t.over)
end

local function bounded(fleet, word, name, bound, over)
  if not FIGURES[name] then
    error(('%s: a target has no figure "%s"%s (the figures are %s)'):format(word, tostring(name), near.hint(name, FIGURES),
      near.names(FIGURES)), 4)
  end
  if type(bound) ~= "number" or bound ~= bound then
    error(("%s: expected a number for %s, got %s"):format(word, name, type(bound) == "number" and "nan" or "a " .. type(bound)), 4)
  end
  local f = filter(fleet, word, bound_test, bound_many)
  if f ~= fleet then
    f.figure, f.bound, f.over = name, bound, over
  end
  return f
end

local function bounds(fleet, word, figures, over)
  if type(figures) ~= "table" or next(figures) == nil then
    error(("%s: expected figures, like %s{ quality = 40 }"):format(word, word), 3)
  end
  local name, bound = next(figures)
  if next(figures, name) == nil then
    return (bounded(fleet, word, name, bound, over)) -- no tail call: a wrong figure is told with the policy's line
  end
  local names = {}
  for k in pairs(figures) do
    names[#names + 1] = tostring(k)
  end
  sort(names) -- one order, whatever that of the table
  for _, k in ipairs(names) do
    fleet = bounded(fleet, word, k, figures[k], over)
  end
  return fleet
end

--- Those whose figures are known and not below these.
---@param fleet perilune.Fleet
---@param figures table<string, number>
---@return perilune.Fleet
function words.at_least(fleet, figures)
  check("at_least", fleet)
  return (bounds(fleet, "at_least", figures, false))
end

--- Those whose figures are known and not above these.
---@param fleet perilune.Fleet
---@param figures table<string, number>
---@return perilune.Fleet
function words.at_most(fleet, figures)
  check("at_most", fleet)
  return (bounds(fleet, "at_most", figures, true))
end

-- Without a tag: an ad hoc target has none, and of the others there is a list a tag.
local function tag_test(i, t)
  return not (catalogue.has_tag[t.tag] and catalogue.has_tag[t.tag][i]) and t.why or nil
end

local function tag_many(source, n, out, t, left)
  local has = catalogue.has_tag[t.tag] or NONE
  local m, cuts = 0, 0
  for j = 1, n do
    local i = source[j]
    if has[i] then
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

--- Those that carry a tag.
---@param fleet perilune.Fleet
---@param name string
---@return perilune.Fleet
function words.tagged(fleet, name)
  check("tagged", fleet)
  if type(name) ~= "string" then
    error(("tagged: expected the name of a tag, got a %s"):format(type(name)), 2)
  end
  local f = filter(fleet, "tagged", tag_test, tag_many)
  if f ~= fleet then
    f.tag, f.why = name, "without tag " .. name
  end
  return f
end

----------------------------------------------------------------------------------------------------------------------------
-- Orders

--- By a figure of one's own, the smallest first; equal ones stay in order, nil goes last.
---@param fleet perilune.Fleet
---@param f fun(target: perilune.Target): number|nil
---@return perilune.Fleet
function words.by(fleet, f)
  check("by", fleet)
  if type(f) ~= "function" then
    error(("by: expected a function of a target, got a %s"):format(type(f)), 2)
  end
  return sorted(fleet, "by", f)
end

--- The cheapest for this request first; those predicted to be over the client's latency limit behind them, unknown prices last.
---@param fleet perilune.Fleet
---@return perilune.Fleet
function words.cheapest(fleet)
  check("cheapest", fleet)
  return sorted(fleet, "cost")
end

--- The fastest for this request first, by what was measured; one within a tenth of the fastest by chance. Those nobody measured stand
--- behind the middle of the others, and now and then one of them goes first.
---@param fleet perilune.Fleet
---@return perilune.Fleet
function words.fastest(fleet)
  check("fastest", fleet)
  return sorted(fleet, "latency")
end

--- The best first, by quality; equal ones by price; unknown last.
---@param fleet perilune.Fleet
---@return perilune.Fleet
function words.best(fleet)
  check("best", fleet)
  return sorted(fleet, "quality")
end

-- The targets of `fleet` that a list has, in the fleet's order, leaving no trace. What the fleet has behind others stays there.
local function part_of(fleet, list, never)
  local set, narrow = {}, {}
  for j = 1, #list do
    set[list[j]] = true
    narrow[j] = list[j]
  end
  sort(narrow)
  local from = fleet.behind and BEHIND or never or huge
  local part = filter(fleet, false, function(i)
    local standing = catalogue.standings[i]
    return (not set[i] or standing >= from and not (standing == BEHIND and call.lifts(i))) and "elsewhere" or nil
  end)
  if part ~= fleet then
    part.narrow = narrow
  end
  return part
end

--- These to the front, in this order, where the fleet has them.
---@param fleet perilune.Fleet
---@param names string|string[]
---@return perilune.Fleet
function words.prefer(fleet, names)
  check("prefer", fleet)
  names = names_of("prefer", names)
  local f = fleet
  for k = #names, 1, -1 do
    f = join(part_of(fleet, (indices_of("prefer", { names[k] }))), f)
  end
  return f
end

local function check_arms(arms)
  if type(arms) ~= "table" or not arms[1] then
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
local function who_asks()
  local req = call.request
  local key = req.key
  return req.session or req.user or (type(key) == "table" and key.id) or call.random()
end

-- Arms by their turn. Weighted rendezvous: each arm draws a number of its own for each asker, so that a weight that changes moves
-- nobody between the others.
local function turns_of(experiment, arms, by)
  local salt = hash.text(experiment .. "\0" .. tostring(by))
  local draw, turn = {}, {}
  for k, arm in ipairs(arms) do
    draw[k] = arm[2] > 0 and -log(hash.fraction(hash.text(arm[1], salt))) / arm[2] or huge
    turn[k] = k
  end
  return order.sort(turn, draw)
end

--- Divides requests by weight. The same `by` (else session, user, key) always gets the same arm; raising a weight moves only as many as
--- it must. The arm goes first, then the other arms, then the rest.
---@param fleet perilune.Fleet
---@param experiment string salts the division: two experiments divide independently
---@param arms { [1]: string, [2]: number }[]
---@param by? string|number
---@return perilune.Fleet
function words.split(fleet, experiment, arms, by)
  check("split", fleet)
  if type(experiment) ~= "string" then
    error(("split: expected the name of the experiment, got a %s"):format(type(experiment)), 2)
  end
  if by ~= nil and type(by) ~= "string" and type(by) ~= "number" then
    error(("split: expected a text to stick to, got a %s"):format(type(by)), 2)
  end
  arms = check_arms(arms)
  local turn = turns_of(experiment, arms, by or who_asks())
  local f, headed = fleet, nil
  for t = #turn, 1, -1 do
    local arm = arms[turn[t]]
    local part = arm[2] > 0 and part_of(fleet, (indices_of("split", { arm[1] })))
    if part and eval(part, 1)[1] then
      headed = arm[1]
      f = join(part, f)
    end
  end
  call.note("split:" .. experiment, headed or "none of the arms")
  return f
end

--- The session's last target first, unless its breaker is open.
---@param fleet perilune.Fleet
---@return perilune.Fleet
function words.sticky(fleet)
  check("sticky", fleet)
  local last = call.request.last_target
  if not last then
    return fleet
  end
  return join(part_of(fleet, catalogue.lookup(last) or NONE, OPEN), fleet)
end

----------------------------------------------------------------------------------------------------------------------------
-- What the client named

-- Names that are no model but ask for the router's choice.
local function is_choice(name)
  return name == "auto" or name:find("^auto:") ~= nil or name:find("^policy/") ~= nil
end

-- The names the client asked for; nil when it left the choice to us.
local function client_names()
  local req = call.request
  local models, model = call.lists and req.models, req.model
  if models and models[1] then
    local names = {}
    for _, name in ipairs(models) do
      if not is_choice(name) then
        names[#names + 1] = name
      end
    end
    return names[1] and names or nil
  elseif model and not is_choice(model) then
    return { model }
  end
  return nil
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

-- The configured chain of a name, or of the model it means.
local function chain_of(name, found)
  local chain = catalogue.chains[name]
  if not chain and found and found[1] then
    chain = catalogue.chains[catalogue.records[found[1]].model]
  end
  return chain or {}
end

-- What names mean: as a list, and as a set.
local function named_list(names)
  local list, seen = {}, {}
  for _, name in ipairs(names) do
    add_new(list, seen, catalogue.lookup(name))
  end
  return list, seen
end

local function add_followers(list, seen, names)
  for _, name in ipairs(names) do
    for _, follower in ipairs(chain_of(name, catalogue.lookup(name))) do
      add_new(list, seen, catalogue.lookup(follower))
    end
  end
end

--- What the client named, then what the configuration's `chains` say follows it. Empty when it named nothing.
---@param fleet perilune.Fleet
---@return perilune.Fleet
function words.requested(fleet)
  check("requested", fleet)
  local names = client_names()
  if not names then
    return evaluate.list(NONE, false, fleet.said)
  end
  local list, seen = named_list(names)
  add_followers(list, seen, names)
  return evaluate.list(list, false, fleet.said)
end

--- Indices the client named, as a set; what follows them is not of it, unless a configured chain is all there is of a name. nil when it
--- named nothing.
---@return table<integer, boolean>|nil
function M.named_by_client()
  local names = client_names()
  if not names then
    return nil
  end
  local list, seen = named_list(names)
  if not list[1] then
    add_followers(list, seen, names)
  end
  return seen
end

----------------------------------------------------------------------------------------------------------------------------
-- Ends

local behind_the_first = {}
for n = 0, 20 do
  behind_the_first[n] = "behind the first " .. n
end

--- The first n.
---@param fleet perilune.Fleet
---@param n integer
---@return perilune.Fleet
function words.take(fleet, n)
  check("take", fleet)
  if type(n) ~= "number" or n % 1 ~= 0 or n < 0 then
    error(("take: expected a whole number, got %s"):format(type(n) == "number" and tostring(n) or "a " .. type(n)), 2)
  end
  local why = behind_the_first[n] or "behind the first " .. n
  local list, how, own = eval(fleet, n)
  local first = list
  if not own or #list > n then
    first = {}
    for j = 1, n < #list and n or #list do
      first[j] = list[j]
    end
  end
  if call.explain then
    for j = n + 1, #list do
      call.cut("take", why, list[j])
    end
  elseif #first == n then
    -- What nobody looked at is left out here.
    call.cut_many("take", why, catalogue.n - call.cut_total - n)
  end
  return evaluate.list(first, how, fleet.said)
end

--- Says how these steps run: timeouts, retries, conditions, parameters.
---@param fleet perilune.Fleet
---@param fields table
---@return perilune.Fleet
function words.with(fleet, fields)
  check("with", fleet)
  return evaluate.with(fleet, steps.step(fields, "with", call.finding), fleet.said)
end

--- Says how the chain runs: deadline, ceilings, what to do when it is exhausted.
---@param fleet perilune.Fleet
---@param fields table
---@return perilune.Fleet
function words.chain(fleet, fields)
  check("chain", fleet)
  return evaluate.with(fleet, false, steps.merge(fleet.said, steps.chain(fields, "chain", call.finding)))
end

--- How many there are. Looks at all of them.
---@param fleet perilune.Fleet
---@return integer
function words.count(fleet)
  check("count", fleet)
  return #eval(fleet, huge)
end

--- The targets, in order, as a plain list.
---@param fleet perilune.Fleet
---@return perilune.Target[]
function words.list(fleet)
  check("list", fleet)
  local out = {}
  for j, i in ipairs((eval(fleet, huge))) do
    out[j] = catalogue.views[i]
  end
  return out
end

----------------------------------------------------------------------------------------------------------------------------
-- What a fleet is to Lua

local Fleet = evaluate.Fleet

function Fleet.__index(fleet, key)
  local word = words[key]
  if word then
    return word
  end
  if type(key) == "number" then
    check("[" .. tostring(key) .. "]", fleet)
    local i = key >= 1 and eval(fleet, key)[key]
    return i and catalogue.views[i] or nil
  end
  error(('a fleet has no word "%s"%s'):format(tostring(key), near.hint(key, words)), 2)
end

function Fleet.__newindex(_, key)
  error(('a fleet can not be changed: tried to set "%s"; its words return new ones'):format(tostring(key)), 2)
end

function Fleet.__concat(a, b)
  if type(a) ~= "table" or type(b) ~= "table" or a.call ~= call.number or b.call ~= call.number then
    for side = 1, 2 do
      local f = side == 1 and a or b
      if not M.is_fleet(f) then
        error(("..: expected two fleets, got a %s"):format(type(f)), 2)
      end
      check("..", f)
    end
  end
  return join(a, b)
end

function Fleet.__tostring()
  return "fleet"
end

---@param value any
---@return boolean
function M.is_fleet(value)
  return type(value) == "table" and rawget(value, "is_fleet") == true
end

----------------------------------------------------------------------------------------------------------------------------
-- For the host

-- The targets a key is kept to. Names nobody has are the configuration's mistake, which was told there.
local function kept_to(fleet, names)
  local list, set = {}, {}
  for _, name in ipairs(names) do
    for _, i in ipairs(catalogue.lookup(name) or {}) do
      list[#list + 1] = not set[i] and i or nil
      set[i] = true
    end
  end
  return narrowed_to(fleet, "key", list, set, "not for this key")
end

--- Begins a request: the fleet a policy is given.
---@param req table
---@param usable? string[] the models its key is kept to; nil: all
---@return perilune.Fleet
function M.begin(req, usable)
  call.begin(req)
  return usable and kept_to(evaluate.base(), usable) or evaluate.base()
end

--- A fleet of given targets, for the rest of a chain.
---@param list integer[]
---@param how table<integer, table>|false step fields by index
---@return perilune.Fleet
function M.of(list, how)
  return evaluate.list(list, how, false)
end

--- What a fleet comes to: indices in order (to be read only), step fields by index or false, chain fields or false.
---@param fleet perilune.Fleet
---@return integer[] list, table|false how, table|false said
function M.evaluate(fleet)
  check("the result", fleet)
  local list, how = eval(fleet, huge)
  return list, how, fleet.said
end

return M
