--- DeepSeek.
---
--- Prices are dollars per million tokens at the peak, which is from 01:00 to 04:00 and from 06:00 to 10:00 UTC, Monday to Friday; at all
--- other times it is half. (On Chinese public holidays too: those are not in here, so a cost is at most too high.)
return {
  like = "openai_compatible",
  title = "DeepSeek",
  docs = "https://api-docs.deepseek.com",
  base_url = "https://api.deepseek.com",
  speaks = { "openai_chat" },
  env = { key = "DEEPSEEK_API_KEY" },
  prices = { source = "DeepSeek price page", date = "2026-10" },
  quality = { source = "Artificial Analysis Intelligence Index", date = "2026-08-22" },
  adapt = true,
  -- It thinks unless told not to; with tools it wants its reasoning back.
  quirks = {
    max_tokens = "max_tokens", system = "system", reasoning = "thinking", efforts = { "high", "max" }, reasoning_back = "calls",
    no_strict = true, no_json_schema = true, unsupported = { "store" },
  },
  -- A request waits in line on an open connection that says nothing but blank lines.
  timeouts = { first_token_ms = 180000 },

  -- What the V3 and R1 weights were called. Hosts still serve them: openrouter, bedrock.
  retired = {
    ["deepseek-chat"] = { instead = "deepseek-flash", since = "2026-07-24" },
    ["deepseek-reasoner"] = { instead = "deepseek-flash", since = "2026-07-24" },
    ["deepseek-v3"] = { instead = "deepseek-flash", since = "2026-07-24" },
    ["deepseek-r1"] = { instead = "deepseek-v4-pro", since = "2026-07-24" },
  },

  failures = {
    { status = 402, class = "quota" },
    { status = 422, class = "bad_request" },
    { status = 503, class = "overloaded" },
  },

  models = {
    {
      name = "deepseek-flash",
      price = {
        input = 0.3, output = 1.2, cached = 0.006,
        rules = {
          { days = { "sat", "sun" }, input = 0.15, output = 0.6, cached = 0.003 },
          { hours = { "04:00", "06:00" }, input = 0.15, output = 0.6, cached = 0.003 },
          { hours = { "10:00", "01:00" }, input = 0.15, output = 0.6, cached = 0.003 },
        },
      },
      context = 1000000, max_output = 384000, abilities = "tools images reasoning",
      aliases = { "deepseek-v4.1-flash", "deepseek-v4-flash" },
    },
    {
      name = "deepseek-v4-pro",
      price = {
        input = 1.32, output = 3.96, cached = 0.044,
        rules = {
          { days = { "sat", "sun" }, input = 0.66, output = 1.98, cached = 0.022 },
          { hours = { "04:00", "06:00" }, input = 0.66, output = 1.98, cached = 0.022 },
          { hours = { "10:00", "01:00" }, input = 0.66, output = 1.98, cached = 0.022 },
        },
      },
      context = 1000000, max_output = 384000, abilities = "tools json_schema reasoning", quality = 53.2,
    },
  },
}
