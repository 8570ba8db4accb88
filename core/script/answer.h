/* answer.h - what a policy answered, read out of Lua and checked.
 *
 * Owns          nothing; what it makes lies in the arena given.
 * Fed by        lua/perilune/host.lua's answers.
 * Feeds         policy, with a struct decision.
 * Must not know how a chain is walked.
 */
#ifndef PERILUNE_SCRIPT_ANSWER_H
#define PERILUNE_SCRIPT_ANSWER_H

#include "base/decision.h"

#include <lua.h>

/* Reads the table on top of the stack, which stays there. NULL, or what is wrong with it; then
 * `*out` means nothing. The library has checked everything a script can get wrong and said so in
 * its own words: what is found here is a fault of the library. */
const char *answer_read(lua_State *L, const struct snapshot *snap, struct arena *arena,
                        struct decision *out);

/* Whether the table on top is { retry_in_ms = n }; then *ms is set. */
bool answer_is_retry(lua_State *L, uint32_t *ms);

#endif
