--- business_hours: fast models while people wait for them, cheap ones at night and at the weekend.
---
--- By the clock of the request (`req.now`), so that a replay decides as it was decided then. Zones are offsets: "+01:00".
return {
  params = {
    zone = { type = "string", default = "+01:00", doc = "whose hours" },
    from = { type = "number", default = 8, min = 0, max = 24, doc = "the first hour of the day" },
    to = { type = "number", default = 18, min = 0, max = 24, doc = "the hour at which it ends" },
  },
  decide = function(req, fleet)
    local clock, able = req.clock(req.params.zone), fleet:able()
    local open = clock.weekday <= 5 and clock.hour >= req.params.from and clock.hour < req.params.to
    if open then
      return able:fastest():take(3), "people wait"
    end
    return able:cheapest():take(3):chain { on_exhausted = "queue", retry_window_ms = 60000 }, "nobody waits"
  end,
}
