-- The pages lead to each other, and speak of what there is.
local tree = require "support.tree"

-- README and its like, and what lies in docs/.
local function pages()
  local found = { "README.md", "CONTRIBUTING.md" }
  for _, path in ipairs(tree.matching("docs", "%.md$")) do
    found[#found + 1] = path
  end
  return found
end

-- A heading's name in a link: lower case, spaces made dashes, all else but letters, digits and dashes gone.
local function anchor(heading)
  return (heading:lower():gsub("[^%w%s_-]", ""):gsub("%s", "-"))
end

local function has_anchor(path, name)
  for heading in ("\n" .. tree.read(path)):gmatch "\n#+ ([^\n]+)" do
    if anchor(heading) == name then
      return true
    end
  end
  return false
end

-- Where a link of a page leads, as a path from the root and an anchor.
local function resolve(page, link)
  local path, name = link:match "^([^#]*)#?(.*)$"
  if path == "" then
    return page, name
  end
  path = page:match "^(.-)[^/]*$" .. path
  repeat
    local n
    path, n = path:gsub("[^/]+/%.%./", "")
  until n == 0
  return path, name
end

describe("links between the pages", function()
  it("lead to pages and headings that are there", function()
    local n, broken = 0, {}
    for _, page in ipairs(pages()) do
      for link in tree.read(page):gmatch "%]%(([^)%s]+)%)" do
        if not link:match "^%a+://" then
          local path, name = resolve(page, link)
          n = n + 1
          if not tree.exists(path) or name ~= "" and not has_anchor(path, name) then
            broken[#broken + 1] = page .. ": " .. link
          end
        end
      end
    end
    assert.same({}, broken)
    assert.is_true(n > 50)
  end)

  it("reach every page from README", function()
    local linked = {}
    for link in tree.read("README.md"):gmatch "%]%((docs/[%w-]+%.md)" do
      linked[link] = true
    end
    for _, path in ipairs(tree.matching("docs", "%.md$")) do
      assert.is_true(linked[path], path)
    end
  end)
end)

describe("docs/first-run.md", function()
  it("types what README says", function()
    local page, n = tree.read "docs/first-run.md", 0
    for block in ("\n" .. tree.read "README.md"):gmatch "\n```sh\n(.-)\n?```" do
      n = n + 1
      local command = block:gsub(" +#[^\n]*", ""):gsub("\n +", "\n    ")
      if n <= 2 then
        assert.is_truthy(page:find("$ " .. command, 1, true), command)
      end
    end
    assert.is_true(n >= 2)
  end)
end)

describe("the alarms of docs/operations.md", function()
  it("are about metrics there are", function()
    local rules = tree.read("docs/operations.md"):match "```yaml\n(groups:.-)```"
    local metrics, n = tree.read "docs/metrics.md", 0
    for expression in rules:gmatch "expr:(.-)\n      [ -] ?%l+:" do
      for name in expression:gmatch "[%l_]+_[%l_]+" do
        local plain = name:gsub("_bucket$", "")
        if plain:match "^perilune_" or plain:match "^process_" then
          n = n + 1
          assert.is_truthy(metrics:find("| `" .. plain .. "` |", 1, true), plain)
        end
      end
    end
    assert.is_true(n > 15)
  end)
end)
