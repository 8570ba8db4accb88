--- What a page of the documentation shows as files: Lua blocks that begin with their path, like `-- policies/tier.lua`.
local process = require "support.process"

local M = {}

--- The files of a page, by path.
function M.files(text)
  local files = {}
  for block in text:gmatch "```lua\n(.-)```" do
    local path = block:match "^%-%- ([%w_/.]+%.lua)%f[^%w]"
    if path then
      files[path] = block
    end
  end
  return files
end

--- Writes files into a folder of their own and runs the specs among them as a reader would: busted, with the library in its path.
--- Returns whether they passed, and what busted printed. The specs lie in `folder`: policies, unless stated.
function M.run_specs(files, folder)
  local dir = process.folder()
  for path, text in pairs(files) do
    process.write(dir .. "/" .. path, text)
  end
  local root = assert(io.popen "pwd"):read "*l"
  local pipe = assert(io.popen(("cd '%s' && luajit /usr/bin/busted --lpath='%s/lua/?.lua' %s 2>&1; echo $?"):format(dir, root,
    folder or "policies")))
  local output = pipe:read "*a"
  pipe:close()
  process.remove(dir)
  return output:match "(%d+)\n$" == "0", output
end

return M
