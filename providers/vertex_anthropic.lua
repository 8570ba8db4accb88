--- Claude on Google Cloud's Vertex AI: `providers = { vertex_anthropic = { models = { "claude-sonnet-4-6" } } }`. Keys and location are
--- those of vertex. A model's name goes into the path as it is there:
--- `{ name = "claude-haiku-4-5", upstream = "claude-haiku-4-5@20251001" }`.
return {
  like = "anthropic",
  title = "Claude on Vertex AI",
  docs = "https://cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude",
  base_url = {
    "https://{GOOGLE_CLOUD_LOCATION}-aiplatform.googleapis.com/v1/projects/{GOOGLE_CLOUD_PROJECT}/locations/{GOOGLE_CLOUD_LOCATION}"
      .. "/publishers/anthropic",
    "https://aiplatform.googleapis.com/v1/projects/{GOOGLE_CLOUD_PROJECT}/locations/global/publishers/anthropic",
  },
  blank = { GOOGLE_CLOUD_LOCATION = "global" },
  auth = "google-jwt",
  on_request = true,
  quirks = { version_in_body = "vertex-2023-10-16", no_images_by_url = true },

  failures = {
    { code = "RESOURCE_EXHAUSTED", class = "rate_limited" },
    { code = "UNAUTHENTICATED", class = "auth" },
    { code = "PERMISSION_DENIED", class = "auth" },
    { code = "NOT_FOUND", class = "not_found" },
  },
}
