--- Google Cloud's Vertex AI. Its key is a service account: GOOGLE_APPLICATION_CREDENTIALS (a file) or GOOGLE_APPLICATION_CREDENTIALS_JSON
--- (its text). Without GOOGLE_CLOUD_LOCATION it is the global endpoint. It has to be named in the configuration, because that account is
--- mostly there for other things.
---
--- Prices are dollars per million tokens.
return {
  title = "Google Vertex AI",
  docs = "https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference",
  base_url = {
    "https://{GOOGLE_CLOUD_LOCATION}-aiplatform.googleapis.com/v1/projects/{GOOGLE_CLOUD_PROJECT}/locations/{GOOGLE_CLOUD_LOCATION}"
      .. "/publishers/google",
    "https://aiplatform.googleapis.com/v1/projects/{GOOGLE_CLOUD_PROJECT}/locations/global/publishers/google",
  },
  blank = { GOOGLE_CLOUD_LOCATION = "global" },
  dialect = "gemini",
  auth = "google-jwt",
  on_request = true,
  prices = { source = "pi-ai 1.5.2 provider data", date = "2026-11-10" },
  quality = { source = "Artificial Analysis Intelligence Index", date = "2026-08-22" },
  adapt = true,
  quirks = { max_stop = 5, no_images_by_url = true },

  default = {
    abilities = "tools images audio json_schema reasoning files",
    quirks = { thinking_level = true, signatures = true },
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
      name = "gemini-2.5-pro", price = { input = 1.25, output = 10, cached = 0.125 },
      context = 1048576, max_output = 65536, abilities = "tools images audio json_schema reasoning files",
      quality = 25.9, quality_inherited = true,
      quirks = { thinking_min = 128 },
    },
  },
}
