local check = require "perilune.dialects.responses_fields"

-- What a reader makes of a value, or the problem.
local function read(reader, raw)
  return check.guard(reader, raw, "a.b")
end

describe("responses, members checked", function()
  it("are read when they are what they should be", function()
    assert.same({ x = "1" }, read(check.object, '{"x":1}'))
    assert.same({ "1", "[]" }, read(check.list, "[1,[]]"))
    assert.equal("x", read(check.text, '"x"'))
    assert.equal(12, read(check.whole, "12"))
    assert.is_true(read(check.boolean, "true"))
    assert.is_false(read(check.boolean, " false"))
    assert.equal('{"z":1}', read(check.as "object", '{"z":1}'))
    assert.equal("0.70", read(check.as "number", "0.70"))
  end)

  it("are refused by their place when they are not", function()
    for message, case in pairs {
      ["a.b must be an object"] = { check.object, "[]" }, ["a.b must be a list"] = { check.list, "{}" },
      ["a.b must be a string"] = { check.text, "1" }, ["a.b must be a whole number"] = { check.whole, "1.5" },
      ["a.b must be true or false"] = { check.boolean, '"true"' }, ["a.b must be a number"] = { check.as "number", '"1"' },
    } do
      for _, raw in ipairs { case[2], "null" } do
        local value, problem = read(case[1], raw)
        assert.is_nil(value)
        assert.same({ message = message, param = "a.b" }, problem)
      end
      assert.same({ message = message, param = "a.b" }, select(2, read(case[1], nil)))
    end
    assert.equal("a.b must be a whole number", select(2, read(check.whole, "-1")).message)
  end)

  it("may be missing", function()
    assert.is_nil(check.optional(nil, check.text, "a"))
    assert.is_nil(check.optional("null", check.text, "a"))
    assert.equal("x", check.optional('"x"', check.text, "a"))
  end)

  it("let through what is no problem of the request's", function()
    assert.has_error(function()
      check.guard(error, "broken", 0)
    end, "broken")
  end)
end)
