#include "base/buf.h"
#include "support/unit.h"

static void check_json(struct span text, const char *wanted) {
    struct buf b = { 0 };
    buf_add_json(&b, text);
    assert_span(buf_span(&b), wanted);
    buf_deinit(&b);
}

static void grows_and_shrinks(void **state) {
    struct buf b = { 0 };
    for (int i = 0; i < 1000; i++)
        buf_printf(&b, "%d,", i);
    assert_int_equal(b.len, 10 * 2 + 90 * 3 + 900 * 4);
    buf_consume(&b, b.len - 4);
    assert_span(buf_span(&b), "999,");
    buf_consume(&b, 4);
    assert_int_equal(b.len, 0);
    buf_add(&b, SPAN("x"));
    buf_clear(&b);
    assert_int_equal(b.len, 0);
    assert_true(b.cap > 0);
    buf_deinit(&b);
    assert_null(b.at);
}

static void prints_what_is_longer_than_its_room(void **state) {
    struct buf b = { 0 };
    char text[5000];
    memset(text, 'y', sizeof text);
    buf_printf(&b, "%.*s!", (int)sizeof text, text);
    assert_int_equal(b.len, sizeof text + 1);
    assert_int_equal(b.at[sizeof text], '!');
    buf_deinit(&b);
}

static void escapes_what_json_sse_and_html_mind(void **state) {
    check_json(SPAN(""), "\"\"");
    check_json(SPAN("a\"b\\c/"), "\"a\\\"b\\\\c/\"");
    check_json(SPAN("\b\f\n\r\t\x01\x1f\x7f"), "\"\\b\\f\\n\\r\\t\\u0001\\u001f\\u007f\"");
    check_json(SPAN("</script>"), "\"\\u003c/script>\"");
    check_json(SPAN("\xe2\x80\xa8\xe2\x80\xa9"), "\"\\u2028\\u2029\"");
    check_json(SPAN("a\0b"), "\"a\\u0000b\"");
}

static void keeps_utf8_and_replaces_what_is_none(void **state) {
    check_json(SPAN("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"),
               "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
    check_json(SPAN("\xff"), "\"\xef\xbf\xbd\"");
    check_json(SPAN("a\xc3"), "\"a\xef\xbf\xbd\"");                               /* cut off */
    check_json(SPAN("\xc0\xaf"), "\"\xef\xbf\xbd\xef\xbf\xbd\"");                 /* overlong */
    check_json(SPAN("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""); /* surrogate */
}

static void numbers_are_whole_and_as_long_as_wanted(void **state) {
    struct buf b = { 0 };
    buf_add_number(&b, 0, 0);
    buf_add_char(&b, ' ');
    buf_add_number(&b, 7, 3);
    buf_add_char(&b, ' ');
    buf_add_number(&b, 1234, 3);
    buf_add_char(&b, ' ');
    buf_add_number(&b, UINT64_MAX, 1);
    buf_add_char(&b, ' ');
    buf_add_number(&b, 1, 20);
    const char *want = "0 007 1234 18446744073709551615 00000000000000000001";
    assert_true(span_eq(buf_span(&b), span_of(want)));
    buf_deinit(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_and_shrinks),
        cmocka_unit_test(prints_what_is_longer_than_its_room),
        cmocka_unit_test(numbers_are_whole_and_as_long_as_wanted),
        cmocka_unit_test(escapes_what_json_sse_and_html_mind),
        cmocka_unit_test(keeps_utf8_and_replaces_what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
