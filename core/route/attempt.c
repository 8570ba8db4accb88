#include "route/attempt.h"

#include "base/clock.h"
#include "base/random.h"
#include "route/access.h"
#include "route/bound.h"
#include "route/ratelimit.h"
#include "route/stream.h"
#include "upstream/sigv4.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

enum {
    ANSWER_MAX = 8 * 1024 * 1024, /* of a whole answer */
    REFUSAL_MAX = 64 * 1024,      /* of an error body; the rest says nothing more */
    LINGER_MS = 1000,             /* a released exchange may take this long to run out */
    TYPE_MAX = 128,               /* bytes of an error's name in a header */
    UPSTREAM_ID_MAX = 128,        /* bytes of it that are kept */
    ARENA_BLOCK = 960,            /* with its head within what glibc's threads keep for malloc */
    HEADERS_UP = 32,
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
    uint64_t text;     /* bytes of text in it */
    struct stream stream;
    struct wheel_timer first;  /* until the key's pace allows it to go; until the first content;
                                * until a released one is given up */
    struct wheel_timer silent; /* between content */
    struct attempt_failure failure;
    struct pair headers[HEADERS_BACK];
    size_t n_headers;
    struct span model, dropped;
    enum dialect spoken; /* what the target is spoken to in */
    struct span url;
    struct span error_type;         /* of a refusal, where a header tells it */
    const struct span *own_headers; /* the adapter's */
    size_t n_own_headers;
    const struct provider_key *key; /* NULL: it goes without */
    struct token_wait token;        /* for a service account's token */
    struct span bearer;             /* that token, once it was sent; else SPAN_NONE */
    double headroom;
    int handle;      /* at the adapter; 0: it has nothing to do */
    bool translates; /* the answer goes through the adapter, too */
    bool frames;     /* the answer is in Amazon's event frames */
    bool streaming;  /* the answer is a stream, and `stream` reads it */
    bool announced;  /* on_content was called */
    bool paused;     /* the client is slow */
    bool sent;       /* it was given to the network, */
    bool lost;       /* and is known not to have got through */
};

const struct attempt_failure *attempt_failure(const struct attempt *a) {
    return &a->failure;
}

struct span attempt_model(const struct attempt *a) {
    struct span said = a->streaming ? a->stream.model : a->model;
    return said.len ? said : a->setup.step->target->model;
}

struct error_place attempt_place(const struct attempt *a) {
    return a->streaming ? a->stream.place : (struct error_place){ 0 };
}

double attempt_headroom(const struct attempt *a) {
    return a->headroom;
}

bool attempt_maybe_accepted(const struct attempt *a) {
    bool refused = a->failure.status && a->failure.status != 200;
    return a->sent && !a->lost && !refused;
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

/* What the provider knows of us and nobody else may. */
static struct wire_secrets secrets_of(const struct attempt *a) {
    return (struct wire_secrets){ provider_of(a), a->bearer };
}

/* --- its end -------------------------------------------------------------------------------- */

/* The last thing done with it here: the owner frees it. */
static void fail(struct attempt *a, enum failure class, struct span message) {
    a->failure.class = class;
    if (message.at)
        a->failure.message = message;
    if (a->key)
        a->failure.key_rests =
            keyring_cool(a->setup.keys, a->key, class, a->failure.retry_after_ms, clock_ms());
    a->events->on_fail(a->owner, a);
}

void attempt_free(struct attempt *a) {
    wheel_disarm(a->tools->wheel, &a->first);
    wheel_disarm(a->tools->wheel, &a->silent);
    token_leave(&a->token);
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

/* --- what it used ---------------------------------------------------------------------------- */

static void note_usage(struct trace_attempt *record, const struct wire_usage *u) {
    record->input_tokens = u->input;
    record->output_tokens = u->output;
    record->cached_tokens = u->cached;
    record->written_tokens = u->written;
    record->reasoning_tokens = u->reasoning;
}

uint64_t attempt_text(const struct attempt *a) {
    return a->streaming ? a->stream.text : a->text;
}

static uint64_t by_text(const struct attempt *a, uint64_t bytes) {
    return (uint64_t)ceil((double)bytes * a->setup.tokens_a_byte);
}

/* What is told before any text is where a provider begins to count, and no count of what follows. */
uint64_t attempt_tokens(const struct attempt *a) {
    const struct stream *s = &a->stream;
    if (!a->streaming)
        return by_text(a, a->text);
    uint64_t told = s->usage.output > 0 ? (uint64_t)s->usage.output : 0;
    uint64_t since = by_text(a, s->text - s->told_at);
    if (s->told_at)
        return told + since;
    return told > since ? told : since;
}

/* Whether there is something to bill: an answer, or a stream that began. What was sent and brought
 * nothing may be billed as well, and nobody knows for how much. */
static bool was_served(const struct attempt *a) {
    return a->streaming ? a->stream.begun != 0 : a->setup.record->failure == FAILURE_NONE;
}

/* The longest answer that was asked for. What a model can is no measure: catalogues are wrong. */
static uint64_t longest(const struct attempt *a) {
    bool asked = a->setup.record->clamped || a->setup.facts->max_tokens;
    return asked ? bound_tokens(bound_of(a->setup.facts, a->setup.step)) : UINT64_MAX;
}

/* The counts an exchange was told to have come to are the truth once it has come to its end; what
 * was told before may have been overtaken. */
static void estimate_output(struct attempt *a) {
    struct trace_attempt *record = a->setup.record;
    bool whole = record->failure == FAILURE_NONE && (!a->streaming || a->stream.told_at);
    uint64_t tokens = attempt_tokens(a), most = longest(a);
    tokens = tokens < most ? tokens : most;
    if ((record->output_tokens >= 0 && whole) || (int64_t)tokens <= record->output_tokens)
        return;
    record->output_tokens = (int64_t)tokens;
    record->estimated = true;
}

static void estimate(struct attempt *a) {
    struct trace_attempt *record = a->setup.record;
    record->estimated = false;
    if (!was_served(a))
        return;
    if (record->input_tokens < 0) {
        record->input_tokens = (int64_t)a->setup.input_tokens;
        record->estimated = true;
    }
    estimate_output(a);
}

void attempt_settle(struct attempt *a) {
    if (a->streaming) {
        stream_settle(&a->stream);
        note_usage(a->setup.record, &a->stream.usage);
    }
    estimate(a);
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

static bool is_request_id(struct span name) {
    return span_eq(name, SPAN("x-request-id")) || span_eq(name, SPAN("request-id")) ||
           span_eq(name, SPAN("x-amzn-requestid"));
}

static void read_headers(struct attempt *a, const struct transfer_head *head, struct span *type) {
    bool exact = false; /* milliseconds win over seconds */
    for (size_t i = 0; i < head->n_headers; i++) {
        struct pair h = head->headers[i];
        if (span_eq(h.name, SPAN("content-type"))) {
            *type = h.value;
        } else if (is_request_id(h.name)) {
            a->setup.record->upstream_id =
                arena_copy(a->setup.arena, wire_mask_text(secrets_of(a), &a->arena,
                                                          span_sub(h.value, 0, UPSTREAM_ID_MAX)));
        } else if (span_eq(h.name, SPAN("x-amzn-errortype"))) {
            a->error_type = arena_copy(
                &a->arena, span_sub(h.value, 0, span_find(span_sub(h.value, 0, TYPE_MAX), ':')));
        } else if (span_eq(h.name, SPAN("retry-after-ms"))) {
            a->failure.retry_after_ms = retry_after(h.name, h.value);
            exact = a->failure.retry_after_ms >= 0;
        } else if (span_eq(h.name, SPAN("retry-after")) && !exact) {
            a->failure.retry_after_ms = retry_after(h.name, h.value);
        } else if (a->n_headers < HEADERS_BACK && a->spoken == a->setup.facts->dialect &&
                   access_returns(a->spoken, h.name)) {
            a->headers[a->n_headers++] =
                (struct pair){ arena_copy(&a->arena, h.name),
                               arena_copy(&a->arena,
                                          wire_mask_text(secrets_of(a), &a->arena, h.value)) };
        }
    }
}

static void key_worked(const struct attempt *a) {
    if (a->key)
        keyring_worked(a->setup.keys, a->key, clock_ms());
}

/* There is something for the client: from here on it is this attempt's. */
static void announce(struct attempt *a) {
    if (a->announced)
        return;
    a->announced = true;
    a->setup.record->first_us = clock_us();
    wheel_disarm(a->tools->wheel, &a->first);
    key_worked(a);
    a->events->on_content(a->owner, a);
}

static void on_route(void *owner, struct buf *out) {
    struct attempt *a = owner;
    struct trace_attempt *record = a->setup.record;
    record->ended_us = clock_us();
    note_usage(record, &a->stream.usage);
    estimate(a);
    record->cost = trace_attempt_cost(record);
    /* All of a short stream may come at once: the trace in it is to say who lost. */
    if (a->stream.state == STREAM_ENDED)
        announce(a);
    a->events->on_route(a->owner, a, out);
}

static void keep(struct attempt *a, struct pair keep) {
    kept_put(a->tools->kept, a->setup.client_key, keep.name, keep.value, clock_ms());
}

static void on_keep(void *owner, struct pair kept) {
    keep(owner, kept);
}

static void begin_stream(struct attempt *a) {
    struct stream_setup setup = {
        .wire = wire_of(a->spoken),
        .adapter = a->translates ? a->setup.adapter : NULL,
        .handle = a->handle,
        .frames = a->frames,
        .client = a->setup.facts->dialect,
        .target = a->setup.step->target,
        .bearer = a->bearer,
        .parser = a->tools->parser,
        .arena = &a->arena,
        .keep_usage = a->setup.keep_usage,
        .on_route = on_route,
        .on_keep = on_keep,
        .owner = a,
    };
    stream_init(&a->stream, &setup);
    a->streaming = true;
}

static bool type_is(struct span type, struct span wanted) {
    return span_eq_nocase(span_sub(type, 0, wanted.len), wanted);
}

static void on_head(void *owner, const struct transfer_head *head) {
    struct attempt *a = owner;
    struct span type = SPAN_NONE;
    if (!a->events)
        return;
    read_headers(a, head, &type);
    a->headroom = ratelimit_left(head->headers, head->n_headers);
    a->failure.status = head->status;
    a->setup.record->status = head->status;
    a->frames = a->translates && type_is(type, SPAN("application/vnd.amazon.eventstream"));
    bool is_stream = !type.at || a->frames || type_is(type, SPAN("text/event-stream"));
    if (a->setup.facts->stream && head->status == 200 && is_stream)
        begin_stream(a);
}

/* What the provider said of its failure, but for the message. Its words for classes of errors mean
 * nothing to a client of another dialect. */
static void take_error(struct attempt *a, const struct wire_error *e) {
    if (a->spoken == a->setup.facts->dialect) {
        a->failure.code = e->code;
        a->failure.type = e->type;
    }
    if (a->failure.retry_after_ms < 0 && e->retry_after_ms > 0)
        a->failure.retry_after_ms = e->retry_after_ms;
}

static void stream_failed(struct attempt *a) {
    const struct wire_error *e = &a->stream.error;
    take_error(a, e);
    fail(a, a->stream.why, e->message);
}

/* Hands on what the stream has for the client, and its end. False: the attempt is not ours any
 * more. */
static bool hand_on(struct attempt *a) {
    struct stream *s = &a->stream;
    enum attempt_flow flow = ATTEMPT_FLOW;
    if (s->state == STREAM_HELD)
        return true;
    if (s->state != STREAM_FAILED)
        announce(a);
    if (a->announced && s->out.len) {
        flow = a->events->on_events(a->owner, a, buf_span(&s->out));
        a->paused = flow == ATTEMPT_PAUSE;
        buf_clear(&s->out);
    }
    note_usage(a->setup.record, &s->usage);
    if (flow == ATTEMPT_STOP && s->state == STREAM_FLOWING) {
        fail(a, FAILURE_CANCELLED, SPAN("The answer went on for longer than it may."));
        return false;
    }
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

/* A refusal, in whatever shape the provider gives it. */
static void refused(struct attempt *a) {
    const struct provider *p = provider_of(a);
    struct wire_error error = { 0 };
    wire_read_error(a->tools->parser, buf_span(&a->answer), &a->arena, &error);
    if (!error.type.at)
        error.type = a->error_type;
    wire_mask(secrets_of(a), &a->arena, &error);
    take_error(a, &error);
    fail(a, wire_classify(p->rules, p->n_rules, a->failure.status, &error), error.message);
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
        if (len >= room)
            refused(a); /* it may never end */
    } else if (a->answer.len + len > ANSWER_MAX) {
        fail(a, FAILURE_BAD_RESPONSE, SPAN("The answer was larger than 8 MB."));
    } else {
        buf_append(&a->answer, bytes, len);
    }
    return true;
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

/* An error inside an answer that claims success. */
static void answered_error(struct attempt *a, struct wire_error error) {
    const struct provider *p = provider_of(a);
    wire_mask(secrets_of(a), &a->arena, &error);
    take_error(a, &error);
    fail(a, wire_classify(p->rules, p->n_rules, 200, &error), error.message);
}

/* A whole answer in the client's dialect. */
static void answered(struct attempt *a, struct span model) {
    a->model = model;
    a->whole = buf_span(&a->answer);
    key_worked(a);
    a->events->on_answer(a->owner, a, a->whole);
}

static void check_answer(struct attempt *a) {
    struct wire_seen seen = { 0 };
    struct wire_usage usage = WIRE_USAGE_UNKNOWN;
    wire_of(a->spoken)->read_answer(a->tools->parser, buf_span(&a->answer), &a->arena, &seen);
    if (seen.has_usage)
        wire_usage_merge(&usage, &seen.usage);
    note_usage(a->setup.record, &usage);
    a->text = seen.text;
    if (seen.kind == WIRE_ERROR) {
        answered_error(a, seen.error);
    } else if (seen.kind != WIRE_OK) {
        fail(a, FAILURE_BAD_RESPONSE, SPAN("The answer was not in the provider's dialect."));
    } else if (!seen.content && !seen.excused) {
        fail(a, FAILURE_BAD_RESPONSE, SPAN("The answer had no content."));
    } else {
        struct span model = arena_copy(&a->arena, seen.model);
        if (!model.len)
            add_model(a, &seen);
        answered(a, model);
    }
}

static void adapt_answer(struct attempt *a) {
    struct adapter_seen seen = { 0 };
    struct buf out = { 0 };
    const char *why;
    int error =
        adapter_answer(a->setup.adapter, a->handle, buf_span(&a->answer), &out, &seen, &why);
    buf_deinit(&a->answer);
    a->answer = out;
    const struct wire_usage usage = stream_usage(&seen);
    note_usage(a->setup.record, &usage);
    a->text = seen.text;
    if (error < 0) {
        fail(a, FAILURE_BAD_RESPONSE, arena_copy(&a->arena, span_of(why)));
    } else if (seen.error) {
        answered_error(a, (struct wire_error){ .message = arena_copy(&a->arena, seen.message),
                                               .code = arena_copy(&a->arena, seen.code),
                                               .type = arena_copy(&a->arena, seen.type) });
    } else if (!seen.content && !seen.excused) {
        fail(a, FAILURE_BAD_RESPONSE, SPAN("The answer had no content."));
    } else {
        for (size_t i = 0; i < seen.n_keeps; i++)
            keep(a, seen.keeps[i]);
        answered(a, arena_copy(&a->arena, seen.model));
    }
}

static void drop_transfer(struct attempt *a) {
    transfer_free(a->transfer);
    a->transfer = NULL;
}

static void note_connected(struct attempt *a, const struct transfer_times *times) {
    if (times->connected)
        a->setup.record->connect_us = (int64_t)times->connected;
}

static void on_done(void *owner, const struct transfer_times *times) {
    struct attempt *a = owner;
    if (!a->events) {
        attempt_free(a);
        return;
    }
    note_connected(a, times);
    drop_transfer(a);
    if (a->streaming) {
        stream_close(&a->stream);
        hand_on(a);
    } else if (a->failure.status != 200) {
        refused(a);
    } else if (a->setup.facts->stream) {
        /* Not a stream although one was asked for: an error in disguise, or nonsense. */
        struct wire_seen seen = { 0 };
        wire_of(a->spoken)->read_answer(a->tools->parser, buf_span(&a->answer), &a->arena, &seen);
        if (seen.kind == WIRE_ERROR)
            refused(a);
        else
            fail(a, FAILURE_BAD_RESPONSE, SPAN("The provider did not stream."));
    } else if (a->translates) {
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
    a->lost = !times->accepted;
    note_connected(a, times);
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
    fail(owner, FAILURE_FIRST_TOKEN, SPAN("No content came in time."));
}

static void on_silent(void *owner) {
    fail(owner, FAILURE_IDLE, SPAN("The provider fell silent."));
}

static void on_stillborn(void *owner) {
    struct attempt *a = owner;
    fail(a, a->failure.class, SPAN_NONE);
}

/* It fails before it began: the owner hears of it when attempt_start() has returned. */
static void stillborn(struct attempt *a, enum failure class, struct span message) {
    a->failure.unsent = true;
    a->failure.class = class;
    a->failure.message = message;
    a->first.fire = on_stillborn;
    a->tools->arm(a->tools->owner, &a->first, 0);
}

/* Header lines on their way up; of one name the first that is put in stands. */
struct lines {
    struct span *at;
    size_t n;
};

static void put_line(struct lines *l, struct span line) {
    size_t name = span_find(line, ':') + 1;
    for (size_t i = 0; i < l->n; i++)
        if (span_eq_nocase(span_sub(l->at[i], 0, name), span_sub(line, 0, name)))
            return;
    if (l->n < HEADERS_UP)
        l->at[l->n++] = line;
}

static struct span header_line(struct arena *arena, struct pair header) {
    return arena_join(arena, (struct span[]){ header.name, SPAN(": "), header.value }, 3);
}

static void put_key(struct attempt *a, struct lines *l, struct span secret) {
    static const char *const names[] = {
        [AUTH_BEARER] = "authorization: Bearer ",     [AUTH_X_API_KEY] = "x-api-key: ",
        [AUTH_GOOG_API_KEY] = "x-goog-api-key: ",     [AUTH_API_KEY] = "api-key: ",
        [AUTH_GOOGLE_JWT] = "authorization: Bearer ",
    };
    enum auth auth = provider_of(a)->auth;
    if (!secret.at || auth == AUTH_NONE)
        return;
    if (auth != AUTH_AWS_SIGV4) {
        put_line(l, arena_join(&a->arena, (struct span[]){ span_of(names[auth]), secret }, 2));
        return;
    }
    struct sigv4_message m = {
        .method = SPAN("POST"),
        .url = a->url,
        .body = buf_span(&a->body),
        .credentials = secret,
        .region = provider_of(a)->region,
        .service = SPAN("bedrock"),
        .now_s = clock_wall_ms() / 1000,
    };
    struct span signature[SIGV4_LINES];
    size_t n = sigv4_sign(&m, &a->arena, signature);
    for (size_t i = 0; i < n; i++)
        put_line(l, signature[i]);
}

static struct lines make_headers(struct attempt *a, struct span secret) {
    const struct provider *p = provider_of(a);
    const struct facts *facts = a->setup.facts;
    struct lines l = { arena_new_array(&a->arena, struct span, HEADERS_UP), 0 };
    put_line(&l, SPAN("content-type: application/json"));
    if (!facts->stream)
        put_line(&l, SPAN("accept: application/json"));
    else if (a->spoken != DIALECT_BEDROCK_CONVERSE)
        put_line(&l, SPAN("accept: text/event-stream"));
    put_key(a, &l, secret);
    for (size_t i = 0; a->spoken == facts->dialect && i < facts->n_headers; i++)
        if (access_forwards(a->spoken, facts->headers[i].name))
            put_line(&l, header_line(&a->arena, facts->headers[i]));
    for (size_t i = 0; i < a->n_own_headers; i++)
        put_line(&l, a->own_headers[i]);
    for (size_t i = 0; i < p->n_headers; i++)
        put_line(&l, p->headers[i]);
    return l;
}

/* Everything is there: the request goes up. */
static void send_up(struct attempt *a, struct span secret) {
    const struct provider *p = provider_of(a);
    const struct step *step = a->setup.step;
    struct lines headers = make_headers(a, secret);
    struct transfer_message message = {
        .method = "POST",
        .url = a->url.at,
        .headers = headers.at,
        .n_headers = headers.n,
        .body = buf_span(&a->body),
        .connect_ms = p->connect_ms,
        .total_ms = or_default(step->timeout_ms, p->timeout_ms),
    };
    a->transfer = transfer_start(a->tools->pump, &message, &transfer_handlers, a);
    a->sent = true;
    uint32_t first = or_default(step->first_token_ms, p->first_token_ms);
    a->first.fire = on_first_late;
    if (a->setup.facts->stream && first)
        a->tools->arm(a->tools->owner, &a->first, first);
}

/* The same by a service account's token, which may be gone before the answer is there. */
static void send_up_as(struct attempt *a, struct span token) {
    a->bearer = arena_copy(&a->arena, token);
    send_up(a, a->bearer);
}

static void on_token(void *owner, struct span token, struct span why) {
    struct attempt *a = owner;
    if (token.at)
        send_up_as(a, token);
    else
        fail(a, FAILURE_AUTH, arena_copy(&a->arena, why));
}

/* The key's pace allows it to go now. */
static void on_paced(void *owner) {
    struct attempt *a = owner;
    struct span secret = a->key ? a->key->secret : SPAN_NONE;
    if (provider_of(a)->auth == AUTH_GOOGLE_JWT && secret.at) {
        a->token.on_token = on_token;
        a->token.owner = a;
        secret = token_ask(a->tools->tokens, secret, clock_wall_ms() / 1000, &a->token);
        if (secret.at)
            send_up_as(a, secret);
        return;
    }
    send_up(a, secret);
}

/* Takes a key, and goes when it may. */
static void set_out(struct attempt *a) {
    const struct provider *p = provider_of(a);
    struct keyring_pick pick = { 0 };
    if (p->auth != AUTH_NONE && p->n_keys)
        pick = keyring_pick(a->setup.keys, a->setup.input_tokens, a->tools->random, clock_ms());
    a->key = pick.key;
    if (p->auth != AUTH_NONE && p->n_keys && !pick.key) {
        a->failure.retry_after_ms = (int64_t)pick.wait_ms;
        stillborn(a, FAILURE_RATE_LIMITED,
                  SPAN("The pace set for the provider's keys is used up."));
    } else if (pick.wait_ms) {
        a->first.fire = on_paced;
        a->tools->arm(a->tools->owner, &a->first, (uint32_t)pick.wait_ms);
    } else {
        on_paced(a);
    }
}

static struct span recall(void *owner, struct span call_id) {
    struct attempt *a = owner;
    return kept_get(a->tools->kept, a->setup.client_key, call_id, &a->arena, clock_ms());
}

/* Builds the upstream body by the adapter. Returns the path behind the base URL; SPAN_NONE with the
 * failure filled. */
static struct span adapt(struct attempt *a) {
    const struct attempt_setup *s = &a->setup;
    const char *why = "No adapter is loaded.";
    struct adapter_setup setup = {
        .client = s->facts->dialect,
        .spoken = a->spoken,
        .target = s->step->target,
        .body = s->body->text,
        .stream = s->facts->stream,
        .keep_usage = s->keep_usage,
        .refuse = s->refuse,
        .params = s->step->params,
        .n_params = s->step->n_params,
        .id = s->facts->id,
        .created_s = s->facts->now_ms / 1000,
        .input_tokens = s->input_tokens,
        .recall = recall,
        .owner = a,
        .arena = &a->arena,
        .out = &a->body,
    };
    a->handle = s->adapter ? adapter_open(s->adapter, &setup, &why) : 0;
    if (!a->handle) {
        /* What fails by itself may do better at another target; what the client did wrong will not. */
        a->failure.class = !s->adapter || setup.broke ? FAILURE_BAD_RESPONSE : FAILURE_BAD_REQUEST;
        a->failure.message = arena_copy(&a->arena, span_of(why));
        a->failure.param = setup.param;
        return SPAN_NONE;
    }
    a->translates = !setup.passes && (a->spoken != s->facts->dialect || provider_of(a)->adapt);
    a->dropped = setup.dropped;
    a->own_headers = setup.headers;
    a->n_own_headers = setup.n_headers;
    return setup.path;
}

/* Changes the client's own bytes as little as can be. */
static struct span pass(struct attempt *a) {
    const struct attempt_setup *s = &a->setup;
    size_t n_params = body_takes_params(a->spoken) ? s->step->n_params : 0;
    if (body_build(a->tools->parser, s->body, s->step->target->upstream, s->step->params, n_params,
                   s->facts->stream, &a->body) == 0)
        return s->endpoint->upstream;
    a->failure.class = FAILURE_BAD_REQUEST;
    a->failure.message = SPAN("A parameter stands twice in the body.");
    return SPAN_NONE;
}

/* Dialects that only ever pass through. */
#define ONLY_PASS (DIALECT_BIT(DIALECT_OPENAI_COMPLETIONS) | DIALECT_BIT(DIALECT_OPENAI_EMBEDDINGS))

/* Whether the history holds what another dialect's model wants back, sealed by us: only the adapter
 * takes that out again. */
static bool is_sealed(const struct attempt *a) {
    struct span mark = SPAN("\"pl1."), body = a->setup.body->text;
    return a->spoken != DIALECT_OPENAI_CHAT && memmem(body.at, body.len, mark.at, mark.len) != NULL;
}

/* Whether the client's own request may go up. Chat Completions means so many things that a target's
 * quirks count there; in the vendors' own dialects client and vendor are among themselves. */
static bool passes(const struct attempt *a) {
    const struct attempt_setup *s = &a->setup;
    uint32_t bit = DIALECT_BIT(a->spoken);
    if (a->spoken != s->facts->dialect)
        return false;
    if (bit & ONLY_PASS)
        return true;
    bool odd = a->spoken == DIALECT_OPENAI_CHAT && s->step->target->quirks.at;
    if (provider_of(a)->adapt || odd || is_sealed(a))
        return false;
    return !s->step->n_params || body_takes_params(a->spoken);
}

/* Of the client's query only what the vendor itself documents goes up: Anthropic's switch for its
 * beta surface. */
static struct span query_up(const struct attempt *a) {
    bool beta = a->spoken == DIALECT_ANTHROPIC_MESSAGES && a->setup.facts->dialect == a->spoken &&
                span_eq(a->setup.query, SPAN("beta=true"));
    return beta ? SPAN("?beta=true") : SPAN("");
}

/* False with the failure filled. */
static bool build(struct attempt *a) {
    const struct target *target = a->setup.step->target;
    struct span path = passes(a) ? pass(a) : adapt(a);
    if (!path.at)
        return false;
    if (target->path.at && a->spoken == target->dialect)
        path = target->path;
    a->url =
        arena_join(&a->arena, (struct span[]){ target->provider->base_url, path, query_up(a) }, 3);
    return true;
}

struct attempt *attempt_start(struct attempt_tools *tools, const struct attempt_setup *setup,
                              const struct attempt_events *events, void *owner) {
    const struct target *target = setup->step->target;
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
    a->headroom = -1;
    a->first.owner = a->silent.owner = a;
    a->silent.fire = on_silent;
    a->spoken = target->speaks & DIALECT_BIT(setup->facts->dialect) ? setup->facts->dialect
                                                                    : target->dialect;
    if (build(a))
        set_out(a);
    else
        stillborn(a, a->failure.class, a->failure.message);
    return a;
}
