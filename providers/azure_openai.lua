--- OpenAI's models at Azure, by the surface without dated versions. A model's name there is that of your deployment: where they differ,
--- `models = { { name = "gpt-4o", upstream = "my-deployment" } }`. The older surface is reached with
--- `base_url = "https://NAME.openai.azure.com"` and `default = { path = "/openai/deployments/{model}/chat/completions?api-version=..." }`.
---
--- Prices are dollars per million tokens, of global deployments.
return {
  like = "openai_compatible",
  title = "Azure OpenAI",
  native = true,
  docs = "https://learn.microsoft.com/en-us/azure/ai-foundry/openai/latest",
  base_url = { "{AZURE_OPENAI_ENDPOINT}/openai/v1", "https://{AZURE_OPENAI_RESOURCE}.openai.azure.com/openai/v1" },
  speaks = { "openai_chat", "openai_responses", "openai_embeddings" },
  auth = "api-key",
  env = { key = "AZURE_OPENAI_API_KEY" },
  prices = { source = "pi-ai 1.5.2 provider data", date = "2026-11-10" },
  quality = { source = "Artificial Analysis Intelligence Index", date = "2026-08-22" },
  -- Its streams begin with chunks that have no choices, id or model.
  adapt = true,

  failures = {
    { code = "content_filter", class = "content_filter" },
    { code = "ResponsibleAIPolicyViolation", class = "content_filter" },
    { code = "DeploymentNotFound", class = "not_found" },
  },

  models = {
    {
      name = "gpt-4o", price = { input = 2.5, output = 10, cached = 1.25 },
      context = 128000, max_output = 16384, abilities = "tools images json_schema files", quality = 11.1, quality_inherited = true,
    },
    {
      name = "gpt-4o-mini", price = { input = 0.15, output = 0.6, cached = 0.075 },
      context = 128000, max_output = 16384, abilities = "tools images json_schema files", quality = 6.7, quality_inherited = true,
    },
    {
      name = "gpt-5.5",
      price = { input = 5, output = 30, cached = 0.5, rules = { { above = 272000, input = 10, output = 45, cached = 1 } } },
      context = 1050000, max_output = 128000, abilities = "tools images json_schema reasoning files",
      quality = 56.3, quality_inherited = true,
      quirks = { no_sampling = true, max_tokens = "max_completion_tokens" },
    },
    {
      name = "text-embedding-3-small", price = { input = 0.02, output = 0 }, context = 8191, abilities = "embeddings",
    },
    {
      name = "text-embedding-3-large", price = { input = 0.13, output = 0 }, context = 8191, abilities = "embeddings",
    },
  },
}
