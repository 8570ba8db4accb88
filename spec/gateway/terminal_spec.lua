-- What a policy, a note or a record says is printed for people, and steers no terminal: not by C0, DEL or C1.
local gateway = require "support.gateway"
local loop = require "support.loop"
local process = require "support.process"
local upstream = require "support.upstream"

local STEERS = "\27[2J\27]0;title\7\r\194\155"
local ESCAPED = "\\27[2J\\27]0;title\\7\\r\\194\\155" -- the same in a text of Lua

local TO_A = "return function() return { 'a/m' } end\n"
local RAISES = ("error '%s'\n"):format(ESCAPED)
local DOCUMENTED = ([[
return {
  params = { n = { type = "number", default = 1, doc = "one\nos.exit() %s" } },
  decide = function() error "%s" end,
}
]]):format(ESCAPED, ESCAPED)

local LINE = ([[{"kind":"request","id":"I@\ncost","at":1790000000,"policy":"p@1","req":{"model":"auto","tier":"T@"},"chain":["b/m@"]}
{"kind":"@"}
]]):gsub("@", "\\u001b[2J\\u0007\\u009b")

describe("a terminal", function()
  local house, up

  setup(loop.test(function()
    up = upstream.start(function(peer)
      peer:send(upstream.answer(200, upstream.completion "x"))
    end)
    house = gateway.start { providers = { a = gateway.provider(up.url) }, policies = { p = TO_A, documented = DOCUMENTED } }
    process.write(house.dir .. "/raises.lua", RAISES)
    process.write(house.dir .. "/steers.lua", TO_A .. "--[[" .. STEERS .. "]]")
    process.write(house.dir .. "/hostile.jsonl", LINE)
    process.write(house.dir .. "/request.json", '{"model":"auto","messages":[{"role":"user","content":"x"}]}')
  end))
  teardown(loop.test(function()
    house:stop()
    up:close()
  end))

  -- What a command prints, which holds `expected` and nothing but lines of text.
  local function plain(expected, ...)
    local _, output = house:command(...)
    assert.matches(expected, output)
    assert.is_nil(output:find "[%z\1-\8\11-\31\127]", output)
    assert.is_nil(output:find("\194\155", 1, true), output)
    return output
  end

  it("is not steered by findings", loop.test(function()
    plain("raises.lua:1: %?%[2J", "policy", "check", "raises", "raises.lua")
    plain("raises.lua:1: %?%[2J", "policy", "put", "raises", "raises.lua")
    plain("raises.lua:1: %?%[2J", "replay", "raises.lua", "hostile.jsonl")
    house:write_policy("raises", RAISES)
    plain("raises.lua:1: %?%[2J", "check")
    plain("raises.lua:1: %?%[2J", "reload")
    os.remove(house.dir .. "/policies/raises.lua")
  end))

  it("is not steered by what a policy raises", loop.test(function()
    plain("documented.lua:3: %?%[2J", "explain", "request.json", "--policy", "documented")
    plain("documented.lua:3: %?%[2J", "explain", "request.json", "--policy", "documented", "--offline")
    plain("documented.lua:3: %?%[2J", "replay", "documented", "hostile.jsonl")
  end))

  it("is not steered by docs and notes, which stay in their lines", loop.test(function()
    assert.matches("\n%-%- params.n: number  one os.exit%(%)", plain("documented@", "policy", "show", "documented"))
    assert.equal(200, house:admin("PUT", "/api/policies/p", { source = TO_A .. "-- 2", note = "three\nsteps " .. STEERS }).status)
    plain("%(live%) three steps %[2J", "policy", "versions", "p")
  end))

  it("is not steered by a record", loop.test(function()
    local output = plain("I%?%[2J%?%?%?%?cost T%?%[2J", "replay", "p", "hostile.jsonl")
    assert.matches('1 lines of kind "%?%[2J', output)
  end))

  it("is shown a policy's source; elsewhere it goes as it is", loop.test(function()
    assert.equal(200, house:admin("PUT", "/api/policies/steers", { source = TO_A .. "--[[" .. STEERS .. "]]" }).status)
    local _, output = house:command("policy", "show", "steers")
    assert.is_truthy(output:find(STEERS, 1, true))
  end))
end)
