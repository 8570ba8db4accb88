/* chain.h - walking a chain: which step comes next, and when.
 *
 * Owns          the place in the walk.
 * Fed by        request, with what became of the last attempt.
 * Feeds         request, with one move at a time.
 * Must not know networks, clocks, Lua: a pure decision over what it is given.
 *
 *   chain_begin(&walk, &chain, now_ms, deadline_at_ms);
 *   move = chain_next(&walk, &view, NULL, now_ms);                 // the first
 *   ... CHAIN_TRY: try walk.at; it failed ...
 *   move = chain_next(&walk, &view, &failed, now_ms);              // and so on until CHAIN_END
 */
#ifndef PERILUNE_ROUTE_CHAIN_H
#define PERILUNE_ROUTE_CHAIN_H

#include "base/decision.h"
#include "base/random.h"

/* How an attempt ended. */
struct chain_failure {
    enum failure class;
    int64_t retry_after_ms; /* as the provider said; -1: it did not */
};

/* What the walk asks about a step just before it would be tried. */
struct chain_view {
    /* The most an attempt can cost, or NANOUSD_UNKNOWN without a price. */
    nanousd (*bound)(void *owner, const struct step *step);
    /* Predicted total time in ms; 0: nothing known yet. */
    uint32_t (*latency)(void *owner, const struct step *step);
    /* A step is passed over, with class COST or LATENCY. */
    void (*on_skip)(void *owner, const struct step *step, enum failure why);
    void *owner;
    struct random *random; /* for jitter */
};
#define NANOUSD_UNKNOWN (-1)

enum chain_verdict {
    CHAIN_TRY,  /* walk->at, now */
    CHAIN_WAIT, /* walk->at again (or from the start, when queueing), in `wait_ms` */
    CHAIN_END   /* nothing left */
};

struct chain_move {
    enum chain_verdict verdict;
    const struct step *step; /* to try; NULL at the end */
    uint32_t wait_ms;
    bool over_threshold; /* tried although predicted too slow, for want of a faster one */
};

struct chain_walk {
    const struct chain *chain;
    size_t at;                      /* the step last tried or to be tried */
    unsigned tries;                 /* of that step so far */
    unsigned attempts;              /* of all */
    nanousd spent;                  /* kept by the caller: what attempts have cost so far */
    uint64_t began_ms, deadline_ms; /* absolute; deadline 0: none */
    unsigned rounds;                /* times it began again from the start */
};

void chain_begin(struct chain_walk *walk, const struct chain *chain, uint64_t now_ms,
                 uint64_t deadline_ms);

/* The next move. `failed` is NULL for the first one. Counts an attempt for each CHAIN_TRY; after
 * CHAIN_WAIT call chain_resume(). */
struct chain_move chain_next(struct chain_walk *walk, const struct chain_view *view,
                             const struct chain_failure *failed, uint64_t now_ms);

/* The wait is over: what to try. */
struct chain_move chain_resume(struct chain_walk *walk, const struct chain_view *view,
                               uint64_t now_ms);

/* Another rest of the chain, as on_failure gave it: the steps behind the present one become `rest`.
 * `chain` is the walk's own; the new list lies in `arena`. */
void chain_replace(struct chain_walk *walk, struct chain *chain, struct arena *arena,
                   const struct step *rest, size_t n);

/* The same step again in `wait_ms`, as on_failure asked. CHAIN_END when that is past the deadline
 * or the attempts are used up. */
struct chain_move chain_stay(struct chain_walk *walk, uint32_t wait_ms, uint64_t now_ms);

/* Whether `step` is reached by a failure of that class of the step before it. */
bool chain_takes(const struct step *step, enum failure class, const struct target *failed);

#endif
