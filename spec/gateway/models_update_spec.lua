-- New models and prices without a new binary: `perilune models update`, from a file and from what providers list.
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local process = require "support.process"
local upstream = require "support.upstream"

local CATALOGUE = [[{ "models": [
  { "id": "openai/gpt-99", "price_usd_per_mtok": { "input": 1, "output": 2 }, "context_window": 7000 },
  { "id": "openai/gpt-4o", "price_usd_per_mtok": { "input": 2, "output": 8, "cached_input": 1 } },
  { "id": "nobody/x" } ] }]]

describe("models update", function()
  local dir

  before_each(function()
    dir = process.folder()
  end)
  after_each(function()
    process.remove(dir)
  end)

  local function run(config, args)
    process.write(dir .. "/perilune.lua", config)
    return process.run({ process.binary(), unpack(args) }, { dir = dir })
  end

  local function listed(config)
    local code, output = run(config, { "models", "--json" })
    assert.equal(0, code, output)
    local by_id = {}
    for _, m in ipairs(http.json(output).data) do
      by_id[m.id] = m
    end
    return by_id
  end

  it("takes models and prices from a catalogue, and nothing twice", loop.test(function()
    local config = 'return { providers = { openai = { api_key = "k" } } }'
    process.write(dir .. "/new.json", CATALOGUE)
    local code, output = run(config, { "models", "update", "new.json" })
    assert.equal(0, code, output)
    assert.matches("providers/openai.models.lua: 1 new, 1 changed", output)
    assert.matches('no provider file "nobody"', output)
    local there = listed(config)
    assert(there["openai/gpt-99"] and there["openai/gpt-4o"] and there["openai/gpt-4.1"])
    code, output = run(config, { "models", "update", "new.json" })
    assert.equal(0, code, output)
    assert.matches("nothing is new", output)
  end))

  it("adds what providers list, asked with their keys", loop.test(function()
    local up = upstream.start(function(peer, request)
      if request.path:find "beta" then
        peer:send(upstream.answer(200, '{"models":[{"name":"models/gemini-99","inputTokenLimit":5}]}'))
      elseif request.headers["x-api-key"] then
        peer:send(upstream.answer(401, "{}"))
      else
        peer:send(upstream.answer(200, '{"data":[{"id":"gpt-4o"},{"id":"gpt-99"}]}'))
      end
    end)
    local config = ([[return { providers = {
      openai = { api_key = "sk-1", base_url = "%s" }, google = { api_key = "AIza", base_url = "%s/beta" },
      anthropic = { api_key = "sk-ant", base_url = "%s" }, bedrock = { api_key = "b" } } }]]):format(up.url, up.url, up.url)
    local code, output = run(config, { "models", "update", "--from-providers" })
    assert.equal(0, code, output)
    assert.matches("openai.models.lua: 1 new, 0 changed", output)
    assert.matches("google.models.lua: 1 new, 0 changed", output)
    assert.matches("anthropic was left out: it answers 401", output)
    assert.matches("bedrock was left out", output)
    assert.not_matches("sk%-", output)
    local asked = {}
    for _, request in ipairs(up.requests) do
      asked[request.path] = request.headers.authorization or request.headers["x-goog-api-key"] or request.headers["x-api-key"]
    end
    assert.same({ ["/v1/models"] = "Bearer sk-1", ["/v1/beta/models?pageSize=1000"] = "AIza", ["/v1/models?limit=1000"] = "sk-ant" }, asked)
    local there = listed(config)
    assert(there["openai/gpt-99"] and there["google/gemini-99"])
    up:close()
    assert.same({}, up.faults)
  end))

  it("says what is wrong", loop.test(function()
    local config = 'return { providers = { openai = { api_key = "k", base_url = "http://127.0.0.1:1/v1" } } }'
    process.write(dir .. "/bad.json", '{"models":[{"id":"x"}]}')
    for _, case in ipairs {
      { { "models", "update" }, 2, "takes a FILE or %-%-from%-providers" }, { { "models", "upgrade" }, 2, "update them" },
      { { "models", "--from-providers" }, 2, "update them" }, { { "models", "update", "none.json" }, 3, "none.json" },
      { { "models", "update", "bad.json" }, 1, "models%[1%].id" },
      { { "models", "update", "--from-providers" }, 3, "openai was left out" },
    } do
      local code, output = run(config, case[1])
      assert.equal(case[2], code, output)
      assert.matches(case[3], output)
    end
  end))

  it("is taken up by a gateway that runs", loop.test(function()
    local up = upstream.start(function(peer)
      peer:send(upstream.answer(200, upstream.completion "new"))
    end)
    local house = gateway.start { providers = { openai = { api_key = "k", base_url = up.url } } }
    process.write(house.dir .. "/new.json", CATALOGUE)
    assert.equal(404, house:chat({ model = "gpt-99" }).status)
    assert.equal(0, (house:command("models", "update", "new.json")))
    assert.equal(0, (house:command "reload"))
    assert.equal(200, house:chat({ model = "gpt-99" }).status)
    assert.equal("gpt-99", up.requests[1].json.model)
    house:stop()
    up:close()
    assert.same({}, up.faults)
  end))
end)
