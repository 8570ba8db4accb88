-- docs/security.md: what it says can be run is there.
local tree = require "support.tree"

local PAGE = tree.read "docs/security.md"

describe("docs/security.md", function()
  it("names specs that are there", function()
    local named = 0
    for path in PAGE:gmatch "spec/[%w_/]+%.?%w*" do
      assert(tree.exists((path:gsub("%.$", ""))), "there is no " .. path)
      named = named + 1
    end
    assert.is_true(named > 10)
  end)

  it("names targets of make that are there", function()
    local makefile = tree.read "Makefile"
    for target in PAGE:gmatch "make ([%l-]+)" do
      assert(makefile:find("\n" .. target .. ":", 1, true), "there is no make " .. target)
    end
  end)
end)
