--- Z.ai's GLM. Prices are dollars per million tokens.
return {
  like = "openai_compatible",
  title = "Z.ai (GLM)",
  docs = "https://docs.z.ai/api-reference",
  base_url = "https://api.z.ai/api/paas/v4",
  speaks = { "openai_chat" },
  env = { key = "ZAI_API_KEY" },
  prices = { source = "pi-ai 1.5.2 provider data", date = "2026-11-10" },
  quality = { source = "Artificial Analysis Intelligence Index", date = "2026-08-22" },
  adapt = true,
  quirks = {
    max_tokens = "max_tokens", system = "system", reasoning = "thinking", tool_stream = true, no_strict = true, no_json_schema = true,
    unsupported = { "store" },
  },

  failures = {
    { code = "1113", class = "quota" },
    { code = "1301", class = "content_filter" },
    { code = "1302", class = "rate_limited" },
    { code = "1305", class = "overloaded" },
  },

  models = {
    {
      name = "glm-5.3", price = { input = 1.4, output = 4.4, cached = 0.26 },
      context = 1000000, max_output = 131072, abilities = "tools reasoning", quality = 59.5,
    },
    {
      name = "glm-5.3-flash", price = { input = 0.15, output = 0.5, cached = 0.03 },
      context = 1000000, max_output = 131072, abilities = "tools images reasoning",
    },
  },
}
