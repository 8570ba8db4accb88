--- What models want back next turn, on its way through Chat Completions: entries of `reasoning_details`, which clients that keep unknown
--- fields send back as they got them.
---
---   { type = "reasoning.text", text?, signature, format = "anthropic_messages", model?, index }
---   { type = "reasoning.encrypted", summary?, data, format = "openai_responses", model?, id?, index }
---
--- Their text is that of reasoning_content, but for entries that tell it themselves. `format` is one of our dialects' names for states that
--- came through us. A service of this dialect has formats of its own; its entries are kept whole, as states of `openai_chat`, because they
--- are to go back unchanged.
local json = require "perilune.json"

local M = {}

local OURS = { openai_responses = true, anthropic_messages = true, gemini = true, bedrock_converse = true }

-- Where data without a text is not the encrypted item of OpenAI's, it is a block that was withheld.
local function kind_of(format, entry_type)
  if entry_type == "reasoning.text" then
    return "signature"
  end
  return format == "openai_responses" and "encrypted" or "redacted"
end

local function string_or_nil(v)
  return type(v) == "string" and v ~= "" and v or nil
end

--- The state of an entry; nil when it holds none.
---@param entry table decoded
---@param raw perilune.Raw|fun(): perilune.Raw the same as it came
---@return perilune.State|nil
function M.read(entry, raw)
  local value = string_or_nil(entry.signature) or string_or_nil(entry.data)
  if not value then
    return nil
  end
  if OURS[entry.format] then
    return {
      kind = kind_of(entry.format, entry.type), value = value, id = string_or_nil(entry.id), by = entry.format,
      model = string_or_nil(entry.model),
    }
  end
  return {
    kind = string_or_nil(entry.signature) and "signature" or "encrypted",
    value = type(raw) == "function" and raw() or raw,
    by = "openai_chat",
  }
end

--- What an entry tells in words: its text and whether that is a summary.
---@param entry table decoded
---@return string|nil, boolean|nil
function M.text(entry)
  local summary = string_or_nil(entry.summary)
  return string_or_nil(entry.text) or summary, summary and true or nil
end

local function member(name, value)
  return value and (',"%s":%s'):format(name, json.quote(value)) or ""
end

--- An entry.
---@param state perilune.State
---@param index integer
---@param text? string the text it belongs to, where reasoning_content does not say
---@return perilune.Raw
function M.write(state, index, text)
  if state.by == "openai_chat" then
    local edits = { { key = "index", raw = tostring(index) } }
    if text and state.kind == "signature" then
      edits[2] = { key = "text", raw = json.quote(text) }
    end
    return assert(json.splice(state.value, edits))
  end
  local rest = (',"format":"%s"%s,"index":%d}'):format(state.by, member("model", state.model), index)
  if state.kind == "signature" then
    return ('{"type":"reasoning.text"%s%s%s'):format(member("text", text), member("signature", state.value), rest)
  end
  local data, id = member("data", state.value), member("id", state.id)
  return ('{"type":"reasoning.encrypted"%s%s%s%s'):format(member("summary", text), data, id, rest)
end

return M
