--- canary: one asker in a hundred tries a new model; whatever goes wrong there, the old one answers.
---
--- Sticky by session, user or key: who is in the canary stays in it, and raising the share moves only those who join. One that fails goes
--- to the old model like any other step. Where the new model failed often in the last minute nobody is sent, until the minute is over.
return {
  params = {
    old = { type = "string", default = "gpt-4o", doc = "what everybody else gets: a model or a target" },
    new = { type = "string", default = "gpt-5-mini", doc = "what the canary tries" },
    percent = { type = "number", default = 1, min = 0, max = 100, doc = "of the askers" },
    max_error_rate = { type = "number", default = 0.1, min = 0, max = 1, doc = "above it the canary rests" },
  },
  decide = function(req, fleet)
    local p = req.params
    local failing = fleet:only(p.new):where(function(target)
      return (target.error_rate or 0) > p.max_error_rate
    end, "fails seldom enough")
    local able = fleet:able():except(failing:list())
    if p.percent == 0 or able:only(p.new):count() == 0 then
      return (able:only(p.old) .. able:cheapest()):take(3), "no canary"
    end
    return able:split("canary " .. p.new, { { p.old, 100 - p.percent }, { p.new, p.percent } }):take(3), "canary"
  end,
}
