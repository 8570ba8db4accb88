local kit = require "support.config_kit"

describe("providers/openai_compatible", function()
  it("is what an unknown name is like", function()
    local r = kit.read 'providers = { mine = { base_url = "http://127.0.0.1:8000/v1", models = { "a" } } }'
    local p = r.providers[1]
    assert.same({ "openai_chat", "none", 5000 }, { p.dialect, p.auth, p.connect_ms })
    assert.equal("mine/a", r.targets[1].id)
  end)

  it("sends a key where one is set", function()
    local r = kit.read 'providers = { mine = { base_url = "http://127.0.0.1:8000/v1", api_key = "k", models = { "a" } } }'
    assert.same({ "bearer", { { secret = "k", weight = 1 } } }, { r.providers[1].auth, r.providers[1].keys })
  end)

  it("is not switched on by the environment", function()
    local r = kit.read(nil, { OPENAI_API_KEY = "k" })
    assert.equal(1, #r.providers)
  end)

  it("knows what other hosts say", function()
    local failure = require "perilune.failure"
    local rules = kit.read(kit.LOCAL).providers[1].rules
    assert.equal("overloaded", failure.classify(rules, { status = 500, message = "CUDA out of memory" }))
    assert.equal("server_error", failure.classify(rules, { status = 500, message = "oops" }))
  end)
end)
