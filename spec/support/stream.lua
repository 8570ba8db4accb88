--- One TCP connection as a coroutine sees it: the common part of the client and of the scripted upstream.
--
-- It reads from the kernel only while somebody asks for bytes, so that not reading is all it takes to be a slow reader.
local ffi = require "ffi"
local loop = require "support.loop"
local uv = require "luv"

-- Writing to a peer that has gone is an error like others, and not the end of the process.
local SIGPIPE, SIG_IGN = 13, 1
ffi.cdef "void (*signal(int number, void (*handler)(int)))(int);"
ffi.C.signal(SIGPIPE, ffi.cast("void (*)(int)", SIG_IGN))

local Stream = {}
Stream.__index = Stream

local M = {}

function M.wrap(handle)
  handle:nodelay(true)
  return setmetatable({ handle = handle, buffer = "", ended = nil }, Stream)
end

--- Connects to a port on loopback; nil and a message when refused.
---@param options { receive_buffer: integer? }?
function M.connect(port, options)
  local handle = uv.new_tcp()
  local err = loop.await(function(done)
    handle:connect("127.0.0.1", port, done)
  end, "a connection to port " .. port)
  if err then
    handle:close()
    return nil, err
  end
  if options and options.receive_buffer then
    uv.recv_buffer_size(handle, options.receive_buffer)
  end
  return M.wrap(handle)
end

--- Sends bytes; returns true, or nil and a message when the peer is gone. Waits until the kernel took them.
function Stream:send(bytes)
  if self.handle:is_closing() then
    return nil, "closed"
  end
  local err = loop.await(function(done)
    local ok, why = self.handle:write(bytes, done)
    if not ok then
      done(why)
    end
  end, "the peer to take bytes")
  return not err or nil, err
end

--- Sends without waiting for the kernel to take it.
function Stream:post(bytes)
  return self.handle:write(bytes)
end

--- The next bytes as they come; nil at the end, with a message when that was no regular end. `stream.read_at` is when they came.
function Stream:read(limit_ms)
  if self.buffer ~= "" then
    local bytes = self.buffer
    self.buffer = ""
    return bytes
  end
  return self:receive(limit_ms)
end

-- Bytes from the kernel, whatever is buffered.
function Stream:receive(limit_ms)
  if self.ended then
    return nil, self.ended ~= "eof" and self.ended or nil
  end
  local err, bytes = loop.await(function(done)
    local ok, why = self.handle:read_start(function(err, bytes)
      self.handle:read_stop()
      done(err, bytes)
    end)
    if not ok then
      done(why)
    end
  end, "bytes from the peer", limit_ms)
  self.read_at = loop.now()
  if bytes then
    return bytes
  end
  self.ended = err or "eof"
  return nil, err
end

--- Reads until the buffer holds `text` (plain); returns the bytes up to and including it, nil when the peer ends first.
function Stream:read_past(text)
  local from = 1
  while true do
    local _, stop = self.buffer:find(text, from, true)
    if stop then
      local bytes = self.buffer:sub(1, stop)
      self.buffer = self.buffer:sub(stop + 1)
      return bytes
    end
    from = math.max(1, #self.buffer - #text + 2)
    local more, err = self:receive()
    if not more then
      return nil, err or "ended"
    end
    self.buffer = self.buffer .. more
  end
end

--- Exactly `n` bytes; nil when the peer ends first.
function Stream:read_exactly(n)
  local parts, have = { self.buffer }, #self.buffer
  while have < n do
    local more, err = self:receive()
    if not more then
      self.buffer = table.concat(parts)
      return nil, err or "ended"
    end
    parts[#parts + 1] = more
    have = have + #more
  end
  local bytes = table.concat(parts)
  self.buffer = bytes:sub(n + 1)
  return bytes:sub(1, n)
end

--- Everything until the end, and how it ended: nil for a regular end.
function Stream:read_all()
  local parts = { self.buffer }
  self.buffer = ""
  while true do
    local more, err = self:receive()
    if not more then
      return table.concat(parts), err
    end
    parts[#parts + 1] = more
  end
end

--- Closes our sending side only.
function Stream:half_close()
  return loop.await(function(done)
    self.handle:shutdown(done)
  end, "a half close")
end

function Stream:close()
  if not self.handle:is_closing() then
    self.handle:close()
  end
end

--- Ends with RST instead of FIN.
function Stream:reset()
  if not self.handle:is_closing() then
    uv.tcp_close_reset(self.handle)
  end
end

M.Stream = Stream
return M
