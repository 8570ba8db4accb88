--- An HTTP/1.1 client that can also misbehave: whole requests, or a connection to send any bytes on.
--
--   local answer = http.post(port, "/v1/chat/completions", { model = "m", messages = ... })
--   answer.status, answer.headers["x-request-id"], answer.body, answer.json
--
--   local c = http.connect(port)
--   c:send_request { path = "/v1/chat/completions", body = { ..., stream = true } }
--   local head = c:head()
--   for event in c:events(head) do ... event.data, event.at ... end
local cjson = require("cjson").new()
local loop = require "support.loop"
local stream = require "support.stream"

cjson.encode_keep_buffer(false)

local M = { null = cjson.null }

local Connection = setmetatable({}, { __index = stream.Stream })
Connection.__index = Connection

function M.json(text)
  local ok, value = pcall(cjson.decode, text)
  return ok and value or nil
end

function M.encode(value)
  return type(value) == "string" and value or cjson.encode(value)
end

--- The bytes of a request. A table body is sent as JSON; `headers` false for a name leaves a default one out.
---@param request { method: string?, path: string, headers: table?, body: string|table|nil, version: string? }
function M.request_bytes(request)
  local body = request.body and M.encode(request.body)
  local headers = { host = "127.0.0.1" }
  if body then
    headers["content-type"] = "application/json"
    headers["content-length"] = #body
  end
  for name, value in pairs(request.headers or {}) do
    headers[name:lower()] = value
  end
  local method = request.method or (body and "POST" or "GET")
  local lines = { ("%s %s %s"):format(method, request.path, request.version or "HTTP/1.1") }
  local names = {}
  for name, value in pairs(headers) do
    if value then
      names[#names + 1] = name
    end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    lines[#lines + 1] = name .. ": " .. headers[name]
  end
  return table.concat(lines, "\r\n") .. "\r\n\r\n" .. (body or "")
end

--- A connection to the gateway; nil and a message when it is refused.
function M.connect(port, options)
  local c, err = stream.connect(port, options)
  return c and setmetatable(c, Connection), err
end

function Connection:send_request(request)
  self.method = request.method or (request.body and "POST" or "GET")
  return self:send(M.request_bytes(request))
end

-- "name: value" lines; a repeated name is joined by commas, as RFC 9110 allows.
local function parse_fields(text)
  local fields = {}
  for name, value in text:gmatch "([^:\r\n]+):[ \t]*([^\r\n]*)\r\n" do
    name = name:lower()
    fields[name] = fields[name] and fields[name] .. ", " .. value or value
  end
  return fields
end

--- The next status line and headers; nil when the connection ends first. Interim answers (1xx) are heads of their own.
function Connection:head()
  local raw, err = self:read_past "\r\n\r\n"
  if not raw then
    return nil, err
  end
  local version, status, rest = raw:match "^HTTP/(%d%.%d) (%d%d%d) [^\r\n]*\r\n(.*)$"
  assert(version, "no status line: " .. raw:sub(1, 80))
  return { raw = raw, version = version, status = tonumber(status), headers = parse_fields(rest), at = self.read_at }
end

-- Yields the body piece by piece as it comes; the last value is true when the body ended as it should.
local function each_piece(c, head, take)
  local headers = head.headers
  if c.method == "HEAD" or head.status == 204 or head.status == 304 or head.status < 200 then
    return true
  end
  if headers["transfer-encoding"] == "chunked" then
    while true do
      local line = c:read_past "\r\n"
      local size = line and tonumber(line:match "^(%x+)", 16)
      if not size then
        return false
      end
      local piece = c:read_exactly(size + 2)
      if not piece or piece:sub(-2) ~= "\r\n" then
        return false
      end
      if size == 0 then
        return true
      end
      take(piece:sub(1, -3))
    end
  elseif headers["content-length"] then
    local piece = c:read_exactly(tonumber(headers["content-length"]))
    if piece then
      take(piece)
    end
    return piece ~= nil
  end
  while true do
    local piece, err = c:read()
    if not piece then
      return err == nil
    end
    take(piece)
  end
end

--- The body behind a head; `whole` is false when it was cut.
function Connection:body(head)
  local parts = {}
  local whole = each_piece(self, head, function(piece)
    parts[#parts + 1] = piece
  end)
  return table.concat(parts), whole
end

--- Head and body of the next final answer; nil when there is none.
function Connection:response()
  local head, err = self:head()
  while head and head.status < 200 do
    head, err = self:head()
  end
  if not head then
    return nil, err
  end
  head.body, head.whole = self:body(head)
  head.json = M.json(head.body)
  return head
end

-- One SSE event out of its lines; comments come as `comment`.
local function parse_event(text, at)
  local event = { raw = text, at = at }
  local data = {}
  for line in (text .. "\n"):gmatch "([^\r\n]*)\r?\n" do
    local name, value = line:match "^([^:]*): ?(.*)$"
    if name == "data" then
      data[#data + 1] = value
    elseif name == "" and value then
      event.comment = value
    elseif name then
      event[name] = value
    end
  end
  if #data > 0 then
    event.data = table.concat(data, "\n")
    event.json = M.json(event.data)
  end
  return event
end

--- Reads the whole of an SSE answer, or up to where `on_event` returns true. Returns the list of events, each with its
--- arrival time `at`, and whether the body ended as it should; false too when it stopped early.
---@param on_event fun(event): boolean?
function Connection:events(head, on_event)
  local list, rest, stopped = {}, "", {}
  local function take(piece)
    rest = rest .. piece
    while true do
      local first, last = rest:find "\r?\n\r?\n"
      if not first then
        return
      end
      local event = parse_event(rest:sub(1, first - 1), self.read_at)
      rest = rest:sub(last + 1)
      list[#list + 1] = event
      if on_event and on_event(event) then
        error(stopped)
      end
    end
  end
  local ok, whole = pcall(each_piece, self, head, take)
  if not ok and whole ~= stopped then
    error(whole, 0)
  end
  return list, ok and whole
end

--- One exchange on a connection of its own.
function M.exchange(port, request)
  local c = assert(M.connect(port))
  c:send_request(request)
  local answer, err = c:response()
  c:close()
  return assert(answer, err)
end

function M.get(port, path, headers)
  return M.exchange(port, { path = path, headers = headers })
end

function M.post(port, path, body, headers)
  return M.exchange(port, { method = "POST", path = path, body = body, headers = headers })
end

--- A streamed exchange: the head with `events` (a list, comments left out), `comments`, `whole`.
function M.stream(port, path, body, headers)
  local c = assert(M.connect(port))
  local began = loop.now()
  c:send_request { method = "POST", path = path, body = body, headers = headers }
  local answer = assert(c:head())
  answer.began = began
  if not (answer.headers["content-type"] or ""):find("text/event-stream", 1, true) then
    answer.body, answer.whole = c:body(answer)
    answer.json = M.json(answer.body)
    c:close()
    return answer
  end
  local all
  all, answer.whole = c:events(answer)
  answer.events, answer.comments = {}, {}
  for _, event in ipairs(all) do
    local list = event.data and answer.events or answer.comments
    list[#list + 1] = event
  end
  c:close()
  return answer
end

return M
