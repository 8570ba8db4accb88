--- Clients of the three dialects the gateway answers in: how each asks, and how each reads what comes back, as strictly as the
--- vendors' own libraries do. What they make of an answer is one plain table for all of them, so that one specification holds for all:
---
---   { text, reasoning, refusal, calls = { { id, name, arguments } }, finish = "stop"|"tool_calls"|"length", model,
---     input, output, cached, states = { ... }, ended = true, error = { message, type } }
---
--- `arguments` are JSON text. `ended` says that a stream came to the end its dialect has for success.
---
---   local client = clients.anthropic_messages
---   local told = client.whole(http.post(port, client.path, client.request(talk), client.headers).json)
local cjson = require "cjson"
local http = require "support.http"

local M = {}

local null = http.null

---@class spec.Talk what is asked, whatever the dialect
---@field model string
---@field stream boolean?
---@field system string?
---@field tools string[]? names
---@field reasoning boolean?
---@field max_tokens integer?
---@field turns spec.Turn[]

---@class spec.Turn { user = TEXT, image = BASE64? } | { assistant = TEXT?, calls = {...} } | { results = { { id, name, text } } }

--- The arguments every tool of a talk takes.
M.SCHEMA = {
  type = "object",
  properties = { text = { type = "string", description = "What to look for." }, call = { type = "integer" } },
  required = { "text" },
}

local function is_null(value)
  return value == nil or value == null
end

local function text_or(value, default)
  return is_null(value) and default or value
end

local function expect(condition, ...)
  if not condition then
    error(("no valid answer: " .. (...)):format(select(2, ...)), 3)
  end
  return condition
end

local function is_same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then
    return a == b
  end
  for key, value in pairs(a) do
    if not is_same(value, b[key]) then
      return false
    end
  end
  for key in pairs(b) do
    if a[key] == nil then
      return false
    end
  end
  return true
end

local function told_of(model)
  return { text = "", reasoning = "", refusal = "", calls = {}, states = {}, model = model }
end

-- Every call has what an agent needs to run it and to send its result back.
local function check_calls(calls)
  local seen = {}
  for i, call in ipairs(calls) do
    expect(type(call.id) == "string" and call.id ~= "", "call %d has no id", i)
    expect(not seen[call.id], "two calls have the id %s", call.id)
    expect(type(call.name) == "string" and call.name ~= "", "call %d has no name", i)
    expect(type(http.json(call.arguments)) == "table", "the arguments of call %d are no object: %s", i, tostring(call.arguments))
    seen[call.id] = true
  end
end

----------------------------------------------------------------------------------------------------------------------------
-- Chat Completions

local chat = { path = "/v1/chat/completions" }
M.openai_chat = chat

local function chat_calls(calls)
  local out = {}
  for i, call in ipairs(calls) do
    out[i] = { id = call.id, type = "function", ["function"] = { name = call.name, arguments = call.arguments } }
  end
  return out
end

local function chat_turn(turn, out)
  if turn.message then
    out[#out + 1] = turn.message
  elseif turn.results then
    for _, result in ipairs(turn.results) do
      out[#out + 1] = { role = "tool", tool_call_id = result.id, content = result.text }
    end
  elseif turn.user then
    out[#out + 1] = { role = "user", content = not turn.image and turn.user or {
      { type = "text", text = turn.user },
      { type = "image_url", image_url = { url = "data:image/png;base64," .. turn.image } },
    } }
  else
    out[#out + 1] = { role = "assistant", content = turn.assistant or null, tool_calls = turn.calls and chat_calls(turn.calls) }
  end
end

---@param talk spec.Talk
function chat.request(talk)
  local messages, tools = {}, talk.tools and {}
  if talk.system then
    messages[1] = { role = "system", content = talk.system }
  end
  for _, turn in ipairs(talk.turns) do
    chat_turn(turn, messages)
  end
  for i, name in ipairs(talk.tools or {}) do
    tools[i] = { type = "function", ["function"] = { name = name, description = "Does " .. name .. ".", parameters = M.SCHEMA } }
  end
  return {
    model = talk.model, messages = messages, tools = tools, stream = talk.stream,
    stream_options = talk.stream and { include_usage = true } or nil,
    max_completion_tokens = talk.max_tokens, reasoning_effort = talk.reasoning and "medium" or nil,
  }
end

local CHAT_FINISH = { stop = "stop", tool_calls = "tool_calls", length = "length", content_filter = "content_filter" }

local function chat_usage(told, usage)
  expect(type(usage) == "table", "there is no usage")
  told.input, told.output = usage.prompt_tokens, usage.completion_tokens
  told.cached = usage.prompt_tokens_details.cached_tokens
  expect(usage.total_tokens == told.input + told.output, "the usage does not add up")
end

function chat.whole(json)
  expect(json.object == "chat.completion", "object is %s", tostring(json.object))
  expect(type(json.id) == "string" and type(json.created) == "number", "id or created is missing")
  local choice = expect(#json.choices == 1 and json.choices[1], "there is not one choice")
  local message, told = choice.message, told_of(json.model)
  expect(choice.index == 0 and message.role == "assistant", "index or role is wrong")
  told.text, told.reasoning = text_or(message.content, ""), text_or(message.reasoning_content, "")
  told.refusal = text_or(message.refusal, "")
  for i, call in ipairs(message.tool_calls or {}) do
    expect(call.type == "function", "type of call %d", i)
    told.calls[i] = { id = call.id, name = call["function"].name, arguments = call["function"].arguments }
  end
  told.states, told.message = message.reasoning_details or {}, message
  told.finish = expect(CHAT_FINISH[choice.finish_reason], "finish_reason is %s", tostring(choice.finish_reason))
  chat_usage(told, json.usage)
  check_calls(told.calls)
  told.ended = true
  return told
end

local function chat_call_delta(told, delta)
  local n = expect(type(delta.index) == "number" and delta.index + 1, "a call without an index")
  local call = told.calls[n]
  if not call then
    expect(n == #told.calls + 1, "call %d comes before call %d", n, #told.calls + 1)
    expect(type(delta.id) == "string" and delta["function"].name, "a call begins without id or name")
    call = { id = delta.id, name = delta["function"].name, arguments = "" }
    told.calls[n] = call
  end
  call.arguments = call.arguments .. text_or(delta["function"].arguments, "")
end

local function chat_delta(told, delta)
  told.text = told.text .. text_or(delta.content, "")
  told.reasoning = told.reasoning .. text_or(delta.reasoning_content, "")
  told.refusal = told.refusal .. text_or(delta.refusal, "")
  for _, call in ipairs(is_null(delta.tool_calls) and {} or delta.tool_calls) do
    chat_call_delta(told, call)
  end
  for _, detail in ipairs(is_null(delta.reasoning_details) and {} or delta.reasoning_details) do
    told.states[#told.states + 1] = detail
  end
end

-- [C12] helpers of the vendor's raise where the first delta has no role.
local function chat_chunk(told, json, first)
  expect(json.object == "chat.completion.chunk", "object is %s", tostring(json.object))
  expect(not first or json.choices[1].delta.role == "assistant", "the first delta has no role")
  expect(told.id == nil or told.id == json.id, "the id changes")
  told.id, told.model = json.id, json.model
  local choice = json.choices[1]
  if not choice then
    chat_usage(told, json.usage)
    return
  end
  expect(not told.finish, "something follows the finish")
  chat_delta(told, choice.delta)
  if not is_null(choice.finish_reason) then
    told.finish = expect(CHAT_FINISH[choice.finish_reason], "finish_reason is %s", tostring(choice.finish_reason))
  end
end

function chat.stream(events)
  local told = told_of()
  for i, event in ipairs(events) do
    expect(event.event == nil, "a named event: %s", tostring(event.event))
    if event.data == "[DONE]" then
      expect(i == #events, "something follows [DONE]")
      told.ended = told.finish ~= nil and told.input ~= nil
    elseif event.json and event.json.error then
      expect(event.json.choices == nil and i == #events - 1, "an error with choices, or before the end")
      told.error = event.json.error
    else
      chat_chunk(told, expect(event.json, "no JSON: %s", event.raw), i == 1)
    end
  end
  check_calls(told.calls)
  return told
end

function chat.error(json)
  local e = expect(type(json) == "table" and type(json.error) == "table" and json.error, "no error object")
  expect(type(e.message) == "string" and type(e.type) == "string" and e.param ~= nil and e.code ~= nil, "a member of the error is missing")
  return e
end

----------------------------------------------------------------------------------------------------------------------------
-- Anthropic Messages

local messages = { path = "/v1/messages", headers = { ["anthropic-version"] = "2023-06-01" } }
M.anthropic_messages = messages

local function messages_turn(turn)
  local content = {}
  if turn.message then
    return turn.message
  elseif turn.results then
    for i, result in ipairs(turn.results) do
      content[i] = { type = "tool_result", tool_use_id = result.id, content = result.text }
    end
    return { role = "user", content = content }
  elseif turn.user then
    content[1] = { type = "text", text = turn.user }
    content[2] = turn.image and { type = "image", source = { type = "base64", media_type = "image/png", data = turn.image } }
    return { role = "user", content = turn.image and content or turn.user }
  end
  content[1] = turn.assistant and { type = "text", text = turn.assistant }
  for _, call in ipairs(turn.calls or {}) do
    content[#content + 1] = { type = "tool_use", id = call.id, name = call.name, input = http.json(call.arguments) }
  end
  return { role = "assistant", content = content }
end

function messages.request(talk)
  local turns, tools = {}, talk.tools and {}
  for i, turn in ipairs(talk.turns) do
    turns[i] = messages_turn(turn)
  end
  for i, name in ipairs(talk.tools or {}) do
    tools[i] = { name = name, description = "Does " .. name .. ".", input_schema = M.SCHEMA }
  end
  return {
    model = talk.model, system = talk.system, messages = turns, tools = tools, stream = talk.stream, max_tokens = talk.max_tokens or 1000,
    thinking = talk.reasoning and { type = "enabled", budget_tokens = 8192 } or nil,
  }
end

local MESSAGES_FINISH = { end_turn = "stop", tool_use = "tool_calls", max_tokens = "length", refusal = "content_filter" }

local function messages_usage(told, usage)
  for _, name in ipairs { "input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens" } do
    expect(type(usage[name]) == "number", "usage.%s is no number", name)
  end
  told.input = usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens
  told.output, told.cached = usage.output_tokens, usage.cache_read_input_tokens
end

local function messages_block(told, block)
  if block.type == "text" then
    told.text = told.text .. block.text
  elseif block.type == "thinking" then
    expect(type(block.signature) == "string", "a thinking block without a signature")
    told.reasoning = told.reasoning .. block.thinking
    told.states[#told.states + 1] = block
  elseif block.type == "redacted_thinking" then
    told.states[#told.states + 1] = block
  else
    expect(block.type == "tool_use", "a block of type %s", tostring(block.type))
    told.calls[#told.calls + 1] = { id = block.id, name = block.name, arguments = block.json or cjson.encode(block.input) }
  end
end

local function messages_head(json)
  expect(json.type == "message" and json.role == "assistant", "type or role is wrong")
  expect(type(json.id) == "string" and json.id:find "^msg_", "id is %s", tostring(json.id))
  expect(json.stop_sequence ~= nil, "stop_sequence is missing")
end

function messages.whole(json)
  messages_head(json)
  local told = told_of(json.model)
  for _, block in ipairs(json.content) do
    messages_block(told, block)
  end
  told.message = { role = "assistant", content = json.content }
  told.finish = expect(MESSAGES_FINISH[json.stop_reason], "stop_reason is %s", tostring(json.stop_reason))
  messages_usage(told, json.usage)
  check_calls(told.calls)
  told.ended = true
  return told
end

-- A delta's member goes to the member of its block.
local MESSAGES_DELTAS = {
  text_delta = { "text", "text", "text" }, thinking_delta = { "thinking", "thinking", "thinking" },
  signature_delta = { "thinking", "signature", "signature" }, input_json_delta = { "tool_use", "partial_json", "json" },
}

local on_messages = {}

function on_messages.message_start(state, json)
  expect(not state.started, "message_start comes twice")
  messages_head(json.message)
  expect(#json.message.content == 0 and json.message.stop_reason == null, "the message is not empty at its start")
  state.started, state.told.model = true, json.message.model
  messages_usage(state.told, json.message.usage)
  state.told.estimate = state.told.input
end

function on_messages.content_block_start(state, json)
  expect(state.started and not state.open, "a block starts inside of another one, or too early")
  expect(json.index == state.n_blocks, "block %s instead of %d", tostring(json.index), state.n_blocks)
  state.open, state.n_blocks = json.content_block, state.n_blocks + 1
  if state.open.type == "tool_use" then
    expect(type(state.open.input) == "table" and next(state.open.input) == nil, "a call starts with input")
    state.open.json = ""
  end
end

function on_messages.content_block_delta(state, json)
  local how = expect(MESSAGES_DELTAS[json.delta.type], "a delta of type %s", tostring(json.delta.type))
  expect(state.open and json.index == state.n_blocks - 1, "a delta of a block that is not open")
  expect(state.open.type == how[1], "%s in a block of type %s", json.delta.type, state.open.type)
  state.open[how[3]] = (state.open[how[3]] or "") .. json.delta[how[2]]
end

function on_messages.content_block_stop(state, json)
  expect(state.open and json.index == state.n_blocks - 1, "a stop of a block that is not open")
  if state.open.json == "" then
    state.open.json = "{}"
  end
  messages_block(state.told, state.open)
  state.blocks[#state.blocks + 1], state.open = state.open, nil
end

function on_messages.message_delta(state, json)
  expect(state.started and not state.open and not state.told.finish, "message_delta at the wrong place")
  state.told.finish = expect(MESSAGES_FINISH[json.delta.stop_reason], "stop_reason is %s", tostring(json.delta.stop_reason))
  messages_usage(state.told, json.usage)
end

function on_messages.message_stop(state)
  expect(state.told.finish, "message_stop without message_delta")
  state.told.ended = true
end

function on_messages.ping() end

on_messages["error"] = function(state, json)
  expect(type(json.error.type) == "string" and type(json.error.message) == "string", "an error without type or message")
  state.told.error = json.error
  state.told.text = state.told.text .. (state.open and state.open.text or "")
end

function messages.stream(events)
  local state = { told = told_of(), n_blocks = 0, blocks = {} }
  for _, event in ipairs(events) do
    local json = expect(event.json, "no JSON: %s", event.raw)
    expect(event.event == json.type, "event %s holds type %s", tostring(event.event), tostring(json.type))
    expect(not state.told.ended and not state.told.error, "%s follows the end", json.type)
    expect(on_messages[json.type], "an event %s", json.type)(state, json)
  end
  for _, block in ipairs(state.blocks) do
    block.input, block.json = block.json and http.json(block.json) or nil, nil
  end
  state.told.message = { role = "assistant", content = state.blocks }
  check_calls(state.told.calls)
  return state.told
end

function messages.error(json)
  expect(type(json) == "table" and json.type == "error", "no error envelope")
  expect(type(json.error.message) == "string" and type(json.error.type) == "string", "a member of the error is missing")
  expect(type(json.request_id) == "string", "request_id is missing")
  return json.error
end

----------------------------------------------------------------------------------------------------------------------------
-- Responses

local responses = { path = "/v1/responses" }
M.openai_responses = responses

local function responses_turn(turn, out)
  if turn.items then
    for _, item in ipairs(turn.items) do
      out[#out + 1] = item
    end
  elseif turn.results then
    for _, result in ipairs(turn.results) do
      out[#out + 1] = { type = "function_call_output", call_id = result.id, output = result.text }
    end
  elseif turn.user then
    local content = { { type = "input_text", text = turn.user } }
    content[2] = turn.image and { type = "input_image", image_url = "data:image/png;base64," .. turn.image, detail = "auto" }
    out[#out + 1] = { type = "message", role = "user", content = content }
  else
    if turn.assistant then
      out[#out + 1] = {
        type = "message", role = "assistant", content = { { type = "output_text", text = turn.assistant } },
      }
    end
    for _, call in ipairs(turn.calls or {}) do
      out[#out + 1] = { type = "function_call", call_id = call.id, name = call.name, arguments = call.arguments }
    end
  end
end

-- Items that came go back as they were: cjson would make objects of their empty lists.
local function with_lists(json)
  for _, name in ipairs { "summary", "annotations", "logprobs" } do
    json = json:gsub(('"%s":{}'):format(name), ('"%s":[]'):format(name))
  end
  return json
end

function responses.request(talk)
  local input, tools = {}, talk.tools and {}
  for _, turn in ipairs(talk.turns) do
    responses_turn(turn, input)
  end
  for i, name in ipairs(talk.tools or {}) do
    tools[i] = { type = "function", name = name, description = "Does " .. name .. ".", parameters = M.SCHEMA, strict = false }
  end
  return with_lists(http.encode {
    model = talk.model, instructions = talk.system, input = input, tools = tools, stream = talk.stream, store = false,
    max_output_tokens = talk.max_tokens, include = { "reasoning.encrypted_content" },
    reasoning = talk.reasoning and { effort = "medium", summary = "auto" } or nil,
  })
end

local function responses_message(told, item)
  expect(item.role == "assistant", "a message of %s", tostring(item.role))
  for _, part in ipairs(item.content) do
    if part.type == "refusal" then
      told.refusal = told.refusal .. part.refusal
    else
      expect(part.type == "output_text" and type(part.annotations) == "table", "a part of type %s", tostring(part.type))
      told.text = told.text .. part.text
    end
  end
end

local function responses_item(told, item)
  expect(type(item.id) == "string", "an item without an id")
  if item.type == "message" then
    responses_message(told, item)
  elseif item.type == "reasoning" then
    for _, part in ipairs(item.summary) do
      told.reasoning = told.reasoning .. part.text
    end
    for _, part in ipairs(item.content or {}) do
      told.reasoning = told.reasoning .. part.text
    end
    told.states[#told.states + 1] = item.encrypted_content
  else
    expect(item.type == "function_call", "an item of type %s", tostring(item.type))
    told.calls[#told.calls + 1] = { id = item.call_id, name = item.name, arguments = item.arguments }
  end
end

local function responses_finish(told, json)
  if json.status == "incomplete" then
    local reason = expect(json.incomplete_details, "no incomplete_details").reason
    told.finish = reason == "max_output_tokens" and "length" or reason
  else
    expect(json.status == "completed", "status is %s", tostring(json.status))
    told.finish = told.calls[1] and "tool_calls" or "stop"
  end
end

function responses.whole(json)
  expect(json.object == "response" and json.error == null, "object or error is wrong")
  expect(type(json.id) == "string" and json.id:find "^resp_" and type(json.created_at) == "number", "id or created_at is wrong")
  for _, name in ipairs { "parallel_tool_calls", "tool_choice", "tools", "metadata", "incomplete_details" } do
    expect(json[name] ~= nil, "%s is missing", name)
  end
  local told = told_of(json.model)
  for _, item in ipairs(json.output) do
    responses_item(told, item)
  end
  told.items = json.output
  responses_finish(told, json)
  told.input, told.output = json.usage.input_tokens, json.usage.output_tokens
  told.cached = json.usage.input_tokens_details.cached_tokens
  expect(type(json.usage.output_tokens_details.reasoning_tokens) == "number", "no count of reasoning")
  expect(json.usage.total_tokens == told.input + told.output, "the usage does not add up")
  check_calls(told.calls)
  told.ended = true
  return told
end

-- The text of a part, which deltas build: where its whole must be the same in the end.
local RESPONSES_TEXTS = {
  ["response.output_text"] = "text", ["response.refusal"] = "refusal", ["response.reasoning_summary_text"] = "text",
  ["response.reasoning_text"] = "text", ["response.function_call_arguments"] = "arguments",
}

local on_responses = {}

on_responses["response.created"] = function(state, json)
  expect(not state.created and json.response.status == "in_progress", "response.created at the wrong place")
  state.created = json.response.id
end

on_responses["response.in_progress"] = function(state)
  expect(state.created, "response.in_progress comes first")
end

on_responses["response.output_item.added"] = function(state, json)
  expect(json.output_index == #state.items, "item %s instead of %d", tostring(json.output_index), #state.items)
  state.items[#state.items + 1] = { id = json.item.id, type = json.item.type, texts = {} }
end

on_responses["response.output_item.done"] = function(state, json)
  local item = expect(state.items[json.output_index + 1], "an item is done that was not added")
  expect(item.id == json.item.id and item.type == json.item.type and not item.done, "another item than the one that was added")
  item.done = json.item
end

-- Deltas and the whole of a text, of a part that is open.
local function responses_text(state, json)
  local name, what = json.type:match "^(.-)%.(%l+)$"
  local member = expect(RESPONSES_TEXTS[name], "an event %s", json.type)
  local item = expect(state.items[json.output_index + 1], "%s before its item", json.type)
  expect(item.id == json.item_id and not item.done, "%s of a closed item", json.type)
  local key = name .. (json.content_index or json.summary_index or "")
  if what == "delta" then
    item.texts[key] = (item.texts[key] or "") .. json.delta
  else
    expect(what == "done" and json[member] == (item.texts[key] or ""), "%s does not say what its deltas said", json.type)
  end
end

local function responses_part(state, json)
  local item = expect(state.items[json.output_index + 1], "%s before its item", json.type)
  expect(item.id == json.item_id and not item.done, "%s of a closed item", json.type)
end

for _, name in ipairs { "content_part", "reasoning_summary_part" } do
  on_responses["response." .. name .. ".added"] = responses_part
  on_responses["response." .. name .. ".done"] = responses_part
end

local function responses_end(state, json)
  expect(json.response.id == state.created, "the response has another id at its end")
  local told = responses.whole(json.response)
  expect(#json.response.output == #state.items, "the response holds %d items, the stream told of %d", #json.response.output, #state.items)
  for i, item in ipairs(state.items) do
    expect(item.done, "item %d was not done", i)
    expect(is_same(item.done, json.response.output[i]), "item %d is another one at the end", i)
  end
  told.ended = true
  state.told = told
end

on_responses["response.completed"] = responses_end
on_responses["response.incomplete"] = responses_end

on_responses["response.failed"] = function(state, json)
  expect(json.response.status == "failed" and type(json.response.error.message) == "string", "a failure that is none")
  state.told = told_of(json.response.model)
  state.told.error = json.response.error
end

function responses.stream(events)
  local state = { items = {} }
  for i, event in ipairs(events) do
    local json = expect(event.json, "no JSON: %s", event.raw)
    expect(event.event == json.type, "event %s holds type %s", tostring(event.event), tostring(json.type))
    expect(json.sequence_number == i - 1, "%s has number %s instead of %d", json.type, tostring(json.sequence_number), i - 1)
    expect(not state.told, "%s follows the end", json.type);
    (on_responses[json.type] or responses_text)(state, json)
  end
  local told = state.told or told_of()
  if not told.ended then
    for _, item in ipairs(state.items) do
      for _, text in pairs(item.texts) do
        told.text = told.text .. (item.type == "message" and text or "")
      end
    end
  end
  return told
end

responses.error = chat.error

return M
