/* moment.h - moments as people write them behind an option.
 *
 * Owns          nothing.
 * Fed by        usage, logs, keys: --from, --to, --expires.
 * Feeds         them, with Unix times.
 * Must not know what lies between two of them.
 *
 *   moment_read(SPAN("7d"), MOMENT_FROM, now_us, &us)            a week ago
 *   moment_read(SPAN("2026-11-30"), MOMENT_TO, now_us, &us)      the end of that day
 */
#ifndef PERILUNE_CLI_MOMENT_H
#define PERILUNE_CLI_MOMENT_H

#include "base/span.h"

/* What a moment is wanted for: that says on which side of now "24h" is, and whether a day that is
 * named belongs to what is meant. */
enum moment_use {
    MOMENT_FROM, /* "24h": before now; a day: its beginning */
    MOMENT_TO,   /* "24h": before now; a day: its end */
    MOMENT_UNTIL /* "24h": after now; a day: its beginning */
};

/* For messages. */
#define MOMENT_FORMS "2026-11-01, 2026-11-01T08:30:00Z or a time like 90m, 24h, 7d"

/* A day of UTC, a time of RFC 3339, or a whole number of s, m, h, d or w. The time in microseconds
 * since 1970-01-01 UTC; false for anything else, and before 1970. */
bool moment_read(struct span text, enum moment_use use, uint64_t now_us, uint64_t *us);

#endif
