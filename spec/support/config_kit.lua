--- For specs of the configuration: a host with the shipped provider files, an environment and no disk.
local config = require "perilune.config"

local M = {}

function M.read_file(path)
  local f = assert(io.open(path))
  local text = f:read "*a"
  f:close()
  return text
end

--- Names of the shipped provider files, sorted.
function M.provider_names()
  local list, pipe = {}, assert(io.popen "ls providers")
  for file in pipe:lines() do
    list[#list + 1] = file:match "^(.*)%.lua$"
  end
  pipe:close()
  return list
end

local names, texts = M.provider_names(), {}

function M.provider_files()
  local list = {}
  for i, name in ipairs(names) do
    local path = "providers/" .. name .. ".lua"
    texts[name] = texts[name] or M.read_file(path)
    list[i] = { name = name, path = path, text = texts[name] }
  end
  return list
end

--- A host; `over` changes what is usual. `vars` and `files` stand for the environment and the disk.
function M.host(vars, over)
  local host = {
    env = function(name)
      return vars and vars[name]
    end,
    file = function(path)
      local text = over and over.files and over.files[path]
      return text, not text and "no such file" or nil
    end,
    provider_files = M.provider_files(),
    mock_url = "http://127.0.0.1:4199/v1",
  }
  for k, v in pairs(over or {}) do
    host[k] = v
  end
  return host
end

--- Reads a configuration of which only the part between the braces is given.
function M.read(body, vars, over)
  local text = body and "return {\n" .. body .. "\n}"
  return config.read(text, body and "perilune.lua" or nil, M.host(vars, over))
end

--- One configured provider with the models `m` and `n`, as text.
M.LOCAL = 'providers = { vllm = { base_url = "http://localhost:8000/v1", models = { "m", "n" } } },\n'

--- The findings of a configuration that must not be taken, as "line setting: message [hint]".
function M.findings(body, vars, over)
  local result, findings = M.read(body, vars, over)
  assert(not result, "expected the configuration to be refused")
  local out = {}
  for i, f in ipairs(findings) do
    out[i] = ("%s %s: %s [%s]"):format(f.line or "-", f.setting or "-", f.message, f.hint or "")
  end
  return table.concat(out, "\n")
end

return M
