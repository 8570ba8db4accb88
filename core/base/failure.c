#include "base/failure.h"

static const char *const names[FAILURE_COUNT] = {
    [FAILURE_NONE] = "none",
    [FAILURE_CONNECT] = "connect",
    [FAILURE_TIMEOUT] = "timeout",
    [FAILURE_FIRST_TOKEN] = "first_token",
    [FAILURE_IDLE] = "idle",
    [FAILURE_RATE_LIMITED] = "rate_limited",
    [FAILURE_OVERLOADED] = "overloaded",
    [FAILURE_SERVER_ERROR] = "server_error",
    [FAILURE_AUTH] = "auth",
    [FAILURE_QUOTA] = "quota",
    [FAILURE_CONTEXT_LENGTH] = "context_length",
    [FAILURE_CONTENT_FILTER] = "content_filter",
    [FAILURE_NOT_FOUND] = "not_found",
    [FAILURE_BAD_REQUEST] = "bad_request",
    [FAILURE_BAD_RESPONSE] = "bad_response",
    [FAILURE_CUT_STREAM] = "cut_stream",
    [FAILURE_COST] = "cost",
    [FAILURE_LATENCY] = "latency",
    [FAILURE_CANCELLED] = "cancelled",
};

const char *failure_name(enum failure f) {
    return (unsigned)f < FAILURE_COUNT ? names[f] : names[FAILURE_NONE];
}

enum failure failure_of(struct span name) {
    for (int f = FAILURE_NONE + 1; f < FAILURE_COUNT; f++)
        if (span_eq(name, span_of(names[f])))
            return (enum failure)f;
    return FAILURE_NONE;
}
