-- The admin side: who may call, what is not there, what is no call at all.
local admin_routes = require "support.admin_routes"
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local upstream = require "support.upstream"

local API = "core/admin/api.c"

describe("docs/admin.md", function()
  local file = assert(io.open "docs/admin.md")
  local page = file:read "*a"
  file:close()

  it("has every call and who may make it, and no other", function()
    local listed, there = {}, {}
    for method, pattern, who in page:gmatch "\n| `(%u+) (/[^`]*)` | (%l+) |" do
      listed[#listed + 1] = method .. " " .. pattern .. " " .. who
    end
    for _, route in ipairs(admin_routes.list()) do
      there[#there + 1] = route.method .. " " .. route.pattern .. " " .. route.role:lower()
    end
    table.sort(listed)
    table.sort(there)
    assert.same(there, listed)
  end)

  it("has every code with its status, and no other", function()
    local listed, there = {}, {}
    for code, status in page:gmatch "\n| `([%l_]+)` | (%d+) |" do
      listed[code] = status
    end
    local source = assert(io.open(API))
    for code, status in source:read("*a"):gmatch '%[API_[%u_]+%] = { "([%l_]+)", (%d+) }' do
      there[code] = status
    end
    source:close()
    assert.is_truthy(there.managed_by_file)
    assert.same(there, listed)
  end)

  it("shows bodies that are JSON", function()
    local n = 0
    for text in page:gmatch "```json\n(.-)```" do
      assert.is_table(http.json(text))
      n = n + 1
    end
    assert.is_true(n > 0)
  end)
end)

describe("the admin side", function()
  local house, up

  before_each(loop.test(function()
    up = upstream.start(function(peer)
      peer:send(upstream.answer(200, upstream.completion "x"))
    end)
    house = gateway.start { providers = { a = gateway.provider(up.url) } }
  end))
  after_each(loop.test(function()
    house:stop()
    up:close()
  end))

  local function refused(answer, status, code)
    assert.equal(status, answer.status, answer.body)
    assert.equal("application/json", answer.headers["content-type"])
    assert.equal(code, answer.json.error.code)
    assert.is_string(answer.json.error.message)
    return answer.json.error
  end

  it("answers without a token to /health alone", loop.test(function()
    assert.equal(200, house:admin("GET", "/health", nil, { authorization = false }).status)
    refused(house:admin("GET", "/api/nothing", nil, { authorization = "Bearer wrong" }), 401, "invalid_api_key")
  end))

  it("refuses parameters it does not know, naming the nearest", loop.test(function()
    local unknown = refused(house:admin("GET", "/api/explain?polcy=a"), 400, "invalid_request")
    assert.equal("polcy", unknown.param)
    assert.matches('did you mean "policy"', unknown.message, 1, true)
    assert.matches("there are: none.", refused(house:admin("GET", "/api/status?x=1"), 400, "invalid_request").message, 1, true)
    assert.matches("twice", refused(house:admin("GET", "/api/explain?id=a&%69d=b"), 400, "invalid_request").message, 1, true)
    assert.equal(200, house:admin("GET", "/api/status?").status)
  end))

  it("does not read what strangers send", loop.test(function()
    local c = assert(http.connect(house.admin_port))
    c:send "POST /api/reload HTTP/1.1\r\nhost: x\r\ncontent-length: 4000000\r\n\r\n"
    assert.equal(401, c:head().status)
    c:close()
  end))

  it("says what is there instead of a path that is not", loop.test(function()
    assert.matches("/api/status", refused(house:admin("GET", "/api/statsu"), 404, "not_found").message, 1, true)
    refused(house:admin("GET", "/api/status/more"), 404, "not_found")
  end))

  it("names the methods a path takes", loop.test(function()
    local answer = house:admin("PATCH", "/api/status")
    refused(answer, 405, "method_not_allowed")
    assert.equal("GET", answer.headers.allow)
    assert.equal("POST", house:admin("GET", "/api/reload").headers.allow)
  end))

  it("refuses bodies that are none of its own, naming what is wrong", loop.test(function()
    refused(house:admin("POST", "/api/reload", "{"), 400, "invalid_request")
    refused(house:admin("POST", "/api/reload", "[]"), 400, "invalid_request")
    refused(house:admin("POST", "/api/reload", '{"a":"\255"}'), 400, "invalid_request")
    assert.equal("nonsense", refused(house:admin("POST", "/api/reload", { nonsense = 1 }), 400, "invalid_request").param)
    refused(house:admin("POST", "/api/reload", ("["):rep(100000)), 400, "invalid_request")
    refused(house:admin("POST", "/api/reload", (" "):rep(5 * 1024 * 1024)), 413, "request_too_large")
  end))

  it("reloads, and says which generation all workers serve", loop.test(function()
    local before = house:admin("GET", "/api/status").json.generation
    local answer = house:admin("POST", "/api/reload")
    assert.equal(200, answer.status)
    assert.equal(before + 1, answer.json.generation)
    for _, worker in ipairs(house:admin("GET", "/api/status").json.workers) do
      assert.equal(before + 1, worker.generation)
    end
  end))

  it("ends while somebody waits", loop.test(function()
    local c = assert(http.connect(house.admin_port))
    c:send(http.request_bytes { method = "POST", path = "/api/reload", headers = house:admin_headers() })
    house.process:signal "sigterm"
    c:close()
  end))
end)
