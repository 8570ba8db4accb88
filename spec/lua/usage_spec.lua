local json = require "perilune.json"
local usage = require "perilune.usage"

local function read(text)
  return usage.openai(assert(json.read(text)))
end

describe("usage.openai", function()
  it("reads all counts", function()
    assert.same({ input_tokens = 12, output_tokens = 3, cached_tokens = 4, cache_write_tokens = 5, reasoning_tokens = 2,
      total_tokens = 15 },
      read [[{"usage":{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15,
        "prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":5},"completion_tokens_details":{"reasoning_tokens":2}}}]])
  end)

  it("knows other places", function()
    assert.same({ input_tokens = 5, output_tokens = 1 }, read '{"x_groq":{"usage":{"prompt_tokens":5,"completion_tokens":1}}}')
    assert.same({ input_tokens = 6 }, read '{"choices":[{"usage":{"prompt_tokens":6}}],"usage":null}')
  end)

  for name, place in pairs {
    prompt_tokens_details = '"prompt_tokens_details":{"cached_tokens":7}', prompt_cache_hit_tokens = '"prompt_cache_hit_tokens":7',
    cached_tokens = '"cached_tokens":7', cache_read_input_tokens = '"cache_read_input_tokens":7',
  } do
    it("[E6] finds what was read from a cache in " .. name, function()
      assert.equal(7, read('{"usage":{"prompt_tokens":9,' .. place .. "}}").cached_tokens)
    end)
  end

  it("adds reasoning that was counted beside the answer, and only that", function()
    local outside = read [[{"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":22,
      "completion_tokens_details":{"reasoning_tokens":7}}}]]
    assert.same({ 12, 7 }, { outside.output_tokens, outside.reasoning_tokens })
    local inside = read [[{"usage":{"prompt_tokens":10,"completion_tokens":12,"total_tokens":22,
      "completion_tokens_details":{"reasoning_tokens":7}}}]]
    assert.equal(12, inside.output_tokens)
  end)

  it("says nothing where there is nothing", function()
    for _, text in ipairs {
      "{}", '{"usage":null}', '{"usage":{}}', '{"usage":[]}', '{"usage":{"prompt_tokens":"x","completion_tokens":-1}}',
        '{"choices":[null]}',
    } do
      assert.is_nil(read(text))
    end
  end)
end)
