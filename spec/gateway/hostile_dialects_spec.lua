-- Clients and providers of different dialects that want to do harm: what is too large, what is not theirs, what never ends.
local cjson = require "cjson"
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local process = require "support.process"
local upstream = require "support.upstream"

local STRICT = { ["x-route-strict"] = "1" }
local JSON = { ["content-type"] = "application/json" }
local MB = 1024 * 1024

local GEMINI = '{"candidates":[{"content":{"parts":[%s],"role":"model"},"finishReason":"STOP","index":0}]}'
local ANSWERS = {
  openai_chat = upstream.completion "ok",
  openai_responses = '{"id":"r","object":"response","created_at":1,"status":"completed","model":"m",' ..
    '"output":[{"type":"message","id":"x","role":"assistant","status":"completed",' ..
    '"content":[{"type":"output_text","text":"ok","annotations":[]}]}]}',
  anthropic_messages = '{"id":"m","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"ok"}],' ..
    '"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":2}}',
  gemini = GEMINI:format '{"text":"ok"}',
  bedrock_converse = '{"output":{"message":{"role":"assistant","content":[{"text":"ok"}]}},"stopReason":"end_turn"}',
}
local LIKE = {
  openai_chat = "openai_compatible", openai_responses = "openai_compatible", anthropic_messages = "anthropic", gemini = "google",
  bedrock_converse = "bedrock",
}

-- A provider of each dialect at `url`, which may say how the next answer begins.
local function providers_at(url)
  local list = {}
  for dialect, like in pairs(LIKE) do
    list[dialect] = { like = like, dialect = dialect, base_url = url .. "/" .. dialect, api_keys = { "sk-upstream" }, models = { "m" } }
  end
  return list
end

-- A request of each client's dialect with these parts of the user's, made by `part(dialect, i)`.
local function body_of(dialect, model, n, part)
  local parts = {}
  for i = 1, n do
    parts[i] = part(dialect, i)
  end
  local content = table.concat(parts, ",")
  local form = {
    openai_chat = '{"model":"%s","messages":[{"role":"user","content":[%s]}]}',
    openai_responses = '{"model":"%s","input":[{"role":"user","content":[%s]}]}',
    anthropic_messages = '{"model":"%s","max_tokens":9,"messages":[{"role":"user","content":[%s]}]}',
  }
  local at, from = form[dialect]:find("[%s]", 1, true)
  return form[dialect]:sub(1, at):format(model) .. content .. form[dialect]:sub(from)
end

local PATHS = { openai_chat = "/v1/chat/completions", openai_responses = "/v1/responses", anthropic_messages = "/v1/messages" }

local function picture(data)
  return function(dialect)
    if dialect == "openai_chat" then
      return '{"type":"image_url","image_url":{"url":"data:image/png;base64,' .. data .. '"}}'
    elseif dialect == "openai_responses" then
      return '{"type":"input_image","image_url":"data:image/png;base64,' .. data .. '"}'
    end
    return '{"type":"image","source":{"type":"base64","media_type":"image/png","data":"' .. data .. '"}}'
  end
end

local function picture_elsewhere(dialect)
  if dialect == "openai_chat" then
    return '{"type":"image_url","image_url":{"url":"https://example.com/x.png"}}'
  elseif dialect == "openai_responses" then
    return '{"type":"input_image","image_url":"https://example.com/x.png"}'
  end
  return '{"type":"image","source":{"type":"url","url":"https://example.com/x.png"}}'
end

describe("a client across dialects", function()
  local house, up

  setup(loop.test(function()
    up = upstream.start(function(peer, request)
      if request.path:find "streamGenerateContent" then
        peer:send(upstream.STREAM_HEAD)
        peer:send("data: " .. GEMINI:format('{"text":"one "}'):gsub(',"finishReason":"STOP"', "") .. "\n\n")
        up.waiting = peer
        loop.until_true(function()
          return up.go_on
        end, "the stream may go on")
        peer:send("data: " .. GEMINI:format '{"text":"two"}' .. "\n\n")
        peer:close()
        return
      end
      peer:send(upstream.answer(200, ANSWERS[request.path:match "/v1/([%w_]+)"], JSON))
    end)
    house = gateway.start { providers = providers_at(up.url), config = { workers = 1 } }
  end))
  teardown(loop.test(function()
    house:stop()
    up:close()
  end))

  local function post(dialect, body)
    return http.post(house.port, PATHS[dialect], body, { ["x-route-strict"] = "1", ["content-type"] = "application/json" })
  end

  it("may send what a provider of its own dialect could get, in any dialect, and no open stream suffers", loop.test(function()
    -- A sanitized build would need longer for 24 MB than an adapter's call may take, and the stream waits meanwhile.
    local stream, large = nil, ("A"):rep((gateway.is_sanitized() and 4 or 24) * MB)
    loop.all {
      function()
        stream = house:stream { model = "gemini/m", headers = STRICT, messages = { { role = "user", content = ("x"):rep(MB) } } }
      end,
      function()
        loop.until_true(function()
          return up.waiting
        end, "the stream to begin")
        for _, pair in ipairs {
          { "anthropic_messages", "openai_responses" }, { "openai_chat", "openai_responses" }, { "openai_responses", "gemini" },
          { "anthropic_messages", "bedrock_converse" }, { "openai_chat", "anthropic_messages" },
        } do
          local answer = post(pair[1], body_of(pair[1], pair[2] .. "/m", 1, picture(large)))
          assert.equal(200, answer.status, pair[1] .. " to " .. pair[2] .. ": " .. answer.body)
          assert.truthy(up.requests[#up.requests].body:find(large, 1, true))
        end
        up.go_on = true
      end,
    }
    assert.is_true(stream.whole)
    local said = {}
    for _, event in ipairs(stream.events) do
      local choice = event.json and event.json.choices and event.json.choices[1]
      said[#said + 1] = choice and choice.delta and choice.delta.content or nil
    end
    assert.equal("one two", table.concat(said))
    assert.is_nil(house.process.output:find("adapter failed", 1, true))
  end))

  it("is told in few words what of very much was left out", loop.test(function()
    for dialect, messages in pairs { openai_chat = "messages", anthropic_messages = "messages" } do
      local body = body_of(dialect, "gemini/m", 1, picture_elsewhere)
      local message = body:match('"' .. messages .. '":%[(.*)%]}$')
      local answer = post(dialect, body:gsub('"' .. messages .. '":%[.*', "") .. ('"%s":[%s]}'):format(messages,
        (message .. ","):rep(40000):sub(1, -2)))
      assert.equal(200, answer.status, answer.body)
      assert.truthy(answer.headers["x-route-dropped"]:find("messages[1].image_url", 1, true))
      assert.is_true(#answer.headers["x-route-dropped"] <= 1024)
    end
  end))
end)

-- Nobody may read these, wherever a provider says them back.
local SECRET, SESSION, TOKEN = "canarySecret/0123456789+", "canarySession0123==", "ya29.canary-token"

describe("a provider that tells", function()
  local house, up, account, pem_line, token_answer

  setup(loop.test(function()
    local folder = process.folder()
    process.run({ "openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", folder .. "/key" },
      { dir = folder })
    local f = assert(io.open(folder .. "/key"))
    local pem = f:read "*a"
    f:close()
    process.remove(folder)
    pem_line = pem:match "\n(%S+)\n%S+\n"
    up = upstream.start(function(peer, request)
      if request.path:find "token" then
        local answer = token_answer(request)
        if answer then
          peer:send(answer)
        else
          up.asked = true
        end
        return
      end
      local said = cjson.encode { error = { message = "you sent " .. request.raw } }
      local headers = { ["content-type"] = "application/json", ["x-request-id"] = request.headers.authorization:sub(-100) }
      peer:send(upstream.answer(request.path:find "flaky" and 500 or 400, said, headers))
    end)
    account = function(name)
      return (cjson.encode {
        type = "service_account", client_email = name .. "@project.example", private_key = pem, token_uri = up.url .. "/token/" .. name,
      })
    end
    local function vertex(name)
      return { like = "vertex", base_url = up.url, api_keys = { account(name) }, models = { "m" } }
    end
    local providers = {
      bedrock = {
        like = "bedrock", base_url = up.url, region = "eu-central-1", models = { "m" },
        api_keys = { ("AKIDCANARY:%s:%s"):format(SECRET, SESSION) },
      },
      vertex = vertex "good", hangs = vertex "hangs",
      paced = { like = "google", base_url = up.url, api_keys = { { key = "AIza", rpm = 6 } }, pace_wait_ms = 30000, models = { "m" } },
    }
    for i = 1, 9 do
      providers["odd" .. i] = vertex("odd" .. i)
    end
    house = gateway.start {
      providers = providers, headers = { ["x-route-trace"] = "1", ["x-route-strict"] = "1" }, args = { "--log", "debug" },
    }
  end))
  teardown(loop.test(function()
    house:stop()
    up:close()
  end))

  -- Checks all that anybody can read.
  local function check(answer)
    local shown = { answer.body or "", house.process.output }
    for name, value in pairs(answer.headers) do
      shown[#shown + 1] = name .. ": " .. tostring(value)
    end
    local all = table.concat(shown, "\n")
    for _, secret in ipairs { SECRET, SESSION, "AKIDCANARY", TOKEN, pem_line, "eyJhbGciOiJSUzI1Ni" } do
      assert.is_nil(all:find(secret, 1, true), "it tells " .. secret .. " in:\n" .. all)
    end
  end

  it("what it was signed with tells nobody", loop.test(function()
    for _, model in ipairs { "m", "flaky" } do
      local answer = house:chat { model = "bedrock/" .. model }
      assert.truthy(answer.body:find("you sent POST", 1, true))
      check(answer)
    end
  end))

  it("a service account's token tells nobody", loop.test(function()
    token_answer = function()
      return upstream.answer(200, ('{"access_token":"%s","expires_in":3600}'):format(TOKEN), JSON)
    end
    for _, model in ipairs { "m", "flaky" } do
      local answer = house:chat { model = "vertex/" .. model }
      assert.truthy(answer.body:find("Bearer ***", 1, true), answer.body)
      check(answer)
    end
  end))

  it("at a token's place tells what is wrong, and nothing of what it was asked with or could have given", loop.test(function()
    local odd = {
      function()
        return upstream.answer(200, "access_token=" .. TOKEN .. "&expires_in=3600", JSON)
      end,
      function()
        return upstream.answer(200, ('{"access_token":"%s","padding":"%s"}'):format(TOKEN, ("x"):rep(10 * MB)), JSON)
      end,
      function(request)
        return upstream.answer(400, cjson.encode { error = "invalid_grant", error_description = request.body .. " " .. pem_line }, JSON)
      end,
      function(request)
        return upstream.answer(500, "<html>" .. request.body .. "</html>", JSON)
      end,
      function()
        return upstream.answer(302, "", { location = up.url .. "/token/good" })
      end,
      function()
        return upstream.answer(200, cjson.encode { access_token = "a\r\nx-more: 1", expires_in = 3600 }, JSON)
      end,
      function()
        return upstream.answer(200, '{"access_token":5,"expires_in":"soon"}', JSON)
      end,
      function()
        return upstream.answer(200, ('{"access_token":"%s","expires_in":-1e999}'):format(TOKEN), JSON)
      end,
      function()
        return "HTTP/1.1 200 OK\r\ncontent-length: nonsense\r\n\r\n" .. TOKEN
      end,
    }
    for i, answer_with in ipairs(odd) do
      token_answer = answer_with
      local answer = house:chat { model = ("odd%d/m"):format(i) }
      assert.equal(502, answer.status, answer.body)
      assert.truthy(answer.body:find("No token for the service account", 1, true))
      check(answer)
    end
  end))

  it("nothing for long leaves the deadline to count, and who goes away is gone", loop.test(function()
    token_answer = function() end
    local answer = house:chat { model = "hangs/m", headers = { ["x-route-deadline-ms"] = "300", ["x-route-strict"] = "1" } }
    assert.equal(504, answer.status, answer.body)
    assert.is_true(up.asked)
    http.post(house.port, "/v1/chat/completions", { model = "paced/m", messages = { { role = "user", content = "x" } } }, STRICT)
    answer = house:chat { model = "paced/m", headers = { ["x-route-deadline-ms"] = "300", ["x-route-strict"] = "1" } }
    assert.equal(504, answer.status, answer.body)
    for _, model in ipairs { "hangs/m", "paced/m", "hangs/m", "paced/m" } do
      local c = house:ask { model = model, headers = STRICT }
      loop.pause(20)
      c:close()
    end
    -- Some wait when the configuration is read again, and when it ends.
    local waiting = { house:ask { model = "hangs/m", headers = STRICT }, house:ask { model = "paced/m", headers = STRICT } }
    loop.pause(50)
    assert.equal(0, (house:command "reload"))
    for _, c in ipairs(waiting) do
      c:close()
    end
  end))
end)

describe("what is kept for a client's key", function()
  local house, up
  local KEYS = { "sk-client-one", "sk-client-two" }
  local ONE, TWO = { secret = KEYS[1], id = "one" }, { secret = KEYS[2], id = "two" }

  setup(loop.test(function()
    up = upstream.start(function(peer)
      peer:send(upstream.answer(200,
        GEMINI:format '{"functionCall":{"id":"call_1","name":"f","args":{}},"thoughtSignature":"c2lnbmF0dXJl"}', JSON))
    end)
    house = gateway.start { providers = { gemini = providers_at(up.url).gemini }, config = { client_keys = { ONE, TWO } } }
  end))
  teardown(loop.test(function()
    house:stop()
    up:close()
  end))

  -- Asks as that key, with the call in the history or without; whether the signature went up.
  local function ask(key, call_id)
    local messages = { { role = "user", content = "x" } }
    if call_id then
      messages[2] = {
        role = "assistant", tool_calls = { { id = call_id, type = "function", ["function"] = { name = "f", arguments = "{}" } } },
      }
      messages[3] = { role = "tool", tool_call_id = call_id, content = "y" }
    end
    local answer = house:chat {
      model = "gemini/m", messages = messages, headers = { authorization = "Bearer " .. key, ["x-route-strict"] = "1" },
    }
    assert.equal(200, answer.status, answer.body)
    local went_up = up.requests[#up.requests].body:find("c2lnbmF0dXJl", 1, true) ~= nil
    return answer.json.choices[1].message.tool_calls[1].id, went_up
  end

  it("stays that key's when keys come before it, and never becomes another's", loop.test(function()
    local id = ask(KEYS[1])
    assert.is_true(select(2, ask(KEYS[1], id)))
    house.config.client_keys = { TWO, "sk-client-three", ONE }
    house:write_config(house.config)
    assert.equal(0, (house:command "reload"))
    assert.is_false(select(2, ask(KEYS[2], id)))
    assert.is_true(select(2, ask(KEYS[1], id)))
  end))
end)
