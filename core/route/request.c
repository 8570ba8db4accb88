#include "route/request_state.h"

#include "base/clock.h"
#include "base/log.h"
#include "route/bodies.h"
#include "route/client.h"
#include "route/engine.h"
#include "route/live.h"
#include "route/outcome.h"
#include "route/pursuit.h"
#include "route/reach.h"
#include "route/record.h"
#include "route/repeat.h"
#include "route/shadow.h"
#include "route/tokens.h"
#include "route/waiting.h"
#include "route/words.h"

#include <math.h>

enum {
    AWAIT_POLICY_MS = 250 /* for a policy state that is being built */
};

struct request *request_next(const struct request *r) {
    return r->next;
}

/* --- the end: one way out for everything ----------------------------------------------------- */

void request_gate(struct request *r, enum request_outcome outcome, int status, struct span code) {
    struct worker *w = r->worker;
    live_cancel(r, NULL);
    wheel_disarm(&w->wheel, &r->deadline);
    wheel_disarm(&w->wheel, &r->hedge);
    waiting_end(r);
    charge_close(r, outcome, status, code);
    record_request(w->engine->record, w->index, r->epoch->snap, &r->facts, &r->trace, outcome,
                   status);
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

static void release(struct request *r) {
    struct worker *w = r->worker;
    struct epoch *epoch = r->epoch;
    http_message_free(r->message);
    worker_release(w, epoch);
}

void request_dismiss(struct request *r) {
    struct worker *w = r->worker;
    leave_awaiting(r);
    repeat_end(r);
    bodies_end(r);
    *r->back = r->next;
    if (r->next)
        r->next->back = r->back;
    atomic_fetch_sub_explicit(&w->figures.in_flight, 1, memory_order_relaxed);
    r->over = true;
    if (!r->held)
        release(r);
}

void request_fail(struct request *r, const struct api_error *why) {
    struct api_error placed = *why;
    if (r->n_live && r->owner)
        client_place(r, r->owner);
    placed.place = r->place;
    placed.id = r->trace.id;
    request_gate(r, r->trace.tried ? REQUEST_FAILED : REQUEST_REFUSED, error_status(&placed),
                 error_code(&placed));
    client_error(r, &placed);
    request_dismiss(r);
}

/* --- the client ------------------------------------------------------------------------------ */

static void on_drain(void *user) {
    struct request *r = user;
    if (r->owner)
        attempt_resume(r->owner);
}

static void on_gone(void *user) {
    struct request *r = user;
    r->conn = NULL;
    if (repeat_goes_on(r)) {
        on_drain(r);
        return;
    }
    request_gate(r, REQUEST_CANCELLED, 499, SPAN_NONE);
    request_dismiss(r);
}

static const struct conn_user client_events = { .on_drain = on_drain, .on_gone = on_gone };

void request_review(struct request *r) {
    waiting_review(r);
}

void request_abandon(struct request *r) {
    struct api_error error = api_error(ERROR_OVERLOADED, SPAN("The gateway is shutting down."));
    request_fail(r, &error);
}

/* --- time ------------------------------------------------------------------------------------ */

void request_too_late(struct request *r) {
    /* What the client itself was too impatient for says nothing about anybody. */
    bool theirs = r->facts.deadline_ms && r->deadline_ms == r->began_ms + r->facts.deadline_ms;
    if (!theirs)
        live_overdue(r);
    struct api_error error =
        outcome_too_late(&r->trace, r->deadline_ms - r->began_ms, request_arena(r));
    request_fail(r, &error);
}

static void on_deadline(void *owner) {
    request_too_late(owner);
}

static void arm_deadline(struct request *r, uint32_t ms) {
    uint64_t due = r->began_ms + ms;
    if (!ms || (r->deadline_ms && r->deadline_ms <= due))
        return;
    r->deadline_ms = due;
    worker_arm(r->worker, &r->deadline, due);
}

/* --- deciding -------------------------------------------------------------------------------- */

static nanousd nano(double usd) {
    return usd < 9e9 ? (nanousd)floor(usd * 1e9) : NANOUSD_NONE;
}

/* What the client set by header only tightens. */
static void tighten(struct request *r) {
    struct chain *chain = &r->decision.chain;
    const struct config *config = &r->epoch->snap->config;
    nanousd cost = nano(r->facts.max_cost_usd);
    for (size_t i = 0; i < config->n_caps; i++)
        if (config->caps[i].scope == BUDGET_REQUEST && config->caps[i].nano < cost)
            cost = config->caps[i].nano;
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
        request_fail(r, &error);
        return;
    }
    reach_enforce(r->epoch->snap, &r->facts, request_arena(r), chain);
    if (!chain->n_steps) {
        struct api_error error = charge_emptied(r)
                                     ? charge_refusal(r)
                                     : outcome_no_target(&r->decision, &r->trace, request_arena(r));
        request_fail(r, &error);
        return;
    }
    tighten(r);
    arm_deadline(r, chain->deadline_ms);
    pursuit_begin(r);
}

/* First the live decision, so that a candidate's costs the request nothing. */
static void follow_with_shadow(struct request *r) {
    struct worker *w = r->worker;
    const struct shadow_setting *shadow = shadow_wanted(r->epoch->snap, r->policy, &w->random);
    r->held = shadow != NULL;
    follow(r);
    if (!shadow)
        return;
    shadow_decide(w->engine->shadow, w, r->epoch, shadow, &r->facts, &r->trace, request_arena(r));
    r->held = false;
    if (r->over)
        release(r);
}

/* The policy could not decide: the configured chain does. */
static void fall_back(struct request *r, struct span why) {
    atomic_fetch_add_explicit(&r->worker->figures.policy_failures, 1, memory_order_relaxed);
    r->trace.policy_error = why;
    r->trace.policy = SPAN("fallback");
    r->decision = (struct decision){ .kind = DECISION_CHAIN };
    reach_fallback(r->epoch->snap, &r->facts, request_arena(r), &r->decision.chain);
    trace_decided(&r->trace, request_arena(r), &r->decision);
    follow(r);
}

static void policy_broke(struct request *r, struct policy_state *state, enum vm_result result) {
    struct worker *w = r->worker;
    bool refuse = policy_refuses_on_error(state, r->policy);
    struct span why =
        arena_printf(request_arena(r), "%s: %s", vm_result_name(result), policy_error(state));
    engine_policy_failed(w->engine, r->epoch->snap, &r->facts, r->policy, result, why,
                         refuse ? "the request is refused (on_error)"
                                : "the fallback chain answers the request");
    if (policy_state_dead(state))
        worker_policy_died(w, r->epoch);
    if (!refuse) {
        fall_back(r, why);
        return;
    }
    r->trace.policy_error = why;
    r->trace.refused = 403;
    struct api_error error = api_error(
        ERROR_POLICY_REFUSED, SPAN("The policy failed, and it is set to refuse then (on_error)."));
    error.trace = &r->trace;
    request_fail(r, &error);
}

/* Who answered this session before. */
static void find_session(struct request *r) {
    struct session_target found[SESSIONS_TARGETS];
    struct facts *facts = &r->facts;
    if (!facts->session.len)
        return;
    size_t n = sessions_find(r->worker->engine->sessions, request_key(r), facts->session,
                             request_arena(r), found, clock_ms());
    struct session_target *kept = arena_new_array(request_arena(r), struct session_target, n + 1);
    memcpy(kept, found, n * sizeof *kept);
    facts->last_targets = kept;
    facts->n_last_targets = n;
}

void request_decide(struct request *r) {
    struct worker *w = r->worker;
    const struct policy_source *source = snapshot_policy(r->epoch->snap, r->policy);
    leave_awaiting(r);
    wheel_disarm(&w->wheel, &r->wait);
    struct policy_state *state = worker_policy(w, r->epoch);
    find_session(r);
    r->trace.decided_us = clock_us();
    if (!source || !state || engine_quarantined(w->engine, source->version)) {
        fall_back(r, arena_printf(request_arena(r), "policy '%.*s' %s", SPAN_ARGS(r->policy),
                                  !source  ? "is not loaded"
                                  : !state ? "was being prepared"
                                           : "is in quarantine"));
        return;
    }
    r->trace.policy = source->version;
    enum vm_result result =
        policy_decide(state, w->guard, r->policy, &r->facts, request_arena(r), &r->decision);
    r->trace.policy_us = (uint32_t)(clock_us() - r->trace.decided_us);
    if (result != VM_OK) {
        policy_broke(r, state, result);
        return;
    }
    r->decided = true;
    engine_policy_findings(w->engine, &r->decision);
    trace_decided(&r->trace, request_arena(r), &r->decision);
    follow_with_shadow(r);
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

/* --- the beginning --------------------------------------------------------------------------- */

static bool read_request(struct request *r, struct api_error *error) {
    const struct snapshot *snap = r->epoch->snap;
    struct http_message *m = r->message;
    if (!access_read(m, &r->facts, &r->wishes, error))
        return false;
    bool counted = r->endpoint->kind == ENDPOINT_COUNT_TOKENS;
    if (!(counted ? body_read_counted : body_read)(r->worker->parser, buf_span(&m->body), &r->facts,
                                                   &m->arena, &r->body, error))
        return false;
    words_clean(&r->facts, snap, access_presented(m), &m->arena);
    return access_grant(&r->facts, &m->arena, error) &&
           reach_policy(snap, &r->facts, r->wishes.policy, &m->arena, &r->policy, error) &&
           reach_names(snap, &r->facts, &m->arena, error);
}

static struct request *request_new(struct worker *w, struct conn *c, struct http_message *m,
                                   const struct endpoint *endpoint, const struct keys_pass *pass) {
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
    r->deadline.owner = r->wait.owner = r->hold.owner = r->hedge.owner = r->news.owner = r;
    r->facts.id = arena_copy(&m->arena, span_of(id));
    r->facts.key = pass->key;
    r->facts.project = pass->project;
    r->charge.cut = ERROR_COUNT;
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
    uint64_t n = tokens_count(&r->facts, r->epoch->snap, r->epoch->figures, request_arena(r));
    request_gate(r, REQUEST_ANSWERED, 200, SPAN_NONE);
    client_count(r, n);
    request_dismiss(r);
}

void request_run(struct request *r) {
    struct api_error error;
    if (charge_enter(r, &error))
        decide_soon(r);
    else
        request_fail(r, &error);
}

void request_begin(struct worker *w, struct conn *c, struct http_message *m,
                   const struct endpoint *endpoint, const struct keys_pass *pass) {
    struct request *r = request_new(w, c, m, endpoint, pass);
    struct api_error error;
    conn_attach(c, &client_events, r);
    if (!read_request(r, &error)) {
        request_fail(r, &error);
        return;
    }
    if (endpoint->kind == ENDPOINT_COUNT_TOKENS) {
        count_tokens(r);
        return;
    }
    bodies_begin(r);
    arm_deadline(r, r->epoch->snap->config.deadline_ms);
    arm_deadline(r, r->facts.deadline_ms);
    if (repeat_begin(r))
        request_run(r);
}
