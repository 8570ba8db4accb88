--- What pictures, files and sounds are, where a client did not say: dialects that send bytes must name their type.
local M = {}

-- How the bytes of pictures begin, in base64.
local BEGINNINGS = {
  { "iVBORw0KGgo", "image/png" }, { "/9j/", "image/jpeg" }, { "R0lGOD", "image/gif" }, { "UklGR", "image/webp" },
}

local ENDINGS = {
  pdf = "application/pdf", txt = "text/plain", md = "text/markdown", csv = "text/csv", html = "text/html", htm = "text/html",
  json = "application/json", xml = "text/xml", doc = "application/msword", xls = "application/vnd.ms-excel",
  docx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
  xlsx = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
  png = "image/png", jpg = "image/jpeg", jpeg = "image/jpeg", gif = "image/gif", webp = "image/webp",
  mp4 = "video/mp4", mov = "video/quicktime", webm = "video/webm", mp3 = "audio/mpeg",
  wav = "audio/wav", ogg = "audio/ogg", flac = "audio/flac",
}

local SOUNDS = {
  wav = "audio/wav", mp3 = "audio/mp3", aac = "audio/aac", flac = "audio/flac", ogg = "audio/ogg", opus = "audio/opus", aiff = "audio/aiff",
  pcm16 = "audio/pcm", m4a = "audio/m4a", webm = "audio/webm",
}

--- The type of a picture's bytes: as it was said, else by how they begin, else PNG.
---@param part perilune.Part
---@return string
function M.image_type(part)
  if part.mime and part.mime ~= "" then
    local mime = part.mime:lower()
    return mime == "image/jpg" and "image/jpeg" or mime
  end
  for _, known in ipairs(BEGINNINGS) do
    if part.data and part.data:sub(1, #known[1]) == known[1] then
      return known[2]
    end
  end
  return "image/png"
end

--- The type of a file by its name or address; nil for one that is not known.
---@param name string|nil
---@return string|nil
function M.type_of_name(name)
  local ending = name and name:gsub("[?#].*$", ""):match "%.(%w+)$"
  return ending and ENDINGS[ending:lower()]
end

--- The type of a file's bytes: as it was said, else by its name, else PDF, which is what clients send.
---@param part perilune.Part
---@return string
function M.file_type(part)
  if part.mime and part.mime ~= "" then
    return part.mime:lower()
  end
  return M.type_of_name(part.name) or "application/pdf"
end

--- The type of a sound: "wav" is "audio/wav".
---@param format string|nil
---@return string
function M.sound_type(format)
  return SOUNDS[(format or "wav"):lower()] or "audio/" .. format:lower()
end

--- The format of a sound: the other way.
---@param mime string
---@return string
function M.sound_format(mime)
  local name = mime:lower():match "^audio/([%w.+-]+)" or "wav"
  return name == "mpeg" and "mp3" or name == "x-wav" and "wav" or name
end

return M
