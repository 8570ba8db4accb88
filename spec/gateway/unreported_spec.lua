-- Usage that a provider does not report is estimated by what was said, and marked; what it reports, or refuses, is not.
local gateway = require "support.gateway"
local http = require "support.http"
local ledger = require "support.ledger"
local loop = require "support.loop"
local mock = require "support.mock"

local PRICE = { input = 1, output = 10 }
local PROMPT = 'Say "H\195\169llo" \\ and more of the same, until there are some tokens of it.'

describe("usage nobody reports", function()
  local up, house

  setup(loop.test(function()
    up = mock.start()
    local function provider(words, extra)
      local all = { models = { { name = "m", price = PRICE, max_output = 100, context = 8000 } } }
      for name, value in pairs(extra or {}) do
        all[name] = value
      end
      return up:provider(words, all)
    end
    house = gateway.start {
      providers = {
        told = provider(), mute = provider "no_usage", claude = provider("no_usage", { like = "anthropic" }),
        google = provider("no_usage", { like = "google", base_url = up:url("no_usage"):gsub("v1$", "v1beta") }),
        refuses = provider "status=500", hangs = provider("hang", { timeouts = { timeout_ms = 100 } }), empty = provider "no_content",
      },
      headers = { ["x-route-trace"] = "1", ["x-route-strict"] = "1" },
    }
  end))

  teardown(loop.test(function()
    house:stop()
    up:stop()
  end))

  local function ask(target, stream)
    local options = { model = target, messages = { { role = "user", content = PROMPT } }, body = { max_tokens = 100 } }
    return stream and house:stream(options) or house:chat(options)
  end

  -- What is recorded of the one attempt: its tokens, whether they are estimated, what it cost, and at most.
  local function recorded(answer)
    local row
    loop.until_true(function()
      row = ledger.rows(house, ("SELECT a.input, a.output, a.estimated, a.cost, a.most FROM attempts a JOIN requests r ON r.at = a.request "
        .. "WHERE r.id = '%s'"):format(answer.headers["x-request-id"]))[1]
      return row
    end, "the record")
    return row
  end

  local function route_of(answer)
    local route = answer.json and answer.json.route
    for _, event in ipairs(answer.events or {}) do
      route = event.json and event.json.route or route
    end
    return route
  end

  for _, stream in ipairs { false, true } do
    it("is estimated by the text of " .. (stream and "a stream" or "an answer"), loop.test(function()
      local answer = ask("told/m", stream)
      local input, output = unpack(recorded(answer))
      local cost = ledger.cost(PRICE, input, output)
      assert.same({ input, output, 0, cost, http.null }, recorded(answer))
      assert.is_nil(route_of(answer).attempts[1].estimated)
      for _, target in ipairs { "mute/m", "claude/m", "google/m" } do
        answer = ask(target, stream)
        assert.same({ input, output, 1, cost, http.null }, recorded(answer))
        assert.is_true(route_of(answer).attempts[1].estimated)
        assert.equal(cost / 1e9, route_of(answer).cost_usd)
      end
    end))

    it("is none where " .. (stream and "a stream" or "an answer") .. " was refused", loop.test(function()
      assert.same({ http.null, http.null, 0, http.null, http.null }, recorded(ask("refuses/m", stream)))
    end))

    it("is anybody's guess where no " .. (stream and "stream" or "answer") .. " came", loop.test(function()
      local input, output, estimated, cost, most = unpack(recorded(ask("hangs/m", stream)))
      assert.same({ http.null, http.null, 0, http.null }, { input, output, estimated, cost })
      assert.is_true(most > 0)
    end))

    it("is billed although " .. (stream and "a stream" or "an answer") .. " said nothing", loop.test(function()
      local input, output, estimated = unpack(recorded(ask("empty/m", stream)))
      assert.same({ 0, stream and 1 or 0 }, { output, estimated }) -- a stream would tell behind its end, which nobody waits for
      assert.is_true(input > 0)
    end))
  end
end)
