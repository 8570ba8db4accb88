/* assumed.h - what explain takes for true of who asks, and of what is left to spend.
 *
 * Owns          nothing.
 * Fed by        explain, with assumptions as somebody wrote them.
 * Feeds         explain, with struct facts.
 * Must not know targets: what is assumed of them is lua/perilune/assume.lua's.
 *
 *   key=ci                 the request comes with that key, by its id
 *   project=shop           it belongs to that project
 *   budget.left_usd=0.5    the tightest cap leaves so much
 *   budget.used=0.9        that share of it is gone
 *   budget.free_left=3     so many of the project's free requests are left
 */
#ifndef PERILUNE_ROUTE_ASSUMED_H
#define PERILUNE_ROUTE_ASSUMED_H

#include "base/facts.h"
#include "base/snapshot.h"
#include "money/keys.h"
#include "route/error.h"

/* Fills key, project and budget: nobody's with a key, of the project `default`, without a cap, but
 * for what is assumed. `known`: the keys and projects there are; NULL: those of the configuration.
 * False with `*error` when one of them can not be taken for true. Assumptions of other names are
 * left alone. */
bool assumed_asker(const struct config *config, const struct keys_pass *known,
                   const struct span *assume, size_t n, struct arena *arena, struct facts *facts,
                   struct api_error *error);

/* The same over facts that tell all that already, as recorded ones do. */
bool assumed_over(const struct config *config, const struct keys_pass *known,
                  const struct span *assume, size_t n, struct arena *arena, struct facts *facts,
                  struct api_error *error);

#endif
