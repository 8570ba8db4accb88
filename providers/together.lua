--- Together. Prices are dollars per million tokens.
return {
  like = "openai_compatible",
  title = "Together",
  docs = "https://docs.together.ai/docs/openai-api-compatibility",
  base_url = "https://api.together.xyz/v1",
  speaks = { "openai_chat", "openai_completions", "openai_embeddings" },
  env = { key = "TOGETHER_API_KEY" },
  prices = { source = "pi-ai 1.5.2 provider data", date = "2026-11-10" },
  quality = { source = "Artificial Analysis Intelligence Index", date = "2026-08-22" },
  adapt = true,
  quirks = { max_tokens = "max_tokens", system = "system", reasoning = "reasoning", no_strict = true, unsupported = { "store" } },

  models = {
    -- Listed in July, not in November: it may be gone.
    {
      name = "llama-3.3-70b", upstream = "meta-llama/Llama-3.3-70B-Instruct-Turbo", price = { input = 0.88, output = 0.88 },
      context = 131072, max_output = 131072, abilities = "tools json_schema", quality = 9.3, quality_inherited = true,
    },
    {
      name = "deepseek-flash", upstream = "deepseek-ai/DeepSeek-V4.1-Flash", price = { input = 0.3, output = 1.2, cached = 0.006 },
      context = 1048576, max_output = 384000, abilities = "tools images json_schema reasoning",
      aliases = { "deepseek-v4.1-flash" },
    },
    {
      name = "gpt-oss-120b", upstream = "openai/gpt-oss-120b", price = { input = 0.15, output = 0.6 },
      context = 131072, max_output = 131072, abilities = "tools json_schema reasoning", quality = 24.1, quality_inherited = true,
      quirks = { reasoning = "reasoning_effort", efforts = { "low", "medium", "high" } },
    },
    {
      name = "glm-5.3", upstream = "zai-org/GLM-5.3", price = { input = 1.4, output = 4.4, cached = 0.26 },
      context = 1048575, max_output = 262144, abilities = "tools json_schema reasoning", quality = 59.5, quality_inherited = true,
    },
  },
}
