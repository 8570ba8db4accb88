--- What a service does otherwise than its dialect says: the closed list of words provider files may write under `quirks`, for all of its
--- models or for one. Data only; the dialect that builds for the service acts on them.
local S = require "perilune.schema"

local M = {}

---@class perilune.Quirks
--- Any dialect.
---@field unsupported? string[] request fields it refuses, by OpenAI's names: dropped, and named in x-route-dropped
---@field max_stop? integer stop sequences it takes
---@field max_n? integer answers to one request
---@field efforts? string[] reasoning efforts it takes; a wish becomes the nearest
---@field no_sampling? boolean it refuses temperature, top_p, top_k and penalties
---@field no_images_by_url? boolean pictures only as bytes
---@field no_system_later? boolean system text only at the beginning
--- Chat Completions.
---@field max_tokens? "max_tokens"|"max_completion_tokens" the one bound it knows
---@field system? "system"|"developer" what it calls the role
---@field reasoning? "reasoning_effort"|"thinking"|"enable_thinking"|"reasoning"|"chat_template_kwargs"|"none" how thinking is asked for
---@field reasoning_back? "never"|"always"|"calls" assistant turns carry reasoning_content; "calls": all with calls, if need be an empty one
---@field tool_ids? "nine" call ids of exactly nine letters and digits
---@field tool_result_name? boolean a tool's result names the tool
---@field assistant_after_tool? boolean no user turn right behind a tool's result
---@field empty_content? "null"|"text"|"omit" the content of a turn that only calls tools
---@field required_choice? string its word for tool_choice "required"
---@field no_strict? boolean it refuses `strict` on tools
---@field no_json_schema? boolean response_format knows json_object only
---@field thinking_off_when_forced? boolean no forced tool_choice while thinking
---@field thinking_off_unstreamed? boolean no thinking without a stream
---@field seed? string its name for `seed`
---@field no_stream_options? boolean
---@field tool_stream? boolean it streams tool calls only when told `tool_stream: true`
---@field tools_from_history? boolean tool calls in the history need a `tools` list
--- Anthropic Messages.
---@field thinking? "budget"|"adaptive"|"always" how thinking is asked for; always: it can not be turned off
---@field no_prefill? boolean the last message may not be the assistant's
---@field no_forced_tools? boolean tool_choice any and tool are refused
---@field no_output_format? boolean no output_config.format: a forced tool stands in
---@field version? string anthropic-version
---@field version_in_body? string anthropic_version of cloud resellers; the model is in the path then
--- Gemini.
---@field thinking_level? boolean thinkingLevel instead of thinkingBudget
---@field thinking_min? integer the smallest budget; 0: it can be turned off
---@field proto_schema? boolean `parameters` instead of parametersJsonSchema
---@field signatures? boolean history must carry thought signatures

local words = { "unsupported", "efforts" }
local flag, count = S.boolean, S.integer(0, 1e9)

local function word(...)
  local set = {}
  for _, name in ipairs { ... } do
    set[name] = true
  end
  return S.one_of(set)
end

local FIELDS = {
  max_stop = count, max_n = count, no_sampling = flag, no_images_by_url = flag, no_system_later = flag,
  max_tokens = word("max_tokens", "max_completion_tokens"),
  system = word("system", "developer"),
  reasoning = word("reasoning_effort", "thinking", "enable_thinking", "reasoning", "chat_template_kwargs", "none"),
  reasoning_back = word("never", "always", "calls"),
  tool_ids = word "nine",
  tool_result_name = flag, assistant_after_tool = flag,
  empty_content = word("null", "text", "omit"),
  required_choice = S.text,
  no_strict = flag, no_json_schema = flag, thinking_off_when_forced = flag, thinking_off_unstreamed = flag,
  seed = S.text,
  no_stream_options = flag, tool_stream = flag, tools_from_history = flag,
  thinking = word("budget", "adaptive", "always"),
  no_prefill = flag, no_forced_tools = flag, no_output_format = flag,
  version = S.text, version_in_body = S.text,
  thinking_level = flag, thinking_min = count, proto_schema = flag, signatures = flag,
}
for _, name in ipairs(words) do
  FIELDS[name] = S.list(S.text)
end

--- Names of the quirks there are, for documentation and its specs.
M.fields = FIELDS

--- The check for provider files.
M.schema = S.record(FIELDS)

return M
