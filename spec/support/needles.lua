--- Secrets looked for in bytes of any kind: as they are, in hexadecimal, in base64 wherever in it they begin.
--
--   local find = needles.of { client = "pl-...", pepper = bytes }
--   find(bytes)   -- nil, or "client, as base64"
local M = {}

local DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

-- Whole groups of three alone: what stands at either end depends on the neighbours.
local function base64(bytes)
  return (bytes:gsub("(.)(.)(.)", function(a, b, c)
    local n = a:byte() * 65536 + b:byte() * 256 + c:byte()
    local out = ""
    for shift = 3, 0, -1 do
      local digit = math.floor(n / 64 ^ shift) % 64
      out = out .. DIGITS:sub(digit + 1, digit + 1)
    end
    return out
  end))
end

local function hexadecimal(format)
  return function(bytes)
    return (bytes:gsub(".", function(c)
      return format:format(c:byte())
    end))
  end
end

local function from(place)
  return function(bytes)
    local whole = bytes:sub(place)
    whole = base64(whole:sub(1, #whole - #whole % 3))
    return whole
  end
end

local function of_urls(encode)
  return function(bytes)
    return (encode(bytes):gsub("[+/]", { ["+"] = "-", ["/"] = "_" }))
  end
end

local FORMS = {
  ["as it is"] = function(bytes) return bytes end,
  ["in small letters"] = string.lower,
  ["in hexadecimal"] = hexadecimal "%02x",
  ["in capital hexadecimal"] = hexadecimal "%02X",
  ["in base64"] = from(1), ["in base64 from the second byte on"] = from(2), ["in base64 from the third byte on"] = from(3),
  ["in base64 for URLs"] = of_urls(from(1)), ["in base64 for URLs from the second byte on"] = of_urls(from(2)),
  ["in base64 for URLs from the third byte on"] = of_urls(from(3)),
}

--- A function that says which of the secrets is in some bytes, and how. Their first three and last four bytes may be shown.
---@param secrets table<string, string>
---@return fun(bytes: string): string?
function M.of(secrets)
  local list = {}
  for name, secret in pairs(secrets) do
    assert(#secret >= 16, name .. " is too short to be looked for")
    for form, encode in pairs(FORMS) do
      list[#list + 1] = { encode(secret:sub(4, -5)), ("%s, %s"):format(name, form) }
    end
  end
  return function(bytes)
    for _, needle in ipairs(list) do
      if bytes:find(needle[1], 1, true) then
        return needle[2]
      end
    end
  end
end

return M
