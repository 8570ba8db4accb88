--- An output of busted that says nothing and keeps what came out, for `perilune test --json`.
local base = require "busted.outputHandlers.base"

return function()
  local handler = base()

  -- A message begins with the place it is about, where it is about one.
  local function told(list)
    local out = {}
    for k, one in ipairs(list) do
      local message = tostring(one.message)
      local file, line = message:match "^([^\n]-):(%d+): "
      out[k] = { name = one.name, file = file, line = tonumber(line), message = message }
    end
    return out
  end

  --- What came out until now.
  function handler.result()
    return {
      passed = #handler.successes, failed = #handler.failures, errors = #handler.errors, pending = #handler.pendings,
      failures = told(handler.failures), problems = told(handler.errors),
    }
  end

  package.loaded["perilune.spec.result"] = handler.result
  return handler
end
