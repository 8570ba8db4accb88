/* health.h - what targets have been doing lately, shared by all workers.
 *
 * Owns          one set of figures a target, by its id; they survive every reload.
 * Fed by        request, when attempts begin and end.
 * Feeds         chain, with a predicted time; tokens, with what estimates are off by.
 * Must not know requests.
 *
 *   struct health_figure *f = health_figure(h, target->id);       once a snapshot and worker
 *   health_began(f); ... health_ended(f, FAILURE_NONE, first_ms, total_ms);
 */
#ifndef PERILUNE_ROUTE_HEALTH_H
#define PERILUNE_ROUTE_HEALTH_H

#include "base/failure.h"
#include "base/span.h"

#include <stdatomic.h>

struct health;

/* Atomics, each right for itself: a figure may lag another by one attempt. */
struct health_figure {
    atomic_uint in_flight;
    atomic_uint total_ms;     /* moving average of answered attempts; 0: none yet */
    atomic_uint first_ms;     /* until the first content, likewise */
    atomic_uint token_factor; /* reported to estimated input tokens, in HEALTH_FACTOR_ONE; 0: none
                               * reported yet */
    atomic_ullong answered, failed;
};

#define HEALTH_FACTOR_ONE 65536

struct health *health_new(void);
void health_free(struct health *h);

/* The figures of a target, made on first use. They stay where they are until health_free(). Any
 * thread. */
struct health_figure *health_figure(struct health *h, struct span target);

void health_began(struct health_figure *f);

/* FAILURE_NONE: answered; `first_ms` is 0 where the answer was no stream. A cancelled attempt, a
 * refusal that was the client's doing and a threshold say nothing about the target. */
void health_ended(struct health_figure *f, enum failure why, uint32_t first_ms, uint32_t total_ms);

/* Predicted total time of an attempt in ms; 0 while nothing is known. */
uint32_t health_latency(const struct health_figure *f);

/* An answer reported so many input tokens where so many were estimated (uncorrected). Long prompts
 * say more than short ones, which are mostly what a provider puts around them. Nothing is learned
 * of a zero. */
void health_tokens(struct health_figure *f, uint64_t estimated, uint64_t reported);

/* What an estimate for the target is to be multiplied by: 0.25 to 4; 1 while nothing is known. */
double health_token_factor(const struct health_figure *f);

#endif
