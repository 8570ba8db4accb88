local build = require "perilune.dialects.responses_build"
local json = require "perilune.json"
local shape = require "perilune.shape"

local function target(more)
  local out = {
    id = "openai/m", model = "m", upstream = "up", provider = "openai", dialect = "openai_responses", abilities = {}, quirks = {},
  }
  for key, value in pairs(more or {}) do
    out[key] = value
  end
  return out
end

-- A request of one user's text with these fields.
local function request(more)
  local out = {
    stream = false, wants_usage = true, messages = { { role = "user", parts = { { kind = "text", text = "Hi" } } } }, fields = {},
    extra = {}, dialect = "openai_chat",
  }
  for key, value in pairs(more or {}) do
    out[key] = value
  end
  return out
end

-- The body, and what was dropped.
local function built(more, at)
  local drops = shape.drops()
  local http = assert(build.build(request(more), target(at), drops))
  assert.is_true(json.valid(http.body))
  assert.equal("/responses", http.path)
  return http.body, drops:list()
end

local function input(messages, at)
  local body, dropped = built({ messages = messages }, at)
  local fields = json.fields(body)
  return fields.input, dropped, fields.instructions
end

-- What stands in the body of one request beside the usual.
local function rest(more, at)
  local body, dropped = built(more, at)
  return body:match '^{"model":"up","input":%[.-%],"stream":false,"store":false,?(.*)}$', dropped
end

local function text(s)
  return { kind = "text", text = s }
end

describe("responses, a request built", function()
  it("is stateless", function()
    assert.equal('{"model":"up","input":[{"type":"message","role":"user","content":"Hi"}],"stream":false,"store":false}', (built()))
    assert.equal('{"model":"up","input":[{"type":"message","role":"user","content":"Hi"}],"stream":true,"store":true}',
      (built { stream = true, store = true }))
  end)

  it("has system text first as instructions and later in place", function()
    local items, _, instructions = input {
      { role = "system", parts = { text "Be", text "kind." } }, { role = "user", parts = { text "a" } },
      { role = "system", parts = { text "b" } },
    }
    assert.equal('"Be\\n\\nkind."', instructions)
    assert.equal('[{"type":"message","role":"user","content":"a"},{"type":"message","role":"developer","content":"b"}]', items)
    items, _, instructions = input { { role = "system", parts = { text "alone" } } }
    assert.is_nil(instructions)
    assert.equal('[{"type":"message","role":"developer","content":"alone"}]', items)
    items, _, instructions = input({
      { role = "system", parts = { text "a" } }, { role = "user", parts = { text "b" } }, { role = "system", parts = { text "c" } },
    }, { quirks = { no_system_later = true } })
    assert.equal('"a\\n\\nc"', instructions)
    assert.equal('[{"type":"message","role":"user","content":"b"}]', items)
  end)

  it("shows pictures and files, and drops what has no place", function()
    local parts = {
      text "look", text "", { kind = "image", data = "AAAA", mime = "image/webp" },
      { kind = "image", url = "https://example.com/a.png", detail = "low" }, { kind = "image", file_id = "file-1" },
      { kind = "file", data = "BBBB", mime = "application/pdf", name = "a.pdf" }, { kind = "file", text = "plain" },
      { kind = "audio", data = "CCCC", format = "wav" }, { kind = "opaque", dialect = "anthropic_messages", raw = "{}" },
    }
    local items, dropped = input { { role = "user", parts = parts } }
    assert.equal('[{"type":"message","role":"user","content":[{"type":"input_text","text":"look"},'
      .. '{"type":"input_image","image_url":"data:image/webp;base64,AAAA"},'
      .. '{"type":"input_image","image_url":"https://example.com/a.png","detail":"low"},{"type":"input_image","file_id":"file-1"},'
      .. '{"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,BBBB"},'
      .. '{"type":"input_text","text":"plain"}]}]', items)
    assert.equal("messages[0].opaque, messages[0].audio", dropped)
    items, dropped = input({ { role = "user", parts = { text "a", parts[4] } } }, { quirks = { no_images_by_url = true } })
    assert.equal('[{"type":"message","role":"user","content":[{"type":"input_text","text":"a"}]}]', items)
    assert.equal("messages[0].image", dropped)
  end)

  it("[F21] [F22] makes items of a turn, custom calls native", function()
    local items = input {
      {
        role = "assistant",
        parts = {
          {
            kind = "reasoning", text = "so", summary = true,
            state = { kind = "encrypted", value = "E", id = "rs_1", by = "openai_responses" },
          },
          { kind = "reasoning", text = "hm", state = { kind = "encrypted", value = "F", by = "openai_responses" } },
          text "Looking.", { kind = "call", id = "c1", name = "f", arguments = '{"a":"\\n"}' },
          { kind = "call", id = "c2", name = "p", arguments = "raw {", custom = true },
        },
      },
      {
        role = "tool",
        parts = {
          { kind = "result", id = "c1", parts = { text "one" } },
          { kind = "result", id = "c2", parts = { text "two", { kind = "image", url = "u" } } },
        },
      },
    }
    assert.equal('[{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"so"}],"encrypted_content":"E"},'
      .. '{"type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"hm"}],"encrypted_content":"F"},'
      .. '{"type":"message","role":"assistant","content":"Looking."},'
      .. '{"type":"function_call","call_id":"c1","name":"f","arguments":"{\\"a\\":\\"\\\\n\\"}"},'
      .. '{"type":"custom_tool_call","call_id":"c2","name":"p","input":"raw {"},'
      .. '{"type":"function_call_output","call_id":"c1","output":"one"},'
      .. '{"type":"custom_tool_call_output","call_id":"c2","output":[{"type":"input_text","text":"two"},'
      .. '{"type":"input_image","image_url":"u"}]}]', items)
  end)

  it("sends thoughts to nobody who did not think them", function()
    local items, dropped = input {
      {
        role = "assistant",
        parts = {
          { kind = "reasoning", text = "a" },
          { kind = "reasoning", text = "b", state = { kind = "signature", value = "S", by = "anthropic_messages" } },
          { kind = "reasoning", state = { kind = "encrypted", value = "E", by = "openai_responses", model = "other" } }, text "c",
        },
      },
    }
    assert.equal('[{"type":"message","role":"assistant","content":"c"}]', items)
    assert.is_nil(dropped)
  end)

  it("keeps the assistant's refusals, own items and several texts", function()
    local items, dropped = input {
      {
        role = "assistant",
        parts = {
          text "a", { kind = "refusal", text = "no" }, { kind = "opaque", dialect = "openai_responses", raw = '{"type":"compaction"}' },
          text "", { kind = "audio", id = "audio_1" },
        },
      },
    }
    assert.equal('[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"a","annotations":[]},'
      .. '{"type":"refusal","refusal":"no"}]},{"type":"compaction"}]', items)
    assert.equal("messages[0].audio", dropped)
  end)

  it("tells of a result what it can not show", function()
    local items = input {
      { role = "tool", parts = { { kind = "result", id = "c", parts = {} } } },
      { role = "tool", parts = { { kind = "result", id = "d", parts = { { kind = "opaque", dialect = "x", raw = '{"a":1}' } } } } },
    }
    assert.equal('[{"type":"function_call_output","call_id":"c","output":""},'
      .. '{"type":"function_call_output","call_id":"d","output":"{\\"a\\":1}"}]', items)
  end)

  it("lays tools flat", function()
    local got, dropped = rest {
      tools = {
        { name = "f", description = "d", schema = '{"type":"object"}', strict = true }, { name = "g" },
        { name = "p", custom = true, grammar = '{"type":"text"}' },
        { name = "web_search", hosted = { dialect = "openai_responses", type = "web_search", raw = '{"type":"web_search"}' } },
        { name = "bash", hosted = { dialect = "anthropic_messages", type = "bash_20250124", raw = "{}" } },
      },
      parallel = false,
    }
    assert.equal('"tools":[{"type":"function","name":"f","description":"d","parameters":{"type":"object"},"strict":true},'
      .. '{"type":"function","name":"g","parameters":{"type":"object","properties":{}},"strict":false},'
      .. '{"type":"custom","name":"p","format":{"type":"text"}},{"type":"web_search"}],"parallel_tool_calls":false', got)
    assert.equal("tools.bash_20250124", dropped)
  end)

  it("chooses among tools, where there are any", function()
    local function choice(wanted)
      local body = built { tools = { { name = "f" }, { name = "p", custom = true } }, tool_choice = wanted }
      return json.fields(body).tool_choice
    end
    assert.equal('"required"', choice { mode = "required" })
    assert.equal('{"type":"function","name":"f"}', choice { mode = "named", name = "f" })
    assert.equal('{"type":"custom","name":"p"}', choice { mode = "named", name = "p" })
    assert.equal('{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"f"},{"type":"custom","name":"p"}]}',
      choice { mode = "auto", names = { "f", "p" } })
    assert.equal("", (rest { tool_choice = { mode = "required" } }))
  end)

  it("has the fields there are", function()
    assert.equal('"max_output_tokens":50,"temperature":0.70,"top_p":1,"reasoning":{"effort":"high","summary":"auto"},'
      .. '"text":{"format":{"type":"json_schema","name":"n","schema":{"z":1,"a":2},"strict":true},"verbosity":"low"},'
      .. '"include":["reasoning.encrypted_content"],"user":"u","prompt_cache_key":"k","service_tier":"flex","metadata":{"b":"1"}', (rest {
      max_tokens = 50, temperature = "0.70", top_p = "1", reasoning = { effort = "high", summary = "auto" },
      format = { kind = "schema", name = "n", schema = '{"z":1,"a":2}', strict = true }, verbosity = "low", user = "u", cache_key = "k",
      service_tier = "flex", metadata = '{"b":"1"}',
    }))
    assert.equal('"text":{"format":{"type":"json_object"}}', (rest { format = { kind = "json" } }))
    assert.equal('"text":{"format":{"type":"text"}}', (rest { format = { kind = "text" } }))
    assert.equal('"top_logprobs":2,"include":["message.output_text.logprobs"]', (rest { logprobs = true, top_logprobs = "2" }))
  end)

  it("names what there is no field for", function()
    local got, dropped = rest {
      stop = { "x" }, n = 2, seed = "7", logit_bias = "{}", frequency_penalty = "1", presence_penalty = "1", top_k = "5", audio = "{}",
      prediction = "{}", modalities = '["text","audio"]', web_search = "{}", extra = { { "new_field", "1" } },
    }
    assert.equal("", got)
    for _, name in ipairs {
      "stop", "n", "seed", "logit_bias", "frequency_penalty", "presence_penalty", "top_k", "audio", "prediction", "modalities",
      "web_search_options", "new_field",
    } do
      assert.is_truthy((", " .. dropped .. ","):find(", " .. name .. ",", 1, true), name)
    end
    got, dropped = rest { n = 1, modalities = '["text"]' }
    assert.equal("", got)
    assert.is_nil(dropped)
    assert.equal('"new_field":1', (rest { extra = { { "new_field", "1" } }, dialect = "openai_responses" }))
  end)

  it("keeps to what the target takes", function()
    local got, dropped = rest({ temperature = "1", top_p = "1", metadata = "{}", reasoning = { effort = "xhigh" } },
      { quirks = { no_sampling = true, efforts = { "low", "high" }, unsupported = { "metadata" } } })
    assert.equal('"reasoning":{"effort":"high"},"include":["reasoning.encrypted_content"]', got)
    assert.equal("temperature, top_p, metadata", dropped)
    got, dropped = rest({ reasoning = { effort = "low" }, max_tokens = 5 },
      { quirks = { unsupported = { "reasoning_effort", "max_tokens" } } })
    assert.equal('"include":["reasoning.encrypted_content"]', got)
    assert.equal("max_tokens, reasoning_effort", dropped)
    assert.equal('"max_output_tokens":100', (rest({ max_tokens = 5000 }, { max_output = 100 })))
    assert.equal('"max_output_tokens":16', (rest { max_tokens = 1 }))
  end)

  it("asks for encrypted thoughts where there may be any", function()
    assert.equal('"include":["reasoning.encrypted_content"]', (rest({}, { abilities = { reasoning = true } })))
    assert.equal('"reasoning":{"effort":"none"}', (rest { reasoning = { effort = "none" } }))
    assert.equal('"reasoning":{"effort":"medium"},"include":["reasoning.encrypted_content"]', (rest { reasoning = { budget = 5000 } }))
    assert.equal('"include":["reasoning.encrypted_content"]', (rest { reasoning = { summary = "auto", hidden = true } }))
  end)
end)
