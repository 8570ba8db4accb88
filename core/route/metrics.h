/* metrics.h - what became of requests, counted.
 *
 * Owns          the counters of one worker.
 * Fed by        charge, with each request that is over; worker, with those it refused at their
 *               head.
 * Feeds         the admin side, which sums all workers and writes them down.
 * Must not know formats, names of metrics, what happens now.
 *
 *   struct metrics *m = metrics_new();
 *   metrics_count(m, snap, &entry);       on the worker's thread: 2,300 instructions, no lock
 *   metrics_sum(all, m);                  on any thread, into one of its own
 *
 * Names are bounded: a target is one of the catalogue, or "PROVIDER/other"; projects and policies
 * are those there are; what clients make up counts as "other". No key is named.
 */
#ifndef PERILUNE_ROUTE_METRICS_H
#define PERILUNE_ROUTE_METRICS_H

#include "base/snapshot.h"
#include "base/tally.h"
#include "money/entry.h"

/* How something is spread: bounds of the values, ascending. A row has a count for each, one for
 * what is larger, and the sum. */
struct metrics_bounds {
    const double *at;
    size_t n;
    double unit; /* what is counted, in what the bounds are in: 1e-6 of microseconds in seconds */
};
enum {
    METRICS_DURATIONS = 14,
    METRICS_OVERHEADS = 12,
    METRICS_OPERATIONS = 14,
    METRICS_SIZES = 14
};
extern const struct metrics_bounds metrics_durations;  /* of a request: 5 ms to 2 minutes */
extern const struct metrics_bounds metrics_overheads;  /* of our own work: 50 us to 250 ms */
extern const struct metrics_bounds metrics_operations; /* OpenTelemetry's of GenAI: 0.01 s on */
extern const struct metrics_bounds metrics_sizes;      /* OpenTelemetry's of tokens: 1 to 4^13 */

/* Where each counter of a row stands. */
enum metrics_endpoint {
    METRICS_TOTAL,
    METRICS_FIRST = METRICS_TOTAL + METRICS_DURATIONS + 2,
    METRICS_QUEUE = METRICS_FIRST + METRICS_DURATIONS + 2,
    METRICS_POLICY = METRICS_QUEUE + METRICS_DURATIONS + 2,
    METRICS_OVERHEAD = METRICS_POLICY + METRICS_OVERHEADS + 2,
    METRICS_ENDPOINT_COUNTS = METRICS_OVERHEAD + METRICS_OVERHEADS + 2
};

enum metrics_tokens {
    METRICS_INPUT,
    METRICS_CACHED,
    METRICS_WRITTEN,
    METRICS_OUTPUT,
    METRICS_REASONING,
    METRICS_TOKENS
};

enum metrics_target {
    METRICS_BY_CLASS, /* attempts, by enum failure; FAILURE_NONE: answered */
    METRICS_BY_TOKENS = METRICS_BY_CLASS + FAILURE_COUNT,
    METRICS_COST = METRICS_BY_TOKENS + METRICS_TOKENS, /* nano-dollars */
    METRICS_UNPRICED,
    METRICS_ESTIMATED,
    METRICS_RETRIES, /* attempts at the same target as the one before */
    METRICS_HEDGES,
    METRICS_TARGET_COUNTS
};

enum metrics_genai {
    METRICS_OPERATION,
    METRICS_SIZE_INPUT = METRICS_OPERATION + METRICS_OPERATIONS + 2,
    METRICS_SIZE_OUTPUT = METRICS_SIZE_INPUT + METRICS_SIZES + 2,
    METRICS_GENAI_COUNTS = METRICS_SIZE_OUTPUT + METRICS_SIZES + 2
};

enum metrics_project {
    METRICS_PROJECT_COST, /* nano-dollars */
    METRICS_PROJECT_BILLED,
    METRICS_PROJECT_FREE, /* requests */
    METRICS_PROJECT_INPUT,
    METRICS_PROJECT_OUTPUT,
    METRICS_PROJECT_COUNTS
};

/* Parts of a name stand one behind another, a 0 between. */
struct metrics {
    struct tally *requests;  /* endpoint, project, outcome, status, error_type */
    struct tally *endpoints; /* endpoint, "true" or "false": a stream */
    struct tally *targets;   /* target */
    struct tally *genai;     /* target, operation */
    struct tally *fallbacks; /* from, to, failure class */
    struct tally *projects;  /* project */
    struct tally *policies;  /* policy */
};

struct metrics *metrics_new(void);
void metrics_free(struct metrics *m); /* NULL is fine */

/* A request is over. */
void metrics_count(struct metrics *m, const struct snapshot *snap, const struct entry *e);

void metrics_sum(struct metrics *into, const struct metrics *from);

/* Why a request came to nothing, by who can change that: "client_rate_limit_exceeded",
 * "policy_refused", "upstream_fallbacks_exhausted", "gateway_overloaded", "other"; "": it did
 * not. */
struct span metrics_error_type(const struct entry *e);

/* The next part of a row's name, cut off *name. */
struct span metrics_part(struct span *name);

#endif
