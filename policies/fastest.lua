--- fastest: the target that is expected to finish this request first, with the next fastest ones as fallback.
---
--- By what was measured here in the last minute: time to the first token and tokens a second. One of those within a tenth of the fastest
--- is picked by chance, so that not all requests of a moment go to the same. Targets nobody measured stand in the middle, and one request
--- in twenty-five tries one of them first: so a new one, or one that got better, is found. A model the client names goes first.
return {
  params = {
    steps = { type = "number", default = 3, min = 1, max = 20, doc = "how many targets to try" },
  },
  decide = function(req, fleet)
    local named = fleet:requested():able()
    local others = fleet:able():fastest()
    return (named .. others):take(req.params.steps), "fastest that can do it"
  end,
}
