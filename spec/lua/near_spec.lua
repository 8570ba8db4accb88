local near = require "perilune.near"

describe("near", function()
  it("finds what was probably meant", function()
    assert.equal("listen", near.nearest("listn", { "listen", "admin" }))
    assert.equal("able", near.nearest("abel", { able = true, take = true }))
    assert.equal("tier", near.nearest("TIRE", { "tier", "user" }))
    assert.equal("gpt-4o-mini", near.nearest("gpt-4o-mni", { "gpt-4o", "gpt-4o-mini" }))
  end)

  it("finds nothing where nothing is near", function()
    assert.is_nil(near.nearest("zzzzzz", { "listen" }))
    assert.is_nil(near.nearest("", { "listen" }))
    assert.is_nil(near.nearest(("x"):rep(1000), { ("x"):rep(1000) }))
    assert.is_nil(near.nearest(nil, { "listen" }))
  end)

  it("does not depend on the order of a set", function()
    assert.equal("aa", near.nearest("a", { ab = true, aa = true, ac = true }))
  end)

  it("makes the end of a message", function()
    assert.equal('; did you mean "take"?', near.hint("tak", { "take" }))
    assert.equal("", near.hint("qqqqq", { "take" }))
    assert.equal("a, b", near.names { b = 1, a = 1 })
  end)
end)
