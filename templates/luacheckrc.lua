-- What luacheck knows: policies see what the sandbox leaves them, specs what busted gives them.
std = "luajit"
max_line_length = 140

stds.policy = {
  read_globals = {
    "assert", "error", "getmetatable", "ipairs", "next", "note", "pairs", "pcall", "rawequal", "require",
    "select", "setmetatable", "tonumber", "tostring", "type", "unpack", "xpcall",
    bit = { other_fields = true }, coroutine = { other_fields = true }, math = { other_fields = true },
    string = { other_fields = true }, table = { other_fields = true },
  },
}
stds.configuration = { read_globals = { "env", "file" } }
stds.kit = { read_globals = { assert = { fields = { "routes", "walks" } } } }

exclude_files = { "library" }
files["perilune.lua"] = { std = "configuration" }
files["policies"] = { std = "policy" }
files["spec"] = { std = "luajit+busted+kit" }
