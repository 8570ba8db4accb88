/* tally_test.c - rows by name, as many as there may be, summed over several, read while counted. */
#include "base/tally.h"
#include "support/unit.h"

#include <pthread.h>
#include <stdio.h>

static struct span number(char text[16], unsigned i) {
    snprintf(text, 16, "row %u", i);
    return span_of(text);
}

static void a_name_is_a_row(void **state) {
    struct tally *t = tally_new(8, 2, SPAN("other"));
    char name[16];
    assert_null(tally_find(t, SPAN("row 1")));
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < 8; i++)
            tally_add(tally_row(t, number(name, i)), 1, i);
    assert_int_equal(tally_rows(t), 8);
    for (unsigned i = 0; i < 8; i++) {
        assert_true(span_eq(tally_at(t, i)->name, number(name, i)));
        assert_ptr_equal(tally_find(t, number(name, i)), tally_at(t, i));
        assert_int_equal(tally_read(tally_at(t, i), 0), 0);
        assert_int_equal(tally_read(tally_at(t, i), 1), 3 * i);
    }
    tally_free(t);
}

static void the_rest_counts_together(void **state) {
    struct tally *t = tally_new(2, 1, SPAN("other"));
    char name[16];
    tally_add(tally_row(t, SPAN("other")), 0, 5); /* of that name takes no other's place */
    for (unsigned i = 0; i < 6; i++)
        tally_add(tally_row(t, number(name, i)), 0, 1);
    assert_int_equal(tally_rows(t), 3);
    assert_true(span_eq(tally_at(t, 0)->name, SPAN("other")));
    assert_int_equal(tally_read(tally_at(t, 0), 0), 9);
    assert_int_equal(tally_read(tally_at(t, 1), 0), 1);
    tally_free(t);
}

static void several_are_summed(void **state) {
    struct tally *a = tally_new(4, 1, SPAN("")), *b = tally_new(4, 1, SPAN(""));
    struct tally *sum = tally_new(4, 1, SPAN(""));
    tally_add(tally_row(a, SPAN("x")), 0, 1);
    tally_add(tally_row(b, SPAN("y")), 0, 2);
    tally_add(tally_row(b, SPAN("x")), 0, 4);
    tally_sum(sum, a);
    tally_sum(sum, b);
    assert_int_equal(tally_rows(sum), 2);
    assert_int_equal(tally_read(tally_find(sum, SPAN("x")), 0), 5);
    assert_int_equal(tally_read(tally_find(sum, SPAN("y")), 0), 2);
    tally_free(a);
    tally_free(b);
    tally_free(sum);
}

enum { ROWS = 1000, ROUNDS = 50 };

static void *count(void *arg) {
    char name[16];
    for (unsigned round = 0; round < ROUNDS; round++)
        for (unsigned i = 0; i < ROWS; i++)
            tally_add(tally_row(arg, number(name, i)), 0, 1);
    return NULL;
}

/* Who reads meanwhile sees whole rows, and at the end all of it. */
static void it_is_read_while_it_is_counted(void **state) {
    struct tally *t = tally_new(ROWS, 1, SPAN("other"));
    pthread_t thread;
    uint64_t sum = 0, before = 0;
    char name[16];
    assert_int_equal(pthread_create(&thread, NULL, count, t), 0);
    do {
        before = sum;
        sum = 0;
        for (size_t i = 0; i < tally_rows(t); i++) {
            assert_true(span_eq(tally_at(t, i)->name, number(name, (unsigned)i)));
            sum += tally_read(tally_at(t, i), 0);
        }
        assert_true(sum >= before);
    } while (sum < ROWS * ROUNDS);
    pthread_join(thread, NULL);
    assert_int_equal(sum, ROWS * ROUNDS);
    tally_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_a_row),
        cmocka_unit_test(the_rest_counts_together),
        cmocka_unit_test(several_are_summed),
        cmocka_unit_test(it_is_read_while_it_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
