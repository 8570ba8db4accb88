-- busted's settings, for those who run it without `perilune test`: the library is then the rock's.
return {
  default = {
    lua = "luajit",
    ROOT = { "spec" },
    pattern = "_spec",
  },
}
