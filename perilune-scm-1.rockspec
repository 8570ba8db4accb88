-- The Lua library alone, for writing and testing policies without the gateway: `luarocks make`.
rockspec_format = "3.0"
package = "perilune"
version = "scm-1"
source = {
  url = ".",
}
description = {
  summary = "The Lua library of Perilune, a routing engine for language models",
  detailed = "What policies, provider files and dialects are written with. It runs in plain LuaJIT, as in the gateway.",
  license = "MIT",
}
dependencies = {
  "lua == 5.1", -- LuaJIT 2.1: the library uses its bit operations
}
build = {
  type = "builtin",
  modules = {
    ["perilune.adapter"] = "lua/perilune/adapter.lua",
    ["perilune.bundle"] = "lua/perilune/bundle.lua",
    ["perilune.call"] = "lua/perilune/call.lua",
    ["perilune.catalogue"] = "lua/perilune/catalogue.lua",
    ["perilune.config"] = "lua/perilune/config.lua",
    ["perilune.dialects.openai_chat"] = "lua/perilune/dialects/openai_chat.lua",
    ["perilune.evaluate"] = "lua/perilune/evaluate.lua",
    ["perilune.failure"] = "lua/perilune/failure.lua",
    ["perilune.fleet"] = "lua/perilune/fleet.lua",
    ["perilune.hash"] = "lua/perilune/hash.lua",
    ["perilune.host"] = "lua/perilune/host.lua",
    ["perilune.json"] = "lua/perilune/json.lua",
    ["perilune.near"] = "lua/perilune/near.lua",
    ["perilune.order"] = "lua/perilune/order.lua",
    ["perilune.params"] = "lua/perilune/params.lua",
    ["perilune.provider"] = "lua/perilune/provider.lua",
    ["perilune.request"] = "lua/perilune/request.lua",
    ["perilune.sandbox"] = "lua/perilune/sandbox.lua",
    ["perilune.schema"] = "lua/perilune/schema.lua",
    ["perilune.spec"] = "lua/perilune/spec.lua",
    ["perilune.steps"] = "lua/perilune/steps.lua",
    ["perilune.usage"] = "lua/perilune/usage.lua",
  },
  -- Shipped policies, where perilune.spec finds them.
  install = {
    lua = {
      ["perilune.policies.auto"] = "policies/auto.lua",
      ["perilune.policies.cheapest"] = "policies/cheapest.lua",
      ["perilune.policies.fastest"] = "policies/fastest.lua",
      ["perilune.policies.quality"] = "policies/quality.lua",
      ["perilune.policies.split"] = "policies/split.lua",
      ["perilune.policies.tier"] = "policies/tier.lua",
    },
  },
  copy_directories = { "docs", "providers" },
}
