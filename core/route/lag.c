#include "route/lag.h"

/* What lies further back hardly counts. */
enum { MEMORY_MS = 2000 };

static uint64_t since(const struct lag *l, uint64_t now_ms) {
    uint64_t at = atomic_load_explicit(&l->at_ms, memory_order_relaxed);
    return now_ms > at ? now_ms - at : 0;
}

static uint64_t late_by(const struct lag *l, uint64_t now_ms) {
    uint64_t passed = since(l, now_ms);
    unsigned due = atomic_load_explicit(&l->due_ms, memory_order_relaxed);
    return due && passed > due ? passed - due : 0;
}

unsigned lag_us(const struct lag *l, uint64_t now_ms) {
    uint64_t passed = since(l, now_ms), late = late_by(l, now_ms);
    int64_t mean = atomic_load_explicit(&l->mean_us, memory_order_relaxed);
    int64_t weight = passed < MEMORY_MS ? (int64_t)passed : MEMORY_MS;
    if (late > UINT32_MAX / 1000)
        late = UINT32_MAX / 1000;
    return (unsigned)(mean + ((int64_t)late * 1000 - mean) * weight / MEMORY_MS);
}

/* All that has passed is in the mean; from here on the timer is due so much later. */
static void move_on(struct lag *l, uint64_t now_ms, unsigned due_ms) {
    atomic_store_explicit(&l->mean_us, lag_us(l, now_ms), memory_order_relaxed);
    atomic_store_explicit(&l->due_ms, due_ms, memory_order_relaxed);
    atomic_store_explicit(&l->at_ms, now_ms, memory_order_relaxed);
}

void lag_arm(struct lag *l, uint64_t now_ms, unsigned due_ms) {
    move_on(l, now_ms, due_ms);
}

void lag_turn(struct lag *l, uint64_t now_ms) {
    uint64_t late = late_by(l, now_ms);
    atomic_store_explicit(&l->late_ms, late < UINT32_MAX ? (unsigned)late : UINT32_MAX,
                          memory_order_relaxed);
    move_on(l, now_ms, atomic_load_explicit(&l->due_ms, memory_order_relaxed));
}

void lag_rest(struct lag *l, uint64_t now_ms) {
    atomic_store_explicit(&l->late_ms, 0, memory_order_relaxed);
    move_on(l, now_ms, 0);
}

bool lag_is_over(const struct lag *l, uint64_t now_ms, unsigned most_ms) {
    return atomic_load_explicit(&l->late_ms, memory_order_relaxed) > most_ms &&
           lag_us(l, now_ms) / 1000 > most_ms;
}
