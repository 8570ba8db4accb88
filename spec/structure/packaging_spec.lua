-- The image, the package and the service speak of the same files, and of files that are there.
local lfs = require "lfs"
local tree = require "support.tree"

-- The instructions of a Dockerfile as { "COPY", "a b" }, lines that go on joined.
local function instructions(path)
  local found = {}
  for line in tree.read(path):gsub("\\\n%s*", ""):gmatch "[^\n]+" do
    local word, rest = line:match "^([A-Z]+) (.*)$"
    if word then
      found[#found + 1] = { word, rest }
    end
  end
  return found
end

local function last(list, word)
  local value
  for _, entry in ipairs(list) do
    value = entry[1] == word and entry[2] or value
  end
  return value
end

describe("the Dockerfile", function()
  local all = instructions "Dockerfile"

  it("copies what is there", function()
    local n = 0
    for _, entry in ipairs(all) do
      local from = entry[1] == "COPY" and not entry[2]:find("--from=", 1, true) and entry[2]:match "^(%S+) %S+$"
      if from then
        n = n + 1
        assert.is_truthy(lfs.attributes(from, "mode"), from)
      end
    end
    assert.is_true(n > 0)
  end)

  it("installs what tools/setup and the package name, and nothing by a name of its own", function()
    local installs = {}
    for _, entry in ipairs(all) do
      for words in (entry[1] == "RUN" and entry[2] or ""):gmatch "install %-y ([^&]+)" do
        installs[#installs + 1] = words:match "^(.-)%s*$"
      end
    end
    assert.same({ "--no-install-recommends /tmp/perilune_*.deb" }, installs)
    assert.is_truthy(tree.read("Dockerfile"):find("RUN tools/setup run deb\n", 1, true))
  end)

  it("is of one Debian, does not run as root, keeps its state outside, and is asked how it is", function()
    for _, entry in ipairs(all) do
      if entry[1] == "FROM" then
        assert.equal("debian:12-slim", entry[2]:match "^%S+")
      end
    end
    assert.equal("4100:4100", last(all, "USER")) -- by number: clusters that want nobody to be root can tell
    assert.equal("/var/lib/perilune", last(all, "VOLUME"))
    assert.equal('["perilune"]', last(all, "ENTRYPOINT"))
    assert.is_truthy(last(all, "HEALTHCHECK"):find('CMD ["perilune", "status"]', 1, true))
  end)

  it("takes no commit and no build of the machine along", function()
    local ignored = "\n" .. tree.read ".dockerignore"
    for _, name in ipairs { ".git", "build", "build-*", "**/node_modules", "**/venv" } do
      assert.is_truthy(ignored:find("\n" .. name .. "\n", 1, true), name)
    end
  end)
end)

describe("the package", function()
  local script = tree.read "tools/deb"

  it("holds all there is of it, and nothing else", function()
    local named = {}
    for path in script:gmatch "packaging/[%w/._-]+" do
      assert.is_true(tree.exists(path), path)
      named[path] = true
    end
    for _, path in ipairs(tree.files "packaging") do
      assert.is_true(named[path], path)
    end
  end)

  it("starts what it installs, where it installs it, with the state where the command line looks for it", function()
    local service = tree.read "packaging/perilune.service"
    assert.is_truthy(service:find("\nExecStart=/usr/bin/perilune run\n", 1, true))
    assert.is_truthy(service:find("\nWorkingDirectory=/etc/perilune\n", 1, true))
    assert.is_truthy(service:find("\nEnvironmentFile=-/etc/perilune/environment\n", 1, true))
    assert.is_truthy(script:find('packaging/environment -t "$root/etc/perilune"', 1, true))
    assert.is_truthy(service:find("XDG_STATE_HOME=/var/lib ", 1, true))
    assert.is_truthy(service:find("\nStateDirectory=perilune\n", 1, true))
  end)

  it("gives requests under way longer than they have", function()
    local drain_ms = tonumber(tree.read("docs/configuration.md"):match "`timeouts.drain_ms` | (%d+)")
    local stop_s = tonumber(tree.read("packaging/perilune.service"):match "\nTimeoutStopSec=(%d+)")
    assert.is_true(stop_s * 1000 > drain_ms)
  end)
end)
