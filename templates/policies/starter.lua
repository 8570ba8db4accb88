-- Paying users get the best model, everyone else the cheapest that can do the job.
return function(req, fleet)
  local able = fleet:able()
  if req.tier == "paid" then
    return able:best():take(3), "the best"
  end
  return able:cheapest():take(3):chain { max_cost_usd = 0.02 }, "the cheapest"
end
