return {
  listen = "127.0.0.1:4100", admin = "127.0.0.1:4101", workers = 2,
  providers = {
    openai = { api_keys = { env "SPEC_KEY" } },
    ["vllm-eu"] = { like = "openai_compatible", base_url = "http://vllm.internal:8000/v1", models = { "llama-3.3-70b" }, tags = { "eu" } },
  },
  chains = { ["gpt-4o"] = { "openai/gpt-4o", "llama-3.3-70b" } },
  policies = { default = "auto", auto = "cheapest", fallback = { "openai/gpt-4o-mini" },
               routes = { ["/v1/messages"] = "quality" }, tiers = { free = "cheapest" } },
  client_keys = { "s-plain", { secret = env "SPEC_KEY", id = "ci", project = "shop",
    policy = { policy = "auto", limits = { deadline_ms = 9 } }, tags = { "a" }, metadata = { team = "x" },
    models = { "openai/*" }, policies = { "auto" }, grants = { "policy" }, strict = true,
    expires = "2027-01-01T00:00:00Z", rpm = 60, daily_usd = 0.1, zone = "+02:00", alerts = { 50, 100 } } },
  projects = { shop = { tier = "paid", monthly_usd = 500, free_requests = 9, markup = 0.2, bodies = { redact = false } } },
  account = { request_usd = 0.5 }, route_caps = { ["/v1/messages"] = { total_usd = 7 } }, model_limits = { ["gpt-4o"] = { tpm = 9 } },
  on_cap = "refuse", ledger = { durability = "power", spill = "more" }, access_log = "stdout",
  alerts = { webhook = "https://hooks.example.com/a", secret = "s" },
}
