--- Google's Gemini API. (On Google Cloud: vertex.)
---
--- Prices are dollars per million tokens of text; audio costs more with some. Models of the 2.5 line count the tokens they think, later
--- ones take a level and want their signatures back.
return {
  title = "Google Gemini",
  docs = "https://ai.google.dev/api/generate-content",
  base_url = "https://generativelanguage.googleapis.com/v1beta",
  dialect = "gemini",
  auth = "x-goog-api-key",
  env = { key = "GEMINI_API_KEY" },
  prices = { source = "pi-ai 1.5.2 provider data", date = "2026-11-10" },
  -- Estimates by its source: gemini-2.5-flash, gemini-2.5-flash-lite, gemini-3-flash-preview.
  quality = { source = "Artificial Analysis Intelligence Index", date = "2026-08-22" },
  adapt = true,
  quirks = { max_stop = 5, no_images_by_url = true },

  default = {
    abilities = "tools images audio json_schema reasoning files",
    quirks = { thinking_level = true, signatures = true },
  },

  retired = {
    ["gemini-1.5-pro"] = { instead = "gemini-2.5-pro" },
    ["gemini-2.0-flash"] = { instead = "gemini-2.5-flash", since = "2026-06-01" },
  },

  failures = {
    { text = "api key not valid", class = "auth" },
    { text = "api key expired", class = "auth" },
    { text = "exceeds the maximum number of tokens", class = "context_length" },
    { text = "input token count", status = 400, class = "context_length" },
    { code = "FAILED_PRECONDITION", class = "auth" },
    { code = "UNAUTHENTICATED", class = "auth" },
    { code = "PERMISSION_DENIED", class = "auth" },
    { code = "NOT_FOUND", class = "not_found" },
    { code = "RESOURCE_EXHAUSTED", class = "rate_limited" },
    { code = "INVALID_ARGUMENT", class = "bad_request" },
    { code = "UNAVAILABLE", class = "overloaded" },
    { code = "DEADLINE_EXCEEDED", class = "timeout" },
    { code = "CANCELLED", class = "server_error" },
    { code = "INTERNAL", class = "server_error" },
  },

  models = {
    {
      name = "gemini-2.5-pro",
      price = { input = 1.25, output = 10, cached = 0.125, rules = { { above = 200000, input = 2.5, output = 15, cached = 0.25 } } },
      context = 1048576, max_output = 65536, abilities = "tools images audio json_schema reasoning files", quality = 25.9,
      quirks = { thinking_min = 128 },
    },
    {
      name = "gemini-2.5-flash", price = { input = 0.3, output = 2.5, cached = 0.03 },
      context = 1048576, max_output = 65536, abilities = "tools images audio json_schema reasoning files", quality = 20.3,
      quirks = { thinking_min = 0 },
    },
    {
      name = "gemini-2.5-flash-lite", price = { input = 0.1, output = 0.4, cached = 0.01 },
      context = 1048576, max_output = 65536, abilities = "tools images audio json_schema reasoning files", quality = 11.4,
      quirks = { thinking_min = 0 },
    },
    {
      name = "gemini-3-flash-preview", price = { input = 0.5, output = 3, cached = 0.05 },
      context = 1048576, max_output = 65536, abilities = "tools images audio json_schema reasoning files", quality = 38.7,
      aliases = { "gemini-3-flash" },
      quirks = { thinking_level = true, signatures = true, efforts = { "minimal", "low", "medium", "high" } },
    },
    {
      name = "gemini-3.1-pro-preview",
      price = { input = 2, output = 12, cached = 0.2, rules = { { above = 200000, input = 4, output = 18, cached = 0.4 } } },
      context = 1048576, max_output = 65536, abilities = "tools images audio json_schema reasoning files", quality = 47.7,
      aliases = { "gemini-3.1-pro" },
      quirks = { thinking_level = true, signatures = true, efforts = { "low", "medium", "high" } },
    },
    {
      name = "gemini-3.1-flash-lite", price = { input = 0.25, output = 1.5, cached = 0.025 },
      context = 1048576, max_output = 65536, abilities = "tools images audio json_schema reasoning files", quality = 25.6,
      quirks = { thinking_level = true, signatures = true, efforts = { "minimal", "low", "medium", "high" } },
    },
    {
      name = "gemini-3.5-flash", price = { input = 1.5, output = 9, cached = 0.15 },
      context = 1048576, max_output = 65536, abilities = "tools images audio json_schema reasoning files", quality = 52,
      quirks = { thinking_level = true, signatures = true, efforts = { "minimal", "low", "medium", "high" } },
    },
    {
      name = "gemini-3.5-flash-lite", price = { input = 0.3, output = 2.5, cached = 0.03 },
      context = 1048576, max_output = 65536, abilities = "tools images audio json_schema reasoning files", quality = 37.4,
      quirks = { thinking_level = true, signatures = true, efforts = { "minimal", "low", "medium", "high" } },
    },
    -- Half price until the end of 2026.
    {
      name = "gemini-3.6-flash",
      price = {
        input = 1.5, output = 7.5, cached = 0.15,
        rules = {
          { ["until"] = "2026-12-31", input = 0.75, output = 3.75, cached = 0.075 },
        },
      },
      context = 1048576, max_output = 65536, abilities = "tools images audio json_schema reasoning files", quality = 51.6,
      quirks = { thinking_level = true, signatures = true, efforts = { "minimal", "low", "medium", "high" } },
    },
    -- Listed at the half price of its neighbours; whether that ends with theirs is not known.
    {
      name = "gemini-3.7-flash", price = { input = 0.75, output = 3.75, cached = 0.075 },
      context = 1048576, max_output = 65536, abilities = "tools images audio json_schema reasoning files", quality = 56,
      quirks = { thinking_level = true, signatures = true, efforts = { "minimal", "low", "medium", "high" } },
    },
    {
      name = "gemini-3.8-flash",
      price = {
        input = 1.5, output = 7.5, cached = 0.15,
        rules = {
          { ["until"] = "2026-12-31", input = 0.75, output = 3.75, cached = 0.075 },
        },
      },
      context = 1048576, max_output = 65536, abilities = "tools images audio json_schema reasoning files",
      quirks = { thinking_level = true, signatures = true, efforts = { "minimal", "low", "medium", "high" } },
    },
    -- Other catalogues list a far larger output than its vendor does.
    {
      name = "gemini-4-argon", price = { input = 2, output = 10, cached = 0.1 },
      context = 1048576, max_output = 32768, abilities = "tools images audio json_schema reasoning files",
      quirks = { thinking_level = true, signatures = true, efforts = { "low", "medium", "high" } },
    },
  },
}
