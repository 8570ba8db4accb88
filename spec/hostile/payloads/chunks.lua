-- Payloads: chunked bodies and their trailers.
local bytes = require "hostile.payloads.bytes"
local chunked, with, each = bytes.chunked, bytes.with, bytes.each
local BODY, CHUNK = bytes.BODY, bytes.CHUNK
local SIZE = ("%x"):format(#BODY)

-- One chunk whose line is this, and a sound end.
local function sized(line)
  return chunked(line .. "\r\n" .. BODY .. "\r\n0\r\n\r\n")
end

local function extended(extension)
  return sized(SIZE .. ";" .. extension)
end

local function trailing(lines)
  return chunked(CHUNK .. "0\r\n" .. lines .. "\r\n")
end

return {
  {
    title = "chunk sizes", status = 400, source = "RFC 9112, 7.1; CVE-2023-46846; CVE-2022-32213",
    why = "Hexadecimal digits alone: strtol's blanks, signs and prefixes, and longest prefixes, all measure differently.",
    unpack(with({
      "", " ", "-" .. SIZE, "+" .. SIZE, "-1", "0x" .. SIZE, "0X" .. SIZE, "3_c", "3 c",
      " " .. SIZE, "\t" .. SIZE, SIZE .. " ", SIZE .. "\t",
      SIZE .. " ;a", SIZE .. "g", "g", "x", SIZE .. ".0", SIZE .. ",", SIZE .. ", " .. SIZE, SIZE .. "#", SIZE .. "\11", "\11" .. SIZE,
      SIZE .. "\0", "\0" .. SIZE, SIZE .. "\160", "\239\188\147c", '"' .. SIZE .. '"', ("0"):rep(15) .. SIZE, ("0"):rep(17),
      "1" .. ("0"):rep(14) .. SIZE,
      "fffffffffffffffff", SIZE .. "h", SIZE .. ":", SIZE .. "\rX", SIZE .. "\r", "\r\n" .. SIZE, "0x0", "00x0", "-0", "+0", "0 ", "0\t",
    }, sized)),
  },
  {
    title = "chunk sizes beyond the limit", status = 413, source = "RFC 9110, 15.5.14",
    why = "Refused by its size, and no sum runs over.",
    unpack(with({ "6400000", "7fffffff", "ffffffff", "100000000", "7fffffffffffffff", "8000000000000000", "ffffffffffffffff",
      "fffffffffffffffe", "ffffffffffffffc4" }, sized)),
  },
  {
    title = "ends of chunk lines", status = 400, source = "RFC 9112, 2.2 and 7.1; TERM.EXT and EXT.TERM, 2025",
    why = "CR LF, always: a reader that ends a chunk line at LF reads its extension as data.",
    { "LF behind the size", chunked(SIZE .. "\n" .. BODY .. "\r\n0\r\n\r\n") },
    { "LF behind an extension", chunked(SIZE .. ";a\n" .. BODY .. "\r\n0\r\n\r\n") },
    { "LF behind the data", chunked(SIZE .. "\r\n" .. BODY .. "\n0\r\n\r\n") },
    { "nothing behind the data", chunked(SIZE .. "\r\n" .. BODY .. "0\r\n\r\n") },
    { "two bytes more", chunked(SIZE .. "\r\n" .. BODY .. "XX\r\n0\r\n\r\n") },
    { "two bytes for the end of the data", chunked(SIZE .. "\r\n" .. BODY .. "XX0\r\n\r\n") },
    { "CR and a letter behind the data", chunked(SIZE .. "\r\n" .. BODY .. "\rX0\r\n\r\n") },
    { "CR CR LF behind the data", chunked(SIZE .. "\r\n" .. BODY .. "\r\r\n0\r\n\r\n") },
    { "a space behind the data", chunked(SIZE .. "\r\n" .. BODY .. " \r\n0\r\n\r\n") },
    { "an empty line behind the data's end", chunked(CHUNK .. "\r\n0\r\n\r\n") },
    { "LF behind the last size", chunked(CHUNK .. "0\n\r\n") },
    { "LF for the last line", chunked(CHUNK .. "0\r\n\n") },
    { "LF, twice, at the end", chunked(CHUNK .. "0\n\n") },
    { "CR CR LF at the end", chunked(CHUNK .. "0\r\n\r\r\n") },
    { "CR and a letter at the end", chunked(CHUNK .. "0\r\n\rX") },
    { "CR alone behind the size", chunked(SIZE .. "\r" .. BODY .. "\r\n0\r\n\r\n") },
    { "no chunk: the body as it is", chunked(BODY) },
    { "no chunk: a second request", chunked "GET /smuggled HTTP/1.1\r\n\r\n" },
  },
  {
    title = "chunk extensions", status = 400, source = "RFC 9112, 7.1.1",
    why = "Read over, but lines all the same.",
    { "CR in one", extended "a=\rb" },
    { "CR LF in a quoted one", chunked(SIZE .. ';a="\r\n' .. BODY .. '"\r\n0\r\n\r\n') },
    { "LF in one", extended "a=\nb" },
    unpack(each(bytes.CONTROLS, function(char)
      return extended("a=" .. char)
    end)),
  },
  {
    title = "large chunk extensions", status = 413, source = "CVE-2023-39326",
    why = "Bytes that are no body count too.",
    { "one of 40 KB", extended(("a"):rep(40000)) },
    { "a quoted one of 40 KB", extended('a="' .. ("b"):rep(40000) .. '"') },
    { "a thousand of 50 bytes", chunked(("1;" .. ("a"):rep(50) .. "\r\n \r\n"):rep(1000) .. "0\r\n\r\n") },
  },
  {
    title = "trailers", status = 400, source = "RFC 9112, 7.1.2; RFC 9110, 6.5.1; CVE-2024-12397",
    why = "Fields like those of a head, but none that changes what the message is.",
    unpack(with({
      "nonsense\r\n", ": x\r\n", ":\r\n", "x-a : b\r\n", " x-a: b\r\n", "\tx-a: b\r\n", "x-a: b\r\n c\r\n", "x@a: b\r\n",
      "x a: b\r\n", "x-a: b\0\r\n",
      "x-a: b\rc\r\n", "x-a: b\nc\r\n", "x-a: b\n", "x-a: b\127\r\n", "x-a: b\r\r\n", "content-length: 5\r\n", "Content-Length: 5\r\n",
      "transfer-encoding: chunked\r\n", "host: evil\r\n", "authorization: Bearer x\r\n", "content-type: text/plain\r\n", "trailer: x\r\n",
      "GET /smuggled HTTP/1.1\r\n",
    }, trailing)),
  },
  {
    title = "many and large trailers", status = 431, source = "RFC 6585, 5",
    why = "A limit before memory.",
    { "150 of them", trailing(("x-a: b\r\n"):rep(150)) },
    { "one of 40 KB", trailing("x-a: " .. ("b"):rep(40000) .. "\r\n") },
  },
}
