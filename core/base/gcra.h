/* gcra.h - an allowance a minute, spread evenly: a virtual schedule (GCRA: ITU-T I.371).
 *
 * Owns          nothing: a schedule is one number, the microsecond at which it is empty again.
 * Fed by        whoever keeps one, with what things cost of its minute.
 * Feeds         the pace of providers' keys, the limits of ours.
 * Must not know what is counted, which clock it is, or who else changes the number.
 *
 *   uint64_t cost = gcra_cost_us(1, 60);                 a sixtieth of the minute
 *   if (gcra_ahead_us(empty, now) + cost <= burst) empty = gcra_charged(empty, cost, now);
 */
#ifndef PERILUNE_BASE_GCRA_H
#define PERILUNE_BASE_GCRA_H

#include <stdint.h>

#define GCRA_MINUTE_US UINT64_C(60000000)

/* Microseconds `n` units take of a minute that allows `a_minute` of them (not 0), rounded down.
 * What is larger than the whole allowance takes the minute and no more. */
uint64_t gcra_cost_us(uint64_t n, uint32_t a_minute);

/* How far the schedule is ahead of now; 0 when it is empty. */
uint64_t gcra_ahead_us(uint64_t empty_us, uint64_t now_us);

/* When it is empty with `cost_us` put on it. */
uint64_t gcra_charged(uint64_t empty_us, uint64_t cost_us, uint64_t now_us);

#endif
