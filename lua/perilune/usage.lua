--- Token counts out of an answer, wherever a service puts them.
local json = require "perilune.json"

local M = {}

---@class perilune.Usage
---@field input_tokens? integer all of the prompt, what came from a cache included
---@field output_tokens? integer all of the answer, reasoning included
---@field cached_tokens? integer
---@field reasoning_tokens? integer

local function whole(raw)
  local n = json.number(raw)
  return n and n >= 0 and n < 2 ^ 53 and math.floor(n) or nil
end

local function object(raw)
  return json.kind(raw) == "object" and json.fields(raw) or {}
end

--- Usage as OpenAI-compatible services report it; nil when there is none.
---@param fields table<string, perilune.Raw> the members of an answer or a chunk
---@return perilune.Usage|nil
function M.openai(fields)
  local raw = fields.usage
  if json.kind(raw) ~= "object" then
    -- Groq's own place, in the last chunk also without stream_options.
    raw = object(fields.x_groq).usage
  end
  if json.kind(raw) ~= "object" then
    return nil
  end
  local usage = object(raw)
  local prompt, completion = object(usage.prompt_tokens_details), object(usage.completion_tokens_details)
  local out = {
    input_tokens = whole(usage.prompt_tokens),
    output_tokens = whole(usage.completion_tokens),
    cached_tokens = whole(prompt.cached_tokens) or whole(usage.prompt_cache_hit_tokens) or whole(usage.cached_tokens),
    reasoning_tokens = whole(completion.reasoning_tokens),
  }
  return next(out) and out or nil
end

return M
