local account = require "perilune.account"
local config = require "perilune.config"
local kit = require "support.config_kit"

local POLICIES = { policies = { "tier", "cheapest" } }

-- The core's settings of a configuration that must be taken, and what was said of it.
local function read(body, vars)
  local r, findings = kit.read(kit.LOCAL .. body, vars or {}, POLICIES)
  assert(r, findings[1] and findings[1].message)
  return r.config, findings
end

local function refused(body, vars)
  return kit.findings(kit.LOCAL .. body, vars, POLICIES)
end

describe("dollars", function()
  local function usd(v)
    local said
    local nano = account.usd(v, "x", function(_, message)
      said = message
    end)
    return nano, said
  end

  it("are whole nano-dollars, exactly", function()
    for dollars, nano in pairs {
      [0] = 0, [0.1] = 100000000, [0.3] = 300000000, [1e-9] = 1, [0.000000123] = 123, [500] = 500e9, [19.99] = 19990000000,
      [123456.789012345] = 123456789012345, [4000000.1] = 4000000100000000, [1e9] = 1e18, [999999999] = 999999999e9,
    } do
      assert.equal(nano, (usd(dollars)))
    end
  end)

  it("may be reckoned", function()
    assert.equal(300000000, (usd(0.1 + 0.2)))
    assert.equal(700000000, (usd(0.7 * 1.0000000000000002)))
  end)

  it("are no less than nothing, no fraction of a nano-dollar and no infinity", function()
    for _, wrong in ipairs { -1, 1e-10, 0.0000000015, 1.0000000001, 1e10, math.huge, 0 / 0, "5", true, {} } do
      local nano, said = usd(wrong)
      assert.is_nil(nano)
      assert.matches("expected", said)
    end
  end)
end)

describe("a key", function()
  it("can be a secret alone, known by its place", function()
    local c = read 'client_keys = { "s1", { secret = "s2" }, { secret = "s3", id = "ci" } }'
    local ids = {}
    for i, key in ipairs(c.keys) do
      ids[i] = { key.id, key.name, key.secret, key.project, key.grants }
    end
    assert.same({
      { "key_1", "key_1", "s1", "default", 0 }, { "key_2", "key_2", "s2", "default", 0 }, { "ci", "ci", "s3", "default", 0 },
    }, ids)
  end)

  it("says who it is, what it may, how much, and until when", function()
    local c, findings = read([[
      projects = { shop = {} },
      client_keys = { { secret = env "CI", id = "ci", name = "CI of the shop", project = "shop", tier = "paid",
        policy = { policy = "tier", params = { n = 1 }, limits = { max_cost_usd = 0.01 } }, tags = { "ci", "x" },
        metadata = { team = "a", deep = { 1, 2 } }, models = { "m", "vllm/*" }, policies = { "cheapest" },
        grants = { "policy", "models", "policy" }, strict = true, expires = "2027-01-01T00:00:00Z",
        rpm = 60, tpm = 100000, concurrent = 10, daily_usd = 5, monthly_usd = 50, total_usd = 100, zone = "+02:00",
        alerts = { 100, 50 } } }]],
      { CI = "sk" })
    assert.same({}, findings)
    local function cap(period, nano, offset)
      return { scope = "key", name = "ci", period = period, nano = nano, offset_min = offset, alerts = { 50, 100 } }
    end
    assert.same({ {
      id = "ci", name = "CI of the shop", secret = "sk", project = "shop", tier = "paid", policy = "tier", tags = { "ci", "x" },
      metadata = '{"deep":[1,2],"team":"a"}', models = { "m", "vllm/*" }, policies = { "cheapest" }, grants = 5, strict = true,
      expires_s = 1798761600, rpm = 60, tpm = 100000, concurrent = 10,
      caps = { cap("day", 5e9, 120), cap("month", 50e9, 120), cap("total", 100e9, 0) },
    } }, c.keys)
    assert.same({ { scope = "key", name = "ci", policy = "tier", params = '{"n":1}', max_cost_usd = 0.01, managed = true } }, c.assignments)
  end)

  it("of the environment is the operator's own", function()
    local c = read('client_keys = { "s1" }', { PERILUNE_API_KEY = "s2" })
    assert.same({ "key_1", "environment" }, { c.keys[1].id, c.keys[2].id })
    assert.same({ 0, 7 }, { c.keys[1].grants, c.keys[2].grants })
  end)

  it("of the environment that the file has, too, is as the file says", function()
    local c = read('client_keys = { { secret = env "PERILUNE_API_KEY", id = "own" } }', { PERILUNE_API_KEY = "s" })
    assert.same({ 1, "own" }, { #c.keys, c.keys[1].id })
  end)

  for body, said in pairs {
    ['{ id = "ci" }'] = "client_keys[1].secret: expected the key that clients present, got nothing",
    ['{ secret = "a b" }'] = "client_keys[1].secret: expected a key: ASCII",
    ['{ secret = "s", id = "a b" }'] = "client_keys[1].id: expected up to 64 letters",
    ['{ secret = "s", id = ("x"):rep(65) }'] = "client_keys[1].id: expected up to 64 letters",
    ['{ secret = "s", id = "environment" }'] = 'client_keys[1]: the id "environment" is that of PERILUNE_API_KEY',
    ['{ secret = "s", id = "key_2" }, "t"'] = 'client_keys[2]: the id "key_2" is that of client_keys[1]',
    ['"s", { secret = "s", id = "x" }'] = "client_keys[2]: this is the same key as client_keys[1]",
    ['{ secret = "s", project = "shpo" }'] = 'client_keys[1].project: there is no project "shpo" [did you mean "shop"?]',
    ['{ secret = "s", policy = "teir" }'] = 'client_keys[1].policy: no policy "teir" [did you mean "tier"?]',
    ['{ secret = "s", grants = { "tiers" } }'] = "client_keys[1].grants[1]: expected one of models, policy, tier",
    ['{ secret = "s", models = {} }'] = "client_keys[1].models: expected at least one name [leave it out to allow all]",
    ['{ secret = "s", expires = "soon" }'] = 'client_keys[1].expires: expected a moment like "2027-01-01T00:00:00Z"',
    ['{ secret = "s", metadata = { [1] = 2 } }'] = "client_keys[1].metadata[1]: expected a name as key",
    ['{ secret = "s", metadata = { f = string.rep } }'] = "client_keys[1].metadata.f: expected a text, a number",
    ['{ secret = "s", daily_usd = -1 }'] = "client_keys[1].daily_usd: expected a number from 0 to 1000000000",
    ['{ secret = "s", zone = "Europe/Berlin" }'] = 'client_keys[1].zone: expected "UTC" or how far',
    ['{ secret = "s", alerts = { 0 } }'] = "client_keys[1].alerts[1]: expected a whole number from 1 to 100",
    ['{ secret = "s", alerts = { 1, 2, 3, 4, 5 } }'] = "client_keys[1].alerts: expected at most 4 shares",
    ['{ secret = "s", rpm = 0 }'] = "client_keys[1].rpm: expected a whole number from 1",
    ['{ secret = "s", rmp = 5 }'] = 'client_keys[1].rmp: unknown setting',
  } do
    it("is refused: " .. said, function()
      local all = refused(("projects = { shop = {} }, client_keys = { %s }"):format(body))
      assert.is_truthy(all:find(said, 1, true), all)
    end)
  end

  it("that is not set in the environment is told once, whatever else is missing", function()
    assert.same({ 'environment variable A is not set', 'environment variable B is not set' }, (function()
      local _, findings = kit.read(kit.LOCAL .. 'client_keys = { env "A", { secret = env "B" } }', {}, POLICIES)
      return { findings[1].message, findings[2].message, findings[3] and findings[3].message }
    end)())
  end)

  it("shows its secret in no message", function()
    for _, body in ipairs {
      'client_keys = { { "s3cret" } }', 'client_keys = { { secret = "s3cret s3cret" } }', 'client_keys = { { secret = { "s3cret" } } }',
      'client_keys = { { secret = "s3cret" }, "s3cret" }', 'client_keys = { s3cret = {} }',
      'client_keys = { { secret = "s3cret", name = 5 } }', 'alerts = { webhook = "https://h/s3cret 1" }',
      'alerts = { webhook = "https://h/s3cret" }', 'alerts = { webhook = "https://h", secret = "s3cret 1" }', 'alerts = "s3cret"',
    } do
      local all = refused(body)
      assert.not_equal("", all)
      assert.not_matches("s3cret", all)
    end
  end)

  it("may name models and policies that are not there yet, which is said", function()
    local _, findings = read [[client_keys = { { secret = "s", id = "x", models = { "m", "n0" }, policies = { "tier", "auto", "teir" } } },
      chains = { both = { "m", "n" } }, model_limits = { both = { rpm = 1 }, mm = { rpm = 1 } }]]
    local said = {}
    for i, f in ipairs(findings) do
      assert.is_true(f.warning)
      said[i] = f.setting .. ": " .. f.message
    end
    table.sort(said)
    assert.same({ 'client_keys[1].models[2]: no configured provider has "n0"', 'client_keys[1].policies[3]: no policy "teir"',
      'model_limits.mm: no configured provider has "mm"' }, said)
  end)
end)

describe("a project", function()
  it("has what a key has of money and limits, and what is free, added and kept", function()
    local c = read [[projects = {
      shop = { tier = "paid", policy = "tier", tags = { "eu" }, rpm = 1, tpm = 2, concurrent = 3, monthly_usd = 500, free_requests = 1000,
        markup = 0.2, bodies = { max_bytes = 5, retention_days = 6, redact = false } },
      plain = { bodies = {} }, default = {} }]]
    assert.same({ "default", "plain", "shop" }, { c.projects[1].name, c.projects[2].name, c.projects[3].name })
    assert.same({ name = "default", tags = {}, caps = {}, markup_ppm = 0 }, c.projects[1])
    assert.same({ name = "plain", tags = {}, caps = {}, markup_ppm = 0, bodies_max_bytes = 16384, bodies_retention_days = 7,
      bodies_redact = true }, c.projects[2])
    assert.same({
      name = "shop", tier = "paid", policy = "tier", tags = { "eu" }, rpm = 1, tpm = 2, concurrent = 3, free_requests = 1000,
      markup_ppm = 200000, bodies_max_bytes = 5, bodies_retention_days = 6, bodies_redact = false,
      caps = { { scope = "project", name = "shop", period = "month", nano = 500e9, offset_min = 0, alerts = { 80, 100 } } },
    }, c.projects[3])
    assert.same({ { scope = "project", name = "shop", policy = "tier", managed = true } }, c.assignments)
  end)

  it("is refused with what it can not have", function()
    for body, said in pairs {
      ['["a b"] = {}'] = 'projects["a b"]: expected up to 64 letters',
      ['a = { request_usd = 1 }'] = "projects.a.request_usd: unknown setting",
      ['a = { markup = -1 }'] = "projects.a.markup: expected a number",
      ['a = { bodies = { max_bytes = 0 } }'] = "projects.a.bodies.max_bytes: expected a whole number",
      ['a = { free_requests = 1.5 }'] = "projects.a.free_requests: expected a whole number",
      ['a = { policy = {} }'] = "projects.a.policy.policy: expected the name of a policy",
      ['a = { policy = "nix" }'] = 'projects.a.policy: no policy "nix"',
    } do
      local all = refused(("projects = { %s }"):format(body))
      assert.is_truthy(all:find(said, 1, true), all)
    end
  end)
end)

describe("caps", function()
  it("hold for the account, each request and routes", function()
    local c = read [[account = { daily_usd = 1, request_usd = 0.5, zone = "-05:00", alerts = {} },
      route_caps = { ["/v1/messages"] = { monthly_usd = 2 }, ["/v1/chat/completions"] = { total_usd = 0, zone = "UTC" } },]]
    assert.same({
      { scope = "account", period = "day", nano = 1e9, offset_min = -300, alerts = {} },
      { scope = "request", period = "total", nano = 5e8, offset_min = 0, alerts = {} },
      { scope = "route", name = "/v1/chat/completions", period = "total", nano = 0, offset_min = 0, alerts = { 80, 100 } },
      { scope = "route", name = "/v1/messages", period = "month", nano = 2e9, offset_min = 0, alerts = { 80, 100 } },
    }, c.caps)
  end)

  it("of routes that spend nothing are mistakes", function()
    local all = refused 'route_caps = { ["/v1/mesages"] = { daily_usd = 1 } }'
    assert.is_truthy(all:find('did you mean "/v1/messages"?', 1, true), all)
  end)

  it("are of the routes that the core has", function()
    local rows, n = kit.read_file "core/route/endpoint.c", 0
    for path in rows:gmatch '{ ENDPOINT_GENERATE, SPAN_INIT%("([^"]+)"%)' do
      assert.is_true(account.spending[path], path)
      n = n + 1
    end
    for _ in pairs(account.spending) do
      n = n - 1
    end
    assert.equal(0, n)
  end)

  it("clamp unless they refuse", function()
    assert.is_true(read("").clamp)
    assert.is_true(read('on_cap = "clamp"').clamp)
    assert.is_false(read('on_cap = "refuse"').clamp)
  end)
end)

describe("limits of models", function()
  it("are by the name clients use", function()
    local c = read 'model_limits = { n = { rpm = 1, tpm = 2, concurrent = 3 }, m = { rpm = 4 } }'
    assert.same({ { model = "m", rpm = 4 }, { model = "n", rpm = 1, tpm = 2, concurrent = 3 } }, c.model_limits)
  end)
end)

describe("the record", function()
  it("is kept in the state folder, and elsewhere where it is said", function()
    local c = read [[data_dir = "/state", ledger = { durability = "power", spill = "more", retention_days = 90 }, access_log = "access.log",
      alerts = { webhook = "https://hooks.example/a?b=c", secret = "as" }]]
    assert.same({ true, true, "/state/more", 90, "/state/access.log", "https://hooks.example/a?b=c", "as" }, {
      c.ledger, c.ledger_power, c.ledger_spill, c.ledger_retention_days, c.access_log, c.alert_webhook, c.alert_secret,
    })
    c = read 'ledger = { durability = "process", spill = "/disk" }, access_log = "stdout"'
    assert.same({ true, false, "/disk", "stdout" }, { c.ledger, c.ledger_power, c.ledger_spill, c.access_log })
    assert.is_true(read("ledger = true").ledger)
  end)

  it("can be left out, which is said where something counts on it", function()
    local c, findings = read "ledger = false, account = { request_usd = 1 }"
    assert.is_false(c.ledger)
    assert.same({}, findings)
    for _, body in ipairs {
      "account = { daily_usd = 1 }", 'route_caps = { ["/v1/messages"] = { daily_usd = 1 } }', "projects = { a = { total_usd = 1 } }",
      "projects = { a = { free_requests = 1 } }", 'client_keys = { { secret = "s", daily_usd = 1 } }',
    } do
      _, findings = read("ledger = false, " .. body)
      assert.same({ "ledger", true }, { findings[1].setting, findings[1].warning })
    end
  end)

  it("is refused with what it can not be", function()
    for body, said in pairs {
      ['ledger = "power"'] = "ledger: expected a table",
      ['ledger = { durability = "disk" }'] = "ledger.durability: expected one of power, process",
      ['ledger = { retention_days = -1 }'] = "ledger.retention_days: expected a whole number",
      ['alerts = { webhook = "hooks.example", secret = "s" }'] = "alerts.webhook: expected a URL",
      ['alerts = { webhook = "https://hooks.example" }'] = "alerts.secret: expected a secret that what is sent is signed with",
      ['on_cap = "stop"'] = "on_cap: expected one of clamp, refuse",
    } do
      local all = refused(body)
      assert.is_truthy(all:find(said, 1, true), all)
    end
  end)
end)

describe("docs/configuration.md", function()
  local page = kit.read_file "docs/configuration.md"

  it("begins with a configuration that works", function()
    local host = kit.host({ SHOP_KEY = "s1", OPENAI_API_KEY = "k" }, { files = { ["/run/secrets/ops-key"] = "s2\n" } })
    local r, findings = config.read(page:match "```lua\n(return .-)```", "perilune.lua", host)
    assert.same({}, findings)
    assert.same({ "key_1", "shop-web", "shop" }, { r.config.keys[1].id, r.config.keys[2].id, r.config.projects[1].name })
  end)

  it("shows keys, projects, limits and caps that work together", function()
    local parts = {}
    for block in page:match("\n## Keys(.-)\n## Assignments"):gmatch "```lua\n(.-),?\n```" do
      parts[#parts + 1] = block
    end
    assert.equal(3, #parts)
    local c = kit.read("providers = { openai = {} },\n" .. table.concat(parts, ",\n"), { CI_KEY = "s", OPENAI_API_KEY = "k" }, POLICIES)
    assert.same({ 1, 1, 3, 1 }, { #c.config.keys, #c.config.projects, #c.config.caps, #c.config.model_limits })
  end)
end)

describe("templates/perilune.lua", function()
  it("has a key and a project with a cap that can be taken as they are", function()
    local text, n = kit.read_file("templates/perilune.lua"):gsub("%-%- (%l+_?%l* = {[^\n]*},\n)", "%1")
    assert.equal(3, n) -- and a provider
    local r, findings = config.read(text, "perilune.lua", kit.host({ WEB_KEY = "s", OPENAI_API_KEY = "k" }))
    assert.same({}, findings)
    assert.same({ "web", "shop" }, { r.config.keys[1].id, r.config.keys[1].project })
    assert.equal(5e9, r.config.projects[1].caps[1].nano)
  end)
end)
