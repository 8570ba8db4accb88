-- Assignments over the admin side: policies/routes.lua is written as a person would, and decides.
local gateway = require "support.gateway"
local loop = require "support.loop"
local process = require "support.process"
local upstream = require "support.upstream"

local POLICIES = {
  to_a = "return function() return { 'a/m' } end",
  to_b = "return function() return { 'b/m' } end",
  by_param = [[
    return { params = { target = { type = "string", default = "a/m", choices = { "a/m", "b/m" } } },
      decide = function(req) return { req.params.target }, "limits " .. tostring(req.limits.max_latency_ms) end }
  ]],
}

describe("assignments", function()
  local house, up

  before_each(loop.test(function()
    up = upstream.start(function(peer)
      peer:send(upstream.answer(200, upstream.completion "x"))
    end)
    house = gateway.start {
      providers = { a = gateway.provider(up.url), b = gateway.provider(up.url) },
      policies = POLICIES,
      config = { policies = { tiers = { managed = "to_a" } } },
    }
  end))
  after_each(loop.test(function()
    house:stop()
    up:close()
  end))

  local function put(path, body)
    return house:admin("PUT", "/api/routes/" .. path, body)
  end

  local function taken(answer)
    assert.equal(200, answer.status, answer.body)
    return answer.json
  end

  local function refused(answer, status, code)
    assert.equal(status, answer.status, answer.body)
    assert.equal(code, answer.json.error.code, answer.body)
    return answer.json.error
  end

  local function goes_to(tier)
    return house:chat({ headers = { ["x-route-tier"] = tier } }).headers["x-routed-provider"]
  end

  local function file()
    local f = io.open(house.dir .. "/policies/routes.lua")
    local text = f and f:read "*a"
    if f then
      f:close()
    end
    return text
  end

  it("decide as soon as the call returns, for tier, endpoint and account in this order", loop.test(function()
    taken(put("account", { policy = "to_b" }))
    assert.equal("b", goes_to())
    taken(put("endpoint/v1/chat/completions", { policy = "to_a" }))
    assert.equal("a", goes_to())
    taken(put("tier/free", { policy = "by_param", params = { target = "b/m" } }))
    assert.equal("b", goes_to "free")
    assert.equal("a", goes_to "other")
    taken(house:admin("DELETE", "/api/routes/tier/free"))
    assert.equal("a", goes_to "free")
    taken(house:admin("DELETE", "/api/routes/endpoint/%2Fv1%2Fchat%2Fcompletions"))
    assert.equal("b", goes_to "free")
    refused(house:admin("DELETE", "/api/routes/tier/free"), 404, "not_found")
  end))

  it("decide for projects and keys that there are, before the rest", loop.test(function()
    house.config.projects = { shop = {}, fixed = { policy = "to_a" } }
    house.config.client_keys = { { secret = "s-ci", id = "ci", project = "shop" }, { secret = "s-web", id = "web", project = "shop" } }
    house:write_config(house.config)
    assert.equal(0, (house:command "reload"))
    local function key_goes_to(secret)
      local answer = house:chat { headers = { authorization = "Bearer " .. secret } }
      assert.equal(200, answer.status, answer.body)
      return answer.headers["x-routed-provider"]
    end
    taken(put("account", { policy = "to_a" }))
    taken(put("project/shop", { policy = "to_b" }))
    taken(put("key/ci", { policy = "to_a" }))
    assert.same({ "a", "b" }, { key_goes_to "s-ci", key_goes_to "s-web" })
    taken(house:admin("DELETE", "/api/routes/key/ci"))
    assert.equal("b", key_goes_to "s-ci")
    refused(put("project/fixed", { policy = "to_b" }), 409, "managed_by_file")
    taken(put("key/ci", { policy = "to_a" }))
    house.config.client_keys[1].id = "other"
    house:write_config(house.config)
    assert.equal(0, (house:command "reload"))
    taken(house:admin("DELETE", "/api/routes/key/ci")) -- who is gone can be taken out
    refused(put("key/ci", { policy = "to_b" }), 404, "not_found")
  end))

  it("have params of their own, under which the policy's count for others", loop.test(function()
    taken(put("tier/one", { policy = "by_param", params = { target = "b/m" } }))
    taken(put("tier/two", { policy = "by_param" }))
    assert.equal("b", goes_to "one")
    assert.equal("a", goes_to "two")
    local answer = refused(put("tier/one", { policy = "by_param", params = { target = "c/m" } }), 422, "invalid_configuration")
    assert.is_string(answer.message)
    refused(put("tier/one", { policy = "by_param", params = { nonsense = 1 } }), 422, "invalid_configuration")
    assert.equal("b", goes_to "one")
  end))

  it("tighten the limits of their requests", loop.test(function()
    taken(put("tier/free", { policy = "to_a", limits = { max_cost_usd = 0 } }))
    local answer = house:chat { headers = { ["x-route-tier"] = "free" } }
    assert.is_true(answer.status >= 400, answer.body)
    assert.equal(200, house:chat().status)
    taken(put("tier/free", { policy = "to_a", limits = { max_latency_ms = 60000, deadline_ms = 60000 } }))
    assert.equal("a", goes_to "free")
  end))

  it("are listed with who owns them", loop.test(function()
    taken(put("tier/free", { policy = "by_param", params = { target = "b/m" }, limits = { max_cost_usd = 0.5, deadline_ms = 900 } }))
    local list = house:admin("GET", "/api/routes").json.routes
    assert.equal(2, #list)
    assert.same({ scope = "tier", name = "managed", policy = "to_a", params = {}, limits = {}, managed_by_file = true }, list[1])
    assert.same({ scope = "tier", name = "free", policy = "by_param", params = { target = "b/m" },
      limits = { max_cost_usd = 0.5, deadline_ms = 900 }, managed_by_file = false }, list[2])
  end))

  it("are a file that people edit, too", loop.test(function()
    taken(put("tier/free", { policy = "to_a" }))
    process.write(house.dir .. "/policies/routes.lua", file():gsub("to_a", "to_b"))
    loop.until_true(function()
      return goes_to "free" == "b"
    end, "the edit to be live")
    taken(put("tier/other", { policy = "to_a" }))
    assert.equal("b", goes_to "free")
    assert.matches("^%-%- Which policy decides", file())
  end))

  it("can not be changed while the file is broken, and decide as before", loop.test(function()
    taken(put("tier/free", { policy = "to_b" }))
    process.write(house.dir .. "/policies/routes.lua", "return {")
    house:wait_for_log "policies/routes.lua:1"
    local answer = put("tier/free", { policy = "to_a" })
    refused(answer, 422, "invalid_configuration")
    assert.matches("routes.lua", answer.json.findings[1].path)
    assert.equal("return {", file())
    assert.equal("b", goes_to "free")
  end))

  it("are refused where they make no sense", loop.test(function()
    refused(put("tier/managed", { policy = "to_b" }), 409, "managed_by_file")
    refused(house:admin("DELETE", "/api/routes/tier/managed"), 409, "managed_by_file")
    assert.matches('"shop"', refused(put("project/shop", { policy = "to_b" }), 404, "not_found").message)
    assert.matches('"ci"', refused(put("key/ci", { policy = "to_b" }), 404, "not_found").message)
    refused(put("endpoint/v1/nothing", { policy = "to_b" }), 404, "not_found")
    refused(put("endpoint/v1/models", { policy = "to_b" }), 404, "not_found")
    refused(put("teir/free", { policy = "to_b" }), 404, "not_found")
    refused(put("tier", { policy = "to_b" }), 404, "not_found")
    refused(put("account/x", { policy = "to_b" }), 404, "not_found")
    refused(put("tier/a%00b", { policy = "to_b" }), 400, "invalid_request")
    refused(put("tier/%ff", { policy = "to_b" }), 400, "invalid_request")
    refused(put("tier/" .. ("x"):rep(300), { policy = "to_b" }), 400, "invalid_request")
    assert.is_nil(file())
  end))

  it("are refused with what is wrong, by its path", loop.test(function()
    local function param(body)
      return refused(put("tier/free", body), 400, "invalid_request").param
    end
    assert.equal("policy", param {})
    assert.equal("policy", param { policy = 1 })
    assert.equal("policy", param { policy = "to_c" })
    assert.equal("polciy", param { polciy = "to_a" })
    assert.equal("limits.max_cost", param { policy = "to_a", limits = { max_cost = 1 } })
    assert.equal("limits.max_cost_usd", param { policy = "to_a", limits = { max_cost_usd = -1 } })
    assert.equal("limits.deadline_ms", param { policy = "to_a", limits = { deadline_ms = 0.5 } })
    assert.equal("params.target", param '{"policy":"by_param","params":{"target":null}}')
    assert.matches("policy", refused(put("tier/free", { polciy = "to_a" }), 400, "invalid_request").message)
    assert.is_nil(file())
  end))

  it("survive names that would break a table", loop.test(function()
    local name = [=[a"]] = "b\]=]
    local encoded = name:gsub("[^%w]", function(c)
      return ("%%%02X"):format(c:byte())
    end)
    taken(put("tier/" .. encoded, { policy = "to_b" }))
    assert.equal("b", goes_to(name))
  end))
end)
