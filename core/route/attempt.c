#include "route/attempt.h"

#include "base/clock.h"
#include "base/random.h"
#include "route/access.h"
#include "route/stream.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

enum {
    ANSWER_MAX = 8 * 1024 * 1024, /* of a whole answer */
    REFUSAL_MAX = 64 * 1024,      /* of an error body; the rest says nothing more */
    LINGER_MS = 1000,             /* a released exchange may take this long to run out */
    UPSTREAM_ID_MAX = 128,        /* bytes of it that are kept */
    ARENA_BLOCK = 960,            /* with its head within what glibc's threads keep for malloc */
    HEADERS_UP = 24,
    HEADERS_BACK = 8
};

struct attempt {
    struct arena arena;
    struct attempt_tools *tools;
    struct attempt_setup setup;
    const struct attempt_events *events;
    void *owner;
    struct attempt *next, **back; /* among the released ones */
    struct transfer *transfer;
    struct buf body;   /* what goes up */
    struct buf answer; /* a whole answer, or a refusal, as it comes */
    struct span whole; /* the same, in the client's dialect */
    struct stream stream;
    struct wheel_timer first;  /* until the first content; until a released one is given up */
    struct wheel_timer silent; /* between content */
    struct attempt_failure failure;
    struct pair headers[HEADERS_BACK];
    size_t n_headers;
    struct span model, dropped;
    int handle;     /* at the adapter; 0: passes through */
    bool streaming; /* the answer is a stream, and `stream` reads it */
    bool announced; /* on_content was called */
    bool paused;    /* the client is slow */
    bool broken;    /* it failed before it started: on_fail comes by the timer */
};

const struct attempt_failure *attempt_failure(const struct attempt *a) {
    return &a->failure;
}

struct span attempt_model(const struct attempt *a) {
    struct span said = a->streaming ? a->stream.model : a->model;
    return said.len ? said : a->setup.step->target->model;
}

const struct pair *attempt_headers(const struct attempt *a, size_t *n) {
    *n = a->n_headers;
    return a->headers;
}

struct span attempt_dropped(const struct attempt *a) {
    return a->dropped;
}

static const struct provider *provider_of(const struct attempt *a) {
    return a->setup.step->target->provider;
}

/* --- its end -------------------------------------------------------------------------------- */

/* The last thing done with it here: the owner frees it. */
static void fail(struct attempt *a, enum failure class, struct span message) {
    a->failure.class = class;
    if (message.at)
        a->failure.message = message;
    a->events->on_fail(a->owner, a);
}

void attempt_free(struct attempt *a) {
    wheel_disarm(a->tools->wheel, &a->first);
    wheel_disarm(a->tools->wheel, &a->silent);
    if (a->back) {
        *a->back = a->next;
        if (a->next)
            a->next->back = a->back;
    }
    if (a->transfer)
        transfer_free(a->transfer);
    if (a->handle)
        adapter_close(a->setup.adapter, a->handle);
    if (a->streaming)
        stream_deinit(&a->stream);
    buf_deinit(&a->body);
    buf_deinit(&a->answer);
    arena_deinit(&a->arena);
    free(a);
}

static void on_lingered(void *owner) {
    attempt_free(owner);
}

void attempt_release(struct attempt *a) {
    if (a->handle) {
        adapter_close(a->setup.adapter, a->handle);
        a->handle = 0;
    }
    wheel_disarm(a->tools->wheel, &a->silent);
    a->events = NULL;
    a->next = a->tools->released;
    a->back = &a->tools->released;
    if (a->next)
        a->next->back = &a->next;
    a->tools->released = a;
    if (!a->transfer) {
        attempt_free(a);
        return;
    }
    a->first.fire = on_lingered;
    a->tools->arm(a->tools->owner, &a->first, LINGER_MS);
    if (a->paused)
        transfer_resume(a->transfer);
}

void attempt_free_released(struct attempt_tools *tools) {
    while (tools->released)
        attempt_free(tools->released);
}

/* --- what comes back ------------------------------------------------------------------------ */

static int64_t http_date_ms(struct span value) {
    char text[64];
    struct tm tm = { 0 };
    if (value.len >= sizeof text)
        return -1;
    memcpy(text, value.at, value.len);
    text[value.len] = '\0';
    const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    if (!end || *end)
        return -1;
    int64_t in = (int64_t)timegm(&tm) * 1000 - (int64_t)clock_wall_ms();
    return in > 0 ? in : 0;
}

/* Milliseconds (retry-after-ms), or seconds or a date (RFC 9110, section 10.2.3); -1 when it is
 * none of them. */
static int64_t retry_after(struct span name, struct span value) {
    double n;
    if (!span_double(value, &n))
        return span_eq(name, SPAN("retry-after")) ? http_date_ms(value) : -1;
    if (!span_eq(name, SPAN("retry-after-ms")))
        n *= 1000;
    return n >= 0 && n < 1e12 ? (int64_t)n : -1;
}

static void read_headers(struct attempt *a, const struct transfer_head *head, struct span *type) {
    bool exact = false; /* milliseconds win over seconds */
    for (size_t i = 0; i < head->n_headers; i++) {
        struct pair h = head->headers[i];
        if (span_eq(h.name, SPAN("content-type"))) {
            *type = h.value;
        } else if (span_eq(h.name, SPAN("x-request-id")) || span_eq(h.name, SPAN("request-id"))) {
            a->setup.record->upstream_id =
                arena_copy(a->setup.arena, wire_mask_text(provider_of(a), &a->arena,
                                                          span_sub(h.value, 0, UPSTREAM_ID_MAX)));
        } else if (span_eq(h.name, SPAN("retry-after-ms"))) {
            a->failure.retry_after_ms = retry_after(h.name, h.value);
            exact = a->failure.retry_after_ms >= 0;
        } else if (span_eq(h.name, SPAN("retry-after")) && !exact) {
            a->failure.retry_after_ms = retry_after(h.name, h.value);
        } else if (a->n_headers < HEADERS_BACK && access_returns(provider_of(a)->dialect, h.name)) {
            a->headers[a->n_headers++] =
                (struct pair){ arena_copy(&a->arena, h.name),
                               arena_copy(&a->arena,
                                          wire_mask_text(provider_of(a), &a->arena, h.value)) };
        }
    }
}

static void on_route(void *owner, struct buf *out) {
    struct attempt *a = owner;
    struct trace_attempt *record = a->setup.record;
    const struct wire_usage *u = &a->stream.usage;
    record->ended_us = clock_us();
    record->input_tokens = u->input;
    record->output_tokens = u->output;
    record->cached_tokens = u->cached;
    record->written_tokens = u->written;
    record->cost = trace_attempt_cost(record);
    a->events->on_route(a->owner, a, out);
}

static void begin_stream(struct attempt *a) {
    struct stream_setup setup = {
        .wire = wire_of(provider_of(a)->dialect),
        .adapter = a->handle ? a->setup.adapter : NULL,
        .handle = a->handle,
        .target = a->setup.step->target,
        .parser = a->tools->parser,
        .arena = &a->arena,
        .keep_usage = a->setup.keep_usage,
        .on_route = on_route,
        .owner = a,
    };
    stream_init(&a->stream, &setup);
    a->streaming = true;
}

static void on_head(void *owner, const struct transfer_head *head) {
    struct attempt *a = owner;
    struct span type = SPAN_NONE;
    const struct span sse = SPAN("text/event-stream");
    if (!a->events)
        return;
    read_headers(a, head, &type);
    a->failure.status = head->status;
    a->setup.record->status = head->status;
    bool is_sse = !type.at || span_eq_nocase(span_sub(type, 0, sse.len), sse);
    if (a->setup.facts->stream && head->status == 200 && is_sse)
        begin_stream(a);
}

static void note_usage(struct trace_attempt *record, const struct wire_usage *u) {
    record->input_tokens = u->input;
    record->output_tokens = u->output;
    record->cached_tokens = u->cached;
    record->written_tokens = u->written;
    record->reasoning_tokens = u->reasoning;
}

static void stream_failed(struct attempt *a) {
    struct wire_error *e = &a->stream.error;
    a->failure.code = e->code;
    a->failure.type = e->type;
    fail(a, a->stream.why, e->message);
}

/* Hands on what the stream has for the client, and its end. False: the attempt is not ours any
 * more. */
static bool hand_on(struct attempt *a) {
    struct stream *s = &a->stream;
    if (s->state == STREAM_HELD)
        return true;
    if (!a->announced && s->state != STREAM_FAILED) {
        a->announced = true;
        a->setup.record->first_us = clock_us();
        wheel_disarm(a->tools->wheel, &a->first);
        a->events->on_content(a->owner, a);
    }
    if (a->announced && s->out.len) {
        a->paused = !a->events->on_events(a->owner, a, buf_span(&s->out));
        buf_clear(&s->out);
    }
    note_usage(a->setup.record, &s->usage);
    if (s->state == STREAM_FLOWING)
        return true;
    if (s->state == STREAM_ENDED)
        a->events->on_end(a->owner, a);
    else
        stream_failed(a);
    return false;
}

static uint32_t or_default(uint32_t said, uint32_t configured) {
    return said ? said : configured;
}

static void arm_silent(struct attempt *a) {
    uint32_t ms = or_default(a->setup.step->idle_ms, provider_of(a)->idle_ms);
    if (ms)
        a->tools->arm(a->tools->owner, &a->silent, ms);
}

static bool feed_stream(struct attempt *a, const char *bytes, size_t len) {
    if (a->paused)
        return false;
    stream_feed(&a->stream, bytes, len);
    /* The end of the stream may free the attempt. */
    bool flowing = a->stream.state == STREAM_FLOWING;
    if (!hand_on(a))
        return true;
    if (flowing && !a->paused)
        arm_silent(a);
    else
        wheel_disarm(a->tools->wheel, &a->silent);
    return true;
}

static bool on_body(void *owner, const char *bytes, size_t len) {
    struct attempt *a = owner;
    if (!a->events)
        return true;
    if (a->streaming)
        return feed_stream(a, bytes, len);
    if (a->failure.status != 200) {
        size_t room = REFUSAL_MAX - a->answer.len;
        buf_append(&a->answer, bytes, len < room ? len : room);
    } else if (a->answer.len + len > ANSWER_MAX) {
        fail(a, FAILURE_BAD_RESPONSE, SPAN("The answer was larger than 8 MB."));
    } else {
        buf_append(&a->answer, bytes, len);
    }
    return true;
}

/* A refusal, in whatever shape the provider gives it. */
static void refused(struct attempt *a) {
    const struct provider *p = provider_of(a);
    struct wire_error error = { 0 };
    wire_read_error(a->tools->parser, buf_span(&a->answer), &a->arena, &error);
    wire_mask(p, &a->arena, &error);
    a->failure.code = error.code;
    a->failure.type = error.type;
    fail(a, wire_classify(p->rules, p->n_rules, a->failure.status, &error), error.message);
}

/* The answer names who gave it, also where the provider did not. */
static void add_model(struct attempt *a, const struct wire_seen *seen) {
    struct buf raw = { 0 }, named = { 0 };
    buf_add_json(&raw, a->setup.step->target->model);
    struct json_edit edit = { .where = seen->model_place, .raw = buf_span(&raw) };
    json_splice(buf_span(&a->answer), &edit, 1, &named);
    buf_deinit(&raw);
    buf_deinit(&a->answer);
    a->answer = named;
}

static void check_answer(struct attempt *a) {
    const struct provider *p = provider_of(a);
    struct wire_seen seen = { 0 };
    wire_of(p->dialect)->read_answer(a->tools->parser, buf_span(&a->answer), &a->arena, &seen);
    if (seen.kind == WIRE_ERROR) {
        wire_mask(p, &a->arena, &seen.error);
        a->failure.code = seen.error.code;
        a->failure.type = seen.error.type;
        fail(a, wire_classify(p->rules, p->n_rules, 200, &seen.error), seen.error.message);
        return;
    }
    if (seen.kind != WIRE_OK) {
        fail(a, FAILURE_BAD_RESPONSE, SPAN("The answer was not in the provider's dialect."));
        return;
    }
    if (!seen.content && !seen.excused) {
        fail(a, FAILURE_BAD_RESPONSE, SPAN("The answer had no content."));
        return;
    }
    if (seen.has_usage)
        note_usage(a->setup.record, &seen.usage);
    a->model = arena_copy(&a->arena, seen.model);
    if (!seen.model.len)
        add_model(a, &seen);
    a->whole = buf_span(&a->answer);
    a->events->on_answer(a->owner, a, a->whole);
}

static void adapt_answer(struct attempt *a) {
    const struct provider *p = provider_of(a);
    struct adapter_seen seen = { 0 };
    struct buf out = { 0 };
    const char *why;
    int error =
        adapter_answer(a->setup.adapter, a->handle, buf_span(&a->answer), &out, &seen, &why);
    buf_deinit(&a->answer);
    a->answer = out;
    if (error < 0) {
        fail(a, FAILURE_BAD_RESPONSE, arena_copy(&a->arena, span_of(why)));
        return;
    }
    if (seen.error) {
        struct wire_error said = { .message = arena_copy(&a->arena, seen.message) };
        wire_mask(p, &a->arena, &said);
        fail(a, wire_classify(p->rules, p->n_rules, a->failure.status, &said), said.message);
        return;
    }
    if (!seen.content && !seen.excused) {
        fail(a, FAILURE_BAD_RESPONSE, SPAN("The answer had no content."));
        return;
    }
    struct wire_usage usage = { seen.input_tokens, seen.output_tokens, seen.cached_tokens,
                                seen.cache_write_tokens, seen.reasoning_tokens };
    note_usage(a->setup.record, &usage);
    a->model = arena_copy(&a->arena, seen.model);
    a->whole = buf_span(&a->answer);
    a->events->on_answer(a->owner, a, a->whole);
}

static void drop_transfer(struct attempt *a) {
    transfer_free(a->transfer);
    a->transfer = NULL;
}

static void on_done(void *owner, const struct transfer_times *times) {
    struct attempt *a = owner;
    if (!a->events) {
        attempt_free(a);
        return;
    }
    drop_transfer(a);
    if (a->streaming) {
        stream_close(&a->stream);
        hand_on(a);
    } else if (a->failure.status != 200) {
        refused(a);
    } else if (a->setup.facts->stream) {
        /* Not a stream although one was asked for: an error in disguise, or nonsense. */
        struct wire_seen seen = { 0 };
        wire_of(provider_of(a)->dialect)
            ->read_answer(a->tools->parser, buf_span(&a->answer), &a->arena, &seen);
        if (seen.kind == WIRE_ERROR)
            refused(a);
        else
            fail(a, FAILURE_BAD_RESPONSE, SPAN("The provider did not stream."));
    } else if (a->handle) {
        adapt_answer(a);
    } else {
        check_answer(a);
    }
}

static void on_fail(void *owner, enum failure why, const char *text,
                    const struct transfer_times *times) {
    struct attempt *a = owner;
    if (!a->events) {
        attempt_free(a);
        return;
    }
    struct span said = arena_copy(&a->arena, span_of(text)); /* it may lie in the transfer */
    drop_transfer(a);
    fail(a, why, said);
}

static const struct transfer_events transfer_handlers = {
    .on_head = on_head, .on_body = on_body, .on_done = on_done, .on_fail = on_fail
};

void attempt_resume(struct attempt *a) {
    if (!a->paused)
        return;
    a->paused = false;
    arm_silent(a);
    if (a->transfer)
        transfer_resume(a->transfer);
}

/* --- what goes up --------------------------------------------------------------------------- */

static void on_first_late(void *owner) {
    struct attempt *a = owner;
    if (a->broken)
        fail(a, a->failure.class, SPAN_NONE);
    else
        fail(a, FAILURE_FIRST_TOKEN, SPAN("No content came in time."));
}

static void on_silent(void *owner) {
    fail(owner, FAILURE_IDLE, SPAN("The provider fell silent."));
}

static struct span pick_key(const struct attempt *a) {
    const struct provider *p = provider_of(a);
    uint64_t sum = 0;
    for (size_t i = 0; i < p->n_keys; i++)
        sum += p->keys[i].weight;
    uint64_t at = p->n_keys > 1 ? random_below(a->tools->random, sum) : 0;
    for (size_t i = 0; i < p->n_keys; i++) {
        if (at < p->keys[i].weight)
            return p->keys[i].secret;
        at -= p->keys[i].weight;
    }
    return p->n_keys ? p->keys[0].secret : SPAN_NONE;
}

static size_t make_headers(struct attempt *a, struct span *out) {
    const struct provider *p = provider_of(a);
    const struct facts *facts = a->setup.facts;
    size_t n = 0;
    out[n++] = SPAN("content-type: application/json");
    out[n++] = facts->stream ? SPAN("accept: text/event-stream") : SPAN("accept: application/json");
    struct span key = p->auth == AUTH_BEARER ? pick_key(a) : SPAN_NONE;
    if (key.at)
        out[n++] = arena_printf(&a->arena, "authorization: Bearer %.*s", SPAN_ARGS(key));
    for (size_t i = 0; i < p->n_headers && n < HEADERS_UP; i++)
        out[n++] = p->headers[i];
    for (size_t i = 0; i < facts->n_headers && n < HEADERS_UP; i++)
        if (access_forwards(p->dialect, facts->headers[i].name))
            out[n++] = arena_printf(&a->arena, "%.*s: %.*s", SPAN_ARGS(facts->headers[i].name),
                                    SPAN_ARGS(facts->headers[i].value));
    return n;
}

/* Builds the upstream body: by the adapter where dialects differ (or a provider asks for it), else
 * by changing the client's. Returns the path behind the base URL; SPAN_NONE with the failure
 * filled. */
static struct span build(struct attempt *a) {
    const struct attempt_setup *s = &a->setup;
    const struct target *target = s->step->target;
    if (target->provider->dialect == s->facts->dialect && !target->provider->adapt) {
        if (body_build(a->tools->parser, s->body, target->upstream, s->step->params,
                       s->step->n_params, s->facts->stream, &a->body) == 0)
            return s->endpoint->upstream;
        a->failure.message = SPAN("A parameter stands twice in the body.");
        return SPAN_NONE;
    }
    const char *why = "No adapter is loaded.";
    struct adapter_setup setup = {
        .client = s->facts->dialect,
        .spoken = target->dialect,
        .target = target,
        .body = s->body->text,
        .stream = s->facts->stream,
        .params = s->step->params,
        .n_params = s->step->n_params,
        .id = s->facts->id,
        .created_s = s->facts->now_ms / 1000,
        .arena = &a->arena,
        .out = &a->body,
    };
    a->handle = s->adapter ? adapter_open(s->adapter, &setup, &why) : 0;
    if (!a->handle) {
        a->failure.message = arena_copy(&a->arena, span_of(why));
        return SPAN_NONE;
    }
    a->dropped = setup.dropped;
    return setup.path;
}

static void send_up(struct attempt *a, struct span path) {
    const struct provider *p = provider_of(a);
    const struct step *step = a->setup.step;
    struct span *headers = arena_new_array(&a->arena, struct span, HEADERS_UP);
    struct transfer_message message = {
        .method = "POST",
        .url = arena_printf(&a->arena, "%.*s%.*s", SPAN_ARGS(p->base_url), SPAN_ARGS(path)).at,
        .headers = headers,
        .n_headers = make_headers(a, headers),
        .body = buf_span(&a->body),
        .connect_ms = p->connect_ms,
        .total_ms = or_default(step->timeout_ms, p->timeout_ms),
    };
    a->transfer = transfer_start(a->tools->pump, &message, &transfer_handlers, a);
    uint32_t first = or_default(step->first_token_ms, p->first_token_ms);
    if (a->setup.facts->stream && first)
        a->tools->arm(a->tools->owner, &a->first, first);
}

struct attempt *attempt_start(struct attempt_tools *tools, const struct attempt_setup *setup,
                              const struct attempt_events *events, void *owner) {
    struct attempt *a = malloc(sizeof *a); /* not calloc: glibc keeps no cache for that */
    if (!a)
        abort();
    *a = (struct attempt){ 0 };
    arena_init(&a->arena, ARENA_BLOCK);
    a->tools = tools;
    a->setup = *setup;
    a->events = events;
    a->owner = owner;
    a->failure.retry_after_ms = -1;
    a->first.owner = a->silent.owner = a;
    a->first.fire = on_first_late;
    a->silent.fire = on_silent;
    struct span path = build(a);
    if (path.at) {
        send_up(a, path);
    } else {
        a->broken = true;
        a->failure.class = FAILURE_BAD_REQUEST;
        tools->arm(tools->owner, &a->first, 0);
    }
    return a;
}
