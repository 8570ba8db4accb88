/* breaker.h - whether a target may be asked at all.
 *
 * Owns          one state machine: closed, open, half open.
 * Fed by        health, which holds one a target, with how attempts ended.
 * Feeds         health's callers, with a permit or the moment from which there will be one.
 * Must not know targets, requests, clocks: `now_ms` is given.
 *
 *   enum breaker_permit permit = breaker_ask(&b, now_ms);
 *   ... BREAKER_CLOSED: it is asked without more ado; BREAKER_REFUSED: it is not ...
 *   breaker_ended(&b, permit, class, retry_after_ms, now_ms);     once for each permit but REFUSED
 *
 * Any thread. It opens after so many failures one behind the other, or when a share of the latest
 * attempts failed, or at once where asking again is known to be of no use: the provider said for how
 * long not to come again (Retry-After), or refused the key (auth, quota). It stays open for as long as
 * was said, else for a time that doubles each time it opens again without having been well in between;
 * then it lets one attempt through, on which all depends. What a client did wrong, or a client that
 * left, says nothing: its permit is given back, no more.
 *
 * A refused key is the keyring's while others work: it rests, and the target is asked with another.
 * Such an attempt is to be returned here (breaker_return), or one bad key would close a target that
 * the others reach. When no other works, what is left is a target nobody can reach: then it counts.
 */
#ifndef PERILUNE_ROUTE_BREAKER_H
#define PERILUNE_ROUTE_BREAKER_H

#include "base/failure.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum breaker_state { BREAKER_IS_CLOSED, BREAKER_IS_OPEN, BREAKER_IS_HALF_OPEN };

enum breaker_permit {
    BREAKER_REFUSED,
    BREAKER_CLOSED, /* as everybody may */
    BREAKER_PROBE   /* the one that finds out */
};

enum {
    BREAKER_ROW = 5,              /* failures one behind the other that open it; as many answers one
                                   * behind the other make it well */
    BREAKER_SAMPLE_MIN = 20,      /* attempts of the window before their share counts */
    BREAKER_SHARE_PERCENT = 50,   /* of failures, that opens it */
    BREAKER_SLICE_MS = 15000,     /* the window is the present slice of time and the one before */
    BREAKER_COOL_MS = 1000,       /* how long it is open the first time; doubled each time, */
    BREAKER_COOL_MAX_MS = 60000,  /* to at most */
    BREAKER_TOLD_MAX_MS = 300000, /* the most of a provider's own Retry-After */
    BREAKER_LOST_MS = 60000 /* a probe that has not come back by then is no longer waited for */
};

/* Classes that say nothing about a target: the client's doing, or never sent. */
#define BREAKER_NEUTRAL                                                                            \
    (FAILURE_BIT(FAILURE_CANCELLED) | FAILURE_BIT(FAILURE_BAD_REQUEST) |                           \
     FAILURE_BIT(FAILURE_CONTENT_FILTER) | FAILURE_BIT(FAILURE_CONTEXT_LENGTH) |                   \
     FAILURE_BIT(FAILURE_COST) | FAILURE_BIT(FAILURE_LATENCY))

struct breaker {
    pthread_mutex_t lock; /* over all that follows; `closed` is read without it as well */
    _Atomic bool closed;  /* else open, or half open from `opens_ms` on */
    bool probing;         /* the one is under way, */
    uint64_t probe_ms;    /* since then */
    enum failure why;     /* what opened it last */
    uint64_t opens_ms;    /* from then on it may be asked again */
    uint64_t told_ms;     /* before then the provider does not want to be asked; 0: not told */
    uint32_t cool_ms;     /* the last time it was open of its own; 0: it has been well */
    uint32_t bad_row, good_row;   /* one behind the other, since it closed */
    uint64_t slice;               /* of time, which one is the present */
    uint32_t tried[2], failed[2]; /* in the present slice and the one before */
};

void breaker_init(struct breaker *b);
void breaker_deinit(struct breaker *b);

/* May it be asked now? While half open one permit at a time is given out. */
enum breaker_permit breaker_ask(struct breaker *b, uint64_t now_ms);

/* For want of anything else: a probe although it is still open, unless there is one already or the
 * provider itself named a later moment. */
enum breaker_permit breaker_insist(struct breaker *b, uint64_t now_ms);

/* How what was permitted ended. FAILURE_NONE: well. `retry_after_ms`: -1: the provider named no
 * moment. A probe may be said to have gone well at its first content; its end then counts as
 * anybody's. What was begun before it opened and ends after that changes nothing but the moment, when
 * it brings a later one from the provider. */
void breaker_ended(struct breaker *b, enum breaker_permit permit, enum failure class,
                   int64_t retry_after_ms, uint64_t now_ms);

/* Nothing was learnt: it was not asked after all, or what was wrong was the key. */
void breaker_return(struct breaker *b, enum breaker_permit permit);

/* Whether a probe is under way: it is about to be known how the target is. */
bool breaker_probing(struct breaker *b, uint64_t now_ms);

/* The state as policies are told of it: open until the moment has come. */
enum breaker_state breaker_state(struct breaker *b, uint64_t now_ms);

/* Milliseconds until it may be asked; 0: now. `*why` (may be NULL) is what opened it, FAILURE_NONE
 * while it is closed. */
uint64_t breaker_reopens_in(struct breaker *b, enum failure *why, uint64_t now_ms);

/* The next cool-down behind one of `last_ms`; 0: the first. Keys rest by the same rule. */
uint32_t breaker_cool(uint32_t last_ms);

#endif
