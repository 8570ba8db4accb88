-- Keys and projects of perilune.lua: what each may, which policy decides for it, and that a saved change holds for the next request.
local gateway = require "support.gateway"
local loop = require "support.loop"
local upstream = require "support.upstream"

local POLICIES = {
  to_a = "return function() return { 'a/m' } end",
  to_b = "return function() return { 'b/m' } end",
  says = [[
    return function(req, fleet)
      local shop = req.key and req.key.project == "shop" and req.key.meta.team == "web" and req.key.name == "Web shop"
      return fleet:only { shop and req.tier == "paid" and req.tags.big and req.tags.web and "b/m" or "a/m" }
    end
  ]],
}

describe("keys of the configuration", function()
  local house, up

  setup(loop.test(function()
    up = upstream.start(function(peer)
      peer:send(upstream.answer(200, upstream.completion "x"))
    end)
    house = gateway.start {
      providers = { a = gateway.provider(up.url), b = gateway.provider(up.url) },
      policies = POLICIES,
      env = { PERILUNE_API_KEY = "s-own" },
      config = {
        client_keys = {
          "s-plain",
          { secret = "s-web", name = "Web shop", project = "shop", policy = "says", tags = { "web" }, metadata = { team = "web" } },
          { secret = "s-shop", project = "shop" },
          { secret = "s-b", models = { "b/*" } },
          { secret = "s-chooser", grants = { "policy" }, policies = { "to_b" } },
          { secret = "s-over", expires = "2001-01-01" },
          { secret = "s-own-project", project = "split", policy = "to_b" },
        },
        projects = { shop = { tier = "paid", policy = "to_b", tags = { "big" } }, split = { policy = "to_a" } },
        policies = { default = "to_a" },
      },
    }
  end))
  teardown(loop.test(function()
    house:stop()
    up:close()
  end))

  local function ask(secret, options)
    options = options or {}
    options.headers = options.headers or {}
    options.headers.authorization = "Bearer " .. secret
    return house:chat(options)
  end

  local function goes_to(secret, options)
    local answer = ask(secret, options)
    assert.equal(200, answer.status, answer.body)
    return answer.headers["x-routed-provider"]
  end

  local function refused(status, code, answer)
    assert.equal(status, answer.status, answer.body)
    assert.equal(code, answer.json.error.code, answer.body)
  end

  it("bring the policy of the key, else of the project, else of the account", loop.test(function()
    assert.equal("a", goes_to "s-plain")
    assert.equal("b", goes_to "s-shop")
    assert.equal("b", goes_to "s-own-project")
  end))

  it("are known to policies, with what they and their project say", loop.test(function()
    assert.equal("b", goes_to "s-web")
  end))

  it("choose what is granted, and nothing else", loop.test(function()
    refused(403, "permission_denied", ask("s-plain", { policy = "to_b" }))
    refused(403, "permission_denied", ask("s-chooser", { policy = "to_a" }))
    assert.equal("b", goes_to("s-chooser", { policy = "to_b" }))
    refused(403, "permission_denied", ask("s-chooser", { headers = { ["x-route-tier"] = "paid" } }))
    refused(403, "permission_denied", ask("s-chooser", { headers = { ["x-route-models"] = "b/m" } }))
    assert.equal("b", goes_to("s-own", { policy = "to_b", headers = { ["x-route-tier"] = "paid" } }))
  end))

  it("reach the models they name, whatever the policy wants", loop.test(function()
    refused(403, "permission_denied", ask("s-b", { model = "a/m" }))
    assert.equal("b", goes_to "s-b")
  end))

  it("are worth nothing when they have expired", loop.test(function()
    refused(401, "invalid_api_key", ask "s-over")
  end))

  it("change with the file, for the next request", loop.test(function()
    local keys = house.config.client_keys
    keys[1] = { secret = "s-new", policy = "to_b" }
    house:write_config(house.config)
    assert.equal(0, (house:command "reload"))
    refused(401, "invalid_api_key", ask "s-plain")
    assert.equal("b", goes_to "s-new")
    assert.equal("b", goes_to "s-shop")
  end))
end)
