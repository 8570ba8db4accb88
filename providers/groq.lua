--- Groq. Prices are dollars per million tokens.
return {
  like = "openai_compatible",
  title = "Groq",
  docs = "https://console.groq.com/docs/openai",
  base_url = "https://api.groq.com/openai/v1",
  speaks = { "openai_chat" },
  env = { key = "GROQ_API_KEY" },
  prices = { source = "pi-ai 1.5.2 provider data", date = "2026-11-10" },
  -- Estimates by its source: llama-3.3-70b, llama-3.1-8b.
  quality = { source = "Artificial Analysis Intelligence Index", date = "2026-08-22" },
  adapt = true,
  quirks = {
    max_tokens = "max_completion_tokens", system = "system", reasoning = "none", max_n = 1,
    unsupported = { "logprobs", "top_logprobs", "logit_bias", "store", "metadata" },
  },

  failures = {
    -- The model wrote a call that is no JSON: another try may go well.
    { code = "tool_use_failed", class = "bad_response" },
    { code = "json_validate_failed", class = "bad_response" },
    -- More tokens than its minute allows.
    { status = 413, class = "rate_limited" },
    { status = 498, class = "overloaded" },
  },

  models = {
    {
      name = "llama-3.3-70b", upstream = "llama-3.3-70b-versatile", price = { input = 0.59, output = 0.79 },
      context = 131072, max_output = 32768, abilities = "tools", quality = 9.3,
      aliases = { "llama-3.3" },
    },
    {
      name = "llama-3.1-8b", upstream = "llama-3.1-8b-instant", price = { input = 0.05, output = 0.08 },
      context = 131072, max_output = 131072, abilities = "tools", quality = 7.4,
      aliases = { "llama-3.1" },
    },
    {
      name = "gpt-oss-120b", upstream = "openai/gpt-oss-120b", price = { input = 0.15, output = 0.6, cached = 0.075 },
      context = 131072, max_output = 65536, abilities = "tools json_schema reasoning", quality = 24.1,
      quirks = { reasoning = "reasoning_effort", efforts = { "low", "medium", "high" } },
    },
    {
      name = "gpt-oss-20b", upstream = "openai/gpt-oss-20b", price = { input = 0.075, output = 0.3, cached = 0.0375 },
      context = 131072, max_output = 65536, abilities = "tools json_schema reasoning", quality = 15.2,
      quirks = { reasoning = "reasoning_effort", efforts = { "low", "medium", "high" } },
    },
    {
      name = "qwen3.8-27b", upstream = "qwen/qwen3.8-27b", price = { input = 0.8, output = 4 },
      context = 131072, max_output = 16384, abilities = "tools images reasoning", quality = 52,
    },
  },
}
