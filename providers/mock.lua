--- The mock that comes with Perilune (`perilune mock`): for a first run without keys, for demos and for tests. Its models are made up, with
--- prices and qualities like those of real ones, so that policies have something to choose between.
return {
  like = "openai_compatible",
  title = "Mock",
  base_url = "http://127.0.0.1:4199/v1",
  auth = "none",
  hidden = true,
  quality = { source = "made up", date = "2026-11-22" },
  models = {
    {
      name = "mock-small", price = { input = 0.1, output = 0.4, cached = 0.01 },
      context = 128000, max_output = 16384, abilities = "tools json_schema", quality = 15,
    },
    {
      name = "mock-medium", price = { input = 0.5, output = 2.5, cached = 0.05 },
      context = 400000, max_output = 64000, abilities = "tools images json_schema", quality = 35,
    },
    {
      name = "mock-large", price = { input = 3, output = 15, cached = 0.3 },
      context = 1000000, max_output = 128000, abilities = "tools images audio json_schema reasoning files", quality = 60,
    },
    { name = "mock-embedding", price = { input = 0.02, output = 0 }, context = 8192, abilities = "embeddings" },
  },
}
