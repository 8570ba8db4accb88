local params = require "perilune.params"

describe("params", function()
  local declared = params.declare {
    steps = 3, name = "x", on = false, list = { type = "list", default = { "a" } },
    mode = { type = "string", default = "a", choices = { "a", "b" } },
    share = { type = "number", min = 0, max = 1 }, extra = { type = "table" },
  }

  it("take their type from a bare default", function()
    assert.equal("number", declared.steps.type)
    assert.equal("string", declared.name.type)
    assert.equal("boolean", declared.on.type)
  end)

  it("are what was set, else the default", function()
    assert.same({ steps = 5, name = "x", on = true, list = { "a" }, mode = "b", share = 0.5 },
      params.values(declared, { steps = 5, on = true, mode = "b", share = 0.5 }))
    assert.same({ steps = 3, name = "x", on = false, list = { "a" }, mode = "a" }, params.values(declared, nil))
    assert.same({ "x" }, params.values(declared, { extra = { "x" } }).extra)
  end)

  for _, case in ipairs {
    { { stesp = 1 }, 'did you mean "steps"' }, { { steps = "1" }, "expected a number, got a string" }, { { share = 2 }, "from 0 to 1" },
    { { share = 0 / 0 }, "from 0 to 1" }, { { mode = "c" }, "one of a, b" }, { { list = { x = 1 } }, "expected a list" },
  } do
    it("refuse " .. case[2], function()
      assert.error_matches(function() params.values(declared, case[1]) end, case[2])
    end)
  end

  it("are the same for each request, whatever the one before did", function()
    local plain = params.handout({ n = 1 }, { n = { type = "number" } })
    assert.error_matches(function() plain.n = 2 end, "req.params can not be changed")
    local make = params.handout({ n = 1, list = { 1, { 2 } } }, {})
    local first = make()
    first.n, first.list[2][1] = 5, 5
    assert.same({ n = 1, list = { 1, { 2 } } }, make())
    assert.equal(2, #make().list)
  end)

  it("raise where a name is read that was not declared, and only there", function()
    for _, values in ipairs { { ceiling = 1 }, { ceiling = 1, list = { 1 } } } do
      local handout = params.handout(values, { ceiling = { type = "number" }, list = { type = "list" }, share = { type = "number" } })
      local read = type(handout) == "function" and handout() or handout
      assert.equal(1, read.ceiling)
      assert.is_nil(read.share)
      local _, why = pcall(function() return read.celing end)
      assert.matches('params_spec.lua:%d+: this policy declares no parameter "celing"; did you mean "ceiling"%?', why)
    end
  end)

  it("are checked where they are declared", function()
    assert.error_matches(function() params.declare { n = { type = "number", default = "x" } } end, "params.n.default")
    assert.error_matches(function() params.declare { n = { type = "number", defalt = 1 } } end, 'did you mean "default"')
    assert.error_matches(function() params.declare { 3 } end, "names as keys")
  end)
end)
