local quirks = require "perilune.quirks"
local kit = require "support.config_kit"

describe("quirks", function()
  local function wrong(given)
    local found = {}
    quirks.schema(given, "quirks", function(setting, message, hint)
      found[#found + 1] = ("%s: %s [%s]"):format(setting, message, hint or "")
    end)
    return table.concat(found, "\n")
  end

  it("are a closed list of words", function()
    assert.equal("", wrong { no_strict = true, efforts = { "low" }, max_stop = 4, reasoning = "thinking", seed = "random_seed" })
    assert.matches('quirks.no_strct: unknown setting .*%[did you mean "no_strict"', wrong { no_strct = true })
    assert.matches("quirks.reasoning: expected one of", wrong { reasoning = "think" })
    assert.matches("quirks.max_n: expected a whole number", wrong { max_n = "1" })
    assert.matches("quirks.unsupported: expected a list", wrong { unsupported = "stop" })
    assert.matches("quirks.no_prefill: expected true or false", wrong { no_prefill = 1 })
  end)

  it("are each described where dialects read them", function()
    local text = kit.read_file "lua/perilune/quirks.lua"
    for name in pairs(quirks.fields) do
      assert(text:find("---@field " .. name .. "?", 1, true), "no word on " .. name)
    end
    for name in text:gmatch "%-%-%-@field ([%w_]+)%?" do
      assert(quirks.fields[name], name .. " is described and not taken")
    end
  end)

  it("of a model stand over those of its provider, one by one, as JSON with sorted keys", function()
    local r = kit.read [[
      providers = { p = { base_url = "http://x/v1", quirks = { max_n = 1, seed = "random_seed", efforts = { "low" } }, models = {
        "plain", { name = "own", quirks = { max_n = 4, no_strict = false, efforts = { "high", "max" } } } } } } ]]
    assert.equal('{"efforts":["low"],"max_n":1,"seed":"random_seed"}', r.providers[1].quirks)
    assert.equal(r.providers[1].quirks, r.targets[1].quirks)
    assert.equal('{"efforts":["high","max"],"max_n":4,"no_strict":false,"seed":"random_seed"}', r.targets[2].quirks)
    assert.is_nil(kit.read('providers = { p = { base_url = "http://x/v1", models = { "m" } } }').targets[1].quirks)
  end)
end)
