local prices = require "perilune.prices"
local S = require "perilune.schema"

local function wrong(price)
  local found
  prices.schema(price, "price", function(setting, message)
    found = setting .. ": " .. message
  end)
  return found
end

local function checked(price)
  return prices.schema(price, "price", function(setting, message)
    error(S.join(setting, message))
  end)
end

describe("prices", function()
  it("are whole nano-dollars, -1 where unknown", function()
    assert.same({ input = 150000000, output = 5000000, cached = 0, cache_write = -1 },
      prices.base(checked { input = 0.15, output = 0.005, cached = 0 }))
  end)

  it("[E7] vary by tier, date, hour and day", function()
    local rules = prices.rules(checked {
      input = 1, output = 2, cached = 0.1, cache_write = 1.25,
      rules = {
        { above = 200000, input = 3 },
        { ["until"] = "2026-12-31", output = 1 },
        { hours = { "16:30", "00:30" }, days = { "sat", "sun", "sat" }, cached = 0 },
      },
    })
    local base = { output = 2e9, input = 1e9, cached = 1e8, cache_write = 1.25e9, above = -1, until_s = 0, from_min = -1, to_min = -1,
      days = 0 }
    local function with(more)
      local out = {}
      for k, v in pairs(base) do
        out[k] = more[k] or v
      end
      return out
    end
    assert.same({
      with { above = 200000, input = 3e9 },
      with { until_s = 1798761600, output = 1e9 }, -- the end of that day, UTC
      with { from_min = 990, to_min = 30, days = 96, cached = 0 },
    }, rules)
  end)

  it("know the calendar", function()
    local function ends(day)
      return prices.rules(checked { input = 1, output = 1, rules = { { ["until"] = day } } })[1].until_s - 86400
    end
    assert.same({ 0, 951782400, 951868800, 1709164800, 4107542400 },
      { ends "1970-01-01", ends "2000-02-29", ends "2000-03-01", ends "2024-02-29", ends "2100-03-01" })
  end)

  it("say what is wrong with them", function()
    for expected, rule in pairs {
      ["rules%[1%]: expected when it holds"] = { input = 1 },
      ["rules%[1%].until: expected the last day"] = { ["until"] = "31.12.2026" },
      ["rules%[1%].hours: expected from and to in UTC"] = { hours = { "16:30", "24:00" } },
      ["rules%[1%].days%[2%]: expected one of mon"] = { days = { "sat", "noday" } },
      ["rules%[1%].days: expected days"] = { days = {} },
      ["rules%[1%].above: expected a whole number"] = { above = -1 },
    } do
      assert.matches(expected, wrong { input = 1, output = 1, rules = { rule } })
    end
    assert.matches("rules: expected a price for input and output", wrong { input = 1, rules = { { above = 1, output = 1 } } })
    assert.matches("until", wrong { input = 1, output = 1, rules = { { ["until"] = "2026-13-01" } } })
    assert.matches("hours", wrong { input = 1, output = 1, rules = { { hours = { "10:00", "10:00" } } } })
  end)
end)
