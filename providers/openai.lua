--- OpenAI.
---
--- Prices are dollars per million tokens; a price that is missing was not published where we looked. Above 272,000 input tokens the whole
--- request is billed at the price of the rule.
--- No source says whether gpt-6 and later take JSON schemas; every model of OpenAI's since gpt-4o does, so they are listed with it.
return {
  like = "openai_compatible",
  title = "OpenAI",
  native = true,
  docs = "https://platform.openai.com/docs/api-reference/chat",
  base_url = "https://api.openai.com/v1",
  speaks = { "openai_chat", "openai_responses", "openai_embeddings" },
  env = {
    key = "OPENAI_API_KEY",
    base_url = "OPENAI_BASE_URL",
    headers = { ["OpenAI-Organization"] = "OPENAI_ORG_ID", ["OpenAI-Project"] = "OPENAI_PROJECT_ID" },
  },
  prices = { source = "pi-ai 1.5.2 provider data", date = "2026-11-10" },
  -- Its source marks the qualities of these as estimates: o1, o3, o3-mini, o4-mini, gpt-4o, gpt-4o-mini, gpt-4.1, gpt-5-nano, gpt-5.2,
  -- gpt-5.3-codex. Those of reasoning models hold for high effort.
  quality = { source = "Artificial Analysis Intelligence Index", date = "2026-08-22" },

  -- Models not listed here (`models = { "..." }` in the configuration) are taken to be able to do what most are.
  default = { abilities = "tools images json_schema reasoning files embeddings" },

  retired = {
    ["gpt-4-32k"] = { instead = "gpt-4o", since = "2025-06-06" },
    ["gpt-4-vision-preview"] = { instead = "gpt-4o", since = "2024-12-06" },
    ["gpt-4.5-preview"] = { instead = "gpt-4.1", since = "2025-07-14" },
    ["o1-preview"] = { instead = "o3", since = "2025-07-28" },
    ["o1-mini"] = { instead = "o4-mini", since = "2025-10-27" },
  },

  models = {
    {
      name = "gpt-4o", price = { input = 2.5, output = 10, cached = 1.25 },
      context = 128000, max_output = 16384, abilities = "tools images json_schema files", quality = 11.1,
      aliases = { "gpt-4o-2024-08-06", "gpt-4o-2024-11-20" },
    },
    {
      name = "gpt-4o-mini", price = { input = 0.15, output = 0.6, cached = 0.075 },
      context = 128000, max_output = 16384, abilities = "tools images json_schema files", quality = 6.7,
      aliases = { "gpt-4o-mini-2024-07-18" },
    },
    {
      name = "gpt-4.1", price = { input = 2, output = 8, cached = 0.5 },
      context = 1047576, max_output = 32768, abilities = "tools images json_schema files", quality = 19.6,
      aliases = { "gpt-4.1-2025-04-14" },
    },
    {
      name = "gpt-4.1-mini", price = { input = 0.4, output = 1.6, cached = 0.1 },
      context = 1047576, max_output = 32768, abilities = "tools images json_schema files", quality = 14.8,
      aliases = { "gpt-4.1-mini-2025-04-14" },
    },
    {
      name = "gpt-4.1-nano", price = { input = 0.1, output = 0.4, cached = 0.025 },
      context = 1047576, max_output = 32768, abilities = "tools images json_schema files", quality = 9.6,
      aliases = { "gpt-4.1-nano-2025-04-14" },
    },
    {
      name = "o3", price = { input = 2, output = 8, cached = 0.5 },
      context = 200000, max_output = 100000, abilities = "tools images json_schema reasoning files", quality = 31.1,
      aliases = { "o3-2025-04-16" },
      quirks = {
        no_sampling = true, max_tokens = "max_completion_tokens", efforts = { "low", "medium", "high" }, unsupported = { "stop" },
      },
    },
    {
      name = "o4-mini", price = { input = 1.1, output = 4.4, cached = 0.275 },
      context = 200000, max_output = 100000, abilities = "tools images json_schema reasoning files", quality = 26.1,
      aliases = { "o4-mini-2025-04-16" },
      quirks = {
        no_sampling = true, max_tokens = "max_completion_tokens", efforts = { "low", "medium", "high" }, unsupported = { "stop" },
      },
    },
    {
      name = "o3-mini", price = { input = 1.1, output = 4.4, cached = 0.55 },
      context = 200000, max_output = 100000, abilities = "tools json_schema reasoning", quality = 19.2,
      aliases = { "o3-mini-2025-01-31" },
      quirks = { no_sampling = true, max_tokens = "max_completion_tokens", efforts = { "low", "medium", "high" } },
    },
    {
      name = "o1", price = { input = 15, output = 60, cached = 7.5 },
      context = 200000, max_output = 100000, abilities = "tools images json_schema reasoning files", quality = 23.9,
      aliases = { "o1-2024-12-17" },
      quirks = { no_sampling = true, max_tokens = "max_completion_tokens", efforts = { "low", "medium", "high" } },
    },
    {
      name = "gpt-5", price = { input = 1.25, output = 10, cached = 0.125 },
      context = 400000, max_output = 128000, abilities = "tools images json_schema reasoning files", quality = 35.3,
      aliases = { "gpt-5-2025-08-07" },
      quirks = { no_sampling = true, max_tokens = "max_completion_tokens", efforts = { "minimal", "low", "medium", "high" } },
    },
    {
      name = "gpt-5-mini", price = { input = 0.25, output = 2, cached = 0.025 },
      context = 400000, max_output = 128000, abilities = "tools images json_schema reasoning files", quality = 25.8,
      aliases = { "gpt-5-mini-2025-08-07" },
      quirks = { no_sampling = true, max_tokens = "max_completion_tokens", efforts = { "minimal", "low", "medium", "high" } },
    },
    {
      name = "gpt-5-nano", price = { input = 0.05, output = 0.4, cached = 0.005 },
      context = 400000, max_output = 128000, abilities = "tools images json_schema reasoning files", quality = 20.1,
      aliases = { "gpt-5-nano-2025-08-07" },
      quirks = { no_sampling = true, max_tokens = "max_completion_tokens", efforts = { "minimal", "low", "medium", "high" } },
    },
    {
      name = "gpt-5.1", price = { input = 1.25, output = 10, cached = 0.125 },
      context = 400000, max_output = 128000, abilities = "tools images json_schema reasoning files", quality = 37.5,
      aliases = { "gpt-5.1-2025-11-13" },
      quirks = { no_sampling = true, max_tokens = "max_completion_tokens", efforts = { "none", "low", "medium", "high" } },
    },
    {
      name = "gpt-5.2", price = { input = 1.75, output = 14, cached = 0.175 },
      context = 400000, max_output = 128000, abilities = "tools images json_schema reasoning files", quality = 43.3,
      quirks = { no_sampling = true, max_tokens = "max_completion_tokens", efforts = { "none", "low", "medium", "high", "xhigh" } },
    },
    -- Answers on the Responses endpoint alone.
    {
      name = "gpt-5.3-codex", price = { input = 1.75, output = 14, cached = 0.175 },
      context = 400000, max_output = 128000, abilities = "tools images json_schema reasoning files", quality = 45.5,
      quirks = { no_sampling = true, max_tokens = "max_completion_tokens", efforts = { "low", "medium", "high", "xhigh" } },
      dialect = "openai_responses", speaks = { "openai_responses" },
    },
    {
      name = "gpt-5.4",
      price = { input = 2.5, output = 15, cached = 0.25, rules = { { above = 272000, input = 5, output = 22.5, cached = 0.5 } } },
      context = 1050000, max_output = 128000, abilities = "tools images json_schema reasoning files", quality = 53.1,
      quirks = { no_sampling = true, max_tokens = "max_completion_tokens" },
    },
    {
      name = "gpt-5.5",
      price = { input = 5, output = 30, cached = 0.5, rules = { { above = 272000, input = 10, output = 45, cached = 1 } } },
      context = 1050000, max_output = 128000, abilities = "tools images json_schema reasoning files", quality = 56.3,
      quirks = { no_sampling = true, max_tokens = "max_completion_tokens" },
    },
    {
      name = "gpt-5.4-mini", price = { input = 0.75, output = 4.5, cached = 0.075 },
      context = 400000, max_output = 128000, abilities = "tools images json_schema reasoning files", quality = 40.9,
      quirks = { no_sampling = true, max_tokens = "max_completion_tokens" },
    },
    {
      name = "gpt-5.4-nano", price = { input = 0.2, output = 1.25, cached = 0.02 },
      context = 400000, max_output = 128000, abilities = "tools images json_schema reasoning files", quality = 39.7,
      quirks = { no_sampling = true, max_tokens = "max_completion_tokens" },
    },
    {
      name = "gpt-5.6-sol",
      price = {
        input = 4, output = 20, cached = 0.4, cache_write = 5,
        rules = {
          { above = 272000, input = 8, output = 30, cached = 0.8, cache_write = 10 },
        },
      },
      context = 1050000, max_output = 128000, abilities = "tools images json_schema reasoning files", quality = 60.9,
      quirks = { no_sampling = true, max_tokens = "max_completion_tokens" },
    },
    {
      name = "gpt-5.6-terra",
      price = {
        input = 2, output = 12, cached = 0.2, cache_write = 2.5,
        rules = {
          { above = 272000, input = 4, output = 18, cached = 0.4, cache_write = 5 },
        },
      },
      context = 1050000, max_output = 128000, abilities = "tools images json_schema reasoning files", quality = 56.6,
      quirks = { no_sampling = true, max_tokens = "max_completion_tokens" },
    },
    {
      name = "gpt-5.6-luna",
      price = {
        input = 0.2, output = 1.2, cached = 0.02, cache_write = 0.25,
        rules = {
          { above = 272000, input = 0.4, output = 1.8, cached = 0.04, cache_write = 0.5 },
        },
      },
      context = 1050000, max_output = 128000, abilities = "tools images json_schema reasoning files", quality = 52.3,
      quirks = { no_sampling = true, max_tokens = "max_completion_tokens" },
    },
    {
      name = "gpt-6-astra",
      price = {
        input = 10, output = 50, cached = 1, cache_write = 12.5,
        rules = {
          { above = 272000, input = 20, output = 75, cached = 2, cache_write = 25 },
        },
      },
      context = 1050000, max_output = 128000, abilities = "tools images json_schema reasoning files",
      quirks = { no_sampling = true, max_tokens = "max_completion_tokens" },
    },
    {
      name = "gpt-6-sol",
      price = {
        input = 2, output = 10, cached = 0.2, cache_write = 2.5,
        rules = {
          { above = 272000, input = 4, output = 15, cached = 0.4, cache_write = 5 },
        },
      },
      context = 1050000, max_output = 128000, abilities = "tools images json_schema reasoning files",
      quirks = { no_sampling = true, max_tokens = "max_completion_tokens" },
    },
    {
      name = "gpt-6-luna",
      price = {
        input = 0.1, output = 0.5, cached = 0.01, cache_write = 0.125,
        rules = {
          { above = 272000, input = 0.2, output = 0.75, cached = 0.02, cache_write = 0.25 },
        },
      },
      context = 1050000, max_output = 128000, abilities = "tools images json_schema reasoning files",
      quirks = { no_sampling = true, max_tokens = "max_completion_tokens" },
    },
    {
      name = "gpt-6.1-sol",
      price = {
        input = 2, output = 10, cached = 0.1, cache_write = 2.5,
        rules = {
          { above = 272000, input = 4, output = 15, cached = 0.2, cache_write = 5 },
        },
      },
      context = 1050000, max_output = 128000, abilities = "tools images json_schema reasoning files",
      quirks = { no_sampling = true, max_tokens = "max_completion_tokens" },
    },
    {
      name = "gpt-6.1-terra",
      price = {
        input = 1, output = 5, cached = 0.05, cache_write = 1.25,
        rules = {
          { above = 272000, input = 2, output = 7.5, cached = 0.1, cache_write = 2.5 },
        },
      },
      context = 1050000, max_output = 128000, abilities = "tools images json_schema reasoning files",
      quirks = { no_sampling = true, max_tokens = "max_completion_tokens" },
    },
    {
      name = "text-embedding-3-small", price = { input = 0.02, output = 0 }, context = 8191, abilities = "embeddings",
    },
    {
      name = "text-embedding-3-large", price = { input = 0.13, output = 0 }, context = 8191, abilities = "embeddings",
    },
    {
      name = "text-embedding-ada-002", price = { input = 0.1, output = 0 }, context = 8191, abilities = "embeddings",
    },
  },
}
