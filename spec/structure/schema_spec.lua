-- The checker that answers are held to finds what is wrong.
local cjson = require "cjson"
local schema = require "support.schema"

describe("support.schema", function()
  local document = { components = { schemas = { Name = { type = "string", maxLength = 3 } } } }

  local function wrong(what, text)
    return schema.check(document, cjson.decode(what), cjson.decode("[" .. text .. "]")[1])
  end

  it("lets through what fits", function()
    for _, case in ipairs {
      { '{"type":"integer","minimum":1,"maximum":3}', "2" }, { '{"type":["string","null"]}', "null" }, { '{"enum":["a","b"]}', '"b"' },
      { '{"type":"object","properties":{"a":{"type":"number"}},"required":["a"],"additionalProperties":false}', '{"a":1.5}' },
      { '{"type":"array","items":{"$ref":"#/components/schemas/Name"},"maxItems":2}', '["abc","b"]' }, { '{"type":"array"}', "[]" },
      { '{"type":"object","additionalProperties":{"type":"boolean"}}', '{"x":true}' }, { '{"const":"ok","description":"x"}', '"ok"' },
    } do
      assert.is_nil(wrong(case[1], case[2]))
    end
  end)

  it("names what does not", function()
    for _, case in ipairs {
      { '{"type":"integer"}', "1.5", "it is no integer" }, { '{"type":["string","null"]}', "1", "it is no string or null" },
      { '{"enum":["a"]}', '"b"', "none of those" }, { '{"const":"ok"}', '"no"', "is not ok" }, { '{"minimum":1}', "0", "too small" },
      { '{"maximum":1}', "2", "too large" }, { '{"maxItems":1}', "[1,2]", "too many" }, { '{"type":"object"}', "[1]", "no object" },
      { '{"type":"array"}', '{"a":1}', "no array" }, { '{"required":["a"]}', '{"b":1}', "it has no a" },
      { '{"properties":{"a":{"type":"string"}},"additionalProperties":false}', '{"b":1}', "it has b" },
      { '{"properties":{"a":{"items":{"type":"string"}}}}', '{"a":["x",2]}', "it.a[2] is no string" },
      { '{"additionalProperties":{"type":"string"}}', '{"b":1}', "it.b is no string" },
      { '{"$ref":"#/components/schemas/Name"}', '"long"', "too long" },
    } do
      assert.matches(case[3], wrong(case[1], case[2]) or "nothing", 1, true)
    end
  end)

  it("passes over nothing it does not know", function()
    assert.has_error(function() wrong('{"pattern":"x"}', '"y"') end)
    assert.has_error(function() wrong('{"$ref":"#/components/schemas/None"}', '"y"') end)
  end)
end)
