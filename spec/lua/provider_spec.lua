local provider = require "perilune.provider"

local HOST = { env = function() end }

describe("provider", function()
  it("knows the abilities of the core, in its order", function()
    local f = assert(io.open "core/base/ability.h")
    local names = {}
    for name in f:read("*a"):gmatch "ABILITY_([%u_]+) = 1" do
      names[#names + 1] = name:lower()
    end
    f:close()
    assert.same(names, provider.abilities)
  end)

  it("knows the dialects of the core", function()
    local f = assert(io.open "core/base/dialect.h")
    local body = f:read("*a"):match "enum dialect {(.-)}"
    f:close()
    for name in body:gmatch "DIALECT_([%u_]+)" do
      assert(name == "NONE" or name == "COUNT" or provider.dialects[name:lower()], name)
    end
  end)

  describe("template", function()
    local files = {
      base = {
        dialect = "openai_chat", timeouts = { idle_ms = 1, connect_ms = 1 }, models = { { name = "x" } }, failures = { { class = "b" } },
      },
      child = { like = "base", timeouts = { idle_ms = 2 }, failures = { { class = "a" } }, env = { key = "K" } },
      loop = { like = "loop" },
    }

    it("puts a file over what it is like, without its models and variables", function()
      local t = provider.template(files, "child")
      assert.equal("openai_chat", t.dialect)
      assert.same({ idle_ms = 2, connect_ms = 1 }, t.timeouts)
      assert.same({ { class = "a" }, { class = "b" } }, t.failures)
      assert.is_nil(t.models)
      assert.same({ key = "K" }, t.env)
    end)

    it("refuses loops and unknown names", function()
      assert.matches("like itself", select(2, provider.template(files, "loop")))
      assert.matches('no provider file "no"', select(2, provider.template(files, "no")))
    end)
  end)

  it("sends no key where the service wants none", function()
    local built = provider.build("x", { base_url = { "http://a" }, auth = "none" }, {}, HOST, error).provider
    assert.same({ "none", {} }, { built.auth, built.keys })
  end)

  it("goes without a key to an address of one's own", function()
    local template = { base_url = { "https://api" }, env = { key = "K" } }
    local built = provider.build("x", template, { base_url = { "http://mine" } }, HOST, error).provider
    assert.equal("none", built.auth)
  end)
end)

describe("keys and addresses", function()
  -- A provider of a shipped file, and what was found wrong.
  local function built(name, configured, vars, files)
    local kit = require "support.config_kit"
    local r, findings = kit.read(("providers = { %s = %s }"):format(name, configured), vars, { files = files })
    return r and r.providers[1], findings[1] and (findings[1].message .. " [" .. (findings[1].hint or "") .. "]")
  end
  local ACCOUNT = '{\n  "client_email": "a@b",\n  "private_key": "-----BEGIN"\n}'

  it("of AWS are signed with, or are a bearer's when they are of one piece", function()
    local p = built("bedrock", "{}", { AWS_ACCESS_KEY_ID = "id", AWS_SECRET_ACCESS_KEY = "own", AWS_SESSION_TOKEN = "session" })
    assert.same({ "aws-sigv4", "id:own:session", "us-east-1" }, { p.auth, p.keys[1].secret, p.region })
    p = built("bedrock", '{ api_key = "ABSK" }', { AWS_REGION = "eu-west-1" })
    assert.same({ "bearer", "https://bedrock-runtime.eu-west-1.amazonaws.com" }, { p.auth, p.base_url })
    p = built("bedrock", '{ region = "ap-south-1" }', { AWS_BEARER_TOKEN_BEDROCK = "t", AWS_REGION = "eu-west-1" })
    assert.same({ "bearer", "t", "ap-south-1" }, { p.auth, p.keys[1].secret, p.region })
    assert.matches("no key %[set AWS_BEARER_TOKEN_BEDROCK, or AWS_ACCESS_KEY_ID", select(2, built("bedrock", "{}", {})))
  end)

  it("of Google Cloud are service accounts", function()
    local vars = { GOOGLE_CLOUD_PROJECT = "p", GOOGLE_APPLICATION_CREDENTIALS = "/account.json" }
    local p = built("vertex", "{}", vars, { ["/account.json"] = ACCOUNT })
    assert.same({ "google-jwt", ACCOUNT }, { p.auth, p.keys[1].secret })
    assert.equal("https://aiplatform.googleapis.com/v1/projects/p/locations/global/publishers/google", p.base_url)
    vars = { GOOGLE_CLOUD_PROJECT = "p", GOOGLE_CLOUD_LOCATION = "europe-west1", GOOGLE_APPLICATION_CREDENTIALS_JSON = ACCOUNT }
    p = built("vertex_anthropic", '{ models = { "claude-sonnet-4-6" } }', vars)
    assert.equal("https://europe-west1-aiplatform.googleapis.com/v1/projects/p/locations/europe-west1/publishers/anthropic", p.base_url)
    vars.GOOGLE_CLOUD_LOCATION = "global"
    assert.matches("^https://aiplatform", built("vertex", "{}", vars).base_url)
    vars.GOOGLE_CLOUD_PROJECT = nil
    assert.matches("GOOGLE_CLOUD_PROJECT is not set", select(2, built("vertex", "{}", vars)))
    assert.matches("no key %[set GOOGLE_APPLICATION_CREDENTIALS", select(2, built("vertex", "{}", { GOOGLE_CLOUD_PROJECT = "p" })))
  end)

  it("of one kind are not taken for another", function()
    local account = ("%q"):format('{"private_key":"s3cret","client_email":"x"}')
    local _, why = built("openai", "{ api_key = " .. account .. " }", {})
    assert.matches("a key of auth = \"google%-jwt\" alone", why)
    _, why = built("vertex", '{ api_key = "AIza" }', { GOOGLE_CLOUD_PROJECT = "p" })
    assert.matches("expected the JSON text of a service account", why)
    _, why = built("vertex", '{ api_key = "{ s3cret }" }', { GOOGLE_CLOUD_PROJECT = "p" })
    assert.matches("expected a key, or the JSON text", why)
    assert.not_matches("s3cret", why)
  end)

  it("of Azure are where its resource is", function()
    assert.equal("https://r.openai.azure.com/openai/v1",
      built("azure_openai", '{ api_key = "k", vars = { AZURE_OPENAI_RESOURCE = "r" } }', {}).base_url)
    local p = built("azure_openai", '{ api_key = "k" }', { AZURE_OPENAI_ENDPOINT = "https://e.example/" })
    assert.same({ "api-key", "https://e.example/openai/v1" }, { p.auth, p.base_url })
    assert.matches("AZURE_OPENAI_RESOURCE is not set %[set it, or vars", select(2, built("azure_openai", '{ api_key = "k" }', {})))
  end)

  it("that are in the environment without an address are a warning", function()
    local kit = require "support.config_kit"
    local r, findings = kit.read(nil, { AZURE_OPENAI_API_KEY = "k", OPENAI_API_KEY = "k" })
    assert.equal(1, #r.providers)
    assert.matches("AZURE_OPENAI_API_KEY is set, and nothing says where azure_openai is", findings[1].message)
    assert.is_true(findings[1].warning)
  end)

  it("have a pace, and models a path of their own", function()
    local p = built("openai", '{ api_keys = { { key = "k", rpm = 60, tpm = 9000 } }, pace_wait_ms = 5 }', {})
    assert.same({ { secret = "k", weight = 1, rpm = 60, tpm = 9000 }, 5 }, { p.keys[1], p.pace_wait_ms })
    local kit = require "support.config_kit"
    local r = kit.read [[ providers = { x = { base_url = "http://x", default = { path = "/d/{model}/chat?v=1" },
      models = { { name = "a", upstream = "b c/d%" }, { name = "e", path = "/e" } } } } ]]
    assert.same({ "/d/b%20c%2Fd%25/chat?v=1", "/e" }, { r.targets[1].path, r.targets[2].path })
    assert.matches("expected what follows the base URL",
      kit.findings 'providers = { x = { base_url = "http://x", models = { { name = "a", path = "x/{other}" } } } }')
  end)
end)
