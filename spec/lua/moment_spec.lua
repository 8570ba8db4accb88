local moment = require "perilune.moment"

describe("a moment", function()
  for text, seconds in pairs {
    ["1970-01-01T00:00:00Z"] = 0,
    ["2027-01-01T00:00:00Z"] = 1798761600,
    ["2027-01-01t01:30:00+01:30"] = 1798761600,
    ["2026-12-31 16:00:00-08:00"] = 1798761600,
    ["2024-02-29T12:00:07.25Z"] = 1709208007,
    ["2000-02-29T00:00:00Z"] = 951782400,
    ["2027-01-01"] = 1798761600,
  } do
    it("is what RFC 3339 writes as " .. text, function()
      assert.equal(seconds, moment.seconds(text))
    end)
  end

  for _, text in ipairs {
    "", "2027-01", "2027-02-30", "20270101",
    "2027-01-01T00:00:00", "2027-13-01T00:00:00Z", "2027-00-01T00:00:00Z", "2027-02-29T00:00:00Z", "1900-02-29T00:00:00Z",
    "2027-04-31T00:00:00Z", "2027-01-00T00:00:00Z", "2027-01-01T24:00:00Z", "2027-01-01T00:60:00Z", "2027-01-01T00:00:00+24:00",
    "2027-01-01T00:00:00.Z", "2027-01-01T00:00:000Z", "2027-01-01T00:00:00ZZ", "27-01-01T00:00:00Z",
  } do
    it("is not " .. text, function()
      assert.is_nil(moment.seconds(text))
    end)
  end

  it("is a text", function()
    assert.is_nil(moment.seconds(1798761600))
    assert.is_nil(moment.seconds(nil))
  end)
end)

describe("a zone", function()
  it("is minutes east of UTC", function()
    assert.same({ 0, 0, 120, -210, 1439 }, {
      moment.minutes_of "UTC", moment.minutes_of "Z", moment.minutes_of "+02:00", moment.minutes_of "-03:30", moment.minutes_of "+23:59",
    })
  end)

  it("is no name and no half of an offset", function()
    for _, text in ipairs { "Europe/Berlin", "+2", "02:00", "+24:00", "+00:60", "" } do
      assert.is_nil(moment.minutes_of(text))
    end
  end)
end)
