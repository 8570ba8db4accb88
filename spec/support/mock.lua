--- `perilune mock` as the upstream of a spec.
--
--   local up = mock.start()
--   providers = { a = up:provider "status=500", b = up:provider() }
--   up:stats().requests
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local port = require "support.port"
local process = require "support.process"

local M = {}

local Mock = {}
Mock.__index = Mock

--- Starts a mock on a free port. `script` is the Lua source of --script.
---@param options { script: string?, args: string[]? }?
function M.start(options)
  options = options or {}
  local self = setmetatable({ port = port.free(), dir = process.folder() }, Mock)
  local argv = { process.binary(), "mock", "--listen", "127.0.0.1:" .. self.port, unpack(options.args or {}) }
  if options.script then
    process.write(self.dir .. "/script.lua", options.script)
    argv[#argv + 1] = "--script"
    argv[#argv + 1] = self.dir .. "/script.lua"
  end
  self.process = process.start(argv, { dir = self.dir })
  loop.until_true(function()
    if not self.process:running() then
      error("the mock ended while starting:\n" .. self.process.output, 0)
    end
    local c = http.connect(self.port)
    if c then
      c:close()
    end
    return c
  end, "the mock to listen")
  return self
end

--- The base URL under which every request gets that fault: "status=429;retry_after=2"; none without.
function Mock:url(fault)
  return ("http://127.0.0.1:%d%s/v1"):format(self.port, fault and "/~" .. fault or "")
end

--- A provider at that URL.
function Mock:provider(fault, extra)
  return gateway.provider(self:url(fault), extra)
end

--- Its counters.
function Mock:stats()
  return assert(http.get(self.port, "/_mock/stats").json)
end

--- The last request it got.
function Mock:last()
  return assert(http.get(self.port, "/_mock/last").json)
end

function Mock:stop()
  self.process:stop()
  process.remove(self.dir)
end

return M
