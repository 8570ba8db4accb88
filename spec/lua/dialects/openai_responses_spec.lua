local json = require "perilune.json"
local relay = require "perilune.relay"
local responses = require "perilune.dialects.openai_responses"
local shape = require "perilune.shape"
local shapes = require "support.shapes"

local TARGET = {
  id = "openai/m", model = "m", upstream = "up", provider = "openai", dialect = "openai_responses", abilities = {}, quirks = {},
}

local function able(more)
  local out = {
    fields = {
      "max_tokens", "temperature", "top_p", "logprobs", "top_logprobs", "verbosity", "user", "cache_key", "service_tier", "store",
      "metadata", "effort", "format",
    },
    parts = { "image", "image_url", "file" }, result_parts = { "image" }, custom = true, strict = true, allowed = true, refusal = true,
    many_texts = true,
    states = function(r)
      return { kind = "encrypted", value = "gAAA" .. r(9), id = "rs_" .. r(9), by = "openai_responses" }
    end,
  }
  for key, value in pairs(more) do
    out[key] = value
  end
  return out
end

-- What reading back can not tell from what was meant: the bound has a floor, strict and store are always said, the instructions are one
-- text, and results know their tool.
local function as_read(request)
  request.max_tokens = request.max_tokens and math.max(16, request.max_tokens)
  request.store = request.store or false
  request.wants_usage, request.dialect, request.fields = true, "openai_responses", nil
  request.top_logprobs = request.logprobs and request.top_logprobs or nil
  for _, tool in ipairs(request.tools or {}) do
    if not tool.custom then
      tool.strict = tool.strict or false
    end
  end
  local first, tools = request.messages[1], {}
  if first.role == "system" then
    first.parts = { { kind = "text", text = shape.text_of(first.parts, "\n\n") } }
  end
  for _, message in ipairs(request.messages) do
    for _, part in ipairs(message.parts) do
      if part.kind == "call" then
        tools[part.id] = part.name
      elseif part.kind == "result" then
        part.name = tools[part.id]
      end
    end
  end
  return request
end

local function context(request)
  return { id = "01jdabcdefghijklmnopqrstuv", created = 1790000000, model = "m", input_tokens = 5, request = request or { fields = {} } }
end

-- What is made anew on the way: the answer's id, and those of items. Counts that were not said are 0.
local function without_ids(answer)
  answer.id = nil
  answer.usage.cache_write_tokens = answer.usage.cache_write_tokens or 0
  for _, choice in ipairs(answer.choices) do
    for _, part in ipairs(choice.parts) do
      if part.state then
        part.state.id = nil
      end
    end
  end
  return answer
end

-- Tells a whole answer as a provider's stream would be told.
local function tell(answer, sink)
  sink:begin { model = answer.model, created = answer.created }
  for key, part in ipairs(answer.choices[1].parts) do
    if part.kind == "call" then
      sink:call(0, key, part.id, part.name, { custom = part.custom })
      sink:arguments(0, key, part.arguments:sub(1, 3))
      sink:arguments(0, key, part.arguments:sub(4))
      sink:call_done(0, key)
    elseif part.kind == "reasoning" then
      sink:reasoning(0, part.text, part.summary)
      sink:state(0, part.state)
    else
      sink[part.kind](sink, 0, part.text)
    end
  end
  sink:usage(answer.usage)
  sink:finish(0, answer.choices[1].finish)
  sink:stop()
  return assert(sink:done())
end

-- What a collector comes to that hears what `say` tells a sink.
local function collected(say)
  local collector = relay.collector()
  local sink = relay.new(collector, context())
  say(sink)
  assert(sink:done())
  return without_ids(collector.answer)
end

describe("openai_responses", function()
  it("keeps a request's meaning on the way to a provider and back", function()
    for seed, more in ipairs { {}, { summary = true }, { many_texts = false } } do
      for _, request in ipairs(shapes.requests(able(more), seed, 100)) do
        local drops = shape.drops()
        local body = assert(responses.build(request, TARGET, drops)).body
        local back = assert(responses.read(body))
        back.fields = nil
        assert.is_true(json.valid(body))
        assert.same(as_read(request), back)
        assert.is_true(drops:list() == nil or drops:list() == "logprobs", drops:list())
      end
    end
  end)

  it("keeps an answer's, whole", function()
    for seed, more in ipairs { {}, { summary = true } } do
      for _, answer in ipairs(shapes.answers(able(more), seed, 100)) do
        local body = responses.write_answer(answer, context())
        assert.is_true(json.valid(body))
        answer.service_tier = "default"
        assert.same(without_ids(answer), collected(function(sink)
          assert(responses.read_answer(body, sink))
        end))
      end
    end
  end)

  it("keeps an answer's, streamed", function()
    for seed, more in ipairs { {}, { summary = true } } do
      for _, answer in ipairs(shapes.answers(able(more), seed, 100)) do
        local told = relay.new(responses.writer(context()), context())
        tell(answer, told)
        local bytes = told:take()
        answer.service_tier = "default"
        assert.same(without_ids(answer), collected(function(sink)
          local reader = responses.reader()
          for event, data in bytes:gmatch "event: (%S+)\ndata: ([^\n]*)\n\n" do
            assert(reader:feed(sink, event, data))
          end
        end))
      end
    end
  end)

  it("writes what passes through with the client's own bytes", function()
    local drops = shape.drops()
    local http = assert(responses.edit({}, '{"model":"m","input":[ ]}', TARGET, { { "seed", "1" } }, drops))
    assert.equal('{"model":"up","input":[ ]}', http.body)
    assert.equal("seed", drops:list())
  end)

  it("has a writer that is told one thing at a time", function()
    assert.equal("openai_responses", responses.name)
    assert.is_true(responses.writer(context()).sequential)
  end)
end)
