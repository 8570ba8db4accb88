--- Cerebras. Prices are dollars per million tokens.
return {
  like = "openai_compatible",
  title = "Cerebras",
  docs = "https://inference-docs.cerebras.ai/api-reference/chat-completions",
  base_url = "https://api.cerebras.ai/v1",
  speaks = { "openai_chat" },
  env = { key = "CEREBRAS_API_KEY" },
  prices = { source = "pi-ai 1.5.2 provider data", date = "2026-11-10" },
  quality = { source = "Artificial Analysis Intelligence Index", date = "2026-08-22" },
  adapt = true,
  quirks = {
    max_tokens = "max_completion_tokens", system = "system", reasoning = "reasoning_effort",
    unsupported = { "frequency_penalty", "presence_penalty", "logit_bias", "store" },
  },

  failures = {
    { code = "queue_exceeded", class = "overloaded" },
    { code = "token_quota_exceeded", class = "rate_limited" },
  },

  models = {
    {
      name = "gpt-oss-120b", price = { input = 0.35, output = 0.75, cached = 0.35 },
      context = 131072, max_output = 40960, abilities = "tools json_schema reasoning", quality = 24.1, quality_inherited = true,
      quirks = { efforts = { "low", "medium", "high" } },
    },
    {
      name = "qwen3.8-27b", upstream = "qwen-3.8-27b", price = { input = 0.99, output = 1.49, cached = 0.99 },
      context = 131072, max_output = 40960, abilities = "tools images json_schema reasoning", quality = 52, quality_inherited = true,
    },
  },
}
