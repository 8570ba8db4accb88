local kit = require "support.policy_kit"

local function said(expression, over)
  kit.load("return function(req, fleet) return {}, tostring(" .. expression .. ") end")
  return select(2, kit.ask("spec", over)).reason
end

describe("req", function()
  setup(function()
    kit.setup()
  end)

  it("has the fields that are there, and nil for known ones that are not", function()
    assert.equal("paid", said("req.tier", { tier = "paid" }))
    assert.equal("nil", said "req.tier")
    assert.equal("nil", said "req.text")
  end)

  it("has defaults for tables, so that policies need no tests", function()
    assert.equal("nil", said "req.tags.eu")
    assert.equal("nil", said "req.key.project")
    assert.equal("inf", said "req.budget.left_usd")
    assert.equal("0", said "#req.tool_names")
    assert.equal("false", said "req.strict")
  end)

  it("reads what the core gives only when asked", function()
    local asked = {}
    local req = setmetatable(kit.request(), { __index = function(_, key)
      asked[#asked + 1] = key
      return key == "text" and "hello" or nil
    end })
    kit.load "return function(req, fleet) return fleet:take(1), req.text .. tostring(req.system) end"
    local decision = require("perilune.host").decide("spec", req)
    assert.equal("hellonil", decision.reason)
    assert.same({ "text", "system" }, asked)
  end)

  it("of the core is read from it, as long as its call lasts", function()
    local host, request = require "perilune.host", require "perilune.request"
    local asked = {}
    local function core()
      return host.request("auto", 10, 20, 0, math.huge, math.huge, 0, false, false, false, 7, 0)
    end
    request.setup(function(name)
      asked[#asked + 1] = name
      return name == "tier" and "paid" or nil
    end)
    kit.load [[
      local kept
      return function(req, fleet)
        kept = kept or req
        return fleet:take(1), req.tier .. " " .. req.tier .. " " .. tostring(kept.user) .. " " .. req.model
      end]]
    assert.equal("paid paid nil auto", host.decide("spec", core()).reason)
    assert.same({ "tier", "user" }, asked)
    assert.equal("paid paid nil auto", host.decide("spec", core()).reason)
    assert.same({ "tier", "user", "tier" }, asked)
    request.setup(nil)
  end)

  it("of the core has the key's metadata as a table, and null as nothing", function()
    local host, request = require "perilune.host", require "perilune.request"
    local function of(key, expression)
      request.setup(function(name)
        return name == "key" and key or nil
      end)
      kit.load("return function(req, fleet) return {}, tostring(" .. expression .. ") end")
      return host.decide("spec", host.request("auto", 1, 1, 0, math.huge, math.huge, 0, false, false, false, 7, 0)).reason
    end
    assert.equal("team-x", of({ project = "shop", tags = {}, meta = '{"team":"team-x"}' }, "req.key.meta.team"))
    assert.equal("nil", of({ tags = {}, meta = '{"a":{"b":null}}' }, "req.key.meta.a.b"))
    assert.equal("nil", of({ project = "default", tags = {} }, "req.key.meta.plan"))
    assert.equal("nil", of(nil, "req.key.meta.plan"))
    request.setup(nil)
  end)

  it("of a key that is kept to some models begins with a fleet of these", function()
    local kept = { usable = { "azure/*", "openai/gpt-4o-mini", "nobody/has-it" } }
    assert.same({ "openai/gpt-4o-mini", "azure/gpt-4o" }, (kit.eval("fleet", kept)))
    assert.same({ "openai/gpt-4o-mini", "azure/gpt-4o" }, (kit.eval("fleet:able():cheapest()", kept)))
    assert.same({ "azure/gpt-4o" }, (kit.eval('fleet:only { "gpt-4o" }', kept)))
    assert.same({}, (kit.eval('fleet:only { "claude-sonnet-4-6" }', kept)))
    assert.equal(5, #kit.eval("fleet"))
  end)

  it("is the policy's own to change", function()
    assert.equal("mine", said "(function() req.tier = 'mine' return req.tier end)()")
  end)

  describe("clock", function()
    local function clock(zone, now)
      return said(([[(function()
        local c = req.clock(%s)
        return ("%%s %%02d:%%02d %%d"):format(c.date, c.hour, c.minute, c.weekday)
      end)()]]):format(zone), { now = now })
    end

    for _, case in ipairs {
      { "", 0, "1970-01-01 00:00 4" },
      { '"UTC"', 1790000000, "2026-09-21 14:13 1" },
      { '"+02:00"', 1790000000, "2026-09-21 16:13 1" },
      { '"-1430"', 1790000000, "2026-09-20 23:43 7" },
      { '"+9"', 1790000000.9, "2026-09-21 23:13 1" },
      { "", 951782400, "2000-02-29 00:00 2" },
      { "", 4107542399, "2100-02-28 23:59 7" },
      { '"-01:00"', 1798761600, "2026-12-31 23:00 4" },
    } do
      it(case[3] .. " " .. case[1], function()
        assert.equal(case[3], clock(case[1], case[2]))
      end)
    end

    it("agrees with the system's calendar", function()
      for t = 0, 4e9, 86400 * 37 + 3661 do
        assert.equal(os.date("!%Y-%m-%d %H:%M ", t) .. ((tonumber(os.date("!%w", t)) + 6) % 7 + 1), clock("", t))
      end
    end)

    it("takes a colon or a dot", function()
      assert.equal("14", said("req:clock('UTC').hour", { now = 1790000000 }))
      assert.equal("14", said("req:clock().hour", { now = 1790000000 }))
    end)
  end)

  it("is told of nothing that only the library goes by", function()
    local fields = {}
    for _, name in ipairs(require("perilune.request").fields()) do
      fields[name] = true
    end
    assert.is_nil(fields.chat)
    assert.is_nil(fields.last_target)
    assert.is_nil(fields.most)
    assert.is_true(fields.uses)
    assert.equal("true", said("req.chat", { chat = true })) -- and still no misspelling
  end)

  it("has random numbers of its own", function()
    assert.equal(said("req.random(1000000)", { seed = 5 }), said("req:random(1000000)", { seed = 5 }))
    assert.equal("3", said "req.random(3, 3)")
  end)
end)
