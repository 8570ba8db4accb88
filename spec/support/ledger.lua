--- The ledger of a gateway, read by somebody else: plain SQL over its file, and sums that are counted again here.
--
--   ledger.rows(house, "SELECT id, cost FROM requests")   -- { { "01M8...", 1450 }, ... }
local http = require "support.http"
local process = require "support.process"

local M = {}

local READ = [[
import json, sqlite3, sys
base = sqlite3.connect("file:" + sys.argv[1] + "?mode=ro", uri=True, timeout=10)
print(json.dumps(base.execute(sys.argv[2]).fetchall()))
]]

--- All rows of a query; NULL is http.null.
function M.rows(house, sql)
  local code, output = process.run({ "python3", "-c", READ, house.dir .. "/state/ledger.db", sql }, { dir = house.dir })
  assert(code == 0, output)
  return assert(http.json(output), output)
end

--- The one value of a query.
function M.value(house, sql)
  return M.rows(house, sql)[1][1]
end

--- What so many tokens cost in nano-dollars, at dollars a million: rounded up once, as the ledger does.
function M.cost(price, input, output)
  return math.ceil((input * price.input * 1e9 + output * price.output * 1e9) / 1e6)
end

return M
