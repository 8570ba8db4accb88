-- What payloads are made of: a sound request in pieces, one of which is then another than it should be.
local M = {}

M.BODY = '{"model":"m","messages":[{"role":"user","content":"hello"}]}'
M.HOST, M.JSON = "host: 127.0.0.1\r\n", "content-type: application/json\r\n"
M.LENGTH = "content-length: " .. #M.BODY .. "\r\n"
M.CODING = "transfer-encoding: chunked\r\n"
M.POST = "POST /v1/chat/completions HTTP/1.1\r\n"

--- A GET with that request line, or with a sound one and these further lines.
function M.get(line, fields)
  return (line or "GET /health HTTP/1.1") .. "\r\n" .. M.HOST .. (fields or "") .. "\r\n"
end

--- A request with a body of a sound length and these further lines.
function M.post(fields)
  return M.POST .. M.HOST .. M.JSON .. M.LENGTH .. (fields or "") .. "\r\n" .. M.BODY
end

--- The same, with these lines for what says how long the body is.
function M.framed(fields, body)
  return M.POST .. M.HOST .. M.JSON .. fields .. "\r\n" .. (body or M.BODY)
end

--- The whole body in one chunk, up to where the next chunk would begin.
M.CHUNK = ("%x\r\n%s\r\n"):format(#M.BODY, M.BODY)

--- A chunked request whose chunks and trailers are these bytes.
function M.chunked(bytes)
  return M.framed(M.CODING, bytes)
end

--- Payloads by a list of bytes: `make(char)` around each, named by its number.
function M.each(chars, make)
  local list = {}
  for char in chars:gmatch "." do
    list[#list + 1] = { ("byte 0x%02x"):format(char:byte()), make(char) }
  end
  return list
end

--- Payloads by a list of texts: `make(text)` around each, named by the text.
function M.with(texts, make)
  local list = {}
  for _, text in ipairs(texts) do
    list[#list + 1] = { ("%q"):format(text):gsub("\\\n", "\\n"):gsub("[^\32-\126]", function(char)
      return ("\\%d"):format(char:byte())
    end), make(text) }
  end
  return list
end

-- The controls, without those that are asked for.
local function controls(but)
  local list = {}
  for code = 0, 31 do
    local char = string.char(code)
    list[#list + 1] = not but:find(char, 1, true) and char or nil
  end
  return table.concat(list) .. "\127"
end

--- No control may stand in a line. CR and LF end one, HTAB may stand in values: they have payloads of their own.
M.CONTROLS = controls "\t\r\n"

--- What is no letter of a name (RFC 9110, 5.6.2), beside the controls; the colon, which ends one, is left out.
M.SEPARATORS = '"(),/;<=>?@[\\]{}\128\160\255'

return M
