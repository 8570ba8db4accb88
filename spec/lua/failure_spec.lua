local failure = require "perilune.failure"

local function read(path)
  local f = assert(io.open(path))
  local text = f:read "*a"
  f:close()
  return text
end

describe("failure classes", function()
  it("are those of the core, in its order", function()
    local classes = {}
    for name in read("core/base/failure.h"):match("enum failure {(.-)}"):gmatch "FAILURE_([%u_]+)" do
      if name ~= "NONE" and name ~= "COUNT" then
        classes[#classes + 1] = name:lower()
      end
    end
    assert.same(classes, failure.classes)
  end)

  local function mask(names)
    local said = {}
    local bits, why = failure.mask(names, function(what)
      said[#said + 1] = what
    end)
    said[#said + 1] = why
    return bits, table.concat(said, "; ")
  end

  it("make masks of bits by number", function()
    assert.equal(2, mask "connect")
    assert.equal(2 ^ 5 + 2 ^ 6, mask { "rate_limited", "overloaded", "rate_limited" })
  end)

  it("leave out what is no class, and say so", function()
    local bits, said = mask { "rate_limit", "connect" }
    assert.equal(2, bits)
    assert.matches('did you mean "rate_limited"', said)
    for _, wrong in ipairs { {}, { "timeot" }, 3 } do
      bits, said = mask(wrong)
      assert.is_nil(bits)
      assert.matches(type(wrong) == "table" and "no failure class is left" or "expected a list", said)
    end
  end)
end)

describe("the default rules", function()
  local rules = {}
  for i, rule in ipairs(failure.rules) do
    rules[i] = assert(failure.normalise(rule))
  end

  for _, case in ipairs {
    { "rate_limited", { status = 429 } },
    { "quota", { status = 429, code = "insufficient_quota" } },
    { "quota", { status = 402 } },
    { "quota", { status = 400, message = "Your credit balance is too low" } },
    { "auth", { status = 401 } },
    { "auth", { status = 403 } },
    { "content_filter", { status = 400, code = "content_filter" } },
    { "content_filter", { status = 403, message = "Refused by Moderation" } },
    { "context_length", { status = 400, code = "context_length_exceeded" } },
    { "context_length", { status = 400, message = "This model's MAXIMUM CONTEXT LENGTH is 8192 tokens" } },
    { "not_found", { status = 404 } },
    { "bad_request", { status = 400, message = "messages: wrong type" } },
    { "bad_request", { status = 422 } },
    { "overloaded", { status = 503 } },
    { "overloaded", { status = 529 } },
    { "server_error", { status = 500 } },
    { "server_error", { status = 502 } },
    { "timeout", { status = 504 } },
  } do
    it(("call %s %s %s"):format(case[2].status, case[2].code or case[2].message or "", case[1]), function()
      assert.equal(case[1], failure.classify(rules, case[2]))
    end)
  end

  it("look at the type as well as the code", function()
    assert.equal("overloaded", failure.classify(rules, { status = 400, type = "overloaded_error" }))
  end)

  it("say nothing of what is no failure", function()
    assert.is_nil(failure.classify(rules, { status = 200 }))
  end)
end)

describe("a rule", function()
  it("is checked", function()
    assert.same({ status_from = 429, status_to = 429, class = "quota" }, failure.normalise { status = 429, class = "quota" })
    for _, case in ipairs {
      { { status = 429, class = "quta" }, "no failure class" },
      { { status = { 500, 400 }, class = "quota" }, "status" },
      { { class = "quota" }, "states a status" },
      { { status = 1, class = "quota", txt = "x" }, 'did you mean "text"' },
      { { text = "", class = "quota" }, "text" },
      { 3, "expected a rule" },
    } do
      local rule, why = failure.normalise(case[1])
      assert.is_nil(rule)
      assert.matches(case[2], why)
    end
  end)
end)
