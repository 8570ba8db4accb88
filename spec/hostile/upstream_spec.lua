-- Providers that answer what no provider should: each such answer is a failure of its class, within its limits, and the next target
-- answers instead. Nothing of it reaches the client, and no memory stays with it.
local gateway = require "support.gateway"
local loop = require "support.loop"
local memory = require "support.memory"
local stream = require "support.stream"
local upstream = require "support.upstream"
local uv = require "luv"

local MB = 1024 * 1024
local GOOD = upstream.completion "good"
local BAD = upstream.completion "bad"
local OK = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
local EVENTS = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
local CHUNKED = "transfer-encoding: chunked\r\n\r\n"
local LENGTH = "content-length: " .. #BAD .. "\r\n"
local CHUNK = ("%x\r\n%s\r\n"):format(#BAD, BAD)
local CONTENT = upstream.chunk '{"content":"bad"}'

-- An answer of these bytes, after which the connection ends.
local function once(bytes)
  return function(peer)
    peer:send(bytes)
    peer:close()
  end
end

-- These bytes, then others again and again until the gateway has enough; the connection says how much it took.
local function endless(first, again)
  local piece = again:rep(math.ceil(65536 / #again))
  return function(peer)
    peer:send(first)
    while peer:send(piece) do
      peer.taken = (peer.taken or 0) + #piece
    end
    peer:close()
  end
end

-- What an answer with a head of these lines comes to.
local function head(lines, body)
  return once(OK .. lines .. "connection: close\r\n\r\n" .. (body or BAD))
end

-- { name, answer, class, streamed }: how the attempt fails. `streamed`: asked for a stream.
local CASES = {
  { "a flood of headers", head(("x-a: b\r\n"):rep(2000)), "bad_response" },
  { "a header of 90 KB", head("x-a: " .. ("b"):rep(90000) .. "\r\n"), "bad_response" },
  { "endless headers", endless(OK, "x-a: b\r\n"), "bad_response" },
  { "an endless header", endless(OK .. "x-a: ", "b"), "bad_response" },
  { "an endless header's name", endless(OK, "b"), "bad_response" },
  { "an endless status line", endless("HTTP/1.1 200 ", "O"), "bad_response" },
  { "endless interim answers", endless("", "HTTP/1.1 100 Continue\r\n\r\n"), "bad_response" },
  { "endless early hints", endless("", "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"), "bad_response" },
  { "another protocol", once "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n", "bad_response" },
  { "HTTP/0.9", once(BAD), "bad_response" },
  { "HTTP/2", once("HTTP/2 200 OK\r\n" .. LENGTH .. "\r\n" .. BAD), "bad_response" },
  { "HTTP/1.7", once("HTTP/1.7 200 OK\r\n" .. LENGTH .. "\r\n" .. BAD), "bad_response" },
  { "another protocol's answer", once("ICY 200 OK\r\n" .. LENGTH .. "\r\n" .. BAD), "bad_response" },
  { "a status of two digits", once("HTTP/1.1 20 OK\r\n" .. LENGTH .. "\r\n" .. BAD), "bad_response" },
  { "a status of four digits", once("HTTP/1.1 2000 OK\r\n" .. LENGTH .. "\r\n" .. BAD), "bad_response" },
  { "a status of 0", once("HTTP/1.1 000 OK\r\n" .. LENGTH .. "\r\n" .. BAD), "bad_response" },
  { "a status that is no number", once("HTTP/1.1 OK\r\n" .. LENGTH .. "\r\n" .. BAD), "bad_response" },
  { "a status of 999", once("HTTP/1.1 999 Odd\r\n" .. LENGTH .. "\r\n" .. BAD), "server_error" },
  { "no content", once "HTTP/1.1 204 No Content\r\n\r\n", "server_error" },
  { "a NUL in a header", head "x-request-id: a\0b\r\n", "bad_response" },
  { "a CR in a header", head "x-request-id: a\rset-cookie: b\r\n", "bad_response" },
  { "a control in a header", head "x-request-id: a\27[2J\r\n", "bad_response" },
  { "a folded header", head "x-request-id: a\r\n set-cookie: b\r\n", "bad_response" },
  { "a header without a colon", head "nonsense\r\n", "bad_response" },
  { "a header without a name", head ": a\r\n", "bad_response" },
  { "a space before a colon", head("content-length : " .. #BAD .. "\r\n"), "bad_response" },
  { "two lengths", head(LENGTH .. "content-length: 5\r\n"), "bad_response" },
  { "one length twice", head(LENGTH .. LENGTH), "bad_response" },
  { "a negative length", head "content-length: -5\r\n", "bad_response" },
  { "a length that is no number", head "content-length: many\r\n", "bad_response" },
  { "a list of lengths", head(("content-length: %d, %d\r\n"):format(#BAD, #BAD)), "bad_response" },
  { "a length beyond 64 bits", head "content-length: 99999999999999999999\r\n", "bad_response" },
  { "a length and a coding", head(LENGTH .. "transfer-encoding: chunked\r\n", CHUNK .. "0\r\n\r\n"), "bad_response" },
  { "two codings", head("transfer-encoding: gzip, chunked\r\n", CHUNK .. "0\r\n\r\n"), "bad_response" },
  { "a coding twice", head("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", CHUNK .. "0\r\n\r\n"), "bad_response" },
  { "an unknown coding", head "transfer-encoding: identity\r\n", "bad_response" },
  { "chunks in HTTP/1.0", once("HTTP/1.0 200 OK\r\n" .. CHUNKED .. CHUNK .. "0\r\n\r\n"), "bad_response" },
  { "a length that is too short", head "content-length: 20\r\n", "bad_response" },
  { "a length that is too long", head("content-length: " .. #BAD + 5 .. "\r\n"), "cut_stream" },
  { "a length of an exabyte", head "content-length: 1000000000000000000\r\n", "cut_stream" },
  { "a chunk size that is no number", once(OK .. CHUNKED .. "zz\r\n" .. BAD), "cut_stream" },
  { "a negative chunk size", once(OK .. CHUNKED .. "-5\r\n" .. BAD), "cut_stream" },
  { "a chunk size beyond 64 bits", once(OK .. CHUNKED .. "fffffffffffffffff\r\n" .. BAD), "cut_stream" },
  { "a chunk longer than its size", once(OK .. CHUNKED .. "5\r\n" .. BAD .. "\r\n0\r\n\r\n"), "cut_stream" },
  { "a chunk that breaks off", once(OK .. CHUNKED .. "fff\r\n" .. BAD), "cut_stream" },
  { "chunks without a last one", once(OK .. CHUNKED .. CHUNK), "cut_stream" },
  { "endless chunk extensions", endless(OK .. CHUNKED .. "5;", "a"), "timeout" },
  { "endless digits of a chunk size", endless(OK .. CHUNKED, "0"), "cut_stream" },
  { "endless trailers", endless(OK .. CHUNKED .. CHUNK .. "0\r\n", "x-a: b\r\n"), "bad_response" },
  { "an endless trailer", endless(OK .. CHUNKED .. CHUNK .. "0\r\nx-a: ", "b"), "cut_stream" },
  { "an endless body", endless(OK .. "\r\n", BAD .. " "), "bad_response" },
  { "an endless body of blanks", endless(OK .. "\r\n", " "), "bad_response" },
  { "an endless body in chunks", endless(OK .. CHUNKED, "400\r\n" .. (" "):rep(1024) .. "\r\n"), "bad_response" },
  { "an endless body in small chunks", endless(OK .. CHUNKED, "10\r\n" .. (" "):rep(16) .. "\r\n"), "bad_response" },
  { "endless words with a failure", endless("HTTP/1.1 500 Oh\r\ncontent-type: text/html\r\n\r\n", "<p>"), "server_error" },
  { "compressed although refused", head("content-encoding: gzip\r\n", "\31\139\8\0\0\0\0\0"), "bad_response" },
  { "an empty body", head("content-length: 0\r\n", ""), "bad_response" },
  { "a page", head("", "<html>It works!</html>"), "bad_response" },
  { "a list", head("", "[" .. BAD .. "]"), "bad_response" },
  { "deep nonsense", head("", '{"choices":' .. ("["):rep(100000)), "bad_response" },
  { "deep JSON", head("", '{"choices":' .. ("["):rep(100000) .. ("]"):rep(100000) .. "}"), "bad_response" },
  { "broken UTF-8", head("", (BAD:gsub('"bad"', '"b\255d"'))), "bad_response" },
  { "a NUL in JSON", head("", (BAD:gsub('"bad"', '"b\0d"'))), "bad_response" },
  { "a stream nobody asked for", once(EVENTS .. "\r\n" .. CONTENT .. "data: [DONE]\n\n"), "bad_response" },
  { "no stream", head "", "bad_response", true },
  { "an endless line", endless(EVENTS .. "\r\ndata: ", "x"), "bad_response", true },
  { "an endless event", endless(EVENTS .. "\r\n", "data: x\n"), "bad_response", true },
  { "events that are no JSON", once(EVENTS .. "\r\n" .. "data: {oops\n\n"), "bad_response", true },
  { "an end without content", once(EVENTS .. "\r\ndata: [DONE]\n\n"), "cut_stream", true },
  { "nothing but comments, then the end", once(EVENTS .. "\r\n: x\n\n"), "bad_response", true },
  { "endless comments", endless(EVENTS .. "\r\n", ": x\n\n"), "first_token", true },
  { "endless empty events", endless(EVENTS .. "\r\n", "data:\n\n"), "first_token", true },
  { "a compressed stream", once(EVENTS .. "content-encoding: gzip\r\n\r\n\31\139\8\0\0\0\0\0"), "bad_response", true },
}
for _, status in ipairs { 301, 302, 303, 307, 308 } do
  CASES[#CASES + 1] = { "a redirect, " .. status, function(peer)
    peer:send(("HTTP/1.1 %d Moved\r\nlocation: %s\r\ncontent-length: 0\r\n\r\n"):format(status, peer.trap))
  end, "bad_response" }
end

-- { name, answer }: odd, but an answer.
local SOUND = {
  { "a few interim answers", once(("HTTP/1.1 100 Continue\r\n\r\n"):rep(50) .. OK .. LENGTH .. "\r\n" .. BAD) },
  { "early hints", once("HTTP/1.1 103 Early Hints\r\nset-cookie: a\r\n\r\n" .. OK .. LENGTH .. "\r\n" .. BAD) },
  { "trailers", once(OK .. "trailer: set-cookie\r\n" .. CHUNKED .. CHUNK .. "0\r\nset-cookie: a\r\nx-request-id: b\r\n\r\n") },
  { "a megabyte of a chunk's extension", once(OK .. CHUNKED .. CHUNK:gsub("\r\n", ";" .. ("a"):rep(MB) .. "\r\n", 1) .. "0\r\n\r\n") },
  { "headers behind LF alone", once((OK .. "set-cookie: a\r\n" .. LENGTH .. "\r\n"):gsub("\r\n", "\n") .. BAD) },
  { "an answer behind the answer", once(OK .. LENGTH .. "\r\n" .. BAD .. upstream.answer(200, upstream.completion "poison")) },
}
for _, case in ipairs(SOUND) do
  case[3], CASES[#CASES + 1] = #CASES + 1, case
end

describe("an upstream that answers with", function()
  local house, bad, good, trap

  setup(loop.test(function()
    trap = upstream.start(function(peer)
      peer:send(upstream.answer(200, BAD))
    end)
    bad = upstream.start(function(peer, request)
      peer.trap = trap.url
      CASES[request.json.seed][2](peer, request)
    end)
    good = upstream.start(function(peer, request)
      if request.json.stream then
        peer:send(upstream.STREAM_HEAD .. upstream.chunk '{"content":"good"}' .. upstream.chunk("{}", '"stop"') .. "data: [DONE]\n\n")
        return peer:close()
      end
      peer:send(upstream.answer(200, GOOD))
    end)
    -- The first target is of no list: it has no breaker that would remember the case before.
    house = gateway.start {
      providers = { bad = gateway.provider(bad.url), good = gateway.provider(good.url) },
      policies = { first = ("return function() return { { target = 'bad/any', timeout_ms = %d, first_token_ms = %d }, 'good/m' } end")
        :format(1500 * loop.stretch, 300 * loop.stretch) },
      config = { workers = 1 }, headers = { ["x-route-policy"] = "first", ["x-route-trace"] = "1" },
    }
  end))
  teardown(loop.test(function()
    house:stop()
    for _, up in ipairs { bad, good, trap } do
      up:close()
      assert.same({}, up.faults)
    end
  end))

  local function text_of(answer)
    if answer.json then
      return answer.json.choices[1].message.content
    end
    return answer.events[1].json.choices[1].delta.content
  end

  local function attempts_of(answer)
    local json = answer.json or answer.events[#answer.events - 1].json
    return json.route.attempts
  end

  local function asked(i)
    return house[CASES[i][4] and "stream" or "chat"](house, { body = { seed = i } })
  end

  for i = 1, #CASES - #SOUND do
    local case = CASES[i]
    it(case[1] .. " is left for the next", loop.test(function()
      local before = memory.resident(house.process.pid)
      local began = loop.now()
      local answer = asked(i)
      assert.equal(200, answer.status, answer.body)
      assert.equal("good", text_of(answer))
      local attempts = attempts_of(answer)
      assert.equal(case[3], attempts[1].failure)
      assert.equal("good/m", attempts[#attempts].target)
      assert.is_nil(answer.raw:find("set%-cookie"))
      assert.is_true(loop.now() - began < 5000 * loop.stretch)
      memory.assert_flat(house.process.pid, before, 16 * MB)
    end))
  end

  for _, case in ipairs(SOUND) do
    it(case[1] .. " is taken, and nothing else of it", loop.test(function()
      for _ = 1, 3 do
        local answer = asked(case[3])
        assert.equal("bad", text_of(answer))
        assert.is_nil(answer.raw:find "set%-cookie")
        assert.is_nil(answer.headers["x-upstream-request-id"])
      end
    end))
  end

  it("a redirect sends nobody there", function()
    assert.equal(0, #trap.requests)
  end)
end)

-- A provider below HTTP: `serve(peer)` has each connection from its first moment.
local function raw_upstream(serve)
  local handle, peers = uv.new_tcp(), {}
  assert(handle:bind("127.0.0.1", 0))
  assert(handle:listen(128, function()
    local accepted = uv.new_tcp()
    handle:accept(accepted)
    local peer = stream.wrap(accepted)
    peers[#peers + 1] = peer
    loop.go(serve, peer)
  end))
  return {
    url = ("http://127.0.0.1:%d/v1"):format(handle:getsockname().port),
    close = function()
      handle:close()
      for _, peer in ipairs(peers) do
        peer:close()
      end
    end,
  }
end

describe("an upstream that answers too early", function()
  local good, up, house

  local function start(serve)
    up = raw_upstream(serve)
    good = upstream.start(function(peer)
      peer:send(upstream.answer(200, GOOD))
    end)
    house = gateway.start {
      providers = { bad = gateway.provider(up.url), good = gateway.provider(good.url) },
      policies = { first = "return function() return { { target = 'bad/any', timeout_ms = 5000 }, 'good/m' } end" },
      config = { workers = 1 }, headers = { ["x-route-policy"] = "first" },
    }
  end
  after_each(loop.test(function()
    house:stop()
    up:close()
    good:close()
  end))

  it("before a large body is there, ends the attempt one way or the other", loop.test(function()
    start(function(peer)
      peer:read_past "\r\n\r\n"
      peer:send(upstream.answer(200, BAD))
      peer:close()
    end)
    for _ = 1, 3 do
      local answer = house:chat { body = { user = ("x"):rep(2 * MB) } }
      assert.equal(200, answer.status, answer.body)
    end
  end))

  it("before there is a request, is heard by nobody who asks later", loop.test(function()
    local asked = 0
    start(function(peer)
      while peer:read_past "\r\n\r\n" do
        asked = asked + 1
        peer:send(upstream.answer(200, upstream.completion("answer " .. asked)))
        loop.pause(20)
        peer:send(upstream.answer(200, upstream.completion "poison"))
      end
    end)
    for i = 1, 5 do
      assert.equal("answer " .. i, house:chat().json.choices[1].message.content)
      loop.pause(60) -- for the next answer to come too early
    end
  end))
end)
