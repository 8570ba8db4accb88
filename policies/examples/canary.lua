--- canary: one asker in a hundred tries a new model; whatever goes wrong there, the old one answers.
---
--- Sticky by session, user or key: who is in the canary stays in it, and raising the share moves only those who join. One that fails goes
--- to the old model like any other step; one that has failed often lately is left out before it is asked.
return {
  params = {
    old = { type = "string", default = "gpt-4o", doc = "what everybody else gets: a model or a target" },
    new = { type = "string", default = "gpt-5-mini", doc = "what the canary tries" },
    percent = { type = "number", default = 1, min = 0, max = 100, doc = "of the askers" },
    max_error_rate = { type = "number", default = 0.1, min = 0, max = 1, doc = "above it the canary rests" },
  },
  decide = function(req, fleet)
    local able, percent = fleet:able(), req.params.percent
    local healthy = able:only(req.params.new):where(function(target)
      return (target.error_rate or 0) <= req.params.max_error_rate
    end, "fails too often")
    if healthy:count() == 0 or percent == 0 then
      return (able:only(req.params.old) .. able:cheapest()):take(3), "no canary"
    end
    return able:split("canary " .. req.params.new, { { req.params.old, 100 - percent }, { req.params.new, percent } }):take(3), "canary"
  end,
}
