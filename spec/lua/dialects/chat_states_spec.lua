local json = require "perilune.json"
local shape = require "perilune.shape"
local states = require "perilune.dialects.chat_states"

describe("chat_states", function()
  for _, state in ipairs {
    { kind = "signature", value = "s", by = "anthropic_messages", model = "claude-x" },
    { kind = "redacted", value = "r", by = "anthropic_messages" },
    { kind = "encrypted", value = "e", by = "openai_responses", id = "rs_1", model = "gpt" },
    { kind = "signature", value = "s", by = "gemini" },
    { kind = "redacted", value = "b", by = "bedrock_converse" },
  } do
    it("bring a " .. state.kind .. " of " .. state.by .. " back as it was", function()
      local raw = states.write(state, 2)
      local entry = assert(json.read(raw))
      assert.equal(2, entry.index)
      assert.same(state, states.read(entry, raw))
    end)
  end

  it("keep entries of a service's own as they came, but for their place", function()
    local raw = '{"type":"reasoning.text","signature":"x","format":"anthropic-claude-v1","index":0,"z":[],"id":null}'
    local state = states.read(json.read(raw), raw)
    assert.same({ kind = "signature", value = raw, by = "openai_chat" }, state)
    assert.equal('{"type":"reasoning.text","signature":"x","format":"anthropic-claude-v1","index":3,"z":[],"id":null,"text":"why"}',
      states.write(state, 3, "why"))
    local sealed = shape.unseal(shape.seal(state, "anthropic_messages"), "anthropic_messages", "signature")
    assert.same(state, sealed)
    local encrypted = '{"type":"reasoning.encrypted","data":"d"}'
    assert.equal("encrypted", states.read(json.read(encrypted), function()
      return encrypted
    end).kind)
  end)

  it("tell the text of a state that needs its own", function()
    local entry = json.read(states.write({ kind = "signature", value = "s", by = "gemini" }, 0, "because"))
    assert.same({ "because" }, { states.text(entry) })
    entry = json.read(states.write({ kind = "encrypted", value = "s", by = "openai_responses" }, 0, "in short"))
    assert.same({ "in short", true }, { states.text(entry) })
  end)

  it("see none where there is none", function()
    for _, raw in ipairs { "{}", '{"type":"reasoning.text","text":"x","signature":null}', '{"type":"reasoning.encrypted","data":""}' } do
      assert.is_nil(states.read(json.read(raw), raw))
    end
  end)
end)
