-- The gateway's configuration: `perilune check` says what is wrong with it, `perilune run` starts it.
return {
  listen = "127.0.0.1:4100",
  providers = {
    -- Providers whose key is in its usual variable (OPENAI_API_KEY, ANTHROPIC_API_KEY, ...) are on without being named here.
    -- This one is made up: `perilune mock` answers for it. Take it out once there is a real one.
    mock = {},
  },
  policies = {
    default = "starter", -- policies/starter.lua
    fallback = { "mock/mock-small" }, -- what answers when a policy fails
  },
}
