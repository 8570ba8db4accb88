-- Expectations: what holds says nothing, what does not shows the decision.
local expect = require "perilune.spec.expect"
local spec = require "perilune.spec"

local FLEET = {
  { id = "openai/gpt-4o", price = { input = 2.5, output = 10 }, quality = 11 },
  { id = "openai/gpt-4o-mini", price = { input = 0.15, output = 0.6 }, quality = 7 },
  { id = "vllm/llama", quality = 3 },
}

local function cheapest()
  return spec.route("cheapest", nil, FLEET)
end

-- The message an expectation ends with.
local function why(f)
  local ok, message = pcall(f)
  assert(not ok, "expected it not to hold")
  return tostring(message)
end

-- name -> what holds, what does not
local DECISIONS = {
  to = { { "openai/gpt-4o-mini" }, { "vllm/llama" } },
  falls_back = { { { "openai/gpt-4o", "vllm/*" } }, { { "vllm/llama", "openai/gpt-4o" } } },
  in_order = { { { "openai/gpt-4o-mini", "vllm/llama" } }, { { "vllm/llama", "openai/gpt-4o" } } },
  never_to = { { "anthropic/*" }, { { "anthropic/*", "openai/*" } } },
  costs_at_most = { { 0.001 }, { 0.0001 } },
  because = { { "cheap" }, { "fast" } },
}

describe("assert.routes", function()
  for name, case in pairs(DECISIONS) do
    it(name, function()
      local decision = cheapest()
      decision.reason = decision.reason or "cheapest first"
      assert.routes(decision)[name](unpack(case[1]))
      local message = why(function()
        assert.routes(decision)[name](unpack(case[2]))
      end)
      assert.is_truthy(message:find("expect_spec.lua:%d+: expected "), message)
      assert.is_truthy(message:find("the decision:\n  1. openai/gpt-4o-mini, $0.000450\n  2. openai/gpt-4o, ", 1, true), message)
    end)
  end

  it("refuses", function()
    local refused = { targets = {}, costs = {}, cuts = {}, findings = {}, refused = { status = 413, message = "too long" } }
    assert.routes(refused).refuses().refuses(413)
    assert.is_truthy(why(function()
      assert.routes(refused).refuses(403)
    end):find("expected a refusal with 403, not one with 413\nthe decision:\n  refused 413 policy_refused: too long", 1, true))
    assert.is_truthy(why(function()
      assert.routes(cheapest()).refuses()
    end):find("expected a refusal, not a chain", 1, true))
  end)

  it("goes on from one to the next", function()
    assert.routes(cheapest()).to("openai/*").falls_back({ "openai/gpt-4o", "vllm/llama" }).never_to("anthropic/*")
  end)

  it("shows what was left out, and why", function()
    local decision = spec.route("cheapest", { tokens = { input = 10, output = 10 }, limits = { max_cost_usd = 1 } }, FLEET)
    assert.is_truthy(why(function()
      assert.routes(decision).to("vllm/llama")
    end):find("left out: able: price", 1, true))
  end)

  it("tells near names, and what it takes", function()
    assert.is_truthy(why(function()
      assert.routes(cheapest()).too("x")
    end):find('nothing like "too" can be expected; did you mean "to"?', 1, true))
    assert.is_truthy(why(function()
      assert.routes { "openai/gpt-4o" }
    end):find("expected what spec.route gave", 1, true))
  end)

  it("is an error of its line without luassert", function()
    local luassert = package.loaded.luassert
    package.loaded.luassert = nil
    local ok, message = pcall(function()
      spec.routes(cheapest()).to("vllm/llama")
    end)
    package.loaded.luassert = luassert
    assert.is_false(ok)
    assert.is_truthy(message:find("^[^\n]*expect_spec.lua:%d+: expected to go to vllm/llama first"), message)
  end)
end)

local WALKS = {
  tries = { { { "openai/gpt-4o-mini", "openai/gpt-4o" } }, { { "openai/gpt-4o" } } },
  answers = { { "openai/gpt-4o" }, { "vllm/llama" } },
  in_order = { { { "openai/gpt-4o" } }, { { "vllm/llama" } } },
  never_to = { { "vllm/*" }, { "openai/*" } },
  costs_at_most = { { 0.01 }, { 0.001 } },
  takes_at_most = { { 500 }, { 400 } },
}

describe("assert.walks", function()
  for name, case in pairs(WALKS) do
    it(name, function()
      local walk = spec.walk(cheapest(), { ["openai/gpt-4o-mini"] = { class = "overloaded", ms = 450 } })
      assert.walks(walk)[name](unpack(case[1]))
      local message = why(function()
        assert.walks(walk)[name](unpack(case[2]))
      end)
      assert.is_truthy(message:find("the walk:\n  1. openai/gpt-4o-mini at 0 ms: overloaded after 450 ms", 1, true), message)
    end)
  end

  it("fails", function()
    local walk = spec.walk(cheapest(), { ["*"] = "overloaded" })
    assert.walks(walk).fails().fails("fallbacks_exhausted").fails(503)
    assert.is_truthy(why(function()
      assert.walks(walk).fails(429)
    end):find("expected an error 429, not fallbacks_exhausted", 1, true))
  end)
end)

it("every expectation has its case", function()
  for name in pairs(expect.of_decisions) do
    assert(DECISIONS[name] or name == "refuses", name)
  end
  for name in pairs(expect.of_walks) do
    assert(WALKS[name] or name == "fails", name)
  end
end)
