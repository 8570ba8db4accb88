--- OpenAI Chat Completions: the dialect that clients and services speak most, and each a little differently.
---
---   chat_read      a client's request     (chat_fields, chat_reasoning: single fields; chat_states: what travels for other models)
---   chat_build     a service's request    (chat_messages: the history)
---   chat_edit      the client's own request, changed for a service of the same dialect
---   chat_reader    a service's answer
---   chat_writer    a client's answer
---   chat_repair    a service's answer, put right for a client of the same dialect
local build = require "perilune.dialects.chat_build"
local edit = require "perilune.dialects.chat_edit"
local fields = require "perilune.dialects.chat_fields"
local read = require "perilune.dialects.chat_read"
local reader = require "perilune.dialects.chat_reader"
local repair = require "perilune.dialects.chat_repair"
local writer = require "perilune.dialects.chat_writer"

---@type perilune.Dialect
local M = {
  name = "openai_chat",
  read = read.read,
  build = build.build,
  edit = edit.edit,
  reader = reader.new,
  read_answer = reader.read_answer,
  writer = writer.new,
  write_answer = writer.write_answer,
  repair = repair.new,
  echo = {
    texts = "content text refusal reasoning reasoning_content reasoning_text thinking arguments input",
    loose = "obfuscation prompt_tokens completion_tokens total_tokens cached_tokens reasoning_tokens",
  },
}

--- Sets one field of a request, but for its messages, by OpenAI's name; without a value it is taken out.
---@type fun(request: perilune.Request, name: string, raw: perilune.Raw|nil): boolean, perilune.Problem|nil
M.set = fields.set

return M
