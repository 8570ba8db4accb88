-- Secrets, wherever they come from and wherever clients put them, are nowhere that is kept or can be asked for: every file of the
-- data folder, the logs, the figures, every answer but the one that makes a key.
local admin_routes = require "support.admin_routes"
local cjson = require "cjson"
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local needles = require "support.needles"
local process = require "support.process"
local upstream = require "support.upstream"

local JSON = { ["content-type"] = "application/json" }
local PRICED = { { name = "m", price = { input = 1, output = 2 }, context = 100000, max_output = 1000 } }

-- Of the right look for its kind, and of nothing else.
local SECRETS = {
  provider = "sk-Canary1PlainProviderSecret",
  header = "Canary2InAHeaderOfAProvider",
  signing = "Canary3SigningSecretOfAnAccount",
  granted = "ya29.Canary4GrantedByATokenService",
  webhook = "Canary5SharedWithTheWebhook",
  client = "pl-Canary6ClientOfTheConfiguration",
  odd = "Canary9WhichHasTheLookOfNothing",
  expired = "pl-Canary8OfAClientWhoWasHere",
  stranger = "pl-Canary7OfNobodyWhoIsKnownHere",
}

local ROUTES = {
  ["/v1/chat/completions"] = { messages = { { role = "user", content = "hello" } } },
  ["/v1/completions"] = { prompt = "hello" },
  ["/v1/embeddings"] = { input = "hello" },
  ["/v1/responses"] = { input = "hello" },
  ["/v1/messages"] = { max_tokens = 10, messages = { { role = "user", content = "hello" } } },
  ["/v1/messages/count_tokens"] = { messages = { { role = "user", content = "hello" } } },
  ["/v1/feedback"] = { id = "nobody", score = 1 },
}

-- Where a client can put what it should not: each puts it into a request with path, headers and body.
local PLACES = {
  authorization = function(r, s) r.headers.authorization = "Bearer " .. s end,
  basic = function(r, s) r.headers.authorization = "Basic " .. s end,
  ["x-api-key"] = function(r, s) r.headers.authorization = false r.headers["x-api-key"] = s end,
  ["x-goog-api-key"] = function(r, s) r.headers.authorization = false r.headers["x-goog-api-key"] = s end,
  cookie = function(r, s) r.headers.cookie = "session=" .. s end,
  ["proxy-authorization"] = function(r, s) r.headers["proxy-authorization"] = "Bearer " .. s end,
  query = function(r, s) r.path = r.path .. "?key=" .. s .. "&api-version=" .. s end,
  path = function(r, s) r.path = r.path .. "/" .. s end,
  ["name of a header"] = function(r, s) r.headers[s] = "x" end,
  ["name of one of ours"] = function(r, s) r.headers["x-route-" .. s] = "x" end,
  ["idempotency-key"] = function(r, s) r.headers["idempotency-key"] = s end,
  ["x-route-session"] = function(r, s) r.headers["x-route-session"] = s end,
  ["session of an agent"] = function(r, s) r.headers["x-session-id"] = s end,
  ["x-route-tags"] = function(r, s) r.headers["x-route-tags"] = s .. ",b" end,
  ["x-route-tier"] = function(r, s) r.headers["x-route-tier"] = s end,
  ["x-route-policy"] = function(r, s) r.headers["x-route-policy"] = s end,
  ["x-route-models"] = function(r, s) r.headers["x-route-models"] = s end,
  ["x-route-max-cost-usd"] = function(r, s) r.headers["x-route-max-cost-usd"] = s end,
  ["x-request-id"] = function(r, s) r.headers["x-request-id"] = s end,
  origin = function(r, s) r.headers.origin = "http://" .. s end,
  ["content-type"] = function(r, s) r.headers["content-type"] = s end,
  model = function(r, s) r.body.model = s end,
  ["model at a provider"] = function(r, s) r.body.model = "parrot/" .. s end,
  ["model policy"] = function(r, s) r.body.model = "policy/" .. s end,
  models = function(r, s) r.body.models = { "m", s } end,
  user = function(r, s) r.body.user = s end,
  metadata = function(r, s) r.body.metadata = { user_id = s, key = s } end,
  ["safety_identifier"] = function(r, s) r.body.safety_identifier = s end,
  ["prompt_cache_key"] = function(r, s) r.body.prompt_cache_key = s end,
  ["wrong field"] = function(r, s) r.body.temperature = s end,
  ["field of an unknown name"] = function(r, s) r.body[s] = 1 end,
  ["api_key"] = function(r, s) r.body.api_key = s r.body.api_base = "http://127.0.0.1/" .. s end,
  prompt = function(r, s)
    for _, name in ipairs { "input", "prompt" } do
      r.body[name] = r.body[name] and "my key is " .. s
    end
    r.body.messages = r.body.messages and { { role = "user", content = "my key is " .. s } }
  end,
  label = function(r, s) r.body.label = s end,
  id = function(r, s) r.body.id = s end,
}

-- What the answers of Responses say again, as their clients wrote it.
local IN_ANSWERS = { user = true, metadata = true, safety_identifier = true, prompt_cache_key = true }

-- Where things are named.
local NAMING = {
  "idempotency-key", "x-route-session", "session of an agent", "x-route-tags", "x-route-tier", "x-route-models", "model",
  "model at a provider", "models",
}

-- What a provider answers that says back whatever it was sent.
local function parrots(said)
  local error = ('{"error":{"message":"bad key %s","type":"%s","code":"%s","param":"%s"}}'):format(said, said, said, said)
  return {
    upstream.answer(401, error, { ["www-authenticate"] = said }), upstream.answer(403, error, JSON), upstream.answer(400, error, JSON),
    upstream.answer(404, error, JSON), upstream.answer(413, error, JSON), upstream.answer(429, error, { ["retry-after"] = said }),
    upstream.answer(500, error, { ["x-request-id"] = said, ["set-cookie"] = said }), upstream.answer(503, said, { server = said }),
    upstream.answer(301, said, { location = "http://127.0.0.1:1/" .. said }), upstream.answer(200, error, JSON),
    upstream.answer(200, said, { ["content-type"] = said }),
    upstream.answer(200, ('data: {"error":{"message":"%s"}}\n\n'):format(said), { ["content-type"] = "text/event-stream" }),
    upstream.answer(200, upstream.completion "fine", { ["x-request-id"] = said, ["openai-version"] = said }),
    "HTTP/1.1 " .. said .. "\r\n\r\n",
  }
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local bytes = file:read "*a"
  file:close()
  return bytes
end

local ANSWERS = #parrots ""

describe("secrets", function()
  local house, up, find, secrets, providers
  local found = {} -- where any was
  local hooks = 0  -- calls of the webhook

  local function look(where, bytes)
    local what = find(bytes)
    if what then
      found[#found + 1] = ("%s: %s"):format(where, what)
    end
  end

  local function all_of(answer)
    local body = answer.body or ""
    for _, event in ipairs(answer.events or {}) do
      body = body .. event.raw
    end
    return (answer.raw or "") .. body
  end

  local function config()
    local folder = process.folder()
    process.run({ "openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", folder .. "/key.pem" },
      { dir = folder })
    local file = assert(io.open(folder .. "/key.pem"))
    local private = file:read "*a"
    file:close()
    process.remove(folder)
    secrets.account = private:match "\n(%S+)\n"
    local base = ("http://127.0.0.1:%d"):format(up.port)
    local account = cjson.encode {
      type = "service_account", client_email = "me@project.example", private_key = private, token_uri = base .. "/token",
    }
    local list = {}
    for name, kind in pairs {
      openai = { like = "openai_compatible", path = "/v1" }, adapted = { like = "openai_compatible", path = "/v1", adapt = true },
      headed = { like = "openai_compatible", path = "/v1", key = "sk-other", headers = { ["x-token"] = secrets.header } },
      anthropic = { like = "anthropic", path = "/v1" }, google = { like = "google", path = "/v1beta" },
      bedrock = { like = "bedrock", path = "", key = "AKIDEXAMPLE:" .. secrets.signing .. ":" .. secrets.granted, region = "eu-central-1" },
      vertex = { like = "vertex", path = "/v1/projects/p", key = account },
    } do
      for i = 1, ANSWERS do
        list[name .. i] = {
          like = kind.like, adapt = kind.adapt, headers = kind.headers, region = kind.region, models = PRICED,
          base_url = ("%s/%d%s"):format(base, i, kind.path), api_keys = { kind.key or secrets.provider },
        }
      end
    end
    return list
  end

  setup(loop.test(function()
    secrets = {}
    for name, secret in pairs(SECRETS) do
      secrets[name] = secret
    end
    up = upstream.start(function(peer, request)
      if request.path == "/token" then
        return peer:send(upstream.answer(200, cjson.encode { access_token = secrets.granted, expires_in = 3600 }, JSON))
      end
      if request.path == "/hook" then
        hooks = hooks + 1
        return peer:send(upstream.answer(500, request.raw .. secrets.webhook))
      end
      local said = table.concat({
        request.headers.authorization or "", request.headers["x-api-key"] or "", request.headers["x-goog-api-key"] or "",
        request.headers["x-token"] or "", request.headers["x-amz-security-token"] or "",
      }, " ")
      peer:send(parrots(said)[tonumber(request.path:match "^/(%d+)")])
    end)
    local configured = config()
    providers = {}
    for name in pairs(configured) do
      providers[#providers + 1] = name
    end
    house = gateway.start {
      providers = configured,
      config = {
        client_keys = {
          { secret = secrets.client, id = "filed", project = "watched", grants = { "policy", "tier", "models" }, daily_usd = 1000 },
          { secret = secrets.odd, id = "odd", project = "watched", grants = { "policy", "tier", "models" } },
          { secret = secrets.expired, id = "expired", expires = "2020-01-01" },
        },
        projects = { watched = { bodies = { redact = true }, monthly_usd = 1000, alerts = { 1 } } },
        account = { total_usd = 10, alerts = { 1 } },
        alerts = { webhook = ("http://127.0.0.1:%d/hook"):format(up.port), secret = secrets.webhook },
        access_log = "access.log", record = "record.jsonl",
      },
      args = { "--log", "debug" },
    }
  end))
  teardown(loop.test(function()
    house:stop()
    up:close()
  end))

  -- What clients have, and so may put anywhere: nobody else has the rest.
  local CLIENTS = { "provider", "client", "stranger", "rotated", "fresh", "revoked", "typed" }

  -- The keys that are made while it runs: by either way, one of them rotated and one revoked.
  local function make_keys()
    local function made(method, path, body)
      local answer = house:admin(method, path, body)
      assert.is_true(answer.status < 300, answer.body)
      return answer.json.secret, answer.json.id
    end
    local id
    secrets.rotated, id = made("POST", "/api/keys", { name = "rotated", project = "watched" })
    secrets.fresh = made("POST", "/api/keys/" .. id .. "/rotate", { overlap_s = 1000 })
    secrets.revoked, id = made("POST", "/api/keys", { name = "revoked" })
    made("DELETE", "/api/keys/" .. id)
    local code, output = house:command("keys", "make", "--json", "--name", "typed")
    assert.equal(0, code, output)
    secrets.typed = assert(output:match '"secret": ?"([^"]+)"', output)
    secrets.admin = house:admin_headers().authorization:match "%S+$"
    secrets.viewer = house:viewer_headers().authorization:match "%S+$"
    secrets.pepper = read(house.dir .. "/state/pepper")
    find = needles.of(secrets)
  end

  -- Asks all of it, a few at a time; `each` says of a request where it is to be looked for.
  local function ask(list)
    loop.spread(#list, 16, function(i)
      look(list[i].what, all_of(http.exchange(list[i].port or house.port, list[i].request)))
    end)
  end

  local function request(path, model)
    local body = cjson.decode(cjson.encode(ROUTES[path]))
    body.model = path ~= "/v1/feedback" and model or nil
    local headers = { authorization = "Bearer " .. secrets.client, ["x-route-strict"] = "1" }
    return { method = "POST", path = path, headers = headers, body = body }
  end

  local function assert_none()
    table.sort(found)
    assert.same({}, found)
  end

  it("would be found in any form", loop.test(function()
    local dir = process.folder()
    local look_for = needles.of { one = secrets.webhook, bytes = ("\0\255%"):rep(8) }
    for _, before in ipairs { "", "a", "ab" } do
      for _, secret in ipairs { secrets.webhook, ("\0\255%"):rep(8) } do
        process.write(dir .. "/kept", before .. secret .. "~")
        for _, command in ipairs { "cat kept", "base64 -w 0 kept", "base64 -w 0 kept | tr +/ -_", "od -An -v -tx1 kept | tr -d ' \\n'" } do
          local _, bytes = process.run({ "sh", "-c", command }, { dir = dir })
          assert.is_string(look_for(bytes), command)
        end
      end
    end
    assert.is_nil(look_for "nothing of it")
    process.remove(dir)
  end))

  it("are not said back, nor kept, when providers say them", loop.test(function()
    make_keys()
    local list = {}
    for path in pairs(ROUTES) do
      for _, provider in ipairs(providers) do
        for _, stream in ipairs { true, false } do
          local one = request(path, provider .. "/m")
          one.headers["x-route-trace"] = "1"
          one.body.stream = stream or nil
          list[#list + 1] = path ~= "/v1/feedback" and { what = ("%s of %s"):format(path, provider), request = one } or nil
        end
      end
    end
    ask(list)
    assert.is_true(#up.requests > 400)
    loop.until_true(function()
      return hooks > 0
    end, "an alert at the webhook")
    assert_none()
  end))

  it("are not said back, nor kept, wherever clients put them", loop.test(function()
    local list = {}
    for path in pairs(ROUTES) do
      for place, put in pairs(PLACES) do
        -- Feedback waits a while for a request that nobody knows: once a place is enough.
        for _, name in ipairs(path == "/v1/feedback" and { "fresh" } or CLIENTS) do
          local one = request(path, providers[#list % #providers + 1] .. "/m")
          put(one, secrets[name])
          -- A Responses answer holds what was asked for, in its client's own words.
          local own = path == "/v1/responses" and IN_ANSWERS[place]
          list[#list + 1] = not own and { what = ("%s with %s in %s"):format(path, name, place), request = one } or nil
        end
      end
      -- The key of the request itself is known whatever it looks like; only names of things that are not there are said back.
      for _, place in ipairs(NAMING) do
        local one = request(path, providers[1] .. "/m")
        one.headers.authorization = "Bearer " .. secrets.odd
        PLACES[place](one, secrets.odd)
        list[#list + 1] = { what = ("%s with its own key in %s"):format(path, place), request = one }
      end
    end
    for place, put in pairs(PLACES) do
      for _, path in ipairs { "/v1/models", "/v1/models/m", "/health", "/ready", "/" } do
        local one = { method = "GET", path = path, headers = { authorization = "Bearer " .. secrets.client }, body = {} }
        put(one, secrets.fresh)
        one.body = nil
        list[#list + 1] = { what = ("%s with one in %s"):format(path, place), request = one }
      end
    end
    ask(list)
    assert_none()
  end))

  it("are not said back, nor kept, by the admin side", loop.test(function()
    local list = {}
    for _, route in ipairs(admin_routes.list()) do
      local streams = route.pattern == "/api/tail" or route.pattern == "/metrics"
      for _, role in ipairs { "admin", "viewer", "client" } do
        local one = {
          method = route.method, path = admin_routes.path(route.pattern), headers = {
            authorization = "Bearer " .. secrets[role], cookie = secrets.admin, ["x-api-key"] = secrets.viewer,
          },
          body = route.method ~= "GET" and { [secrets.fresh] = 1 } or nil,
        }
        if not streams and route.pattern ~= "/api/reload" then
          list[#list + 1] = { what = route.pattern .. " as " .. role, request = one, port = house.admin_port }
        end
      end
    end
    ask(list)
    for _, path in ipairs { "/metrics", "/api/status", "/api/keys", "/api/projects", "/api/caps", "/api/requests?limit=1000" } do
      look(path, all_of(house:admin("GET", path)))
    end
    for _, one in ipairs(house:admin("GET", "/api/requests?limit=100").json.requests) do
      look("a request", all_of(house:admin("GET", "/api/requests/" .. one.id)))
    end
    for _, words in ipairs { { "keys" }, { "projects" }, { "usage" }, { "logs", "--json" }, { "status", "--json" } } do
      local _, output = house:command(unpack(words))
      look("perilune " .. words[1], output)
    end
    assert_none()
  end))

  it("that are wrong are all refused with the same words", loop.test(function()
    local function refused(headers)
      local answer = http.get(house.port, "/v1/models", headers)
      assert.equal(401, answer.status)
      local head = answer.raw:gsub("\r\nx%-request%-id: [^\r]*", ""):gsub("\r\nserver%-timing: [^\r]*", "")
      return head .. answer.body
    end
    local none = refused {}
    for _, name in ipairs { "stranger", "expired", "revoked", "viewer" } do
      assert.equal(none, refused { authorization = "Bearer " .. secrets[name] })
      assert.equal(none, refused { ["x-api-key"] = secrets[name] })
    end
    for _, other in ipairs { "Bearer ", "Basic " .. secrets.client, secrets.client, "Bearer " .. secrets.client:sub(1, -2) } do
      assert.equal(none, refused { authorization = other })
    end
  end))

  it("are in no file but their own, and in no log", loop.test(function()
    house.process:stop()
    look("the log", house.process.output)
    local _, files = process.run({ "find", "state", "-type", "f" }, { dir = house.dir })
    local own = { ["state/admin.token"] = true, ["state/viewer.token"] = true, ["state/pepper"] = true }
    local there = {}
    for path in files:gmatch "[^\n]+" do
      there[path] = true
      if not own[path] then
        look(path, read(house.dir .. "/" .. path))
      end
    end
    for _, path in ipairs { "state/ledger.db", "state/keys.db", "state/access.log", "state/record.jsonl" } do
      assert.is_true(there[path], path)
    end
    assert_none()
  end))
end)
