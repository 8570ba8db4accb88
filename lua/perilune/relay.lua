--- Between a reader and a writer: what a provider said, put right, and told in order.
---
--- The one sink (perilune.Sink in perilune.shape). Readers tell what they see; here calls get their numbers, ids and arguments,
--- finish reasons the truth about calls, usage is gathered, and a writer that can say one thing at a time is told one at a time. Streams
--- and whole answers go the same way: of a whole one the writer is a collector().
local json = require "perilune.json"
local pieces = require "perilune.pieces"

local M = {}

local type, concat, setmetatable = type, table.concat, setmetatable

local NOTHING = {}
local MAX_INDEX = 1000 -- of a choice; no service gives so many
local MAX_SIZE = 16 * 1024 * 1024 -- bytes of an answer: some of it is held until its end, beside that of others

---@class perilune.RelaySeen what one event, or one answer, was
---@field content boolean it held content for the client
---@field finished boolean every choice that began has its finish reason
---@field excused boolean one that needs no content: length, content filter
---@field ended boolean the provider's end mark came
---@field error boolean the provider says that it failed
---@field text integer bytes of text, thoughts, refusals and arguments that were told. Whoever feeds one sets it to 0
---@field message? string
---@field code? string
---@field type? string
---@field model? string
---@field keeps? { [1]: string, [2]: string }[] call ids, and what the model wants back with them

---@class perilune.Relay : perilune.Sink
---@field seen perilune.RelaySeen
---@field news boolean more of it than the five words has changed since flags() was asked
---@field told integer what an event said: 1 is a text or a piece of arguments and nothing else. Whoever feeds one sets it to 0
local Relay = {}
Relay.__index = Relay

---@class perilune.RelayCall
---@field n? integer its number for the writer, once that knows of it
---@field key any
---@field id? string
---@field name? string
---@field pieces perilune.Pieces of its arguments
---@field custom? boolean
---@field signature? string
---@field whole_only? boolean it is told when it is complete
---@field emulated? boolean its arguments are the content
---@field over? boolean no more of it comes
---@field closed? boolean the writer knows that, too

--- A relay for one answer.
---@param writer perilune.Writer
---@param context perilune.Context
--- `emulated` names a tool that stands in for a response format; `names` are the client's names of tools that had to go under another;
--- `keep` keeps what the model wants back.
---@param options? { emulated?: string, names?: table<string, string>, keep?: boolean }
---@return perilune.Relay
function M.new(writer, context, options)
  local customs, tools = NOTHING, context.request.tools
  for _, tool in ipairs(tools or NOTHING) do
    if tool.custom then
      customs = customs == NOTHING and {} or customs
      customs[tool.name] = true
    end
  end
  return setmetatable({
    writer = writer,
    sequential = writer.sequential,
    context = context,
    customs = customs,
    emulated = options and options.emulated,
    names = options and options.names or NOTHING,
    keep = options and options.keep,
    choices = {}, -- by index
    order = {}, -- as they began
    info = {},
    counts = {},
    ids = {}, -- of calls, each used once
    out = {},
    n_out = 0,
    begun = false,
    size = 0,
    news = false,
    told = 0,
    seen = { content = false, finished = false, excused = false, ended = false, error = false, text = 0 },
  }, Relay)
end

local function put(self, bytes)
  if bytes ~= "" then
    local n = self.n_out + 1
    self.n_out = n
    self.out[n] = bytes
  end
end

--- What the writer made since the last time.
---@return string
function Relay:take()
  local n, out = self.n_out, self.out
  if n == 0 then
    return ""
  end
  local bytes = n == 1 and out[1] or concat(out, "", 1, n)
  for i = n, 1, -1 do
    out[i] = nil
  end
  self.n_out = 0
  return bytes
end

--- What was seen in one number, for the core: one for content, finished, excused, ended, error by their bits from the lowest, 32 when
--- there is more to read in `seen` than was there at the last time, 64 when the event said one text and nothing else; from 128 up, how
--- many bytes of text it told.
---@return integer
function Relay:flags()
  local seen = self.seen
  local news = self.news
  self.news = false
  return (seen.content and 1 or 0) + (seen.finished and 2 or 0) + (seen.excused and 4 or 0) + (seen.ended and 8 or 0)
    + (seen.error and 16 or 0) + (news and 32 or 0) + (self.told == 1 and 64 or 0) + seen.text * 128
end

-- Counts what is said. What is too much ends the stream.
local function grow(self, text)
  self.size = self.size + #text
  if self.size > MAX_SIZE then
    self:fail { message = "The answer is larger than 16 MB." }
  end
end

-- Counts what a provider bills as output.
local function tell_text(self, text)
  self.seen.text = self.seen.text + #text
  grow(self, text)
end

-- Notes what is more than a text: an event that says it is not like others that say the same.
local function more(self)
  self.told = self.told + 2
end

local function is_index(n)
  return type(n) == "number" and n >= 0 and n <= MAX_INDEX and n % 1 == 0
end

-- What numbers no choice is about the first.
local function choice_of(self, index)
  local c = self.choices[index]
  if not c and not is_index(index) then
    index = 0
    c = self.choices[0]
  end
  if not c then
    c = { index = index, calls = {}, by_key = {}, n_calls = 0 }
    self.choices[index] = c
    self.order[#self.order + 1] = c
    self.seen.finished = false
  end
  return c
end

-- The writer hears of an answer when there is something to say: by then most of it is known.
local function start(self)
  self.begun = true
  local info = self.info
  put(self, self.writer:begin {
    id = info.id, model = info.model or self.context.model, created = info.created, service_tier = info.service_tier,
    fingerprint = info.fingerprint, usage = self.counts,
  })
end

local HEAD = { "id", "model", "created", "service_tier", "fingerprint" }

function Relay:begin(info)
  local known = self.info
  for i = 1, #HEAD do
    local key = HEAD[i]
    local value = info[key]
    if known[key] == nil and value ~= nil and value ~= "" then
      known[key] = value
    end
  end
  if known.model ~= self.seen.model then
    self.seen.model = known.model
    self.news = true
  end
end

----------------------------------------------------------------------------------------------------------------------------
-- One thing at a time

local function arguments_of(call)
  return pieces.join(call.pieces)
end

-- Whether a call's arguments are all there: one JSON object.
local function is_complete(call)
  return pieces.is_object(call.pieces)
end

local close_call

-- Whether something else than the call that is open may be said now. If not, it is put off until that call is over.
local function may_speak(self, c, method, ...)
  local open = c.open
  if not open or not self.sequential then
    return true
  end
  if is_complete(open) then
    close_call(self, c, open)
    return not c.open or may_speak(self, c, method, ...)
  end
  c.waiting = c.waiting or {}
  c.waiting[#c.waiting + 1] = { method, ... }
  return false
end

local function say_waiting(self, c)
  local waiting = c.waiting
  if not waiting then
    return
  end
  c.waiting = nil
  for i, w in ipairs(waiting) do
    w[1](self, c, w[2], w[3])
    if c.waiting then -- a call is open again: the rest waits behind what waits already
      for k = i + 1, #waiting do
        c.waiting[#c.waiting + 1] = waiting[k]
      end
      return
    end
  end
end

local function say(method, is_text, remember)
  local function speak(self, c, a, b)
    if not may_speak(self, c, speak, a, b) then
      return
    end
    if not self.begun then
      start(self)
    end
    put(self, self.writer[method](self.writer, c.index, a, b))
  end
  return function(self, choice, a, b)
    local c
    if a == nil then
      return
    elseif a ~= "" then
      c = choice_of(self, choice)
      self.seen.content = true
    elseif type(b) == "table" and next(b) then -- citations, log probabilities and signatures come behind their text, too
      c = choice_of(self, choice)
    else
      return
    end
    self.told = self.told + (is_text and type(b) ~= "table" and 1 or 2)
    if remember and self.keep then
      remember(c, a, b)
    end
    if is_text then
      tell_text(self, a)
    else
      grow(self, type(b) == "string" and b or type(a) == "string" and a or a.value or "") -- opaque, audio, a state
    end
    speak(self, c, a, b)
  end
end

-- What was thought before a call, to be given back with it.
local function remember_thought(c, text, summary)
  c.thoughts = c.thoughts or {}
  local last = c.thoughts[#c.thoughts]
  if not last or last.state then
    last = { kind = "reasoning", summary = summary or nil, pieces = {} }
    c.thoughts[#c.thoughts + 1] = last
  end
  last.pieces[#last.pieces + 1] = text
end

local function remember_state(c, state)
  c.thoughts = c.thoughts or {}
  local last = c.thoughts[#c.thoughts]
  if not last or last.state then
    last = { kind = "reasoning", pieces = {} }
    c.thoughts[#c.thoughts + 1] = last
  end
  last.state = state
end

Relay.text = say("text", true)
Relay.reasoning = say("reasoning", true, remember_thought)
local say_state = say("state", false, remember_state)

-- A state goes back to the model that was asked: not to the dated name it answers under.
function Relay:state(choice, state)
  state.model = self.context.upstream or state.model
  say_state(self, choice, state)
end

Relay.refusal = say("refusal", true)
Relay.audio = say "audio"
Relay.opaque = say "opaque"

----------------------------------------------------------------------------------------------------------------------------
-- Calls

local function unique_id(self, c, call)
  local id = call.id
  if not id or id == "" then
    id = ("call_%s%d"):format(self.context.id, c.index * 1000 + c.n_calls)
  end
  local base, k = id, 1
  while self.ids[id] do
    k = k + 1
    id = ("%s_%d"):format(base, k)
  end
  self.ids[id] = true
  return id
end

-- The writer hears of a call as soon as it has a name.
local function open_call(self, c, call)
  if call.n or call.closed or not may_speak(self, c, open_call, call) then
    return
  end
  if not self.begun then
    start(self)
  end
  call.id = unique_id(self, c, call)
  call.n = c.n_calls
  c.n_calls = c.n_calls + 1
  c.open = call
  put(self, self.writer:call(c.index, call.n, call.id, call.name, { custom = call.custom, signature = call.signature }))
  if call.pieces[1] and not call.whole_only then
    put(self, self.writer:arguments(c.index, call.n, arguments_of(call)))
  end
  if call.over then
    close_call(self, c, call)
  end
end

-- The bare input out of the arguments of a function that stands for a custom tool.
local function input_of(text)
  local value = json.read(text)
  return type(value) == "table" and type(value.input) == "string" and value.input or text
end

function close_call(self, c, call)
  if call.closed or not call.n then
    return
  end
  call.closed = true
  local text = arguments_of(call)
  local told = not call.whole_only and text or ""
  if call.whole_only then
    text = input_of(text)
  elseif not call.custom and not text:find "%S" then
    text = "{}"
  end
  if told ~= text then
    put(self, self.writer:arguments(c.index, call.n, text))
  end
  put(self, self.writer:call_done(c.index, call.n, text))
  if c.open == call then
    c.open = nil
    say_waiting(self, c)
  end
end

local function new_call(c, key)
  local call = { key = key, pieces = {} }
  c.calls[#c.calls + 1] = call
  c.by_key[key] = call
  return call
end

local function named(self, c, call)
  call.emulated = call.name == self.emulated
  if call.emulated then
    self:text(c.index, arguments_of(call))
    return
  end
  self.seen.content = true
  if self.customs[call.name] and not call.custom then
    call.custom, call.whole_only = true, true
  end
  open_call(self, c, call)
end

function Relay:call(choice, key, id, name, fields)
  more(self)
  local c = choice_of(self, choice)
  key = key == nil and (id or name or 0) or key
  local call = c.by_key[key]
  if not call or (id and id ~= "" and call.given_id and call.given_id ~= id) then
    call = new_call(c, key)
  end
  if id and id ~= "" and not call.given_id then
    call.given_id = id
    call.id = call.id or id
  end
  if fields then
    call.custom = call.custom or fields.custom
    call.signature = call.signature or fields.signature
  end
  if name and name ~= "" and not call.name then
    call.name = self.names[name] or name
    named(self, c, call)
  end
end

function Relay:arguments(choice, key, piece)
  if piece == "" then
    return
  end
  local c = choice_of(self, choice)
  local call = c.by_key[key] or new_call(c, key)
  if call.emulated then
    self:text(c.index, piece)
    return
  end
  self.told = self.told + 1
  tell_text(self, piece)
  call.pieces[#call.pieces + 1] = piece
  if call.n and not call.closed and not call.whole_only then
    put(self, self.writer:arguments(c.index, call.n, piece))
  end
end

function Relay:call_done(choice, key, whole)
  more(self)
  local c = choice_of(self, choice)
  local call = c.by_key[key]
  if not call then
    return
  end
  if whole and whole ~= "" and not call.pieces[1] then
    self:arguments(choice, key, whole)
  end
  call.over = true
  if call.n then
    close_call(self, c, call)
  end
end

----------------------------------------------------------------------------------------------------------------------------
-- Ends

function Relay:usage(usage)
  local counts = self.counts
  for name, n in pairs(usage) do
    if counts[name] ~= n then
      counts[name] = n
      self.seen[name] = n
      self.news = true
    end
  end
end

-- A plain stop says least.
local WEIGHT = { stop = 1, tool_calls = 2, length = 3, content_filter = 3 }

function Relay:finish(choice, reason, detail)
  more(self)
  local c = choice_of(self, choice)
  if not c.reason or WEIGHT[reason] > WEIGHT[c.reason] then
    c.reason = reason
  end
  c.stop_sequence = c.stop_sequence or (detail and detail.stop_sequence)
  local all = true
  for _, other in ipairs(self.order) do
    all = all and other.reason ~= nil
  end
  self.seen.finished = all
  self.seen.excused = self.seen.excused or reason == "length" or reason == "content_filter"
end

function Relay:fail(failure)
  local seen = self.seen
  seen.error = true
  self.news = true
  seen.message, seen.code, seen.type = failure.message, failure.code, failure.type
end

function Relay:stop()
  self.seen.ended = true
end

-- A call that never got a name can only be the one tool there is.
local function name_late(self, c, call)
  local tools = self.context.request.tools
  if not call.name and tools and #tools == 1 and call.pieces[1] then
    call.name = tools[1].name
    named(self, c, call)
  end
end

-- What calls want back next turn, for a client that has no place for it.
local function keep_thoughts(self, c)
  local thoughts = c.thoughts
  for i, t in ipairs(thoughts or {}) do
    thoughts[i] = { kind = t.kind, summary = t.summary, state = t.state, text = t.pieces[1] and concat(t.pieces) or nil }
  end
  for _, call in ipairs(c.calls) do
    if call.n and (thoughts or call.signature) then
      local keeps = self.seen.keeps or {}
      self.seen.keeps = keeps
      self.news = true
      keeps[#keeps + 1] = { call.id, json.encode { parts = thoughts, signature = call.signature } }
      thoughts = nil -- with the first call alone
    end
  end
end

--- The answer is over: what is left of it goes out. nil and a message when it can not be: a choice has no end.
---@return boolean|nil, string|nil
function Relay:done()
  local ends = {}
  for i, c in ipairs(self.order) do
    if not c.reason then
      return nil, "The answer ended without a finish reason."
    end
    for _, call in ipairs(c.calls) do
      call.over = true
      name_late(self, c, call)
      close_call(self, c, call)
    end
    local reason = c.reason
    if reason == "stop" and c.n_calls > 0 then
      reason = "tool_calls"
    elseif reason == "tool_calls" and c.n_calls == 0 then
      reason = "stop"
    end
    ends[i] = { choice = c.index, reason = reason, stop_sequence = c.stop_sequence }
    if self.keep then
      keep_thoughts(self, c)
    end
  end
  if not ends[1] then
    return nil, "The answer was empty."
  end
  if not self.begun then
    start(self)
  end
  put(self, self.writer:finish(ends, self.counts))
  return true
end

----------------------------------------------------------------------------------------------------------------------------
-- Writers of our own

local Collector = {}
Collector.__index = Collector

--- A writer that makes a whole answer of what it is told: `answer`, once finish() was called. With `objects`, arguments that were cut off
--- become "{}", because the client's dialect has no place for half an object.
---@param objects? boolean
---@return perilune.Writer
function M.collector(objects)
  return setmetatable({ objects = objects, parts = {}, answer = { choices = {} } }, Collector)
end

function Collector:begin(info)
  local answer = self.answer
  answer.id, answer.model, answer.created = info.id, info.model, info.created
  answer.service_tier, answer.fingerprint = info.service_tier, info.fingerprint
  return ""
end

local function add(self, choice, part)
  local parts = self.parts[choice]
  if not parts then
    parts = {}
    self.parts[choice] = parts
  end
  parts[#parts + 1] = part
  return part
end

-- The last part, when a piece of that kind goes on with it.
local function last(self, choice, kind)
  local parts = self.parts[choice]
  local part = parts and parts[#parts]
  return part and part.kind == kind and part
end

local function add_text(self, choice, kind, text)
  local part = last(self, choice, kind)
  if not part or part.signature or part.state then
    part = add(self, choice, { kind = kind, text = "" })
  end
  part.pieces = part.pieces or { part.text }
  part.pieces[#part.pieces + 1] = text
  return part
end

local function put_together(parts)
  for _, part in ipairs(parts) do
    part.text = part.pieces and concat(part.pieces) or part.text
    part.pieces = nil
  end
end

-- Two lists, or two objects of lists under the same names, as one.
local function joined(a, b)
  if not a or not b then
    return a or b
  elseif json.kind(a) == "array" and json.kind(b) == "array" then
    local items = json.items(a)
    for _, item in ipairs(json.items(b)) do
      items[#items + 1] = item
    end
    return "[" .. concat(items, ",") .. "]"
  end
  local edits = {}
  for _, member in ipairs(json.kind(a) == "object" and json.kind(b) == "object" and json.members(b) or {}) do
    local known = json.fields(a)[member.key]
    if json.kind(member.raw) == "array" then
      edits[#edits + 1] = { key = member.key, raw = json.kind(known) == "array" and joined(known, member.raw) or member.raw }
    end
  end
  return json.splice(a, edits)
end

function Collector:text(choice, text, extra)
  local part = add_text(self, choice, "text", text)
  if extra then
    part.signature = extra.signature
    part.annotations = joined(part.annotations, extra.annotations)
    self.logprobs = self.logprobs or {}
    self.logprobs[choice] = joined(self.logprobs[choice], extra.logprobs)
  end
  return ""
end

function Collector:reasoning(choice, text, summary)
  local part = last(self, choice, "reasoning")
  if part and part.text and (part.summary or false) ~= (summary or false) then
    add(self, choice, { kind = "reasoning", text = "" })
  end
  add_text(self, choice, "reasoning", text).summary = summary or nil
  return ""
end

function Collector:state(choice, state)
  local part = last(self, choice, "reasoning")
  if not part or part.state then
    part = add(self, choice, { kind = "reasoning" })
  end
  part.state = state
  return ""
end

function Collector:refusal(choice, text)
  add_text(self, choice, "refusal", text)
  return ""
end

function Collector:audio(choice, raw)
  self.audios = self.audios or {}
  self.audios[choice] = raw
  return ""
end

function Collector:opaque(choice, dialect, raw)
  add(self, choice, { kind = "opaque", dialect = dialect, raw = raw })
  return ""
end

function Collector:call(choice, n, id, name, fields)
  local part = add(self, choice, { kind = "call", id = id, name = name, arguments = "" })
  part.custom, part.signature = fields.custom, fields.signature
  self.calls = self.calls or {}
  self.calls[choice] = self.calls[choice] or {}
  self.calls[choice][n] = part
  return ""
end

function Collector.arguments()
  return ""
end

function Collector:call_done(choice, n, whole)
  self.calls[choice][n].arguments = whole
  return ""
end

-- A call whose arguments are no object; nil when all are.
local function broken_call(parts)
  for _, part in ipairs(parts) do
    local whole = json.kind(part.arguments) == "object" and json.valid(part.arguments)
    if part.kind == "call" and not part.custom and not whole then
      return part
    end
  end
  return nil
end

function Collector:finish(ends, usage)
  local answer = self.answer
  answer.usage = usage
  for i, e in ipairs(ends) do
    local parts = self.parts[e.choice] or {}
    put_together(parts)
    local broken = broken_call(parts)
    if broken and e.reason ~= "length" then
      self.broken = ("The arguments of the call of %s are no JSON object."):format(broken.name)
    end
    while broken and self.objects do
      broken.arguments = "{}"
      broken = broken_call(parts)
    end
    answer.choices[i] = {
      index = e.choice, parts = parts, finish = e.reason, stop_sequence = e.stop_sequence,
      logprobs = self.logprobs and self.logprobs[e.choice], audio = self.audios and self.audios[e.choice],
    }
  end
  return ""
end

-- Says nothing: for answers that pass as they came, or repaired, where the relay only looks.
local Silent = {}

local WORDS = { "begin", "text", "reasoning", "state", "refusal", "audio", "opaque", "call", "arguments", "call_done", "finish" }

for _, name in ipairs(WORDS) do
  Silent[name] = function()
    return ""
  end
end

--- A writer that says nothing.
---@return perilune.Writer
function M.silent()
  return Silent
end

return M
