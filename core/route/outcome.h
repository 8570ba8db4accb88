/* outcome.h - what a client is told when its request comes to nothing.
 *
 * Owns          nothing; texts are made in the arena given.
 * Fed by        request, with the trace and how the last attempt failed.
 * Feeds         error, which writes it in the client's dialect.
 * Must not know connections, timers, how the chain was walked.
 *
 *   error = outcome_exhausted(&trace, &last, wait, &arena);
 */
#ifndef PERILUNE_ROUTE_OUTCOME_H
#define PERILUNE_ROUTE_OUTCOME_H

#include "route/attempt.h"
#include "route/error.h"

/* What waiting for the targets of a chain would have come to. */
struct outcome_wait {
    int64_t reopens_in_ms; /* when the first of those that may not be asked now may be asked again;
                            * -1: there is none */
    uint32_t too_short_ms; /* how long the queue could be waited in, when that is less; else 0 */
};

/* The chain is at its end. A refusal that is about the client's request is passed on in the
 * provider's own words. */
struct api_error outcome_exhausted(const struct trace *trace, const struct attempt_failure *last,
                                   struct outcome_wait wait, struct arena *arena);

/* There is no room to wait in. `in_ms`: when something might change. */
struct api_error outcome_queue_full(const struct trace *trace, uint32_t in_ms);

/* The policy's chain is empty: the status tells what took the last target out. */
struct api_error outcome_no_target(const struct decision *decision, const struct trace *trace,
                                   struct arena *arena);

/* A stream broke off after content. */
struct api_error outcome_interrupted(const struct trace *trace, const struct attempt_failure *last,
                                     struct arena *arena);

/* The request's time of `ms` is over. */
struct api_error outcome_too_late(const struct trace *trace, uint64_t ms, struct arena *arena);

#endif
