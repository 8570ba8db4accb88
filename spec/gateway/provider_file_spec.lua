-- A provider in twenty lines: the file of docs/providers.md, dropped beside a running gateway, serves without a restart.
local gateway = require "support.gateway"
local loop = require "support.loop"
local page = require "support.page"
local process = require "support.process"
local upstream = require "support.upstream"

local function read(path)
  local f = assert(io.open(path))
  local text = f:read "*a"
  f:close()
  return text
end

local FILE = page.files(read "docs/providers.md")["providers/acme.lua"]

describe("a provider file of one's own", function()
  local house, up

  before_each(loop.test(function()
    up = upstream.start(function(peer)
      peer:send(upstream.answer(200, upstream.completion "from acme"))
    end)
    house = gateway.start { providers = { a = gateway.provider(up.url) } }
  end))
  after_each(loop.test(function()
    house:stop()
    up:close()
    assert.same({}, up.faults)
  end))

  local function use(text)
    process.write(house.dir .. "/providers/acme.lua", text)
    house.config.providers.acme = { base_url = up.url, api_key = "sk-acme" }
    house:write_config(house.config)
    local code, output = house:command "reload"
    return code, output
  end

  it("is there after a reload, under its names and with its key", loop.test(function()
    local before = house:chat { model = "acme-large" }
    assert.equal(404, before.status, before.body)
    local code, output = use(FILE)
    assert.equal(0, code, output)
    for _, name in ipairs { "acme-large", "acme", "acme/acme-large", "acme/large-v2" } do
      local answer = house:chat { model = name }
      assert.equal(200, answer.status, answer.body)
      assert.equal("acme", answer.headers["x-routed-provider"])
      local request = up.requests[#up.requests]
      assert.equal("Bearer sk-acme", request.headers.authorization)
      assert.equal("acme/large-v2", request.json.model)
    end
  end))

  it("that is wrong stays out, with a word on what and where", loop.test(function()
    local code, output = use((FILE:gsub("base_url", "base_ulr")))
    assert.equal(4, code, output)
    assert.matches("acme.lua", output)
    assert.matches('did you mean "base_url"', output)
    assert.equal(200, house:chat({ model = "m" }).status)
  end))
end)
