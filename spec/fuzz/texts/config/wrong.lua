return { listen = 7, provders = {}, policies = { default = "nope" }, limits = { max_body = "1mb" } }
