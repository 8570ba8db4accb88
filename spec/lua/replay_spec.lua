-- Recorded requests through a policy: what changes, judged by what was known then; records that are not what they should be.
local host = require "perilune.host"
local json = require "perilune.json"
local kit = require "support.policy_kit"
local replay = require "perilune.replay"

local PRICES = {
  ["openai/gpt-4o"] = { 2500, 10000 }, ["openai/gpt-4o-mini"] = { 150, 600 }, ["anthropic/claude-sonnet-4-6"] = { 3000, 15000 },
  ["azure/gpt-4o"] = { 2500, 9000 },
}

-- Nano-dollars a token; what was read from a cache is half of it.
local function cost(target, tokens)
  local price = PRICES[target]
  return price and tokens.input * price[1] + tokens.output * price[2] - math.max(tokens.cached, 0) * price[1] / 2
end

-- What the gateway does between a record and its policies, in plain Lua.
local function decide_by(name)
  return function(_, req, changes)
    local updates = {}
    for _, c in ipairs(changes or {}) do
      for i, t in ipairs(kit.targets) do
        if t.id == c.target then
          updates[#updates + 1] = {
            index = i, state = c.state or "closed", headroom = c.headroom or false, ttft_ms = c.ttft_ms or false,
            tokens_per_s = c.tokens_per_s or false,
          }
        end
      end
    end
    host.update(updates)
    local own = {} -- a decision makes the table its own
    for k, v in pairs(req) do
      own[k] = v
    end
    local ok, d = pcall(host.decide, name, own)
    if not ok then
      return nil, "raised", d
    end
    local chain = {}
    for _, step in ipairs(d) do
      chain[#chain + 1] = kit.targets[type(step) == "number" and step or step.index].id
    end
    return { chain = chain, refused = d.refused and (d.refused.status or 403) }
  end
end

local function load_policy(name, text)
  kit.load(text, name)
end

local function line(fields)
  return (assert(json.encode(fields)))
end

local function request(at, fields)
  local out = {
    kind = "request", id = "r" .. at, at = at, policy = "p@1", req = kit.request { now = at }, chain = { "openai/gpt-4o" },
    attempts = { { target = "openai/gpt-4o", status = 200, ms = 500, input_tokens = 1000, output_tokens = 100 } }, outcome = "answered",
  }
  out.req.headers, out.req.uses, out.req.limits = nil, nil, nil
  for k, v in pairs(fields or {}) do
    out[k] = v
  end
  return line(out)
end

local function run(lines, options)
  local o = { decide = decide_by "p", cost = cost, policy = "p@2" }
  for k, v in pairs(options or {}) do
    o[k] = v
  end
  local r = replay.new(o)
  for _, l in ipairs(lines) do
    r:feed(l)
  end
  while not r:finish(2) do end
  return r:report(o.limits or {})
end

before_each(function()
  kit.setup()
  load_policy("p", 'return function() return { "openai/gpt-4o" } end')
end)

describe("a policy that decides as before", function()
  it("changes nothing", function()
    local r = run { request(100), request(101), request(102) }
    assert.same({ 3, 0, 0 }, { r.requests, r.changed, r.errors.count })
    assert.same({ 0, 3 }, { r.cost.change, r.cost.compared })
    assert.equal(3 * (1000 * 2500 + 100 * 10000) / 1e9, r.cost.before_usd)
    assert.equal(r.cost.before_usd, r.cost.after_usd)
    assert.same({ { target = "openai/gpt-4o", before = 3, after = 3 } }, r.targets)
  end)

  it("draws the same numbers", function()
    load_policy("p", 'return function(req) return req.random() < 0.5 and { "openai/gpt-4o" } or { "azure/gpt-4o" } end')
    local ask, lines, seen = decide_by "p", {}, {}
    for i = 1, 20 do
      local req = kit.request { seed = tostring(i * 7919) }
      req.seed = tonumber(req.seed)
      local chain = ask("policy", req).chain
      seen[chain[1]] = true
      req = kit.request { seed = i * 7919 }
      req.headers, req.uses, req.limits = nil, nil, nil
      lines[i] = request(i, { chain = chain, req = req })
    end
    assert.is_true(seen["openai/gpt-4o"] and seen["azure/gpt-4o"])
    assert.equal(0, run(lines).changed)
  end)
end)

describe("a policy that decides otherwise", function()
  it("is priced by the tokens that were used", function()
    load_policy("p", 'return function() return { "anthropic/claude-sonnet-4-6", "openai/gpt-4o" } end')
    local r = run { request(100), request(101, { chain = { "anthropic/claude-sonnet-4-6", "openai/gpt-4o" } }) }
    assert.same({ 1, 1 }, { r.changed, r.changed_first })
    assert.equal(0.5, r.changed_share)
    assert.equal("r100", r.shown[1].id)
    assert.same({ { "openai/gpt-4o" }, { "anthropic/claude-sonnet-4-6", "openai/gpt-4o" } }, { r.shown[1].before, r.shown[1].after })
    assert.equal(0.0045, r.shown[1].cost_after_usd)
  end)

  it("finds no cache where it was not kept", function()
    load_policy("p", 'return function() return { "azure/gpt-4o" } end')
    local used = { { target = "openai/gpt-4o", ms = 1, input_tokens = 1000, output_tokens = 0, cached_tokens = 1000 } }
    local r = run { request(100, { attempts = used }) }
    assert.same({ 0.00125, 0.0025 }, { r.cost.before_usd, r.cost.after_usd })
  end)

  it("is not priced where a price or the usage is not known", function()
    load_policy("p", 'return function() return { "vllm/llama-3.3-70b" } end')
    local r = run({ request(100), request(101, { attempts = {} }) }, { limits = { max_cost_increase = 0 } })
    assert.same({ 0, 2 }, { r.cost.compared, r.cost.unknown })
    assert.same({ { threshold = "--max-cost-increase", limit = 0 } }, r.passed)
  end)

  it("may refuse", function()
    load_policy("p", "return function() return nil, { status = 403 } end")
    local r = run { request(100), request(101, { chain = {}, refused = 403, attempts = {} }) }
    assert.same({ 1, 0, 403 }, { r.changed, r.unanswered.after, r.shown[1].refused_after })
    assert.same({ target = "(refused)", before = 1, after = 2 }, r.targets[1])
  end)

  it("shows the dearest changes alone", function()
    load_policy("p", 'return function() return { "anthropic/claude-sonnet-4-6" } end')
    local lines = {}
    for i = 1, 30 do
      lines[i] = request(i, { attempts = { { target = "openai/gpt-4o", input_tokens = 10 * i, output_tokens = 1 } } })
    end
    local r = run(lines, { show = 3 })
    assert.same({ "r30", "r29", "r28" }, { r.shown[1].id, r.shown[2].id, r.shown[3].id })
    assert.is_nil(r.shown[4])
    assert.same({}, run(lines, { show = 0 }).shown)
  end)
end)

describe("figures", function()
  local function figures(at, target, fields)
    local out = { kind = "figures", at = at, target = target }
    for k, v in pairs(fields) do
      out[k] = v
    end
    return line(out)
  end

  it("are those of then, although a request's line comes when it is over", function()
    load_policy("p", "return function(req, fleet) return fleet:only { 'openai/*' }:where(function(t) return t.state ~= 'open' end) end")
    local both, one = { "openai/gpt-4o", "openai/gpt-4o-mini" }, { "openai/gpt-4o-mini" }
    local r = run {
      figures(100, "openai/gpt-4o", { state = "open" }),
      figures(200, "openai/gpt-4o", { state = "closed" }),
      request(150, { chain = one, attempts = { { target = "openai/gpt-4o-mini", ms = 60000, input_tokens = 1, output_tokens = 1 } } }),
      request(201, { chain = both }),
      request(99, { chain = both }),
    }
    assert.same({ 3, 0 }, { r.requests, r.changed })
  end)

  it("predict how long it would have taken", function()
    load_policy("p", 'return function() return { "azure/gpt-4o" } end')
    local r = run {
      figures(1, "openai/gpt-4o", { ttft_ms = { p50 = 400 }, tokens_per_s = 50 }),
      figures(1, "azure/gpt-4o", { total_ms = { p50 = 3600 } }),
      request(100),
      request(101, { chain = { "openai/gpt-4o-mini" } }),
    }
    assert.same({ 2400, 3600, 1, 1 }, { r.latency.before_ms, r.latency.after_ms, r.latency.compared, r.latency.unknown })
    assert.equal(0.5, r.latency.change)
  end)
end)

describe("failures", function()
  local function failed(at, target, chain)
    return request(at, {
      chain = chain or { target, "openai/gpt-4o-mini" },
      attempts = {
        { target = target, failure = "server_error", status = 500, ms = 10 },
        { target = "openai/gpt-4o-mini", ms = 10, input_tokens = 100, output_tokens = 10 },
      },
    })
  end

  it("are avoided by who goes elsewhere", function()
    load_policy("p", 'return function() return { "openai/gpt-4o-mini" } end')
    local r = run { failed(100, "openai/gpt-4o"), failed(101, "openai/gpt-4o") }
    assert.same({ met_before = 2, met_after = 0, avoided = 2, met = 0 }, r.failures)
    assert.equal(0, r.cost.change)
  end)

  it("are met where others failed within half a minute, before or after", function()
    load_policy("p", 'return function() return { "azure/gpt-4o", "openai/gpt-4o" } end')
    local r = run { failed(100, "azure/gpt-4o"), request(120), request(140), failed(160, "azure/gpt-4o"), request(300) }
    assert.equal(2, r.failures.met)
    assert.equal(2, r.failures.met_before)
    assert.same({ target = "azure/gpt-4o", before = 0, after = 1 }, r.targets[#r.targets - 1].target == "azure/gpt-4o"
      and r.targets[#r.targets - 1] or r.targets[#r.targets])
  end)

  it("of the client's making say nothing of a target", function()
    load_policy("p", 'return function() return { "azure/gpt-4o" } end')
    local bad = request(100, { chain = { "azure/gpt-4o" }, attempts = { { target = "azure/gpt-4o", failure = "bad_request", ms = 1 } } })
    assert.equal(0, run({ bad, request(101) }).failures.met_after)
  end)

  it("leave a request unanswered when they are all there is", function()
    load_policy("p", 'return function() return { "azure/gpt-4o" } end')
    local r = run { failed(100, "azure/gpt-4o"), request(101) }
    assert.same({ before = 0, after = 2 }, r.unanswered)
    assert.equal("(nobody)", r.targets[1].target)
  end)
end)

describe("what is left out", function()
  it("is counted with its reason", function()
    local lines = { request(100), request(200), request(300, { policy = "other@9" }), request(400, { read_text = true }) }
    local r = run(lines, { since = 150, upto = 450, only = "p" })
    assert.same({ outside = 1, other_policy = 1, read_text = 0, read_headers = 0, failed = 0 }, r.left_out)
    assert.equal(2, r.requests)
    load_policy("p", "return function() error 'no' end")
    r = run { request(100), request(101) }
    assert.same({ 2, 2, 0 }, { r.errors.count, r.left_out.failed, r.requests })
    assert.same({ raised = 2 }, r.errors.classes)
    assert.matches("no$", r.errors.messages[1].message)
  end)

  it("are decisions by a text that was not written down", function()
    local r = run({ request(100) }, {
      decide = function()
        return { chain = {}, read_text = true }
      end,
    })
    assert.same({ 1, 0 }, { r.left_out.read_text, r.requests })
  end)

  it("are decisions by a header that was not written down", function()
    local r = run({ request(100) }, {
      decide = function()
        return { chain = {}, read_headers = true }
      end,
    })
    assert.same({ 1, 0 }, { r.left_out.read_headers, r.requests })
    assert.matches("left out    1 not replayable: the policy read a header that is not recorded", replay.text(r))
  end)
end)

describe("two policies", function()
  it("are compared with each other", function()
    load_policy("q", 'return function() return { "azure/gpt-4o" } end')
    local by = { policy = decide_by "p", against = decide_by "q" }
    local r = run({ request(100, { chain = { "nobody/cares" } }) }, {
      against = "q@1",
      decide = function(which, ...)
        return by[which](which, ...)
      end,
    })
    assert.same({ { "azure/gpt-4o" }, { "openai/gpt-4o" } }, { r.shown[1].before, r.shown[1].after })
    assert.equal("q@1", r.against)
  end)
end)

describe("a state that is a new one", function()
  it("is told everything again, and asked again", function()
    local calls, told = 0, {}
    local r = run({ line { kind = "figures", at = 1, target = "a" }, request(2), request(3), request(4) }, {
      decide = function(_, req, changes)
        calls = calls + 1
        told[calls] = changes and #changes or 0
        if calls == 2 or req.now == 4 then
          return nil, "timeout", "too long", true
        end
        return { chain = {} }
      end,
    })
    assert.same({ 1, 0, 1, 0, 1 }, told)
    assert.same({ 2, 1 }, { r.requests, r.errors.count })
  end)
end)

describe("a threshold", function()
  local lines = { request(100), request(101), request(102), request(103) }

  local function passed(limits)
    load_policy("p", 'return function(req) return { req.now == 100 and "anthropic/claude-sonnet-4-6" or "openai/gpt-4o" } end')
    local names = {}
    for i, p in ipairs(run(lines, { limits = limits }).passed) do
      names[i] = p.threshold
    end
    return names
  end

  it("is named when it is passed", function()
    -- One of four costs 4.5 instead of 3.5: 7.1% more of the whole.
    assert.same({}, passed { max_cost_increase = 0.0715, max_changed = 0.25, max_errors = 0 })
    assert.same({ "--max-cost-increase" }, passed { max_cost_increase = 0.07 })
    assert.same({ "--max-changed" }, passed { max_changed = 0.249 })
    assert.same({ "--max-latency-increase" }, passed { max_latency_increase = 1 }) -- of which nothing is known
  end)

  it("is passed by errors", function()
    load_policy("p", "return function() end")
    local r = run(lines, { limits = { max_errors = 3 } })
    assert.same({ "--max-errors", "requests" }, { r.passed[1].threshold, r.passed[2].threshold })
    assert.matches("stopped by %-%-max%-errors 3: there are 4", replay.text(r))
  end)

  it("lets nothing through when there was nothing to compare", function()
    assert.same({ { threshold = "requests", limit = 1, value = 0 } }, run({}, { limits = { max_changed = 1 } }).passed)
    assert.same({}, run({}).passed)
  end)
end)

describe("a record that is not one", function()
  it("is counted and named", function()
    local r = run {
      "", "   ", "{", "[]", "17", "null", '"x"', "{}", '{"kind":"figures"}', '{"kind":"request"}', '{"kind":"weather"}',
      '{"kind":1}', ("x"):rep(1024 * 1024) .. "x", request(100),
    }
    assert.same({ 14, 1, 10 }, { r.lines.total, r.lines.requests, r.lines.broken })
    assert.same({ 5, 3 }, { #r.lines.first_broken, r.lines.first_broken[1].line })
    assert.same({ weather = 1 }, r.lines.unknown_kinds)
    assert.matches("broken      10 lines", replay.text(r))
  end)

  it("with members of any type says nothing and breaks nothing", function()
    local values = { true, -1, 1e300, "text", {}, { 1, "x", {} }, { p50 = "x" }, json.null }
    local lines = {}
    for _, v in ipairs(values) do
      for _, name in ipairs { "id", "at", "worker", "policy", "chain", "attempts", "steps", "refused", "ms", "read_text" } do
        lines[#lines + 1] = request(100, { [name] = v })
      end
      for _, name in ipairs { "target", "failure", "ms", "input_tokens", "output_tokens", "cached_tokens", "skipped" } do
        lines[#lines + 1] = request(100, { attempts = { { target = "openai/gpt-4o", ms = 1, [name] = v } } })
      end
      for _, name in ipairs { "at", "worker", "target", "state", "headroom", "ttft_ms", "total_ms", "tokens_per_s" } do
        lines[#lines + 1] = line { kind = "figures", at = 1, target = "openai/gpt-4o", [name] = v }
      end
    end
    local r = run(lines)
    assert.equal(#lines, r.lines.total)
    assert.is_true(r.requests > 50)
    for _, sum in ipairs { r.cost.before_usd, r.cost.after_usd, r.latency.before_ms or 0 } do
      assert.is_true(sum == sum and sum < math.huge)
    end
    assert.is_table(json.decode(replay.json(r)))
  end)

  it("of a thousand kinds does not fill the memory", function()
    local lines = {}
    for i = 1, 1000 do
      lines[i] = line { kind = "k" .. i }
    end
    local n = 0
    for _ in pairs(run(lines).lines.unknown_kinds) do
      n = n + 1
    end
    assert.equal(6, n)
  end)
end)

describe("the report", function()
  it("reads in a terminal", function()
    load_policy("p", [[
      return function() return { "anthropic/claude-sonnet-4-6", "openai/gpt-4o", "azure/gpt-4o", "openai/gpt-4o-mini" } end]])
    local text = replay.text(run({ request(100) }, { limits = { max_cost_increase = 0.05 } }))
    for _, part in ipairs {
      "p@2 against what was recorded: 1 requests", "changed     1 of 1 decisions (100.00%), the first target of 1",
      "cost        $0.003500 -> $0.004500 (+28.6%); unknown for 0", "latency     unknown for all 1",
      "r100  openai/gpt-4o -> anthropic/claude-sonnet-4-6, openai/gpt-4o, azure/gpt-4o, 1 more  $0.003500 -> $0.004500",
      "stopped by --max-cost-increase 5%: it is +28.6%",
    } do
      assert.truthy(text:find(part, 1, true), part .. "\nin\n" .. text)
    end
  end)

  it("is the same in JSON", function()
    local r = json.decode(replay.json(run { request(100) }))
    assert.same({ 1, 0, 0 }, { r.requests, r.changed, r.cost.change })
    assert.equal("recorded", r.against)
    assert.truthy(replay.json(run {}):find('"shown":[]', 1, true))
  end)

  it("does not call an increase from nothing a number", function()
    local free = request(100, { chain = { "free/m" } })
    local r = run({ free }, {
      cost = function(target)
        return target == "free/m" and 0 or 1000
      end,
      limits = { max_cost_increase = 10 },
    })
    assert.equal(math.huge, r.cost.change)
    assert.matches("stopped by %-%-max%-cost%-increase 1000%%: it is from nothing", replay.text(r))
    assert.truthy(replay.json(r):find('"change":null', 1, true))
  end)
end)
