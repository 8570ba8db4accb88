/* push.h - what the core knows, as Lua tables: the catalogue, a request, a failed attempt.
 *
 * Owns          nothing.
 * Fed by        policy, inside a protected call.
 * Feeds         lua/perilune/host.lua, by the names of its annotations.
 * Must not know what is decided. Every function pushes one table; errors are Lua errors.
 */
#ifndef PERILUNE_SCRIPT_PUSH_H
#define PERILUNE_SCRIPT_PUSH_H

#include "base/decision.h"

#include <lua.h>

struct policy_failure;
struct policy_figure;

/* For host.setup(). */
void push_setup(lua_State *L, const struct snapshot *snap);

/* For host.load(). */
void push_source(lua_State *L, const struct policy_source *source);

/* The PUSH_REQUEST values host.request() takes. */
enum { PUSH_REQUEST = 15 };
void push_request(lua_State *L, const struct facts *facts);

/* The fields of `req`, made only when a policy reads them. Pushes one value, nil for any other name.
 * `*is_text` becomes true when it was what the user or the system wrote. */
void push_request_field(lua_State *L, const struct snapshot *snap, const struct facts *facts,
                        struct span name, bool *is_text);

/* For host.update(): fills the list on top of the stack, whose tables are used again by every call,
 * and leaves it there. */
void push_figures(lua_State *L, const struct policy_figure *figures, size_t n);

void push_failure(lua_State *L, const struct policy_failure *failure);

/* The steps left, as host.on_failure() takes them. */
void push_rest(lua_State *L, const struct step *rest, size_t n);

#endif
