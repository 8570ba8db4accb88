#include "base/random.h"
#include "support/unit.h"

static void repeats_itself(void **state) {
    struct random a, b, c;
    int differ = 0;
    random_seed(&a, 42);
    random_seed(&b, 42);
    random_seed(&c, 43);
    for (int i = 0; i < 100; i++) {
        uint64_t x = random_next(&a);
        assert_true(x == random_next(&b));
        differ += x != random_next(&c);
    }
    assert_int_equal(differ, 100);
}

/* The state 1, 2, 3, 4 and what the published algorithm makes of it. */
static void is_xoshiro(void **state) {
    struct random r = { { 1, 2, 3, 4 } };
    assert_true(random_next(&r) == 11520);
    assert_true(random_next(&r) == 0);
    assert_true(random_next(&r) == 1509978240);
    assert_true(random_next(&r) == UINT64_C(1215971899390074240));
}

static void spreads_evenly(void **state) {
    struct random r;
    unsigned counts[7] = { 0 };
    double sum = 0;
    random_seed(&r, 1);
    for (int i = 0; i < 70000; i++) {
        counts[random_below(&r, 7)]++;
        double unit = random_unit(&r);
        assert_true(unit >= 0 && unit < 1);
        sum += unit;
    }
    for (int i = 0; i < 7; i++)
        assert_in_range(counts[i], 9500, 10500);
    assert_in_range((int)sum, 34500, 35500);
    assert_true(random_below(&r, 0) == 0);
    assert_true(random_below(&r, 1) == 0);
}

static void asks_the_kernel(void **state) {
    unsigned char a[512] = { 0 }, b[512] = { 0 };
    random_system(a, sizeof a);
    random_system(b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    struct random r, s;
    random_seed_system(&r);
    random_seed_system(&s);
    assert_true(random_next(&r) != random_next(&s));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(repeats_itself),
        cmocka_unit_test(is_xoshiro),
        cmocka_unit_test(spreads_evenly),
        cmocka_unit_test(asks_the_kernel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
