/* clock.h - what time it is.
 *
 * Owns          nothing.
 * Fed by        the kernel.
 * Feeds         deadlines (monotonic) and what people read (wall).
 * Must not know who asks. Code that decides by time takes `now` as an argument, so that specs can
 *               say what time it is.
 */
#ifndef PERILUNE_BASE_CLOCK_H
#define PERILUNE_BASE_CLOCK_H

#include "base/span.h"

/* Microseconds since some start that never moves back (CLOCK_MONOTONIC). */
uint64_t clock_us(void);

/* Milliseconds of the same clock. */
uint64_t clock_ms(void);

/* Milliseconds since 1970-01-01 UTC. */
uint64_t clock_wall_ms(void);

/* "2026-11-22T12:58:28.123Z" (RFC 3339) of a wall time; `out` holds 25 bytes and is
 * NUL-terminated. */
void clock_rfc3339(uint64_t wall_ms, char out[25]);

/* Such a wall time back: RFC 3339 with any zone and fraction ("2027-01-01T09:00:00+02:00"), or a
 * date alone, which is its midnight in UTC. False for anything else, for a day no month has, and
 * for what lies before 1970. */
bool clock_parse(struct span text, uint64_t *wall_ms);

#endif
