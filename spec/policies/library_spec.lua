-- library/perilune.lua, which editors read: it says what the library checks, and docs/reference.md says the same.
local catalogue = require "perilune.catalogue"
local failure = require "perilune.failure"
local fleet = require "perilune.fleet"
local kit = require "support.policy_kit"
local provider = require "perilune.provider"
local request = require "perilune.request"
local steps = require "perilune.steps"

local TEXT = kit.read "library/perilune.lua"

-- Names of the fields of a class, as a set.
local function fields_of(class)
  local block = TEXT:match("%-%-%-@class perilune%." .. class .. "\n(.-)\n[^-]")
  local set = {}
  for name in block:gmatch "%-%-%-@field ([%w_]+)" do
    set[name] = true
  end
  return set
end

local function set_of(list)
  local set = {}
  for _, name in ipairs(list) do
    set[name] = true
  end
  return set
end

local function keys(t)
  local set = {}
  for name in pairs(t) do
    set[name] = true
  end
  return set
end

-- The names between bars of an alias.
local function alias(name)
  local set = {}
  for value in TEXT:match("%-%-%-@alias perilune%." .. name .. "(.-)\n\n"):gmatch '"([%w_]+)"' do
    set[value] = true
  end
  return set
end

describe("the definitions for editors", function()
  it("have every field of requests and targets, and no other", function()
    assert.same(set_of(request.fields()), fields_of "Request")
    assert.same(set_of(catalogue.fields()), fields_of "Target")
  end)

  it("have every field of who asks and what is left, and no other", function()
    assert.same(set_of(request.key_fields), fields_of "Key")
    assert.same(set_of(request.budget_fields), fields_of "Budget")
  end)

  it("have every field of steps and chains, and no other", function()
    assert.same(keys(steps.step_fields), fields_of "StepFields")
    assert.same(keys(steps.chain_fields), fields_of "ChainFields")
  end)

  it("have every failure class and ability", function()
    assert.same(set_of(failure.classes), alias "FailureClass")
    assert.same(set_of(provider.abilities), alias "Ability")
  end)

  it("have every word of a fleet with its parameters", function()
    local source, there = kit.read "lua/perilune/fleet.lua", {}
    for name, parameters in TEXT:gmatch "function Fleet:([%w_]+)%(([^)]*)%)" do
      there[name] = parameters
    end
    local words = {}
    for name in pairs(fleet.words) do
      words[name] = assert(source:match("function words%." .. name .. "%(fleet,?%s*([^)]*)%)"), name)
    end
    assert.same(words, there)
  end)

  it("are Lua", function()
    assert(loadstring(TEXT, "@library/perilune.lua"))
  end)

  it("are what docs/reference.md is made of", function()
    local pipe = assert(io.popen "luajit tools/reference.lua")
    local page = pipe:read "*a"
    pipe:close()
    assert(page == kit.read "docs/reference.md", "docs/reference.md is old: luajit tools/reference.lua > docs/reference.md")
  end)
end)
