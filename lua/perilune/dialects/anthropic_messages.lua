--- Anthropic Messages: what Claude models speak, and Claude Code and the Anthropic SDKs to us. This is the dialect's one door; what it does
--- stands in anthropic_read (requests in), anthropic_settings, _tools and _turns (requests out), anthropic_edit (passing on),
--- anthropic_reader and anthropic_writer (answers).
local edit = require "perilune.dialects.anthropic_edit"
local json = require "perilune.json"
local read = require "perilune.dialects.anthropic_read"
local reader = require "perilune.dialects.anthropic_reader"
local settings = require "perilune.dialects.anthropic_settings"
local turns = require "perilune.dialects.anthropic_turns"
local writer = require "perilune.dialects.anthropic_writer"

local M = {}

M.name = "anthropic_messages"

local VERSION = "2023-06-01"
local MOST_MARKS = 4

M.read = read.request
M.reader, M.read_answer = reader.new, reader.answer
M.writer, M.write_answer = writer.new, writer.answer
M.echo = { texts = "text thinking partial_json" }

----------------------------------------------------------------------------------------------------------------------------
-- Whom a request is for

-- Cloud resellers name the model in the path and the version in the body.
local function path_of(target, stream)
  if target.quirks.version_in_body then
    return ("/models/%s:%s"):format(target.upstream, stream and "streamRawPredict" or "rawPredict")
  end
  return "/messages"
end

local function headers_of(target)
  if target.quirks.version_in_body then
    return nil
  end
  return { "anthropic-version: " .. (target.quirks.version or VERSION) }
end

---@return perilune.Edit[]
local function addressed(target)
  if target.quirks.version_in_body then
    return { { key = "model" }, { key = "anthropic_version", raw = json.quote(target.quirks.version_in_body) } }
  end
  return { { key = "model", raw = json.quote(target.upstream) } }
end

----------------------------------------------------------------------------------------------------------------------------
-- Requests of other dialects

local function count_marks(parts)
  local n = 0
  for _, part in ipairs(parts) do
    n = n + (part.cache and 1 or 0) + (part.parts and count_marks(part.parts) or 0)
  end
  return n
end

-- Writes cache marks; of more than may be, the last ones. Called in the order of the request: tools, system, messages.
local function marker(request)
  local surplus = count_marks(request.tools or {}) - MOST_MARKS
  for _, message in ipairs(request.messages) do
    surplus = surplus + count_marks(message.parts)
  end
  return function(cache)
    if not cache then
      return ""
    elseif surplus > 0 then
      surplus = surplus - 1
      return ""
    end
    return ',"cache_control":' .. cache
  end
end

local function top_level(request, target, system, messages, members)
  local out = {}
  for _, m in ipairs(addressed(target)) do
    out[#out + 1] = m.raw and '"' .. m.key .. '":' .. m.raw
  end
  out[#out + 1] = settings.text(members)
  out[#out + 1] = system and '"system":' .. system
  out[#out + 1] = '"messages":' .. messages
  for _, field in ipairs(request.dialect == M.name and request.extra or {}) do
    out[#out + 1] = json.quote(field[1]) .. ":" .. field[2]
  end
  return "{" .. table.concat(out, ",") .. "}"
end

--- Builds a request of any dialect for a target.
---@param request perilune.Request
---@param target perilune.AimedAt
---@param drops perilune.Drops
---@return perilune.Http|nil, perilune.Problem|nil
function M.build(request, target, drops)
  local said, conversation = {}, turns.of(request)
  local build = {
    target = target, drops = drops, names = turns.names(), mark = marker(request),
    unthought = turns.unthought(conversation, target),
    say = function(text)
      said[#said + 1] = text
    end,
  }
  local members, emulated = settings.members(request, build)
  local system = turns.system(conversation, build, said)
  local messages = turns.messages(conversation, request, build)
  if not messages then
    return nil, { message = "messages: there is nothing in them to answer", param = "messages" }
  end
  return {
    path = path_of(target, request.stream), headers = headers_of(target), emulated = emulated, names = build.names.back,
    body = top_level(request, target, system, messages, members),
  }
end

--- Passes on a request of this dialect.
---@param request perilune.Request
---@param body string
---@param target perilune.AimedAt
---@param params perilune.Param[]
---@param drops perilune.Drops
---@return perilune.Http
function M.edit(request, body, target, params, drops)
  return {
    path = path_of(target, request.stream), headers = headers_of(target),
    body = edit.body(request, body, target, params, drops, addressed(target)),
  }
end

return M
