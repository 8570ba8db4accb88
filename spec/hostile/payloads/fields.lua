-- Payloads: header fields, and where lines end.
local bytes = require "hostile.payloads.bytes"
local get, post, with, each, HOST = bytes.get, bytes.post, bytes.with, bytes.each, bytes.HOST

local function hosts(fields)
  return "GET /health HTTP/1.1\r\n" .. fields .. "\r\n"
end

return {
  {
    title = "hosts", status = 400, source = "RFC 9112, 3.2; RFC 9110, 7.2",
    why = "One Host, and a sound one: caches, filters and the check against foreign pages read it.",
    { "none", hosts "" },
    { "none beside an absolute form", "GET http://127.0.0.1/health HTTP/1.1\r\n\r\n" },
    { "two", hosts(HOST .. HOST) },
    { "two that differ", hosts(HOST .. "host: evil.example\r\n") },
    { "two, written otherwise", hosts(HOST .. "HOST: 127.0.0.1\r\n") },
    { "one behind a fold", hosts "x: y\r\n host: 127.0.0.1\r\n" },
    { "one with a space before the colon", hosts "host : 127.0.0.1\r\n" },
    unpack(with({
      "", " ", "127.0.0.1 evil", "127.0.0.1, evil", "127.0.0.1/evil", "evil@127.0.0.1", "127.0.0.1#evil", "127.0.0.1?evil",
      "127.0.0.1\\evil",
      "<127.0.0.1>", '"127.0.0.1"', "127.0.0.1\160", "127.0.0.1\0", "127.0.0.1\t1", "{127.0.0.1}", "127.0.0.1|1", "http://127.0.0.1",
    }, function(text)
      return hosts("host: " .. text .. "\r\n")
    end)),
  },
  {
    title = "names", status = 400, source = "RFC 9110, 5.1 and 5.6.2",
    why = "A name is a token; readers that cut one at an odd byte see another field.",
    unpack(each(bytes.CONTROLS .. bytes.SEPARATORS, function(char)
      return post("x" .. char .. "a: b\r\n")
    end)),
  },
  {
    title = "names and colons", status = 400, source = "RFC 9112, 5.1; CVE-2023-25725; CVE-2019-16869",
    why = "A space before the colon, an empty name or none at all hides a field from one of two readers.",
    { "a space before the colon", post "x-a : b\r\n" },
    { "a tab before the colon", post "x-a\t: b\r\n" },
    { "a space before the colon of the length", bytes.framed("content-length : 60\r\n") },
    { "a space before the colon of the coding", bytes.framed("transfer-encoding : chunked\r\n", bytes.CHUNK .. "0\r\n\r\n") },
    { "an empty name", post ": b\r\n" },
    { "an empty name, empty", post ":\r\n" },
    { "an empty name before the length", bytes.framed(": x\r\n" .. bytes.LENGTH) },
    { "a space for a name", post " : b\r\n" },
    { "two words for a name", post "x a: b\r\n" },
    { "no colon", post "nonsense\r\n" },
    { "no colon, at the front", "GET /health HTTP/1.1\r\nnonsense\r\n" .. HOST .. "\r\n" },
    { "an equals sign for a colon", post "x-a=b\r\n" },
    { "a request line for a field", post "GET /smuggled HTTP/1.1\r\n" },
    { "a fullwidth colon", post "x-a\239\188\154 b\r\n" },
  },
  {
    title = "folds", status = 400, source = "RFC 9112, 2.2 and 5.2",
    why = "A folded line is a value to one reader and a field to the next.",
    { "by a space", post "x-a: b\r\n c\r\n" },
    { "by a tab", post "x-a: b\r\n\tc\r\n" },
    { "with nothing behind", post "x-a: b\r\n \r\n" },
    { "of an empty value", post "x-a:\r\n b\r\n" },
    { "into the length", bytes.framed("content-length:\r\n 60\r\n") },
    { "into the coding", bytes.framed("transfer-encoding:\r\n chunked\r\n", bytes.CHUNK .. "0\r\n\r\n") },
    { "that hides the coding", bytes.post("x-a: b\r\n transfer-encoding: chunked\r\n") },
    { "of the first field by a space", "GET /health HTTP/1.1\r\n " .. HOST .. "\r\n" },
    { "of the first field by a tab", "GET /health HTTP/1.1\r\n\t" .. HOST .. "\r\n" },
    { "of nothing before the first field", "GET /health HTTP/1.1\r\n \r\n" .. HOST .. "\r\n" },
  },
  {
    title = "bytes in values", status = 400, source = "RFC 9110, 5.5",
    why = "Controls end a value early for somebody.",
    unpack(each(bytes.CONTROLS, function(char)
      return post("x-a: b" .. char .. "c\r\n")
    end)),
  },
  {
    title = "ends of lines", status = 400, source = "RFC 9112, 2.2",
    why = "CR LF, always: whoever takes LF or CR alone for an end sees lines that others do not.",
    { "LF everywhere", (post():gsub("\r\n", "\n")) },
    { "LF behind the request line", "GET /health HTTP/1.1\n" .. HOST .. "\r\n" },
    { "LF behind a field", "GET /health HTTP/1.1\r\nhost: 127.0.0.1\nx-a: b\r\n\r\n" },
    { "LF for the empty line", "GET /health HTTP/1.1\r\n" .. HOST .. "\n" },
    { "LF before the empty line", "GET /health HTTP/1.1\r\nhost: 127.0.0.1\n\r\n" },
    { "LF in a value, with a field behind", post "x-a: b\ntransfer-encoding: chunked\r\n" },
    { "CR everywhere", (post():gsub("\r\n", "\r")) },
    { "CR in a value", post "x-a: b\rc\r\n" },
    { "CR in a value, with a field behind", post "x-a: b\rtransfer-encoding: chunked\r\n" },
    { "CR in a name", post "x\ra: b\r\n" },
    { "CR CR LF behind a field", post "x-a: b\r\r\n" },
    { "CR CR LF for the empty line", "GET /health HTTP/1.1\r\n" .. HOST .. "\r\r\n" },
    { "CR and a letter for the empty line", "GET /health HTTP/1.1\r\n" .. HOST .. "\rX" },
    { "LF CR", (get():gsub("\r\n", "\n\r")) },
    { "LF before the request line", "\n" .. get() },
    { "CR before the request line", "\r" .. get() },
    { "U+2028 for LF, and CR", "GET /health HTTP/1.1\r\226\128\168" .. HOST .. "\r\n" },
  },
  {
    title = "many and large fields", status = 431, source = "RFC 6585, 5",
    why = "A limit before memory.",
    { "101 fields", post(("x-a: b\r\n"):rep(101)) },
    { "1,000 fields", post(("x-a: b\r\n"):rep(1000)) },
    { "one of 40 KB", post("x-a: " .. ("b"):rep(40000) .. "\r\n") },
    { "a name of 40 KB", post(("a"):rep(40000) .. ": b\r\n") },
    { "forty of 1 KB", post(("x-a: " .. ("b"):rep(1000) .. "\r\n"):rep(40)) },
    { "spaces alone, 40 KB", post("x-a:" .. (" "):rep(40000) .. "\r\n") },
  },
  {
    title = "expectations", status = 417, source = "RFC 9110, 10.1.1",
    why = "What is not known can not be met.",
    { "of something else", post "expect: 200-maybe\r\n" },
    { "of two things", post "expect: 100-continue, 100-continue\r\n" },
    { "empty", post "expect:\r\n" },
  },
}
