-- `perilune init`: what it writes passes `check`, `test` and luacheck at once, and what is there stays.
local http = require "support.http"
local loop = require "support.loop"
local port = require "support.port"
local process = require "support.process"

local FILES = {
  "perilune.lua", "policies/starter.lua", "spec/starter_spec.lua", ".busted", ".luacheckrc", ".luarc.json", "library/perilune.lua",
}

local function read(path)
  local file = io.open(path)
  local text = file and file:read "*a"
  if file then
    file:close()
  end
  return text
end

describe("perilune init", function()
  local dir

  before_each(function()
    dir = process.folder()
  end)
  after_each(function()
    process.remove(dir)
  end)

  local function run(...)
    return process.run({ process.binary(), ... }, { dir = dir, env = { XDG_CACHE_HOME = dir .. "/cache" } })
  end

  it("writes a folder that is sound", loop.test(function()
    local code, output = run "init"
    assert.equal(0, code, output)
    for _, path in ipairs(FILES) do
      assert.is_truthy(read(dir .. "/" .. path), path)
    end
    code, output = run "check"
    assert.equal(0, code, output)
    code, output = process.run({ "luacheck", "--quiet", "." }, { dir = dir })
    assert.equal(0, code, output)
    code, output = run("test", "--fail-under", "100")
    assert.equal(0, code, output)
  end))

  it("says what to type, which leads to an answer", function()
    if not (port.is_free(4100) and port.is_free(4101) and port.is_free(4199)) then
      pending "port 4100, 4101 or 4199 is in use here"
    end
    loop.run(function()
      local _, output = run "init"
      local started = {}
      for word, behind in output:match("\nNext:\n(.*)$"):gmatch "\n  perilune (%l+)([^\n]*)" do
        if behind:find "^ &" or word == "run" then
          local one = process.start({ process.binary(), word }, { dir = dir })
          started[#started + 1] = one
          loop.until_true(function()
            return one.output:find("listening on", 1, true)
          end, word .. " to listen")
        else
          local code, said = run(word)
          assert.equal(0, code, said)
        end
      end
      local answer = http.post(4100, "/v1/chat/completions", { model = "auto", messages = { { role = "user", content = "Hello" } } })
      assert.equal(200, answer.status, answer.body)
      for i = #started, 1, -1 do
        started[i]:stop()
      end
    end)
  end)

  it("leaves alone what is there", loop.test(function()
    process.write(dir .. "/perilune.lua", "return {}")
    local code, output = run "init"
    assert.equal(0, code)
    assert.is_truthy(output:find("left  ./perilune.lua", 1, true), output)
    assert.equal("return {}", read(dir .. "/perilune.lua"))
    assert.is_truthy(output:find("wrote ./policies/starter.lua", 1, true), output)
  end))

  it("calls the policy as it is told, in a folder of its own", loop.test(function()
    assert.equal(0, (run("init", "new/one", "--policy", "mine")))
    assert.is_truthy(read(dir .. "/new/one/policies/mine.lua"))
    assert.is_truthy(read(dir .. "/new/one/spec/mine_spec.lua"):find('spec.route("mine"', 1, true))
    assert.is_truthy(read(dir .. "/new/one/perilune.lua"):find('default = "mine"', 1, true))
    assert.equal(2, (run("init", "--policy", "../mine")))
  end))

  it("lets luacheck and editors know what the sandbox gives", function()
    local names = {}
    setfenv(assert(loadfile "templates/luacheckrc.lua"), setmetatable(names, { __index = { stds = {}, files = {} } }))()
    local own = {}
    setfenv(assert(loadfile ".luacheckrc"), setmetatable(own, { __index = { stds = {}, files = {} } }))()
    assert.same(getmetatable(own).__index.stds.policy, getmetatable(names).__index.stds.policy)
  end)
end)
