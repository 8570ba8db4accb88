--- Child processes of a spec: started, watched, and always ended by their own pid.
local loop = require "support.loop"
local uv = require "luv"

local M = {}

local Process = {}
Process.__index = Process

-- What of our own environment a child may see: nothing that could configure a gateway.
local PASSED_ON = { "PATH", "LANG", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS" }

local function environment(extra, home)
  local env = { "HOME=" .. home, "XDG_STATE_HOME=" .. home .. "/state" }
  for _, name in ipairs(PASSED_ON) do
    local value = os.getenv(name)
    if value then
      env[#env + 1] = name .. "=" .. value
    end
  end
  for name, value in pairs(extra or {}) do
    env[#env + 1] = name .. "=" .. value
  end
  return env
end

-- Collects a pipe into `process.output`.
local function collect(process, pipe)
  pipe:read_start(function(_, bytes)
    if bytes then
      process.output = process.output .. bytes
    else
      pipe:close()
    end
  end)
end

--- Starts a program. Should the spec itself be killed, the kernel ends the child with it.
---@param argv string[]
---@param options { dir: string, env: table? }
function M.start(argv, options)
  local process = setmetatable({ output = "", argv = argv }, Process)
  local out, err = uv.new_pipe(false), uv.new_pipe(false)
  local args = { "--pdeathsig", "KILL", "--", unpack(argv) }
  local handle, pid = uv.spawn("setpriv", {
    args = args,
    cwd = options.dir,
    env = environment(options.env, options.dir),
    stdio = { nil, out, err },
  }, function(code, signal)
    process.exit_code, process.exit_signal = code, signal
    process.handle:close()
    if process.on_exit then
      process.on_exit()
    end
  end)
  assert(handle, pid)
  process.handle, process.pid = handle, pid
  collect(process, out)
  collect(process, err)
  return process
end

--- The path of the gateway under test.
function M.binary()
  return uv.fs_realpath(os.getenv "PERILUNE_BIN" or "build/perilune") or error "build/perilune is not there: make build"
end

function Process:running()
  return self.exit_code == nil
end

function Process:signal(name)
  self.asked_to_end = self.asked_to_end or name == "sigterm" or name == "sigint"
  if self:running() then
    self.handle:kill(name)
  end
end

--- Waits for the end; returns exit code and signal.
function Process:wait(limit_ms)
  if self:running() then
    loop.await(function(done)
      self.on_exit = done
    end, table.concat(self.argv, " ") .. " to end", limit_ms)
  end
  return self.exit_code, self.exit_signal
end

--- Asks it to end, unless that was done; kills it when it does not. Raises unless it ended by itself with code 0, with nothing left behind.
function Process:stop()
  if not self.asked_to_end then
    self:signal "sigterm"
  end
  if not pcall(self.wait, self) then
    self:signal "sigkill"
    self:wait()
    error("had to be killed:\n" .. self.output, 2)
  end
  if self.exit_code ~= 0 or self.exit_signal ~= 0 then
    error(("ended with code %d, signal %d:\n%s"):format(self.exit_code, self.exit_signal, self.output), 2)
  end
  for _, complaint in ipairs { "Sanitizer", "runtime error:", "left a ", "with an open" } do
    if self.output:find(complaint, 1, true) then
      error("complained while ending:\n" .. self.output, 2)
    end
  end
end

--- Runs to the end; returns exit code, and output of both kinds together.
function M.run(argv, options)
  local process = M.start(argv, options)
  local code = process:wait()
  return code, process.output
end

--- A new folder under the system's, for one process and its files.
function M.folder()
  return assert(uv.fs_mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/perilune-spec-XXXXXX"))
end

--- Removes a folder made by M.folder().
function M.remove(dir)
  assert(dir:find("/perilune-spec-", 1, true))
  local scan = uv.fs_scandir(dir)
  while scan do
    local name, kind = uv.fs_scandir_next(scan)
    if not name then
      break
    end
    local path = dir .. "/" .. name
    if kind == "directory" then
      M.remove(path)
    else
      uv.fs_unlink(path)
    end
  end
  uv.fs_rmdir(dir)
end

--- Writes a file the way editors do: beside it, then renamed over it. Folders on the way are made.
function M.write(path, text)
  for at in path:gmatch "()/" do
    if at > 1 then
      uv.fs_mkdir(path:sub(1, at - 1), 493)
    end
  end
  local beside = path .. ".tmp~"
  local file = assert(io.open(beside, "w"))
  file:write(text)
  file:close()
  assert(os.rename(beside, path))
end

return M
