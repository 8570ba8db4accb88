-- Payloads: what a request begins with.
local bytes = require "hostile.payloads.bytes"
local get, with, each = bytes.get, bytes.with, bytes.each

-- A request line, and nothing else of note.
local function line(text)
  return get(text)
end

local function method(text)
  return get(text .. " /health HTTP/1.1")
end

local function target(text)
  return get("GET " .. text .. " HTTP/1.1")
end

local function version(text)
  return get("GET /health " .. text)
end

return {
  {
    title = "no HTTP", status = 400, source = "RFC 9112, 2.2 and 3",
    why = "Other protocols that reach the port must not be taken for a request, nor their payload for a second one.",
    { "words", "hello\r\n\r\n" },
    { "nothing, twice", "\r\n\r\n" },
    { "a TLS hello", "\22\3\1\2\0\1\0\1\252\3\3" },
    { "an SSH banner", "SSH-2.0-OpenSSH_9.2\r\n\r\n" },
    { "an SMTP greeting", "EHLO example.com\r\n\r\n" },
    { "a Redis command", "*1\r\n$4\r\nPING\r\n\r\n" },
    { "a memcached command", "stats\r\n\r\n" },
    { "a PROXY line", "PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n" .. get() },
    { "a binary PROXY header", "\r\n\r\n\0\r\nQUIT\n\33\17\0\12\127\0\0\1\127\0\0\1\0\1\0\2" .. get() },
    { "a FastCGI record", "\1\1\0\1\0\8\0\0\0\1\0\0\0\0\0\0" },
    { "a status line", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n" },
    { "a NUL", "\0" .. get() },
    { "a byte order mark", "\239\187\191" .. get() },
    { "an HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505 },
  },
  {
    title = "request lines", status = 400, source = "RFC 9112, 3",
    why = "Three words with one space between them: readers that forgive more find different words.",
    unpack(with({
      "GET /health", "GET", "GET ", " GET /health HTTP/1.1", "\tGET /health HTTP/1.1", "GET  /health HTTP/1.1", "GET /health  HTTP/1.1",
      "GET\t/health HTTP/1.1", "GET /health\tHTTP/1.1", "GET /health HTTP/1.1 ", "GET /health HTTP/1.1\t", "GET /health x HTTP/1.1",
      "GET /health HTTP/1.1 HTTP/1.1", "GET\11/health HTTP/1.1", "GET\12/health HTTP/1.1", "GET\160/health HTTP/1.1",
      "GET /health\13 HTTP/1.1", "GET /health HTTP/1.1\13\13", "/health HTTP/1.1",
    }, line)),
  },
  {
    title = "methods", status = 400, source = "RFC 9110, 9.1",
    why = "A method is a token. One that is none splits differently in different readers.",
    unpack(each(bytes.CONTROLS .. bytes.SEPARATORS .. ":", function(char)
      return method("GE" .. char .. "T")
    end)),
  },
  {
    title = "methods that are none here", status = 501, source = "RFC 9110, 9.3.6",
    why = "A tunnel would carry anything.",
    { "a tunnel", get "CONNECT 127.0.0.1:1 HTTP/1.1" },
    { "a tunnel to a path", get "CONNECT /health HTTP/1.1" },
  },
  {
    title = "malformed versions", status = 400, source = "RFC 9112, 2.3",
    why = "HTTP/DIGIT.DIGIT and no more: overflows and prefixes would pass for another version.",
    unpack(with({
      "HTTP/1.32", "HTTP/1.", "HTTP/.1", "HTTP/1", "HTTP/", "HTTP", "HTTP/11.1", "HTTP/1.1x", "HTTP/-1.1", "HTTP/+1.1", "HTTP/1,1",
      "HTTP/1.1.1", "http/1.1", "Http/1.1", "HTTPS/1.1", "ICE/1.0", "HTTP\\1.1", "HTTP//1.1", "HTTP/4294967297.1", "HTTP/1.4294967297",
      "HTTP/1.\194\185", "HTTP/0x1.1", "HTTP/01.1", "HTTP/1.1;", "HTTP/1:1", "xHTTP/1.1",
    }, version)),
  },
  {
    title = "other versions", status = 505, source = "RFC 9110, 15.6.6",
    why = "What another version means by the same bytes nobody here knows.",
    unpack(with({ "HTTP/0.9", "HTTP/1.2", "HTTP/1.9", "HTTP/2.0", "HTTP/3.0", "HTTP/9.9" }, version)),
  },
  {
    title = "targets", status = 400, source = "RFC 9112, 3.2; RFC 3986, 3",
    why = "Path, absolute form or *; nothing that one reader cuts and the next one keeps.",
    unpack(with({
      "health", "\\health", "?x", "#x", "/health#x", "*", "**", "127.0.0.1:80", "http:/health", "http:health", "http://",
      "http:///health",
      "ftp://127.0.0.1/", "httpx://127.0.0.1/", "://127.0.0.1/", "http://evil.example/", "http://127.0.0.1:1/", "http://127.0.0.1.evil/",
      "http://user@127.0.0.1/", "http://127.0.0.1@evil.example/", "http://127.0.0.1\\@evil/", "http://127.0.0.1?@evil/#",
      "http://[::1/", "http://127.0.0.1 evil/",
    }, target)),
  },
  {
    title = "bytes in targets", status = 400, source = "RFC 3986, 2; RFC 9112, 3.2",
    why = "Visible ASCII alone: what else would have to be guessed.",
    unpack(each(bytes.CONTROLS .. "\128\160\255", function(char)
      return target("/health" .. char)
    end)),
  },
  {
    title = "long request lines", status = 414, source = "RFC 9112, 3",
    why = "A limit before memory.",
    { "a long path", target("/" .. ("x"):rep(70000)) },
    { "a long query", target("/health?" .. ("x"):rep(70000)) },
    { "a long method", method(("X"):rep(70000)) },
    { "a long version", version("HTTP/1.1" .. ("1"):rep(70000)) },
  },
}
