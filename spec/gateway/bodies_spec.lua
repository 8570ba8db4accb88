-- Prompts and answers are kept for a project that says so, cut and cleaned as it says, and for nobody else.
local gateway = require "support.gateway"
local ledger = require "support.ledger"
local loop = require "support.loop"
local upstream = require "support.upstream"

describe("what is kept of prompts and answers", function()
  local up, house

  setup(loop.test(function()
    up = upstream.start(function(peer, request)
      if request.json.stream then
        local events = upstream.chunk '{"content":"mail ann@example.com "}' .. upstream.chunk("{}", '"stop"') .. "data: [DONE]\n\n"
        return peer:send(upstream.answer(200, events, { ["content-type"] = "text/event-stream" }))
      end
      peer:send(upstream.answer(200, upstream.completion(("long "):rep(400))))
    end)
    house = gateway.start {
      providers = { up = gateway.provider(up.url) },
      config = {
        client_keys = { { secret = "s-kept", id = "kept", project = "kept" }, { secret = "s-not", id = "not" } },
        projects = { kept = { bodies = { max_bytes = 1000, retention_days = 2, redact = true } } },
      },
    }
  end))

  teardown(loop.test(function()
    house:stop()
    up:close()
  end))

  local function parts(id)
    return loop.until_true(function()
      local rows = ledger.rows(house,
        ("SELECT part, cut, CAST(bytes AS TEXT), until / 1000000 FROM bodies WHERE request = '%s' ORDER BY part"):format(id))
      return #rows == 2 and rows
    end, "both parts of " .. id)
  end

  it("has secrets taken out, and an end", loop.test(function()
    local got = house:stream {
      headers = { authorization = "Bearer s-kept" },
      messages = { { role = "user", content = "I am bob@example.com, card 4111 1111 1111 1111" } },
    }
    local rows = parts(got.headers["x-request-id"])
    assert.matches("I am [email], card [card]", rows[1][3], 1, true)
    assert.matches("mail [email]", rows[2][3], 1, true)
    assert.equal(0, rows[1][2])
    assert.is_true(math.abs(rows[1][4] - os.time() - 2 * 86400) < 60)
  end))

  it("is cut where it is too long", loop.test(function()
    local got = house:chat { headers = { authorization = "Bearer s-kept" } }
    local rows = parts(got.headers["x-request-id"])
    assert.equal(1000, #rows[2][3])
    assert.equal(1, rows[2][2])
  end))

  it("has no half of a secret at its end", loop.test(function()
    -- 5096 bytes are looked at: ten of them are of a key that goes on behind. All the others become short.
    local before = '{"model":"m","messages":[{"role":"user","content":"'
    local key = "sk-" .. ("Ab0"):rep(65) .. ". "
    local raw = before .. ("."):rep((5096 - 10 - #before) % #key) .. key:rep(50) .. '"}]}'
    assert.equal("sk-Ab0Ab0A", raw:sub(5087, 5096))
    local got = house:chat { headers = { authorization = "Bearer s-kept" }, raw = raw }
    local rows = parts(got.headers["x-request-id"])
    assert.equal(1, rows[1][2])
    assert.matches("[key]. [key]", rows[1][3], 1, true)
    assert.is_nil(rows[1][3]:find("sk-", 1, true), rows[1][3])
  end))

  it("is nothing for a project that does not say so", loop.test(function()
    local got = house:chat { headers = { authorization = "Bearer s-not" } }
    local id = got.headers["x-request-id"]
    loop.until_true(function()
      return #ledger.rows(house, ("SELECT at FROM requests WHERE id = '%s'"):format(id)) == 1
    end, "the request's record")
    assert.equal(0, ledger.value(house, ("SELECT count(*) FROM bodies WHERE request = '%s'"):format(id)))
  end))
end)
