--- For specs of policies and of the library under them: a small catalogue, and a policy asked with one line.
local host = require "perilune.host"

local M = {}

local ALL = { tools = true, images = true, json_schema = true }

--- A target as the core hands it over; `over` changes what is usual.
function M.target(id, over)
  local provider, model = id:match "^([^/]+)/(.+)$"
  local t = {
    id = id, provider = provider, model = model, upstream = model, price = { input = 1, output = 4 }, context = 128000,
    max_output = 16384, abilities = ALL, quality = 30, weight = 1, tags = {},
  }
  for k, v in pairs(over or {}) do
    if v == "unknown" then
      t[k] = nil
    else
      t[k] = v
    end
  end
  return t
end

--- Five targets that differ in what policies look at.
function M.catalogue()
  return {
    M.target("openai/gpt-4o", { price = { input = 2.5, output = 10 }, quality = 11 }),
    M.target("openai/gpt-4o-mini", { price = { input = 0.15, output = 0.6 }, quality = 7 }),
    M.target("anthropic/claude-sonnet-4-6", { price = { input = 3, output = 15 }, quality = 48, context = 1000000 }),
    M.target("azure/gpt-4o", { price = { input = 2.5, output = 9 }, quality = 11, tags = { eu = true } }),
    M.target("vllm/llama-3.3-70b", {
      price = {}, quality = "unknown", context = 8192, abilities = { tools = true }, tags = { eu = true, own = true },
    }),
  }
end

--- Sets a catalogue up; `more` are further fields of host.setup.
function M.setup(targets, more)
  local setup = { targets = targets or M.catalogue(), chains = {}, aliases = {}, params = {} }
  for k, v in pairs(more or {}) do
    setup[k] = v
  end
  host.setup(setup)
  M.targets = setup.targets
end

--- A request; `over` changes what is usual.
function M.request(over)
  local req = {
    model = "auto", endpoint = "/v1/chat/completions", dialect = "openai_chat", stream = false, headers = {}, uses = {},
    tokens = { input = 1000, output = 500 }, turns = 1, limits = {}, seed = 1, now = 1790000000,
  }
  for k, v in pairs(over or {}) do
    req[k] = v
  end
  return req
end

--- Loads a policy from its text; raises what is wrong with it.
function M.load(text, name, libs)
  local ok, finding = host.load { name = name or "spec", path = ("policies/%s.lua"):format(name or "spec"), text = text, libs = libs }
  if not ok then
    error(finding.message, 0)
  end
  host.prepare(name or "spec")
end

local function read(path)
  local f = assert(io.open(path))
  local text = f:read "*a"
  f:close()
  return text
end
M.read = read

--- Loads a shipped policy, with what it requires.
function M.load_shipped(name)
  local bundle = require "perilune.bundle"
  local files = {}
  for _, n in ipairs { "auto", "cheapest", "quality", "fastest", "split", "tier" } do
    files[n] = { path = "policies/" .. n .. ".lua", text = read("policies/" .. n .. ".lua") }
  end
  local source = assert(bundle.collect(name, files))
  local ok, finding = host.load(source)
  if not ok then
    error(finding.message, 0)
  end
  host.prepare(name)
end

--- The targets' ids of a decision's steps.
function M.ids(decision)
  local out = {}
  for j, step in ipairs(decision) do
    local i = type(step) == "table" and (step.index or step.id) or step
    out[j] = type(i) == "number" and M.targets[i].id or i
  end
  return out
end

--- Asks a loaded policy: ids, and the decision itself.
function M.ask(name, over)
  local decision = host.decide(name, M.request(over))
  return M.ids(decision), decision
end

--- Ids of what an expression over `req` and `fleet` comes to.
function M.eval(expression, over)
  M.load("return function(req, fleet) return " .. expression .. " end")
  return M.ask("spec", over)
end

--- The message a decision ends with.
function M.fails(body, over)
  M.load("return function(req, fleet) " .. body .. " end")
  local ok, why = pcall(host.decide, "spec", M.request(over))
  assert(not ok, "expected the policy to fail")
  return why
end

--- Cuts as "word: why: count", sorted.
function M.cuts(decision)
  local out = {}
  for j, c in ipairs(decision.cuts or {}) do
    out[j] = ("%s: %s: %s"):format(c.word, c.why, c.target or c.count)
  end
  table.sort(out)
  return out
end

return M
