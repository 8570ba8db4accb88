#include "route/live.h"

#include "base/clock.h"
#include "route/engine.h"
#include "route/tokens.h"

#include <assert.h>

uint64_t live_tokens(const struct request *r, const struct target *target) {
    return tokens_input(&r->facts, target,
                        target->index == TARGET_AD_HOC ? NULL : r->epoch->figures[target->index]);
}

nanousd live_bound(const struct request *r, const struct step *step) {
    struct trace_tokens tokens = { (int64_t)live_tokens(r, step->target),
                                   (int64_t)r->facts.output_tokens, -1, -1 };
    nanousd cost = trace_cost(step->target, tokens, clock_wall_ms() / 1000);
    return cost >= 0 ? cost : NANOUSD_UNKNOWN;
}

bool live_start(struct request *r, const struct step *step, bool over_threshold,
                const struct attempt_events *events) {
    struct worker *w = r->worker;
    const struct request_hooks *hooks = engine_hooks(w->engine);
    struct trace_attempt *record = trace_add(&r->trace, request_arena(r), step->target);
    nanousd bound = live_bound(r, step);
    record->over_threshold = over_threshold;
    record->began_us = clock_us();
    if (hooks->reserve && !hooks->reserve(hooks->owner, &r->facts, step, bound)) {
        record->failure = FAILURE_COST;
        return false;
    }
    record->tried = true;
    r->trace.tried++;
    if (step->target->index != TARGET_AD_HOC)
        health_began(r->epoch->figures[step->target->index]);
    struct attempt_setup setup = {
        .step = step,
        .endpoint = r->endpoint,
        .facts = &r->facts,
        .client_key =
            r->facts.key ? r->epoch->snap->config.client_keys[r->facts.key - 1] : SPAN_NONE,
        .body = &r->body,
        .query = r->message->query,
        .adapter = r->epoch->adapter,
        .keys = r->epoch->keys[step->target->provider->index],
        .input_tokens = live_tokens(r, step->target),
        .refuse = r->epoch->snap->config.unsupported == UNSUPPORTED_REFUSE,
        .record = record,
        .arena = request_arena(r),
        .keep_usage = r->body.asks_usage || r->wishes.trace,
    };
    assert(r->n_live < LIVE_MAX);
    r->live[r->n_live++] = (struct live){ .attempt = attempt_start(&w->tools, &setup, events, r),
                                          .record = record,
                                          .bound = bound };
    return true;
}

static size_t live_at(const struct request *r, const struct attempt *a) {
    size_t at = 0;
    while (at < r->n_live && r->live[at].attempt != a)
        at++;
    assert(at < r->n_live);
    return at;
}

struct trace_attempt *live_record(const struct request *r, const struct attempt *a) {
    return r->live[live_at(r, a)].record;
}

/* What is left of the rate limit a provider told, or of the pace it is held to, whichever is less.
 * `told` is -1 where it told none. */
static void learn_headroom(struct request *r, const struct target *target, double told) {
    const struct provider *p = target->provider;
    double left = keyring_headroom(r->epoch->keys[p->index], clock_ms());
    bool paced = false;
    for (size_t i = 0; i < p->n_keys; i++)
        paced |= p->keys[i].rpm || p->keys[i].tpm;
    if (!paced && told < 0)
        return;
    left = told >= 0 && told < left ? told : left;
    worker_headroom(r->epoch, target, left);
}

/* At least one: 0 is for what was not measured. */
static uint32_t ms_between(uint64_t from_us, uint64_t to_us) {
    uint64_t ms = (to_us - from_us) / 1000;
    return ms ? (uint32_t)ms : 1;
}

/* What an attempt that is over tells of its target. */
static void learn(struct request *r, const struct live *gone) {
    const struct trace_attempt *record = gone->record;
    const struct attempt_failure *failure = attempt_failure(gone->attempt);
    struct health_figure *figure = r->epoch->figures[record->target->index];
    struct health_end end = {
        .class = failure->unsent ? FAILURE_CANCELLED : record->failure,
        .permit = BREAKER_CLOSED,
        .key_rests = failure->key_rests,
        .retry_after_ms = failure->retry_after_ms,
        .first_ms = record->first_us ? ms_between(record->began_us, record->first_us) : 0,
        .total_ms = ms_between(record->began_us, record->ended_us),
        .output_tokens = record->output_tokens,
    };
    health_ended(figure, &end, clock_ms());
    if (record->input_tokens > 0)
        health_tokens(figure, tokens_estimate(&r->facts, record->target),
                      (uint64_t)record->input_tokens);
    learn_headroom(r, record->target, attempt_headroom(gone->attempt));
}

struct trace_attempt *live_ended(struct request *r, const struct attempt *a) {
    size_t at = live_at(r, a);
    struct live gone = r->live[at];
    struct trace_attempt *record = gone.record;
    const struct request_hooks *hooks = engine_hooks(r->worker->engine);
    r->live[at] = r->live[--r->n_live];
    attempt_settle(gone.attempt);
    record->ended_us = clock_us();
    if (record->cost < 0)
        record->cost = trace_attempt_cost(record); /* a stream given up has used what it told of */
    if (record->cost > 0)
        r->walk.spent = trace_sum(r->walk.spent, record->cost);
    if (record->target->index != TARGET_AD_HOC)
        learn(r, &gone);
    if (hooks->settle)
        hooks->settle(hooks->owner, &r->facts, record, gone.bound);
    return record;
}

void live_cancel(struct request *r, const struct attempt *spared) {
    for (size_t i = r->n_live; i-- > 0;) {
        struct attempt *a = r->live[i].attempt;
        if (a == spared)
            continue;
        r->live[i].record->failure = FAILURE_CANCELLED;
        live_ended(r, a);
        attempt_free(a);
    }
}
