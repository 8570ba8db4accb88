--- Ends what takes too long in plain LuaJIT, where nobody else watches: a policy that never ends must not hold up its specs for ever.
--- A hook looks at the processor time. Code must not be compiled meanwhile, because compiled code calls no hooks.
---
---   watch.call({ "policies/tier.lua" }, host.decide, "tier", req)
local jit = require "jit"

local M = {}

-- The gateway's own limit is far below it. This one is for loops that do not end, whatever else the machine has to do.
M.limit_s = 2

local EVERY = 1000 -- instructions between two looks

local here = debug.getinfo(1, "S").source

-- The place in the policy that runs now: of its innermost function.
local function place(paths)
  for level = 3, 200 do
    local at = debug.getinfo(level, "Sl")
    for _, path in ipairs(at and paths or {}) do
      if at.source == "@" .. path then
        return ("%s:%d"):format(path, at.currentline)
      end
    end
  end
  return paths[1]
end

-- From the limit on it raises at every instruction that is not ours, so that no pcall of the policy goes on behind it.
local function hook_of(watched, old, mask)
  local deadline = os.clock() + M.limit_s
  local hook
  function hook(event, line)
    if event ~= "count" then
      return old(event, line) -- in our place: it may ask who called it
    elseif os.clock() < deadline or debug.getinfo(2, "S").source == here then
      return
    elseif not watched.late then
      watched.late = ("%s: did not end within %g s and was stopped; the gateway's limit is 5 ms"):format(place(watched.paths), M.limit_s)
      debug.sethook(hook, mask, 1)
    end
    error(watched.late, 0)
  end
  return hook
end

local function finish(watched, restore, ok, ...)
  restore()
  if watched.late or not ok then
    error(watched.late or ..., 0)
  end
  return ...
end

--- Calls f, for as long as it may take; raises what it raises, or where in these files it was stopped.
---@param paths string[] the files of the policy, itself first
---@param f fun(...): any
---@return any ...
function M.call(paths, f, ...)
  local watched = { paths = paths }
  local old, mask, count = debug.gethook()
  local compiles = jit.status()
  local function restore()
    debug.sethook(old, mask, count)
    if compiles then
      jit.on()
    end
  end
  jit.off()
  debug.sethook(hook_of(watched, old, mask or ""), mask or "", EVERY)
  return finish(watched, restore, pcall(f, ...))
end

return M
