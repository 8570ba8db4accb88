local pieces = require "perilune.pieces"

-- Whether the text is an object after each of its bytes, as a string of digits.
local function ends(text)
  local list, out = {}, {}
  for i = 1, #text do
    list[i] = nil
    list[#list + 1] = text:sub(i, i)
    out[i] = pieces.is_object(list) and "1" or "0"
  end
  assert.equal(text, pieces.join(list))
  return table.concat(out)
end

describe("pieces", function()
  it("are an object when its last brace came", function()
    for _, text in ipairs {
      "{}", '{"a":1}', '{"a":{"b":[{}]},"c":"}"}', '{"a":"\\"}{\\\\"}', '{"\\u007d}":"{"}', ' \n{"a":[[]]}', '{"a":"\\\\\\""}',
    } do
      assert.equal(("0"):rep(#text - 1) .. "1", ends(text))
      for cut = 0, #text do
        local list = { text:sub(1, cut) }
        assert.equal(cut == #text, pieces.is_object(list))
        list[2] = text:sub(cut + 1)
        assert.is_true(pieces.is_object(list))
      end
    end
  end)

  it("are none when they are something else, whatever comes", function()
    for _, text in ipairs { "", "[]", '"{}"', "5", "{", '{"a":"}', "{x}", "}{", '{"a":1}}', "{}{}x" } do
      local list = { text }
      assert.is_false(pieces.is_object(list), text)
    end
    local list = { "{x}" }
    assert.is_false(pieces.is_object(list))
    list[2] = '{"a":1}'
    assert.is_false(pieces.is_object(list))
  end)

  it("may be put together in between", function()
    local list = { '{"a":', '"}' }
    assert.is_false(pieces.is_object(list))
    list[#list + 1] = "\\"
    assert.equal('{"a":"}\\', pieces.join(list))
    assert.is_false(pieces.is_object(list))
    list[#list + 1] = '"'
    list[#list + 1] = '"}'
    assert.equal('{"a":"}\\""}', pieces.join(list))
    assert.is_true(pieces.is_object(list))
  end)

  it("are asked for each of many in time by their length", function()
    local list, before = { '{"a":"' }, os.clock()
    for _ = 1, 20000 do
      list[#list + 1] = ("}"):rep(100)
      assert.is_false(pieces.is_object(list))
    end
    list[#list + 1] = '"}'
    assert.is_true(pieces.is_object(list))
    assert.is_true(os.clock() - before < 2)
  end)
end)
