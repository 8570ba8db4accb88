--- xAI. Prices are dollars per million tokens.
return {
  like = "openai_compatible",
  title = "xAI",
  docs = "https://docs.x.ai/docs/api-reference",
  base_url = "https://api.x.ai/v1",
  speaks = { "openai_chat" },
  env = { key = "XAI_API_KEY" },
  prices = { source = "pi-ai 1.5.2 provider data", date = "2026-11-10" },
  quality = { source = "Artificial Analysis Intelligence Index", date = "2026-08-22" },
  adapt = true,
  -- All of its models reason, and those refuse penalties and stop.
  quirks = {
    max_tokens = "max_completion_tokens", system = "system", reasoning = "none",
    unsupported = { "presence_penalty", "frequency_penalty", "stop", "store" },
  },

  failures = {
    { text = "used all available credits", class = "quota" },
    { status = 400, text = "incorrect api key", class = "auth" },
  },

  models = {
    {
      name = "grok-4.3",
      price = { input = 1.25, output = 2.5, cached = 0.2, rules = { { above = 200000, input = 2.5, output = 5, cached = 0.4 } } },
      context = 1000000, max_output = 30000, abilities = "tools images json_schema reasoning", quality = 37.9,
    },
    {
      name = "grok-4.5",
      price = { input = 2, output = 6, cached = 0.3, rules = { { above = 200000, input = 4, output = 12, cached = 0.6 } } },
      context = 500000, max_output = 500000, abilities = "tools images json_schema reasoning", quality = 55.8,
    },
    {
      name = "grok-4.6",
      price = { input = 2, output = 6, cached = 0.5, rules = { { above = 200000, input = 4, output = 12, cached = 1 } } },
      context = 500000, max_output = 500000, abilities = "tools images json_schema reasoning", quality = 60.9,
      quirks = { reasoning = "reasoning_effort", efforts = { "low", "medium", "high" } },
    },
    {
      name = "grok-4.7",
      price = { input = 2, output = 6, cached = 0.5, rules = { { above = 200000, input = 4, output = 12, cached = 1 } } },
      context = 500000, max_output = 500000, abilities = "tools images json_schema reasoning",
      quirks = { reasoning = "reasoning_effort", efforts = { "low", "medium", "high" } },
    },
  },
}
