#include "route/health.h"

#include <pthread.h>
#include <stdlib.h>
#include <uthash.h>

struct entry {
    struct health_figure figure; /* first, so that it is the entry */
    UT_hash_handle hh;
    size_t len;
    char id[];
};

struct health {
    pthread_mutex_t lock;
    struct entry *entries;
};

struct health *health_new(void) {
    struct health *h = calloc(1, sizeof *h);
    if (!h)
        abort();
    pthread_mutex_init(&h->lock, NULL);
    return h;
}

void health_free(struct health *h) {
    struct entry *e, *next;
    HASH_ITER(hh, h->entries, e, next) {
        HASH_DEL(h->entries, e);
        free(e);
    }
    pthread_mutex_destroy(&h->lock);
    free(h);
}

struct health_figure *health_figure(struct health *h, struct span target) {
    struct entry *e;
    pthread_mutex_lock(&h->lock);
    HASH_FIND(hh, h->entries, target.at, target.len, e);
    if (!e) {
        e = calloc(1, sizeof *e + target.len);
        if (!e)
            abort();
        e->len = target.len;
        memcpy(e->id, target.at, target.len);
        HASH_ADD_KEYPTR(hh, h->entries, e->id, e->len, e);
    }
    pthread_mutex_unlock(&h->lock);
    return &e->figure;
}

void health_began(struct health_figure *f) {
    atomic_fetch_add_explicit(&f->in_flight, 1, memory_order_relaxed);
}

/* An eighth of the newest: ten answers forget most of what was. Two workers may overwrite each
 * other's update; a figure can bear it. */
static void average(atomic_uint *figure, uint32_t ms) {
    uint64_t old = atomic_load_explicit(figure, memory_order_relaxed);
    uint64_t sample = ms ? ms : 1;
    uint64_t now = old ? (old * 7 + sample + 4) / 8 : sample;
    atomic_store_explicit(figure, (unsigned)now, memory_order_relaxed);
}

void health_ended(struct health_figure *f, enum failure why, uint32_t first_ms, uint32_t total_ms) {
    const uint32_t neutral = FAILURE_BIT(FAILURE_CANCELLED) | FAILURE_BIT(FAILURE_BAD_REQUEST) |
                             FAILURE_BIT(FAILURE_CONTENT_FILTER) |
                             FAILURE_BIT(FAILURE_CONTEXT_LENGTH) | FAILURE_BIT(FAILURE_COST) |
                             FAILURE_BIT(FAILURE_LATENCY);
    atomic_fetch_sub_explicit(&f->in_flight, 1, memory_order_relaxed);
    if (why == FAILURE_NONE) {
        atomic_fetch_add_explicit(&f->answered, 1, memory_order_relaxed);
        average(&f->total_ms, total_ms);
        if (first_ms)
            average(&f->first_ms, first_ms);
    } else if (!(neutral & FAILURE_BIT(why))) {
        atomic_fetch_add_explicit(&f->failed, 1, memory_order_relaxed);
    }
}

uint32_t health_latency(const struct health_figure *f) {
    return atomic_load_explicit(&f->total_ms, memory_order_relaxed);
}
