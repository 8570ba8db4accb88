-- What policies know of who asks and of what is left: they are frugal before the wall, and a replay decides by the same.
local gateway = require "support.gateway"
local json = require "perilune.json"
local loop = require "support.loop"
local mock = require "support.mock"
local process = require "support.process"

local FRUGAL = [[
return function(req, fleet)
  local able, budget = fleet:able(), req.budget
  if budget.used >= 0.8 then
    return able:cheapest():take(1), "frugal"
  end
  return able:best():take(1), "generous"
end]]

local TELLS = [[
return function(req, fleet)
  local k, b = req.key, req.budget
  local meta = k.meta.team and k.meta.team.name
  note("who", ("%s %s %s %s %s"):format(k.id, k.name, k.project, k.tags.ci, meta))
  note("of", ("%s %s %s %s"):format(req.tier, req.tags.ci, req.tags.web, req.tags.own))
  note("left", ("%s %s %s"):format(b.left_usd, b.used, b.free_left))
  return fleet:able():take(1)
end]]

local SHOP, ANY = "a-secret-of-the-shop", "a-secret-of-anybody"

local function model(input, output, quality)
  return { models = { { name = "m", price = { input = input, output = output }, quality = quality, max_output = 4096 } } }
end

describe("a policy", function()
  local up, house

  setup(loop.test(function()
    up = mock.start()
    house = gateway.start {
      providers = {
        good = up:provider("tokens=100", model(3000, 15000, 50)), cheap = up:provider("", model(0.5, 2, 10)),
        unpriced = up:provider("", { models = { "m" } }),
      },
      policies = { frugal = FRUGAL, tells = TELLS },
      config = {
        record = "requests.jsonl",
        projects = {
          trial = { free_requests = 3 },
          shop = { tier = "paid", policy = "frugal", tags = { "web" }, total_usd = 10 },
        },
        client_keys = {
          { secret = SHOP, id = "shop-ci", name = "CI", project = "shop", tags = { "ci" }, metadata = { team = { name = "build" } },
            grants = { "policy" } },
          { secret = ANY, id = "any", project = "trial", grants = { "policy" } },
        },
      },
    }
  end))
  teardown(loop.test(function()
    house:stop()
    up:stop()
  end))

  local function ask(secret, options)
    options = options or {}
    options.headers = options.headers or {}
    options.headers.authorization, options.headers["x-route-trace"] = "Bearer " .. secret, "1"
    local answer = house:chat(options)
    return answer, answer.body and json.decode(answer.body)
  end

  local function notes_of(secret, headers)
    local _, body = ask(secret, { policy = "tells", headers = headers })
    return assert(body.route.notes)
  end

  it("knows the key with its project, and what both say of it", loop.test(function()
    local notes = notes_of(SHOP, { ["x-route-tags"] = "own" })
    assert.equal("shop-ci CI shop true build", notes.who)
    assert.equal("paid true true true", notes.of)
    assert.equal("10 0 0", notes.left)
    notes = notes_of(ANY)
    assert.equal("any any trial nil nil", notes.who)
    assert.equal("nil nil nil nil", notes.of)
    assert.equal("inf 0 2", notes.left)
    assert.equal("inf 0 1", notes_of(ANY).left)
  end))

  it("is frugal before the wall, and the wall holds", loop.test(function()
    local said = {}
    for _ = 1, 9 do
      local answer, body = ask(SHOP)
      assert.equal(200, answer.status, answer.body)
      said[#said + 1] = body.route.reason .. " " .. answer.headers["x-routed-provider"]
    end
    assert.equal("generous good", said[1])
    assert.equal("frugal cheap", said[#said])
    for k = 2, #said do
      assert(said[k] == said[k - 1] or said[k] == "frugal cheap", table.concat(said, ", "))
    end
  end))

  it("decides the same when it is replayed, by what was left then", loop.test(function()
    assert.equal(200, house:admin("POST", "/api/reload").status) -- what waits is written before
    local record, frugal = house.dir .. "/state/requests.jsonl", 0
    local id
    for text in io.lines(record) do
      local line = assert(json.read(text))
      assert.is_nil(text:find(SHOP, 1, true))
      if line.kind == "request" and line.policy:find "^frugal@" then
        assert.equal("shop-ci", line.req.key.id)
        assert.equal("shop", line.req.key.project)
        assert.same({ ci = true }, line.req.key.tags)
        frugal = frugal + (line.req.budget.used >= 0.8 and 1 or 0)
        id = line.id
      end
    end
    assert(frugal > 0)
    local code, output = house:command("replay", "frugal", "--only", "frugal", "--max-changed", "0%", "--max-errors", "0")
    assert.equal(0, code, output)
    code, output = house:command("explain", id, "--json")
    assert.equal(0, code, output)
    local report = json.decode(output)
    assert.is_true(report.as_recorded)
    assert.equal("shop-ci", report.request.key.id)
    assert(report.request.budget.used >= 0.8)
    code, output = house:command("explain", id, "--assume", "budget.used=0.1", "--assume", "budget.left_usd=9")
    assert.equal(0, code, output)
    assert.matches(": generous\n", output, 1, true)
  end))

  it("is explained for a key that is assumed", loop.test(function()
    process.write(house.dir .. "/r.json", '{"model":"auto","messages":[{"role":"user","content":"hello"}]}')
    for _, where in ipairs { "--json", "--offline" } do
      local code, output = house:command("explain", "r.json", "--json", where, "--assume", "key=shop-ci", "--assume", "budget.left_usd=0")
      assert.equal(0, code, output)
      local report = json.decode(output)
      assert.matches("^frugal@", report.policy)
      assert.equal("paid", report.request.tier)
      assert.same({ "ci", "web" }, report.request.tags)
      assert.same({ team = { name = "build" } }, report.request.key.meta)
      for _, candidate in ipairs(report.candidates) do
        assert.equal(candidate.target == "unpriced/m" and "able: price_unknown" or "able: price over budget", candidate.why)
      end
      code, output = house:command("explain", "r.json", where, "--assume", "key=nobody")
      assert.equal(1, code)
      assert.matches('"key=nobody": there is no such key', output, 1, true)
    end
  end))
end)
