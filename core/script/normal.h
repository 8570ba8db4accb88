/* normal.h - the configuration as lua/perilune/config.lua hands it over, copied into a snapshot.
 *
 * Owns          nothing; what it makes lies in the snapshot's arena.
 * Fed by        config, inside a protected call.
 * Feeds         a snapshot that is still being made.
 * Must not know how the configuration was written. What does not have the agreed shape is our own
 *               fault and a Lua error.
 */
#ifndef PERILUNE_SCRIPT_NORMAL_H
#define PERILUNE_SCRIPT_NORMAL_H

#include "base/snapshot.h"

#include <lua.h>

/* Reads the table on top of the stack, which stays there: { config, providers, targets, chains,
 * aliases, mock_only }. */
void normal_read(lua_State *L, struct snapshot *snap);

/* The same of a table that says where the state folder is, and nothing else: { data_dir }. */
void normal_read_place(lua_State *L, struct snapshot *snap);

#endif
