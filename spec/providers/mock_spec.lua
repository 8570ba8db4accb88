local kit = require "support.config_kit"

describe("providers/mock", function()
  it("has models that policies can choose between", function()
    local r = kit.read(nil, {})
    local last
    local embeds = table.remove(r.targets)
    assert.same({ "mock/mock-embedding", { "openai_embeddings" } }, { embeds.id, embeds.speaks })
    for _, t in ipairs(r.targets) do
      assert(not last or (t.price.input > last.price.input and t.quality > last.quality and t.context > last.context), t.id)
      last = t
    end
    assert.equal(3, #r.targets)
  end)

  it("can be configured like any other", function()
    local r = kit.read 'providers = { mock = { base_url = "http://127.0.0.1:9/v1" }, second = { like = "mock", adapt = true } }'
    assert.same({ "http://127.0.0.1:9/v1", "http://127.0.0.1:4199/v1" }, { r.providers[1].base_url, r.providers[2].base_url })
    assert.same({ 0, "none", true }, { #r.providers[2].keys, r.providers[2].auth, r.providers[2].adapt })
    assert.is_false(r.mock_only)
  end)
end)
