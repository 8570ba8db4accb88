-- What becomes of decisions when their targets fail, as a user's spec sees it.
local process = require "support.process"
local spec = require "perilune.spec"

local FLEET = {
  { id = "openai/gpt-4o", price = { input = 2, output = 10 }, context = 8000 },
  { id = "azure/gpt-4o", price = { input = 4, output = 20 }, context = 128000 },
  { id = "vllm/llama", price = { input = 0, output = 0 }, ttft_ms = 300 },
}

describe("a walk", function()
  local dir

  before_each(function()
    dir = process.folder()
  end)
  after_each(function()
    process.remove(dir)
  end)

  local function walk(text, failures, request, fleet)
    process.write(dir .. "/p.lua", text)
    return spec.walk(spec.route(dir .. "/p.lua", request, fleet or FLEET), failures)
  end

  local ALL = "return function(_, fleet) return fleet end"

  it("ends with the first that answers, and what that costs", function()
    local w = walk(ALL, {})
    assert.same({ "openai/gpt-4o" }, w.targets)
    assert.equal("openai/gpt-4o", w.answer)
    assert(math.abs(w.cost_usd - 0.007) < 1e-12) -- 1000 in, 500 out
    assert.is_nil(w.error)
  end)

  it("goes on behind failures, in order, and counts what they took and cost", function()
    local broken = { class = "server_error", status = 500, ms = 700, cost_usd = 0.001 }
    local w = walk(ALL, { ["openai/gpt-4o"] = broken, ["azure/*"] = "overloaded" })
    assert.same({ "openai/gpt-4o", "azure/gpt-4o", "vllm/llama" }, w.targets)
    assert.same({ target = "openai/gpt-4o", failure = "server_error", status = 500, at_ms = 0, ms = 700, cost_usd = 0.001 }, w.attempts[1])
    assert.equal(700, w.attempts[3].at_ms)
    assert.equal(1000, w.ms)
  end)

  it("waits for a retry, and takes the timeout a step was given", function()
    local text = 'return function() return { { target = "openai/gpt-4o", retries = 1, timeout_ms = 800 }, "vllm/llama" } end'
    local w = walk(text, { ["openai/gpt-4o"] = { "timeout", { class = "rate_limited", retry_after_ms = 200 } } })
    assert.same({ "openai/gpt-4o", "openai/gpt-4o", "vllm/llama" }, w.targets)
    assert.same({ 50 }, w.waits) -- half of what jitter gives at most
    assert.same({ 800, 0, 300 }, { w.attempts[1].ms, w.attempts[2].ms, w.attempts[3].ms })
  end)

  it("goes by when, windows, ceilings and breakers", function()
    local w = walk(ALL, { ["openai/gpt-4o"] = "context_length" })
    assert.same({ "openai/gpt-4o", "azure/gpt-4o" }, w.targets)
    w = walk('return function() return { "openai/gpt-4o", { target = "azure/gpt-4o", when = "timeout" }, "vllm/llama" } end',
      { ["openai/gpt-4o"] = "auth" })
    assert.same({ "openai/gpt-4o", "vllm/llama" }, w.targets)
    w = walk("return function(_, fleet) return fleet:chain { max_cost_usd = 0.01 } end", { ["openai/gpt-4o"] = "connect" })
    assert.same({ { target = "azure/gpt-4o", why = "cost" } }, w.passed)
    assert.equal("vllm/llama", w.answer)
    w = walk(ALL, {}, nil, { { id = "a/m", state = "open" }, "b/m" })
    assert.same({ { target = "a/m", why = "open" } }, w.passed)
    assert.same({ "b/m" }, w.targets)
    w = walk(ALL, {}, nil, { { id = "a/m", state = "open" } })
    assert.same({ "a/m" }, w.targets) -- for want of any other
  end)

  it("tells what the client is told", function()
    local function told(failures, request, text)
      local e = walk(text or ALL, failures, request).error
      return e.status .. " " .. e.code
    end
    assert.equal("503 fallbacks_exhausted", told { ["*"] = "overloaded" })
    assert.equal("429 fallbacks_exhausted", told { ["*"] = "rate_limited" })
    assert.equal("503 fallbacks_exhausted", told { ["*"] = "timeout", ["vllm/*"] = "auth" })
    assert.equal("422 invalid_request", told { ["openai/gpt-4o"] = { class = "bad_request", status = 422 } })
    assert.equal("400 content_policy_violation", told { ["openai/gpt-4o"] = "content_filter" })
    assert.equal("504 deadline_exceeded", told({ ["*"] = { class = "idle", ms = 600 } }, { limits = { deadline_ms = 1000 } }))
    assert.equal("402 no_eligible_target", told({}, nil, "return function(_, f) return f:only('gpt-4o'):with { max_cost_usd = 0.001 } end"))
  end)

  it("stops at the deadline in the middle of an attempt", function()
    local w = walk(ALL, { ["*"] = { class = "idle", ms = 600 } }, { limits = { deadline_ms = 1000 } })
    assert.same({ 600, 400 }, { w.attempts[1].ms, w.attempts[2].ms })
    assert.equal("cancelled", w.attempts[2].failure)
    assert.equal(1000, w.ms)
  end)

  it("asks on_failure, which may wait or choose anew", function()
    local text = [[
      return {
        decide = function(_, fleet) return fleet:only "gpt-4o" end,
        on_failure = function(req, failure, rest, fleet)
          if failure.class == "rate_limited" then
            return { retry_in_ms = 150 }
          elseif failure.class == "context_length" then
            assert(failure.target == "openai/gpt-4o" and failure.attempt == 2 and failure.elapsed_ms == 150)
            assert(rest:count() == 1 and rest[1].id == "azure/gpt-4o")
            return fleet:only "llama"
          end
        end,
      }]]
    local w = walk(text, { ["openai/gpt-4o"] = { "rate_limited", "context_length" } })
    assert.same({ "openai/gpt-4o", "openai/gpt-4o", "vllm/llama" }, w.targets)
    assert.same({ 150 }, w.waits)
    assert.same({
      { target = "openai/gpt-4o", failure = "rate_limited", gave = "retry" },
      { target = "openai/gpt-4o", failure = "context_length", gave = "chain" },
    }, w.on_failure)
  end)

  it("queues until the retry window closes", function()
    local text = 'return function(_, fleet) return fleet:take(1):chain { on_exhausted = "queue", retry_window_ms = 1000 } end'
    local w = walk(text, { ["*"] = { { class = "rate_limited", retry_after_ms = 400 }, { class = "overloaded", retry_after_ms = 700 } } })
    assert.same({ 400 }, w.waits) -- 400 + 700 would be behind the window
    assert.equal("fallbacks_exhausted", w.error.code)
  end)

  it("says what is wrong with a script of failures", function()
    local function why(failures)
      return select(2, pcall(walk, ALL, failures))
    end
    assert.is_truthy(why({ ["a/m"] = "rate_limit" }):find('no failure class "rate_limit"; did you mean "rate_limited"', 1, true))
    assert.is_truthy(why({ ["a/m"] = { { clas = "auth" } } }):find(
      'failures["a/m"][1]: an outcome has no field "clas"; did you mean "class"', 1, true))
    assert.is_truthy(select(2, pcall(spec.walk, {})):find("expected what route() gave", 1, true))
  end)
end)
