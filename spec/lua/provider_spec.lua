local provider = require "perilune.provider"

local HOST = { env = function() end }

describe("provider", function()
  it("knows the abilities of the core, in its order", function()
    local f = assert(io.open "core/base/ability.h")
    local names = {}
    for name in f:read("*a"):gmatch "ABILITY_([%u_]+) = 1" do
      names[#names + 1] = name:lower()
    end
    f:close()
    assert.same(names, provider.abilities)
  end)

  it("knows the dialects of the core", function()
    local f = assert(io.open "core/base/dialect.h")
    local body = f:read("*a"):match "enum dialect {(.-)}"
    f:close()
    for name in body:gmatch "DIALECT_([%u_]+)" do
      assert(name == "NONE" or name == "COUNT" or provider.dialects[name:lower()], name)
    end
  end)

  describe("template", function()
    local files = {
      base = {
        dialect = "openai_chat", timeouts = { idle_ms = 1, connect_ms = 1 }, models = { { name = "x" } }, failures = { { class = "b" } },
      },
      child = { like = "base", timeouts = { idle_ms = 2 }, failures = { { class = "a" } }, env = { key = "K" } },
      loop = { like = "loop" },
    }

    it("puts a file over what it is like, without its models and variables", function()
      local t = provider.template(files, "child")
      assert.equal("openai_chat", t.dialect)
      assert.same({ idle_ms = 2, connect_ms = 1 }, t.timeouts)
      assert.same({ { class = "a" }, { class = "b" } }, t.failures)
      assert.is_nil(t.models)
      assert.same({ key = "K" }, t.env)
    end)

    it("refuses loops and unknown names", function()
      assert.matches("like itself", select(2, provider.template(files, "loop")))
      assert.matches('no provider file "no"', select(2, provider.template(files, "no")))
    end)
  end)

  it("sends no key where the service wants none", function()
    local built = provider.build("x", { base_url = { "http://a" }, auth = "none" }, {}, HOST, error).provider
    assert.same({ "none", {} }, { built.auth, built.keys })
  end)

  it("goes without a key to an address of one's own", function()
    local template = { base_url = { "https://api" }, env = { key = "K" } }
    local built = provider.build("x", template, { base_url = { "http://mine" } }, HOST, error).provider
    assert.equal("none", built.auth)
  end)
end)
