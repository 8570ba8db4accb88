-- From nothing to the first answer: no file, no key; a key; a file; an address others can reach.
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local port = require "support.port"
local process = require "support.process"
local upstream = require "support.upstream"

local DATA, ADMIN = 4100, 4101 -- what `run` takes when nobody says otherwise

describe("the first run", function()
  local dir, running

  before_each(function()
    dir = process.folder()
  end)
  after_each(loop.test(function()
    if running then
      running:stop()
      running = nil
    end
    process.remove(dir)
  end))

  local function defaults_are_free()
    return port.is_free(DATA) and port.is_free(ADMIN)
  end

  local function run(env)
    running = process.start({ process.binary(), "run" }, { dir = dir, env = env })
    loop.until_true(function()
      assert(running:running(), running.output)
      return running.output:find("/v1/chat/completions", 1, true)
    end, "the curl line to try")
    return running.output
  end

  local function ask()
    return http.post(DATA, "/v1/chat/completions", { model = "auto", messages = { { role = "user", content = "Hello" } } })
  end

  it("answers without a file and without a key, from a mock, and says so", function()
    if not defaults_are_free() then
      pending "port 4100 or 4101 is in use here"
    end
    loop.run(function()
      local output = run()
      assert.is_truthy(output:find("MOCK", 1, true), output)
      assert.equal(1, select(2, output:gsub("no configuration and no provider key", "")), output)
      local answer = ask()
      assert.equal(200, answer.status, answer.body)
      assert.equal("mock", answer.headers["x-routed-provider"])

      process.write(dir .. "/policies/auto.lua", "return function() return nil, { status = 418, message = 'edited' } end")
      loop.until_true(function()
        return ask().status == 418
      end, "the first policy in a folder that was not there")
      local code, said = process.run({ process.binary(), "reload" }, { dir = dir })
      assert.equal(0, code, said)
      assert.equal(1, select(2, running.output:gsub("no configuration and no provider key", "")), running.output) -- at the start
    end)
  end)

  it("says that it is running already, instead of running twice", function()
    if not defaults_are_free() then
      pending "port 4100 or 4101 is in use here"
    end
    loop.run(function()
      run()
      local code, output = process.run({ process.binary(), "run" }, { dir = dir })
      assert.equal(3, code, output)
      assert.is_truthy(output:find("address already in use", 1, true), output)
      assert.is_truthy(output:find("perilune status", 1, true), output)
      assert.equal(200, ask().status)
    end)
  end)

  it("says when it has no place for its state, and where to name another", loop.test(function()
    process.write(dir .. "/state", "a file, where the folder would be")
    local code, output = process.run({ process.binary(), "run" }, { dir = dir })
    assert.equal(3, code, output)
    assert.is_truthy(output:find(dir .. "/state/perilune: Not a directory", 1, true), output)
    assert.is_truthy(output:find("XDG_STATE_HOME", 1, true), output)
  end))

  it("takes a provider's key from its usual variable", function()
    if not defaults_are_free() then
      pending "port 4100 or 4101 is in use here"
    end
    loop.run(function()
      local output = run { OPENAI_API_KEY = "sk-canary-usual" }
      assert.is_nil(output:find("MOCK", 1, true))
      assert.is_nil(output:find("sk-canary", 1, true))
      assert.equal(200, http.get(DATA, "/v1/models/openai%2Fgpt-4o").status)
    end)
  end)

  it("fails when there is a file and no usable key, and names the variable", loop.test(function()
    local code, output = gateway.command { args = { "run" }, config = "return { providers = { openai = {} } }" }
    assert.equal(4, code, output)
    assert.is_truthy(output:find("OPENAI_API_KEY", 1, true), output)
  end))

  it("makes a key for an address that others can reach, and prints it once", loop.test(function()
    local up = upstream.start(function(peer)
      peer:send(upstream.answer(200, upstream.completion "x"))
    end)
    local options = {
      providers = { a = gateway.provider(up.url) },
      config = { listen = "0.0.0.0:" .. port.free() },
    }
    local house = gateway.start(options)
    local key = house.process.output:match "pl%-[%w_-]+"
    assert.is_truthy(key, house.process.output)
    assert.equal(401, house:chat().status)
    assert.equal(200, house:chat({ headers = { authorization = "Bearer " .. key } }).status)
    house.process:stop()
    house:launch {}
    assert.is_nil(house.process.output:find(key, 1, true))
    assert.equal(200, house:chat({ headers = { authorization = "Bearer " .. key } }).status)
    house:stop()
    up:close()
  end))
end)
