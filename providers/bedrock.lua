--- Amazon Bedrock, by its Converse API. It needs a key: AWS_BEARER_TOKEN_BEDROCK, or, once it is named in the configuration, the usual
--- AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN. Many models go by an inference profile, whose prefix says where it
--- runs: `models = { { name = "claude-sonnet-4-6", upstream = "eu.anthropic.claude-sonnet-4-6" } }`.
---
--- Prices are dollars per million tokens, of one region; global profiles cost what the vendor asks.
return {
  title = "Amazon Bedrock",
  docs = "https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html",
  base_url = "https://bedrock-runtime.{region}.amazonaws.com",
  region = "us-east-1",
  dialect = "bedrock_converse",
  auth = "aws-sigv4",
  env = { key = "AWS_BEARER_TOKEN_BEDROCK", region = "AWS_REGION" },
  prices = { source = "pi-ai 1.5.2 provider data", date = "2026-11-10" },
  quality = { source = "Artificial Analysis Intelligence Index", date = "2026-08-22" },
  adapt = true,
  quirks = { no_images_by_url = true, tools_from_history = true },

  default = { abilities = "tools images json_schema reasoning files" },

  failures = {
    { text = "too many tokens", status = 429, class = "rate_limited" },
    { text = "input is too long", class = "context_length" },
    { code = "ThrottlingException", class = "rate_limited" },
    { code = "throttlingException", class = "rate_limited" },
    { code = "ServiceQuotaExceededException", class = "quota" },
    { code = "AccessDeniedException", class = "auth" },
    { code = "UnrecognizedClientException", class = "auth" },
    { code = "ExpiredTokenException", class = "auth" },
    { code = "ResourceNotFoundException", class = "not_found" },
    { code = "ModelNotReadyException", class = "overloaded" },
    { code = "ModelTimeoutException", class = "timeout" },
    { code = "ServiceUnavailableException", class = "overloaded" },
    { code = "serviceUnavailableException", class = "overloaded" },
    { code = "InternalServerException", class = "server_error" },
    { code = "internalServerException", class = "server_error" },
    { code = "ModelErrorException", class = "server_error" },
    { code = "modelStreamErrorException", class = "server_error" },
    { text = "provided model identifier is invalid", class = "not_found" },
    { code = "ValidationException", class = "bad_request" },
    { code = "validationException", class = "bad_request" },
  },

  models = {
    {
      name = "claude-sonnet-4-6", upstream = "anthropic.claude-sonnet-4-6",
      price = { input = 3.3, output = 16.5, cached = 0.33, cache_write = 4.125 },
      context = 1000000, max_output = 128000, abilities = "tools images json_schema reasoning files",
      quality = 48.4, quality_inherited = true,
      aliases = { "claude-sonnet-4.6" },
      quirks = { thinking = "adaptive", no_prefill = true },
    },
    {
      name = "llama-3.3-70b", upstream = "us.meta.llama3-3-70b-instruct-v1:0", price = { input = 0.72, output = 0.72 },
      context = 128000, max_output = 4096, abilities = "tools", quality = 9.3, quality_inherited = true,
      aliases = { "meta.llama3-3-70b-instruct-v1:0" },
    },
    {
      name = "deepseek-r1", upstream = "us.deepseek.r1-v1:0", price = { input = 1.35, output = 5.4 },
      context = 128000, max_output = 32768, abilities = "tools reasoning", quality = 18.6, quality_inherited = true,
      aliases = { "deepseek.r1-v1:0" },
    },
    {
      name = "nova-pro", upstream = "amazon.nova-pro-v1:0", price = { input = 0.8, output = 3.2, cached = 0.2, cache_write = 0.8 },
      context = 300000, max_output = 10000, abilities = "tools images files", quality = 7.5,
    },
    {
      name = "nova-2-lite", upstream = "global.amazon.nova-2-lite-v1:0",
      price = { input = 0.3, output = 2.5, cached = 0.075, cache_write = 0.3 },
      context = 1000000, max_output = 65535, abilities = "tools images reasoning files",
    },
  },
}
