#define XXH_INLINE_ALL
#include "base/tally.h"

#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

struct tally {
    size_t max, n_counts, mask;
    struct tally_row **index; /* open addressing, by hash; the counting thread's */
    struct tally_row *rest;   /* NULL: nothing has gone there yet */
    struct span rest_name;
    atomic_size_t n;                  /* rows that can be read */
    struct tally_row *_Atomic rows[]; /* max of them and the rest's */
};

static void *must(void *memory) {
    if (!memory)
        abort();
    return memory;
}

static struct span copy_of(struct span s) {
    char *at = must(malloc(s.len + 1));
    if (s.len)
        memcpy(at, s.at, s.len);
    return (struct span){ at, s.len };
}

struct tally *tally_new(size_t max, size_t n_counts, struct span rest) {
    size_t places = 4;
    while (places < 2 * max)
        places *= 2;
    struct tally *t = must(calloc(1, sizeof *t + (max + 1) * sizeof *t->rows));
    t->max = max;
    t->n_counts = n_counts;
    t->mask = places - 1;
    t->index = must(calloc(places, sizeof(struct tally_row *)));
    t->rest_name = copy_of(rest);
    return t;
}

void tally_free(struct tally *t) {
    for (size_t i = 0; i < tally_rows(t); i++) {
        struct tally_row *row = t->rows[i];
        free((char *)row->name.at);
        free(row);
    }
    free((char *)t->rest_name.at);
    free(t->index);
    free(t);
}

size_t tally_rows(const struct tally *t) {
    return atomic_load_explicit(&t->n, memory_order_acquire);
}

const struct tally_row *tally_at(const struct tally *t, size_t i) {
    return atomic_load_explicit(&t->rows[i], memory_order_relaxed);
}

/* The row of that name, or the place it belongs to. */
static struct tally_row **place_of(struct tally *t, struct span name, uint64_t hash) {
    size_t at = hash & t->mask;
    while (t->index[at] && (t->index[at]->hash != hash || !span_eq(t->index[at]->name, name)))
        at = (at + 1) & t->mask;
    return &t->index[at];
}

static struct tally_row *add_row(struct tally *t, struct span name, uint64_t hash) {
    size_t n = atomic_load_explicit(&t->n, memory_order_relaxed);
    struct tally_row *row = must(calloc(1, sizeof *row + t->n_counts * sizeof *row->counts));
    row->name = copy_of(name);
    row->hash = hash;
    atomic_store_explicit(&t->rows[n], row, memory_order_relaxed);
    atomic_store_explicit(&t->n, n + 1, memory_order_release);
    return row;
}

struct tally_row *tally_find(struct tally *t, struct span name) {
    return *place_of(t, name, XXH3_64bits(name.at, name.len));
}

struct tally_row *tally_row(struct tally *t, struct span name) {
    uint64_t hash = XXH3_64bits(name.at, name.len);
    struct tally_row **place = place_of(t, name, hash), *row = *place;
    if (row)
        return row;
    bool is_rest = span_eq(name, t->rest_name);
    if (!is_rest && tally_rows(t) - (t->rest != NULL) < t->max) {
        row = *place = add_row(t, name, hash);
        return row;
    }
    if (!t->rest)
        t->rest = add_row(t, t->rest_name, 0);
    return t->rest;
}

void tally_sum(struct tally *into, const struct tally *from) {
    assert(into->n_counts == from->n_counts);
    for (size_t i = 0; i < tally_rows(from); i++) {
        const struct tally_row *row = tally_at(from, i);
        struct tally_row *sum = tally_row(into, row->name);
        for (size_t j = 0; j < from->n_counts; j++)
            tally_add(sum, j, tally_read(row, j));
    }
}
