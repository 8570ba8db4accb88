--- vLLM, SGLang and their like: `providers = { vllm = { base_url = "http://gpu-1:8000/v1", models = { "llama-3.3-70b" } } }`. A model's
--- name is what --served-model-name says. Tool calls need --enable-auto-tool-choice and --tool-call-parser: without them they come as text.
return {
  like = "openai_compatible",
  title = "vLLM",
  docs = "https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
  base_url = "http://127.0.0.1:8000/v1",
  speaks = { "openai_chat", "openai_completions", "openai_embeddings" },
  on_request = true,
  adapt = true,
  quirks = { system = "system", reasoning = "chat_template_kwargs", no_strict = true },
}
