-- What lies in the repository, and what mirrors what.
local tree = require "support.tree"

-- Modules without a unit test of their own name: closed sets that are tested together, and what only makes sense driven through the
-- real binary, with the spec that does.
local TESTED_IN = {
  ["core/base/ability"] = "spec/core/base/names_test.c",
  ["core/base/dialect"] = "spec/core/base/names_test.c",
  ["core/base/failure"] = "spec/core/base/names_test.c",
  ["core/base/json_splice"] = "spec/core/base/json_test.c",
  ["core/upstream/watch"] = "spec/core/upstream/pump_test.c",
  ["core/route/attempt"] = "spec/gateway/fallback_spec.lua",
  ["core/route/bill"] = "spec/gateway/ledger_kill_spec.lua",
  ["core/route/bodies"] = "spec/gateway/bodies_spec.lua",
  ["core/route/charge"] = "spec/gateway/caps_spec.lua",
  ["core/route/client"] = "spec/gateway/streaming_spec.lua",
  ["core/route/engine"] = "spec/gateway/reload_spec.lua",
  ["core/route/explain"] = "spec/gateway/explain_spec.lua",
  ["core/route/feedback"] = "spec/gateway/feedback_spec.lua",
  ["core/route/live"] = "spec/gateway/fallback_spec.lua",
  ["core/route/pursuit"] = "spec/gateway/fallback_spec.lua",
  ["core/route/repeat"] = "spec/gateway/idempotency_spec.lua",
  ["core/route/request"] = "spec/gateway/fallback_spec.lua",
  ["core/route/token"] = "spec/gateway/keys_spec.lua",
  ["core/route/waiting"] = "spec/gateway/queue_spec.lua",
  ["core/route/worker"] = "spec/gateway/shutdown_spec.lua",
  ["core/admin/admin"] = "spec/gateway/reload_spec.lua",
  ["core/admin/api"] = "spec/gateway/admin_spec.lua",
  ["core/admin/api_explain"] = "spec/gateway/explain_spec.lua",
  ["core/admin/api_caps"] = "spec/gateway/admin_keys_spec.lua",
  ["core/admin/api_keys"] = "spec/gateway/admin_keys_spec.lua",
  ["core/admin/api_projects"] = "spec/gateway/admin_keys_spec.lua",
  ["core/admin/api_metrics"] = "spec/gateway/metrics_spec.lua",
  ["core/admin/api_policies"] = "spec/gateway/admin_policies_spec.lua",
  ["core/admin/api_routes"] = "spec/gateway/admin_routes_spec.lua",
  ["core/admin/api_requests"] = "spec/gateway/admin_requests_spec.lua",
  ["core/admin/api_usage"] = "spec/gateway/admin_requests_spec.lua",
  ["core/admin/reading"] = "spec/gateway/admin_requests_spec.lua",
  ["core/admin/api_status"] = "spec/gateway/admin_spec.lua",
  ["core/admin/edit"] = "spec/gateway/admin_routes_spec.lua",
  ["core/admin/policies"] = "spec/gateway/admin_policies_spec.lua",
  ["core/admin/put"] = "spec/gateway/admin_policies_spec.lua",
  ["core/admin/roster"] = "spec/gateway/admin_keys_spec.lua",
  ["core/admin/tail"] = "spec/gateway/tail_spec.lua",
  ["core/admin/watcher"] = "spec/gateway/reload_spec.lua",
  ["core/cli/ask"] = "spec/gateway/cli_spec.lua",
  ["core/cli/check"] = "spec/gateway/cli_spec.lua",
  ["core/cli/errand"] = "spec/gateway/admin_policies_spec.lua",
  ["core/cli/keys"] = "spec/gateway/cli_keys_spec.lua",
  ["core/cli/projects"] = "spec/gateway/cli_keys_spec.lua",
  ["core/cli/settings"] = "spec/gateway/cli_keys_spec.lua",
  ["core/cli/book"] = "spec/gateway/cli_ledger_spec.lua",
  ["core/cli/usage"] = "spec/gateway/cli_ledger_spec.lua",
  ["core/cli/logs"] = "spec/gateway/cli_ledger_spec.lua",
  ["core/cli/trace"] = "spec/gateway/cli_ledger_spec.lua",
  ["core/cli/init"] = "spec/gateway/init_spec.lua",
  ["core/cli/explain"] = "spec/gateway/explain_spec.lua",
  ["core/cli/help"] = "spec/gateway/cli_spec.lua",
  ["core/cli/mock"] = "spec/gateway/mock_spec.lua",
  ["core/cli/mock_anthropic"] = "spec/gateway/mock_anthropic_spec.lua",
  ["core/cli/mock_anthropic_check"] = "spec/gateway/mock_anthropic_spec.lua",
  ["core/cli/mock_bedrock"] = "spec/gateway/mock_bedrock_spec.lua",
  ["core/cli/mock_bedrock_check"] = "spec/gateway/mock_bedrock_spec.lua",
  ["core/cli/mock_call"] = "spec/gateway/mock_spec.lua",
  ["core/cli/mock_check"] = "spec/gateway/mock_anthropic_spec.lua",
  ["core/cli/mock_completions"] = "spec/gateway/mock_openai_spec.lua",
  ["core/cli/mock_embeddings"] = "spec/gateway/mock_openai_spec.lua",
  ["core/cli/mock_gemini"] = "spec/gateway/mock_gemini_spec.lua",
  ["core/cli/mock_gemini_check"] = "spec/gateway/mock_gemini_spec.lua",
  ["core/cli/mock_headers"] = "spec/gateway/mock_openai_spec.lua",
  ["core/cli/mock_openai"] = "spec/core/cli/mock_answer_test.c",
  ["core/cli/mock_openai_chat"] = "spec/core/cli/mock_answer_test.c",
  ["core/cli/mock_responses"] = "spec/gateway/mock_responses_spec.lua",
  ["core/cli/mock_responses_check"] = "spec/gateway/mock_responses_spec.lua",
  ["core/cli/mock_route"] = "spec/gateway/mock_openai_spec.lua",
  ["core/cli/mock_serve"] = "spec/gateway/mock_spec.lua",
  ["core/cli/mock_token"] = "spec/gateway/mock_openai_spec.lua",
  ["core/cli/listing"] = "spec/gateway/models_update_spec.lua",
  ["core/cli/update"] = "spec/gateway/models_update_spec.lua",
  ["core/cli/models"] = "spec/gateway/cli_spec.lua",
  ["core/cli/policy"] = "spec/gateway/admin_policies_spec.lua",
  ["core/cli/reload"] = "spec/gateway/reload_spec.lua",
  ["core/cli/replay"] = "spec/gateway/replay_spec.lua",
  ["core/cli/run"] = "spec/gateway/cli_spec.lua",
  ["core/cli/setup"] = "spec/gateway/cli_spec.lua",
  ["core/cli/state"] = "spec/gateway/cli_spec.lua",
  ["core/cli/status"] = "spec/gateway/cli_spec.lua",
  ["core/cli/test"] = "spec/gateway/test_spec.lua",
  ["core/cli/unpack"] = "spec/gateway/test_spec.lua",
  ["core/cli/version"] = "spec/gateway/cli_spec.lua",
}

-- Whether `stem` ("vm_kill") is about a module of the folder ("vm"): equal, or with a word behind it.
local function about(stem, folder, endings)
  while stem do
    for _, ending in ipairs(endings) do
      if tree.exists(folder .. "/" .. stem .. ending) then
        return true
      end
    end
    stem = stem:match "^(.+)_[^_]+$"
  end
  return false
end

local function has_unit(module)
  local folder, stem = module:match "^core/(.+)/([^/]+)$"
  for _, path in ipairs(tree.matching("spec/core/" .. folder, "%.c$")) do
    local name = path:match "([^/]+)_test%.c$"
    if name == stem or name and name:sub(1, #stem + 1) == stem .. "_" then
      return true
    end
  end
  return false
end

describe("specs mirror sources", function()
  it("every unit test has its module", function()
    local shared, breaches = {}, {}
    for _, path in pairs(TESTED_IN) do
      shared[path] = true
    end
    for _, path in ipairs(tree.matching("spec/core", "_test%.c$")) do
      local folder, stem = path:match "^spec/(core/.+)/([^/]+)_test%.c$"
      if not shared[path] and not about(stem, folder, { ".c", ".cpp", ".h" }) then
        breaches[#breaches + 1] = path
      end
    end
    assert.same({}, breaches)
  end)

  it("every module has a unit test, or a gateway spec that drives it", function()
    local breaches = {}
    for _, path in ipairs(tree.matching("core", "%.c$", "%.cpp$")) do
      local module = path:gsub("%.%w+$", "")
      local elsewhere = TESTED_IN[module]
      if module ~= "core/main" and not has_unit(module) and not (elsewhere and tree.exists(elsewhere)) then
        breaches[#breaches + 1] = path
      end
    end
    assert.same({}, breaches)
  end)

  it("every Lua module has a spec", function()
    local breaches = {}
    for _, path in ipairs(tree.matching("lua/perilune", "%.lua$")) do
      local stem = path:match "^lua/perilune/(.*)%.lua$"
      if not tree.exists("spec/lua/" .. stem .. "_spec.lua") then
        breaches[#breaches + 1] = path
      end
    end
    assert.same({}, breaches)
  end)

  it("every shipped policy has a spec", function()
    local breaches = {}
    for _, path in ipairs(tree.committed "policies") do
      local stem = path:match "^policies/([^/]*)%.lua$"
      if stem and not tree.exists("spec/policies/" .. stem .. "_spec.lua") then
        breaches[#breaches + 1] = path
      end
    end
    assert.same({}, breaches)
  end)
end)

describe("a module's name", function()
  it("is its alone: its functions are called by it", function()
    local owner, breaches = {}, {}
    for _, path in ipairs(tree.matching("core", "%.h$")) do
      local stem = path:match "([^/]+)%.h$"
      if owner[stem] then
        breaches[#breaches + 1] = ("%s and %s"):format(owner[stem], path)
      end
      owner[stem] = path
    end
    assert.same({}, breaches)
  end)
end)

describe("the repository", function()
  -- What git holds or would take in.
  local function committed()
    local pipe = assert(io.popen "git ls-files --cached --others --exclude-standard")
    local list = {}
    for path in pipe:lines() do
      if tree.exists(path) then
        list[#list + 1] = path
      end
    end
    pipe:close()
    return list
  end

  it("holds nothing third-party and nothing built", function()
    local breaches = {}
    for _, path in ipairs(committed()) do
      for _, pattern in ipairs {
        "node_modules/", "^vendor/", "^third_party/", "^deps/", "%.o$", "%.a$", "%.so$", "%.so%.", "%.min%.js$", "%.tgz$",
      } do
        if path:match(pattern) then
          breaches[#breaches + 1] = path
        end
      end
    end
    assert.same({}, breaches)
  end)

  it("names no place of one machine and no registry", function()
    -- In pieces, so that this file does not find itself.
    local places = { "/wo" .. "rk/", "/ro" .. "ot/", "/ho" .. "me/", '"resol' .. 'ved"' }
    local breaches = {}
    for _, path in ipairs(committed()) do
      local text = tree.read(path)
      for _, place in ipairs(places) do
        if text:find(place, 1, true) then
          breaches[#breaches + 1] = path .. " says " .. place
        end
      end
    end
    assert.same({}, breaches)
  end)

  it("pins each npm package to one version", function()
    for _, path in ipairs(committed()) do
      if path:match "package%.json$" then
        for name, version in tree.read(path):gmatch '"([^"]+)":%s*"([%^~><=*][^"]*)"' do
          error(("%s wants %s %s: pin it"):format(path, name, version))
        end
        assert(tree.exists((path:gsub("package%.json$", "package-lock.json"))), path .. " has no lock file beside it")
      end
    end
  end)

  it("leaves no focused spec behind", function()
    local breaches = {}
    for _, path in ipairs(tree.matching("spec", "_spec%.lua$")) do
      if tree.read(path):find("#on" .. "ly", 1, true) or tree.read(path):find("#foc" .. "us", 1, true) then
        breaches[#breaches + 1] = path
      end
    end
    assert.same({}, breaches)
  end)
end)
