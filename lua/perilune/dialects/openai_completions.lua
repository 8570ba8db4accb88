--- OpenAI's older Completions, for clients alone: a prompt is one message of the user, its completion the assistant's text.
---
--- Services that speak it get the client's bytes as they came, so that there is nothing here to build for them or to read of theirs. A
--- prompt without a bound on the answer stays without one: the 16 tokens of old would all be spent on thinking today.
local json = require "perilune.json"
local fields = require "perilune.dialects.chat_fields"
local chat = require "perilune.dialects.chat_writer"

local M = { name = "openai_completions" }

local quote, concat, setmetatable = json.quote, table.concat, setmetatable
local fail, said = fields.fail, fields.said

-- What only a model that completes can do, and what each means when it asks for nothing.
local IMPOSSIBLE = {
  suffix = function(raw)
    return json.text(raw) == ""
  end,
  echo = function(raw)
    return json.kind(raw) == "boolean" and raw:find "false" ~= nil
  end,
  best_of = function(raw)
    return json.number(raw) == 1
  end,
  logprobs = function()
    return false
  end,
}

local function prompt_of(raw)
  local kind = json.kind(raw)
  if kind == "array" then
    local items = fields.list("prompt", raw)
    if #items ~= 1 then
      fail("prompt", "a chat model takes one prompt, as a string")
    end
    raw, kind = items[1], json.kind(items[1])
  end
  if kind ~= "string" then
    fail("prompt", raw and "a chat model takes a prompt as a string, not as tokens" or "it is missing")
  end
  return json.text(raw)
end

local function read(body)
  local members, keys = json.ordered(body)
  if not members then
    return nil, { message = "The request is not JSON: " .. keys .. "." }
  end
  local request = { stream = false, wants_usage = false, messages = {}, fields = members, extra = {}, dialect = M.name }
  local plain = {}
  for _, key in ipairs(keys) do
    local harmless = IMPOSSIBLE[key]
    if not harmless and key ~= "prompt" then
      plain[#plain + 1] = key
    elseif harmless and said(members[key]) and not harmless(members[key]) then
      fail(key, "a chat model can not do this")
    end
  end
  fields.read(request, plain)
  request.messages[1] = { role = "user", parts = { { kind = "text", text = prompt_of(said(request.fields.prompt)) } } }
  return request
end

--- Reads a client's request.
---@param body string
---@return perilune.Request|nil, perilune.Problem|nil
function M.read(body)
  return fields.guard(read, body)
end

----------------------------------------------------------------------------------------------------------------------------
-- Answers

-- There are no calls to end with.
local function reason_of(reason)
  return reason == "tool_calls" and "stop" or reason
end

local function head_of(info, context)
  local id = info.id and info.id ~= "" and info.id or "cmpl-" .. context.id
  return ('{"id":%s,"object":"text_completion","created":%d,"model":%s%s%s,"choices":['):format(quote(id),
    info.created or context.created, quote(info.model), chat.optional("service_tier", info.service_tier),
    chat.optional("system_fingerprint", info.fingerprint))
end

---@class perilune.CompletionsWriter : perilune.Writer
local Writer = {}
Writer.__index = Writer

function Writer:begin(info)
  self.head = "data: " .. head_of(info, self.context)
  return ""
end

local function piece(self, index, text, reason)
  return self.head .. '{"text":' .. quote(text) .. ',"index":' .. index .. ',"logprobs":null,"finish_reason":' .. reason .. "}]"
    .. self.tail
end

function Writer:text(index, text)
  return piece(self, index, text, "null")
end

-- A refusal is what the model says.
Writer.refusal = Writer.text

local function nothing()
  return ""
end

-- What a plain text has no place for.
for _, name in ipairs { "reasoning", "state", "call", "arguments", "call_done", "audio", "opaque" } do
  Writer[name] = nothing
end

function Writer:finish(ends, usage)
  local out = {}
  for i, e in ipairs(ends) do
    out[i] = piece(self, e.choice, "", quote(reason_of(e.reason)))
  end
  if self.context.request.wants_usage then
    out[#out + 1] = self.head .. '],"usage":' .. chat.usage_raw(usage, self.context) .. "}\n\n"
  end
  return concat(out)
end

--- A writer of one stream.
---@param context perilune.Context
---@return perilune.CompletionsWriter
function M.writer(context)
  return setmetatable({ context = context, tail = context.request.wants_usage and ',"usage":null}\n\n' or "}\n\n" }, Writer)
end

--- A whole answer.
---@param answer perilune.Answer
---@param context perilune.Context
---@return string
function M.write_answer(answer, context)
  local list = {}
  for i, choice in ipairs(answer.choices) do
    local texts = {}
    for _, part in ipairs(choice.parts) do
      if part.kind == "text" or part.kind == "refusal" then
        texts[#texts + 1] = part.text
      end
    end
    list[i] = ('{"text":%s,"index":%d,"logprobs":null,"finish_reason":"%s"}'):format(quote(concat(texts)), choice.index,
      reason_of(choice.finish))
  end
  return head_of(answer, context) .. concat(list, ",") .. '],"usage":' .. chat.usage_raw(answer.usage, context) .. "}"
end

return M
