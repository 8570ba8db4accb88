--- budget_downgrade: the best model while there is money, cheaper ones as the cap comes near, so that nobody meets the wall.
---
--- `req.budget` is the tightest of the caps that hold for this request: of its key, its project, its route, the account, by day, month or
--- in total (`projects = { shop = { monthly_usd = 500 } }` in perilune.lua). `used` is the share of it that is gone (0 to 1). Without any
--- cap nothing is ever used up, and everybody gets the best.
return {
  params = {
    careful = { type = "number", default = 0.7, min = 0, max = 1, doc = "from this share on, good enough will do" },
    frugal = { type = "number", default = 0.9, min = 0, max = 1, doc = "from this share on, the cheapest" },
    quality = { type = "number", default = 30, min = 0, max = 100, doc = "what is good enough" },
  },
  decide = function(req, fleet)
    local able, used = fleet:able(), req.budget.used
    if used >= req.params.frugal then
      return able:cheapest():take(3), ("%d%% of the budget is used: the cheapest"):format(used * 100)
    elseif used >= req.params.careful then
      return (able:at_least { quality = req.params.quality }:cheapest() .. able:cheapest()):take(3),
        ("%d%% of the budget is used: good enough"):format(used * 100)
    end
    return able:best():take(3), "there is money: the best"
  end,
}
