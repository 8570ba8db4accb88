-- What docs/operations.md says of backups: taken while it runs, put back, and what is there then.
local gateway = require "support.gateway"
local ledger = require "support.ledger"
local loop = require "support.loop"
local mock = require "support.mock"
local process = require "support.process"

local PRICED = { models = { { name = "m", price = { input = 1, output = 2 }, context = 100000, max_output = 100 } } }

-- What `sqlite3 FILE ".backup COPY"` does.
local BACKUP = [[
import sqlite3, sys
base, copy = sqlite3.connect(sys.argv[1]), sqlite3.connect(sys.argv[2])
base.backup(copy)
copy.close()
]]

describe("a backup", function()
  local up, house, secret

  before_each(loop.test(function()
    up = mock.start()
    house = gateway.start {
      providers = { b = up:provider(nil, PRICED) }, policies = { there = "return function() return { 'b/m' } end" },
      config = { policies = { default = "there" } },
    }
    local code, output = process.run({ "sh", "-c", '"$0" keys make --name ada 2>said', process.binary() }, { dir = house.dir })
    assert.equal(0, code, output)
    secret = output:match "%S+"
  end))
  after_each(loop.test(function()
    house:stop()
    up:stop()
  end))

  local function status()
    return house:chat({ headers = { authorization = "Bearer " .. secret } }).status
  end

  local function recorded(n)
    loop.until_true(function()
      return ledger.value(house, "SELECT count(*) FROM requests WHERE outcome = 0") == n
    end, n .. " requests in the ledger")
  end

  local function shell(command)
    local code, output = process.run({ "sh", "-euc", command }, { dir = house.dir })
    assert.equal(0, code, output)
  end

  local function take()
    for _, name in ipairs { "ledger.db", "keys.db" } do
      local code, output = process.run({ "python3", "-c", BACKUP, "state/" .. name, name .. ".copy" }, { dir = house.dir })
      assert.equal(0, code, output)
    end
  end

  -- Ends the gateway, changes its state folder and starts it again.
  local function restart_after(command)
    house.process:stop()
    shell("cd state; " .. command)
    house:launch {}
  end

  it("that was taken while it ran has the keys and all that was recorded by then", loop.test(function()
    for _ = 1, 3 do
      assert.equal(200, status())
    end
    recorded(3)
    take()
    assert.equal(200, status())
    restart_after "rm ledger.db* keys.db*; mv ../ledger.db.copy ledger.db; mv ../keys.db.copy keys.db; chmod 600 *.db"
    recorded(3)
    assert.equal(200, status())
    recorded(4)
  end))

  it("is of no use to keys without the pepper", loop.test(function()
    take()
    restart_after "rm keys.db* pepper; mv ../keys.db.copy keys.db; chmod 600 keys.db"
    assert.equal(401, status())
  end))

  it("can be missing for the ledger, which is begun anew then; keys stay", loop.test(function()
    assert.equal(200, status())
    recorded(1)
    restart_after "rm ledger.db*"
    assert.equal(200, status())
    recorded(1)
  end))
end)
