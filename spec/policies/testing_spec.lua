-- docs/testing.md: its specs pass, and it has every expectation, option and field.
local expect = require "perilune.spec.expect"
local kit = require "support.policy_kit"
local page = require "support.page"
local spec = require "perilune.spec"

local PAGE = kit.read "docs/testing.md"

describe("docs/testing.md", function()
  it("shows specs that pass", function()
    local passed, output = page.run_specs(page.files(PAGE), "spec")
    assert(passed, output)
    assert.is_truthy(output:find("7 successes / 0 failures / 0 errors", 1, true), output)
  end)

  it("has every expectation", function()
    for _, expectations in ipairs { expect.of_decisions, expect.of_walks } do
      for name in pairs(expectations) do
        assert(PAGE:find("`" .. name .. "%("), name)
      end
    end
  end)

  it("has every field of a walk", function()
    local walk = spec.walk(spec.route("cheapest", {}, { "a/m" }), { ["*"] = "auth" })
    walk.answer = "a/m"
    for name in pairs(walk) do
      assert(PAGE:find("`" .. name .. "`", 1, true), name)
    end
  end)

  it("links to what is there", function()
    local policies = kit.read "docs/policies.md"
    for anchor in PAGE:gmatch "%(policies%.md#([%w-]+)%)" do
      local found = false
      for title in policies:gmatch "\n#+ ([^\n]+)" do
        found = found or title:lower():gsub("[^%w%s-]", ""):gsub("%s", "-") == anchor
      end
      assert(found, anchor)
    end
  end)
end)
