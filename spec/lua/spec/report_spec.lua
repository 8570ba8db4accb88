-- What `perilune test --json` tells of a run: perilune.spec.report keeps it and says nothing.
local report = require "perilune.spec.report"

describe("the output that keeps what came out", function()
  it("counts, and tells of failures where they are", function()
    local before = package.loaded["perilune.spec.result"]
    local handler = report { language = "en" }
    assert.equal(handler.result, package.loaded["perilune.spec.result"])
    package.loaded["perilune.spec.result"] = before
    handler.successes = { {}, {} }
    handler.failures = { { name = "p fails", message = "spec/p_spec.lua:7: expected more\nthan that" } }
    handler.errors = { { name = "p breaks", message = "no place" } }
    assert.same({
      passed = 2, failed = 1, errors = 1, pending = 0,
      failures = { { name = "p fails", file = "spec/p_spec.lua", line = 7, message = "spec/p_spec.lua:7: expected more\nthan that" } },
      problems = { { name = "p breaks", message = "no place" } },
    }, handler.result())
  end)
end)
