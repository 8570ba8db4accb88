--- Names of tools, and ids of calls, for dialects that can not write all of them: the same name always becomes the same other one, so that
--- caches upstream stay warm, and the way back is remembered.
local hash = require "perilune.hash"

local M = {}

---@class perilune.ToolNames
---@field back table<string, string>|nil as sent -> as the client knows it; nil when all went as they were
local Names = {}
Names.__index = Names

--- `foreign` is the Lua pattern of a character that can not be written ("[^%w_-]"), `first` that of what a name must begin with.
---@param foreign string
---@param limit integer bytes
---@param first? string
---@return perilune.ToolNames
function M.new(foreign, limit, first)
  return setmetatable({ foreign = foreign, limit = limit, first = first or "", sent = {} }, Names)
end

--- A name as it is sent.
---@param name string
---@return string
function Names:of(name)
  local sent = self.sent[name]
  if sent then
    return sent
  end
  sent = name:gsub(self.foreign, "_")
  if sent == "" or not sent:find("^" .. self.first) then
    sent = "_" .. sent
  end
  if sent ~= name or #sent > self.limit then
    -- Two names may differ only in what was changed.
    local tail = ("_%08x"):format(hash.text(name) % 4294967296)
    sent = sent:sub(1, self.limit - #tail) .. tail
    self.back = self.back or {}
    self.back[sent] = name
  end
  self.sent[name] = sent
  return sent
end

return M
