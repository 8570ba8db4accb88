--- A scripted provider for what `perilune mock` can not do: raw bytes, byte-exact answers, exact moments.
--
--   local up = upstream.start(function(peer, request)
--     peer:send("HTTP/1.1 200 OK\r\n...")
--   end)
--   up.url   -- "http://127.0.0.1:PORT/v1"
--   up.requests[1].headers, .body, .json
local http = require "support.http"
local loop = require "support.loop"
local port = require "support.port"
local stream = require "support.stream"
local uv = require "luv"

local M = {}

local Upstream = {}
Upstream.__index = Upstream

-- Reads one request off a connection; nil when it ended.
local function read_request(peer)
  local raw = peer:read_past "\r\n\r\n"
  if not raw then
    return nil
  end
  local request = { raw = raw, headers = {} }
  request.method, request.path = raw:match "^(%S+) (%S+)"
  for name, value in raw:gmatch "\r\n([^:\r\n]+):[ \t]*([^\r\n]*)" do
    request.headers[name:lower()] = value
  end
  request.body = peer:read_exactly(tonumber(request.headers["content-length"]) or 0)
  request.json = request.body and http.json(request.body)
  request.at = loop.now()
  return request
end

-- Serves one connection until it ends or the handler closed it. What a handler gets wrong is kept for close() to tell.
local function serve(up, peer)
  while not peer.handle:is_closing() do
    local request = read_request(peer)
    if not request then
      break
    end
    request.connection = peer
    up.requests[#up.requests + 1] = request
    up.handler(peer, request)
  end
  peer:close()
end

--- Listens on a free port and calls `handler(peer, request)` for every request, each connection in its own coroutine.
function M.start(handler)
  local up = setmetatable({ requests = {}, peers = {}, faults = {}, handler = handler }, Upstream)
  up.handle = uv.new_tcp()
  assert(up.handle:bind("127.0.0.1", 0))
  up.port = up.handle:getsockname().port
  up.url = ("http://127.0.0.1:%d/v1"):format(up.port)
  assert(up.handle:listen(128, function(err)
    assert(not err, err)
    local handle = uv.new_tcp()
    up.handle:accept(handle)
    local peer = stream.wrap(handle)
    up.peers[#up.peers + 1] = peer
    loop.go(function()
      local ok, fault = pcall(serve, up, peer)
      if not ok then
        up.faults[#up.faults + 1] = fault
        peer:close()
      end
    end)
  end))
  return up
end

--- An upstream that takes connections (the kernel does) and never reads.
function M.deaf()
  local handle = uv.new_tcp()
  assert(handle:bind("127.0.0.1", 0))
  assert(handle:listen(16, function() end))
  local number = handle:getsockname().port
  return setmetatable({
    handle = handle, port = number, url = ("http://127.0.0.1:%d/v1"):format(number), requests = {}, peers = {}, faults = {},
  }, Upstream)
end

--- An upstream whose port is taken but refuses every connection.
function M.refusing()
  local number, handle = port.refusing()
  return setmetatable({
    handle = handle, port = number, url = ("http://127.0.0.1:%d/v1"):format(number), requests = {}, peers = {}, faults = {},
  }, Upstream)
end

--- Stops listening and drops every connection.
function Upstream:close()
  self.handle:close()
  for _, peer in ipairs(self.peers) do
    peer:close()
  end
end

--- Waits until so many requests have come; returns the last of them.
function Upstream:wait_for(n)
  loop.until_true(function()
    return #self.requests >= n
  end, n .. " requests at the upstream")
  return self.requests[n]
end

--- The bytes of an answer with a body and a length.
function M.answer(status, body, headers)
  local lines = { ("HTTP/1.1 %d Status"):format(status), "content-length: " .. #body }
  for name, value in pairs(headers or { ["content-type"] = "application/json" }) do
    lines[#lines + 1] = name .. ": " .. value
  end
  return table.concat(lines, "\r\n") .. "\r\n\r\n" .. body
end

--- The head of a streamed answer without a length: its end is the connection's.
M.STREAM_HEAD = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"

--- One event of a chat completion stream, `delta` and `finish` as JSON text.
function M.chunk(delta, finish, model)
  return ('data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"%s",' ..
    '"choices":[{"index":0,"delta":%s,"finish_reason":%s}]}\n\n'):format(model or "m", delta, finish or "null")
end

--- A whole chat completion, as JSON text.
function M.completion(text, model)
  return ('{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"%s","choices":[{"index":0,' ..
    '"message":{"role":"assistant","content":"%s"},"finish_reason":"stop"}],' ..
    '"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}'):format(model or "m", text)
end

return M
