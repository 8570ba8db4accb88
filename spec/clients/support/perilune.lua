-- What the SDKs talk to: a provider for each dialect, which is called as what it speaks. All of them are the mock, whose answers
-- mock.lua chooses by the model's name. Whoever starts the gateway says in the environment where it is to listen, and where the mock is.
-- luacheck: read globals env
local NAMES = { "openai_chat", "openai_responses", "anthropic_messages", "gemini", "bedrock_converse" }
local MODELS = {
  "plain", "tool", "parallel", "thinker", "agent", "json", "starts", "down", "breaks", "fails", "refused", "limited", "hangs",
  "gone",
}
local LIKE = { anthropic_messages = "anthropic", gemini = "google", bedrock_converse = "bedrock" }
local SPEAKS = { openai_chat = { "openai_chat", "openai_embeddings" } }
-- How models of Bedrock think, differs by whose they are.
local QUIRKS = { bedrock_converse = { thinking = "budget" } }
local BASES = { gemini = "/v1beta", bedrock_converse = "" }

local config = {
  listen = env "SPEC_LISTEN",
  admin = env "SPEC_ADMIN",
  data_dir = env "SPEC_STATE",
  client_keys = { "sk-client" },
  providers = {},
  chains = {},
}

for i, name in ipairs(NAMES) do
  config.providers[name] = {
    like = LIKE[name] or "openai_compatible", dialect = name, base_url = env "SPEC_MOCK" .. (BASES[name] or "/v1"),
    api_keys = { "sk-upstream" }, speaks = SPEAKS[name], quirks = QUIRKS[name],
    models = MODELS,
  }
  -- The first of each breaks before it has said anything: the one as a stream, the other as a whole answer.
  local other = NAMES[i % #NAMES + 1] .. "/plain"
  config.chains["stream_" .. name] = { name .. "/starts", other }
  config.chains["whole_" .. name] = { name .. "/down", other }
end

config.chains.all_gone = { "gemini/gone", "openai_chat/gone" }

return config
