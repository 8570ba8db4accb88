-- What a key, its project and a model may ask for: a minute, at once, and how a client is told.
local gateway = require "support.gateway"
local http = require "support.http"
local ledger = require "support.ledger"
local loop = require "support.loop"
local upstream = require "support.upstream"

local PIECES = 40

describe("limits", function()
  local up, house, held

  -- Streams that tell how many tokens they have come to, an event each; whole answers that wait for `held`.
  setup(loop.test(function()
    up = upstream.start(function(peer, request)
      if not request.json.stream then
        while held do
          loop.pause(2)
        end
        return peer:send(upstream.answer(200, upstream.completion "x"))
      end
      peer:send(upstream.STREAM_HEAD)
      for i = 1, PIECES do
        local usage = ('"usage":{"prompt_tokens":3,"completion_tokens":%d,"total_tokens":%d},"choices"'):format(i * 50, 3 + i * 50)
        local told = upstream.chunk('{"content":"word "}'):gsub('"choices"', usage)
        if not peer:send(told) then
          return peer:close()
        end
        loop.pause(2)
      end
      peer:send(upstream.chunk("{}", '"stop"') .. "data: [DONE]\n\n")
      peer:close()
    end)
    house = gateway.start {
      providers = { up = gateway.provider(up.url, { models = { "m", "n" } }) },
      config = {
        client_keys = {
          { secret = "s-rpm", id = "rpm", rpm = 6 }, { secret = "s-tpm", id = "tpm", tpm = 800 },
          { secret = "s-one", id = "one", concurrent = 1 }, { secret = "s-a", id = "a", project = "both" },
          { secret = "s-b", id = "b", project = "both" }, { secret = "s-free", id = "free" },
          { secret = "s-once", id = "once", rpm = 1 },
        },
        projects = { both = { rpm = 4 } },
        model_limits = { n = { rpm = 2 } },
      },
    }
  end))

  before_each(function()
    held = false
  end)

  teardown(loop.test(function()
    house:stop()
    up:close()
  end))

  local function ask(secret, options)
    options = options or {}
    options.headers = { authorization = "Bearer " .. secret }
    options.body = options.body or { max_tokens = 10 }
    return house:chat(options)
  end

  it("on requests are exact over workers, and each answer tells what is left", loop.test(function()
    local statuses = {}
    loop.spread(12, 12, function()
      local got = ask "s-rpm"
      statuses[got.status] = (statuses[got.status] or 0) + 1
      assert.equal("6", got.headers["x-ratelimit-limit-requests"])
    end)
    assert.same({ [200] = 6, [429] = 6 }, statuses)
    local got = ask "s-rpm"
    assert.equal(429, got.status)
    assert.equal("rate_limit_exceeded", got.json.error.code)
    assert.equal("rate_limit_error", got.json.error.type)
    assert.matches("6 requests a minute for this key", got.json.error.message, 1, true)
    assert.equal("0", got.headers["x-ratelimit-remaining-requests"])
    assert.matches("^%d+m?%d*s$", got.headers["x-ratelimit-reset-requests"])
    assert.is_true(tonumber(got.headers["retry-after"]) <= 10)
  end))

  it("of a project are those of all its keys", loop.test(function()
    local good = 0
    for i = 1, 6 do
      local got = ask(i % 2 == 0 and "s-a" or "s-b")
      good = good + (got.status == 200 and 1 or 0)
    end
    assert.equal(4, good)
    assert.matches("project 'both'", ask("s-a").json.error.message, 1, true)
  end))

  it("of a model hold for whoever names it", loop.test(function()
    assert.equal(200, ask("s-free", { model = "n" }).status)
    assert.equal(200, ask("s-free", { model = "up/n" }).status)
    assert.equal(429, ask("s-free", { model = "up/n" }).status)
    local got = ask("s-free", { model = "n" })
    assert.equal(429, got.status)
    assert.matches("model 'n'", got.json.error.message, 1, true)
    assert.equal(200, ask("s-free", { model = "m" }).status)
    assert.is_nil(ask("s-free").headers["x-ratelimit-limit-requests"])
  end))

  it("on requests at once let the next one in when one has ended", loop.test(function()
    held = true
    local first = loop.go(function()
      return ask "s-one"
    end)
    up:wait_for(#up.requests + 1)
    local got = ask "s-one"
    assert.equal(429, got.status)
    assert.equal("1", got.headers["retry-after"])
    held = false
    assert.equal(200, first().status)
    assert.equal(200, ask("s-one").status)
  end))

  it("on tokens cut a stream that goes beyond them, with an error of its own and no finish", loop.test(function()
    local got = house:stream { headers = { authorization = "Bearer s-tpm" }, body = { max_tokens = 100 } }
    assert.equal(200, got.status)
    assert.equal("800", got.headers["x-ratelimit-limit-tokens"])
    assert.is_true(#got.events < PIECES)
    local last, done = http.json(got.events[#got.events - 1].data), got.events[#got.events].data
    assert.equal("[DONE]", done)
    assert.equal("rate_limit_exceeded", last.error.code)
    assert.is_nil(last.choices)
    for i = 1, #got.events - 2 do
      assert.equal(http.null, http.json(got.events[i].data).choices[1].finish_reason)
    end
    -- No more was delivered than the minute has, but for the event that crossed it.
    assert.is_true((#got.events - 3) * 50 <= 800)
    loop.until_true(function()
      return #ledger.rows(house, "SELECT id FROM requests WHERE status = 429 AND outcome = 2 AND output > 0") == 1
    end, "the record of the cut stream")
  end))

  it("refuse in the words of each dialect", loop.test(function()
    local headers = { authorization = "Bearer s-once", ["anthropic-version"] = "2023-06-01" }
    assert.equal(200, ask("s-once").status)
    local body = { model = "m", max_tokens = 5, messages = { { role = "user", content = "x" } } }
    local got = http.post(house.port, "/v1/messages", body, headers)
    assert.equal(429, got.status)
    assert.equal("rate_limit_error", got.json.error.type)
    got = http.post(house.port, "/v1/responses", { model = "m", input = "x" }, headers)
    assert.equal(429, got.status)
    assert.equal("rate_limit_exceeded", got.json.error.code)
  end))
end)
