--- Google's Gemini: `generateContent` and `streamGenerateContent`.
---
--- No client endpoint speaks it, but it is whole both ways: what it can say is checked by going there and back. Streams end without an end
--- mark, so that a reader never calls stop(). A prompt that was blocked is an answer without content that finishes for content_filter, and
--- not an error: that is how Google sends it, with status 200.
local answer = require "perilune.dialects.gemini_answer"
local build = require "perilune.dialects.gemini_build"
local read = require "perilune.dialects.gemini_read"

---@type perilune.Dialect
local M = {
  name = "gemini",
  read = read.read,
  build = build.build,
  edit = build.edit,
  read_answer = answer.read_answer,
  reader = answer.reader,
  write_answer = answer.write_answer,
  writer = answer.writer,
  echo = {
    texts = "text",
    loose = "promptTokenCount toolUsePromptTokenCount cachedContentTokenCount candidatesTokenCount thoughtsTokenCount totalTokenCount "
      .. "tokenCount",
  },
}

return M
