/* put.h - a policy is changed: checked, tested, tried, written, live.
 *
 * Owns          one struct put a change under way, at most one a policy; a rollback goes first, and
 *               what is tried of that policy is given up.
 * Fed by        PUT /api/policies/{name} and /rollback.
 * Feeds         child, with its specs and a replay; the user's file; admin, which reads it.
 * Must not know Lua.
 *
 * A change is nothing but a checked edit of the file: whatever fails on the way leaves the file and
 * what is served as they are.
 */
#ifndef PERILUNE_ADMIN_PUT_H
#define PERILUNE_ADMIN_PUT_H

struct admin;

/* The admin side ends: what runs for a change is ended, too. */
void put_stop(struct admin *a);

#endif
