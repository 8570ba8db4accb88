--- Runs spec bodies as coroutines on luv's loop, so that they read from top to bottom while sockets and processes go on.
--
--   it("answers", loop.test(function()
--     local got = loop.await(function(done) some_callback_api(done) end, "an answer")
--   end))
--
-- Nothing here waits for time to pass in order to be right: a wait is for an event, and has a limit after which it
-- raises, naming what did not happen.
local uv = require "luv"

local M = {}

-- Sanitized binaries are slower; their runs stretch every limit.
local stretch = tonumber(os.getenv "SPEC_STRETCH") or 1
M.stretch = stretch

--- The longest a single wait may take, in milliseconds.
M.limit_ms = 10000 * stretch

--- Milliseconds on a clock that only goes forward.
function M.now()
  return uv.hrtime() / 1e6
end

-- Carries a value or an error into a waiting coroutine; errors in it come out of `uv.run` in `M.run`.
local function continue(co, ...)
  local ok, err = coroutine.resume(co, ...)
  if not ok then
    error(debug.traceback(co, tostring(err)), 0)
  end
end

--- Waits until `start`'s callback is called and returns what it was given. `start` may call it at once.
---@param start fun(done: fun(...))
---@param what string  what is waited for, for the message when it does not happen
---@param limit_ms number?
function M.await(start, what, limit_ms)
  local co = assert(coroutine.running(), "await outside of loop.run")
  local timer, waiting, result = nil, false, nil
  local function settle(...)
    if result then
      return
    end
    result = { n = select("#", ...), ... }
    if timer then
      timer:close()
    end
    if waiting then
      continue(co)
    end
  end
  start(settle)
  if not result then
    timer = uv.new_timer()
    local timed_out = false
    timer:start(limit_ms and limit_ms * stretch or M.limit_ms, 0, function()
      timed_out = true
      settle()
    end)
    waiting = true
    coroutine.yield()
    if timed_out then
      error("waited in vain for " .. what, 2)
    end
  end
  return unpack(result, 1, result.n)
end

--- Lets other coroutines and events have their turn for so many milliseconds. For pacing, never for being right.
function M.pause(ms)
  M.await(function(done)
    local timer = uv.new_timer()
    timer:start(ms, 0, function()
      timer:close()
      done()
    end)
  end, "a pause", ms + M.limit_ms)
end

--- Asks every few milliseconds until `condition()` is true; returns what it returned.
function M.until_true(condition, what, limit_ms)
  local deadline = M.now() + (limit_ms and limit_ms * stretch or M.limit_ms)
  while true do
    local got = condition()
    if got then
      return got
    end
    if M.now() > deadline then
      error("waited in vain for " .. what, 2)
    end
    M.pause(3)
  end
end

--- Starts `body` beside the caller. `task()` waits for its end and returns its results, or raises its error.
function M.go(body, ...)
  local outcome, waiter
  local co = coroutine.create(function(...)
    outcome = { xpcall(body, function(err)
      return type(err) == "table" and err or debug.traceback(tostring(err), 2)
    end, ...) }
    if waiter then
      waiter()
    end
  end)
  continue(co, ...)
  return function()
    if not outcome then
      M.await(function(done)
        waiter = done
      end, "a task", 6 * M.limit_ms)
    end
    if not outcome[1] then
      error(outcome[2], 0)
    end
    return unpack(outcome, 2, table.maxn(outcome))
  end
end

--- Runs all functions at once and waits for all; returns their first results in order.
function M.all(bodies)
  local tasks, results = {}, {}
  for i, body in ipairs(bodies) do
    tasks[i] = M.go(body, i)
  end
  for i, task in ipairs(tasks) do
    results[i] = task()
  end
  return results
end

--- Runs `body(i)` for i = 1..total, at most `width` at a time; returns the results in order.
function M.spread(total, width, body)
  local results, next_index, lanes = {}, 0, {}
  for lane = 1, math.min(width, total) do
    lanes[lane] = function()
      while next_index < total do
        next_index = next_index + 1
        local i = next_index
        results[i] = body(i)
      end
    end
  end
  M.all(lanes)
  return results
end

--- Turns the loop until `body` has ended, from plain code.
function M.run(body)
  local task_done, ok, err
  continue(coroutine.create(function()
    ok, err = xpcall(body, function(e)
      return type(e) == "table" and e or debug.traceback(tostring(e), 2)
    end)
    task_done = true
  end))
  while not task_done do
    uv.run "once"
  end
  uv.run "nowait" -- what was closed last is let go of now: luv trips over it when the process ends
  if not ok then
    error(err, 0)
  end
end

--- For busted: `it("...", loop.test(function() ... end))`, and the same for setup and teardown.
function M.test(body)
  return function()
    M.run(body)
  end
end

return M
