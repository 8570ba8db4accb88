#include "route/pursuit.h"

#include "base/clock.h"
#include "route/client.h"
#include "route/engine.h"
#include "route/live.h"
#include "route/outcome.h"
#include "route/reach.h"
#include "route/waiting.h"

#include <assert.h>

enum {
    TURNS_MAX = 16 /* times a policy may change its mind about one request */
};

static void act(struct request *r, struct chain_move move);

/* --- walking the chain ---------------------------------------------------------------------- */

static struct outcome_wait wait_of(const struct request *r) {
    struct outcome_wait wait = { .reopens_in_ms = live_earliest(r) };
    uint64_t until = chain_patience(&r->walk);
    if (r->walk.chain->on_exhausted == EXHAUSTED_QUEUE && wait.reopens_in_ms >= 0 &&
        worker_now(r->worker) + (uint64_t)wait.reopens_in_ms > until)
        wait.too_short_ms = (uint32_t)(until - r->walk.began_ms);
    return wait;
}

static void exhausted(struct request *r) {
    uint64_t now = worker_now(r->worker);
    if (r->deadline_ms && now >= r->deadline_ms) {
        request_too_late(r);
        return;
    }
    bool capped = !r->trace.tried && r->charge.refused;
    struct api_error error =
        capped ? charge_refusal(r)
               : outcome_exhausted(&r->trace, &r->failed, wait_of(r), request_arena(r));
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
                                worker_now(r->worker));
}

static enum breaker_permit admit(void *owner, const struct step *step, bool insist,
                                 enum failure *why) {
    return live_admit(owner, step, insist, why);
}

static uint64_t reopens_in(void *owner, const struct step *step) {
    return live_reopens_in(owner, step->target);
}

static bool probed(void *owner, const struct step *step) {
    return live_probed(owner, step->target);
}

static bool afford(void *owner) {
    struct request *r = owner;
    return retries_take(&r->worker->engine->retries);
}

static void on_skip(void *owner, const struct step *step, enum failure why) {
    struct request *r = owner;
    struct trace_attempt *record = trace_add(&r->trace, request_arena(r), step->target);
    record->failure = why;
}

static void on_open(void *owner, const struct step *step, enum failure why) {
    struct request *r = owner;
    struct trace_attempt *record = trace_add(&r->trace, request_arena(r), step->target);
    record->failure = why;
    record->open = true;
}

static struct chain_view view_of(struct request *r) {
    return (struct chain_view){ .bound = bound,
                                .latency = predicted_ms,
                                .admit = admit,
                                .reopens_in = reopens_in,
                                .probed = probed,
                                .afford = afford,
                                .on_skip = on_skip,
                                .on_open = on_open,
                                .owner = r,
                                .random = &r->worker->random };
}

static void advance(struct request *r, const struct chain_failure *failed) {
    struct chain_view view = view_of(r);
    act(r, chain_next(&r->walk, &view, failed, worker_now(r->worker)));
}

static void resume(void *owner) {
    struct request *r = owner;
    struct chain_view view = view_of(r);
    act(r, chain_resume(&r->walk, &view, worker_now(r->worker)));
}

/* --- what becomes of an attempt ------------------------------------------------------------- */

static void on_content(void *owner, struct attempt *a) {
    struct request *r = owner;
    r->owner = a;
    live_content(r, a);
    live_cancel(r, a);
    waiting_content(r);
    waiting_went(r, true);
    wheel_disarm(&r->worker->wheel, &r->hedge);
    if (!r->committed)
        client_commit(r, a, live_record(r, a));
}

static enum attempt_flow on_events(void *owner, struct attempt *a, struct span events) {
    struct request *r = owner;
    assert(r->owner == a);
    bool room = client_write(r, events);
    if (!charge_flows(r, live_hold(r, a), attempt_tokens(a)))
        return ATTEMPT_STOP;
    return room ? ATTEMPT_FLOW : ATTEMPT_PAUSE;
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
    request_gate(r, REQUEST_ANSWERED, 200, SPAN_NONE);
    client_end(r);
    attempt_release(a);
    request_dismiss(r);
}

static void on_answer(void *owner, struct attempt *a, struct span body) {
    struct request *r = owner;
    struct trace_attempt *record = live_ended(r, a);
    waiting_went(r, true);
    request_gate(r, REQUEST_ANSWERED, 200, SPAN_NONE);
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

/* Remembers how an attempt failed; the attempt itself is about to go. */
static void remember(struct request *r, const struct attempt_failure *f) {
    struct arena *arena = request_arena(r);
    r->failed = *f;
    r->failed.message = arena_copy(arena, f->message);
    r->failed.code = arena_copy(arena, f->code);
    r->failed.type = arena_copy(arena, f->type);
    r->failed.param = arena_copy(arena, f->param);
}

/* After content there is no way back: the client is told inside the stream. */
static void interrupted(struct request *r) {
    struct api_error error = r->charge.cut != ERROR_COUNT
                                 ? charge_cut(r)
                                 : outcome_interrupted(&r->trace, &r->failed, request_arena(r));
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
    size_t n_rest;
    const struct step *rest = chain_rest(&r->walk, &n_rest);
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
    enum vm_result result =
        policy_on_failure(state, w->guard, r->policy, &r->facts, &failure, rest, n_rest,
                          request_arena(r), &next, &retry_in_ms, &changed);
    if (result != VM_OK) {
        r->trace.policy_error = arena_printf(request_arena(r), "on_failure: %s: %s",
                                             vm_result_name(result), policy_error(state));
        engine_policy_failed(w->engine, r->epoch->snap, &r->facts, r->policy, result,
                             r->trace.policy_error, "the chain goes on as it was planned");
        if (policy_state_dead(state))
            worker_policy_died(w, r->epoch);
        return false;
    }
    r->turns += next != POLICY_GO_ON;
    if (next == POLICY_STAY) {
        *move = chain_stay(&r->walk, retry_in_ms, worker_now(w));
        return move->verdict == CHAIN_WAIT && afford(r);
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
    remember(r, attempt_failure(a));
    record->failure = r->failed.class;
    record->status = r->failed.status;
    record->message = r->failed.message;
    live_ended(r, a);
    wheel_disarm(&r->worker->wheel, &r->hedge);
    if (had_stream)
        client_place(r, a);
    attempt_free(a);
    if (had_stream) {
        interrupted(r);
        return;
    }
    if (r->n_live)
        return; /* the other one goes on */
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

/* The only attempt under way has been so for long: another one beside it. */
static void on_hedge(void *owner) {
    struct request *r = owner;
    struct retries *retries = &r->worker->engine->retries;
    struct chain_view view = view_of(r);
    if (!retries_take_hedge(retries))
        return;
    struct chain_move move = chain_hedge(&r->walk, &view, worker_now(r->worker));
    if (move.verdict != CHAIN_TRY || !live_start(r, &move, true, &attempt_handlers))
        retries_return_hedge(retries);
}

static void arm_hedge(struct request *r) {
    uint32_t ms = r->decision.chain.hedge_after_ms;
    r->hedge.fire = on_hedge;
    if (ms)
        worker_arm(r->worker, &r->hedge, worker_now(r->worker) + ms);
}

static void on_patience_over(void *owner) {
    exhausted(owner);
}

static void wait_for(struct request *r, struct chain_move move) {
    struct worker *w = r->worker;
    if (!move.queue) {
        r->wait.fire = resume;
        worker_arm(w, &r->wait, worker_now(w) + move.wait_ms);
    } else if (!waiting_queue(r, move.wait_ms, move.doors, chain_patience(&r->walk), resume,
                              on_patience_over)) {
        struct api_error error = outcome_queue_full(&r->trace, move.wait_ms);
        request_fail(r, &error);
    }
}

static void act(struct request *r, struct chain_move move) {
    struct chain_view view = view_of(r);
    const struct chain_failure no_money = { FAILURE_COST, -1 };
    while (move.verdict == CHAIN_TRY && !live_start(r, &move, false, &attempt_handlers))
        move = chain_next(&r->walk, &view, &no_money, worker_now(r->worker));
    if (move.verdict == CHAIN_TRY)
        arm_hedge(r);
    else if (move.verdict == CHAIN_WAIT)
        wait_for(r, move);
    else
        exhausted(r);
}

void pursuit_begin(struct request *r) {
    chain_begin(&r->walk, &r->decision.chain, r->began_ms, r->deadline_ms);
    retries_earn(&r->worker->engine->retries);
    waiting_begin(r);
    advance(r, NULL);
}
