-- Second opinions on every payload, when asked for. Where Perilune refuses what others take, it is stricter, and that is all; what it
-- takes and two others refuse or read as another number of messages is a hole in it, or is written down here with its reason.
local gateway = require "support.gateway"
local loop = require "support.loop"
local opinions = require "hostile.opinions"
local payloads = require "hostile.payloads"
local upstream = require "support.upstream"

local EXCEPTIONS = {
  ["sound bodies: chunks between blanks"] = "Tabs around a value are no part of it (RFC 9112, 5.1). nginx and node refuse them around a " ..
    "coding; nobody takes such a request for another.",
}

-- How a connection was read: a letter for each message, taken or refused.
local function reading(number, payload)
  return (table.concat(opinions.ask(number, payload.bytes).statuses, " "):gsub("%d+ ?", function(status)
    return tonumber(status) < 400 and "t" or "r"
  end))
end

-- How a server reads each payload, in their order.
local function readings(number, all)
  return loop.spread(#all, 24, function(i)
    return reading(number, all[i])
  end)
end

local function takes(how)
  return how:sub(1, 1) == "t"
end

-- How many of each group each server takes.
local function counted(all, servers)
  local groups = {}
  for i, payload in ipairs(all) do
    local group = groups[#groups]
    if not group or group.title ~= payload.group then
      group = { title = payload.group, all = 0, taken = {} }
      groups[#groups + 1] = group
    end
    group.all = group.all + 1
    for at, server in ipairs(servers) do
      group.taken[at] = (group.taken[at] or 0) + (takes(server.readings[i]) and 1 or 0)
    end
  end
  return groups
end

local function print_table(all, servers)
  local line = "%-32s %6s" .. (" %9s"):rep(#servers)
  local names, sums = {}, { title = "all", all = #all, taken = {} }
  local groups = counted(all, servers)
  for at, server in ipairs(servers) do
    names[at] = server.name
    sums.taken[at] = 0
    for _, group in ipairs(groups) do
      sums.taken[at] = sums.taken[at] + group.taken[at]
    end
  end
  groups[#groups + 1] = sums
  print("\nHow many payloads of each group each server takes:\n" .. line:format("", "of", unpack(names)))
  for _, group in ipairs(groups) do
    print(line:format(group.title, group.all, unpack(group.taken)))
  end
end

-- What the first server takes and two others do not read as it does.
local function disagreements(all, servers)
  local found = {}
  for i, payload in ipairs(all) do
    local ours, others = servers[1].readings[i], {}
    for at = 2, #servers do
      local theirs = servers[at].readings[i]
      others[#others + 1] = takes(ours) and theirs ~= ours and ("%s reads %q"):format(servers[at].name, theirs) or nil
    end
    if #others > 1 then
      found[("%s: %s"):format(payload.group, payload.name)] = ("read %q; %s"):format(ours, table.concat(others, ", "))
    end
  end
  return found
end

describe("second opinions", function()
  if not os.getenv "SPEC_OPINIONS" then
    return
  end

  it("are none the better on what is taken", loop.test(function()
    local up = upstream.start(function(peer)
      peer:send(upstream.answer(200, upstream.completion "x"))
    end)
    local house = gateway.start { providers = { a = gateway.provider(up.url) }, config = { workers = 1 } }
    local peers = opinions.start()
    local all, servers = payloads.all(), { { name = "perilune", port = house.port }, unpack(peers) }
    for _, server in ipairs(servers) do
      server.readings = readings(server.port, all)
    end
    peers:stop()
    house:stop()
    up:close()
    print_table(all, servers)
    local found = disagreements(all, servers)
    for name, how in pairs(found) do
      assert(EXCEPTIONS[name], name .. ": " .. how)
    end
    for name in pairs(EXCEPTIONS) do
      assert(found[name], name .. " is no exception any more")
    end
  end))
end)
