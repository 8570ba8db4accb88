-- Requests that are too much: too long, too many, too deep. Each is refused at once and leaves no memory behind; how much of it was
-- taken is bounded by what a refusal needs.
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local memory = require "support.memory"
local upstream = require "support.upstream"

local MB = 1024 * 1024
local POST = "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
local GOOD = '{"model":"m","messages":[{"role":"user","content":"x"}],%s}'
local LARGE = 100 * MB
local PIECE = ("x"):rep(64 * 1024)

-- A body with its length.
local function whole(body)
  return POST .. "content-length: " .. #body .. "\r\n\r\n" .. body
end

local function nested(open, close, depth)
  return GOOD:format('"x":' .. open:rep(depth) .. "1" .. close:rep(depth))
end

-- { name, bytes, status, endless }: `endless` comes behind the bytes again and again, up to LARGE.
local CASES = {
  { "a body announced with 100 MB", POST .. "content-length: " .. LARGE .. "\r\n\r\n", 413, PIECE },
  { "a body announced with 100 MB, with an expectation", POST .. "expect: 100-continue\r\ncontent-length: " .. LARGE .. "\r\n\r\n", 413 },
  { "a body of 100 MB in chunks", POST .. "transfer-encoding: chunked\r\n\r\n", 413, "10000\r\n" .. PIECE .. "\r\n" },
  { "a body of 100 MB in one chunk", POST .. "transfer-encoding: chunked\r\n\r\n6400000\r\n", 413, PIECE },
  { "100 MB of a chunk's extension", POST .. "transfer-encoding: chunked\r\n\r\n5;", 413, PIECE },
  { "100 MB of trailers", POST .. "transfer-encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n", 431, ("x-a: b\r\n"):rep(8000) },
  { "100 MB of headers", POST, 431, ("x-a: b\r\n"):rep(8000) },
  { "100 MB of a header", POST .. "x-a: ", 431, PIECE },
  { "100 MB of a path", "GET /", 414, PIECE },
  { "100 MB of a method", "", 414, PIECE },
  { "1,000 headers", POST .. ("x-a: b\r\n"):rep(1000) .. "\r\n", 431 },
  { "arrays 100,000 deep", whole(nested("[", "]", 100000)), 400 },
  { "objects 100,000 deep", whole(nested('{"a":', "}", 100000)), 400 },
  { "arrays 100,000 deep without an end", whole(GOOD:format('"x":' .. ("["):rep(100000)):sub(1, -2)), 400 },
  { "16 MB of brackets", whole(("["):rep(16 * MB)), 400 },
  { "messages 100,000 deep", whole('{"model":"m","messages":' .. ("["):rep(100000) .. ("]"):rep(100000) .. "}"), 400 },
  { "a million keys", whole(GOOD:format(('"x":1,'):rep(1000000):sub(1, -2))), 200 },
  { "a key we read, a million times", whole(GOOD:format(('"stream":false,'):rep(1000000):sub(1, -2))), 400 },
  { "a key we read, written in two ways", whole(GOOD:format '"mode\\u006c":"m"'), 400 },
  { "a megabyte of a number", whole(GOOD:format('"max_tokens":' .. ("9"):rep(MB))), 400 },
  { "a megabyte of a model's name", whole('{"model":"' .. ("m"):rep(MB) .. '","messages":[{"role":"user","content":"x"}]}'), 400 },
  { "a byte that is no UTF-8", whole(GOOD:format '"x":"\255"'), 400 },
  { "half a letter in UTF-8", whole(GOOD:format '"x":"\195"'), 400 },
  { "a letter in too many bytes", whole(GOOD:format '"x":"\192\175"'), 400 },
  { "half a surrogate in UTF-8", whole(GOOD:format '"x":"\237\160\128"'), 400 },
  { "a letter beyond Unicode", whole(GOOD:format '"x":"\244\144\128\128"'), 400 },
  { "UTF-16", whole(("{}"):gsub(".", "%0\0")), 400 },
  { "a NUL in a text", whole(GOOD:format '"x":"\0"'), 400 },
  { "a NUL behind the body", whole(GOOD:format '"x":1' .. "\0"), 400 },
  { "a body that says gzip", POST .. "content-encoding: gzip\r\ncontent-length: 4\r\n\r\n\31\139\8\0", 415 },
}

describe("a request with", function()
  local house, up

  setup(loop.test(function()
    up = upstream.start(function(peer)
      peer:send(upstream.answer(200, upstream.completion "x"))
    end)
    house = gateway.start { providers = { a = gateway.provider(up.url) }, config = { workers = 1 } }
    house:chat()
  end))
  teardown(loop.test(function()
    assert.equal(200, house:chat().status)
    house:stop()
    up:close()
  end))

  -- Sends more and more until `enough()`, or until nobody takes it, which it returns.
  local function pour(c, piece, enough)
    local taken = 0
    while not enough(taken) do
      if not c:send(piece) then
        return true
      end
      taken = taken + #piece
    end
  end

  local function never()
    return false
  end

  -- After an honest request: what only a large one needs is given back by the next. malloc keeps some of it for another.
  local function resident()
    assert.equal(200, house:chat().status)
    return memory.resident(house.process.pid)
  end

  for _, case in ipairs(CASES) do
    it(("%s is %d"):format(case[1], case[3]), loop.test(function()
      local before, forwarded = resident(), #up.requests
      local c = assert(http.connect(house.port))
      local began = loop.now()
      c:post(case[2])
      local answer
      local pouring = case[4] and loop.go(pour, c, case[4], function(taken)
        return answer or taken >= LARGE
      end)
      answer = assert(c:response())
      assert.equal(case[3], answer.status, answer.body)
      assert.is_true(loop.now() - began < 2000 * loop.stretch)
      if pouring then
        pouring()
      end
      c:close()
      assert.equal(case[3] == 200 and 1 or 0, #up.requests - forwarded)
      resident()
      memory.assert_flat(house.process.pid, before, 48 * MB)
    end))
  end

  it("no end at all is read over for a while, and then cut off", loop.test(function()
    local c = assert(http.connect(house.port))
    c:post(CASES[1][2])
    local answer = loop.go(function()
      return c:response()
    end)
    assert.is_true(pour(c, PIECE, never))
    assert.equal(413, answer().status)
    c:close()
  end))

  it("all of that, again and again, holds no more memory than the first time", loop.test(function()
    local function all_of_it()
      for _, case in ipairs(CASES) do
        if not case[4] then
          local c = assert(http.connect(house.port))
          c:post(case[2])
          assert.equal(case[3], assert(c:response()).status)
          c:close()
        end
      end
    end
    all_of_it()
    local before = resident()
    all_of_it()
    resident()
    memory.assert_flat(house.process.pid, before, 8 * MB)
  end))
end)
