--- Ollama, without a key: `providers = { ollama = { models = { "llama3.3" } } }`. A prompt longer than the model file's num_ctx is cut
--- without a word: set it there.
return {
  like = "openai_compatible",
  title = "Ollama",
  docs = "https://docs.ollama.com/openai",
  base_url = "http://127.0.0.1:11434/v1",
  speaks = { "openai_chat", "openai_completions", "openai_embeddings" },
  on_request = true,
  adapt = true,
  quirks = { max_tokens = "max_tokens", system = "system", reasoning = "reasoning_effort", no_strict = true, max_n = 1 },
  -- The first request loads the model.
  timeouts = { first_token_ms = 300000 },
}
