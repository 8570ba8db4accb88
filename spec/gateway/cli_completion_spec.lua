-- What a shell completes, asked of a real bash; the manual page; and that README lists what there is.
local gateway = require "support.gateway"
local loop = require "support.loop"
local process = require "support.process"
local tree = require "support.tree"

describe("completion", function()
  local dir

  setup(loop.test(function()
    dir = process.folder()
    local _, script = gateway.command { args = { "completion", "bash" } }
    process.write(dir .. "/perilune.bash", script)
  end))
  teardown(function()
    process.remove(dir)
  end)

  -- What bash offers in the place of the last of these words.
  local function offers(...)
    local words = { "perilune", ... }
    local command = ('. ./perilune.bash; COMP_WORDS=("$@"); COMP_CWORD=%d; _perilune; printf "%%s\\n" "${COMPREPLY[@]}"'):format(#words - 1)
    local code, output = process.run({ "bash", "-c", command, "bash", unpack(words) }, { dir = dir })
    assert.equal(0, code, output)
    local all = {}
    for word in output:gmatch "[^\n]+" do
      all[#all + 1] = word
    end
    return all
  end

  it("completes commands", loop.test(function()
    assert.same({ "replay", "reload" }, offers "re")
    assert.same({ "--help" }, offers "--h")
    assert.same({ "usage" }, offers("help", "us"))
  end))

  it("completes options, and words that are chosen", loop.test(function()
    assert.same({ "--by", "--by-day" }, offers("usage", "--by"))
    assert.same({ "project", "provider" }, offers("usage", "--by", "pro"))
    assert.same({ "make" }, offers("keys", "m"))
    assert.same({ "policy", "tier", "models" }, offers("keys", "make", "--grant", ""))
    assert.same({ "statement" }, offers("usage", "s"))
  end))

  it("leaves files to the shell", loop.test(function()
    assert.same({}, offers("run", "--config", ""))
    assert.same({}, offers("run", "-c", "peri"))
  end))

  it("is there for three shells", loop.test(function()
    for _, shell in ipairs { "bash", "zsh", "fish" } do
      assert.equal(0, (gateway.command { args = { "completion", shell } }))
    end
    local code, output = gateway.command { args = { "completion", "tcsh" } }
    assert.equal(2, code)
    assert.is_truthy(output:find("expected bash, zsh or fish", 1, true))
  end))
end)

describe("the manual page", function()
  it("is printed", loop.test(function()
    local code, output = gateway.command { args = { "help", "--man" } }
    assert.equal(0, code)
    assert.matches('^%.TH PERILUNE 1 "" "perilune %d+%.%d+%.%d+"\n', output)
    assert.is_truthy(output:find("\n.SS usage\n", 1, true))
  end))
end)

describe("the page on operations", function()
  it("says nothing that can not be typed", loop.test(function()
    local n = 0
    for line in tree.read("docs/operations.md"):gmatch "\n(perilune [^\n]+)" do
      local code, output = process.run({ "sh", "-c", process.binary() .. line:match("^perilune( [^|>#]+)") .. " --help" }, { dir = "/" })
      assert.equal(0, code, line .. "\n" .. output)
      n = n + 1
    end
    assert.is_true(n > 10)
  end))
end)

describe("README", function()
  it("lists every command there is, and none else", loop.test(function()
    local listed, there = {}, {}
    for name in tree.read("README.md"):gmatch "\n| `perilune ([%l]+)[^|]*` |" do
      listed[name] = true
    end
    local _, help = gateway.command { args = { "help" } }
    for name in help:gmatch "\n  (%l+) +%l" do
      there[name] = true
    end
    assert.same(there, listed)
  end))
end)
