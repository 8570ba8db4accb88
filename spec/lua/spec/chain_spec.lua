-- The kit's walk against walks the core has made and written down (spec/core/route/chain_walks_test.c).
local chain = require "perilune.spec.chain"

-- "step target=1 retries=-1" as its word and its fields; -1 and, where nothing is stated by it, 0 are absent.
local function fields_of(line)
  local fields = {}
  for name, value in line:gmatch "(%w[%w_]*)=(%S+)" do
    fields[name] = tonumber(value) or value
  end
  return line:match "^%a+", fields
end

local function stated(n)
  return n and n > 0 and n or nil
end

local function unless_negative(n)
  return n >= 0 and n or nil
end

local function step_of(f, targets)
  local target = targets[f.target]
  return {
    target = f.target, context = target.context, bound = target.bound, predicted = target.predicted, retries = unless_negative(f.retries),
    open = target.open, reopens = target.reopens, found = target.found,
    max_cost_usd = unless_negative(f.max_cost), max_latency_ms = stated(f.max_latency), when = stated(f.when),
  }
end

-- One walk, line by line: what the core was given is given to the kit, what the core decided is compared.
local function Reader(lines)
  local self = { at = 1, targets = {}, lines = lines }

  function self.peek()
    local line = lines[self.at]
    if line then
      return fields_of(line)
    end
  end

  function self.take(word)
    local found, fields = self.peek()
    if found == word then
      self.at = self.at + 1
      return fields
    end
  end

  function self.steps()
    local list = {}
    for f in function() return self.take "step" end do
      list[#list + 1] = step_of(f, self.targets)
    end
    return list
  end

  return self
end

local function view_of(reader)
  return {
    bound = function(step)
      return step.bound
    end,
    latency = function(step)
      return step.predicted
    end,
    on_skip = function(step, class)
      assert.same({ target = step.target, class = class }, reader.take "skip")
    end,
    open = function(step)
      return step.open, step.reopens
    end,
    insist = function(step)
      return not step.found
    end,
    on_open = function(step, class)
      assert.same({ target = step.target, class = class }, reader.take "open")
    end,
    jitter = function(cap, queue)
      -- The next wait is what the core's dice gave; a wait that did not fit is not written, and any that does not fit will do.
      local word, f = reader.peek()
      if word == "wait" and (f.queue == 1) == queue then
        assert(f.ms >= 0 and f.ms <= cap, ("a wait of %d ms under a cap of %d"):format(f.ms, cap))
        return f.ms
      end
      return math.huge
    end,
  }
end

local function run(lines)
  local reader = Reader(lines)
  for f in function() return reader.take "target" end do
    reader.targets[#reader.targets + (reader.targets[0] and 1 or 0)] = {
      context = stated(f.context), bound = unless_negative(f.bound), predicted = stated(f.predicted),
      open = f.open ~= "none" and f.open or nil, reopens = f.reopens, found = f.found == 1,
    }
  end
  local c = reader.take "chain"
  local now = c.now
  local walk = chain.begin({
    steps = reader.steps(), max_cost_usd = unless_negative(c.max_cost), max_latency_ms = stated(c.max_latency),
    max_attempts = stated(c.max_attempts), on_exhausted = c.queue == 1 and "queue" or "fail", retry_window_ms = stated(c.window),
  }, now, stated(c.deadline))
  assert(reader.take "walk")
  local view = view_of(reader)
  local move = chain.next(walk, view, nil, now)
  while reader.peek() do
    if move.verdict == "try" then
      assert.same({ at = walk.at, attempts = walk.attempts, over = move.over_threshold and 1 or 0 }, reader.take "try")
      local f = reader.take "fail"
      if not f then
        return
      end
      now, walk.spent = now + f.took, walk.spent + f.cost
      local stay, replace = reader.take "stay", reader.take "replace"
      move = stay and chain.stay(walk, stay.ms, now)
      if replace then
        chain.replace(walk, reader.steps())
      end
      if not move or move.verdict == "end" then
        move = chain.next(walk, view, { class = f.class, retry_after_ms = unless_negative(f.after) }, now)
      end
    elseif move.verdict == "wait" then
      assert.same({ ms = move.wait_ms, queue = move.queue and 1 or 0 }, reader.take "wait")
      now = now + move.wait_ms
      if reader.peek() then
        move = chain.resume(walk, view, now)
      end
    else
      assert.same({}, reader.take "end")
      assert.is_nil((reader.peek()))
    end
  end
end

describe("the kit's walk along a chain", function()
  local walks = {}
  for line in io.lines "spec/fixtures/chain/walks.txt" do
    if line:find "^case " then
      walks[#walks + 1] = {}
    else
      table.insert(walks[#walks], line)
    end
  end

  it("is the core's", function()
    assert.equal(400, #walks)
    local seen = {}
    for i, lines in ipairs(walks) do
      local ok, why = pcall(run, lines)
      assert(ok, ("walk %d: %s"):format(i, tostring(why)))
      for _, line in ipairs(lines) do
        seen[line:match "^%a+"] = true
      end
    end
    -- Every kind of move and of word is among them.
    for _, word in ipairs { "try", "wait", "end", "skip", "open", "stay", "replace" } do
      assert(seen[word], word)
    end
  end)
end)
