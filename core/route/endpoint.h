/* endpoint.h - which of our routes a request line means.
 *
 * Owns          the table of routes.
 * Fed by        worker, with a method and a path.
 * Feeds         worker and request.
 * Must not know what an endpoint does.
 *
 *   struct endpoint_match m = endpoint_match(SPAN("POST"), SPAN("/v1/chat/completions"), &arena);
 */
#ifndef PERILUNE_ROUTE_ENDPOINT_H
#define PERILUNE_ROUTE_ENDPOINT_H

#include "base/arena.h"
#include "base/dialect.h"

enum endpoint_kind {
    ENDPOINT_UNKNOWN,
    ENDPOINT_GENERATE,     /* goes through a policy to a provider */
    ENDPOINT_COUNT_TOKENS, /* reads a request, asks nobody */
    ENDPOINT_FEEDBACK,     /* on an answer that was given */
    ENDPOINT_MODELS,
    ENDPOINT_MODEL,
    ENDPOINT_HEALTH,
    ENDPOINT_READY,
    ENDPOINT_ROOT
};

struct endpoint {
    enum endpoint_kind kind;
    struct span path;     /* canonical: "/v1/chat/completions" */
    struct span upstream; /* behind a provider's base URL: "/chat/completions"; the query is the
                           * message's */
    struct span methods;  /* for `allow`: "POST, OPTIONS" */
    enum dialect dialect;
    bool open; /* needs no client key */
};

struct endpoint_match {
    const struct endpoint *endpoint; /* kind UNKNOWN when there is none */
    bool method_ok;
    struct span argument; /* ENDPOINT_MODEL: the id, percent-decoded */
    struct span nearest;  /* of an unknown path: "/v1/chat/completions", or SPAN_NONE */
};

/* A missing or a doubled /v1 means the same route; a slash at the end is ignored. */
struct endpoint_match endpoint_match(struct span method, struct span path, struct arena *arena);

#endif
