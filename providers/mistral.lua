--- Mistral. Prices are dollars per million tokens.
return {
  like = "openai_compatible",
  title = "Mistral",
  docs = "https://docs.mistral.ai/api",
  base_url = "https://api.mistral.ai/v1",
  env = { key = "MISTRAL_API_KEY" },
  prices = { source = "pi-ai 1.5.2 provider data", date = "2026-11-10" },
  -- Estimate by its source: mistral-large-2411.
  quality = { source = "Artificial Analysis Intelligence Index", date = "2026-08-22" },
  adapt = true,
  -- What it does not know it refuses, with 422.
  quirks = {
    max_tokens = "max_tokens", system = "system", reasoning = "none", tool_ids = "nine", tool_result_name = true,
    assistant_after_tool = true, empty_content = "omit", required_choice = "any", seed = "random_seed", no_stream_options = true,
    unsupported = {
      "logit_bias", "logprobs", "top_logprobs", "user", "safety_identifier", "store", "metadata", "service_tier", "verbosity",
      "prompt_cache_key", "modalities", "audio", "web_search_options",
    },
  },

  failures = {
    { status = 422, class = "bad_request" },
    { status = 429, class = "rate_limited" },
  },

  models = {
    {
      name = "mistral-large", upstream = "mistral-large-latest", price = { input = 0.5, output = 1.5, cached = 0.05 },
      context = 262144, max_output = 262144, abilities = "tools images json_schema", quality = 15.9,
      aliases = { "mistral-large-2512", "mistral-large-3" },
    },
    {
      name = "mistral-large-4", price = { input = 0.7, output = 2.1, cached = 0.07 },
      context = 1048576, max_output = 262144, abilities = "tools images json_schema reasoning",
      quirks = { reasoning = "reasoning_effort" },
    },
    -- No longer in its vendor's catalogue; listed by others at this price.
    {
      name = "mistral-large-2411", price = { input = 2, output = 6 },
      context = 131072, max_output = 16384, abilities = "json_schema", quality = 9,
    },
    {
      name = "mistral-medium", upstream = "mistral-medium-latest", price = { input = 1.5, output = 7.5, cached = 0.15 },
      context = 262144, max_output = 262144, abilities = "tools images json_schema reasoning", quality = 30.4,
      aliases = { "mistral-medium-3.5" },
      quirks = { reasoning = "reasoning_effort" },
    },
    {
      name = "mistral-small", upstream = "mistral-small-latest", price = { input = 0.15, output = 0.6, cached = 0.015 },
      context = 262144, max_output = 256000, abilities = "tools images json_schema reasoning", quality = 19.7,
      aliases = { "mistral-small-4" },
      quirks = { reasoning = "reasoning_effort" },
    },
    {
      name = "codestral", upstream = "codestral-latest", price = { input = 0.3, output = 0.9, cached = 0.03 },
      context = 256000, max_output = 4096, abilities = "tools json_schema",
    },
    {
      name = "devstral", upstream = "devstral-latest", price = { input = 0.4, output = 2, cached = 0.04 },
      context = 262144, max_output = 262144, abilities = "tools json_schema", quality = 19.2,
      aliases = { "devstral-2" },
    },
    {
      name = "ministral-8b", upstream = "ministral-8b-latest", price = { input = 0.15, output = 0.15, cached = 0.015 },
      context = 262144, max_output = 128000, abilities = "tools images json_schema",
    },
    {
      name = "magistral-medium", upstream = "magistral-medium-latest", price = { input = 2, output = 5, cached = 0.2 },
      context = 262144, max_output = 16384, abilities = "tools images json_schema reasoning",
    },
  },
}
