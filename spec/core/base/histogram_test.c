/* histogram_test.c - what is read is near what was put in, from one histogram or many. */
#include "base/histogram.h"

#include "base/random.h"
#include "support/unit.h"

#include <math.h>
#include <pthread.h>

static double median(const struct histogram *h) {
    double found = -1;
    histogram_read(&h, 1, (double[]){ 0.5 }, 1, &found);
    return found;
}

static void is_small(void **state) {
    assert_true(sizeof(struct histogram) <= 600);
}

static void each_value_is_within_six_percent(void **state) {
    for (uint64_t value = 0; value <= HISTOGRAM_MOST; value += 1 + value / 500) {
        struct histogram h = { 0 };
        histogram_add(&h, value);
        if (fabs(median(&h) - (double)value) > 0.06 * (double)value)
            fail_msg("%u was read as %f", (unsigned)value, median(&h));
    }
}

static void larger_values_count_as_the_largest(void **state) {
    struct histogram most = { 0 }, more = { 0 };
    histogram_add(&most, HISTOGRAM_MOST);
    histogram_add(&more, UINT64_MAX);
    assert_true(median(&most) == median(&more));
}

static void nothing_is_found_in_nothing(void **state) {
    struct histogram h = { 0 };
    const struct histogram *parts[] = { &h, &h };
    double found[2] = { -1, -1 };
    assert_int_equal(histogram_read(parts, 2, (double[]){ 0, 1 }, 2, found), 0);
    assert_int_equal(histogram_read(NULL, 0, (double[]){ 0, 1 }, 2, found), 0);
    assert_true(found[0] == -1 && found[1] == -1);
}

static void shares_of_small_numbers_are_exact(void **state) {
    struct histogram h = { 0 };
    const struct histogram *part = &h;
    double found[4];
    for (uint64_t value = 1; value <= 4; value++)
        histogram_add(&h, value);
    assert_int_equal(histogram_read(&part, 1, (double[]){ 0, 0.25, 0.5, 1 }, 4, found), 4);
    assert_true(found[0] == 1 && found[1] == 1 && found[2] == 2 && found[3] == 4);
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Against a sorted list, over times as they are: many short, few long. */
static void percentiles_of_many_together_are_those_of_all_values(void **state) {
    enum { PARTS = 5, VALUES = 20000 };
    static struct histogram h[PARTS];
    static double values[VALUES];
    const struct histogram *parts[PARTS];
    const double shares[] = { 0.5, 0.95, 0.99 };
    struct random random;
    double found[3];
    random_seed(&random, 4);
    for (size_t i = 0; i < VALUES; i++) {
        values[i] = floor(exp(1 + 12 * random_unit(&random) * random_unit(&random)));
        histogram_add(&h[i % PARTS], (uint64_t)values[i]);
    }
    for (size_t i = 0; i < PARTS; i++)
        parts[i] = &h[i];
    qsort(values, VALUES, sizeof *values, by_size);
    assert_int_equal(histogram_read(parts, PARTS, shares, 3, found), VALUES);
    for (size_t i = 0; i < 3; i++) {
        double wanted = values[(size_t)(shares[i] * VALUES) - 1];
        assert_true(fabs(found[i] - wanted) <= 0.06 * wanted);
    }
}

static void forgets(void **state) {
    struct histogram h = { 0 };
    const struct histogram *part = &h;
    histogram_add(&h, 1);
    histogram_add(&h, 100000);
    histogram_clear(&h);
    assert_int_equal(histogram_read(&part, 1, NULL, 0, NULL), 0);
}

enum { THREADS = 4, ROUNDS = 20000 };

static void *add(void *arg) {
    for (uint64_t i = 0; i < ROUNDS; i++)
        histogram_add(arg, i % 1000);
    return NULL;
}

static void threads_lose_nothing(void **state) {
    static struct histogram h;
    const struct histogram *part = &h;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add, &h), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(histogram_read(&part, 1, NULL, 0, NULL), THREADS * ROUNDS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_small),
        cmocka_unit_test(each_value_is_within_six_percent),
        cmocka_unit_test(larger_values_count_as_the_largest),
        cmocka_unit_test(nothing_is_found_in_nothing),
        cmocka_unit_test(shares_of_small_numbers_are_exact),
        cmocka_unit_test(percentiles_of_many_together_are_those_of_all_values),
        cmocka_unit_test(forgets),
        cmocka_unit_test(threads_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
