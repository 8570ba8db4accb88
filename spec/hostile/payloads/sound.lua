-- Payloads: odd, but sound. Each is one request, with `forwarded` upstream or not; `last`: its connection ends with it.
local bytes = require "hostile.payloads.bytes"
local get, post, framed, chunked, with = bytes.get, bytes.post, bytes.framed, bytes.chunked, bytes.with
local BODY, LENGTH, CODING, CHUNK = bytes.BODY, bytes.LENGTH, bytes.CODING, bytes.CHUNK
local SIZE = ("%x"):format(#BODY)

local function sized(line)
  return chunked(line .. "\r\n" .. BODY .. "\r\n0\r\n\r\n")
end

return {
  {
    title = "sound bodies", status = 200, forwarded = 1, source = "RFC 9112, 6 and 7",
    why = "Strictness must not cost an honest client anything.",
    { "a length", post() },
    { "a length with zeros in front", framed("content-length: 00" .. #BODY .. "\r\n") },
    { "a length between blanks", framed("content-length:   " .. #BODY .. "   \r\n") },
    { "a length without a blank", framed("content-length:" .. #BODY .. "\r\n") },
    { "a length in capitals", framed(LENGTH:upper()) },
    { "chunks", chunked(CHUNK .. "0\r\n\r\n") },
    { "chunks in capitals", framed(CODING:upper(), CHUNK .. "0\r\n\r\n") },
    { "chunks between blanks", framed("transfer-encoding: \t chunked \t\r\n", CHUNK .. "0\r\n\r\n") },
    { "chunks of one byte", chunked(BODY:gsub(".", "1\r\n%0\r\n") .. "0\r\n\r\n") },
    { "a size in capitals", sized(SIZE:upper()) },
    { "a size with zeros in front", sized("0000" .. SIZE) },
    { "a last size of many zeros", chunked(CHUNK .. "0000000\r\n\r\n") },
    { "an extension", sized(SIZE .. ";a=b") },
    { "an extension without a value", sized(SIZE .. ";a") },
    { "a quoted extension", sized(SIZE .. ';a="b;c"') },
    { "an extension of the last chunk", chunked(CHUNK .. "0;a=b\r\n\r\n") },
    { "a trailer", chunked(CHUNK .. "0\r\nx-a: b\r\n\r\n") },
    { "announced trailers", framed("trailer: x-a\r\n" .. CODING, CHUNK .. "0\r\nx-a: b\r\n\r\n") },
    { "an expectation, and the body at once", post "expect: 100-continue\r\n" },
    { "an upgrade nobody takes", post "connection: upgrade\r\nupgrade: websocket\r\n" },
    { "an upgrade to HTTP/2 nobody takes", post "connection: upgrade\r\nupgrade: h2c\r\nhttp2-settings: AAMA\r\n" },
    { "fields for one hop", post "connection: keep-alive, x-a\r\nx-a: b\r\nkeep-alive: timeout=5\r\n" },
    { "the end", post "connection: close\r\n", last = true },
    { "HTTP/1.0", (post():gsub("HTTP/1%.1", "HTTP/1.0", 1)), last = true },
    { "HTTP/1.0 to be kept", (post("connection: keep-alive\r\n"):gsub("HTTP/1%.1", "HTTP/1.0", 1)) },
  },
  {
    title = "sound fields", status = 200, forwarded = 1, source = "RFC 9110, 5; RFC 9112, 2.2",
    why = "What a field may hold it may hold.",
    unpack(with({
      "x-a:\r\n", "x-a:b\r\n", "x-a: \t b \t \r\n", "x-a: b\tc\r\n", "x-a: \195\164\r\n", "x-a: \160\255\r\n", "!#$%&'*+-.^_`|~09Az: b\r\n",
      "x-a: :;,=\"\\()<>@[]{}?/\r\n", "content_length: 5\r\n", "x-content-length: 5\r\n", "content-lengths: 5\r\n",
      "transfer_encoding: chunked\r\n",
      "x-transfer-encoding: chunked\r\n", "te: chunked\r\n", "te: trailers\r\n", "x-http-method-override: DELETE\r\n",
      "x-original-url: /smuggled\r\n", "x-forwarded-host: evil.example\r\n", "forwarded: host=evil.example\r\n",
      "x-a: GET /smuggled HTTP/1.1\r\n", ("x-a: b\r\n"):rep(90), "x-a: " .. ("b"):rep(20000) .. "\r\n",
    }, function(fields)
      return post(fields)
    end)),
  },
  {
    title = "sound request lines", status = 200, forwarded = 0, source = "RFC 9112, 2.2 and 3.2",
    why = "What stands in for a path, and the one empty line that is forgiven.",
    { "a path", get() },
    { "a query", get "GET /health?a=b&c=%00%0d%0a HTTP/1.1" },
    { "an absolute form", get "GET http://127.0.0.1/health HTTP/1.1" },
    { "an absolute form in capitals", get "GET HTTP://127.0.0.1/health HTTP/1.1" },
    { "an absolute form without a path", get "GET http://127.0.0.1 HTTP/1.1" },
    { "an empty line first", "\r\n" .. get() },
    { "a body of no length with a GET", get(nil, "content-length: 0\r\n") },
    { "a body with a GET", get(nil, "content-length: 5\r\n") .. "hello" },
    { "chunks with a GET", get(nil, CODING) .. "5\r\nhello\r\n0\r\n\r\n" },
    { "no chunks with a GET", get(nil, CODING) .. "0\r\n\r\n" },
    { "a request in the body of a GET", get(nil, "content-length: 31\r\n") .. "GET /smuggled HTTP/1.1\r\nx: y\r\n\r" },
  },
}
