--- Token counts out of an answer in OpenAI's shape, wherever a service puts them.
local M = {}

local type, floor = type, math.floor

local function whole(n)
  return type(n) == "number" and n >= 0 and n < 2 ^ 53 and floor(n) or nil
end

local NOTHING = {}

local function object(v)
  return type(v) == "table" and v or NOTHING
end

-- Where the counts are: Groq's own place also without stream_options, Moonshot's older one in the choice.
local function find(answer)
  if type(answer.usage) == "table" then
    return answer.usage
  end
  local groq = object(answer.x_groq).usage
  if type(groq) == "table" then
    return groq
  end
  local inner = object(object(answer.choices)[1]).usage
  return type(inner) == "table" and inner or nil
end

-- xAI counts reasoning beside the completion; the total gives it away.
local function output_of(input, output, reasoning, total)
  if input and output and reasoning and total and total == input + output + reasoning then
    return output + reasoning
  end
  return output
end

--- Usage as OpenAI-compatible services report it; nil when there is none.
---@param answer table an answer or a chunk, decoded
---@return perilune.Usage|nil
function M.openai(answer)
  local usage = find(answer)
  if not usage then
    return nil
  end
  local prompt, completion = object(usage.prompt_tokens_details), object(usage.completion_tokens_details)
  local input, total = whole(usage.prompt_tokens), whole(usage.total_tokens)
  local reasoning = whole(completion.reasoning_tokens) or whole(usage.reasoning_tokens)
  local out = {
    input_tokens = input,
    output_tokens = output_of(input, whole(usage.completion_tokens), reasoning, total),
    cached_tokens = whole(prompt.cached_tokens) or whole(usage.prompt_cache_hit_tokens) or whole(usage.cached_tokens)
      or whole(usage.cache_read_input_tokens),
    cache_write_tokens = whole(prompt.cache_write_tokens) or whole(usage.cache_creation_input_tokens),
    reasoning_tokens = reasoning,
    total_tokens = total,
  }
  return next(out) and out or nil
end

return M
