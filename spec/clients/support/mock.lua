-- What the models of perilune.lua do.
local COUNTS = { cached = 3000, written = 1000 }

local function counted(words)
  for word, value in pairs(COUNTS) do
    words[word] = value
  end
  return words
end

-- What goes wrong after content waits for the content to have gone out: until then another model could still answer.
local MODELS = {
  tool = counted { tool = true },
  parallel = counted { tools = 3 },
  thinker = counted { reasoning = true },
  agent = { reasoning = true, tools = 2 },
  json = { content = '{"city":"Paris","rain":true}' },
  starts = { cut_event = 0 },
  down = { status = 503 },
  breaks = { content = "one two three four", cut_event = 3, gap_ms = 30 },
  fails = { content = "one two three four", error_after = 2, gap_ms = 30 },
  refused = { status = 400, message = "The mock does not like it." },
  limited = { status = 429 },
  gone = { status = 500 },
  hangs = { hang = true },
  -- The faults of perilune.lua, as a provider shows them.
  timeout = { hang = true },
  first_token = { first_ms = 60000 },
  rate_limited = { status = 429 },
  overloaded = { status = 503 },
  server_error = { status = 500 },
  auth = { status = 401 },
  quota = { status = 402 },
  context_length = { status = 400, code = "context_length_exceeded" },
  not_found = { status = 404 },
  bad_response = { garbage = true },
  cut_stream = { cut_event = 0, cut = "body" },
}

return function(req)
  local model = req.model:match "[^/]*$"
  -- An agent calls until it has been told what its tools found.
  if model == "agent" and req.body:find("found it", 1, true) then
    return { content = "All is found." }
  end
  return MODELS[model] or counted {}
end
