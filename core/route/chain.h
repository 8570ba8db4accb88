/* chain.h - walking a chain: which step comes next, and when.
 *
 * Owns          the place in the walk.
 * Fed by        pursuit, with what became of the last attempt.
 * Feeds         pursuit, with one move at a time.
 * Must not know networks, clocks, Lua: a pure decision over what it is given.
 *
 *   chain_begin(&walk, &chain, now_ms, deadline_at_ms);
 *   move = chain_next(&walk, &view, NULL, now_ms);                 // the first
 *   ... CHAIN_TRY: try walk.at; it failed ...
 *   move = chain_next(&walk, &view, &failed, now_ms);              // and so on until CHAIN_END
 *
 * A step whose target's breaker is open is passed over, as if it had failed with the class that
 * opened it. When nothing else is left, the one of them that reopens first is asked all the same,
 * once a walk: so a target that is back is found, and one that is not sees one attempt more. Where
 * somebody else is asking one of them, the walk waits for what they find out.
 */
#ifndef PERILUNE_ROUTE_CHAIN_H
#define PERILUNE_ROUTE_CHAIN_H

#include "base/decision.h"
#include "base/random.h"
#include "route/breaker.h"

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
    /* A permit to ask the step's target, or BREAKER_REFUSED with what stands in the way.
     * `insist`: for want of anything else. NULL: every target may be asked. */
    enum breaker_permit (*admit)(void *owner, const struct step *step, bool insist,
                                 enum failure *why);
    /* Milliseconds until the step's target may be asked, as far as is known; 0: now. NULL: now. */
    uint64_t (*reopens_in)(void *owner, const struct step *step);
    /* Whether somebody is finding out how the step's target is. NULL: nobody ever is. */
    bool (*probed)(void *owner, const struct step *step);
    /* Whether there is an attempt to spare for asking again what has failed: it is taken. NULL:
     * there always is. */
    bool (*afford)(void *owner);
    /* A step is passed over, with class COST or LATENCY. */
    void (*on_skip)(void *owner, const struct step *step, enum failure why);
    /* A step is passed over because it may not be asked, as if it had failed for `why`. */
    void (*on_open)(void *owner, const struct step *step, enum failure why);
    void *owner;
    struct random *random; /* for jitter */
};
#define NANOUSD_UNKNOWN (-1)

enum chain_verdict {
    CHAIN_TRY,  /* `step`, now */
    CHAIN_WAIT, /* `step` again, in `wait_ms` */
    CHAIN_END   /* nothing left */
};

struct chain_move {
    enum chain_verdict verdict;
    const struct step *step;    /* to try; NULL at the end */
    enum breaker_permit permit; /* to try it with; the caller's to give back */
    uint32_t wait_ms;
    bool queue; /* to wait in the queue, until chain_patience() at most: then all begins anew */
    bool doors; /* no target may be asked before that, as it looks */
    bool over_threshold; /* tried although predicted too slow, for want of a faster one */
};

enum { CHAIN_WATCHED = 64 };

struct chain_walk {
    const struct chain *chain;
    size_t at;                      /* the step last tried or to be tried */
    unsigned tries;                 /* of that step so far */
    unsigned attempts;              /* of all */
    nanousd spent;                  /* kept by the caller: what attempts have cost so far */
    uint64_t began_ms, deadline_ms; /* absolute; deadline 0: none */
    unsigned rounds;                /* times it began again from the start */
    unsigned rounds_from;           /* attempts when the last of them began */
    size_t resort;      /* of those passed over as open the one that reopens first, and one */
    uint64_t resort_ms; /* when that is */
    bool insisted;      /* that one has been asked, */
    bool at_last;       /* and is the step tried now: there is nothing behind it */
    bool raced;         /* two were asked at the same time: neither is tried again */
    uint64_t
        passed;   /* steps that were passed over as open, of the first CHAIN_WATCHED; a bit each */
    bool watches; /* it waits for what others find out about those, */
    uint64_t watch_ms; /* for the first time since then */
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

/* A step to try beside the one that is being tried, because that takes long: the next one that
 * may be asked and is reached by FAILURE_LATENCY. CHAIN_END: there is none, or both together
 * could cost more than the chain may, and nothing has changed. */
struct chain_move chain_hedge(struct chain_walk *walk, const struct chain_view *view,
                              uint64_t now_ms);

/* Until when a queue may be waited in: the chain's retry window, or a usual one. */
uint64_t chain_patience(const struct chain_walk *walk);

/* What may still be tried: the steps behind the present one. */
const struct step *chain_rest(const struct chain_walk *walk, size_t *n);

/* Another rest of the chain, as on_failure gave it: the steps behind the present one become `rest`.
 * `chain` is the walk's own; the new list lies in `arena`. */
void chain_replace(struct chain_walk *walk, struct chain *chain, struct arena *arena,
                   const struct step *rest, size_t n);

/* The same step again in `wait_ms`, as on_failure asked. CHAIN_END when that is past the deadline,
 * the attempts are used up, or the step was the last resort. */
struct chain_move chain_stay(struct chain_walk *walk, uint32_t wait_ms, uint64_t now_ms);

/* Whether `step` is reached by a failure of that class of the step before it. */
bool chain_takes(const struct step *step, enum failure class, const struct target *failed);

#endif
