#include "route/chain.h"

#include <assert.h>

enum {
    BACKOFF_BASE_MS = 100,
    BACKOFF_CAP_MS = 5000,
    RETRY_AFTER_FITS_MS =
        10000,                /* without a retry window, a longer Retry-After is not waited for */
    DEFAULT_WINDOW_MS = 30000 /* of on_exhausted = "queue" without retry_window_ms */
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

static struct chain_move try_step(struct chain_walk *walk, size_t at) {
    if (walk->at != at)
        walk->tries = 0;
    walk->at = at;
    walk->tries++;
    walk->attempts++;
    return (struct chain_move){ .verdict = CHAIN_TRY, .step = &walk->chain->steps[at] };
}

/* The first step from `from` on that takes `class` and passes its thresholds. When nothing has been
 * tried and only slowness stands in the way, the fastest of the slow ones. */
static struct chain_move pick(struct chain_walk *walk, const struct chain_view *view, size_t from,
                              enum failure class, const struct target *failed) {
    const struct chain *c = walk->chain;
    size_t fastest = c->n_steps;
    uint32_t fastest_ms = UINT32_MAX;
    for (size_t i = from; i < c->n_steps; i++) {
        const struct step *step = &c->steps[i];
        if (class != FAILURE_NONE && !chain_takes(step, class, failed))
            continue;
        enum failure why = FAILURE_NONE;
        uint32_t slow = 0;
        if (too_dear(walk, view, step))
            why = FAILURE_COST;
        else if ((slow = too_slow(walk, view, step)))
            why = FAILURE_LATENCY;
        if (why == FAILURE_NONE)
            return try_step(walk, i);
        if (slow && slow < fastest_ms)
            fastest = i, fastest_ms = slow;
        if (view->on_skip)
            view->on_skip(view->owner, step, why);
        /* A step behind a skipped one is reached by that skip. */
        class = why;
        failed = step->target;
    }
    if (walk->attempts == 0 && fastest < c->n_steps) {
        struct chain_move move = try_step(walk, fastest);
        move.over_threshold = true;
        return move;
    }
    return END;
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

/* How long to wait before the same step is tried again; -1: it is not. Steps that say nothing are
 * retried once, for a connection that could not be made and for a rate limit that says when it
 * ends, and only where the chain has nowhere else to go. */
static int64_t retry_wait(const struct chain_walk *walk, const struct chain_view *view,
                          const struct chain_failure *failed, bool last, uint64_t now_ms) {
    const struct step *step = &walk->chain->steps[walk->at];
    uint32_t window = walk->chain->retry_window_ms;
    bool told = failed->retry_after_ms >= 0;
    unsigned retries = step->retries >= 0 ? (unsigned)step->retries : 0;
    if (!(PASSING & FAILURE_BIT(failed->class)))
        return -1;
    if (step->retries < 0 && last &&
        (failed->class == FAILURE_CONNECT || (failed->class == FAILURE_RATE_LIMITED && told)))
        retries = 1;
    if (walk->tries > retries)
        return -1;
    if (told && !window && failed->retry_after_ms > RETRY_AFTER_FITS_MS)
        return -1;
    int64_t wait = told ? failed->retry_after_ms : (int64_t)backoff(view, walk->tries - 1);
    return fits(walk, now_ms, wait, window) ? wait : -1;
}

static bool anybody_takes(const struct chain_walk *walk, const struct chain_failure *failed) {
    const struct chain *c = walk->chain;
    for (size_t i = walk->at + 1; i < c->n_steps; i++)
        if (chain_takes(&c->steps[i], failed->class, c->steps[walk->at].target))
            return true;
    return false;
}

/* on_exhausted = "queue": once more from the start, while the retry window is open and waiting can
 * help. */
static struct chain_move queue(struct chain_walk *walk, const struct chain_view *view,
                               const struct chain_failure *failed, uint64_t now_ms) {
    const struct chain *c = walk->chain;
    if (c->on_exhausted != EXHAUSTED_QUEUE || !failed || !(PASSING & FAILURE_BIT(failed->class)) ||
        spent_up(walk, now_ms))
        return END;
    uint32_t window = c->retry_window_ms ? c->retry_window_ms : DEFAULT_WINDOW_MS;
    int64_t wait = failed->retry_after_ms >= 0 ? failed->retry_after_ms
                                               : (int64_t)backoff(view, walk->rounds + 1);
    if (!fits(walk, now_ms, wait, window))
        return END;
    walk->rounds++;
    walk->at = 0;
    walk->tries = 0;
    return (struct chain_move){ .verdict = CHAIN_WAIT,
                                .step = &c->steps[0],
                                .wait_ms = (uint32_t)wait };
}

struct chain_move chain_next(struct chain_walk *walk, const struct chain_view *view,
                             const struct chain_failure *failed, uint64_t now_ms) {
    const struct chain *c = walk->chain;
    if (!failed)
        return c->n_steps ? pick(walk, view, 0, FAILURE_NONE, NULL) : END;
    assert(walk->at < c->n_steps && failed->class != FAILURE_NONE);
    if (failed->class == FAILURE_CANCELLED || spent_up(walk, now_ms))
        return END;
    int64_t wait = retry_wait(walk, view, failed, !anybody_takes(walk, failed), now_ms);
    if (wait >= 0)
        return (struct chain_move){ .verdict = CHAIN_WAIT,
                                    .step = &c->steps[walk->at],
                                    .wait_ms = (uint32_t)wait };
    struct chain_move move =
        pick(walk, view, walk->at + 1, failed->class, c->steps[walk->at].target);
    return move.verdict == CHAIN_END ? queue(walk, view, failed, now_ms) : move;
}

struct chain_move chain_resume(struct chain_walk *walk, const struct chain_view *view,
                               uint64_t now_ms) {
    if (spent_up(walk, now_ms))
        return END;
    if (walk->tries == 0)
        return pick(walk, view, walk->at, FAILURE_NONE, NULL);
    /* What the tries before have cost counts; a step that was too slow then may be tried again. */
    const struct step *step = &walk->chain->steps[walk->at];
    if (!too_dear(walk, view, step))
        return try_step(walk, walk->at);
    if (view->on_skip)
        view->on_skip(view->owner, step, FAILURE_COST);
    return pick(walk, view, walk->at + 1, FAILURE_COST, step->target);
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
}

struct chain_move chain_stay(struct chain_walk *walk, uint32_t wait_ms, uint64_t now_ms) {
    if (spent_up(walk, now_ms) || !fits(walk, now_ms, wait_ms, walk->chain->retry_window_ms))
        return END;
    return (struct chain_move){ .verdict = CHAIN_WAIT,
                                .step = &walk->chain->steps[walk->at],
                                .wait_ms = wait_ms };
}
