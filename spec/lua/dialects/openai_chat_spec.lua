-- The dialect as a whole: what is written is read as what it was.
local chat = require "perilune.dialects.openai_chat"
local relay = require "perilune.relay"
local shape = require "perilune.shape"
local shapes = require "support.shapes"
local sinks = require "support.sink"

local ABLE = {
  fields = {
    "max_tokens", "temperature", "top_p", "frequency_penalty", "presence_penalty", "seed", "n", "stop", "logprobs", "top_logprobs",
    "logit_bias", "verbosity", "user", "cache_key", "service_tier", "store", "metadata", "effort", "format",
  },
  parts = { "image", "image_url", "audio", "file" },
  custom = true, strict = true, allowed = true, names = true, many_texts = true, reasoning = true, signatures = true,
}

local TARGET = {
  id = "openai/m", model = "m", upstream = "m-1", provider = "openai", native = true, dialect = "openai_chat",
  abilities = { tools = true, images = true, audio = true, files = true, json_schema = true, reasoning = true },
  quirks = { reasoning_back = "always", signatures = true },
}

-- What is not of the request itself.
local function bare(request)
  request.fields, request.extra, request.dialect = nil, nil, nil
  return request
end

local function context(request)
  return { id = "01ABC", created = 1790000001, model = "m", input_tokens = 5, request = request or { wants_usage = true, fields = {} } }
end

describe("openai_chat, requests", function()
  it("reads what it wrote as what it was", function()
    for i, request in ipairs(shapes.requests(ABLE, 7, 400)) do
      local drops = shape.drops()
      local http = assert(chat.build(request, TARGET, drops))
      assert.equal("/chat/completions", http.path)
      assert.is_nil(drops:list(), http.body)
      assert.same(bare(request), bare(assert(chat.read(http.body))), "request " .. i .. ": " .. http.body)
    end
  end)

  it("[F20] keeps every turn of a history", function()
    local body = '{"model":"m","messages":[{"role":"user","content":"1"},{"role":"assistant","content":"2"},{"role":"user","content":"3"},'
      .. '{"role":"assistant","content":"4"},{"role":"user","content":"5"}]}'
    local http = chat.build(assert(chat.read(body)), TARGET, shape.drops())
    assert.equal('{"model":"m-1"' .. body:match ',.*$', http.body)
  end)
end)

local ANSWERS = {
  custom = true, refusal = true, reasoning = true, signatures = true, choices = true,
  states = function(r)
    return ({
      { kind = "signature", value = "c2ln" .. r(9), by = "anthropic_messages", model = "claude" },
      { kind = "encrypted", value = "ZW5j" .. r(9), by = "openai_responses", id = "rs_1" },
      { kind = "redacted", value = "cmVk" .. r(9), by = "anthropic_messages" },
    })[r(3)]
  end,
}

-- A written answer, read again through a relay, as the relay's collector has it.
local function reread(read)
  local collector = relay.collector()
  local r = relay.new(collector, context { fields = {} })
  read(r)
  assert(r:done())
  return collector.answer
end

describe("openai_chat, answers", function()
  it("reads what it wrote as what it was", function()
    for i, answer in ipairs(shapes.answers(ANSWERS, 11, 200)) do
      local body = chat.write_answer(answer, context())
      local again = reread(function(sink)
        assert(chat.read_answer(body, sink))
      end)
      assert.same(answer, again, "answer " .. i .. ": " .. body)
    end
  end)

  it("streams what a whole answer holds", function()
    for i, answer in ipairs(shapes.answers(ANSWERS, 13, 200)) do
      local ctx = context { wants_usage = true, fields = {} }
      local r = relay.new(chat.writer(ctx), ctx)
      assert(chat.read_answer(chat.write_answer(answer, ctx), r))
      assert(r:done())
      local stream = r:take()
      local again = reread(function(sink)
        local reader = chat.reader()
        for data in stream:gmatch "data: ([^\n]*)\n\n" do
          assert(reader:feed(sink, nil, data))
        end
      end)
      assert.same(answer, again, "answer " .. i .. ": " .. stream)
    end
  end)
end)

-- What services send, each in its own way.
local function fixture(name)
  local file = assert(io.open("spec/fixtures/openai_chat/" .. name, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

local function each_event(text, f)
  for data in text:gmatch "data: ([^\n]*)\n\n" do
    f(data)
  end
end

local function read_stream(text)
  return reread(function(sink)
    local reader = chat.reader()
    each_event(text, function(data)
      assert(reader:feed(sink, nil, data))
    end)
  end)
end

-- The same, put right for a client of the same dialect, but for the end mark.
local function repaired(text)
  local ctx, out = context(), {}
  local r, sink = chat.repair(ctx), relay.new(relay.silent(), ctx)
  each_event(text, function(data)
    out[#out + 1] = assert(r:feed(sink, nil, data))
  end)
  assert(sink:done())
  return table.concat(out)
end

describe("openai_chat, a whole answer put right", function()
  it("is an object, or none of ours", function()
    for _, body in ipairs { "[]", "[{}]", "1", "null", '"x"', '{"a":NaN}', '{"a":"\n"}' } do
      local ctx = context()
      local out, why = chat.repair(ctx):answer(relay.new(relay.silent(), ctx), body)
      assert.is_nil(out)
      assert.equal("The answer is not JSON of Chat Completions.", why)
    end
  end)
end)

local TEXT = { { kind = "text", text = "Hello there" } }
local CALLS = {
  { kind = "call", name = "look", arguments = '{"at":1}' }, { kind = "call", name = "find", arguments = '{"q":"x"}' },
}

describe("openai_chat, of services", function()
  for name, expected in pairs {
    ["good_stream.sse"] = TEXT, ["empty_first_chunk_stream.sse"] = TEXT, ["usage_with_content_stream.sse"] = TEXT,
    ["usage_elsewhere_stream.sse"] = TEXT, ["tools_parallel_stream.sse"] = CALLS, ["tools_at_one_index_stream.sse"] = CALLS,
    ["tools_no_ids_stream.sse"] = CALLS, ["tools_empty_ids_stream.sse"] = CALLS,
  } do
    it("understands " .. name .. ", repaired and as it came", function()
      local text = fixture(name)
      for _, stream in ipairs { text, repaired(text) } do
        local answer = read_stream(stream)
        local parts = answer.choices[1].parts
        for _, part in ipairs(parts) do
          assert.is_true(part.kind == "text" or #part.id > 0)
          part.id = nil
        end
        assert.same(expected, parts)
        assert.equal(expected == CALLS and "tool_calls" or "stop", answer.choices[1].finish)
        assert.equal("m-1", answer.model)
        assert.same({ 9, 4 }, { answer.usage.input_tokens, answer.usage.output_tokens })
      end
    end)
  end

  for _, name in ipairs { "good_stream.sse", "tools_parallel_stream.sse" } do
    it("leaves " .. name .. " as it came", function()
      assert.equal((fixture(name):gsub("data: %[DONE%]\n\n", "")), repaired(fixture(name)))
    end)
  end

  it("understands a whole answer like a stream of it", function()
    local whole = reread(function(sink)
      assert(chat.read_answer(fixture "good.json", sink))
    end)
    assert.same(read_stream(fixture "good_stream.sse"), whole)
  end)

  it("hears of failures in answers and in streams", function()
    local sink = sinks.new()
    assert.is_true((chat.read_answer(fixture "rate_limited.json", sink)))
    assert.same({ { "fail", { message = "Rate limit reached", code = "rate_limit_exceeded", type = "requests" } } }, sink.calls)
    local reader = chat.reader()
    sink = sinks.new()
    each_event(fixture "failed_stream.sse", function(data)
      assert(reader:feed(sink, nil, data))
    end)
    assert.same({ "fail", { message = "Provider disconnected", code = "502" } }, sink.calls[#sink.calls])
    assert.same({}, sink:only "finish")
    assert.is_false((chat.read_answer(fixture "html_error.html", sink)))
  end)
end)
