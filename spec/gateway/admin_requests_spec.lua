-- What was recorded, over the admin side: requests found and shown, sums, statements; in JSON and CSV, exact to the nano-dollar.
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local upstream = require "support.upstream"

-- Three tokens in, two out, at these dollars a million.
local PRICE = { input = 1, output = 2.5 }
local COST = 3 * 1000 + 2 * 2500
local BILLED = COST + COST / 10

local function day_of(shift)
  return os.date("!%Y-%m-%d", os.time() + shift * 86400)
end

describe("the record over the admin side", function()
  local house, up, ids

  -- Waits until a question finds so many.
  local function found(path, n)
    local answer
    loop.until_true(function()
      answer = house:admin("GET", path)
      return answer.status == 200 and #answer.json.requests >= n
    end, ("%d requests of %s"):format(n, path))
    return answer.json
  end

  local function refused(path, param)
    local answer = house:admin("GET", path)
    assert.equal(400, answer.status, path .. ": " .. answer.body)
    assert.equal("invalid_request", answer.json.error.code)
    assert.equal(param, answer.json.error.param)
  end

  local function chat(key, options)
    options = options or {}
    options.headers = options.headers or {}
    options.headers.authorization = "Bearer " .. key
    local answer = house:chat(options)
    ids[#ids + 1] = answer.headers["x-request-id"]
    return answer
  end

  setup(loop.test(function()
    ids = {}
    up = upstream.start(function(peer, request)
      local refuse = request.body:find "please refuse"
      peer:send(refuse and upstream.answer(400, '{"error":{"message":"no","code":"x"}}') or upstream.answer(200, upstream.completion "x"))
    end)
    house = gateway.start {
      providers = { a = gateway.provider(up.url, { models = { { name = "m", price = PRICE } } }) },
      config = {
        workers = 1, -- of two, requests of the same millisecond may be recorded in another order
        client_keys = {
          { secret = "the-secret-of-ci-here", id = "ci", project = "shop" },
          { secret = "the-secret-of-lab-here", id = "lab", project = "lab" },
        },
        projects = { shop = { markup = 0.1, bodies = { max_bytes = 1000, redact = true } }, lab = {} },
      },
    }
    for i = 1, 3 do
      chat("the-secret-of-ci-here", { headers = { ["x-route-tags"] = "red,n" .. i, ["x-route-session"] = "s" .. i } })
    end
    chat("the-secret-of-lab-here")
    chat("the-secret-of-lab-here", { messages = { { role = "user", content = "please refuse" } } })
    found("/api/requests", 5)
  end))
  teardown(loop.test(function()
    house:stop()
    up:close()
  end))

  it("finds requests by what they were, the newest first", loop.test(function()
    local all = found("/api/requests", 5)
    assert.equal(5, #all.requests)
    assert.equal(ids[5], all.requests[1].id)
    assert.equal(http.null, all.next)
    for path, n in pairs {
      ["key=ci"] = 3, ["project=lab"] = 2, ["status=200"] = 4, ["status=4xx"] = 1, ["class=bad_request"] = 1, ["tag=red"] = 3,
      ["tag=n2"] = 1,
      ["session=s3"] = 1,
      ["target=a/m&key=lab"] = 2, ["min_cost_usd=0.000008"] = 4, ["min_cost_usd=0.000008001"] = 0,
      ["from=" .. day_of(-1)] = 5, ["to=" .. day_of(-1)] = 0, ["from=2099-01-01T00:00:00%2B02:00"] = 0, ["key=nobody"] = 0,
    } do
      assert.equal(n, #house:admin("GET", "/api/requests?" .. path).json.requests, path)
    end
  end))

  it("gives pages that go on where the last one ended", loop.test(function()
    local seen, cursor = {}, nil
    repeat
      local page = house:admin("GET", "/api/requests?limit=2" .. (cursor and "&cursor=" .. cursor or "")).json
      for _, request in ipairs(page.requests) do
        seen[#seen + 1] = request.id
      end
      cursor = page.next ~= http.null and page.next
    until not cursor
    assert.same({ ids[5], ids[4], ids[3], ids[2], ids[1] }, seen)
  end))

  it("shows one with its attempts, and what was written to the admin alone", loop.test(function()
    local answer = house:admin("GET", "/api/requests/" .. ids[1])
    assert.equal(200, answer.status, answer.body)
    local request = answer.json
    assert.same({ "ci", "shop", "answered", 200, COST, 1 }, {
      request.key, request.project, request.outcome, request.status, request.cost_nano, #request.tries,
    })
    assert.equal(BILLED, request.billed_nano)
    assert.equal("a/m", request.tries[1].target)
    assert.matches("hello", request.bodies.prompt.text, 1, true)
    assert.is_false(request.bodies.prompt.cut)
    assert.matches("choices", request.bodies.answer.text, 1, true)
    local viewer = house:admin("GET", "/api/requests/" .. ids[1], nil, house:viewer_headers())
    assert.equal(ids[1], viewer.json.id)
    assert.is_nil(viewer.json.bodies)
    assert.is_nil(viewer.body:find("hello", 1, true))
    assert.equal(http.null, house:admin("GET", "/api/requests/" .. ids[4]).json.bodies.prompt)
    assert.equal(404, house:admin("GET", "/api/requests/01ARZ3NDEKTSV4RRFFQ69G5FAV").status)
    assert.equal(404, house:admin("GET", "/api/requests/nonsense").status)
  end))

  it("sums up by anything, and by day", loop.test(function()
    local all = house:admin("GET", "/api/usage").json
    assert.same({ "nothing", false, day_of(-29), day_of(0) }, { all.by, all.by_day, all.from, all.to })
    assert.same({ 5, 4, 1, 4 * COST }, { all.lines[1].requests, all.lines[1].answered, all.lines[1].failed, all.lines[1].cost_nano })
    local keys = {}
    for _, line in ipairs(house:admin("GET", "/api/usage?by=key").json.lines) do
      keys[line.name] = line.cost_nano
    end
    assert.same({ ci = 3 * COST, lab = COST }, keys)
    local day = house:admin("GET", "/api/usage?by=model&by_day=true&project=shop&name=m&from=" .. day_of(0)).json.lines
    assert.equal(1, #day)
    assert.same({ day_of(0), "m", 3 }, { day[1].day, day[1].name, day[1].requests })
    for _, by in ipairs { "project", "policy", "arm", "tag", "target", "provider", "endpoint" } do
      assert.equal(200, house:admin("GET", "/api/usage?by=" .. by).status, by)
    end
    assert.same({}, house:admin("GET", "/api/usage?to=" .. day_of(-1)).json.lines)
  end))

  it("writes CSV and lines where they are asked for", loop.test(function()
    local csv = house:admin("GET", "/api/usage?by=key&format=csv")
    assert.equal("text/csv; charset=utf-8", csv.headers["content-type"])
    local _, lines = csv.body:gsub("\n", "")
    assert.equal(3, lines)
    assert.matches("^day,name,requests,", csv.body)
    assert.equal(csv.body, house:admin("GET", "/api/usage?by=key", nil, { accept = "text/csv;q=1, */*" }).body)
    local jsonl = house:admin("GET", "/api/usage?by=key", nil, { accept = "application/x-ndjson" })
    local n = 0
    for line in jsonl.body:gmatch "[^\n]+" do
      assert.is_table(http.json(line))
      n = n + 1
    end
    assert.equal(2, n)
    assert.equal("application/json", house:admin("GET", "/api/usage?format=json", nil, { accept = "text/csv" }).headers["content-type"])
  end))

  it("states a project's month, whose lines sum to its total", loop.test(function()
    local path = "/api/statements/shop/" .. day_of(0):sub(1, 7)
    local statement = house:admin("GET", path).json
    assert.same({ "shop", day_of(0):sub(1, 7), 3 * COST, 3 * BILLED }, {
      statement.project, statement.month, statement.total.cost_nano, statement.total.billed_nano,
    })
    local sum = 0
    for _, line in ipairs(statement.lines) do
      sum = sum + line.billed_nano
    end
    assert.equal(statement.total.billed_nano, sum)
    local csv = house:admin("GET", path .. "?format=csv")
    assert.matches("\n,total,3,", csv.body)
    assert.same({}, house:admin("GET", "/api/statements/nobody/2020-02").json.lines)
  end))

  it("says what is wrong with a question", loop.test(function()
    for path, param in pairs {
      ["requests?from=yesterday"] = "from", ["requests?status=20"] = "status", ["requests?status=9xx"] = "status",
      ["requests?class=sad"] = "class", ["requests?limit=0"] = "limit", ["requests?limit=1001"] = "limit", ["requests?cursor=x"] = "cursor",
      ["requests?min_cost_usd=-1"] = "min_cost_usd", ["requests?min_cost_usd="] = "min_cost_usd", ["requests?projct=x"] = "projct",
      ["usage?by=moon"] = "by", ["usage?by_day=1"] = "by_day", ["usage?from=2026-02-30"] = "from", ["usage?name=x"] = "name",
      ["usage?from=2026-02-03&to=2026-02-02"] = "from", ["usage?format=xml"] = "format", ["statements/shop/2026-13"] = "month",
      ["statements/shop/2026-11?format=jsonl"] = "format",
    } do
      refused("/api/" .. path, param)
    end
  end))
end)

describe("without a ledger", function()
  it("there is nothing to be asked", loop.test(function()
    local up = upstream.start(function(peer)
      peer:send(upstream.answer(200, upstream.completion "x"))
    end)
    local house = gateway.start { providers = { a = gateway.provider(up.url) }, config = { ledger = false } }
    for _, path in ipairs { "requests", "requests/x", "usage", "statements/default/2026-11" } do
      local answer = house:admin("GET", "/api/" .. path)
      assert.equal(501, answer.status, path)
      assert.equal("not_available", answer.json.error.code)
    end
    house:stop()
    up:close()
  end))
end)
