--- The server of llama.cpp: `providers = { llama_cpp = { models = { "my-model" } } }`.
return {
  like = "openai_compatible",
  title = "llama.cpp",
  docs = "https://github.com/ggml-org/llama.cpp/tree/master/tools/server",
  base_url = "http://127.0.0.1:8080/v1",
  speaks = { "openai_chat", "openai_completions", "openai_embeddings" },
  on_request = true,
  adapt = true,
  quirks = { system = "system", reasoning = "chat_template_kwargs", no_system_later = true, no_strict = true, max_n = 1 },
  failures = {
    { status = 503, text = "loading model", class = "overloaded" },
  },
}
