local settings = require "perilune.dialects.anthropic_settings"
local shape = require "perilune.shape"
local turns = require "perilune.dialects.anthropic_turns"

-- The members for a request, and the list of what was left out. `more` holds what a target has: quirks, max_output; and `unthought`.
local function members(request, more)
  more = more or {}
  local drops = shape.drops()
  local out, emulated = settings.members(request, {
    target = { quirks = more.quirks or {}, max_output = more.max_output, abilities = more.abilities or { reasoning = true } },
    drops = drops, names = turns.names(), unthought = more.unthought or false,
    mark = function()
      return ""
    end,
    say = function() end,
  })
  return out, drops:list(), emulated
end

describe("anthropic_messages, the bound of an answer", function()
  for _, case in ipairs {
    { nil, nil, "4096" }, { nil, 64000, "64000" }, { 500, 64000, "500" }, { 99999, 64000, "64000" }, { 99999, nil, "99999" },
      { 0, 8192, "0" },
  } do
    it(("is %s of %s wanted and %s possible"):format(case[3], tostring(case[1]), tostring(case[2])), function()
      local out, dropped = members({ max_tokens = case[1] }, { max_output = case[2] })
      assert.equal(case[3], out.max_tokens)
      assert.is_nil(dropped)
    end)
  end
end)

describe("anthropic_messages, thinking in tokens", function()
  local function thought(wish, max_tokens, more)
    more = more or {}
    local out, dropped = members({ reasoning = wish, max_tokens = max_tokens }, more)
    return out.thinking, out.max_tokens, dropped
  end

  it("is below the bound, and leaves the answer half of it", function()
    assert.same({ '{"type":"enabled","budget_tokens":8192}', "64000" }, { thought({ effort = "medium" }, 64000) })
    assert.same({ '{"type":"enabled","budget_tokens":2000}', "4000" }, { thought({ effort = "high" }, 4000) })
    assert.same({ '{"type":"enabled","budget_tokens":1024}', "1500" }, { thought({ effort = "high" }, 1500) })
    assert.same({ '{"type":"enabled","budget_tokens":8192}', "12288" }, { thought { effort = "medium" } })
  end)

  it("is what the client counted, if it fits", function()
    assert.same({ '{"type":"enabled","budget_tokens":5000}', "5001" }, { thought({ budget = 5000 }, 5001) })
    assert.same({ '{"type":"enabled","budget_tokens":4999}', "5000" }, { thought({ budget = 9000 }, 5000) })
    assert.same({ '{"type":"enabled","budget_tokens":1024}', "9000" }, { thought({ budget = 10 }, 9000) })
  end)

  it("is off where there is no room, and says so", function()
    assert.same({ '{"type":"disabled"}', "1024", "reasoning_effort" }, { thought({ effort = "high" }, 1024) })
  end)

  it("is off when that is wished, and not said when nothing is", function()
    assert.same({ '{"type":"disabled"}', "99" }, { thought({ effort = "none" }, 99) })
    assert.same({ '{"type":"disabled"}', "99" }, { thought({ budget = 0 }, 99) })
    assert.is_nil((thought(nil, 99)))
    assert.is_nil((thought({ summary = "auto" }, 99)))
  end)

  it("is off where the calls now answered came without it, and says so", function()
    assert.same({ '{"type":"disabled"}', "9000", "reasoning_effort" }, { thought({ effort = "high" }, 9000, { unthought = true }) })
    assert.same({ '{"type":"adaptive"}', "9000" }, { thought({ effort = "high" }, 9000,
      { unthought = true, quirks = { thinking = "adaptive" } }) })
  end)

  it("is told as it was wished", function()
    assert.equal('{"type":"enabled","budget_tokens":8192,"display":"omitted"}', (thought({ effort = "medium", hidden = true }, 64000)))
    assert.equal('{"type":"enabled","budget_tokens":8192,"display":"summarized"}',
      (thought({ effort = "medium", summary = "auto" }, 64000)))
  end)

  it("is nothing to a model that can not think", function()
    assert.same({ n = 3, nil, "99", "reasoning_effort" }, { n = 3, thought({ effort = "high" }, 99, { abilities = {} }) })
    assert.same({ n = 3, nil, "99", nil }, { n = 3, thought({ effort = "none" }, 99, { abilities = {} }) })
  end)
end)

describe("anthropic_messages, thinking by effort", function()
  local function thought(wish, quirks)
    local out, dropped = members({ reasoning = wish, max_tokens = 9000 }, { quirks = quirks })
    return { out.thinking or "-", out.output_config or "-", dropped or "-" }
  end

  for effort, sent in pairs { minimal = "low", low = "low", medium = "medium", high = "high", xhigh = "xhigh", max = "max" } do
    it("is " .. sent .. " of " .. effort, function()
      assert.same({ '{"type":"adaptive"}', '{"effort":"' .. sent .. '"}', "-" }, thought({ effort = effort }, { thinking = "adaptive" }))
    end)
  end

  it("is the nearest the target takes, also of tokens", function()
    assert.same({ '{"type":"adaptive"}', '{"effort":"medium"}', "-" },
      thought({ effort = "max" }, { thinking = "adaptive", efforts = { "low", "medium" } }))
    assert.same({ '{"type":"adaptive"}', '{"effort":"medium"}', "-" }, thought({ budget = 8000 }, { thinking = "adaptive" }))
    assert.same({ '{"type":"adaptive","display":"summarized"}', "-", "-" }, thought({ summary = "auto" }, { thinking = "adaptive" }))
  end)

  it("can be off", function()
    assert.same({ '{"type":"disabled"}', "-", "-" }, thought({ effort = "none" }, { thinking = "adaptive" }))
  end)

  it("can not be off where it always is, which is said", function()
    assert.same({ "-", '{"effort":"high"}', "-" }, thought({ effort = "high" }, { thinking = "always" }))
    assert.same({ "-", '{"effort":"low"}', "reasoning_effort" }, thought({ effort = "none" }, { thinking = "always" }))
    assert.same({ "-", "-", "-" }, thought(nil, { thinking = "always" }))
    assert.same({ '{"type":"adaptive","display":"omitted"}', '{"effort":"high"}', "-" },
      thought({ effort = "high", hidden = true }, { thinking = "always" }))
  end)

  it("[F16] is off for a call that must be made", function()
    local request = { reasoning = { effort = "high" }, max_tokens = 9000, tools = { { name = "f" } }, tool_choice = { mode = "required" } }
    for _, kind in ipairs { "budget", "adaptive" } do
      local out, dropped = members(request, { quirks = { thinking = kind } })
      assert.same({ '{"type":"disabled"}', "reasoning_effort" }, { out.thinking, dropped })
      assert.is_nil(out.output_config)
    end
  end)

  it("stands beside a format", function()
    local out = members({ reasoning = { effort = "low" }, format = { kind = "schema", schema = '{"type":"string"}' } },
      { quirks = { thinking = "adaptive" } })
    assert.equal('{"effort":"low","format":{"type":"json_schema","schema":{"type":"string"}}}', out.output_config)
  end)
end)

describe("anthropic_messages, sampling", function()
  local function sampled(request, quirks)
    request.max_tokens = 9000
    local out, dropped = members(request, { quirks = quirks })
    return { out.temperature or "-", out.top_p or "-", out.top_k or "-", dropped or "-" }
  end

  it("goes up as it was written", function()
    assert.same({ "0.70", "-", "40", "-" }, sampled { temperature = "0.70", top_k = "40" })
    assert.same({ "-", "1e-1", "-", "-" }, sampled { top_p = "1e-1" })
  end)

  it("has no temperature above 1, and says so", function()
    assert.same({ "1", "-", "-", "temperature" }, sampled { temperature = "1.5" })
  end)

  it("is one of temperature and top_p", function()
    assert.same({ "0.5", "-", "-", "top_p" }, sampled { temperature = "0.5", top_p = "0.9" })
    assert.same({ "0.5", "-", "-", "-" }, sampled { temperature = "0.5", top_p = "1" })
  end)

  it("is left out where it is refused: by the model, by the version, while thinking", function()
    local all = { temperature = "0.5", top_p = "0.9", top_k = "4" }
    assert.same({ "-", "-", "-", "temperature, top_p, top_k" }, sampled(all, { no_sampling = true }))
    assert.same({ "-", "-", "-", "temperature, top_p, top_k" }, sampled(all, { version = "2026-10-21" }))
    all.reasoning = { effort = "low" }
    assert.same({ "-", "-", "-", "temperature, top_k, top_p" }, sampled(all))
    assert.same({ "1.0", "-", "-", "-" }, sampled { temperature = "1.0", top_p = "1", reasoning = { effort = "low" } })
    assert.same({ "-", "0.95", "-", "-" }, sampled { top_p = "0.95", reasoning = { effort = "low" } })
    assert.same({ "-", "-", "-", "temperature" }, sampled({ temperature = "0.2" }, { thinking = "always" }))
  end)
end)

describe("anthropic_messages, other settings", function()
  it("have their names", function()
    local out, dropped = members { stop = { "a", "\n", "b" }, stream = true, user = "u\"1", service_tier = "default" }
    assert.same({ '["a","b"]', "true", '{"user_id":"u\\"1"}', '"standard_only"', "stop" }, {
      out.stop_sequences, out.stream, out.metadata, out.service_tier, dropped,
    })
    assert.equal('"auto"', members({ service_tier = "auto" }).service_tier)
    assert.is_nil(members({ stop = { " " } }).stop_sequences)
  end)

  it("have as many stops as the target takes", function()
    local out, dropped = members({ stop = { "a", "b", "c" } }, { quirks = { max_stop = 2 } })
    assert.same({ '["a","b"]', "stop" }, { out.stop_sequences, dropped })
  end)

  for field, case in pairs {
    n = { 2, "n" }, logprobs = { true, "logprobs" }, top_logprobs = { "3", "top_logprobs" }, logit_bias = { "{}", "logit_bias" },
    frequency_penalty = { "0.1", "frequency_penalty" }, presence_penalty = { "-1", "presence_penalty" }, seed = { "7", "seed" },
    verbosity = { "low", "verbosity" }, audio = { "{}", "audio" }, prediction = { "{}", "prediction" }, store = { true, "store" },
    metadata = { '{"a":"b"}', "metadata" }, web_search = { "{}", "web_search_options" }, modalities = { '["text","audio"]', "modalities" },
    service_tier = { "flex", "service_tier" },
  } do
    it("drop " .. field .. ", and say so", function()
      local out, dropped = members { [field] = case[1] }
      assert.equal(case[2], dropped)
      assert.same({ max_tokens = "4096" }, out)
    end)
  end

  for field, value in pairs { n = 1, logprobs = false, frequency_penalty = "0", presence_penalty = "0.0", store = false,
    cache_key = "k" } do
    it("need no word about " .. field .. " = " .. tostring(value), function()
      local out, dropped = members { [field] = value }
      assert.is_nil(dropped)
      assert.same({ max_tokens = "4096" }, out)
    end)
  end

  it("lose what the target does not take, by OpenAI's names", function()
    local request = { stop = { "a" }, reasoning = { effort = "low" }, user = "u", top_p = "0.5", max_tokens = 9000 }
    local out, dropped = members(request, { quirks = { unsupported = { "stop", "reasoning_effort", "user", "seed" } } })
    assert.equal("stop, reasoning_effort, user", dropped)
    assert.same({ max_tokens = "9000", top_p = "0.5" }, out)
    assert.same({ "a" }, request.stop) -- the request itself stays
  end)

  it("are text in one order", function()
    assert.equal('"max_tokens":1,"temperature":0,"stream":true', settings.text { stream = "true", temperature = "0", max_tokens = "1" })
  end)
end)
