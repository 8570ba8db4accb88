#include "route/error.h"

#include <assert.h>

static const struct {
    const char *name;
    int status;
} codes[ERROR_COUNT] = {
    [ERROR_INVALID_REQUEST] = { "invalid_request", 400 },
    [ERROR_CONTEXT_LENGTH_EXCEEDED] = { "context_length_exceeded", 400 },
    [ERROR_CONTENT_POLICY_VIOLATION] = { "content_policy_violation", 400 },
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
    [ERROR_INTERNAL] = { "internal", 500 },
    [ERROR_FALLBACKS_EXHAUSTED] = { "fallbacks_exhausted", 503 },
    [ERROR_NO_ELIGIBLE_TARGET] = { "no_eligible_target", 503 },
    [ERROR_OVERLOADED] = { "overloaded", 503 },
    [ERROR_DEADLINE_EXCEEDED] = { "deadline_exceeded", 504 },
    [ERROR_UPSTREAM_INTERRUPTED] = { "upstream_stream_interrupted", 502 },
};

struct api_error api_error(enum error_code code, struct span message) {
    return (struct api_error){ .code = code, .message = message, .retry_after_ms = -1 };
}

int error_status(const struct api_error *e) {
    return e->status ? e->status : codes[e->code].status;
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

static void write_route(const struct api_error *e, struct buf *out) {
    buf_add(out, SPAN(",\"route\":{\"id\":"));
    buf_add_json(out, e->trace->id);
    buf_add(out, SPAN(",\"attempts\":"));
    trace_write_attempts(e->trace, out);
    if (e->retry_after_ms >= 0)
        buf_printf(out, ",\"retry_after_ms\":%lld", (long long)e->retry_after_ms);
    buf_add_char(out, '}');
}

/* OpenAI's shape, which error_write() gives to every dialect that has none of its own. */
static void write_openai(const struct api_error *e, struct buf *out) {
    buf_add(out, SPAN("{\"error\":{\"message\":"));
    buf_add_json(out, e->message);
    buf_add(out, SPAN(",\"type\":"));
    buf_add_json(out, type_of(e));
    buf_add(out, SPAN(",\"param\":"));
    if (e->param.at)
        buf_add_json(out, e->param);
    else
        buf_add(out, SPAN("null"));
    buf_add(out, SPAN(",\"code\":"));
    buf_add_json(out, e->custom_code.at ? e->custom_code : span_of(codes[e->code].name));
    if (e->trace)
        write_route(e, out);
    buf_add(out, SPAN("}}"));
}

void error_write(enum dialect dialect, const struct api_error *e, struct buf *out) {
    assert(dialect == DIALECT_NONE || dialect == DIALECT_OPENAI_CHAT);
    write_openai(e, out);
}

void error_write_event(enum dialect dialect, const struct api_error *e, struct buf *out) {
    buf_add(out, SPAN("data: "));
    error_write(dialect, e, out);
    buf_add(out, SPAN("\n\ndata: [DONE]\n\n"));
}
