--- OpenAI Chat Completions.
---
--- As every dialect: `read` and `build` for requests, `new`, `feed`, `finish` and `answer` for what comes back. Pure: bytes in, bytes out.
---
--- Between two ends that both speak this dialect nothing is decoded that need not change: the body and every event go on as they came.
local json = require "perilune.json"
local usage = require "perilune.usage"

local M = {}

M.name = "openai_chat"

-- Fields of the request that are for the router and not for a provider.
local OURS = { "models" }

---@class perilune.Shape a request, read
---@field raw perilune.Raw the whole body
---@field fields table<string, perilune.Raw>
---@field wants_usage boolean the client asked for the chunk with the usage

--- Reads a client's request.
---@param body string
---@return perilune.Shape|nil, string|nil
function M.read(body)
  local fields, why = json.fields(body)
  if not fields then
    return nil, "the request is not JSON: " .. why
  end
  local options = json.kind(fields.stream_options) == "object" and json.fields(fields.stream_options) or {}
  return { raw = body, fields = fields, wants_usage = options.include_usage == "true" }
end

-- stream_options that ask for usage, whatever else the client set there.
local function with_usage(raw)
  if json.kind(raw) ~= "object" then
    return '{"include_usage":true}'
  end
  return assert(json.splice(raw, { { key = "include_usage", raw = "true" } }))
end

---@class perilune.Http what goes up
---@field path string behind the base URL
---@field body string
---@field dropped? string comma-separated, what the target could not do

--- Builds the request for a target.
---@param shape perilune.Shape
---@param target { upstream: string }
---@param stream boolean
---@param params { [1]: string, [2]: perilune.Raw|nil }[]
---@return perilune.Http|nil, string|nil
function M.build(shape, target, stream, params)
  local edits = { { key = "model", raw = json.encode(target.upstream) } }
  for _, key in ipairs(OURS) do
    edits[#edits + 1] = { key = key }
  end
  if stream then
    edits[#edits + 1] = { key = "stream_options", raw = with_usage(shape.fields.stream_options) }
  end
  for _, param in ipairs(params) do
    edits[#edits + 1] = { key = param[1], raw = param[2] }
  end
  local body, why = json.splice(shape.raw, edits)
  if not body then
    return nil, why
  end
  return { path = "/chat/completions", body = body }
end

----------------------------------------------------------------------------------------------------------------------------
-- What comes back

-- What counts as content: text, reasoning, refusal, tools, audio; not a role, not an empty delta.
local TEXTS = { "content", "reasoning_content", "reasoning", "refusal" }
local OBJECTS = { "function_call", "audio" }

local function has_content(raw)
  local fields = json.kind(raw) == "object" and json.fields(raw)
  if not fields then
    return false
  end
  for _, key in ipairs(TEXTS) do
    local kind = json.kind(fields[key])
    if (kind == "string" and json.text(fields[key]) ~= "") or (kind == "array" and fields[key]:find "[^%[%]%s]") then
      return true
    end
  end
  for _, key in ipairs(OBJECTS) do
    if json.kind(fields[key]) == "object" then
      return true
    end
  end
  return json.kind(fields.tool_calls) == "array" and fields.tool_calls:find "[^%[%]%s]" ~= nil
end

-- The message of an answer that is an error, in any of the forms services use; nil when it is none.
local function error_of(fields)
  local kind = json.kind(fields.error)
  if kind == "string" then
    return json.text(fields.error)
  elseif kind == "object" then
    local inner = json.fields(fields.error) or {}
    return json.text(inner.message) or json.text(inner.code) or "the provider reported an error"
  elseif json.text(fields.object) == "error" then
    return json.text(fields.message) or "the provider reported an error"
  end
  return nil
end

-- An answer may be cut for these without a word of it; the foreign names mean length.
local EXCUSES = { length = true, content_filter = true, max_tokens = true, model_length = true, length_limit = true }

-- What an answer or a chunk holds; `part` is "message" or "delta".
local function look(fields, part)
  local seen = { content = false, finished = false, error = false, model = json.text(fields.model) }
  seen.message = error_of(fields)
  seen.error = seen.message ~= nil
  local choices = json.kind(fields.choices) == "array" and json.items(fields.choices) or {}
  for _, raw in ipairs(choices) do
    local choice = json.kind(raw) == "object" and json.fields(raw) or {}
    seen.content = seen.content or has_content(choice[part])
    local reason = json.text(choice.finish_reason) or ""
    seen.finished = seen.finished or reason ~= ""
    seen.excused = seen.excused or EXCUSES[reason]
  end
  for name, n in pairs(usage.openai(fields) or {}) do
    seen[name] = n
  end
  return seen, #choices
end

---@class perilune.ChatState one answer on its way back
---@field wants_usage boolean
---@field done boolean [DONE] went out

--- Begins an answer.
---@param shape perilune.Shape
---@return perilune.ChatState
function M.new(shape)
  return { wants_usage = shape.wants_usage, done = false }
end

-- One event as it goes to the client.
local function event_bytes(event, data)
  local name = event and event ~= "" and "event: " .. event .. "\n" or ""
  return name .. "data: " .. data:gsub("\n", "\ndata: ") .. "\n\n"
end

--- One event of a stream: what goes to the client, and what it was.
---@param state perilune.ChatState
---@param event string|nil
---@param data string
---@return string|nil out, table|string seen
function M.feed(state, event, data)
  if data:match "^%s*%[DONE%]" then
    state.done = true
    return event_bytes(nil, "[DONE]"), { content = false, finished = true, error = false }
  end
  local fields, why = json.fields(data)
  if not fields then
    return nil, "an event is not JSON: " .. why
  end
  local seen, choices = look(fields, "delta")
  if seen.error then
    return "", seen -- the core says it in its own words
  end
  if choices == 0 and json.kind(fields.usage) == "object" and not state.wants_usage then
    return "", seen
  end
  return event_bytes(event, data), seen
end

--- The stream ended well.
---@param state perilune.ChatState
---@return string out, table seen
function M.finish(state)
  local out = state.done and "" or event_bytes(nil, "[DONE]")
  state.done = true
  return out, { content = false, finished = true, error = false }
end

--- A whole answer.
---@param _ perilune.ChatState
---@param status integer
---@param body string
---@return string|nil out, table|string seen
function M.answer(_, status, body)
  local fields, why = json.fields(body)
  if not fields then
    return nil, "the answer is not JSON: " .. why
  end
  local seen = look(fields, "message")
  if status >= 400 and not seen.error then
    seen.error, seen.message = true, "status " .. status
  end
  return body, seen
end

return M
