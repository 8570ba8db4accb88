local routes = require "perilune.routes"

-- The file of these assignments, as a table again.
local function written(list)
  local text = routes.write(list)
  return assert(load(text))(), text
end

describe("the file of assignments", function()
  it("is as docs/configuration.md shows it", function()
    local page = assert(io.open "docs/configuration.md")
    local example = page:read("*a"):match "## Assignments.-```lua.-```lua\n(return .-)```"
    page:close()
    local wrong = {}
    local scopes = routes.schema(assert(load(example))(), "", function(setting, message)
      wrong[#wrong + 1] = setting .. ": " .. message
    end)
    assert.same({}, wrong)
    assert.equal("split", scopes.tier.free.policy)
  end)

  it("says what was assigned, whatever it is", function()
    local names = { "free", "and", "a-b", 'quo"te', "back\\slash", "line\nend", "ü", "\255", "]]", "1" }
    local list = {}
    for _, name in ipairs(names) do
      list[#list + 1] = { scope = "tier", name = name, policy = name, params = { [name] = { name, 0.1, 1e300, -7, true, false, {} } } }
    end
    local back = written(list)
    for _, name in ipairs(names) do
      assert.same({ policy = name, params = { [name] = { name, 0.1, 1e300, -7, true, false, {} } } }, back.tier[name])
    end
  end)

  it("is the same text in whatever order things were assigned", function()
    local a = { scope = "tier", name = "a", policy = "x" }
    local b = { scope = "account", policy = "y", limits = { deadline_ms = 5, max_cost_usd = 1 } }
    assert.equal(routes.write { a, b }, routes.write { b, a })
  end)

  it("reads well", function()
    local _, text = written {
      { scope = "account", policy = "tier", params = {}, limits = {} },
      { scope = "endpoint", name = "/v1/messages", policy = "quality", limits = { max_cost_usd = 0.002 } },
    }
    assert.equal([[
return {
  account = { policy = "tier" },
  endpoint = { ["/v1/messages"] = { limits = { max_cost_usd = 0.002 }, policy = "quality" } },
}
]], text:match "\n(return .*)$")
    assert.equal("return {}\n", routes.write({}):match "\n(return .*)$")
  end)

  it("breaks what is long into lines", function()
    local long = { scope = "tier", name = "a", policy = "x", params = { text = ("y"):rep(60), more = ("z"):rep(60) } }
    local back, text = written { long }
    assert.same(long.params, back.tier.a.params)
    for line in text:gmatch "[^\n]+" do
      assert.is_true(#line <= 130, line)
    end
  end)

  it("loses one assignment, or gets one in its place, and keeps the others", function()
    local scopes = { tier = { a = { policy = "x" }, b = { policy = "y" } } }
    local function back(text)
      return assert(load(text))()
    end
    assert.same({ tier = { b = { policy = "y" } } }, back(routes.edit(scopes, "tier", "a", nil)))
    assert.same({ tier = { a = { policy = "z" }, b = { policy = "y" } } }, back(routes.edit(scopes, "tier", "a", { policy = "z" })))
    assert.same({ tier = scopes.tier, account = { policy = "z" } }, back(routes.edit(scopes, "account", nil, { policy = "z" })))
    assert.is_nil(routes.edit(scopes, "tier", "c", nil))
    assert.is_nil(routes.edit(scopes, "endpoint", "a", nil))
  end)
end)
