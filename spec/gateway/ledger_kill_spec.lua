-- A client that got its answer has its record, also when the process is killed in that moment: nothing is missing, nothing twice, and
-- every sum is the provider's own.
local gateway = require "support.gateway"
local http = require "support.http"
local ledger = require "support.ledger"
local loop = require "support.loop"
local upstream = require "support.upstream"

local KILLS = tonumber(os.getenv "SPEC_LEDGER_KILLS") or 6
local CLIENTS = 24
local PRICE = { input = 1, output = 10 }
local FREE = 1000

describe("a process that is killed", function()
  local up, house
  local counted -- by the provider: what each exchange cost, under the text of its answer
  local serial = 0

  local function whole(name, tokens)
    return upstream.answer(200, http.encode {
      id = "c", object = "chat.completion", created = 1, model = "m",
      choices = { { index = 0, finish_reason = "stop", message = { role = "assistant", content = name } } },
      usage = { prompt_tokens = 3, completion_tokens = tokens, total_tokens = 3 + tokens },
    })
  end

  local function streamed(name, tokens)
    local usage = ('data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[],' ..
      '"usage":{"prompt_tokens":3,"completion_tokens":%d,"total_tokens":%d}}\n\n'):format(tokens, 3 + tokens)
    local content = upstream.chunk('{"content":"' .. name .. '"}') .. upstream.chunk("{}", '"stop"')
    return upstream.answer(200, content .. usage .. "data: [DONE]\n\n", { ["content-type"] = "text/event-stream" })
  end

  setup(loop.test(function()
    counted = {}
    up = upstream.start(function(peer, request)
      serial = serial + 1
      local name, tokens = "answer-" .. serial, math.random(1, 400)
      counted[name] = ledger.cost(PRICE, 3, tokens)
      peer:send(request.json.stream and streamed(name, tokens) or whole(name, tokens))
    end)
    house = gateway.start {
      providers = { up = gateway.provider(up.url, { models = { { name = "m", price = PRICE, max_output = 1000, context = 8000 } } }) },
      config = {
        client_keys = { { secret = "s-load", id = "load" }, { secret = "s-gift", id = "gift", project = "gift" } },
        projects = { gift = { free_requests = FREE, total_usd = 0 } },
        account = { monthly_usd = 1000000 },
      },
    }
  end))

  teardown(loop.test(function()
    house:stop()
    up:close()
  end))

  -- One request that may break off; its id and what it says when the client got all of it.
  local function try(secret, stream)
    local ok, got = pcall(stream and house.stream or house.chat, house, { headers = { authorization = "Bearer " .. secret } })
    if not ok or not got or got.status ~= 200 then
      return nil, ok and got and got.status
    end
    if not stream then
      return got.headers["x-request-id"], got.json and got.json.choices[1].message.content
    end
    local last = got.events[#got.events]
    if not last or last.data ~= "[DONE]" then
      return nil
    end
    return got.headers["x-request-id"], http.json(got.events[1].data).choices[1].delta.content
  end

  -- Kills it under load once so many answers have come, and starts it again when every client has seen that.
  local function kill_after(answers, each)
    local got, dead = 0, false
    local clients = {}
    for i = 1, CLIENTS do
      clients[i] = function()
        while not dead do
          local answered = each(i)
          got = got + (answered and 1 or 0)
          if got >= answers and not dead then
            dead = true
            house.process:signal "sigkill"
          end
        end
      end
    end
    loop.all(clients)
    house.process:wait()
    house:launch {}
  end

  local function folded()
    loop.until_true(function()
      return ledger.value(house, "SELECT count(*) FROM begun") == 0
    end, "every attempt to be settled", 60000)
  end

  it("has written down every answer a client has, once, at the provider's own count", loop.test(function()
    local answered, n = {}, 0
    for _ = 1, KILLS do
      kill_after(math.random(1, 150), function(i)
        local id, text = try("s-load", i % 2 == 0)
        if id then
          answered[id], n = assert(counted[text], text), n + 1
        end
        return id
      end)
    end
    folded()
    local seen, sum, twice = {}, 0, 0
    for _, row in ipairs(ledger.rows(house, "SELECT id, outcome, cost FROM requests")) do
      twice = twice + (seen[row[1]] and 1 or 0)
      seen[row[1]] = row
      sum = sum + (row[2] == 0 and row[3] or 0)
    end
    assert.equal(0, twice)
    for id, cost in pairs(answered) do
      assert.truthy(seen[id], "no record of " .. id)
      assert.equal(0, seen[id][2], id .. " was answered")
      assert.equal(cost, seen[id][3], "what " .. id .. " cost")
    end
    local usage = ledger.value(house, "SELECT sum(cost) FROM usage WHERE kind = 1")
    assert.equal(sum + ledger.value(house, "SELECT coalesce(sum(cost), 0) FROM requests WHERE outcome <> 0"), usage)
    print(("killed %d times: %d answers, every one in the ledger once"):format(KILLS, n))
  end))

  it("gives each free request once", loop.test(function()
    local asked, limit = 0, 1500
    kill_after(FREE / 2, function()
      asked = asked + 1
      return try("s-gift", false)
    end)
    local refused = 0
    loop.spread(math.max(limit - asked, FREE), 100, function()
      local id, status = try("s-gift", false)
      assert.is_true(id ~= nil or status == 402)
      refused = refused + (id and 0 or 1)
    end)
    folded()
    assert.is_true(refused > 0)
    loop.until_true(function()
      return ledger.value(house, "SELECT count(*) FROM requests WHERE free = 1") == FREE
    end, "all free requests to be recorded")
    assert.equal(402, select(2, try("s-gift", false)))
  end))
end)
