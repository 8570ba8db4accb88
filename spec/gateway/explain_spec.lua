-- `perilune explain` and POST /api/explain: where a request would go, worked out without calling anyone.
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local mock = require "support.mock"
local process = require "support.process"

local CONFIG = [[return {
  providers = {
    a = { like = "openai_compatible", base_url = "http://127.0.0.1:1/v1", api_keys = { "sk-secret-of-a" },
          models = { { name = "m", price = { input = 1, output = 2 }, quality = 10 } } },
    b = { like = "openai_compatible", base_url = "http://127.0.0.1:1/v1", api_keys = { "sk-secret-of-b" },
          models = { { name = "n", price = { input = 3, output = 6 }, quality = 50 } } },
  },
}]]
local BODY = '{"model":"auto","max_tokens":100,"messages":[{"role":"user","content":"hello"}]}'

describe("explain on the command line", function()
  local function explain(args, files)
    files = files or { ["request.json"] = BODY }
    return gateway.command { config = CONFIG, files = files, args = { "explain", unpack(args) } }
  end

  it("shows the chain, and what was left out and why", loop.test(function()
    local code, output = explain { "request.json" }
    assert.equal(0, code, output)
    assert.matches("auto@%x+: cheapest that can do it", output)
    assert.matches("\n  1  a/m +1/2 +%$0%.000", output)
    assert.matches("\n  2  b/n", output)
    code, output = explain {
      "request.json", "--policy", "p", "--assume", "a=down", "--header", "X-Route-Tier: gold",
    }
    assert.equal(1, code)
    assert.matches("no policy named 'p'", output)
  end))

  it("assumes, again and again", loop.test(function()
    local code, output = explain { "request.json", "--assume", "a=down", "-a", "b/n.ttft_ms=900", "--tier", "gold", "--json" }
    assert.equal(0, code, output)
    local report = http.json(output)
    assert.equal("b/n", report.candidates[1].target)
    assert.equal(900, report.candidates[1].figures.ttft_ms.p50)
    assert.equal("open", report.candidates[2].figures.state)
    assert.same({ "a=down", "b/n.ttft_ms=900" }, report.assumed)
    assert.equal("gold", report.request.tier)
  end))

  it("says that the gateway would not wait so long", loop.test(function()
    local files = { ["request.json"] = BODY, ["slow.lua"] = "return function(req, fleet) for _ = 1, 1e7 do end return fleet end" }
    local code, output = explain({ "request.json", "--policy", "slow.lua" }, files)
    assert.equal(0, code, output)
    assert.matches("the gateway would stop it at 5 ms\n", output, 1, true)
    local _, json = explain({ "request.json", "--policy", "slow.lua", "--json" }, files)
    assert.equal(5, http.json(json).stopped_at_ms)
    assert.is_nil(http.json(select(2, explain { "request.json", "--json" })).stopped_at_ms)
  end))

  it("knows where a body belongs", loop.test(function()
    local code, output = explain({ "r.json", "--json" }, { ["r.json"] = '{"model":"auto","input":"hello"}' })
    assert.equal(0, code, output)
    assert.equal("/v1/responses", http.json(output).request.endpoint)
    local files = { ["r.json"] = '{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}' }
    code, output = explain({ "r.json", "--json", "--endpoint", "/v1/messages" }, files)
    assert.equal(0, code, output)
    assert.equal("anthropic_messages", http.json(output).request.dialect)
  end))

  it("sees whose thoughts a conversation holds", loop.test(function()
    local config = [[return { providers = {
      claude = { like = "anthropic", base_url = "http://127.0.0.1:1/v1", api_keys = { "k" }, models = { "claude-sonnet-4-6" } },
      other = { like = "openai_compatible", base_url = "http://127.0.0.1:1/v1", api_keys = { "k" }, models = { "m" } },
    } }]]
    local request = [[{"model":"auto","max_tokens":9,"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[
      {"type":"thinking","thinking":"so","signature":"%s"},{"type":"text","text":"a"}]},{"role":"user","content":"and?"}]}]]
    local function bound_to(signature)
      local code, output = gateway.command {
        config = config, args = { "explain", "r.json", "--endpoint", "/v1/messages", "--policy", "bound" },
        files = {
          ["policies/bound.lua"] = "return function(req, fleet) return fleet, tostring(req.bound_to) end",
          ["r.json"] = request:format(signature),
        },
      }
      assert.equal(0, code, output)
      return output:match "^bound@%x+: (%w+)"
    end
    assert.equal("claude", bound_to "EqQBCkYIBRgCKkB")
    assert.equal("claude", bound_to "pl1.anthropic_messages.signature.claude-sonnet-4-6.EqQB")
    assert.equal("other", bound_to "pl1.openai_chat.signature.m.x")
    assert.equal("nil", bound_to "pl1.openai_responses.encrypted.gpt-9.x")
    assert.equal("nil", bound_to "")
  end))

  it("says what is wrong, and how it ends then", loop.test(function()
    for _, case in ipairs {
      { 2, "which request", {} },
      { 3, "No such file", { "nowhere.json" } },
      { 1, "JSON", { "broken.json" } },
      { 1, "'model' is required", { "empty.json" } },
      { 1, 'no target, model or provider "aa"', { "request.json", "--assume", "aa=down" } },
      { 1, 'policy', { "request.json", "--policy", "cheapst" } },
      { 1, "No policy decides", { "request.json", "--endpoint", "/v1/models" } },
      { 2, "name: value", { "request.json", "--header", "nonsense" } },
      { 1, "'nobody' does not exist", { "unknown.json" } },
    } do
      local code, output = explain(case[3], {
        ["request.json"] = BODY, ["broken.json"] = "{", ["empty.json"] = "{}",
        ["unknown.json"] = '{"model":"nobody","messages":[{"role":"user","content":"x"}]}',
      })
      assert.equal(case[1], code, output)
      assert(output:lower():find(case[2]:lower(), 1, true), output)
      assert.is_nil(output:find("sk-secret", 1, true))
    end
  end))

  it("tries a policy that is nowhere yet", loop.test(function()
    local code, output = explain({ "request.json", "--policy", "drafts/next.lua" }, {
      ["request.json"] = BODY, ["drafts/next.lua"] = 'return function() return { "b/n" }, "a draft" end',
    })
    assert.equal(0, code, output)
    assert.matches("next@%x+: a draft", output)
    code, output = explain({ "request.json", "--policy", "drafts/next.lua" }, {
      ["request.json"] = BODY, ["drafts/next.lua"] = "return 7",
    })
    assert.equal(4, code, output)
    assert.matches("expected a policy file to return", output)
    code = explain { "request.json", "--policy", "nowhere.lua" }
    assert.equal(4, code)
  end))

  it("tells a policy that fails, with file and line, and stops one that does not end", loop.test(function()
    local files = {
      ["request.json"] = BODY, ["policies/breaks.lua"] = "return function(req)\n  return req.nothing\nend",
      ["policies/loops.lua"] = "return function() while true do end end",
    }
    local code, output = explain({ "request.json", "--policy", "breaks" }, files)
    assert.equal(1, code)
    assert.matches("policies/breaks.lua:2", output)
    code = explain({ "request.json", "--policy", "loops" }, files)
    assert.equal(1, code)
  end))
end)

describe("explain beside a gateway that runs", function()
  local upstream, house

  setup(loop.test(function()
    upstream = mock.start()
    house = gateway.start {
      providers = {
        good = upstream:provider("", { models = { { name = "m", price = { input = 1, output = 2 } } } }),
        bad = upstream:provider("status=500", { models = { { name = "n", price = { input = 0.1, output = 0.2 } } } }),
      },
      policies = { other = "return function() return { 'bad/n' } end" },
      config = { record = "requests.jsonl" },
    }
  end))
  teardown(loop.test(function()
    house:stop()
    upstream:stop()
  end))

  local function report(body)
    local answer = house:admin("POST", "/api/explain", body)
    assert.equal(200, answer.status, answer.body)
    return http.json(answer.body)
  end

  it("knows the live figures", loop.test(function()
    for _ = 1, 8 do
      house:chat { model = "auto" }
    end
    local found = report { request = { model = "auto", messages = { { role = "user", content = "hello" } } } }
    assert.matches("auto@", found.text)
    local by_target = {}
    for _, c in ipairs(found.report.candidates) do
      by_target[c.target] = c
    end
    assert.equal(0, by_target["good/m"].figures.error_rate)
    assert(by_target["bad/n"].figures.error_rate > 0.9)
    assert.not_equal("closed", by_target["bad/n"].figures.state) -- half open a second later
    assert.equal("good/m", found.report.candidates[1].target)
    process.write(house.dir .. "/request.json", BODY)
    local code, output = house:command("explain", "request.json")
    assert.equal(0, code, output)
    assert.matches("100%% errors", output)
    code, output = house:command("explain", "request.json", "--offline")
    assert.equal(0, code, output)
    assert.is_nil(output:find("errors", 1, true))
  end))

  it("tells why a recorded request went where it did, by the figures of that moment", loop.test(function()
    local id, report_then
    loop.until_true(function() -- a worker hears of what another one met a quarter of a second later
      id = house:chat({ model = "auto" }).headers["x-request-id"]
      local answer = house:admin("GET", "/api/explain?id=" .. id)
      assert.equal(200, answer.status, answer.body)
      report_then = http.json(answer.body).report
      assert.is_true(report_then.as_recorded)
      return report_then.candidates[1].target == "good/m"
    end, "a decision that knows of the open breaker")
    assert.not_equal("closed", report_then.candidates[2].figures.state)
    assert.equal("good/m", report_then.candidates[1].target)
    local code, output = house:command("explain", id)
    assert.equal(0, code, output)
    assert.matches("auto@%x+: cheapest", output)
    assert.matches("open", output) -- or half_open
    assert.is_true(report_then.as_recorded)
    assert.is_nil(output:find("recorded was", 1, true))
    code, output = house:command("explain", id, "--policy", "other")
    assert.equal(0, code, output)
    assert.matches("recorded was another decision: good/m, [%g, ]+\n$", output)
    code, output = house:command("explain", id, "--policy", "quality", "--assume", "bad=up", "--json")
    assert.equal(0, code, output)
    assert.matches("^quality@", http.json(output).policy)
    for query, status in pairs { ["id=" .. ("0"):rep(26)] = 404, ["id=../../etc/passwd"] = 400, [""] = 400 } do
      assert.equal(status, house:admin("GET", "/api/explain?" .. query).status)
    end
    code, output = house:command("explain", ("0"):rep(26))
    assert.equal(1, code)
    assert.matches("No request 0+ is in", output)
  end))

  it("goes by what that worker knew when it decided, whatever stands before the line", loop.test(function()
    local id = ("1"):rep(26)
    local function figures(worker, at, state)
      return ('{"kind":"figures","at":%.6f,"worker":%d,"target":"bad/n","state":"%s"}\n'):format(at, worker, state)
    end
    process.write(house.dir .. "/moments.jsonl", figures(1, 10, "open") .. figures(0, 11, "closed") .. figures(1, 13, "half_open")
      .. ('{"kind":"request","at":12.000000,"worker":1,"id":"%s","policy":"auto@0","req":{"model":"auto"}}\n'):format(id))
    local code, output = house:command("explain", id, "--log", "moments.jsonl", "--json")
    assert.equal(0, code, output)
    for _, c in ipairs(http.json(output).candidates) do
      assert.equal(c.target == "bad/n" and "open" or "closed", c.figures.state)
    end
  end))

  it("says which policy is missing where a record names none that is there", loop.test(function()
    local id = ("0"):rep(26)
    process.write(house.dir .. "/thin.jsonl", ('{"kind":"request","id":"%s","req":{}}\n'):format(id))
    local code, output = house:command("explain", id, "--log", "thin.jsonl")
    assert.equal(1, code)
    assert.matches('There is no policy ""', output)
    code, output = house:command("explain", id, "--log", "thin.jsonl", "--policy", "gone")
    assert.equal(1, code)
    assert.matches('There is no policy "gone"', output)
    code, output = house:command("explain", id, "--log", "thin.jsonl", "--policy", "quality")
    assert.equal(0, code, output)
    assert.matches("\na request for auto, 0 tokens in", output)
  end))

  it("asks nobody, and what is assumed is not believed afterwards", loop.test(function()
    local before = house:admin("GET", "/api/status").body:match '"requests":(%d+)'
    report { request = { model = "auto", messages = { { role = "user", content = "hello" } } }, assume = { "good=down" } }
    assert.equal(before, house:admin("GET", "/api/status").body:match '"requests":(%d+)')
    local found = report { request = { model = "m", messages = { { role = "user", content = "hello" } } } }
    assert.equal("closed", found.report.candidates[1].figures.state)
  end))

  it("refuses what it does not understand, by name", loop.test(function()
    for _, case in ipairs {
      { 400, "request", {} },
      { 400, "reqest", { reqest = {} } },
      { 400, "assume", { request = { model = "m" }, assume = { 7 } } },
      { 400, "headers", { request = { model = "m" }, headers = { a = 7 } } },
      { 400, "nobody", { request = { model = "m", messages = { { role = "user", content = "x" } } }, assume = { "nobody=down" } } },
      { 404, "model", { request = { model = "nobody", messages = { { role = "user", content = "x" } } } } },
    } do
      local answer = house:admin("POST", "/api/explain", case[3])
      assert.equal(case[1], answer.status, answer.body)
      assert(answer.body:find(case[2], 1, true), answer.body)
    end
    assert.equal(401, house:admin("POST", "/api/explain", {}, { authorization = "Bearer wrong" }).status)
  end))
end)
