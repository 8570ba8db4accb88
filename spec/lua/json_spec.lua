local json = require "perilune.json"

describe("json.members", function()
  it("hands out raw values, in order, keys unescaped", function()
    local list = assert(json.members ' { "a" : 1 , "b\\u0064": [ ],"c":{"z":1,"a":12345678901234567890} } ')
    assert.equal(3, #list)
    assert.same({ "a", "bd", "c" }, { list[1].key, list[2].key, list[3].key })
    assert.same({ "1", "[ ]", '{"z":1,"a":12345678901234567890}' }, { list[1].raw, list[2].raw, list[3].raw })
  end)

  for _, text in ipairs {
    "", " ", "{", "[]", '"x"', "{}x", '{"a":}', '{"a" 1}', '{a:1}', '{"a":1,}', '{"a":tru}', '{"a":01}', '{"a":1.}', '{"a":+1}',
    '{"a":"\1"}', '{"a":"\\x"}', '{"a":"\\u12g4"}', '{"a":"', '{"a":[1,]}', '{"a":[1 2]}', '{"a":{"b"}}', '{"a":nan}', '{"a":[}',
    '{"a":' .. ("["):rep(300) .. ("]"):rep(300) .. "}",
  } do
    it("refuses " .. text:sub(1, 30):gsub("%c", "?"), function()
      local list, why = json.members(text)
      assert.is_nil(list)
      assert.matches("at byte %d+", why)
    end)
  end
end)

describe("json.ordered", function()
  it("hands out raw values by key, and the keys as they stand", function()
    local fields, keys = json.ordered '{"b":[ ],"a":1,"b":2}'
    assert.same({ b = "2", a = "1" }, fields)
    assert.same({ "b", "a", "b" }, keys)
    assert.is_nil((json.ordered "[]"))
  end)
end)

describe("json.items", function()
  it("hands out raw items", function()
    assert.same({ "1", '{"a":[]}', '"x,]"', "null" }, json.items '[1, {"a":[]}, "x,]" ,null]')
    assert.same({}, json.items " [ ] ")
    assert.is_nil((json.items "[1"))
    assert.is_nil((json.items "{}"))
  end)
end)

describe("json.text, number and kind", function()
  it("read scalars", function()
    assert.equal('a"\\/\b\f\n\r\té€😀', json.text [["a\"\\\/\b\f\n\r\t\u00e9\u20AC\ud83d\ude00"]])
    assert.equal("\239\191\189x", json.text [["\ud83dx"]])
    assert.is_nil(json.text "1")
    assert.is_nil(json.text(nil))
    assert.equal(-12.5, json.number "-1.25e1")
    assert.is_nil(json.number '"1"')
    local kinds = {}
    for i, raw in ipairs { "{}", "[]", '""', "1", "true", "null", " false" } do
      kinds[i] = json.kind(raw)
    end
    assert.same({ "object", "array", "string", "number", "boolean", "null", "boolean" }, kinds)
    assert.is_nil(json.kind(nil))
    assert.is_nil(json.kind "")
  end)
end)

describe("json.characters", function()
  it("counts what is read as one", function()
    assert.equal(0, json.characters "")
    assert.equal(3, json.characters "aü😀")
  end)
end)

describe("json.splice", function()
  local body = '{ "model" : "x" ,"n":12345678901234567890,"e":[],"t":{} }'

  local function splice(edits)
    return assert(json.splice(body, edits))
  end

  it("changes a value and nothing else", function()
    assert.equal('{ "model" : "gpt-4o" ,"n":12345678901234567890,"e":[],"t":{} }', splice { { key = "model", raw = '"gpt-4o"' } })
  end)

  it("takes members out, first, middle and last, with the right comma", function()
    assert.equal('{ "n":12345678901234567890,"e":[],"t":{} }', splice { { key = "model" } })
    assert.equal('{ "model" : "x" ,"n":12345678901234567890,"t":{} }', splice { { key = "e" } })
    assert.equal('{ "model" : "x" ,"n":12345678901234567890,"e":[] }', splice { { key = "t" } })
    assert.equal("{  }", assert(json.splice('{ "a":1 }', { { key = "a" } })))
  end)

  it("adds what is not there", function()
    assert.equal('{ "model" : "x" ,"n":12345678901234567890,"e":[],"t":{} ,"stream":true}', splice { { key = "stream", raw = "true" } })
    assert.equal('{"a":1}', assert(json.splice("{}", { { key = "a", raw = "1" } })))
    assert.equal(body, splice { { key = "absent" } })
  end)

  it("does several at once and leaves valid JSON", function()
    local out = splice { { key = "model" }, { key = "e" }, { key = "t" }, { key = "n" }, { key = "a\"b", raw = "1" } }
    assert.is_true((json.valid(out)))
    assert.same({ ['a"b'] = 1 }, json.decode(out))
  end)
end)

describe("json.decode and encode", function()
  it("build and write plain values", function()
    local value = assert(json.decode '{"a":[1,2.5,"x",true,false],"b":{"c":null}}')
    assert.same({ 1, 2.5, "x", true, false }, value.a)
    assert.equal(json.null, value.b.c)
    assert.equal('{"a":[1,2.5,"x",true,false],"b":{"c":null}}', json.encode(value))
    assert.equal("{}", json.encode {})
    assert.equal('"\\u0001\\n\\"\\\\é"', json.encode "\1\n\"\\é")
    assert.equal("9007199254740991", json.encode(9007199254740991))
  end)

  it("keeps numbers exact", function()
    for _, n in ipairs { 0, -1, 0.1, 1e100, 123456789.123, 2 ^ 53 - 1 } do
      assert.equal(n, json.decode(assert(json.encode(n))))
    end
  end)

  it("refuses what JSON has not", function()
    local cycle = {}
    cycle.a = cycle
    for _, v in ipairs { 0 / 0, 1 / 0, print, cycle, { 1, x = 2 }, { [3] = 1 } } do
      local text, why = json.encode(v)
      assert.is_nil(text)
      assert.is_string(why)
    end
    assert.is_nil((json.decode "[1"))
  end)
end)

describe("json.read", function()
  it("reads JSON and nothing more: slices of it are always there", function()
    assert.same({ a = { 1.5, "x\n" } }, json.read ' {"a":[1.5,"x\\n"]} ')
    assert.equal("\239\191\189", json.read [["\ud800"]])
    for _, text in ipairs { "[NaN]", "[0x10]", "[Infinity]", "[01]", '["a\nb"]', "", "[1" } do
      local value, why = json.read(text)
      assert.is_nil(value)
      assert.is_string(why)
    end
  end)

  it("writes objects and arrays of raw values, without what is nil", function()
    local out = {}
    json.put(out, 'a"', "[]")
    json.put(out, "b", nil)
    json.put(out, "c", "9007199254740993")
    assert.equal('{"a\\"":[],"c":9007199254740993}', json.object(out))
    assert.equal('[1,{}]', json.array { "1", "{}" })
    assert.equal("{}", json.object {})
    assert.equal("[]", json.array {})
  end)

  it("writes a report: members in order, lists where they are, no number that is none", function()
    local report = { b = {}, a = { { x = 0.1 + 0.2 } }, c = {}, n = math.huge, i = 7, t = "x", z = json.null }
    assert.equal('{"a":[{"x":0.3}],"b":[],"c":{},"i":7,"n":null,"t":"x","z":null}', json.report(report, { a = true, b = true }))
  end)
end)
