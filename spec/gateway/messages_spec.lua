-- What a Messages client sees of the gateway itself: errors before anybody was asked, models, counts, paths.
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local mock = require "support.mock"

local KEY = { authorization = "Bearer pl-one", ["anthropic-version"] = "2023-06-01" }

describe("a Messages client", function()
  local house, up

  local function body(over)
    local b = { model = "m", max_tokens = 50, messages = { { role = "user", content = "Hello" } } }
    for k, v in pairs(over or {}) do
      b[k] = v
    end
    return b
  end

  local function post(path, b, headers)
    return http.post(house.port, path, b, headers or KEY)
  end

  setup(loop.test(function()
    up = mock.start()
    house = gateway.start {
      providers = {
        chat = up:provider(), claude = { like = "anthropic", base_url = up:url(), api_keys = { "k" }, models = { "m", "claude-x" } },
      },
      config = { client_keys = { "pl-one" }, workers = 1 },
    }
  end))

  teardown(loop.test(function()
    house:stop()
    up:stop()
  end))

  -- An error in the shape, and with the headers, its library looks for.
  local function refused(answer, status, kind)
    assert.equal(status, answer.status, answer.body)
    assert.equal("error", answer.json.type)
    assert.equal(kind, answer.json.error.type)
    assert.is_string(answer.json.error.message)
    assert.equal(answer.headers["request-id"], answer.json.request_id)
    assert.equal(26, #answer.json.request_id)
  end

  it("is refused in its own words before anybody was asked", loop.test(function()
    refused(post("/v1/messages", body(), { ["anthropic-version"] = "2023-06-01" }), 401, "authentication_error")
    refused(post("/v1/messages", body { model = "nobody-has-this" }), 404, "not_found_error")
    refused(post("/v1/messages", { model = "m", messages = body().messages }), 400, "invalid_request_error")
    refused(post("/v1/messages", "{"), 400, "invalid_request_error")
    refused(http.get(house.port, "/v1/messages", KEY), 405, "invalid_request_error")
    refused(post("/v1/messages/batches", body()), 404, "not_found_error")
  end))

  it("is served with its key in either header, and with a missing or doubled /v1", loop.test(function()
    for _, path in ipairs { "/v1/messages", "/messages", "/v1/v1/messages", "/v1/messages?beta=true" } do
      local answer = post(path, body(), { ["x-api-key"] = "pl-one", ["anthropic-version"] = "2023-06-01" })
      assert.equal(200, answer.status, path)
      assert.equal("message", answer.json.type)
      assert.equal(answer.json.model, answer.headers["x-routed-model"])
      assert.equal(answer.headers["x-request-id"], answer.headers["request-id"])
    end
  end))

  it("has its beta query and headers go up to Anthropic, and nothing else", loop.test(function()
    local headers = {
      authorization = "Bearer pl-one", ["anthropic-version"] = "2023-06-01", ["anthropic-beta"] = "a-2026-01-01,b", cookie = "c=1",
      ["x-other"] = "1",
    }
    assert.equal(200, post("/v1/messages?beta=true", body { model = "claude-x" }, headers).status)
    local last = up:last()
    assert.truthy(last.path:find("/v1/messages", 1, true))
    assert.equal("a-2026-01-01,b", last.headers["anthropic-beta"])
    assert.is_nil(last.headers.cookie)
    assert.is_nil(last.headers["x-other"])
    assert.equal(200, post("/v1/messages?beta=true", body { model = "chat/m" }, headers).status)
    assert.is_nil(up:last().headers["anthropic-beta"])
  end))

  it("[G5] gets its tokens counted for any model", loop.test(function()
    for _, model in ipairs { "claude-x", "chat/m", "auto" } do
      local b = body { model = model }
      b.max_tokens = nil
      local before = up:stats().requests
      local answer = post("/v1/messages/count_tokens", b)
      assert.equal(200, answer.status, answer.body)
      assert.is_true(answer.json.input_tokens >= 1 and answer.json.input_tokens < 50)
      assert.equal(before, up:stats().requests)
    end
  end))

  it("gets the models in its own shape", loop.test(function()
    local answer = http.get(house.port, "/v1/models", KEY)
    assert.equal(200, answer.status)
    assert.is_false(answer.json.has_more)
    assert.equal("model", answer.json.data[1].type)
    assert.equal(answer.json.data[1].id, answer.json.first_id)
    assert.equal("list", http.get(house.port, "/v1/models", { authorization = "Bearer pl-one" }).json.object)
    refused(http.get(house.port, "/v1/models/none-such", KEY), 404, "not_found_error")
  end))
end)
