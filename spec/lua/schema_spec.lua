local S = require "perilune.schema"

local function check(shape, value)
  local findings = {}
  local result = shape(value, "x", function(setting, message, hint)
    findings[#findings + 1] = setting .. ": " .. message .. (hint and " / " .. hint or "")
  end)
  return result, findings[1]
end

describe("schema", function()
  it("names the place of what is wrong", function()
    local shape = S.record { list = S.list(S.map(S.integer(1, 3))) }
    local _, finding = check(shape, { list = { {}, { ["a b"] = 4 } } })
    assert.equal('x.list[2]["a b"]: expected a whole number from 1 to 3, got 4', finding)
  end)

  it("takes what fits", function()
    assert.same({ a = { 1, 2 } }, (check(S.map(S.list(S.number(0, 5))), { a = { 1, 2 } })))
    assert.is_true((check(S.boolean, true)))
    assert.equal("[::1]:80", (check(S.address, "[::1]:80")))
    assert.equal("https://x.example:8443/v1", (check(S.url, "https://x.example:8443/v1//")))
    assert.equal("k", (check(S.secret, "k")))
    assert.equal("b", (check(S.one_of { a = true, b = true }, "b")))
    assert.same({ 1 }, (check(S.anything, { 1 })))
  end)

  for _, case in ipairs {
    { S.text, "", "a text" }, { S.text, "a\nb", "a text" }, { S.text, nil, "nothing" }, { S.boolean, 1, "true or false" },
    { S.number(0, math.huge), -1, "not below 0" }, { S.number(0, 1), 0 / 0, "from 0 to 1" }, { S.integer(1, 2), "1", 'got "1"' },
    { S.one_of { abc = true }, "abd", '/ did you mean "abc"?' }, { S.address, ":80", "an address" }, { S.address, 80, "an address" },
    { S.url, "x", "a URL" }, { S.url, "http://", "a URL" }, { S.list(S.text), { a = 1 }, "without names" },
    { S.list(S.text), { "a", [3] = "b" }, "holes" }, { S.map(S.text), { "a" }, "a name as key" }, { S.map(S.text), "a", "table of names" },
    { S.record {}, 3, "a table" }, { S.not_yet "later", 1, "later" }, { S.anything, print, "plain value" },
    { S.text, ("x"):rep(100) .. "\n", "a long text" }, { S.number(0, 1e6), -1, "from 0 to 1000000" },
    { S.secret, 5, "a key, got a number" }, { S.secret, {}, "a key, got a table" },
  } do
    it("says what it expected: " .. case[3], function()
      local _, finding = check(case[1], case[2])
      assert.is_string(finding)
      assert(finding:find(case[3], 1, true), finding)
    end)
  end
end)
