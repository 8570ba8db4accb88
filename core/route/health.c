#include "route/health.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <uthash.h>

enum {
    TOKENS_FULL = 1024,     /* an estimate that counts in full; smaller ones count by their size */
    TOKENS_SHARE = 8,       /* the newest report's part of the average, then */
    TOKENS_FACTOR_SPAN = 4, /* an estimate is off by no more than that, either way */
};

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

void health_tokens(struct health_figure *f, uint64_t estimated, uint64_t reported) {
    if (!estimated || !reported)
        return;
    double sample = (double)reported / (double)estimated;
    double weight =
        (double)(estimated < TOKENS_FULL ? estimated : TOKENS_FULL) / (TOKENS_FULL * TOKENS_SHARE);
    double old = health_token_factor(f);
    sample = fmin(fmax(sample, 1.0 / TOKENS_FACTOR_SPAN), TOKENS_FACTOR_SPAN);
    unsigned now = (unsigned)lround((old + (sample - old) * weight) * HEALTH_FACTOR_ONE);
    atomic_store_explicit(&f->token_factor, now, memory_order_relaxed);
}

double health_token_factor(const struct health_figure *f) {
    unsigned factor = atomic_load_explicit(&f->token_factor, memory_order_relaxed);
    return factor ? (double)factor / HEALTH_FACTOR_ONE : 1;
}
