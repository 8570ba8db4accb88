#include "base/histogram.h"

enum { FINE_BITS = 3, FINE = 1 << FINE_BITS };

/* Numbers up to 7 are their own class; from there on the leading bit and the three behind it say
 * which. */
static unsigned class_of(uint64_t value) {
    if (value < FINE)
        return (unsigned)value;
    if (value > HISTOGRAM_MOST)
        value = HISTOGRAM_MOST;
    unsigned shift = 63 - (unsigned)__builtin_clzll(value) - FINE_BITS;
    return shift * FINE + (unsigned)(value >> shift);
}

/* The least of a class. */
static uint64_t from(unsigned class) {
    if (class < FINE)
        return class;
    unsigned shift = class / FINE - 1;
    return (uint64_t)(FINE + class % FINE) << shift;
}

/* What stands for a class: as far, in parts of the value, from its least as from its largest. */
static double middle(unsigned class) {
    double least = (double)from(class), largest = (double)from(class + 1) - 1;
    return class < FINE ? least : 2 * least * largest / (least + largest);
}

void histogram_add(struct histogram *h, uint64_t value) {
    atomic_fetch_add_explicit(&h->counts[class_of(value)], 1, memory_order_relaxed);
}

void histogram_clear(struct histogram *h) {
    for (unsigned i = 0; i < HISTOGRAM_CLASSES; i++)
        atomic_store_explicit(&h->counts[i], 0, memory_order_relaxed);
}

uint64_t histogram_read(const struct histogram *const *parts, size_t n, const double *shares,
                        size_t n_shares, double *found) {
    uint64_t sums[HISTOGRAM_CLASSES] = { 0 }, all = 0, below = 0;
    for (size_t part = 0; part < n; part++)
        for (unsigned i = 0; i < HISTOGRAM_CLASSES; i++)
            sums[i] += atomic_load_explicit(&parts[part]->counts[i], memory_order_relaxed);
    for (unsigned i = 0; i < HISTOGRAM_CLASSES; i++)
        all += sums[i];
    size_t at = 0;
    for (unsigned i = 0; i < HISTOGRAM_CLASSES && at < n_shares; i++) {
        below += sums[i];
        while (at < n_shares && sums[i] && (double)below >= shares[at] * (double)all)
            found[at++] = middle(i);
    }
    return all;
}
