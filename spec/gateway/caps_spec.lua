-- Money never overshoots, and nothing that fits is refused: caps under many requests at once, of answers that end anywhere.
local gateway = require "support.gateway"
local http = require "support.http"
local ledger = require "support.ledger"
local loop = require "support.loop"
local upstream = require "support.upstream"

local REQUESTS = tonumber(os.getenv "SPEC_CAP_REQUESTS") or 1500
local PRICE = { input = 1, output = 10 }
local LONGEST = 1000
local CAP = 1 -- dollars: some hundred answers of the longest

describe("a cap", function()
  local up, house

  -- What the provider says it took, in tokens of output, by who asked.
  local told

  local function answer(stream, tokens)
    local usage = { prompt_tokens = 3, completion_tokens = tokens, total_tokens = 3 + tokens }
    if not stream then
      return upstream.answer(200, http.encode {
        id = "c", object = "chat.completion", created = 1, model = "m", usage = usage,
        choices = { { index = 0, finish_reason = "stop", message = { role = "assistant", content = "x" } } },
      })
    end
    local last = http.encode { id = "c", object = "chat.completion.chunk", created = 1, model = "m", usage = usage, choices = {} }
      :gsub('"choices":{}', '"choices":[]')
    local events = upstream.chunk '{"content":"x"}' .. upstream.chunk("{}", '"stop"') .. "data: " .. last .. "\n\ndata: [DONE]\n\n"
    return upstream.answer(200, events, { ["content-type"] = "text/event-stream" })
  end

  setup(loop.test(function()
    up = upstream.start(function(peer, request)
      if request.json.messages[1].content == "begin" then
        peer:send(upstream.STREAM_HEAD .. upstream.chunk '{"content":"a"}')
        return peer:read() -- until the gateway has given up
      end
      local most = request.json.max_tokens or LONGEST
      local tokens = math.random(1, most)
      told[#told + 1] = { cost = ledger.cost(PRICE, 3, tokens), most = most }
      peer:send(answer(request.json.stream, tokens))
    end)
    local function provider()
      return gateway.provider(up.url, { models = { { name = "m", price = PRICE, max_output = LONGEST, context = 8000 } } })
    end
    house = gateway.start {
      providers = { up = provider() },
      config = {
        client_keys = {
          { secret = "s-refuse", id = "refuse", project = "hard" }, { secret = "s-clamp", id = "clamp", project = "soft" },
          { secret = "s-key", id = "small", daily_usd = 0.0000001 }, { secret = "s-free", id = "free", project = "gift" },
          { secret = "s-none", id = "none" }, { secret = "s-last", id = "last", project = "last" },
        },
        projects = {
          hard = { monthly_usd = CAP }, soft = { total_usd = CAP, zone = "+02:00" },
          gift = { free_requests = 20, monthly_usd = 0 }, last = { free_requests = 1, monthly_usd = 0 },
        },
        on_cap = "refuse",
      },
    }
  end))

  before_each(function()
    told = {}
  end)

  teardown(loop.test(function()
    house:stop()
    up:close()
  end))

  local function ask(secret, options)
    options = options or {}
    options.headers = { authorization = "Bearer " .. secret }
    options.body = options.body or {}
    return house:chat(options)
  end

  local function spent()
    local sum = 0
    for _, one in ipairs(told) do
      sum = sum + one.cost
    end
    return sum
  end

  -- All at once; returns how many were answered, and the refusals.
  local function rush(secret, stream)
    local good, refused = 0, {}
    loop.spread(REQUESTS, 150, function(i)
      local got = ask(secret, { body = { stream = stream and i % 2 == 0 or nil } })
      if got.status == 200 then
        good = good + 1
      else
        assert.equal(402, got.status, got.body)
        refused[#refused + 1] = got.json.error
      end
    end)
    return good, refused
  end

  -- A refusal was right when less was left than the request could have cost.
  local function assert_fair(refused)
    for _, err in ipairs(refused) do
      assert.equal("cost_cap_reached", err.code)
      -- A policy that finds no target within the budget has no figure to compare: then it is that of the longest answer.
      local left = err.message:match "has %$([%d.]+%d) left of"
      local needed = err.message:match "may cost %$([%d.]+%d)" or 1e-6 * (PRICE.output * LONGEST + 200)
      assert.is_true(tonumber(left) < tonumber(needed), err.message)
    end
  end

  it("holds to the nano-dollar however many ask at once, without refusing what fits", loop.test(function()
    local good, refused = rush("s-refuse", true)
    assert_fair(refused)
    assert.equal(REQUESTS, good + #refused)
    assert.is_true(spent() <= CAP * 1e9, "spent " .. spent())
    -- Quiet now: what is left is less than one request may cost.
    local last = ask("s-refuse").json.error
    assert_fair { last }
    loop.until_true(function()
      return ledger.value(house, "SELECT coalesce(sum(cost), 0) FROM requests") == spent()
    end, "the ledger to have what the provider counted")
    assert.equal(good, ledger.value(house, "SELECT count(*) FROM requests WHERE outcome = 0"))
  end))

  it("tells which one it is, and when it resets", loop.test(function()
    local got = ask "s-refuse"
    assert.equal(402, got.status)
    assert.matches("monthly cap of project 'hard'", got.json.error.message, 1, true)
    assert.matches("It resets at %d%d%d%d%-%d%d%-01T00:00:00Z", got.json.error.message)
    assert.equal("insufficient_quota", got.json.error.type)
    got = ask "s-key"
    local why = "daily cap of this key has $0.0000001 left of $0.0000001, less than this request may cost."
    assert.matches(why, got.json.error.message, 1, true)
    assert.equal(0, #told)
  end))

  it("is told to clients of Messages in their own words", loop.test(function()
    local got = http.post(house.port, "/v1/messages", { model = "m", max_tokens = 50, messages = { { role = "user", content = "x" } } },
      { authorization = "Bearer s-key" })
    assert.equal(402, got.status)
    assert.equal("billing_error", got.json.error.type)
  end))

  it("does not hold for free requests, which are counted once they were answered", loop.test(function()
    local good = 0
    loop.spread(60, 30, function()
      local got = ask "s-free"
      good = good + (got.status == 200 and 1 or 0)
    end)
    assert.equal(20, good)
    assert.equal("cost_cap_reached", ask("s-free").json.error.code)
  end))

  it("has a free request that was left in the middle of its answer counted", loop.test(function()
    local c = house:ask {
      headers = { authorization = "Bearer s-last" }, body = { stream = true }, messages = { { role = "user", content = "begin" } },
    }
    c:head()
    c:read_past '"content":"a"'
    c:close()
    loop.until_true(function()
      return #ledger.rows(house, "SELECT id FROM requests WHERE free = 1 AND outcome = 3") == 1
    end, "its record")
    assert.equal("cost_cap_reached", ask("s-last").json.error.code)
  end))

  it("of the request itself is one, too", loop.test(function()
    local got = ask("s-none", { body = {}, messages = { { role = "user", content = "hi" } } })
    assert.equal(200, got.status)
    got = house:chat { headers = { authorization = "Bearer s-none", ["x-route-max-cost-usd"] = "0.0000000001" } }
    assert.equal(402, got.status)
  end))

  it("clamps answers to what it pays for where that is wished, and says so", loop.test(function()
    house.config.on_cap = nil
    house:write_config(house.config)
    assert.equal(0, (house:command "reload"))
    local good, refused = rush("s-clamp", false)
    assert.is_true(good > 100)
    assert_fair(refused)
    assert.is_true(spent() <= CAP * 1e9, "spent " .. spent())
    local clamped = false
    for _, one in ipairs(told) do
      clamped = clamped or one.most < LONGEST
      assert.is_true(one.most >= 16)
    end
    assert.is_true(clamped)
    local got = house:chat { headers = { authorization = "Bearer s-none", ["x-route-max-cost-usd"] = "0.006" } }
    assert.matches("^max_tokens=%d+$", got.headers["x-route-dropped"])
  end))
end)
