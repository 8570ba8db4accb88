-- docs/errors.md lists every code there is, with the statuses and types that clients get.
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local tree = require "support.tree"

local PAGE = tree.read "docs/errors.md"

-- The rows of the table under a heading whose first cell is a code, as lists of cells without their quotes.
local function rows(heading)
  local found = {}
  local section = assert((PAGE .. "\n## "):match("\n## " .. heading .. "\n(.-)\n## "), heading)
  for line in section:gmatch "[^\n]+" do
    if line:match "^| `" then
      local row = {}
      for cell in line:gmatch "| ([^|]*)" do
        row[#row + 1] = (cell:gsub("[`%s]*$", ""):gsub("^`", ""))
      end
      found[#found + 1] = row
    end
  end
  return found
end

-- "code status" of each line of a C table whose lines are `[NAME] = { "code", status }`.
local function table_of(path)
  local found = {}
  for code, status in tree.read(path):gmatch '%[[A-Z_]+%] = { "([a-z_]+)", (%d+) }' do
    found[#found + 1] = code .. " " .. status
  end
  table.sort(found)
  assert.is_true(#found > 10, path)
  return found
end

local function listed(heading)
  local found = {}
  for i, row in ipairs(rows(heading)) do
    found[i] = row[1] .. " " .. row[2]
  end
  table.sort(found)
  return found
end

-- What the libraries retry, unless they are told not to (x-should-retry).
local function is_retried(status)
  return status == 408 or status == 409 or status == 429 or status >= 500
end

-- Codes that come after an attempt, in the middle of a stream, or with x-should-retry of their own.
local NOT_AGAIN = { fallbacks_exhausted = true, deadline_exceeded = true, upstream_stream_interrupted = true, conflict = true }

describe("docs/errors.md", function()
  it("has each code of the data side with its status, and no other", function()
    assert.same(table_of "core/route/error.c", listed "Codes")
  end)

  it("has each code of the admin side with its status, and no other", function()
    assert.same(table_of "core/admin/api.c", listed "On the admin side")
  end)

  it("says of each code when it comes and what to do", function()
    local codes, told = {}, {}
    for _, row in ipairs(rows "Codes") do
      codes[row[1]] = true
    end
    for _, row in ipairs(rows "When, and what to do") do
      told[row[1]] = true
      assert.is_true(#row[3] > 0, row[1])
    end
    assert.same(codes, told)
  end)

  it("says what libraries do upon each status", function()
    for _, row in ipairs(rows "Codes") do
      local expected = is_retried(tonumber(row[2])) and not NOT_AGAIN[row[1]]
      assert.equal(expected and "yes" or "no", row[5], row[1])
    end
  end)

  it("has the types that clients of both dialects get", loop.test(function()
    local house = gateway.start {
      providers = { a = gateway.provider "http://127.0.0.1:1/v1" },
      policies = { refuses = "return function(req) return nil, { status = tonumber(req.session), message = 'no' } end" },
    }
    local body = { model = "m", max_tokens = 1, messages = { { role = "user", content = "hello" } } }
    local function type_of(path, status)
      local answer = http.post(house.port, path, body, { ["x-route-policy"] = "refuses", ["x-route-session"] = status })
      assert.equal(tonumber(status), answer.status, answer.body)
      return answer.json.error.type
    end
    for _, row in ipairs(rows "Codes") do
      if row[1] ~= "upstream_stream_interrupted" then -- has a type of its own, and no head
        assert.equal(row[3], type_of("/v1/chat/completions", row[2]), row[1])
      end
      assert.equal(row[4], type_of("/v1/messages", row[2]), row[1])
    end
    house:stop()
  end))
end)
