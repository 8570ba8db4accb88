--- Every payload: bytes for a connection, and what must come of them.
--
--   { group = "lengths", name = '"+60"', bytes = "POST ...", status = 400, forwarded = 0, last = true, why = ..., source = ... }
--
-- `status` answers it, so many requests are `forwarded` upstream, and with `last` the connection ends there. Refused ones are
-- always the last. Groups stand in payloads/*.lua, by what they get wrong: { title =, status =, why =, source =, { name, bytes }, ... }.
local M = {}

local GROUPS = { "request_line", "fields", "framing", "chunks", "sound" }

local function entry(group, payload)
  local refused = group.status >= 400
  return {
    group = group.title, name = payload[1], bytes = payload[2], status = group.status, forwarded = group.forwarded or 0,
    last = refused or payload.last or false, refused = refused, why = group.why, source = group.source,
  }
end

--- All of them, in the order of the files.
function M.all()
  local list = {}
  for _, name in ipairs(GROUPS) do
    for _, group in ipairs(require("hostile.payloads." .. name)) do
      for _, payload in ipairs(group) do
        local made = entry(group, payload)
        made.status = payload[3] or made.status
        list[#list + 1] = made
      end
    end
  end
  return list
end

return M
