/* tally.h - counters by name: counted by one thread, read by any, without a lock.
 *
 * Owns          the rows, each a name and so many counters; they stay until it is freed.
 * Fed by        one thread, which counts.
 * Feeds         whoever sums several of them.
 * Must not know what is counted.
 *
 *   struct tally *t = tally_new(512, 3, SPAN("other"));
 *   tally_add(tally_row(t, SPAN("openai/gpt-4o")), 2, 1);
 *   for (size_t i = 0; i < tally_rows(t); i++) ... tally_at(t, i) ...
 *
 * There are at most so many rows: what comes by another name then counts under a name for the rest.
 */
#ifndef PERILUNE_BASE_TALLY_H
#define PERILUNE_BASE_TALLY_H

#include "base/span.h"

#include <stdatomic.h>

struct tally;

struct tally_row {
    struct span name;
    uint64_t hash;
    atomic_ullong counts[];
};

/* `rest` names the row of what finds none of its own; it is copied. Never NULL. */
struct tally *tally_new(size_t max, size_t n_counts, struct span rest);
void tally_free(struct tally *t);

/* The row of that name, or NULL. On the counting thread. */
struct tally_row *tally_find(struct tally *t, struct span name);

/* The same, made where there is none, or the one of the rest. */
struct tally_row *tally_row(struct tally *t, struct span name);

/* On the counting thread: no other adds to the same counter. */
static inline void tally_add(struct tally_row *row, size_t at, uint64_t n) {
    atomic_ullong *c = &row->counts[at];
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline uint64_t tally_read(const struct tally_row *row, size_t at) {
    return atomic_load_explicit(&row->counts[at], memory_order_relaxed);
}

/* How many rows there are, and each of them in the order they came; from any thread. */
size_t tally_rows(const struct tally *t);
const struct tally_row *tally_at(const struct tally *t, size_t i);

/* Adds all of `from` to `into`, which counts as much a row and is this thread's. */
void tally_sum(struct tally *into, const struct tally *from);

#endif
