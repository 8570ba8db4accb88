local adapter = require "perilune.adapter"

local TARGET = { id = "mock/m", model = "m", upstream = "m-1", dialect = "openai_chat" }

local function open(body, stream, params)
  return adapter.open("openai_chat", TARGET, body, stream or false, params, "id", 1)
end

describe("adapter", function()
  it("opens, feeds, finishes and closes", function()
    local before = adapter.open_streams()
    local handle, body, path, dropped = open('{"model":"x","messages":[]}', true)
    assert.is_number(handle)
    assert.equal('{"model":"m-1","messages":[],"stream_options":{"include_usage":true}}', body)
    assert.equal("/chat/completions", path)
    assert.is_nil(dropped)
    assert.equal('data: {"choices":[]}\n\n', (adapter.feed(handle, nil, '{"choices":[]}')))
    assert.equal("data: [DONE]\n\n", (adapter.finish(handle)))
    adapter.close(handle)
    assert.equal(before, adapter.open_streams())
    assert.error_matches(function() adapter.feed(handle, nil, "{}") end, "no open stream")
  end)

  it("keeps streams apart: one that fails leaves the others alone", function()
    local a, b = open "{}", open "{}"
    local out, why = adapter.feed(a, nil, "{")
    assert.is_nil(out)
    assert.matches("not JSON", why)
    assert.is_string((adapter.feed(b, nil, '{"choices":[]}')))
    adapter.close(a)
    assert.is_string((adapter.feed(b, nil, '{"choices":[]}')))
    adapter.close(b)
    adapter.close(b)
  end)

  it("says what it can not open", function()
    local handle, why = open "[1"
    assert.is_nil(handle)
    assert.matches("not JSON", why)
    assert.error_matches(function() adapter.open("openai_chta", TARGET, "{}", false) end, 'did you mean "openai_chat"')
  end)
end)
