local responses = require "perilune.dialects.responses_read"
local shape = require "perilune.shape"

local function read(body)
  return assert(responses.read(body))
end

local function input(items)
  return read('{"model":"m","input":' .. items .. "}").messages
end

local function problem(body)
  local request, why = responses.read(body)
  assert.is_nil(request)
  assert.is_string(why.message)
  return why
end

local function text(s)
  return { kind = "text", text = s }
end

describe("responses, the input read", function()
  it("is a user's text, behind the instructions", function()
    assert.same({ { role = "user", parts = { text "Hi" } } }, input '"Hi"')
    assert.same({ { role = "system", parts = { text "Be kind." } }, { role = "user", parts = { text "Hi" } } },
      read('{"instructions":"Be kind.","input":"Hi"}').messages)
    assert.equal(1, #read('{"instructions":null,"input":"Hi"}').messages)
  end)

  it("[F9] gives a call its signature back, and no other", function()
    local function item(sealed)
      return ('{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"%s"}'):format(sealed)
    end
    local called = '{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}'
    local parts = input("[" .. item "pl1.gemini.signature..c2ln" .. "," .. called .. "]")[1].parts
    assert.same({ { kind = "call", id = "c", name = "f", arguments = "{}", signature = "c2ln" } }, parts)
    parts = input("[" .. item "gAAA" .. "," .. called .. "]")[1].parts
    assert.same({ "reasoning", nil }, { parts[1].kind, parts[2].signature })
  end)

  it("takes messages with and without a type, and developers where they stand", function()
    assert.same({
      { role = "user", parts = { text "a" } }, { role = "system", parts = { text "b" } },
      { role = "assistant", parts = { text "c", { kind = "refusal", text = "d" } } }, { role = "system", parts = { text "e" } },
    }, input [[[{"role":"user","content":"a"},{"type":"message","role":"developer","content":[{"type":"input_text","text":"b"}]},
      {"role":"assistant","content":[{"type":"output_text","text":"c","annotations":[]},{"type":"refusal","refusal":"d"}]},
      {"role":"system","content":"e"}] ]])
  end)

  it("reads pictures, files and sound", function()
    local parts = input([[[{"role":"user","content":[
      {"type":"input_image","image_url":"https://example.com/a.png","detail":"low"},
      {"type":"input_image","image_url":"data:image/png;base64,AAAA"},
      {"type":"input_image","file_id":"file-1"},
      {"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,BBBB"},
      {"type":"input_file","file_data":"CCCC"},
      {"type":"input_file","file_url":"https://example.com/a.pdf"},
      {"type":"input_file","file_id":"file-2"},
      {"type":"input_audio","input_audio":{"data":"DDDD","format":"wav"}}]}] ]])[1].parts
    assert.same({
      { kind = "image", url = "https://example.com/a.png", detail = "low" },
      { kind = "image", mime = "image/png", data = "AAAA" },
      { kind = "image", file_id = "file-1" },
      { kind = "file", name = "a.pdf", mime = "application/pdf", data = "BBBB" },
      { kind = "file", data = "CCCC" },
      { kind = "file", url = "https://example.com/a.pdf" },
      { kind = "file", file_id = "file-2" },
      { kind = "audio", data = "DDDD", format = "wav" },
    }, parts)
  end)

  it("[F22] makes one message of what the assistant did in one turn, and one of the outputs", function()
    local messages = input [[[{"role":"user","content":"a"},
      {"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"so"}],"encrypted_content":"ENC"},
      {"role":"assistant","content":[{"type":"output_text","text":"Looking."}]},
      {"type":"function_call","id":"fc_1","call_id":"c1","name":"f","arguments":"{\"a\":1}"},
      {"type":"custom_tool_call","call_id":"c2","name":"p","input":"raw {"},
      {"type":"function_call_output","call_id":"c1","output":"one"},
      {"type":"custom_tool_call_output","call_id":"c2","output":[{"type":"input_text","text":"two"}]},
      {"role":"assistant","content":"Done."}] ]]
    assert.same({
      { role = "user", parts = { text "a" } },
      {
        role = "assistant",
        parts = {
          {
            kind = "reasoning", text = "so", summary = true,
            state = { kind = "encrypted", value = "ENC", id = "rs_1", by = "openai_responses" },
          },
          text "Looking.",
          { kind = "call", id = "c1", name = "f", arguments = '{"a":1}' },
          { kind = "call", id = "c2", name = "p", arguments = "raw {", custom = true },
        },
      },
      {
        role = "tool",
        parts = {
          { kind = "result", id = "c1", name = "f", parts = { text "one" } },
          { kind = "result", id = "c2", name = "p", parts = { text "two" } },
        },
      },
      { role = "assistant", parts = { text "Done." } },
    }, messages)
  end)

  it("puts outputs right behind their calls, before what a user said between", function()
    local messages = input [[[{"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},
      {"role":"user","content":"wait"},
      {"type":"function_call","call_id":"c2","name":"g","arguments":"{}"},
      {"type":"function_call_output","call_id":"c1","output":"one"},
      {"type":"function_call_output","call_id":"c2","output":"two"},
      {"role":"user","content":"go on"}] ]]
    local order = {}
    for i, message in ipairs(messages) do
      order[i] = message.role .. " " .. (message.parts[1].id or message.parts[1].text)
    end
    assert.same({ "assistant c1", "tool c1", "user wait", "assistant c2", "tool c2", "user go on" }, order)
  end)

  it("begins a new turn behind an output", function()
    local messages = input [[[{"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},
      {"type":"function_call_output","call_id":"c1","output":""},
      {"type":"function_call","call_id":"c2","name":"f","arguments":"{}"},
      {"type":"function_call_output","call_id":"c2","output":null}] ]]
    assert.equal(4, #messages)
    assert.same({}, messages[4].parts[1].parts)
  end)

  it("always has objects for arguments", function()
    local function arguments(raw)
      return input('[{"type":"function_call","call_id":"c","name":"f","arguments":' .. raw .. "}]")[1].parts[1].arguments
    end
    assert.equal("{}", arguments '""')
    assert.equal('{"n":12345678901234567890}', arguments [["{\"n\":12345678901234567890}"]])
    assert.equal('{"a":1}', arguments '{"a":1}')
    assert.equal([[{"arguments":"{\"a\":"}]], arguments [["{\"a\":"]])
    assert.equal('{"arguments":"[1]"}', arguments '"[1]"')
  end)

  it("tells an output that is an object as it is", function()
    local messages = input [[[{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},
      {"type":"function_call_output","call_id":"c","output":{"ok": true}}] ]]
    assert.same({ text '{"ok": true}' }, messages[2].parts[1].parts)
  end)

  it("gives states of other dialects back to them", function()
    local state = { kind = "signature", value = "c2ln", by = "anthropic_messages", model = "claude-1.5" }
    local parts = input('[{"type":"reasoning","id":"rs_1","summary":[],"content":[{"type":"reasoning_text","text":"hm"}],'
      .. '"encrypted_content":"' .. shape.seal(state, "openai_responses") .. '"}]')[1].parts
    state.id = "rs_1"
    assert.same({ { kind = "reasoning", text = "hm", state = state } }, parts)
    assert.same({ { kind = "reasoning", state = { kind = "encrypted", value = "E", by = "openai_responses" } } },
      input('[{"type":"reasoning","summary":[],"encrypted_content":"E"}]')[1].parts)
    assert.same({ { kind = "reasoning", text = "raw" }, { kind = "reasoning", text = "a\n\nb", summary = true } },
      input('[{"type":"reasoning","content":[{"type":"reasoning_text","text":"raw"}],"summary":[{"type":"summary_text","text":"a"},'
        .. '{"type":"summary_text","text":"b"}]}]')[1].parts)
    assert.same({}, input '[{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":null}]')
  end)

  it("keeps what only this dialect knows", function()
    local call = '{"type":"web_search_call","id":"ws_1","status":"completed"}'
    local compaction = '{"type":"compaction","encrypted_content":"x"}'
    assert.same({
      {
        role = "assistant",
        parts = {
          { kind = "opaque", dialect = "openai_responses", raw = compaction },
          { kind = "opaque", dialect = "openai_responses", raw = call },
          text "Found.",
        },
      },
    }, input("[" .. compaction .. "," .. call .. ',{"role":"assistant","content":"Found."}]'))
    assert.equal('{"type":"message","role":"user","content":[{"type":"hologram"}]}',
      input('[{"role":"user","content":[{"type":"hologram"}]}]')[1].parts[1].raw)
  end)

  it("refuses what stands for something it has not", function()
    for param, body in pairs {
      ["input[1]"] = '{"input":[{"role":"user","content":"a"},{"type":"item_reference","id":"msg_1"}]}',
      previous_response_id = '{"input":"a","previous_response_id":"resp_1"}',
      conversation = '{"input":"a","conversation":{"id":"conv_1"}}',
      prompt = '{"input":"a","prompt":{"id":"pmpt_1"}}',
      background = '{"input":"a","background":true}',
      ["input[0].call_id"] = '{"input":[{"type":"function_call_output","call_id":"c","output":"x"}]}',
    } do
      assert.equal(param, problem(body).param)
    end
    assert.matches("whole conversation", problem('{"input":"a","previous_response_id":"resp_1"}').message)
    read '{"input":"a","previous_response_id":null,"conversation":null,"prompt":null,"background":false}'
  end)

  it("names what is malformed", function()
    for param, body in pairs {
      input = '{"model":"m"}', ["input[0]"] = '{"input":["x"]}', ["input[0].type"] = '{"input":[{}]}',
      ["input[0].role"] = '{"input":[{"role":"robot","content":"x"}]}',
      ["input[0].content"] = '{"input":[{"role":"user","content":7}]}',
      ["input[0].content[1]"] = '{"input":[{"role":"user","content":[{"type":"input_text","text":"x"},{"type":"input_image"}]}]}',
      ["input[0].content[0].text"] = '{"input":[{"role":"user","content":[{"type":"input_text"}]}]}',
      ["input[0].content[0]"] = '{"input":[{"role":"user","content":[{"type":"input_file"}]}]}',
      ["input[0].call_id"] = '{"input":[{"type":"function_call","name":"f","arguments":""}]}',
      ["input[0].name"] = '{"input":[{"type":"function_call","call_id":"c","arguments":""}]}',
      ["input[0].input"] = '{"input":[{"type":"custom_tool_call","call_id":"c","name":"f"}]}',
      instructions = '{"input":"x","instructions":7}', stream = '{"input":"x","stream":"yes"}',
      max_output_tokens = '{"input":"x","max_output_tokens":1.5}', temperature = '{"input":"x","temperature":"hot"}',
      tools = '{"input":"x","tools":{}}', ["tools[0].name"] = '{"input":"x","tools":[{"type":"function"}]}',
      ["tools[0].parameters"] = '{"input":"x","tools":[{"type":"function","name":"f","parameters":[]}]}',
      tool_choice = '{"input":"x","tool_choice":"maybe"}', ["text.format.type"] = '{"input":"x","text":{"format":{"type":"xml"}}}',
      ["reasoning.effort"] = '{"input":"x","reasoning":{"effort":"lots"}}', metadata = '{"input":"x","metadata":[]}',
    } do
      assert.equal(param, problem(body).param)
    end
    assert.matches("not a JSON object", problem("[]").message)
    assert.matches("not a JSON object", problem('{"input":').message)
  end)
end)

describe("responses, the rest of a request read", function()
  it("has its fields", function()
    local request = read [[{"model":"m","input":"x","stream":true,"max_output_tokens":100,"temperature":0.70,"top_p":1,"store":false,
      "parallel_tool_calls":false,"reasoning":{"effort":"high","summary":"auto"},"text":{"verbosity":"low"},"metadata":{"b":"1","a":"2"},
      "user":"u","safety_identifier":"s","prompt_cache_key":"k","service_tier":"flex","top_logprobs":3}]]
    local got = {}
    for name, value in pairs(request) do
      got[name] = value
    end
    got.messages, got.fields = nil, nil
    assert.same({
      stream = true, wants_usage = true, max_tokens = 100, temperature = "0.70", top_p = "1", store = false, parallel = false,
      reasoning = { effort = "high", summary = "auto" }, verbosity = "low", metadata = '{"b":"1","a":"2"}', user = "s", cache_key = "k",
      service_tier = "flex", logprobs = true, top_logprobs = "3", extra = {}, dialect = "openai_responses",
    }, got)
    assert.equal('"m"', request.fields.model)
  end)

  it("counts null as not said", function()
    local request = read [[{"input":"x","stream":null,"max_output_tokens":null,"temperature":null,"tools":null,"tool_choice":null,
      "reasoning":null,"text":null,"include":null,"user":null,"metadata":null,"top_logprobs":null,"truncation":null}]]
    request.messages, request.fields = nil, nil
    assert.same({ stream = false, wants_usage = true, extra = {}, dialect = "openai_responses" }, request)
  end)

  it("[F21] has tools of three kinds, custom ones with their grammar", function()
    local hosted = '{"type":"web_search","search_context_size":"low"}'
    local grammar = '{"type":"grammar","syntax":"lark","definition":"start: /.+/"}'
    assert.same({
      { name = "f", description = "does f", schema = '{"type":"object","properties":{}}', strict = true },
      { name = "g" },
      { name = "apply_patch", custom = true, grammar = grammar },
      { name = "web_search", hosted = { dialect = "openai_responses", type = "web_search", raw = hosted } },
    }, read([[{"input":"x","tools":[
      {"type":"function","name":"f","description":"does f","parameters":{"type":"object","properties":{}},"strict":true},
      {"type":"function","name":"g","parameters":null,"strict":null},
      {"type":"custom","name":"apply_patch","format":]] .. grammar .. "}," .. hosted .. "]}").tools)
    assert.is_nil(read('{"input":"x","tools":[]}').tools)
  end)

  it("has a choice of tools in all its forms", function()
    local function choice(raw)
      return read('{"input":"x","tool_choice":' .. raw .. "}").tool_choice
    end
    assert.same({ mode = "auto" }, choice '"auto"')
    assert.same({ mode = "none" }, choice '"none"')
    assert.same({ mode = "required" }, choice '"required"')
    assert.same({ mode = "named", name = "f" }, choice '{"type":"function","name":"f"}')
    assert.same({ mode = "named", name = "p", custom = true }, choice '{"type":"custom","name":"p"}')
    assert.same({ mode = "required", names = { "f", "web_search" } },
      choice '{"type":"allowed_tools","mode":"required","tools":[{"type":"function","name":"f"},{"type":"web_search"}]}')
    assert.same({ mode = "auto", names = { "f" } },
      choice '{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"f"}]}')
    local hosted = read '{"input":"x","tool_choice":{"type":"web_search"}}'
    assert.is_nil(hosted.tool_choice)
    assert.same({ { "tool_choice", '{"type":"web_search"}' } }, hosted.extra)
  end)

  it("has a format", function()
    local function format(raw)
      return read('{"input":"x","text":{"format":' .. raw .. "}}").format
    end
    assert.same({ kind = "text" }, format '{"type":"text"}')
    assert.same({ kind = "json" }, format '{"type":"json_object"}')
    assert.same({ kind = "schema", name = "n", schema = '{"type":"object"}', strict = true, description = "d" },
      format '{"type":"json_schema","name":"n","schema":{"type":"object"},"strict":true,"description":"d"}')
  end)

  it("asks for probabilities by include, too", function()
    assert.is_true(read('{"input":"x","include":["reasoning.encrypted_content","message.output_text.logprobs"]}').logprobs)
    assert.is_nil(read('{"input":"x","include":["reasoning.encrypted_content"],"top_logprobs":0}').logprobs)
  end)

  it("keeps what it does not know, in order, and not what is the router's", function()
    assert.same({ { "truncation", '"auto"' }, { "prompt_cache_options", '{"mode":"explicit"}' }, { "new", "[1]" } },
      read('{"truncation":"auto","models":["a"],"prompt_cache_options":{"mode":"explicit"},"input":"x","new":[1]}').extra)
  end)
end)
