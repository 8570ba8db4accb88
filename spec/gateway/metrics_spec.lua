-- GET /metrics: what Prometheus reads is of its format, says what became of each request, and has no more names than there are things.
local exposition = require "support.exposition"
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local process = require "support.process"
local upstream = require "support.upstream"

local PRICE = { input = 500000, output = 1000000 } -- half a dollar a token, and one

describe("metrics", function()
  local house, good, bad

  before_each(loop.test(function()
    good = upstream.start(function(peer)
      peer:send(upstream.answer(200, upstream.completion "x"))
    end)
    bad = upstream.start(function(peer)
      peer:send(upstream.answer(503, '{"error":{"message":"busy"}}'))
    end)
    house = gateway.start {
      providers = {
        bad = gateway.provider(bad.url, { models = { { name = "m", price = PRICE, context = 1000, max_output = 10 } } }),
        good = gateway.provider(good.url, { models = { { name = "m", price = PRICE, context = 1000, max_output = 10 } } }),
      },
      policies = { both = "return function() return { 'bad/m', 'good/m' } end", one = "return function() return { 'good/m' } end" },
      config = {
        client_keys = { { secret = "a-key-of-the-shop", id = "ci", project = "shop", grants = { "policy", "models" } } },
        projects = { shop = { monthly_usd = 1000, markup = 0.5 } },
        account = { daily_usd = 5000 },
      },
      headers = { authorization = "Bearer a-key-of-the-shop" },
    }
  end))
  after_each(loop.test(function()
    house:stop()
    good:close()
    bad:close()
  end))

  local function scrape(headers)
    local answer = house:admin("GET", "/metrics", nil, headers)
    assert.equal(200, answer.status, answer.body)
    return answer
  end

  local function read()
    return exposition.read(scrape().body)
  end

  it("are for those with a token", loop.test(function()
    assert.equal(401, http.get(house.admin_port, "/metrics").status)
    local answer = http.get(house.admin_port, "/metrics", house:viewer_headers())
    assert.equal(200, answer.status)
    assert.equal("text/plain; version=0.0.4; charset=utf-8", answer.headers["content-type"])
    exposition.read(answer.body)
  end))

  it("are OpenMetrics for who asks for it, with the same figures", loop.test(function()
    house:chat { policy = "one" }
    local plain = read()
    local answer = scrape { accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5" }
    assert.equal("application/openmetrics-text; version=1.0.0; charset=utf-8", answer.headers["content-type"])
    local open = exposition.read(answer.body, true)
    assert.equal(#plain.names, #open.names)
    assert.equal(1, exposition.value(open, "perilune_requests_total", { outcome = "answered" }))
  end))

  it("say what became of requests and attempts", loop.test(function()
    assert.equal(200, house:chat({ policy = "one" }).status)
    assert.equal(200, house:chat({ policy = "both" }).status)
    assert.equal(404, house:chat({ model = "nobody-has-this" }).status)
    assert.equal(401, house:chat({ headers = { authorization = "Bearer wrong" } }).status)
    assert.equal(404, http.get(house.port, "/v1/nothing-here/secret-path").status)
    local all = read()
    local function of(name, labels)
      return exposition.value(all, name, labels)
    end
    local chat = { endpoint = "/v1/chat/completions", project = "shop", outcome = "answered", status = "200" }
    assert.equal(2, of("perilune_requests_total", chat))
    assert.equal(1, of("perilune_requests_total", { status = "404", error_type = "client_model_not_found", project = "shop" }))
    assert.equal(1, of("perilune_requests_total", { status = "401", error_type = "client_invalid_api_key" }))
    assert.equal(1, of("perilune_requests_total", { status = "404", error_type = "client_not_found", endpoint = "other" }))
    assert.equal(2, of("perilune_attempts_total", { target = "good/m", provider = "good", outcome = "answered" }))
    assert.equal(1, of("perilune_attempts_total", { target = "bad/m", provider = "bad", outcome = "overloaded" }))
    assert.equal(1, of("perilune_fallbacks_total", { from = "bad/m", to = "good/m", reason = "overloaded" }))
    assert.equal(6, of("perilune_tokens_total", { target = "good/m", type = "input" }))
    assert.equal(4, of("perilune_tokens_total", { target = "good/m", type = "output" }))
    assert.equal(7, of("perilune_cost_usd_total", { target = "good/m" }))
    assert.equal(7, of("perilune_project_cost_usd_total", { project = "shop" }))
    assert.equal(10.5, of("perilune_project_billed_usd_total", { project = "shop" }))
    assert.equal(6, of("perilune_project_tokens_total", { project = "shop", type = "input" }))
    assert.equal(1, of("perilune_policy_decisions_total", { policy = "both" }))
    assert.equal(3, of "perilune_request_duration_seconds_count")
    assert.equal(2, of "perilune_policy_eval_seconds_count")
    assert.equal(2, of("gen_ai_client_operation_duration_seconds_count", { gen_ai_provider_name = "good", gen_ai_request_model = "m" }))
    assert.equal(4, of("gen_ai_client_token_usage_sum", { gen_ai_token_type = "output", gen_ai_operation_name = "chat" }))
    assert.equal(0, of("perilune_breaker_state", { target = "good/m" }))
    assert.equal(0.007, of("perilune_budget_used_ratio", { scope = "project", name = "shop", period = "month" }))
    assert.equal(5000, of("perilune_budget_cap_usd", { scope = "account", period = "day" }))
    assert.equal(0, of "perilune_inflight_requests")
    assert.equal(1, of "perilune_ledger_ok")
  end))

  it("name no key, no path that is none and no model that clients make up", loop.test(function()
    for i = 1, 20 do
      house:chat { model = "good/made-up-" .. i }
      http.get(house.port, "/made-up-" .. i)
    end
    local body = scrape().body
    assert.is_nil(body:find("made-up", 1, true))
    assert.is_nil(body:find('"ci"', 1, true))
    assert.is_nil(body:find("a-key-of-the-shop", 1, true))
    assert.equal(20, exposition.value(exposition.read(body), "perilune_requests_total", { project = "shop" }))
  end))

  it("outlive a reload, and count it", loop.test(function()
    house:chat { policy = "one" }
    assert.equal(200, house:admin("POST", "/api/reload").status)
    local all = read()
    assert.equal(1, exposition.value(all, "perilune_requests_total", { outcome = "answered" }))
    assert.equal(1, exposition.value(all, "perilune_reloads_total", { outcome = "ok" }))
    assert.equal(2, exposition.value(all, "perilune_generation"))
    process.write(house.dir .. "/perilune.lua", "return {")
    assert.equal(422, house:admin("POST", "/api/reload").status)
    all = read()
    assert.is_true(exposition.value(all, "perilune_reloads_total", { outcome = "failed" }) >= 1) -- the watch may have seen it, too
    assert.equal(0, exposition.value(all, "perilune_reload_ok"))
  end))

  it("stand in docs/metrics.md, with the labels they have, and no others", loop.test(function()
    house:chat { policy = "both" }
    local there, listed = {}, {}
    for name, family in pairs(read().families) do
      there[name] = family.kind
    end
    local file = assert(io.open "docs/metrics.md")
    for name, kind in file:read("*a"):gmatch "\n| `([%l_]+)` | (%l+) |" do
      listed[name] = kind
    end
    file:close()
    assert.same(there, listed)
  end))
end)
