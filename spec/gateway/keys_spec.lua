-- How keys are presented, which of several goes up, and when.
local cjson = require "cjson"
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local mock = require "support.mock"
local process = require "support.process"
local upstream = require "support.upstream"

local STRICT = { ["x-route-strict"] = "1" }

local function folded(headers)
  local out = {}
  for name, value in pairs(headers) do
    out[name:lower()] = value
  end
  return out
end

-- What `n` calls of `f` at the same time return.
local function at_once(n, f)
  local bodies, results = {}, {}
  for i = 1, n do
    bodies[i] = function()
      results[i] = f()
    end
  end
  loop.all(bodies)
  return results
end

describe("a key", function()
  local house, up

  -- What went up for a chat with that provider.
  local function sent(provider, model)
    local answer = house:chat { model = ("%s/%s"):format(provider, model or "m"), headers = STRICT }
    assert.equal(200, answer.status, answer.body)
    local last = up:last()
    return folded(last.headers), last
  end

  setup(loop.test(function()
    up = mock.start()
    local base = "http://127.0.0.1:" .. up.port
    local folder = process.folder()
    local account = folder .. "/account"
    process.run({ "openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", account .. ".pem" },
      { dir = folder })
    local f = assert(io.open(account .. ".pem"))
    local json = cjson.encode {
      type = "service_account", client_email = "me@project.example", private_key = f:read "*a", token_uri = base .. "/token",
    }
    f:close()
    process.remove(folder)
    house = gateway.start {
      providers = {
        bearer = up:provider(nil, { api_keys = { "sk-1" } }),
        claude = { like = "anthropic", base_url = base .. "/v1", api_keys = { "sk-ant" }, models = { "m" } },
        gemini = { like = "google", base_url = base .. "/v1beta", api_keys = { "AIza" }, models = { "m" } },
        azure = up:provider(nil, { auth = "api-key", api_keys = { "az" } }),
        bedrock = {
          like = "bedrock", base_url = base, api_keys = { "AKIDEXAMPLE:secret:token" }, region = "eu-central-1", models = { "a.m-v1:0" },
        },
        vertex = { like = "vertex", base_url = base .. "/v1/projects/p", api_keys = { json }, models = { "m" } },
        second = {
          like = "vertex", base_url = base .. "/v1/projects/p", api_keys = { (json:gsub("me@", "you@")) }, models = { "m" },
        },
        lost = {
          like = "vertex", base_url = base .. "/v1/projects/p", models = { "m" },
          api_keys = { (json:gsub("\\/token", "\\/~status=401\\/token")) },
        },
      },
      config = { workers = 1 },
    }
  end))

  teardown(loop.test(function()
    house:stop()
    up:stop()
  end))

  it("goes as Authorization: Bearer", loop.test(function()
    assert.equal("Bearer sk-1", sent("bearer").authorization)
  end))

  it("goes as x-api-key, with a version, to Anthropic", loop.test(function()
    local headers = sent "claude"
    assert.equal("sk-ant", headers["x-api-key"])
    assert.equal("2023-06-01", headers["anthropic-version"])
    assert.is_nil(headers.authorization)
  end))

  it("goes as x-goog-api-key to Gemini, never in the URL", loop.test(function()
    local headers, last = sent "gemini"
    assert.equal("AIza", headers["x-goog-api-key"])
    assert.is_nil(headers.authorization)
    assert.is_nil(last.path:find("AIza", 1, true))
  end))

  it("goes as api-key to Azure", loop.test(function()
    local headers = sent "azure"
    assert.equal("az", headers["api-key"])
    assert.is_nil(headers.authorization)
  end))

  it("signs a request to Amazon and does not go itself", loop.test(function()
    local headers, last = sent("bedrock", "a.m-v1:0")
    local scope, signed, signature = headers.authorization:match
      "^AWS4%-HMAC%-SHA256 Credential=AKIDEXAMPLE/%d+/(%S+), SignedHeaders=(%S+), Signature=(%x+)$"
    assert.equal("eu-central-1/bedrock/aws4_request", scope)
    assert.equal("host;x-amz-date;x-amz-security-token", signed)
    assert.equal(64, #signature)
    assert.equal("token", headers["x-amz-security-token"])
    assert.truthy(headers["x-amz-date"]:match "^%d+T%d+Z$")
    assert.is_nil(cjson.encode(last):find("secret%f[%W]"))
  end))

  it("of a service account gets a token once and goes as that", loop.test(function()
    local headers = sent "vertex"
    local token = headers.authorization:match "^Bearer (.+)$"
    assert.is_string(token)
    local before = up:stats().requests
    assert.equal("Bearer " .. token, sent("vertex").authorization)
    assert.equal(before + 1, up:stats().requests)
  end))

  it("of a service account is asked for once, however many wait for it", loop.test(function()
    assert.same({ 200, 200, 200, 200, 200, 200, 200, 200 }, at_once(8, function()
      return house:chat({ model = "second/m", headers = STRICT }).status
    end))
    local tokens = 0
    for _, request in ipairs(assert(http.get(up.port, "/_mock/requests").json)) do
      tokens = tokens + (request.path == "/token" and 1 or 0)
    end
    assert.equal(2, tokens) -- one for each account
  end))

  it("of a service account that gets no token costs the step, not the request", loop.test(function()
    local answer = house:chat { model = "lost/m", headers = { ["x-route-models"] = "lost/m, bearer/m", ["x-route-strict"] = "1" } }
    assert.equal(200, answer.status)
    assert.equal("bearer", answer.headers["x-routed-provider"])
    answer = house:chat { model = "lost/m", headers = STRICT }
    assert.equal(502, answer.status)
    assert.truthy(answer.body:find("No token for the service account", 1, true))
  end))
end)

describe("several keys", function()
  local house, up, limited

  setup(loop.test(function()
    -- Says 429 to the keys in `limited`.
    limited = {}
    up = upstream.start(function(peer, request)
      local key = request.headers.authorization
      up.seen[#up.seen + 1] = key
      if limited[key] then
        peer:send(upstream.answer(limited[key], '{"error":{"message":"no","code":"x"}}', { ["content-type"] = "application/json" }))
      else
        peer:send(upstream.answer(200, upstream.completion "hi", { ["content-type"] = "application/json" }))
      end
    end)
    house = gateway.start {
      providers = {
        shared = gateway.provider(up.url, { api_keys = { { key = "a", weight = 1 }, { key = "b", weight = 9 } } }),
        refused = gateway.provider(up.url, { api_keys = { "c", "d" } }),
        paced = gateway.provider(up.url, { api_keys = { { key = "e", rpm = 6 } } }),
        patient = gateway.provider(up.url, { api_keys = { { key = "f", rpm = 600 } }, pace_wait_ms = 3000 }),
      },
      config = { workers = 1 },
    }
  end))

  teardown(loop.test(function()
    house:stop()
    up:close()
  end))

  before_each(function()
    up.seen = {}
  end)

  it("are used by weight", loop.test(function()
    for _ = 1, 60 do
      assert.equal(200, house:chat({ model = "shared/m", headers = STRICT }).status)
    end
    local counts = { ["Bearer a"] = 0, ["Bearer b"] = 0 }
    for _, key in ipairs(up.seen) do
      counts[key] = counts[key] + 1
    end
    assert.is_true(counts["Bearer b"] > counts["Bearer a"])
    assert.is_true(counts["Bearer a"] > 0)
  end))

  it("give way to each other: one that is refused rests, the last one never", loop.test(function()
    limited["Bearer c"] = 401
    local failed = 0
    for _ = 1, 30 do
      failed = failed + (house:chat({ model = "refused/m", headers = STRICT }).status == 200 and 0 or 1)
    end
    assert.is_true(failed <= 1, failed .. " of 30 failed")
    limited["Bearer d"] = 401
    up.seen = {}
    assert.equal(502, house:chat({ model = "refused/m", headers = STRICT }).status)
    assert.same({ "Bearer d" }, up.seen)
    limited["Bearer d"] = nil
    assert.equal(200, house:chat({ model = "refused/m", headers = STRICT }).status)
  end))

  it("keep their pace: what is over it goes to the next step before anybody says 429", loop.test(function()
    local both = { ["x-route-models"] = "paced/m, shared/m", ["x-route-strict"] = "1" }
    assert.equal("paced", house:chat({ headers = both }).headers["x-routed-provider"])
    local second = house:chat { headers = both }
    assert.equal(200, second.status)
    assert.equal("shared", second.headers["x-routed-provider"])
    assert.equal("Bearer e", table.remove(up.seen, 1))
    assert.equal(1, #up.seen)
    local alone = house:chat { model = "paced/m", headers = { ["x-route-strict"] = "1", ["x-route-deadline-ms"] = "2000" } }
    assert.equal(429, alone.status)
    assert.is_true(tonumber(alone.headers["retry-after"]) <= 10)
  end))

  it("make a request wait for its turn where that may be", loop.test(function()
    for _, status in ipairs(at_once(70, function()
      return house:chat({ model = "patient/m", headers = STRICT }).status
    end)) do
      assert.equal(200, status)
    end
    assert.equal(70, #up.seen)
  end))
end)

describe("headroom", function()
  local house, up

  setup(loop.test(function()
    up = mock.start()
    house = gateway.start {
      providers = {
        busy = up:provider "ratelimit=10%2F100", idle = up:provider "ratelimit=90%2F100",
        paced = up:provider(nil, { api_keys = { { key = "e", rpm = 60 } } }),
      },
      policies = {
        room = [[
          return function(req, fleet)
            for _, id in ipairs { "busy/m", "idle/m", "paced/m" } do
              note(id, tostring(fleet:only(id)[1].headroom))
            end
            return fleet:by(function(t) return -(t.headroom or 0) end):take(1)
          end]],
      },
      config = { workers = 1 },
    }
  end))

  teardown(loop.test(function()
    house:stop()
    up:stop()
  end))

  it("is what the provider's headers and our own pace leave, and policies read it", loop.test(function()
    local before = house:chat { policy = "room", model = "auto", headers = { ["x-route-trace"] = "1" } }
    assert.equal("nil", before.json.route.notes["idle/m"])
    for _, provider in ipairs { "busy", "idle", "paced" } do
      assert.equal(200, house:chat({ model = provider .. "/m", headers = STRICT }).status)
    end
    local answer = house:chat { policy = "room", model = "auto", headers = { ["x-route-trace"] = "1" } }
    local notes = answer.json.route.notes
    assert.equal(0.1, tonumber(notes["busy/m"]))
    assert.equal(0.9, tonumber(notes["idle/m"]))
    local paced = tonumber(notes["paced/m"])
    assert.is_true(paced > 0.5 and paced < 0.9, tostring(paced)) -- one of six that may go at once
    assert.equal("idle", answer.headers["x-routed-provider"])
  end))
end)
