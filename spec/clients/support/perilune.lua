-- What the SDKs talk to: a provider for each dialect, which is called as what it speaks. All of them are the mock, whose answers
-- mock.lua chooses by the model's name. Whoever starts the gateway says in the environment where it is to listen, and where the mock is.
-- luacheck: read globals env
local NAMES = { "openai_chat", "openai_responses", "anthropic_messages", "gemini", "bedrock_converse" }
local MODELS = {
  "plain", "tool", "parallel", "thinker", "agent", "json", "starts", "down", "breaks", "fails", "refused", "limited", "hangs",
  "gone",
}
-- What the figures are does not matter, but a cap holds for what has a price, and lists of models tell them.
local LISTED = {}
for i, name in ipairs(MODELS) do
  LISTED[i] = {
    name = name, price = { input = 1, output = 2, cached = 0.1, cache_write = 1.25 }, context = 200000, max_output = 128000,
  }
end
local LIKE = { anthropic_messages = "anthropic", gemini = "google", bedrock_converse = "bedrock" }
local SPEAKS = { openai_chat = { "openai_chat", "openai_embeddings" } }
-- How models of Bedrock think, differs by whose they are.
local QUIRKS = { bedrock_converse = { thinking = "budget" } }
local BASES = { gemini = "/v1beta", bedrock_converse = "" }

local config = {
  listen = env "SPEC_LISTEN",
  admin = env "SPEC_ADMIN",
  data_dir = env "SPEC_STATE",
  -- One that may do all of it, one that has spent what it may, one that may ask once a minute, one that is told how often.
  client_keys = {
    "sk-client", { secret = "sk-poor", total_usd = 0 }, { secret = "sk-hasty", rpm = 1 }, { secret = "sk-paced", rpm = 6000 },
  },
  providers = {},
  chains = {},
}

for i, name in ipairs(NAMES) do
  config.providers[name] = {
    like = LIKE[name] or "openai_compatible", dialect = name, base_url = env "SPEC_MOCK" .. (BASES[name] or "/v1"),
    api_keys = { "sk-upstream" }, speaks = SPEAKS[name], quirks = QUIRKS[name],
    models = LISTED,
  }
  -- The first of each breaks before it has said anything: the one as a stream, the other as a whole answer.
  local other = NAMES[i % #NAMES + 1] .. "/plain"
  config.chains["stream_" .. name] = { name .. "/starts", other }
  config.chains["whole_" .. name] = { name .. "/down", other }
end

config.chains.all_gone = { "gemini/gone", "openai_chat/gone" }

-- What can go wrong before anything was said, each at a provider of its own; who asks for despite_... is answered by the next.
local FAULTS = {
  "connect", "timeout", "first_token", "rate_limited", "overloaded", "server_error", "auth", "quota", "context_length", "not_found",
  "bad_response", "cut_stream",
}
for _, fault in ipairs(FAULTS) do
  config.providers["faulty_" .. fault] = {
    like = "openai_compatible", base_url = fault == "connect" and "http://127.0.0.1:9/v1" or env "SPEC_MOCK" .. "/v1",
    api_keys = { "sk-upstream" }, models = { fault }, timeouts = { timeout_ms = fault == "timeout" and 100 or nil, first_token_ms = 100 },
  }
  config.chains["despite_" .. fault] = { "faulty_" .. fault .. "/" .. fault, "openai_chat/plain" }
end

-- Names as people know them, for the examples of docs/clients.md.
config.chains["gpt-4o"] = { "openai_chat/plain" }
config.chains["claude-sonnet-4-6"] = { "anthropic_messages/plain" }

return config
