/* lag_test.c - how late a loop is: what counts, for how long, and when it is too much. */
#include "route/lag.h"

#include "support/unit.h"

enum { DUE_MS = 4, BOUND_MS = 200 };

/* So many turns, each of which begins that late. */
static uint64_t turn(struct lag *l, uint64_t now, unsigned turns, unsigned late_ms) {
    while (turns--)
        lag_turn(l, now += DUE_MS + late_ms);
    return now;
}

static void a_loop_in_time_is_not_late(void **state) {
    struct lag l = { 0 };
    lag_arm(&l, 1000, DUE_MS);
    uint64_t now = turn(&l, 1000, 1000, 0);
    assert_int_equal(lag_us(&l, now), 0);
    assert_false(lag_is_over(&l, now, 0));
}

static void a_steady_lateness_is_told_as_it_is(void **state) {
    struct lag l = { 0 };
    lag_arm(&l, 1000, DUE_MS);
    uint64_t now = turn(&l, 1000, 200, 300);
    assert_in_range(lag_us(&l, now), 299000, 300000);
    assert_true(lag_is_over(&l, now, BOUND_MS));
    assert_false(lag_is_over(&l, now, 300));
}

static void one_long_turn_counts_by_its_length(void **state) {
    struct lag l = { 0 };
    lag_arm(&l, 1000, DUE_MS);
    uint64_t now = turn(&l, turn(&l, 1000, 1000, 0), 1, 400);
    assert_in_range(lag_us(&l, now), 400 * 1000 * 404 / 2000 - 1000, 400 * 1000 * 404 / 2000);
    assert_false(lag_is_over(&l, now, BOUND_MS));
    now = turn(&l, now, 1000, 0);
    assert_in_range(lag_us(&l, now), 0, 20000);
}

static void the_first_short_turn_ends_it(void **state) {
    struct lag l = { 0 };
    lag_arm(&l, 1000, DUE_MS);
    uint64_t now = turn(&l, 1000, 20, 300);
    assert_true(lag_is_over(&l, now, BOUND_MS));
    now = turn(&l, now, 1, 0);
    assert_in_range(lag_us(&l, now), 250000, 300000);
    assert_false(lag_is_over(&l, now, BOUND_MS));
}

static void a_timer_that_is_stopped_is_never_late(void **state) {
    struct lag l = { 0 };
    lag_arm(&l, 1000, DUE_MS);
    uint64_t now = turn(&l, 1000, 20, 300);
    lag_rest(&l, now);
    assert_false(lag_is_over(&l, now, BOUND_MS));
    assert_int_equal(lag_us(&l, now + 10000), 0);
    lag_arm(&l, now + 10000, DUE_MS);
    assert_int_equal(lag_us(&l, now + 10000), 0);
}

/* Whoever looks from another thread sees a loop that is stuck. */
static void a_loop_that_does_not_turn_gets_later(void **state) {
    struct lag l = { 0 };
    lag_arm(&l, 1000, DUE_MS);
    assert_int_equal(lag_us(&l, 1000 + DUE_MS), 0);
    assert_int_equal(lag_us(&l, 1000 + DUE_MS + 5000), 5000000);
    assert_int_equal(lag_us(&l, 900), 0); /* clocks of two threads */
    assert_int_equal(lag_us(&l, UINT64_MAX / 2), UINT32_MAX / 1000 * 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loop_in_time_is_not_late),
        cmocka_unit_test(a_steady_lateness_is_told_as_it_is),
        cmocka_unit_test(one_long_turn_counts_by_its_length),
        cmocka_unit_test(the_first_short_turn_ends_it),
        cmocka_unit_test(a_timer_that_is_stopped_is_never_late),
        cmocka_unit_test(a_loop_that_does_not_turn_gets_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
