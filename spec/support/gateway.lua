--- The gateway under test, with its configuration and policies in a folder of its own, and the mock it talks to.
--
--   local house = gateway.start {
--     providers = { a = mock:provider "status=500", b = mock:provider() },
--     policies = { first = "return function() return { 'a/m', 'b/m' } end" },
--   }
--   house:chat { policy = "first" }.headers["x-route-attempts"]
--   house:stop()
local http = require "support.http"
local loop = require "support.loop"
local port = require "support.port"
local process = require "support.process"

local M = {}

local Gateway = {}
Gateway.__index = Gateway

local function quoted_key(key)
  return type(key) == "number" and "" or ("[%q] = "):format(key)
end

--- A value as Lua source.
function M.lua(value)
  if type(value) ~= "table" then
    return type(value) == "string" and ("%q"):format(value) or tostring(value)
  end
  local parts = {}
  for key, item in pairs(value) do
    parts[#parts + 1] = quoted_key(key) .. M.lua(item)
  end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

--- A provider that speaks Chat Completions at `url`.
---@param extra table?  further settings, e.g. { models = { "m", "n" } }
function M.provider(url, extra)
  local provider = { like = "openai_compatible", base_url = url, models = { "m" }, api_keys = { "sk-upstream" } }
  for key, value in pairs(extra or {}) do
    provider[key] = value
  end
  return provider
end

local function merged(defaults, given)
  local result = {}
  for key, value in pairs(defaults) do
    result[key] = value
  end
  for key, value in pairs(given or {}) do
    result[key] = value
  end
  return result
end

function Gateway:configuration(options)
  local config = merged({
    listen = "127.0.0.1:" .. self.port,
    admin = "127.0.0.1:" .. self.admin_port,
    workers = 2,
    data_dir = self.dir .. "/state",
    providers = options.providers,
  }, options.config)
  config.policies = merged({ dir = "policies" }, config.policies)
  return config
end

--- Writes policies/NAME.lua; a name may hold slashes.
function Gateway:write_policy(name, text)
  process.write(("%s/policies/%s.lua"):format(self.dir, name), text)
end

function Gateway:write_config(config)
  process.write(self.dir .. "/perilune.lua", "return " .. M.lua(config) .. "\n")
end

--- Whether /ready says so.
function Gateway:is_ready()
  local c = http.connect(self.port)
  if not c then
    return false
  end
  c:send_request { path = "/ready" }
  local answer = c:response()
  c:close()
  return answer ~= nil and answer.status == 200
end

-- Starts the process in self.dir and waits until it serves.
function Gateway:launch(options)
  self.process = process.start({ process.binary(), "run", unpack(options.args or {}) }, { dir = self.dir, env = options.env })
  loop.until_true(function()
    if not self.process:running() then
      error("the gateway ended while starting:\n" .. self.process.output, 0)
    end
    return self.process.output:find("listening on", 1, true) and self:is_ready()
  end, "the gateway to be ready")
end

--- Starts a gateway. `providers` and `policies` (name -> source) are short for what a configuration would say; `config` holds
--- further settings, `env` and `args` go to the process, `headers` go with every request of chat() and stream().
---@param options { providers: table, policies: table?, config: table?, env: table?, args: string[]?, headers: table? }
function M.start(options)
  local self = setmetatable({ dir = process.folder(), port = port.free(), admin_port = port.free() }, Gateway)
  self.headers = options.headers
  for name, text in pairs(options.policies or {}) do
    self:write_policy(name, text)
  end
  self.config = self:configuration(options)
  self.port = tonumber(self.config.listen:match ":(%d+)$")
  self:write_config(self.config)
  self:launch(options)
  return self
end

--- Runs `perilune ARGS` in a folder with a configuration, to its end; returns exit code and output.
---@param options { config: string?, files: table?, env: table?, args: string[] }
function M.command(options)
  local dir = process.folder()
  if options.config then
    process.write(dir .. "/perilune.lua", options.config)
  end
  for name, text in pairs(options.files or {}) do
    process.write(dir .. "/" .. name, text)
  end
  local code, output = process.run({ process.binary(), unpack(options.args) }, { dir = dir, env = options.env })
  process.remove(dir)
  return code, output
end

--- Runs `perilune ARGS` beside a running gateway, with its configuration.
function Gateway:command(...)
  return process.run({ process.binary(), ... }, { dir = self.dir })
end

--- Ends it, asserting that it ends by itself and leaves nothing behind.
function Gateway:stop()
  self.process:stop()
  process.remove(self.dir)
end

-- The request of chat() and stream(): `options` may name model, policy, messages, body (further fields), headers.
local function chat_request(self, options)
  options = options or {}
  local body = options.raw or merged({
    model = options.model or "m",
    stream = options.stream,
    messages = options.messages or { { role = "user", content = "hello" } },
  }, options.body)
  local headers = merged(self.headers or {}, options.headers)
  headers["x-route-policy"] = options.policy or headers["x-route-policy"]
  return body, headers
end

--- One chat completion; the answer of http.post().
---@param options { model: string?, policy: string?, messages: table?, body: table?, raw: string?, headers: table? }?
function Gateway:chat(options)
  local body, headers = chat_request(self, options)
  return http.post(self.port, "/v1/chat/completions", body, headers)
end

--- One streamed chat completion; the answer of http.stream().
function Gateway:stream(options)
  local body, headers = chat_request(self, merged(options or {}, { stream = true }))
  return http.stream(self.port, "/v1/chat/completions", body, headers)
end

--- A connection on which a chat completion has been asked for and nothing has been read.
function Gateway:ask(options, connect_options)
  local body, headers = chat_request(self, options)
  local c = assert(http.connect(self.port, connect_options))
  c:send_request { method = "POST", path = "/v1/chat/completions", body = body, headers = headers }
  return c
end

local function bearer(self, name)
  local file = assert(io.open(self.dir .. "/state/" .. name))
  local token = file:read "*l"
  file:close()
  return { authorization = "Bearer " .. token }
end

--- The headers of a call of the admin side, with the token.
function Gateway:admin_headers()
  return bearer(self, "admin.token")
end

--- The same of one who may only look.
function Gateway:viewer_headers()
  return bearer(self, "viewer.token")
end

--- One call of the admin side; the answer of http.exchange().
function Gateway:admin(method, path, body, headers)
  return http.exchange(self.admin_port, {
    method = method, path = path, body = body, headers = merged(self:admin_headers(), headers),
  })
end

--- Whether this is a sanitized build, whose memory and time say nothing.
function M.is_sanitized()
  return os.getenv "SPEC_STRETCH" ~= nil
end

--- Waits until the log holds a plain text; returns all of it.
function Gateway:wait_for_log(text)
  loop.until_true(function()
    return self.process.output:find(text, 1, true)
  end, ("%q in the log, which is:\n%s"):format(text, self.process.output))
  return self.process.output
end

return M
