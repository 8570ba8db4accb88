--- tier: paying users get the best model, everyone else the cheapest that can do the job, never for more than a fixed price.
---
--- Who pays is what the tier says: of the key, or of the header x-route-tier where clients may set it.
return {
  params = {
    paid = { type = "list", default = { "paid" }, doc = "tiers that get the best" },
    quality = { type = "number", default = 10, min = 0, max = 100, doc = "the least quality the others get" },
    max_cost_usd = { type = "number", default = 0.02, min = 0, doc = "the most a request of the others may cost" },
  },
  decide = function(req, fleet)
    local named, able = fleet:requested():able(), fleet:able()
    for _, tier in ipairs(req.params.paid) do
      if req.tier == tier then
        return (named .. able:best()):take(3), "paid: the best"
      end
    end
    local affordable = able:at_least { quality = req.params.quality }:at_most { cost = req.params.max_cost_usd }
    return (named:at_most { cost = req.params.max_cost_usd } .. affordable:cheapest()):take(3)
      :chain { max_cost_usd = req.params.max_cost_usd }, "the cheapest that is good enough"
  end,
}
