#include "support/unit.h"

#include "cli/mock_put.h"

static void test_json(void **state) {
    struct buf out = { 0 };
    mock_put_named(&out, "{\"n\":", 12);
    mock_put_named(&out, ",\"none\":", -3);
    mock_put_text(&out, ",\"a\":", SPAN("x\"y"));
    mock_put_text(&out, ",\"b\":", SPAN_NONE);
    mock_put(&out, ",\"id\":");
    mock_put_id(&out, "call_", 7, 0);
    mock_put(&out, ",\"other\":");
    mock_put_id(&out, "call_", 7, 2);
    assert_span(buf_span(&out), "{\"n\":12,\"none\":0,\"a\":\"x\\\"y\",\"b\":null,"
                                "\"id\":\"call_7\",\"other\":\"call_7_2\"");
    buf_deinit(&out);
}

static void test_event(void **state) {
    struct buf out = { 0 };
    mock_put_event(&out, "message_stop");
    mock_put(&out, MOCK_EVENT_END);
    assert_span(buf_span(&out), "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
    buf_deinit(&out);
}

static void test_base64(void **state) {
    static const char *const cases[][2] = { { "", NULL },           { "f", "Zg==" },
                                            { "fo", "Zm8=" },       { "foo", "Zm9v" },
                                            { "foob", "Zm9vYg==" }, { "\xff\xfe\xfd", "//79" } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out = { 0 };
        mock_put_base64(&out, (const unsigned char *)cases[i][0], strlen(cases[i][0]));
        assert_span(buf_span(&out), cases[i][1]);
        buf_deinit(&out);
    }
}

static void test_gzip(void **state) {
    static const char expected[] =
        "\x1f\x8b\x08\0\0\0\0\0\0\xff\1\2\0\xfd\xffhi\xac\x2a\x93\xd8\2\0\0\0";
    struct buf out = { 0 };
    mock_gzip(&out, SPAN("hi"));
    assert_int_equal(out.len, sizeof expected - 1);
    assert_memory_equal(out.at, expected, out.len);
    buf_clear(&out);
    mock_gzip(&out, SPAN(""));
    assert_int_equal(out.len, 10 + 5 + 8);
    buf_deinit(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_event),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_gzip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
