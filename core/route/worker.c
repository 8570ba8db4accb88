#include "route/worker.h"

#include "base/clock.h"
#include "base/log.h"
#include "money/money.h"
#include "route/access.h"
#include "route/engine.h"
#include "route/error.h"
#include "route/feed.h"
#include "route/feedback.h"
#include "route/figures.h"
#include "route/models.h"
#include "route/reach.h"
#include "route/record.h"
#include "route/repeat.h"
#include "route/reply.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/resource.h>

/* --- time ----------------------------------------------------------------------------------- */

uint64_t worker_now(const struct worker *w) {
    return uv_now(&w->loop);
}

static void on_turn(uv_timer_t *timer) {
    struct worker *w = timer->data;
    uint64_t now = uv_now(&w->loop);
    lag_turn(&w->lag, now);
    wheel_turn(&w->wheel, now);
    if (w->wheel.armed)
        return;
    uv_timer_stop(timer);
    lag_rest(&w->lag, now);
}

void worker_arm(struct worker *w, struct wheel_timer *t, uint64_t due_ms) {
    wheel_arm(&w->wheel, t, due_ms);
    if (uv_is_active((uv_handle_t *)&w->turner) || uv_is_closing((uv_handle_t *)&w->turner))
        return;
    uv_timer_start(&w->turner, on_turn, WHEEL_STEP_MS, WHEEL_STEP_MS);
    lag_arm(&w->lag, uv_now(&w->loop), WHEEL_STEP_MS);
}

static void arm_for_attempt(void *owner, struct wheel_timer *t, uint32_t in_ms) {
    struct worker *w = owner;
    worker_arm(w, t, worker_now(w) + in_ms);
}

/* --- snapshots and policy states ------------------------------------------------------------ */

static struct epoch *epoch_new(struct worker *w, struct snapshot *snap, struct policy_state *policy,
                               struct policy_state *spare) {
    struct epoch *e = calloc(1, sizeof *e);
    struct health_figure **figures = calloc(snap->n_targets + 1, sizeof *figures);
    struct keyring_keys **keys = calloc(snap->n_providers + 1, sizeof *keys);
    uint64_t *told = calloc(snap->n_targets + 1, sizeof *told);
    if (!e || !figures || !keys || !told)
        abort();
    for (size_t i = 0; i < snap->n_targets; i++)
        figures[i] = health_figure(w->engine->health, snap->targets[i].id);
    for (size_t i = 0; i < snap->n_providers; i++)
        keys[i] = keyring_keys(w->engine->keyring, &snap->providers[i]);
    *e = (struct epoch){
        .snap = snap,
        .policy = policy,
        .spare = spare,
        .figures = figures,
        .keys = keys,
        .told = told,
    };
    e->adapter = adapter_new(snap);
    return e;
}

/* On the worker's own thread, whose guard it is. */
static void epoch_watch(struct worker *w, struct epoch *e) {
    if (e->adapter)
        adapter_watch(e->adapter, w->guard);
}

static void epoch_free(struct epoch *e) {
    if (e->policy)
        policy_state_free(e->policy);
    if (e->spare)
        policy_state_free(e->spare);
    if (e->adapter)
        adapter_free(e->adapter);
    for (size_t i = 0; i < e->snap->n_providers; i++)
        free(e->keys[i]);
    snapshot_unref(e->snap);
    free(e->keys);
    free(e->told);
    free(e->figures);
    free(e);
}

static void retire(struct epoch *e) {
    e->retired = true;
    if (!e->requests)
        epoch_free(e);
}

void worker_release(struct worker *w, struct epoch *e) {
    assert(e->requests > 0);
    if (--e->requests == 0 && e->retired)
        epoch_free(e);
}

/* --- what policies are told ----------------------------------------------------------------- */

/* Adds the target's figures unless they are known. */
static void tell(struct epoch *e, unsigned target, struct policy_figure *figures, size_t *n,
                 uint64_t now_ms) {
    uint64_t changes = health_changes(e->figures[target], now_ms);
    if (changes == e->told[target])
        return;
    e->told[target] = changes;
    figures[(*n)++] = figures_of(e->figures[target], target, now_ms);
}

/* News from here are told at once, what went well as ever a hundred times a second (to say it costs
 * a tenth of a request, and one answer more moves no percentile); of what other workers heard, and
 * of what time alone changes, all is looked at a few times a second, and told as far as there is
 * room: the rest before the next decision. */
struct policy_state *worker_policy(struct worker *w, struct epoch *e) {
    enum { LOOK_MS = 250, TELL_MS = 10 };
    struct policy_figure figures[EPOCH_TOLD];
    uint64_t now = worker_now(w);
    size_t n = 0;
    if (!e->policy)
        return NULL;
    if (e->news || (e->n_learnt && now - e->told_ms >= TELL_MS)) {
        for (size_t i = 0; i < e->n_learnt; i++)
            tell(e, e->learnt[i], figures, &n, now);
        e->n_learnt = 0;
        e->news = false;
        e->told_ms = now;
    }
    if (now - e->looked_ms >= LOOK_MS)
        e->looked_ms = now, e->look_at = 0;
    while (e->look_at < e->snap->n_targets && n < EPOCH_TOLD)
        tell(e, (unsigned)e->look_at++, figures, &n, now);
    if (n) {
        policy_update(e->policy, figures, n);
        if (e->spare && e->spare_told)
            policy_update(e->spare, figures, n);
        record_figures(w->engine->record, w->index, e->snap, figures, n);
    }
    return e->policy;
}

struct policy_state *worker_spare(struct worker *w, struct epoch *e) {
    struct policy_figure figures[EPOCH_TOLD];
    size_t n = 0;
    if (!e->spare || e->spare_told)
        return e->spare;
    for (unsigned i = 0; i < e->snap->n_targets; i++) {
        if (e->told[i])
            figures[n++] = figures_of(e->figures[i], i, worker_now(w));
        if (n == EPOCH_TOLD || (n && i + 1 == e->snap->n_targets)) {
            policy_update(e->spare, figures, n);
            n = 0;
        }
    }
    e->spare_told = true;
    return e->spare;
}

void worker_learnt(struct worker *w, struct epoch *e, const struct target *target, bool news) {
    size_t i = 0;
    e->news |= news;
    while (i < e->n_learnt && e->learnt[i] != target->index)
        i++;
    if (i == e->n_learnt && i < EPOCH_TOLD)
        e->learnt[e->n_learnt++] = target->index;
}

void worker_policy_died(struct worker *w, struct epoch *e) {
    atomic_fetch_add_explicit(&w->figures.kills, 1, memory_order_relaxed);
    policy_state_free(e->policy);
    e->policy = e->spare;
    e->spare = NULL;
    e->spare_told = false;
    memset(e->told, 0, e->snap->n_targets * sizeof *e->told); /* the other one knows nothing yet */
    e->looked_ms = 0;
    if (e->retired)
        return;
    atomic_fetch_add(&w->wants, 1);
    engine_want(w->engine);
}

void worker_spare_died(struct worker *w, struct epoch *e) {
    policy_state_free(e->spare);
    e->spare = NULL;
    e->spare_told = false;
    if (e->retired)
        return;
    atomic_fetch_add(&w->wants, 1);
    engine_want(w->engine);
}

/* Requests that waited for a state decide now; deciding may use the state up again. */
static void serve_awaiting(struct worker *w) {
    while (w->awaiting && w->epoch->policy) {
        struct request *r = w->awaiting;
        request_decide(r);
        assert(w->awaiting != r);
    }
}

static void put_state(struct worker *w, struct policy_state *state) {
    struct epoch *e = w->epoch;
    if (policy_state_snapshot(state) != e->snap || (e->policy && e->spare)) {
        policy_state_free(state);
        return;
    }
    if (!e->policy)
        e->policy = state;
    else
        e->spare = state;
}

/* Where all clients are one key, that key may have the whole queue. */
static void set_queue(struct worker *w, const struct config *c) {
    w->queue.max = c->queue_max;
    w->queue.max_a_key = keys_any(w->engine->money->keys) ? c->queue_max_a_key : c->queue_max;
}

static void begin_stop(struct worker *w);

static void on_wake(uv_async_t *async) {
    struct worker *w = async->data;
    pthread_mutex_lock(&w->lock);
    struct snapshot *snap = w->next_snap;
    struct policy_state *policy = w->next_policy, *spare = w->next_spare;
    struct policy_state *refill[2] = { w->refill[0], w->refill[1] };
    bool stop = w->next_stop;
    w->next_snap = NULL;
    w->next_policy = w->next_spare = w->refill[0] = w->refill[1] = NULL;
    pthread_mutex_unlock(&w->lock);
    if (snap) {
        struct epoch *old = w->epoch;
        w->epoch = epoch_new(w, snap, policy, spare);
        epoch_watch(w, w->epoch);
        set_queue(w, &snap->config);
        retire(old);
        atomic_store(&w->generation, snap->generation);
        engine_want(w->engine);
    }
    for (size_t i = 0; i < 2; i++)
        if (refill[i])
            put_state(w, refill[i]);
    serve_awaiting(w);
    repeat_review(w);
    if (stop && !w->stopping)
        begin_stop(w);
}

void worker_adopt(struct worker *w, struct snapshot *snap, struct policy_state *policy,
                  struct policy_state *spare) {
    pthread_mutex_lock(&w->lock);
    struct snapshot *missed = w->next_snap;
    struct policy_state *missed_policy = w->next_policy, *missed_spare = w->next_spare;
    w->next_snap = snapshot_ref(snap);
    w->next_policy = policy;
    w->next_spare = spare;
    atomic_store(&w->wants, 0);
    pthread_mutex_unlock(&w->lock);
    if (missed) {
        policy_state_free(missed_policy);
        policy_state_free(missed_spare);
        snapshot_unref(missed);
    }
    uv_async_send(&w->wake);
}

void worker_refill(struct worker *w, struct policy_state *state) {
    pthread_mutex_lock(&w->lock);
    struct policy_state *missed = w->refill[1];
    w->refill[1] = w->refill[0];
    w->refill[0] = state;
    pthread_mutex_unlock(&w->lock);
    if (missed)
        policy_state_free(missed);
    uv_async_send(&w->wake);
}

/* --- the queue ------------------------------------------------------------------------------ */

/* While somebody waits it is looked at a few times a second at least: what they wait for may
 * have come back before it was expected, and only another worker knows. */
static void on_queue(void *owner) {
    struct worker *w = owner;
    for (struct request *r = w->requests; r; r = request_next(r))
        request_review(r);
    queue_turn(&w->queue, worker_now(w));
    worker_queue_changed(w);
}

void worker_queue_changed(struct worker *w) {
    enum { REVIEW_MS = 250 };
    uint64_t due = queue_due(&w->queue), review = worker_now(w) + REVIEW_MS;
    if (!w->queue.n)
        wheel_disarm(&w->wheel, &w->queue_timer);
    else
        worker_arm(w, &w->queue_timer, due < review ? due : review);
    atomic_store_explicit(&w->figures.queued, (unsigned)w->queue.n, memory_order_relaxed);
}

/* --- requests ------------------------------------------------------------------------------- */

/* Begins an answer of our own; returns its request's id. */
static struct span begin_reply(struct worker *w, struct reply *headers, struct arena *arena) {
    char id[IDENT_SIZE];
    ident_make(&w->ids, clock_wall_ms(), id);
    reply_init(headers, arena);
    struct span kept = arena_copy(arena, span_of(id));
    reply_add(headers, SPAN("x-request-id"), kept);
    return kept;
}

static void reply(struct worker *w, struct conn *c, struct http_message *m, int status,
                  struct reply *headers, struct span body) {
    if (m)
        reply_cors(headers, &w->epoch->snap->config, m);
    conn_reply(c, status, headers->headers, headers->n, body);
}

/* What the sender of a message speaks: the endpoint's dialect, but where one path is for all and a
 * header tells Anthropic's clients apart. */
static enum dialect dialect_of_message(struct http_message *m) {
    const struct endpoint *e = endpoint_match(m->method, m->path, &m->arena).endpoint;
    if (e->dialect == DIALECT_ANTHROPIC_MESSAGES || !http_header(m, SPAN("anthropic-version")).at)
        return e->dialect;
    return DIALECT_ANTHROPIC_MESSAGES;
}

void worker_over(struct worker *w, const struct snapshot *snap, const struct entry *e) {
    metrics_count(w->metrics, snap, e);
    feed_add(w->engine->feed, e);
}

/* Of a path there is nothing at no more is noted than that: what clients make up may be anything. */
static void note_refusal(struct worker *w, struct http_message *m, const struct api_error *error) {
    const struct entry e = {
        .id = error->id,
        .at_us = clock_wall_ms() * 1000,
        .endpoint = m ? endpoint_match(m->method, m->path, &m->arena).endpoint->path : SPAN_NONE,
        .outcome = ENTRY_REFUSED,
        .status = error_status(error),
        .error = error_code(error),
        .queue_us = -1,
        .policy_us = -1,
        .first_us = -1,
        .total_us = -1,
    };
    worker_over(w, w->epoch->snap, &e);
}

static void refuse(struct worker *w, struct conn *c, struct http_message *m, struct arena *arena,
                   const struct api_error *why, struct span allow) {
    enum dialect dialect = m ? dialect_of_message(m) : DIALECT_NONE;
    struct api_error named = *why, *error = &named;
    struct reply headers;
    struct buf body = { 0 };
    named.id = begin_reply(w, &headers, arena);
    if (dialect == DIALECT_ANTHROPIC_MESSAGES)
        reply_add(&headers, SPAN("request-id"), named.id);
    reply_add(&headers, SPAN("content-type"), SPAN("application/json"));
    reply_add(&headers, SPAN("allow"), allow);
    reply_error_headers(&headers, error, false);
    error_write(dialect, error, &body);
    note_refusal(w, m, error);
    reply(w, c, m, error_status_for(dialect, error), &headers, buf_span(&body));
    buf_deinit(&body);
}

void worker_refuse(struct worker *w, struct conn *c, struct http_message *m,
                   const struct api_error *why) {
    refuse(w, c, m, &m->arena, why, SPAN_NONE);
}

/* What is wrong with the route of a request, if anything is. */
static bool route_ok(struct http_message *m, const struct endpoint_match *match,
                     struct api_error *error) {
    if (match->endpoint->kind == ENDPOINT_UNKNOWN) {
        *error = api_error(
            ERROR_NOT_FOUND,
            match->nearest.at
                ? arena_printf(&m->arena, "There is nothing at %.*s. Did you mean %.*s?",
                               SPAN_ARGS(span_sub(m->path, 0, 200)), SPAN_ARGS(match->nearest))
                : arena_printf(&m->arena,
                               "There is nothing at %.*s. Chat goes to /v1/chat/completions.",
                               SPAN_ARGS(span_sub(m->path, 0, 200))));
        return false;
    }
    if (!match->method_ok) {
        *error =
            api_error(ERROR_METHOD_NOT_ALLOWED,
                      arena_printf(&m->arena, "%.*s takes %.*s.", SPAN_ARGS(match->endpoint->path),
                                   SPAN_ARGS(match->endpoint->methods)));
        return false;
    }
    return true;
}

static bool is_full(const struct worker *w) {
    unsigned in_flight = atomic_load_explicit(&w->figures.in_flight, memory_order_relaxed);
    return in_flight >= w->epoch->snap->config.max_in_flight || in_flight >= w->upstreams;
}

/* Whoever came now would wait for those who came before, turn by turn. */
static bool is_late(const struct worker *w) {
    uint32_t most = w->epoch->snap->config.max_lag_ms;
    return most && lag_is_over(&w->lag, worker_now(w), most);
}

static bool has_room(struct worker *w, const struct endpoint *endpoint, struct api_error *error) {
    if (endpoint->kind != ENDPOINT_GENERATE)
        return true;
    if (w->stopping || is_full(w))
        *error = api_error(ERROR_OVERLOADED, SPAN("Too many requests are under way. Try again."));
    else if (is_late(w))
        *error = api_error(ERROR_OVERLOADED, SPAN("More comes than can be served. Try again."));
    else
        return true;
    error->retry_after_ms = 1000;
    return false;
}

/* A request that may be answered: found out once, by its head. */
struct admission {
    struct endpoint_match match;
    struct keys_pass pass;
};

static void on_message_free(struct http_message *m) {
    struct admission *a = m->user;
    keys_pass_end(&a->pass);
}

/* NULL after it was refused. */
static struct admission *admit(struct worker *w, struct conn *c, struct http_message *m) {
    struct admission *a = arena_new(&m->arena, struct admission);
    struct api_error error;
    m->user = a;
    m->on_free = on_message_free;
    a->match = endpoint_match(m->method, m->path, &m->arena);
    if (route_ok(m, &a->match, &error) &&
        access_check(w->engine->money->keys, &w->epoch->snap->config, m, a->match.endpoint,
                     (int64_t)(clock_wall_ms() / 1000), &a->pass, &error) &&
        has_room(w, a->match.endpoint, &error))
        return a;
    refuse(w, c, m, &m->arena, &error, a->match.endpoint->methods);
    return NULL;
}

/* Refuses before the body is read. */
static bool on_head(void *owner, struct conn *c, struct http_message *m) {
    return admit(owner, c, m) != NULL;
}

static void answer_models(struct worker *w, struct conn *c, struct http_message *m,
                          const struct endpoint_match *match, const struct key *key) {
    struct reply headers;
    struct buf body = { 0 };
    struct snapshot *snap = w->epoch->snap;
    enum dialect dialect = dialect_of_message(m);
    if (match->endpoint->kind == ENDPOINT_MODEL &&
        !models_write_one(snap, dialect, match->argument, &body)) {
        struct api_error error =
            api_error(ERROR_MODEL_NOT_FOUND, SPAN("There is no such policy here."));
        reach_name(snap, match->argument, SPAN("model"), &m->arena, &error);
        refuse(w, c, m, &m->arena, &error, SPAN_NONE);
        return;
    }
    if (match->endpoint->kind == ENDPOINT_MODELS)
        models_write_list(snap, key, dialect, &body);
    begin_reply(w, &headers, &m->arena);
    reply_add(&headers, SPAN("content-type"), SPAN("application/json"));
    reply(w, c, m, 200, &headers, buf_span(&body));
    buf_deinit(&body);
}

bool worker_may_spend(struct worker *w) {
    struct journal *j = w->journal;
    return money_may_spend(w->engine->money) &&
           (!j || !journal_trouble(j) || journal_flush(j) == 0);
}

void worker_answer(struct worker *w, struct conn *c, struct http_message *m, int status,
                   struct span json) {
    struct reply headers;
    begin_reply(w, &headers, &m->arena);
    if (json.len)
        reply_add(&headers, SPAN("content-type"), SPAN("application/json"));
    reply(w, c, m, status, &headers, json);
}

static void answer_options(struct worker *w, struct conn *c, struct http_message *m,
                           const struct endpoint *endpoint) {
    struct reply headers;
    begin_reply(w, &headers, &m->arena);
    reply_add(&headers, SPAN("allow"), endpoint->methods);
    reply(w, c, m, 204, &headers, SPAN_NONE);
}

/* Everything that is answered at once, here. */
static void answer(struct worker *w, struct conn *c, struct http_message *m,
                   const struct admission *a) {
    if (span_eq(m->method, SPAN("OPTIONS"))) {
        answer_options(w, c, m, a->match.endpoint);
        return;
    }
    switch (a->match.endpoint->kind) {
    case ENDPOINT_MODELS:
    case ENDPOINT_MODEL:
        answer_models(w, c, m, &a->match, a->pass.key);
        break;
    case ENDPOINT_READY:
        if (w->stopping)
            worker_answer(w, c, m, 503, SPAN("{\"status\":\"draining\"}"));
        else if (!worker_may_spend(w))
            worker_answer(w, c, m, 503, SPAN("{\"status\":\"ledger_unavailable\"}"));
        else
            worker_answer(w, c, m, 200, SPAN("{\"status\":\"ready\"}"));
        break;
    case ENDPOINT_ROOT:
        worker_answer(w, c, m, 200,
                      SPAN("{\"service\":\"perilune\",\"version\":\"" PERILUNE_VERSION "\"}"));
        break;
    default:
        worker_answer(w, c, m, 200, SPAN("{\"status\":\"ok\"}"));
    }
}

static void on_message(void *owner, struct conn *c, struct http_message *m) {
    struct worker *w = owner;
    const struct admission *a = m->user;
    struct api_error error;
    enum endpoint_kind kind =
        span_eq(m->method, SPAN("OPTIONS")) ? ENDPOINT_UNKNOWN : a->match.endpoint->kind;
    bool is_request = kind == ENDPOINT_GENERATE || kind == ENDPOINT_COUNT_TOKENS;
    if (kind == ENDPOINT_FEEDBACK) {
        feedback_take(w->feedback, w, c, m, a->pass.key);
        return;
    }
    if (!is_request) {
        answer(w, c, m, a);
    } else if (is_full(w) && !has_room(w, a->match.endpoint, &error)) {
        /* Others were quicker with their bodies. */
        worker_refuse(w, c, m, &error);
    } else {
        request_begin(w, c, m, a->match.endpoint, &a->pass);
        return;
    }
    http_message_free(m);
}

static void on_bad_message(void *owner, struct conn *c, int status, const char *why) {
    struct worker *w = owner;
    struct arena arena;
    struct api_error error = api_error(error_of_status(status), span_of(why));
    error.status = status;
    if (status == 503)
        error.retry_after_ms = 1000;
    arena_init(&arena, 512);
    refuse(w, c, NULL, &arena, &error, SPAN_NONE);
    arena_deinit(&arena);
}

static void on_conn_close(void *owner, struct conn *c) {
    struct worker *w = owner;
    if (w->listener)
        listener_resume(w->listener);
}

static const struct conn_events conn_handlers = {
    .on_head = on_head,
    .on_message = on_message,
    .on_bad_message = on_bad_message,
    .on_close = on_conn_close,
};

/* --- the thread ----------------------------------------------------------------------------- */

static void name_handle(uv_handle_t *handle, void *arg) {
    log_error("worker %u ended with an open %s handle", ((struct worker *)arg)->index,
              uv_handle_type_name(handle->type));
}

static void on_pump_closed(void *owner) {
    struct worker *w = owner;
    w->pump = NULL;
}

/* All answers are out, or patience is: close what is left. */
static void finish_stop(void *owner) {
    struct worker *w = owner;
    wheel_disarm(&w->wheel, &w->drained);
    while (w->requests)
        request_abandon(w->requests);
    queue_deinit(&w->queue);
    conn_close_all(&w->server, true);
    attempt_free_released(&w->tools);
    token_free(w->tools.tokens);
    pump_close(w->pump, on_pump_closed, w);
    uv_timer_stop(&w->turner);
    uv_close((uv_handle_t *)&w->turner, NULL);
    pthread_mutex_lock(&w->lock);
    w->deaf = true;
    pthread_mutex_unlock(&w->lock);
    uv_close((uv_handle_t *)&w->wake, NULL);
}

/* Looks again and again whether the last request is gone. */
static void on_draining(void *owner) {
    struct worker *w = owner;
    enum { LOOK_MS = 20 };
    uint32_t patience = w->epoch->snap->config.drain_ms;
    bool idle = !w->requests && feedback_idle(w->feedback);
    if (idle || worker_now(w) - w->stopped_ms >= patience) {
        finish_stop(w);
        return;
    }
    worker_arm(w, &w->drained, worker_now(w) + LOOK_MS);
}

static void begin_stop(struct worker *w) {
    w->stopping = true;
    w->stopped_ms = worker_now(w);
    listener_close(w->listener);
    w->listener = NULL;
    conn_close_all(&w->server, false);
    w->drained = (struct wheel_timer){ .fire = on_draining, .owner = w };
    worker_arm(w, &w->drained, w->stopped_ms);
}

static void *run(void *arg) {
    struct worker *w = arg;
    w->guard = vm_guard_open(w->engine->watchdog);
    epoch_watch(w, w->epoch);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&w->loop) == UV_EBUSY)
        uv_walk(&w->loop, name_handle, w);
    retire(w->epoch);
    vm_guard_close(w->guard);
    json_parser_free(w->parser);
    return NULL;
}

static void init_server(struct worker *w, const struct config *c) {
    w->server = (struct conn_server){
        .loop = &w->loop,
        .limits = { .max_line = c->max_header_bytes,
                    .max_header_bytes = c->max_header_bytes,
                    .max_headers = c->max_headers,
                    .max_body = c->max_body },
        .head_ms = c->head_ms,
        .body_ms = c->body_ms,
        .idle_ms = c->idle_ms,
        .write_ms = c->write_ms,
        .max_body_bytes = c->max_bodies,
        .events = &conn_handlers,
        .owner = w,
    };
}

/* The thread did not come to be: everything goes, on the caller's. */
static void undo_start(struct worker *w) {
    if (w->listener)
        listener_close(w->listener);
    w->listener = NULL;
    feedback_free(w->feedback);
    journal_close(w->journal);
    token_free(w->tools.tokens);
    pump_close(w->pump, on_pump_closed, w);
    uv_close((uv_handle_t *)&w->turner, NULL);
    uv_close((uv_handle_t *)&w->wake, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    uv_loop_close(&w->loop);
    retire(w->epoch);
    json_parser_free(w->parser);
    metrics_free(w->metrics);
    pthread_mutex_destroy(&w->lock);
}

/* Where what is spent here is written down. */
static int open_journal(struct worker *w, const struct config *c) {
    const struct money *m = w->engine->money;
    struct journal_error why;
    if (!m->ledger)
        return 0;
    const struct journal_settings settings = {
        .folder = ledger_journals(m->ledger),
        .spill = c->ledger_spill,
        .power = c->ledger_power,
    };
    w->journal = journal_open(&settings, &why);
    if (w->journal)
        return 0;
    log_error("%s", why.text);
    return UV_EIO;
}

/* Descriptors of this worker, of all there may be: what is not its share is the process's own, and
 * the other workers'. */
static unsigned descriptors(const struct config *c) {
    enum { OWN = 64, LEAST = 16 };
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur > INT32_MAX)
        return INT32_MAX;
    rlim_t share = files.rlim_cur > OWN ? (files.rlim_cur - OWN) / c->workers : 0;
    return share > LEAST ? (unsigned)share : LEAST;
}

static int start_listening(struct worker *w, const struct sockaddr_storage *address,
                           const struct config *c) {
    unsigned all = descriptors(c), clients;
    w->upstreams = (unsigned)((uint64_t)all * 2 / 5);
    clients = all - w->upstreams;
    return listener_open(&w->listener, address,
                         clients < c->max_connections ? clients : c->max_connections, &w->server);
}

int worker_start(struct worker *w, struct engine *engine, unsigned index,
                 const struct sockaddr_storage *address, struct snapshot *snap,
                 struct policy_state *policy, struct policy_state *spare) {
    *w = (struct worker){ .engine = engine, .index = index };
    pthread_mutex_init(&w->lock, NULL);
    uv_loop_init(&w->loop);
    uv_timer_init(&w->loop, &w->turner);
    uv_async_init(&w->loop, &w->wake, on_wake);
    w->turner.data = w->wake.data = w;
    wheel_init(&w->wheel, uv_now(&w->loop));
    random_seed_system(&w->random);
    ident_init(&w->ids);
    w->metrics = metrics_new();
    w->parser = json_parser_new();
    w->pump = pump_new(&w->loop, &engine->pump_options);
    w->tools = (struct attempt_tools){ .pump = w->pump,
                                       .wheel = &w->wheel,
                                       .parser = w->parser,
                                       .random = &w->random,
                                       .tokens = token_new(w->pump, w->parser),
                                       .kept = engine->kept,
                                       .arm = arm_for_attempt,
                                       .owner = w };
    w->epoch = epoch_new(w, snapshot_ref(snap), policy, spare);
    atomic_store(&w->generation, snap->generation);
    queue_init(&w->queue, 0, 0);
    set_queue(w, &snap->config);
    w->queue_timer = (struct wheel_timer){ .fire = on_queue, .owner = w };
    w->feedback = feedback_new(w);
    init_server(w, &snap->config);
    int error = open_journal(w, &snap->config);
    if (error == 0)
        error = start_listening(w, address, &snap->config);
    if (error < 0)
        w->listener = NULL;
    else
        error = -pthread_create(&w->thread, NULL, run, w);
    if (error < 0)
        undo_start(w);
    return error;
}

void worker_stop(struct worker *w) {
    pthread_mutex_lock(&w->lock);
    w->next_stop = true;
    pthread_mutex_unlock(&w->lock);
    uv_async_send(&w->wake);
}

void worker_wake(struct worker *w) {
    pthread_mutex_lock(&w->lock);
    if (!w->deaf)
        uv_async_send(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

void worker_join(struct worker *w) {
    pthread_join(w->thread, NULL);
}

void worker_deinit(struct worker *w) {
    feedback_free(w->feedback);
    journal_close(w->journal);
    metrics_free(w->metrics);
    if (w->next_snap)
        snapshot_unref(w->next_snap);
    struct policy_state *left[] = { w->next_policy, w->next_spare, w->refill[0], w->refill[1] };
    for (size_t i = 0; i < sizeof left / sizeof *left; i++)
        if (left[i])
            policy_state_free(left[i]);
    pthread_mutex_destroy(&w->lock);
}
