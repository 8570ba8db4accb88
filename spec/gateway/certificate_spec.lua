-- A provider whose certificate nobody vouches for gets nothing, and the client reads why.
local gateway = require "support.gateway"
local http = require "support.http"
local loop = require "support.loop"
local port = require "support.port"
local process = require "support.process"

describe("a provider with a certificate of its own making", function()
  local house, server, dir

  setup(loop.test(function()
    dir = process.folder()
    local number = port.free()
    local code, output = process.run({
      "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2", "-subj",
      "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
    }, { dir = dir })
    assert.equal(0, code, output)
    server = process.start({
      "openssl", "s_server", "-accept", "127.0.0.1:" .. number, "-key", "key.pem", "-cert", "cert.pem", "-www",
    }, { dir = dir })
    loop.until_true(function()
      local c = http.connect(number)
      if c then
        c:close()
      end
      return c
    end, "the server to listen")
    house = gateway.start { providers = { a = gateway.provider(("https://127.0.0.1:%d/v1"):format(number)) } }
  end))
  teardown(loop.test(function()
    house:stop()
    server:signal "sigkill"
    server:wait()
    process.remove(dir)
  end))

  for _, kind in ipairs { "chat", "stream" } do
    it("is refused, in words (" .. kind .. ")", loop.test(function()
      local answer = house[kind](house)
      assert.equal(503, answer.status)
      assert.is_truthy(answer.json.error.message:find("the upstream's certificate was refused: self", 1, true), answer.body)
      assert.equal("connect", answer.json.error.route.attempts[1].failure)
    end))
  end
end)
