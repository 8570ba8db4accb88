-- The gateway's configuration: `perilune check` says what is wrong with it, `perilune run` starts it.
return {
  listen = "127.0.0.1:4100",
  providers = {
    -- Only what is named here is used. A real one is a line like this; its key is read from OPENAI_API_KEY:
    -- openai = {},
    -- This one is made up: it answers while `perilune mock` runs. Take it out once there is a real one.
    mock = {},
  },
  policies = {
    default = "starter", -- policies/starter.lua
    fallback = { "mock/mock-small" }, -- what answers when a policy fails
  },
  -- Who may ask, and for how much. Once there is a key, clients need one; it is read from WEB_KEY:
  -- client_keys = { { secret = env "WEB_KEY", id = "web", project = "shop" } },
  -- projects = { shop = { daily_usd = 5, rpm = 60 } },
}
