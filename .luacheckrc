-- Each folder is checked against the globals its files really have.
std = "luajit"
max_line_length = 140
exclude_files = { "**/node_modules/**", "build*/**" }

-- What the sandbox leaves a policy (lua/perilune/sandbox.lua).
stds.policy = {
  read_globals = {
    "assert", "error", "getmetatable", "ipairs", "next", "note", "pairs", "pcall", "rawequal", "require",
    "select", "setmetatable", "tonumber", "tostring", "type", "unpack", "xpcall",
    bit = { other_fields = true }, coroutine = { other_fields = true }, math = { other_fields = true },
    string = { other_fields = true }, table = { other_fields = true },
  },
}

-- What a configuration and a provider's file may call.
stds.configuration = { read_globals = { "env", "file" } }

-- A page of annotations, one line a field.
files["lua/perilune/shape.lua"] = { max_line_length = false }
files["policies"] = { std = "policy" }
files["policies/**/*_spec.lua"] = { std = "luajit+busted" }
files["providers"] = { std = "configuration" }
files["spec"] = { std = "luajit+busted" }
files["spec/fuzz/texts/config"] = { std = "configuration" }
