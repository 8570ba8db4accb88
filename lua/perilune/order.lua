--- Orders kept ready: the cheapest few of a thousand targets without looking at the thousand.
---
--- A cost here is `a * x + b * y` of two fixed figures of each target (its prices for input and output, or its first-token time and its
--- time per token), with weights a and b that differ from request to request. For every direction (a, b) the order is another, so none
--- can be kept for all. But each direction lies between two of a few fixed ones, its cost is a sum of the costs along those two, and
--- walking down both of their orders in step finds the smallest sums early: once a sum seen is no more than the sum of the two values
--- where the walk stands, nothing unseen can be smaller.
local M = {}

local huge, floor = math.huge, math.floor

--- Sorts `list` by ascending keys[list[i]], stable. A merge sort of our own: table.sort is not stable and costs three times as much here.
---@param list any[]
---@param keys table<any, number>
---@return any[] list the same table
function M.sort(list, keys)
  local n = #list
  -- Short runs by insertion.
  local RUN = 8
  for from = 1, n, RUN do
    local to = from + RUN - 1
    if to > n then
      to = n
    end
    for i = from + 1, to do
      local v = list[i]
      local k = keys[v]
      local j = i - 1
      while j >= from and keys[list[j]] > k do
        list[j + 1] = list[j]
        j = j - 1
      end
      list[j + 1] = v
    end
  end
  local src, dst = list, {}
  local width = RUN
  while width < n do
    for from = 1, n, 2 * width do
      local mid, to = from + width, from + 2 * width
      if mid > n + 1 then
        mid = n + 1
      end
      if to > n + 1 then
        to = n + 1
      end
      local a, b = from, mid
      for at = from, to - 1 do
        if a < mid and (b >= to or keys[src[a]] <= keys[src[b]]) then
          dst[at] = src[a]
          a = a + 1
        else
          dst[at] = src[b]
          b = b + 1
        end
      end
    end
    src, dst = dst, src
    width = 2 * width
  end
  if src ~= list then
    for i = 1, n do
      list[i] = src[i]
    end
  end
  return list
end

-- The fixed directions, as y for one x: from "only x counts" to "only y counts".
local DIRECTIONS = { { 1, 0 }, { 32, 1 }, { 16, 1 }, { 8, 1 }, { 4, 1 }, { 2, 1 }, { 1, 1 }, { 1, 2 }, { 1, 8 }, { 0, 1 } }

---@class perilune.Plane
---@field xs number[]          per class
---@field ys number[]
---@field members integer[][]  per class: its targets, in the order given
---@field lists integer[][]    per direction: classes in ascending order
---@field values number[][]    per direction: the values beside them
---@field apart table<integer, boolean> targets that walks pass over, because their place is another by now

-- Where items stand of which nothing is known: behind all others.
M.NOWHERE = 1e15

-- Sorts a list in which most stand where they belong, with the values beside it.
local function settle(list, values, n)
  local left = 4 * n -- moves before sorting it whole is cheaper
  for i = 2, n do
    local v = values[i]
    if values[i - 1] > v then
      local item, j = list[i], i
      repeat
        values[j], list[j] = values[j - 1], list[j - 1]
        j = j - 1
      until j == 1 or values[j - 1] <= v
      values[j], list[j] = v, item
      left = left - (i - j)
      if left < 0 then
        return false
      end
    end
  end
  return true
end

--- Puts its classes in order again, after some of xs and ys changed.
---@param plane perilune.Plane
function M.resort(plane)
  local xs, ys = plane.xs, plane.ys
  local n = #xs
  for d, direction in ipairs(DIRECTIONS) do
    local list, values, dx, dy = plane.lists[d], plane.values[d], direction[1], direction[2]
    for j = 1, n do
      local class = list[j]
      values[j] = dx * xs[class] + dy * ys[class]
    end
    if not settle(list, values, n) then
      local keys = {}
      for class = 1, n do
        keys[class] = dx * xs[class] + dy * ys[class]
      end
      M.sort(list, keys)
      for j = 1, n do
        values[j] = keys[list[j]]
      end
    end
  end
end

-- Where a class stands, which has that value.
local function place_of(list, values, class, value)
  local from, to = 1, #list
  while from < to do
    local middle = floor((from + to) / 2)
    if values[middle] < value then
      from = middle + 1
    else
      to = middle
    end
  end
  while list[from] ~= class do
    from = from + 1
  end
  return from
end

-- Puts what stands at `at` where its new value belongs.
local function shift(list, values, at, value)
  local class, n = list[at], #list
  while at > 1 and values[at - 1] > value do
    values[at], list[at] = values[at - 1], list[at - 1]
    at = at - 1
  end
  while at < n and values[at + 1] < value do
    values[at], list[at] = values[at + 1], list[at + 1]
    at = at + 1
  end
  values[at], list[at] = value, class
end

--- Gives an item of a plane that blank() made, in order and known so far, its new place. Figures move little at a time, so that this is
--- far less than resort().
---@param plane perilune.Plane
---@param item integer
---@param x number
---@param y number
function M.move(plane, item, x, y)
  local old_x, old_y = plane.xs[item], plane.ys[item]
  for d = 1, #DIRECTIONS do
    local dx, dy, list, values = DIRECTIONS[d][1], DIRECTIONS[d][2], plane.lists[d], plane.values[d]
    shift(list, values, place_of(list, values, item, dx * old_x + dy * old_y), dx * x + dy * y)
  end
  plane.xs[item], plane.ys[item] = x, y
end

--- An order over the items 1 to n, which know nothing yet: xs and ys are to be filled, and resort() called. Items in `apart` are passed
--- over by walks.
---@param n integer
---@return perilune.Plane
function M.blank(n)
  local plane = { xs = {}, ys = {}, members = {}, lists = {}, values = {}, apart = {} }
  for i = 1, n do
    plane.xs[i], plane.ys[i], plane.members[i] = M.NOWHERE, M.NOWHERE, { i }
  end
  for d in ipairs(DIRECTIONS) do
    local list = {}
    for i = 1, n do
      list[i] = i
    end
    plane.lists[d], plane.values[d] = list, {}
  end
  M.resort(plane)
  return plane
end

--- Orders over points: `items` in order, with x and y each. Items of equal x and y form one class.
---@param items integer[]
---@param x table<integer, number>
---@param y table<integer, number>
---@return perilune.Plane
function M.plane(items, x, y)
  local xs, ys, members, by_point = {}, {}, {}, {}
  for _, item in ipairs(items) do
    local px, py = x[item], y[item]
    local row = by_point[px]
    if not row then
      row = {}
      by_point[px] = row
    end
    local class = row[py]
    if not class then
      class = #xs + 1
      row[py] = class
      xs[class], ys[class], members[class] = px, py, {}
    end
    local m = members[class]
    m[#m + 1] = item
  end
  local plane = { xs = xs, ys = ys, members = members, lists = {}, values = {}, apart = {} }
  for d in ipairs(DIRECTIONS) do
    local list = {}
    for class = 1, #xs do
      list[class] = class
    end
    plane.lists[d], plane.values[d] = list, {}
  end
  M.resort(plane)
  return plane
end

---@class perilune.Scratch tables a walk fills and the next one uses again

--- Room for one walk at a time.
---@return perilune.Scratch
function M.scratch()
  return { seen = {}, waiting = {}, costs = {}, walk = 0 }
end

--- Calls take(item, cost) for the items in ascending cost a*x + b*y until it returns true.
---@param plane perilune.Plane
---@param a number not negative; a and b not both 0
---@param b number
---@param take fun(item: integer, cost: number): boolean|nil
---@param scratch perilune.Scratch one for each walk that may run inside another
function M.walk(plane, a, b, take, scratch)
  local d = 1
  while d < #DIRECTIONS - 1 do
    local far = DIRECTIONS[d + 1]
    -- Between d and d + 1 when y's share is at most that of d + 1.
    if b * far[1] <= a * far[2] then
      break
    end
    d = d + 1
  end
  -- (a, b) = s * near + t * far, with s and t not negative.
  local near, far = DIRECTIONS[d], DIRECTIONS[d + 1]
  local det = near[1] * far[2] - near[2] * far[1]
  local s = (a * far[2] - b * far[1]) / det
  local t = (near[1] * b - near[2] * a) / det
  local list1, list2, values1, values2 = plane.lists[d], plane.lists[d + 1], plane.values[d], plane.values[d + 1]
  local xs, ys, members, apart = plane.xs, plane.ys, plane.members, plane.apart
  local n = #list1
  -- waiting: classes seen and not yet given, ascending from `head` to `tail`. seen[class] == walk: met in this walk.
  local seen, waiting, costs = scratch.seen, scratch.waiting, scratch.costs
  local walk = scratch.walk + 1
  scratch.walk = walk
  local head, tail = 1, 0
  for at = 1, n do
    for which = 1, 2 do
      local class
      if which == 1 then
        class = list1[at]
      else
        class = list2[at]
      end
      if seen[class] ~= walk then
        seen[class] = walk
        local cost = a * xs[class] + b * ys[class]
        tail = tail + 1
        local j = tail
        while j > head and costs[j - 1] > cost do
          costs[j], waiting[j] = costs[j - 1], waiting[j - 1]
          j = j - 1
        end
        costs[j], waiting[j] = cost, class
      end
    end
    local least = at < n and s * values1[at + 1] + t * values2[at + 1] or huge
    while head <= tail and costs[head] <= least do
      local m, cost = members[waiting[head]], costs[head]
      for j = 1, #m do
        if not apart[m[j]] and take(m[j], cost) then
          return
        end
      end
      head = head + 1
    end
  end
end

return M
