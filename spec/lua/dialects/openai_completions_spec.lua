local completions = require "perilune.dialects.openai_completions"

local function context(wants_usage)
  return { id = "01ABC", created = 1790000001, model = "m", input_tokens = 5, request = { wants_usage = wants_usage or false,
    fields = {} } }
end

describe("openai_completions, a request", function()
  it("is one message of the user, with the fields both dialects have", function()
    for _, prompt in ipairs { '"Once"', '["Once"]' } do
      local request = assert(completions.read('{"model":"m","prompt":' .. prompt
        .. ',"max_tokens":5,"temperature":0.70,"stream":true,"n":2,'
        .. '"stream_options":{"include_usage":true},"stop":"x","user":"u","min_p":1,"best_of":1,"echo":false,"suffix":null}'))
      assert.same({ { role = "user", parts = { { kind = "text", text = "Once" } } } }, request.messages)
      assert.same({ 5, "0.70", true, true, { "x" }, "u", 2 },
        { request.max_tokens, request.temperature, request.stream, request.wants_usage, request.stop, request.user, request.n })
      assert.same({ { "min_p", "1" } }, request.extra)
      assert.equal(prompt, request.fields.prompt)
      assert.equal("openai_completions", request.dialect)
    end
  end)

  for body, param in pairs {
    ["{}"] = "prompt", ['{"prompt":["a","b"]}'] = "prompt", ['{"prompt":[1,2]}'] = "prompt", ['{"prompt":[[1]]}'] = "prompt",
      ['{"prompt":5}'] = "prompt",
    ['{"prompt":"x","suffix":"y"}'] = "suffix", ['{"prompt":"x","echo":true}'] = "echo", ['{"prompt":"x","best_of":2}'] = "best_of",
    ['{"prompt":"x","logprobs":0}'] = "logprobs", ['{"prompt":"x","temperature":"y"}'] = "temperature",
  } do
    it("that no chat model can answer says why: " .. body, function()
      local request, problem = completions.read(body)
      assert.is_nil(request)
      assert.equal(param, problem.param)
      assert.equal(param, problem.message:match "^[%w_]+")
    end)
  end

  it("must be JSON", function()
    assert.matches("not JSON", select(2, completions.read "x").message)
  end)
end)

describe("openai_completions, answers", function()
  local HEAD = '{"id":"cmpl-01ABC","object":"text_completion","created":1790000001,"model":"m-1","choices":['
  local USAGE = '"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11,"prompt_tokens_details":{"cached_tokens":0},'
    .. '"completion_tokens_details":{"reasoning_tokens":0}}'

  it("stream texts, and nothing there is no place for", function()
    local w = completions.writer(context())
    assert.equal("", w:begin { model = "m-1" })
    assert.equal("data: " .. HEAD .. '{"text":"a\\n","index":0,"logprobs":null,"finish_reason":null}]}\n\n', w:text(0, "a\n"))
    assert.equal("data: " .. HEAD .. '{"text":"no","index":1,"logprobs":null,"finish_reason":null}]}\n\n', w:refusal(1, "no"))
    for _, name in ipairs { "reasoning", "state", "call", "arguments", "call_done", "audio", "opaque" } do
      assert.equal("", w[name](w, 0, "x", "y", "z"))
    end
    assert.equal("data: " .. HEAD .. '{"text":"","index":0,"logprobs":null,"finish_reason":"stop"}]}\n\n',
      w:finish({ { choice = 0, reason = "tool_calls" } }, {}))
  end)

  it("tell the usage to who asked", function()
    local w = completions.writer(context(true))
    w:begin { model = "m-1" }
    assert.equal("data: " .. HEAD .. '{"text":"","index":0,"logprobs":null,"finish_reason":"length"}],"usage":null}\n\n'
      .. "data: " .. HEAD .. "]," .. USAGE .. "}\n\n", w:finish({ { choice = 0, reason = "length" } }, { input_tokens = 9,
        output_tokens = 2 }))
  end)

  it("may be whole", function()
    assert.equal(HEAD .. '{"text":"ab","index":0,"logprobs":null,"finish_reason":"stop"}],' .. USAGE .. "}", completions.write_answer({
      model = "m-1", usage = { input_tokens = 9, output_tokens = 2 },
      choices = { { index = 0, finish = "stop", parts = { { kind = "reasoning", text = "r" }, { kind = "text", text = "a" },
        { kind = "refusal", text = "b" } } } },
    }, context()))
  end)
end)
