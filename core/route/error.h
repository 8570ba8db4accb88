/* error.h - what a client is told when it gets no answer, in its own dialect.
 *
 * Owns          the table of codes, statuses and types.
 * Fed by        request and worker.
 * Feeds         conn, with a body; stream, with an event.
 * Must not know how it came to this.
 */
#ifndef PERILUNE_ROUTE_ERROR_H
#define PERILUNE_ROUTE_ERROR_H

#include "route/trace.h"

enum error_code {
    ERROR_INVALID_REQUEST,
    ERROR_CONTEXT_LENGTH_EXCEEDED,
    ERROR_CONTENT_POLICY_VIOLATION,
    ERROR_IDEMPOTENCY_MISMATCH,
    ERROR_CONFLICT,
    ERROR_INVALID_API_KEY,
    ERROR_COST_CAP_REACHED,
    ERROR_PERMISSION_DENIED,
    ERROR_POLICY_REFUSED,
    ERROR_MODEL_NOT_FOUND,
    ERROR_NOT_FOUND,
    ERROR_METHOD_NOT_ALLOWED,
    ERROR_TIMEOUT,
    ERROR_REQUEST_TOO_LARGE,
    ERROR_HEADERS_TOO_LARGE,
    ERROR_UNSUPPORTED_ENCODING,
    ERROR_RATE_LIMIT_EXCEEDED,
    ERROR_QUEUE_FULL,
    ERROR_INTERNAL,
    ERROR_FALLBACKS_EXHAUSTED,
    ERROR_NO_ELIGIBLE_TARGET,
    ERROR_OVERLOADED,
    ERROR_LEDGER_UNAVAILABLE, /* what is spent could not be recorded */
    ERROR_DEADLINE_EXCEEDED,
    ERROR_UPSTREAM_INTERRUPTED, /* in-band only: a stream broke after its first content */
    ERROR_COUNT
};

/* Where a client's stream stands, in dialects whose events carry on from each other. All zeros:
 * nothing has begun. */
struct error_place {
    struct span id, model; /* of the response that has begun; SPAN_NONE: none */
    uint64_t created_s;
    uint64_t sequence; /* the next event's number */
};

struct api_error {
    enum error_code code;
    int status;              /* 0: the code's own */
    struct span custom_code; /* a policy's own, or the provider's; SPAN_NONE: the name of `code` */
    struct span type;        /* the provider's own; SPAN_NONE: by status */
    struct span message;
    struct span param;      /* by the client's own names; SPAN_NONE: null */
    uint64_t tokens, limit; /* of ERROR_CONTEXT_LENGTH_EXCEEDED: what was asked for and what there
                                * is; 0: not known */
    int64_t retry_after_ms; /* -1: none */
    struct span id;         /* of the request; SPAN_NONE: it has none yet */
    const struct trace *trace; /* NULL: nothing was tried */
    struct error_place place;  /* for error_write_event() */
};

/* With no retry time and no trace. */
struct api_error api_error(enum error_code code, struct span message);

/* What the client's `code` says. */
struct span error_code(const struct api_error *e);

/* The status in OpenAI's dialects, which is that of logs and records. */
int error_status(const struct api_error *e);

/* The one a client of that dialect gets: Messages has 529 for a house that is full. */
int error_status_for(enum dialect dialect, const struct api_error *e);

/* The JSON body for a client of that dialect (DIALECT_NONE: the OpenAI shape). */
void error_write(enum dialect dialect, const struct api_error *e, struct buf *out);

/* What a stream ends with when it can not end well: one event with nothing but the error, and the
 * dialect's end mark where that is none that tells of success. */
void error_write_event(enum dialect dialect, const struct api_error *e, struct buf *out);

/* The code for an HTTP message that could not be read. */
enum error_code error_of_status(int status);

#endif
