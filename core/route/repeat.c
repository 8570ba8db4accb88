#include "route/repeat.h"

#include "base/clock.h"
#include "route/client.h"
#include "route/engine.h"

static struct idempotency *table_of(const struct request *r) {
    return r->worker->engine->idempotency;
}

/* --- those that wait ------------------------------------------------------------------------ */

static void join(struct repeat *p) {
    struct worker *w = p->request->worker;
    p->next = w->repeats;
    p->back = &w->repeats;
    if (p->next)
        p->next->back = &p->next;
    w->repeats = p;
}

static void leave(struct repeat *p) {
    if (!p->back)
        return;
    *p->back = p->next;
    if (p->next)
        p->next->back = p->back;
    p->next = NULL;
    p->back = NULL;
}

/* A bit for each worker. */
static void wake(struct engine *e, uint64_t lanes) {
    for (unsigned i = 0; lanes; i++, lanes >>= 1)
        if (lanes & 1)
            worker_wake(&e->workers[i]);
}

/* --- the beginning -------------------------------------------------------------------------- */

/* It asked nobody and cost nothing. */
static void replay(struct request *r, struct idempotency_answer *answer) {
    request_gate(r, answer->status < 400 ? REQUEST_ANSWERED : REQUEST_REFUSED, answer->status,
                 SPAN_NONE);
    client_replay(r, answer);
    idempotency_answer_unref(answer);
    request_dismiss(r);
}

static void refuse(struct request *r, enum error_code code, struct span why) {
    struct api_error error = api_error(code, why);
    error.param = SPAN("idempotency-key");
    request_fail(r, &error);
}

/* As repeat_begin(). */
static bool look(struct request *r) {
    struct repeat *p = r->repeat;
    struct idempotency_answer *answer;
    switch (idempotency_ask(table_of(r), &p->id, r->worker->index, clock_ms(), &answer)) {
    case IDEMPOTENCY_FIRST:
        p->first = true;
        return true;
    case IDEMPOTENCY_UNDER_WAY:
        join(p);
        break;
    case IDEMPOTENCY_ANSWERED:
        replay(r, answer);
        break;
    case IDEMPOTENCY_OTHER:
        refuse(r, ERROR_IDEMPOTENCY_MISMATCH,
               SPAN("This Idempotency-Key came with another request before: give each its own."));
        break;
    case IDEMPOTENCY_FORGOTTEN:
        refuse(r, ERROR_CONFLICT,
               SPAN("This request was answered before, and its answer is not kept any more: it "
                    "was too large, or it is too long ago. To ask anew, give it another "
                    "Idempotency-Key."));
    }
    return false;
}

bool repeat_begin(struct request *r) {
    struct span key = http_header(r->message, SPAN("idempotency-key"));
    if (!key.at)
        return true;
    if (!key.len || key.len > REPEAT_KEY_MAX) {
        refuse(r, ERROR_INVALID_REQUEST,
               SPAN("The header idempotency-key must be 1 to 255 characters long."));
        return false;
    }
    r->repeat = arena_new(request_arena(r), struct repeat);
    r->repeat->request = r;
    r->repeat->id =
        idempotency_id(request_key(r), key, r->endpoint->path, buf_span(&r->message->body));
    return look(r);
}

void repeat_review(struct worker *w) {
    for (struct repeat *p = w->repeats, *next; p; p = next) {
        struct request *r = p->request;
        next = p->next;
        leave(p);
        if (look(r))
            request_run(r);
    }
}

/* --- the first one -------------------------------------------------------------------------- */

bool repeat_goes_on(struct request *r) {
    struct repeat *p = r->repeat;
    if (!p || !p->first)
        return false;
    p->first = !idempotency_leave(table_of(r), &p->id);
    return p->first;
}

/* Whether a header is about one exchange, and not about what was answered. */
static bool is_of_exchange(struct span name) {
#define NAME(literal)                                                                              \
    { literal, sizeof(literal) - 1 }
    static const struct span names[] = { NAME("x-request-id"),
                                         NAME("request-id"),
                                         NAME("x-route-attempts"),
                                         NAME("x-route-replaced"),
                                         NAME("x-route-cost-usd"),
                                         NAME("server-timing"),
                                         NAME("vary") };
#undef NAME
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (span_eq(name, names[i]))
            return true;
    return span_starts(name, SPAN("x-ratelimit-")) ||
           span_starts(name, SPAN("anthropic-ratelimit-")) ||
           span_starts(name, SPAN("access-control-"));
}

void repeat_head(struct request *r, int status, const struct reply *reply) {
    struct repeat *p = r->repeat;
    if (!p->first)
        return;
    p->status = status;
    p->headers = arena_new_array(request_arena(r), struct pair, reply->n);
    for (size_t i = 0; i < reply->n; i++) {
        struct pair h = reply->headers[i];
        if (!is_of_exchange(h.name))
            p->headers[p->n_headers++] = (struct pair){ arena_copy(request_arena(r), h.name),
                                                        arena_copy(request_arena(r), h.value) };
    }
}

void repeat_body(struct request *r, struct span bytes) {
    struct repeat *p = r->repeat;
    p->too_large |= p->body.len + bytes.len > REPEAT_ANSWER_MAX;
    if (p->too_large)
        buf_deinit(&p->body);
    else if (p->first)
        buf_add(&p->body, bytes);
}

/* What would be the same the next time: an answer, or what somebody who was asked has against the
 * request itself. What may pass (limits, caps, keys, failures) may be tried again under the same
 * key. */
static bool is_final(const struct request *r) {
    int status = r->repeat->status;
    if (!r->trace.tried)
        return false;
    return status < 300 || status == 400 || status == 404 || status == 413 || status == 422;
}

static struct idempotency_answer *answer_of(const struct request *r) {
    const struct repeat *p = r->repeat;
    if (p->too_large)
        return NULL;
    return idempotency_answer_new(p->status, r->facts.id, p->headers, p->n_headers,
                                  buf_span(&p->body));
}

/* The first one is over. */
static void settle(struct request *r, bool keep) {
    struct repeat *p = r->repeat;
    if (!p->first)
        return;
    p->first = false;
    wake(r->worker->engine, keep ? idempotency_keep(table_of(r), &p->id, answer_of(r), clock_ms())
                                 : idempotency_drop(table_of(r), &p->id));
}

void repeat_whole(struct request *r) {
    settle(r, is_final(r));
}

void repeat_end(struct request *r) {
    struct repeat *p = r->repeat;
    if (!p)
        return;
    leave(p);
    settle(r, false);
    buf_deinit(&p->body);
}
