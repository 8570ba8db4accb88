--- agent_pipeline: a fast model for the steps of an agent that only call tools, a reasoning one where it plans.
---
--- An agent's turn that ends in tool results is a step on the way: the model reads them and calls the next tool. A turn that ends in what
--- a person said is a new task, and so is the step after many of them: then it is worth thinking.
return {
  params = {
    think_every = { type = "number", default = 8, min = 1, max = 100, doc = "after so many tool results in a row, think again" },
    quality = { type = "number", default = 30, min = 0, max = 100, doc = "the least quality that may plan" },
  },
  decide = function(req, fleet)
    local able = fleet:able()
    local results = req.last.tool_results or 0
    local planning = #req.tool_names == 0 or results == 0 or results >= req.params.think_every
    if not planning then
      return able:fastest():sticky():take(3):with { first_token_ms = 5000 }, "a step: fast"
    end
    local thinkers = able:where(function(target)
      return target.abilities.reasoning
    end, "does not reason")
    return (thinkers:at_least { quality = req.params.quality } .. able:best()):take(3), "planning: one that reasons"
  end,
}
