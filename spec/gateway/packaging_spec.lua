-- What `make install` installs, and the configuration that comes with the package and the image.
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local port = require "support.port"
local process = require "support.process"
local tree = require "support.tree"

local CONFIG = tree.read "packaging/perilune.lua"

describe("what is installed", function()
  it("is the binary, its manual page, and what three shells complete by", loop.test(function()
    local dir = process.folder()
    local build = process.binary():match "^(.*)/[^/]+$"
    local code, output = process.run({ "cmake", "--install", build, "--prefix", "/opt" }, { dir = dir, env = { DESTDIR = dir } })
    assert.equal(0, code, output)
    local version = tree.read(dir .. "/opt/share/man/man1/perilune.1"):match '^%.TH PERILUNE 1 "" "(perilune [%d.]+)"'
    code, output = process.run({ dir .. "/opt/bin/perilune", "version" }, { dir = dir })
    assert.equal(0, code, output)
    assert.equal(version, output:match "^perilune [%d.]+")
    for path, words in pairs {
      ["bash-completion/completions/perilune"] = "complete ", ["zsh/site-functions/_perilune"] = "#compdef perilune",
      ["fish/vendor_completions.d/perilune.fish"] = "complete -c perilune",
    } do
      assert.is_truthy(tree.read(dir .. "/opt/share/" .. path):find(words, 1, true), path)
    end
    process.remove(dir)
  end))
end)

describe("the configuration of packages", function()
  it("is a good one as soon as there is a provider's key, and names the variables before", loop.test(function()
    local code, output = gateway.command { config = CONFIG, args = { "check" }, env = { OPENAI_API_KEY = "sk-test" } }
    assert.equal(0, code, output)
    code, output = gateway.command { config = CONFIG, args = { "run" } }
    assert.equal(4, code, output)
    assert.is_truthy(output:find("OPENAI_API_KEY", 1, true), output)
  end))

  it("takes its addresses from the environment; others than this machine are let in with a key alone", loop.test(function()
    local dir, listen, admin = process.folder(), port.free(), port.free()
    process.write(dir .. "/perilune.lua", CONFIG)
    local running = process.start({ process.binary(), "run" }, { dir = dir, env = {
      OPENAI_API_KEY = "sk-test", PERILUNE_API_KEY = "a-key-of-the-operator", XDG_STATE_HOME = dir .. "/state",
      PERILUNE_LISTEN = "0.0.0.0:" .. listen, PERILUNE_ADMIN = "127.0.0.1:" .. admin,
    } })
    loop.until_true(function()
      assert(running:running(), running.output)
      return running.output:find("Try it", 1, true)
    end, "the gateway")
    assert.equal(401, http.exchange(listen, { method = "GET", path = "/v1/models" }).status)
    local known = { authorization = "Bearer a-key-of-the-operator" }
    assert.equal(200, http.exchange(listen, { method = "GET", path = "/v1/models", headers = known }).status)
    -- As the image asks whether it is well.
    local env = { OPENAI_API_KEY = "sk-test", XDG_STATE_HOME = dir .. "/state" }
    local code, output = process.run({ process.binary(), "status" }, { dir = dir, env = env })
    assert.equal(0, code, output)
    running:stop()
    process.remove(dir)
  end))
end)
