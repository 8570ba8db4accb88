--- What `perilune test` runs, in plain LuaJIT: busted over a user's specs, with the library in its path.
---
---   luajit main.lua [--json] [--filter PATTERN] [--coverage] [--fail-under PERCENT] [FILE|FOLDER]...
local coverage = require "perilune.spec.coverage"
local json = require "perilune.json"

local OK, FINDINGS, UNREACHABLE = 0, 1, 3

local function complain(message)
  io.stderr:write("perilune test: ", message, "\n")
  os.exit(UNREACHABLE)
end

-- The options are known to be right: the command line reads them first.
local function options_of(words)
  local options, k = { roots = {} }, 1
  while words[k] do
    local word = words[k]
    if word == "--json" or word == "--coverage" then
      options[word:sub(3)] = true
    elseif word == "--filter" or word == "--fail-under" then
      k = k + 1
      options[word:sub(3)] = words[k]
    else
      table.insert(options.roots, word)
    end
    k = k + 1
  end
  if not options.roots[1] then
    options.roots[1] = "spec"
  end
  options.least = tonumber(options["fail-under"])
  options.coverage = options.coverage or options.least ~= nil
  return options
end

local function read(path)
  local file = io.open(path, "rb")
  local text = file and file:read "*a"
  if file then
    file:close()
  end
  return text
end

-- The policies of this folder, whether a spec loads them or not.
local function policies()
  local list = {}
  if require("pl.path").isdir "policies" then
    for _, path in ipairs(require("pl.dir").getallfiles("policies", "*.lua")) do
      list[#list + 1] = coverage.path_of("@" .. path)
    end
  end
  return list
end

-- What busted is asked to do, as its own command line has it; a .busted file says the rest. This is the interpreter it may ask for.
local function words_of(options)
  local words = { [0] = "busted", "--pattern=_spec%.lua$", "--no-coverage", "--ignore-lua" }
  if options.json then
    table.insert(words, "--output=perilune.spec.report")
  end
  if options.filter then
    table.insert(words, "--filter=" .. options.filter)
  end
  for _, root in ipairs(options.roots) do
    table.insert(words, root)
  end
  return words
end

local encode

local function encode_object(value)
  local names, out = {}, {}
  for name in pairs(value) do
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    json.put(out, name, encode(value[name], name))
  end
  return json.object(out)
end

local LISTS = { failures = true, problems = true, coverage = true, missed = true }

function encode(value, name)
  if type(value) ~= "table" then
    return (assert(json.encode(value)))
  elseif not LISTS[name] then
    return encode_object(value)
  end
  local out = {}
  for k, item in ipairs(value) do
    out[k] = encode(item)
  end
  return json.array(out)
end

-- Listens to what comes out, whichever of its outputs busted shows it with: returns what tells how many specs there were; nil when the
-- output is one of the user's own that counts nothing.
local function counter()
  local name, kept = "busted.outputHandlers.base", nil
  local base = require(name)
  package.loaded[name] = function()
    kept = base()
    return kept
  end
  return function()
    return kept and #kept.successes + #kept.failures + #kept.errors + #kept.pendings
  end
end

-- Specs that nobody ran hold nothing.
local function complain_of_none(options)
  io.stderr:write("perilune test: ", options.filter and ('no spec matches "%s"'):format(options.filter)
    or "there is no spec in " .. table.concat(options.roots, " "), "\n")
end

-- Says what came out; returns the exit code.
local function finish(options, passed, count)
  if count == 0 then
    complain_of_none(options)
    passed = false
  end
  local list = options.coverage and coverage.report(policies(), read)
  local percent = list and coverage.percent(list)
  local enough = not options.least or percent >= options.least
  local ok = passed and enough
  if options.json then
    local result = package.loaded["perilune.spec.result"]()
    result.ok, result.coverage, result.percent = ok, list or nil, percent or nil
    io.stdout:write(encode(result), "\n")
  elseif list then
    io.stdout:write("\n", coverage.text(list))
    if not enough then
      io.stdout:write(("less than %g%% of the lines of policies have run\n"):format(options.least))
    end
  end
  return ok and OK or FINDINGS
end

local function main(words)
  local options = options_of(words)
  for _, root in ipairs(options.roots) do
    if not io.open(root) then
      complain(("there is no %s; `perilune init` writes a policy with its spec"):format(root))
    end
  end
  local there, compatibility = pcall(require, "busted.compatibility")
  if not there then
    complain "busted is missing; it is installed by: sudo apt-get install lua-busted luajit lua-cjson"
  end
  local passed = true
  compatibility.exit = function()
    passed = false
    error(passed, 0) -- out of busted's runner, to finish()
  end
  if options.coverage then
    coverage.start()
  end
  local count = counter()
  arg = words_of(options) -- luacheck: globals arg
  local ok, why = pcall(function()
    require "busted.runner" { standalone = false }
  end)
  coverage.stop()
  if not ok and passed then
    complain(tostring(why))
  end
  os.exit(finish(options, passed, count()), true)
end

main(arg)
