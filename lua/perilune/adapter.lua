--- The one door between the core and the dialects: what the core calls in an adapter state.
---
---   handle, body, path, dropped = adapter.open(client_dialect, target, body, stream, params, id, created)
---   out, seen = adapter.feed(handle, event, data)      any number of times
---   out, seen = adapter.finish(handle)                 the stream ended well
---   out, seen = adapter.answer(handle, status, body)   or: a whole answer
---   adapter.close(handle)
---
--- Expected failure is nil and a message, and ends that one stream; other streams in this state do not notice. No I/O, no clock: what an
--- answer needs of this world (id, time) is given at open.
local near = require "perilune.near"

local M = {}

local dialects = {
  openai_chat = require "perilune.dialects.openai_chat",
}

local streams = {} -- by handle: { dialect, state }
local last = 0

local function dialect_of(name)
  local dialect = dialects[name]
  if not dialect then
    error(('no dialect "%s"%s'):format(tostring(name), near.hint(name, dialects)), 0)
  end
  return dialect
end

---@class perilune.Seen what an event or an answer was
---@field content boolean it held content for the client
---@field finished boolean it held a finish reason or the end mark
---@field excused? boolean one that needs no content: length, content filter
---@field error boolean it was an error
---@field message? string
---@field model? string
---@field input_tokens? integer
---@field output_tokens? integer
---@field cached_tokens? integer
---@field reasoning_tokens? integer

--- Builds the upstream request and begins its answer.
---@param client string the client's dialect
---@param target { id: string, model: string, upstream: string, dialect: string }
---@param body string
---@param stream boolean
---@param params? { [1]: string, [2]?: string }[] overrides: name and raw JSON; no JSON takes it out
---@param id string
---@param created integer
---@return integer|nil handle, string body_or_why, string|nil path, string|nil dropped
function M.open(client, target, body, stream, params, id, created)
  local from, to = dialect_of(client), dialect_of(target.dialect)
  if from ~= to then
    return nil, ("no way from %s to %s"):format(client, target.dialect)
  end
  local shape, why = from.read(body)
  if not shape then
    return nil, why
  end
  local http
  http, why = to.build(shape, target, stream, params or {})
  if not http then
    return nil, why
  end
  last = last + 1
  streams[last] = { dialect = to, state = to.new(shape, { id = id, created = created, model = target.model }) }
  return last, http.body, http.path, http.dropped
end

local function stream_of(handle)
  local s = streams[handle]
  if not s then
    error("no open stream " .. tostring(handle), 0)
  end
  return s
end

--- One event.
---@param handle integer
---@param event string|nil its name
---@param data string
---@return string|nil out, perilune.Seen|string seen_or_why
function M.feed(handle, event, data)
  local s = stream_of(handle)
  return s.dialect.feed(s.state, event, data)
end

--- The stream ended well.
---@param handle integer
---@return string|nil out, perilune.Seen|string seen_or_why
function M.finish(handle)
  local s = stream_of(handle)
  return s.dialect.finish(s.state)
end

--- A whole answer.
---@param handle integer
---@param status integer
---@param body string
---@return string|nil out, perilune.Seen|string seen_or_why
function M.answer(handle, status, body)
  local s = stream_of(handle)
  return s.dialect.answer(s.state, status, body)
end

--- Forgets a stream; also one that failed.
---@param handle integer
function M.close(handle)
  streams[handle] = nil
end

--- Streams that are open, for specs.
---@return integer
function M.open_streams()
  local n = 0
  for _ in pairs(streams) do
    n = n + 1
  end
  return n
end

return M
