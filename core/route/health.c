#include "route/health.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <uthash.h>

enum {
    INPUT_FULL = 1024,      /* estimates that count in full: */
    OUTPUT_FULL = 128,      /* answers are shorter, and hold little but their text */
    TOKENS_SHARE = 8,       /* what a report that counts in full is of the average */
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
        breaker_deinit(&e->figure.breaker);
        pthread_mutex_destroy(&e->figure.lock);
        free(atomic_load_explicit(&e->figure.slices, memory_order_relaxed));
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
        breaker_init(&e->figure.breaker);
        pthread_mutex_init(&e->figure.lock, NULL);
        e->len = target.len;
        memcpy(e->id, target.at, target.len);
        HASH_ADD_KEYPTR(hh, h->entries, e->id, e->len, e);
    }
    pthread_mutex_unlock(&h->lock);
    return &e->figure;
}

/* --- slices --- */

static struct health_slice *slices_of(struct health_figure *f) {
    return atomic_load_explicit(&f->slices, memory_order_acquire);
}

static uint64_t number_of(uint64_t now_ms) {
    return now_ms / HEALTH_SLICE_MS + 1;
}

static uint64_t load(const atomic_ullong *figure) {
    return atomic_load_explicit(figure, memory_order_relaxed);
}

static void add(atomic_ullong *figure, uint64_t n) {
    atomic_fetch_add_explicit(figure, n, memory_order_relaxed);
}

static void clear(struct health_slice *s) {
    histogram_clear(&s->first);
    histogram_clear(&s->total);
    atomic_store_explicit(&s->tokens, 0, memory_order_relaxed);
    atomic_store_explicit(&s->token_ms, 0, memory_order_relaxed);
    atomic_store_explicit(&s->answered, 0, memory_order_relaxed);
    for (int i = 0; i < FAILURE_COUNT; i++)
        atomic_store_explicit(&s->failed[i], 0, memory_order_relaxed);
}

static struct health_slice *make_slices(struct health_figure *f) {
    pthread_mutex_lock(&f->lock);
    struct health_slice *slices = slices_of(f);
    if (!slices) {
        slices = calloc(HEALTH_SLICES, sizeof *slices);
        if (!slices)
            abort();
        atomic_store_explicit(&f->slices, slices, memory_order_release);
    }
    pthread_mutex_unlock(&f->lock);
    return slices;
}

/* The slice that takes what ends now; NULL for a thread that stood still for so long that its time is
 * somebody else's. */
static struct health_slice *present(struct health_figure *f, uint64_t now_ms) {
    struct health_slice *slices = slices_of(f);
    uint64_t number = number_of(now_ms);
    struct health_slice *s = (slices ? slices : make_slices(f)) + number % HEALTH_SLICES;
    if (atomic_load_explicit(&s->number, memory_order_acquire) == number)
        return s;
    pthread_mutex_lock(&f->lock);
    if (load(&s->number) < number) {
        clear(s);
        atomic_store_explicit(&s->number, number, memory_order_release);
    }
    bool ours = load(&s->number) == number;
    pthread_mutex_unlock(&f->lock);
    return ours ? s : NULL;
}

/* The slices of the last minute; how many. */
static size_t window(struct health_figure *f, struct health_slice *found[HEALTH_SLICES],
                     uint64_t now_ms) {
    struct health_slice *slices = slices_of(f);
    size_t n = 0;
    for (size_t i = 0; slices && i < HEALTH_SLICES; i++) {
        uint64_t number = atomic_load_explicit(&slices[i].number, memory_order_acquire);
        if (number && number + HEALTH_SLICES > number_of(now_ms))
            found[n++] = &slices[i];
    }
    return n;
}

/* --- attempts --- */

static void changed(struct health_figure *f) {
    atomic_fetch_add_explicit(&f->changes, 1, memory_order_relaxed);
}

void health_began(struct health_figure *f) {
    atomic_fetch_add_explicit(&f->in_flight, 1, memory_order_relaxed);
    changed(f);
}

void health_content(struct health_figure *f, enum breaker_permit permit, uint64_t now_ms) {
    if (permit != BREAKER_PROBE)
        return;
    breaker_ended(&f->breaker, permit, FAILURE_NONE, -1, now_ms);
    changed(f);
}

static void answered(struct health_figure *f, struct health_slice *s, const struct health_end *end,
                     uint64_t now_ms) {
    add(&f->answered, 1);
    atomic_store_explicit(&f->last_success_ms, now_ms, memory_order_relaxed);
    if (!s)
        return;
    atomic_fetch_add_explicit(&s->answered, 1, memory_order_relaxed);
    histogram_add(&s->total, end->total_ms);
    if (!end->first_ms)
        return;
    histogram_add(&s->first, end->first_ms);
    if (end->output_tokens > 1 && end->total_ms > end->first_ms) {
        add(&s->tokens, (uint64_t)end->output_tokens - 1);
        add(&s->token_ms, end->total_ms - end->first_ms);
    }
}

static void failed(struct health_figure *f, struct health_slice *s, enum failure class) {
    add(&f->failed, 1);
    if (s)
        atomic_fetch_add_explicit(&s->failed[class], 1, memory_order_relaxed);
}

void health_ended(struct health_figure *f, const struct health_end *end, uint64_t now_ms) {
    struct health_slice *s = present(f, now_ms);
    atomic_fetch_sub_explicit(&f->in_flight, 1, memory_order_relaxed);
    if (end->class == FAILURE_NONE)
        answered(f, s, end, now_ms);
    else if (!(BREAKER_NEUTRAL & FAILURE_BIT(end->class)))
        failed(f, s, end->class);
    if (end->key_rests)
        breaker_return(&f->breaker, end->permit);
    else
        breaker_ended(&f->breaker, end->permit, end->class, end->retry_after_ms, now_ms);
    changed(f);
}

void health_headroom(struct health_figure *f, double left) {
    unsigned now = 1 + (unsigned)lround(1000 * fmin(fmax(left, 0), 1));
    if (atomic_exchange_explicit(&f->headroom, now, memory_order_relaxed) != now)
        changed(f);
}

/* --- reading --- */

static const double SHARES[] = { 0.5, 0.95, 0.99 };

/* p50, p95, p99 of the first content or of all of an answer; negative: unknown. */
static void read_times(struct health_slice *const *slices, size_t n, bool first, double found[3]) {
    const struct histogram *parts[HEALTH_SLICES];
    for (size_t i = 0; i < n; i++)
        parts[i] = first ? &slices[i]->first : &slices[i]->total;
    found[0] = found[1] = found[2] = -1;
    histogram_read(parts, n, SHARES, 3, found);
}

static double read_speed(struct health_slice *const *slices, size_t n) {
    uint64_t tokens = 0, ms = 0;
    for (size_t i = 0; i < n; i++) {
        tokens += load(&slices[i]->tokens);
        ms += load(&slices[i]->token_ms);
    }
    return ms ? (double)tokens * 1000 / (double)ms : -1;
}

static void count_ends(struct health_slice *const *slices, size_t n, struct health_view *view) {
    unsigned well = 0, badly = 0;
    for (size_t i = 0; i < n; i++) {
        well += atomic_load_explicit(&slices[i]->answered, memory_order_relaxed);
        for (int class = 0; class < FAILURE_COUNT; class ++) {
            unsigned of = atomic_load_explicit(&slices[i]->failed[class], memory_order_relaxed);
            view->failed[class] += of;
            badly += of;
        }
    }
    view->ended = well + badly;
    view->error_rate = view->ended ? (double)badly / view->ended : -1;
}

/* What was left of a limit says nothing a minute later: limits are by the minute. */
static double read_headroom(const struct health_figure *f, size_t n_slices) {
    unsigned told = atomic_load_explicit(&f->headroom, memory_order_relaxed);
    return told && n_slices ? (told - 1) / 1000.0 : -1;
}

static double read_success(const struct health_figure *f, uint64_t now_ms) {
    uint64_t at = load(&f->last_success_ms);
    return !at ? -1 : now_ms > at ? (double)(now_ms - at) / 1000 : 0;
}

void health_read(struct health_figure *f, struct health_view *view, uint64_t now_ms) {
    struct health_slice *slices[HEALTH_SLICES];
    size_t n = window(f, slices, now_ms);
    *view = (struct health_view){ .state = breaker_state(&f->breaker, now_ms) };
    view->in_flight = atomic_load_explicit(&f->in_flight, memory_order_relaxed);
    view->headroom = read_headroom(f, n);
    view->tokens_per_s = read_speed(slices, n);
    view->last_success_s = read_success(f, now_ms);
    read_times(slices, n, true, view->first_ms);
    read_times(slices, n, false, view->total_ms);
    count_ends(slices, n, view);
}

uint64_t health_changes(struct health_figure *f, uint64_t now_ms) {
    struct health_slice *slices[HEALTH_SLICES];
    uint64_t changes = atomic_load_explicit(&f->changes, memory_order_relaxed);
    /* How many slices are left tells what time has taken away since the last attempt. */
    return changes * (3 * (HEALTH_SLICES + 1)) + window(f, slices, now_ms) * 3 +
           (unsigned)breaker_state(&f->breaker, now_ms);
}

void health_each(struct health *h,
                 void (*each)(void *owner, struct span target, struct health_figure *f),
                 void *owner) {
    pthread_mutex_lock(&h->lock);
    for (struct entry *e = h->entries; e; e = e->hh.next)
        if (slices_of(&e->figure))
            each(owner, (struct span){ e->id, e->len }, &e->figure);
    pthread_mutex_unlock(&h->lock);
}

uint32_t health_latency(struct health_figure *f, uint64_t output_tokens, uint64_t now_ms) {
    struct health_slice *slices[HEALTH_SLICES];
    double times[3];
    size_t n = window(f, slices, now_ms);
    double speed = read_speed(slices, n), ms;
    read_times(slices, n, speed > 0, times);
    ms = times[0];
    if (speed > 0 && output_tokens > 1)
        ms += (double)(output_tokens - 1) * 1000 / speed;
    /* 0 is for what nobody knows. */
    return ms < 0 ? 0 : ms < 1 ? 1 : ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

/* --- estimates --- */

static double factor_of(const atomic_uint *factor) {
    unsigned f = atomic_load_explicit(factor, memory_order_relaxed);
    return f ? (double)f / HEALTH_FACTOR_ONE : 1;
}

/* `full`: an estimate that counts in full; smaller ones count by their size. */
static void learn_factor(atomic_uint *factor, uint64_t estimated, uint64_t reported,
                         uint64_t full) {
    if (!estimated || !reported)
        return;
    double sample = (double)reported / (double)estimated;
    double weight = (double)(estimated < full ? estimated : full) / (double)(full * TOKENS_SHARE);
    double old = factor_of(factor);
    sample = fmin(fmax(sample, 1.0 / TOKENS_FACTOR_SPAN), TOKENS_FACTOR_SPAN);
    unsigned now = (unsigned)lround((old + (sample - old) * weight) * HEALTH_FACTOR_ONE);
    atomic_store_explicit(factor, now, memory_order_relaxed);
}

void health_tokens(struct health_figure *f, uint64_t estimated, uint64_t reported) {
    learn_factor(&f->token_factor, estimated, reported, INPUT_FULL);
}

void health_output(struct health_figure *f, uint64_t estimated, uint64_t reported) {
    learn_factor(&f->output_factor, estimated, reported, OUTPUT_FULL);
}

double health_token_factor(const struct health_figure *f) {
    return factor_of(&f->token_factor);
}

double health_output_factor(const struct health_figure *f) {
    return factor_of(&f->output_factor);
}
