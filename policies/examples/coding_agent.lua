--- coding_agent: what a coding agent says of its own requests decides: side work is cheap, the main thread gets the best.
---
--- Claude Code sends hints to gateways when CLAUDE_CODE_GATEWAY_HINT_HEADERS=1 is set: x-claude-code-request-class and -agent-type,
--- open lists that grow with its versions; what is not known here is treated as the main thread. Without hints, a small request without
--- tools is taken for side work (titles, summaries), as such agents make many of them.
local SIDE = { auxiliary = true, title = true, summary = true, background = true }

return {
  params = {
    small = { type = "number", default = 2000, min = 0, doc = "tokens up to which a request without tools is side work" },
    quality = { type = "number", default = 5, min = 0, max = 100, doc = "the least quality for side work" },
  },
  decide = function(req, fleet)
    local able = fleet:able()
    local class = req.headers["x-claude-code-request-class"]
    local compacting = req.headers["x-claude-code-compaction"]
    local side = class and SIDE[class] or not class and #req.tool_names == 0 and req.tokens.input <= req.params.small
    if side and not compacting then
      return able:at_least { quality = req.params.quality }:cheapest():take(3), "side work: cheap"
    end
    return (fleet:requested():able() .. able:best()):sticky():take(3), "the main thread: the best"
  end,
}
