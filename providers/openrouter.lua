--- OpenRouter. Prices are dollars per million tokens, of the cheapest host it lists.
return {
  like = "openai_compatible",
  title = "OpenRouter",
  docs = "https://openrouter.ai/docs/api-reference",
  base_url = "https://openrouter.ai/api/v1",
  speaks = { "openai_chat" },
  env = { key = "OPENROUTER_API_KEY" },
  prices = { source = "pi-ai 1.5.2 provider data", date = "2026-11-10" },
  -- Estimates by its source: all of DeepSeek's and Qwen 2.5's, llama-3.3-70b.
  quality = { source = "Artificial Analysis Intelligence Index", date = "2026-08-22" },
  -- Its codes are numbers, its errors come with status 200 too, and a broken stream ends in a finish of "error".
  adapt = true,
  quirks = { reasoning = "reasoning" },

  failures = {
    { status = 403, text = "flagged", class = "content_filter" },
    { status = 403, text = "guardrail", class = "content_filter" },
    { code = "400", class = "bad_request" },
    { code = "401", class = "auth" },
    { code = "402", class = "quota" },
    { code = "404", class = "not_found" },
    { code = "408", class = "timeout" },
    { code = "429", class = "rate_limited" },
    { code = "502", class = "server_error" },
    { code = "503", class = "overloaded" },
  },

  models = {
    {
      name = "llama-3.3-70b", upstream = "meta-llama/llama-3.3-70b-instruct", price = { input = 0.71, output = 0.71, cached = 0.71 },
      context = 128000, max_output = 115200, abilities = "tools json_schema", quality = 9.3, quality_inherited = true,
    },
    -- The V3 weights, wherever they are cheapest: the price moves.
    {
      name = "deepseek-v3", upstream = "deepseek/deepseek-chat", price = { input = 0.32, output = 0.89 },
      context = 163840, max_output = 16384, abilities = "tools", quality = 14.2, quality_inherited = true,
    },
    {
      name = "deepseek-r1", upstream = "deepseek/deepseek-r1-0528", price = { input = 0.5, output = 2.15, cached = 0.35 },
      context = 163840, max_output = 32768, abilities = "tools reasoning", quality = 20.4,
      aliases = { "deepseek-r1-0528" },
    },
    {
      name = "deepseek-v3.2", upstream = "deepseek/deepseek-v3.2", price = { input = 0.26, output = 0.38, cached = 0.13 },
      context = 163840, max_output = 147456, abilities = "tools reasoning", quality = 32.8,
    },
    {
      name = "qwen-2.5-72b", upstream = "qwen/qwen-2.5-72b-instruct", price = { input = 0.36, output = 0.4 },
      context = 32768, max_output = 16384, abilities = "tools", quality = 9.4, quality_inherited = true,
      aliases = { "qwen-2.5", "qwen2.5", "qwen2.5-72b" },
    },
    -- Listed in July; whether it still was in November is not known.
    {
      name = "qwen-2.5-coder-32b", upstream = "qwen/qwen-2.5-coder-32b-instruct", price = { input = 0.66, output = 1 },
      context = 32768, max_output = 32768, abilities = "", quality = 6.9,
      aliases = { "qwen-2.5-coder", "qwen2.5-coder", "qwen2.5-coder-32b" },
    },
    {
      name = "qwen3.8-max", upstream = "qwen/qwen3.8-max-0902", price = { input = 2, output = 6, cached = 0.25 },
      context = 1000000, max_output = 131072, abilities = "tools images reasoning", quality = 58.1,
    },
    {
      name = "qwen3.8-flash", upstream = "qwen/qwen3.8-flash", price = { input = 0.15, output = 0.47, cached = 0.016 },
      context = 1000000, max_output = 131072, abilities = "tools images reasoning",
    },
  },
}
