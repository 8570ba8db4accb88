-- Alerts of caps: told in the log, in the figures and to a webhook, which can know by the signature that they are ours.
local exposition = require "support.exposition"
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local process = require "support.process"
local upstream = require "support.upstream"

local SECRET = "what-only-the-receiver-knows"

describe("alerts of caps", function()
  local house, up, receiver, statuses

  before_each(loop.test(function()
    up = upstream.start(function(peer)
      peer:send(upstream.answer(200, upstream.completion "x"))
    end)
    statuses = {}
    receiver = upstream.start(function(peer)
      peer:send(upstream.answer(table.remove(statuses, 1) or 204, "", {}))
    end)
  end))
  after_each(loop.test(function()
    house:stop()
    up:close()
    receiver:close()
  end))

  -- An answer costs 3.5 dollars; for the longest there could be, a few dozen are set aside.
  local function open(alerts)
    local price = { input = 500000, output = 1000000 }
    house = gateway.start {
      providers = { a = gateway.provider(up.url, { models = { { name = "m", price = price, context = 10000, max_output = 1000 } } }) },
      config = { alerts = alerts, account = { total_usd = 400, alerts = { 1, 2 } } },
    }
  end

  local function spend(times)
    for _ = 1, times do
      assert.equal(200, house:chat({ body = { max_tokens = 10 } }).status)
    end
  end

  local function webhook()
    return { webhook = ("http://127.0.0.1:%d/hook"):format(receiver.port), secret = SECRET }
  end

  local function figure(name, labels)
    return exposition.value(exposition.read(house:admin("GET", "/metrics").body), name, labels)
  end

  local function figure_is(n, name, labels)
    loop.until_true(function()
      return figure(name, labels) == n
    end, ("%s to be %d"):format(name, n))
  end

  -- What `openssl` says the signature of a message of that moment is.
  local function signature(t, body)
    process.write(house.dir .. "/signed", t .. "." .. body)
    local code, output = process.run({ "openssl", "dgst", "-sha256", "-hmac", SECRET, "signed" }, { dir = house.dir })
    assert.equal(0, code, output)
    return output:match "(%x+)%s*$"
  end

  it("are messages whose sender can be known", loop.test(function()
    open(webhook())
    spend(2)
    local message = receiver:wait_for(1)
    assert.equal("POST", message.method)
    assert.equal("/hook", message.path)
    assert.equal("application/json", message.headers["content-type"])
    local alert = message.json.alert
    assert.same({ "account", "total", 1 }, { alert.scope, alert.period, alert.percent })
    assert.equal(7, alert.spent_usd)
    assert.equal(7e9, alert.spent_nano)
    assert.equal(400e9, alert.cap_nano)
    assert.is_nil(alert.resets_at)
    assert.matches("^%d%d%d%d%-%d%d%-%d%dT", message.json.at)
    assert.equal(26, #message.json.id)
    local t, v1 = message.headers["x-perilune-signature"]:match "^t=(%d+),v1=(%x+)$"
    assert.equal(signature(t, message.body), v1)
    assert.is_true(math.abs(os.time() - tonumber(t)) < 60)
    house:wait_for_log "the account has come to 1% of its cap (total): $7.000000000 of $400.000000000"
    figure_is(1, "perilune_alert_messages_total", { outcome = "sent" })
    assert.equal(1, figure("perilune_budget_alerts_total", { scope = "account" }))
    spend(1)
    assert.equal(2, receiver:wait_for(2).json.alert.percent)
    assert.is_nil(house.process.output:find(SECRET, 1, true))
  end))

  it("are sent again until they are taken, the same each time", loop.test(function()
    open(webhook())
    statuses = { 500, 429 }
    spend(2)
    local third = receiver:wait_for(3)
    assert.equal(receiver.requests[1].body, third.body)
    figure_is(1, "perilune_alert_messages_total", { outcome = "sent" })
    assert.equal(0, figure("perilune_alert_messages_total", { outcome = "failed" }))
    house:wait_for_log "an alert was not taken by the webhook and is sent again: status 500"
  end))

  it("are given up where they are refused", loop.test(function()
    open(webhook())
    statuses = { 404 }
    spend(2)
    house:wait_for_log "an alert was not taken by the webhook and is given up: status 404"
    figure_is(1, "perilune_alert_messages_total", { outcome = "failed" })
    assert.equal(1, #receiver.requests)
  end))

  it("are told without a webhook as well", loop.test(function()
    open(nil)
    spend(2)
    house:wait_for_log "the account has come to 1% of its cap"
    figure_is(1, "perilune_budget_alerts_total", { scope = "account" })
    assert.equal(0, figure("perilune_alert_messages_total", { outcome = "failed" }))
  end))

  it("hold nobody up who ends the gateway", loop.test(function()
    local deaf = upstream.deaf()
    open { webhook = ("http://127.0.0.1:%d/"):format(deaf.port), secret = SECRET }
    spend(2)
    house:wait_for_log "has come to 1%"
    house.process:stop()
    house:wait_for_log "1 alerts could not be sent before the end"
    deaf:close()
    assert.is_nil(http.connect(house.port))
  end))
end)
