--- Anthropic Messages: a conversation as a provider wants it.
---
--- Turns of the user and of the model take turns, the user first; every call of a turn has its result in the very next one, before anything
--- else there; thinking stands first, as the model gave it, or not at all; no text is empty.
local json = require "perilune.json"
local media = require "perilune.media"
local shape = require "perilune.shape"
local tool_names = require "perilune.tool_names"
local turns = require "perilune.turns"

local M = {}

local NAME = "anthropic_messages"

--- Names of tools, and ids of calls, as this dialect can write them.
---@return perilune.ToolNames
function M.names()
  return tool_names.new("[^%w_-]", 128)
end

local quote, concat = json.quote, table.concat

-- What stands where a turn of the user has to be and the client has none.
local GO_ON = "Go on."

----------------------------------------------------------------------------------------------------------------------------
-- Blocks

local function base64(mime, data)
  return '{"type":"base64","media_type":' .. quote(mime) .. ',"data":' .. quote(data) .. "}"
end

-- Where a picture or a document is, and its type if it came as bytes; nil when the provider could not get at it. A file's id is known to
-- the service alone it was given by.
local function source(w, part)
  if part.data then
    local mime = part.kind == "image" and media.image_type(part) or media.file_type(part)
    local fits = mime == "application/pdf" or mime:find "^image/"
    return fits and base64(mime, part.data) or nil, mime
  elseif part.url and not w.build.target.quirks.no_images_by_url then
    return '{"type":"url","url":' .. quote(part.url) .. "}"
  elseif part.file_id and w.own then
    return '{"type":"file","file_id":' .. quote(part.file_id) .. "}"
  elseif part.text then
    return '{"type":"text","media_type":"text/plain","data":' .. quote(part.text) .. "}"
  end
  return nil
end

local function text_block(text, more)
  return '{"type":"text","text":' .. quote(text) .. (more or "") .. "}"
end

local function thinking_block(w, part)
  local state = part.state
  if not state or not shape.goes_back(state, w.build.target) then
    return nil
  elseif state.kind == "redacted" then
    return '{"type":"redacted_thinking","data":' .. quote(state.value) .. "}"
  end
  return '{"type":"thinking","thinking":' .. quote(part.text or "") .. ',"signature":' .. quote(state.value) .. "}"
end

-- The id a call goes under: each but once in a request.
local function new_id(w, part)
  local base, k = w.id_names:of(part.id), 1
  local id = base
  while w.used[id] do
    k = k + 1
    id = base .. "_" .. k
  end
  w.used[id], w.ids[part] = true, id
  return id
end

local function call_block(w, part)
  local input = part.custom and '{"input":' .. quote(part.arguments) .. "}" or part.arguments
  return '{"type":"tool_use","id":' .. quote(new_id(w, part)) .. ',"name":' .. quote(w.build.names:of(part.name)) .. ',"input":'
    .. (input:find "%S" and input or "{}") .. w.build.mark(part.cache) .. "}"
end

local function lost(w, part, at)
  w.build.drops:add(("messages[%d].%s"):format(at, part.kind))
end

local function said(w, part)
  return not shape.is_blank(part.text) and text_block(part.text, w.build.mark(part.cache)) or nil
end

-- A block for a part; nil for one that is left out.
local BLOCKS = {
  text = said,
  refusal = said,
  image = function(w, part, at)
    local from = source(w, part)
    return from and '{"type":"image","source":' .. from .. w.build.mark(part.cache) .. "}" or lost(w, part, at)
  end,
  file = function(w, part, at)
    local from, mime = source(w, part)
    if not from then
      return lost(w, part, at)
    end
    local kind = mime and mime:find "^image/" and "image" or "document"
    local title = kind == "document" and part.name and ',"title":' .. quote(part.name) or ""
    return '{"type":"' .. kind .. '","source":' .. from .. title .. w.build.mark(part.cache) .. "}"
  end,
  opaque = function(w, part, at)
    return part.dialect == NAME and part.raw or lost(w, part, at)
  end,
}

-- Parts that only a turn of the model holds, and what it can not hold.
local OF_MODEL = { call = call_block, reasoning = thinking_block, image = lost, file = lost }

local function block_of(w, part, at, assistant)
  local write = assistant and OF_MODEL[part.kind] or BLOCKS[part.kind] or lost
  return write(w, part, at)
end

-- The content of a result: a text where there is only that.
local function result_content(w, parts, at)
  if #parts == 1 and parts[1].kind == "text" and not parts[1].cache then
    return ',"content":' .. quote(parts[1].text)
  end
  local out = {}
  for _, inner in ipairs(parts) do
    out[#out + 1] = block_of(w, inner, at)
  end
  return out[1] and ',"content":[' .. concat(out, ",") .. "]" or ""
end

local function result_block(w, item)
  local part = item.part
  return '{"type":"tool_result","tool_use_id":' .. quote(w.ids[item.call]) .. result_content(w, part.parts, item.at)
    .. (part.error and ',"is_error":true' or "") .. w.build.mark(part.cache) .. "}"
end

----------------------------------------------------------------------------------------------------------------------------
-- Turns

---@class perilune.AnthropicTurns
---@field build perilune.AnthropicBuild
---@field request perilune.Request
---@field own boolean the request came in this dialect
---@field list string[] turns that are written
---@field last? "user"|"assistant" of the last of them
---@field ids table<perilune.Part, string> of calls, as sent
---@field used table<string, boolean> the same ids
---@field id_names perilune.ToolNames

local function push(w, role, blocks)
  if role == "assistant" and blocks[1] and not w.last then
    w.list[1] = '{"role":"user","content":[' .. text_block(GO_ON) .. "]}" -- the first turn is the user's
  end
  if blocks[1] then
    w.list[#w.list + 1] = '{"role":"' .. role .. '","content":[' .. concat(blocks, ",") .. "]}"
    w.last = role
  end
end

-- Where a block of the model's goes: thinking first, a text that came behind a call before the calls.
local function rank_of(kind, called)
  if kind == "reasoning" and not called then
    return 1
  end
  return (kind == "call" or kind == "reasoning") and 3 or 2
end

-- Where there are blocks of server tools all stay in place: order is part of what they say.
local function has_opaque(turn)
  for _, item in ipairs(turn.items) do
    if item.part.kind == "opaque" then
      return true
    end
  end
  return false
end

local function assistant_blocks(w, turn)
  local ranks, called, keep = { {}, {}, {} }, false, has_opaque(turn)
  for _, item in ipairs(turn.items) do
    local kind = item.part.kind
    called = called or kind == "call"
    local rank = ranks[keep and 1 or rank_of(kind, called)]
    rank[#rank + 1] = block_of(w, item.part, item.at, true)
  end
  local out = ranks[1]
  for k = 2, 3 do
    for _, block in ipairs(ranks[k]) do
      out[#out + 1] = block
    end
  end
  return out
end

-- System text in the middle says whose it is.
local function user_part(w, item)
  local message, part = w.request.messages[item.at + 1], item.part
  if message.role == "system" and not item.asks and part.kind == "text" and not shape.is_blank(part.text) then
    return { kind = "text", text = "<system>\n" .. part.text .. "\n</system>", cache = part.cache }
  end
  return part
end

local function user_blocks(w, turn)
  local out = {}
  for i, item in ipairs(turn.results) do
    out[i] = result_block(w, item)
  end
  for _, item in ipairs(turn.items) do
    out[#out + 1] = block_of(w, user_part(w, item), item.at)
  end
  return out
end

-- A last turn of the model's may not end in white space.
local function trim(turn)
  local item = turn.assistant and turn.items[#turn.items]
  if item and item.part.kind == "text" then
    item.part = { kind = "text", text = item.part.text:gsub("%s+$", ""), cache = item.part.cache }
  end
end

----------------------------------------------------------------------------------------------------------------------------

---@class perilune.AnthropicConversation
---@field turns perilune.Turn[]
---@field system perilune.Part[]

--- A request's conversation, in order. One that is all system text is asked by the user.
---@param request perilune.Request
---@return perilune.AnthropicConversation
function M.of(request)
  local list, system = turns.of(request.messages)
  if not list[1] and system[1] then
    list[1] = { assistant = false, results = {}, items = {}, asked = true }
    for i, part in ipairs(system) do
      list[1].items[i] = { part = part, at = 0, asks = true }
    end
    system = {}
  end
  return { turns = list, system = system }
end

--- The system text: blocks, or one text where nothing tells blocks apart.
---@param conversation perilune.AnthropicConversation
---@param build perilune.AnthropicBuild
---@param orders string[] instructions of ours, which go behind
---@return perilune.Raw|nil
function M.system(conversation, build, orders)
  local blocks, only = {}, nil
  for _, part in ipairs(conversation.system) do
    if part.kind ~= "text" then
      build.drops:add("system." .. part.kind)
    elseif not shape.is_blank(part.text) then
      only = not part.cache and part.text or nil
      blocks[#blocks + 1] = text_block(part.text, build.mark(part.cache))
    end
  end
  for _, text in ipairs(orders) do
    only = text
    blocks[#blocks + 1] = text_block(text)
  end
  if not blocks[2] and only then
    return quote(only)
  end
  return blocks[1] and "[" .. concat(blocks, ",") .. "]" or nil
end

--- The turns.
---@param conversation perilune.AnthropicConversation
---@param request perilune.Request
---@param build perilune.AnthropicBuild
---@return perilune.Raw|nil turns nil when nothing is said in them
function M.messages(conversation, request, build)
  local w = {
    build = build, request = request, own = request.dialect == NAME, list = {}, ids = {}, used = {}, id_names = M.names(),
  }
  local list = conversation.turns
  for i, turn in ipairs(list) do
    if i == #list then
      trim(turn)
    end
    push(w, turn.assistant and "assistant" or "user", (turn.assistant and assistant_blocks or user_blocks)(w, turn))
  end
  if w.last == "assistant" and build.target.quirks.no_prefill then
    build.drops:add "prefill"
    push(w, "user", { text_block(GO_ON) })
  end
  return w.last and "[" .. concat(w.list, ",") .. "]" or nil
end

--- Whether the last turn of the model made calls without the thinking that such turns begin with.
---@param conversation perilune.AnthropicConversation
---@param target perilune.AimedAt
---@return boolean
function M.unthought(conversation, target)
  local list, calls = conversation.turns, false
  local last = list[#list]
  last = last and not last.assistant and list[#list - 1] or last
  for _, item in ipairs(last and last.assistant and last.items or {}) do
    local part = item.part
    calls = calls or part.kind == "call"
    if part.kind == "reasoning" and part.state and shape.goes_back(part.state, target) then
      return false
    end
  end
  return calls
end

return M
