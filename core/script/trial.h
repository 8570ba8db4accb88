/* trial.h - policies asked a few plain requests before anybody does.
 *
 * Owns          a policy state while it asks.
 * Fed by        a sealed snapshot.
 * Feeds         `perilune check`, with findings.
 * Must not know what becomes of a decision.
 */
#ifndef PERILUNE_SCRIPT_TRIAL_H
#define PERILUNE_SCRIPT_TRIAL_H

#include "script/config.h"

/* Asks each policy of the snapshot what most clients ask, without a session: for auto, with tools,
 * of a tier, with little left under a cap. The first answer that is no answer is a finding, a
 * warning; a refusal and an empty chain are answers. A decision is stopped as in the gateway, and
 * after a handful of those that had to be no more are asked. */
void trial_run(const struct snapshot *snap, struct config_findings *findings);

#endif
