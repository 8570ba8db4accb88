/* loader.h - `require` for the trusted Lua library.
 *
 * Owns          the table of what is loaded, inside the Lua state.
 * Fed by        embed, or a folder that stands in for it.
 * Feeds         the library itself; policies have another `require` (lua/perilune/sandbox.lua).
 * Must not know what the modules do.
 */
#ifndef PERILUNE_SCRIPT_LOADER_H
#define PERILUNE_SCRIPT_LOADER_H

#include <lua.h>

/* Sets the global `require`, to be called inside a protected call once the standard libraries are
 * open. `lua_dir` (NULL: none) is looked into first, for "perilune/host.lua". */
void loader_open(lua_State *L, const char *lua_dir);

#endif
