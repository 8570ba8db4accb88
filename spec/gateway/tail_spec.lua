-- GET /api/tail: requests as they end, to those who listen, and only what they asked for.
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local upstream = require "support.upstream"
local uv = require "luv"

local LITTLE = 4096 -- bytes the kernel may keep for who does not read

describe("the tail", function()
  local house, up

  before_each(loop.test(function()
    up = upstream.start(function(peer, request)
      peer:send(upstream.answer(request.json.model == "n" and 400 or 200, upstream.completion "x"))
    end)
    house = gateway.start {
      providers = { a = gateway.provider(up.url, { models = { "m", "n" } }) },
      config = { projects = { shop = {}, lab = {} }, client_keys = {
        { secret = "a-key-of-the-shop", id = "ci", project = "shop", grants = { "models", "policy" } },
        { secret = "a-key-of-the-lab", id = "night", project = "lab", grants = { "models", "policy" } },
      } },
      policies = { one = "return function(req) return { 'a/' .. req.model } end" },
      headers = { authorization = "Bearer a-key-of-the-shop", ["x-route-policy"] = "one" },
    }
  end))
  after_each(loop.test(function()
    if house then
      house:stop()
    end
    up:close()
  end))

  -- A connection that has the head of a tail.
  local function listen(query, options)
    local c = assert(http.connect(house.admin_port, options))
    c:send_request { path = "/api/tail" .. (query or ""), headers = house:viewer_headers() }
    local head = assert(c:head())
    assert.equal(200, head.status)
    assert.equal("text/event-stream", head.headers["content-type"])
    return c, head
  end

  -- The ids of the next `n` lines.
  local function hear(c, head, n)
    local ids = {}
    c:events(head, function(event)
      if event.json then
        ids[#ids + 1] = event.json.id
      end
      return #ids == n
    end)
    return ids
  end

  local function id_of(answer)
    return answer.headers["x-request-id"]
  end

  it("tells who listens of each request, with the line of the access log", loop.test(function()
    local c, head = listen()
    local one, two = id_of(house:chat()), id_of(house:chat { headers = { authorization = "Bearer wrong" } })
    local lines = {}
    c:events(head, function(event)
      lines[#lines + 1] = event.json
      return #lines == 2
    end)
    c:close()
    local by_id = { [lines[1].id] = lines[1], [lines[2].id] = lines[2] }
    assert.equal("answered", by_id[one].outcome)
    assert.equal("a/m", by_id[one].tries[1].target)
    assert.equal("ci", by_id[one].key)
    assert.equal(401, by_id[two].status)
  end))

  it("leaves out what is not asked for", loop.test(function()
    local lab = { authorization = "Bearer a-key-of-the-lab" }
    local cases = {
      { "?project=lab", "lab" }, { "?key=night", "lab" }, { "?status=4xx", "n" }, { "?status=400", "n" }, { "?target=a/n", "n" },
    }
    local heard = {}
    for i, case in ipairs(cases) do
      local c, head = listen(case[1])
      heard[i] = { c = c, head = head }
    end
    local ids = { id_of(house:chat()) }
    ids.lab = id_of(house:chat { headers = lab })
    ids.n = id_of(house:chat { model = "n" })
    for i, case in ipairs(cases) do
      assert.same({ ids[case[2]] }, hear(heard[i].c, heard[i].head, 1), case[1])
      heard[i].c:close()
    end
  end))

  it("refuses what it does not understand, and a seventeenth listener", loop.test(function()
    local wrong = house:admin("GET", "/api/tail?status=abc")
    assert.equal(400, wrong.status)
    assert.equal("status", wrong.json.error.param)
    assert.equal(400, house:admin("GET", "/api/tail?proj=shop").status)
    assert.equal(200, house:admin("HEAD", "/api/tail").status)
    local listeners = {}
    for i = 1, 16 do
      listeners[i] = listen()
    end
    assert.equal(503, house:admin("GET", "/api/tail").status)
    listeners[1]:close()
    loop.until_true(function()
      local c = assert(http.connect(house.admin_port))
      c:send_request { path = "/api/tail", headers = house:admin_headers() }
      local status = c:head().status
      c:close()
      return status == 200
    end, "a place to be free again")
    for i = 2, 16 do
      listeners[i]:close()
    end
  end))

  it("tells who reads too slowly how many lines it lost", loop.test(function()
    local c, head = listen(nil, { receive_buffer = LITTLE })
    local tags = {}
    for i = 1, 16 do
      tags[i] = ("tag-%02d-"):format(i) .. ("x"):rep(200)
    end
    local request = {
      method = "POST", path = "/v1/chat/completions", body = { model = "m", messages = { { role = "user", content = "x" } } },
      headers = { authorization = "Bearer a-key-of-the-shop", ["x-route-policy"] = "one", ["x-route-tags"] = table.concat(tags, ",") },
    }
    local sent, told, lost = 1600, 0, 0
    local asking = {}
    for i = 1, 4 do
      asking[i] = assert(http.connect(house.port))
    end
    loop.spread(4, 4, function(i)
      for _ = 1, sent / 4 do
        asking[i]:send_request(request)
        assert.equal(200, asking[i]:response().status)
      end
      asking[i]:close()
    end)
    uv.recv_buffer_size(c.handle, 1024 * 1024)
    c:events(head, function(event)
      told = told + (event.event == nil and event.json and 1 or 0)
      lost = lost + (event.event == "dropped" and event.json.count or 0)
      return told + lost >= sent
    end)
    c:close()
    assert.equal(sent, told + lost)
    assert.is_true(lost > 0 and told > 0, ("%d told, %d lost"):format(told, lost))
  end))

  it("ends well when the gateway does", loop.test(function()
    local c, head = listen()
    local whole
    loop.all {
      function()
        local _, ended = c:events(head)
        whole = ended
      end,
      function()
        house:stop()
        house = nil
      end,
    }
    assert.is_true(whole)
  end))
end)
