--- quality: the best target that can do the request within its limits, with the next best ones as fallback.
---
--- A model the client names goes first, with what `chains` in the configuration puts behind it. Equally good ones are tried cheapest
--- first; targets whose quality nobody has measured come last. `floor` keeps weak ones out altogether.
return {
  params = {
    steps = { type = "number", default = 3, min = 1, max = 20, doc = "how many targets to try" },
    floor = { type = "number", default = 0, min = 0, max = 100, doc = "the least quality that will do; 0: any, unknown too" },
  },
  decide = function(req, fleet)
    local named = fleet:requested():able()
    local others = fleet:able()
    if req.params.floor > 0 then
      others = others:at_least { quality = req.params.floor }
    end
    return (named .. others:best()):take(req.params.steps), "best that can do it"
  end,
}
