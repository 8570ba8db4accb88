#include "route/request.h"

#include "base/clock.h"
#include "base/log.h"
#include "route/access.h"
#include "route/attempt.h"
#include "route/chain.h"
#include "route/engine.h"
#include "route/error.h"
#include "route/outcome.h"
#include "route/reach.h"
#include "route/reply.h"
#include "route/tokens.h"
#include "route/wire.h"
#include "route/worker.h"

#include <assert.h>
#include <math.h>

enum {
    LIVE_MAX = 2,            /* attempts at a time: a hedge is two */
    AWAIT_POLICY_MS = 250,   /* for a policy state that is being built */
    TURNS_MAX = 16,          /* times a policy may change its mind about one request */
    COMMENT_EVERY_MS = 10000 /* on a stream that waits */
};

/* An attempt that is under way, and what was set aside for it. */
struct live {
    struct attempt *attempt;
    struct trace_attempt *record;
    nanousd bound;
};

struct request {
    struct request *next, **back; /* in worker.requests */
    struct request *next_awaiting;
    struct worker *worker;
    struct conn *conn;            /* NULL once the client is gone */
    struct http_message *message; /* its arena holds this struct too */
    struct epoch *epoch;
    const struct endpoint *endpoint;
    struct facts facts;
    struct access_wishes wishes;
    struct body body;
    struct span policy; /* the name of the one that decides */
    struct decision decision;
    struct chain_walk walk;
    struct trace trace;
    struct live live[LIVE_MAX];
    size_t n_live;
    struct attempt *owner; /* whose content the client gets; NULL before the first content */
    struct attempt_failure failed; /* how the last attempt ended; texts in the arena */
    struct error_place place;      /* where the client's stream stands, once it is broken */
    uint64_t reopens_ms; /* the earliest moment a provider named for asking again; 0: none did */
    const struct target *reopens; /* which target that is */
    uint64_t began_ms, deadline_ms;
    struct wheel_timer deadline; /* hard, over everything */
    struct wheel_timer wait;     /* for a policy state, a retry, a place in the queue */
    struct wheel_timer hold;     /* until a waiting stream commits, then between comments */
    unsigned turns;              /* times on_failure gave a move or a chain of its own */
    bool awaiting;               /* in worker.awaiting */
    bool decided;                /* by a policy, whose on_failure may be asked */
    bool committed;              /* the client has a head */
    bool early;                  /* it got that before there was content */
};

static void advance(struct request *r, const struct chain_failure *failed);
static void follow(struct request *r);

struct request *request_next(const struct request *r) {
    return r->next;
}

static struct arena *arena_of(struct request *r) {
    return &r->message->arena;
}

/* --- the end: one way out for everything ---------------------------------------------------- */

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

/* What an attempt that is over tells of its target. */
static void learn(struct request *r, const struct live *gone) {
    const struct trace_attempt *record = gone->record;
    struct health_figure *figure = r->epoch->figures[record->target->index];
    uint64_t first_us = record->first_us ? record->first_us - record->began_us : 0;
    health_ended(figure, record->failure, (uint32_t)(first_us / 1000),
                 (uint32_t)((record->ended_us - record->began_us) / 1000));
    if (record->input_tokens > 0)
        health_tokens(figure, tokens_estimate(&r->facts, record->target),
                      (uint64_t)record->input_tokens);
    learn_headroom(r, record->target, attempt_headroom(gone->attempt));
}

/* What an attempt that is over leaves: money, figures, its place among the living. */
static void account(struct request *r, size_t at) {
    struct live gone = r->live[at];
    struct trace_attempt *record = gone.record;
    const struct request_hooks *hooks = engine_hooks(r->worker->engine);
    r->live[at] = r->live[--r->n_live];
    record->ended_us = clock_us();
    if (record->cost < 0)
        record->cost = trace_attempt_cost(record); /* a stream given up has used what it told of */
    if (record->cost > 0)
        r->walk.spent = trace_sum(r->walk.spent, record->cost);
    if (record->target->index != TARGET_AD_HOC)
        learn(r, &gone);
    if (hooks->settle)
        hooks->settle(hooks->owner, &r->facts, record, gone.bound);
}

static size_t live_at(const struct request *r, const struct attempt *a) {
    size_t at = 0;
    while (at < r->n_live && r->live[at].attempt != a)
        at++;
    assert(at < r->n_live);
    return at;
}

/* Gives up every attempt but `spared`. */
static void cancel_others(struct request *r, const struct attempt *spared) {
    for (size_t i = r->n_live; i-- > 0;) {
        struct attempt *a = r->live[i].attempt;
        if (a == spared)
            continue;
        r->live[i].record->failure = FAILURE_CANCELLED;
        account(r, i);
        attempt_free(a);
    }
}

/* The tail gate. Everything that ends a request comes through here, once, just before its last
 * bytes go out. */
static void gate(struct request *r, enum request_outcome outcome, int status) {
    struct worker *w = r->worker;
    const struct request_hooks *hooks = engine_hooks(w->engine);
    cancel_others(r, NULL);
    wheel_disarm(&w->wheel, &r->deadline);
    wheel_disarm(&w->wheel, &r->wait);
    wheel_disarm(&w->wheel, &r->hold);
    if (hooks->record)
        hooks->record(hooks->owner, &r->facts, &r->trace, outcome, status);
    atomic_ullong *count = outcome == REQUEST_ANSWERED    ? &w->figures.answered
                           : outcome == REQUEST_CANCELLED ? &w->figures.cancelled
                                                          : &w->figures.failed;
    atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
    log_debug("%.*s %.*s %d policy=%.*s attempts=%u nanousd=%lld us=%llu", SPAN_ARGS(r->trace.id),
              SPAN_ARGS(r->endpoint->path), status, SPAN_ARGS(r->trace.policy), r->trace.tried,
              (long long)trace_total_cost(&r->trace),
              (unsigned long long)(clock_us() - r->trace.began_us));
}

static void leave_awaiting(struct request *r) {
    for (struct request **at = &r->worker->awaiting; r->awaiting && *at; at = &(*at)->next_awaiting)
        if (*at == r) {
            *at = r->next_awaiting;
            break;
        }
    r->awaiting = false;
}

/* After the gate and the last bytes: the request and its memory are gone. */
static void dismiss(struct request *r) {
    struct worker *w = r->worker;
    struct epoch *epoch = r->epoch;
    leave_awaiting(r);
    *r->back = r->next;
    if (r->next)
        r->next->back = r->back;
    atomic_fetch_sub_explicit(&w->figures.in_flight, 1, memory_order_relaxed);
    http_message_free(r->message);
    worker_release(w, epoch);
}

/* --- what the client gets ------------------------------------------------------------------- */

static void add_routed(struct request *r, struct reply *reply, struct attempt *a, bool whole) {
    const struct trace_attempt *record = r->live[live_at(r, a)].record;
    size_t n;
    const struct pair *passed = attempt_headers(a, &n);
    reply_add(reply, SPAN("x-routed-model"), attempt_model(a));
    reply_add(reply, SPAN("x-routed-provider"), record->target->provider->name);
    reply_add(reply, SPAN("x-route-dropped"), attempt_dropped(a));
    reply_add(reply, SPAN("x-upstream-request-id"), record->upstream_id);
    for (size_t i = 0; i < n; i++)
        reply_add(reply, passed[i].name, passed[i].value);
    nanousd cost = whole ? trace_total_cost(&r->trace) : -1;
    if (cost >= 0) {
        struct buf usd = { 0 };
        trace_write_usd(&usd, cost);
        reply_add(reply, SPAN("x-route-cost-usd"), arena_copy(arena_of(r), buf_span(&usd)));
        buf_deinit(&usd);
    }
}

/* The headers every answer of a request has, errors too. */
static void start_reply(struct request *r, struct reply *reply, struct span type) {
    unsigned long long total_us = clock_us() - r->trace.began_us;
    reply_init(reply, arena_of(r));
    reply_add(reply, SPAN("content-type"), type);
    reply_add(reply, SPAN("x-request-id"), r->trace.id);
    if (r->endpoint->dialect == DIALECT_ANTHROPIC_MESSAGES)
        reply_add(reply, SPAN("request-id"), r->trace.id);
    if (r->facts.replaced.name.at)
        reply_add(reply, SPAN("x-route-replaced"),
                  arena_printf(arena_of(r), "%.*s -> %.*s", SPAN_ARGS(r->facts.replaced.name),
                               SPAN_ARGS(r->facts.replaced.value)));
    reply_add(reply, SPAN("x-route-policy"), r->trace.policy);
    reply_add(reply, SPAN("x-route-attempts"), arena_printf(arena_of(r), "%u", r->trace.tried));
    reply_add(reply, SPAN("server-timing"),
              arena_printf(arena_of(r), "policy;dur=%u.%03u, total;dur=%llu.%03llu",
                           r->trace.policy_us / 1000, r->trace.policy_us % 1000, total_us / 1000,
                           total_us % 1000));
    reply_cors(reply, &r->epoch->snap->config, r->message);
}

static void reply_error(struct request *r, const struct api_error *error) {
    struct reply reply;
    struct buf body = { 0 };
    start_reply(r, &reply, SPAN("application/json"));
    reply_error_headers(&reply, error, r->trace.tried > 0);
    error_write(r->endpoint->dialect, error, &body);
    conn_reply(r->conn, error_status_for(r->endpoint->dialect, error), reply.headers, reply.n,
               buf_span(&body));
    buf_deinit(&body);
}

/* The attempt whose stream the client reads is about to go. */
static void note_place(struct request *r, const struct attempt *a) {
    r->place = attempt_place(a);
    r->place.id = arena_copy(arena_of(r), r->place.id);
    r->place.model = arena_copy(arena_of(r), r->place.model);
}

/* Ends the request with an error: as a reply, or inside the stream when that has begun. */
static void fail(struct request *r, const struct api_error *why) {
    struct api_error placed = *why, *error = &placed;
    if (r->n_live && r->owner)
        note_place(r, r->owner);
    placed.place = r->place;
    placed.id = r->trace.id;
    gate(r, r->trace.tried ? REQUEST_FAILED : REQUEST_REFUSED, error_status(error));
    if (r->conn && r->committed) {
        struct buf event = { 0 };
        error_write_event(r->endpoint->dialect, error, &event);
        conn_write(r->conn, buf_span(&event));
        conn_finish(r->conn);
        buf_deinit(&event);
    } else if (r->conn) {
        reply_error(r, error);
    }
    dismiss(r);
}

static void on_gone(void *user) {
    struct request *r = user;
    r->conn = NULL;
    gate(r, REQUEST_CANCELLED, 499);
    dismiss(r);
}

static void on_drain(void *user) {
    struct request *r = user;
    if (r->owner)
        attempt_resume(r->owner);
}

static const struct conn_user client_events = { .on_drain = on_drain, .on_gone = on_gone };

void request_abandon(struct request *r) {
    struct api_error error = api_error(ERROR_OVERLOADED, SPAN("The gateway is shutting down."));
    fail(r, &error);
}

/* --- the end of the chain ------------------------------------------------------------------- */

static void on_deadline(void *owner) {
    struct request *r = owner;
    struct api_error error = outcome_too_late(&r->trace, r->deadline_ms - r->began_ms, arena_of(r));
    fail(r, &error);
}

static void exhausted(struct request *r) {
    uint64_t now = worker_now(r->worker);
    if (r->deadline_ms && now >= r->deadline_ms) {
        on_deadline(r);
        return;
    }
    int64_t reopens_in_ms = -1;
    if (r->reopens_ms)
        reopens_in_ms = r->reopens_ms > now ? (int64_t)(r->reopens_ms - now) : 0;
    struct api_error error = outcome_exhausted(&r->trace, &r->failed, reopens_in_ms, arena_of(r));
    fail(r, &error);
}

static void arm_deadline(struct request *r, uint32_t ms) {
    uint64_t due = r->began_ms + ms;
    if (!ms || (r->deadline_ms && r->deadline_ms <= due))
        return;
    r->deadline_ms = due;
    worker_arm(r->worker, &r->deadline, due);
}

/* --- a stream that waits -------------------------------------------------------------------- */

static void commit(struct request *r, struct attempt *a) {
    struct reply reply;
    start_reply(r, &reply, SPAN("text/event-stream; charset=utf-8"));
    reply_add(&reply, SPAN("cache-control"), SPAN("no-cache"));
    reply_add(&reply, SPAN("x-accel-buffering"), SPAN("no"));
    if (a)
        add_routed(r, &reply, a, false);
    conn_start(r->conn, 200, reply.headers, reply.n);
    r->committed = true;
}

static void on_hold(void *owner) {
    struct request *r = owner;
    if (!r->committed) {
        r->early = true;
        commit(r, NULL);
    }
    conn_write(r->conn, SPAN(": waiting\n\n"));
    worker_arm(r->worker, &r->hold, worker_now(r->worker) + COMMENT_EVERY_MS);
}

static void arm_hold(struct request *r) {
    const struct chain *chain = &r->decision.chain;
    uint64_t ms = chain->hold_ms >= 0 ? (uint64_t)chain->hold_ms : r->epoch->snap->config.hold_ms;
    if (r->facts.stream && ms && !r->committed)
        worker_arm(r->worker, &r->hold, r->began_ms + ms);
}

/* --- attempts ------------------------------------------------------------------------------- */

static void on_content(void *owner, struct attempt *a) {
    struct request *r = owner;
    r->owner = a;
    cancel_others(r, a);
    wheel_disarm(&r->worker->wheel, &r->hold);
    if (!r->committed)
        commit(r, a);
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
    account(r, live_at(r, a));
    gate(r, REQUEST_ANSWERED, 200);
    struct span mark = wire_of(r->facts.dialect)->end_mark;
    if (mark.at)
        conn_write(r->conn, mark);
    conn_finish(r->conn);
    attempt_release(a);
    dismiss(r);
}

/* The answer with the trace in it. */
static void splice_route(struct request *r, struct span body, struct buf *out) {
    struct json_member member = { .name = SPAN("route") };
    struct json_value root;
    struct buf route = { 0 };
    trace_write(&r->trace, &route);
    int error = json_parse(r->worker->parser, body, &root);
    if (error == JSON_OK)
        error = json_locate(r->worker->parser, NULL, &member, 1);
    if (error == JSON_OK) {
        struct json_edit edit = { .where = member, .raw = buf_span(&route) };
        json_splice(body, &edit, 1, out);
    } else {
        buf_add(out, body);
    }
    buf_deinit(&route);
}

static void on_answer(void *owner, struct attempt *a, struct span body) {
    struct request *r = owner;
    struct reply reply;
    struct buf traced = { 0 };
    size_t at = live_at(r, a);
    r->live[at].record->cost = trace_attempt_cost(r->live[at].record);
    start_reply(r, &reply, SPAN("application/json"));
    add_routed(r, &reply, a, true);
    account(r, at);
    gate(r, REQUEST_ANSWERED, 200);
    if (r->wishes.trace) {
        splice_route(r, body, &traced);
        body = buf_span(&traced);
    }
    conn_reply(r->conn, 200, reply.headers, reply.n, body);
    buf_deinit(&traced);
    attempt_release(a);
    dismiss(r);
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
    struct arena *arena = arena_of(r);
    r->failed = *f;
    note_reopening(r, target, f->retry_after_ms);
    r->failed.message = arena_copy(arena, f->message);
    r->failed.code = arena_copy(arena, f->code);
    r->failed.type = arena_copy(arena, f->type);
    r->failed.param = arena_copy(arena, f->param);
}

/* After content there is no way back: the client is told inside the stream. */
static void interrupted(struct request *r) {
    struct api_error error = outcome_interrupted(&r->trace, &r->failed, arena_of(r));
    fail(r, &error);
}

static void act(struct request *r, struct chain_move move);

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
                                              chain->n_steps - r->walk.at - 1, arena_of(r), &next,
                                              &retry_in_ms, &changed);
    if (result != VM_OK) {
        r->trace.policy_error = arena_printf(arena_of(r), "on_failure: %s: %s",
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
        reach_filter(r->epoch->snap, &r->facts, arena_of(r), &changed.chain);
        chain_replace(&r->walk, chain, arena_of(r), changed.chain.steps, changed.chain.n_steps);
    }
    return false;
}

static void on_fail(void *owner, struct attempt *a) {
    struct request *r = owner;
    size_t at = live_at(r, a);
    struct trace_attempt *record = r->live[at].record;
    bool had_stream = r->owner == a;
    remember(r, record->target, attempt_failure(a));
    record->failure = r->failed.class;
    record->status = r->failed.status;
    record->message = r->failed.message;
    account(r, at);
    if (had_stream)
        note_place(r, a);
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

/* --- walking the chain ---------------------------------------------------------------------- */

static uint64_t input_tokens(const struct request *r, const struct target *t) {
    return tokens_input(&r->facts, t,
                        t->index == TARGET_AD_HOC ? NULL : r->epoch->figures[t->index]);
}

static nanousd cost_bound(void *owner, const struct step *step) {
    struct request *r = owner;
    struct trace_tokens tokens = { (int64_t)input_tokens(r, step->target),
                                   (int64_t)r->facts.output_tokens, -1, -1 };
    nanousd cost = trace_cost(step->target, tokens, clock_wall_ms() / 1000);
    return cost >= 0 ? cost : NANOUSD_UNKNOWN;
}

static uint32_t predicted_ms(void *owner, const struct step *step) {
    struct request *r = owner;
    return step->target->index == TARGET_AD_HOC
               ? 0
               : health_latency(r->epoch->figures[step->target->index]);
}

static void on_skip(void *owner, const struct step *step, enum failure why) {
    struct request *r = owner;
    struct trace_attempt *record = trace_add(&r->trace, arena_of(r), step->target);
    record->failure = why;
}

static struct chain_view view_of(struct request *r) {
    return (struct chain_view){ .bound = cost_bound,
                                .latency = predicted_ms,
                                .on_skip = on_skip,
                                .owner = r,
                                .random = &r->worker->random };
}

/* False when there was no money for it. */
static bool try_step(struct request *r, const struct step *step, bool over_threshold) {
    struct worker *w = r->worker;
    const struct request_hooks *hooks = engine_hooks(w->engine);
    struct trace_attempt *record = trace_add(&r->trace, arena_of(r), step->target);
    nanousd bound = cost_bound(r, step);
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
        .input_tokens = input_tokens(r, step->target),
        .refuse = r->epoch->snap->config.unsupported == UNSUPPORTED_REFUSE,
        .record = record,
        .arena = arena_of(r),
        .keep_usage = r->body.asks_usage || r->wishes.trace,
    };
    assert(r->n_live < LIVE_MAX);
    r->live[r->n_live++] =
        (struct live){ .attempt = attempt_start(&w->tools, &setup, &attempt_handlers, r),
                       .record = record,
                       .bound = bound };
    return true;
}

static void on_wait_over(void *owner) {
    struct request *r = owner;
    struct chain_view view = view_of(r);
    act(r, chain_resume(&r->walk, &view, worker_now(r->worker)));
}

static void act(struct request *r, struct chain_move move) {
    struct chain_view view = view_of(r);
    const struct chain_failure no_money = { FAILURE_COST, -1 };
    while (move.verdict == CHAIN_TRY && !try_step(r, move.step, move.over_threshold))
        move = chain_next(&r->walk, &view, &no_money, worker_now(r->worker));
    if (move.verdict == CHAIN_WAIT) {
        r->wait.fire = on_wait_over;
        worker_arm(r->worker, &r->wait, worker_now(r->worker) + move.wait_ms);
    } else if (move.verdict == CHAIN_END) {
        exhausted(r);
    }
}

static void advance(struct request *r, const struct chain_failure *failed) {
    struct chain_view view = view_of(r);
    act(r, chain_next(&r->walk, &view, failed, worker_now(r->worker)));
}

/* --- deciding ------------------------------------------------------------------------------- */

static nanousd nano(double usd) {
    return usd < 9e9 ? (nanousd)floor(usd * 1e9) : NANOUSD_NONE;
}

/* What the client set by header only tightens. */
static void tighten(struct request *r) {
    struct chain *chain = &r->decision.chain;
    nanousd cost = nano(r->facts.max_cost_usd);
    if (cost < chain->max_cost)
        chain->max_cost = cost;
    uint32_t latency = r->facts.max_latency_ms;
    if (latency && (!chain->max_latency_ms || latency < chain->max_latency_ms))
        chain->max_latency_ms = latency;
}

/* The decision is made: walk. */
static void follow(struct request *r) {
    struct chain *chain = &r->decision.chain;
    if (r->decision.kind == DECISION_REFUSED) {
        struct api_error error = api_error(ERROR_POLICY_REFUSED, r->decision.message);
        error.status = r->decision.status;
        error.custom_code = r->decision.code;
        fail(r, &error);
        return;
    }
    reach_enforce(r->epoch->snap, &r->facts, arena_of(r), chain);
    if (!chain->n_steps) {
        struct api_error error = outcome_no_target(&r->decision, &r->trace, arena_of(r));
        fail(r, &error);
        return;
    }
    tighten(r);
    arm_deadline(r, chain->deadline_ms);
    chain_begin(&r->walk, chain, r->began_ms, r->deadline_ms);
    arm_hold(r);
    advance(r, NULL);
}

/* The policy could not decide: the configured chain does. */
static void fall_back(struct request *r, struct span why) {
    atomic_fetch_add_explicit(&r->worker->figures.policy_failures, 1, memory_order_relaxed);
    r->trace.policy_error = why;
    r->trace.policy = SPAN("fallback");
    r->decision = (struct decision){ .kind = DECISION_CHAIN };
    reach_fallback(r->epoch->snap, &r->facts, arena_of(r), &r->decision.chain);
    follow(r);
}

static void policy_broke(struct request *r, struct policy_state *state, enum vm_result result) {
    struct worker *w = r->worker;
    bool refuse = policy_refuses_on_error(state, r->policy);
    struct span why =
        arena_printf(arena_of(r), "%s: %s", vm_result_name(result), policy_error(state));
    engine_policy_failed(w->engine, r->epoch->snap, &r->facts, r->policy, result, why);
    if (policy_state_dead(state))
        worker_policy_died(w, r->epoch);
    if (!refuse) {
        fall_back(r, why);
        return;
    }
    r->trace.policy_error = why;
    struct api_error error = api_error(
        ERROR_POLICY_REFUSED, SPAN("The policy failed, and it is set to refuse then (on_error)."));
    error.trace = &r->trace;
    fail(r, &error);
}

void request_decide(struct request *r) {
    struct worker *w = r->worker;
    const struct policy_source *source = snapshot_policy(r->epoch->snap, r->policy);
    leave_awaiting(r);
    wheel_disarm(&w->wheel, &r->wait);
    struct policy_state *state = worker_policy(w, r->epoch);
    if (!source || !state || engine_quarantined(w->engine, source->version)) {
        fall_back(r, arena_printf(arena_of(r), "policy '%.*s' %s", SPAN_ARGS(r->policy),
                                  !source  ? "is not loaded"
                                  : !state ? "was being prepared"
                                           : "is in quarantine"));
        return;
    }
    r->trace.policy = source->version;
    uint64_t before = clock_us();
    enum vm_result result =
        policy_decide(state, w->guard, r->policy, &r->facts, arena_of(r), &r->decision);
    r->trace.policy_us = (uint32_t)(clock_us() - before);
    if (result != VM_OK) {
        policy_broke(r, state, result);
        return;
    }
    r->decided = true;
    r->trace.reason = r->decision.chain.reason;
    r->trace.cuts = r->decision.cuts;
    r->trace.n_cuts = r->decision.n_cuts;
    r->trace.notes = r->decision.notes;
    r->trace.n_notes = r->decision.n_notes;
    follow(r);
}

static void on_awaited_long(void *owner) {
    request_decide(owner);
}

/* Decides now, or as soon as a policy state is there. */
static void decide_soon(struct request *r) {
    struct worker *w = r->worker;
    if (worker_policy(w, r->epoch) || !snapshot_policy(r->epoch->snap, r->policy)) {
        request_decide(r);
        return;
    }
    r->awaiting = true;
    r->next_awaiting = w->awaiting;
    w->awaiting = r;
    r->wait.fire = on_awaited_long;
    worker_arm(w, &r->wait, worker_now(w) + AWAIT_POLICY_MS);
}

/* --- the beginning -------------------------------------------------------------------------- */

static bool read_request(struct request *r, struct api_error *error) {
    const struct snapshot *snap = r->epoch->snap;
    struct http_message *m = r->message;
    if (!access_read(m, &r->facts, &r->wishes, error))
        return false;
    bool counted = r->endpoint->kind == ENDPOINT_COUNT_TOKENS;
    if (!(counted ? body_read_counted : body_read)(r->worker->parser, buf_span(&m->body), &r->facts,
                                                   &m->arena, &r->body, error))
        return false;
    return reach_policy(snap, &r->facts, r->wishes.policy, &m->arena, &r->policy, error) &&
           reach_names(snap, &r->facts, &m->arena, error);
}

static struct request *request_new(struct worker *w, struct conn *c, struct http_message *m,
                                   const struct endpoint *endpoint, unsigned key) {
    struct request *r = arena_new(&m->arena, struct request);
    char id[IDENT_SIZE];
    uint64_t wall = clock_wall_ms();
    ident_make(&w->ids, wall, id);
    r->worker = w;
    r->conn = c;
    r->message = m;
    r->endpoint = endpoint;
    r->epoch = w->epoch;
    r->epoch->requests++;
    r->began_ms = worker_now(w);
    r->deadline.fire = on_deadline;
    r->hold.fire = on_hold;
    r->deadline.owner = r->wait.owner = r->hold.owner = r;
    r->facts.id = arena_copy(&m->arena, span_of(id));
    r->facts.key = key;
    r->facts.endpoint = endpoint->path;
    r->facts.dialect = endpoint->dialect;
    r->facts.now_ms = wall;
    r->facts.seed = random_next(&w->random);
    trace_init(&r->trace, r->facts.id, m->began_us);
    r->next = w->requests;
    r->back = &w->requests;
    if (r->next)
        r->next->back = &r->next;
    w->requests = r;
    atomic_fetch_add_explicit(&w->figures.in_flight, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&w->figures.requests, 1, memory_order_relaxed);
    return r;
}

/* What the prompt would be worth: nobody is asked. */
static void count_tokens(struct request *r) {
    struct reply reply;
    start_reply(r, &reply, SPAN("application/json"));
    uint64_t n = tokens_count(&r->facts, r->epoch->snap, r->epoch->figures, arena_of(r));
    gate(r, REQUEST_ANSWERED, 200);
    conn_reply(r->conn, 200, reply.headers, reply.n,
               arena_printf(arena_of(r), "{\"input_tokens\":%llu}", (unsigned long long)n));
    dismiss(r);
}

void request_begin(struct worker *w, struct conn *c, struct http_message *m,
                   const struct endpoint *endpoint, unsigned key) {
    struct request *r = request_new(w, c, m, endpoint, key);
    struct api_error error;
    conn_attach(c, &client_events, r);
    if (!read_request(r, &error)) {
        fail(r, &error);
        return;
    }
    if (endpoint->kind == ENDPOINT_COUNT_TOKENS) {
        count_tokens(r);
        return;
    }
    arm_deadline(r, r->epoch->snap->config.deadline_ms);
    arm_deadline(r, r->facts.deadline_ms);
    decide_soon(r);
}
