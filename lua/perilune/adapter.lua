--- The one door between the core and the dialects: what the core calls in an adapter state.
---
---   handle, http = adapter.open(setup)
---   out, seen, flags = adapter.feed(handle, event, data)   any number of times
---   seen = adapter.catch_up(handle, event, data, n)    in the place of `n` events that were answered without it
---   out, seen = adapter.finish(handle)                 the stream ended well
---   out, seen = adapter.answer(handle, body)           or: a whole answer
---   adapter.close(handle)
---
--- Expected failure is nil and a message, and ends that one stream; other streams in this state do not notice. No I/O, no clock: what an
--- answer needs of this world (id, time, what was kept of earlier answers) is given at open.
local json = require "perilune.json"
local near = require "perilune.near"
local relay = require "perilune.relay"
local shape = require "perilune.shape"

local M = {}

-- Loaded when the first request wants them.
local DIALECTS = {
  openai_chat = true, openai_responses = true, anthropic_messages = true, gemini = true, bedrock_converse = true, openai_completions = true,
}

-- Clients' dialects in which a call's input is an object, not a text.
local OBJECTS = { anthropic_messages = true, gemini = true }
-- Clients' dialects that have no place of their own for what a model wants back next turn: what we put there, many clients drop.
local FORGETFUL = { openai_chat = true, openai_completions = true }

local streams = {} -- by handle
local last = 0

local loaded = {}

local function dialect_of(name)
  local dialect = loaded[name]
  if dialect then
    return dialect
  elseif not DIALECTS[name] then
    error(('no dialect "%s"%s'):format(tostring(name), near.hint(name, DIALECTS)), 0)
  end
  dialect = require("perilune.dialects." .. name)
  loaded[name] = dialect
  return dialect
end

----------------------------------------------------------------------------------------------------------------------------
-- Requests

-- The same target comes again and again; its quirks are read when it first does.
local function read_quirks(target)
  local quirks = target.quirks
  if type(quirks) ~= "table" then
    target.quirks = quirks and assert(json.decode(quirks)) or {}
  end
end

-- What was kept of an earlier answer goes back into the history where the client lost it.
local function recall_thoughts(message, recall)
  local first, thought = true, false
  for _, part in ipairs(message.parts) do
    thought = thought or (part.kind == "reasoning" and (part.state ~= nil or part.text ~= nil))
  end
  local found
  for _, part in ipairs(message.parts) do
    if part.kind == "call" and (first and not thought or not part.signature) then
      local text = recall(part.id)
      local kept = text and json.read(text)
      if type(kept) == "table" then
        part.signature = part.signature or kept.signature
        found = found or (first and not thought and type(kept.parts) == "table" and kept.parts) or nil
      end
      first = false
    end
  end
  for i = found and #found or 0, 1, -1 do
    table.insert(message.parts, 1, found[i])
  end
end

local function recall_all(request, recall)
  for _, message in ipairs(request.messages) do
    if message.role == "assistant" then
      recall_thoughts(message, recall)
    end
  end
end

-- A step's overrides, by OpenAI's names; what is not one of them goes to the wire as it is, as do the members of `extra`.
local function set_params(request, params)
  local wire, chat = {}, dialect_of "openai_chat"
  for _, param in ipairs(params) do
    local name, raw = param[1], param[2]
    if name == "extra" and json.kind(raw) == "object" then
      for _, member in ipairs(json.members(raw)) do
        wire[#wire + 1] = { key = member.key, raw = member.raw }
      end
    elseif not chat.set(request, name, raw) then
      wire[#wire + 1] = { key = name, raw = raw }
    end
  end
  return wire
end

local function translate(to, request, setup, drops)
  if setup.recall then
    recall_all(request, setup.recall)
  end
  local wire = setup.params[1] and set_params(request, setup.params)
  local http, problem = to.build(request, setup.target, drops)
  if http and wire and wire[1] then
    http.body = assert(json.splice(http.body, wire))
  end
  return http, problem
end

---@class perilune.AdapterSetup
---@field client string the client's dialect
---@field spoken string the one the target is spoken to in
---@field target perilune.AimedAt but with `quirks` as JSON, or nil
---@field body string
---@field stream boolean
---@field keep_usage boolean the client wants the chunk with the usage
---@field refuse boolean what the target can not do is an error
---@field params perilune.Param[] overrides
---@field id string
---@field created integer
---@field input_tokens integer estimated
---@field recall? fun(call_id: string): string|nil what was kept for a call

---@return perilune.Http|nil, perilune.Problem|nil
local function make(from, to, request, setup)
  local drops = shape.drops(setup.refuse)
  local http, problem
  if from == to then
    http, problem = to.edit(request, setup.body, setup.target, setup.params, drops)
  else
    http, problem = translate(to, request, setup, drops)
  end
  if not http then
    return nil, problem
  end
  http.dropped = drops:list()
  http.passes = from == to and not to.repair
  if setup.refuse and http.dropped then
    return nil, { message = ("%s can not take: %s."):format(setup.target.id, http.dropped), param = drops.names[1] }
  end
  return http
end

-- A body so large leaves so much behind when it is read that it is swept up before the next one is made of it: memory has a cap, and
-- Lua, which counts pieces and not bytes, would come to it much later.
local LARGE = 1024 * 1024

-- What is large in a request and of no use to its answer. Streams are open for minutes, and there are many.
local function forget_history(request)
  local fields = request.fields
  request.messages, fields.messages, fields.input, fields.system = nil, nil, nil, nil
end

--- Builds the upstream request and begins its answer. With `http.passes` that comes in the client's dialect and needs nothing: the core
--- lets it through as it is.
---@param setup perilune.AdapterSetup
---@return integer|nil handle, perilune.Http|string http_or_why, string|nil param
function M.open(setup)
  local from, to = dialect_of(setup.client), dialect_of(setup.spoken)
  read_quirks(setup.target)
  local request, problem = from.read(setup.body)
  if not request and from == to and to.edits_unread then
    request = { messages = {}, fields = {}, extra = {} }
  elseif not request then
    return nil, problem.message, problem.param
  end
  request.stream, request.wants_usage = setup.stream, setup.keep_usage
  if #setup.body > LARGE then
    setup.body = from == to and setup.body or nil
    collectgarbage()
  end
  local http
  http, problem = make(from, to, request, setup)
  if not http then
    return nil, problem.message, problem.param
  end
  forget_history(request)
  local context = {
    id = setup.id, created = setup.created, input_tokens = setup.input_tokens, request = request,
    model = setup.target.model, upstream = setup.target.upstream, provider = setup.target.provider,
    native = setup.target.native,
  }
  last = last + 1
  streams[last] = {
    from = from, to = to, context = context,
    repair = from == to and to.repair and to.repair(context) or nil,
    reader = setup.stream and to.reader() or nil,
    options = { emulated = http.emulated, names = http.names, keep = FORGETFUL[setup.client] and from ~= to },
  }
  return last, http
end

----------------------------------------------------------------------------------------------------------------------------
-- Answers

local function stream_of(handle)
  local s = streams[handle]
  if not s then
    error("no open stream " .. tostring(handle), 0)
  end
  return s
end

-- Streams have one relay from the first event to the last.
local function relay_of(s)
  if not s.relay then
    s.relay = relay.new(s.repair and relay.silent() or s.from.writer(s.context), s.context, s.options)
  end
  return s.relay
end

-- Tells the relay of an event. Where streams are repaired the first of its results is what the client gets.
local function hear(s, r, event, data)
  local source = s.repair or s.reader
  r.seen.content, r.seen.text, r.told = false, 0, 0
  local heard, why = source:feed(r, event, data)
  if (s.repair and s.repair.reader or s.reader).looked then
    r.told = 0
  end
  return heard, why
end

--- One event.
---@param handle integer
---@param event string|nil its name
---@param data string
---@return string|nil out, perilune.RelaySeen|string seen_or_why, integer|nil flags see Relay:flags(); most events need no more of `seen`
function M.feed(handle, event, data)
  local s = stream_of(handle)
  local r = s.relay or relay_of(s)
  local heard, why = hear(s, r, event, data)
  if not heard then
    return nil, why
  end
  return s.repair and heard or r:take(), r.seen, r:flags()
end

--- Events that were answered without us, because they were like one before but for a text: as one event with all of the text. What it
--- would make has been made.
---@param handle integer
---@param event string|nil
---@param data string
---@param n integer so many they were
---@return perilune.RelaySeen|nil, string|nil
function M.catch_up(handle, event, data, n)
  local s = stream_of(handle)
  local r = relay_of(s)
  local heard, why = hear(s, r, event, data)
  if not heard then
    return nil, why
  end
  r:take()
  if r.writer.skip then
    r.writer:skip(n - 1)
  end
  return r.seen
end

--- What is known of a dialect's events and needs no dialect: see perilune.Echo.
---@param name string
---@return perilune.Echo
function M.echo(name)
  return dialect_of(name).echo or {}
end

--- The stream ended well.
---@param handle integer
---@return string|nil out, perilune.RelaySeen|string seen_or_why
function M.finish(handle)
  local s = stream_of(handle)
  local r = relay_of(s)
  r.seen.text = 0
  if s.reader.finish then
    s.reader:finish(r)
  end
  if r.seen.error then
    return "", r.seen
  end
  local ok, why = r:done()
  if not ok then
    return nil, why
  end
  return r:take(), r.seen
end

--- A whole answer.
---@param handle integer
---@param body string
---@return string|nil out, perilune.RelaySeen|string seen_or_why
function M.answer(handle, body)
  local s = stream_of(handle)
  local collector = relay.collector(OBJECTS[s.from.name])
  local r = relay.new(s.repair and relay.silent() or collector, s.context, s.options)
  local out, why
  if s.repair then
    out, why = s.repair:answer(r, body)
  else
    out, why = s.to.read_answer(body, r)
  end
  if not out then
    return nil, why
  end
  if r.seen.error then
    return "", r.seen
  end
  local ok
  ok, why = r:done()
  if not ok or collector.broken then
    return nil, why or collector.broken
  end
  return s.repair and out or s.from.write_answer(collector.answer, s.context), r.seen
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
