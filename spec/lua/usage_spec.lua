local json = require "perilune.json"
local usage = require "perilune.usage"

local function read(text)
  return usage.openai(assert(json.fields(text)))
end

describe("usage.openai", function()
  it("reads all counts", function()
    assert.same({ input_tokens = 12, output_tokens = 3, cached_tokens = 4, reasoning_tokens = 2 }, read [[{"usage":{"prompt_tokens":12,
      "completion_tokens":3,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":4},
      "completion_tokens_details":{"reasoning_tokens":2}}}]])
  end)

  it("knows other places", function()
    assert.same({ input_tokens = 5, output_tokens = 1 }, read '{"x_groq":{"usage":{"prompt_tokens":5,"completion_tokens":1}}}')
    assert.equal(7, read('{"usage":{"prompt_tokens":9,"prompt_cache_hit_tokens":7}}').cached_tokens)
    assert.equal(6, read('{"usage":{"prompt_tokens":9,"cached_tokens":6}}').cached_tokens)
  end)

  it("says nothing where there is nothing", function()
    for _, text in ipairs {
      "{}", '{"usage":null}', '{"usage":{}}', '{"usage":[]}', '{"usage":{"prompt_tokens":"x","completion_tokens":-1}}',
    } do
      assert.is_nil(read(text))
    end
  end)
end)
