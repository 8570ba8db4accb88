/* lag.h - how late a loop is.
 *
 * Owns          a few numbers.
 * Fed by        worker, whose timer tells when it was due and when it came.
 * Feeds         worker, which refuses requests while it is too late for them; the metrics.
 * Must not know clocks: `now` is an argument, so that a spec can say it.
 *
 *   lag_arm(&lag, now_ms, 4);              // a timer that is due in 4 ms
 *   lag_turn(&lag, now_ms);                // it fires, and is due so long after this again
 *   if (lag_is_over(&lag, now_ms, 200)) ...
 *   lag_rest(&lag, now_ms);                // it was stopped
 *
 * What is told is the lateness something met that came at any moment of the last seconds: a turn of
 * the loop counts by its length, because more comes in a longer one.
 */
#ifndef PERILUNE_ROUTE_LAG_H
#define PERILUNE_ROUTE_LAG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Written by one thread, read by any. */
struct lag {
    atomic_ullong at_ms; /* when the timer was armed, fired or stopped last */
    atomic_uint due_ms;  /* how long after that it is due; 0: it is stopped */
    atomic_uint late_ms; /* how late it was the last time */
    atomic_uint mean_us;
};

void lag_arm(struct lag *l, uint64_t now_ms, unsigned due_ms);
void lag_turn(struct lag *l, uint64_t now_ms);
void lag_rest(struct lag *l, uint64_t now_ms);

/* Microseconds. A loop that has not turned since it should have is as late as that already. */
unsigned lag_us(const struct lag *l, uint64_t now_ms);

/* Whether the loop has been later than that for a while, and still is: one long turn among short
 * ones is none of it, and the first short one ends it. */
bool lag_is_over(const struct lag *l, uint64_t now_ms, unsigned most_ms);

#endif
