--- OpenAI Responses: the dialect of Codex and of models that are served by nothing else.
---
--- No state is kept: what a client refers to by id it must send, and what goes up is not stored.
local build = require "perilune.dialects.responses_build"
local edit = require "perilune.dialects.responses_edit"
local read = require "perilune.dialects.responses_read"
local reader = require "perilune.dialects.responses_reader"
local writer = require "perilune.dialects.responses_writer"

---@type perilune.Dialect
local M = {
  name = "openai_responses",
  read = read.read,
  build = build.build,
  edits_unread = true, -- what refers to state a provider keeps is that provider's to take
  edit = function(_, body, target, params, drops)
    return edit.edit(body, target, params, drops)
  end,
  read_answer = reader.read_answer,
  reader = reader.reader,
  write_answer = writer.write_answer,
  writer = writer.writer,
  echo = { texts = "delta", loose = "sequence_number obfuscation", counter = "sequence_number" },
}

return M
