--- The repository's own files, as specs about its structure read them.
local lfs = require "lfs"

local M = {}

-- Made, never committed.
local SKIP = { [".git"] = true, ["node_modules"] = true }

--- All files under a folder, sorted, as paths from the root of the repository. Build folders are left out.
function M.files(dir)
  local found = {}
  local function walk(path)
    for name in lfs.dir(path) do
      local child = path == "." and name or path .. "/" .. name
      local skip = SKIP[name] or name:sub(1, 1) == "." and name ~= ".ci" or child:match "^build[^/]*$"
      if not skip then
        if lfs.attributes(child, "mode") == "directory" then
          walk(child)
        else
          found[#found + 1] = child
        end
      end
    end
  end
  if lfs.attributes(dir, "mode") == "directory" then
    walk(dir)
  end
  table.sort(found)
  return found
end

function M.exists(path)
  return lfs.attributes(path, "mode") == "file"
end

function M.read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

--- The files under a folder whose names match one of the patterns.
function M.matching(dir, ...)
  local found = {}
  for _, path in ipairs(M.files(dir)) do
    for _, pattern in ipairs { ... } do
      if path:match(pattern) then
        found[#found + 1] = path
        break
      end
    end
  end
  return found
end

--- The files under a folder that git holds: a reader's own policies lie beside the shipped ones.
function M.committed(dir)
  local pipe = assert(io.popen(("git ls-files -- '%s'"):format(dir)))
  local found = {}
  for path in pipe:lines() do
    if M.exists(path) then
      found[#found + 1] = path
    end
  end
  pipe:close()
  return found
end

return M
