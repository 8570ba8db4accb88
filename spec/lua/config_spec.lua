local config = require "perilune.config"
local kit = require "support.config_kit"

describe("without a file", function()
  it("keys in the environment switch providers on", function()
    local r, findings = kit.read(nil, { OPENAI_API_KEY = " sk-1\n", OPENAI_ORG_ID = "org-1", OPENAI_BASE_URL = "https://eu.example/v1/" })
    assert.same({}, findings)
    assert.equal(1, #r.providers)
    local p = r.providers[1]
    assert.same({ "openai", "https://eu.example/v1", "openai_chat", "bearer", false }, { p.name, p.base_url, p.dialect, p.auth, p.adapt })
    assert.same({ { secret = "sk-1", weight = 1 } }, p.keys)
    assert.same({ "OpenAI-Organization: org-1" }, p.headers)
    assert.is_false(r.mock_only)
    assert(#r.targets > 20)
  end)

  it("and without a key the mock answers, with a warning", function()
    local r, findings = kit.read(nil, {})
    assert.is_true(r.mock_only)
    assert.equal("http://127.0.0.1:4199/v1", r.providers[1].base_url)
    assert.equal("none", r.providers[1].auth)
    assert.same({ "mock/mock-small", "mock/mock-medium", "mock/mock-large" }, { r.targets[1].id, r.targets[2].id, r.targets[3].id })
    assert.is_true(findings[1].warning)
    assert.matches("OPENAI_API_KEY", findings[1].hint)
  end)

  it("and while that mock answers, it is not said again", function()
    assert.same({}, select(2, kit.read(nil, {}, { mock_known = true })))
  end)

  it("and without a mock either, the variables are named", function()
    assert.matches("no provider is configured %[set one of .*, OPENAI_API_KEY", kit.findings(nil, {}, { mock_url = false }))
  end)

  it("everything has its default, by the core's own names", function()
    local c = kit.read(nil, { OPENAI_API_KEY = "k", XDG_STATE_HOME = "/state", PERILUNE_API_KEY = "mine" }).config
    assert.is_nil(c.path)
    assert.same({
      listen = "127.0.0.1:4100", admin = "127.0.0.1:4101", workers = 0, data_dir = "/state/perilune", policies_dir = "policies",
      providers_dir = "providers", lua_dir = "lua", assignments = {}, auto_policy = "auto", fallback = {},
      record_max_bytes = 1073741824, record_headers = {}, shadows = {}, policy_params = {},
      keys = { { id = "environment", name = "PERILUNE_API_KEY", secret = "mine", project = "default", grants = 7, strict = false,
        tags = {}, models = {}, policies = {}, caps = {} } },
      projects = {}, caps = {}, model_limits = {}, clamp = true, clamp_least = 16,
      ledger = true, ledger_power = false, ledger_retention_days = 0, cors_origins = {}, unsupported = "drop",
      reroute_retired = false, policy_deadline_ms = 5, policy_memory = 16777216,
      quarantine_kills = 3, quarantine_kills_one = 10, max_body = 33554432, max_bodies = 268435456, max_header_bytes = 32768,
      max_headers = 100, max_connections = 10000, max_in_flight = 4096, max_lag_ms = 200, queue_max = 1000, queue_max_a_key = 100,
      head_ms = 10000, body_ms = 60000, idle_ms = 75000,
      write_ms = 60000, deadline_ms = 600000, hold_ms = 10000, drain_ms = 30000,
    }, c)
  end)

  it("requests are written down beside the state, or where it is said", function()
    local function record(settings)
      return kit.read(kit.LOCAL .. 'data_dir = "/data", ' .. settings, {}).config.record
    end
    assert.is_nil(record "")
    assert.equal("/data/requests.jsonl", record 'record = "requests.jsonl"')
    assert.equal("/logs/r.jsonl", record 'record = "/logs/r.jsonl"')
  end)

  it("a shadow is a name, or a name and a share", function()
    local c = kit.read(kit.LOCAL .. [[policies = { shadow = { tier = { policy = "cheapest", share = 0.1 }, auto = "tier" } }]], {}).config
    assert.same({ { live = "auto", candidate = "tier", share = 1 }, { live = "tier", candidate = "cheapest", share = 0.1 } }, c.shadows)
    assert.matches("policies.shadow.tier.policy: expected the name of a policy",
      kit.findings(kit.LOCAL .. "policies = { shadow = { tier = { share = 1 } } }"))
    assert.matches("policies.shadow.tier.share: expected a number from 0 to 1",
      kit.findings(kit.LOCAL .. 'policies = { shadow = { tier = { policy = "auto", share = 2 } } }'))
  end)

  it("the state has a place", function()
    local function dir(vars)
      vars.OPENAI_API_KEY = "k"
      return kit.read(nil, vars).config.data_dir
    end
    assert.equal("/x/perilune", dir { XDG_STATE_HOME = "/x", HOME = "/users/me" })
    assert.equal("/users/me/.local/state/perilune", dir { HOME = "/users/me" })
    assert.equal("/var/lib/perilune", dir {})
  end)
end)

describe("the config fields", function()
  it("are all that the core's struct has", function()
    local c = kit.read(nil, { OPENAI_API_KEY = "k" }).config
    local body = kit.read_file("core/base/snapshot.h"):match "struct config (%b{})":gsub("/%*.-%*/", "")
    -- Nil without a file, unless set; beside the settings.
    local elsewhere = {
      path = true, record = true, mock_only = true, ledger_spill = true, access_log = true, alert_webhook = true, alert_secret = true,
    }
    for name in pairs(c) do
      assert(body:find("%f[%w_]" .. name .. "%f[^%w_]"), "struct config has no " .. name)
    end
    for declaration in body:gmatch "([^;{}]+);" do
      for name in (declaration:match "^%s*[%w_ ]+[%s*]([%w_, *]+)$" or ""):gmatch "[%w_]+" do
        assert(c[name] ~= nil or elsewhere[name] or name:find "^n_", "config has no " .. name)
      end
    end
  end)
end)

describe("a configuration", function()
  it("gives settings, providers, targets and chains", function()
    local r = kit.read([[
      listen = "0.0.0.0:8000", workers = 2, client_keys = { env "KEY", env("NOT_SET", "second") },
      providers = {
        openai = { api_keys = { env "A", { key = env "B", weight = 3 } }, models = { "gpt-4o", { name = "gpt-4o-mini", weight = 2 } } },
        ["vllm-eu"] = {
          like = "openai_compatible", base_url = "http://vllm.internal:8000/v1/", tags = { "eu" }, headers = { ["X-Team"] = "a" },
          models = { "llama-3.3-70b", { name = "q", upstream = "Qwen/Q", price = { input = 0.25, output = 1, cached = 0 },
            context = 1000, abilities = { "tools" }, quality = 5, tags = { "own", "eu" }, aliases = { "quick" } } },
          timeouts = { connect_ms = 100 }, failures = { { status = 418, class = "overloaded" } }, adapt = true,
        },
      },
      chains = { b = { "gpt-4o" }, a = { "gpt-4o", "llama-3.3-70b" } }, aliases = { smart = { "gpt-4o" } },
      policies = { dir = "my", default = "tier", auto = "quality", fallback = { "openai/gpt-4o-mini" }, memory_mb = 8, deadline_ms = 7,
        routes = { ["/v1/messages"] = "quality" }, tiers = { paid = "quality", free = "cheapest" },
        params = { split = { arms = { { "gpt-4o", 90 } }, steps = 2 } }, quarantine = { kills = 1 } },
      cors = { origins = { "https://a.example" } }, limits = { max_body = 2048 }, timeouts = { hold_ms = 0 },
    ]], { KEY = "client", A = "sk-a", B = "sk-b" })
    local c = r.config
    assert.same({ "0.0.0.0:8000", 2, "quality", 8388608, 7, 1, 2048, 0 }, {
      c.listen, c.workers, c.auto_policy, c.policy_memory, c.policy_deadline_ms, c.quarantine_kills, c.max_body,
      c.hold_ms,
    })
    assert.same({ "client", "second" }, { c.keys[1].secret, c.keys[2].secret })
    assert.same({
      { scope = "tier", name = "free", policy = "cheapest", managed = true },
      { scope = "tier", name = "paid", policy = "quality", managed = true },
      { scope = "endpoint", name = "/v1/messages", policy = "quality", managed = true },
      { scope = "account", policy = "tier", managed = true },
    }, c.assignments)
    assert.same({ { name = "split", value = '{"arms":[["gpt-4o",90]],"steps":2}' } }, c.policy_params)
    assert.same({ { name = "a", targets = { "gpt-4o", "llama-3.3-70b" } }, { name = "b", targets = { "gpt-4o" } } }, r.chains)
    local meant = {}
    for _, alias in ipairs(r.aliases) do
      meant[alias.name] = alias.targets
    end
    assert.same({ { "vllm-eu/q" }, { "vllm-eu/q" }, { "vllm-eu/q" }, { "vllm-eu/q" }, { "gpt-4o" } },
      { meant.quick, meant["vllm-eu/quick"], meant["Qwen/Q"], meant["vllm-eu/Qwen/Q"], meant.smart })

    assert.same({ { secret = "sk-a", weight = 1 }, { secret = "sk-b", weight = 3 } }, r.providers[1].keys)
    local p = r.providers[2]
    assert.same({ "vllm-eu", "http://vllm.internal:8000/v1", "none", 100, 300000, true },
      { p.name, p.base_url, p.auth, p.connect_ms, p.timeout_ms, p.adapt })
    assert.same({ "X-Team: a" }, p.headers)
    assert.same({ status_from = 418, status_to = 418, class = "overloaded" }, p.rules[1])

    assert.same({ "openai/gpt-4o", "openai/gpt-4o-mini", "vllm-eu/llama-3.3-70b", "vllm-eu/q" },
      { r.targets[1].id, r.targets[2].id, r.targets[3].id, r.targets[4].id })
    assert.same({ input = 2500000000, output = 10000000000, cached = 1250000000, cache_write = -1 }, r.targets[1].price)
    assert.equal(2, r.targets[2].weight)
    assert.same({
      id = "vllm-eu/llama-3.3-70b", model = "llama-3.3-70b", upstream = "llama-3.3-70b", provider = 2, context = 0, max_output = 0,
      price = { input = -1, output = -1, cached = -1, cache_write = -1 }, abilities = 255, weight = 1, tags = { "eu" },
      rules = {}, speaks = { "openai_chat", "openai_embeddings" },
    }, r.targets[3])
    assert.same({ "Qwen/Q", 1 + 128, 5, 1000, 0 },
      { r.targets[4].upstream, r.targets[4].abilities, r.targets[4].quality, r.targets[4].context, r.targets[4].price.cached })
    assert.same({ "eu", "own" }, r.targets[4].tags)
  end)

  it("has its folders beside its file", function()
    local text = "return { " .. kit.LOCAL .. ' policies = { dir = "/abs" }, lua_dir = "l" }'
    local c = config.read(text, "/etc/perilune/perilune.lua", kit.host {}).config
    assert.same({ "/etc/perilune/providers", "/abs", "/etc/perilune/l" }, { c.providers_dir, c.policies_dir, c.lua_dir })
  end)

  it("takes all of a provider's models by *, with changes to some", function()
    local r = kit.read('providers = { openai = { api_key = "k", models = { "*", { name = "gpt-4o", weight = 5 }, "gpt-99" } } }')
    local by_id = {}
    for _, t in ipairs(r.targets) do
      by_id[t.id] = t
    end
    assert.equal(5, by_id["openai/gpt-4o"].weight)
    assert.equal(2500000000, by_id["openai/gpt-4o"].price.input)
    assert.equal(-1, by_id["openai/gpt-99"].price.input)
    assert.equal("openai/gpt-4o", r.targets[1].id)
  end)

  it("uses only the providers it names", function()
    local r = kit.read(kit.LOCAL, { OPENAI_API_KEY = "sk" })
    assert.equal(1, #r.providers)
    r = kit.read("workers = 1", { OPENAI_API_KEY = "sk" })
    assert.equal("openai", r.providers[1].name)
  end)

  it("reads secrets from files, without the line end", function()
    local r = kit.read('providers = { openai = { api_key = file "/run/secrets/x" } }', {}, { files = { ["/run/secrets/x"] = "sk-f\r\n" } })
    assert.equal("sk-f", r.providers[1].keys[1].secret)
  end)

  it("may count, but has nothing that reaches out", function()
    assert.equal(4, kit.read(kit.LOCAL .. "workers = math.min(4, 8)").config.workers)
    for _, name in ipairs { "io", "os", "require", "load" } do
      assert.matches("there is no", kit.findings(("x = %s"):format(name)))
    end
  end)

  it("lets the user's provider files stand in for ours, and adds to them", function()
    local files = kit.provider_files()
    local mine = 'return { base_url = "https://mine/v1", env = { key = "MY" }, models = { "a" } }'
    files[#files + 1] = { name = "openai", path = "mine/openai.lua", text = mine }
    files[#files + 1] = { name = "other", path = "mine/other.lua", text = 'return { like = "openai", env = { key = "OTHER" } }' }
    local r = kit.read(nil, { MY = "k", OTHER = "o" }, { provider_files = files })
    assert.same({ "https://mine/v1", "https://mine/v1" }, { r.providers[1].base_url, r.providers[2].base_url })
    assert.equal(1, #r.targets)
    assert.equal("openai/a", r.targets[1].id)
  end)
end)

describe("a wrong configuration", function()
  for body, expected in pairs {
    ['listn = "x"'] = '2 listn: unknown setting .*%[did you mean "listen"',
    ['listen = "x"'] = '2 listen: expected an address like "127.0.0.1:4100", got "x"',
    ['listen = "127.0.0.1:99999"'] = "expected an address",
    ["workers = 0"] = "workers: expected a whole number from 1 to 256, got 0",
    ["workers = 1.5"] = "whole number",
    ["\n\npolicies = {\n tiers = {\n free = 3 } }"] = "6 policies.tiers.free: expected a text, got 3",
    ["policies = { tier = {} }"] = 'policies.tier: unknown setting .*%[did you mean "tiers"',
    ["policies = { deadline_ms = 0 }"] = "policies.deadline_ms: expected a whole number from 1 to 1000",
    ['policies = { routes = { chat = "x" } }'] = 'policies.routes.chat: expected an endpoint',
    ['policies = { fallback = "x" }'] = 'policies.fallback: expected a list, got "x"',
    ["policies = { params = { p = { x = print } } }"] = "no \"print\"",
    ["policies = { params = { p = { [1] = 1, x = 2 } } }"] = 'params.p%[1%]: expected a name as key',
    ["tls = {}"] = "tls: TLS towards clients is not there yet: put a proxy in front",
    ['providers = { ["a/b"] = {} }'] = 'providers%["a/b"%]: expected a provider name',
    ["providers = { openai = { api_keys = 3 } }"] = "api_keys: expected a list, got 3",
    ["providers = { openai = {} }"] = "providers.openai: no key %[set OPENAI_API_KEY",
    ["providers = { foo = {} }"] = 'providers.foo: no provider file "foo", and neither like nor base_url %[base_url = "http',
    ['providers = { antropic = { api_key = "k" } }'] = 'no provider file "antropic", .*%[did you mean "anthropic"',
    ['providers = { foo = { like = "openai_compatible" } }'] = "providers.foo.base_url: expected the base URL",
    ['providers = { foo = { like = "opnai" } }'] = 'no provider file "opnai" %[did you mean "openai"',
    ['providers = { foo = { base_url = "ftp://x" } }'] = "foo.base_url: expected a URL",
    ['providers = { foo = { base_url = "https://u:p@x/v1" } }'] = "foo.base_url: expected a URL",
    ['providers = { foo = { base_url = "https://x/v1?k=1" } }'] = "foo.base_url: expected a URL",
    ['providers = { foo = { base_url = "https://x", headers = { ["A B"] = "x" } } }'] = "expected a header name",
    ['providers = { foo = { base_url = "https://x", headers = { A = "x\\r\\ny" } } }'] = "without line ends",
    ['providers = { foo = { base_url = "https://x", headers = { Host = "y" } } }'] = "the core's own",
    ['providers = { foo = { base_url = "https://x", dialect = "openai_chta" } }'] =
      'expected one of .*openai_chat, .*, got "openai_chta" %[did you mean "openai_chat"',
    ['providers = { foo = { base_url = "https://x", models = { "a b" } } }'] = "models%[1%]: expected a model name",
    ['providers = { foo = { base_url = "https://x", models = { {} } } }'] = "models%[1%].name: expected the model's name",
    ['providers = { foo = { base_url = "https://x", models = { { name = "a", abilities = "tols" } } } }'] =
      'no ability "tols" .*%[did you mean "tools"',
    ['providers = { foo = { base_url = "https://x", models = { { name = "a", price = { inptu = 1 } } } } }'] = 'did you mean "input"',
    ['providers = { foo = { base_url = "https://x", models = { { name = "a", quality = 101 } } } }'] = "from 0 to 100",
    ['providers = { foo = { base_url = "https://x", failures = { { status = 1, class = "x" } } } }'] = 'no failure class "x"',
    ['workers = env "NOPE"'] = '2 %-: environment variable NOPE is not set %[set it, or give a default: env%("NOPE"',
    ['workers = env("NOPE", "x")'] = 'expected a whole number from 1 to 256, got "x"',
    ['x = file "/nope"'] = "can not read /nope: no such file",
    ["x = env(3)"] = "expected the name of a variable",
    ["limits = { max_body = 1 }"] = "limits.max_body",
    ["[3] = 1"] = "unknown setting",
    ["x ="] = "3 %-: unexpected symbol",
    ["x = (nil)()"] = "attempt to call",
  } do
    it(body:gsub("%s+", " "), function()
      assert.matches(expected, kit.findings(body))
    end)
  end

  it("says everything that is wrong at once", function()
    local all = kit.findings 'listn = 1, workers = "x", providers = { openai = { api_key = env "A", models = { 3 } } }, admin = env "B"'
    for _, part in ipairs { "listn", "workers", "variable A", "variable B", "models%[1%]" } do
      assert.matches(part, all)
    end
  end)

  it("lets no header be recorded that holds a secret, or is none", function()
    local all = kit.findings 'record_headers = { "x-team", "authorization", "Cookie", "x-api-key" }'
    for _, part in ipairs { 'record_headers%[2%]: "authorization" holds a secret', "record_headers%[3%]: expected the name of a header",
      'record_headers%[4%]: "x%-api%-key" holds' } do
      assert.matches(part, all)
    end
    assert.not_matches("%[1%]", all)
  end)

  it("goes from the top down", function()
    local all = kit.findings(table.concat({
      'workers = "a"', "listen = 1", "admin = 2, cors = { originz = 3 }", 'retired = "x"', 'unsupported = "y"', "limits = 4",
    }, ",\n"))
    local lines = {}
    for line in ("\n" .. all):gmatch "\n(%d+) " do
      lines[#lines + 1] = tonumber(line)
    end
    assert.same({ 2, 3, 4, 4, 5, 6, 7 }, lines)
  end)

  it("returns a table", function()
    for _, text in ipairs { "", "return 3", "error {}", "\27LJ" } do
      local r, findings = config.read(text, "perilune.lua", kit.host {})
      assert.is_nil(r)
      assert.equal(1, #findings)
    end
  end)

  it("never shows a secret", function()
    local all = kit.findings [[
      client_keys = { "s3cret with space" }, providers = { openai = { api_keys = { "s3cret\n", 5, { key = "s3cret\t" } } } }]]
    assert.not_matches("s3cret", all)
    assert.matches("client_keys%[1%]: expected a key", all)
    assert.matches("api_keys%[2%]", all)
    assert.not_matches("s3cret", kit.findings("workers = 1", { OPENAI_API_KEY = "s3cret s3cret" }))
    for _, text in ipairs {
      'client_keys = "s3cret"', 'providers = { openai = { api_keys = "s3cret" } }', 'providers = { openai = { api_keys = { "s3cret } } }',
      'providers = { openai = { api_keys = { { key = "s", weight = "s3cret" } } } }', 'providers = { openai = { headers = "x: s3cret" } }',
      'providers = { openai = { base_url = "http://me:s3cret@host/v1" } }',
      "client_keys = { [[s3cret]] s3cret }", "client_keys = { [[s3cret }",
    } do
      local said = kit.findings(text)
      assert.not_equal("", said)
      assert.not_matches("s3cret", said)
    end
  end)

  it("in a provider file is told with that file's name", function()
    local files = kit.provider_files()
    files[#files + 1] = { name = "bad", path = "providers/bad.lua", text = 'return {\n base_ulr = "x",\n}' }
    local _, findings = kit.read(kit.LOCAL, {}, { provider_files = files })
    assert.same({ "providers/bad.lua", 2, "base_ulr" }, { findings[1].path, findings[1].line, findings[1].setting })
    files[#files] = { name = "bad", path = "providers/bad.lua", text = "return {" }
    _, findings = kit.read(kit.LOCAL, {}, { provider_files = files })
    assert.equal("providers/bad.lua", findings[1].path)
  end)
end)

describe("origins of pages", function()
  local function said(origins, more)
    local _, findings = kit.read(("%s cors = { origins = { %q } }, %s"):format(kit.LOCAL, origins, more or ""))
    return findings[1] and findings[1].message or ""
  end

  it("are as browsers send them", function()
    assert.equal("", said "https://app.example")
    assert.equal("", said "http://localhost:3000")
    for _, wrong in ipairs { "https://app.example/", "app.example", "https://App.example", "https://a b", "**", "null" } do
      assert.matches("expected an origin", said(wrong))
    end
  end)

  it("may be all of them, for who has a key", function()
    assert.matches("only with client keys", said "*")
    assert.equal("", said("*", 'client_keys = { "k" }'))
  end)
end)

describe("names that nothing answers to", function()
  it("are warnings in chains and the fallback", function()
    local r, findings = kit.read(kit.LOCAL .. 'chains = { m = { "m", "vllm/new", "mm" } }, policies = { fallback = { "gpt-4o" } }')
    assert.is_table(r)
    assert.equal(2, #findings)
    assert.same({ "chains.m[3]", 'did you mean "m"?' }, { findings[1].setting, findings[1].hint })
    assert.same({ "policies.fallback[1]", true }, { findings[2].setting, findings[2].warning })
  end)

  it("are errors where policies are named", function()
    local over = { policies = { "cheapest", "tier" } }
    assert.matches('policies.default: no policy "teir" %[did you mean "tier"',
      kit.findings(kit.LOCAL .. 'policies = { default = "teir" }', {}, over))
    assert.matches("policies.tiers.free: no policy", kit.findings(kit.LOCAL .. 'policies = { tiers = { free = "x" } }', {}, over))
    assert.matches('policies.shadow.tier: no policy "teir"',
      kit.findings(kit.LOCAL .. 'policies = { shadow = { tier = "teir" } }', {}, over))
    assert.matches("policies.params.x: no policy", kit.findings(kit.LOCAL .. "policies = { params = { x = {} } }", {}, over))
    assert.is_table((kit.read(kit.LOCAL .. 'policies = { default = "tier", auto = "cheapest" }', {}, over)))
  end)

  it("hide no provider that is wrong as well", function()
    local said = kit.findings('policies = { default = "teir" }, providers = { opnai = {} },', {}, { policies = { "tier" } })
    assert.matches('policies.default: no policy "teir"', said, 1, true)
    assert.matches('providers.opnai: no provider file "opnai"', said, 1, true)
  end)
end)

describe("policies/routes.lua", function()
  local function read(body, text)
    return kit.read(kit.LOCAL .. body, {}, { routes = { path = "policies/routes.lua", text = text }, policies = { "tier", "cheapest" } })
  end

  local function refused(body, text)
    local r, findings = read(body, text)
    assert.is_nil(r)
    return ("%s:%s %s: %s"):format(findings[1].path, findings[1].line or "", findings[1].setting or "", findings[1].message), #findings
  end

  it("assigns policies beside the configuration, with params and limits", function()
    local r, findings = read('policies = { tiers = { paid = { policy = "tier", limits = { deadline_ms = 9 } } } }',
      'return { tier = { free = { policy = "cheapest", params = { n = { 1, 2 } }, limits = { max_cost_usd = 0.5 } } }, account = "tier" }')
    assert.same({}, findings)
    assert.same({
      { scope = "tier", name = "paid", policy = "tier", deadline_ms = 9, managed = true },
      { scope = "tier", name = "free", policy = "cheapest", params = '{"n":[1,2]}', max_cost_usd = 0.5, managed = false },
      { scope = "account", policy = "tier", managed = false },
    }, r.config.assignments)
  end)

  it("comes second to the configuration, which is said", function()
    local r, findings = read('policies = { tiers = { free = "tier" } }', "return {\n  tier = {\n    free = 'cheapest' } }")
    assert.equal(1, #r.config.assignments)
    assert.same({ { path = "policies/routes.lua", line = 3, setting = "tier.free", warning = true,
      message = "this is not used: policies.tiers.free is set in the configuration" } }, findings)
  end)

  it("is checked like the configuration", function()
    assert.matches('policies/routes.lua:2 tier.free: no policy "teir"', (refused("", "return {\ntier = { free = 'teir' } }")), 1, true)
    assert.matches("policies/routes.lua:1 teir: unknown setting", (refused("", "return { teir = {} }")), 1, true)
    assert.matches("tier.free.policy: expected the name of a policy", (refused("", "return { tier = { free = {} } }")), 1, true)
    assert.matches("endpoint.chat: expected an endpoint", (refused("", "return { endpoint = { chat = 'tier' } }")), 1, true)
    local function of_account(field)
      return (refused("", "return { account = { policy = 'tier', " .. field .. " } }"))
    end
    assert.matches("limits.deadline_ms: expected a whole number", of_account "limits = { deadline_ms = 0 }", 1, true)
    assert.matches("params.f: expected a text, a number", of_account "params = { f = string.format }", 1, true)
    assert.matches("policies/routes.lua:1 : ", (refused("", "return {")), 1, true)
    assert.matches("policies/routes.lua: : expected the file to return a table", (refused("", "")), 1, true)
    assert.matches("policies/routes.lua:1 : ", (refused("", "return { account = env 'HOME' }")), 1, true)
  end)

  it("may name keys and projects that the configuration does not know: others are made later", function()
    local own = 'client_keys = { { secret = "s", id = "continuous" } }, projects = { website = {} }'
    local text = "return { project = { shop = 'tier', default = 'tier', %s = 'tier' }, key = { ci = 'tier', %s = 'cheapest' } }"
    local r, findings = read(own, text:format("website", "continuous"))
    assert.equal(5, #r.config.assignments)
    assert.same({}, findings)
    r, findings = read(own, text:format("webiste", "continuos"))
    assert.equal(5, #r.config.assignments)
    assert.same({ 'did you mean "continuous"?', 'did you mean "website"?' }, { findings[1].hint, findings[2].hint })
    assert.is_true(findings[1].warning and findings[2].warning)
  end)

  it("comes second to what keys and projects say themselves, which is said", function()
    local _, findings = read('client_keys = { { secret = "s", id = "ci", policy = "tier" } }, projects = { web = { policy = "cheapest" } }',
      "return { key = { ci = 'tier' }, project = { web = 'tier' } }")
    assert.same({ "this is not used: client_keys[1].policy is set in the configuration",
      "this is not used: projects.web.policy is set in the configuration" }, { findings[1].message, findings[2].message })
  end)

  it("is written anew when an assignment changes, and says the same as before otherwise", function()
    local edit = require("perilune.config").edit_routes
    local text = assert(edit(nil, "tier", "free", '{"policy":"cheapest","params":null,"limits":{"max_cost_usd":0.002}}'))
    local file = { path = "policies/routes.lua", text = text }
    assert.equal(text, (edit(file, "tier", "free", '{"policy":"cheapest","limits":{"max_cost_usd":0.002}}')))
    file.text = assert(edit(file, "account", nil, '{"policy":"tier","params":{"list":[1,2],"deep":{"a b":true}}}'))
    local r = read("", file.text)
    assert.same({ { scope = "tier", name = "free", policy = "cheapest", max_cost_usd = 0.002, managed = false },
      { scope = "account", policy = "tier", params = '{"deep":{"a b":true},"list":[1,2]}', managed = false } }, r.config.assignments)
    assert.equal(text, (edit(file, "account", nil, nil)))
    assert.same({ {} }, { select(2, edit(file, "tier", "gold", nil)) })
  end)

  it("is not written when the file or the value is wrong", function()
    local edit = require("perilune.config").edit_routes
    local text, findings = edit({ path = "r", text = "return {" }, "tier", "free", '{"policy":"tier"}')
    assert.is_nil(text)
    assert.equal("r", findings[1].path)
    text, findings = edit(nil, "tier", "free", '{"policy":"tier","limits":{"deadline_ms":-1}}')
    assert.is_nil(text)
    assert.same({ nil, "limits.deadline_ms" }, { findings[1].path, findings[1].setting })
  end)
end)

describe("what is unsupported or retired", function()
  it("is left out and refused, unless the configuration says otherwise", function()
    local c = kit.read(kit.LOCAL .. 'unsupported = "refuse", retired = "reroute"').config
    assert.same({ "refuse", true }, { c.unsupported, c.reroute_retired })
    assert.matches('unsupported: expected one of drop, refuse, got "dropp" %[did you mean "drop"',
      kit.findings(kit.LOCAL .. 'unsupported = "dropp"'))
    assert.matches("retired: expected one of refuse, reroute", kit.findings(kit.LOCAL .. 'retired = "serve"'))
  end)
end)

describe("files of models", function()
  local function read(name, text, vars)
    local files = kit.provider_files()
    files[#files + 1] = { name = name, path = "providers/" .. name .. ".lua", text = text }
    return kit.read(nil, vars or { OPENAI_API_KEY = "k" }, { provider_files = files })
  end

  it("stand over the shipped list, field by field, and add to it", function()
    local r, findings = read("openai.models", [[return {
      models = { { name = "gpt-4o", price = { input = 1, output = 2 } }, { name = "gpt-9", context = 9 } },
      retired = { ["gpt-3"] = { instead = "gpt-9" } } }]])
    assert.same({}, findings)
    local by_model = {}
    for _, t in ipairs(r.targets) do
      by_model[t.model] = t
    end
    assert.same({ 1e9, -1, 128000 }, { by_model["gpt-4o"].price.input, by_model["gpt-4o"].price.cached, by_model["gpt-4o"].context })
    assert.same({ 9, -1 }, { by_model["gpt-9"].context, by_model["gpt-9"].price.input })
    assert.equal("openai/gpt-4o", r.targets[1].id)
    assert.equal("gpt-3", r.retired[1].model)
  end)

  it("hold models and nothing else, of a provider there is", function()
    local _, findings = read("openai.models", 'return { base_url = "http://x" }')
    assert.matches("unknown setting", findings[1].message)
    _, findings = read("opnai.models", "return { models = {} }")
    assert.same({ 'no provider file "opnai" to add models to', 'did you mean "openai"?' }, { findings[1].message, findings[1].hint })
  end)
end)

describe("place", function()
  local function place(text, vars)
    local where, known = config.place(text, "perilune.lua", kit.host(vars or { HOME = "/srv/ada" }))
    return where.data_dir, known
  end

  it("is what the file says, whatever else is wrong in it", function()
    assert.same({ "/srv/state", true }, { place 'return { data_dir = "/srv/state", workrs = 1, listen = env "UNSET" }' })
    assert.same({ "/srv/ada/.local/state/perilune", true }, { place "return { workrs = 1 }" })
    assert.same({ "/srv/ada/.local/state/perilune", true }, { place(nil) })
    assert.same({ "/x/perilune", true }, { place("return {}", { XDG_STATE_HOME = "/x" }) })
  end)

  it("is the usual one when the file does not say", function()
    for _, text in ipairs { "return {", "return 1", "return { data_dir = 1 }", 'return { data_dir = env "UNSET" .. "/x" }' } do
      assert.same({ "/srv/ada/.local/state/perilune", false }, { place(text) })
    end
  end)
end)
