--- docs/configuration.md and docs/http.md: every setting and header that the sources have is on its page.
local account = require "perilune.account"
local config = require "perilune.config"
local kit = require "spec.support.policy_kit"

local function names_in(path, pattern)
  local names = {}
  for name in kit.read(path):gmatch(pattern) do
    names[#names + 1] = name
  end
  assert.is_true(#names > 0, path)
  return names
end

local function expect(page, names)
  local text = kit.read(page)
  for _, name in ipairs(names) do
    assert.is_truthy(text:find("`" .. name, 1, true) or text:find("." .. name .. "`", 1, true) or text:find(name .. " =", 1, true),
      page .. " does not say what " .. name .. " is")
  end
end

describe("docs/configuration.md", function()
  it("has every setting", function()
    local names = {}
    for name in pairs(config.settings) do
      names[#names + 1] = name
    end
    expect("docs/configuration.md", names)
  end)

  it("has every setting below the top, too", function()
    local block = kit.read("lua/perilune/config.lua"):match "local SETTINGS = (%b{})"
    local names = {}
    for name in block:gmatch "\n    ([%w_]+) = " do
      names[#names + 1] = name
    end
    assert.is_true(#names > 20)
    expect("docs/configuration.md", names)
  end)
end)

describe("docs/configuration.md, of who asks and what it may cost", function()
  it("has every field", function()
    for _, fields in pairs(account.fields) do
      local names = {}
      for name in pairs(fields) do
        names[#names + 1] = name
      end
      expect("docs/configuration.md", names)
    end
  end)
end)

describe("docs/http.md", function()
  it("has every header of ours", function()
    local names = {}
    for _, what in ipairs(names_in("core/route/access.c", 'span_eq%(what, SPAN%("([%w-]+)"%)%)')) do
      names[#names + 1] = "x-route-" .. what
    end
    expect("docs/http.md", names)
    expect("docs/http.md", names_in("core/route/client.c", 'SPAN%("(x%-rout[%w-]+)"%)'))
    expect("docs/http.md", names_in("core/route/client.c", 'SPAN%("([x-]*idempotent[%w-]+)"%)'))
    expect("docs/http.md", names_in("core/route/charge.c", 'SPAN%("(x%-ratelimit[%w-]+)"%)'))
  end)
end)
