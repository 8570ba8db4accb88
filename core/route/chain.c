#include "route/chain.h"

#include <assert.h>

enum {
    BACKOFF_BASE_MS = 100,
    BACKOFF_CAP_MS = 5000,
    RETRY_AFTER_FITS_MS =
        10000,                 /* without a retry window, a longer Retry-After is not waited for */
    DEFAULT_WINDOW_MS = 30000, /* of on_exhausted = "queue" without retry_window_ms */
    WATCH_EVERY_MS = 20,       /* that somebody finds out how a target is, */
    WATCH_MAX_MS = 5000,       /* and for so long, within the retry window */
    HEDGE_LOOKS = 8            /* steps looked at for one that may run beside another */
};

/* Failures that may be gone when the same target is asked again. */
static const uint32_t PASSING =
    FAILURE_BIT(FAILURE_CONNECT) | FAILURE_BIT(FAILURE_TIMEOUT) | FAILURE_BIT(FAILURE_FIRST_TOKEN) |
    FAILURE_BIT(FAILURE_IDLE) | FAILURE_BIT(FAILURE_RATE_LIMITED) |
    FAILURE_BIT(FAILURE_OVERLOADED) | FAILURE_BIT(FAILURE_SERVER_ERROR) |
    FAILURE_BIT(FAILURE_BAD_RESPONSE) | FAILURE_BIT(FAILURE_CUT_STREAM);

void chain_begin(struct chain_walk *walk, const struct chain *chain, uint64_t now_ms,
                 uint64_t deadline_ms) {
    *walk = (struct chain_walk){ .chain = chain, .began_ms = now_ms, .deadline_ms = deadline_ms };
}

bool chain_takes(const struct step *step, enum failure class, const struct target *failed) {
    if (step->when)
        return step->when & FAILURE_BIT(class);
    if (class == FAILURE_CONTEXT_LENGTH && failed) {
        /* Only a larger window helps; an unknown one is worth a try unless it is the same model
         * again. */
        if (!step->target->context || !failed->context)
            return step->target != failed;
        return step->target->context > failed->context;
    }
    return FAILURE_DEFAULT_WHEN & FAILURE_BIT(class);
}

static const struct chain_move END = { .verdict = CHAIN_END };

static bool spent_up(const struct chain_walk *walk, uint64_t now_ms) {
    const struct chain *c = walk->chain;
    return (c->max_attempts && walk->attempts >= c->max_attempts) ||
           (walk->deadline_ms && now_ms >= walk->deadline_ms);
}

static bool too_dear(const struct chain_walk *walk, const struct chain_view *view,
                     const struct step *step) {
    nanousd ceiling = step->max_cost;
    if (walk->chain->max_cost != NANOUSD_NONE && walk->chain->max_cost - walk->spent < ceiling)
        ceiling = walk->chain->max_cost - walk->spent;
    if (ceiling == NANOUSD_NONE)
        return false;
    nanousd bound = view->bound(view->owner, step);
    return bound == NANOUSD_UNKNOWN || bound > ceiling;
}

/* Predicted time when it is over the step's or the chain's threshold, else 0. */
static uint32_t too_slow(const struct chain_walk *walk, const struct chain_view *view,
                         const struct step *step) {
    uint32_t limit = step->max_latency_ms;
    uint32_t whole = walk->chain->max_latency_ms;
    if (!limit || (whole && whole < limit))
        limit = whole;
    if (!limit)
        return 0;
    uint32_t predicted = view->latency(view->owner, step);
    return predicted > limit ? predicted : 0;
}

/* What keeps a step from being tried; FAILURE_NONE: nothing. `*slow` as too_slow(). */
static enum failure threshold(const struct chain_walk *walk, const struct chain_view *view,
                              const struct step *step, uint32_t *slow) {
    *slow = 0;
    if (too_dear(walk, view, step))
        return FAILURE_COST;
    *slow = too_slow(walk, view, step);
    return *slow ? FAILURE_LATENCY : FAILURE_NONE;
}

static enum breaker_permit admit(const struct chain_view *view, const struct step *step,
                                 bool insist, enum failure *why) {
    return view->admit ? view->admit(view->owner, step, insist, why) : BREAKER_CLOSED;
}

static uint64_t reopens_in(const struct chain_view *view, const struct step *step) {
    return view->reopens_in ? view->reopens_in(view->owner, step) : 0;
}

static struct chain_move try_step(struct chain_walk *walk, size_t at, enum breaker_permit permit) {
    if (walk->at != at)
        walk->tries = 0;
    walk->at = at;
    walk->tries++;
    walk->attempts++;
    walk->raced = walk->at_last = false;
    return (struct chain_move){ .verdict = CHAIN_TRY,
                                .step = &walk->chain->steps[at],
                                .permit = permit };
}

static void pass_over(const struct chain_view *view, const struct step *step, enum failure why) {
    if (view->on_skip)
        view->on_skip(view->owner, step, why);
}

static void pass_open(struct chain_walk *walk, const struct chain_view *view, size_t at,
                      enum failure why, uint64_t now_ms) {
    const struct step *step = &walk->chain->steps[at];
    uint64_t reopens_ms = now_ms + reopens_in(view, step);
    if (at < CHAIN_WATCHED)
        walk->passed |= UINT64_C(1) << at;
    if (!walk->resort || reopens_ms < walk->resort_ms)
        walk->resort = at + 1, walk->resort_ms = reopens_ms;
    if (view->on_open)
        view->on_open(view->owner, step, why);
}

/* How a walk came to where it is: by a failure of a target. */
struct arrival {
    enum failure class; /* FAILURE_NONE: it begins */
    const struct target *failed;
};
static const struct arrival START = { FAILURE_NONE, NULL };

/* The first step from `from` on that takes what came before, passes its thresholds and may be
 * asked. When nothing has been tried and only slowness stands in the way, the fastest of the
 * slow ones. At the end `*by` is what led there. */
static struct chain_move pick(struct chain_walk *walk, const struct chain_view *view, size_t from,
                              struct arrival *by, uint64_t now_ms) {
    const struct chain *c = walk->chain;
    size_t fastest = c->n_steps;
    uint32_t fastest_ms = UINT32_MAX, slow;
    enum failure why = FAILURE_NONE;
    enum breaker_permit permit;
    for (size_t i = from; i < c->n_steps; i++) {
        const struct step *step = &c->steps[i];
        if (by->class != FAILURE_NONE && !chain_takes(step, by->class, by->failed))
            continue;
        why = threshold(walk, view, step, &slow);
        if (why != FAILURE_NONE)
            pass_over(view, step, why);
        else if ((permit = admit(view, step, false, &why)) != BREAKER_REFUSED)
            return try_step(walk, i, permit);
        else
            pass_open(walk, view, i, why, now_ms);
        if (slow && slow < fastest_ms)
            fastest = i, fastest_ms = slow;
        /* A step behind a skipped one is reached by that skip. */
        *by = (struct arrival){ why, step->target };
    }
    if (walk->attempts == 0 && fastest < c->n_steps) {
        permit = admit(view, &c->steps[fastest], false, &why);
        if (permit != BREAKER_REFUSED) {
            struct chain_move move = try_step(walk, fastest, permit);
            move.over_threshold = true;
            return move;
        }
        pass_open(walk, view, fastest, why, now_ms);
    }
    return END;
}

/* Nothing else is left: of those that were passed over because they were open the one that reopens
 * first, once. What stops a walk stops it here as well. */
static struct chain_move last_resort(struct chain_walk *walk, const struct chain_view *view,
                                     const struct arrival *by) {
    enum failure why;
    if (!walk->resort || walk->insisted)
        return END;
    size_t at = walk->resort - 1;
    const struct step *step = &walk->chain->steps[at];
    const struct step as_any = { .target = step->target };
    if (!chain_takes(&as_any, by->class, by->failed) || too_dear(walk, view, step))
        return END;
    enum breaker_permit permit = admit(view, step, true, &why);
    if (permit == BREAKER_REFUSED)
        return END;
    struct chain_move move = try_step(walk, at, permit);
    walk->insisted = walk->at_last = true;
    return move;
}

static uint32_t backoff(const struct chain_view *view, unsigned tries) {
    /* Full jitter (Brooker, "Exponential Backoff And Jitter", AWS 2015). */
    uint32_t cap = tries > 6 ? BACKOFF_CAP_MS : (uint32_t)BACKOFF_BASE_MS << tries;
    if (cap > BACKOFF_CAP_MS)
        cap = BACKOFF_CAP_MS;
    return (uint32_t)random_below(view->random, cap + 1);
}

static bool fits(const struct chain_walk *walk, uint64_t now_ms, int64_t wait_ms,
                 uint32_t window_ms) {
    uint64_t at = now_ms + (uint64_t)wait_ms;
    return (!window_ms || at <= walk->began_ms + window_ms) &&
           (!walk->deadline_ms || at < walk->deadline_ms);
}

static bool afford(const struct chain_view *view) {
    return !view->afford || view->afford(view->owner);
}

/* How long to wait before the same step is tried again; -1: it is not. Steps that say nothing are
 * retried once, for a connection that could not be made and for a rate limit that says when it
 * ends, and only where the chain has nowhere else to go. */
static int64_t retry_wait(const struct chain_walk *walk, const struct chain_view *view,
                          const struct chain_failure *failed, bool last, uint64_t now_ms) {
    const struct step *step = &walk->chain->steps[walk->at];
    uint32_t window = walk->chain->retry_window_ms;
    bool told = failed->retry_after_ms >= 0;
    unsigned retries = step->retries >= 0 ? (unsigned)step->retries : 0;
    if (!(PASSING & FAILURE_BIT(failed->class)) || walk->raced || walk->at_last)
        return -1;
    if (step->retries < 0 && last &&
        (failed->class == FAILURE_CONNECT || (failed->class == FAILURE_RATE_LIMITED && told)))
        retries = 1;
    if (walk->tries > retries)
        return -1;
    if (told && !window && failed->retry_after_ms > RETRY_AFTER_FITS_MS)
        return -1;
    int64_t wait = told ? failed->retry_after_ms : (int64_t)backoff(view, walk->tries - 1);
    return fits(walk, now_ms, wait, window) && afford(view) ? wait : -1;
}

static bool anybody_takes(const struct chain_walk *walk, enum failure class) {
    const struct chain *c = walk->chain;
    for (size_t i = walk->at + 1; i < c->n_steps; i++)
        if (chain_takes(&c->steps[i], class, c->steps[walk->at].target))
            return true;
    return false;
}

static uint32_t retry_window(const struct chain_walk *walk) {
    return walk->chain->retry_window_ms ? walk->chain->retry_window_ms : DEFAULT_WINDOW_MS;
}

uint64_t chain_patience(const struct chain_walk *walk) {
    return walk->began_ms + retry_window(walk);
}

/* How long until the first of all steps may be asked; 0: one may be now. */
static uint64_t earliest(const struct chain_walk *walk, const struct chain_view *view) {
    uint64_t first = UINT64_MAX;
    for (size_t i = 0; i < walk->chain->n_steps && first; i++) {
        uint64_t in = reopens_in(view, &walk->chain->steps[i]);
        first = in < first ? in : first;
    }
    return first;
}

/* on_exhausted = "queue": once more from the start, while the retry window is open and waiting can
 * help. A round that only found closed doors was none: what it costs is paid by those who asked. */
static struct chain_move queue(struct chain_walk *walk, const struct chain_view *view,
                               enum failure class, int64_t told, uint64_t now_ms) {
    if (walk->chain->on_exhausted != EXHAUSTED_QUEUE || spent_up(walk, now_ms) ||
        !(walk->resort || (PASSING & FAILURE_BIT(class))))
        return END;
    uint64_t first = earliest(walk, view);
    int64_t wait = first       ? (int64_t)first
                   : told >= 0 ? told
                               : (int64_t)backoff(view, walk->rounds + 1);
    if (!fits(walk, now_ms, wait, retry_window(walk)) ||
        (walk->attempts > walk->rounds_from && !afford(view)))
        return END;
    walk->rounds++;
    walk->rounds_from = walk->attempts;
    walk->at = 0;
    walk->tries = 0;
    walk->resort = 0;
    walk->passed = 0;
    walk->insisted = false;
    return (struct chain_move){ .verdict = CHAIN_WAIT,
                                .step = &walk->chain->steps[0],
                                .wait_ms = (uint32_t)wait,
                                .queue = true,
                                .doors = first > 0 };
}

/* Whether it is worth to wait for `wait_ms` more for a target that is about to be asked again. */
static bool may_watch(struct chain_walk *walk, uint64_t wait_ms, uint64_t now_ms) {
    if (!walk->watch_ms)
        walk->watch_ms = now_ms;
    return now_ms + wait_ms <= walk->watch_ms + WATCH_MAX_MS &&
           fits(walk, now_ms, (int64_t)wait_ms, walk->chain->retry_window_ms);
}

/* Somebody else is finding out how a target is that was passed over: they are not asked beside that
 * one, but what comes of it is waited for. */
static struct chain_move watch(struct chain_walk *walk, const struct chain_view *view,
                               const struct arrival *by, uint64_t now_ms) {
    bool any = false;
    for (size_t i = 0; i < walk->chain->n_steps && i < CHAIN_WATCHED && !any; i++) {
        const struct step *step = &walk->chain->steps[i];
        const struct step as_any = { .target = step->target };
        any = (walk->passed >> i & 1) && view->probed && view->probed(view->owner, step) &&
              chain_takes(&as_any, by->class, by->failed);
    }
    walk->watches = any && may_watch(walk, WATCH_EVERY_MS, now_ms);
    if (!walk->watches)
        return END;
    return (struct chain_move){ .verdict = CHAIN_WAIT,
                                .step = &walk->chain->steps[walk->at],
                                .wait_ms = WATCH_EVERY_MS };
}

/* What they found out: the first that may be asked now is tried, there is nothing behind it. Nobody
 * insists any more: where it went badly, that is what everybody wanted to know. */
static struct chain_move watched(struct chain_walk *walk, const struct chain_view *view,
                                 uint64_t now_ms) {
    struct arrival by = START;
    enum failure why;
    for (size_t i = 0; i < walk->chain->n_steps && i < CHAIN_WATCHED; i++) {
        const struct step *step = &walk->chain->steps[i];
        if (!(walk->passed >> i & 1) || too_dear(walk, view, step))
            continue;
        enum breaker_permit permit = admit(view, step, false, &why);
        if (permit == BREAKER_REFUSED) {
            by.class = why;
            continue;
        }
        struct chain_move move = try_step(walk, i, permit);
        walk->passed &= ~(UINT64_C(1) << i);
        walk->insisted = walk->at_last = true;
        return move;
    }
    return watch(walk, view, &by, now_ms);
}

/* From `from` on, then what is left to do when that leads nowhere. */
static struct chain_move go_on(struct chain_walk *walk, const struct chain_view *view, size_t from,
                               struct arrival by, int64_t told, uint64_t now_ms) {
    struct chain_move move = pick(walk, view, from, &by, now_ms);
    if (move.verdict == CHAIN_END)
        move = last_resort(walk, view, &by);
    if (move.verdict == CHAIN_END)
        move = queue(walk, view, by.class, told, now_ms);
    return move.verdict == CHAIN_END ? watch(walk, view, &by, now_ms) : move;
}

struct chain_move chain_next(struct chain_walk *walk, const struct chain_view *view,
                             const struct chain_failure *failed, uint64_t now_ms) {
    const struct chain *c = walk->chain;
    if (!failed)
        return go_on(walk, view, 0, START, -1, now_ms);
    assert(walk->at < c->n_steps && failed->class != FAILURE_NONE);
    if (failed->class == FAILURE_CANCELLED || spent_up(walk, now_ms))
        return END;
    int64_t wait = retry_wait(walk, view, failed, !anybody_takes(walk, failed->class), now_ms);
    if (wait >= 0)
        return (struct chain_move){ .verdict = CHAIN_WAIT,
                                    .step = &c->steps[walk->at],
                                    .wait_ms = (uint32_t)wait };
    /* The last resort may lie anywhere; the whole chain has been walked before it. */
    size_t from = walk->at_last ? c->n_steps : walk->at + 1;
    return go_on(walk, view, from, (struct arrival){ failed->class, c->steps[walk->at].target },
                 failed->retry_after_ms, now_ms);
}

struct chain_move chain_resume(struct chain_walk *walk, const struct chain_view *view,
                               uint64_t now_ms) {
    bool watches = walk->watches;
    walk->watches = false;
    if (spent_up(walk, now_ms))
        return END;
    if (watches)
        return watched(walk, view, now_ms);
    if (walk->tries == 0)
        return go_on(walk, view, walk->at, START, -1, now_ms);
    /* What the tries before have cost counts; a step that was too slow then may be tried again. */
    const struct step *step = &walk->chain->steps[walk->at];
    struct arrival by = { FAILURE_COST, step->target };
    if (too_dear(walk, view, step)) {
        pass_over(view, step, FAILURE_COST);
    } else {
        enum breaker_permit permit = admit(view, step, false, &by.class);
        if (permit != BREAKER_REFUSED)
            return try_step(walk, walk->at, permit);
        /* Whoever asked together was told at moments of their own; the last of them holds. */
        uint64_t in = reopens_in(view, step);
        if (in && !anybody_takes(walk, by.class) && may_watch(walk, in, now_ms))
            return (
                struct chain_move){ .verdict = CHAIN_WAIT, .step = step, .wait_ms = (uint32_t)in };
        pass_open(walk, view, walk->at, by.class, now_ms);
    }
    return go_on(walk, view, walk->at + 1, by, -1, now_ms);
}

/* Whether the step and the one that is being tried may cost more together than is left. */
static bool too_dear_together(const struct chain_walk *walk, const struct chain_view *view,
                              const struct step *step) {
    struct chain_walk both = *walk;
    if (walk->chain->max_cost == NANOUSD_NONE)
        return false;
    both.spent += view->bound(view->owner, &walk->chain->steps[walk->at]);
    return too_dear(&both, view, step);
}

struct chain_move chain_hedge(struct chain_walk *walk, const struct chain_view *view,
                              uint64_t now_ms) {
    const struct chain *c = walk->chain;
    size_t first = walk->at + 1, at = first;
    enum breaker_permit permit = BREAKER_REFUSED;
    enum failure why[HEDGE_LOOKS];
    uint32_t slow;
    if (spent_up(walk, now_ms) || walk->at_last)
        return END;
    for (; at < c->n_steps && at - first < HEDGE_LOOKS; at++) {
        const struct step *step = &c->steps[at];
        enum failure *stands = &why[at - first];
        if (!chain_takes(step, FAILURE_LATENCY, c->steps[walk->at].target)) {
            *stands = FAILURE_NONE;
            continue;
        }
        *stands = threshold(walk, view, step, &slow);
        if (*stands != FAILURE_NONE)
            continue;
        /* Behind the first there is money for it; it is not to be lost for one behind it. */
        if (too_dear_together(walk, view, step))
            return END;
        permit = admit(view, step, false, stands);
        if (permit != BREAKER_REFUSED)
            break;
    }
    if (permit == BREAKER_REFUSED)
        return END;
    /* Those before it are passed over for good: the walk goes on behind both. */
    for (size_t i = first; i < at; i++) {
        enum failure stands = why[i - first];
        if (stands == FAILURE_COST || stands == FAILURE_LATENCY)
            pass_over(view, &c->steps[i], stands);
        else if (stands != FAILURE_NONE)
            pass_open(walk, view, i, stands, now_ms);
    }
    struct chain_move move = try_step(walk, at, permit);
    walk->raced = true;
    return move;
}

const struct step *chain_rest(const struct chain_walk *walk, size_t *n) {
    size_t behind = walk->at_last ? walk->chain->n_steps : walk->at + 1;
    *n = walk->chain->n_steps - behind;
    return walk->chain->steps + behind;
}

void chain_replace(struct chain_walk *walk, struct chain *chain, struct arena *arena,
                   const struct step *rest, size_t n) {
    assert(walk->chain == chain);
    size_t kept = walk->at + 1;
    struct step *steps = arena_new_array(arena, struct step, kept + n);
    memcpy(steps, chain->steps, kept * sizeof *steps);
    if (n)
        memcpy(steps + kept, rest, n * sizeof *steps);
    chain->steps = steps;
    chain->n_steps = kept + n;
    walk->resort = 0;
    walk->passed = 0;
    walk->at_last = false;
}

struct chain_move chain_stay(struct chain_walk *walk, uint32_t wait_ms, uint64_t now_ms) {
    if (spent_up(walk, now_ms) || walk->at_last ||
        !fits(walk, now_ms, wait_ms, walk->chain->retry_window_ms))
        return END;
    return (struct chain_move){ .verdict = CHAIN_WAIT,
                                .step = &walk->chain->steps[walk->at],
                                .wait_ms = wait_ms };
}
