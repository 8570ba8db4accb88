--- Reads figures as Prometheus does, strictly: whatever is not of the format is an error.
--
--   local all = exposition.read(text)              -- of the text format 0.0.4; read(text, true): of OpenMetrics
--   all.families["perilune_requests_total"].kind   -- "counter", .help, .samples
--   exposition.value(all, "perilune_attempts_total", { target = "a/m" })
local M = {}

local SUFFIXES = { histogram = { _bucket = true, _sum = true, _count = true }, counter = { [""] = true }, gauge = { [""] = true } }
local OPEN_SUFFIXES = { histogram = SUFFIXES.histogram, counter = { _total = true }, gauge = SUFFIXES.gauge }

-- { a = "1", b = "2" } of `a="1",b="2"`.
local function read_labels(text, line)
  local labels, at = {}, 1
  while at <= #text do
    local name, from = text:match('^([%a_][%w_]*)="()', at)
    assert(name, "no label: " .. line)
    assert(labels[name] == nil, "a label twice: " .. line)
    local value, i = {}, from
    while text:sub(i, i) ~= '"' do
      local c = text:sub(i, i)
      assert(c ~= "" and c ~= "\n", "a label without an end: " .. line)
      if c == "\\" then
        i = i + 1
        c = assert(({ ["\\"] = "\\", ['"'] = '"', n = "\n" })[text:sub(i, i)], "a wrong escape: " .. line)
      end
      value[#value + 1] = c
      i = i + 1
    end
    labels[name] = table.concat(value)
    at = i + 1
    local comma = text:sub(at, at)
    assert(comma == "" or comma == ",", "no comma: " .. line)
    at = at + 1
  end
  return labels
end

local function read_sample(line)
  local name, rest = line:match "^([%a_:][%w_:]*)(.*)$"
  assert(name, "no sample: " .. line)
  local labels, value = rest:match "^{(.*)} (%S+)$"
  value = value or rest:match "^ (%S+)$"
  assert(value, "no value: " .. line)
  local number = value == "+Inf" and math.huge or tonumber(value)
  assert(number, "no number: " .. line)
  return { name = name, labels = read_labels(labels or "", line), value = number, line = line }
end

-- What tells a sample's series from others.
local function identity(sample, but)
  local parts = {}
  for name, value in pairs(sample.labels) do
    if name ~= but then
      parts[#parts + 1] = ("%s=%q"):format(name, value)
    end
  end
  table.sort(parts)
  return table.concat(parts, ",")
end

local function check_series(family)
  local seen = {}
  for _, sample in ipairs(family.samples) do
    local key = sample.name .. identity(sample)
    assert(not seen[key], "twice: " .. sample.line)
    seen[key] = true
    assert(family.kind == "gauge" or sample.value >= 0, "negative: " .. sample.line)
  end
end

-- Buckets ascend, the last is +Inf and as much as the count; a sum is there.
local function check_histogram(family)
  local series = {}
  for _, sample in ipairs(family.samples) do
    local key = identity(sample, "le")
    local one = series[key] or { last = 0, bound = -math.huge }
    series[key] = one
    local suffix = sample.name:sub(#family.name + 1)
    if suffix == "_bucket" then
      local bound = sample.labels.le == "+Inf" and math.huge or assert(tonumber(sample.labels.le), sample.line)
      assert(bound > one.bound and sample.value >= one.last, "buckets do not ascend: " .. sample.line)
      one.bound, one.last = bound, sample.value
    else
      one[suffix] = sample.value
    end
  end
  for key, one in pairs(series) do
    assert(one.bound == math.huge and one._count == one.last and one._sum, family.name .. " is no whole histogram of " .. key)
  end
end

---@param text string
---@param open_metrics boolean?
function M.read(text, open_metrics)
  local all, family = { families = {}, names = {} }, nil
  assert(text:sub(-1) == "\n", "the last line has no end")
  if open_metrics then
    text = assert(text:match "^(.*\n)# EOF\n$", "no # EOF at the end")
  end
  for line in text:gmatch "([^\n]*)\n" do
    local help_name, help = line:match "^# HELP ([%a_:][%w_:]*) (.+)$"
    local type_name, kind = line:match "^# TYPE ([%a_:][%w_:]*) (%l+)$"
    if help_name then
      assert(not all.families[help_name], "a family twice: " .. line)
      family = { name = help_name, help = help, samples = {} }
      all.families[help_name] = family
      all.names[#all.names + 1] = help_name
    elseif type_name then
      assert(family and family.name == type_name and not family.kind, "a type out of its place: " .. line)
      assert(SUFFIXES[kind], "no such type: " .. line)
      family.kind = kind
    else
      local sample = read_sample(line)
      assert(family and family.kind and sample.name:sub(1, #family.name) == family.name, "of no family: " .. line)
      local suffixes = (open_metrics and OPEN_SUFFIXES or SUFFIXES)[family.kind]
      assert(suffixes[sample.name:sub(#family.name + 1)], "of no family: " .. line)
      family.samples[#family.samples + 1] = sample
    end
  end
  for _, name in ipairs(all.names) do
    local f = all.families[name]
    assert(f.kind, name .. " has no type")
    assert(f.kind ~= "counter" or open_metrics or name:match "_total$", name .. " is a counter without _total")
    check_series(f)
    if f.kind == "histogram" then
      check_histogram(f)
    end
  end
  return all
end

--- The sum of a family's samples of that name with these labels; nil when there are none.
---@param name string  "perilune_overhead_seconds_count"
---@param labels table?
function M.value(all, name, labels)
  local sum
  for family_name, family in pairs(all.families) do
    if name:sub(1, #family_name) == family_name then
      for _, sample in ipairs(family.samples) do
        local fits = sample.name == name
        for label, value in pairs(labels or {}) do
          fits = fits and sample.labels[label] == value
        end
        sum = fits and (sum or 0) + sample.value or sum
      end
    end
  end
  return sum
end

return M
