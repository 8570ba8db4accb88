-- What the command line makes of the ledger: sums, statements, the request log, one request drawn.
local gateway = require "support.gateway"
local http = require "support.http"
local ledger = require "support.ledger"
local loop = require "support.loop"
local mock = require "support.mock"
local process = require "support.process"

-- A dollar a token, so that every amount can be reckoned: six tokens asked, four answered.
local PRICED = { models = { { name = "m", price = { input = 1e6, output = 1e6 }, context = 100000, max_output = 100 } } }
local STEERS = "\27[2J\27]0;title\7"

describe("the command line reads the ledger", function()
  local up, house, ids

  -- Exit code and output; `NAME=VALUE` words in front go to the environment.
  local function run(...)
    return house:command(...)
  end

  local function json(...)
    local code, output = run(...)
    assert.equal(0, code, output)
    return http.json(output)
  end

  local function lines(output)
    local all = {}
    for line in output:gmatch "[^\n]+" do
      all[#all + 1] = line
    end
    return all
  end

  -- The one line of usage of that name.
  local function line_of(usage, name)
    for _, line in ipairs(usage.lines) do
      if line.name == name then
        return line
      end
    end
  end

  local function chat(key, policy, headers, body)
    headers = headers or {}
    headers.authorization = "Bearer " .. key
    local answer = house:chat { policy = policy, headers = headers, body = body }
    return answer.headers["x-request-id"], answer
  end

  setup(loop.test(function()
    up = mock.start()
    house = gateway.start {
      providers = { a = up:provider("status=500", PRICED), b = up:provider(nil, PRICED) },
      policies = {
        over = "return function() return { 'a/m', 'b/m' } end",
        good = "return function() return { 'b/m' } end",
        bad = "return function() return { 'a/m' } end",
        tried = "return function(req, fleet) return fleet:split('words', { { 'b/m', 1 } }) end",
      },
      config = {
        client_keys = {
          { secret = "sk-shop", id = "ci", project = "shop", grants = { "policy" } },
          { secret = "sk-lab", id = "lab", project = "lab", grants = { "policy" } },
        },
        projects = { shop = { tier = "paid", markup = 0.5 }, lab = {} },
      },
    }
    ids = {
      over = chat("sk-shop", "over", { ["x-route-tags"] = "nightly", ["x-route-session"] = "s1" }),
      good = chat("sk-shop", "good"),
      bad = chat("sk-shop", "bad"),
      lab = chat("sk-lab", "good", { ["x-route-session"] = STEERS:gsub("%c", "?") }, { user = STEERS }),
    }
    loop.until_true(function()
      local _, output = run("usage", "--json")
      return output:find('"requests":4', 1, true)
    end, "four requests in the ledger")
  end))
  teardown(loop.test(function()
    house:stop()
    up:stop()
  end))

  describe("usage", function()
    it("sums the last thirty days, as the admin side does", loop.test(function()
      local usage = json("usage", "--json")
      assert.equal(os.date("!%Y-%m-%d", os.time() - 29 * 86400), usage.from)
      assert.equal(os.date "!%Y-%m-%d", usage.to)
      assert.same(usage, house:admin("GET", "/api/usage").json)
      local whole = usage.lines[1]
      assert.equal(3, whole.answered)
      assert.equal(1, whole.failed)
      assert.equal(30e9, whole.cost_nano)
      assert.equal(40e9, whole.billed_nano) -- two of three with half of it on top
    end))

    it("has a line for each of what is asked for", loop.test(function()
      local projects = json("usage", "--by", "project", "--json")
      assert.equal("project", projects.by)
      assert.equal(3, line_of(projects, "shop").requests)
      assert.equal(1, line_of(projects, "lab").requests)
      local targets = json("usage", "--by", "target", "--json")
      assert.equal(2, line_of(targets, "a/m").requests)
      assert.equal(3, line_of(targets, "b/m").requests)
      assert.equal(1, line_of(json("usage", "--by", "tag", "--json"), "nightly").requests)
      assert.equal(3, line_of(json("usage", "--by", "key", "--json"), "ci").requests)
      assert.equal(5, json("usage", "--by", "model", "--json").lines[1].requests)
      assert.equal(2, #json("usage", "--by", "provider", "--project", "shop", "--json").lines)
    end))

    it("is of the days that are asked for", loop.test(function()
      local today = os.date "!%Y-%m-%d"
      assert.equal(4, json("usage", "--from", today, "--to", today, "--json").lines[1].requests)
      assert.equal(today, json("usage", "--by-day", "--from", "7d", "--json").lines[1].day)
      local code, output = run("usage", "--from", "2020-01-01", "--to", "2020-12-31")
      assert.equal(0, code)
      assert.equal("perilune usage: nothing was used in these days\n", output)
    end))

    it("is a table for people, without the columns nothing stands in", loop.test(function()
      local _, output = run("usage", "--by", "project")
      local head, first, second = unpack(lines(output))
      assert.matches("^NAME  REQUESTS  ANSWERED  FAILED  INPUT  OUTPUT", head)
      assert.is_nil(head:find "ORPHANED")
      assert.matches("^shop         3         2       1     12       8  $20.000000  $30.000000", first)
      assert.matches("^lab          1         1", second)
      assert.equal(head:find "COST" + 3, first:find "20.000000" + 8)
      assert.matches("^NAME  ATTEMPTS  ANSWERED", (select(2, run("usage", "--by", "target"))))
    end))

    it("is CSV and a line of JSON each", loop.test(function()
      local _, csv = run("usage", "--by", "project", "--csv")
      local rows = lines(csv)
      assert.equal(3, #rows)
      assert.matches("^day,name,requests,", rows[1])
      assert.matches("^,shop,3,2,1,", rows[2])
      local _, jsonl = run("usage", "--by", "project", "--jsonl")
      assert.equal("lab", http.json(lines(jsonl)[2]).name)
    end))

    it("says what it wants", loop.test(function()
      for _, case in ipairs {
        { { "--by", "modle" }, "--by wants project, key," },
        { { "--from", "yesterday" }, "--from wants 2026-11-01" },
        { { "--to", "2026-02-30" }, "--to wants 2026-11-01" },
        { { "--from", "2026-11-02", "--to", "2026-11-01" }, "--from is behind --to" },
        { { "statment" }, "expected nothing, or statement PROJECT YYYY-MM" },
        { { "statement", "shop" }, "expected statement PROJECT YYYY-MM" },
        { { "statement", "shop", "2026-11", "--by-day" }, "a statement goes with" },
        { { "statement", "shop", "2026-13" }, "expected statement PROJECT YYYY-MM" },
      } do
        local code, output = run("usage", unpack(case[1]))
        assert.equal(2, code)
        assert.is_truthy(output:find(case[2], 1, true), output)
      end
    end))
  end)

  describe("a statement", function()
    it("is one project's month, and its total is the sum of its lines", loop.test(function()
      local statement = json("usage", "statement", "shop", os.date "!%Y-%m", "--json")
      local cost, billed = 0, 0
      for _, line in ipairs(statement.lines) do
        cost, billed = cost + (line.cost_nano or 0), billed + (line.billed_nano or 0)
      end
      assert.equal(20e9, statement.total.cost_nano)
      assert.equal(cost, statement.total.cost_nano)
      assert.equal(billed, statement.total.billed_nano)
      assert.equal(30e9, billed)
    end))

    it("is a table that ends with the total, and CSV", loop.test(function()
      local rows = lines((select(2, run("usage", "statement", "shop", os.date "!%Y-%m"))))
      assert.matches("^NAME   ATTEMPTS", rows[1])
      assert.matches("^total         4         2       2 .*$20.000000  $30.000000", rows[#rows])
      local csv = lines((select(2, run("usage", "statement", "shop", os.date "!%Y-%m", "--csv"))))
      assert.matches("^,total,.*,20.000000000,30.000000000,", csv[#csv])
    end))

    it("of a month without anything is empty", loop.test(function()
      assert.same({}, json("usage", "statement", "shop", "2020-01", "--json").lines)
    end))
  end)

  describe("logs", function()
    -- The ids that are shown, in their order.
    local function found(...)
      local code, output = run("logs", "--json", ...)
      assert.equal(0, code, output)
      local all = {}
      for _, line in ipairs(lines(output)) do
        all[#all + 1] = http.json(line).id
      end
      return all
    end

    it("shows the newest last", loop.test(function()
      assert.same({ ids.over, ids.good, ids.bad, ids.lab }, found())
      assert.same({ ids.bad, ids.lab }, found("-n", "2"))
      assert.same({}, found("--number", "0"))
    end))

    it("finds by everything", loop.test(function()
      assert.same({ ids.lab }, found("--project", "lab"))
      assert.same({ ids.over, ids.good, ids.bad }, found("--key", "ci"))
      assert.same({ ids.over, ids.bad }, found("--target", "a/m"))
      assert.same({ ids.bad }, found("--status", "5xx"))
      assert.same({ ids.over, ids.good, ids.lab }, found("--status", "200"))
      assert.same({ ids.bad }, found("--class", "server_error"))
      assert.same({ ids.over, ids.good, ids.lab }, found("--min-cost", "10"))
      assert.same({}, found("--min-cost", "10.000000001"))
      assert.same({ ids.over }, found("--tag", "night"))
      assert.same({ ids.over }, found("--session", "s1"))
      assert.same({ ids.good }, found("--project", "shop", "--target", "b/m", "--from", "1h", "-n", "1"))
      assert.same({}, found("--to", "1h"))
    end))

    it("is a line each for people", loop.test(function()
      local rows = lines((select(2, run "logs")))
      assert.matches("^TIME +STATUS +MS +COST +ID +PROJECT +KEY +MODEL$", rows[1])
      assert.matches("^%d+%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ +200 .* $10%.000000  " .. ids.over .. " +shop +ci +m$", rows[2])
      assert.matches("failed: ", rows[4])
    end))

    it("is CSV", loop.test(function()
      local rows = lines((select(2, run("logs", "--csv", "-n", "1"))))
      assert.equal(2, #rows)
      assert.matches("^time,id,", rows[1])
      assert.is_truthy(rows[2]:find("," .. ids.lab .. ",", 1, true))
    end))

    it("says what it wants", loop.test(function()
      for _, case in ipairs {
        { { "--status", "6xx" }, "--status wants" },
        { { "--status", "20" }, "--status wants" },
        { { "--class", "slow" }, "--class wants" },
        { { "--min-cost", "cheap" }, "--min-cost wants" },
        { { "-n", "many" }, "--number wants" },
        { { "-f", "--to", "1h" }, "--follow goes neither" },
      } do
        local code, output = run("logs", unpack(case[1]))
        assert.equal(2, code)
        assert.is_truthy(output:find(case[2], 1, true), output)
      end
    end))
  end)

  describe("trace", function()
    it("draws each attempt, and says what it came to", loop.test(function()
      local code, output = run("trace", ids.over)
      assert.equal(0, code, output)
      local rows = lines(output)
      assert.matches("^" .. ids.over .. "  %d+%-%d%d%-%d%dT", rows[1])
      assert.equal("asked /v1/chat/completions  model m", rows[2])
      assert.equal("project shop  key ci  tier paid  session s1  tag nightly", rows[3])
      assert.matches("^policy over@%x+  by x%-route%-policy$", rows[4])
      assert.equal("chain a/m b/m", rows[5])
      assert.equal("answered  status 200  6 + 4 tokens  $10.000000  billed $15.000000", rows[6])
      assert.matches("\n1  a/m  status 500  server_error\n +|[- .]+|  [%d.]+ ms\n", output)
      assert.matches("\n2  b/m  status 200  answered  6 %+ 4 tokens  $10.000000\n +| +[-.= ]+|  [%d.]+ ms\n", output)
    end))

    it("is as wide as it is told", loop.test(function()
      for columns, width in pairs { ["60"] = 60, ["120"] = 120, ["1"] = 60, ["wide"] = 80 } do
        local argv = { "env", "COLUMNS=" .. columns, process.binary(), "trace", ids.over }
        local _, output = process.run(argv, { dir = house.dir })
        local bar = output:match "request  |(#+)|"
        assert.equal(width - 27, #bar)
      end
    end))

    it("draws no times where none are known, because the process died", loop.test(function()
      local other = gateway.start {
        providers = { b = up:provider("hang", PRICED) },
        policies = { there = "return function() return { 'b/m' } end" },
        config = { policies = { default = "there" } },
      }
      loop.go(pcall, other.chat, other, {})
      loop.until_true(function()
        return ledger.value(other, "SELECT count(*) FROM begun") == 1
      end, "an attempt under way")
      other.process:signal "sigkill"
      other.process:wait()
      other:launch {}
      local id = ledger.value(other, "SELECT id FROM requests")
      local _, output = other:command("trace", id)
      assert.matches("\norphaned  at most $%d+%.%d+\n\n1  b/m  at most $%d+%.%d+\n$", output)
      other:stop()
    end))

    it("is the request as JSON, with its attempts", loop.test(function()
      local request = json("trace", ids.over, "--json")
      assert.equal(ids.over, request.id)
      assert.equal(2, #request.tries)
      assert.equal("server_error", request.tries[1].class)
    end))

    it("colors a terminal, unless that is not wanted", loop.test(function()
      local function drawn(env)
        local command = ("%s trace %s"):format(process.binary(), ids.over)
        return (select(2, process.run({ "env", "TERM=xterm", env, "script", "-qec", command, "/dev/null" }, { dir = house.dir })))
      end
      assert.is_truthy(drawn("NO_COLOR="):find("\27[32m", 1, true))
      assert.is_nil(drawn("NO_COLOR=1"):find "\27")
      assert.is_nil(drawn("TERM=dumb"):find "\27")
    end))

    it("steers no terminal", loop.test(function()
      for _, args in ipairs { { "trace", ids.lab }, { "logs" }, { "usage", "--by", "key" } } do
        local _, output = run(unpack(args))
        assert.is_nil(output:find "[%z\1-\8\11-\31\127]", output)
      end
    end))

    it("knows no other request", loop.test(function()
      local code, output = run("trace", "nobody")
      assert.equal(1, code)
      assert.equal("perilune trace: no request of that id is recorded\n", output)
      assert.equal(2, (run "trace"))
    end))
  end)

  describe("logs --follow", function()
    -- Runs beside the gateway until it has printed what `wanted` finds; what was printed.
    local function follow(wanted, ...)
      local going = process.start({ process.binary(), "logs", "--follow", ... }, { dir = house.dir })
      loop.until_true(function()
        return wanted(going.output)
      end, "what is followed")
      going:signal "sigterm"
      going:wait()
      return going.output
    end

    it("shows what was, and then each request as it ends, once", loop.test(function()
      local sent
      local output = follow(function(output)
        if output:find(ids.lab, 1, true) and not sent then
          sent = chat("sk-lab", "good")
        end
        return sent and output:find(sent, 1, true)
      end, "-n", "1")
      local rows = lines(output)
      assert.equal(3, #rows)
      assert.matches("^TIME +STATUS", rows[1])
      assert.is_truthy(rows[2]:find(ids.lab, 1, true))
      assert.matches("^%d+%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ +200 .* $10%.000000  " .. sent .. "  lab +lab +m$", rows[3])
    end))

    it("shows only what is asked for, as JSON too", loop.test(function()
      local sent
      local output = follow(function(output)
        if output:find(ids.over, 1, true) and not sent then
          chat("sk-shop", "good", { ["x-route-tags"] = "other" })
          chat("sk-lab", "good", { ["x-route-tags"] = "nightly" })
          chat("sk-shop", "bad", { ["x-route-tags"] = "nightly" })
          sent = chat("sk-shop", "over", { ["x-route-tags"] = "x,nightly" })
        end
        return sent and output:find(sent, 1, true)
      end, "--json", "--project", "shop", "--tag", "night", "--status", "2", "--min-cost", "0.5", "--target", "a/m")
      local rows = lines(output)
      assert.equal(2, #rows)
      assert.equal(ids.over, http.json(rows[1]).id)
      assert.equal(sent, http.json(rows[2]).id)
      local recorded = loop.until_true(function()
        local _, found = run("logs", "--json", "-n", "1")
        return found:find(sent, 1, true) and found
      end, "it in the ledger")
      for name, value in pairs(http.json(recorded)) do
        assert.same(value, http.json(rows[2])[name], name)
      end
    end))

    it("goes on without a ledger", loop.test(function()
      local other = gateway.start { providers = { b = up:provider(nil, PRICED) }, config = { ledger = false } }
      local going, sent = process.start({ process.binary(), "logs", "-f" }, { dir = other.dir }), nil
      loop.until_true(function()
        if going.output:find("TIME", 1, true) and not sent then
          sent = other:chat({ model = "b/m" }).headers["x-request-id"]
        end
        return sent and going.output:find(sent, 1, true)
      end, "what is followed")
      going:signal "sigterm"
      going:wait()
      other:stop()
    end))

    it("ends with the gateway", loop.test(function()
      local other = gateway.start { providers = { b = up:provider(nil, PRICED) } }
      local going = process.start({ process.binary(), "logs", "-f" }, { dir = other.dir })
      loop.until_true(function()
        return going.output:find("TIME", 1, true)
      end, "what is followed")
      other:stop()
      assert.equal(3, (going:wait()))
      assert.is_truthy(going.output:find("perilune logs: the gateway has ended\n", 1, true), going.output)
    end))

    it("says what it may not ask, and when there is nobody to ask", loop.test(function()
      local code, output = process.run({ "env", "PERILUNE_ADMIN_TOKEN=wrong", process.binary(), "logs", "-f" }, { dir = house.dir })
      assert.equal(3, code)
      assert.is_truthy(output:find("refuses the token", 1, true), output)
    end))
  end)

  it("compares arms by what clients said of the answers", loop.test(function()
    local id
    for _, score in ipairs { 1, 0.5 } do
      id = chat("sk-lab", "tried")
      local body = { id = id, score = score, label = "words" }
      local answer = http.post(house.port, "/v1/feedback", body, { authorization = "Bearer sk-lab" })
      assert.is_true(answer.status < 300)
    end
    loop.until_true(function()
      local line = line_of(json("usage", "--by", "arm", "--json"), "words/b/m")
      return line and line.score_n == 2
    end, "two scores in the ledger")
    local _, output = run("usage", "--by", "arm")
    assert.matches("SCORES  SCORE  95%%\n", output)
    assert.matches("\nwords/b/m +2 .* 2  0.750  0.260 to 1.240\n", output)
    assert.matches("  score 0.5  label words\n", (select(2, run("trace", id))))
  end))

  it("says where there is none", loop.test(function()
    for _, args in ipairs { { "usage" }, { "logs" }, { "trace", "x" }, { "usage", "statement", "shop", "2026-11" } } do
      local code, output = gateway.command { args = args, config = "return { data_dir = 'nothing' }" }
      assert.equal(3, code)
      assert.is_truthy(output:find("nothing/ledger.db: No such file or directory\n", 1, true), output)
      code, output = gateway.command {
        args = args, config = "return { data_dir = 'state' }", files = { ["state/ledger.db"] = "no database, but some text" },
      }
      assert.equal(3, code)
      assert.is_truthy(output:find("ledger.db", 1, true), output)
    end
  end))
end)
