-- Streams that end before their time, wherever and by whomever: each is settled at once, at what the provider had said by then.
local clients = require "support.clients"
local cross = require "support.cross"
local gateway = require "support.gateway"
local http = require "support.http"
local ledger = require "support.ledger"
local loop = require "support.loop"
local mock = require "support.mock"
local uv = require "luv"

local STREAMS = tonumber(os.getenv "SPEC_CUT_STREAMS") or 300
local WIDTH, ROUND = 24, 240 -- streams at a time, and in one wait
local SOON = 100 * loop.stretch -- milliseconds
local NEARLY = 0.05
local PRICE = { input = 1, output = 10 }

-- Content events of a stream, and milliseconds between two.
local EVENTS, GAP = 40, 5 * loop.stretch

-- What is to become of a stream stands in its prompt. Thoughts and calls are said as well as texts.
local SCRIPT = ([[
return function(req)
  local how, at, tokens = req.body:match "(%%a+) at (%%d+) of (%%d+) tokens"
  at, tokens = tonumber(at), tonumber(tokens)
  return {
    events = %d, gap_ms = %d, tokens = tokens,
    cut_event = how == "breaks" and at or nil,
    cut_after = how == "stops" and at or nil,
    error_after = how == "fails" and at or nil,
    no_usage = how == "mute" or nil,
    reasoning = at %% 4 == 0 or nil,
    tool = at %% 4 == 1 or nil,
    tool_input = at %% 4 == 1 and '{"text":"' .. ("word "):rep(tokens) .. '"}' or nil,
  }
end
]]):format(EVENTS, GAP)

-- How they end, by turns: the client leaves, its deadline comes, the provider breaks off, or comes to its end and tells no usage. Too
-- few of a target fail for its breaker to open.
local WAYS = { "leaves", "breaks", "late", "mute", "leaves", "stops", "late", "leaves", "fails", "mute" }

-- Microseconds since 1970.
local function wall_us()
  local s, us = uv.gettimeofday()
  return s * 1e6 + us
end

local function random_headers(client, how)
  local deadline_ms = how == "late" and math.random(60, 200) * loop.stretch or nil
  local headers = { ["x-route-strict"] = "1", ["x-route-deadline-ms"] = deadline_ms and tostring(deadline_ms) }
  for name, value in pairs(client.headers or {}) do
    headers[name] = value
  end
  return headers
end

describe("streams that are cut", function()
  local up, house

  setup(loop.test(function()
    up = mock.start { script = SCRIPT }
    local providers = {}
    for _, dialect in ipairs(cross.outbound) do
      providers[dialect] = cross.provider(up, dialect, {
        models = { { name = "m", price = PRICE, max_output = 8000, context = 100000, abilities = { "tools", "reasoning" } } },
      })
    end
    house = gateway.start { providers = providers }
  end))

  teardown(loop.test(function()
    house:stop()
    up:stop()
  end))

  -- One stream, and what is known of it: its id, its deadline, when its client left or saw it end.
  local function run(i)
    local how, at = WAYS[(i - 1) % #WAYS + 1], math.random(1, EVENTS - 1)
    local client = clients[cross.inbound[i % #cross.inbound + 1]]
    local target = cross.outbound[math.floor(i / #cross.inbound) % #cross.outbound + 1] .. "/m"
    local prompt = ("%s at %d of %d tokens. "):format(how, at, math.random(40, 400)) .. ("word "):rep(math.random(20, 400))
    local headers = random_headers(client, how)
    local c = assert(http.connect(house.port))
    c:send_request { method = "POST", path = client.path, headers = headers, body = client.request {
      model = target, stream = true, reasoning = true, max_tokens = 4000, turns = { { user = prompt } },
    } }
    local head = assert(c:head())
    local seen = 0
    if head.status == 200 then
      c:events(head, function()
        seen = seen + 1
        return how == "leaves" and seen >= at
      end)
    end
    local over = wall_us()
    c:close()
    return { id = head.headers["x-request-id"], deadline = headers["x-route-deadline-ms"], over = over }
  end

  -- Milliseconds from the end of a stream to that of its record: from the moment the client left, or saw the end of it, or its deadline
  -- came.
  local function settled_after(s, began, took)
    local due = s.deadline and math.min(s.over, began + s.deadline * 1000) or s.over
    return (began + took - due) / 1000
  end

  local function recorded()
    loop.until_true(function()
      return ledger.value(house, "SELECT count(*) FROM requests") == STREAMS
    end, "all streams to be recorded", 60000)
    local by_id = {}
    for _, row in ipairs(ledger.rows(house, "SELECT id, at, total_us FROM requests")) do
      by_id[row[1]] = row
    end
    return by_id
  end

  local function share(estimate, truth)
    return math.abs(estimate - truth) / truth
  end

  it("are settled at once, at what was said", loop.test(function()
    local streams = {}
    for before = 0, STREAMS - 1, ROUND do -- one wait has a limit
      loop.spread(math.min(ROUND, STREAMS - before), WIDTH, function(i)
        streams[before + i] = run(before + i)
      end)
    end
    local said
    loop.until_true(function()
      said = up:stats()
      return said.under_way == 0
    end, "the provider to hear of the last one", SOON)
    local rows, waits = recorded(), {}
    for i, s in ipairs(streams) do
      waits[i] = settled_after(s, unpack(rows[s.id], 2, 3))
    end
    table.sort(waits)
    local nearly_all = waits[math.ceil(STREAMS * 0.999)]
    local sums = ledger.rows(house, "SELECT sum(input), sum(output), sum(cost), sum(unpriced), sum(estimated) FROM requests")[1]
    local input, output = share(sums[1], said.prompt_tokens), share(sums[2], said.completion_tokens)
    local cost = share(sums[3], ledger.cost(PRICE, said.prompt_tokens, said.completion_tokens))
    local figures = ("%d streams cut, %d estimated, %d unknown; settled after %.1f ms, all but one in a thousand after %.1f; "
      .. "input %.2f%% off, output %.2f%%, cost %.2f%%"):format(STREAMS, sums[5], sums[4], waits[STREAMS], nearly_all,
      input * 100, output * 100, cost * 100)
    assert(sums[4] <= STREAMS / 100, figures) -- a deadline may come before anything of the provider
    assert(sums[5] > STREAMS / 2, figures)
    assert(input <= NEARLY and output <= NEARLY and cost <= NEARLY, figures)
    assert(nearly_all <= SOON, figures) -- of very many, some meet a moment in which the machine has no core to spare
    if os.getenv "SPEC_FIGURES" then
      print(figures)
    end
  end))
end)
