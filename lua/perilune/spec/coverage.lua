--- Which lines of policies have run. A hook notes them; it has to be there before a policy loads, and code must not be compiled, because
--- compiled code calls no hooks.
---
---   coverage.start()
---   ... specs ...
---   coverage.report { "policies/tier.lua", ... }
local jit = require "jit"
local util = require "jit.util"

local M = {}

local hits = {} -- by path: line -> true
local tracked = {} -- by source of a chunk: its lines, or false

--- "policies/tier.lua" of a chunk's source; nil for all that is no policy of this folder.
---@param source string
---@return string|nil
function M.path_of(source)
  local path = source:match "^@%.?/?(policies/.+%.lua)$"
  return path and not path:find "_spec%.lua$" and path or nil
end

local function lines_of(source)
  local path = M.path_of(source)
  local lines = path and (hits[path] or {}) or false
  if path then
    hits[path] = lines
  end
  tracked[source] = lines
  return lines
end

local function on_line(_, line)
  local source = debug.getinfo(2, "S").source
  local lines = tracked[source]
  if lines == nil then
    lines = lines_of(source)
  end
  if lines then
    lines[line] = true
  end
end

--- Begins to note lines; stop() ends it.
function M.start()
  jit.off()
  jit.flush()
  debug.sethook(on_line, "l")
end

function M.stop()
  debug.sethook()
end

-- Adds the lines of one function and of those inside it. The return the compiler puts behind every function may be out of reach, and
-- says nothing where it is not: it counts only where the script says it.
local function add_lines(f, source, lines)
  local info = util.funcinfo(f)
  local last = info.bytecodes - 1
  local own = {}
  for pc = 1, last do
    local line = util.funcinfo(f, pc).currentline
    own[line] = (own[line] or 0) + 1
  end
  local at = util.funcinfo(f, last).currentline
  if own[at] == 1 and not (source[at] or ""):find("return", 1, true) then
    own[at] = nil
  end
  for line in pairs(own) do
    lines[line] = true
  end
  for k = 1, info.gcconsts do
    local constant = util.funck(f, -k)
    if type(constant) == "proto" then
      add_lines(constant, source, lines)
    end
  end
end

--- The lines of a script that can run, as a set; nil when it does not compile.
---@param text string
---@return table<integer, boolean>|nil
function M.executable(text)
  local f = loadstring(text, "=script")
  if not f then
    return nil
  end
  local source, lines = {}, {}
  for line in (text .. "\n"):gmatch "(.-)\n" do
    source[#source + 1] = line
  end
  add_lines(f, source, lines)
  return lines
end

---@class perilune.Covered one file
---@field path string
---@field lines integer that can run
---@field run integer
---@field missed integer[] ascending

--- What has run of a script.
---@param path string
---@param text string
---@param seen table<integer, boolean>
---@return perilune.Covered|nil
function M.compare(path, text, seen)
  local can = M.executable(text)
  if not can then
    return nil
  end
  local out = { path = path, lines = 0, run = 0, missed = {} }
  for line in pairs(can) do
    out.lines = out.lines + 1
    if seen[line] then
      out.run = out.run + 1
    else
      table.insert(out.missed, line)
    end
  end
  table.sort(out.missed)
  return out
end

--- What has run of each file, those that were never loaded among them.
---@param paths string[]
---@param read fun(path: string): string|nil
---@return perilune.Covered[]
function M.report(paths, read)
  local all, list = {}, {}
  for path in pairs(hits) do
    all[path] = true
  end
  for _, path in ipairs(paths) do
    all[path] = true
  end
  for path in pairs(all) do
    local text = read(path)
    list[#list + 1] = text and M.compare(path, text, hits[path] or {})
  end
  table.sort(list, function(a, b)
    return a.path < b.path
  end)
  return list
end

--- The share of lines that have run, in percent; 100 where there is none.
---@param list perilune.Covered[]
---@return number
function M.percent(list)
  local lines, run = 0, 0
  for _, file in ipairs(list) do
    lines, run = lines + file.lines, run + file.run
  end
  return lines == 0 and 100 or 100 * run / lines
end

-- "3-5, 9".
local function ranges(missed)
  local out, from = {}, nil
  for k, line in ipairs(missed) do
    from = from or line
    if missed[k + 1] ~= line + 1 then
      out[#out + 1] = from == line and tostring(line) or ("%d-%d"):format(from, line)
      from = nil
    end
  end
  return table.concat(out, ", ")
end

--- For a terminal.
---@param list perilune.Covered[]
---@return string
function M.text(list)
  local lines = {}
  for k, file in ipairs(list) do
    lines[k] = ("%5.1f%%  %s%s"):format(M.percent { file }, file.path, file.missed[1] and ": not run: " .. ranges(file.missed) or "")
  end
  lines[#lines + 1] = ("%5.1f%%  of all lines of policies"):format(M.percent(list))
  return table.concat(lines, "\n") .. "\n"
end

return M
