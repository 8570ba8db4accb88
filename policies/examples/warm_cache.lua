--- warm_cache: a conversation stays where its prompt is cached, as long as that is not much dearer than leaving.
---
--- A provider that has read a prompt a moment ago charges a fraction for what it still has of it, and answers sooner. cost() reckons
--- with that, so that cheapest() alone stays where the cache pays; this policy also stays where leaving would save only a little. Without
--- a session (the header x-route-session, a prompt_cache_key, a coding agent's own) nothing is known to be cached.
return {
  params = {
    advantage = { type = "number", default = 0.2, min = 0, max = 1, doc = "the share by which leaving must be cheaper" },
  },
  decide = function(req, fleet)
    local able = fleet:able():cheapest()
    local here, cheapest = able:sticky()[1], able[1]
    if not here or (here.cached_tokens or 0) == 0 then
      return able:take(3), "nothing is cached"
    end
    -- A price that is not known is no reason to leave, nor one to go there.
    local stay, leave = here.cost() or 0, cheapest.cost() or math.huge
    if leave < stay * (1 - req.params.advantage) then
      return able:take(3), "elsewhere is worth a cold cache"
    end
    return able:sticky():take(3), "its prompt is cached here"
  end,
}
