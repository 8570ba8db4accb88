--- The admin side's table of routes, as the code has it.
local M = {}

local API = "core/admin/api.c"

---@class spec.Route
---@field method string
---@field pattern string  "/api/policies/{name}"
---@field role string  ANYONE, VIEWER or ADMIN: the least that is needed
---@field query string?  the parameters it takes, a space between

---@return spec.Route[]
function M.list()
  local list = {}
  local file = assert(io.open(API))
  local source = file:read "*a"
  file:close()
  local rows = source:match "const struct api_route api_routes%[%] = {\n(.-)\n};"
  for method, pattern, role, query in rows:gmatch '{ "(%u+)",%s+"([^"]+)",%s+API_(%u+),%s+[%w_]+,%s+([^}]-) }' do
    local text = query:gsub('"%s+"', ""):match '^"(.*)"$'
    list[#list + 1] = { method = method, pattern = pattern, role = role, query = text }
  end
  local _, rows_there = rows:gsub("{ \"", "")
  assert(#list == rows_there, "a row of api_routes is not understood")
  return list
end

--- A path of that pattern, of things that are not there.
---@param pattern string
---@return string
function M.path(pattern)
  return (pattern:gsub("{.-}", "x"))
end

return M
