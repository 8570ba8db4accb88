/* live.h - the attempts of a request that are under way.
 *
 * Owns          their start and their accounts: money set aside and settled, figures of targets.
 * Fed by        pursuit, with a step to try and with what became of it.
 * Feeds         health, tokens, the hooks of money, the request's trace.
 * Must not know why a step is tried, what comes after it.
 *
 *   if (!live_start(r, &move, false, &events)) ... there was no money ...
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

/* Whether the step's target may be asked, as chain_view.admit. */
enum breaker_permit live_admit(struct request *r, const struct step *step, bool insist,
                               enum failure *why);

/* Whether somebody is finding out how the target is. */
bool live_probed(const struct request *r, const struct target *target);

/* Milliseconds until the target may be asked again, by its breaker and by what it told this
 * request; 0: now. */
uint64_t live_reopens_in(const struct request *r, const struct target *target);

/* The least of those of all targets that were tried or passed over, and are not open to us now; -1:
 * there is none. */
int64_t live_earliest(const struct request *r);

/* Begins an attempt, `hedge`: beside another. False when there was no money for it: it is
 * recorded as failed for `cost`, and the permit given back. */
bool live_start(struct request *r, const struct chain_move *move, bool hedge,
                const struct attempt_events *events);

/* Its first content is here. */
void live_content(struct request *r, const struct attempt *a);

/* What was written down of an attempt that is under way. */
struct trace_attempt *live_record(const struct request *r, const struct attempt *a);

/* What is set aside for it. */
const struct charge_hold *live_hold(const struct request *r, const struct attempt *a);

/* It is over, its record is filled: settles what it leaves. The caller frees or releases it. */
struct trace_attempt *live_ended(struct request *r, struct attempt *a);

/* Gives up every attempt but `spared`. */
void live_cancel(struct request *r, const struct attempt *spared);

/* The request's time is over: whoever had most of it, and has nothing to show, took too long. */
void live_overdue(struct request *r);

#endif
