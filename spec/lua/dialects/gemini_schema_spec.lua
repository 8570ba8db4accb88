local json = require "perilune.json"
local schemas = require "perilune.dialects.gemini_schema"

local function proto(raw)
  return (schemas.proto(raw))
end

-- What a property becomes.
local function property(raw)
  local out = assert(proto(('{"type":"object","properties":{"p":%s}}'):format(raw)))
  return out:match '^{"type":"OBJECT","properties":{"p":(.*)}}$'
end

local KNOWN = {
  type = true, format = true, title = true, description = true, nullable = true, enum = true, items = true, maxItems = true,
  minItems = true, properties = true, required = true, propertyOrdering = true, minProperties = true, maxProperties = true,
  minimum = true, maximum = true, minLength = true, maxLength = true, pattern = true, example = true, default = true, anyOf = true,
}

-- Calls f with every schema in a decoded one.
local function each(node, f)
  f(node)
  for _, inner in pairs(node.properties or {}) do
    each(inner, f)
  end
  for _, inner in ipairs(node.anyOf or {}) do
    each(inner, f)
  end
  if node.items then
    each(node.items, f)
  end
end

-- What clients really send, with everything in it that is refused.
local WILD = [[{
  "$schema": "http://json-schema.org/draft-07/schema#", "$id": "x", "type": "object", "additionalProperties": false,
  "$defs": { "Point": { "type": "object", "properties": { "x": { "type": "number", "multipleOf": 0.5 } }, "required": ["x", "gone"] } },
  "properties": {
    "any": {}, "yes": true, "ref": { "$ref": "#/$defs/Point", "description": "where" },
    "refs": { "type": "array", "items": { "$ref": "#/$defs/Point" } },
    "tuple": { "type": "array", "prefixItems": [ { "type": "string" }, { "type": "integer" } ], "uniqueItems": true },
    "old": { "type": "array", "items": [ { "type": "string" } ] },
    "map": { "type": "object", "patternProperties": { "^a": { "type": "string" } }, "propertyNames": { "pattern": "a" } },
    "if": { "if": { "type": "string" }, "then": {}, "else": {}, "not": { "type": "null" } },
    "bytes": { "type": "string", "contentEncoding": "base64", "format": "byte", "examples": ["a"], "readOnly": true, "deprecated": true },
    "kinds": { "type": ["string", "integer", "null"], "minLength": 1, "minimum": 2 },
    "one": { "oneOf": [ { "const": 1 }, { "type": "object", "unevaluatedProperties": false } ] },
    "all": { "allOf": [ { "$ref": "#/$defs/Point" }, { "properties": { "y": {} }, "required": ["y"] } ] },
    "lost": { "$ref": "#/$defs/Nowhere" }, "odd": { "type": "whatever" }, "nothing": { "type": "null" }, "mixed": { "enum": ["a", 1, null] }
  },
  "required": ["any", "none"], "dependentRequired": { "any": ["yes"] }
}]]

describe("the message form of a schema", function()
  it("[F7] has no word Gemini does not know", function()
    each(json.decode(proto(WILD)), function(node)
      for word in pairs(node) do
        assert(KNOWN[word], word)
      end
    end)
  end)

  it("[F8] has a type in every node", function()
    local n = 0
    each(json.decode(proto(WILD)), function(node)
      assert.matches("^[A-Z]+$", node.type)
      n = n + 1
    end)
    assert(n > 20, n)
  end)

  for from, to in pairs {
    ["{}"] = '{"type":"STRING"}',
    ["true"] = '{"type":"STRING"}',
    ['{"type":"string","format":"uri","pattern":"^a"}'] = '{"type":"STRING","pattern":"^a"}',
    ['{"type":"string","format":"date-time"}'] = '{"type":"STRING","format":"date-time"}',
    ['{"const":"x"}'] = '{"type":"STRING","enum":["x"]}',
    ['{"const":true}'] = '{"type":"BOOLEAN"}',
    ['{"type":"integer","exclusiveMinimum":0,"exclusiveMaximum":10}'] = '{"type":"INTEGER","minimum":1,"maximum":9}',
    ['{"type":"number","exclusiveMinimum":0}'] = '{"type":"NUMBER","minimum":0}',
    ['{"type":"integer","minimum":3,"exclusiveMinimum":true}'] = '{"type":"INTEGER","minimum":4}',
    ['{"oneOf":[{"type":"string"},{"type":"integer"}]}'] = '{"type":"STRING","anyOf":[{"type":"STRING"},{"type":"INTEGER"}]}',
    ['{"type":["string","null"]}'] = '{"type":"STRING","nullable":true}',
    ['{"anyOf":[{"type":"string","maxLength":3},{"type":"null"}],"default":null,"title":"T"}'] =
      '{"type":"STRING","title":"T","nullable":true,"maxLength":3}',
    ['{"type":["string","integer"],"minLength":1,"minimum":2}'] =
      '{"type":"STRING","anyOf":[{"type":"STRING","minLength":1},{"type":"INTEGER","minimum":2}]}',
    ['{"enum":[1,2],"default":1}'] = '{"type":"STRING","default":"1","enum":["1","2"]}',
    ['{"enum":["a",null]}'] = '{"type":"STRING","nullable":true,"enum":["a"]}',
    ['{"type":"array"}'] = '{"type":"ARRAY","items":{"type":"STRING"}}',
    ['{"prefixItems":[{"type":"string"},{"type":"string"}]}'] = '{"type":"ARRAY","items":{"type":"STRING"}}',
    ['{"type":"object","properties":{}}'] = '{"type":"OBJECT"}',
    ['{"allOf":[{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]},{"properties":{"b":{}},"required":["b"]}]}'] =
      '{"type":"OBJECT","properties":{"a":{"type":"STRING"},"b":{"type":"STRING"}},"required":["a","b"]}',
    ['{"properties":{"b":{},"a":{}},"required":["a","z"],"propertyOrdering":["b","z"]}'] =
      '{"type":"OBJECT","properties":{"b":{"type":"STRING"},"a":{"type":"STRING"}},"required":["a"],"propertyOrdering":["b"]}',
    ['{"properties":{"a":{}},"anyOf":[{"required":["a"]},{"required":["b"]}]}'] = '{"type":"OBJECT","properties":{"a":{"type":"STRING"}}}',
    ['{"properties":{"type":{"type":"string"},"enum":{"type":"string"}}}'] =
      '{"type":"OBJECT","properties":{"type":{"type":"STRING"},"enum":{"type":"STRING"}}}',
    ['{"description":"d","example":[],"default":{"b":1,"a":[]}}'] =
      '{"type":"STRING","description":"d","default":{"b":1,"a":[]},"example":[]}',
  } do
    it("writes " .. from .. " so", function()
      assert.equal(to, property(from))
    end)
  end

  it("writes references out, with what stands beside them", function()
    assert.equal('{"type":"OBJECT","properties":{"p":{"type":"OBJECT","description":"mine","properties":{"a":{"type":"STRING"}}}}}',
      proto('{"type":"object","properties":{"p":{"$ref":"#/$defs/A","description":"mine"}},'
        .. '"$defs":{"A":{"description":"its","properties":{"a":{}}}}}'))
    assert.equal('{"type":"OBJECT","properties":{"p":{"type":"INTEGER"}}}',
      proto '{"properties":{"p":{"$ref":"#/definitions/a~1b%20c"}},"definitions":{"a/b c":{"type":"integer"}}}')
  end)

  it("ends references to themselves with an object of any kind", function()
    assert.equal('{"type":"OBJECT","properties":{"kids":{"type":"ARRAY","items":{"type":"OBJECT","properties":{"kids":'
      .. '{"type":"ARRAY","items":{"type":"OBJECT","properties":{"kids":{"type":"ARRAY","items":{"type":"OBJECT"}}}}}}}}}}',
      proto '{"properties":{"kids":{"type":"array","items":{"$ref":"#"}}}}')
  end)

  it("refuses what would grow without end, quickly", function()
    local defs = {}
    for i = 1, 20 do
      defs[i] = ('"D%d":{"properties":{"a":{"$ref":"#/$defs/D%d"},"b":{"$ref":"#/$defs/D%d"}}}'):format(i, i + 1, i + 1)
    end
    local raw, why = schemas.proto(('{"$ref":"#/$defs/D1","$defs":{%s,"D21":{}}}'):format(table.concat(defs, ",")))
    assert.is_nil(raw)
    assert.matches("too large", why)
  end)

  it("says when numbers to choose from became texts, and only then", function()
    assert.is_true(select(3, schemas.proto '{"properties":{"a":{"enum":[1]}}}'))
    assert.is_false(select(3, schemas.proto '{"properties":{"a":{"enum":["1"]}}}'))
  end)

  it("leaves out what asks for nothing", function()
    for _, raw in ipairs {
      "{}", '{"type":"object"}', '{"type":"object","properties":{}}', '{"type":"object","properties":{},"required":[]}', "null",
    } do
      assert.is_nil(proto(raw))
    end
    assert.is_nil(schemas.proto(nil))
  end)

  it("says what is no JSON", function()
    local raw, why = schemas.proto '{"a":'
    assert.is_nil(raw)
    assert.is_string(why)
  end)
end)

describe("a schema as JSON Schema", function()
  it("stays as it came, byte for byte", function()
    local raw = '{ "type":"object", "x-own" : [ ], "properties":{"n":{"const":12345678901234567890}} }'
    assert.equal(raw, schemas.json(raw))
  end)

  it("has nothing beside a $ref but words with a $", function()
    assert.equal('{"properties":{"a":{"$ref":"#/$defs/A"},"$ref":{"type":"string"}},"$defs":{"A":{"enum":[[],{}]}}}',
      schemas.json '{"properties":{"a":{"$ref":"#/$defs/A","description":"d"},"$ref":{"type":"string"}},"$defs":{"A":{"enum":[[],{}]}}}')
  end)

  it("comes back from the message form", function()
    assert.equal('{"type":"object","properties":{"type":{"type":["string","null"]},'
      .. '"l":{"type":"array","items":{"type":"integer"}}},"required":["l"]}',
      schemas.from_proto('{"type":"OBJECT","properties":{"type":{"type":"STRING","nullable":true},'
        .. '"l":{"type":"ARRAY","items":{"type":"INTEGER"}}},"required":["l"],"propertyOrdering":["l"]}'))
    assert.equal('{"type":"string","anyOf":[{"type":"string"},{"type":"number"}]}',
      schemas.from_proto '{"type":"STRING","anyOf":[{"type":"STRING"},{"type":"NUMBER"}]}')
    assert.equal("nonsense", schemas.from_proto "nonsense")
  end)
end)
