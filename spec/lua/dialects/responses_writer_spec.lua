local json = require "perilune.json"
local responses = require "perilune.dialects.responses_writer"

local ID = "01jdabcdefghijklmnopqrstuv"

local function context(body)
  local fields = body and assert(json.fields(body))
  return {
    id = ID, created = 1790000000, model = "m", input_tokens = 5,
    request = { dialect = fields and "openai_responses" or "openai_chat", fields = fields or {}, messages = {}, extra = {} },
  }
end

-- Runs `script` against a writer that began; its events: { name, data, decoded }.
local function written(script, body)
  local writer, out = responses.writer(context(body)), {}
  local function note(bytes)
    local rest = bytes:gsub("event: ([^\n]*)\ndata: ([^\n]*)\n\n", function(name, data)
      assert(json.valid(data))
      out[#out + 1] = { name, data, json.read(data) }
      return ""
    end)
    assert.equal("", rest)
  end
  note(writer:begin { model = "up-1", created = 1790000001 })
  script(function(method, ...)
    note(writer[method](writer, ...))
  end)
  return out
end

local function names(events)
  local out = {}
  for i, event in ipairs(events) do
    out[i] = event[1]:gsub("^response%.", "")
  end
  return out
end

local function member(raw, ...)
  for _, key in ipairs { ... } do
    raw = type(key) == "number" and json.items(raw)[key] or json.fields(raw)[key]
  end
  return raw
end

local STOP = { { choice = 0, reason = "stop" } }
local MESSAGE = "msg_" .. ID .. "_0"

describe("responses, a stream written", function()
  it("opens, tells and closes a text", function()
    local events = written(function(say)
      say("text", 0, "Grü")
      say("text", 0, 'ße"')
      say("finish", STOP, { input_tokens = 9, output_tokens = 5, cached_tokens = 4, reasoning_tokens = 1, total_tokens = 14 })
    end)
    assert.same({
      "created", "in_progress", "output_item.added", "content_part.added", "output_text.delta", "output_text.delta", "output_text.done",
      "content_part.done", "output_item.done", "completed",
    }, names(events))
    for i, event in ipairs(events) do
      assert.equal(event[1], event[3].type)
      assert.equal(i - 1, event[3].sequence_number)
    end
    local where = '"item_id":"' .. MESSAGE .. '","output_index":0,"content_index":0'
    local part = '{"type":"output_text","text":"Grüße\\"","annotations":[],"logprobs":[]}'
    local item = '{"id":"' .. MESSAGE .. '","type":"message","status":"completed","role":"assistant","content":[' .. part .. "]}"
    assert.equal('{"type":"response.output_item.added","sequence_number":2,"output_index":0,"item":{"id":"' .. MESSAGE
      .. '","type":"message","status":"in_progress","role":"assistant","content":[]}}', events[3][2])
    assert.equal('{"type":"response.content_part.added","sequence_number":3,' .. where
      .. ',"part":{"type":"output_text","text":"","annotations":[],"logprobs":[]}}', events[4][2])
    assert.equal('{"type":"response.output_text.delta","sequence_number":4,' .. where .. ',"delta":"Grü","logprobs":[]}', events[5][2])
    assert.equal('{"type":"response.output_text.done","sequence_number":6,' .. where .. ',"text":"Grüße\\"","logprobs":[]}', events[7][2])
    assert.equal('{"type":"response.content_part.done","sequence_number":7,' .. where .. ',"part":' .. part .. "}", events[8][2])
    assert.equal('{"type":"response.output_item.done","sequence_number":8,"output_index":0,"item":' .. item .. "}", events[9][2])
    assert.equal("[" .. item .. "]", member(events[10][2], "response", "output"))
    assert.equal('{"input_tokens":9,"input_tokens_details":{"cached_tokens":4,"cache_write_tokens":0},"output_tokens":5,'
      .. '"output_tokens_details":{"reasoning_tokens":1},"total_tokens":14}', member(events[10][2], "response", "usage"))
  end)

  it("[G6] opens thoughts before it tells them, summaries and raw", function()
    local events = written(function(say)
      say("reasoning", 0, "Sum", true)
      say("reasoning", 0, "med", true)
      say("reasoning", 0, "Raw")
      say("state", 0, { kind = "signature", value = "S", by = "anthropic_messages", model = "claude" })
      say("text", 0, "Hi")
      say("finish", STOP, {})
    end)
    assert.same({
      "created", "in_progress", "output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta",
      "reasoning_summary_text.delta", "reasoning_summary_text.done", "reasoning_summary_part.done", "content_part.added",
      "reasoning_text.delta", "reasoning_text.done", "content_part.done", "output_item.done", "output_item.added", "content_part.added",
      "output_text.delta", "output_text.done", "content_part.done", "output_item.done", "completed",
    }, names(events))
    assert.equal('{"type":"response.reasoning_summary_text.delta","sequence_number":4,"item_id":"rs_' .. ID
      .. '_0","output_index":0,"summary_index":0,"delta":"Sum"}', events[5][2])
    assert.equal('{"id":"rs_' .. ID .. '_0","type":"reasoning","summary":[{"type":"summary_text","text":"Summed"}],'
      .. '"content":[{"type":"reasoning_text","text":"Raw"}],"encrypted_content":"pl1.anthropic_messages.signature.claude.S"}',
      member(events[13][2], "item"))
    assert.equal("null", member(events[20][2], "response", "usage"))
  end)

  it("[F9] puts a call's signature before it, apart from the thoughts", function()
    local events = written(function(say)
      say("reasoning", 0, "hm", true)
      say("call", 0, 0, "c1", "f", { signature = "c2ln" })
      say("call_done", 0, 0, "{}")
      say("finish", STOP, {})
    end)
    local output = member(events[#events][2], "response", "output")
    assert.truthy(output:find('"summary":[{"type":"summary_text","text":"hm"}]},{"id":"rs_' .. ID ..
      '_1","type":"reasoning","summary":[],"encrypted_content":"pl1.gemini.signature..c2ln"},{"id":"fc_', 1, true), output)
  end)

  it("gives each state an item", function()
    local events = written(function(say)
      say("state", 0, { kind = "encrypted", value = "E", id = "rs_up", by = "openai_responses" })
      say("state", 0, { kind = "redacted", value = "R", id = "x", by = "anthropic_messages" })
      say("reasoning", 0, "a")
      say("finish", STOP, {})
    end)
    assert.equal('[{"id":"rs_up","type":"reasoning","summary":[],"encrypted_content":"E"},{"id":"rs_' .. ID
      .. '_1","type":"reasoning","summary":[],"encrypted_content":"pl1.anthropic_messages.redacted..R"},{"id":"rs_' .. ID
      .. '_2","type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"a"}]}]',
      member(events[#events][2], "response", "output"))
  end)

  it("[G7] closes every call with all of it", function()
    local events = written(function(say)
      say("text", 0, "Let me see.")
      say("call", 0, 0, "call_a", "f", {})
      say("arguments", 0, 0, '{"a":')
      say("arguments", 0, 0, "1}")
      say("call_done", 0, 0, '{"a":1}')
      say("call", 0, 1, "call_b", "g", {})
      say("call_done", 0, 1, "{}")
      say("finish", { { choice = 0, reason = "tool_calls" } }, {})
    end)
    assert.same({
      "output_item.added", "function_call_arguments.delta", "function_call_arguments.delta", "function_call_arguments.done",
      "output_item.done", "output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done",
      "completed",
    }, { unpack(names(events), 9) })
    local id = "fc_" .. ID .. "_1"
    assert.equal('{"type":"response.output_item.added","sequence_number":8,"output_index":1,"item":{"id":"' .. id
      .. '","type":"function_call","status":"in_progress","arguments":"","call_id":"call_a","name":"f"}}', events[9][2])
    assert.equal('{"type":"response.function_call_arguments.delta","sequence_number":9,"item_id":"' .. id
      .. '","output_index":1,"delta":"{\\"a\\":"}', events[10][2])
    assert.equal('{"type":"response.function_call_arguments.done","sequence_number":11,"item_id":"' .. id
      .. '","output_index":1,"arguments":"{\\"a\\":1}","name":"f"}', events[12][2])
    assert.equal('{"id":"' .. id .. '","type":"function_call","status":"completed","arguments":"{\\"a\\":1}",'
      .. '"call_id":"call_a","name":"f"}',
      member(events[13][2], "item"))
    assert.equal("{}", events[15][3].delta)
  end)

  it("[G8] fills the items and the last event alike", function()
    local events = written(function(say)
      say("reasoning", 0, "hm")
      say("text", 0, "a")
      say("refusal", 0, "b")
      say("call", 0, 0, "c", "f", {})
      say("call_done", 0, 0, "{}")
      say("opaque", 0, "openai_responses", '{"id":"ws_1",\n"type":"web_search_call"}')
      say("finish", STOP, {})
    end)
    local done, opened = {}, {}
    for _, event in ipairs(events) do
      if event[1] == "response.output_item.done" then
        assert.equal(#done, event[3].output_index)
        done[#done + 1] = member(event[2], "item")
      elseif event[1] == "response.output_item.added" then
        assert.equal(#opened, event[3].output_index)
        opened[#opened + 1] = event[3].item.id
      end
    end
    assert.equal(4, #done)
    assert.same(done, json.items(member(events[#events][2], "response", "output")))
    assert.same({ "rs_" .. ID .. "_0", "msg_" .. ID .. "_1", "fc_" .. ID .. "_2", "ws_1" }, opened)
    assert.same({ "output_text", "refusal" }, { json.read(done[2]).content[1].type, json.read(done[2]).content[2].type })
  end)

  it("[F21] gives a custom tool its call back", function()
    local events = written(function(say)
      say("call", 0, 0, "call_p", "apply_patch", { custom = true })
      say("arguments", 0, 0, "*** Begin\n")
      say("call_done", 0, 0, "*** Begin\n")
      say("finish", STOP, {})
    end)
    assert.same({ "output_item.added", "custom_tool_call_input.delta", "custom_tool_call_input.done", "output_item.done", "completed" },
      { unpack(names(events), 3) })
    assert.equal('{"type":"response.custom_tool_call_input.done","sequence_number":4,"item_id":"ctc_' .. ID
      .. '_0","output_index":0,"input":"*** Begin\\n"}', events[5][2])
    assert.equal('{"id":"ctc_' .. ID .. '_0","type":"custom_tool_call","status":"completed","call_id":"call_p","name":"apply_patch",'
      .. '"input":"*** Begin\\n"}', member(events[6][2], "item"))
  end)

  it("[B8] is incomplete with what it has", function()
    for reason, why in pairs { length = "max_output_tokens", content_filter = "content_filter" } do
      local events = written(function(say)
        say("text", 0, "Hal")
        say("finish", { { choice = 0, reason = reason } }, { input_tokens = 3, output_tokens = 4 })
      end)
      local last = events[#events]
      assert.equal("response.incomplete", last[1])
      local response = last[3].response
      assert.equal("incomplete", response.status)
      assert.equal(why, response.incomplete_details.reason)
      assert.equal("Hal", response.output[1].content[1].text)
      assert.equal("incomplete", response.output[1].status)
      assert.equal(7, response.usage.total_tokens)
    end
    local events = written(function(say)
      say("finish", { { choice = 0, reason = "length" } }, {})
    end)
    assert.same({ "created", "in_progress", "incomplete" }, names(events))
  end)

  it("carries citations and probabilities", function()
    local events = written(function(say)
      say("text", 0, "a", { logprobs = '{"content":[{"token":"a",\n"logprob":-0.10}],"refusal":null}' })
      say("text", 0, "", { annotations = '[{"type":"url_citation","url_citation":{"url":"https://example.com"}},{"type":"other"}]' })
      say("text", 0, "b", { logprobs = "null" })
      say("finish", STOP, {})
    end)
    local cited = '{"type":"url_citation","start_index":0,"end_index":0,"url":"https://example.com","title":""}'
    assert.equal('[{"token":"a", "logprob":-0.10}]', member(events[5][2], "logprobs"))
    assert.equal("response.output_text.annotation.added", events[6][1])
    assert.equal(cited, member(events[6][2], "annotation"))
    assert.equal("[]", member(events[7][2], "logprobs"))
    assert.equal('{"type":"output_text","text":"ab","annotations":[' .. cited .. '],"logprobs":[{"token":"a", "logprob":-0.10}]}',
      member(events[9][2], "part"))
  end)

  it("leaves out what has no place here", function()
    local events = written(function(say)
      for _, case in ipairs {
        { "audio", 0, "{}" }, { "opaque", 0, "anthropic_messages", "{}" }, { "text", 1, "x" }, { "reasoning", 1, "x" },
        { "refusal", 1, "x" }, { "state", 1, { value = "x" } }, { "call", 1, 0, "c", "f", {} }, { "arguments", 1, 0, "{}" },
        { "call_done", 1, 0, "{}" }, { "opaque", 1, "openai_responses", "{}" },
      } do
        say(unpack(case))
      end
      say("text", 0, "a")
      say("finish", { { choice = 1, reason = "length" }, { choice = 0, reason = "stop" } }, {})
    end)
    assert.equal("a", events[#events][3].response.output[1].content[1].text)
    assert.equal("completed", events[#events][3].response.status)
    assert.equal(10 - 1, #events)
  end)
end)

-- What the official SDK's type of a response requires, and more that the API always sends.
local ALWAYS = {
  "id", "object", "created_at", "status", "background", "error", "incomplete_details", "instructions", "max_output_tokens", "metadata",
  "model", "output", "parallel_tool_calls", "previous_response_id", "reasoning", "service_tier", "store", "temperature", "text",
  "tool_choice", "tools", "top_logprobs", "top_p", "truncation", "usage", "user",
}

describe("responses, the response object", function()
  local function first(body)
    return member(written(function() end, body)[1][2], "response")
  end

  it("has all its members from the beginning", function()
    local fields = json.fields(first())
    for _, name in ipairs(ALWAYS) do
      assert.is_string(fields[name], name)
    end
    assert.equal('"resp_' .. ID .. '"', fields.id)
    assert.equal('"in_progress"', fields.status)
    assert.equal("[]", fields.output)
    assert.equal('"up-1"', fields.model)
    assert.equal("1790000001", fields.created_at)
  end)

  it("says again what the client said, on one line", function()
    local fields = json.fields(first [[{"instructions":"Be kind.","tools":[{"type":"function",
      "name":"f"}],"temperature":0.70,"metadata":{"b":"1","a":"2"},"tool_choice":"required","store":null,"model":"x","new":1}]])
    assert.equal('"Be kind."', fields.instructions)
    assert.equal('[{"type":"function",       "name":"f"}]', fields.tools)
    assert.equal("0.70", fields.temperature)
    assert.equal('{"b":"1","a":"2"}', fields.metadata)
    assert.equal('"required"', fields.tool_choice)
    assert.equal("false", fields.store)
    assert.equal('"up-1"', fields.model)
    assert.is_nil(fields.new)
  end)

  it("says nothing of what was said in another dialect", function()
    local writer = responses.writer {
      id = ID, created = 1, model = "m", request = { dialect = "openai_chat", fields = { temperature = "0.5" } },
    }
    assert.is_nil(writer:begin({ model = "m" }):find("0.5", 1, true))
  end)
end)

describe("responses, a whole answer written", function()
  local answer = {
    model = "up-1", created = 1790000001, service_tier = "flex", usage = { input_tokens = 1, output_tokens = 2 },
    choices = {
      {
        index = 0, finish = "tool_calls", logprobs = '{"content":[{"token":"a"}]}',
        parts = {
          {
            kind = "reasoning", text = "hm", summary = true,
            state = { kind = "encrypted", value = "E", id = "rs_1", by = "openai_responses" },
          },
          { kind = "text", text = "a" }, { kind = "text", text = "b" }, { kind = "call", id = "c", name = "f", arguments = "{}" },
          { kind = "call", id = "d", name = "p", arguments = "raw", custom = true }, { kind = "audio" },
          { kind = "opaque", dialect = "openai_responses", raw = '{"type":"web_search_call"}' },
        },
      },
      { index = 1, finish = "stop", parts = { { kind = "text", text = "other" } } },
    },
  }

  it("[G8] holds all items", function()
    local body = responses.write_answer(answer, context())
    assert.is_true(json.valid(body))
    local fields = json.fields(body)
    assert.equal('"completed"', fields.status)
    assert.equal('"flex"', fields.service_tier)
    local types = {}
    for i, raw in ipairs(json.items(fields.output)) do
      types[i] = json.read(raw).type
    end
    assert.same({ "reasoning", "message", "function_call", "custom_tool_call", "web_search_call" }, types)
    assert.equal('[{"type":"output_text","text":"ab","annotations":[],"logprobs":[{"token":"a"}]}]', member(fields.output, 2, "content"))
  end)

  it("[B8] is incomplete with its content and usage", function()
    local response = json.read(responses.write_answer({
      model = "m", usage = { input_tokens = 1, output_tokens = 2 },
      choices = { { index = 0, finish = "length", parts = { { kind = "refusal", text = "No" } } } },
    }, context()))
    assert.equal("incomplete", response.status)
    assert.equal("max_output_tokens", response.incomplete_details.reason)
    assert.equal("No", response.output[1].content[1].refusal)
    assert.equal(3, response.usage.total_tokens)
  end)
end)
