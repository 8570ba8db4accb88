-- docs/policies.md: every example is run, every word and field is there.
local config_kit = require "support.config_kit"
local fleet = require "perilune.fleet"
local host = require "perilune.host"
local kit = require "support.policy_kit"
local page = require "support.page"
local steps = require "perilune.steps"

local PAGE = kit.read "docs/policies.md"

-- The fleet of the examples, out of the table at the top of the page.
local function catalogue()
  local targets = {}
  for row in PAGE:match("| target | input.-\n(.-)\n\n"):gmatch "[^\n]+" do
    local cells = {}
    for cell in row:gmatch "|([^|]*)" do
      cells[#cells + 1] = cell:match "^%s*(.-)%s*$"
    end
    if cells[1]:find "/" then
      local function set(text)
        local out = {}
        for name in text:gmatch "%S+" do
          out[name] = true
        end
        return out
      end
      targets[#targets + 1] = kit.target(cells[1], {
        price = { input = tonumber(cells[2]), output = tonumber(cells[3]) }, context = tonumber(cells[4]),
        quality = tonumber(cells[5]) or "unknown", abilities = set(cells[6]), tags = set(cells[7]),
      })
    end
  end
  return targets
end

-- The examples: line, text, and what is said to come out.
local function examples()
  local out, line, block = {}, 0, nil
  for text in (PAGE .. "\n"):gmatch "(.-)\n" do
    line = line + 1
    if text == "```lua" then
      block = { line = line, text = {} }
    elseif text == "```" and block then
      block.text = table.concat(block.text, "\n")
      if not block.text:find "^%-%- policies/[%w_]+_spec%.lua" then
        out[#out + 1] = block
      end
      block = nil
    elseif block and text:find "^%-%-> " then
      block.expected = text:sub(5)
    elseif block then
      block.text[#block.text + 1] = text
    end
  end
  return out
end

local function said(decision)
  if decision.refused then
    return ("refused %s %s: %s"):format(decision.refused.status, decision.refused.code, decision.refused.message)
  end
  local ids = table.concat(kit.ids(decision), ", ")
  return (ids == "" and "nothing" or ids) .. (decision.reason and " (" .. decision.reason .. ")" or "")
end

describe("docs/policies.md", function()
  before_each(function()
    kit.setup(catalogue(), { providers = {} })
  end)

  local all = examples()

  it("has a fleet and examples", function()
    assert.equal(5, #catalogue())
    assert(#all > 25)
  end)

  it("shows a spec that passes", function()
    local files = page.files(PAGE)
    local passed, output = page.run_specs {
      ["policies/economy.lua"] = files["policies/economy.lua"], ["policies/economy_spec.lua"] = files["policies/economy_spec.lua"],
    }
    assert(passed, output)
    assert.is_truthy(output:find("2 successes / 0 failures / 0 errors", 1, true), output)
  end)

  for _, example in ipairs(all) do
    it("line " .. example.line, function()
      local name = example.text:match "^%-%- policies/([%w_]+)%.lua"
      if example.text:find "^%-%- perilune.lua" then
        local config = require "perilune.config"
        local result, findings = config.read(example.text, "perilune.lua", config_kit.host {})
        assert(result, findings[1] and findings[1].message)
        -- What is not of this one provider is a warning and no more.
        return
      end
      assert(example.expected, "the example says nothing of what comes out")
      local text = name and example.text or "return function(req, fleet)\n" .. example.text .. "\nend"
      kit.load(text, name)
      local ok, decision = pcall(host.decide, name or "spec", kit.request())
      if example.expected:find "^error: " then
        assert.is_false(ok)
        assert(decision:find(example.expected:sub(8), 1, true), decision)
      else
        assert(ok, decision)
        assert.equal(example.expected, said(decision))
      end
    end)
  end

  it("shows what on_failure does", function()
    for _, example in ipairs(all) do
      if example.text:find "on_failure" then
        kit.load(example.text, "patient")
        local request = kit.request()
        assert.same({ retry_in_ms = 100 }, host.on_failure("patient", request, { class = "rate_limited", retry_after_ms = 100 }, {}))
        assert.is_nil(host.on_failure("patient", kit.request(), { class = "timeout" }, {}))
        assert.same({ "anthropic/claude-sonnet-4-6" }, kit.ids(host.on_failure("patient", kit.request(), { class = "context_length" }, {})))
      end
    end
  end)

  it("has an example of every word", function()
    local code = {}
    for _, example in ipairs(all) do
      code[#code + 1] = example.text
    end
    code = table.concat(code, "\n")
    for word in pairs(fleet.words) do
      assert(PAGE:find("`" .. word .. "[({]") or PAGE:find("**`" .. word, 1, true), "no word on " .. word)
      assert(code:find(":" .. word .. "%f[^%w_]"), "no example of " .. word)
    end
  end)

  it("has every field of steps, chains, targets and requests", function()
    for _, fields in ipairs { steps.step_fields, steps.chain_fields } do
      for field in pairs(fields) do
        assert(PAGE:find("| `" .. field .. "` |", 1, true), "no row for " .. field)
      end
    end
    for _, field in ipairs(require("perilune.request").fields()) do
      assert(PAGE:find("`" .. field .. "[`(]"), "nothing on req." .. field)
    end
    for _, field in ipairs(require("perilune.catalogue").fields()) do
      assert(PAGE:find("`" .. field .. "[`(]"), "nothing on target." .. field)
    end
    for _, class in ipairs(host.failure_classes) do
      assert(PAGE:find("`" .. class .. "`", 1, true), "nothing on " .. class)
    end
  end)
end)
