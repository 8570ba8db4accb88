#include "support/unit.h"

static void compares(void **state) {
    assert_true(span_eq(SPAN("a"), SPAN("a")));
    assert_false(span_eq(SPAN("a"), SPAN("ab")));
    assert_true(span_eq(SPAN_NONE, SPAN("")));
    assert_true(span_eq_nocase(SPAN("Bearer"), SPAN("bEARER")));
    assert_false(span_eq_nocase(SPAN("Bearer"), SPAN("Bearex")));
    assert_true(span_starts(SPAN("openai/x"), SPAN("openai/")));
    assert_false(span_starts(SPAN("open"), SPAN("openai")));
    assert_true(span_ends(SPAN("a.lua"), SPAN(".lua")));
    assert_false(span_ends(SPAN("lua"), SPAN(".lua")));
}

static void cuts(void **state) {
    assert_int_equal(span_find(SPAN("ab/c"), '/'), 2);
    assert_int_equal(span_find(SPAN("abc"), '/'), 3);
    assert_int_equal(span_find(SPAN_NONE, '/'), 0);
    assert_span(span_sub(SPAN("abc"), 1, 9), "bc");
    assert_span(span_sub(SPAN("abc"), 7, 1), "");
    assert_null(span_sub(SPAN_NONE, 0, 1).at);
    assert_span(span_trim(SPAN(" \ta b\t ")), "a b");
}

static void splits_into_trimmed_parts(void **state) {
    struct span rest = SPAN("a, b ,,c"), part;
    const char *wanted[] = { "a", "b", "", "c" };
    for (int i = 0; i < 4; i++) {
        assert_true(span_split(&rest, ',', &part));
        assert_span(part, wanted[i]);
    }
    assert_false(span_split(&rest, ',', &part));
}

static void reads_numbers(void **state) {
    uint64_t n;
    double d;
    assert_true(span_uint(SPAN("18446744073709551615"), &n));
    assert_true(n == UINT64_MAX);
    assert_false(span_uint(SPAN("18446744073709551616"), &n));
    assert_false(span_uint(SPAN("+1"), &n));
    assert_false(span_uint(SPAN(""), &n));
    assert_true(span_double(SPAN("0.25"), &d));
    assert_true(d == 0.25);
    assert_false(span_double(SPAN("1x"), &d));
    assert_false(span_double(SPAN(" 1"), &d));
    assert_false(span_double(SPAN("inf"), &d));
    assert_false(span_double(SPAN(""), &d));
}

static void measures_distance(void **state) {
    assert_int_equal(span_distance(SPAN("gpt-4o"), SPAN("gpt-4o")), 0);
    assert_int_equal(span_distance(SPAN("gtp-4o"), SPAN("gpt-4o")), 1);
    assert_int_equal(span_distance(SPAN("kitten"), SPAN("sitting")), 3);
    assert_int_equal(span_distance(SPAN(""), SPAN("abc")), 3);
}

/* The published values of 32-bit FNV-1a. */
static void hashes(void **state) {
    assert_int_equal(span_hash(SPAN("")), 0x811c9dc5);
    assert_int_equal(span_hash(SPAN("a")), 0xe40c292c);
    assert_int_equal(span_hash(SPAN("foobar")), 0xbf9cf968);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares),
        cmocka_unit_test(cuts),
        cmocka_unit_test(splits_into_trimmed_parts),
        cmocka_unit_test(reads_numbers),
        cmocka_unit_test(measures_distance),
        cmocka_unit_test(hashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
