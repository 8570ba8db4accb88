-- docs/providers.md: its examples are read as they stand, and every provider, quirk and field is there.
local config = require "perilune.config"
local kit = require "support.config_kit"
local page = require "support.page"
local provider = require "perilune.provider"
local quirks = require "perilune.quirks"

local PAGE = kit.read_file "docs/providers.md"

-- The first cell of each row below a heading of a table.
local function rows(heading)
  local out = {}
  for row in (PAGE .. "\n"):match("\n| " .. heading .. " |.-\n(.-)\n\n"):gmatch "[^\n]+" do
    local cells = {}
    for cell in row:gmatch "|([^|]*)" do
      cells[#cells + 1] = cell:match "^%s*(.-)%s*$"
    end
    for name in cells[1]:gmatch "`([%w_]+)`" do
      out[name] = cells
    end
  end
  return out
end

local function same_names(expected, got)
  for name in pairs(expected) do
    assert(got[name], "no row for " .. name)
  end
  for name in pairs(got) do
    assert(expected[name], "nothing is called " .. name)
  end
end

describe("docs/providers.md", function()
  it("has every provider, with its variable and dialects", function()
    local files, listed = {}, rows "provider"
    for _, f in ipairs(kit.provider_files()) do
      files[f.name] = assert(load(f.text, f.name))()
    end
    same_names(files, listed)
    for name, cells in pairs(listed) do
      local file = provider.template(files, name)
      local key = file.env and file.env.key
      assert.equal(key and not file.on_request and "`" .. key .. "`" or "", cells[2], name)
      assert.equal("`" .. file.dialect .. "`", cells[3], name)
      local others = {}
      for _, dialect in ipairs(file.speaks or {}) do
        if dialect ~= file.dialect then
          others[#others + 1] = "`" .. dialect .. "`"
        end
      end
      assert.equal(table.concat(others, ", "), cells[4], name)
    end
  end)

  it("has every quirk", function()
    same_names(quirks.fields, rows "quirk")
  end)

  it("has every field of files and models", function()
    same_names(provider.file_fields, rows "field of a file")
    same_names(provider.model_fields, rows "field of a model")
  end)

  it("has every way of showing a key, ability and dialect", function()
    for _, set in ipairs { provider.auths, provider.dialects } do
      for name in pairs(set) do
        assert(PAGE:find("`" .. name .. "`", 1, true), name)
      end
    end
    for _, name in ipairs(provider.abilities) do
      assert(PAGE:find("`" .. name .. "`", 1, true), name)
    end
  end)

  it("shows a file that works", function()
    local text = page.files(PAGE)["providers/acme.lua"]
    local _, lines = text:gsub("\n", "")
    assert(lines <= 23, "it is more than twenty lines by now")
    local files = kit.provider_files()
    files[#files + 1] = { name = "acme", path = "providers/acme.lua", text = text }
    local r, findings = kit.read(nil, { ACME_API_KEY = "k" }, { provider_files = files })
    assert.same({}, findings)
    assert.same({ "acme", "https://api.acme.example/v1", true, "bearer" },
      { r.providers[1].name, r.providers[1].base_url, r.providers[1].adapt, r.providers[1].auth })
    assert.same({ "acme/acme-large", "acme/large-v2", 400000000 },
      { r.targets[1].id, r.targets[1].upstream, r.targets[1].price.input })
    assert.same({ "openai_embeddings" }, r.targets[2].speaks)
  end)

  it("shows a catalogue that can be taken", function()
    local files = require("perilune.models_file").update(PAGE:match "```json\n(.-)```", kit.provider_files())
    assert.same({ "openai", { "gpt-9" } }, { files[1].provider, files[1].added })
  end)

  it("shows a configuration that works", function()
    local text = page.files(PAGE)["perilune.lua"]
    local vars = {
      OPENAI_KEY_A = "a", OPENAI_KEY_B = "b", AZURE_OPENAI_API_KEY = "z", AWS_ACCESS_KEY_ID = "i", AWS_SECRET_ACCESS_KEY = "s",
    }
    local r, findings = config.read(text, "perilune.lua", kit.host(vars))
    assert(r, findings[1] and findings[1].message)
    assert.same({
      "https://shop.openai.azure.com/openai/v1", "https://bedrock-runtime.eu-central-1.amazonaws.com", "https://api.openai.com/v1",
    }, { r.providers[1].base_url, r.providers[2].base_url, r.providers[3].base_url })
    assert.same({ { secret = "i:s", weight = 1 } }, r.providers[2].keys)
    assert.same({ { secret = "a", weight = 3, rpm = 500, tpm = 200000 }, { secret = "b", weight = 1 } }, r.providers[3].keys)
    assert.equal(2000, r.providers[3].pace_wait_ms)
    assert.equal(1000, r.providers[2].pace_wait_ms)
  end)
end)
