--- Requests for Gemini: a neutral one built, and a Gemini client's own edited.
local json = require "perilune.json"
local media = require "perilune.media"
local schemas = require "perilune.dialects.gemini_schema"
local shape = require "perilune.shape"
local tool_names = require "perilune.tool_names"
local turns = require "perilune.turns"

local M = {}

local NAME = "gemini"

local quote, concat = json.quote, table.concat
local member, object, array = json.put, json.object, json.array
local taken, drop_part = shape.taken, shape.drop_part
local ipairs, tostring, next = ipairs, tostring, next

-- What stands for a signature that got lost; Google names it for histories of other models.
local NO_SIGNATURE = "skip_thought_signature_validator"

local MAX_STOP = 5
local MAX_ANSWERS = 8
local MAX_BUDGET = 24576 -- the smallest maximum of the models that count tokens of thinking

-- What a user says where nobody said anything: contents must not be empty, and begin with the user.
local NOTHING_SAID = '{"role":"user","parts":[{"text":"Continue."}]}'

----------------------------------------------------------------------------------------------------------------------------
-- Writing

local function texts(list)
  local out = {}
  for i, text in ipairs(list) do
    out[i] = quote(text)
  end
  return array(out)
end

---@class perilune.GeminiBuild one build under way
---@field target perilune.AimedAt
---@field quirks perilune.Quirks
---@field drops perilune.Drops
---@field refused table<string, boolean> fields the target does not take
---@field names perilune.ToolNames

local function new_build(target, drops)
  return {
    target = target, quirks = target.quirks, drops = drops, refused = shape.refused(target.quirks),
    names = tool_names.new("[^%w_.:-]", 64, "[%a_]"),
  }
end

----------------------------------------------------------------------------------------------------------------------------
-- Parts

-- Google fetches only what it keeps itself, and YouTube.
local PLACES = {
  "^gs://", "^https://generativelanguage%.googleapis%.com/.*files/", "^https://www%.youtube%.com/", "^https://youtube%.com/",
  "^https://youtu%.be/",
}

local function is_fetched(url)
  for _, place in ipairs(PLACES) do
    if url:find(place) then
      return true
    end
  end
  return false
end

local function inline(mime, data)
  return ('{"inlineData":{"mimeType":%s,"data":%s}}'):format(quote(mime), quote(data))
end

-- A picture or a file by its address; nil for one Google does not fetch.
local function by_address(part)
  local url = part.url
  if not url and part.file_id and part.file_id:find "^files/" then
    url = "https://generativelanguage.googleapis.com/v1beta/" .. part.file_id
  end
  if not url or not is_fetched(url) then
    return nil
  end
  local out = {}
  local mime = part.mime or media.type_of_name(url)
  member(out, "mimeType", mime and quote(mime))
  member(out, "fileUri", quote(url))
  return ('{"fileData":%s}'):format(object(out))
end

local WRITE = {}

function WRITE.text(_, item)
  local part = item.part
  if part.text == "" and not part.signature then
    return nil
  elseif part.signature then
    return ('{"text":%s,"thoughtSignature":%s}'):format(quote(part.text), quote(part.signature))
  end
  return ('{"text":%s}'):format(quote(part.text))
end

function WRITE.refusal(_, item)
  return item.part.text ~= "" and ('{"text":%s}'):format(quote(item.part.text)) or nil
end

function WRITE.image(b, item)
  local part = item.part
  local raw = part.data and inline(media.image_type(part), part.data) or by_address(part)
  if not raw then
    drop_part(b, item, "image_url")
  end
  return raw
end

function WRITE.file(b, item)
  local part = item.part
  if part.text then
    return WRITE.text(b, item)
  end
  local raw = part.data and inline(media.file_type(part), part.data) or by_address(part)
  if not raw then
    drop_part(b, item, "file")
  end
  return raw
end

function WRITE.audio(b, item)
  local part = item.part
  if part.data then
    return inline(media.sound_type(part.format), part.data)
  end
  return drop_part(b, item, "audio")
end

function WRITE.call(b, item, signature)
  local part = item.part
  local args = part.custom and ('{"input":%s}'):format(quote(part.arguments)) or part.arguments
  local out = {}
  member(out, "functionCall", ('{"id":%s,"name":%s,"args":%s}'):format(quote(part.id), quote(b.names:of(part.name)), args))
  member(out, "thoughtSignature", signature and quote(signature))
  return object(out)
end

-- What was thought goes back when Gemini said it, with the signature it was given.
function WRITE.reasoning(b, item)
  local part = item.part
  if not part.state or not shape.goes_back(part.state, b.target) then
    return nil
  end
  return ('{"text":%s,"thought":true,"thoughtSignature":%s}'):format(quote(part.text or ""), quote(part.state.value))
end

function WRITE.opaque(b, item)
  if item.part.dialect == NAME then
    return item.part.raw
  end
  local fields = json.kind(item.part.raw) == "object" and json.fields(item.part.raw) or {}
  return drop_part(b, item, json.text(fields.type) or "content")
end

-- The object a result's text becomes. One that is an object already stays it, unless it could be taken for our own wrapping.
local function response_of(part, text)
  if part.error then
    return ('{"error":%s}'):format(quote(text))
  end
  local kind = json.kind(text)
  if (kind == "object" or kind == "array") and json.valid(text) then
    local fields = kind == "object" and json.fields(text)
    if kind == "array" then
      return ('{"output":%s}'):format(text)
    elseif not fields.output and not fields.error then
      return text
    end
  end
  return ('{"output":%s}'):format(quote(text))
end

-- A result and, behind all results, what of it is no text.
local function write_result(b, item, parts, behind)
  local said = {}
  for _, inner in ipairs(item.part.parts) do
    if inner.kind == "text" then
      said[#said + 1] = inner.text
    elseif inner.kind == "opaque" and inner.dialect ~= NAME then
      said[#said + 1] = inner.raw -- better told as it is than the result lost
    else
      behind[#behind + 1] = WRITE[inner.kind](b, { part = inner, at = item.at })
    end
  end
  parts[#parts + 1] = ('{"functionResponse":{"id":%s,"name":%s,"response":%s}}'):format(
    quote(item.call.id), quote(b.names:of(item.call.name)), response_of(item.part, concat(said)))
end

----------------------------------------------------------------------------------------------------------------------------
-- Contents

local function user_parts(b, turn)
  local parts, behind = {}, {}
  for _, item in ipairs(turn.results) do
    write_result(b, item, parts, behind)
  end
  for _, raw in ipairs(behind) do
    parts[#parts + 1] = raw
  end
  for _, item in ipairs(turn.items) do
    parts[#parts + 1] = WRITE[item.part.kind](b, item)
  end
  return parts
end

-- `signed`: the first call must have a signature, be it the one that stands for none.
local function model_parts(b, turn, signed)
  local parts = {}
  for _, item in ipairs(turn.items) do
    local signature = item.part.signature
    if item.part.kind == "call" then
      signature = signature or (signed and NO_SIGNATURE) or nil
      signed = false
    end
    parts[#parts + 1] = WRITE[item.part.kind](b, item, signature)
  end
  return parts
end

-- Turns of which nothing is left are left out, and their neighbours become one.
local function push(contents, assistant, parts)
  local last = contents[#contents]
  if not parts[1] then
    return
  elseif last and last.assistant == assistant then
    for _, raw in ipairs(parts) do
      last.parts[#last.parts + 1] = raw
    end
  else
    contents[#contents + 1] = { assistant = assistant, parts = parts }
  end
end

local function contents_of(b, list)
  local contents, current = {}, turns.current(list)
  for i, turn in ipairs(list) do
    local parts = turn.assistant and model_parts(b, turn, b.quirks.signatures and i > current) or user_parts(b, turn)
    push(contents, turn.assistant, parts)
  end
  local out = {}
  if not contents[1] or contents[1].assistant then
    out[1] = NOTHING_SAID
  end
  for _, content in ipairs(contents) do
    out[#out + 1] = ('{"role":"%s","parts":%s}'):format(content.assistant and "model" or "user", array(content.parts))
  end
  return array(out)
end

local function system_of(b, parts)
  local out = {}
  for _, part in ipairs(parts) do
    out[#out + 1] = WRITE[part.kind](b, { part = part, at = 0 })
  end
  return out[1] and ('{"parts":%s}'):format(array(out)) or nil
end

----------------------------------------------------------------------------------------------------------------------------
-- Tools

-- A schema under the name of the field it goes into; `what` is the field's name for drops and problems.
local function put_schema(b, out, raw, names, what)
  if json.kind(raw) ~= "object" then
    return nil
  elseif not b.quirks.proto_schema then
    member(out, names.json, schemas.json(raw))
    return nil
  end
  local rewritten, why, restated = schemas.proto(raw)
  if why then
    return { message = ("%s: %s."):format(what, why), param = what }
  elseif restated then
    b.drops:add(what .. ".enum")
  end
  member(out, names.proto, rewritten)
  return nil
end

local PARAMETERS = { json = "parametersJsonSchema", proto = "parameters" }
local RESPONSE = { json = "responseJsonSchema", proto = "responseSchema" }

local function description_of(tool)
  local text = tool.description
  if tool.custom and tool.grammar then
    text = (text and text .. "\n\n" or "") .. "The input has this form: " .. tool.grammar
  end
  return text and quote(text)
end

local function declaration(b, tool, i)
  local out = {}
  member(out, "name", quote(b.names:of(tool.name)))
  member(out, "description", description_of(tool))
  local problem = put_schema(b, out, tool.custom and shape.custom_schema or tool.schema, PARAMETERS, ("tools[%d].parameters"):format(i - 1))
  return object(out), problem
end

-- The `tools` member, whether it holds functions, and a problem.
local function tools_of(b, list)
  local functions, all = {}, {}
  for i, tool in ipairs(list or {}) do
    if not tool.hosted then
      local raw, problem = declaration(b, tool, i)
      if problem then
        return nil, false, problem
      end
      functions[#functions + 1] = raw
    elseif tool.hosted.dialect == NAME then
      all[#all + 1] = tool.hosted.raw
    else
      b.drops:add(("tools[%d].%s"):format(i - 1, tool.hosted.type))
    end
  end
  if functions[1] then
    table.insert(all, 1, ('{"functionDeclarations":%s}'):format(array(functions)))
  end
  return all[1] and array(all), functions[1] ~= nil
end

local function tool_config(b, choice)
  local mode, allowed = choice.mode == "auto" and "AUTO" or choice.mode == "none" and "NONE" or "ANY", choice.names
  if choice.mode == "named" then
    allowed = { choice.name }
  elseif allowed and mode == "AUTO" then
    mode = "VALIDATED" -- may call, and nothing but these
  end
  local out = { '"mode":"' .. mode .. '"' }
  if allowed then
    local sent = {}
    for i, name in ipairs(allowed) do
      sent[i] = b.names:of(name)
    end
    member(out, "allowedFunctionNames", texts(sent))
  end
  return ('{"functionCallingConfig":%s}'):format(object(out))
end

----------------------------------------------------------------------------------------------------------------------------
-- generationConfig

local LEVELS = {
  none = "MINIMAL", minimal = "MINIMAL", low = "LOW", medium = "MEDIUM", high = "HIGH", xhigh = "HIGH", max = "HIGH",
}

-- Whether the model thinks at all. Of a target nobody described all is believed.
local function can_think(target)
  return next(target.abilities) == nil or target.abilities.reasoning
end

local function put_level(b, out, effort)
  if effort == "none" and b.quirks.thinking_min ~= 0 then
    b.drops:add "reasoning_effort"
  end
  member(out, "thinkingLevel", effort and quote(LEVELS[shape.nearest_effort(effort, b.quirks.efforts)] or "HIGH"))
end

local function put_budget(b, out, wish)
  local budget = shape.budget_of(wish)
  local least = b.quirks.thinking_min
  if budget and budget <= 0 and least ~= 0 then
    b.drops:add "reasoning_effort"
    budget = least -- as little as there is; nil where that is not known
  end
  if budget then
    budget = math.min(math.max(budget, budget > 0 and least or 0), MAX_BUDGET)
  end
  member(out, "thinkingBudget", budget and ("%d"):format(budget))
end

-- thinkingConfig; nil for none.
local function thinking_of(b, wish)
  wish = taken(b, "reasoning_effort", wish)
  if not wish then
    return nil
  end
  local effort = shape.effort_of(wish)
  if not can_think(b.target) then
    if effort and effort ~= "none" then
      b.drops:add "reasoning_effort"
    end
    return nil
  end
  local out = {}
  if b.quirks.thinking_level then
    put_level(b, out, effort)
  else
    put_budget(b, out, { budget = wish.budget, effort = effort and shape.nearest_effort(effort, b.quirks.efforts) })
  end
  -- Thoughts are not asked for where none are wanted: with thinking off that is refused.
  member(out, "includeThoughts", effort ~= "none" and not wish.hidden and "true" or nil)
  return out[1] and object(out)
end

local function stop_of(b, list)
  list = taken(b, "stop", list)
  if not list then
    return nil
  end
  local out, most = {}, b.quirks.max_stop or MAX_STOP
  for _, text in ipairs(list) do
    if text ~= "" and #out == most then
      b.drops:add "stop"
      break
    elseif text ~= "" then
      out[#out + 1] = text
    end
  end
  return out[1] and texts(out)
end

local function answers_of(b, n)
  n = taken(b, "n", n)
  local most = b.quirks.max_n or MAX_ANSWERS
  if n and n > most then
    b.drops:add "n"
    n = most
  end
  return n and n > 1 and ("%d"):format(n) or nil
end

local function put_format(b, out, format)
  format = taken(b, "response_format", format)
  if not format or format.kind == "text" then
    return nil
  end
  member(out, "responseMimeType", '"application/json"')
  return put_schema(b, out, format.schema, RESPONSE, "response_format")
end

local function put_logprobs(b, out, request)
  if request.logprobs and taken(b, "logprobs", true) then
    member(out, "responseLogprobs", "true")
    member(out, "logprobs", taken(b, "top_logprobs", request.top_logprobs))
  end
end

-- The members of generationConfig, and a problem.
local function generation_of(b, request)
  local out = {}
  member(out, "temperature", taken(b, "temperature", request.temperature))
  member(out, "topP", taken(b, "top_p", request.top_p))
  member(out, "topK", taken(b, "top_k", request.top_k))
  member(out, "candidateCount", answers_of(b, request.n))
  member(out, "maxOutputTokens", request.max_tokens and ("%d"):format(request.max_tokens))
  member(out, "stopSequences", stop_of(b, request.stop))
  member(out, "seed", taken(b, "seed", request.seed))
  member(out, "presencePenalty", taken(b, "presence_penalty", request.presence_penalty))
  member(out, "frequencyPenalty", taken(b, "frequency_penalty", request.frequency_penalty))
  local problem = put_format(b, out, request.format)
  put_logprobs(b, out, request)
  member(out, "thinkingConfig", thinking_of(b, request.reasoning))
  return out, problem
end

----------------------------------------------------------------------------------------------------------------------------
-- The whole

-- What Gemini has no word for: OpenAI's name, and the request's. What asks for nothing else than Gemini does anyway is not lost.
local LOST = {
  { "logit_bias", "logit_bias" }, { "service_tier", "service_tier" }, { "store", "store" }, { "user", "user" }, { "metadata", "metadata" },
  { "verbosity", "verbosity" }, { "prompt_cache_key", "cache_key" }, { "audio", "audio" }, { "prediction", "prediction" },
  { "web_search_options", "web_search" },
}

local function drop_rest(b, request)
  for _, field in ipairs(LOST) do
    if request[field[2]] then
      b.drops:add(field[1])
    end
  end
  if request.parallel == false then
    b.drops:add "parallel_tool_calls"
  end
  if request.modalities and request.modalities:find('"audio"', 1, true) then
    b.drops:add "modalities"
  end
end

-- A Gemini client's own fields go on. Those of generationConfig join ours.
local function put_extra(b, out, generation, request)
  for _, field in ipairs(request.extra) do
    if request.dialect ~= NAME then
      b.drops:add(field[1])
    elseif field[1] == "generationConfig" then
      for _, m in ipairs(json.members(field[2]) or {}) do
        member(generation, m.key, m.raw)
      end
    else
      member(out, field[1], field[2])
    end
  end
end

-- The model's name for the path. What is encoded already stays so.
local function path_of(target, stream)
  local name = target.upstream:gsub("^models/", ""):gsub("[^%w._~/:@%%-]", function(c)
    return ("%%%02X"):format(c:byte())
  end)
  return "/models/" .. name .. (stream and ":streamGenerateContent?alt=sse" or ":generateContent")
end

--- See perilune.Dialect.
function M.build(request, target, drops)
  local b = new_build(target, drops)
  local list, system = turns.of(request.messages)
  local out = {}
  member(out, "systemInstruction", system_of(b, system))
  member(out, "contents", contents_of(b, list))
  local tools, has_functions, problem = tools_of(b, taken(b, "tools", request.tools))
  if problem then
    return nil, problem
  end
  member(out, "tools", tools)
  if has_functions and request.tool_choice then
    member(out, "toolConfig", tool_config(b, request.tool_choice))
  end
  local generation
  generation, problem = generation_of(b, request)
  if problem then
    return nil, problem
  end
  drop_rest(b, request)
  put_extra(b, out, generation, request)
  member(out, "generationConfig", generation[1] and object(generation))
  return { path = path_of(target, request.stream), body = object(out), names = b.names.back }
end

----------------------------------------------------------------------------------------------------------------------------
-- A Gemini client's own request, with a step's overrides

-- Overrides whose values stay as they are, under another name. Google takes names with underscores as well.
local PLAIN = {
  temperature = "temperature", top_p = "topP", top_k = "topK", n = "candidateCount", max_tokens = "maxOutputTokens",
  max_completion_tokens = "maxOutputTokens", seed = "seed", presence_penalty = "presencePenalty", frequency_penalty = "frequencyPenalty",
  logprobs = "responseLogprobs", top_logprobs = "logprobs",
}

local UNKNOWN = {
  logit_bias = true, parallel_tool_calls = true, service_tier = true, store = true, user = true, metadata = true, verbosity = true,
  prompt_cache_key = true, safety_identifier = true, stream_options = true, modalities = true, audio = true, prediction = true,
  web_search_options = true,
}

local function snake(name)
  return (name:gsub("%u", function(c)
    return "_" .. c:lower()
  end))
end

local function edit_key(edits, name, raw)
  if snake(name) ~= name then
    edits[#edits + 1] = { key = snake(name) }
  end
  edits[#edits + 1] = { key = name, raw = raw }
end

local SET = {}

function SET.stop(_, edits, raw)
  edit_key(edits, "stopSequences", json.kind(raw) == "string" and "[" .. raw .. "]" or raw)
end

function SET.reasoning_effort(b, edits, raw)
  edit_key(edits, "thinkingConfig", raw and thinking_of(b, { effort = json.text(raw) }))
end

function SET.response_format(b, edits, raw)
  local fields = json.kind(raw) == "object" and json.fields(raw) or {}
  local kind = json.text(fields.type)
  local inner = json.kind(fields.json_schema) == "object" and json.fields(fields.json_schema) or {}
  for _, name in ipairs { "responseMimeType", "responseSchema", "responseJsonSchema" } do
    edit_key(edits, name)
  end
  if kind == "json_object" or kind == "json_schema" then
    local out = {}
    local problem = put_format(b, out, { kind = "schema", schema = inner.schema })
    if problem then
      return problem
    end
    for _, m in ipairs(json.members(object(out))) do
      edits[#edits + 1] = { key = m.key, raw = m.raw }
    end
  end
  return nil
end

-- Sorts overrides into edits of generationConfig and edits of the body.
local function edits_of(b, params)
  local inside, outside = {}, {}
  for _, param in ipairs(params) do
    local name, raw = param[1], param[2]
    local problem
    if name == "extra" and json.kind(raw) == "object" then
      for _, m in ipairs(json.members(raw) or {}) do
        outside[#outside + 1] = { key = m.key, raw = m.raw }
      end
    elseif PLAIN[name] then
      edit_key(inside, PLAIN[name], raw)
    elseif SET[name] then
      problem = SET[name](b, inside, raw)
    elseif not UNKNOWN[name] then
      outside[#outside + 1] = { key = name, raw = raw }
    elseif raw then
      b.drops:add(name)
    end
    if problem then
      return nil, nil, problem
    end
  end
  return inside, outside
end

-- What the target refuses is taken out of generationConfig.
local function take_out_refused(b, inside, generation)
  local fields = json.fields(generation) or {}
  for _, name in ipairs {
    "temperature", "top_p", "top_k", "n", "seed", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs",
  } do
    local ours = PLAIN[name]
    if b.refused[name] and (fields[ours] or fields[snake(ours)]) then
      b.drops:add(name)
      edit_key(inside, ours)
    end
  end
end

--- See perilune.Dialect.
function M.edit(request, body, target, params, drops)
  local b = new_build(target, drops)
  local inside, outside, problem = edits_of(b, params)
  if problem then
    return nil, problem
  end
  local fields = request.fields
  local key = fields.generation_config and "generation_config" or "generationConfig"
  local generation = json.kind(fields[key]) == "object" and fields[key] or "{}"
  take_out_refused(b, inside, generation)
  if inside[1] then
    table.insert(outside, 1, { key = key, raw = assert(json.splice(generation, inside)) })
  end
  local edited, why = json.splice(body, outside)
  if not edited then
    return nil, { message = "The request is not JSON: " .. tostring(why) }
  end
  return { path = path_of(target, request.stream), body = edited }
end

return M
