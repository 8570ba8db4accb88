/* rawjson.h - slices and values out of JSON texts for Lua: what lua/perilune/json.lua scans, in C.
 *
 * Owns          nothing: what it makes are Lua values.
 * Fed by        perilune.json, which has the same functions in Lua for states without this one.
 * Feeds         it, with the same results and the same words about what is malformed.
 * Must not know dialects.
 *
 *   lua_pushcfunction(L, rawjson_open);
 *   lua_call(L, 0, 1);                     stack: { members, fields, items, kind, text, read, ... }
 */
#ifndef PERILUNE_SCRIPT_RAWJSON_H
#define PERILUNE_SCRIPT_RAWJSON_H

#include <lua.h>

/* To be called from Lua, or as above. A text is scanned in one pass, and recursion ends with the depth
 * a text may have: time grows with its length alone, which matters because no limit by count or
 * clock reaches in here. */
int rawjson_open(lua_State *L);

#endif
