--- Assumptions: figures of targets as they might be, for explain, specs and the admin side.
---
---   openai=down                      all targets of a provider, or one target, have an open breaker (`up`: a closed one)
---   openai/gpt-4o.ttft_ms=900        one figure of one target
---   anthropic.error_rate=0.3         the same of all of a provider's
---
--- What is assumed of who asks is taken for true by the core, before anything is decided (core/route/assumed.h): key=ci, project=shop,
--- budget.left_usd=0.5. Here such a text is only known for what it is.
local catalogue = require "perilune.catalogue"
local near = require "perilune.near"

local M = {}

local STATES = { closed = true, open = true, half_open = true }

-- What can be assumed of each figure, and how it is told.
local function amount(most)
  return function(text)
    local n = tonumber(text)
    if n and n >= 0 and n <= (most or math.huge) and n < math.huge then
      return n
    end
    return nil, most and ("a number from 0 to %g"):format(most) or "a number not below 0"
  end
end

local FIGURES = {
  state = function(text)
    if STATES[text] then
      return text
    end
    return nil, "closed, open or half_open"
  end,
  ttft_ms = amount(),
  tokens_per_s = amount(),
  in_flight = amount(),
  error_rate = amount(1),
  headroom = amount(1),
  ["price.input"] = amount(),
  ["price.output"] = amount(),
}

-- Of who asks, and what is left to spend.
local ASKER = { key = true, project = true, ["budget.left_usd"] = true, ["budget.used"] = true, ["budget.free_left"] = true }

local WORDS = { down = "open", up = "closed" } -- what stands for a whole state

---@class perilune.Assumption
---@field text string as it was written
---@field indices integer[] the targets it is about
---@field figure? string of targets
---@field value? number|string
---@field of_asker? true it is about who asks

local function indices_of(name)
  local found = catalogue.named[name] or catalogue.named[name .. "/*"]
  if found then
    return found
  end
  local known = {}
  for id in pairs(catalogue.known) do
    known[id], known[id:match "^[^/]+"] = true, true
  end
  return nil, ('no target, model or provider "%s"%s'):format(name, near.hint(name, known))
end

-- "openai/gpt-4.1.ttft_ms" is a name with dots and a figure behind the last ones.
local function split_figure(left)
  for figure in pairs(FIGURES) do
    if left:sub(-#figure - 1) == "." .. figure then
      return left:sub(1, -#figure - 2), figure
    end
  end
  return nil
end

--- Reads one assumption; the catalogue must be set up.
---@param text string
---@return perilune.Assumption|nil, string|nil what is wrong with it
function M.parse(text)
  local left, value = text:match "^%s*([^=]-)%s*=%s*(.-)%s*$"
  if not left or left == "" or value == "" then
    return nil, ('"%s": expected TARGET=down or TARGET.FIGURE=VALUE, like openai/gpt-4o.ttft_ms=900'):format(text)
  end
  if ASKER[left] then
    return { text = text, indices = {}, of_asker = true }
  elseif left:find "^budget%." then
    return nil, ('"%s": there is no such figure of a budget%s (they are left_usd, used, free_left)'):format(text, near.hint(left, ASKER))
  end
  local name, figure = split_figure(left)
  local read, expected
  if name then
    read, expected = FIGURES[figure](value)
  elseif WORDS[value] then
    name, figure, read = left, "state", WORDS[value]
  else
    local last = left:match "%.([^.]+)$"
    return nil, last and ('"%s": there is no figure "%s"%s (the figures are %s)'):format(text, last, near.hint(last, FIGURES),
      near.names(FIGURES)) or ('"%s": expected down, up, or a figure before the =, like %s.ttft_ms=900'):format(text, left)
  end
  if read == nil then
    return nil, ('"%s": expected %s'):format(text, expected)
  end
  local indices, why = indices_of(name)
  if not indices then
    return nil, ('"%s": %s'):format(text, why)
  end
  return { text = text, indices = indices, figure = figure, value = read }
end

--- Takes the assumption for true, in this state and for good: what explains has a state of its own.
---@param assumption perilune.Assumption
function M.apply(assumption)
  if assumption.of_asker then
    return
  end
  local part = assumption.figure:match "^price%.(.+)$"
  for _, i in ipairs(assumption.indices) do
    if part then
      catalogue.reprice(i, { [part] = assumption.value })
    elseif assumption.figure == "ttft_ms" then
      catalogue.update { { index = i, ttft_ms = { p50 = assumption.value } } }
    else
      catalogue.update { { index = i, [assumption.figure] = assumption.value } }
    end
  end
end

--- Reads and applies a list; nothing is applied when one of them is wrong.
---@param texts string[]
---@return perilune.Assumption[]|nil, string|nil
function M.all(texts)
  local list = {}
  for k, text in ipairs(texts) do
    local assumption, why = M.parse(text)
    if not assumption then
      return nil, why
    end
    list[k] = assumption
  end
  for _, assumption in ipairs(list) do
    M.apply(assumption)
  end
  return list
end

return M
