-- Who may call what on the admin side: each route with no token, a wrong one, a viewer's and the admin's, as the table of routes says.
local admin_routes = require "support.admin_routes"
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local process = require "support.process"
local upstream = require "support.upstream"

local ADMIN, VIEWER = "an-admin-token-of-the-environment", "a-viewer-token-of-the-environment"

-- What each one is told: a status, or false where the route itself has its say.
local EXPECTED = {
  ANYONE = { nobody = false, stranger = false, viewer = false, admin = false },
  VIEWER = { nobody = 401, stranger = 401, viewer = false, admin = false },
  ADMIN = { nobody = 401, stranger = 401, viewer = 403, admin = false },
}
local CODES = { [401] = "invalid_api_key", [403] = "permission_denied" }

local function house_with(up, env)
  return gateway.start { providers = { a = gateway.provider(up.url) }, env = env }
end

-- What is in a file of the state folder; nil when it is not there.
local function kept(house, name)
  local file = io.open(house.dir .. "/state/" .. name)
  local text = file and file:read "*l"
  if file then
    file:close()
  end
  return text
end

describe("roles of the admin side", function()
  local house, up

  before_each(loop.test(function()
    up = upstream.start(function(peer)
      peer:send(upstream.answer(200, upstream.completion "x"))
    end)
  end))
  after_each(loop.test(function()
    if house then
      house:stop()
    end
    house = nil
    up:close()
  end))

  -- The head of the answer alone: some answers go on.
  local function status_of(route, token)
    local c = assert(http.connect(house.admin_port))
    local headers = { ["content-type"] = "application/json", authorization = token and "Bearer " .. token or nil }
    c:send_request { method = route.method, path = admin_routes.path(route.pattern), headers = headers }
    local head = c:head()
    local code = head.status >= 400 and head.headers["content-length"] and c:body(head)
    c:close()
    return head.status, code and http.json(code)
  end

  it("hold for every route", loop.test(function()
    house = house_with(up)
    local tokens = { stranger = "nobody-has-this-token", viewer = kept(house, "viewer.token"), admin = kept(house, "admin.token") }
    local cells = 0
    for _, route in ipairs(admin_routes.list()) do
      for who, expected in pairs(EXPECTED[route.role]) do
        local status, answer = status_of(route, tokens[who])
        local what = ("%s %s as %s: %d"):format(route.method, route.pattern, who, status)
        if expected then
          assert.equal(expected, status, what)
          assert.equal(CODES[expected], answer.error.code, what)
        else
          assert.is_true(status ~= 401 and status ~= 403 and status ~= 500, what)
        end
        cells = cells + 1
      end
    end
    print(("%d routes x 4 callers: %d cells"):format(#admin_routes.list(), cells))
    assert.equal(4 * #admin_routes.list(), cells)
  end))

  it("are two secrets in files nobody else reads", loop.test(function()
    house = house_with(up)
    local admin, viewer = kept(house, "admin.token"), kept(house, "viewer.token")
    assert.is_true(#admin >= 32 and #viewer >= 32 and admin ~= viewer)
    local _, modes = process.run({ "stat", "-c", "%a", "admin.token", "viewer.token" }, { dir = house.dir .. "/state" })
    assert.equal("600\n600\n", modes)
  end))

  it("take their tokens from the environment, and write none of them down", loop.test(function()
    house = house_with(up, { PERILUNE_ADMIN_TOKEN = ADMIN, PERILUNE_VIEWER_TOKEN = VIEWER })
    assert.is_nil(kept(house, "admin.token"))
    assert.is_nil(kept(house, "viewer.token"))
    local reload = { method = "POST", pattern = "/api/reload" }
    assert.equal(200, status_of(reload, ADMIN))
    assert.equal(403, status_of(reload, VIEWER))
    assert.equal(401, status_of(reload, ADMIN .. "x"))
    assert.is_nil(house.process.output:find(ADMIN, 1, true))
    local known = process.run({ process.binary(), "reload" }, { dir = house.dir, env = { PERILUNE_ADMIN_TOKEN = ADMIN } })
    assert.equal(0, known)
    local code, output = process.run({ process.binary(), "reload" }, { dir = house.dir, env = { PERILUNE_ADMIN_TOKEN = VIEWER } })
    assert.equal(3, code, output)
    assert.matches("it is a viewer's", output, 1, true)
    assert.is_nil(output:find(VIEWER, 1, true))
  end))

  it("need tokens nobody guesses, and two of them", loop.test(function()
    for _, env in ipairs {
      { PERILUNE_ADMIN_TOKEN = "short" },
      { PERILUNE_VIEWER_TOKEN = "short" },
      { PERILUNE_ADMIN_TOKEN = ADMIN, PERILUNE_VIEWER_TOKEN = ADMIN },
    } do
      local code, output = gateway.command { args = { "run" }, env = env }
      assert.is_true(code ~= 0, output)
      assert.matches("token", output:lower(), 1, true)
      assert.is_nil(output:find(ADMIN, 1, true))
    end
  end))
end)
