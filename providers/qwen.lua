--- Qwen at Alibaba Cloud's Model Studio (DashScope), international. For China set
--- DASHSCOPE_BASE_URL=https://dashscope.aliyuncs.com/compatible-mode/v1: keys hold for one region.
---
--- Prices are dollars per million tokens.
return {
  like = "openai_compatible",
  title = "Qwen (DashScope)",
  docs = "https://www.alibabacloud.com/help/en/model-studio/compatibility-of-openai-with-dashscope",
  base_url = "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
  env = { key = "DASHSCOPE_API_KEY", base_url = "DASHSCOPE_BASE_URL" },
  prices = { source = "models.dev", date = "2026-07-02" },
  -- Estimates by its source: qwen3-max, qwen2.5-72b-instruct.
  quality = { source = "Artificial Analysis Intelligence Index", date = "2026-08-22" },
  adapt = true,
  quirks = {
    max_tokens = "max_tokens", system = "system", reasoning = "enable_thinking", thinking_off_unstreamed = true,
    thinking_off_when_forced = true, no_json_schema = true, no_strict = true, unsupported = { "store" },
  },

  failures = {
    { code = "data_inspection_failed", class = "content_filter" },
    { code = "DataInspectionFailed", class = "content_filter" },
    { code = "Arrearage", class = "quota" },
    { code = "invalid_parameter_error", class = "bad_request" },
    { text = "range of input length", class = "context_length" },
  },

  models = {
    {
      name = "qwen3.7-max", price = { input = 2.5, output = 7.5, cached = 0.5, cache_write = 3.125 },
      context = 1000000, max_output = 65536, abilities = "tools reasoning", quality = 46.7,
    },
    {
      name = "qwen3.7-plus",
      price = {
        input = 0.5, output = 3, cached = 0.05, cache_write = 0.625,
        rules = {
          { above = 256000, input = 2, output = 6, cached = 0.2, cache_write = 2.5 },
        },
      },
      context = 1000000, max_output = 65536, abilities = "tools images reasoning", quality = 39.4,
    },
    {
      name = "qwen3-max", price = { input = 1.2, output = 6 },
      context = 262144, max_output = 65536, abilities = "tools", quality = 24.5,
      aliases = { "qwen3-max-2025-09-23" },
    },
    {
      name = "qwen3-coder-plus", price = { input = 1, output = 5 },
      context = 1048576, max_output = 65536, abilities = "tools",
      aliases = { "qwen3-coder" },
    },
    -- Billed at 4 for the output of a request that thinks.
    {
      name = "qwen-plus", price = { input = 0.4, output = 1.2 },
      context = 1000000, max_output = 32768, abilities = "tools reasoning",
    },
    {
      name = "qwen-flash", price = { input = 0.05, output = 0.4 },
      context = 1000000, max_output = 32768, abilities = "tools reasoning",
    },
    {
      name = "qwen-turbo", price = { input = 0.05, output = 0.2 },
      context = 1000000, max_output = 16384, abilities = "tools reasoning",
    },
    {
      name = "qwen-2.5-72b", upstream = "qwen2.5-72b-instruct", price = { input = 1.4, output = 5.6 },
      context = 131072, max_output = 8192, abilities = "tools", quality = 9.4,
      aliases = { "qwen-2.5", "qwen2.5", "qwen2.5-72b" },
    },
  },
}
