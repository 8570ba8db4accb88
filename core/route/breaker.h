/* breaker.h - whether a target, or a provider's key, may be asked at all.
 *
 * Owns          one state machine: closed, open, half open.
 * Fed by        health and keyring, which hold one each, with how attempts ended.
 * Feeds         them, with a permit or the moment from which there will be one.
 * Must not know targets, requests, clocks: `now_ms` is given.
 *
 *   enum breaker_permit permit = breaker_ask(&b, now_ms);
 *   ... BREAKER_CLOSED: it is asked without more ado; BREAKER_REFUSED: it is not ...
 *   breaker_ended(&b, permit, class, retry_after_ms, now_ms);     once for each permit but REFUSED
 *
 * Any thread. It opens after so many failures one behind the other, or when a share of the latest
 * attempts failed, or at once where the provider says for how long not to come again (Retry-After, a
 * quota used up); stays open for a time that doubles each time it opens again without having been
 * well in between; then lets one attempt through, on which all depends. What a client did wrong, or
 * a client that left, says nothing: its permit is given back, no more.
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
    BREAKER_ROW = 5,             /* failures one behind the other that open it */
    BREAKER_SAMPLE_MIN = 20,     /* attempts of the window before their share counts */
    BREAKER_SHARE_PERCENT = 50,  /* of failures, that opens it */
    BREAKER_WINDOW_MS = 30000,   /* attempts older than that are forgotten */
    BREAKER_COOL_MS = 1000,      /* the first time; doubled each time, */
    BREAKER_COOL_MAX_MS = 60000, /* to at most; also the most of a provider's own Retry-After, */
    BREAKER_TOLD_MAX_MS = 300000 /* but for that */
};

struct breaker {
    pthread_mutex_t lock;         /* over all that follows; `state` is read without it */
    _Atomic uint8_t state;        /* enum breaker_state; read without the lock */
    enum failure why;             /* what opened it last */
    uint64_t opens_ms;            /* from then on it may be asked again; while open */
    uint32_t cool_ms;             /* the last time it was open for; 0: it has been well */
    uint32_t row;                 /* failures one behind the other */
    uint64_t slice_ms;            /* where the present half of the window began */
    uint32_t tried[2], failed[2]; /* of the present half of the window and the one before */
    bool probing;                 /* the one is under way */
    uint64_t probe_ms;            /* since then */
};

void breaker_init(struct breaker *b);
void breaker_deinit(struct breaker *b);

/* May it be asked now? While half open one permit at a time is given out; one whose holder never
 * came back is given out again after BREAKER_COOL_MAX_MS. */
enum breaker_permit breaker_ask(struct breaker *b, uint64_t now_ms);

/* For want of anything else: a probe although it is still open, unless there is one already. */
enum breaker_permit breaker_insist(struct breaker *b, uint64_t now_ms);

/* How what was permitted ended. FAILURE_NONE: well. `retry_after_ms`: -1: the provider named no
 * moment. */
void breaker_ended(struct breaker *b, enum breaker_permit permit, enum failure class,
                   int64_t retry_after_ms, uint64_t now_ms);

/* The state as policies are told of it: open until the moment has come. */
enum breaker_state breaker_state(struct breaker *b, uint64_t now_ms);

/* Milliseconds until it may be asked; 0: now. `*why` (may be NULL): what opened it. */
uint64_t breaker_reopens_in(struct breaker *b, enum failure *why, uint64_t now_ms);

#endif
