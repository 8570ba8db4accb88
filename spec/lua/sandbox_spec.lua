local kit = require "support.policy_kit"

local function fails(body)
  return kit.fails(body .. " return {}")
end

describe("the sandbox", function()
  setup(function()
    kit.setup()
  end)

  for _, name in ipairs {
    "io", "os", "package", "debug", "ffi", "jit", "load", "loadstring", "loadfile", "dofile", "setfenv", "getfenv", "module", "rawset",
    "rawget", "newproxy", "collectgarbage", "gcinfo", "_G", "print",
  } do
    it("has no " .. name, function()
      assert.matches(('there is no "%s" here'):format(name), fails("local x = " .. name))
    end)
  end

  it("names the nearest global for one that is unknown", function()
    assert.matches('there is no global "tostrin"; did you mean "tostring"', fails "tostrin(1)")
  end)

  it("refuses globals, because nothing is kept between requests", function()
    assert.matches('assignment to global "count"', fails "count = 1")
  end)

  it("offers the plain functions", function()
    assert.same({ "openai/gpt-4o" }, (kit.eval [[{ select(2, pcall(function()
      assert(type(tostring(tonumber "3")) == "string" and next({ 1 }) == 1 and unpack({ 7 }) == 7)
      assert(math.max(1, 2) == 2 and bit.bor(1, 2) == 3 and table.concat({ "a", "b" }, ",") == "a,b")
      assert(("abc"):upper() == "ABC" and string.format("%05.1f", 3) == "003.0")
      local co = coroutine.wrap(function() coroutine.yield(1) end)
      assert(co() == 1 and xpcall(error, function() end) == false and rawequal(1, 1))
      return "openai/gpt-4o"
    end)) }]]))
  end)

  it("keeps the way through string methods closed", function()
    assert.matches("attempt to call", fails 'local f = ("x").dump; f()')
    assert.same({ "openai/gpt-4o" }, (kit.eval '{ getmetatable("") == false and "openai/gpt-4o" or "it is open" }'))
  end)

  it("caps string.rep, also as a method", function()
    assert.matches("string.rep", fails 'local s = string.rep("x", 1e9)')
    assert.matches("string.rep", fails 'local s = ("x"):rep(1e9)')
    assert.matches("string.rep", fails 'local s = ("x"):rep(3e5, "sep")')
    assert.same({ "openai/gpt-4o" }, (kit.eval '{ ("x"):rep(3, "-") == "x-x-x" and "openai/gpt-4o" }'))
  end)

  it("has no wide formats", function()
    assert.matches("format", fails 'local s = ("%1000d"):format(1)')
    assert.matches("format", fails 'local s = ("%.1000f"):format(1)')
  end)

  it("takes no bytecode, in a policy or a library", function()
    local code = string.dump(function() return {} end)
    local ok, finding = require("perilune.host").load { name = "b", path = "b.lua", text = code }
    assert.is_nil(ok)
    assert.matches("mode", finding.message)
  end)

  it("gives libraries that can not be changed", function()
    for _, name in ipairs { "string", "table", "math", "bit", "coroutine" } do
      assert.matches("can not be changed", fails(name .. ".x = 1"))
      assert.matches("can not be changed", fails(('table.insert(%s, 1)'):format(name)))
    end
  end)

  it("tells what of a watched table is read, and walks it for all", function()
    local sandbox, seen = require "perilune.sandbox", {}
    local t = sandbox.watched({ a = "1", b = "2" }, function(name)
      seen[#seen + 1] = name or "all"
    end)
    assert.same({ "1", nil }, { t.a, t.c })
    t.c = "3"
    assert.equal("3", t.c)
    assert.same({ "a", "c", "c" }, seen)
    kit.load [[return function(req)
      local n = 0
      for _ in pairs(req.headers) do n = n + 1 end
      assert(n == 3 and next(req.headers))
      return {}
    end]]
    kit.ask("spec", { headers = t })
    assert.same({ "a", "c", "c", "all", "all" }, seen)
  end)

  it("walks libraries without handing them out", function()
    local why = fails [[
      for _, walk in ipairs { pairs, ipairs } do
        local f, state = walk(string)
        if type(state) == "table" then state.rep = nil end
      end
      local k, v = next(math)
      if not k or not v then error("next sees nothing") end
      local n = 0
      for name, f in pairs(string) do n = n + 1 end
      error(n > 5 and "walked" or "not walked")
    ]]
    assert.matches("walked", why)
    assert.not_matches("not walked", why)
  end)

  describe("shared targets", function()
    for _, body in ipairs {
      'fleet[1].price = 1', 'fleet[1].price.input = 0', 'fleet[1].tags.x = true', 'fleet[1].abilities.tools = false', 'fleet[1][1] = 2',
      'table.insert(fleet[1], 3)', 'table.insert(fleet[1].tags, "x")', 'table.sort(fleet[1].price)', 'table.remove(fleet[1])',
      'table.move({ 1 }, 1, 1, 1, fleet[1])', 'fleet.x = 1', 'fleet[1] = 2',
    } do
      it("refuse " .. body, function()
        assert.matches("can not be changed", fails(body))
      end)
    end

    it("have no metatable to reach through", function()
      assert.matches("protected metatable", fails "setmetatable(fleet[1], {})")
      assert.matches("protected metatable", fails "setmetatable(fleet, {})")
      assert.matches("protected metatable", fails "setmetatable(req, {})")
      assert.same({ "openai/gpt-4o" }, (kit.eval '{ not getmetatable(fleet[1]) and not getmetatable(fleet) and "openai/gpt-4o" }'))
    end)

    it("are still the same for the next request", function()
      kit.load [[return function(req, fleet)
        for _, f in ipairs { pairs, ipairs, next } do
          pcall(function()
            local _, state = f(fleet[1].price)
            state.input = 0
          end)
        end
        fleet.found, fleet.narrow, fleet.op = { 3, 3, 3 }, { 1 }, "list"
        return {}
      end]]
      kit.ask "spec"
      assert.same({ "openai/gpt-4o-mini", "openai/gpt-4o" }, (kit.eval 'fleet:only("openai/*"):cheapest()'))
    end)
  end)

  it("lets no policy spoil the fleets of another", function()
    kit.load([[return function(req, fleet)
      local f = fleet:able():cheapest():where(function() return true end):take(2) .. fleet
      for _, name in ipairs { "is_fleet", "call", "op", "up", "said", "behind", "test", "many", "narrow", "found", "a", "b" } do
        pcall(function() f[name] = 3 end)
        pcall(function() fleet[name] = 3 end)
      end
      return {}
    end]], "hostile")
    kit.ask "hostile"
    assert.same({ "openai/gpt-4o-mini", "azure/gpt-4o" }, (kit.eval "fleet:able():cheapest():take(2)"))
  end)

  it("gives each policy its request's random numbers", function()
    kit.load "return function(req, fleet) return {}, math.random() .. ' ' .. math.random(10) .. ' ' .. req.random(5, 6) end"
    local _, a = kit.ask("spec", { seed = 7 })
    local _, b = kit.ask("spec", { seed = 7 })
    local _, c = kit.ask("spec", { seed = 8 })
    assert.equal(a.reason, b.reason)
    assert.are_not.equal(a.reason, c.reason)
    assert.matches("attempt to call", fails "math.randomseed(1)")
  end)
end)
