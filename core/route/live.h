/* live.h - the attempts of a request that are under way.
 *
 * Owns          their start and their accounts: money set aside and settled, figures of targets.
 * Fed by        pursuit, with a step to try and with what became of it.
 * Feeds         health, tokens, the hooks of money, the request's trace.
 * Must not know why a step is tried, what comes after it.
 *
 *   if (!live_start(r, step, &events)) ... there was no money ...
 *   record = live_ended(r, attempt);      its last event came; then free or release it
 *   live_cancel(r, NULL);                 gives up all that are left
 */
#ifndef PERILUNE_ROUTE_LIVE_H
#define PERILUNE_ROUTE_LIVE_H

#include "route/request_state.h"

/* What the prompt is expected to be worth at the target. */
uint64_t live_tokens(const struct request *r, const struct target *target);

/* The most an attempt of that step can cost; NANOUSD_UNKNOWN without a price. */
nanousd live_bound(const struct request *r, const struct step *step);

/* Begins an attempt. False when there was no money for it: it is recorded as failed for `cost`. */
bool live_start(struct request *r, const struct step *step, bool over_threshold,
                const struct attempt_events *events);

/* What was written down of an attempt that is under way. */
struct trace_attempt *live_record(const struct request *r, const struct attempt *a);

/* It is over, its record is filled: settles what it leaves. The caller frees or releases it. */
struct trace_attempt *live_ended(struct request *r, const struct attempt *a);

/* Gives up every attempt but `spared`. */
void live_cancel(struct request *r, const struct attempt *spared);

#endif
