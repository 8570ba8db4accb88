--- What a policy call costs in Lua, JIT off as in the product: host.decide for the shipped policies over small and large catalogues.
---
---   luajit -joff bench/policy.lua [rounds] [--json]
package.path = "lua/?.lua;" .. package.path
if jit then
  jit.off()
end

local host = require "perilune.host"

local rounds = tonumber(arg and arg[1]) or 20000
local json = arg and (arg[1] == "--json" or arg[2] == "--json")

local function read(path)
  local f = assert(io.open(path))
  local text = f:read "*a"
  f:close()
  return text
end

-- n targets at ten providers; prices spread over two decades, output about four times input, as catalogues have them.
local function catalogue(n)
  local hash = require "perilune.hash"
  local random = hash.random(42)
  local targets = {}
  for i = 1, n do
    local provider = "provider" .. (i % 10)
    local input = 10 ^ (random() * 2 - 1)
    targets[i] = {
      id = ("%s/model-%d"):format(provider, i), provider = provider, model = "model-" .. i, upstream = "model-" .. i,
      price = { input = input, output = input * (2 + random() * 6) }, context = 128000, max_output = 16384,
      abilities = { tools = random() < 0.9, images = random() < 0.5, json_schema = true }, quality = random() * 60, weight = 1, tags = {},
    }
  end
  return targets
end

local function request(i)
  return {
    model = "auto", endpoint = "/v1/chat/completions", dialect = "openai_chat", stream = true, headers = {}, tier = "paid",
    tokens = { input = 500 + i % 1000, output = 300 }, uses = { tools = true }, turns = 1, limits = {}, seed = i, now = 1790000000,
  }
end

local FULL_SCAN = [[
return function(req, fleet)
  return fleet:able():where(function(t) return t.quality > 20 end):by(function(t) return t.price.input end):take(3)
end]]

local BOUNDS = [[
return function(req, fleet)
  return fleet:able():at_least { quality = 20 }:at_most { latency = 10000 }:by(function(t) return t.weight end):take(3)
end]]

local SOURCES = {
  { name = "cheapest", path = "policies/cheapest.lua", text = read "policies/cheapest.lua" },
  { name = "quality", path = "policies/quality.lua", text = read "policies/quality.lua" },
  { name = "fastest", path = "policies/fastest.lua", text = read "policies/fastest.lua" },
  { name = "tier", path = "policies/tier.lua", text = read "policies/tier.lua" },
  { name = "bounds", path = "bounds.lua", text = BOUNDS },
  { name = "full scan", path = "scan.lua", text = FULL_SCAN },
}

-- Figures of all targets, and of one that change before each decision, as under load.
local function tell_figures(n)
  local random = require("perilune.hash").random(7)
  local figures = {}
  for i = 1, n do
    figures[i] = {
      index = i, state = "closed", in_flight = 1, ttft_ms = { p50 = 100 + random() * 2000 }, tokens_per_s = 20 + random() * 200,
    }
  end
  host.update(figures)
  return figures
end

local function print_line(name, n, us)
  print((json and '{"policy":"%s","targets":%d,"us":%.3f}' or "%-12s %10d %10.2f"):format(name, n, us))
end

-- `figures`: one of them changes before each decision; its telling counts.
local function measure(name, n, figures)
  local requests = {}
  for i = 1, n do
    requests[i] = request(i)
  end
  collectgarbage()
  local from = os.clock()
  local change = figures and { false }
  for i = 1, n do
    if change then
      change[1] = figures[i % #figures + 1]
      change[1].ttft_ms.p50 = change[1].ttft_ms.p50 + i % 7 - 3
      host.update(change)
    end
    host.decide(name, requests[i])
  end
  return (os.clock() - from) / n * 1e6
end

-- The best of a few, so that a busy moment does not show.
local function best_of(name, figures)
  measure(name, rounds / 10, figures)
  local best = math.huge
  for _ = 1, 5 do
    best = math.min(best, measure(name, rounds / 5, figures))
  end
  return best
end

if not json then
  print(("%-12s %10s %10s   microseconds a call, the request's table not included"):format("policy", "targets", "us"))
end
for _, n in ipairs { 10, 100, 1000 } do
  local from = os.clock()
  host.setup { targets = catalogue(n), chains = {} }
  local setup = (os.clock() - from) * 1e6
  local figures = tell_figures(n)
  for _, source in ipairs(SOURCES) do
    assert(host.load(source))
    host.prepare(source.name)
    print_line(source.name, n, best_of(source.name))
    if source.name == "fastest" then
      print_line("  changing", n, best_of(source.name, figures))
    end
  end
  print_line("setup", n, setup)
end
