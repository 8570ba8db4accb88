--- The fields of a Chat Completions request but for its messages: one setter for each name there is, OpenAI's own and those of the vendors
--- who speak the dialect. Requests are read with them, and steps' overrides are applied with them.
local json = require "perilune.json"
local wish = require "perilune.dialects.chat_reasoning"

local M = {}

local ARTICLES = {
  object = "an object", array = "an array", string = "a string", number = "a number", boolean = "true or false", null = "null",
}

--- Raises a problem; read() and set() catch it.
---@param param string
---@param message string
function M.fail(param, message)
  error({ problem = { message = param .. ": " .. message .. ".", param = param } }, 0)
end

--- Raises unless a value is of a kind.
---@param param string
---@param raw perilune.Raw|nil
---@param kind string as json.kind() has them
---@return perilune.Raw
function M.expect(param, raw, kind)
  local is = json.kind(raw)
  if is ~= kind then
    M.fail(param, ("expected %s, got %s"):format(ARTICLES[kind], is and ARTICLES[is] or "nothing"))
  end
  return raw
end

local fail, expect = M.fail, M.expect

--- Calls f(...): what it returns, or nil and the problem it raised.
---@return any, perilune.Problem|nil
function M.guard(f, ...)
  local ok, a, b = pcall(f, ...)
  if ok then
    return a, b
  elseif type(a) == "table" and a.problem then
    return nil, a.problem
  end
  return error(a, 0)
end

--- A value, or nil for null.
---@param raw perilune.Raw|nil
---@return perilune.Raw|nil
function M.said(raw)
  if json.kind(raw) == "null" then
    return nil
  end
  return raw
end

local said = M.said

--- The members of an object by key, without the nulls.
---@param param string
---@param raw perilune.Raw
---@return table<string, perilune.Raw>
function M.object(param, raw)
  local out, why = json.fields(expect(param, raw, "object"))
  if not out then
    fail(param, why)
  end
  for key, value in pairs(out) do
    if value == "null" then -- slices have nothing around them
      out[key] = nil
    end
  end
  return out
end

--- The items of an array.
---@param param string
---@param raw perilune.Raw
---@return perilune.Raw[]
function M.list(param, raw)
  local out, why = json.items(expect(param, raw, "array"))
  if not out then
    fail(param, why)
  end
  return out
end

--- A text; nil where nothing was said.
---@param param string
---@param raw perilune.Raw|nil
---@return string|nil
function M.text(param, raw)
  return raw and json.text(expect(param, raw, "string")) or nil
end

--- A boolean; nil where nothing was said.
---@param param string
---@param raw perilune.Raw|nil
---@return boolean|nil
function M.flag(param, raw)
  if raw == nil then
    return nil
  end
  return expect(param, raw, "boolean"):find "true" ~= nil
end

--- A whole number that is not negative; nil where nothing was said.
---@param param string
---@param raw perilune.Raw|nil
---@return integer|nil
function M.whole(param, raw)
  if raw == nil then
    return nil
  end
  local n = json.number(expect(param, raw, "number"))
  if n < 0 or n % 1 ~= 0 or n >= 2 ^ 53 then
    fail(param, "expected a whole number, got " .. raw)
  end
  return n
end

local object, list, text, flag, whole = M.object, M.list, M.text, M.flag, M.whole

----------------------------------------------------------------------------------------------------------------------------
-- Tools

local function named_thing(param, raw)
  local thing = object(param, raw)
  if not text(param .. ".name", thing.name) then
    fail(param .. ".name", "a name is missing")
  end
  return thing, json.text(thing.name)
end

local function function_tool(param, raw)
  local thing, name = named_thing(param, raw)
  return {
    name = name, description = text(param .. ".description", thing.description),
    schema = thing.parameters and expect(param .. ".parameters", thing.parameters, "object"),
    strict = flag(param .. ".strict", thing.strict),
  }
end

local function custom_tool(param, raw)
  local thing, name = named_thing(param, raw)
  return { name = name, description = text(param .. ".description", thing.description), custom = true, grammar = thing.format }
end

local function tool_of(param, raw)
  local tool = object(param, raw)
  local kind = text(param .. ".type", tool.type) or "function"
  local out
  if kind == "function" then
    out = function_tool(param .. ".function", tool["function"])
  elseif kind == "custom" then
    out = custom_tool(param .. ".custom", tool.custom)
  else
    out = { name = text(param .. ".name", tool.name) or kind, hosted = { dialect = "openai_chat", type = kind, raw = raw } }
  end
  out.cache = tool.cache_control
  return out
end

-- Each of a list, by a function that takes where it stands and what it is.
local function each(param, raw, f)
  local out = {}
  for i, item in ipairs(list(param, raw)) do
    out[i] = f(("%s[%d]"):format(param, i - 1), item)
  end
  return out
end

-- The old form: the functions themselves, and one call at a time.
local function old_tools(request, param, raw)
  if not request.tools then
    request.tools = each(param, raw, function_tool)
    request.parallel = false
  end
end

-- "any" is Mistral's word.
local MODES = { auto = "auto", none = "none", required = "required", any = "required" }

local function mode_of(param, raw)
  return MODES[text(param, raw)] or fail(param, ('expected "auto", "none" or "required", got "%s"'):format(json.text(raw)))
end

local function allowed_choice(param, choice)
  if choice.allowed_tools then
    param = param .. ".allowed_tools"
    choice = object(param, choice.allowed_tools)
  end
  local names = each(param .. ".tools", choice.tools, function(where, raw)
    local tool = object(where, raw)
    local inner = tool["function"] or tool.custom
    return select(2, named_thing(where, inner or raw))
  end)
  return { mode = choice.mode and mode_of(param .. ".mode", choice.mode) or "auto", names = names }
end

local function choice_of(param, raw)
  if json.kind(raw) == "string" then
    return { mode = mode_of(param, raw) }
  end
  local choice = object(param, raw)
  local kind = text(param .. ".type", choice.type) or "function"
  if kind == "allowed_tools" then
    return allowed_choice(param, choice)
  elseif kind == "custom" then
    return { mode = "named", name = select(2, named_thing(param .. ".custom", choice.custom)), custom = true }
  elseif kind == "function" then
    return { mode = "named", name = select(2, named_thing(param .. ".function", choice["function"])) }
  end
  return fail(param .. ".type", ('"%s" is no kind of choice'):format(kind))
end

local function old_choice(param, raw)
  if json.kind(raw) == "string" then
    return { mode = mode_of(param, raw) }
  end
  return { mode = "named", name = select(2, named_thing(param, raw)) }
end

local function format_of(param, raw)
  local format = object(param, raw)
  local kind = text(param .. ".type", format.type)
  if kind == "text" then
    return { kind = "text" }
  elseif kind == "json_object" then
    return { kind = "json" }
  elseif kind ~= "json_schema" then
    fail(param .. ".type", 'expected "text", "json_object" or "json_schema"')
  end
  param = param .. ".json_schema"
  local schema = object(param, format.json_schema)
  return {
    kind = "schema", name = text(param .. ".name", schema.name), strict = flag(param .. ".strict", schema.strict),
    schema = schema.schema and expect(param .. ".schema", schema.schema, "object"),
    description = text(param .. ".description", schema.description),
  }
end

----------------------------------------------------------------------------------------------------------------------------
-- The table of names

---@class perilune.ChatField
---@field [1] string the request's own field
---@field [2] fun(param: string, raw: perilune.Raw, request: perilune.Request): any what it is to be

local function kept(kind)
  return function(param, raw)
    return expect(param, raw, kind)
  end
end

local function stops(param, raw)
  if json.kind(raw) == "string" then
    return { json.text(raw) }
  end
  return each(param, raw, text)
end

local function wants_usage(param, raw)
  return flag(param .. ".include_usage", object(param, raw).include_usage) or false
end

local number, any_object = kept "number", kept "object"

---@type table<string, perilune.ChatField>
local FIELDS = {
  stream = { "stream", flag }, stream_options = { "wants_usage", wants_usage },
  max_tokens = { "max_tokens", whole }, max_completion_tokens = { "max_tokens", whole },
  temperature = { "temperature", number }, top_p = { "top_p", number }, top_k = { "top_k", number },
  frequency_penalty = { "frequency_penalty", number }, presence_penalty = { "presence_penalty", number },
  seed = { "seed", number }, random_seed = { "seed", number },
  n = { "n", whole }, stop = { "stop", stops },
  logprobs = { "logprobs", flag }, top_logprobs = { "top_logprobs", number }, logit_bias = { "logit_bias", any_object },
  tools = {
    "tools", function(param, raw)
      return each(param, raw, tool_of)
    end,
  },
  tool_choice = { "tool_choice", choice_of }, function_call = { "tool_choice", old_choice },
  parallel_tool_calls = { "parallel", flag },
  response_format = { "format", format_of },
  verbosity = { "verbosity", text },
  safety_identifier = { "user", text }, user = { "user", text },
  prompt_cache_key = { "cache_key", text }, service_tier = { "service_tier", text }, store = { "store", flag },
  metadata = { "metadata", any_object }, modalities = { "modalities", kept "array" }, audio = { "audio", any_object },
  prediction = { "prediction", any_object }, web_search_options = { "web_search", any_object },
}

-- What a field is while nobody said anything of it.
local UNSAID = { stream = false, wants_usage = false }

-- Of two names for one thing, the one that wins when both are said.
local BETTER = { max_tokens = "max_completion_tokens", user = "safety_identifier", function_call = "tool_choice", functions = "tools" }

-- Fields of the router's own, and those that are read elsewhere.
local NOT_SET = { model = true, messages = true, models = true, route = true }

local function take_out_extra(request, name)
  for i, extra in ipairs(request.extra) do
    if extra[1] == name then
      table.remove(request.extra, i)
      return true
    end
  end
  return false
end

local function apply(request, name, raw)
  if name == "functions" then
    if raw then
      old_tools(request, name, raw)
    else
      request.tools = nil
    end
    return true
  elseif wish.set(request, name, raw, M) then
    return true
  end
  local field = FIELDS[name]
  if not field then
    return not raw and take_out_extra(request, name)
  end
  if raw then
    request[field[1]] = field[2](name, raw, request)
  else
    request[field[1]] = UNSAID[field[1]]
  end
  return true
end

--- Sets one field by OpenAI's name; no value, or null, takes it out.
---@param request perilune.Request
---@param name string
---@param raw perilune.Raw|nil
---@return boolean set false: not a name of ours, or not a value of its kind
---@return perilune.Problem|nil
function M.set(request, name, raw)
  local ok, problem = M.guard(apply, request, name, said(raw))
  return ok or false, problem
end

--- Sets all of a request's `fields`; raises problems. What has no place goes into `extra`.
---@param request perilune.Request
---@param keys string[] in their order
function M.read(request, keys)
  local all = request.fields
  for i = 1, #keys do
    local key = keys[i]
    local better = BETTER[key]
    if not NOT_SET[key] and not (better and said(all[better])) then
      local raw = all[key]
      if raw ~= "null" and not apply(request, key, raw) then
        request.extra[#request.extra + 1] = { key, raw }
      end
    end
  end
end

return M
