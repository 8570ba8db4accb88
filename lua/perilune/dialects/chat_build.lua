--- A neutral request, written as Chat Completions for one target: what its service calls things, and what it does not take.
local json = require "perilune.json"
local messages = require "perilune.dialects.chat_messages"
local reasoning = require "perilune.dialects.chat_reasoning"
local shape = require "perilune.shape"

local M = {}

local quote, concat = json.quote, table.concat

----------------------------------------------------------------------------------------------------------------------------
-- Tools

local TEXT_INPUT = '{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}'

local function function_raw(name, description, schema, strict)
  return '{"type":"function","function":{"name":' .. quote(name)
    .. (description and ',"description":' .. quote(description) or "")
    .. (schema and ',"parameters":' .. schema or "")
    .. (strict ~= nil and ',"strict":' .. tostring(strict) or "") .. "}}"
end

-- A tool that takes text is for others a function of one string.
local function stand_in(tool)
  local description = tool.description or ""
  if tool.grammar then
    description = description .. "\n\nThe input has to follow this format: " .. tool.grammar
  end
  return function_raw(tool.name, description ~= "" and description or nil, TEXT_INPUT)
end

local function custom_raw(tool)
  return '{"type":"custom","custom":{"name":' .. quote(tool.name)
    .. (tool.description and ',"description":' .. quote(tool.description) or "")
    .. (tool.grammar and ',"format":' .. tool.grammar or "") .. "}}"
end

local function tool_raw(out, tool)
  if tool.hosted then
    if tool.hosted.dialect == "openai_chat" then
      return tool.hosted.raw
    end
    out.drops:add("tools." .. tool.hosted.type)
    return nil
  elseif tool.custom then
    return out.openai and custom_raw(tool) or stand_in(tool)
  end
  local strict = tool.strict
  if out.quirks.no_strict then
    strict = nil
  end
  return function_raw(tool.name, tool.description, tool.schema, strict)
end

-- Where a service can not be told which of the tools may be called, it is told of those alone.
local function offered(out, request)
  local choice = request.tool_choice
  if not (choice and choice.names) or out.openai then
    return request.tools or {}
  end
  local allowed, list = shape.set_of(choice.names), {}
  for _, tool in ipairs(request.tools or {}) do
    if allowed[tool.name] then
      list[#list + 1] = tool
    end
  end
  return list
end

-- The tools a history calls, for services that want a list of them with it.
local function called(request)
  local list, known = {}, {}
  for _, message in ipairs(request.messages) do
    for _, part in ipairs(message.parts) do
      if part.kind == "call" and not known[part.name] then
        known[part.name] = true
        list[#list + 1] = function_raw(part.name, nil, '{"type":"object","properties":{}}')
      end
    end
  end
  return list
end

local function allowed_raw(choice, tools)
  local customs = {}
  for _, tool in ipairs(tools) do
    customs[tool.name] = tool.custom
  end
  local list = {}
  for i, name in ipairs(choice.names) do
    local kind = customs[name] and "custom" or "function"
    list[i] = ('{"type":"%s","%s":{"name":%s}}'):format(kind, kind, quote(name))
  end
  return ('{"type":"allowed_tools","allowed_tools":{"mode":"%s","tools":[%s]}}'):format(choice.mode, concat(list, ","))
end

local function choice_raw(out, choice, tools)
  if choice.names and out.openai then
    return allowed_raw(choice, tools)
  elseif choice.mode == "named" then
    local kind = choice.custom and out.openai and "custom" or "function"
    return ('{"type":"%s","%s":{"name":%s}}'):format(kind, kind, quote(choice.name))
  elseif choice.mode == "required" then
    return quote(out.quirks.required_choice or "required")
  end
  return quote(choice.mode)
end

local function put_tools(out, request)
  local tools, list = offered(out, request), {}
  for _, tool in ipairs(tools) do
    list[#list + 1] = tool_raw(out, tool)
  end
  if list[1] then
    out.put("tools", "[" .. concat(list, ",") .. "]")
    if request.tool_choice then
      out.put("tool_choice", choice_raw(out, request.tool_choice, tools))
    end
    out.flag("parallel_tool_calls", request.parallel)
    if request.stream and out.quirks.tool_stream then
      out.put("tool_stream", "true")
    end
    return
  end
  list = out.quirks.tools_from_history and called(request) or {}
  if list[1] then
    out.put("tools", "[" .. concat(list, ",") .. "]")
    out.put("tool_choice", '"none"')
  end
end

----------------------------------------------------------------------------------------------------------------------------
-- Format

local function schema_raw(format)
  return '{"type":"json_schema","json_schema":{"name":' .. quote(format.name or "answer")
    .. (format.description and ',"description":' .. quote(format.description) or "")
    .. (format.schema and ',"schema":' .. format.schema or "")
    .. (format.strict ~= nil and ',"strict":' .. tostring(format.strict) or "") .. "}}"
end

local function put_format(out, format)
  if not format then
    return
  elseif format.kind == "schema" and not out.quirks.no_json_schema then
    out.put("response_format", schema_raw(format))
  elseif format.kind == "text" then
    out.put("response_format", '{"type":"text"}')
  else
    out.put("response_format", '{"type":"json_object"}')
  end
end

-- A copy of the messages whose system text also says what a schema would have.
local function instructed(list, format)
  local text = "Answer with one JSON object and nothing else."
  if format.schema then
    text = text .. " It has to be valid against this JSON Schema:\n" .. format.schema
  end
  local part = { kind = "text", text = text }
  local first, copy = list[1], {}
  if first and first.role == "system" then
    local parts = {}
    for i, p in ipairs(first.parts) do
      parts[i] = p
    end
    parts[#parts + 1] = part
    copy[1] = { role = "system", parts = parts, name = first.name }
  else
    copy[1] = { role = "system", parts = { part } }
    copy[2] = first
  end
  for i = 2, #list do
    copy[#copy + 1] = list[i]
  end
  return copy
end

----------------------------------------------------------------------------------------------------------------------------
-- The other fields

local function put_sampling(out, request)
  for _, name in ipairs(shape.sampling) do
    local raw = request[name]
    if raw and (out.quirks.no_sampling or (name == "top_k" and out.openai and not out.faithful)) then
      out.drops:add(name)
    elseif raw then
      out.put(name, raw)
    end
  end
  if request.seed then
    out.put(out.quirks.seed or "seed", request.seed, "seed")
  end
end

-- The name of the bound on an answer. OpenAI's newer models refuse the old one, most others do not know the new one.
local function bound_name(out)
  return out.quirks.max_tokens or (out.openai and "max_completion_tokens" or "max_tokens")
end

local function put_bounds(out, request, target)
  local bound = request.max_tokens
  if bound then
    if target.max_output and bound > target.max_output then
      bound = target.max_output
      out.drops:add "max_tokens"
    end
    out.put(bound_name(out), ("%d"):format(bound), "max_tokens")
  end
  local n, max_n = request.n, out.quirks.max_n
  if n and max_n and n > max_n then
    n = max_n
    out.drops:add "n"
  end
  if n and not (n == 1 and max_n) then
    out.put("n", ("%d"):format(n))
  end
end

local function put_stop(out, stop)
  local list, most = {}, out.quirks.max_stop or math.huge
  for i, text in ipairs(stop or {}) do
    if i > most then
      out.drops:add "stop"
      break
    end
    list[i] = quote(text)
  end
  if list[1] then
    out.put("stop", "[" .. concat(list, ",") .. "]")
  end
end

-- A name for the client's own user: the one it used itself; else, the newer field is short, and OpenAI's alone.
local function user_name(out, user)
  return out.user_name or (out.openai and #user <= 64 and "safety_identifier" or "user")
end

local TIERS = shape.set_of { "auto", "default", "flex", "scale", "priority", "fast" }

-- Tiers of other dialects have words of their own.
local function put_tier(out, tier)
  if tier and (TIERS[tier] or out.faithful) then
    out.put("service_tier", quote(tier))
  elseif tier then
    out.drops:add "service_tier"
  end
end

local RAW_FIELDS = {
  { "top_logprobs", "top_logprobs" }, { "logit_bias", "logit_bias" }, { "metadata", "metadata" }, { "modalities", "modalities" },
  { "audio", "audio" }, { "prediction", "prediction" }, { "web_search_options", "web_search" },
}

local function put_rest(out, request)
  out.flag("logprobs", request.logprobs)
  for _, field in ipairs(RAW_FIELDS) do
    if request[field[2]] then
      out.put(field[1], request[field[2]])
    end
  end
  if request.verbosity then
    out.put("verbosity", quote(request.verbosity))
  end
  if request.user then
    out.put(user_name(out, request.user), quote(request.user), "user")
  end
  if request.cache_key and (out.openai or request.dialect == "openai_chat") then
    out.put("prompt_cache_key", quote(request.cache_key))
  end
  put_tier(out, request.service_tier)
  out.flag("store", request.store)
end

local function put_stream(out, request)
  if request.stream then
    out.put("stream", "true")
    if not out.quirks.no_stream_options then
      out.put("stream_options", '{"include_usage":true}')
    end
  end
end

-- What the dialect has no name for is understood by services of the same dialect at best.
local function put_extra(out, request)
  for _, extra in ipairs(request.extra) do
    if request.dialect ~= "openai_chat" then
      out.drops:add(extra[1])
    elseif not out.names[extra[1]] then
      out.put(extra[1], extra[2])
    end
  end
end

local function extra_of(request, name)
  for _, extra in ipairs(request.extra) do
    if extra[1] == name and request.dialect == "openai_chat" then
      return extra[2]
    end
  end
  return nil
end

-- Where members are gathered; put(name, raw, known_as) leaves out what the service refuses, by OpenAI's name of it or its own.
local function gather(target, drops)
  local out = {
    list = {}, names = {}, quirks = target.quirks, drops = drops, openai = messages.is_openai(target), faithful = target.faithful,
    user_name = target.user_name,
  }
  local refused = shape.set_of(target.quirks.unsupported)
  function out.put(name, raw, known_as)
    if refused[name] or (known_as and refused[known_as]) then
      if name ~= "stream_options" then -- which is ours
        drops:add(known_as or name)
      end
      return
    end
    out.names[name] = raw
    out.list[#out.list + 1] = name
  end
  function out.flag(name, value)
    if value ~= nil then
      out.put(name, value and "true" or "false")
    end
  end
  return out
end

---@class perilune.ChatPlan a request for a target, not yet in one piece
---@field list string[] names of members, in order, but for model and messages
---@field names table<string, perilune.Raw> their values
---@field messages perilune.Raw[]

--- What a request becomes for a target; of one `as_said` (perilune.dialects.chat_edit) nothing about thinking, which stays as it is.
---@param request perilune.Request
---@param target perilune.AimedAt
---@param drops perilune.Drops
---@return perilune.ChatPlan
function M.plan(request, target, drops)
  local out = gather(target, drops)
  local list = request.messages
  if request.format and request.format.kind == "schema" and out.quirks.no_json_schema then
    list = instructed(list, request.format)
  end
  out.messages = messages.write(list, target, drops)
  put_stream(out, request)
  put_bounds(out, request, target)
  put_sampling(out, request)
  put_stop(out, request.stop)
  put_tools(out, request)
  put_format(out, request.format)
  if not target.as_said then
    reasoning.write(request, target, drops, out.put, extra_of(request, "chat_template_kwargs"))
  end
  put_rest(out, request)
  put_extra(out, request)
  return out
end

--- Builds the request for a target.
---@param request perilune.Request
---@param target perilune.AimedAt
---@param drops perilune.Drops
---@return perilune.Http
function M.build(request, target, drops)
  local plan = M.plan(request, target, drops)
  local members = {
    '"model":' .. quote(target.upstream),
    '"messages":[' .. concat(plan.messages, ",") .. "]",
  }
  for i, name in ipairs(plan.list) do
    members[i + 2] = quote(name) .. ":" .. plan.names[name]
  end
  return { path = "/chat/completions", body = "{" .. concat(members, ",") .. "}" }
end

return M
