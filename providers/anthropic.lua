--- Anthropic.
---
--- Prices are dollars per million tokens; `cache_write` is that of marks kept for five minutes. What the models refuse follows their
--- generation: prefilled answers since 4.6, sampling settings since Opus 4.7 and Sonnet 5. Claude Sonnet 4.5 is announced to end on
--- 2026-11-30.
return {
  title = "Anthropic",
  docs = "https://platform.claude.com/docs/en/api/messages",
  base_url = "https://api.anthropic.com/v1",
  dialect = "anthropic_messages",
  auth = "x-api-key",
  env = { key = "ANTHROPIC_API_KEY" },
  headers = { ["anthropic-version"] = "2023-06-01" },
  prices = { source = "pi-ai 1.5.2 provider data", date = "2026-11-10" },
  -- Estimates by its source: claude-opus-4-5, claude-opus-4-6. Those of reasoning models hold for high effort.
  quality = { source = "Artificial Analysis Intelligence Index", date = "2026-08-22" },
  adapt = true,

  -- Of a model not listed here the newest generation's habits are taken.
  default = {
    abilities = "tools images json_schema reasoning files",
    quirks = { thinking = "adaptive", no_prefill = true, no_sampling = true },
  },

  retired = {
    ["claude-3-sonnet-20240229"] = { instead = "claude-sonnet-4-6", since = "2025-07-21" },
    ["claude-3-opus-20240229"] = { instead = "claude-opus-4-8", since = "2026-01-05" },
    ["claude-3-opus-latest"] = { instead = "claude-opus-4-8", since = "2026-01-05" },
    ["claude-3-haiku-20240307"] = { instead = "claude-haiku-4-5", since = "2026-04-20" },
    ["claude-3-5-sonnet-20240620"] = { instead = "claude-sonnet-4-6", since = "2025-10-28" },
    ["claude-3-5-sonnet-20241022"] = { instead = "claude-sonnet-4-6", since = "2025-10-28" },
    ["claude-3-5-sonnet-latest"] = { instead = "claude-sonnet-4-6", since = "2025-10-28" },
    ["claude-3-5-haiku-20241022"] = { instead = "claude-haiku-4-5", since = "2026-02-19" },
    ["claude-3-5-haiku-latest"] = { instead = "claude-haiku-4-5", since = "2026-02-19" },
    ["claude-3-7-sonnet-20250219"] = { instead = "claude-sonnet-4-6", since = "2026-02-19" },
    ["claude-3-7-sonnet-latest"] = { instead = "claude-sonnet-4-6", since = "2026-02-19" },
    ["claude-sonnet-4-20250514"] = { instead = "claude-sonnet-4-6", since = "2026-06-15" },
    ["claude-sonnet-4-0"] = { instead = "claude-sonnet-4-6", since = "2026-06-15" },
    ["claude-opus-4-20250514"] = { instead = "claude-opus-4-8", since = "2026-06-15" },
    ["claude-opus-4-0"] = { instead = "claude-opus-4-8", since = "2026-06-15" },
    ["claude-opus-4-1-20250805"] = { instead = "claude-opus-4-8", since = "2026-08-05" },
    ["claude-opus-4-1"] = { instead = "claude-opus-4-8", since = "2026-08-05" },
  },

  failures = {
    { text = "credit balance is too low", class = "quota" },
    { text = "spend limit", class = "quota" },
    { text = "prompt is too long", class = "context_length" },
    -- Of conversations that are left with it: the client has to know which, whatever the status.
    { code = "thread_not_found", class = "bad_request" },
    { code = "thread_already_continued", class = "bad_request" },
    { code = "thread_continue_in_flight", class = "bad_request" },
    { code = "thread_unsupported_request", class = "bad_request" },
    { code = "invalid_request_error", class = "bad_request" },
    { code = "authentication_error", class = "auth" },
    { code = "billing_error", class = "quota" },
    { code = "permission_error", class = "auth" },
    { code = "not_found_error", class = "not_found" },
    { code = "request_too_large", class = "bad_request" },
    { code = "rate_limit_error", class = "rate_limited" },
    { code = "timeout_error", class = "timeout" },
    { code = "overloaded_error", class = "overloaded" },
    { code = "api_error", class = "server_error" },
    { status = 529, class = "overloaded" },
  },

  models = {
    {
      name = "claude-haiku-4-5", price = { input = 1, output = 5, cached = 0.1, cache_write = 1.25 },
      context = 200000, max_output = 64000, abilities = "tools images json_schema reasoning files", quality = 29.9,
      aliases = { "claude-haiku-4.5", "claude-haiku-4-5-20251001" },
      quirks = { thinking = "budget" },
    },
    {
      name = "claude-sonnet-4-5", price = { input = 3, output = 15, cached = 0.3, cache_write = 3.75 },
      context = 200000, max_output = 64000, abilities = "tools images json_schema reasoning files", quality = 37.4,
      aliases = { "claude-sonnet-4.5", "claude-sonnet-4-5-20250929" },
      quirks = { thinking = "budget" },
    },
    {
      name = "claude-opus-4-5", price = { input = 5, output = 25, cached = 0.5, cache_write = 6.25 },
      context = 200000, max_output = 64000, abilities = "tools images json_schema reasoning files", quality = 41.9,
      aliases = { "claude-opus-4.5", "claude-opus-4-5-20251101" },
      quirks = { thinking = "budget" },
    },
    {
      name = "claude-sonnet-4-6", price = { input = 3, output = 15, cached = 0.3, cache_write = 3.75 },
      context = 1000000, max_output = 128000, abilities = "tools images json_schema reasoning files", quality = 48.4,
      aliases = { "claude-sonnet-4.6" },
      quirks = { thinking = "adaptive", no_prefill = true },
    },
    {
      name = "claude-opus-4-6", price = { input = 5, output = 25, cached = 0.5, cache_write = 6.25 },
      context = 1000000, max_output = 128000, abilities = "tools images json_schema reasoning files", quality = 44.9,
      aliases = { "claude-opus-4.6" },
      quirks = { thinking = "adaptive", no_prefill = true },
    },
    {
      name = "claude-opus-4-7", price = { input = 5, output = 25, cached = 0.5, cache_write = 6.25 },
      context = 1000000, max_output = 128000, abilities = "tools images json_schema reasoning files", quality = 55,
      aliases = { "claude-opus-4.7" },
      quirks = { thinking = "adaptive", no_prefill = true, no_sampling = true },
    },
    {
      name = "claude-opus-4-8", price = { input = 5, output = 25, cached = 0.5, cache_write = 6.25 },
      context = 1000000, max_output = 128000, abilities = "tools images json_schema reasoning files", quality = 57.3,
      aliases = { "claude-opus-4.8" },
      quirks = { thinking = "adaptive", no_prefill = true, no_sampling = true },
    },
    {
      name = "claude-opus-5", price = { input = 5, output = 25, cached = 0.5, cache_write = 6.25 },
      context = 1000000, max_output = 128000, abilities = "tools images json_schema reasoning files", quality = 63.1,
      quirks = { thinking = "adaptive", no_prefill = true, no_sampling = true },
    },
    {
      name = "claude-sonnet-5", price = { input = 2, output = 10, cached = 0.2, cache_write = 2.5 },
      context = 1000000, max_output = 128000, abilities = "tools images json_schema reasoning files", quality = 55.3,
      quirks = { thinking = "adaptive", no_prefill = true, no_sampling = true },
    },
    {
      name = "claude-sonnet-5-5", price = { input = 2, output = 10, cached = 0.1, cache_write = 2.5 },
      context = 1000000, max_output = 128000, abilities = "tools images json_schema reasoning files",
      aliases = { "claude-sonnet-5.5" },
      quirks = { thinking = "adaptive", no_forced_tools = true, no_prefill = true, no_sampling = true },
    },
    {
      name = "claude-haiku-5-5",
      price = {
        input = 0.1, output = 0.5, cached = 0.01, cache_write = 0.125,
        rules = {
          { above = 100000, input = 0.5, output = 2.5, cached = 0.05, cache_write = 0.625 },
        },
      },
      context = 1000000, max_output = 128000, abilities = "tools images json_schema reasoning files",
      aliases = { "claude-haiku-5.5" },
      quirks = { thinking = "adaptive", no_prefill = true, no_sampling = true },
    },
    {
      name = "claude-opus-5-5", price = { input = 4, output = 20, cached = 0.2, cache_write = 5 },
      context = 1000000, max_output = 128000, abilities = "tools images json_schema reasoning files",
      aliases = { "claude-opus-5.5" },
      quirks = { thinking = "always", no_prefill = true, no_sampling = true },
    },
    {
      name = "claude-fable-5", price = { input = 10, output = 50, cached = 1, cache_write = 12.5 },
      context = 1000000, max_output = 128000, abilities = "tools images json_schema reasoning files", quality = 62.1,
      quirks = { thinking = "always", no_prefill = true, no_sampling = true },
    },
    {
      name = "claude-fable-5-1", price = { input = 10, output = 50, cached = 0.25, cache_write = 12.5 },
      context = 1000000, max_output = 128000, abilities = "tools images json_schema reasoning files",
      aliases = { "claude-fable-5.1" },
      quirks = { thinking = "always", no_prefill = true, no_sampling = true },
    },
    {
      name = "claude-fable-5-2", price = { input = 8, output = 40, cached = 0.2, cache_write = 10 },
      context = 1000000, max_output = 128000, abilities = "tools images json_schema reasoning files",
      aliases = { "claude-fable-5.2" },
      quirks = { thinking = "always", no_prefill = true, no_sampling = true },
    },
  },
}
