-- docs/policies.md: every example is run, every word and field is there. What docs/guide.md shows is run by spec/gateway/guide_spec.lua.
local config_kit = require "support.config_kit"
local fleet = require "perilune.fleet"
local host = require "perilune.host"
local kit = require "support.policy_kit"
local page = require "support.page"
local steps = require "perilune.steps"
local tree = require "support.tree"

local PAGE, GUIDE = kit.read "docs/policies.md", kit.read "docs/guide.md"

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

-- The names a pattern finds in a part of a source.
local function names_in(path, part, pattern)
  local block, names = assert(kit.read(path):match(part), path), {}
  for name in block:gmatch(pattern) do
    names[#names + 1] = name
  end
  assert(#names > 2, path)
  return names
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

  it("has what a policy file may say, what failures say, what the trace has", function()
    for _, field in ipairs(names_in("lua/perilune/host.lua", "local POLICY_FIELDS = (%b{})", "([%w_]+) = ")) do
      assert(PAGE:find("\n  " .. field .. " = "), "no example of " .. field)
    end
    for _, field in ipairs(names_in("core/script/push.c", "void push_failure(.-)\n}", 'set_%w+%(L, "([%w_]+)"')) do
      assert(PAGE:match("| field of `failure`.-\n\n"):find("`" .. field .. "`", 1, true), "nothing on failure." .. field)
    end
    local trace = PAGE:match "\n## The trace\n.-\n## "
    local whole = names_in("core/route/trace.c", "void trace_write%(.-\n}", '"?([%w_]+)\\?"[:,]')
    local parts = names_in("core/route/trace.c", "static void write_cuts.*", 'SPAN%(",\\"([%w_]+)\\":')
    for _, members in ipairs { whole, parts } do
      for _, member in ipairs(members) do
        assert(trace:find("\n| `" .. member .. "` |", 1, true), "no row for " .. member)
      end
    end
  end)

  it("has the figures of at_least and at_most", function()
    local text = PAGE:match "%*%*`at_least{}`%*%* and.-\n\n"
    for name in pairs(require("perilune.catalogue").figure_names) do
      assert(text:find("`" .. name .. "`", 1, true), "nothing on " .. name)
    end
  end)

  it("shows each field of steps and chains in use", function()
    local code = {}
    for block in (PAGE .. GUIDE):gmatch "```lua\n(.-)```" do
      code[#code + 1] = block
    end
    code = table.concat(code)
    for _, fields in ipairs { steps.step_fields, steps.chain_fields } do
      for field in pairs(fields) do
        assert(code:find("%f[%w_]" .. field .. " = "), "no example of " .. field)
      end
    end
  end)

  it("lists the policies that come with it and those to copy", function()
    local n = 0
    for _, path in ipairs(tree.matching("policies", "%.lua$")) do
      n = n + 1
      assert(PAGE:find("](../" .. path .. ")", 1, true), "nothing on " .. path)
    end
    assert.equal(14, n)
  end)
end)

describe("docs/guide.md", function()
  it("shows a spec that passes", function()
    local files = page.files(GUIDE)
    local passed, output = page.run_specs({
      ["policies/steady.lua"] = files["policies/steady.lua"], ["spec/steady_spec.lua"] = files["spec/steady_spec.lua"],
    }, "spec")
    assert(passed, output)
    assert.is_truthy(output:find("3 successes / 0 failures / 0 errors", 1, true), output)
  end)

  it("gives commands options that they have", function()
    local n = 0
    for command, options in GUIDE:gmatch "perilune (%w+)([^\n`]*)" do
      for option in options:gmatch "%-%-([%w-]+)" do
        n = n + 1
        assert(kit.read(("core/cli/%s.c"):format(command)):find('"' .. option .. '"', 1, true), command .. " --" .. option)
      end
    end
    assert(n >= 7)
  end)
end)

describe("docs/explain.md", function()
  it("has every figure that can be assumed, every member of a report, every option", function()
    local text = kit.read "docs/explain.md"
    local figures = names_in("lua/perilune/assume.lua", "local FIGURES = (%b{})", '\n  %[?"?([%w_.]+)"?%]? = ')
    local members = names_in("lua/perilune/explain.lua", "\n    policy = version.-\n  }", "([%w_]+) = ")
    for _, names in ipairs { figures, members } do
      for _, name in ipairs(names) do
        assert(text:find("`" .. name .. "`", 1, true), "nothing on " .. name)
      end
    end
    for _, name in ipairs(names_in("lua/perilune/assume.lua", "local ASKER = (%b{})", '%[?"?([%w_.]+)"?%]? = true')) do
      assert(text:find("| `" .. name .. "=", 1, true), "nothing on " .. name)
    end
    for _, option in ipairs(names_in("core/cli/explain.c", "%.options = (%b{})", '{ "([%w-]+)"')) do
      assert(option == "config" or text:find("`--" .. option, 1, true), "nothing on --" .. option)
    end
  end)
end)

describe("the pages about policies", function()
  -- As GitHub makes an anchor of a heading.
  local function anchors(text)
    local set = {}
    for heading in ("\n" .. text):gmatch "\n#+ ([^\n]+)" do
      set[heading:lower():gsub("[^%w%s_-]", ""):gsub(" ", "-")] = true
    end
    return set
  end

  for _, name in ipairs { "policies", "guide", "explain", "testing", "replay" } do
    it("link to what is there: " .. name, function()
      local text = kit.read(("docs/%s.md"):format(name)):gsub("```.-```", "")
      for path, anchor in text:gmatch "%]%(([%w_/.-]*)#?([%w_-]*)%)" do
        local file = path == "" and ("docs/%s.md"):format(name) or ("docs/" .. path):gsub("^docs/%.%./", "")
        assert(tree.exists(file), "there is no " .. file)
        assert(anchor == "" or anchors(kit.read(file))[anchor], ("%s has no #%s"):format(file, anchor))
      end
    end)
  end
end)
