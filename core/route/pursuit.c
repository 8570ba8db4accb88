#include "route/pursuit.h"

#include "base/clock.h"
#include "route/client.h"
#include "route/engine.h"
#include "route/live.h"
#include "route/outcome.h"
#include "route/reach.h"

#include <assert.h>

enum {
    TURNS_MAX = 16,          /* times a policy may change its mind about one request */
    COMMENT_EVERY_MS = 10000 /* on a stream that waits */
};

static void act(struct request *r, struct chain_move move);

/* --- a stream that waits -------------------------------------------------------------------- */

static void on_hold(void *owner) {
    struct request *r = owner;
    if (!r->committed) {
        r->early = true;
        client_commit(r, NULL, NULL);
    }
    conn_write(r->conn, SPAN(": waiting\n\n"));
    worker_arm(r->worker, &r->hold, worker_now(r->worker) + COMMENT_EVERY_MS);
}

static void arm_hold(struct request *r) {
    const struct chain *chain = &r->decision.chain;
    uint64_t ms = chain->hold_ms >= 0 ? (uint64_t)chain->hold_ms : r->epoch->snap->config.hold_ms;
    r->hold.fire = on_hold;
    if (r->facts.stream && ms && !r->committed)
        worker_arm(r->worker, &r->hold, r->began_ms + ms);
}

/* --- walking the chain ---------------------------------------------------------------------- */

static void exhausted(struct request *r) {
    uint64_t now = worker_now(r->worker);
    if (r->deadline_ms && now >= r->deadline_ms) {
        request_too_late(r);
        return;
    }
    int64_t reopens_in_ms = -1;
    if (r->reopens_ms)
        reopens_in_ms = r->reopens_ms > now ? (int64_t)(r->reopens_ms - now) : 0;
    struct api_error error =
        outcome_exhausted(&r->trace, &r->failed, reopens_in_ms, request_arena(r));
    request_fail(r, &error);
}

static nanousd bound(void *owner, const struct step *step) {
    return live_bound(owner, step);
}

static uint32_t predicted_ms(void *owner, const struct step *step) {
    struct request *r = owner;
    return step->target->index == TARGET_AD_HOC
               ? 0
               : health_latency(r->epoch->figures[step->target->index], r->facts.output_tokens,
                                clock_ms());
}

static void on_skip(void *owner, const struct step *step, enum failure why) {
    struct request *r = owner;
    struct trace_attempt *record = trace_add(&r->trace, request_arena(r), step->target);
    record->failure = why;
}

static struct chain_view view_of(struct request *r) {
    return (struct chain_view){ .bound = bound,
                                .latency = predicted_ms,
                                .on_skip = on_skip,
                                .owner = r,
                                .random = &r->worker->random };
}

static void advance(struct request *r, const struct chain_failure *failed) {
    struct chain_view view = view_of(r);
    act(r, chain_next(&r->walk, &view, failed, worker_now(r->worker)));
}

static void on_wait_over(void *owner) {
    struct request *r = owner;
    struct chain_view view = view_of(r);
    act(r, chain_resume(&r->walk, &view, worker_now(r->worker)));
}

/* --- what becomes of an attempt ------------------------------------------------------------- */

static void on_content(void *owner, struct attempt *a) {
    struct request *r = owner;
    r->owner = a;
    live_cancel(r, a);
    wheel_disarm(&r->worker->wheel, &r->hold);
    if (!r->committed)
        client_commit(r, a, live_record(r, a));
}

static bool on_events(void *owner, struct attempt *a, struct span events) {
    struct request *r = owner;
    assert(r->owner == a);
    return conn_write(r->conn, events);
}

static void on_route(void *owner, struct attempt *a, struct buf *out) {
    struct request *r = owner;
    /* Also when the head went out before anybody knew who would answer. */
    if (r->wishes.trace || r->early)
        trace_write(&r->trace, out);
}

static void on_end(void *owner, struct attempt *a) {
    struct request *r = owner;
    live_ended(r, a);
    request_gate(r, REQUEST_ANSWERED, 200);
    client_end(r);
    attempt_release(a);
    request_dismiss(r);
}

static void on_answer(void *owner, struct attempt *a, struct span body) {
    struct request *r = owner;
    struct trace_attempt *record = live_ended(r, a);
    request_gate(r, REQUEST_ANSWERED, 200);
    client_answer(r, a, record, body);
    attempt_release(a);
    request_dismiss(r);
}

static uint32_t elapsed_ms(const struct request *r) {
    return (uint32_t)(worker_now(r->worker) - r->began_ms);
}

static uint32_t left_ms(const struct request *r) {
    uint64_t now = worker_now(r->worker);
    if (!r->deadline_ms)
        return 0;
    return now < r->deadline_ms ? (uint32_t)(r->deadline_ms - now) : 1;
}

/* A target that was asked again has said something new, or nothing: what it said before is over. */
static void note_reopening(struct request *r, const struct target *target, int64_t in_ms) {
    if (r->reopens == target)
        r->reopens_ms = 0;
    uint64_t at = worker_now(r->worker) + (uint64_t)in_ms;
    if (in_ms < 0 || (r->reopens_ms && r->reopens_ms <= at))
        return;
    r->reopens_ms = at;
    r->reopens = target;
}

/* Remembers how an attempt failed; the attempt itself is about to go. */
static void remember(struct request *r, const struct target *target,
                     const struct attempt_failure *f) {
    struct arena *arena = request_arena(r);
    r->failed = *f;
    note_reopening(r, target, f->retry_after_ms);
    r->failed.message = arena_copy(arena, f->message);
    r->failed.code = arena_copy(arena, f->code);
    r->failed.type = arena_copy(arena, f->type);
    r->failed.param = arena_copy(arena, f->param);
}

/* After content there is no way back: the client is told inside the stream. */
static void interrupted(struct request *r) {
    struct api_error error = outcome_interrupted(&r->trace, &r->failed, request_arena(r));
    request_fail(r, &error);
}

/* Asks the policy's on_failure what to do. True when it gave a move of its own. */
static bool ask_policy(struct request *r, const struct trace_attempt *record,
                       struct chain_move *move) {
    struct worker *w = r->worker;
    bool may =
        r->decided && r->turns < TURNS_MAX && !engine_quarantined(w->engine, r->trace.policy);
    struct policy_state *state = may ? worker_policy(w, r->epoch) : NULL;
    if (!state || !policy_has_on_failure(state, r->policy))
        return false;
    struct chain *chain = &r->decision.chain;
    const struct step *rest = chain->steps + r->walk.at + 1;
    struct policy_failure failure = {
        .class = r->failed.class,
        .target = record->target,
        .status = r->failed.status,
        .retry_after_ms = r->failed.retry_after_ms,
        .message = r->failed.message,
        .attempt = r->trace.tried,
        .elapsed_ms = elapsed_ms(r),
        .left_ms = left_ms(r),
        .spent_usd = (double)r->walk.spent / 1e9,
    };
    enum policy_next next = POLICY_GO_ON;
    uint32_t retry_in_ms = 0;
    struct decision changed = { 0 };
    enum vm_result result = policy_on_failure(state, w->guard, r->policy, &r->facts, &failure, rest,
                                              chain->n_steps - r->walk.at - 1, request_arena(r),
                                              &next, &retry_in_ms, &changed);
    if (result != VM_OK) {
        r->trace.policy_error = arena_printf(request_arena(r), "on_failure: %s: %s",
                                             vm_result_name(result), policy_error(state));
        engine_policy_failed(w->engine, r->epoch->snap, &r->facts, r->policy, result,
                             r->trace.policy_error);
        if (policy_state_dead(state))
            worker_policy_died(w, r->epoch);
        return false;
    }
    r->turns += next != POLICY_GO_ON;
    if (next == POLICY_STAY) {
        *move = chain_stay(&r->walk, retry_in_ms, worker_now(w));
        return move->verdict == CHAIN_WAIT;
    }
    if (next == POLICY_REPLACED) {
        reach_filter(r->epoch->snap, &r->facts, request_arena(r), &changed.chain);
        chain_replace(&r->walk, chain, request_arena(r), changed.chain.steps,
                      changed.chain.n_steps);
    }
    return false;
}

static void on_fail(void *owner, struct attempt *a) {
    struct request *r = owner;
    struct trace_attempt *record = live_record(r, a);
    bool had_stream = r->owner == a;
    remember(r, record->target, attempt_failure(a));
    record->failure = r->failed.class;
    record->status = r->failed.status;
    record->message = r->failed.message;
    live_ended(r, a);
    if (had_stream)
        client_place(r, a);
    attempt_free(a);
    if (had_stream) {
        interrupted(r);
        return;
    }
    if (r->n_live)
        return; /* another is still running */
    struct chain_move move;
    struct chain_failure failed = { r->failed.class, r->failed.retry_after_ms };
    if (ask_policy(r, record, &move))
        act(r, move);
    else
        advance(r, &failed);
}

static const struct attempt_events attempt_handlers = {
    .on_content = on_content,
    .on_events = on_events,
    .on_route = on_route,
    .on_end = on_end,
    .on_answer = on_answer,
    .on_fail = on_fail,
};

/* --- moves ---------------------------------------------------------------------------------- */

static void act(struct request *r, struct chain_move move) {
    struct chain_view view = view_of(r);
    const struct chain_failure no_money = { FAILURE_COST, -1 };
    while (move.verdict == CHAIN_TRY &&
           !live_start(r, move.step, move.over_threshold, &attempt_handlers))
        move = chain_next(&r->walk, &view, &no_money, worker_now(r->worker));
    if (move.verdict == CHAIN_WAIT) {
        r->wait.fire = on_wait_over;
        worker_arm(r->worker, &r->wait, worker_now(r->worker) + move.wait_ms);
    } else if (move.verdict == CHAIN_END) {
        exhausted(r);
    }
}

void pursuit_begin(struct request *r) {
    chain_begin(&r->walk, &r->decision.chain, r->began_ms, r->deadline_ms);
    arm_hold(r);
    advance(r, NULL);
}
