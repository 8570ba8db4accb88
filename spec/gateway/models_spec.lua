-- What clients list before they ask, and what watches a gateway.
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local port = require "support.port"

describe("small routes", function()
  local house

  setup(loop.test(function()
    local nobody = "http://127.0.0.1:" .. port.free() .. "/v1"
    house = gateway.start { providers = {
      a = gateway.provider(nobody, { models = { "small", "shared" } }),
      b = gateway.provider(nobody, { models = { "large", "shared" } }),
    } }
  end))
  teardown(loop.test(function()
    house:stop()
  end))

  it("list the models, each once by its own name", loop.test(function()
    local answer = http.get(house.port, "/v1/models")
    assert.equal(200, answer.status)
    assert.equal("list", answer.json.object)
    local seen = {}
    for _, model in ipairs(answer.json.data) do
      assert.equal("model", model.object)
      assert.equal("string", type(model.id))
      assert.is_true(#model.id > 0)
      assert.equal("number", type(model.created))
      assert.equal("string", type(model.owned_by))
      assert.is_nil(seen[model.id], model.id .. " is listed twice")
      seen[model.id] = true
    end
    assert.is_true(seen.small and seen.large and seen.shared)
  end))

  it("tell about one model", loop.test(function()
    for _, id in ipairs { "large", "b/large", "b%2Flarge" } do
      local answer = http.get(house.port, "/v1/models/" .. id)
      assert.equal(200, answer.status, id)
      assert.equal("model", answer.json.object)
    end
  end))

  it("do not know other models, but near ones", loop.test(function()
    local answer = http.get(house.port, "/v1/models/lrage")
    assert.equal(404, answer.status)
    assert.equal("model_not_found", answer.json.error.code)
    assert.is_truthy(answer.json.error.message:find("large", 1, true))
  end))

  it("say that it lives and serves", loop.test(function()
    assert.equal(200, http.get(house.port, "/health").status)
    assert.equal(200, http.get(house.port, "/ready").status)
    assert.equal(200, http.get(house.port, "/").status)
  end))
end)
