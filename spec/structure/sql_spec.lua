-- No statement is made of text that came from somewhere: what SQLite is given stands in the source, and values are bound to it.
local tree = require "support.tree"

-- What takes SQL as its second argument, beside the functions that have a parameter `const char *sql`.
local TAKERS = { "sqlite3_exec", "sqlite3_prepare", "sqlite3_prepare_v2", "sqlite3_prepare_v3", "sqlite3_complete" }

-- What that argument may be, beside a literal: the parameter of such a function, a row of a constant table, and the one text with numbers
-- of ours in it, because pragmas bind none.
local MARK = "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT"
local CONSTANT = { ["sql"] = true, ["texts[i]"] = "static const char *const texts[", ["schema->versions[version]"] = true,
                   ["mark"] = MARK }

local VERBS = { "SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "CREATE", "DROP", "ALTER", "PRAGMA", "ATTACH" }

local function users()
  local list = {}
  for _, path in ipairs(tree.matching("core", "%.[ch]$", "%.cpp$")) do
    local text = tree.read(path)
    if text:find("sqlite3", 1, true) then
      list[#list + 1] = { path = path, text = text }
    end
  end
  return list
end

-- The functions that take SQL in a file: those of everybody, and its own.
local function takers(files, file)
  local names = {}
  for _, name in ipairs(TAKERS) do
    names[name] = true
  end
  for _, other in ipairs(files) do
    if other == file or other.path:match "%.h$" then
      for name in other.text:gmatch "([%w_]+)%(struct sqlite3 %*db, const char %*sql" do
        names[name] = true
      end
    end
  end
  return names
end

-- The second argument of each call of one of these: (name, argument).
local function calls(text, names)
  local found = {}
  for name, rest in text:gmatch "([%w_]+)(%b())" do
    local second = names[name] and rest:match "^%([^,]+,%s*(.-)%)$"
    if second and not second:match "^const char" then
      local literal = second:match '^"'
      found[#found + 1] = { name = name, argument = literal and '"' or second:match "^[^,]+" }
    end
  end
  return found
end

describe("SQL", function()
  local files = users()

  it("is a literal, or a row of a constant table", function()
    local n, breaches = 0, {}
    for _, file in ipairs(files) do
      for _, call in ipairs(calls(file.text, takers(files, file))) do
        local constant = call.argument == '"' or CONSTANT[call.argument]
        n = n + 1
        if not constant or type(constant) == "string" and not file.text:find(constant, 1, true) then
          breaches[#breaches + 1] = ("%s: %s(%s)"):format(file.path, call.name, call.argument)
        end
      end
    end
    assert.is_true(n >= 10, "only " .. n .. " calls are found")
    assert.same({}, breaches)
  end)

  it("has no place for text in it", function()
    local n, breaches = 0, {}
    for _, file in ipairs(files) do
      for literal in file.text:gmatch '"([^"\n]*)"' do
        for _, verb in ipairs(VERBS) do
          if literal:find("%f[%u]" .. verb .. "%f[^%u]") then
            n = n + 1
            if literal:find("%", 1, true) and literal ~= MARK then
              breaches[#breaches + 1] = ("%s: %s"):format(file.path, literal)
            end
            break
          end
        end
      end
    end
    assert.is_true(n > 30, "only " .. n .. " statements are found")
    assert.same({}, breaches)
  end)

  it("is not put together by SQLite's own printf", function()
    local breaches = {}
    for _, file in ipairs(files) do
      for name in file.text:gmatch "sqlite3_[%w_]*" do
        if name:find "printf" or name:find "_str_" then
          breaches[#breaches + 1] = file.path .. ": " .. name
        end
      end
    end
    assert.same({}, breaches)
  end)

  it("that is put together is found", function()
    local built = "return sqlite3_exec(db, text, NULL, NULL, NULL);"
    local call = calls(built:match "return (.*);", takers(files))[1]
    assert.same({ name = "sqlite3_exec", argument = "text" }, call)
    assert.is_nil(CONSTANT[call.argument])
  end)
end)
