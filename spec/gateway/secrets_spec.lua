-- Keys are in nothing anybody can read: a provider that says them back, in whatever place, is not repeated.
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local upstream = require "support.upstream"

local KEY, HEADER, CLIENT = "sk-canary-provider-1", "canary-in-a-header-2", "pl-canary-client-3"
local CANARY = "canary"
local JSON = { ["content-type"] = "application/json" }
local SSE = { ["content-type"] = "text/event-stream" }

-- Answers that hold what the gateway sent.
local function told(said)
  local error = ('{"error":{"message":"bad key %s","type":"%s","code":"%s","param":"%s"}}'):format(said, said, said, said)
  local answers = {
    { 401, error, JSON }, { 400, error, JSON }, { 429, error, JSON }, { 500, error, JSON }, { 200, error, JSON },
    { 404, error, JSON }, { 413, error, JSON },
    { 400, ('{"error":{"message":"this model\'s maximum context length is 5, %s","code":"context_length_exceeded"}}'):format(said), JSON },
    { 400, ('{"error":{"message":"content filter %s","code":"content_filter"}}'):format(said), JSON },
    { 502, ("<html><title>%s</title><body>%s</body></html>"):format(said, said), { ["content-type"] = "text/html" } },
    { 500, said, { ["content-type"] = "text/plain" } }, { 200, said, { ["content-type"] = "text/plain" } },
    { 401, ('{"message":"%s"}'):format(said), JSON }, { 401, ('{"detail":[{"msg":"%s"}]}'):format(said), JSON },
    { 200, ('data: {"error":{"message":"%s","code":"%s"}}\n\n'):format(said, said), SSE },
    { 200, ("event: %s\ndata: %s\n\n"):format(said, said), SSE },
    { 200, upstream.chunk '{"content":"a"}' .. ('data: {"error":{"message":"%s"}}\n\n'):format(said), SSE },
    { 200, upstream.completion "x", JSON }, { 200, "{}", JSON },
  }
  for _, answer in ipairs(answers) do
    answer.headers = {
      ["content-type"] = answer[3]["content-type"], ["x-request-id"] = "id " .. said, ["openai-version"] = said,
      ["openai-processing-ms"] = said,
      ["retry-after"] = said, ["set-cookie"] = said, ["www-authenticate"] = said,
    }
  end
  return answers
end

describe("secrets", function()
  local house, up, answer_with

  setup(loop.test(function()
    up = upstream.start(function(peer)
      peer:send(upstream.answer(answer_with[1], answer_with[2], answer_with.headers))
    end)
    local function provider(extra)
      return gateway.provider(up.url, extra)
    end
    house = gateway.start {
      providers = {
        plain = provider { api_keys = { KEY } },
        adapted = provider { api_keys = { KEY }, adapt = true },
        header = provider { api_keys = { "other" }, headers = { ["api-key"] = HEADER } },
      },
      policies = {
        hears = [[
          return {
            decide = function(req) return { req.tier .. "/m" } end,
            on_failure = function(req, failure) note("heard", failure.message) error(failure.message) end,
          }]],
      },
      args = { "--log", "debug" },
      env = { PERILUNE_API_KEY = CLIENT },
      headers = { authorization = "Bearer " .. CLIENT, ["x-route-trace"] = "1", ["x-route-policy"] = "hears" },
    }
  end))
  teardown(loop.test(function()
    house:command "reload"
    local _, status = house:command("status", "--json")
    house:stop()
    up:close()
    assert.is_nil(status:find(CANARY, 1, true), status)
    assert.is_nil(house.process.output:find(CANARY, 1, true), house.process.output)
  end))

  local function assert_silent(answer, what)
    local body = answer.body or ""
    for _, event in ipairs(answer.events or {}) do
      body = body .. event.raw
    end
    assert.is_nil((answer.raw .. body):find(CANARY, 1, true), what .. answer.raw .. body)
  end

  for provider, secret in pairs { plain = KEY, adapted = KEY, header = HEADER } do
    it("of a provider (" .. provider .. ") are not said back", loop.test(function()
      for i, answer in ipairs(told(secret)) do
        answer_with = answer
        for _, stream in ipairs { true, false } do
          local got = house[stream and "stream" or "chat"](house, { headers = { ["x-route-tier"] = provider } })
          assert_silent(got, ("answer %d, stream %s:\n"):format(i, tostring(stream)))
        end
      end
    end))
  end

  it("of clients reach nobody", loop.test(function()
    local before = #up.requests
    answer_with = { 200, upstream.completion "x", headers = JSON }
    for _, headers in ipairs {
      { authorization = false, ["x-api-key"] = CLIENT }, { authorization = false, ["x-goog-api-key"] = CLIENT },
      { cookie = CLIENT, ["proxy-authorization"] = CLIENT, ["api-key"] = CLIENT },
    } do
      headers["x-route-tier"] = "plain"
      local answer = house:chat { headers = headers }
      assert.equal(200, answer.status, answer.body)
      assert_silent(answer, "")
    end
    for i = before + 1, #up.requests do
      assert.is_nil(up.requests[i].raw:find(CLIENT, 1, true))
    end
    for _, path in ipairs { "/v1/models", "/v1/models/nobody", "/v1/nothing" } do
      assert_silent(http.get(house.port, path, { authorization = "Bearer " .. CLIENT .. "x" }), path)
    end
  end))
end)
