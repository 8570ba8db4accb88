-- docs/guide.md, followed by a reader with the mock and the real binary: what it says comes back does come back. So does the answer
-- README.md shows.
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local mock = require "support.mock"
local page = require "support.page"
local process = require "support.process"
local tree = require "support.tree"

local GUIDE = tree.read "docs/guide.md"
local MOCK = "http://127.0.0.1:4199"

-- The page's sections with their blocks, in order: { title =, { text =, line = }, ... }.
local function sections()
  local out, line, block = { { title = "" } }, 0, nil
  for text in GUIDE:gmatch "(.-)\n" do
    line = line + 1
    if block and text == "```" then
      block.text = table.concat(block, "\n") .. "\n"
      table.insert(out[#out], block)
      block = nil
    elseif block then
      block[#block + 1] = text
    elseif text:find "^```" then
      block = { line = line + 1, kind = text:sub(4) }
    elseif text:find "^## " then
      out[#out + 1] = { title = text:sub(4) }
    end
  end
  return out
end

local function path_of(block)
  return block.kind == "lua" and block.text:match "^%-%- (policies/[%w_]+%.lua)\n"
end

local function is_session(block)
  return block.kind == "" and block.text:find "^[$#] "
end

-- A gateway that is configured as the guide says, but for its ports and those of the mock.
local function follow(upstream)
  local text = page.files(GUIDE)["perilune.lua"]:gsub(MOCK:gsub("%p", "%%%0"), "http://127.0.0.1:" .. upstream.port)
  local house = gateway.start { providers = { none = gateway.provider(upstream:url()) } }
  local own = ('listen = "127.0.0.1:%d", admin = "127.0.0.1:%d", workers = 1, data_dir = "state",'):format(house.port, house.admin_port)
  text = text:gsub("\nreturn {\n", "%0  " .. own .. "\n")
  local function save()
    process.write(house.dir .. "/perilune.lua", text)
    local _, output = house:command "reload"
    return output
  end
  -- What stands behind a "#": `anthropic: mock "slow=150"`, a provider's base_url, or a setting of its own.
  local function change(what)
    local provider, words = what:match '^(%w+): mock "(.-)"$'
    local n
    if provider then
      text, n = text:gsub("(" .. provider .. " = { base_url = mock)%b()", ('%%1("%s")'):format(words))
    else
      text, n = text:gsub("\n  providers = ", "\n  " .. what .. ",%0")
    end
    assert.equal(1, n, what)
    save()
  end
  return house, save, change
end

local function ask(house, policy, arguments)
  local headers = { ["x-route-trace"] = "1" }
  for name, value in arguments:gmatch "%-H '([%w-]+): (.-)'" do
    headers[name] = value
  end
  local answer = http.post(house.port, "/v1/chat/completions", {
    model = "policy/" .. policy, messages = { { role = "user", content = "Hello" } },
  }, headers)
  return answer.raw .. answer.body
end

-- What a command of a session prints.
local function run(house, command)
  local policy, arguments = command:match "^ask ([%w_]+)(.*)$"
  if policy then
    return ask(house, policy, arguments)
  elseif command:find "^perilune " then
    local _, output = house:command(command:match "^perilune (%w+)$")
    return output
  end
  local numbers, body = command:match "^for n in ([%d ]+); do (.*); done$"
  assert(numbers, "a spec does not know how to type: " .. command)
  for _ in numbers:gmatch "%d+" do
    run(house, body)
  end
  return ""
end

-- Whether some line of the output is that one, in which "..." stands for anything.
local function has_line(output, shown)
  local pattern = "^" .. shown:gsub("%.%.%.", "\1"):gsub("[%p]", "%%%0"):gsub("\1", ".-") .. "$"
  for line in (output .. "\n"):gmatch "(.-)\r?\n" do
    if line:find(pattern) then
      return true
    end
  end
  return false
end

local function type_session(block, house, change)
  local output
  for line in block.text:gmatch "(.-)\n" do
    if line:find "^# " then
      change(line:sub(3))
    elseif line:find "^%$ " then
      output = run(house, line:sub(3))
    else
      assert(output and has_line(output, line), ("line %d ff.: there is no\n%s\nin\n%s"):format(block.line, line, tostring(output)))
    end
  end
end

local function read_log(block, house)
  for line in block.text:gmatch "(.-)\n" do
    loop.until_true(function()
      return has_line(house.process.output, line)
    end, ("%s\nin the log, which is:\n%s"):format(line, house.process.output))
  end
end

describe("docs/guide.md", function()
  local n = 0

  for _, section in ipairs(sections()) do
    local typed = false
    for _, block in ipairs(section) do
      typed = typed or is_session(block)
    end
    if typed then
      n = n + 1
      it("shows what comes back: " .. section.title, loop.test(function()
        local upstream = mock.start()
        local house, save, change = follow(upstream)
        for _, block in ipairs(section) do
          local path = path_of(block)
          if path then
            process.write(house.dir .. "/" .. path, block.text)
          elseif is_session(block) then
            save()
            type_session(block, house, change)
          elseif block.kind == "log" then
            read_log(block, house)
          end
        end
        house:stop()
        upstream:stop()
      end))
    end
  end

  it("has ten steps, and what becomes of mistakes", function()
    assert.equal(11, n)
  end)
end)

describe("README.md", function()
  it("shows the version of auto that answers", loop.test(function()
    local upstream = mock.start()
    local house = gateway.start { providers = { a = upstream:provider() } }
    local answer = house:chat { model = "auto" }
    assert.equal(tree.read("README.md"):match "x%-route%-policy: (auto@%x+)", answer.headers["x-route-policy"])
    house:stop()
    upstream:stop()
  end))
end)
