-- All shipped provider files together: what holds of each, which names people use reach what, and what became of retired models.
local failure = require "perilune.failure"
local kit = require "support.config_kit"

-- Everything switched on.
local function everything(more)
  local vars = { AZURE_OPENAI_RESOURCE = "res", GOOGLE_CLOUD_PROJECT = "proj" }
  for _, name in ipairs(kit.provider_names()) do
    local key = kit.read_file("providers/" .. name .. ".lua"):match 'key = "([%w_]+)"'
    if key then
      vars[key] = "k"
    end
  end
  for k, v in pairs(more or {}) do
    vars[k] = v
  end
  local r, findings = kit.read(nil, vars)
  assert(r and #findings == 0, findings[1] and findings[1].message)
  return r
end

local ALL = everything()

local function provider_of(name)
  for _, p in ipairs(ALL.providers) do
    if p.name == name then
      return p
    end
  end
end

-- Target ids a name means, as the core resolves it: models before aliases.
local function resolve(name)
  local out = {}
  for _, t in ipairs(ALL.targets) do
    if t.id == name or t.model == name then
      out[#out + 1] = t.id
    end
  end
  for _, alias in ipairs(#out == 0 and ALL.aliases or {}) do
    if alias.name == name then
      out = alias.targets
    end
  end
  return out
end

describe("the shipped providers", function()
  it("are switched on by their keys, and by nothing else", function()
    local names = {}
    for i, p in ipairs(ALL.providers) do
      names[i] = p.name
    end
    assert.same({
      "anthropic", "azure_openai", "bedrock", "cerebras", "cohere", "deepseek", "fireworks", "google", "groq", "mistral", "moonshot",
      "openai", "openrouter", "qwen", "together", "xai", "zai",
    }, names)
  end)

  it("have prices that make sense", function()
    local function check(t, p)
      assert(p.input >= 0 and (p.output >= p.input or p.output == 0) and p.input % 1 == 0, t.id)
      assert(p.cached == -1 or p.cached <= p.input, t.id)
    end
    for _, t in ipairs(ALL.targets) do
      assert(t.price.input > 0 and t.context > 0, t.id)
      check(t, t.price)
      for _, rule in ipairs(t.rules) do
        check(t, rule)
      end
    end
    assert(#ALL.targets >= 110)
  end)

  it("say what their models can do, and give a quality only where there is one", function()
    local unknown = 0
    for _, t in ipairs(ALL.targets) do
      assert(t.abilities >= 64, t.id .. " neither answers nor embeds")
      assert(t.quality == nil or (t.quality > 0 and t.quality < 70), t.id)
      unknown = unknown + (t.quality and 0 or 1)
    end
    assert(unknown > 20) -- what came out since is not guessed
  end)

  it("are adapted where they break the format", function()
    for _, p in ipairs(ALL.providers) do
      assert.equal(p.name ~= "openai", p.adapt, p.name)
    end
  end)

  it("know one name for one open model, whoever serves it", function()
    assert.same({ "bedrock/llama-3.3-70b", "groq/llama-3.3-70b", "openrouter/llama-3.3-70b", "together/llama-3.3-70b" },
      resolve "llama-3.3-70b")
    assert.same({ "cerebras/gpt-oss-120b", "groq/gpt-oss-120b", "together/gpt-oss-120b" }, resolve "gpt-oss-120b")
    assert.same({ "fireworks/glm-5.3", "together/glm-5.3", "zai/glm-5.3" }, resolve "glm-5.3")
    assert.same({ "anthropic/claude-sonnet-4-6", "bedrock/claude-sonnet-4-6" }, resolve "claude-sonnet-4-6")
  end)

  for name, expected in pairs {
    ["gpt-4o"] = "openai/gpt-4o", ["gpt-4o-2024-08-06"] = "openai/gpt-4o", ["gpt-4o-mini"] = "openai/gpt-4o-mini",
    ["gpt-4o-mini-2024-07-18"] = "openai/gpt-4o-mini", ["o3"] = "openai/o3", ["o4-mini"] = "openai/o4-mini",
    ["o3-2025-04-16"] = "openai/o3", ["openai/gpt-4o-2024-08-06"] = "openai/gpt-4o",
    ["claude-sonnet-4-6"] = "anthropic/claude-sonnet-4-6", ["claude-sonnet-4.6"] = "anthropic/claude-sonnet-4-6",
    ["claude-haiku-4.5"] = "anthropic/claude-haiku-4-5", ["claude-haiku-4-5-20251001"] = "anthropic/claude-haiku-4-5",
    ["anthropic/claude-sonnet-4.6"] = "anthropic/claude-sonnet-4-6",
    ["deepseek-v3"] = "openrouter/deepseek-v3", ["deepseek-r1"] = "openrouter/deepseek-r1", ["deepseek-flash"] = "deepseek/deepseek-flash",
    ["deepseek/deepseek-v4-flash"] = "deepseek/deepseek-flash", ["deepseek-v4.1-flash"] = "together/deepseek-flash",
    ["qwen-2.5"] = "qwen/qwen-2.5-72b", ["qwen2.5-72b-instruct"] = "qwen/qwen-2.5-72b",
    ["qwen-2.5-coder"] = "openrouter/qwen-2.5-coder-32b",
    ["llama-3.3"] = "groq/llama-3.3-70b", ["llama-3.3-70b-versatile"] = "groq/llama-3.3-70b",
    ["meta-llama/llama-3.3-70b-instruct"] = "openrouter/llama-3.3-70b", ["mistral-large"] = "mistral/mistral-large",
    ["mistral-large-latest"] = "mistral/mistral-large", ["mistral-large-2512"] = "mistral/mistral-large",
    ["gemini-2.5-pro"] = "google/gemini-2.5-pro", ["gemini-3-flash"] = "google/gemini-3-flash-preview",
    ["kimi-k3"] = "moonshot/kimi-k3", ["command-a"] = "cohere/command-a", ["nova-pro"] = "bedrock/nova-pro",
    ["text-embedding-3-small"] = "openai/text-embedding-3-small",
  } do
    it("answer to " .. name, function()
      local found = {}
      for _, id in ipairs(resolve(name)) do
        found[id] = true
      end
      assert(found[expected], ("%s means %s"):format(name, table.concat(resolve(name), ", ")))
    end)
  end

  it("say what replaced a retired model, and that there is one", function()
    local gone = {}
    for _, r in ipairs(ALL.retired) do
      gone[r.model] = r
      assert(#resolve(r.instead) > 0, r.instead)
      assert.same({}, resolve(r.model))
      assert(r.since == nil or r.since:find "^%d%d%d%d%-%d%d%-%d%d$")
    end
    assert.equal("gemini-2.5-flash", gone["gemini-2.0-flash"].instead)
    assert.equal("gemini-2.5-pro", gone["gemini-1.5-pro"].instead)
    assert.equal("gpt-4o", gone["gpt-4-32k"].instead)
    assert.equal("claude-sonnet-4-6", gone["claude-3-5-sonnet-latest"].instead)
    assert.equal("deepseek-flash", gone["deepseek-chat"].instead)
  end)

  it("keep a retired name where another provider serves it, and retire it where none does", function()
    local function retired(vars)
      local set = {}
      for _, r in ipairs(kit.read(nil, vars).retired) do
        set[r.model] = true
      end
      return { set["deepseek-v3"] or false, set["deepseek/deepseek-v3"] or false }
    end
    assert.same({ true, true }, retired { DEEPSEEK_API_KEY = "k" })
    assert.same({ false, true }, retired { DEEPSEEK_API_KEY = "k", OPENROUTER_API_KEY = "k" })
  end)

  -- What a service says when a parameter is wrong is the client's, whichever words it uses for it.
  it("[F18] take a refused parameter for a bad request: no failover, no mark against the target", function()
    for name, answer in pairs {
      openai = { status = 400, code = "unsupported_parameter", type = "invalid_request_error", message = "Unsupported parameter: 'x'" },
      anthropic = { status = 400, type = "invalid_request_error", message = "temperature: not supported on this model" },
      google = { status = 400, code = "INVALID_ARGUMENT", message = 'Invalid JSON payload received. Unknown name "x"' },
      deepseek = { status = 422, type = "invalid_request_error", message = "Failed to deserialize: unknown field" },
      mistral = { status = 422, message = "Extra inputs are not permitted" },
      groq = { status = 400, type = "invalid_request_error", message = "property 'x' is unsupported" },
      qwen = { status = 400, code = "invalid_parameter_error", message = "Range of temperature should be [0, 2)" },
      xai = { status = 400, message = "Argument not supported on this model: stop" },
      bedrock = { status = 400, code = "ValidationException", message = "extraneous key [x] is not permitted" },
      openrouter = { status = 400, code = "400", message = "x is not supported" },
      together = { status = 400, type = "invalid_request_error", message = "x" },
      azure_openai = { status = 400, code = "unsupported_value", message = "Unsupported value" },
      cohere = { status = 422, message = "x" },
      zai = { status = 400, code = "1210", message = "x" },
    } do
      assert.equal("bad_request", failure.classify(provider_of(name).rules, answer), name)
    end
  end)

  it("tell their refusals apart", function()
    for _, case in ipairs {
      { "anthropic", "overloaded", { status = 529, type = "overloaded_error" } },
      { "anthropic", "quota", { status = 400, type = "invalid_request_error", message = "Your credit balance is too low" } },
      { "anthropic", "context_length", { status = 400, type = "invalid_request_error", message = "prompt is too long: 9 tokens > 8" } },
      { "anthropic", "rate_limited", { status = 429, type = "rate_limit_error" } },
      { "anthropic", "not_found", { status = 404, type = "not_found_error" } },
      { "google", "auth", { status = 400, code = "INVALID_ARGUMENT", message = "API key not valid. Please pass a valid API key." } },
      { "google", "rate_limited", { status = 429, code = "RESOURCE_EXHAUSTED" } },
      { "google", "overloaded", { status = 503, code = "UNAVAILABLE", message = "The model is overloaded." } },
      { "google", "context_length", { status = 400, code = "INVALID_ARGUMENT", message = "The input token count (9) exceeds" } },
      { "bedrock", "rate_limited", { status = 429, code = "ThrottlingException", message = "Too many requests" } },
      { "bedrock", "quota", { status = 400, code = "ServiceQuotaExceededException" } },
      { "bedrock", "auth", { status = 403, code = "AccessDeniedException" } },
      { "bedrock", "overloaded", { status = 429, code = "ModelNotReadyException" } },
      { "deepseek", "quota", { status = 402, message = "Insufficient Balance" } },
      { "deepseek", "overloaded", { status = 503 } },
      { "groq", "bad_response", { status = 400, code = "tool_use_failed" } },
      { "groq", "rate_limited", { status = 413, message = "Request too large for model" } },
      { "qwen", "content_filter", { status = 400, code = "data_inspection_failed" } },
      { "qwen", "bad_request", { status = 400, message = "enable_thinking must be set to false for non-streaming calls" } },
      { "openrouter", "quota", { status = 200, code = "402" } },
      { "openrouter", "content_filter", { status = 403, code = "403", message = "Your input was flagged" } },
      { "cerebras", "overloaded", { status = 429, code = "queue_exceeded" } },
      { "azure_openai", "content_filter", { status = 400, code = "content_filter" } },
      { "azure_openai", "not_found", { status = 404, code = "DeploymentNotFound" } },
      { "moonshot", "quota", { status = 429, type = "exceeded_current_quota_error" } },
    } do
      assert.equal(case[2], failure.classify(provider_of(case[1]).rules, case[3]), case[1])
    end
  end)
end)

describe("the price of the night", function()
  it("[E7] is half at DeepSeek, and so are weekends", function()
    local t
    for _, each in ipairs(ALL.targets) do
      t = each.id == "deepseek/deepseek-flash" and each or t
    end
    assert.same({ 300000000, 1200000000, 6000000 }, { t.price.input, t.price.output, t.price.cached })
    local hours = {}
    for i, rule in ipairs(t.rules) do
      assert.same({ 150000000, 600000000, 3000000 }, { rule.input, rule.output, rule.cached })
      hours[i] = { rule.days, rule.from_min, rule.to_min }
    end
    assert.same({ { 96, -1, -1 }, { 0, 240, 360 }, { 0, 600, 60 } }, hours)
  end)

  it("[E7] and promotions and long prompts are rules too", function()
    local by_id = {}
    for _, t in ipairs(ALL.targets) do
      by_id[t.id] = t
    end
    local flash, gpt = by_id["google/gemini-3.8-flash"], by_id["openai/gpt-5.4"]
    assert.same({ 1500000000, 750000000, 1798761600 }, { flash.price.input, flash.rules[1].input, flash.rules[1].until_s })
    assert.same({ 272000, 5000000000, 22500000000 }, { gpt.rules[1].above, gpt.rules[1].input, gpt.rules[1].output })
    assert.equal(100000, by_id["anthropic/claude-haiku-5-5"].rules[1].above)
  end)
end)

describe("models of a generation", function()
  local quirks = {}
  for _, t in ipairs(ALL.targets) do
    quirks[t.id] = t.quirks or ""
  end

  it("think as they do", function()
    assert.equal('{"thinking":"budget"}', quirks["anthropic/claude-haiku-4-5"])
    assert.equal('{"no_prefill":true,"thinking":"adaptive"}', quirks["anthropic/claude-sonnet-4-6"])
    assert.matches('"no_forced_tools":true', quirks["anthropic/claude-sonnet-5-5"])
    assert.matches('"thinking":"always"', quirks["anthropic/claude-opus-5-5"])
    assert.matches('"thinking_min":128', quirks["google/gemini-2.5-pro"])
    assert.not_matches("thinking_level", quirks["google/gemini-2.5-pro"])
    assert.matches('"signatures":true,"thinking_level":true', quirks["google/gemini-3.1-pro-preview"])
  end)

  it("refuse what they refuse", function()
    assert.equal("", quirks["openai/gpt-4o"])
    assert.matches('"no_sampling":true,"unsupported":%["stop"%]', quirks["openai/o3"])
    assert.matches('"max_tokens":"max_completion_tokens"', quirks["openai/gpt-5.5"])
  end)

  it("of OpenAI's embed, answer, or answer on one endpoint alone", function()
    for _, t in ipairs(ALL.targets) do
      if t.id == "openai/text-embedding-3-small" then
        assert.same({ 64, { "openai_embeddings" } }, { t.abilities, t.speaks })
      elseif t.id == "openai/gpt-5.3-codex" then
        assert.same({ "openai_responses", { "openai_responses" } }, { t.dialect, t.speaks })
      elseif t.id == "openai/gpt-4o" then
        assert.same({ "openai_chat", "openai_responses" }, t.speaks)
      end
    end
  end)
end)
