-- Requests that are recorded, and policies tried on them: the same one changes nothing, a dearer one is stopped.
local gateway = require "support.gateway"
local json = require "perilune.json"
local loop = require "support.loop"
local mock = require "support.mock"
local process = require "support.process"

local TIER = [[
return function(req, fleet)
  if req.tier == "paid" then
    return fleet:only { "good/m", "cheap/m" }:prefer { "good/m" }
  end
  return fleet:only { "cheap/m", "good/m" }:prefer { "cheap/m" }
end]]

-- Most of those who do not pay go to the dear one first.
local DEARER = [[
return function(req, fleet)
  if req.tier == "paid" or req.random() < 0.8 then
    return fleet:only { "good/m", "cheap/m" }:prefer { "good/m" }
  end
  return fleet:only { "cheap/m", "good/m" }:prefer { "cheap/m" }
end]]

local function models(input, output)
  return { models = { { name = "m", price = { input = input, output = output } } } }
end

local function lines_of(path)
  local out = {}
  for line in io.lines(path) do
    out[#out + 1] = assert(json.read(line))
  end
  return out
end

describe("a record", function()
  local up, house, record

  setup(loop.test(function()
    up = mock.start()
    house = gateway.start {
      providers = { good = up:provider("", models(3, 15)), cheap = up:provider("status=500;every=3", models(0.5, 2)) },
      policies = {
        tier = TIER,
        reader = "return function(req) return { req.text == 'hello' and 'good/m' or 'cheap/m' } end",
        own = "return function(req) return { req.headers['x-own'] and 'good/m' or 'cheap/m' } end",
        team = "return function(req) return { req.headers['x-team'] == 'a' and 'good/m' or 'cheap/m' } end",
        walker = "return function(req) for _ in pairs(req.headers) do return { 'good/m' } end return { 'cheap/m' } end",
      },
      config = { record = "requests.jsonl", record_headers = { "x-team" }, policies = { default = "tier" } },
    }
    record = house.dir .. "/state/requests.jsonl"
    for i = 1, 60 do
      house:chat { headers = { ["x-route-tier"] = i % 2 == 0 and "paid" or "free", ["x-own"] = "private" } }
    end
    house:chat { policy = "reader", headers = { ["x-team"] = "a" } }
    assert.equal(200, house:admin("POST", "/api/reload").status) -- what waits is written before
  end))
  teardown(loop.test(function()
    house:stop()
    up:stop()
  end))

  local function replay(...)
    return house:command("replay", ...)
  end

  local function report(...)
    local code, output = replay("--json", ...)
    return assert(json.decode(output), output), code
  end

  it("has a line a request, without what was said", loop.test(function()
    local requests = {}
    for _, line in ipairs(lines_of(record)) do
      if line.kind == "request" then
        requests[#requests + 1] = line
      end
    end
    assert.equal(61, #requests)
    local first = requests[1]
    assert.matches("^tier@%x+$", first.policy)
    assert.same({ "cheap/m", "good/m" }, first.chain)
    assert.same({ ["x-route-tier"] = "free" }, first.req.headers)
    assert.equal("answered", first.outcome)
    assert.equal(first.target, first.attempts[#first.attempts].target)
    assert.is_true(requests[61].read_text)
    assert.equal("a", requests[61].req.headers["x-team"])
    local file = assert(io.open(record))
    local all = file:read "*a"
    file:close()
    assert.is_nil(all:find("hello", 1, true))
    assert.is_nil(all:find("private", 1, true))
    assert.is_nil(all:find("sk-upstream", 1, true))
  end))

  it("through the same policy changes nothing", loop.test(function()
    local r, code = report("tier", "--only", "tier", "--max-changed", "0%", "--max-cost-increase", "0%", "--max-errors", "0")
    assert.equal(0, code, json.encode(r))
    assert.same({ 60, 0, 0 }, { r.requests, r.changed, r.cost.change })
    assert.equal(1, r.left_out.other_policy)
    assert.is_true(r.cost.before_usd > 0)
    assert.is_true(r.failures.met_before > 0) -- of the faults the mock had
    assert.equal(r.failures.met_before, r.failures.met_after)
  end))

  it("stops an edit that costs more, with what changes", loop.test(function()
    process.write(house.dir .. "/edit.lua", DEARER)
    local code, output = replay("edit.lua", "--as", "tier", "--max-cost-increase", "5%", "--show", "2")
    assert.equal(1, code, output)
    assert.matches("stopped by %-%-max%-cost%-increase 5%%: it is %+%d", output)
    assert.matches("free  cheap/m, good/m %-> good/m, cheap/m  %$%d%.%d+ %-> %$%d%.%d+", output)
    code = replay("edit.lua", "--as", "tier", "--max-cost-increase", "500%")
    assert.equal(0, code)
    -- The one that is in place is untouched.
    assert.equal(0, (replay("tier", "--only", "tier", "--max-changed", "0%")))
  end))

  it("compares two policies", loop.test(function()
    process.write(house.dir .. "/edit.lua", DEARER)
    local r, code = report("edit.lua", "--against", "tier", "--max-changed", "1%", "--until", "1d")
    assert.same({ 0, 61, 1 }, { r.requests, r.left_out.outside, code })
    r, code = report("edit.lua", "--against", "tier", "--max-changed", "1%")
    assert.equal(1, code)
    assert.equal(61, r.requests)
    assert.equal("--max-changed", r.passed[1].threshold)
    assert.matches("^tier@", r.against)
    local version = r.against
    assert.equal(0, (report("tier", "--against", version)).changed)
  end))

  it("does not speak for a policy that reads what was said", loop.test(function()
    local r = report("reader")
    assert.same({ 61, 0 }, { r.left_out.read_text, r.requests })
  end))

  it("does not speak for a policy that reads what is not recorded of the headers", loop.test(function()
    for _, policy in ipairs { "own", "walker" } do
      local r = report(policy)
      assert.same({ 61, 0 }, { r.left_out.read_headers, r.requests })
    end
    local r = report("team", "--against", "tier")
    assert.same({ 0, 61 }, { r.left_out.read_headers, r.requests })
  end))

  it("survives a policy that never ends", loop.test(function()
    process.write(house.dir .. "/endless.lua", "return function() while true do end end")
    local code, output = replay("endless.lua", "--max-errors", "0")
    assert.equal(1, code)
    assert.matches("stopped by %-%-max%-errors 0: there are 61", output)
  end))

  it("may be broken, and says where", loop.test(function()
    process.write(house.dir .. "/broken.jsonl",
      "{\n" .. ("x"):rep(1100000) .. "\n\n[]\n" .. '{"kind":"weather"}\n{"kind":"request","req":{}}')
    local r, code = report("tier", "broken.jsonl")
    assert.equal(0, code)
    assert.same({ 6, 3, 1 }, { r.lines.total, r.lines.broken, r.requests })
    assert.equal(1, r.lines.unknown_kinds.weather)
    assert.equal(1, (replay("tier", "broken.jsonl", "--max-cost-increase", "5%"))) -- of which nothing is known
  end))

  it("is refused with the reason when it is not there, or the command line is wrong", loop.test(function()
    for args, expected in pairs {
      [{ "tier", "nowhere.jsonl" }] = { 3, "nowhere.jsonl can not be read" },
      [{ "nowhere.lua" }] = { 3, "nowhere.lua can not be read" },
      [{}] = { 2, "name a policy" },
      [{ "teir" }] = { 2, "did you mean tier?" },
      [{ "tier", "--max-cost-increase", "5" }] = { 2, "takes a share like 5%" },
      [{ "tier", "--since", "yesterday" }] = { 2, "takes a time like" },
      [{ "tier@00000000" }] = { 3, "can not be read" },
    } do
      local code, output = replay(unpack(args))
      assert.equal(expected[1], code, output)
      assert.truthy(output:find(expected[2], 1, true), output)
    end
    process.write(house.dir .. "/wrong.lua", "return 7")
    local code, output = replay "wrong.lua"
    assert.equal(1, code)
    assert.matches("wrong.lua", output)
  end))
end)

describe("a large record", function()
  local FIGURES = '{"kind":"figures","at":%.2f,"target":"%s","state":"closed","ttft_ms":{"p50":%d},"tokens_per_s":50}\n'
  local REQUEST = '{"kind":"request","id":"%d","at":%.2f,"policy":"auto@1","req":{"model":"auto","endpoint":"/v1/chat/completions",'
    .. '"dialect":"openai_chat","stream":true,"tier":"free","tokens":{"input":812,"output":256},"chat":true,"turns":3,"seed":"%d",'
    .. '"now":%.2f},"chain":["%s"],"attempts":[{"target":"%s","ms":900,"input_tokens":800,"output_tokens":200}],"outcome":"answered"}\n'

  it("is read at more than a hundred thousand requests a minute", loop.test(function()
    local N = 100000
    local dir = process.folder()
    local function provider(...)
      return gateway.provider("http://127.0.0.1:1/v1", models(...))
    end
    process.write(dir .. "/perilune.lua", "return " .. gateway.lua { providers = { a = provider(1, 2), b = provider(2, 4) } })
    local file = assert(io.open(dir .. "/log.jsonl", "w"))
    for i = 1, N do
      local target = i % 3 == 0 and "b/m" or "a/m"
      local at = 1790000000 + i / 20
      if i % 10 == 0 then
        file:write(FIGURES:format(at, target, 300 + i % 600))
      end
      file:write(REQUEST:format(i, at, i * 7919, at, target, target))
    end
    file:close()
    local began = loop.now()
    local replay = process.start({ process.binary(), "replay", "fastest", "log.jsonl", "--json" }, { dir = dir })
    local code = replay:wait(300000)
    local minutes = (loop.now() - began) / 60000
    process.remove(dir)
    assert.equal(0, code, replay.output)
    assert.equal(N, json.read(replay.output).requests)
    -- Sanitized, everything takes many times as long.
    assert.is_true(gateway.is_sanitized() or N / minutes > 100000, ("%.0f a minute"):format(N / minutes))
  end))
end)
