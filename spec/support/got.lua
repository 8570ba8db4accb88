--- What an upstream was asked, whatever it speaks: one plain table out of the requests of five dialects, so that one specification holds
--- for all of them.
---
---   { model, stream, system, tools = { { name, schema } }, max_tokens, effort, said = { { role, text } }, image = { data, mime },
---     calls = { { id, name, arguments } }, results = { { id, name, text } }, states = { ... } }
---
---   local got = got_by.gemini(up:last())
local http = require "support.http"

local M = {}

local function decoded(request)
  return assert(http.json(request.body), request.body)
end

local function new(json)
  return { json = json, said = {}, tools = {}, calls = {}, results = {}, states = {}, system = "" }
end

local function say(got, role, text)
  got.said[#got.said + 1] = { role, text }
end

-- "data:image/png;base64,AAAA"
local function picture(url)
  local mime, data = url:match "^data:([^;]+);base64,(.*)$"
  return { mime = mime, data = data }
end

local function each(content, take)
  if type(content) == "string" then
    take { type = "text", text = content }
  elseif type(content) == "table" then
    for _, part in ipairs(content) do
      take(part)
    end
  end
end

local function text_of(content)
  local out = {}
  each(content, function(part)
    out[#out + 1] = part.text
  end)
  return table.concat(out)
end

function M.openai_chat(request)
  local json = decoded(request)
  local got = new(json)
  got.model, got.stream, got.max_tokens = json.model, json.stream == true, json.max_completion_tokens or json.max_tokens
  got.effort = json.reasoning_effort
  for i, tool in ipairs(json.tools or {}) do
    got.tools[i] = { name = tool["function"].name, schema = tool["function"].parameters }
  end
  for _, message in ipairs(json.messages) do
    if message.role == "system" or message.role == "developer" then
      got.system = got.system .. text_of(message.content)
    elseif message.role == "tool" then
      got.results[#got.results + 1] = { id = message.tool_call_id, text = text_of(message.content) }
    else
      each(message.content, function(part)
        if part.type == "image_url" then
          got.image = picture(part.image_url.url)
        else
          say(got, message.role, part.text)
        end
      end)
      for _, call in ipairs(message.tool_calls or {}) do
        got.calls[#got.calls + 1] = { id = call.id, name = call["function"].name, arguments = call["function"].arguments }
      end
      got.states[#got.states + 1] = message.reasoning_content
    end
  end
  return got
end

function M.openai_responses(request)
  local json = decoded(request)
  local got = new(json)
  got.model, got.stream, got.max_tokens = json.model, json.stream == true, json.max_output_tokens
  got.effort, got.system = json.reasoning and json.reasoning.effort, json.instructions or ""
  for i, tool in ipairs(json.tools or {}) do
    got.tools[i] = { name = tool.name, schema = tool.parameters }
  end
  each(json.input, function(item)
    if item.type == "function_call" then
      got.calls[#got.calls + 1] = { id = item.call_id, name = item.name, arguments = item.arguments }
    elseif item.type == "function_call_output" then
      got.results[#got.results + 1] = { id = item.call_id, text = item.output }
    elseif item.type == "reasoning" then
      got.states[#got.states + 1] = item.encrypted_content
    elseif item.role == "system" or item.role == "developer" then
      got.system = got.system .. text_of(item.content)
    else
      each(item.content or item.text, function(part)
        if part.type == "input_image" then
          got.image = picture(part.image_url)
        else
          say(got, item.role, part.text)
        end
      end)
    end
  end)
  return got
end

function M.anthropic_messages(request)
  local json = decoded(request)
  local got = new(json)
  got.model, got.stream, got.max_tokens, got.system = json.model, json.stream == true, json.max_tokens, text_of(json.system)
  got.effort = json.thinking and (json.output_config and json.output_config.effort or json.thinking.type)
  for i, tool in ipairs(json.tools or {}) do
    got.tools[i] = { name = tool.name, schema = tool.input_schema }
  end
  for _, message in ipairs(json.messages) do
    each(message.content, function(part)
      if part.type == "tool_use" then
        got.calls[#got.calls + 1] = { id = part.id, name = part.name, arguments = http.encode(part.input) }
      elseif part.type == "tool_result" then
        got.results[#got.results + 1] = { id = part.tool_use_id, text = text_of(part.content) }
      elseif part.type == "image" then
        got.image = { mime = part.source.media_type, data = part.source.data }
      elseif part.type == "thinking" or part.type == "redacted_thinking" then
        got.states[#got.states + 1] = part.signature or part.data
      else
        say(got, message.role, part.text)
      end
    end)
  end
  return got
end

-- A name in a path: "/v1beta/models/NAME:generateContent", "/model/NAME/converse".
local function unescaped(text)
  return (text:gsub("%%(%x%x)", function(hex)
    return string.char(tonumber(hex, 16))
  end))
end

function M.gemini(request)
  local json = decoded(request)
  local got = new(json)
  local model, method = request.path:match "/models/([^:]+):(%a+)"
  local config = json.generationConfig or {}
  got.model, got.stream, got.max_tokens = unescaped(model), method == "streamGenerateContent", config.maxOutputTokens
  got.system = text_of(json.systemInstruction and json.systemInstruction.parts)
  local thinking = config.thinkingConfig
  got.effort = thinking and (thinking.thinkingLevel and thinking.thinkingLevel:lower() or thinking.thinkingBudget)
  for _, tool in ipairs(json.tools or {}) do
    for _, f in ipairs(tool.functionDeclarations or {}) do
      got.tools[#got.tools + 1] = { name = f.name, schema = f.parametersJsonSchema or f.parameters }
    end
  end
  for _, content in ipairs(json.contents) do
    for _, part in ipairs(content.parts) do
      if part.functionCall then
        local call = part.functionCall
        got.calls[#got.calls + 1] = { id = call.id, name = call.name, arguments = http.encode(call.args) }
      elseif part.functionResponse then
        local result = part.functionResponse
        got.results[#got.results + 1] = { id = result.id, name = result.name, text = http.encode(result.response) }
      elseif part.inlineData then
        got.image = { mime = part.inlineData.mimeType, data = part.inlineData.data }
      elseif not part.thought then
        say(got, content.role == "model" and "assistant" or "user", part.text)
      end
      got.states[#got.states + 1] = part.thoughtSignature
    end
  end
  return got
end

function M.bedrock_converse(request)
  local json = decoded(request)
  local got = new(json)
  local model, method = request.path:match "/model/([^/]+)/(.+)$"
  got.model, got.stream = unescaped(model), method == "converse-stream"
  got.max_tokens, got.system = json.inferenceConfig and json.inferenceConfig.maxTokens, text_of(json.system)
  local more = json.additionalModelRequestFields
  got.effort = more and (more.output_config and more.output_config.effort or more.thinking and more.thinking.type)
  for _, tool in ipairs(json.toolConfig and json.toolConfig.tools or {}) do
    if tool.toolSpec then
      got.tools[#got.tools + 1] = { name = tool.toolSpec.name, schema = tool.toolSpec.inputSchema.json }
    end
  end
  for _, message in ipairs(json.messages) do
    for _, part in ipairs(message.content) do
      if part.toolUse then
        got.calls[#got.calls + 1] = { id = part.toolUse.toolUseId, name = part.toolUse.name, arguments = http.encode(part.toolUse.input) }
      elseif part.toolResult then
        got.results[#got.results + 1] = { id = part.toolResult.toolUseId, text = text_of(part.toolResult.content) }
      elseif part.image then
        got.image = { mime = "image/" .. part.image.format, data = part.image.source.bytes }
      elseif part.reasoningContent then
        got.states[#got.states + 1] = part.reasoningContent.reasoningText.signature
      else
        say(got, message.role, part.text)
      end
    end
  end
  return got
end

return M
