/* bound.h - how long the answer to a step can be.
 *
 * Owns          nothing.
 * Fed by        charge, before money is set aside; attempt, when usage is estimated.
 * Feeds         the same.
 * Must not know prices, caps, dialects.
 *
 *   struct bound b = bound_of(&facts, step);
 *   ... all of it is at most bound_tokens(b) ...
 */
#ifndef PERILUNE_ROUTE_BOUND_H
#define PERILUNE_ROUTE_BOUND_H

#include "base/decision.h"
#include "base/facts.h"

struct bound {
    uint64_t each; /* tokens of one answer; 0: there is no output */
    uint64_t answers;
};

/* What the step says, else what the client does, else all the model can. What is not known to be a
 * bound, because a step takes it out or writes something else there, is none. */
struct bound bound_of(const struct facts *facts, const struct step *step);

/* Of all answers together. */
uint64_t bound_tokens(struct bound bound);

/* Whether a param of a step has that meaning. */
bool bound_is_name(struct span param);

#endif
