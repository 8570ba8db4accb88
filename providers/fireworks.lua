--- Fireworks. Prices are dollars per million tokens.
return {
  like = "openai_compatible",
  title = "Fireworks",
  docs = "https://docs.fireworks.ai/tools-sdks/openai-compatibility",
  base_url = "https://api.fireworks.ai/inference/v1",
  speaks = { "openai_chat", "openai_completions", "openai_embeddings" },
  env = { key = "FIREWORKS_API_KEY" },
  prices = { source = "pi-ai 1.5.2 provider data", date = "2026-11-10" },
  quality = { source = "Artificial Analysis Intelligence Index", date = "2026-08-22" },
  adapt = true,
  quirks = { max_tokens = "max_tokens", system = "system", reasoning = "reasoning_effort", no_strict = true, unsupported = { "store" } },

  models = {
    {
      name = "glm-5.3", upstream = "accounts/fireworks/models/glm-5p3", price = { input = 1.4, output = 4.4, cached = 0.26 },
      context = 1048573, max_output = 262144, abilities = "tools json_schema reasoning", quality = 59.5, quality_inherited = true,
    },
    {
      name = "kimi-k3", upstream = "accounts/fireworks/models/kimi-k3", price = { input = 3, output = 15, cached = 0.3 },
      context = 1048576, max_output = 131072, abilities = "tools images json_schema reasoning", quality = 59.7, quality_inherited = true,
    },
    {
      name = "deepseek-flash", upstream = "accounts/fireworks/models/deepseek-v4p1-flash",
      price = { input = 0.3, output = 1.2, cached = 0.006 },
      context = 1000000, max_output = 384000, abilities = "tools images json_schema reasoning",
      aliases = { "deepseek-v4.1-flash" },
    },
  },
}
