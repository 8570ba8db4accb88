local turns = require "perilune.turns"

local function text(s)
  return { kind = "text", text = s }
end

local function call(id)
  return { kind = "call", id = id, name = "f_" .. id, arguments = "{}" }
end

local function result(id, said)
  return { kind = "result", id = id, parts = { text(said) } }
end

local function message(role, ...)
  return { role = role, parts = { ... } }
end

-- A turn in short: "model: hi call:a", "user: result:a=1 hi".
local function short(turn)
  local out = { turn.assistant and "model:" or "user:" }
  for _, item in ipairs(turn.results) do
    out[#out + 1] = ("result:%s=%s"):format(item.call.id, item.part.parts[1].text)
  end
  for _, item in ipairs(turn.items) do
    out[#out + 1] = item.part.kind == "call" and "call:" .. item.part.id or item.part.text
  end
  return table.concat(out, " ")
end

local function told(...)
  local out = {}
  for i, turn in ipairs((turns.of { ... })) do
    out[i] = short(turn)
  end
  return out
end

describe("turns", function()
  it("joins neighbours of one role", function()
    assert.same({ "user: a b", "model: c d", "user: e" },
      told(message("user", text "a"), message("user", text "b"), message("assistant", text "c"), message("assistant", text "d"),
        message("user", text "e")))
  end)

  it("keeps the system text at the beginning apart, and lets the user say what comes later", function()
    local list, system = turns.of {
      message("system", text "s1"), message("system", text "s2"), message("user", text "a"), message("system", text "s3"),
    }
    assert.equal("s1", system[1].text)
    assert.equal("s2", system[2].text)
    assert.equal("user: a s3", short(list[1]))
    assert.is_nil(list[2])
  end)

  it("puts results first and in the order of their calls, wherever they stood", function()
    assert.same({ "user: go", "model: call:a call:b", "user: result:a=1 result:b=2 note" },
      told(message("user", text "go"), message("assistant", call "a", call "b"), message("system", text "note"),
        message("tool", result("b", "2"), result("a", "1"))))
  end)

  it("answers every call, also one nobody answered", function()
    assert.same({ "model: call:a call:b", "user: result:a=No result came back. result:b=2" },
      told(message("assistant", call "a", call "b"), message("tool", result("b", "2"))))
    assert.same({ "model: call:a", "user: result:a=No result came back." }, told(message("assistant", call "a")))
  end)

  it("tells a result of no call as text", function()
    assert.same({ "user: 1 hi" }, told(message("tool", result("x", "1")), message("user", text "hi")))
    assert.same({ "model: call:a", "user: result:a=1 again hi" },
      told(message("assistant", call "a"), message("tool", result("a", "1"), result("a", "again")), message("user", text "hi")))
  end)

  it("knows which message a part is from, and which turn began the exchange", function()
    local list = turns.of {
      message("system", text "s"), message("user", text "a"), message("assistant", call "a"), message("tool", result("a", "1")),
      message("assistant", call "b"), message("tool", result("b", "2")),
    }
    assert.equal(1, list[1].items[1].at)
    assert.equal(3, list[3].results[1].at)
    assert.equal(1, turns.current(list))
    assert.equal(0, turns.current((turns.of { message("assistant", text "x") })))
  end)

  it("pairs each call of one id with a result of its own, in their order", function()
    assert.same({ "user: go", "model: call:a call:a", "user: result:a=1 result:a=2 3" },
      told(message("user", text "go"), message("assistant", call "a", call "a"),
        message("tool", result("a", "1"), result("a", "2"), result("a", "3"))))
  end)

  it("takes time by the number of calls, not by its square", function()
    local calls, results = {}, {}
    for i = 1, 20000 do
      calls[i], results[20001 - i] = call("c" .. i), result("c" .. i, "r" .. i)
    end
    for i = 1, 20000 do
      results[20000 + i] = result("unasked" .. i, "u")
    end
    local before = os.clock()
    local list = turns.of { message("user", text "go"), { role = "assistant", parts = calls }, { role = "tool", parts = results } }
    assert.is_true(os.clock() - before < 2)
    assert.equal(20000, #list[3].results)
    assert.equal("r20000", list[3].results[20000].part.parts[1].text)
    assert.equal(20000, #list[3].items)
  end)
end)
