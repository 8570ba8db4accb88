/* period.h - days and months of a zone, for what is counted by them.
 *
 * Owns          nothing.
 * Fed by        a wall clock's seconds and a zone's offset.
 * Feeds         caps, usage, statements.
 * Must not know what is counted. A zone is an offset: it has no summer time.
 *
 *   struct period p = period_at(PERIOD_MONTH, 60, now_s);
 *   ... p.from_s <= now_s < p.to_s; the next one begins at p.to_s ...
 */
#ifndef PERILUNE_BASE_PERIOD_H
#define PERILUNE_BASE_PERIOD_H

#include "base/span.h"

enum period_kind { PERIOD_DAY, PERIOD_MONTH, PERIOD_TOTAL, PERIOD_KINDS };

/* From inclusive, to exclusive, in seconds since 1970-01-01 UTC. PERIOD_TOTAL is from 0 to
 * PERIOD_FOR_EVER. */
struct period {
    int64_t from_s, to_s;
};
#define PERIOD_FOR_EVER INT64_MAX

/* The one `now_s` lies in (moments before 1970 count as its beginning). `offset_min`: the zone's
 * minutes east of UTC, -1439 to 1439. */
struct period period_at(enum period_kind kind, int offset_min, int64_t now_s);

/* "day", "month", "total"; and back, PERIOD_KINDS for what is none. */
const char *period_name(enum period_kind kind);
enum period_kind period_of(struct span name);

#endif
