#include "route/live.h"

#include "base/clock.h"
#include "route/engine.h"
#include "route/tokens.h"

#include <assert.h>
#include <math.h>

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

/* --- whether a target may be asked ---------------------------------------------------------- */

static struct health_figure *figure_of(const struct request *r, const struct target *target) {
    return target->index == TARGET_AD_HOC ? NULL : r->epoch->figures[target->index];
}

enum breaker_permit live_admit(struct request *r, const struct step *step, bool insist,
                               enum failure *why) {
    struct health_figure *figure = figure_of(r, step->target);
    uint64_t now = worker_now(r->worker);
    if (!figure)
        return BREAKER_CLOSED;
    enum breaker_permit permit = (insist ? breaker_insist : breaker_ask)(&figure->breaker, now);
    if (permit == BREAKER_REFUSED)
        breaker_reopens_in(&figure->breaker, why, now);
    /* It has closed since. */
    if (permit == BREAKER_REFUSED && *why == FAILURE_NONE)
        return BREAKER_CLOSED;
    return permit;
}

bool live_probed(const struct request *r, const struct target *target) {
    struct health_figure *figure = figure_of(r, target);
    return figure && breaker_probing(&figure->breaker, worker_now(r->worker));
}

/* What the target said last, in this request. */
static uint64_t told_ms(const struct request *r, const struct target *target) {
    uint64_t at = 0;
    for (const struct trace_attempt *a = r->trace.attempts; a; a = a->next)
        if (a->tried && a->target == target)
            at = a->reopens_ms;
    return at;
}

uint64_t live_reopens_in(const struct request *r, const struct target *target) {
    struct health_figure *figure = figure_of(r, target);
    uint64_t now = worker_now(r->worker), told = told_ms(r, target);
    uint64_t in = figure ? breaker_reopens_in(&figure->breaker, NULL, now) : 0;
    return told > now + in ? told - now : in;
}

int64_t live_earliest(const struct request *r) {
    int64_t first = -1;
    for (const struct trace_attempt *a = r->trace.attempts; a; a = a->next) {
        if (!a->tried && !a->open)
            continue;
        int64_t in = (int64_t)live_reopens_in(r, a->target);
        if (in > 0 && (first < 0 || in < first))
            first = in;
    }
    return first;
}

/* --- attempts ------------------------------------------------------------------------------- */

bool live_start(struct request *r, const struct chain_move *move, bool hedge,
                const struct attempt_events *events) {
    struct worker *w = r->worker;
    const struct step *step = move->step;
    struct health_figure *figure = figure_of(r, step->target);
    struct trace_attempt *record = trace_add(&r->trace, request_arena(r), step->target);
    record->over_threshold = move->over_threshold;
    record->last_resort = r->walk.at_last && move->permit == BREAKER_PROBE;
    record->hedge = hedge;
    record->began_us = clock_us();
    struct charge_hold hold;
    step = charge_reserve(r, step, record, &hold);
    if (!step) {
        if (figure)
            breaker_return(&figure->breaker, move->permit);
        return false;
    }
    record->tried = true;
    r->trace.tried++;
    if (figure)
        health_began(figure);
    struct attempt_setup setup = {
        .step = step,
        .endpoint = r->endpoint,
        .facts = &r->facts,
        .client_key = request_key(r),
        .body = &r->body,
        .query = r->message->query,
        .adapter = r->epoch->adapter,
        .keys = r->epoch->keys[step->target->provider->index],
        .input_tokens = live_tokens(r, step->target),
        .tokens_a_byte = tokens_a_byte(step->target, figure),
        .refuse = r->epoch->snap->config.unsupported == UNSUPPORTED_REFUSE,
        .record = record,
        .arena = request_arena(r),
        .keep_usage = r->body.asks_usage || r->wishes.trace,
    };
    assert(r->n_live < LIVE_MAX);
    r->live[r->n_live++] = (struct live){ .attempt = attempt_start(&w->tools, &setup, events, r),
                                          .record = record,
                                          .hold = hold,
                                          .permit = move->permit };
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

const struct charge_hold *live_hold(const struct request *r, const struct attempt *a) {
    return &r->live[live_at(r, a)].hold;
}

void live_content(struct request *r, const struct attempt *a) {
    struct live *live = &r->live[live_at(r, a)];
    struct health_figure *figure = figure_of(r, live->record->target);
    if (!figure)
        return;
    health_content(figure, live->permit, worker_now(r->worker));
    live->permit = BREAKER_CLOSED;
}

/* --- what is learnt ------------------------------------------------------------------------- */

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
    health_headroom(r->epoch->figures[target->index], left);
}

/* At least one: 0 is for what was not measured. */
static uint32_t ms_between(uint64_t from_us, uint64_t to_us) {
    uint64_t ms = (to_us - from_us) / 1000;
    return ms ? (uint32_t)ms : 1;
}

/* How far off estimates are. What was thought and not said is no measure of texts. */
static void learn_tokens(struct request *r, const struct live *gone, struct health_figure *figure) {
    const struct trace_attempt *record = gone->record;
    double said = (double)attempt_text(gone->attempt) / record->target->bytes_a_token;
    if (record->input_tokens > 0)
        health_tokens(figure, tokens_estimate(&r->facts, record->target),
                      (uint64_t)record->input_tokens);
    if (record->output_tokens > 0 && record->reasoning_tokens <= 0)
        health_output(figure, (uint64_t)ceil(said), (uint64_t)record->output_tokens);
}

/* What an attempt that is over tells of its target. */
static void learn(struct request *r, const struct live *gone) {
    const struct trace_attempt *record = gone->record;
    const struct attempt_failure *failure = attempt_failure(gone->attempt);
    struct health_figure *figure = figure_of(r, record->target);
    struct health_end end = {
        .class = failure->unsent ? FAILURE_CANCELLED : record->failure,
        .permit = gone->permit,
        .key_rests = failure->key_rests,
        .retry_after_ms = failure->retry_after_ms,
        .first_ms = record->first_us ? ms_between(record->began_us, record->first_us) : 0,
        .total_ms = ms_between(record->began_us, record->ended_us),
        .output_tokens = record->output_tokens,
    };
    bool news = end.class != FAILURE_NONE || end.permit == BREAKER_PROBE ||
                !atomic_load_explicit(&figure->last_success_ms, memory_order_relaxed);
    health_ended(figure, &end, worker_now(r->worker));
    if (!record->estimated)
        learn_tokens(r, gone, figure);
    learn_headroom(r, record->target, attempt_headroom(gone->attempt));
    worker_learnt(r->worker, r->epoch, record->target, news);
}

/* A session's next request may find its prompt in the cache of whoever answered this one. */
static void learn_session(struct request *r, const struct trace_attempt *record) {
    if (record->failure != FAILURE_NONE || !r->facts.session.len)
        return;
    uint64_t tokens =
        record->input_tokens >= 0 ? (uint64_t)record->input_tokens : live_tokens(r, record->target);
    sessions_answered(r->worker->engine->sessions, request_key(r), r->facts.session,
                      record->target->id, tokens, clock_ms());
}

struct trace_attempt *live_ended(struct request *r, struct attempt *a) {
    size_t at = live_at(r, a);
    struct live gone = r->live[at];
    struct trace_attempt *record = gone.record;
    int64_t told = attempt_failure(a)->retry_after_ms;
    r->live[at] = r->live[--r->n_live];
    record->ended_us = clock_us();
    if (told >= 0)
        record->reopens_ms = worker_now(r->worker) + (uint64_t)told;
    attempt_settle(a);
    record->maybe_accepted = record->failure != FAILURE_NONE && attempt_maybe_accepted(a);
    record->cost = trace_attempt_cost(record);
    if (record->cost < 0 && record->maybe_accepted)
        record->most = gone.hold.bound;
    if (record->cost > 0 || record->most > 0)
        r->walk.spent = trace_sum(r->walk.spent, record->cost >= 0 ? record->cost : record->most);
    learn_session(r, record);
    if (record->target->index != TARGET_AD_HOC)
        learn(r, &gone);
    charge_settle(r, &gone.hold, record);
    return record;
}

void live_cancel(struct request *r, const struct attempt *spared) {
    for (size_t i = r->n_live; i-- > 0;) {
        struct attempt *a = r->live[i].attempt;
        if (a == spared)
            continue;
        if (r->live[i].record->failure == FAILURE_NONE)
            r->live[i].record->failure = FAILURE_CANCELLED;
        live_ended(r, a);
        attempt_free(a);
    }
}

void live_overdue(struct request *r) {
    uint64_t now_us = clock_us(), all_us = (r->deadline_ms - r->began_ms) * 1000;
    for (size_t i = 0; i < r->n_live; i++) {
        struct trace_attempt *record = r->live[i].record;
        if (!record->first_us && attempt_maybe_accepted(r->live[i].attempt) &&
            now_us - record->began_us > all_us / 2)
            record->failure = FAILURE_TIMEOUT;
    }
}
