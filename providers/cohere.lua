--- Cohere, by the part of its service that speaks Chat Completions. Prices are dollars per million tokens.
return {
  like = "openai_compatible",
  title = "Cohere",
  docs = "https://docs.cohere.com/docs/compatibility-api",
  base_url = "https://api.cohere.ai/compatibility/v1",
  env = { key = "COHERE_API_KEY" },
  prices = { source = "models.dev", date = "2026-07-02" },
  -- An estimate by its source.
  quality = { source = "Artificial Analysis Intelligence Index", date = "2026-08-22" },
  adapt = true,
  quirks = {
    max_tokens = "max_tokens", reasoning = "none", max_n = 1, no_strict = true,
    unsupported = {
      "store", "metadata", "logit_bias", "top_logprobs", "modalities", "prediction", "audio", "service_tier", "parallel_tool_calls", "user",
    },
  },

  models = {
    {
      name = "command-a", upstream = "command-a-03-2025", price = { input = 2.5, output = 10 },
      context = 256000, max_output = 8000, abilities = "tools", quality = 7.5,
    },
  },
}
