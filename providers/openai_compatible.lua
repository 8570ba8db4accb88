--- Any service that speaks OpenAI's Chat Completions: vLLM, SGLang, llama.cpp, Ollama, and most hosts. What other provider files are like.
---
---   providers = { vllm = { like = "openai_compatible", base_url = "http://localhost:8000/v1", models = { "llama-3.3-70b" } } }
return {
  title = "OpenAI-compatible",
  dialect = "openai_chat",
  speaks = { "openai_chat", "openai_embeddings" },
  auth = "bearer",
  timeouts = { connect_ms = 5000, timeout_ms = 300000, first_token_ms = 60000, idle_ms = 60000 },

  -- What is not known of a model is not held against it: the service says so when it can not do something.
  default = { abilities = "tools images audio json_schema reasoning files embeddings" },

  failures = {
    -- Hosts that answer 200 or 400 where they mean something else by their words.
    { text = "enable_thinking must be set to false", class = "bad_request" },
    { code = "invalid_parameter_error", class = "bad_request" },
    { status = { 500, 503 }, text = "out of memory", class = "overloaded" },
  },
}
