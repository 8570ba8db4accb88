-- Keys and projects from the command line: made, shown, changed, rotated, revoked; and what a client then may.
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local mock = require "support.mock"
local process = require "support.process"

local PRICED = { models = { { name = "m", price = { input = 1, output = 2 }, context = 100000, max_output = 100 } } }

describe("the command line", function()
  local up, house

  local function run(...)
    return house:command(...)
  end

  local function json(...)
    local code, output = run(...)
    assert.equal(0, code, output)
    return http.json(output)
  end

  -- What goes to standard output alone.
  local function piped(...)
    local code, output = process.run({ "sh", "-c", '"$0" "$@" 2> said', process.binary(), ... }, { dir = house.dir })
    assert.equal(0, code, output)
    return output
  end

  local function status_with(secret, headers)
    headers = headers or {}
    headers.authorization = "Bearer " .. secret
    return house:chat({ headers = headers }).status
  end

  setup(loop.test(function()
    up = mock.start()
    house = gateway.start {
      providers = { b = up:provider(nil, PRICED) },
      policies = { there = "return function() return { 'b/m' } end" },
      config = {
        policies = { default = "there" },
        client_keys = { { secret = "sk-fixed", id = "fixed", project = "shop" } },
        projects = { shop = { tier = "paid", monthly_usd = 500 } },
      },
    }
  end))
  teardown(loop.test(function()
    house:stop()
    up:stop()
  end))

  it("makes a key whose secret alone is printed, and works at once", loop.test(function()
    local secret = piped("keys", "make", "--project", "shop", "--name", "CI", "--rpm", "600")
    assert.matches("^pl%-[%w_-]+\n$", secret)
    local said = assert(io.open(house.dir .. "/said")):read "*a"
    assert.matches("^made key_%w+ of project shop; its secret, which is not shown again:\n$", said)
    assert.equal(200, status_with(secret:sub(1, -2)))
  end))

  it("says of a key all that options can say", loop.test(function()
    local made = json("keys", "make", "--json", "--project", "shop", "--name", "all", "--tier", "free", "--policy", "cheapest",
      "--tag", "a", "--tag", "b c", "--rpm", "60", "--tpm", "1000", "--concurrent", "3", "--daily-usd", "0.25", "--monthly-usd", "5",
      "--total-usd", "100", "--zone", "+02:00", "--alert", "50", "--alert", "90", "--model", "b/m", "--grant", "policy", "--grant", "tier",
      "--may-choose", "fastest", "--strict", "yes", "--expires", "2099-01-01", "--metadata", '{"team":"x"}')
    local key = json("keys", "show", made.id, "--json")
    local expected = {
      project = "shop", name = "all", tier = "free", policy = "cheapest", tags = { "a", "b c" }, rpm = 60, tpm = 1000, concurrent = 3,
      daily_usd = 0.25, monthly_usd = 5, total_usd = 100, zone = "+02:00", alerts = { 50, 90 }, models = { "b/m" },
      grants = { "policy", "tier" }, policies = { "fastest" }, strict = true, expires = "2099-01-01T00:00:00.000Z",
      metadata = { team = "x" },
    }
    for name, value in pairs(expected) do
      assert.same(value, key[name], name)
    end
  end))

  it("shows keys, and what is left of their caps", loop.test(function()
    local made = json("keys", "make", "--json", "--name", "shown", "--daily-usd", "2", "--rpm", "9")
    local _, output = run("keys", "list")
    assert.matches("^ID +NAME +PROJECT +TIER +LAST +LIMITS +SPENT +EXPIRES\n", output)
    local last = made.secret:sub(-4):gsub("%p", "%%%0")
    assert.matches(made.id .. "  shown +default +" .. last .. "  9 rpm +%$0 of %$2 a day", output)
    assert.matches("\nfixed +fixed +shop +[^\n]*in perilune.lua\n", output)
    local _, of_shop = run("keys", "list", "--project", "shop")
    assert.is_nil(of_shop:find(made.id, 1, true))
    assert.is_truthy(of_shop:find("\nfixed ", 1, true))
    local _, shown = run("keys", "show", made.id)
    assert.matches("\nname +shown\n", shown)
    assert.matches("\nrpm +9\n", shown)
    assert.matches("\nspent +%$0 of %$2 a day, until %d+%-", shown)
    assert.is_nil(shown:find(made.secret, 1, true))
  end))

  it("changes what is named, and takes out what is none", loop.test(function()
    local made = json("keys", "make", "--json", "--name", "before", "--rpm", "9", "--tier", "free")
    local code, output = run("keys", "change", made.id, "--name", "after", "--rpm", "none")
    assert.equal(0, code, output)
    local key = json("keys", "show", made.id, "--json")
    assert.equal("after", key.name)
    assert.equal("free", key.tier)
    assert.equal(http.json("[null]")[1], key.rpm)
    code, output = run("keys", "change", made.id)
    assert.equal(2, code)
    assert.is_truthy(output:find("nothing to change", 1, true), output)
  end))

  it("rotates a secret, with the old one good for a while or not at all", loop.test(function()
    local made = json("keys", "make", "--json")
    local second = json("keys", "rotate", made.id, "--overlap", "1h", "--json").secret
    assert.equal(200, status_with(made.secret))
    assert.equal(200, status_with(second))
    local third = piped("keys", "rotate", made.id):sub(1, -2)
    assert.equal(401, status_with(made.secret))
    assert.equal(401, status_with(second))
    assert.equal(200, status_with(third))
  end))

  it("revokes a key at once", loop.test(function()
    local made = json("keys", "make", "--json")
    assert.equal(200, status_with(made.secret))
    local code, output = run("keys", "revoke", made.id)
    assert.equal(0, code)
    assert.equal(made.id .. " is revoked\n", output)
    assert.equal(401, status_with(made.secret))
    assert.matches(made.id .. "[^\n]*revoked\n", (select(2, run("keys", "list"))))
  end))

  it("lists what has expired as that, and what is still good as it is", loop.test(function()
    local good = json("keys", "make", "--json", "--expires", "2099-01-01")
    local gone = json("keys", "make", "--json", "--expires", "2020-01-01")
    local _, list = run("keys", "list")
    assert.matches(gone.id .. "[^\n]* 2020%-01%-01T00:00:00.000Z  expired\n", list)
    assert.matches(good.id .. "[^\n]* 2099%-01%-01T00:00:00.000Z *\n", list)
  end))

  it("puts projects whole, and changes a part", loop.test(function()
    local code, output = run("projects", "put", "lab", "--tier", "free", "--daily-usd", "5", "--free-requests", "10",
      "--markup", "0.2", "--tag", "x")
    assert.equal(0, code, output)
    assert.matches("\ntier +free\n", output)
    assert.equal(0, (run("projects", "change", "lab", "--daily-usd", "6", "--tag", "none")))
    local lab = json("projects", "show", "lab", "--json")
    assert.equal("free", lab.tier)
    assert.equal(6, lab.daily_usd)
    assert.equal(10, lab.free_requests)
    assert.equal(0.2, lab.markup)
    assert.same({}, lab.tags)
    assert.equal(0, (run("projects", "put", "lab", "--bodies", '{"max_bytes":100}')))
    lab = json("projects", "show", "lab", "--json")
    assert.equal(http.json("[null]")[1], lab.daily_usd)
    assert.equal(100, lab.bodies.max_bytes)
    local _, list = run("projects", "list")
    assert.matches("^NAME +TIER +", list)
    assert.matches("\nshop +paid +%$0.* of %$500 a month +in perilune%.lua\n", list)
  end))

  it("says what it wants, and what was refused", loop.test(function()
    for _, case in ipairs {
      { 2, "expected list, show ID, make, change ID, rotate ID or revoke ID", "keys" },
      { 2, "expected show ID", "keys", "show" },
      { 2, "--rpm wants a number, or none", "keys", "make", "--rpm", "many" },
      { 2, "--strict wants yes or no", "keys", "make", "--strict", "maybe" },
      { 2, "--expires wants 2026-11-01", "keys", "make", "--expires", "soon" },
      { 2, "--metadata wants JSON, or none", "keys", "make", "--metadata", "{" },
      { 2, "--overlap wants a time ahead", "keys", "rotate", "fixed", "--overlap", "2020-01-01" },
      { 2, "expected list, show NAME, put NAME or change NAME", "projects", "lst" },
      { 1, "project: There is no project", "keys", "make", "--project", "nobody" },
      { 1, "There is no key", "keys", "show", "nobody" },
      { 1, "perilune.lua", "keys", "revoke", "fixed" },
      { 1, "perilune.lua", "projects", "change", "shop", "--tier", "free" },
      { 1, "There is no project", "projects", "change", "nobody", "--tier", "free" },
    } do
      local code, output = run(unpack(case, 3))
      assert.equal(case[1], code, output)
      assert.is_truthy(output:find(case[2], 1, true), output)
    end
  end))

  it("can not reach a gateway that is not there", loop.test(function()
    for _, args in ipairs { { "keys", "list" }, { "projects", "list" }, { "logs", "-f" } } do
      assert.equal(3, (gateway.command { args = args, config = "return { data_dir = 'nothing' }" }))
    end
  end))
end)
