return {
  listen = "127.0.0.1:4100", admin = "127.0.0.1:4101", workers = 2,
  providers = {
    openai = { api_keys = { env "SPEC_KEY" } },
    ["vllm-eu"] = { like = "openai_compatible", base_url = "http://vllm.internal:8000/v1", models = { "llama-3.3-70b" }, tags = { "eu" } },
  },
  chains = { ["gpt-4o"] = { "openai/gpt-4o", "llama-3.3-70b" } },
  policies = { default = "auto", auto = "cheapest", fallback = { "openai/gpt-4o-mini" },
               routes = { ["/v1/messages"] = "quality" }, tiers = { free = "cheapest" } },
}
