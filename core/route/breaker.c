#include "route/breaker.h"

#include <assert.h>
#include <stdatomic.h>

/* Asked again with the same key, the answer would be the same. */
static const uint32_t AT_ONCE = FAILURE_BIT(FAILURE_AUTH) | FAILURE_BIT(FAILURE_QUOTA);

static bool is_closed(const struct breaker *b) {
    return atomic_load_explicit(&b->closed, memory_order_acquire);
}

static void set_closed(struct breaker *b, bool closed) {
    atomic_store_explicit(&b->closed, closed, memory_order_release);
}

void breaker_init(struct breaker *b) {
    *b = (struct breaker){ .closed = true };
    pthread_mutex_init(&b->lock, NULL);
}

void breaker_deinit(struct breaker *b) {
    pthread_mutex_destroy(&b->lock);
}

uint32_t breaker_cool(uint32_t last_ms) {
    if (!last_ms)
        return BREAKER_COOL_MS;
    return last_ms < BREAKER_COOL_MAX_MS / 2 ? 2 * last_ms : BREAKER_COOL_MAX_MS;
}

/* --- asking --- */

/* One that does not come back is not waited for for ever. */
static bool is_probing(const struct breaker *b, uint64_t now_ms) {
    return b->probing && now_ms < b->probe_ms + BREAKER_LOST_MS;
}

/* The one permit there is from `from_ms` on. */
static enum breaker_permit probe(struct breaker *b, uint64_t from_ms, uint64_t now_ms) {
    if (is_closed(b)) /* since it was looked at without the lock */
        return BREAKER_CLOSED;
    if (now_ms < from_ms || is_probing(b, now_ms))
        return BREAKER_REFUSED;
    b->probing = true;
    b->probe_ms = now_ms;
    return BREAKER_PROBE;
}

enum breaker_permit breaker_ask(struct breaker *b, uint64_t now_ms) {
    if (is_closed(b))
        return BREAKER_CLOSED;
    pthread_mutex_lock(&b->lock);
    enum breaker_permit permit = probe(b, b->opens_ms, now_ms);
    pthread_mutex_unlock(&b->lock);
    return permit;
}

enum breaker_permit breaker_insist(struct breaker *b, uint64_t now_ms) {
    if (is_closed(b))
        return BREAKER_CLOSED;
    pthread_mutex_lock(&b->lock);
    enum breaker_permit permit = probe(b, b->told_ms, now_ms);
    pthread_mutex_unlock(&b->lock);
    return permit;
}

/* --- what was learnt --- */

static void later(uint64_t *moment, uint64_t than) {
    if (*moment < than)
        *moment = than;
}

static void obey(struct breaker *b, int64_t told, uint64_t now_ms) {
    if (told <= 0)
        return;
    later(&b->told_ms,
          now_ms + (uint64_t)(told < BREAKER_TOLD_MAX_MS ? told : BREAKER_TOLD_MAX_MS));
    later(&b->opens_ms, b->told_ms);
}

/* The first time, what a provider says is taken at its word, be it 20 ms. A probe that fails although
 * it kept to that shows that the word is not to be relied on: then it is a cool-down at least. */
static void open_up(struct breaker *b, enum failure class, int64_t told, uint64_t now_ms) {
    if (told <= 0 || !is_closed(b)) {
        b->cool_ms = breaker_cool(b->cool_ms);
        later(&b->opens_ms, now_ms + b->cool_ms);
    }
    obey(b, told, now_ms);
    b->why = class;
    set_closed(b, false);
}

static void close_up(struct breaker *b) {
    b->why = FAILURE_NONE;
    b->opens_ms = b->told_ms = 0;
    b->bad_row = 0;
    b->good_row = 1;
    b->tried[0] = b->tried[1] = b->failed[0] = b->failed[1] = 0;
    set_closed(b, true);
}

/* The window moves on by whole slices. */
static void move_window(struct breaker *b, uint64_t now_ms) {
    uint64_t slice = now_ms / BREAKER_SLICE_MS;
    if (slice <= b->slice) /* two threads read the clock in one order and come here in another */
        return;
    bool next = slice == b->slice + 1;
    b->tried[1] = next ? b->tried[0] : 0;
    b->failed[1] = next ? b->failed[0] : 0;
    b->tried[0] = b->failed[0] = 0;
    b->slice = slice;
}

static bool too_many(const struct breaker *b) {
    uint32_t tried = b->tried[0] + b->tried[1], failed = b->failed[0] + b->failed[1];
    return tried >= BREAKER_SAMPLE_MIN &&
           (uint64_t)failed * 100 >= (uint64_t)tried * BREAKER_SHARE_PERCENT;
}

static void count_answer(struct breaker *b) {
    b->tried[0]++;
    b->bad_row = 0;
    if (++b->good_row >= BREAKER_ROW)
        b->cool_ms = 0;
}

static void count_failure(struct breaker *b, enum failure class, int64_t told, uint64_t now_ms) {
    b->tried[0]++;
    b->failed[0]++;
    b->good_row = 0;
    b->bad_row++;
    if (told > 0 || (AT_ONCE & FAILURE_BIT(class)) || b->bad_row >= BREAKER_ROW || too_many(b))
        open_up(b, class, told, now_ms);
}

static void learn(struct breaker *b, enum breaker_permit permit, enum failure class, int64_t told,
                  uint64_t now_ms) {
    bool decides = permit == BREAKER_PROBE && b->probing;
    if (is_closed(b)) {
        move_window(b, now_ms);
        if (class == FAILURE_NONE)
            count_answer(b);
        else
            count_failure(b, class, told, now_ms);
    } else if (decides) {
        b->probing = false;
        if (class == FAILURE_NONE)
            close_up(b);
        else
            open_up(b, class, told, now_ms);
    } else if (class != FAILURE_NONE) {
        obey(b, told, now_ms);
    }
}

void breaker_ended(struct breaker *b, enum breaker_permit permit, enum failure class,
                   int64_t retry_after_ms, uint64_t now_ms) {
    assert(permit != BREAKER_REFUSED);
    if (BREAKER_NEUTRAL & FAILURE_BIT(class)) {
        breaker_return(b, permit);
        return;
    }
    pthread_mutex_lock(&b->lock);
    learn(b, permit, class, retry_after_ms, now_ms);
    pthread_mutex_unlock(&b->lock);
}

void breaker_return(struct breaker *b, enum breaker_permit permit) {
    if (permit != BREAKER_PROBE)
        return;
    pthread_mutex_lock(&b->lock);
    b->probing = false;
    pthread_mutex_unlock(&b->lock);
}

/* --- telling --- */

bool breaker_probing(struct breaker *b, uint64_t now_ms) {
    if (is_closed(b))
        return false;
    pthread_mutex_lock(&b->lock);
    bool probing = !is_closed(b) && is_probing(b, now_ms);
    pthread_mutex_unlock(&b->lock);
    return probing;
}

uint64_t breaker_reopens_in(struct breaker *b, enum failure *why, uint64_t now_ms) {
    uint64_t in = 0;
    pthread_mutex_lock(&b->lock);
    if (!is_closed(b) && b->opens_ms > now_ms)
        in = b->opens_ms - now_ms;
    if (why)
        *why = b->why;
    pthread_mutex_unlock(&b->lock);
    return in;
}

enum breaker_state breaker_state(struct breaker *b, uint64_t now_ms) {
    enum failure why;
    if (is_closed(b))
        return BREAKER_IS_CLOSED;
    uint64_t in = breaker_reopens_in(b, &why, now_ms);
    return why == FAILURE_NONE ? BREAKER_IS_CLOSED : in ? BREAKER_IS_OPEN : BREAKER_IS_HALF_OPEN;
}
