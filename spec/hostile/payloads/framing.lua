-- Payloads: what says how long a body is, in the head.
local bytes = require "hostile.payloads.bytes"
local framed, with, each = bytes.framed, bytes.with, bytes.each
local BODY, LENGTH, CODING = bytes.BODY, bytes.LENGTH, bytes.CODING
local WHOLE = bytes.CHUNK .. "0\r\n\r\n"
local N = tostring(#BODY)

local function length(text)
  return framed("content-length: " .. text .. "\r\n")
end

local function coding(text)
  return framed("transfer-encoding: " .. text .. "\r\n", WHOLE)
end

local function old(fields, body)
  return (framed(fields, body):gsub("HTTP/1%.1", "HTTP/1.0", 1))
end

return {
  {
    title = "lengths", status = 400, source = "RFC 9112, 6.3; RFC 9110, 8.6; CVE-2021-40346",
    why = "Digits, once. Whoever reads signs, lists, prefixes or overflows as some other number ends the message elsewhere.",
    { "two that agree", framed(LENGTH .. LENGTH) },
    { "two that differ", framed(LENGTH .. "content-length: 5\r\n") },
    { "two, the first of them 0", framed("content-length: 0\r\n" .. LENGTH) },
    { "two, written otherwise", framed(LENGTH .. "CONTENT-LENGTH: " .. N .. "\r\n") },
    unpack(with({
      "", " ", "+" .. N, "-" .. N, "-0", "+0", "0x3c", "0X3C", "0b1", "0o74", "6_0", "6 0", N .. "," .. N, N .. ", " .. N, N .. ",",
      "," .. N,
      N .. ";", N .. ".0", N .. "e0", "sixty", '"' .. N .. '"', "'" .. N .. "'", "#" .. N, N .. "\160",
      "\160" .. N, "\11" .. N, "\0" .. N, "\239\188\150\239\188\144", "18446744073709551616", "18446744073709551676",
      "99999999999999999999999",
      "340282366920938463463374607431768211516", N .. "\r\n\t", N .. "\r1", "nan", "inf", "~0", "(" .. N .. ")", N .. " x",
    }, length)),
  },
  {
    title = "lengths beyond the limit", status = 413, source = "RFC 9110, 15.5.14",
    why = "Refused at its head, before a byte of it is kept.",
    unpack(with({ "104857600", "4294967296", "4294967356", "9223372036854775807", "18446744073709551615" }, length)),
  },
  {
    title = "lengths and codings together", status = 400, source = "RFC 9112, 6.1 and 6.3; CVE-2019-18277",
    why = "The one request of which two readers are sure to make two.",
    { "length first", framed(LENGTH .. CODING, WHOLE) },
    { "coding first", framed(CODING .. LENGTH, WHOLE) },
    { "a length of 0", framed("content-length: 0\r\n" .. CODING, WHOLE) },
    { "a length that ends in a second request", framed("content-length: 5\r\n" .. CODING, "0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n") },
    { "a length and a coding nobody knows", framed(LENGTH .. "transfer-encoding: x\r\n") },
    { "a length and an empty coding", framed(LENGTH .. "transfer-encoding:\r\n") },
    { "a length and identity", framed(LENGTH .. "transfer-encoding: identity\r\n") },
    { "a malformed length and a coding", framed("content-length: x\r\n" .. CODING, WHOLE) },
    { "both, in HTTP/1.0", old(LENGTH .. CODING, WHOLE) },
    { "both, with fields between", framed(LENGTH .. ("x-a: b\r\n"):rep(50) .. CODING, WHOLE) },
  },
  {
    title = "codings", status = 400, source = "RFC 9112, 6.1 and 7; CVE-2020-15810",
    why = "Exactly `chunked`, once: of all else some reader believes that no chunks follow.",
    { "two fields", framed(CODING .. CODING, WHOLE) },
    { "two fields, the second unknown", framed(CODING .. "transfer-encoding: x\r\n", WHOLE) },
    { "two fields, the first unknown", framed("transfer-encoding: x\r\n" .. CODING, WHOLE) },
    { "two fields, written otherwise", framed(CODING .. "TRANSFER-ENCODING: chunked\r\n", WHOLE) },
    { "in HTTP/1.0", old(CODING, WHOLE) },
    { "in HTTP/1.0, kept alive", old("connection: keep-alive\r\n" .. CODING, WHOLE) },
    unpack(with({
      "", ",chunked", "chunked,", "chunked, chunked", "chunked,chunked", ", chunked", "chunked ,", "chunked;q=1", "chunked; a=b",
      "chunked x",
      "x chunked", "xchunked", "chunkedx", "chunk", "chunke", "identity", "gzip", "gzip, chunked", "chunked, gzip", "chunked, identity",
      "identity, chunked", "deflate", "compress", "trailers", '"chunked"', "'chunked'", "(chunked)", "chunked\11", "\11chunked",
      "chunked\12",
      "chunked\160", "\160chunked", "\133chunked", "chunked\0", "chunked\127", "chun\tked", "chun\0ked", "chun\226\132\170ed",
      "chunked\r\n x",
      "\r\n chunked", "chunked\r x", "cow", "chunked/1", "chunked=1",
    }, coding)),
  },
  {
    title = "names that look like a coding's", status = 400, source = "RFC 9112, 5.1",
    why = "A second reader that trims, folds or skips bytes would find the field.",
    unpack(with({
      "transfer-encoding\11", "\11transfer-encoding", "transfer encoding", "transfer-encoding\0", "transfer-encoding\160",
      "transfer-encoding;",
      "\ttransfer-encoding", "transfer\r-encoding", "tran\nsfer-encoding", "transfer-encoding\r\n", "[transfer-encoding]",
    }, function(name)
      return framed(LENGTH .. name .. ": chunked\r\n")
    end)),
  },
  {
    title = "bytes behind a length", status = 400, source = "RFC 9110, 5.5",
    why = "Controls are no blanks.",
    unpack(each(bytes.CONTROLS, function(char)
      return length(N .. char)
    end)),
  },
}
