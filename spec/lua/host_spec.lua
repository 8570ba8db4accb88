local host = require "perilune.host"
local kit = require "support.policy_kit"

local function load(text, libs)
  return host.load { name = "p", version = "p@1", path = "policies/p.lua", text = text, libs = libs }
end

describe("host.load", function()
  before_each(function()
    kit.setup()
  end)

  it("takes a function, or a table with more", function()
    assert.is_true(load "return function() return {} end")
    assert.same({ refuses_on_error = false, has_on_failure = false, has_prepare = false }, host.info "p")
    assert.is_true(load [[return { decide = function() return {} end, on_failure = function() end, prepare = function() end,
      params = { n = 3 }, on_error = "refuse" }]])
    assert.same({ refuses_on_error = true, has_on_failure = true, has_prepare = true }, host.info "p")
  end)

  it("says line, hint and excerpt of a syntax error", function()
    local ok, finding = load "local x = 1\nif x then\n  retrn 2\nend"
    assert.is_nil(ok)
    assert.equal(3, finding.line)
    assert.equal("policies/p.lua", finding.path)
    assert.matches("'=' expected", finding.message)
    assert.is_string(finding.hint)
    assert.equal("     2 | if x then\n>    3 |   retrn 2\n     4 | end", finding.excerpt)
  end)

  it("says the line of an error while the file runs", function()
    local _, finding = load "local x\nlocal y = x.z\nreturn function() end"
    assert.equal(2, finding.line)
    assert.matches("'x' is nil here", finding.hint)
  end)

  for text, expected in pairs {
    ["return 3"] = "return a function or a table",
    [""] = "got nothing",
    ["return {}"] = "needs decide",
    ["return { decide = 3 }"] = "decide: expected a function",
    ["return { decide = function() end, on_eror = 'refuse' }"] = 'did you mean "on_error"',
    ["return { decide = function() end, on_error = 'refus' }"] = 'did you mean "refuse"',
    ["return { decide = function() end, params = { n = { type = 'numbr' } } }"] = "params.n.type",
    ["error { 1 }"] = "an error that is no text",
    ["error(setmetatable({}, { __tostring = function() while true do end end }))"] = "an error that is no text",
  } do
    it("refuses " .. (text == "" and "nothing" or text), function()
      local ok, finding = load(text)
      assert.is_nil(ok)
      assert.matches(expected, finding.message)
    end)
  end

  it("leaves no half of a policy behind", function()
    assert.is_true(load "return function() return {} end")
    assert.is_nil((load "return 3"))
    assert.error_matches(function() host.decide("p", kit.request()) end, 'no policy "p"')
  end)

  it("gives require from the policy's own libraries, once, in the same sandbox", function()
    local libs = {
      { name = "names", path = "policies/lib/names.lua", text = "local n = 0; return { next = function() n = n + 1; return n end }" },
      { name = "deep", path = "policies/lib/deep.lua", text = 'return require "names"' },
    }
    assert.is_true(load([[
      local a, b = require "names", require "deep"
      assert(a == b and a.next() == 1 and b.next() == 2)
      return function() return { "openai/gpt-4o" } end]], libs))
    local _, finding = load('return require "nams"', libs)
    assert.matches('did you mean "names"', finding.message)
  end)

  it("names the library where an error lies", function()
    local bad = { name = "bad", path = "policies/lib/bad.lua", text = "\nlocal x = nil + 1" }
    local _, finding = load('require "bad"\nreturn function() end', { bad })
    assert.equal("policies/lib/bad.lua", finding.path)
    assert.matches(">    2 | local x = nil %+ 1", finding.excerpt)
    _, finding = load('require "a"', {
      { name = "a", path = "a.lua", text = 'return require "b"' }, { name = "b", path = "b.lua", text = 'return require "a"' },
    })
    assert.matches("requires itself", finding.message)
  end)

  it("sets what the configuration says, as a table or as JSON, and refuses what was not declared", function()
    local policy = [[return {
      params = { n = 3, list = { type = "list", default = {} } },
      decide = function(req) return {}, req.params.n .. #req.params.list end,
    }]]
    kit.setup(nil, { params = { p = { n = 5 } } })
    assert.is_true(load(policy))
    assert.equal("50", host.decide("p", kit.request()).reason)
    kit.setup(nil, { params = { p = '{"list":[1,2]}' } })
    assert.is_true(load(policy))
    assert.equal("32", host.decide("p", kit.request()).reason)
    kit.setup(nil, { params = { p = { m = 5 } } })
    local _, finding = load(policy)
    assert.matches('declares no parameter "m"', finding.message)
    kit.setup(nil, { params = { p = { n = "x" } } })
    _, finding = load(policy)
    assert.matches("params.n: expected a number", finding.message)
  end)
end)

describe("host.decide", function()
  before_each(function()
    kit.setup()
  end)

  it("takes a list of names and steps, with chain fields among them", function()
    kit.load [[return function(req, fleet)
      return { "gpt-4o", { target = "anthropic/claude-sonnet-4-6", timeout_ms = 8000, retries = 1 }, fleet[2], fleet:tagged "own",
        "openai/gpt-9", deadline_ms = 9000 }, "as listed"
    end]]
    local ids, decision = kit.ask "spec"
    assert.same({
      "openai/gpt-4o", "azure/gpt-4o", "anthropic/claude-sonnet-4-6", "openai/gpt-4o-mini", "vllm/llama-3.3-70b", "openai/gpt-9",
    }, ids)
    assert.same({ index = 3, timeout_ms = 8000, retries = 1 }, decision[3])
    assert.same({ id = "openai/gpt-9" }, decision[6])
    assert.equal(9000, decision.deadline_ms)
    assert.equal("as listed", decision.reason)
  end)

  it("takes what is sound of a chain, and says where the rest stands", function()
    kit.load [[return function(req, fleet)
      return { "gpt-40", { target = "gpt-4o", timeout_ms = -1, retries = 2 }, nil, true, fleet:take(0), { target = "nobody" }, fleet[3], {},
        [1.5] = "x", deadline = 3, hold_ms = 1 }, { "no reason" }
    end]]
    local ids, decision = kit.ask "spec"
    assert.same({ "openai/gpt-4o", "azure/gpt-4o", "anthropic/claude-sonnet-4-6" }, ids)
    assert.same({ index = 1, retries = 2 }, decision[1])
    assert.equal(1, decision.hold_ms)
    assert.is_nil(decision.reason)
    local said = table.concat(decision.findings, "\n")
    for _, expected in ipairs {
      'chain[1]: no target or model "gpt-40"; did you mean "gpt-4o"?', "chain[2].timeout_ms: expected milliseconds",
      "chain[3]: expected a target's name",
      "chain[4]: expected a target's name or a step { target = ... }, got a boolean", 'chain[6].target: no target or model "nobody"',
      "chain[8]: expected a step", "chain[1.5]: a chain is a list without holes", "chain.deadline: a chain has no such field",
      "reason: expected a text",
    } do
      assert(said:find(expected, 1, true), expected .. " is not in\n" .. said)
    end
    assert.equal(9, #decision.findings)
    assert.is_nil(select(2, kit.eval "fleet").findings)
  end)

  it("bounds what is said of a chain", function()
    local _, decision = kit.eval "(function() local l = { 'gpt-4o' } for i = 2, 500 do l[i] = ('x'):rep(5000) end return l end)()"
    assert.equal(20, #decision.findings)
    assert.equal(500, #decision.findings[1])
  end)

  it("refuses although the refusal is written wrongly", function()
    kit.load "return function() return nil, { status = 200, stauts = 402, code = 'slow', message = 3 } end"
    local _, decision = kit.ask "spec"
    assert.same({ code = "slow" }, decision.refused)
    table.sort(decision.findings)
    assert.matches("^refused.message: expected a text, got a number", decision.findings[1])
    assert.matches("^refused.status: expected a whole number from 400 to 599, got 200", decision.findings[2])
    assert.matches('^refused.stauts: a refusal has no such field; did you mean "status"', decision.findings[3])
  end)

  it("takes an empty chain for an answer", function()
    assert.same({}, (kit.eval "{}"))
    assert.same({}, (kit.eval "fleet:take(0)"))
  end)

  it("refuses when the policy does", function()
    kit.load "return function() return nil, { status = 429, code = 'slow', message = 'later' } end"
    assert.same({ status = 429, code = "slow", message = "later" }, select(2, kit.ask "spec").refused)
  end)

  it("carries notes", function()
    kit.load "return function(req, fleet) note('why', 3) note('sure', true) return {} end"
    assert.same({ { "why", "3" }, { "sure", "true" } }, select(2, kit.ask "spec").notes)
    assert.is_nil(select(2, kit.eval "{}").notes)
  end)

  for body, expected in pairs {
    ["return nil"] = "nil alone",
    ["return"] = "nil alone",
    ["return true"] = "got a boolean",
    ["return 'gpt-4o'"] = 'put it into braces',
    ["return fleet[1]"] = "put the target into braces",
    ["return { 'gpt-40' }"] = 'chain%[1%]: no target or model "gpt%-40"; did you mean "gpt%-4o"',
    ["return { { timeout_ms = 3 } }"] = "target is missing",
    ["return { 3 }"] = "chain%[1%]: expected a target's name",
    ["return { [3] = 'gpt-4o' }"] = "without holes",
    ["return fleet:map()"] = "no word",
    ["local x = req.tire"] = 'req has no field "tire"; did you mean "tier"',
    ["note({}, 1)"] = "expected a text as key",
    ["note('x', {})"] = "not a table",
    ["req.random(3, 1)"] = "in ascending order",
    ["return req.clock('Mars')"] = "offset like",
  } do
    it("fails on: " .. body, function()
      local why = kit.fails(body)
      assert.matches(expected, why)
      assert.matches("^policies/spec.lua", why)
    end)
  end

  it("says the policy's line and no other", function()
    assert.equal("policies/spec.lua:1: attempt to index local 'x' (a nil value); 'x' is nil here; test it first",
      kit.fails "local x; return x.y")
    assert.equal("policies/spec.lua: plain", kit.fails "error('plain', 0)")
    -- A tail call has no line of its own: the library's line would mislead.
    assert.not_matches("lua/perilune", kit.fails "return fleet:take(-1)")
  end)

  it("has prepare's result as third argument", function()
    kit.load "return { prepare = function(fleet) return fleet:best():take(1)[1].id end, decide = function(_, _, best) return { best } end }"
    assert.same({ "anthropic/claude-sonnet-4-6" }, (kit.ask "spec"))
  end)

  it("keeps two policies apart", function()
    kit.load("return function() return {}, 'a' end", "a")
    kit.load("return function() return {}, 'b' end", "b")
    assert.equal("a", select(2, kit.ask "a").reason)
    assert.equal("b", select(2, kit.ask "b").reason)
    assert.error_matches(function() kit.ask "c" end, 'no policy "c"')
  end)

  it("caps a chain", function()
    local decision = select(2, kit.eval "(function() local l = {} for i = 1, 1500 do l[i] = 'openai/m' .. i end return l end)()")
    assert.equal(1000, #decision)
  end)
end)

describe("an assignment's params", function()
  local POLICY = {
    name = "p", path = "policies/p.lua",
    text = "return { params = { n = 1, list = { 'a' } }, decide = function(req) return {}, req.params.n .. #req.params.list end }",
  }

  local function set_up(assignments, params)
    host.setup { targets = {}, params = { p = params }, assignments = assignments }
    return host.load(POLICY)
  end

  it("go over those of the policy, for its requests alone", function()
    set_up({ false, { policy = "p", scope = "tier", name = "free", params = '{"list":["x","y"]}' }, { policy = "p", scope = "account",
      params = { n = 5 } }, { policy = "other", scope = "key", name = "k", params = { nonsense = 1 } } }, '{"n":2}')
    assert.equal("21", host.decide("p", {}).reason)
    assert.equal("21", host.decide("p", {}, 1).reason)
    assert.equal("22", host.decide("p", {}, 2).reason)
    assert.equal("51", host.decide("p", {}, 3).reason)
    assert.equal("21", host.decide("p", {}, 4).reason)
  end)

  it("must be the policy's own, or it does not load", function()
    local ok, finding = set_up { { policy = "p", scope = "tier", name = "free", params = { n = "many" } } }
    assert.is_nil(ok)
    assert.equal("assigned to the tier free: params.n: expected a number, got a string", finding.message)
    ok, finding = set_up { { policy = "p", scope = "account", params = { m = 1 } } }
    assert.is_nil(ok)
    assert.matches('assigned to the account: this policy declares no parameter "m"', finding.message, 1, true)
  end)
end)

describe("a policy's params", function()
  it("are told with what the file says of them", function()
    host.setup { targets = {}, params = { p = { n = 3 } } }
    host.load { name = "p", path = "p.lua", text = [[
      return { params = { n = { type = "number", default = 1, min = 0, doc = "how many" } }, decide = function() return {} end }]] }
    assert.equal('{"n":{"default":1,"doc":"how many","min":0,"type":"number","value":3}}', host.params "p")
  end)
end)

describe("host.on_failure", function()
  local failure = { class = "rate_limited", target = "openai/gpt-4o", status = 429, retry_after_ms = 50, attempt = 1 }

  before_each(function()
    kit.setup()
  end)

  local function ask(body, rest)
    kit.load("return { decide = function() return {} end, on_failure = function(req, failure, rest, fleet) " .. body .. " end }")
    return host.on_failure("spec", kit.request(), failure, rest or { 2, { index = 3, timeout_ms = 9 }, { id = "openai/gpt-9" } })
  end

  it("goes on as planned by default", function()
    assert.is_nil(ask "")
    assert.is_nil(ask "return nil")
    kit.load "return function() return {} end"
    assert.is_nil(host.on_failure("spec", kit.request(), failure, {}))
  end)

  it("stays", function()
    assert.same({ retry_in_ms = 50 }, ask "return { retry_in_ms = failure.retry_after_ms }")
    assert.error_matches(function() ask "return { retry_in_ms = -1 }" end, "milliseconds")
  end)

  it("replaces the rest, which keeps its step fields", function()
    local answer = ask "return rest:take(2), 'go on'"
    assert.same({ 2, { index = 3, timeout_ms = 9 } }, { answer[1], answer[2] })
    assert.equal("go on", answer.reason)
    answer = ask "return fleet:except(failure.target):cheapest():take(1) .. rest"
    assert.same({ "openai/gpt-4o-mini", "anthropic/claude-sonnet-4-6", "openai/gpt-9" }, kit.ids(answer))
    assert.same({ id = "openai/gpt-9" }, answer[3])
  end)

  it("may refuse and may fail", function()
    assert.equal(402, ask("return nil, { status = 402 }").refused.status)
    assert.error_matches(function() ask "return 3" end, "expected a fleet")
    assert.error_matches(function() ask "error 'no'" end, "no")
  end)
end)

describe("host", function()
  it("names the classes for the core", function()
    assert.equal("connect", host.failure_classes[1])
  end)
end)
