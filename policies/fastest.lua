--- fastest: the target that is expected to finish this request first, with the next fastest ones as fallback.
---
--- By what was measured here: time to the first token and tokens a second. One of those within a tenth of the fastest is picked by
--- chance, so that not all requests of a moment go to the same. Targets that nothing is known of follow in the order of the
--- configuration; a model the client names goes first.
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
