--- Makes docs/reference.md of library/perilune.lua: one text for editors and for readers.
---
---   luajit tools/reference.lua > docs/reference.md

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

-- A row of a table; a bar in a type would end its cell.
local function row(name, what, about)
  return ("| `%s` | `%s` | %s |"):format(name, (what:gsub("|", "\\|")), about)
end

-- The type a note begins with, which may hold spaces inside brackets and behind commas, and the text behind it.
local function split_type(text)
  local depth = 0
  for at = 1, #text do
    local c = text:sub(at, at)
    if c:find "[({<%[]" then
      depth = depth + 1
    elseif c:find "[)}>%]]" then
      depth = depth - 1
    elseif c == " " and depth == 0 and not text:sub(at - 1, at - 1):find "[:,]" then
      return text:sub(1, at - 1), text:sub(at + 1)
    end
  end
  return text, ""
end

local out = {
  "# Reference", "",
  "What policies are written with, by name. [Writing policies](policies.md) tells how it is used. This page is made of",
  "[library/perilune.lua](../library/perilune.lua), which editors read, by `tools/reference.lua`.",
}

local function add(line)
  out[#out + 1] = line
end

local about, class, params = {}, false, {}

local handlers = {
  { "^%-%-%- (.*)$", function(text)
    about[#about + 1] = text
  end },
  { "^%-%-%-@class ([%w_.]+)(.*)$", function(name, parent)
    class = false
    add ""
    add("## " .. name)
    add ""
    add(table.concat(about, " ") .. (parent ~= "" and (" Has the fields of `%s` as well."):format(parent:match "[%w_.]+") or ""))
    about = {}
  end },
  { "^%-%-%-@field ([%w_]+)(%??) (.*)$", function(name, optional, rest)
    if not class then
      class = true
      add ""
      add "| field | type | |"
      add "| --- | --- | --- |"
    end
    local what, text = split_type(rest)
    add(row(name .. optional, what, text))
  end },
  { "^%-%-%-@alias ([%w_.]+)%s*(.*)$", function(name, what)
    about, class = {}, false
    add ""
    add("## " .. name)
    add ""
    add(what ~= "" and "`" .. what .. "`" or "One of")
  end },
  { "^%-%-%-(|.*)$", function(text)
    add("`" .. text:gsub("^| ", "") .. "`")
  end },
  { "^%-%-%-@param ([%w_]+%??) (.*)$", function(name, rest)
    local what, text = split_type(rest)
    params[#params + 1] = ("- `%s`: `%s`%s"):format(name, what, text ~= "" and ", " .. text or "")
  end },
  { "^function ([%w_:]+)(%b())", function(name, arguments)
    add ""
    add(("### %s%s"):format(name:gsub("^Fleet", "fleet"), arguments))
    add ""
    add(table.concat(about, " "))
    for k, param in ipairs(params) do
      if k == 1 then
        add ""
      end
      add(param)
    end
    about, params = {}, {}
  end },
}

for line in read("library/perilune.lua"):gmatch "[^\n]+" do
  for _, handler in ipairs(handlers) do
    local captures = { line:match(handler[1]) }
    if captures[1] then
      handler[2](unpack(captures))
      break
    end
  end
end
io.write(table.concat(out, "\n"), "\n")
