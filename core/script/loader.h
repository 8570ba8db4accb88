/* loader.h - `require` for the trusted Lua library.
 *
 * Owns          the table of what is loaded, inside the Lua state.
 * Fed by        embed, or a folder that stands in for it.
 * Feeds         the library itself; policies have another `require` (lua/perilune/sandbox.lua).
 * Must not know what the modules do.
 */
#ifndef PERILUNE_SCRIPT_LOADER_H
#define PERILUNE_SCRIPT_LOADER_H

#include "base/snapshot.h"
#include "script/vm.h"

/* Sets the global `require`, to be called inside a protected call once the standard libraries are
 * open. `library` outlives the state. */
void loader_open(lua_State *L, const struct vm_library *library);

/* Compiles every module the binary carries, those of `dir` (NULL: none) in their place: states made
 * from that start many times faster. To be called inside a protected call; what does not compile is
 * left out, and raises when it is required. Returns how many there are in `*modules`, in
 * `arena`. */
size_t loader_compile(lua_State *L, const char *dir, struct arena *arena,
                      const struct pair **modules);

/* The library of a snapshot. */
struct vm_library loader_library(const struct snapshot *snap);

#endif
