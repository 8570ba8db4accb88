#include "route/retries.h"

enum { WHOLE = 100 }; /* an attempt, in what the purses count in */

void retries_init(struct retries *r) {
    atomic_init(&r->retry, RETRIES_BURST * WHOLE);
    atomic_init(&r->hedge, RETRIES_HEDGE_BURST * WHOLE);
}

static void put(atomic_int *purse, int amount, int most) {
    int held = atomic_load_explicit(purse, memory_order_relaxed), now;
    do {
        now = held + amount < most ? held + amount : most;
    } while (now != held && !atomic_compare_exchange_weak_explicit(
                                purse, &held, now, memory_order_relaxed, memory_order_relaxed));
}

static bool take(atomic_int *purse) {
    int held = atomic_load_explicit(purse, memory_order_relaxed);
    do {
        if (held < WHOLE)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(purse, &held, held - WHOLE,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

void retries_earn(struct retries *r) {
    put(&r->retry, RETRIES_PERCENT, RETRIES_BURST * WHOLE);
    put(&r->hedge, RETRIES_HEDGE_PERCENT, RETRIES_HEDGE_BURST * WHOLE);
}

bool retries_take(struct retries *r) {
    return take(&r->retry);
}

void retries_return_hedge(struct retries *r) {
    put(&r->hedge, WHOLE, RETRIES_HEDGE_BURST * WHOLE);
}

bool retries_take_hedge(struct retries *r) {
    return take(&r->hedge);
}
