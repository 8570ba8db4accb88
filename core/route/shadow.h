/* shadow.h - a policy that decides beside the live one without acting, and how often it would have
 * decided otherwise.
 *
 * Owns          the counts, a set a pair of versions; they survive reloads, and a version that
 *               changes begins anew.
 * Fed by        request, after its own decision has been followed.
 * Feeds         the status of the admin side.
 * Must not know what became of the request.
 *
 *   if (shadow_wanted(snap, policy, &w->random)) ...
 *   shadow_decide(shadow, w, epoch, policy, &facts, &trace, arena);
 *
 * The candidate decides in the epoch's spare state, so that one which has to be stopped takes nothing
 * from the live policies; while there is no spare it is passed over.
 */
#ifndef PERILUNE_ROUTE_SHADOW_H
#define PERILUNE_ROUTE_SHADOW_H

#include "route/trace.h"
#include "route/worker.h"

struct shadow;

struct shadow *shadow_new(void);
void shadow_free(struct shadow *s);

/* The candidate that is to decide beside `policy` this time; NULL: none. */
const struct shadow_setting *shadow_wanted(const struct snapshot *snap, struct span policy,
                                           struct random *random);

/* Asks it, and counts what is different. `live` holds the decision as it was made. */
void shadow_decide(struct shadow *s, struct worker *w, struct epoch *e,
                   const struct shadow_setting *setting, const struct facts *facts,
                   const struct trace *live, struct arena *arena);

/* How one request was decided by both. Costs are those expected of the first targets, in
 * nano-dollars; negative: not known. */
struct shadow_seen {
    struct span live, candidate; /* versions */
    enum { SHADOW_DECIDED, SHADOW_FAILED, SHADOW_STOPPED, SHADOW_PASSED_OVER } how;
    bool changed, changed_first;
    nanousd cost_live, cost_candidate;
};

/* Any thread. */
void shadow_count(struct shadow *s, const struct shadow_seen *seen);

/* Whether two decisions are different; `*first`: already in whom they ask first. */
bool shadow_differs(const struct trace *a, const struct trace *b, bool *first);

/* [{"live","candidate","share","requests",...},...]: of the pairs that are configured. Any thread. */
void shadow_write(struct shadow *s, const struct snapshot *snap, struct buf *out);

#endif
