-- The command line: what it offers, and how it fails.
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local mock = require "support.mock"
local port = require "support.port"
local process = require "support.process"

local GOOD = "return " .. gateway.lua { providers = { a = gateway.provider "http://127.0.0.1:1/v1" } }

describe("perilune", function()
  local function run(args, options)
    options = options or {}
    options.args = args
    return gateway.command(options)
  end

  it("tells what there is", loop.test(function()
    for _, args in ipairs { {}, { "help" }, { "--help" }, { "-h" } } do
      local code, output = run(args)
      assert.equal(0, code)
      for _, name in ipairs { "run", "check", "mock", "models", "reload", "status", "version", "help", "init", "test" } do
        assert.is_truthy(output:find("\n  " .. name .. " ", 1, true), name)
      end
    end
  end))

  it("tells more about each command, wherever --help stands", loop.test(function()
    for _, name in ipairs { "run", "check", "mock", "models", "reload", "status", "version", "help", "init", "test" } do
      local code, output = run { "help", name }
      assert.equal(0, code)
      assert.is_truthy(output:find("Usage: perilune " .. name, 1, true))
      local again_code, again = run { name, "--help" }
      assert.equal(0, again_code)
      assert.equal(output, again)
    end
  end))

  it("prints its version, for people and for programs", loop.test(function()
    local code, output = run { "version" }
    assert.equal(0, code)
    assert.is_truthy(output:match "^perilune %d+%.%d+%.%d+ ")
    local _, json = run { "version", "--json" }
    assert.is_truthy(http.json(json).version:match "^%d+%.%d+%.%d+$")
    assert.same({ run { "version" } }, { run { "--version" } })
  end))

  it("knows what was meant", loop.test(function()
    local code, output = run { "relaod" }
    assert.equal(2, code)
    assert.is_truthy(output:find("did you mean reload?", 1, true))
    code, output = run { "version", "--jsn" }
    assert.equal(2, code)
    assert.is_truthy(output:find("did you mean --json?", 1, true))
  end))

  it("refuses what it can not use", loop.test(function()
    for _, args in ipairs { { "version", "more" }, { "run", "-c" }, { "version", "--json=yes" }, { "run", "-z" } } do
      local code, output = run(args)
      assert.equal(2, code)
      assert.is_truthy(output:find("perilune help", 1, true))
    end
  end))

  it("checks a configuration: fine", loop.test(function()
    local code, output = run({ "check" }, { config = GOOD, files = { ["policies/p.lua"] = "return function() return { 'a/m' } end" } })
    assert.equal(0, code, output)
  end))

  it("checks a policy: findings as file and line, with a hint", loop.test(function()
    local code, output = run({ "check" }, { config = GOOD, files = { ["policies/p.lua"] = "return function()\n  retrun 1\nend" } })
    assert.equal(1, code, output)
    assert.is_truthy(output:find("policies/p.lua:2: ", 1, true), output)
    assert.is_truthy(output:find("\n>    2 |   retrun 1\n", 1, true), output)
    assert.is_truthy(output:find("\n  effect: the fallback chain answers in its place\n", 1, true), output)
    local _, json = run({ "check", "--json" }, { config = GOOD, files = { ["policies/p.lua"] = "return function()\n  retrun 1\nend" } })
    assert.equal("the fallback chain answers in its place", http.json(json).findings[1].effect)
  end))

  it("checks what a policy says to a few plain requests", loop.test(function()
    local policy = "return function(req)\n  return req.teir\nend"
    local code, output = run({ "check" }, { config = GOOD, files = { ["policies/p.lua"] = policy } })
    assert.equal(1, code, output)
    assert.is_truthy(output:find('policies/p.lua:2: warning: req has no field "teir"; did you mean "tier"?\n', 1, true), output)
    assert.is_truthy(output:find("\n>    2 |   return req.teir\n", 1, true), output)
    assert.is_truthy(output:find("\n  effect: a request for auto: the fallback chain answers it\n", 1, true), output)
  end))

  it("checks a configuration: wrong", loop.test(function()
    for config, word in pairs {
      ["return { listen = 7 }"] = "listen",
      ["return { workrs = 2 }"] = "workers",
      ["return {"] = "perilune.lua:1",
      ['return { providers = { a = { like = "openai_compatibel", base_url = "http://x/v1" } } }'] = "openai_compatible",
      ['return { listen = env "NOT_SET_ANYWHERE" }'] = "NOT_SET_ANYWHERE",
    } do
      local code, output = run({ "check" }, { config = config })
      assert.equal(4, code, config .. "\n" .. output)
      assert.is_truthy(output:find(word, 1, true), config .. "\n" .. output)
    end
  end))

  it("lists models without a server", loop.test(function()
    local code, output = run({ "models" }, { config = GOOD })
    assert.equal(0, code, output)
    assert.is_truthy(output:find("a/m", 1, true))
    local _, json = run({ "models", "--json" }, { config = GOOD })
    assert.is_truthy(http.json(json))
  end))

  it("can not reach a server that is not there", loop.test(function()
    for _, name in ipairs { "status", "reload" } do
      local code, output = run({ name }, { config = GOOD:gsub("^return {", 'return { admin = "127.0.0.1:1",') })
      assert.equal(3, code, output)
    end
  end))

  it("says which address a mock can not have, and what to do", loop.test(function()
    local up = mock.start()
    local code, output = run { "mock", "--listen", "127.0.0.1:" .. up.port }
    up:stop()
    assert.equal(3, code, output)
    assert.is_truthy(output:find("127.0.0.1:" .. up.port .. ": address already in use", 1, true), output)
    assert.is_truthy(output:find("--listen", 1, true), output)
  end))

  it("says what a server serves", loop.test(function()
    local house = gateway.start { providers = { a = gateway.provider "http://127.0.0.1:1/v1" } }
    local code, output = house:command("status", "--json")
    assert.equal(0, code, output)
    assert.equal(house.dir .. "/state", http.json(output).data_dir)
    assert.is_truthy(house.process.output:find("curl", 1, true))
    assert.is_truthy(house.process.output:find(tostring(house.port), 1, true))
    house:stop()
  end))

  it("talks to a server without its secrets, and when its configuration is broken", loop.test(function()
    local house = gateway.start { providers = { a = gateway.provider "http://127.0.0.1:1/v1" } }
    process.write(house.dir .. "/request.json", '{"model":"m","messages":[{"role":"user","content":"x"}]}')
    local said = ("return { data_dir = %q, providers = { openai = { api_keys = { env 'NOT_SET_ANYWHERE' } } } }"):format(
      house.dir .. "/state")
    process.write(house.dir .. "/other.lua", said)
    for _, args in ipairs { { "status" }, { "policy", "list" }, { "reload" }, { "explain", "request.json" } } do
      args[#args + 1] = "--config"
      args[#args + 1] = "other.lua"
      local code, output = house:command(unpack(args))
      assert.equal(0, code, output)
      assert.is_nil(output:find("NOT_SET_ANYWHERE", 1, true), output)
    end
    process.write(house.dir .. "/other.lua", "return {")
    local code, output = house:command("status", "-c", "other.lua")
    assert.equal(3, code, output)
    assert.is_truthy(output:find("other.lua does not say where the state folder is", 1, true), output)
    assert.is_truthy(output:find(house.dir .. "/state/perilune", 1, true), output)
    house:stop()
  end))

  it("says whose token another process refuses", loop.test(function()
    local house = gateway.start { providers = { a = gateway.provider "http://127.0.0.1:1/v1" } }
    process.write(house.dir .. "/state/admin.token", "another")
    for _, args in ipairs { { "status" }, { "policy", "list" }, { "reload" } } do
      local code, output = house:command(unpack(args))
      assert.equal(3, code, output)
      assert.is_truthy(output:find(house.dir .. "/state/admin.token", 1, true), output)
    end
    house:stop()
  end))

  it("goes on asking the one that runs when another was refused its state folder", loop.test(function()
    local house = gateway.start { providers = { a = gateway.provider "http://127.0.0.1:1/v1" } }
    process.write(house.dir .. "/other.lua", ([[return {
      listen = "127.0.0.1:%d", admin = "127.0.0.1:%d", data_dir = %q,
      providers = { a = { like = "openai_compatible", base_url = "http://127.0.0.1:1/v1", models = { "m" } } },
    }]]):format(port.free(), port.free(), house.dir .. "/state"))
    local code, output = house:command("run", "-c", "other.lua")
    assert.equal(3, code, output)
    assert.is_truthy(output:find("another process has locked it", 1, true), output)
    assert.equal(0, (house:command "status"))
    house:stop()
  end))

  it("runs with an address each for clients and the admin side, or not at all", loop.test(function()
    local number = port.free()
    for _, hosts in ipairs { { "127.0.0.1", "127.0.0.1" }, { "0.0.0.0", "127.0.0.1" }, { "127.0.0.1", "0.0.0.0" } } do
      local code, output = run({ "run" }, { config = ([[return {
        listen = "%s:%d", admin = "%s:%d", data_dir = "state",
        providers = { a = { like = "openai_compatible", base_url = "http://127.0.0.1:1/v1", models = { "m" } } },
      }]]):format(hosts[1], number, hosts[2], number) })
      assert.equal(3, code, output)
      assert.is_truthy(output:find("need a port each", 1, true), output)
    end
  end))
end)
