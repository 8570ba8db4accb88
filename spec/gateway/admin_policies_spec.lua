-- Policies over the admin side: a PUT is a checked edit of the file, and whatever is wrong changes nothing.
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local process = require "support.process"
local upstream = require "support.upstream"
local uv = require "luv"

local TO_A = "return function() return { 'a/m' } end\n"
local TO_B = "return function() return { 'b/m' } end\n"

describe("policies", function()
  local house, up

  before_each(loop.test(function()
    up = upstream.start(function(peer)
      peer:send(upstream.answer(200, upstream.completion "x"))
    end)
    house = gateway.start {
      providers = { a = gateway.provider(up.url), b = gateway.provider(up.url) },
      policies = { p = TO_A },
      headers = { ["x-route-policy"] = "p" },
    }
  end))
  after_each(loop.test(function()
    house:stop()
    up:close()
  end))

  local function call(method, path, body)
    return house:admin(method, "/api/policies" .. path, body)
  end

  local function taken(answer)
    assert.equal(200, answer.status, answer.body)
    return answer.json
  end

  local function refused(answer, status, code)
    assert.equal(status, answer.status, answer.body)
    assert.equal(code, answer.json.error.code, answer.body)
    return answer.json.error
  end

  local function goes_to(policy)
    return house:chat({ policy = policy }).headers["x-routed-provider"]
  end

  local function text(name)
    local file = io.open(house.dir .. "/policies/" .. name .. ".lua")
    local found = file and file:read "*a"
    if file then
      file:close()
    end
    return found
  end

  -- What lies in the folder of policies, so that nothing is left behind.
  local function files()
    local list, scan = {}, uv.fs_scandir(house.dir .. "/policies")
    while true do
      local name = uv.fs_scandir_next(scan)
      if not name then
        table.sort(list)
        return list
      end
      list[#list + 1] = name
    end
  end

  it("are listed, shipped and own", loop.test(function()
    local by_name = {}
    for _, policy in ipairs(taken(call("GET", "")).policies) do
      by_name[policy.name] = policy
    end
    assert.is_true(by_name.cheapest.shipped)
    local own = by_name.p
    assert.matches("^p@%x+$", own.version)
    assert.matches("policies/p.lua$", own.path)
    assert.same({ false, false, {}, {} }, { own.shipped, own.quarantined, own.findings, own.assigned })
    assert.matches("^%d+%-%d+%-%d+T", own.activated)
  end))

  it("are shown with their params and what they require", loop.test(function()
    house:write_policy("lib/where", "return 'a/m'")
    taken(call("PUT", "/q", { source = [[
      local where = require "where"
      return { params = { n = { type = "number", default = 3, doc = "how many" } }, decide = function() return { where } end }]] }))
    local shown = taken(call("GET", "/q"))
    assert.same({ n = { type = "number", default = 3, doc = "how many", value = 3 } }, shown.params)
    assert.equal("where", shown.libs[1].name)
    assert.is_true(shown.is_live)
    assert.equal(text "q", shown.source)
    assert.equal(TO_A, taken(call("GET", "/p")).source)
    assert.matches("cheapest", refused(call("GET", "/cheapst"), 404, "not_found").message)
  end))

  it("show an edit that is no good beside what is live", loop.test(function()
    house:write_policy("p", "return {")
    house:wait_for_log "policies/p.lua:1"
    local shown = taken(call("GET", "/p"))
    assert.equal("return {", shown.source)
    assert.is_false(shown.is_live)
    assert.matches("^p@", shown.version)
    assert.equal(1, shown.findings[1].line)
  end))

  it("are checked without anything changing", loop.test(function()
    local good = taken(call("POST", "/p/check", { source = TO_B }))
    assert.is_true(good.ok)
    assert.matches("^p@", good.version)
    local bad = taken(call("POST", "/p/check", { source = "local x = 1\nreturn function( return end\n" }))
    assert.is_false(bad.ok)
    assert.equal(2, bad.findings[1].line)
    assert.matches("> +2 | return function", bad.findings[1].excerpt)
    assert.equal("a", goes_to "p")
    assert.equal(TO_A, text "p")
  end))

  it("are put: the file is written and live when the call returns", loop.test(function()
    local answer = taken(call("PUT", "/p", { source = TO_B, note = "b is faster" }))
    assert.matches("^p@%x+$", answer.version)
    for _ = 1, 8 do
      local got = house:chat()
      assert.same({ "b", answer.version }, { got.headers["x-routed-provider"], got.headers["x-route-policy"] })
    end
    assert.equal(TO_B, text "p")
    assert.same({ "p.lua" }, files())
    assert.equal("b is faster", taken(call("GET", "/p/versions")).versions[1].note)
    taken(call("PUT", "/cheapest", { source = TO_B }))
    assert.equal("b", goes_to "cheapest")
  end))

  it("are put by a run that has no folder of policies yet", loop.test(function()
    process.remove(house.dir .. "/policies")
    taken(call("PUT", "/new", { source = TO_B }))
    assert.equal("b", goes_to "new")
  end))

  it("that do not load are refused with findings, and the old file stays", loop.test(function()
    for _, source in ipairs {
      "return function( return end", "error 'at load'", "return 42", "while true do end", "", "\27LJ\2", ("x = 1\n"):rep(1000),
      "local t = {} while true do t[#t + 1] = ('x'):rep(1e6) end",
    } do
      local answer = call("PUT", "/p", { source = source })
      refused(answer, 422, "invalid_policy")
      assert.is_true(#answer.json.findings >= 1)
    end
    assert.equal(TO_A, text "p")
    assert.equal("a", goes_to "p")
    assert.same({ "p.lua" }, files())
  end))

  it("of any size and name are taken or refused, and reach no other file", loop.test(function()
    taken(call("PUT", "/p", { source = TO_B .. "--" .. ("x"):rep(1024 * 1024 - #TO_B - 2) }))
    assert.equal("source", refused(call("PUT", "/p", { source = ("x"):rep(1024 * 1024 + 1) }), 413, "request_too_large").param)
    local names = { "..", "a.b", "..%2Fperilune", "%2Fetc%2Fpasswd", "A", "a%00", "%ff", "routes", "p_spec", "_p", "-", ("x"):rep(65) }
    for _, name in ipairs(names) do
      assert.equal("name", refused(call("PUT", "/" .. name, { source = TO_B }), 400, "invalid_request").param, name)
    end
    assert.equal(404, call("PUT", "/a/b", { source = TO_B }).status)
    refused(call("PUT", "/p", '{"source":"\255"}'), 400, "invalid_request")
    refused(call("PUT", "/p", { sorce = TO_B }), 400, "invalid_request")
    assert.same({ "p.lua" }, files())
  end))

  it("are put only over the version that was meant", loop.test(function()
    local first = taken(call("GET", "/p")).version
    local second = taken(call("PUT", "/p", { source = TO_B, if_version = first })).version
    assert.equal("if_version", refused(call("PUT", "/p", { source = TO_A, if_version = first }), 409, "conflict").param)
    refused(call("PUT", "/new", { source = TO_A, if_version = first }), 409, "conflict")
    house:write_policy("p", "return {")
    house:wait_for_log "policies/p.lua:1"
    refused(call("PUT", "/p", { source = TO_A, if_version = second }), 409, "conflict")
    taken(call("PUT", "/p", { source = TO_A }))
  end))

  it("put twice at once end as one of the two", loop.test(function()
    local sources = { TO_A .. "-- one", TO_B .. "-- two" }
    local calls = {}
    for i, source in ipairs(sources) do
      calls[i] = assert(http.connect(house.admin_port))
      calls[i]:send_request { method = "PUT", path = "/api/policies/p", headers = house:admin_headers(), body = { source = source } }
    end
    for _, c in ipairs(calls) do
      local status = c:response().status
      assert.is_true(status == 200 or status == 409, status)
      c:close()
    end
    local last = text "p"
    assert.is_true(last == sources[1] or last == sources[2])
    assert.equal(last, taken(call("GET", "/p")).source)
  end))

  it("change eight at a time, also when those who asked have left", loop.test(function()
    local pipe = house.dir .. "/pipe" -- a replay of it waits until it is killed with the gateway
    assert.equal(0, (process.run({ "mkfifo", pipe }, { dir = house.dir })))
    for i = 1, 8 do
      local c = assert(http.connect(house.admin_port))
      c:send_request {
        method = "PUT", path = "/api/policies/waits" .. i, headers = house:admin_headers(),
        body = { source = TO_A, replay = { log = pipe } },
      }
      c:close()
    end
    local answer
    loop.until_true(function()
      answer = call("PUT", "/p", { source = TO_A })
      return answer.status ~= 200
    end, "no more to be taken")
    refused(answer, 503, "overloaded")
    taken(call("POST", "/p/check", { source = TO_B }))
  end))

  it("go back to a version that was live, however it came", loop.test(function()
    local first = taken(call("GET", "/p")).version
    house:write_policy("p", TO_B)
    loop.until_true(function()
      return goes_to "p" == "b"
    end, "the edit to be live")
    local versions = taken(call("GET", "/p/versions")).versions
    assert.equal(2, #versions)
    assert.same({ true, false, first }, { versions[1].live, versions[2].live, versions[2].version })
    assert.equal(TO_A, taken(call("GET", "/p/versions/" .. first:match "@(.*)")).source)
    assert.equal(first, taken(call("POST", "/p/rollback", { version = first, note = "b was down" })).version)
    assert.equal("a", goes_to "p")
    assert.equal(TO_A, text "p")
    assert.same({ first, "b was down" }, (function()
      local newest = taken(call("GET", "/p/versions")).versions[1]
      return { newest.version, newest.note }
    end)())
    for _, target in ipairs { "b", "a" } do -- without a version: the one before
      taken(call("POST", "/p/rollback", {}))
      assert.equal(target, goes_to "p")
    end
    taken(call("PUT", "/q", { source = TO_A }))
    assert.matches("no version of this policy before", refused(call("POST", "/q/rollback", {}), 404, "not_found").message)
    refused(call("POST", "/p/rollback", { version = "p@00000000" }), 404, "not_found")
    refused(call("POST", "/p/rollback", { version = "../p" }), 404, "not_found")
    refused(call("GET", "/p/versions/00000000"), 404, "not_found")
    refused(call("GET", "/nothing/versions"), 404, "not_found")
  end))

  it("are removed unless somebody uses them", loop.test(function()
    taken(house:admin("PUT", "/api/routes/tier/free", { policy = "p" }))
    assert.matches("the tier free", refused(call("DELETE", "/p"), 409, "conflict").message)
    taken(house:admin("DELETE", "/api/routes/tier/free"))
    taken(call("DELETE", "/p"))
    refused(call("GET", "/p"), 404, "not_found")
    assert.equal(400, house:chat().status)
    refused(call("DELETE", "/p"), 404, "not_found")
    refused(call("DELETE", "/cheapest"), 409, "managed_by_file")
    taken(call("POST", "/p/rollback", { version = taken(call("GET", "/p/versions")).versions[1].version }))
    assert.equal("a", goes_to "p")
  end))

  it("are changed from the command line", loop.test(function()
    local function run(...)
      return house:command("policy", ...)
    end
    local first = taken(call("GET", "/p")).version
    process.write(house.dir .. "/new.lua", TO_B)
    process.write(house.dir .. "/bad.lua", "return {\n")
    process.write(house.dir .. "/latin.lua", "-- \255\n" .. TO_B)
    local function says(code, words, ...)
      local got, output = run(...)
      assert.equal(code, got, output)
      assert.is_truthy(output:find(words, 1, true), output)
      return output
    end
    says(0, first, "list")
    says(0, TO_A, "show", "p")
    says(0, "no findings", "check", "p", "new.lua")
    says(1, "p.lua:", "check", "p", "bad.lua")
    says(1, "if_version", "put", "p", "new.lua", "--if-version", "p@00000000")
    says(1, "> ", "put", "p", "bad.lua")
    says(3, "not UTF-8", "put", "p", "latin.lua")
    says(3, "can not be read", "put", "p", "nothing.lua")
    assert.equal("a", goes_to "p")
    says(0, "is served by all workers", "put", "p", "new.lua", "--note", "b is faster")
    assert.equal("b", goes_to "p")
    says(0, "b is faster", "versions", "p")
    says(0, first, "rollback", "p", first)
    assert.equal("a", goes_to "p")
    says(0, "is served by all workers", "rollback", "p")
    assert.equal("b", goes_to "p")
    says(0, first, "rollback", "p")
    says(1, "There is no such version", "rollback", "p", "00000000")
    says(1, "There is no policy", "show", "../nothing")
    says(2, "expected show NAME", "show")
    says(2, "expected put NAME FILE", "put", "p")
    says(2, "expected rollback NAME [VERSION]", "rollback")
    says(2, "expected list", "lst")
    assert.is_table(http.json(says(0, first, "list", "--json")).policies)
    assert.equal("not_found", http.json(says(1, "error", "show", "nothing", "--json")).error.code)
  end))

  it("are live only when their specs hold for what is put", loop.test(function()
    process.write(house.dir .. "/spec/p_spec.lua", [[
      local spec = require "perilune.spec"
      describe("p", function()
        it("goes to a", function()
          assert.equal("a/m", spec.route("policies/p.lua", {}, { { id = "a/m" }, { id = "b/m" } }).targets[1])
        end)
      end)
    ]])
    local answer = call("PUT", "/p", { source = TO_B })
    refused(answer, 422, "specs_failed")
    assert.matches("goes to a", answer.json.output)
    assert.equal(TO_A, text "p")
    assert.equal("a", goes_to "p")
    taken(call("PUT", "/p", { source = TO_A .. "-- the same" }))
    taken(call("PUT", "/p", { source = TO_B, specs = false }))
    assert.equal("b", goes_to "p")
    local versions = taken(call("GET", "/p/versions")).versions
    refused(call("POST", "/p/rollback", { version = versions[1].version, specs = true }), 422, "specs_failed")
    taken(call("POST", "/p/rollback", { version = versions[2].version, specs = true }))
    assert.equal("a", goes_to "p")
    local scan = uv.fs_scandir(house.dir .. "/state")
    for name in uv.fs_scandir_next, scan do
      assert.is_nil(name:match "^stage", name)
    end
  end))

  describe("tried on recorded requests", function()
    local function dear(url, dollars)
      return gateway.provider(url, { models = { { name = "m", price = { input = dollars, output = dollars } } } })
    end

    -- Requests as the record has them, all answered by the cheap one.
    local function record()
      local lines = {}
      for i = 1, 20 do
        lines[i] = http.encode {
          kind = "request", id = ("%026d"):format(i), at = 1790000000 + i, policy = "p@00000000", chain = { "a/m" }, target = "a/m",
          req = {
            model = "auto", endpoint = "/v1/chat/completions", tokens = { input = 1000, output = 100 },
            seed = tostring(i), now = 1790000000,
          },
          attempts = { { target = "a/m", ms = 100, first_ms = 0, input_tokens = 1000, output_tokens = 100, cost_usd = 0.0011 } },
          outcome = "answered", status = 200, ms = 100, cost_usd = 0.0011,
        }
      end
      process.write(house.dir .. "/state/requests.jsonl", table.concat(lines, "\n") .. "\n")
    end

    before_each(loop.test(function()
      house.config.providers = { a = dear(up.url, 1), b = dear(up.url, 2) }
      house:write_config(house.config)
      assert.equal(0, (house:command "reload"))
      record()
    end))

    local function put(source, replay)
      return call("PUT", "/p", { source = source, replay = replay })
    end

    it("are put when they stay within the thresholds", loop.test(function()
      taken(put(TO_A .. "-- the same", { log = "requests.jsonl", max_cost_increase = "5%", max_errors = 0 }))
      taken(put(TO_B, { log = "requests.jsonl", max_cost_increase = "150%" }))
      assert.equal("b", goes_to "p")
    end))

    it("are stopped when they pass one, which is said", loop.test(function()
      local answer = put(TO_B, { log = house.dir .. "/state/requests.jsonl", max_cost_increase = "5%" })
      assert.matches("cost", refused(answer, 422, "replay_failed") and answer.json.output)
      assert.equal(TO_A, text "p")
      assert.equal("a", goes_to "p")
      process.write(house.dir .. "/new.lua", TO_B)
      assert.equal(1, (house:command("policy", "put", "p", "new.lua", "--log", "requests.jsonl", "--max-cost-increase", "5%")))
    end))

    it("need a log, and options that are some", loop.test(function()
      assert.equal("replay.log", refused(put(TO_B, {}), 400, "invalid_request").param)
      assert.equal("replay.max_cost", refused(put(TO_B, { max_cost = "5%" }), 400, "invalid_request").param)
      assert.equal("replay.max_changed", refused(put(TO_B, { max_changed = 5 }), 400, "invalid_request").param)
      refused(put(TO_B, { log = "requests.jsonl", max_changed = "many" }), 422, "replay_failed")
      refused(put(TO_B, { log = "nothing.jsonl" }), 501, "not_available")
      assert.equal(TO_A, text "p")
    end))

    it("give way to a rollback, which waits for nobody", loop.test(function()
      local first = taken(call("GET", "/p")).version
      taken(call("PUT", "/p", { source = TO_B }))
      local pipe = house.dir .. "/state/pipe"
      assert.equal(0, (process.run({ "mkfifo", pipe }, { dir = house.dir })))
      local c = assert(http.connect(house.admin_port))
      c:send_request {
        method = "PUT", path = "/api/policies/p", headers = house:admin_headers(),
        body = { source = TO_B .. "-- worse", replay = { log = pipe } },
      }
      loop.until_true(function()
        return call("PUT", "/p", { source = TO_B }).status == 409
      end, "the change to be under way")
      assert.equal(first, taken(call("POST", "/p/rollback", { version = first })).version)
      local given_up = c:response()
      c:close()
      assert.equal(409, given_up.status)
      assert.matches("A rollback of this policy went first", given_up.body)
      assert.equal(TO_A, text "p")
      assert.equal("a", goes_to "p")
    end))

    it("keep others from changing them meanwhile, and the gateway from nothing", loop.test(function()
      local pipe = house.dir .. "/state/pipe"
      assert.equal(0, (process.run({ "mkfifo", pipe }, { dir = house.dir })))
      local c = assert(http.connect(house.admin_port))
      c:send_request {
        method = "PUT", path = "/api/policies/p", headers = house:admin_headers(), body = { source = TO_B, replay = { log = pipe } },
      }
      loop.until_true(function()
        return call("PUT", "/p", { source = TO_A }).status == 409
      end, "the change to be under way")
      taken(call("PUT", "/q", { source = TO_B }))
      assert.equal("a", goes_to "p")
      house.process:signal "sigterm" -- what is tried ends with it
      c:close()
    end))
  end)

  it("can not be changed against a configuration that is wrong", loop.test(function()
    process.write(house.dir .. "/perilune.lua", "return { wrong = true }")
    house:wait_for_log "perilune.lua:1"
    refused(call("PUT", "/p", { source = TO_B }), 422, "invalid_configuration")
    refused(call("POST", "/p/check", { source = TO_B }), 422, "invalid_configuration")
    assert.equal(TO_A, text "p")
  end))
end)

describe("policies on a disk that is not ours", function()
  local house, up

  -- The gateway under test, started by a shell that takes something from it first.
  local function start(line)
    local binary, dir = process.binary(), process.folder()
    process.write(dir .. "/perilune", ("#!/bin/sh\n%s\n"):format(line:format(binary)))
    assert(uv.fs_chmod(dir .. "/perilune", 493))
    local old = process.binary
    process.binary = function()
      return dir .. "/perilune"
    end
    local providers = { a = gateway.provider(up.url), b = gateway.provider(up.url) }
    local ok, started = pcall(gateway.start, { providers = providers, policies = { p = TO_A } })
    process.binary = old
    process.remove(dir)
    return assert(ok and started, started)
  end

  before_each(loop.test(function()
    up = upstream.start(function(peer)
      peer:send(upstream.answer(200, upstream.completion "x"))
    end)
  end))
  after_each(loop.test(function()
    house:stop()
    up:close()
  end))

  it("are managed by whoever may write there", loop.test(function()
    house = start 'exec setpriv --bounding-set=-dac_override,-dac_read_search,-fowner "%s" "$@"'
    assert(uv.fs_chmod(house.dir .. "/policies", 365))
    for _, answer in ipairs {
      house:admin("PUT", "/api/policies/p", { source = TO_B }), house:admin("DELETE", "/api/policies/p"),
      house:admin("PUT", "/api/routes/account", { policy = "p" }),
    } do
      assert.equal(409, answer.status, answer.body)
      assert.equal("managed_by_file", answer.json.error.code)
    end
    assert.equal("a", house:chat({ policy = "p" }).headers["x-routed-provider"])
    assert(uv.fs_chmod(house.dir .. "/policies", 493))
  end))

  it("stay as they are when it is full", loop.test(function()
    house = start "trap '' XFSZ; ulimit -f 1200; exec \"%s\" \"$@\""
    local answer = house:admin("PUT", "/api/policies/p", { source = TO_B .. "--" .. ("x"):rep(900000) })
    assert.equal(500, answer.status, answer.body)
    assert.equal("internal", answer.json.error.code)
    local file = io.open(house.dir .. "/policies/p.lua")
    assert.equal(TO_A, file:read "*a")
    file:close()
    assert.equal("a", house:chat({ policy = "p" }).headers["x-routed-provider"])
    assert.equal(200, house:admin("PUT", "/api/policies/p", { source = TO_B }).status)
  end))
end)
