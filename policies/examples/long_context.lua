--- long_context: long prompts go where they fit with room to spare, and where a long prompt is not charged twice.
---
--- able() takes out what does not fit at all. A window filled to the brim answers worse, so that up to a limit twice the room is asked for;
--- cost() counts the higher price that some targets ask above so many tokens, so that cheapest() is right here as well.
return {
  params = {
    long = { type = "number", default = 50000, min = 0, doc = "tokens from which on a prompt is long" },
    room = { type = "number", default = 2, min = 1, max = 10, doc = "times the prompt that the window should have" },
  },
  decide = function(req, fleet)
    local able = fleet:able()
    if req.tokens.input < req.params.long then
      return able:cheapest():take(3), "short: the cheapest"
    end
    local roomy = able:at_least { context = req.tokens.input * req.params.room }
    return (roomy:cheapest() .. able:cheapest()):take(3), "long: one with room"
  end,
}
