--- cheapest: the least expensive target that can do the request, with the next ones as fallback.
---
--- A model the client names goes first, with what `chains` in the configuration puts behind it. The others follow by what this request
--- is expected to cost there, what a session has in a cache at its lower price. Behind those that are well stand the ones predicted to be
--- slower than the client's own latency limit, then those that recover or have no rate limit left, then those that fail.
return {
  params = {
    steps = { type = "number", default = 3, min = 1, max = 20, doc = "how many targets to try" },
  },
  decide = function(req, fleet)
    local named = fleet:requested():able()
    local others = fleet:able():cheapest()
    return (named .. others):take(req.params.steps), "cheapest that can do it"
  end,
}
