--- The messages of a Chat Completions request, written for a target: in what its service calls roles, what it takes as content, and what it
--- wants to have back.
---
--- Between two ends of this dialect (perilune.dialects.chat_edit) targets have two fields more: a `faithful` one can do everything, so that
--- what is written for it is what the client said; for an `unmarked` one marks for caches are nobody's business.
local json = require "perilune.json"
local hash = require "perilune.hash"
local shape = require "perilune.shape"
local states = require "perilune.dialects.chat_states"

local M = {}

local quote, concat = json.quote, table.concat

--- Whether a target takes all that is OpenAI's own.
---@param target perilune.AimedAt
---@return boolean
function M.is_openai(target)
  return target.faithful or target.native or false
end

----------------------------------------------------------------------------------------------------------------------------
-- Ids of calls

local ALPHANUMERICS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

local function nine(id, try)
  local out = {}
  for i = 1, 9 do
    local k = hash.text(id, try * 16 + i) % 62 + 1
    out[i] = ALPHANUMERICS:sub(k, k)
  end
  return concat(out)
end

local function each_id(messages, f)
  for _, message in ipairs(messages) do
    for _, part in ipairs(message.parts) do
      if part.kind == "call" or part.kind == "result" then
        f(part.id)
      end
    end
  end
end

--- The ids a service of nine letters and digits is told, by those of the history: the same for a call and its result, and no two alike.
---@param messages perilune.Message[]
---@return table<string, string>
function M.nine(messages)
  local out, taken = {}, {}
  each_id(messages, function(id)
    if #id == 9 and not id:find "%W" then
      out[id], taken[id] = id, true
    end
  end)
  each_id(messages, function(id)
    local try = 0
    while not out[id] do
      local new = nine(id, try)
      if not taken[new] then
        out[id], taken[new] = new, true
      end
      try = try + 1
    end
  end)
  return out
end

----------------------------------------------------------------------------------------------------------------------------
-- Parts

local MARKS = { ["1h"] = '{"mode":"explicit","ttl":"12h"}' }

-- A hint that only OpenAI reads here.
local function mark_of(out, part)
  if not part.cache or out.target.unmarked or not M.is_openai(out.target) then
    return ""
  end
  local ttl = json.kind(part.cache) == "object" and json.text(json.fields(part.cache).ttl)
  return ',"prompt_cache_breakpoint":' .. (MARKS[ttl] or '{"mode":"explicit"}')
end

local function able(out, ability)
  return out.target.faithful or out.target.abilities[ability]
end

local function image_raw(out, part)
  local url = part.url
  if part.data then
    url = ("data:%s;base64,%s"):format(part.mime or "image/png", part.data)
  elseif out.quirks.no_images_by_url then
    return nil
  end
  if not url or not able(out, "images") then
    return nil
  end
  local detail = part.detail and ',"detail":' .. quote(part.detail) or ""
  return '{"type":"image_url","image_url":{"url":' .. quote(url) .. detail .. "}" .. mark_of(out, part) .. "}"
end

local function audio_raw(out, part)
  if not part.data or not able(out, "audio") then
    return nil
  end
  local format = part.format and ',"format":' .. quote(part.format) or ""
  return '{"type":"input_audio","input_audio":{"data":' .. quote(part.data) .. format .. "}" .. mark_of(out, part) .. "}"
end

local function text_raw(out, text, part)
  return '{"type":"text","text":' .. quote(text) .. mark_of(out, part) .. "}"
end

local function file_raw(out, part)
  if part.text then
    return text_raw(out, part.text, part)
  end
  local members = {}
  if part.file_id then
    members[1] = '"file_id":' .. quote(part.file_id)
  elseif part.data then
    members[1] = '"file_data":' .. quote(part.mime and ("data:%s;base64,%s"):format(part.mime, part.data) or part.data)
  end
  if not members[1] or not able(out, "files") then
    return nil
  end
  if part.name then
    members[2] = '"filename":' .. quote(part.name)
  end
  return '{"type":"file","file":{' .. concat(members, ",") .. "}" .. mark_of(out, part) .. "}"
end

local RAWS = {
  text = function(out, part)
    return (part.text ~= "" or out.target.faithful) and text_raw(out, part.text, part) or nil
  end,
  refusal = function(out, part)
    if M.is_openai(out.target) then
      return '{"type":"refusal","refusal":' .. quote(part.text) .. "}"
    end
    return text_raw(out, part.text, part)
  end,
  image = image_raw, audio = audio_raw, file = file_raw,
  opaque = function(_, part)
    return part.dialect == "openai_chat" and part.raw or nil
  end,
}

-- What an opaque block is called where it came from.
local function name_of(part)
  if part.kind ~= "opaque" then
    return part.kind
  end
  return json.kind(part.raw) == "object" and json.text(json.fields(part.raw).type) or "part"
end

local function drop(out, part)
  if part.kind ~= "text" then
    out.drops:add(("messages[%d].%s"):format(out.at, name_of(part)))
  end
end

-- Parts as they go up; those the target can not take are named and left out.
local function raws_of(out, parts)
  local list = {}
  for _, part in ipairs(parts) do
    local write = RAWS[part.kind]
    local raw = write and write(out, part)
    if raw then
      list[#list + 1] = raw
    else
      drop(out, part)
    end
  end
  return list
end

-- Parts as content: one text is a string, which all services take. nil for nothing.
local function content_of(out, parts)
  local only = parts[1]
  if only and not parts[2] and only.kind == "text" and mark_of(out, only) == "" then
    return (only.text ~= "" or out.target.faithful) and quote(only.text) or nil
  end
  local list = raws_of(out, parts)
  return list[1] and "[" .. concat(list, ",") .. "]" or nil
end

----------------------------------------------------------------------------------------------------------------------------
-- Messages

local function push(out, raw, role)
  out.list[#out.list + 1] = raw
  out.last = role
end

local function named(message)
  return message.name and ',"name":' .. quote(message.name) or ""
end

-- Behind a tool's result some services take nobody but the assistant.
local function repair_role(out)
  if out.last == "tool" and out.quirks.assistant_after_tool then
    push(out, '{"role":"assistant","content":"Understood."}', "assistant")
  end
end

local function write_user(out, message)
  local content = content_of(out, message.parts)
  if content then
    repair_role(out)
    push(out, '{"role":"user"' .. named(message) .. ',"content":' .. content .. "}", "user")
  end
end

local function write_system(out, message)
  if out.quirks.no_system_later and out.last and out.last ~= "system" then
    return write_user(out, message)
  end
  local content = content_of(out, message.parts)
  if content then
    local role = out.quirks.system or "system"
    push(out, '{"role":"' .. role .. '"' .. named(message) .. ',"content":' .. content .. "}", "system")
  end
end

-- A service that has no word for a failed call reads of it in the text.
local function result_text(part, text)
  if part.error and not text:lower():find "^%s*error" then
    return "Error: " .. text
  end
  return text
end

-- Texts of a result, and what this dialect has no place for in one: that follows from the user.
local function split_result(out, part)
  local texts, others = {}, {}
  for _, inner in ipairs(part.parts) do
    if inner.kind == "text" then
      texts[#texts + 1] = inner
    elseif inner.kind == "opaque" then
      texts[#texts + 1] = { kind = "text", text = inner.raw }
    elseif inner.kind == "file" and inner.text then
      texts[#texts + 1] = { kind = "text", text = inner.text }
    else
      others[#others + 1] = inner
    end
  end
  if part.error or not texts[1] then
    texts = { { kind = "text", text = result_text(part, shape.text_of(texts, "\n")) } }
  end
  return content_of(out, texts) or '""', others
end

local function write_results(out, message)
  local follow = {}
  for _, part in ipairs(message.parts) do
    local content, others = split_result(out, part)
    local name = out.quirks.tool_result_name and (part.name or (not out.target.faithful and out.names[part.id]))
    push(out, '{"role":"tool","tool_call_id":' .. quote(out.ids[part.id] or part.id) .. (name and ',"name":' .. quote(name) or "")
      .. ',"content":' .. content .. "}", "tool")
    local list = raws_of(out, others)
    if list[1] then
      follow[#follow + 1] = text_raw(out, ("What %s returned:"):format(out.names[part.id] or "the tool"), {})
      for _, raw in ipairs(list) do
        follow[#follow + 1] = raw
      end
    end
  end
  if follow[1] then
    repair_role(out)
    push(out, '{"role":"user","content":[' .. concat(follow, ",") .. "]}", "user")
  end
end

local function extra_content(signature)
  return ',"extra_content":{"google":{"thought_signature":' .. quote(signature) .. "}}"
end

local function call_raw(out, part)
  local id = quote(out.ids[part.id] or part.id)
  local signature = part.signature and out.quirks.signatures and extra_content(part.signature) or ""
  if part.custom and M.is_openai(out.target) then
    return ('{"id":%s,"type":"custom","custom":{"name":%s,"input":%s}%s}'):format(id, quote(part.name), quote(part.arguments), signature)
  end
  local arguments = part.custom and '{"input":' .. quote(part.arguments) .. "}" or part.arguments
  return ('{"id":%s,"type":"function","function":{"name":%s,"arguments":%s}%s}'):format(id, quote(part.name), quote(arguments), signature)
end

-- Whether a state goes back: to who made it, and only where thoughts are wanted at all.
local function returns(out, state)
  if out.target.faithful then
    return true
  end
  local back = out.quirks.reasoning_back
  return shape.goes_back(state, out.target) and (back == "always" or back == "calls")
end

-- reasoning_content and reasoning_details of a turn, as members.
local function thoughts_raw(out, thoughts, calls)
  local back = out.quirks.reasoning_back
  if not (back == "always" or (back == "calls" and calls)) then
    return ""
  end
  local all, details = {}, {}
  for _, part in ipairs(thoughts) do
    if part.text and part.text ~= "" then
      all[#all + 1] = part.text
    end
    if part.state and returns(out, part.state) then
      -- Where there is more than one, the text that stands beside does not say which is whose.
      details[#details + 1] = states.write(part.state, #details, thoughts[2] and part.text or nil)
    end
  end
  local text = concat(all)
  local members = ""
  if text ~= "" or back == "calls" then
    members = ',"reasoning_content":' .. quote(text)
  end
  if details[1] then
    members = members .. ',"reasoning_details":[' .. concat(details, ",") .. "]"
  end
  return members
end

-- The parts of a turn by what becomes of them.
local function sort_turn(out, message)
  local said, thoughts, calls = {}, {}, {}
  local refusal, audio
  for _, part in ipairs(message.parts) do
    if part.kind == "reasoning" then
      thoughts[#thoughts + 1] = part
    elseif part.kind == "call" then
      calls[#calls + 1] = call_raw(out, part)
    elseif part.kind == "audio" and part.id then
      audio = part
    else
      said[#said + 1] = part
    end
  end
  if said[1] and not said[2] and said[1].kind == "refusal" and M.is_openai(out.target) then
    refusal, said = said[1], {}
  end
  if audio and not (M.is_openai(out.target) and able(out, "audio")) then
    drop(out, audio)
    audio = nil
  end
  return said, thoughts, calls, refusal, audio
end

local EMPTY = { null = ',"content":null', text = ',"content":""', omit = "" }

local function write_assistant(out, message)
  local said, thoughts, calls, refusal, audio = sort_turn(out, message)
  local content = content_of(out, said)
  if not (content or calls[1] or refusal or audio or out.target.faithful) then
    return -- nothing is left of it
  end
  local signature = out.quirks.signatures and said[1] and said[#said].signature
  push(out, '{"role":"assistant"' .. named(message)
    .. (content and ',"content":' .. content or EMPTY[out.quirks.empty_content or "null"])
    .. (refusal and ',"refusal":' .. quote(refusal.text) or "")
    .. (audio and ',"audio":{"id":' .. quote(audio.id) .. "}" or "")
    .. thoughts_raw(out, thoughts, calls[1])
    .. (calls[1] and ',"tool_calls":[' .. concat(calls, ",") .. "]" or "")
    .. (signature and extra_content(signature) or "") .. "}", "assistant")
end

local WRITERS = { system = write_system, user = write_user, assistant = write_assistant, tool = write_results }

-- What calls are called, by id.
local function call_names(messages)
  local names = {}
  for _, message in ipairs(messages) do
    for _, part in ipairs(message.parts) do
      if part.kind == "call" then
        names[part.id] = part.name
      end
    end
  end
  return names
end

--- The messages as they go up, raw.
---@param messages perilune.Message[]
---@param target perilune.AimedAt
---@param drops perilune.Drops
---@return perilune.Raw[]
function M.write(messages, target, drops)
  local out = {
    list = {}, target = target, quirks = target.quirks, drops = drops,
    ids = target.quirks.tool_ids == "nine" and M.nine(messages) or {}, names = call_names(messages),
  }
  for i, message in ipairs(messages) do
    out.at = i - 1
    WRITERS[message.role](out, message)
  end
  return out.list
end

return M
