/* sessions.h - which target answered a session last, and what that has in its cache.
 *
 * Owns          a bounded table, session -> the targets that answered it lately; shared by all workers,
 *               behind one lock. Of key and session it has a digest alone. Full, it is about 20 MB.
 * Fed by        request, when an attempt answered.
 * Feeds         request, which tells the policy: sticky() and a target's cached_tokens.
 * Must not know requests, policies, prices.
 *
 *   sessions_answered(s, key, session, target_id, input_tokens, now_ms);
 *   n = sessions_find(s, key, session, &arena, found, now_ms);
 *
 * A session belongs to the client key that opened it: another key's session of that name is another.
 * The one asked for longest ago goes when the table is full; providers forget as well (prompt caches
 * live five minutes to an hour), so that a session nobody has asked for in an hour is forgotten.
 */
#ifndef PERILUNE_ROUTE_SESSIONS_H
#define PERILUNE_ROUTE_SESSIONS_H

#include "base/arena.h"
#include "base/facts.h"

enum {
    SESSIONS_MAX = 65536,       /* in the table */
    SESSIONS_TARGETS = 4,       /* remembered of one session */
    SESSIONS_KEEP_MS = 3600000, /* since it was last asked for */
    SESSIONS_WARM_MS = 300000   /* a prompt is taken to be in a target's cache for that long */
};

struct sessions;

struct sessions *sessions_new(void);
void sessions_free(struct sessions *s);

/* A target answered a prompt of so many tokens. Any thread, as is the next. `key` is the client's key
 * itself, empty where none are configured: a number would mean another key after a reload. A session
 * without a name is none. */
void sessions_answered(struct sessions *s, struct span key, struct span session, struct span target,
                       uint64_t input_tokens, uint64_t now_ms);

/* Fills `found`, newest first; how many there are. Ids are copied into `arena`. */
size_t sessions_find(struct sessions *s, struct span key, struct span session, struct arena *arena,
                     struct session_target found[SESSIONS_TARGETS], uint64_t now_ms);

#endif
