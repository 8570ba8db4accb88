-- What clients say of the answers they got, and of nobody else's.
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local upstream = require "support.upstream"

local function answering()
  return upstream.start(function(peer)
    peer:send(upstream.answer(200, upstream.completion "x"))
  end)
end

describe("feedback", function()
  local house, up

  setup(loop.test(function()
    up = answering()
    house = gateway.start {
      providers = { a = gateway.provider(up.url) },
      config = { client_keys = { { secret = "pk-one", id = "one" }, { secret = "pk-two", id = "two" } } },
      headers = { authorization = "Bearer pk-one" },
    }
  end))
  teardown(loop.test(function()
    house:stop()
    up:close()
    assert.same({}, up.faults)
  end))

  local function say(body, key)
    return http.post(house.port, "/v1/feedback", body, { authorization = "Bearer " .. (key or "pk-one") })
  end

  local function answered()
    local answer = house:chat()
    assert.equal(200, answer.status)
    return answer.headers["x-request-id"]
  end

  it("is taken for an answer that has just come, and again", loop.test(function()
    local id = answered()
    local first = say { id = id, score = 1, label = "helpful" }
    assert.equal(200, first.status)
    assert.same({ id = id, score = 1, label = "helpful" }, first.json)
    local second = say { id = id, score = -0.5 }
    assert.equal(200, second.status)
    assert.same({ id = id, score = -0.5, label = http.null }, second.json)
    assert.equal(200, say({ id = id, score = 0, label = http.null }).status)
    assert.is_string(second.headers["x-request-id"])
    assert.not_equal(id, second.headers["x-request-id"])
  end))

  it("is kept with the request", loop.test(function()
    local id = answered()
    assert.equal(200, say({ id = id, score = 0.25, label = "so, so" }).status)
    loop.until_true(function()
      local found = house:admin("GET", "/api/requests/" .. id).json
      return found.score == 0.25 and found.label == "so, so"
    end, "the feedback in the ledger")
  end))

  it("is about one's own requests alone", loop.test(function()
    local id = answered()
    assert.equal(200, say({ id = id, score = 1 }).status)
    local foreign, unknown = say({ id = id, score = 1 }, "pk-two"), say { id = "01ARZ3NDEKTSV4RRFFQ69G5FAV", score = 1 }
    for _, answer in ipairs { foreign, unknown } do
      assert.equal(404, answer.status)
      assert.equal("not_found", answer.json.error.code)
      assert.equal("id", answer.json.error.param)
    end
    assert.equal(foreign.json.error.message, unknown.json.error.message)
    assert.equal(401, say({ id = id, score = 1 }, "pk-none").status)
  end))

  it("of many at once is all taken", loop.test(function()
    local id = answered()
    local answers = loop.spread(64, 32, function(i)
      return say { id = id, score = i }
    end)
    for _, answer in ipairs(answers) do
      assert.equal(200, answer.status)
    end
  end))

  it("names what is wrong with it", loop.test(function()
    local id = answered()
    for _, case in ipairs {
      { { id = id }, "score" }, { { score = 1 }, "id" }, { { id = 7, score = 1 }, "id" }, { { id = "", score = 1 }, "id" },
      { { id = ("x"):rep(65), score = 1 }, "id" }, { { id = id, score = "1" }, "score" }, { { id = id, score = http.null }, "score" },
      { { id = id, score = 1000001 }, "score" }, { ('{"id":"%s","score":1e999}'):format(id), "score" },
      { { id = id, score = 1, label = ("x"):rep(65) }, "label" }, { { id = id, score = 1, label = 1 }, "label" },
      { { id = id, score = 1, comment = "x" }, "comment" }, { ('{"id":"%s","score":1,"score":2}'):format(id), "score" },
      { "[]", http.null }, { "nonsense", http.null }, { "{}", "id" },
    } do
      local answer = say(case[1])
      assert.equal(400, answer.status, http.encode(case[1]))
      assert.equal("invalid_request", answer.json.error.code)
      assert.equal(case[2], answer.json.error.param, http.encode(case[1]))
    end
  end))

  it("loses nothing when its client does not wait", loop.test(function()
    local c = assert(http.connect(house.port))
    c:send_request {
      method = "POST", path = "/v1/feedback", body = { id = "01ARZ3NDEKTSV4RRFFQ69G5FAV", score = 1 },
      headers = { authorization = "Bearer pk-one" },
    }
    c:close()
    assert.equal(200, say({ id = answered(), score = 1 }).status)
  end))

  it("is POST alone", loop.test(function()
    assert.equal(405, http.get(house.port, "/v1/feedback", { authorization = "Bearer pk-one" }).status)
  end))
end)

describe("feedback without keys", function()
  it("is taken where a ledger is kept, and nowhere else", loop.test(function()
    local up = answering()
    local house = gateway.start { providers = { a = gateway.provider(up.url) } }
    local id = house:chat().headers["x-request-id"]
    assert.equal(200, http.post(house.port, "/v1/feedback", { id = id, score = 1 }).status)
    house:stop()
    house = gateway.start { providers = { a = gateway.provider(up.url) }, config = { ledger = false } }
    local answer = http.post(house.port, "/v1/feedback", { id = house:chat().headers["x-request-id"], score = 1 })
    assert.equal(404, answer.status)
    assert.is_truthy(answer.json.error.message:find("ledger", 1, true))
    house:stop()
    up:close()
  end))

  it("that waits is answered before the end", loop.test(function()
    local up = answering()
    local house = gateway.start { providers = { a = gateway.provider(up.url) } }
    local c = assert(http.connect(house.port))
    c:send_request { method = "POST", path = "/v1/feedback", body = { id = "01ARZ3NDEKTSV4RRFFQ69G5FAV", score = 1 } }
    assert.equal(200, house:chat().status)
    house.process:signal "sigterm"
    local answer = c:response()
    assert.equal(404, answer and answer.status)
    c:close()
    house:stop()
    up:close()
  end))
end)
