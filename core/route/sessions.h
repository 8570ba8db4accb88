/* sessions.h - which target answered a session last, and what that has in its cache.
 *
 * Owns          a bounded table, session -> the targets that answered it lately; shared by all workers.
 * Fed by        request, when an attempt answered.
 * Feeds         request, which tells the policy: sticky() and a target's cached_tokens.
 * Must not know requests, policies, prices.
 *
 *   sessions_answered(s, key, session, target_id, input_tokens, now_ms);
 *   n = sessions_find(s, key, session, found, now_ms);      newest first
 *
 * A session belongs to the client key that opened it: another key's session of that name is another.
 * The oldest goes when the table is full; providers forget as well (prompt caches live five minutes to
 * an hour), so that a session nobody has asked for in an hour is forgotten.
 */
#ifndef PERILUNE_ROUTE_SESSIONS_H
#define PERILUNE_ROUTE_SESSIONS_H

#include "base/span.h"

enum {
    SESSIONS_MAX = 65536,       /* in the table */
    SESSIONS_TARGETS = 4,       /* remembered of one session */
    SESSIONS_KEEP_MS = 3600000, /* since it was last asked for */
    SESSIONS_WARM_MS = 300000   /* a prompt is taken to be in a target's cache for that long */
};

struct sessions;

struct session_target {
    struct span id;         /* in the caller's arena */
    uint64_t cached_tokens; /* expected to be read from its cache; 0 when it has gone cold */
};

struct sessions *sessions_new(void);
void sessions_free(struct sessions *s);

struct arena;

/* A target answered a prompt of so many tokens. */
void sessions_answered(struct sessions *s, unsigned key, struct span session, struct span target,
                       uint64_t input_tokens, uint64_t now_ms);

/* Fills `found`, newest first; how many there are. Ids are copied into `arena`. */
size_t sessions_find(struct sessions *s, unsigned key, struct span session, struct arena *arena,
                     struct session_target found[SESSIONS_TARGETS], uint64_t now_ms);

#endif
