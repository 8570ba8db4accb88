-- Every pitfall has a case: spec/fixtures/pitfalls.lua lists them, titles and names of specs carry their ids.
local pitfalls = require "fixtures.pitfalls"
local tree = require "support.tree"

-- Where a test's title stands, by the file's ending. What is in a comment is none.
local TITLES = {
  { "_spec%.lua$", { '%f[%w]it%(%(?"([^"\n]*)', "%f[%w]it%(%(?'([^'\n]*)" } },
  { "%.test%.mjs$", { '%f[%w]test%("([^"\n]*)', "%f[%w]test%(`([^`\n]*)" } },
}

local function note(found, id, path)
  found[id] = found[id] or {}
  table.insert(found[id], path)
end

-- "[F13] [F14] keep to one history": all ids in brackets of one title.
local function read_titles(found, path, patterns)
  local text = "\n" .. tree.read(path):gsub("\n%s*%-%-[^\n]*", "\n"):gsub("\n%s*//[^\n]*", "\n")
  for _, pattern in ipairs(patterns) do
    for title in text:gmatch(pattern) do
      for id in title:gmatch "%[([A-H]%d+)%]" do
        note(found, id, path)
      end
    end
  end
end

-- A unit is called as its pitfall: c1_a_reset_is_no_finish.
local function read_functions(found, path)
  for name in tree.read(path):gmatch "\nstatic void ([a-h]%d+_[%w_]*)%(void %*%*state" do
    note(found, name:match("^%a%d+"):upper(), path)
  end
end

local function all_cases()
  local found = {}
  for _, kind in ipairs(TITLES) do
    for _, path in ipairs(tree.matching("spec", kind[1])) do
      read_titles(found, path, kind[2])
    end
  end
  for _, path in ipairs(tree.matching("spec/core", "_test%.c$")) do
    read_functions(found, path)
  end
  return found
end

describe("the pitfalls", function()
  local found = all_cases()

  it("each have a case", function()
    local missing, n, all = {}, 0, 0
    for id, what in pairs(pitfalls) do
      all = all + 1
      if found[id] then
        n = n + 1
      else
        missing[#missing + 1] = id .. ": " .. what
      end
    end
    table.sort(missing)
    io.stdout:write(("\npitfalls: %d of %d\n"):format(n, all))
    assert.equal("", table.concat(missing, "\n"))
    assert.equal(88, all)
  end)

  it("are the ones that cases name", function()
    for id, paths in pairs(found) do
      assert.is_string(pitfalls[id], ("%s names a pitfall [%s] that is none"):format(paths[1], id))
    end
  end)
end)
