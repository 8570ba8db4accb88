--- What servers make of bytes on a connection: the gateway, and for second opinions nginx, HAProxy and node's own server.
--
--   local peers = opinions.start()
--   opinions.ask(peers[1].port, bytes).statuses     -- { 200, 400 }: what each message on the connection was answered
--   peers:stop()
--
-- The others' limits are raised, so that grammar is compared and not room.
local http = require "support.http"
local loop = require "support.loop"
local port = require "support.port"
local process = require "support.process"
local stream = require "support.stream"
local uv = require "luv"

local M = {}

-- Comes last on every connection: whether it is answered tells whether the server still reads requests.
local PROBE = "GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n"

--- Sends the bytes and an honest request, and reads to the end: the final answers in order, and their `statuses` alone.
function M.ask(number, bytes)
  local c = assert(http.connect(number))
  c:post(bytes .. PROBE)
  local answers = { statuses = {} }
  local function next_answer()
    return (c:response())
  end
  for answer in next_answer do
    answers[#answers + 1] = answer
    table.insert(answers.statuses, answer.status)
  end
  c:close()
  return answers
end

-- One request that a proxy has passed on, read without any strictness.
local function answer_one(peer)
  local head = peer:read_past "\r\n\r\n"
  if not head then
    return false
  end
  head = head:lower()
  if head:find("\r\ntransfer-encoding:", 1, true) then
    local size
    repeat
      size = tonumber((peer:read_past "\r\n" or "0"):match "^%x+", 16)
      peer:read_exactly(size + 2)
    until size == 0
  else
    peer:read_exactly(tonumber(head:match "\r\ncontent%-length: *(%d+)") or 0)
  end
  return peer:send "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
end

-- Answers 200 to all that the proxies let through.
local function origin()
  local handle = uv.new_tcp()
  assert(handle:bind("127.0.0.1", 0))
  assert(handle:listen(128, function()
    local accepted = uv.new_tcp()
    handle:accept(accepted)
    local peer = stream.wrap(accepted)
    loop.go(function()
      while answer_one(peer) do end
      peer:close()
    end)
  end))
  return handle, handle:getsockname().port
end

local NGINX = [[
daemon off; master_process off; worker_processes 1; pid %(dir)s/pid; error_log %(dir)s/errors;
events { worker_connections 512; }
http {
  access_log off; large_client_header_buffers 8 128k; client_max_body_size 0; client_header_timeout 2s; client_body_timeout 2s;
  client_body_temp_path %(dir)s/a; proxy_temp_path %(dir)s/b; fastcgi_temp_path %(dir)s/c;
  uwsgi_temp_path %(dir)s/d; scgi_temp_path %(dir)s/e;
  server { listen 127.0.0.1:%(port)d; location / { proxy_pass http://127.0.0.1:%(origin)d; proxy_http_version 1.1; } }
}
]]

local HAPROXY = [[
global
  tune.bufsize 262144
  tune.http.maxhdr 2000
defaults
  mode http
  timeout connect 2s
  timeout client 2s
  timeout server 2s
  timeout http-request 2s
listen all
  bind 127.0.0.1:%(port)d
  option http-buffer-request
  server origin 127.0.0.1:%(origin)d
]]

local function filled(text, values)
  return (text:gsub("%%%((%w+)%)[sd]", values))
end

local PEERS = {
  { name = "nginx", text = NGINX, file = "nginx.conf", argv = function(values)
    return { "/usr/sbin/nginx", "-c", values.dir .. "/nginx.conf", "-p", values.dir }
  end },
  { name = "haproxy", text = HAPROXY, file = "haproxy.cfg", argv = function(values)
    return { "/usr/sbin/haproxy", "-db", "-f", values.dir .. "/haproxy.cfg" }
  end },
  { name = "node", argv = function(values)
    return { "node", uv.fs_realpath "spec/hostile/reader.mjs", tostring(values.port) }
  end },
}

local function start_one(kind, values)
  values.port = port.free()
  if kind.text then
    process.write(values.dir .. "/" .. kind.file, filled(kind.text, values))
  end
  local peer = { name = kind.name, port = values.port, process = process.start(kind.argv(values), { dir = values.dir }) }
  loop.until_true(function()
    assert(peer.process:running(), peer.process.output)
    local c = http.connect(peer.port)
    return c and (c:close() or true)
  end, peer.name .. " to listen")
  return peer
end

local Peers = {}
Peers.__index = Peers

--- Starts the others, each with a port of its own.
function M.start()
  local peers = setmetatable({ dir = process.folder() }, Peers)
  local number
  peers.origin, number = origin()
  for i, kind in ipairs(PEERS) do
    peers[i] = start_one(kind, { dir = peers.dir, origin = number })
  end
  return peers
end

function Peers:stop()
  for _, peer in ipairs(self) do
    peer.process:signal "sigterm"
    peer.process:wait()
  end
  self.origin:close()
  process.remove(self.dir)
end

return M
