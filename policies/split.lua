--- split: divides requests between targets by weight, for experiments and for moving over step by step.
---
--- The same session (else user, else key) stays with the same arm, and raising an arm's weight moves only as many as it must. Set the arms
--- where the policy is assigned:
---
---   policies = { params = { split = { experiment = "mini", arms = { { "gpt-4o", 90 }, { "gpt-5-mini", 10 } } } } }
---
--- Without arms, requests for a model that several providers have are divided between those by their configured weights.
local function by_weight(fleet)
  local arms = {}
  for _, target in ipairs(fleet) do
    if target.weight > 0 then
      arms[#arms + 1] = { target.id, target.weight }
    end
  end
  return arms
end

return {
  params = {
    experiment = { type = "string", default = "split", doc = "two experiments of other names divide independently" },
    arms = { type = "list", default = {}, doc = "{ name, weight } each" },
    steps = { type = "number", default = 3, min = 1, max = 20, doc = "how many targets to try" },
  },
  decide = function(req, fleet)
    local able = fleet:able()
    local named = fleet:requested():able()
    local arms = req.params.arms
    if #arms > 0 then
      -- The experiment is about requests that leave the choice to us; who names a model gets it.
      return (named .. able:split(req.params.experiment, arms)):take(req.params.steps), "split by weight"
    end
    arms = by_weight(named)
    if #arms > 0 then
      named = named:split(req.params.experiment, arms)
    end
    return (named .. able:cheapest()):take(req.params.steps), "split by the targets' weights"
  end,
}
