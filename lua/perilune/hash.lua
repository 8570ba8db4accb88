--- A hash of texts and numbers that are spread evenly: for splits that stick and for random numbers that a replay repeats.
local M = {}

local bit = require "bit"
local band, bxor, lshift, rshift, tobit = bit.band, bit.bxor, bit.lshift, bit.rshift, bit.tobit

-- The low 32 bits of a * b, exact although numbers are doubles.
local function mul(a, b)
  return tobit(band(a, 0xffff) * b + lshift(tobit(rshift(a, 16) * b), 16))
end

--- Every bit of the result depends on every bit of h.
---@param h integer
---@return integer
local function mix(h)
  h = bxor(h, rshift(h, 16))
  h = mul(h, 0x45d9f3b)
  h = bxor(h, rshift(h, 15))
  h = mul(h, 0x2c1b3c6d)
  return bxor(h, rshift(h, 16))
end

--- 32 bits of a text, going on from `h`.
---@param text string
---@param h? integer
---@return integer signed, as the bit library has them
function M.text(text, h)
  h = h or -2128831035
  for i = 1, #text do
    -- FNV-1a; its prime is 2^24 + 403.
    h = bxor(h, text:byte(i))
    h = tobit(tobit(h * 403) + lshift(h, 24))
  end
  return mix(h)
end

--- A fraction over 0 and below 1 from 32 bits.
---@param h integer
---@return number
function M.fraction(h)
  return (h % 4294967296 + 0.5) / 4294967296
end

--- One number from 0 to 1 that belongs to a seed and to what it is for: at a fraction of what random() costs.
---@param seed number
---@param purpose integer
---@return number
function M.chance(seed, purpose)
  return M.fraction(mix(bxor(tobit(seed % 4294967296), purpose * 0x1e3779b1 % 4294967296)))
end

--- A function that gives the numbers from 0 (included) to 1 (excluded) that belong to a seed.
---@param seed number
---@return fun(): number
function M.random(seed)
  local low = seed % 4294967296
  local high = math.floor(seed / 4294967296) % 4294967296
  -- Each word depends on those before it: were one the same for two seeds, their first numbers would be alike.
  local x = mix(tobit(low + 0x1f123bb5))
  local y = mix(bxor(tobit(high + 0x5f356495), x))
  local z, w = mix(bxor(x, 0x3c6ef372)), mix(bxor(y, 0x5a827999))
  if x == 0 and y == 0 and z == 0 and w == 0 then
    w = 1
  end
  return function()
    -- Marsaglia's xorshift of four words.
    local t = bxor(x, lshift(x, 11))
    x, y, z = y, z, w
    w = bxor(bxor(w, rshift(w, 19)), bxor(t, rshift(t, 8)))
    return (w % 4294967296) / 4294967296
  end
end

return M
