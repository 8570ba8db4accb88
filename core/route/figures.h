/* figures.h - what health has of a target, as policies are told of it.
 *
 * Owns          the names of a breaker's states.
 * Fed by        worker and explain, with a target's figures.
 * Feeds         script/policy.
 * Must not know who is told.
 *
 *   struct policy_figure f = figures_of(figure, target->index, clock_ms());
 */
#ifndef PERILUNE_ROUTE_FIGURES_H
#define PERILUNE_ROUTE_FIGURES_H

#include "route/health.h"
#include "script/policy.h"

struct policy_figure figures_of(struct health_figure *f, unsigned target, uint64_t now_ms);

/* "closed", "open", "half_open"; any other name is "closed". */
const char *figures_state(struct span name);

#endif
