/* retries_test.c - the purses: what requests pay in, what attempts take out, over threads too. */
#include "route/retries.h"

#include "support/unit.h"

#include <pthread.h>

static unsigned take_all(struct retries *r, bool (*take)(struct retries *)) {
    unsigned n = 0;
    while (take(r))
        n++;
    return n;
}

static void begins_with_a_burst_and_no_more(void **state) {
    struct retries r;
    retries_init(&r);
    assert_int_equal(take_all(&r, retries_take), RETRIES_BURST);
    assert_int_equal(take_all(&r, retries_take_hedge), RETRIES_HEDGE_BURST);
}

static void a_hundred_requests_pay_for_their_share(void **state) {
    struct retries r;
    retries_init(&r);
    take_all(&r, retries_take);
    take_all(&r, retries_take_hedge);
    for (int i = 0; i < 4; i++)
        retries_earn(&r);
    assert_false(retries_take(&r));
    for (int i = 4; i < 100; i++)
        retries_earn(&r);
    assert_int_equal(take_all(&r, retries_take), RETRIES_PERCENT);
    assert_int_equal(take_all(&r, retries_take_hedge), RETRIES_HEDGE_PERCENT);
}

static void holds_no_more_than_a_burst(void **state) {
    struct retries r;
    retries_init(&r);
    for (int i = 0; i < 10000; i++)
        retries_earn(&r);
    assert_int_equal(take_all(&r, retries_take), RETRIES_BURST);
    assert_int_equal(take_all(&r, retries_take_hedge), RETRIES_HEDGE_BURST);
}

static void one_purse_does_not_pay_for_the_other(void **state) {
    struct retries r;
    retries_init(&r);
    take_all(&r, retries_take);
    assert_true(retries_take_hedge(&r));
    assert_false(retries_take(&r));
    take_all(&r, retries_take_hedge);
    retries_return_hedge(&r);
    assert_true(retries_take_hedge(&r));
    assert_false(retries_take(&r));
}

/* Everything fails, every request takes what it can: that is the most there may be. */
static void under_total_failure_attempts_are_bounded(void **state) {
    enum { REQUESTS = 10000 };
    struct retries r;
    unsigned attempts = 0;
    retries_init(&r);
    for (int i = 0; i < REQUESTS; i++) {
        retries_earn(&r);
        attempts += 1 + take_all(&r, retries_take);
    }
    assert_in_range(attempts, REQUESTS * 12 / 10, REQUESTS * 12 / 10 + RETRIES_BURST);
}

/* --- threads --- */

enum { THREADS = 4, ROUNDS = 25000 };

static void *earn_and_take(void *arg) {
    struct retries *r = arg;
    uintptr_t taken = 0;
    for (int i = 0; i < ROUNDS; i++) {
        retries_earn(r);
        taken += retries_take(r);
    }
    return (void *)taken;
}

static void threads_lose_and_invent_nothing(void **state) {
    struct retries r;
    pthread_t threads[THREADS];
    uintptr_t taken = 0;
    retries_init(&r);
    take_all(&r, retries_take); /* from empty, so that nothing runs over */
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, earn_and_take, &r), 0);
    for (int i = 0; i < THREADS; i++) {
        void *got;
        pthread_join(threads[i], &got);
        taken += (uintptr_t)got;
    }
    assert_int_equal(taken + take_all(&r, retries_take), THREADS * ROUNDS * RETRIES_PERCENT / 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(begins_with_a_burst_and_no_more),
        cmocka_unit_test(a_hundred_requests_pay_for_their_share),
        cmocka_unit_test(holds_no_more_than_a_burst),
        cmocka_unit_test(one_purse_does_not_pay_for_the_other),
        cmocka_unit_test(under_total_failure_attempts_are_bounded),
        cmocka_unit_test(threads_lose_and_invent_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
