--- What a process holds of memory, where that can be told.
local M = {}

--- Memory of a process in use, in bytes.
function M.resident(pid)
  local file = assert(io.open(("/proc/%d/statm"):format(pid)))
  local pages = file:read("*a"):match "^%d+ (%d+)"
  file:close()
  return tonumber(pages) * 4096
end

--- Asserts that it grew by less than `most` bytes since it held `before`. Sanitizers keep what was freed: of them nothing is asked.
function M.assert_flat(pid, before, most)
  local grown = M.resident(pid) - before
  assert(os.getenv "SPEC_STRETCH" or grown < most, ("grew by %d bytes"):format(grown))
end

return M
