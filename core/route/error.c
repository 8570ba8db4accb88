#include "route/error.h"

#include "money/redact.h"
#include "net/sse.h"

static const struct {
    const char *name;
    int status;
} codes[ERROR_COUNT] = {
    [ERROR_INVALID_REQUEST] = { "invalid_request", 400 },
    [ERROR_CONTEXT_LENGTH_EXCEEDED] = { "context_length_exceeded", 400 },
    [ERROR_CONTENT_POLICY_VIOLATION] = { "content_policy_violation", 400 },
    [ERROR_IDEMPOTENCY_MISMATCH] = { "idempotency_mismatch", 400 },
    [ERROR_CONFLICT] = { "conflict", 409 },
    [ERROR_INVALID_API_KEY] = { "invalid_api_key", 401 },
    [ERROR_COST_CAP_REACHED] = { "cost_cap_reached", 402 },
    [ERROR_PERMISSION_DENIED] = { "permission_denied", 403 },
    [ERROR_POLICY_REFUSED] = { "policy_refused", 403 },
    [ERROR_MODEL_NOT_FOUND] = { "model_not_found", 404 },
    [ERROR_NOT_FOUND] = { "not_found", 404 },
    [ERROR_METHOD_NOT_ALLOWED] = { "method_not_allowed", 405 },
    [ERROR_TIMEOUT] = { "timeout", 408 },
    [ERROR_REQUEST_TOO_LARGE] = { "request_too_large", 413 },
    [ERROR_HEADERS_TOO_LARGE] = { "request_too_large", 431 },
    [ERROR_UNSUPPORTED_ENCODING] = { "unsupported_encoding", 415 },
    [ERROR_RATE_LIMIT_EXCEEDED] = { "rate_limit_exceeded", 429 },
    [ERROR_QUEUE_FULL] = { "queue_full", 429 },
    [ERROR_INTERNAL] = { "internal", 500 },
    [ERROR_FALLBACKS_EXHAUSTED] = { "fallbacks_exhausted", 503 },
    [ERROR_NO_ELIGIBLE_TARGET] = { "no_eligible_target", 503 },
    [ERROR_OVERLOADED] = { "overloaded", 503 },
    [ERROR_LEDGER_UNAVAILABLE] = { "ledger_unavailable", 503 },
    [ERROR_DEADLINE_EXCEEDED] = { "deadline_exceeded", 504 },
    [ERROR_UPSTREAM_INTERRUPTED] = { "upstream_stream_interrupted", 502 },
};

struct api_error api_error(enum error_code code, struct span message) {
    return (struct api_error){ .code = code, .message = message, .retry_after_ms = -1 };
}

int error_status(const struct api_error *e) {
    return e->status ? e->status : codes[e->code].status;
}

int error_status_for(enum dialect dialect, const struct api_error *e) {
    bool full = e->code == ERROR_OVERLOADED && !e->status;
    return full && dialect == DIALECT_ANTHROPIC_MESSAGES ? 529 : error_status(e);
}

enum error_code error_of_status(int status) {
    switch (status) {
    case 405:
    case 501:
        return ERROR_METHOD_NOT_ALLOWED;
    case 408:
        return ERROR_TIMEOUT;
    case 413:
        return ERROR_REQUEST_TOO_LARGE;
    case 431:
        return ERROR_HEADERS_TOO_LARGE;
    case 503:
        return ERROR_OVERLOADED;
    default:
        return ERROR_INVALID_REQUEST;
    }
}

/* The `type` OpenAI's own service gives for such a status. */
static struct span type_of(const struct api_error *e) {
    if (e->type.at)
        return e->type;
    if (e->code == ERROR_UPSTREAM_INTERRUPTED)
        return SPAN("upstream_error");
    int status = error_status(e);
    if (status == 429)
        return SPAN("rate_limit_error");
    if (status == 402)
        return SPAN("insufficient_quota");
    if (status == 403)
        return SPAN("permission_error");
    return status >= 500 ? SPAN("server_error") : SPAN("invalid_request_error");
}

struct span error_code(const struct api_error *e) {
    return e->custom_code.at ? e->custom_code : span_of(codes[e->code].name);
}

static void write_route(const struct api_error *e, struct buf *out) {
    if (!e->trace)
        return;
    buf_add(out, SPAN(",\"route\":{\"id\":"));
    buf_add_json(out, e->trace->id);
    buf_add(out, SPAN(",\"attempts\":"));
    trace_write_attempts(e->trace, out);
    if (e->retry_after_ms >= 0)
        buf_printf(out, ",\"retry_after_ms\":%lld", (long long)e->retry_after_ms);
    buf_add_char(out, '}');
}

/* --- OpenAI --- */

/* The members all of OpenAI's errors have. */
static void write_members(const struct api_error *e, struct buf *out) {
    buf_add(out, SPAN("\"message\":"));
    buf_add_json(out, e->message);
    buf_add(out, SPAN(",\"type\":"));
    buf_add_json(out, type_of(e));
    buf_add(out, SPAN(",\"param\":"));
    if (e->param.at)
        buf_add_json(out, e->param);
    else
        buf_add(out, SPAN("null"));
    buf_add(out, SPAN(",\"code\":"));
    buf_add_json(out, error_code(e));
}

static void write_openai(const struct api_error *e, struct buf *out) {
    buf_add(out, SPAN("{\"error\":{"));
    write_members(e, out);
    write_route(e, out);
    buf_add(out, SPAN("}}"));
}

/* --- OpenAI's Responses, in a stream --- */

/* The response that has begun, as one that failed. What it was asked with is not known here, but
 * clients with types want those members to be there. */
static void write_failed_response(const struct api_error *e, struct buf *out) {
    const struct error_place *at = &e->place;
    buf_printf(out, "{\"type\":\"response.failed\",\"sequence_number\":%llu,\"response\":{\"id\":",
               (unsigned long long)at->sequence);
    buf_add_json(out, at->id);
    buf_printf(out, ",\"object\":\"response\",\"created_at\":%llu,\"status\":\"failed\"",
               (unsigned long long)at->created_s);
    buf_add(out, SPAN(",\"error\":{\"code\":"));
    buf_add_json(out, error_code(e));
    buf_add(out, SPAN(",\"message\":"));
    buf_add_json(out, e->message);
    buf_add(out, SPAN("},\"incomplete_details\":null,\"model\":"));
    buf_add_json(out, at->model);
    buf_add(out, SPAN(",\"output\":[],\"parallel_tool_calls\":true,\"tool_choice\":\"auto\","
                      "\"tools\":[],\"usage\":null"));
    write_route(e, out);
    buf_add(out, SPAN("}}"));
}

/* Before any response has begun: OpenAI's libraries throw what stands in `error`, and read the
 * members beside it where they take events as they come. */
static void write_bare_event(const struct api_error *e, struct buf *out) {
    buf_printf(out, "{\"type\":\"error\",\"sequence_number\":%llu,\"code\":",
               (unsigned long long)e->place.sequence);
    buf_add_json(out, error_code(e));
    buf_add(out, SPAN(",\"message\":"));
    buf_add_json(out, e->message);
    buf_add(out, SPAN(",\"param\":null,\"error\":{"));
    write_members(e, out);
    write_route(e, out);
    buf_add(out, SPAN("}}"));
}

/* --- Anthropic --- */

static const struct {
    int status;
    struct span type;
} anthropic_types[] = {
#define TYPE(status, name)                                                                         \
    {                                                                                              \
        status, {                                                                                  \
            name, sizeof(name) - 1                                                                 \
        }                                                                                          \
    }
    TYPE(400, "invalid_request_error"),
    TYPE(401, "authentication_error"),
    TYPE(402, "billing_error"),
    TYPE(403, "permission_error"),
    TYPE(404, "not_found_error"),
    TYPE(408, "timeout_error"),
    TYPE(409, "conflict_error"),
    TYPE(413, "request_too_large"),
    TYPE(429, "rate_limit_error"),
    TYPE(431, "request_too_large"),
    TYPE(500, "api_error"),
    TYPE(503, "overloaded_error"),
    TYPE(504, "timeout_error"),
    TYPE(529, "overloaded_error"),
#undef TYPE
};
enum { ANTHROPIC_TYPES = sizeof anthropic_types / sizeof *anthropic_types };

/* By status; the provider's own word where it is one of Anthropic's: clients know no others. */
static struct span anthropic_type(const struct api_error *e) {
    int status = error_status_for(DIALECT_ANTHROPIC_MESSAGES, e);
    struct span type = status >= 500 ? SPAN("api_error") : SPAN("invalid_request_error");
    for (size_t i = 0; i < ANTHROPIC_TYPES; i++) {
        if (e->type.at && span_eq(e->type, anthropic_types[i].type))
            return e->type;
        if (anthropic_types[i].status == status)
            type = anthropic_types[i].type;
    }
    return type;
}

/* Clients make room and try again when an error begins with these words. */
static void add_too_long(const struct api_error *e, struct buf *text) {
    const struct span words = SPAN("prompt is too long");
    if (e->tokens && e->limit)
        buf_printf(text, "%.*s: %llu tokens > %llu maximum", SPAN_ARGS(words),
                   (unsigned long long)e->tokens, (unsigned long long)e->limit);
    else if (span_starts(e->message, words))
        buf_add(text, e->message);
    else
        buf_printf(text, "%.*s: %.*s", SPAN_ARGS(words), SPAN_ARGS(e->message));
}

/* There is no member for the parameter: the message begins with it, unless it speaks of it anyway. */
static void add_message(const struct api_error *e, struct buf *text) {
    if (e->code == ERROR_CONTEXT_LENGTH_EXCEEDED) {
        add_too_long(e, text);
        return;
    }
    bool named = e->param.len && e->message.len &&
                 memmem(e->message.at, e->message.len, e->param.at, e->param.len);
    if (e->param.len && !named) {
        buf_add(text, e->param);
        buf_add(text, SPAN(": "));
    }
    buf_add(text, e->message);
}

/* What is wrong with a conversation that was left with the server. The vendor's own libraries send
 * all of it again when they read such a code. SPAN_NONE: it is about something else. */
static struct span thread_code(const struct api_error *e) {
    if (span_eq(e->param, SPAN("thread")))
        return SPAN("thread_not_found");
    return span_starts(e->custom_code, SPAN("thread_")) ? e->custom_code : SPAN_NONE;
}

static void write_anthropic(const struct api_error *e, struct buf *out) {
    struct span thread = thread_code(e);
    struct buf text = { 0 };
    add_message(e, &text);
    buf_add(out, SPAN("{\"type\":\"error\",\"error\":{\"type\":"));
    buf_add_json(out, anthropic_type(e));
    buf_add(out, SPAN(",\"message\":"));
    buf_add_json(out, buf_span(&text));
    if (thread.at) {
        buf_add(out, SPAN(",\"details\":{\"error_code\":"));
        buf_add_json(out, thread);
        buf_add_char(out, '}');
    }
    buf_add(out, SPAN("},\"request_id\":"));
    if (e->id.at)
        buf_add_json(out, e->id);
    else
        buf_add(out, SPAN("null"));
    write_route(e, out);
    buf_add_char(out, '}');
    buf_deinit(&text);
}

/* --- by dialect --- */

/* Messages say back what clients and providers wrote, and keys stand anywhere in that. */
static void add_clean(struct span json, struct buf *out) {
    if (!redact_keys(out, json))
        buf_add(out, json);
}

static void add_event(struct span name, struct span json, struct buf *out) {
    struct buf clean = { 0 };
    add_clean(json, &clean);
    sse_write(out, name, buf_span(&clean));
    buf_deinit(&clean);
}

void error_write(enum dialect dialect, const struct api_error *e, struct buf *out) {
    struct buf json = { 0 };
    if (dialect == DIALECT_ANTHROPIC_MESSAGES)
        write_anthropic(e, &json);
    else
        write_openai(e, &json);
    add_clean(buf_span(&json), out);
    buf_deinit(&json);
}

void error_write_event(enum dialect dialect, const struct api_error *e, struct buf *out) {
    struct buf json = { 0 };
    if (dialect == DIALECT_ANTHROPIC_MESSAGES) {
        write_anthropic(e, &json);
        add_event(SPAN("error"), buf_span(&json), out);
    } else if (dialect == DIALECT_OPENAI_RESPONSES) {
        bool begun = e->place.id.len > 0;
        (begun ? write_failed_response : write_bare_event)(e, &json);
        add_event(begun ? SPAN("response.failed") : SPAN("error"), buf_span(&json), out);
    } else {
        write_openai(e, &json);
        add_event(SPAN_NONE, buf_span(&json), out);
        buf_add(out, SPAN("data: [DONE]\n\n"));
    }
    buf_deinit(&json);
}
