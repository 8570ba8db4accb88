--- A Gemini client's request, read into the neutral shape. The model and whether it streams are in the path, which is not seen here.
local json = require "perilune.json"
local media = require "perilune.media"
local schemas = require "perilune.dialects.gemini_schema"
local shape = require "perilune.shape"

local M = {}

local NAME = "gemini"

local ipairs, floor = ipairs, math.floor

-- Raises a problem inside this file, which read() returns.
local function refuse(param, message)
  error({ problem = { message = ("%s: %s."):format(param, message), param = param } }, 0)
end

-- Names may be spelled with underscores, too: all are read as Google's documents spell them.
local function camel(name)
  return (name:gsub("_(%l)", string.upper))
end

-- The members of an object by name; {} for nothing. What is null was not said.
local function fields_of(raw, param)
  if raw == nil or json.kind(raw) == "null" then
    return {}
  elseif json.kind(raw) ~= "object" then
    refuse(param, "expected an object")
  end
  local out = {}
  for _, m in ipairs(json.members(raw)) do
    out[camel(m.key)] = json.kind(m.raw) ~= "null" and m.raw or nil
  end
  return out
end

local function items_of(raw, param)
  if raw == nil then
    return {}
  elseif json.kind(raw) == "object" then -- one alone is taken for a list of one
    return { raw }
  elseif json.kind(raw) ~= "array" then
    refuse(param, "expected a list")
  end
  return json.items(raw)
end

local function texts_of(raw, param)
  local out = {}
  for i, item in ipairs(items_of(raw, param)) do
    out[i] = json.text(item) or refuse(param, "expected texts")
  end
  return out[1] and out
end

local function whole(raw)
  local n = json.number(raw)
  return n and floor(n)
end

----------------------------------------------------------------------------------------------------------------------------
-- Parts

local function media_part(mime, fields)
  local data, url = json.text(fields.data), json.text(fields.fileUri)
  if mime and mime:find "^image/" then
    return { kind = "image", mime = mime, data = data, url = url }
  elseif mime and mime:find "^audio/" and data then
    return { kind = "audio", data = data, format = media.sound_format(mime) }
  end
  return { kind = "file", mime = mime, data = data, url = url, name = json.text(fields.displayName) }
end

-- The text of a result, and whether it tells of an error.
local function response_text(raw)
  local fields = json.kind(raw) == "object" and json.fields(raw) or {}
  local first, only = next(fields)
  if first and next(fields, first) == nil and (first == "output" or first == "error" or first == "result") then
    return json.text(only) or only, first == "error" or nil
  end
  return raw or "", nil
end

-- Ids are new: requests may do without, and then results follow their calls by name and order.
local function open_call(state, id, name)
  if not id then
    state.n_calls = state.n_calls + 1
    id = ("call_%d"):format(state.n_calls)
  end
  state.open[#state.open + 1] = { id = id, name = name }
  return id
end

local function answered_call(state, id, name)
  for i, call in ipairs(state.open) do
    if id == call.id or (not id and name == call.name) then
      return table.remove(state.open, i).id
    end
  end
  return id or "call_unknown"
end

local READ = {}

function READ.functionCall(state, fields, part)
  local name = json.text(fields.name) or refuse(state.param, "a functionCall has no name")
  return {
    kind = "call", id = open_call(state, json.text(fields.id), name), name = name,
    arguments = json.kind(fields.args) == "object" and fields.args or "{}", signature = json.text(part.thoughtSignature),
  }
end

function READ.functionResponse(state, fields)
  local name = json.text(fields.name)
  local text, failed = response_text(fields.response)
  return {
    kind = "result", id = answered_call(state, json.text(fields.id), name), name = name,
    parts = text ~= "" and { { kind = "text", text = text } } or {}, error = failed,
  }
end

function READ.inlineData(_, fields)
  return media_part(json.text(fields.mimeType), fields)
end

READ.fileData = READ.inlineData

local function text_part(part)
  local text, signature = json.text(part.text) or "", json.text(part.thoughtSignature)
  if part.thought == "true" then
    return { kind = "reasoning", text = text, state = signature and shape.unseal(signature, NAME, "signature") }
  end
  return { kind = "text", text = text, signature = signature }
end

local function read_part(state, raw)
  local part = fields_of(raw, state.param)
  if part.text then
    return text_part(part)
  end
  for _, name in ipairs { "functionCall", "functionResponse", "inlineData", "fileData" } do
    if part[name] then
      return READ[name](state, fields_of(part[name], state.param), part)
    end
  end
  return { kind = "opaque", dialect = NAME, raw = raw }
end

----------------------------------------------------------------------------------------------------------------------------
-- Contents

local function add(messages, role, part)
  local last = messages[#messages]
  if not last or last.role ~= role or last.closed then
    last = { role = role, parts = {} }
    messages[#messages + 1] = last
  end
  last.parts[#last.parts + 1] = part
end

local function read_content(state, messages, raw, param)
  state.param = param
  local content = fields_of(raw, param)
  local role = json.text(content.role) == "model" and "assistant" or "user"
  local first = #messages + 1
  for _, item in ipairs(items_of(content.parts, param .. ".parts")) do
    local part = read_part(state, item)
    add(messages, part.kind == "result" and "tool" or role, part)
  end
  if messages[first] then
    messages[#messages].closed = true -- the next content is a message of its own
  end
end

local function read_messages(fields)
  local messages = {}
  local state = { n_calls = 0, open = {}, param = "systemInstruction" }
  local system = fields.systemInstruction
  if json.kind(system) == "string" then
    add(messages, "system", { kind = "text", text = json.text(system) })
  else
    for _, item in ipairs(items_of(fields_of(system, "systemInstruction").parts, "systemInstruction.parts")) do
      add(messages, "system", read_part(state, item))
    end
  end
  for i, item in ipairs(items_of(fields.contents, "contents")) do
    read_content(state, messages, item, ("contents[%d]"):format(i - 1))
  end
  for _, message in ipairs(messages) do
    message.closed = nil
  end
  return messages
end

----------------------------------------------------------------------------------------------------------------------------
-- Tools

local function read_function(raw, param)
  local fields = fields_of(raw, param)
  local proto = fields.parameters and schemas.from_proto(fields.parameters)
  return {
    name = json.text(fields.name) or refuse(param, "a function has no name"), description = json.text(fields.description),
    schema = fields.parametersJsonSchema or proto,
  }
end

local function read_tools(raw)
  local out = {}
  for i, item in ipairs(items_of(raw, "tools")) do
    local param = ("tools[%d]"):format(i - 1)
    local tool = fields_of(item, param)
    for k, declared in ipairs(items_of(tool.functionDeclarations, param)) do
      out[#out + 1] = read_function(declared, ("%s.functionDeclarations[%d]"):format(param, k - 1))
    end
    -- What else it holds Google runs itself; each is a member of its own.
    for _, m in ipairs(json.members(item)) do
      if camel(m.key) ~= "functionDeclarations" then
        out[#out + 1] = { name = m.key, hosted = { dialect = NAME, type = m.key, raw = ("{%s:%s}"):format(json.quote(m.key), m.raw) } }
      end
    end
  end
  return out[1] and out
end

local MODES = { AUTO = "auto", NONE = "none", ANY = "required", VALIDATED = "auto" }

local function read_choice(raw)
  local config = fields_of(fields_of(raw, "toolConfig").functionCallingConfig, "toolConfig.functionCallingConfig")
  local mode = MODES[json.text(config.mode) or ""]
  local names = texts_of(config.allowedFunctionNames, "toolConfig.functionCallingConfig.allowedFunctionNames")
  if mode == "required" and names and not names[2] then
    return { mode = "named", name = names[1] }
  end
  return mode and { mode = mode, names = names or nil }
end

----------------------------------------------------------------------------------------------------------------------------
-- generationConfig

local function read_format(fields)
  local proto = fields.responseSchema and schemas.from_proto(fields.responseSchema)
  local schema = fields.responseJsonSchema or proto
  if schema then
    return { kind = "schema", schema = schema }
  end
  return json.text(fields.responseMimeType) == "application/json" and { kind = "json" } or nil
end

local EFFORTS = { MINIMAL = "minimal", LOW = "low", MEDIUM = "medium", HIGH = "high" }

local function read_thinking(raw)
  if not raw then
    return nil
  end
  local fields = fields_of(raw, "generationConfig.thinkingConfig")
  local budget = whole(fields.thinkingBudget)
  local effort = EFFORTS[json.text(fields.thinkingLevel) or ""]
  if budget == 0 then
    effort, budget = "none", nil
  elseif budget and budget < 0 then
    budget = nil -- as much as the model likes
  end
  return { effort = effort, budget = budget, hidden = fields.includeThoughts ~= "true" and effort ~= "none" or nil }
end

local KNOWN = {
  temperature = true, topP = true, topK = true, candidateCount = true, maxOutputTokens = true, stopSequences = true, seed = true,
  presencePenalty = true, frequencyPenalty = true, responseMimeType = true, responseSchema = true, responseJsonSchema = true,
  responseLogprobs = true, logprobs = true, thinkingConfig = true,
}

local function read_generation(request, raw)
  local fields = fields_of(raw, "generationConfig")
  request.temperature, request.top_p, request.top_k = fields.temperature, fields.topP, fields.topK
  request.n, request.max_tokens, request.seed = whole(fields.candidateCount), whole(fields.maxOutputTokens), fields.seed
  request.stop = texts_of(fields.stopSequences, "generationConfig.stopSequences") or nil
  request.presence_penalty, request.frequency_penalty = fields.presencePenalty, fields.frequencyPenalty
  request.format, request.reasoning = read_format(fields), read_thinking(fields.thinkingConfig)
  request.logprobs = fields.responseLogprobs == "true" or nil
  request.top_logprobs = fields.logprobs
  local left = {}
  for _, m in ipairs(raw and json.members(raw) or {}) do
    if not KNOWN[camel(m.key)] then
      left[#left + 1] = json.quote(m.key) .. ":" .. m.raw
    end
  end
  if left[1] then
    request.extra[#request.extra + 1] = { "generationConfig", "{" .. table.concat(left, ",") .. "}" }
  end
end

----------------------------------------------------------------------------------------------------------------------------
-- The whole

local OWN = { systemInstruction = true, contents = true, tools = true, toolConfig = true, generationConfig = true, model = true }

local function read(body)
  local members, why = json.members(body)
  if not members then
    return nil, { message = "The request is not JSON: " .. why }
  end
  local request = { stream = false, wants_usage = true, fields = {}, extra = {}, dialect = NAME }
  local fields = {}
  for _, m in ipairs(members) do
    local name = camel(m.key)
    request.fields[m.key] = m.raw
    fields[name] = json.kind(m.raw) ~= "null" and m.raw or nil
    if not OWN[name] then
      request.extra[#request.extra + 1] = { m.key, m.raw }
    end
  end
  request.messages = read_messages(fields)
  request.tools = read_tools(fields.tools) or nil
  request.tool_choice = read_choice(fields.toolConfig) or nil
  read_generation(request, fields.generationConfig)
  return request
end

--- See perilune.Dialect.
function M.read(body)
  local ok, request, problem = pcall(read, body)
  if ok then
    return request, problem
  elseif type(request) == "table" and request.problem then
    return nil, request.problem
  end
  return error(request, 0)
end

return M
