-- One room per concern: what a room may include, and which library is seen where.
local tree = require "support.tree"

-- From the ground up; a room sees itself and what is listed.
local FLOORS = {
  base = {},
  net = { "base" },
  upstream = { "base" },
  script = { "base" },
  money = { "base" },
  route = { "base", "net", "upstream", "script", "money" },
  admin = { "base", "net", "upstream", "script", "money", "route" },
  cli = { "base", "net", "upstream", "script", "money", "route", "admin" },
}

-- The only places a library's header may be seen.
local LIBRARIES = {
  { header = "^lua%.h$", places = { "^core/script/", "^core/admin/" } },
  { header = "^lauxlib%.h$", places = { "^core/script/", "^core/admin/" } },
  { header = "^lualib%.h$", places = { "^core/script/", "^core/admin/" } },
  { header = "^luajit%.h$", places = { "^core/script/", "^core/admin/" } },
  { header = "^lua5%.1/", places = { "^core/script/", "^core/admin/" } },
  { header = "^lua%-cjson%.h$", places = { "^core/script/" } },
  { header = "^curl/", places = { "^core/upstream/" } },
  { header = "^openssl/", places = { "^core/upstream/" } },
  { header = "^bearssl", places = { "^core/net/tls", "^core/base/crypto" } },
  { header = "^llhttp%.h$", places = { "^core/net/" } },
  { header = "^simdjson", places = { "^core/base/json" } },
  { header = "^sqlite3%.h$", places = { "^core/money/" } },
  { header = "^uv%.h$", places = { "^core/net/", "^core/upstream/", "^core/route/", "^core/admin/", "^core/cli/", "^core/money/" } },
}

local SOURCES = tree.matching("core", "%.[ch]$", "%.cpp$")

local function set(list)
  local result = {}
  for _, item in ipairs(list) do
    result[item] = true
  end
  return result
end

-- Every #include of a file, as (kind, name): kind is '"' for ours and '<' for a library's.
local function includes(path)
  return tree.read(path):gmatch '#%s*include%s*(["<])([^">]+)[">]'
end

local function allowed_place(path, places)
  for _, place in ipairs(places) do
    if path:match(place) then
      return true
    end
  end
  return false
end

describe("rooms", function()
  it("are the ones the house has", function()
    for _, path in ipairs(SOURCES) do
      local room = path:match "^core/([^/]+)/"
      assert(path == "core/main.c" or FLOORS[room], path .. " lies in no room")
    end
  end)

  it("include only themselves and the floors below", function()
    local breaches = {}
    for _, path in ipairs(SOURCES) do
      local room = path:match "^core/([^/]+)/"
      local below = room and set(FLOORS[room])
      for kind, name in includes(path) do
        local other = kind == '"' and name:match "^([^/]+)/"
        if kind == '"' and not other then
          breaches[#breaches + 1] = ("%s includes %s without its room"):format(path, name)
        elseif other and room and other ~= room and not below[other] then
          breaches[#breaches + 1] = ("%s (%s) includes %s"):format(path, room, name)
        end
      end
    end
    assert.same({}, breaches)
  end)

  it("keep each library where it belongs", function()
    local breaches = {}
    for _, path in ipairs(SOURCES) do
      for _, name in includes(path) do
        for _, library in ipairs(LIBRARIES) do
          if name:match(library.header) and not allowed_place(path, library.places) then
            breaches[#breaches + 1] = ("%s includes %s"):format(path, name)
          end
        end
      end
    end
    assert.same({}, breaches)
  end)

  it("open each header with what it owns, is fed by, feeds and must not know", function()
    local breaches = {}
    for _, path in ipairs(tree.matching("core", "%.h$")) do
      local opening = tree.read(path):match "^/%*(.-)%*/" or ""
      for _, word in ipairs { path:match "[^/]+$" .. " - ", "\n * Owns ", "\n * Fed by ", "\n * Feeds ", "\n * Must not know " } do
        if not opening:find(word, 1, true) then
          breaches[#breaches + 1] = ("%s lacks a line %q at its top"):format(path, word)
        end
      end
    end
    assert.same({}, breaches)
  end)

  it("guard each header by its own path", function()
    local breaches = {}
    for _, path in ipairs(tree.matching("core", "%.h$")) do
      local guard = "PERILUNE_" .. path:match("^core/(.*)$"):gsub("[^%w]", "_"):upper()
      if not tree.read(path):find("#ifndef " .. guard .. "\n#define " .. guard .. "\n", 1, true) then
        breaches[#breaches + 1] = path .. " wants the guard " .. guard
      end
    end
    assert.same({}, breaches)
  end)

  it("name structs by struct, not by typedef", function()
    local breaches = {}
    for _, path in ipairs(SOURCES) do
      if tree.read(path):find "typedef%s+struct" then
        breaches[#breaches + 1] = path
      end
    end
    assert.same({}, breaches)
  end)
end)

describe("the Lua library", function()
  -- What a file may require, by where it lies.
  local RULES = {
    { place = "^policies/", names = { "^lib%.", "^lib/", "^[%w_]+$" }, not_names = { "^io$", "^os$", "^ffi$", "^jit$", "^debug$" } },
    { place = "^providers/", names = { "^perilune%." } },
    { place = "^lua/perilune/", names = { "^perilune%.", "^cjson$", "^bit$", "^table%.new$" }, but = "^lua/perilune/spec/" },
    -- The kit never runs in the gateway: `perilune test` has busted and what that brings along, and counts lines.
    { place = "^lua/perilune/spec/", names = { "^perilune%.", "^busted%.", "^pl%.", "^jit$", "^jit%.util$" } },
  }

  local function fits(name, patterns)
    for _, pattern in ipairs(patterns or {}) do
      if name:match(pattern) then
        return true
      end
    end
    return false
  end

  it("requires nothing but itself, and JSON", function()
    local breaches = {}
    for _, rule in ipairs(RULES) do
      for _, path in ipairs(tree.matching(rule.place:match "^%^([^/]+)", "%.lua$")) do
        local code = tree.read(path):gsub("%-%-[^\n]*", "")
        -- Where a value is wanted: the word inside a message is none.
        for name in code:gmatch "[=(n]%s*require%s*%(?%s*[\"']([^\"']+)[\"']" do
          local here = path:match(rule.place) and not (rule.but and path:match(rule.but))
          if here and (not fits(name, rule.names) or fits(name, rule.not_names)) then
            breaches[#breaches + 1] = ("%s requires %s"):format(path, name)
          end
        end
      end
    end
    assert.same({}, breaches)
  end)

  it("keeps dialects pure: no files, no clock, no globals", function()
    local breaches = {}
    for _, path in ipairs(tree.matching("lua/perilune/dialects", "%.lua$")) do
      for line in tree.read(path):gmatch "[^\n]+" do
        local code = line:gsub("%-%-.*$", "")
        if code:find "%f[%w_]io%." or code:find "%f[%w_]os%." or code:find "%f[%w_]_G%f[^%w_]" then
          breaches[#breaches + 1] = path .. ": " .. line
        end
      end
    end
    assert.same({}, breaches)
  end)
end)
