local json = require "perilune.json"
local kit = require "support.config_kit"
local models_file = require "perilune.models_file"

-- The files a catalogue of these entries makes, by provider; `more` are files of the user's.
local function update(entries, more)
  local list = kit.provider_files()
  for name, text in pairs(more or {}) do
    list[#list + 1] = { name = name, path = name .. ".lua", text = text }
  end
  local files, skipped = models_file.update(assert(json.encode { models = entries }), list)
  local by_name = {}
  for _, f in ipairs(files or {}) do
    by_name[f.provider] = f
  end
  return by_name, skipped, files
end

local function entry(id, price, more)
  local out = { id = id, price_usd_per_mtok = price }
  for k, v in pairs(more or {}) do
    out[k] = v
  end
  return out
end

-- The targets there are once a file is in its place.
local function targets(name, text, vars)
  local list = kit.provider_files()
  list[#list + 1] = { name = name .. ".models", path = name .. ".models.lua", text = text }
  local r, findings = kit.read(nil, vars, { provider_files = list })
  assert(r and #findings == 0, findings[1] and findings[1].message)
  local by_model = {}
  for _, t in ipairs(r.targets) do
    by_model[t.model] = t
  end
  return by_model
end

describe("an update of models", function()
  it("adds what is new, with what is known of it", function()
    local f = update({
      entry("openai/gpt-9", { input = 1.5, output = 9, cached_input = 0.15, cache_write = json.null }, {
        context_window = 500000, max_output_tokens = 64000, long_context_tiers = { { above_input_tokens = 200000, input = 3 } },
        capabilities = { tools = true, vision = true, json_schema = json.null, reasoning = false },
      }),
    }).openai
    assert.same({ { "gpt-9" }, {} }, { f.added, f.changed })
    local t = targets("openai", f.text, { OPENAI_API_KEY = "k" })["gpt-9"]
    assert.same({ 1.5e9, 9e9, 1.5e8, -1 }, { t.price.input, t.price.output, t.price.cached, t.price.cache_write })
    assert.same({ 200000, 3e9, 9e9 }, { t.rules[1].above, t.rules[1].input, t.rules[1].output })
    assert.same({ 500000, 64000, 1 + 2 + 128 }, { t.context, t.max_output, t.abilities })
  end)

  it("changes what differs and leaves the rest", function()
    local f = update({
      entry("openai/gpt-4o", { input = 2, output = 8 }, { context_window = 128000 }),
      entry("openai/gpt-4o-mini", { input = 0.15, output = 0.6, cached_input = 0.075 }, { max_output_tokens = 16384 }),
      entry("groq/llama-3.3-70b-versatile", { input = 0.5, output = 0.5 }),
    })
    assert.same({ { "gpt-4o" }, { "llama-3.3-70b" } }, { f.openai.changed, f.groq.changed })
    local t = targets("openai", f.openai.text, { OPENAI_API_KEY = "k" })
    assert.same({ 2e9, 8e9, -1, 16384 }, {
      t["gpt-4o"].price.input, t["gpt-4o"].price.output, t["gpt-4o"].price.cached, t["gpt-4o"].max_output })
    assert.not_matches("mini", f.openai.text)
    assert.equal("llama-3.3-70b-versatile", targets("groq", f.groq.text, { GROQ_API_KEY = "k" })["llama-3.3-70b"].upstream)
  end)

  it("takes a price of the night, of a promotion or of a long prompt for what it is", function()
    local _, _, files = update {
      entry("deepseek/deepseek-flash", { input = 0.15, output = 0.6, cached_input = 0.003 }),
      entry("google/gemini-3.8-flash", { input = 0.75, output = 3.75 }),
      entry("openai/gpt-5.4", { input = 2.5, output = 15 }, { long_context_tiers = { { above_input_tokens = 272000, input = 5 } } }),
    }
    assert.same({}, files)
    local tier = { above_input_tokens = 100, input = 5 }
    local f = update { entry("openai/gpt-5.4", { input = 2.5, output = 15 }, { long_context_tiers = { tier } }) }
    assert.same({ "gpt-5.4" }, f.openai.changed)
  end)

  it("keeps what is in a file already", function()
    local mine = [[return { retired = { ["old"] = { instead = "gpt-4o" } }, models = { "bare",
      { name = "gpt-4o", note = "mine", price = { input = 9, output = 9, rules = { { ["until"] = "2030-01-31", input = 1 } } } },
      { name = "own", tags = { "a" }, quirks = { max_n = 1 } } } }]]
    local f = update({ entry("openai/gpt-8", { input = 1, output = 1 }) }, { ["openai.models"] = mine }).openai
    local t = targets("openai", f.text, { OPENAI_API_KEY = "k" })
    assert.same({ 9e9, 1, { "a" }, '{"max_n":1}', 1e9 },
      { t["gpt-4o"].price.input, #t["gpt-4o"].rules, t.own.tags, t.own.quirks, t["gpt-8"].price.input })
    assert(t.bare)
    assert.matches('instead = "gpt%-4o"', f.text)
    assert.matches('note = "mine"', f.text)
    -- Once more, nothing is new.
    assert.same({}, (select(3, update({ entry("openai/gpt-8", { input = 1, output = 1 }) }, { ["openai.models"] = f.text }))))
  end)

  it("names providers nobody has a file for, and refuses what it can not read", function()
    local f, skipped = update { entry("nobody/x", {}), entry("nobody/y", {}), entry("acme/z", {}) }
    assert.same({ {}, { "acme", "nobody" } }, { f, { skipped[1], skipped[2] } })
    for text, expected in pairs {
      ["{"] = ".", ["{}"] = 'expected { "models"',
      ['{"models":[{"id":"gpt-4o"}]}'] = "models%[1%].id", ['{"models":[3]}'] = "models%[1%].id",
    } do
      local files, why = models_file.update(text, kit.provider_files())
      assert.is_nil(files)
      assert.matches(expected, why)
    end
    local _, why = update({ entry("openai/x", {}) }, { ["openai.models"] = "return {" })
    assert.matches("openai.models.lua can not be read", why)
  end)

  it("writes nothing that would stop the next start, and runs nothing it was given", function()
    for _, wrong in ipairs {
      entry('openai/a"] = os.exit() --', { input = 1, output = 1 }), entry("openai/gpt-9", { input = "1", output = 1 }),
      entry("openai/gpt-9", { input = -1, output = 1 }), entry("openai/gpt-9", nil, { context_window = 0.5 }),
    } do
      local _, why, files = update { wrong }
      assert.is_nil(files)
      assert.matches("the models of openai are not as they should be", why)
    end
  end)
end)

describe("what a provider lists", function()
  it("is read in each vendor's way", function()
    local openai = models_file.listed("openai", '{"object":"list","data":[{"id":"gpt-9","object":"model"},{"id":"a b"},3]}')
    assert.same({ { id = "openai/gpt-9", upstream_model = "gpt-9" } }, openai)
    local google = models_file.listed("google", '{"models":[{"name":"models/gemini-9","inputTokenLimit":10,"outputTokenLimit":5}]}')
    assert.same({ { id = "google/gemini-9", upstream_model = "gemini-9", context_window = 10, max_output_tokens = 5 } }, google)
    local router = models_file.listed("openrouter", '{"data":[{"id":"x/y","context_length":7}]}')
    assert.same({ { id = "openrouter/x/y", upstream_model = "x/y", context_window = 7 } }, router)
    local files = models_file.discover({
      { "openai", '{"data":[{"id":"gpt-9"},{"id":"gpt-4o"},{"id":"gpt-4o-2024-08-06"}]}' },
      { "google", '{"models":[{"name":"models/gemini-2.5-pro","inputTokenLimit":10}]}' },
    }, kit.provider_files())
    assert.same({ 1, { "gpt-9" }, {} }, { #files, files[1].added, files[1].changed })
    assert.equal(-1, targets("openai", files[1].text, { OPENAI_API_KEY = "k" })["gpt-9"].price.input)
    assert.equal("what x lists can not be read", select(2, models_file.discover({ { "x", "<html>" } }, {})))
    for _, body in ipairs { "", "[]", "{}", '{"data":null}', '{"data":"x"}', "<html>" } do
      assert.is_nil(models_file.listed("x", body))
    end
  end)
end)
