-- Moments as people write them.
local request = require "perilune.request"
local time = require "perilune.spec.time"

describe("spec.at", function()
  it("reads a date and a time, with an offset or in UTC", function()
    assert.equal(0, time.at "1970-01-01 00:00")
    assert.equal(1795334400, time.at "2026-11-22 09:00 +01:00")
    assert.equal(1795334400, time.at "2026-11-22T08:00:00Z")
    assert.equal(1795334400 + 30, time.at "2026-11-22 08:00:30 UTC")
    assert.equal(time.at "2026-11-22 00:00", time.at "2026-11-22")
    assert.equal(time.at "2026-11-22 12:00", time.at "2026-11-22 06:30 -0530")
  end)

  it("is the moment a policy's clock tells", function()
    for _, text in ipairs { "2024-02-29 23:59", "2000-03-01 00:00", "2026-12-31 10:05", "1999-01-01 12:30" } do
      local req = { now = time.at(text) }
      request.dress(req, {})
      local clock = req.clock()
      assert.equal(text, ("%s %02d:%02d"):format(clock.date, clock.hour, clock.minute))
    end
  end)

  it("says what it expects", function()
    for _, text in ipairs { "tomorrow", "2026-13-01", "2026-11-22 25:00", "2026-11-22 09:00 CET", 7 } do
      assert.is_truthy(select(2, pcall(time.at, text)):find("expected a moment like", 1, true), text)
    end
  end)
end)
