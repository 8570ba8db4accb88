--- The call a policy state is in: one request with its figures, its random numbers, and what is written down about it for the trace.
local catalogue = require "perilune.catalogue"
local hash = require "perilune.hash"
local near = require "perilune.near"

local bor = require("bit").bor

---@class perilune.Call
---@field number integer counts calls
---@field request table
---@field t_in number expected tokens
---@field t_out number
---@field need integer mask of the abilities it needs
---@field money number the request's own ceiling, in dollars; huge without one
---@field left number what the tightest cap leaves, in dollars; huge without one
---@field limited boolean one of the two is there
---@field most_in number tokens a cap must have room for; those of the answer: see bound()
---@field most_out number
---@field clamp_least number|false tokens of an answer that a cap may cut it down to; false: it cuts none
---@field latency_limit number|false the client's own
---@field strict boolean keep to what the client named
---@field lists boolean the client gave a list of models
---@field explain boolean cuts name each target, which makes every word look at all of them
---@field cut_total integer
local M = {
  number = 0, request = {}, t_in = 0, t_out = 0, need = 0, money = math.huge, left = math.huge, limited = false, most_in = 0,
  most_out = 0, clamp_least = false, latency_limit = false, strict = false, lists = false, explain = false, cut_total = 0,
}

--- The share of requests that try what is not known or has just come back, where there is such a target.
M.EXPLORE = 0.04

local type, error, tostring, floor, huge, pairs, rawget = type, error, tostring, math.floor, math.huge, pairs, rawget
local next = next

local figures_of -- the request whose figures these are, where begin() need not read them
local seed, now, cached -- of it; false: not told
local random -- of this request; made when first asked for
local notes, n_notes
local findings
local coin -- whether this request explores; nil until somebody asks
local lifted -- the one target it is for
-- Cuts of this request. The list, its entries and their sets are used again by the next one.
local cuts, n_cuts = {}, 0
local entries = {}
local seen_of = {} -- by place in cuts: index -> number of the call in which it was cut

-- What the core sets aside under a cap before it asks a target is more than what is expected: a token for each byte, all that may be
-- answered. Of a request that does not tell so much it is what is expected.
local function know_most(req, most_in, most_out)
  if not most_in then
    local most = req.most
    most_in, most_out = most and most.input or M.t_in, most and (most.output or huge) or M.t_out
  end
  M.most_in, M.most_out = most_in, most_out
  if M.clamp_least and M.clamp_least < M.most_out then
    M.most_out = M.clamp_least
  end
end

--- Tells the figures of the request that begins next, which the library goes by and `req` need not hold. What a policy writes into
--- its `req` changes none of them.
---@param req table
---@param t_in number
---@param t_out number
---@param need integer see catalogue.mask()
---@param max_cost_usd number huge: none
---@param left_usd number what the tightest cap leaves; huge: there is none
---@param max_latency_ms number 0: none
---@param strict boolean
---@param lists boolean
---@param of_seed number|false false: read from req when asked for
---@param of_now number|false the same
---@param of_cached table<string, number>|nil by target id: see catalogue.warm_for()
---@param most_in? number the most tokens there can be; nil: read from req
---@param most_out? number huge: as many as the model can
function M.tell(req, t_in, t_out, need, max_cost_usd, left_usd, max_latency_ms, strict, lists, of_seed, of_now, of_cached, most_in,
    most_out)
  figures_of = req
  M.t_in, M.t_out, M.need, M.strict, M.lists = t_in, t_out, need, strict, lists
  M.money, M.left, M.limited = max_cost_usd, left_usd, max_cost_usd < huge or left_usd < huge
  if left_usd < huge then
    know_most(req, most_in, most_out)
  end
  M.latency_limit = max_latency_ms > 0 and max_latency_ms < huge and max_latency_ms
  seed, now, cached = of_seed, of_now, of_cached
end

local CHAT = { chat = true } -- what only embeds does not

-- The figures of a `req` that holds all there is.
local function read(req)
  local tokens, limits, uses, budget = req.tokens, req.limits, req.uses, rawget(req, "budget")
  local need = uses and next(uses) and catalogue.mask(uses) or 0
  if rawget(req, "chat") then
    need = bor(need, catalogue.mask(CHAT))
  end
  M.tell(req, tokens and tokens.input or 0, tokens and tokens.output or 0, need, limits and limits.max_cost_usd or huge,
    budget and budget.left_usd or huge, limits and limits.max_latency_ms or 0, rawget(req, "strict"), rawget(req, "models") ~= nil, false,
    false, rawget(req, "cached"))
end

--- Begins a request.
---@param req table
function M.begin(req)
  if figures_of ~= req then
    read(req)
  end
  figures_of = nil
  M.number = M.number + 1
  M.request = req
  M.cut_total = 0
  random, notes, n_notes, findings, coin, lifted = nil, nil, 0, nil, nil, nil
  for k = n_cuts, 1, -1 do
    cuts[k] = nil
  end
  n_cuts = 0
  catalogue.forget()
  if catalogue.ruled[1] then
    catalogue.price_for(M.t_in, now or req.now)
  end
  if cached then
    catalogue.warm_for(cached, M.t_in)
  end
end

----------------------------------------------------------------------------------------------------------------------------
-- Figures

--- Dollars this request is expected to cost at a target: at the price of its size and hour, with what the session is expected to have
--- cached there; nil where a price is not known.
---@param r perilune.Record
---@return number|nil
function M.cost(r)
  local cost = (M.t_in * catalogue.inputs[r.index] + M.t_out * catalogue.outputs[r.index]) / 1e6
  return cost == cost and cost or nil
end

--- Dollars the core sets aside at least before it asks a target, where a cap limits what is spent; nil where a price is not known.
---@param i integer
---@return number|nil
function M.bound(i)
  local out = catalogue.max_outputs[catalogue.classes[i]]
  if M.most_out < out then
    out = M.most_out
  end
  local bound = (M.most_in * catalogue.inputs[i] + (out < huge and out or M.t_out) * catalogue.outputs[i]) / 1e6
  return bound == bound and bound or nil
end

--- Milliseconds: until the first token, then the expected output at the target's speed; without a measured speed what whole answers take.
---@param r perilune.Record
---@return number|nil
function M.latency(r)
  local ms = catalogue.firsts[r.index] + M.t_out * catalogue.per_token[r.index]
  return ms == ms and ms or nil
end

catalogue.set_figures(M)

--- A random number of this request: from 0 to 1, from 1 to m, or from m to n, as math.random has them.
---@param m? integer
---@param n? integer
---@return number
function M.random(m, n)
  if not random then
    random = hash.random(seed or M.request.seed or 0)
  end
  if m == nil then
    return random()
  end
  if n == nil then
    m, n = 1, m
  end
  if type(m) ~= "number" or type(n) ~= "number" or m > n or m ~= m or n ~= n then
    error("random: expected no bounds, one, or two in ascending order", 2)
  end
  m, n = floor(m), floor(n)
  return m + floor(random() * (n - m + 1))
end

--- A chance of this request that is the library's own, one for each purpose: what req.random() gives a policy does not depend on it.
---@param purpose integer
---@return number from 0 to 1
function M.chance(purpose)
  return hash.chance(seed or M.request.seed or 0, purpose)
end

--- Whether this request is one of the few that explore.
---@return boolean
function M.explores()
  if coin == nil then
    coin = M.chance(1) < M.EXPLORE
  end
  return coin
end

--- Whether this request is the one to try a target that otherwise waits: the first that asks, in a request that explores. Says so in
--- the trace.
---@param i integer
---@return boolean
function M.lifts(i)
  if not lifted and M.explores() then
    lifted = i
    M.note("explored", catalogue.records[i].id)
  end
  return lifted == i
end

----------------------------------------------------------------------------------------------------------------------------
-- The trace

---@class perilune.Cut what a word left out
---@field word string
---@field why string
---@field count integer
---@field target? string

-- The place of a word and reason among the cuts, made when there is none.
local function place(word, why)
  for k = 1, n_cuts do
    local c = cuts[k]
    if c.why == why and c.word == word then
      return k, c
    end
  end
  n_cuts = n_cuts + 1
  local c = entries[n_cuts]
  if not c then
    c = { word = word, why = why, count = 0, all = 0 }
    entries[n_cuts] = c
  end
  c.word, c.why, c.count = word, why, 0
  cuts[n_cuts] = c
  return n_cuts, c
end

--- Notes that `word` left out these targets.
---@param word string
---@param why string
---@param list integer[]
---@param n integer how many of the list
function M.cut_list(word, why, list, n)
  local k, c = place(word, why)
  local seen, number, new = seen_of[k], M.number, 0
  if not seen then
    seen = {}
    seen_of[k] = seen
  end
  if c.all == number then
    return -- these are among them
  end
  for j = 1, n do
    local i = list[j]
    if seen[i] ~= number then
      seen[i] = number
      new = new + 1
    end
  end
  c.count = c.count + new
  M.cut_total = M.cut_total + new
end

local one = {}

--- Notes that `word` left out one target.
---@param word string
---@param why string
---@param i integer
function M.cut(word, why, i)
  one[1] = i
  M.cut_list(word, why, one, 1)
end

--- Takes back what was noted of these targets, one by one: a fleet has them after all.
---@param list integer[]
---@param n integer how many of the list
function M.uncut(list, n)
  for k = 1, n_cuts do
    local c, seen = cuts[k], seen_of[k] or {}
    for j = 1, n do
      local i = list[j]
      if seen[i] == M.number then
        seen[i] = nil
        c.count, M.cut_total = c.count - 1, M.cut_total - 1
      end
    end
  end
end

--- Notes `n` targets at once, which nobody looked at one by one.
---@param word string
---@param why string
---@param n integer
function M.cut_many(word, why, n)
  if n > 0 then
    local _, c = place(word, why)
    if c.count < n then
      M.cut_total = M.cut_total + n - c.count
      c.count = n
    end
  end
end

--- Notes that `word` leaves out `n` targets in all, for that reason, whoever asks: none of them is noted again.
---@param word string
---@param why string
---@param n integer
function M.cut_all(word, why, n)
  local _, c = place(word, why)
  M.cut_total = M.cut_total + n - c.count
  c.count, c.all = n, M.number
end

--- Notes a name nothing answers to: a line in the trace and not the end of the request, because policies move between installations.
---@param word string
---@param name string
function M.cut_unknown(word, name)
  place(word, ('unknown name "%s"%s'):format(name, near.hint(name, catalogue.known)))
end

--- What was left out: an entry a word and reason, or one a target when explaining; nil when nothing was. Good until the next request.
---@return perilune.Cut[]|nil
function M.cuts()
  if n_cuts == 0 then
    return nil
  elseif not M.explain then
    return cuts
  end
  local out = {}
  for k = 1, n_cuts do
    local c, indices = cuts[k], {}
    for i, number in pairs(seen_of[k] or {}) do
      if number == M.number then
        indices[#indices + 1] = i
      end
    end
    table.sort(indices)
    for _, i in ipairs(indices) do
      out[#out + 1] = { target = catalogue.records[i].id, word = c.word, why = c.why, count = 1 }
    end
    if #indices == 0 then
      out[#out + 1] = c
    end
  end
  return out
end

local NOTES_MAX = 64

--- note(key, value) of policies: into trace and explain.
---@param key string
---@param value string|number|boolean|nil
function M.note(key, value)
  if type(key) ~= "string" then
    error(("note(key, value): expected a text as key, got a %s"):format(type(key)), 2)
  end
  local kind = type(value)
  if kind ~= "string" and kind ~= "number" and kind ~= "boolean" and kind ~= "nil" then
    error(("note(key, value): a value is a text, number or boolean, not a %s"):format(kind), 2)
  end
  if n_notes < NOTES_MAX then
    notes = notes or {}
    n_notes = n_notes + 1
    notes[n_notes] = { key:sub(1, 128), tostring(value):sub(1, 1024) }
  end
end

local FINDINGS_MAX = 20

--- Notes what can not be used of a policy's answer, and where it stands. The rest of the answer is used.
---@param path string
---@param why string
function M.finding(path, why)
  findings = findings or {}
  if #findings < FINDINGS_MAX then
    findings[#findings + 1] = ("%s: %s"):format(path, why):sub(1, 500)
  end
end

--- What was found, or nil.
---@return string[]|nil
function M.findings()
  return findings
end

--- What was noted, or nil.
---@return { [1]: string, [2]: string }[]|nil
function M.notes()
  return notes
end

return M
