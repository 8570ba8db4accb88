--- Free TCP ports on loopback.
local uv = require "luv"

local M = {}

-- Below the range outgoing connections draw from, so that none of them can take a port between here and its use.
local FIRST, LAST = 20000, 32000
local given = {} -- who asked before may not listen yet
local seed = uv.hrtime() % 2 ^ 31 + uv.os_getpid()

local function draw()
  seed = (seed * 1103515245 + 12345) % 2 ^ 31
  return FIRST + math.floor(seed / 2 ^ 31 * (LAST - FIRST))
end

--- Whether nobody listens on a port.
function M.is_free(port)
  local probe = uv.new_tcp()
  local ok = probe:bind("127.0.0.1", port) and probe:listen(1, function() end)
  probe:close()
  return ok ~= nil
end

--- A port nobody listens on.
function M.free()
  for _ = 1, 100 do
    local port = draw()
    if not given[port] and M.is_free(port) then
      given[port] = true
      return port
    end
  end
  error "no free port found"
end

--- A port that refuses every connection for as long as the returned handle is open: bound, but not listening.
function M.refusing()
  local handle = uv.new_tcp()
  assert(handle:bind("127.0.0.1", 0))
  return handle:getsockname().port, handle
end

return M
