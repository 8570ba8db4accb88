-- README.md: the policy and the spec on its first screen run as they stand there, and so does the rest that can.
local config = require "perilune.config"
local config_kit = require "support.config_kit"
local kit = require "support.policy_kit"
local page = require "support.page"
local tree = require "support.tree"

local README = kit.read "README.md"

describe("README.md", function()
  local files = page.files(README)

  it("shows a policy of eight lines and its spec, which passes", function()
    local _, lines = files["policies/plan.lua"]:gsub("\n", "")
    assert.equal(8, lines)
    local passed, output = page.run_specs { ["policies/plan.lua"] = files["policies/plan.lua"],
      ["policies/plan_spec.lua"] = files["policies/plan_spec.lua"] }
    assert(passed, output)
    assert.is_truthy(output:find("2 successes / 0 failures / 0 errors", 1, true), output)
  end)

  it("shows a spec that would notice a change of the policy", function()
    local changed = files["policies/plan.lua"]:gsub("cheapest", "best"):gsub("0%.02", "0.2")
    local passed, output = page.run_specs { ["policies/plan.lua"] = changed,
      ["policies/plan_spec.lua"] = files["policies/plan_spec.lua"] }
    assert.is_false(passed)
    assert.is_truthy(output:find("1 success / 1 failure / 0 errors", 1, true), output)
  end)

  it("shows a configuration without findings", function()
    local result, findings = config.read(files["perilune.lua"], "perilune.lua", config_kit.host { OPENAI_API_KEY = "sk-canary" })
    assert(result, findings[1] and findings[1].message)
  end)

  it("lists every command once", function()
    for _, path in ipairs(tree.matching("core/cli", "%.c$")) do
      local name = tree.read(path):match '%.name = "([%w_]+)",\n%s+%.summary'
      local rows = name and select(2, README:gsub("\n| `perilune " .. name .. "[ `]", ""))
      assert(not name or rows == 1, ("%s rows for %s"):format(rows, name))
    end
  end)

  it("links to pages that are there", function()
    for path in README:gmatch "%]%(([%w_/.]+)%)" do
      assert(tree.exists(path), "there is no " .. path)
    end
  end)
end)
