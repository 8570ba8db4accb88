--- Moonshot's Kimi, international. For China set MOONSHOT_BASE_URL=https://api.moonshot.cn/v1. Prices are dollars per million tokens.
return {
  like = "openai_compatible",
  title = "Moonshot (Kimi)",
  docs = "https://platform.moonshot.ai/docs",
  base_url = "https://api.moonshot.ai/v1",
  speaks = { "openai_chat" },
  env = { key = "MOONSHOT_API_KEY", base_url = "MOONSHOT_BASE_URL" },
  prices = { source = "pi-ai 1.5.2 provider data", date = "2026-11-10" },
  quality = { source = "Artificial Analysis Intelligence Index", date = "2026-08-22" },
  adapt = true,
  quirks = {
    max_tokens = "max_tokens", system = "system", reasoning = "thinking", reasoning_back = "calls", no_strict = true,
    unsupported = { "store" },
  },

  failures = {
    { code = "exceeded_current_quota_error", class = "quota" },
    { code = "rate_limit_reached_error", class = "rate_limited" },
    { code = "engine_overloaded_error", class = "overloaded" },
    { code = "content_filter", class = "content_filter" },
  },

  models = {
    {
      name = "kimi-k3", price = { input = 3, output = 15, cached = 0.3 },
      context = 1048576, max_output = 1048576, abilities = "tools images json_schema reasoning", quality = 59.7,
    },
    {
      name = "kimi-k2.6", price = { input = 0.95, output = 4, cached = 0.16 },
      context = 262144, max_output = 262144, abilities = "tools images json_schema reasoning", quality = 45.1,
    },
  },
}
