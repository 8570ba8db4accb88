--- What a policy file requires, gathered: so that a version is a hash of all it runs, and a state can be made from text alone.
local near = require "perilune.near"

local M = {}

-- The source with comments and strings blanked out, lines kept, so that the word `require` in them is not taken for a call. The string
-- that a call names stays.
local function code_of(text)
  local out, at, n = {}, 1, #text
  local function blank(to)
    out[#out + 1] = (text:sub(at, to):gsub("[^\n]", " "))
    at = to + 1
  end
  while at <= n do
    local from = text:find("[%-\"'%[]", at)
    if not from then
      break
    end
    out[#out + 1] = text:sub(at, from - 1)
    at = from
    local c = text:sub(at, at)
    local level = text:match("^%-%-%[(=*)%[", at) or (c == "[" and text:match("^%[(=*)%[", at))
    if level then
      local _, close = text:find("]" .. level .. "]", at, true)
      blank(close or n)
    elseif text:find("^%-%-", at) then
      blank((text:find("\n", at, true) or n + 1) - 1)
    elseif c == '"' or c == "'" then
      local to = at + 1
      while to <= n and text:sub(to, to) ~= c and text:sub(to, to) ~= "\n" do
        to = to + (text:sub(to, to) == "\\" and 2 or 1)
      end
      if text:sub(math.max(1, at - 60), at - 1):find "%f[%w_]require%s*%(?%s*$" then
        out[#out + 1] = text:sub(at, to)
        at = to + 1
      else
        blank(to)
      end
    else
      out[#out + 1] = c
      at = at + 1
    end
  end
  out[#out + 1] = text:sub(at)
  return table.concat(out)
end

local function line_at(text, at)
  local _, breaks = text:sub(1, at - 1):gsub("\n", "")
  return breaks + 1
end

-- The names a text requires, in order; nil and a finding for a require whose name is not written out.
local function required(text, path)
  local code = code_of(text)
  local names = {}
  local at = 1
  while true do
    local from, to = code:find("%f[%w_]require%f[^%w_]", at)
    if not from then
      return names
    end
    local name = code:match("^%s*%(?%s*[\"']([^\"'\n]*)[\"']", to + 1)
    if not name then
      return nil, {
        path = path, line = line_at(code, from), message = "require needs its name written out",
        hint = 'require "name" loads policies/lib/name.lua or a shipped policy; a name that is computed can not be followed',
      }
    end
    names[#names + 1] = { name = name, line = line_at(code, from) }
    at = to + 1
  end
end

---@class perilune.Files
---@field [string] { path: string, text: string } by "tier" for policies/tier.lua and "lib/prices" for policies/lib/prices.lua

-- policies/lib/x.lua before a policy x.
local function find(files, name)
  return files["lib/" .. name] or files[name]
end

local function libraries(files)
  local names = {}
  for key in pairs(files) do
    names[(key:gsub("^lib/", ""))] = true
  end
  return names
end

--- A policy and everything it requires, directly or not; libs are in order of name.
---@param name string
---@param files perilune.Files
---@return perilune.Source|nil, perilune.Finding|nil
function M.collect(name, files)
  local file = files[name]
  if not file then
    return nil, { path = name, message = ('no policy "%s"%s'):format(name, near.hint(name, libraries(files))) }
  end
  local libs, seen = {}, {}
  local function follow(text, path)
    local names, finding = required(text, path)
    if not names then
      return finding
    end
    for _, r in ipairs(names) do
      if not seen[r.name] then
        local lib = find(files, r.name)
        if not lib then
          local found = near.nearest(r.name, libraries(files))
          return {
            path = path, line = r.line,
            message = ('require "%s": there is no policies/lib/%s.lua and no such policy'):format(r.name, r.name),
            hint = found and ('did you mean "%s"?'):format(found),
          }
        end
        seen[r.name] = true
        libs[#libs + 1] = { name = r.name, path = lib.path, text = lib.text }
        local inner = follow(lib.text, lib.path)
        if inner then
          return inner
        end
      end
    end
    return nil
  end
  local finding = follow(file.text, file.path)
  if finding then
    return nil, finding
  end
  table.sort(libs, function(a, b)
    return a.name < b.name
  end)
  return { name = name, path = file.path, text = file.text, libs = libs }
end

return M
