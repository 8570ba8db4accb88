#include "base/utf8.h"
#include "support/unit.h"

static struct span line_of(struct span s, size_t max) {
    static char out[256];
    assert_true(max <= sizeof out);
    return (struct span){ out, utf8_line(s, out, max) };
}

static void knows_characters(void **state) {
    assert_int_equal(utf8_length(SPAN("a")), 1);
    assert_int_equal(utf8_length(SPAN("\xc3\xa9x")), 2);
    assert_int_equal(utf8_length(SPAN("\xe2\x82\xac")), 3);
    assert_int_equal(utf8_length(SPAN("\xf0\x9f\x98\x80")), 4);
    assert_int_equal(utf8_length(SPAN("")), 0);
}

static void refuses_what_is_none(void **state) {
    static const char *const wrong[] = { "\x80",
                                         "\xc1\x81",
                                         "\xe0\x9f\xbf",
                                         "\xed\xa0\x80",
                                         "\xf0\x8f\xbf\xbf",
                                         "\xf4\x90\x80\x80",
                                         "\xf5\x80\x80\x80",
                                         "\xe2\x82",
                                         "\xe2\x28\xa1",
                                         "\xff" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(utf8_length(span_of(wrong[i])), 0);
}

static void cuts_between_characters(void **state) {
    struct span s = SPAN("a\xe2\x82\xac"
                         "b");
    assert_span(utf8_cut(s, 9), "a\xe2\x82\xac"
                                "b");
    assert_span(utf8_cut(s, 4), "a\xe2\x82\xac");
    assert_span(utf8_cut(s, 3), "a");
    assert_span(utf8_cut(s, 2), "a");
    assert_span(utf8_cut(s, 0), "");
}

static void makes_one_line(void **state) {
    assert_span(line_of(SPAN("  a\r\n\t b\x1b[31m\x7f "), 200), "a b [31m");
    assert_span(line_of(SPAN("a\xc2\x9b"
                             "b\xe2\x80\xa8"
                             "c"),
                        200),
                "a b c");
    assert_span(line_of(SPAN("\xff"
                             "a"),
                        200),
                "\xef\xbf\xbd"
                "a");
    assert_span(line_of(SPAN(" \n "), 200), "");
    assert_span(line_of(SPAN("ab cd"), 3), "ab");
    assert_span(line_of(SPAN("a\xe2\x82\xac"), 3), "a");
}

static void leaves_nothing_for_terminals(void **state) {
    char text[] = "a\r\n\tb\x1b[2J\x7f\xc2\x9b\x9b\xc3\xa9\xe2\x82";
    utf8_defuse(text, sizeof text - 1, "\n\t");
    assert_string_equal(text, "a?\n\tb?[2J????\xc3\xa9??");
    char line[] = "a\nb\0c";
    utf8_defuse(line, sizeof line - 1, "");
    assert_memory_equal(line, "a?b?c", 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_characters),
        cmocka_unit_test(refuses_what_is_none),
        cmocka_unit_test(cuts_between_characters),
        cmocka_unit_test(makes_one_line),
        cmocka_unit_test(leaves_nothing_for_terminals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
