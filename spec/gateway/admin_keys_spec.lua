-- Keys and projects over the admin side: made, shown, changed, rotated, revoked; live on every worker when the answer is there.
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local upstream = require "support.upstream"

describe("keys over the admin side", function()
  local house, up

  local function start(config)
    house = gateway.start { providers = { a = gateway.provider(up.url) }, config = config }
  end

  before_each(loop.test(function()
    up = upstream.start(function(peer)
      peer:send(upstream.answer(200, upstream.completion "x"))
    end)
    start { client_keys = { "the-file-key-of-this-spec" }, projects = { filed = { tier = "paid" } } }
  end))
  after_each(loop.test(function()
    house:stop()
    up:close()
  end))

  local function refused(answer, status, code, param)
    assert.equal(status, answer.status, answer.body)
    assert.equal(code, answer.json.error.code)
    assert.equal(param, type(answer.json.error.param) == "string" and answer.json.error.param or nil)
    return answer.json.error.message
  end

  local function make(body)
    local answer = house:admin("POST", "/api/keys", body or {})
    assert.equal(201, answer.status, answer.body)
    return answer.json
  end

  -- What a key is good for, asked of every worker: connections go to either.
  local function statuses(secret)
    local seen = {}
    for _ = 1, 8 do
      seen[house:chat({ headers = { authorization = "Bearer " .. secret } }).status] = true
    end
    local list = {}
    for status in pairs(seen) do
      list[#list + 1] = status
    end
    return list
  end

  it("makes one whose secret is told once, and which is good at once", loop.test(function()
    local key = make { name = "CI", tags = { "ci" }, rpm = 1000, metadata = { team = "x" } }
    assert.matches("^pl%-[%w_-]+$", key.secret)
    assert.matches("^key_", key.id)
    assert.equal(key.secret:sub(-4), key.last)
    assert.equal("default", key.project)
    assert.is_false(key.managed_by_file)
    assert.same({ 200 }, statuses(key.secret))
    local shown = house:admin("GET", "/api/keys/" .. key.id)
    assert.equal(200, shown.status)
    assert.is_nil(shown.json.secret)
    assert.equal("CI", shown.json.name)
    assert.same({ team = "x" }, shown.json.metadata)
    assert.equal(1000, shown.json.rpm)
    local list = house:admin("GET", "/api/keys")
    assert.equal(2, #list.json.keys)
    assert.is_nil(list.body:find(key.secret, 1, true))
    assert.is_nil(list.body:find("the-file", 1, true))
    assert.is_nil(house.process.output:find(key.secret, 1, true))
    assert.equal(0, #house:admin("GET", "/api/keys?project=filed").json.keys)
  end))

  it("changes what is named, and nothing else", loop.test(function()
    local key = make { name = "CI", tier = "free", tpm = 100000, models = { "a/*" } }
    local answer = house:admin("PATCH", "/api/keys/" .. key.id, { tier = "paid", expires = "2099-01-01", project = "filed" })
    assert.equal(200, answer.status, answer.body)
    assert.equal("paid", answer.json.tier)
    assert.equal("CI", answer.json.name)
    assert.equal("filed", answer.json.project)
    assert.equal("2099-01-01T00:00:00.000Z", answer.json.expires)
    assert.equal(100000, answer.json.tpm)
    assert.same({ "a/*" }, answer.json.models)
    assert.same({ 200 }, statuses(key.secret))
    house:admin("PATCH", "/api/keys/" .. key.id, { expires = "2001-01-01" })
    assert.same({ 401 }, statuses(key.secret))
  end))

  it("sets caps, which hold from then on", loop.test(function()
    local key = make { daily_usd = 5, alerts = { 50 } }
    assert.same({ "key", key.id, "day", 5000000000 }, { key.caps[1].scope, key.caps[1].name, key.caps[1].period, key.caps[1].cap_nano })
    assert.same({ 402 }, statuses(key.secret)) -- nobody knows what this model costs
    local answer = house:admin("PATCH", "/api/keys/" .. key.id, { daily_usd = http.null })
    assert.same({}, answer.json.caps)
    assert.same({ 200 }, statuses(key.secret))
  end))

  it("gives keys and projects their policy", loop.test(function()
    assert.equal(201, house:admin("PUT", "/api/projects/fast", { policy = "fastest" }).status)
    local function decided_by(key)
      local name = house:chat({ model = "auto", headers = { authorization = "Bearer " .. key.secret } }).headers["x-route-policy"]
      return name:match "^[^@]+"
    end
    assert.equal("fastest", decided_by(make { project = "fast" }))
    assert.equal("quality", decided_by(make { project = "fast", policy = "quality" }))
  end))

  it("rotates a secret with both good meanwhile, or at once", loop.test(function()
    local key = make {}
    local second = house:admin("POST", "/api/keys/" .. key.id .. "/rotate", { overlap_s = 3600 })
    assert.equal(200, second.status, second.body)
    assert.is_true(second.json.secret ~= key.secret)
    assert.equal(key.last, second.json.previous.last)
    assert.same({ 200 }, statuses(key.secret))
    assert.same({ 200 }, statuses(second.json.secret))
    local third = house:admin("POST", "/api/keys/" .. key.id .. "/rotate").json
    assert.same({ 401 }, statuses(key.secret))
    assert.same({ 401 }, statuses(second.json.secret))
    assert.same({ 200 }, statuses(third.secret))
    refused(house:admin("POST", "/api/keys/" .. key.id .. "/rotate", { overlap_s = -1 }), 400, "invalid_request", "overlap_s")
  end))

  it("revokes one for good, on every worker", loop.test(function()
    local key = make {}
    assert.same({ 200 }, statuses(key.secret))
    local answer = house:admin("DELETE", "/api/keys/" .. key.id)
    assert.equal(200, answer.status)
    assert.is_true(answer.json.revoked)
    assert.same({ 401 }, statuses(key.secret))
    refused(house:admin("POST", "/api/keys/" .. key.id .. "/rotate"), 404, "not_found")
  end))

  it("says what is wrong", loop.test(function()
    assert.matches('"name"', refused(house:admin("POST", "/api/keys", { nmae = "x" }), 400, "invalid_request", "nmae"), 1, true)
    assert.matches("no project", refused(house:admin("POST", "/api/keys", { project = "nobody" }), 400, "invalid_request", "project"))
    refused(house:admin("POST", "/api/keys", { policy = "chepest" }), 400, "invalid_request", "policy")
    refused(house:admin("POST", "/api/keys", { policies = { "cheapest", "x" } }), 400, "invalid_request", "policies")
    refused(house:admin("POST", "/api/keys", { models = { "nobody-has-it" } }), 400, "invalid_request", "models")
    refused(house:admin("POST", "/api/keys", { daily_usd = -1 }), 400, "invalid_request", "daily_usd")
    refused(house:admin("POST", "/api/keys", "{"), 400, "invalid_request")
    refused(house:admin("GET", "/api/keys/nobody"), 404, "not_found", "id")
    for _, method in ipairs { "PATCH", "DELETE" } do
      assert.equal(404, house:admin(method, "/api/keys/nobody", {}).status)
    end
    assert.equal(1, #house:admin("GET", "/api/keys").json.keys)
  end))

  it("leaves the file its own", loop.test(function()
    local own = house:admin("GET", "/api/keys").json.keys[1]
    assert.is_true(own.managed_by_file)
    for _, call in ipairs {
      { "PATCH", "/api/keys/" .. own.id, {} }, { "DELETE", "/api/keys/" .. own.id }, { "POST", "/api/keys/" .. own.id .. "/rotate" },
      { "PUT", "/api/projects/filed", {} },
    } do
      assert.matches("perilune.lua", refused(house:admin(unpack(call)), 409, "managed_by_file"), 1, true)
    end
    assert.same({ 200 }, statuses "the-file-key-of-this-spec")
  end))

  it("keeps what was made over a restart", loop.test(function()
    local kept, gone = make { name = "stays", daily_usd = 0.000000001 }, make {}
    house:admin("DELETE", "/api/keys/" .. gone.id)
    house:admin("PUT", "/api/projects/made", { free_requests = 3, markup = 0.2 })
    house.process:stop()
    house:launch {}
    assert.equal("stays", house:admin("GET", "/api/keys/" .. kept.id).json.name)
    assert.equal(1, house:admin("GET", "/api/keys/" .. kept.id).json.caps[1].cap_nano)
    assert.is_true(house:admin("GET", "/api/keys/" .. gone.id).json.revoked)
    assert.equal(0.2, house:admin("GET", "/api/projects/made").json.markup)
    assert.same({ 401 }, statuses(gone.secret))
    assert.is_nil(house.process.output:find(kept.secret, 1, true))
  end))

  it("puts projects, and shows how their caps stand", loop.test(function()
    local answer = house:admin("PUT", "/api/projects/shop", { monthly_usd = 500, zone = "+02:00", free_requests = 2, tier = "paid" })
    assert.equal(201, answer.status, answer.body)
    assert.equal(2, answer.json.free_left)
    local cap = answer.json.caps[1]
    assert.same({ "project", "shop", "month", 500000000000, 0 }, { cap.scope, cap.name, cap.period, cap.left_nano, cap.spent_nano })
    assert.equal(200, house:admin("PUT", "/api/projects/shop", { total_usd = 1 }).status)
    local shown = house:admin("GET", "/api/projects/shop").json
    assert.equal(1, #shown.caps)
    assert.equal(0, shown.free_left)
    assert.equal(http.null, shown.tier)
    local names = {}
    for i, project in ipairs(house:admin("GET", "/api/projects").json.projects) do
      names[i] = project.name
    end
    assert.same({ "default", "filed", "shop" }, names)
    refused(house:admin("PUT", "/api/projects/a%20b", {}), 400, "invalid_request", "name")
    refused(house:admin("PUT", "/api/projects/shop", { free_request = 1 }), 400, "invalid_request", "free_request")
    refused(house:admin("GET", "/api/projects/nobody"), 404, "not_found", "name")
  end))
end)

describe("caps over the admin side", function()
  it("are all there, and say what was spent", loop.test(function()
    local up = upstream.start(function(peer)
      peer:send(upstream.answer(200, upstream.completion "x"))
    end)
    local house = gateway.start {
      providers = { a = gateway.provider(up.url, { models = { { name = "m", price = { input = 1, output = 2 }, max_output = 1000 } } }) },
      headers = { authorization = "Bearer the-file-key-of-this-spec" },
      config = {
        client_keys = { { secret = "the-file-key-of-this-spec", id = "ci", project = "shop", daily_usd = 1 } },
        projects = { shop = { monthly_usd = 2 } },
        account = { total_usd = 3, request_usd = 0.5 },
        route_caps = { ["/v1/messages"] = { daily_usd = 4, zone = "-03:00" } },
      },
    }
    local caps = house:admin("GET", "/api/caps").json.caps
    local list = {}
    for i, cap in ipairs(caps) do
      list[i] = ("%s %s %s %d"):format(cap.scope, cap.name == http.null and "null" or cap.name, cap.period, cap.cap_nano / 1e9)
    end
    table.sort(list)
    assert.same({ "account null total 3", "key ci day 1", "project shop month 2", "route /v1/messages day 4" }, list)
    assert.equal("-03:00", house:admin("GET", "/api/caps?scope=route").json.caps[1].zone)
    assert.equal(1, #house:admin("GET", "/api/caps?name=ci").json.caps)
    assert.equal(400, house:admin("GET", "/api/caps?scope=planet").status)
    local chat = house:chat()
    assert.equal(200, chat.status, chat.body)
    for _, cap in ipairs(house:admin("GET", "/api/caps").json.caps) do
      local spent = cap.scope == "route" and 0 or 3 * 1000 + 2 * 2000
      assert.same({ spent, 0, cap.cap_nano - spent }, { cap.spent_nano, cap.held_nano, cap.left_nano }, cap.scope)
    end
    house:stop()
    up:close()
  end))
end)
