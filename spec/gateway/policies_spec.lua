-- What becomes of a request whose policy decides, refuses, fails or runs away.
local cjson = require "cjson"
local gateway = require "support.gateway"
local loop = require "support.loop"
local upstream = require "support.upstream"

-- Scripts that do not come back by themselves, or want more than there is.
local RUNAWAYS = {
  loops = "return function() while true do end end",
  swallows_errors = "return function() while true do pcall(function() while true do end end) end end",
  bad_pattern = 'local s = ("a"):rep(40000) return function() return s:find(("a*"):rep(30) .. "b") end',
  eats_memory = 'return function() local t = {} while true do t[#t + 1] = ("x"):rep(10000) .. #t end end',
  loops_in_a_metamethod = "return function() local t = setmetatable({}, { __index = function() while true do end end }) return t.x end",
  loops_in_a_coroutine = "return function() return coroutine.wrap(function() while true do end end)() end",
  recurses = "local function f(n) return 1 + f(n + 1) end return function() return f(1) end",
  sorts_for_ever = "return function() while true do local t = {} for i = 1, 1000 do t[i] = -i end table.sort(t) end end",
}

-- Scripts that end, but not with an answer.
local FAILURES = {
  raises = 'return function() error "no idea" end',
  raises_a_table = "return function() error(setmetatable({}, { __tostring = function() error 'again' end })) end",
  returns_nothing = "return function() end",
  returns_a_number = "return function() return 42 end",
  returns_nonsense = 'return function() return { { target = 7 }, "\\0", {} } end',
  names_nobody = 'return function() return { "nobody/at-all" } end',
  indexes_nil = "return function(req) return req.nothing.there end",
}

local ANSWERS = {
  lists = 'return function() return { "b/m", "a/m" } end',
  steps = 'return function() return { { target = "b/m", timeout_ms = 5000 } } end',
  in_part = 'return function() return { "nobody/at-all", { target = "b/m", timeout_ms = -5 } } end',
  fleets = 'return function(req, fleet) return fleet:only { "b/m" } end',
  refuses = 'return function() return nil, { status = 451, code = "not_here", message = "Not in this place." } end',
  refuses_shortly = 'return function() return nil, { message = "No." } end',
  empty = "return function(req, fleet) return {} end",
  filters_all = 'return function(req, fleet) return fleet:where(function() return false end, "nobody will do") end',
  with_reason = 'return function() return { "b/m" }, "because" end',
  strict_about_errors = 'return { on_error = "refuse", decide = function() error "broken inside" end }',
  second_thoughts = [[
    return {
      decide = function() return { { target = "down/m", retries = 0 } } end,
      on_failure = function(req, failure) if failure.class == "connect" then return { "b/m" } end end,
    }]],
  prepared = 'return { prepare = function(fleet) return { "b/m" } end, decide = function(req, fleet, ready) return ready end }',
  reads = [[
    return function(req)
      local first = req.tier == "paid" and req.stream == false and req.tags.eu and req.last.role == "user" and
        req.headers["x-app"] == "shop" and req.uses.tools and req.tokens.input > 0 and req.model == "m" and
        req.headers.authorization == nil and req.session == "s1" and req.user == "u1"
      return { first and "b/m" or "a/m" }
    end]],
}

describe("a policy", function()
  local house, down
  local ups = {}

  setup(loop.test(function()
    for _, name in ipairs { "a", "b", "spare" } do
      ups[name] = upstream.start(function(peer)
        peer:send(upstream.answer(200, upstream.completion(name)))
      end)
    end
    down = upstream.refusing()
    local policies = {}
    for _, kind in ipairs { RUNAWAYS, FAILURES, ANSWERS } do
      for name, text in pairs(kind) do
        policies[name] = text
      end
    end
    house = gateway.start {
      providers = {
        a = gateway.provider(ups.a.url), b = gateway.provider(ups.b.url), spare = gateway.provider(ups.spare.url),
        down = gateway.provider(down.url),
      },
      policies = policies,
      config = { policies = { fallback = { "spare/m" } } },
    }
  end))
  teardown(loop.test(function()
    house:stop()
    down:close()
    for _, up in pairs(ups) do
      up:close()
    end
  end))

  local function answered_by(policy, options)
    options = options or {}
    options.policy = policy
    local answer = house:chat(options)
    assert.equal(200, answer.status, answer.body)
    return answer.headers["x-routed-provider"], answer
  end

  for kind, list in pairs { ["runs away"] = RUNAWAYS, ["fails"] = FAILURES } do
    for name in pairs(list) do
      it(("that %s (%s): the fallback chain answers"):format(kind, name), loop.test(function()
        assert.equal("spare", (answered_by(name, { model = "auto" })))
      end))
    end
  end

  it("that runs away is no matter to other requests at the same time", loop.test(function()
    local names = {}
    for name in pairs(RUNAWAYS) do
      names[#names + 1] = name
    end
    local function runs_away(i)
      return i % 100 == 0
    end
    for i, provider in ipairs(loop.spread(1600, 16, function(i)
      return (answered_by(runs_away(i) and names[i / 100 % #names + 1] or "lists", { model = "auto" }))
    end)) do
      assert.equal(runs_away(i) and "spare" or "b", provider)
    end
  end))

  for _, name in ipairs { "lists", "steps", "fleets", "with_reason", "prepared" } do
    it("decides (" .. name .. ")", loop.test(function()
      local provider, answer = answered_by(name)
      assert.equal("b", provider)
      assert.is_truthy(answer.headers["x-route-policy"]:match("^" .. name .. "@%x+$"))
    end))
  end

  it("that answers in part is used in part, and the rest stands in the trace", loop.test(function()
    local provider, answer = answered_by("in_part", { headers = { ["x-route-trace"] = "1" } })
    assert.equal("b", provider)
    local findings = cjson.decode(answer.body).route.findings
    assert.matches("^chain%[1%]: no target or model", findings[1])
    assert.matches("^chain%[2%].timeout_ms: expected milliseconds", findings[2])
  end))

  it("sees the request", loop.test(function()
    assert.equal("b", (answered_by("reads", {
      headers = {
        ["x-route-tier"] = "paid", ["x-route-tags"] = "eu, test", ["x-app"] = "shop", ["x-route-session"] = "s1",
        authorization = "Bearer secret",
      },
      body = { stream = false, user = "u1", tools = { { type = "function", ["function"] = { name = "f" } } } },
    })))
    assert.equal("a", (answered_by "reads"))
  end))

  it("hears of a failure and may choose again", loop.test(function()
    local provider, answer = answered_by "second_thoughts"
    assert.equal("b", provider)
    assert.equal("2", answer.headers["x-route-attempts"])
  end))

  it("may refuse in its own words", loop.test(function()
    local answer = house:chat { policy = "refuses" }
    assert.equal(451, answer.status)
    assert.equal("not_here", answer.json.error.code)
    assert.equal("Not in this place.", answer.json.error.message)
  end))

  it("refuses with 403 unless it says otherwise", loop.test(function()
    local answer = house:chat { policy = "refuses_shortly" }
    assert.equal(403, answer.status)
    assert.equal("policy_refused", answer.json.error.code)
  end))

  for _, name in ipairs { "empty", "filters_all" } do
    it("that leaves nobody (" .. name .. ") is obeyed: no_eligible_target, never the fallback chain", loop.test(function()
      local before = #ups.spare.requests
      local answer = house:chat { policy = name }
      assert.equal("no_eligible_target", answer.json.error.code)
      assert.is_true(answer.status >= 400 and answer.status ~= 404)
      assert.equal(before, #ups.spare.requests)
    end))
  end

  it("may ask to be refused when it fails", loop.test(function()
    local answer = house:chat { policy = "strict_about_errors" }
    assert.equal(403, answer.status, answer.body)
    assert.equal("policy_refused", answer.json.error.code)
    assert.is_nil(answer.body:find("broken inside", 1, true))
  end))

  it("that nobody has is an error of the request", loop.test(function()
    local answer = house:chat { policy = "listz" }
    assert.is_true(answer.status == 400 or answer.status == 404)
    assert.is_truthy(answer.json.error.message:find("lists", 1, true))
  end))
end)

describe("a policy that fails", function()
  it("is named in the log, with its version, its place and the cause", loop.test(function()
    local house = gateway.start {
      providers = { a = gateway.provider "http://127.0.0.1:1/v1" },
      policies = { bad = 'return function(req)\n  local meta = req.key.meta.plan\n  return meta.name\nend' },
    }
    local answer = house:chat { policy = "bad" }
    assert.is_nil(answer.body:find("local meta", 1, true)) -- the source is nothing for clients
    local log = house:wait_for_log "effect: the fallback chain answers"
    assert.is_truthy(log:match "bad@%x+ failed")
    assert.is_truthy(log:find("bad.lua:3: attempt to index local 'meta' (a nil value); 'meta' is nil here", 1, true), log)
    assert.matches("    2 |   local meta = [^\n]*\n[^\n]*>    3 |   return meta.name\n[^\n]*    4 | end", log)
    house:stop()
  end))

  it("in part is named there, too", loop.test(function()
    local house = gateway.start {
      providers = { a = gateway.provider "http://127.0.0.1:1/v1" },
      policies = { partly = 'return function() return { "a/m", "nobody/at-all" } end' },
    }
    house:chat { policy = "partly" }
    assert.matches("partly@%x+ answered in part [^\n]*chain%[2%]: no target or model", house:wait_for_log "answered in part")
    house:stop()
  end))
end)
