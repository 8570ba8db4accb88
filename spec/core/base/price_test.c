/* price_test.c - prices by size, date, hour and day of the week. */
#include "base/price.h"

#include "support/unit.h"

/* 2026-11-22 was a Sunday; 00:00 UTC. */
#define SUNDAY UINT64_C(1795305600)
#define HOUR 3600

static int64_t input_price(const struct price_rule *rules, size_t n, int64_t tokens, uint64_t now) {
    struct target t = { .price = { 100, 0, 0, 0 }, .rules = rules, .n_rules = n };
    return price_at(&t, tokens, now).input;
}

static void without_rules_it_is_the_base_price(void **state) {
    assert_int_equal(input_price(NULL, 0, 1 << 30, SUNDAY), 100);
}

static void a_long_prompt_has_a_price_of_its_own(void **state) {
    struct price_rule r[] = { { 500, 0, -1, -1, 0, { 300, 0, 0, 0 } },
                              { 200, 0, -1, -1, 0, { 200, 0, 0, 0 } } };
    assert_int_equal(input_price(r, 2, 200, SUNDAY), 100);
    assert_int_equal(input_price(r, 2, 201, SUNDAY), 200);
    assert_int_equal(input_price(r, 2, 501, SUNDAY), 300);
}

static void a_promotion_ends(void **state) {
    struct price_rule r = { -1, SUNDAY, -1, -1, 0, { 50, 0, 0, 0 } };
    assert_int_equal(input_price(&r, 1, 1, SUNDAY - 1), 50);
    assert_int_equal(input_price(&r, 1, 1, SUNDAY), 100);
}

/* [E7] */
static void nights_are_cheaper_also_over_midnight(void **state) {
    struct price_rule r = { -1, 0, 16 * 60 + 30, 30, 0, { 50, 0, 0, 0 } };
    assert_int_equal(input_price(&r, 1, 1, SUNDAY + 16 * HOUR + 1799), 100);
    assert_int_equal(input_price(&r, 1, 1, SUNDAY + 16 * HOUR + 1800), 50);
    assert_int_equal(input_price(&r, 1, 1, SUNDAY + 23 * HOUR), 50);
    assert_int_equal(input_price(&r, 1, 1, SUNDAY + 1799), 50);
    assert_int_equal(input_price(&r, 1, 1, SUNDAY + 1800), 100);
    r.from_min = 60, r.to_min = 120;
    assert_int_equal(input_price(&r, 1, 1, SUNDAY + HOUR - 1), 100);
    assert_int_equal(input_price(&r, 1, 1, SUNDAY + HOUR), 50);
    assert_int_equal(input_price(&r, 1, 1, SUNDAY + 2 * HOUR), 100);
}

static void weekends_too(void **state) {
    struct price_rule r = { -1, 0, -1, -1, 1 << 5 | 1 << 6, { 50, 0, 0, 0 } };
    assert_int_equal(input_price(&r, 1, 1, SUNDAY - 24 * HOUR), 50);
    assert_int_equal(input_price(&r, 1, 1, SUNDAY), 50);
    assert_int_equal(input_price(&r, 1, 1, SUNDAY - 24 * HOUR - 1), 100);
    assert_int_equal(input_price(&r, 1, 1, SUNDAY + 24 * HOUR), 100);
}

static void all_a_rule_states_must_hold(void **state) {
    struct price_rule r = { 10, SUNDAY, 0, 60, 0, { 50, 0, 0, 0 } };
    assert_int_equal(input_price(&r, 1, 11, SUNDAY - 24 * HOUR), 50);
    assert_int_equal(input_price(&r, 1, 10, SUNDAY - 24 * HOUR), 100);
    assert_int_equal(input_price(&r, 1, 11, SUNDAY), 100);
    assert_int_equal(input_price(&r, 1, 11, SUNDAY - 1), 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_rules_it_is_the_base_price),
        cmocka_unit_test(a_long_prompt_has_a_price_of_its_own),
        cmocka_unit_test(a_promotion_ends),
        cmocka_unit_test(nights_are_cheaper_also_over_midnight),
        cmocka_unit_test(weekends_too),
        cmocka_unit_test(all_a_rule_states_must_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
