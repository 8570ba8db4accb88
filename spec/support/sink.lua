-- A sink that remembers: every call a reader makes, in order.
--
--   local sink = require("support.sink").new()
--   reader:feed(sink, nil, data)
--   assert.same({ { "text", 0, "Hi" } }, sink.calls)
local M = {}

local NAMES = {
  "begin", "text", "reasoning", "state", "refusal", "call", "arguments", "call_done", "audio", "opaque", "usage", "finish", "fail", "stop",
}

local Sink = {}
Sink.__index = Sink

for _, name in ipairs(NAMES) do
  Sink[name] = function(self, ...)
    local call = { name, ... }
    self.calls[#self.calls + 1] = call
  end
end

---@class perilune.RecordingSink: perilune.Sink
---@field calls table[] { name, arguments... }; trailing nils are not kept, one in between is a hole

---@return perilune.RecordingSink
function M.new()
  return setmetatable({ calls = {} }, Sink)
end

--- The calls of some names alone, in order.
---@param ... string
---@return table[]
function Sink:only(...)
  local wanted, out = {}, {}
  for _, name in ipairs { ... } do
    wanted[name] = true
  end
  for _, call in ipairs(self.calls) do
    if wanted[call[1]] then
      out[#out + 1] = call
    end
  end
  return out
end

--- The pieces of one kind of text of one choice, joined: "text", "reasoning", "refusal".
---@param name string
---@param choice? integer 0 unless given
---@return string
function Sink:joined(name, choice)
  local out = {}
  for _, call in ipairs(self:only(name)) do
    if call[2] == (choice or 0) then
      out[#out + 1] = call[3]
    end
  end
  return table.concat(out)
end

return M
