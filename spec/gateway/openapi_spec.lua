-- docs/openapi.json describes what is served: each route of both tables and no other, and answers that are as it says.
local account = require "perilune.account"
local admin_routes = require "support.admin_routes"
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local schema = require "support.schema"
local tree = require "support.tree"
local upstream = require "support.upstream"

local TEXT = tree.read "docs/openapi.json"
local DOCUMENT = http.json(TEXT)
local METHODS = { get = "GET", post = "POST", put = "PUT", patch = "PATCH", delete = "DELETE" }
local SECRET = "the-secret-of-this-spec"
local ALERT_SECRET = "what-alerts-are-signed-with"

-- Calls f(path, method, operation, item) for each.
local function each_operation(f)
  for path, item in pairs(DOCUMENT.paths) do
    for name, method in pairs(METHODS) do
      if item[name] then
        f(path, method, item[name], item)
      end
    end
  end
end

local function sorted(list)
  table.sort(list)
  return list
end

-- The parameters of the query, in the order of the table of routes.
local function query_of(operation)
  local names = {}
  for _, parameter in ipairs(operation.parameters or {}) do
    if parameter["in"] == "query" then
      names[#names + 1] = parameter.name
    end
  end
  return table.concat(names, " ")
end

describe("docs/openapi.json", function()
  it("is OpenAPI 3.1 whose names are all there, and used", function()
    assert.equal("3.1.0", DOCUMENT.openapi)
    local used = {}
    for ref in TEXT:gmatch '"%$ref": "([^"]+)"' do
      schema.resolve(DOCUMENT, ref)
      used[ref] = true
    end
    for name in pairs(DOCUMENT.components.schemas) do
      assert.is_true(used["#/components/schemas/" .. name], name .. " is not used")
    end
    local seen = {}
    each_operation(function(path, _, operation)
      assert.is_string(operation.summary)
      assert.is_nil(seen[operation.operationId], operation.operationId)
      seen[operation.operationId] = true
      local given = {}
      for _, parameter in ipairs(operation.parameters or {}) do
        given[parameter.name] = parameter["in"] == "path"
      end
      for name in path:gmatch "{(.-)}" do
        assert.is_true(given[name], path)
      end
    end)
  end)

  it("has each call of the admin side, its role and its parameters, and no other", function()
    local described, there = {}, {}
    each_operation(function(path, method, operation)
      if operation["x-role"] then
        described[#described + 1] = ("%s %s %s %s"):format(method, path, operation["x-role"], query_of(operation))
      end
    end)
    for _, route in ipairs(admin_routes.list()) do
      there[#there + 1] = ("%s %s %s %s"):format(route.method, route.pattern:gsub("%.%.%.", ""), route.role:lower(), route.query or "")
    end
    assert.same(sorted(there), sorted(described))
  end)

  it("has each endpoint of clients, and no other", function()
    local described, there = {}, { "GET /health" }
    each_operation(function(path, method, _, item)
      if item.servers then
        described[#described + 1] = method .. " " .. path
      end
    end)
    described[#described + 1] = "GET /health" -- on both sides, described once
    local source = tree.read "core/route/endpoint.c"
    for path, rest in source:gmatch '{ ENDPOINT_[%u_]+,%s+SPAN_INIT%("([^"]+)"%),(.-)_METHODS' do
      if path ~= "/health" then
        there[#there + 1] = rest:match "%u+$" .. " " .. path:gsub("(.)/$", "%1/{id}")
      end
    end
    assert.is_true(#there > 10)
    assert.same(sorted(there), sorted(described))
  end)
end)

describe("what is answered", function()
  local house, up
  local seen -- operation ids whose good answer was looked at
  local secrets -- that no answer may hold

  before_each(loop.test(function()
    seen = {}
    up = upstream.start(function(peer, request)
      if request.path:find "embeddings" then
        peer:send(upstream.answer(200, '{"object":"list","model":"m","data":[{"object":"embedding","index":0,"embedding":[0.5]}],' ..
          '"usage":{"prompt_tokens":1,"total_tokens":1}}'))
      elseif request.body:find '"prompt"' then
        peer:send(upstream.answer(200, '{"id":"c","object":"text_completion","created":1,"model":"m","choices":[{"index":0,"text":"x",' ..
          '"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}'))
      else
        peer:send(upstream.answer(200, upstream.completion "x"))
      end
    end)
    house = gateway.start {
      providers = { a = gateway.provider(up.url, { models = { { name = "m", price = { input = 1, output = 2 } } } }) },
      policies = {
        mine = "return { params = { n = { type = 'number', default = 1, doc = 'd' } }, " ..
          "decide = function(_, fleet) return fleet:able() end }",
        other = "return function(_, fleet) return fleet:able():take(1) end",
      },
      headers = { authorization = "Bearer " .. SECRET },
      config = {
        record = "requests.jsonl",
        policies = {
          default = "mine", shadow = { mine = "other" }, tiers = { paid = { policy = "mine", limits = { deadline_ms = 9000 } } },
        },
        client_keys = { { secret = SECRET, id = "ci", daily_usd = 1, tags = { "ci" }, metadata = { team = "x" } } },
        projects = { default = { bodies = { max_bytes = 100 }, markup = 0.5 } },
        account = { monthly_usd = 10 },
        alerts = { webhook = "http://127.0.0.1:9/hook", secret = ALERT_SECRET },
      },
    }
    secrets = { SECRET, ALERT_SECRET, "sk-upstream", "127.0.0.1:9/hook" }
    for _, headers in ipairs { house:admin_headers(), house:viewer_headers() } do
      secrets[#secrets + 1] = headers.authorization:match "Bearer (.+)"
    end
  end))
  after_each(loop.test(function()
    house:stop()
    up:close()
  end))

  -- Holds an answer to what its operation says; returns it.
  local function held(answer, id)
    local found
    each_operation(function(_, _, operation)
      found = found or operation.operationId == id and operation
    end)
    local said = assert(found, id).responses[tostring(answer.status)] or found.responses.default
    said = said["$ref"] and schema.resolve(DOCUMENT, said["$ref"]) or said
    local kind = answer.headers["content-type"]:match "^[^;]+"
    local media = assert(said.content[kind], ("%s answers %s: %s"):format(id, kind, answer.body))
    if kind == "application/json" then
      local wrong = schema.check(DOCUMENT, media.schema, answer.json)
      assert.is_nil(wrong, ("%s: %s: %s"):format(id, tostring(wrong), answer.body))
    end
    for _, secret in ipairs(secrets) do
      assert.is_nil(answer.body:find(secret, 1, true), id .. " tells a secret")
      assert.is_nil(answer.raw:find(secret, 1, true), id .. " tells a secret in a header")
    end
    if answer.status < 300 then
      seen[id] = true
    end
    return answer
  end

  local function admin(id, method, path, body, headers)
    return held(house:admin(method, path, body, headers), id)
  end

  local function good(...)
    local answer = admin(...)
    assert.is_true(answer.status < 300, answer.body)
    return answer.json
  end

  local function post(id, path, body)
    return held(http.post(house.port, path, body, { authorization = "Bearer " .. SECRET }), id)
  end

  local function get(id, path)
    return held(http.get(house.port, path, { authorization = "Bearer " .. SECRET }), id)
  end

  local function ask_as_clients()
    local messages = { { role = "user", content = "hello" } }
    local answer = post("chat", "/v1/chat/completions", { model = "m", messages = messages })
    post("messages", "/v1/messages", { model = "m", messages = messages, max_tokens = 5 })
    post("responses", "/v1/responses", { model = "m", input = "hello" })
    post("completions", "/v1/completions", { model = "m", prompt = "hello" })
    post("embeddings", "/v1/embeddings", { model = "m", input = "hello" })
    post("count_tokens", "/v1/messages/count_tokens", { model = "m", messages = messages })
    get("models", "/v1/models")
    get("model", "/v1/models/m")
    get("ready", "/ready")
    get("root", "/")
    post("feedback", "/v1/feedback", { id = answer.headers["x-request-id"], score = 1, label = "good" })
    assert.equal(400, post("chat", "/v1/chat/completions", "{").status)
    assert.equal(401, held(http.post(house.port, "/v1/chat/completions", {}, { authorization = "Bearer x" }), "chat").status)
    return answer.headers["x-request-id"]
  end

  local function ask_of_policies()
    good("policies_list", "GET", "/api/policies")
    good("policies_get", "GET", "/api/policies/mine")
    good("policies_get", "GET", "/api/policies/cheapest")
    good("policies_check", "POST", "/api/policies/mine/check", { source = "return 1" })
    good("policies_put", "PUT", "/api/policies/third", { source = "return function(_, fleet) return fleet:able() end" })
    good("policies_put", "PUT", "/api/policies/third", { source = "return function(_, fleet) return fleet:able():take(1) end", note = "n" })
    good("policies_rollback", "POST", "/api/policies/third/rollback")
    local versions = good("policies_versions", "GET", "/api/policies/third/versions").versions
    good("policies_version", "GET", "/api/policies/third/versions/" .. versions[1].version:match "@(.+)")
    good("policies_delete", "DELETE", "/api/policies/third")
    assert.equal(422, admin("policies_put", "PUT", "/api/policies/fourth", { source = "return" }).status)
    good("routes_put", "PUT", "/api/routes/endpoint/v1/messages", { policy = "mine", params = { n = 2 }, limits = { max_cost_usd = 0.5 } })
    good("routes_list", "GET", "/api/routes")
    good("routes_delete", "DELETE", "/api/routes/endpoint/v1/messages")
    assert.equal(409, admin("routes_put_account", "PUT", "/api/routes/account", { policy = "other" }).status)
    assert.equal(409, admin("routes_delete_account", "DELETE", "/api/routes/account").status)
  end

  local function ask_of_keys()
    local body = {
      name = "n", daily_usd = 1.5, zone = "+02:00", models = { "m" }, policies = { "mine" }, grants = { "policy" }, expires = "2099-01-01",
    }
    assert.is_nil(schema.check(DOCUMENT, { ["$ref"] = "#/components/schemas/KeyFields" }, body))
    local key = good("keys_make", "POST", "/api/keys", body)
    secrets[#secrets + 1] = key.secret
    good("keys_get", "GET", "/api/keys/" .. key.id)
    good("keys_change", "PATCH", "/api/keys/" .. key.id, { models = http.null, rpm = 5 })
    secrets[#secrets + 1] = good("keys_rotate", "POST", "/api/keys/" .. key.id .. "/rotate", { overlap_s = 60 }).secret
    good("keys_list", "GET", "/api/keys")
    good("keys_revoke", "DELETE", "/api/keys/" .. key.id)
    assert.equal(404, admin("keys_get", "GET", "/api/keys/nobody").status)
    good("projects_put", "PUT", "/api/projects/shop", { free_requests = 5, bodies = { max_bytes = 10 }, total_usd = 1, alerts = { 50 } })
    good("projects_put", "PUT", "/api/projects/shop", {})
    good("projects_get", "GET", "/api/projects/shop")
    good("projects_list", "GET", "/api/projects")
    good("caps", "GET", "/api/caps")
  end

  local function ask_of_the_record(id)
    loop.until_true(function()
      return house:admin("GET", "/api/requests/" .. id).status == 200
    end, "the request to be in the ledger")
    good("requests_list", "GET", "/api/requests?limit=2")
    local one = good("requests_get", "GET", "/api/requests/" .. id)
    assert.is_true(#one.tries == 1)
    admin("requests_get", "GET", "/api/requests/" .. id, nil, house:viewer_headers())
    for _, by in ipairs { "nothing", "key", "target", "arm", "tag" } do
      good("usage", "GET", "/api/usage?by_day=true&by=" .. by)
    end
    admin("usage", "GET", "/api/usage?format=csv")
    admin("usage", "GET", "/api/usage?format=jsonl")
    good("statement", "GET", "/api/statements/default/" .. os.date "!%Y-%m")
    admin("statement", "GET", "/api/statements/default/" .. os.date "!%Y-%m" .. "?format=csv")
    good("explain_recorded", "GET", "/api/explain?id=" .. id)
  end

  it("is as it is described, for every operation", loop.test(function()
    local id = ask_as_clients()
    good("health", "GET", "/health")
    good("status", "GET", "/api/status")
    good("explain", "POST", "/api/explain", { request = { model = "m", messages = { { role = "user", content = "x" } } } })
    good("openapi", "GET", "/api/openapi.json")
    admin("metrics", "GET", "/metrics")
    ask_of_policies()
    ask_of_keys()
    ask_of_the_record(id)
    good("reload", "POST", "/api/reload")

    local n, left = 0, {}
    -- A tail does not end, and the file says who decides for the account of this house.
    local elsewhere = { tail = true, routes_put_account = true, routes_delete_account = true }
    each_operation(function(_, _, operation)
      n = n + 1
      if not seen[operation.operationId] and not elsewhere[operation.operationId] then
        left[#left + 1] = operation.operationId
      end
    end)
    assert.same({}, left)
    assert.is_nil(house.process.output:find(secrets[#secrets], 1, true))
    print(("%d operations described, %d looked at, %d secrets in none of them"):format(n, n - 3, #secrets))
  end))

  it("has keys and projects in the words of the settings", loop.test(function()
    for what, case in pairs {
      KeyFields = { "POST", "/api/keys", account.fields.client_keys, { id = true, secret = true } },
      ProjectFields = { "PUT", "/api/projects/shop", account.fields.projects, {} },
    } do
      local settings, described = {}, {}
      for name in pairs(case[3]) do
        settings[#settings + 1] = not case[4][name] and name or nil
      end
      for name in pairs(DOCUMENT.components.schemas[what].properties) do
        described[#described + 1] = name
      end
      local taken = {}
      local message = house:admin(case[1], case[2], { nothing_like_it = 1 }).json.error.message
      for name in message:match("there are: (.*)%.$"):gmatch "[^, ]+" do
        taken[#taken + 1] = name
      end
      assert.same(sorted(settings), sorted(described))
      assert.same(settings, sorted(taken))
    end
  end))

  it("is described by the file itself", loop.test(function()
    assert.equal(house:admin("GET", "/api/status").json.version, DOCUMENT.info.version)
    assert.equal(TEXT, house:admin("GET", "/api/openapi.json").body)
  end))
end)
