-- Neutral requests and answers by chance, of what a dialect can express: for specs that write them and read them back.
--
--   for _, request in ipairs(shapes.requests({ fields = { "seed" }, parts = { "image" } }, 1, 200)) do ... end
--
-- The same seed gives the same ones.
local hash = require "perilune.hash"

local M = {}

---@class perilune.Able what a dialect can express; what is not said here is in every dialect (texts, calls, results, plain tools)
---@field fields? string[] request fields: see FIELDS below
---@field parts? string[] kinds of parts of a user: "image", "image_url", "audio", "file"
---@field result_parts? string[] of a tool's result: "image"
---@field custom? boolean custom tools and their calls
---@field strict? boolean
---@field allowed? boolean tool_choice with names
---@field names? boolean messages with names
---@field refusal? boolean
---@field many_texts? boolean a message of several text parts
---@field states? fun(random: fun(n: integer): integer): perilune.State reasoning of an assistant's turn ends with such a state
---@field reasoning? boolean an assistant's turn can tell reasoning without a state
---@field signatures? boolean calls carry Gemini's signature
---@field choices? boolean answers with several choices
---@field summary? boolean reasoning is told as a summary

local WORDS = { "one", "zwei", "trois \"quoted\"", "four\nlines", "f\195\188nf", "\226\130\172 six", "\\seven", "a{b}[c]", "\t", "null" }
local SCHEMAS = {
  '{"type":"object","properties":{"z":{"type":"string"},"a":{"type":"number"}},"required":["z"]}',
  '{"type":"object","properties":{}}',
}
local ARGUMENTS = { "{}", '{"z":"x","a":1.50}', '{"n":12345678901234567890,"e":[],"o":{}}', '{"t":"\\u00e9\\n"}' }

local FIELDS = {
  max_tokens = function(r)
    return r(1000)
  end,
  temperature = function(r)
    return "0." .. r(9)
  end,
  top_p = function(r)
    return "0." .. r(9)
  end,
  top_k = function(r)
    return tostring(r(50))
  end,
  frequency_penalty = function(r)
    return "-0." .. r(9)
  end,
  presence_penalty = function(r)
    return "1." .. r(9)
  end,
  seed = function(r)
    return "1234567890123456789" .. r(9)
  end,
  n = function(r)
    return r(4)
  end,
  stop = function(r)
    return r(2) == 1 and { "END" } or { "a\n", '"' }
  end,
  logprobs = function()
    return true
  end,
  top_logprobs = function(r)
    return tostring(r(20))
  end,
  logit_bias = function(r)
    return ('{"50256":-%d}'):format(r(100))
  end,
  verbosity = function(r)
    return ({ "low", "medium", "high" })[r(3)]
  end,
  user = function(r)
    return "user-" .. r(100)
  end,
  cache_key = function(r)
    return "key-" .. r(100)
  end,
  service_tier = function(r)
    return ({ "auto", "default", "flex", "priority" })[r(4)]
  end,
  store = function(r)
    return r(2) == 1
  end,
  metadata = function(r)
    return ('{"b":"%d","a":"x"}'):format(r(9))
  end,
  effort = function(r)
    return { effort = ({ "none", "minimal", "low", "medium", "high", "xhigh", "max" })[r(7)] }
  end,
  format = function(r)
    return ({
      { kind = "text" }, { kind = "json" },
      { kind = "schema", name = "shape", schema = SCHEMAS[1], strict = true, description = "what is wanted" },
      { kind = "schema", name = "loose", schema = SCHEMAS[2] },
    })[r(4)]
  end,
}
-- Where a field of FIELDS goes, when that is not its name.
local PLACES = { effort = "reasoning" }

local function numbers(seed)
  local random = hash.random(seed)
  return function(n)
    return math.floor(random() * n) + 1
  end
end

local function text_of(r)
  local out = {}
  for i = 1, r(4) do
    out[i] = WORDS[r(#WORDS)]
  end
  return "t" .. table.concat(out, " ")
end

local PARTS = {
  image = function(r)
    return { kind = "image", data = "aGVsbG8" .. r(9), mime = "image/png" }
  end,
  image_url = function(r)
    return { kind = "image", url = "https://example.com/" .. r(9) .. ".png", detail = r(2) == 1 and "low" or nil }
  end,
  audio = function(r)
    return { kind = "audio", data = "UklGR" .. r(9), format = r(2) == 1 and "wav" or "mp3" }
  end,
  file = function(r)
    return { kind = "file", data = "JVBERi" .. r(9), mime = "application/pdf", name = r(2) == 1 and "a b.pdf" or nil }
  end,
}

local function texts(able, r)
  local parts = { { kind = "text", text = text_of(r) } }
  if able.many_texts and r(3) == 1 then
    parts[2] = { kind = "text", text = text_of(r) }
  end
  return parts
end

local function user(able, r)
  local parts = texts(able, r)
  for _, kind in ipairs(able.parts or {}) do
    if r(3) == 1 then
      parts[#parts + 1] = PARTS[kind](r)
    end
  end
  return { role = "user", parts = parts, name = able.names and r(4) == 1 and "bob" or nil }
end

local function tools_of(able, r)
  local tools = {}
  for i = 1, r(3) do
    tools[i] = {
      name = "tool_" .. i, description = r(2) == 1 and text_of(r) or nil, schema = SCHEMAS[r(#SCHEMAS)],
      strict = able.strict and r(3) == 1 or nil,
    }
  end
  if able.custom and r(2) == 1 then
    tools[#tools + 1] = { name = "patch", description = "takes text", custom = true }
  end
  return tools
end

local function choice_of(able, r, tools)
  local modes = { "auto", "none", "required", "named", "allowed" }
  local mode = modes[r(able.allowed and 5 or 4)]
  if mode == "named" then
    local tool = tools[r(#tools)]
    return { mode = mode, name = tool.name, custom = tool.custom }
  elseif mode == "allowed" then
    return { mode = r(2) == 1 and "auto" or "required", names = { tools[1].name } }
  end
  return { mode = mode }
end

local function thoughts(able, r, parts)
  if (able.states or able.reasoning) and r(2) == 1 then
    local state = able.states and able.states(r) or nil
    parts[#parts + 1] = {
      kind = "reasoning", text = not (state and state.kind == "redacted") and text_of(r) or nil, state = state, summary = able.summary,
    }
  end
end

-- The calls of one turn, from one of its own number on so that no id comes twice in a request.
local function calls(able, r, tools, turn, parts)
  for i = 1, r(3) do
    local tool = tools[r(#tools)]
    parts[#parts + 1] = {
      kind = "call", id = ("call_%d_%d"):format(turn, i), name = tool.name, custom = tool.custom,
      arguments = tool.custom and text_of(r) or ARGUMENTS[r(#ARGUMENTS)],
      signature = able.signatures and i == 1 and "c2ln" .. r(9) or nil,
    }
  end
end

local function results(able, r, message)
  local parts = {}
  for _, part in ipairs(message.parts) do
    if part.kind == "call" then
      local inner = { { kind = "text", text = text_of(r) } }
      for _, kind in ipairs(able.result_parts or {}) do
        inner[#inner + 1] = r(3) == 1 and PARTS[kind](r) or nil
      end
      parts[#parts + 1] = { kind = "result", id = part.id, parts = inner }
    end
  end
  return { role = "tool", parts = parts }
end

local function history(able, r, tools)
  local list = {}
  if r(2) == 1 then
    list[1] = { role = "system", parts = texts(able, r) }
  end
  list[#list + 1] = user(able, r)
  for turn = 1, r(4) - 1 do
    local message = { role = "assistant", parts = {} }
    thoughts(able, r, message.parts)
    local calling = tools and r(2) == 1
    if not calling or r(2) == 1 then
      message.parts[#message.parts + 1] = { kind = "text", text = text_of(r) }
    end
    list[#list + 1] = message
    if calling then
      calls(able, r, tools, turn, message.parts)
      list[#list + 1] = results(able, r, message)
    else
      list[#list + 1] = user(able, r)
    end
  end
  return list
end

local function request(able, r)
  local tools = r(2) == 1 and tools_of(able, r) or nil
  local out = { stream = r(2) == 1, messages = history(able, r, tools), tools = tools, extra = {}, fields = {}, dialect = "other" }
  out.wants_usage = out.stream
  for _, name in ipairs(able.fields or {}) do
    if r(4) == 1 then
      out[PLACES[name] or name] = FIELDS[name](r)
    end
  end
  if tools then
    out.tool_choice = r(2) == 1 and choice_of(able, r, tools) or nil
    if r(3) == 1 then
      out.parallel = r(2) == 1
    end
  end
  return out
end

--- Requests.
---@param able perilune.Able
---@param seed integer
---@param n integer
---@return perilune.Request[]
function M.requests(able, seed, n)
  local r, out = numbers(seed), {}
  for i = 1, n do
    out[i] = request(able, r)
  end
  return out
end

local function answer_choice(able, r, index)
  local parts = {}
  thoughts(able, r, parts)
  local kind = r(3)
  if kind == 1 then
    calls(able, r, tools_of(able, r), index + 1, parts)
  elseif kind == 2 and able.refusal then
    parts[#parts + 1] = { kind = "refusal", text = text_of(r) }
  else
    parts[#parts + 1] = { kind = "text", text = text_of(r) }
  end
  local last = parts[#parts].kind
  return { index = index, parts = parts, finish = last == "call" and "tool_calls" or ({ "stop", "length" })[r(2)] }
end

--- Whole answers, as a relay's collector makes them.
---@param able perilune.Able
---@param seed integer
---@param n integer
---@return perilune.Answer[]
function M.answers(able, seed, n)
  local r, out = numbers(seed), {}
  for i = 1, n do
    local choices = {}
    for index = 0, (able.choices and r(2) or 1) - 1 do
      choices[index + 1] = answer_choice(able, r, index)
    end
    local input, output = r(1000), r(1000)
    out[i] = {
      id = "id" .. i, model = "m-" .. r(9), created = 1790000000 + r(1000), choices = choices,
      usage = {
        input_tokens = input, output_tokens = output, cached_tokens = r(input) - 1, reasoning_tokens = r(output) - 1,
        total_tokens = input + output,
      },
    }
  end
  return out
end

return M
