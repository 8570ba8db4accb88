/* luaspan.h - spans across the border to Lua.
 *
 * Owns          nothing.
 * Fed by        every file here that speaks to Lua.
 * Feeds         them.
 * Must not know what the texts are.
 */
#ifndef PERILUNE_SCRIPT_LUASPAN_H
#define PERILUNE_SCRIPT_LUASPAN_H

#include "base/arena.h"

#include <lua.h>

/* A text, or nil for SPAN_NONE. */
void luaspan_push(lua_State *L, struct span s);

/* The text at `index`, borrowed as long as it lies there; SPAN_NONE when there is none (a number is
 * none). */
struct span luaspan_at(lua_State *L, int index);

/* A copy of the field `name` of the table on top of the stack, SPAN_NONE when it holds no text. */
struct span luaspan_field(lua_State *L, const char *name, struct arena *arena);

/* A list of { name, value } tables. */
void luaspan_push_pairs(lua_State *L, const struct pair *pairs, size_t n);

#endif
