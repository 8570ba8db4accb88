/* failure.h - the ways an attempt can end badly: a closed set.
 *
 * Owns          the names.
 * Fed by        transfer (what the network did), the classifier (what the provider said), chain
 *               (what a threshold said).
 * Feeds         chain (where to go next), error (what the client is told), the record.
 * Must not know how any of them is found out.
 */
#ifndef PERILUNE_BASE_FAILURE_H
#define PERILUNE_BASE_FAILURE_H

#include "base/span.h"

enum failure {
    FAILURE_NONE,
    FAILURE_CONNECT,      /* refused, unreachable, no such name, TLS handshake: the request was not
                           * sent */
    FAILURE_TIMEOUT,      /* the step's total time ran out */
    FAILURE_FIRST_TOKEN,  /* no content in time */
    FAILURE_IDLE,         /* silence after content began */
    FAILURE_RATE_LIMITED, /* 429 */
    FAILURE_OVERLOADED,   /* 503, 529 */
    FAILURE_SERVER_ERROR, /* other 5xx */
    FAILURE_AUTH,         /* our key is wrong or may not */
    FAILURE_QUOTA,        /* our account is out of money or quota */
    FAILURE_CONTEXT_LENGTH, /* the prompt does not fit */
    FAILURE_CONTENT_FILTER, /* refused for what it says */
    FAILURE_NOT_FOUND,      /* the provider does not know the model */
    FAILURE_BAD_REQUEST,    /* the provider says the request is wrong */
    FAILURE_BAD_RESPONSE,   /* not the provider's dialect, or nothing in it */
    FAILURE_CUT_STREAM,     /* it began well and broke off */
    FAILURE_COST,           /* not tried: over the cost ceiling */
    FAILURE_LATENCY,        /* not tried: predicted too slow */
    FAILURE_CANCELLED,      /* the client left, or another attempt won */
    FAILURE_COUNT
};

/* The name policies, headers and records use: "rate_limited". FAILURE_NONE is "none". */
const char *failure_name(enum failure f);

/* FAILURE_NONE when the name is no class. */
enum failure failure_of(struct span name);

/* A set of classes is a bit mask. */
#define FAILURE_BIT(f) (UINT32_C(1) << (f))

/* What a step without `when` takes: all but bad_request, content_filter and cancelled.
 * (context_length is taken only by a step whose window is larger; that is the chain's to check.) */
#define FAILURE_DEFAULT_WHEN                                                                       \
    (((FAILURE_BIT(FAILURE_COUNT) - 1) & ~FAILURE_BIT(FAILURE_NONE)) &                             \
     ~(FAILURE_BIT(FAILURE_BAD_REQUEST) | FAILURE_BIT(FAILURE_CONTENT_FILTER) |                    \
       FAILURE_BIT(FAILURE_CANCELLED)))

#endif
