--- chinese_to_qwen: requests in Chinese go to a model that was raised on it, all others as usual.
---
--- Counts the characters of the last thing the user said, by their bytes: Chinese ones begin with E4 to E9 in UTF-8 (U+4000 to U+9FFF).
--- A policy that reads req.text can not be replayed on records, which hold no prompts.
local function share_of_chinese(text)
  local _, characters = text:gsub("[^\128-\191]", "")
  local _, chinese = text:gsub("[\228-\233][\128-\191][\128-\191]", "")
  return characters > 0 and chinese / characters or 0
end

return {
  params = {
    model = { type = "string", default = "qwen3-max", doc = "the model, or the target, for Chinese" },
    share = { type = "number", default = 0.1, min = 0, max = 1, doc = "of the characters that makes a text Chinese" },
  },
  decide = function(req, fleet)
    local able = fleet:able()
    if share_of_chinese(req.text or "") >= req.params.share then
      return able:cheapest():prefer(req.params.model):take(3), "Chinese"
    end
    return able:cheapest():take(3), "not Chinese"
  end,
}
