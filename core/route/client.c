#include "route/client.h"

#include "base/clock.h"
#include "route/bodies.h"
#include "route/repeat.h"
#include "route/reply.h"
#include "route/wire.h"
#include "route/words.h"

/* What had to be left out, and what a cap cut down: "logprobs, max_tokens=120". */
static struct span dropped(struct request *r, const struct attempt *a,
                           const struct trace_attempt *record) {
    struct span fields = words_without_keys(attempt_dropped(a), request_arena(r));
    if (!record->clamped)
        return fields;
    return arena_printf(request_arena(r), "%.*s%smax_tokens=%llu", SPAN_ARGS(fields),
                        fields.len ? ", " : "", (unsigned long long)record->clamped);
}

static void add_routed(struct request *r, struct reply *reply, const struct attempt *a,
                       const struct trace_attempt *record, bool whole) {
    size_t n;
    const struct pair *passed = attempt_headers(a, &n);
    reply_add(reply, SPAN("x-routed-model"), attempt_model(a));
    reply_add(reply, SPAN("x-routed-provider"), record->target->provider->name);
    reply_add(reply, SPAN("x-route-dropped"), dropped(r, a, record));
    reply_add(reply, SPAN("x-upstream-request-id"), record->upstream_id);
    for (size_t i = 0; i < n; i++)
        reply_add(reply, passed[i].name, passed[i].value);
    nanousd cost = whole ? trace_total_cost(&r->trace) : -1;
    if (cost >= 0) {
        struct buf usd = { 0 };
        trace_write_usd(&usd, cost);
        reply_add(reply, SPAN("x-route-cost-usd"), arena_copy(request_arena(r), buf_span(&usd)));
        buf_deinit(&usd);
    }
}

/* Which arm of which experiment the client is in, as split() noted it: "mini=gpt-4o, speed=b". */
static struct span arms_of(struct request *r) {
    const struct span mark = SPAN("split:");
    struct buf arms = { 0 };
    for (size_t i = 0; i < r->trace.n_notes; i++) {
        struct pair note = r->trace.notes[i];
        if (span_starts(note.name, mark))
            buf_printf(&arms, "%s%.*s=%.*s", arms.len ? ", " : "",
                       SPAN_ARGS(span_sub(note.name, mark.len, note.name.len)),
                       SPAN_ARGS(note.value));
    }
    struct span text = arms.len ? arena_copy(request_arena(r), buf_span(&arms)) : SPAN_NONE;
    buf_deinit(&arms);
    return text;
}

/* "policy;dur=0.031, total;dur=4.207" */
static struct span timing(struct arena *arena, uint64_t policy_us, uint64_t total_us) {
    const struct span parts[] = { SPAN("policy;dur="),
                                  arena_number(arena, policy_us / 1000, 1),
                                  SPAN("."),
                                  arena_number(arena, policy_us % 1000, 3),
                                  SPAN(", total;dur="),
                                  arena_number(arena, total_us / 1000, 1),
                                  SPAN("."),
                                  arena_number(arena, total_us % 1000, 3) };
    return arena_join(arena, parts, sizeof parts / sizeof *parts);
}

/* The headers every answer of a request has, errors too. */
static void start_reply(struct request *r, struct reply *reply, struct span type) {
    reply_init(reply, request_arena(r));
    reply_add(reply, SPAN("content-type"), type);
    reply_add(reply, SPAN("x-request-id"), r->trace.id);
    if (r->endpoint->dialect == DIALECT_ANTHROPIC_MESSAGES)
        reply_add(reply, SPAN("request-id"), r->trace.id);
    if (r->facts.replaced.name.at)
        reply_add(reply, SPAN("x-route-replaced"),
                  arena_printf(request_arena(r), "%.*s -> %.*s", SPAN_ARGS(r->facts.replaced.name),
                               SPAN_ARGS(r->facts.replaced.value)));
    reply_add(reply, SPAN("x-route-policy"), r->trace.policy);
    reply_add(reply, SPAN("x-route-arm"), arms_of(r));
    reply_add(reply, SPAN("x-route-attempts"), arena_number(request_arena(r), r->trace.tried, 1));
    reply_add(reply, SPAN("server-timing"),
              timing(request_arena(r), r->trace.policy_us, clock_us() - r->trace.began_us));
    charge_headers(r, reply);
    reply_cors(reply, &r->epoch->snap->config, r->message);
}

/* --- streams --- */

void client_commit(struct request *r, const struct attempt *a, const struct trace_attempt *record) {
    struct reply reply;
    start_reply(r, &reply, SPAN("text/event-stream; charset=utf-8"));
    reply_add(&reply, SPAN("cache-control"), SPAN("no-cache"));
    reply_add(&reply, SPAN("x-accel-buffering"), SPAN("no"));
    if (record)
        add_routed(r, &reply, a, record, false);
    if (r->repeat)
        repeat_head(r, 200, &reply);
    if (r->conn)
        conn_start(r->conn, 200, reply.headers, reply.n);
    r->committed = true;
}

bool client_write(struct request *r, struct span events) {
    if (r->repeat)
        repeat_body(r, events);
    if (r->bodies)
        bodies_take(r, events);
    return !r->conn || conn_write(r->conn, events);
}

void client_comment(struct request *r, struct span comment) {
    if (r->conn)
        conn_write(r->conn, comment);
}

void client_end(struct request *r) {
    struct span mark = wire_of(r->facts.dialect)->end_mark;
    if (mark.at)
        client_write(r, mark);
    if (r->repeat)
        repeat_whole(r);
    if (r->conn)
        conn_finish(r->conn);
}

/* --- whole answers --- */

/* A reply that is all there is. */
static void send_whole(struct request *r, int status, const struct reply *reply, struct span body) {
    if (r->repeat) {
        repeat_head(r, status, reply);
        repeat_body(r, body);
        repeat_whole(r);
    }
    if (r->bodies)
        bodies_take(r, body);
    if (r->conn)
        conn_reply(r->conn, status, reply->headers, reply->n, body);
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

void client_answer(struct request *r, const struct attempt *a, const struct trace_attempt *record,
                   struct span body) {
    struct reply reply;
    struct buf traced = { 0 };
    start_reply(r, &reply, SPAN("application/json"));
    add_routed(r, &reply, a, record, true);
    if (r->wishes.trace) {
        splice_route(r, body, &traced);
        body = buf_span(&traced);
    }
    send_whole(r, 200, &reply, body);
    buf_deinit(&traced);
}

void client_replay(struct request *r, const struct idempotency_answer *answer) {
    struct reply reply;
    start_reply(r, &reply, SPAN_NONE);
    reply_add(&reply, SPAN("idempotent-replayed"), SPAN("true"));
    reply_add(&reply, SPAN("x-idempotent-original"), answer->id);
    for (size_t i = 0; i < answer->n_headers; i++)
        reply_add(&reply, answer->headers[i].name, answer->headers[i].value);
    conn_reply(r->conn, answer->status, reply.headers, reply.n, answer->body);
}

void client_count(struct request *r, uint64_t tokens) {
    struct reply reply;
    start_reply(r, &reply, SPAN("application/json"));
    conn_reply(
        r->conn, 200, reply.headers, reply.n,
        arena_printf(request_arena(r), "{\"input_tokens\":%llu}", (unsigned long long)tokens));
}

/* --- errors --- */

void client_place(struct request *r, const struct attempt *a) {
    r->place = attempt_place(a);
    r->place.id = arena_copy(request_arena(r), r->place.id);
    r->place.model = arena_copy(request_arena(r), r->place.model);
}

static void reply_error(struct request *r, const struct api_error *error) {
    struct reply reply;
    struct buf body = { 0 };
    start_reply(r, &reply, SPAN("application/json"));
    reply_error_headers(&reply, error, r->trace.tried > 0);
    error_write(r->endpoint->dialect, error, &body);
    send_whole(r, error_status_for(r->endpoint->dialect, error), &reply, buf_span(&body));
    buf_deinit(&body);
}

void client_error(struct request *r, const struct api_error *error) {
    struct buf event = { 0 };
    if (!r->committed) {
        reply_error(r, error);
        return;
    }
    error_write_event(r->endpoint->dialect, error, &event);
    repeat_end(r);
    if (r->conn) {
        conn_write(r->conn, buf_span(&event));
        conn_finish(r->conn);
    }
    buf_deinit(&event);
}
