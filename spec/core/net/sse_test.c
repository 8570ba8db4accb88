/* Every stream is fed whole, byte by byte and cut in two at every place: the events are the same.
 */
#include "support/unit.h"

#include "net/sse.h"

struct seen {
    struct buf text;
    unsigned events;
    unsigned stop_after; /* 0: never */
};

static void add_span(struct buf *out, const char *name, struct span s) {
    buf_printf(out, " %s=", name);
    if (s.at)
        buf_add_json(out, s);
    else
        buf_append(out, "none", 4);
}

static bool on_event(void *owner, const struct sse_event *e) {
    struct seen *seen = owner;
    add_span(&seen->text, "name", e->name);
    add_span(&seen->text, "data", e->data);
    add_span(&seen->text, "raw", e->raw);
    buf_add_char(&seen->text, '\n');
    return ++seen->events != seen->stop_after;
}

static bool feed(struct sse *s, struct seen *seen, const char *bytes, size_t len) {
    /* Exactly as much memory as there are bytes, so that a sanitizer sees reading beyond. */
    char *copy = malloc(len ? len : 1);
    memcpy(copy, bytes, len);
    bool fine = sse_feed(s, copy, len, on_event, seen);
    free(copy);
    return fine;
}

static char *run(struct span input, size_t cut, bool bytewise, size_t max) {
    struct sse s;
    struct seen seen = { 0 };
    bool fine = true;
    sse_init(&s, max);
    if (bytewise) {
        for (size_t i = 0; fine && i < input.len; i++)
            fine = feed(&s, &seen, input.at + i, 1);
    } else {
        fine = feed(&s, &seen, input.at, cut) && feed(&s, &seen, input.at + cut, input.len - cut);
    }
    if (fine)
        sse_end(&s, on_event, &seen);
    buf_add(&seen.text, fine ? SPAN("end") : SPAN("refused"));
    buf_add_char(&seen.text, '\0');
    sse_deinit(&s);
    return seen.text.at;
}

static void expect_same(const char *expected, char *got) {
    if (strcmp(expected, got) != 0)
        fail_msg("expected:\n%s\ngot:\n%s", expected, got);
    free(got);
}

static void expect(struct span input, size_t max, const char *expected) {
    expect_same(expected, run(input, input.len, false, max));
    expect_same(expected, run(input, 0, true, max));
    for (size_t cut = 0; cut < input.len; cut++)
        expect_same(expected, run(input, cut, false, max));
}

#define EXPECT(literal, expected) expect(SPAN(literal), 1000, expected)

static void d5_every_line_end_is_one(void **state) {
    EXPECT("data: 1\n\ndata: 2\n\n", " name=none data=\"1\" raw=\"data: 1\\n\\n\"\n"
                                     " name=none data=\"2\" raw=\"data: 2\\n\\n\"\nend");
    EXPECT("data: 1\r\n\r\ndata: 2\r\n\r\n",
           " name=none data=\"1\" raw=\"data: 1\\r\\n\\r\\n\"\n"
           " name=none data=\"2\" raw=\"data: 2\\r\\n\\r\\n\"\nend");
    EXPECT("data: 1\r\rdata: 2\r\r", " name=none data=\"1\" raw=\"data: 1\\r\\r\"\n"
                                     " name=none data=\"2\" raw=\"data: 2\\r\\r\"\nend");
}

static void test_mixed_line_ends(void **state) {
    EXPECT("data: 1\n\r\ndata: 2\r\n\ndata: 3\r\n\rdata: 4\n\r",
           " name=none data=\"1\" raw=\"data: 1\\n\\r\"\n"
           " name=none data=\"2\" raw=\"data: 2\\r\\n\\n\"\n"
           " name=none data=\"3\" raw=\"data: 3\\r\\n\\r\\n\"\n"
           " name=none data=\"4\" raw=\"data: 4\\n\\r\"\nend");
    EXPECT("data: 1\rdata: 2\ndata: 3\r\n\r\n",
           " name=none data=\"1\\n2\\n3\" raw=\"data: 1\\rdata: 2\\ndata: 3\\r\\n\\r\\n\"\nend");
}

static void test_fields(void **state) {
    EXPECT(
        "event: ping\ndata:x\ndata:  y\ndata\nid: 7\nretry: 5\nodd: z\n:note\n\n",
        " name=\"ping\" data=\"x\\n y\\n\" raw=\"event: ping\\ndata:x\\ndata:  y\\ndata\\nid: 7\\n"
        "retry: 5\\nodd: z\\n:note\\n\\n\"\nend");
    EXPECT("event: a\nevent: b\ndata:\n\n",
           " name=\"b\" data=\"\" raw=\"event: a\\nevent: b\\ndata:\\n\\n\"\nend");
    EXPECT("data\ndata\n\n", " name=none data=\"\\n\" raw=\"data\\ndata\\n\\n\"\nend");
    EXPECT("Data: x\ndatax: y\n\n", " name=none data=none raw=\"Data: x\\ndatax: y\\n\\n\"\nend");
}

static void d6_comments_have_no_data(void **state) {
    EXPECT(": hello\n\n:\n\ndata: 1\n\n", " name=none data=none raw=\": hello\\n\\n\"\n"
                                          " name=none data=none raw=\":\\n\\n\"\n"
                                          " name=none data=\"1\" raw=\"data: 1\\n\\n\"\nend");
}

static void test_blank_lines(void **state) {
    EXPECT("\n\r\n\r\rdata: 1\n\n\n\r\n\rdata: 2\n\n",
           " name=none data=\"1\" raw=\"data: 1\\n\\n\"\n"
           " name=none data=\"2\" raw=\"data: 2\\n\\n\"\nend");
    EXPECT("", "end");
    EXPECT("\n", "end");
}

static void test_byte_order_mark(void **state) {
    EXPECT("\xef\xbb\xbf"
           "data: 1\n\n",
           " name=none data=\"1\" raw=\"data: 1\\n\\n\"\nend");
    /* Only at the start, only once, only whole. */
    EXPECT("\xef\xbb\xbf\xef\xbb\xbf"
           "data: 1\n\n",
           " name=none data=none raw=\"\xef\xbb\xbf"
           "data: 1\\n\\n\"\nend");
    EXPECT("\xef\xbb"
           "data: 1\n\n",
           " name=none data=none raw=\"\xef\xbf\xbd\xef\xbf\xbd"
           "data: 1\\n\\n\"\nend");
    EXPECT("\xef\xbb", "end");
}

static void d4_a_last_event_without_its_blank_line_counts(void **state) {
    EXPECT("data: 1\n\ndata: 2", " name=none data=\"1\" raw=\"data: 1\\n\\n\"\n"
                                 " name=none data=\"2\" raw=\"data: 2\\n\\n\"\nend");
    EXPECT("data: 2\n", " name=none data=\"2\" raw=\"data: 2\\n\\n\"\nend");
    EXPECT("data: 2\r", " name=none data=\"2\" raw=\"data: 2\\r\\r\"\nend");
    EXPECT("data: 2\r\n", " name=none data=\"2\" raw=\"data: 2\\r\\n\\n\"\nend");
    EXPECT(": gone", "end");
    EXPECT("event: x\n", "end");
}

/* Events that come in several packets, as expect() cuts all of them: none is lost, none comes early. */
static void d1_an_event_cut_anywhere_is_one_event(void **state) {
    EXPECT("event: a\ndata: {\"text\":\"one\"}\n\nevent: b\ndata: {\"text\":\"two\"}\n\n",
           " name=\"a\" data=\"{\\\"text\\\":\\\"one\\\"}\" raw=\"event: a\\ndata: "
           "{\\\"text\\\":\\\"one\\\"}\\n\\n\"\n"
           " name=\"b\" data=\"{\\\"text\\\":\\\"two\\\"}\" raw=\"event: b\\ndata: "
           "{\\\"text\\\":\\\"two\\\"}\\n\\n\"\nend");
}

/* Letters of two, three and four bytes: what would be broken by a cut is U+FFFD in the result. */
static void d2_a_letter_cut_in_two_stays_whole(void **state) {
    EXPECT("data: \xc3\xa9\xe2\x82\xac\xf0\x9f\x8c\x99\n\n",
           " name=none data=\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x8c\x99\" raw=\"data: "
           "\xc3\xa9\xe2\x82\xac\xf0\x9f\x8c\x99\\n\\n\"\nend");
}

static void d3_a_space_behind_the_colon_may_be_missing(void **state) {
    EXPECT("data:{}\n\nevent:a\ndata:  {}\n\n",
           " name=none data=\"{}\" raw=\"data:{}\\n\\n\"\n"
           " name=\"a\" data=\" {}\" raw=\"event:a\\ndata:  {}\\n\\n\"\nend");
}

static void test_other_separators_are_text(void **state) {
    EXPECT("data: a\xe2\x80\xa8"
           "b\x0b\x85\n\n",
           " name=none data=\"a\\u2028b\\u000b\xef\xbf\xbd\" raw=\"data: "
           "a\\u2028b\\u000b\xef\xbf\xbd\\n\\n\"\nend");
}

static void d7_an_event_has_a_largest_size(void **state) {
    expect(SPAN("data: 1234\n\n"), 12, " name=none data=\"1234\" raw=\"data: 1234\\n\\n\"\nend");
    expect(SPAN("data: 12345\n\n"), 12, "refused");
    expect(SPAN("data: 1\n\ndata: 1234567890"), 12,
           " name=none data=\"1\" raw=\"data: 1\\n\\n\"\nrefused");
    expect(SPAN("data: 1\ndata: 2\ndata: 3\n\n"), 12, "refused");
}

/* An event is there with its last byte, whatever may follow. */
static void test_nothing_is_held(void **state) {
    static const struct span streams[] = {
        { "data: 1\n\n", 9 }, { "data: 1\r\n\r", 10 }, { "data: 1\r\r", 9 }, { ":c\n\n", 4 }
    };
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) {
        struct sse s;
        struct seen seen = { 0 };
        sse_init(&s, 1000);
        for (size_t at = 0; at + 1 < streams[i].len; at++)
            assert_true(feed(&s, &seen, streams[i].at + at, 1));
        assert_int_equal(seen.events, 0);
        assert_true(feed(&s, &seen, streams[i].at + streams[i].len - 1, 1));
        assert_int_equal(seen.events, 1);
        buf_deinit(&seen.text);
        sse_deinit(&s);
    }
}

static void test_callback_stops(void **state) {
    struct sse s;
    struct seen seen = { .stop_after = 2 };
    struct span input = SPAN("data: 1\n\ndata: 2\n\ndata: 3\n\n");
    sse_init(&s, 1000);
    assert_false(feed(&s, &seen, input.at, input.len));
    assert_int_equal(seen.events, 2);
    buf_deinit(&seen.text);
    sse_deinit(&s);
}

/* A megabyte of one line, and of lines that end in CR only: time grows with the bytes, not their
 * square. */
static void test_long_events(void **state) {
    struct buf b = { 0 };
    buf_append(&b, "data: ", 6);
    memset(buf_reserve(&b, 1 << 20), 'x', 1 << 20);
    b.len += 1 << 20;
    buf_append(&b, "\n\n", 2);
    for (int i = 0; i < 1 << 19; i++)
        buf_append(&b, ":\r", 2);
    buf_append(&b, "\r", 1);
    struct sse s;
    struct seen seen = { 0 };
    sse_init(&s, 2 << 20);
    for (size_t at = 0; at < b.len; at += 1000)
        assert_true(feed(&s, &seen, b.at + at, b.len - at < 1000 ? b.len - at : 1000));
    assert_int_equal(seen.events, 2);
    buf_deinit(&seen.text);
    buf_deinit(&b);
    sse_deinit(&s);
}

static void expect_written(struct span event, struct span text, const char *expected) {
    struct buf out = { 0 };
    sse_write(&out, event, text);
    buf_add_char(&out, '\0');
    assert_string_equal(out.at, expected);
    buf_deinit(&out);
}

static void test_writing(void **state) {
    expect_written(SPAN_NONE, SPAN("{}"), "data: {}\n\n");
    expect_written(SPAN("error"), SPAN("a\nb\r\nc\rd"),
                   "event: error\ndata: a\ndata: b\ndata: c\ndata: d\n\n");
    expect_written(SPAN_NONE, SPAN(""), "data: \n\n");
    expect_written(SPAN_NONE, SPAN_NONE, "data: \n\n");
    expect_written(SPAN_NONE, SPAN("a\n"), "data: a\ndata: \n\n");
    /* A name can not bring a line of its own. */
    expect_written(SPAN("x\ndata: forged"), SPAN("1"), "event: x\ndata: 1\n\n");
    expect_written(SPAN("\rx"), SPAN("1"), "data: 1\n\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(d5_every_line_end_is_one),
        cmocka_unit_test(test_mixed_line_ends),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(d6_comments_have_no_data),
        cmocka_unit_test(test_blank_lines),
        cmocka_unit_test(test_byte_order_mark),
        cmocka_unit_test(d4_a_last_event_without_its_blank_line_counts),
        cmocka_unit_test(test_other_separators_are_text),
        cmocka_unit_test(d7_an_event_has_a_largest_size),
        cmocka_unit_test(test_nothing_is_held),
        cmocka_unit_test(test_callback_stops),
        cmocka_unit_test(test_long_events),
        cmocka_unit_test(test_writing),
        cmocka_unit_test(d1_an_event_cut_anywhere_is_one_event),
        cmocka_unit_test(d2_a_letter_cut_in_two_stays_whole),
        cmocka_unit_test(d3_a_space_behind_the_colon_may_be_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
