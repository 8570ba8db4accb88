local gemini = require "perilune.dialects.gemini"
local json = require "perilune.json"
local shape = require "perilune.shape"
local shapes = require "support.shapes"

local TARGET = {
  id = "google/g", model = "g", upstream = "gemini-3-flash", provider = "google", dialect = "gemini", abilities = {}, quirks = {},
}

local able = {
  fields = {
    "max_tokens", "temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "seed", "n", "stop", "logprobs", "format",
  },
  parts = { "image", "audio", "file" }, many_texts = true, allowed = true, signatures = true,
  states = function(r)
    return { kind = "signature", value = "c2ln" .. r(9), by = "gemini" }
  end,
}

-- What Gemini has no place for.
local function expected(request)
  request.dialect, request.wants_usage, request.stream, request.parallel = "gemini", true, false, nil
  request.n = request.n ~= 1 and request.n or nil
  if request.format then
    request.format = request.format.kind ~= "text" and { kind = request.format.kind, schema = request.format.schema } or nil
  end
  local choice = request.tool_choice
  if choice and choice.mode == "required" and choice.names and not choice.names[2] then
    request.tool_choice = { mode = "named", name = choice.names[1] }
  end
  local names = {}
  for _, message in ipairs(request.messages) do
    for _, part in ipairs(message.parts) do
      if part.kind == "call" then
        names[part.id] = part.name
      elseif part.kind == "result" then
        part.name = names[part.id]
      elseif part.kind == "file" then
        part.name = nil
      end
    end
  end
  return request
end

describe("gemini", function()
  it("is a whole dialect", function()
    assert.equal("gemini", gemini.name)
    for _, name in ipairs { "read", "build", "edit", "read_answer", "reader", "write_answer", "writer" } do
      assert.is_function(gemini[name])
    end
  end)

  it("reads back what it built", function()
    for _, request in ipairs(shapes.requests(able, 3, 300)) do
      local drops = shape.drops()
      local http = assert(gemini.build(request, TARGET, drops))
      assert.is_true(json.valid(http.body))
      assert.is_nil(http.names)
      local again = assert(gemini.read(http.body))
      again.fields = {}
      assert.same(expected(request), again)
    end
  end)

  it("drops of what it can say nothing", function()
    for _, request in ipairs(shapes.requests(able, 5, 100)) do
      local drops = shape.drops()
      gemini.build(request, TARGET, drops)
      assert(not drops:list() or drops:list() == "parallel_tool_calls", drops:list())
    end
  end)
end)
