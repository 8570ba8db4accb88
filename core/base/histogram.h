/* histogram.h - how times are spread, in a few hundred bytes.
 *
 * Owns          counts by size: up to 7 exactly, then eight classes from each power of two to the next.
 * Fed by        whoever measures.
 * Feeds         percentiles, over as many histograms together as one likes.
 * Must not know units; health counts milliseconds.
 *
 *   histogram_add(&h, 420);
 *   n = histogram_read(parts, n_parts, (double[]){ 0.5, 0.99 }, 2, found);
 *
 * What is read is within 6% of what was put in, from 1 to HISTOGRAM_MOST (17 minutes of milliseconds);
 * larger values count as that. Any thread adds and reads at any time; who reads meanwhile sees some of
 * what is added.
 */
#ifndef PERILUNE_BASE_HISTOGRAM_H
#define PERILUNE_BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { HISTOGRAM_MOST = (1 << 20) - 1, HISTOGRAM_CLASSES = 8 * 18 };

struct histogram {
    atomic_uint counts[HISTOGRAM_CLASSES]; /* zeroed is empty */
};

void histogram_add(struct histogram *h, uint64_t value);

/* Forgets everything. What others add meanwhile may be forgotten as well or not. */
void histogram_clear(struct histogram *h);

/* `found[i]` is the value under which the share `shares[i]` of all values in the `n` histograms lie;
 * shares ascend. Returns how many values there are; without any, `found` is left alone. */
uint64_t histogram_read(const struct histogram *const *parts, size_t n, const double *shares,
                        size_t n_shares, double *found);

#endif
