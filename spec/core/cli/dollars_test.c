/* Amounts as people write and read them. */
#include "cli/dollars.h"

#include "support/unit.h"

static void is_read_exactly(void **state) {
    static const struct {
        const char *text;
        nanousd amount;
    } cases[] = {
        { "5", 5000000000 },
        { "0.25", 250000000 },
        { "$0.25", 250000000 },
        { "0.000000001", 1 },
        { "12.100000000", 12100000000 },
        { "1000000000", INT64_C(1000000000000000000) },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nanousd amount;
        assert_true(dollars_read(span_of(cases[i].text), &amount));
        assert_int_equal(amount, cases[i].amount);
    }
}

static void what_is_no_amount_is_refused(void **state) {
    static const char *const wrong[] = { "",          "-1", "1,5",          "1e3",
                                         ".5",        "5.", "0.0000000001", "$$1",
                                         " 1",        "1 ", "1.5.5",        "$",
                                         "2000000000" };
    nanousd amount;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (dollars_read(span_of(wrong[i]), &amount))
            fail_msg("'%s' was read", wrong[i]);
}

static void is_shown_to_a_millionth(void **state) {
    char out[DOLLARS_SIZE];
    assert_string_equal(dollars_show(-1, out), "");
    assert_string_equal(dollars_show(0, out), "$0.000000");
    assert_string_equal(dollars_show(120, out), "$0.000000120");
    assert_string_equal(dollars_show(1234567500, out), "$1.234568");
    assert_string_equal(dollars_show(1999999999, out), "$2.000000");
    assert_string_equal(dollars_show(INT64_MAX, out), "$9223372036.854776");
}

static void is_brief_where_it_is_round(void **state) {
    char out[DOLLARS_SIZE];
    assert_string_equal(dollars_brief(-1, out), "");
    assert_string_equal(dollars_brief(0, out), "$0");
    assert_string_equal(dollars_brief(500000000000, out), "$500");
    assert_string_equal(dollars_brief(1500000000, out), "$1.50");
    assert_string_equal(dollars_brief(250000000, out), "$0.25");
    assert_string_equal(dollars_brief(1234567000, out), "$1.234567");
    assert_string_equal(dollars_brief(120, out), "$0.00000012");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_read_exactly),
        cmocka_unit_test(what_is_no_amount_is_refused),
        cmocka_unit_test(is_shown_to_a_millionth),
        cmocka_unit_test(is_brief_where_it_is_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
