-- The access log: a line of JSON for each request, whatever became of it, with nothing in it that anybody wrote or kept secret.
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local process = require "support.process"
local upstream = require "support.upstream"

local SECRET, PROMPT = "a-secret-of-a-client", "what only the model is told"

describe("the access log", function()
  local house, up

  local function open(config)
    house = gateway.start {
      providers = { a = gateway.provider(up.url, { models = { { name = "m", price = { input = 1, output = 2 } } } }) },
      policies = { both = "return function() return { 'a/n', 'a/m' } end" },
      config = config,
    }
  end

  before_each(loop.test(function()
    up = upstream.start(function(peer, request)
      local missing = request.json.model == "n"
      peer:send(missing and upstream.answer(404, '{"error":{"message":"no such model","code":"model_not_found"}}')
        or upstream.answer(200, upstream.completion "an answer nobody else is told"))
    end)
  end))
  after_each(loop.test(function()
    house:stop()
    up:close()
  end))

  -- Its lines, once there are that many.
  local function lines(path, n)
    local list, text
    loop.until_true(function()
      list, text = {}, nil
      local file = io.open(path)
      text = file and file:read "*a" or ""
      if file then
        file:close()
      end
      for line in text:gmatch "([^\n]*)\n" do
        list[#list + 1] = assert(http.json(line), line)
      end
      return #list >= n
    end, n .. " lines in " .. path)
    return list, text
  end

  it("says of each request what became of it, and nothing of what was said", loop.test(function()
    open {
      access_log = "access.jsonl",
      client_keys = { { secret = SECRET, id = "ci", project = "shop", grants = { "policy" } } },
      projects = { shop = {} },
    }
    local headers = { authorization = "Bearer " .. SECRET, ["x-route-tags"] = "nightly", ["x-route-session"] = "s-1" }
    local messages = { { role = "user", content = PROMPT } }
    local answered = house:chat { headers = headers, messages = messages, policy = "both" }
    assert.equal(200, answered.status, answered.body)
    assert.equal(401, house:chat({ headers = { authorization = "Bearer wrong" }, messages = messages }).status)
    assert.equal(400, house:chat({ headers = headers, raw = "{" .. PROMPT }).status)
    assert.equal(404, http.get(house.port, "/v1/no-such-path?key=" .. SECRET).status)
    local list, text = lines(house.dir .. "/state/access.jsonl", 4)
    local one, by_status = nil, {}
    for _, line in ipairs(list) do
      by_status[line.status] = line
      one = line.status == 200 and line or one
      assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$", line.time)
    end
    assert.equal(answered.headers["x-request-id"], one.id)
    assert.equal("ci", one.key)
    assert.equal("shop", one.project)
    assert.equal("/v1/chat/completions", one.endpoint)
    assert.equal("m", one.model)
    assert.matches("^both@", one.policy)
    assert.equal("answered", one.outcome)
    assert.equal("s-1", one.session)
    assert.same({ "nightly" }, one.tags)
    assert.equal(2, one.attempts)
    assert.equal("a/n", one.tries[1].target)
    assert.equal("not_found", one.tries[1].class)
    assert.equal("a/m", one.tries[2].target)
    assert.is_true(one.tries[2].won)
    assert.equal(7000, one.cost_nano)
    assert.is_true(one.total_ms > 0 and one.policy_ms > 0)
    assert.equal("invalid_api_key", by_status[401].error)
    assert.equal("refused", by_status[401].outcome)
    assert.equal("invalid_request", by_status[400].error)
    assert.equal("not_found", by_status[404].error)
    for _, told in ipairs { SECRET, PROMPT, "an answer nobody else is told", "sk-upstream", "no-such-path" } do
      assert.is_nil(text:find(told, 1, true), told)
    end
    local _, mode = process.run({ "stat", "-c", "%a", "access.jsonl" }, { dir = house.dir .. "/state" })
    assert.equal("600\n", mode)
  end))

  it("goes to standard output where that is wanted", loop.test(function()
    open { access_log = "stdout" }
    local id = house:chat().headers["x-request-id"]
    house:wait_for_log('"id":"' .. id .. '"')
  end))

  it("begins anew where its file was moved", loop.test(function()
    open { access_log = "access.jsonl" }
    local path = house.dir .. "/state/access.jsonl"
    house:chat()
    lines(path, 1)
    assert(os.rename(path, path .. ".old"))
    house.process:signal "sighup"
    house:wait_for_log "generation 2 is loaded"
    house:chat()
    assert.equal(1, #lines(path, 1))
    assert.equal(1, #lines(path .. ".old", 1))
  end))

  it("stops no request when nobody reads it, and counts what is lost", loop.test(function()
    open { access_log = "/dev/full" }
    for _ = 1, 5 do
      assert.equal(200, house:chat().status)
    end
    loop.until_true(function()
      return house:admin("GET", "/metrics").body:find('perilune_log_dropped_total{log="access"} 5', 1, true)
    end, "five lines to be counted")
  end))
end)
