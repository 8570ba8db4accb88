/* gcra_test.c - what units cost of a minute, and a schedule that fills and empties. */
#include "base/gcra.h"

#include "support/unit.h"

static void units_cost_their_share_of_the_minute(void **state) {
    assert_int_equal(gcra_cost_us(0, 60), 0);
    assert_int_equal(gcra_cost_us(1, 60), 1000000);
    assert_int_equal(gcra_cost_us(59, 60), 59000000);
    assert_int_equal(gcra_cost_us(1, 7), 8571428);
    assert_int_equal(gcra_cost_us(UINT32_MAX - 1u, UINT32_MAX), GCRA_MINUTE_US - 1);
}

static void nothing_costs_more_than_a_minute(void **state) {
    assert_int_equal(gcra_cost_us(60, 60), GCRA_MINUTE_US);
    assert_int_equal(gcra_cost_us(61, 60), GCRA_MINUTE_US);
    assert_int_equal(gcra_cost_us(UINT64_MAX, 1), GCRA_MINUTE_US);
}

static void a_schedule_empties_by_itself(void **state) {
    uint64_t empty = gcra_charged(0, 500, 1000);
    assert_int_equal(empty, 1500);
    assert_int_equal(gcra_charged(empty, 100, 1200), 1600);
    assert_int_equal(gcra_ahead_us(empty, 1200), 300);
    assert_int_equal(gcra_ahead_us(empty, 1500), 0);
    /* What was not used while it was empty is not saved up. */
    assert_int_equal(gcra_charged(empty, 100, 9000), 9100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(units_cost_their_share_of_the_minute),
        cmocka_unit_test(nothing_costs_more_than_a_minute),
        cmocka_unit_test(a_schedule_empties_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
