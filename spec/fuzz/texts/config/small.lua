return { providers = { mock = { base_url = "http://127.0.0.1:" .. env("PORT", 1) .. "/v1" } } }
