--- The neutral shape: what every dialect is read into and written from. One page for all of it is docs/dialects.md.
---
---   request  client's bytes --dialect.read--> Request --dialect.build--> provider's bytes
---   answer   provider's bytes --dialect.reader--> sink (perilune.relay) --dialect.writer--> client's bytes
---
--- Values that are opaque to us (schemas, tool input, metadata, unknown fields) stay raw slices of JSON (perilune.json) all the way. Sampling
--- numbers are raw too, so that 0.7 stays 0.7. What is nil was not said; a null counts as not said.
local M = {}

----------------------------------------------------------------------------------------------------------------------------
-- Requests

---@alias perilune.Role "system"|"user"|"assistant"|"tool"

---@class perilune.Request
---@field stream boolean
---@field wants_usage boolean the client wants the chunk with the usage (Chat Completions; true in all other dialects)
---@field messages perilune.Message[]
---@field max_tokens? integer
---@field temperature? perilune.Raw a number
---@field top_p? perilune.Raw
---@field top_k? perilune.Raw
---@field frequency_penalty? perilune.Raw
---@field presence_penalty? perilune.Raw
---@field seed? perilune.Raw
---@field n? integer
---@field stop? string[]
---@field logprobs? boolean
---@field top_logprobs? perilune.Raw
---@field logit_bias? perilune.Raw
---@field tools? perilune.Tool[]
---@field tool_choice? perilune.ToolChoice
---@field parallel? boolean parallel tool calls
---@field format? perilune.Format
---@field reasoning? perilune.ReasoningWish
---@field verbosity? string
---@field user? string who the client's own user is
---@field cache_key? string
---@field service_tier? string
---@field store? boolean
---@field metadata? perilune.Raw
---@field modalities? perilune.Raw
---@field audio? perilune.Raw how spoken answers should sound
---@field prediction? perilune.Raw
---@field web_search? perilune.Raw
---@field fields table<string, perilune.Raw> the body's own top-level members: Responses echoes some of them
---@field extra { [1]: string, [2]: perilune.Raw }[] fields the dialect does not know, in order; they go only to a target of the same dialect
---@field dialect string what it was read from

---@class perilune.Message
---@field role perilune.Role "tool" holds results and nothing else; all results of a turn are one message
---@field parts perilune.Part[]
---@field name? string

---@class perilune.Part one of the kinds below
---@field kind "text"|"image"|"audio"|"file"|"call"|"result"|"reasoning"|"refusal"|"opaque"
---@field cache? perilune.Raw Anthropic's cache_control
---
--- text      text, signature?
--- image     url? | data? + mime? | file_id?, detail?
--- audio     data? + format? | id? (one the assistant spoke)
--- file      data? + mime? | url? | file_id? | text?, name?
--- call      id, name, arguments (JSON of an object, always valid; of a custom tool: its bare input), custom?, signature?
--- result    id, name?, parts (text, image, file, opaque), error?
--- reasoning text?, summary?, state? (perilune.State), by?, model?
--- refusal   text
--- opaque    dialect, raw: a block only one dialect knows; others drop it and say so
---@field text? string
---@field url? string
---@field data? string base64
---@field mime? string
---@field file_id? string
---@field detail? string
---@field format? string
---@field id? string
---@field name? string
---@field arguments? string
---@field custom? boolean
---@field signature? string Gemini's thoughtSignature, of this very part
---@field parts? perilune.Part[]
---@field error? boolean
---@field summary? boolean
---@field state? perilune.State
---@field dialect? string
---@field raw? perilune.Raw

---@class perilune.State what a model wants back next turn, and nobody else understands
---@field kind "signature"|"redacted"|"encrypted" of the reasoning's text; instead of it (Anthropic); beside a summary (OpenAI)
---@field value string
---@field id? string the item's own id (Responses)
---@field by string the dialect it came from; it goes back to that one alone
---@field model? string the upstream model that made it; Anthropic's goes back to that one alone

---@class perilune.Tool
---@field name string
---@field description? string
---@field schema? perilune.Raw JSON Schema of the arguments; nil: none
---@field strict? boolean
---@field custom? boolean takes text instead of JSON
---@field grammar? perilune.Raw the `format` of a custom tool
---@field cache? perilune.Raw
---@field hosted? { dialect: string, type: string, raw: perilune.Raw } a tool the provider runs: goes only to that dialect

---@class perilune.ToolChoice
---@field mode "auto"|"none"|"required"|"named"
---@field name? string of "named"
---@field custom? boolean the named tool is a custom one
---@field names? string[] only these may be called ("auto" or "required")

---@class perilune.Format
---@field kind "text"|"json"|"schema"
---@field name? string
---@field schema? perilune.Raw
---@field strict? boolean
---@field description? string

---@class perilune.ReasoningWish
---@field effort? "none"|"minimal"|"low"|"medium"|"high"|"xhigh"|"max"
---@field budget? integer tokens
---@field summary? string how it should be told: "auto", "concise", "detailed"
---@field hidden? boolean it should not be told

---@class perilune.Problem why a request can not be read or built: a 400
---@field message string
---@field param? string "messages[3].content"

---@class perilune.AimedAt what a dialect knows of the target it builds for
---@field id string "anthropic/claude-sonnet-4-6"
---@field model string
---@field upstream string the vendor's name, which goes on the wire
---@field provider string
---@field native boolean OpenAI's own service: it takes all of Chat Completions
---@field dialect string
---@field context? integer
---@field max_output? integer
---@field abilities table<string, boolean>
---@field quirks perilune.Quirks never nil

---@class perilune.Http what goes up
---@field path string behind the base URL
---@field body string
---@field headers? string[] "name: value", in the place of the provider's own of that name
---@field emulated? string name of a tool that stands in for a response format: its arguments are the content
---@field names? table<string, string> tools whose names the dialect can not write: as sent -> as the client knows it, for its calls on the way back

---@class perilune.Drops what had to be left out; one for each build
---@field refuse boolean by setting: it is an error instead
---@field add fun(self: perilune.Drops, name: string) a field's OpenAI name ("logprobs", "messages[2].image")

----------------------------------------------------------------------------------------------------------------------------
-- Dialects

---@class perilune.Dialect a module lua/perilune/dialects/<name>.lua; pure: no I/O, no clock, no globals
---@field name string
---
--- Requests.
---@field read fun(body: string): perilune.Request|nil, perilune.Problem|nil the client's bytes
---@field build fun(request: perilune.Request, target: perilune.AimedAt, drops: perilune.Drops): perilune.Http|nil, perilune.Problem|nil
--- The same dialect on both sides: the client's own bytes with what must change (model, params, quirks). `params`: see below.
--- With `edits_unread`, edit() takes bodies as well that read() refuses.
---@field edits_unread? boolean
---@field edit fun(request: perilune.Request, body: string, target: perilune.AimedAt, params: perilune.Param[], drops: perilune.Drops): perilune.Http|nil, perilune.Problem|nil
---
--- Answers: `sink` is a perilune.Sink. False and a message: not the dialect.
---@field read_answer fun(body: string, sink: perilune.Sink): boolean, string|nil a whole one
---@field reader fun(): perilune.Reader of a stream
---@field write_answer fun(answer: perilune.Answer, context: perilune.Context): string
---@field writer fun(context: perilune.Context): perilune.Writer
--- The same dialect on both sides, for providers that break it: an event or a whole answer, as it came or repaired. Without it they pass
--- through the core as they come.
---@field repair? fun(context: perilune.Context): perilune.Repair

---- Events of a stream that may be answered without asking again (core/script/echo.h). A dialect whose readers look into texts has none.
---@field echo? perilune.Echo

---@class perilune.Echo names of members, with spaces between them
---@field texts? string of what is read: all that are told to the sink as they are, as texts or pieces of arguments
---@field loose? string of what is read: numbers and strings of which only the last counts, and those that nobody reads
---@field counter? string of what is written: one more in each event

---@alias perilune.Param { [1]: string, [2]: perilune.Raw|nil } a step's override: OpenAI's name and JSON; no JSON takes the field out

---@class perilune.Context what an answer needs of this world
---@field id string the request's own id: 26 letters and digits; dialects put their prefix in front ("chatcmpl-", "msg_", "resp_")
---@field created integer Unix time, seconds
---@field model string the name to give where the provider named none
---@field upstream string the vendor's name of the model that was asked
---@field provider string
---@field native boolean OpenAI's own service: its answers are what its reference says
---@field input_tokens integer estimated
---@field request perilune.Request

---@class perilune.Usage all counts whole; nil: not said
---@field input_tokens? integer all of the prompt: what was read from a cache and written to one included
---@field output_tokens? integer all of the answer, reasoning included
---@field cached_tokens? integer part of input
---@field cache_write_tokens? integer part of input
---@field cache_write_1h_tokens? integer part of cache_write_tokens: those kept for an hour
---@field reasoning_tokens? integer part of output
---@field total_tokens? integer

---@alias perilune.Finish "stop"|"length"|"tool_calls"|"content_filter"

---@class perilune.Reader reads a provider's stream into a sink
---@field feed fun(self, sink: perilune.Sink, event: string|nil, data: string): boolean, string|nil false and a message: not the dialect
---@field finish? fun(self, sink: perilune.Sink) the bytes are over
---@field looked? boolean what a piece meant hung on the texts before it: no event may be taken for one like the last

--- What readers call (perilune.relay is the one there is). It repairs, so readers tell what they see and no more: empty deltas, missing or
--- repeated ids, calls without a name yet, arguments that are no JSON, a finish of "stop" after calls are all taken care of. `choice` counts
--- from 0. Anything may be said before begin() or more than once. Log probabilities and annotations have Chat Completions' own form: the object
--- with `content`, the list of nested citations.
---@class perilune.Sink
---@field begin fun(self, info: { id?: string, model?: string, created?: integer, service_tier?: string, fingerprint?: string })
---@field text fun(self, choice: integer, text: string, extra?: { signature?: string, logprobs?: perilune.Raw, annotations?: perilune.Raw }) a piece
---@field reasoning fun(self, choice: integer, text: string, summary?: boolean) a piece
---@field state fun(self, choice: integer, state: perilune.State) belongs to the reasoning just told, or stands alone
---@field refusal fun(self, choice: integer, text: string) a piece
--- A call is first seen, or seen again: `key` tells calls apart (an index, an id, a name); id and name may be nil or "".
---@field call fun(self, choice: integer, key: any, id: string|nil, name: string|nil, fields?: { custom?: boolean, signature?: string })
---@field arguments fun(self, choice: integer, key: any, piece: string) a piece of its arguments' JSON text (custom: of its input)
---@field call_done fun(self, choice: integer, key: any, whole?: string) no more of it comes; `whole` wins when no piece came
---@field audio fun(self, choice: integer, raw: perilune.Raw) Chat Completions' own audio object, a delta or whole
---@field opaque fun(self, choice: integer, dialect: string, raw: perilune.Raw) a block only that dialect knows
---@field usage fun(self, usage: perilune.Usage) set, not added: of each count the last one that was said
---@field finish fun(self, choice: integer, reason: perilune.Finish, detail?: { stop_sequence?: string })
---@field fail fun(self, error: { message: string, code?: string, type?: string }) the provider says that it failed
---@field stop fun(self) the dialect's own end mark

--- What relay calls on a writer. Each returns bytes for the client, whole events, or "". Promised: begin() first and once; no empty pieces; of
--- a call first call(), then arguments(), then call_done(), with `n` dense from 0 in its choice, id and name not empty and ids unique,
--- `arguments` in the end one JSON object ("{}" for none; custom tools: any text); finish() once, last, with every choice that began. With `sequential`
--- set, no piece of anything comes between call() and call_done() of another call.
---@class perilune.Writer
---@field sequential? boolean
---@field begin fun(self, info: { id?: string, model: string, created?: integer, service_tier?: string, fingerprint?: string, usage: perilune.Usage }): string `usage`: as far as it is known by then
---@field text fun(self, choice: integer, text: string, extra?: table): string
---@field reasoning fun(self, choice: integer, text: string, summary?: boolean): string
---@field state fun(self, choice: integer, state: perilune.State): string
---@field refusal fun(self, choice: integer, text: string): string
---@field call fun(self, choice: integer, n: integer, id: string, name: string, fields: { custom?: boolean, signature?: string }): string
---@field arguments fun(self, choice: integer, n: integer, piece: string): string
---@field call_done fun(self, choice: integer, n: integer, whole: string): string
---@field audio fun(self, choice: integer, raw: perilune.Raw): string
---@field opaque fun(self, choice: integer, dialect: string, raw: perilune.Raw): string
---@field skip? fun(self, n: integer) so many events more have gone out: of dialects that count them
---@field finish fun(self, ends: { choice: integer, reason: perilune.Finish, stop_sequence?: string }[], usage: perilune.Usage): string all that is left, the dialect's end event included, but for Chat Completions' [DONE], which the core writes

---@class perilune.Answer a whole one, repaired and promised as above
---@field id? string the provider's
---@field model string
---@field created? integer
---@field service_tier? string
---@field fingerprint? string
---@field choices { index: integer, parts: perilune.Part[], finish: perilune.Finish, stop_sequence?: string, logprobs?: perilune.Raw, audio?: perilune.Raw }[]
---@field usage perilune.Usage

---@class perilune.Repair
---@field reader perilune.Reader
---@field feed fun(self, sink: perilune.Sink, event: string|nil, data: string): string|nil, string|nil the event's bytes, "" to leave it out; nil and a message. It tells the sink what it saw, and the sink writes nothing.
---@field answer fun(self, sink: perilune.Sink, body: string): string|nil, string|nil

----------------------------------------------------------------------------------------------------------------------------
-- Small things all dialects share

--- Efforts from least to most.
M.efforts = { "none", "minimal", "low", "medium", "high", "xhigh", "max" }

local EFFORT_RANK = {}
for i, name in ipairs(M.efforts) do
  EFFORT_RANK[name] = i
end

--- The nearest effort a target takes: the wish itself, else the next lower one there is, else the lowest; nil for a word that is no effort.
---@param effort string
---@param taken? string[] nil: all
---@return string|nil
function M.nearest_effort(effort, taken)
  local rank = EFFORT_RANK[effort]
  if not rank or not taken then
    return rank and effort
  end
  local best, lowest
  for _, name in ipairs(taken) do
    local r = EFFORT_RANK[name]
    if r and r <= rank and (not best or r > EFFORT_RANK[best]) then
      best = name
    end
    if r and (not lowest or r < EFFORT_RANK[lowest]) then
      lowest = name
    end
  end
  return best or lowest
end

-- Where a vendor counts tokens instead: what the field's converters use, all above Anthropic's minimum of 1,024.
local BUDGETS = { minimal = 1024, low = 2048, medium = 8192, high = 16384, xhigh = 32768, max = 65536 }

--- Tokens of thinking for a wish; 0 for none; nil when nothing was wished.
---@param wish perilune.ReasoningWish|nil
---@return integer|nil
function M.budget_of(wish)
  if not wish then
    return nil
  end
  return wish.budget or (wish.effort == "none" and 0) or BUDGETS[wish.effort]
end

--- The effort of a wish that counts tokens.
---@param wish perilune.ReasoningWish|nil
---@return string|nil
function M.effort_of(wish)
  if not wish then
    return nil
  end
  if wish.effort or not wish.budget then
    return wish.effort
  end
  for _, name in ipairs { "minimal", "low", "medium", "high", "xhigh" } do
    if wish.budget <= BUDGETS[name] then
      return wish.budget <= 0 and "none" or name
    end
  end
  return "max"
end

--- A signature in one text, for dialects that have a place for one of their own kind only (a thinking block's `signature`, a reasoning item's
--- `encrypted_content`, a redacted block's `data`). Native ones go out as they are; see unseal().
---@param state perilune.State
---@param native string the dialect it is written in
---@return string
function M.seal(state, native)
  if state.by == native then
    return state.value
  end
  return ("pl1.%s.%s.%s.%s"):format(state.by, state.kind, (state.model or ""):gsub("[^%w/:_@-]", function(c)
    return ("%%%02x"):format(c:byte())
  end), state.value)
end

--- The other way: a state of another dialect that was sealed, or a native one.
---@param text string
---@param native string
---@param kind "signature"|"redacted"|"encrypted" of a native one
---@return perilune.State
function M.unseal(text, native, kind)
  local by, its_kind, model, value = text:match "^pl1%.([%w_]+)%.(%l+)%.([^.]*)%.(.*)$"
  if not by then
    return { kind = kind, value = text, by = native }
  end
  model = model:gsub("%%(%x%x)", function(hex)
    return string.char(tonumber(hex, 16))
  end)
  return { kind = its_kind, value = value, by = by, model = model ~= "" and model or nil }
end

--- Whether a state may go back to a target.
---@param state perilune.State
---@param target perilune.AimedAt
---@return boolean
function M.goes_back(state, target)
  return state.by == target.dialect and (state.model == nil or state.model == target.upstream)
end

--- The text of a message's parts, joined.
---@param parts perilune.Part[]
---@param between? string "" unless given
---@return string
function M.text_of(parts, between)
  local out = {}
  for _, part in ipairs(parts) do
    if part.kind == "text" and part.text ~= "" then
      out[#out + 1] = part.text
    end
  end
  return table.concat(out, between or "")
end

--- Whether a text says nothing: empty, or white space alone.
---@param text string|nil
---@return boolean
function M.is_blank(text)
  return not text or not text:find "%S"
end

--- Fields that set how answers are sampled.
M.sampling = { "temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty" }

--- The arguments of a function that stands in for a custom tool, which takes text.
M.custom_schema = '{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}'

--- Names as a set; none for nil.
---@param names string[]|nil
---@return table<string, boolean>
function M.set_of(names)
  local set = {}
  for _, name in ipairs(names or {}) do
    set[name] = true
  end
  return set
end

--- Fields a target does not take, as a set: those its quirks list, and sampling where it refuses that.
---@param quirks perilune.Quirks
---@return table<string, boolean>
function M.refused(quirks)
  local refused = M.set_of(quirks.unsupported)
  for _, name in ipairs(quirks.no_sampling and M.sampling or {}) do
    refused[name] = true
  end
  return refused
end

--- A field's value if the target takes it; one that was said and is not taken is noted.
---@generic T
---@param build { refused: table<string, boolean>, drops: perilune.Drops } one under way
---@param name string
---@param value T|nil
---@return T|nil
function M.taken(build, name, value)
  if value ~= nil and build.refused[name] then
    build.drops:add(name)
    return nil
  end
  return value
end

--- Notes what could not be said of a message.
---@param build { drops: perilune.Drops }
---@param item { at: integer } where it stands: see perilune.turns
---@param what string
function M.drop_part(build, item, what)
  build.drops:add(("messages[%d].%s"):format(item.at, what))
end

local Drops = {}
Drops.__index = Drops

-- A long history has a thousand pictures, and a tool's type is any text of the client's: more names, or longer ones, nobody reads.
local DROPS, DROP_BYTES = 64, 80

--- What had to be left out, of one build.
---@param refuse? boolean
---@return perilune.Drops
function M.drops(refuse)
  return setmetatable({ refuse = refuse or false, names = {}, known = {}, more = false }, Drops)
end

--- Notes one; the same name once.
function Drops:add(name)
  if self.known[name] then
    return
  elseif #self.names == DROPS then
    self.more = true
    return
  end
  self.known[name] = true
  self.names[#self.names + 1] = #name > DROP_BYTES and name:sub(1, DROP_BYTES) .. "..." or name
end

--- As x-route-dropped has them: "logprobs, seed"; nil for none.
---@return string|nil
function Drops:list()
  return self.names[1] and table.concat(self.names, ", ") .. (self.more and ", ..." or "")
end

return M
