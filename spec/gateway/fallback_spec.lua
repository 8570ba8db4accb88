-- A first target that fails before its first content costs the client nothing but time: the second answers.
local gateway = require "support.gateway"
local loop = require "support.loop"
local upstream = require "support.upstream"

local function status(code, body, headers)
  return function(peer)
    peer:send(upstream.answer(code, body or '{"error":{"message":"no","type":"x","code":"x"}}', headers))
  end
end

local JSON = { ["content-type"] = "application/json" }
local ROLE = upstream.chunk '{"role":"assistant","content":""}'
local FINISH = upstream.chunk("{}", '"stop"') .. "data: [DONE]\n\n"
local HTML = "<!doctype html><html><body><h1>502 Bad Gateway</h1></body></html>"

-- What the first upstream does, and the failure class the trace must name.
local FAULTS = {
  reset = { act = function(peer) peer:reset() end },
  closed = { act = function(peer) peer:close() end },
  hang = { act = function(peer) peer:read() end, class = { plain = "timeout", stream = "first_token" } },
  status_401 = { act = status(401), class = "auth" },
  status_403 = { act = status(403), class = "auth" },
  status_404 = { act = status(404), class = "not_found" },
  status_429 = { act = status(429), class = "rate_limited" },
  status_500 = { act = status(500), class = "server_error" },
  status_503 = { act = status(503), class = "overloaded" },
  status_529 = { act = status(529), class = "overloaded" },
  redirect = { act = function(peer)
    peer:send(upstream.answer(302, "", { location = "http://127.0.0.1:1/" }))
  end },
  half_headers = { act = function(peer)
    peer:send "HTTP/1.1 200 OK\r\ncontent-ty"
    peer:close()
  end },
  no_http = { act = function(peer)
    peer:send "SSH-2.0-OpenSSH_9.2\r\n\r\n"
    peer:close()
  end },
  html_error = { act = status(502, HTML, { ["content-type"] = "text/html" }), class = "server_error" },
  html_200 = { act = status(200, HTML, { ["content-type"] = "text/html" }), class = "bad_response" },
  garbage = { act = status(200, '{"choices":[{"index":0,"message":{"role":', JSON), class = "bad_response" },
  empty = { act = status(200, ""), class = "bad_response" },
  error_in_200 = { act = status(200, '{"error":{"message":"overloaded","type":"server_error","code":"x"}}') },
  no_content = { act = function(peer, request)
    if request.json.stream then
      peer:send(upstream.STREAM_HEAD .. ROLE .. FINISH)
      peer:close()
    else
      peer:send(upstream.answer(200, upstream.completion ""))
    end
  end, class = "bad_response" },
  cut_before_content = { act = function(peer, request)
    if request.json.stream then
      peer:send(upstream.STREAM_HEAD .. ROLE)
    else
      peer:send(upstream.answer(200, upstream.completion "never seen"):sub(1, -20))
    end
    peer:close()
  end },
  cut_mid_event = { act = function(peer, request)
    local bytes = request.json.stream and upstream.STREAM_HEAD .. upstream.chunk '{"content":"never seen"}' or
      upstream.answer(200, upstream.completion "never seen")
    peer:send(bytes:sub(1, -30))
    peer:close()
  end },
  error_before_content = { act = function(peer, request)
    if request.json.stream then
      peer:send(upstream.STREAM_HEAD .. 'data: {"error":{"message":"overloaded","type":"server_error","code":null}}\n\n')
      peer:close()
    else
      status(500)(peer)
    end
  end },
  role_then_hang = { act = function(peer, request)
    if request.json.stream then
      peer:send(upstream.STREAM_HEAD .. ROLE)
    end
    peer:read()
  end, class = { plain = "timeout", stream = "first_token" } },
}

local function good(peer, request)
  if request.json.stream then
    peer:send(upstream.STREAM_HEAD .. upstream.chunk '{"content":"good"}' .. FINISH)
    peer:close()
  else
    peer:send(upstream.answer(200, upstream.completion "good"))
  end
end

-- The header says which provider comes first, so that one gateway serves all the cases. Its target is of no list: it has no
-- breaker that would remember the case before.
local POLICY = [[
return function(req)
  return { { target = req.headers["x-first"] .. "/any", timeout_ms = 250, first_token_ms = 250 }, "good/m" }
end]]

local function sorted_names()
  local names = {}
  for name in pairs(FAULTS) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

describe("fallback", function()
  local house
  local ups = {}

  setup(loop.test(function()
    local providers = {}
    for name, fault in pairs(FAULTS) do
      ups[name] = upstream.start(fault.act)
      providers[name] = gateway.provider(ups[name].url)
    end
    ups.refused, ups.good = upstream.refusing(), upstream.start(good)
    providers.refused, providers.good = gateway.provider(ups.refused.url), gateway.provider(ups.good.url)
    house = gateway.start {
      providers = providers,
      policies = { pair = POLICY },
      headers = { ["x-route-policy"] = "pair", ["x-route-trace"] = "1" },
    }
  end))
  teardown(loop.test(function()
    house:stop()
    for _, up in pairs(ups) do
      up:close()
      assert.same({}, up.faults)
    end
  end))

  local function expected_class(name, kind)
    local class = name == "refused" and "connect" or FAULTS[name] and FAULTS[name].class
    return type(class) == "table" and class[kind] or class
  end

  local function check_plain(name)
    local answer = house:chat { headers = { ["x-first"] = name } }
    assert.equal(200, answer.status, answer.body)
    assert.equal("2", answer.headers["x-route-attempts"])
    assert.equal("good", answer.headers["x-routed-provider"])
    assert.equal("good", answer.json.choices[1].message.content)
    local first = answer.json.route.attempts[1]
    assert.equal(name .. "/any", first.target)
    assert.equal(expected_class(name, "plain") or first.failure, first.failure)
  end

  local function check_stream(name)
    local answer = house:stream { headers = { ["x-first"] = name } }
    assert.equal(200, answer.status, answer.body)
    assert.equal("2", answer.headers["x-route-attempts"])
    assert.equal("good", answer.headers["x-routed-provider"])
    assert.equal("good", answer.events[1].json.choices[1].delta.content)
    assert.equal("[DONE]", answer.events[#answer.events].data)
    assert.is_true(answer.whole)
  end

  for _, name in ipairs { "refused", unpack(sorted_names()) } do
    it(name .. ": the second answers", loop.test(function()
      check_plain(name)
    end))
    it(name .. ", streamed: the second answers", loop.test(function()
      check_stream(name)
    end))
  end

  it("goes on past a target that has hung while a hundred clients ask at once", loop.test(function()
    local answers = loop.spread(100, 50, function(i)
      local names = { "reset", "status_500", "garbage", "hang" }
      return house:chat { headers = { ["x-first"] = names[i % #names + 1] } }.status
    end)
    for _, code in ipairs(answers) do
      assert.equal(200, code)
    end
  end))
end)
