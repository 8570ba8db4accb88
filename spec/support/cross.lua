--- The gateway between every client's dialect and every provider's: one mock behind it that speaks all of them, one provider for each
--- dialect, and one model for each thing that may happen.
---
---   local house, up = cross.start()
---   local told, answer = cross.ask(house, "openai_chat", { model = "gemini/tools", tools = { "f" }, turns = { { user = "hi" } } })
local clients = require "support.clients"
local gateway = require "support.gateway"
local got_by = require "support.got"
local http = require "support.http"
local mock = require "support.mock"

local M = {}

--- Clients' dialects, and providers': each provider is called as what it speaks.
M.inbound = { "openai_chat", "openai_responses", "anthropic_messages" }
M.outbound = { "openai_chat", "openai_responses", "anthropic_messages", "gemini", "bedrock_converse" }

--- What the mock says: letters of two and four bytes, what JSON escapes, a line end.
M.TEXT = 'The caf\195\169 is a "quiet" place \\ \226\128\148 at night.\nGood night \240\159\140\153, <b>&amp;</b> farewell.'
--- How it thinks.
M.THOUGHT = "Somebody said something, so I say it again."
--- All of the prompt, of which it read and wrote some from and to a cache.
M.INPUT, M.CACHED = 4000, 3000
--- The signature of whatever it signs.
M.SIGNATURE = "bW9jayBzaWduYXR1cmU="

local COUNTS = "cached = 3000, written = 1000"

-- Words of the mock by the model that is asked.
local SCRIPT = [[
local text = %q
local words = {
  plain = { content = text, COUNTS },
  tools = { tool = true, COUNTS },
  parallel = { tools = 3, COUNTS },
  thinker = { reasoning = true, content = text, COUNTS },
  planner = { reasoning = true, tools = 2, COUNTS },
  refused = { status = 400, message = "The mock does not like it." },
  limited = { status = 429, retry_after = "90" },
  breaks = { content = "one two three four", cut_event = 3, gap_ms = 20 },
  fails = { content = "one two three four", error_after = 2, gap_ms = 20 },
  starts = { content = "one two", cut_event = 0 },
}
return function(req)
  return words[req.model:match "(%%a+)[^/]*$"] or words.plain
end
]]

M.MODELS = { "plain", "tools", "parallel", "thinker", "planner", "refused", "breaks", "fails", "starts" }
for _, from in ipairs(M.inbound) do
  M.MODELS[#M.MODELS + 1] = "limited_" .. from -- each client has its own: one that was limited is not asked again soon
end

local BASES = { gemini = "/v1beta", bedrock_converse = "" }
local LIKE = {
  openai_chat = "openai_compatible", openai_responses = "openai_compatible", anthropic_messages = "anthropic", gemini = "google",
  bedrock_converse = "bedrock",
}
-- What the models of the vendor can is said model by model there.
local QUIRKS = { bedrock_converse = { thinking = "adaptive" } }

--- A provider of the mock that speaks a dialect.
---@param up table a mock
---@param dialect string
---@param extra table? further settings
function M.provider(up, dialect, extra)
  local provider = {
    like = LIKE[dialect], dialect = dialect, api_keys = { "sk-upstream" }, models = M.MODELS,
    base_url = ("http://127.0.0.1:%d%s"):format(up.port, BASES[dialect] or "/v1"), quirks = QUIRKS[dialect],
  }
  for name, value in pairs(extra or {}) do
    provider[name] = value
  end
  return provider
end

--- Starts both; `options` as gateway.start has them, with further providers.
function M.start(options)
  options = options or {}
  local up = mock.start { script = SCRIPT:gsub("COUNTS", COUNTS):format(M.TEXT) }
  local providers = {}
  for _, dialect in ipairs(M.outbound) do
    providers[dialect] = M.provider(up, dialect)
  end
  for name, provider in pairs(options.providers and options.providers(up) or {}) do
    providers[name] = provider
  end
  return gateway.start { providers = providers, config = options.config, headers = options.headers }, up
end

local function with(headers, more)
  local all = { ["x-route-strict"] = "1" }
  for _, set in ipairs { headers or {}, more or {} } do
    for name, value in pairs(set) do
      all[name] = value
    end
  end
  return all
end

--- Asks as a client of a dialect does; what it made of the answer, and the answer itself. Without 200 it made nothing of it.
---@param house table
---@param dialect string
---@param talk spec.Talk
---@param headers table?
function M.ask(house, dialect, talk, headers)
  local client = clients[dialect]
  local send = talk.stream and http.stream or http.post
  local answer = send(house.port, client.path, client.request(talk), with(client.headers, headers))
  if answer.status ~= 200 then
    return nil, answer
  end
  if talk.stream then
    assert(answer.events, answer.body)
    return client.stream(answer.events), answer
  end
  return client.whole(answer.json), answer
end

--- What the mock was asked last, as a provider of that dialect reads it.
function M.got(up, dialect)
  return got_by[dialect](up:last())
end

--- The mock's own count of an answer: four bytes a token, each thing it says rounded up.
function M.tokens(...)
  local n = 0
  for _, text in ipairs { ... } do
    n = n + math.ceil(#text / 4)
  end
  return n
end

----------------------------------------------------------------------------------------------------------------------------
-- The table

local Grid = {}
Grid.__index = Grid

--- Keeps which cells of the table hold: a letter for each situation.
---@param situations { [1]: string, [2]: string }[] a letter and what it stands for
function M.grid(situations)
  return setmetatable({ situations = situations, held = {} }, Grid)
end

function Grid:mark(from, to, letter)
  self.held[from .. to .. letter] = true
end

function Grid:cell(from, to)
  local out, n = {}, 0
  for i, situation in ipairs(self.situations) do
    local held = self.held[from .. to .. situation[1]]
    out[i], n = held and situation[1] or "-", n + (held and 1 or 0)
  end
  return table.concat(out), n
end

--- The table as text, and how many of how many hold.
function Grid:text()
  local width, lines, held = #self.situations + 3, {}, 0
  local head = { ("%-20s"):format "client \\ provider" }
  for i, to in ipairs(M.outbound) do
    head[i + 1] = ("%-" .. math.max(width, 19) .. "s"):format(to)
  end
  lines[1] = table.concat(head)
  for _, from in ipairs(M.inbound) do
    local row = { ("%-20s"):format(from) }
    for i, to in ipairs(M.outbound) do
      local marks, n = self:cell(from, to)
      row[i + 1], held = ("%-" .. math.max(width, 19) .. "s"):format(marks), held + n
    end
    lines[#lines + 1] = table.concat(row)
  end
  local legend = {}
  for i, situation in ipairs(self.situations) do
    legend[i] = situation[1] .. " " .. situation[2]
  end
  local all = #self.situations * #M.inbound * #M.outbound
  lines[#lines + 1] = table.concat(legend, ", ")
  lines[#lines + 1] = ("dialects: %d of %d"):format(held, all)
  return table.concat(lines, "\n") .. "\n", held, all
end

return M
