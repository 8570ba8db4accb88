/* Every stream of frames is fed whole, byte by byte and cut in two at every place: the frames are the
 * same. The reference bytes were made by hand from the format's description. */
#include "support/unit.h"

#include "net/eventstream.h"

enum { MAX = 4096 };

/* One event with three headers, and its sums as another implementation of CRC-32 gives them. */
#define HEADERS                                                                                    \
    "\x0d:message-type\x07\0\x05"                                                                  \
    "event"                                                                                        \
    "\x0b:event-type\x07\0\x0b"                                                                    \
    "messageStop"                                                                                  \
    "\x0d:content-type\x07\0\x10"                                                                  \
    "application/json"
static const char reference[] =
    "\0\0\0\x7a\0\0\0\x51\xca\x2c\x46\x65" HEADERS "{\"stopReason\":\"end_turn\"}\x3d\xc3\x3b\xfa";
enum { REFERENCE = sizeof reference - 1 };

struct seen {
    struct buf text;
    unsigned frames, stop_after; /* 0: never */
};

static void add(struct buf *out, const char *name, struct span s) {
    if (s.at)
        buf_printf(out, " %s=%.*s", name, SPAN_ARGS(s));
}

static bool on_frame(void *owner, const struct eventstream_frame *f) {
    struct seen *seen = owner;
    add(&seen->text, "message", f->message_type);
    add(&seen->text, "event", f->event_type);
    add(&seen->text, "exception", f->exception_type);
    add(&seen->text, "code", f->error_code);
    add(&seen->text, "says", f->error_message);
    add(&seen->text, "content", f->content_type);
    add(&seen->text, "payload", f->payload);
    buf_add_char(&seen->text, '\n');
    return ++seen->frames != seen->stop_after;
}

static bool feed(struct eventstream *s, struct seen *seen, const char *bytes, size_t len) {
    /* Exactly as much memory as there are bytes, so that a sanitizer sees reading beyond. */
    char *copy = malloc(len ? len : 1);
    memcpy(copy, bytes, len);
    bool fine = eventstream_feed(s, copy, len, on_frame, seen);
    free(copy);
    return fine;
}

/* The frames as lines, then "whole", "within" a frame, or "broken". */
static char *run(struct span input, size_t cut, bool bytewise) {
    struct eventstream s;
    struct seen seen = { 0 };
    bool fine = true;
    eventstream_init(&s, MAX);
    if (bytewise) {
        for (size_t i = 0; fine && i < input.len; i++)
            fine = feed(&s, &seen, input.at + i, 1);
    } else {
        fine = feed(&s, &seen, input.at, cut) && feed(&s, &seen, input.at + cut, input.len - cut);
    }
    buf_add(&seen.text, !fine                   ? SPAN("broken")
                        : eventstream_whole(&s) ? SPAN("whole")
                                                : SPAN("within"));
    buf_add_char(&seen.text, '\0');
    eventstream_deinit(&s);
    return seen.text.at;
}

static void expect_same(const char *expected, char *got) {
    if (strcmp(expected, got) != 0)
        fail_msg("expected:\n%s\ngot:\n%s", expected, got);
    free(got);
}

static void expect(struct span input, const char *expected) {
    expect_same(expected, run(input, input.len, false));
    expect_same(expected, run(input, 0, true));
    for (size_t cut = 0; cut < input.len; cut++)
        expect_same(expected, run(input, cut, false));
}

#define THE_FRAME                                                                                  \
    " message=event event=messageStop content=application/json "                                   \
    "payload={\"stopReason\":\"end_turn\"}\n"

static void reads_the_reference_frame(void **state) {
    struct buf two = { 0 };
    expect((struct span){ reference, REFERENCE }, THE_FRAME "whole");
    buf_append(&two, reference, REFERENCE);
    buf_append(&two, reference, REFERENCE);
    expect(buf_span(&two), THE_FRAME THE_FRAME "whole");
    buf_deinit(&two);
    expect(SPAN(""), "whole");
}

static void writes_the_reference_frame(void **state) {
    struct buf out = { 0 };
    eventstream_write(&out, SPAN("event"), SPAN("messageStop"),
                      SPAN("{\"stopReason\":\"end_turn\"}"));
    assert_int_equal(out.len, REFERENCE);
    assert_memory_equal(out.at, reference, REFERENCE);
    buf_clear(&out);
    eventstream_write(&out, SPAN("exception"), SPAN("throttlingException"), SPAN("{}"));
    eventstream_write(&out, SPAN("event"), SPAN("ping"), SPAN(""));
    expect(buf_span(&out),
           " message=exception exception=throttlingException content=application/json payload={}\n"
           " message=event event=ping content=application/json payload=\nwhole");
    buf_deinit(&out);
}

/* The bytes are over at any place: that is known. */
static void c5_a_cut_within_a_frame_is_seen(void **state) {
    for (size_t len = 1; len < REFERENCE; len++)
        expect((struct span){ reference, len }, "within");
}

/* No byte of a frame can change without being found out; one of the lengths is found out at once. */
static void every_damaged_byte_breaks_it(void **state) {
    for (size_t i = 0; i < REFERENCE; i++) {
        char damaged[REFERENCE];
        memcpy(damaged, reference, REFERENCE);
        damaged[i] ^= 0x10;
        expect((struct span){ damaged, REFERENCE }, "broken");
        if (i < 12)
            expect((struct span){ damaged, 12 }, "broken");
    }
}

/* --- frames no writer of ours makes, with their sums --- */

static uint32_t sum_of(const char *at, size_t len) {
    uint32_t sum = 0xffffffff;
    for (size_t i = 0; i < len; i++) {
        sum ^= (unsigned char)at[i];
        for (int k = 0; k < 8; k++)
            sum = sum >> 1 ^ (sum & 1 ? 0xedb88320 : 0);
    }
    return ~sum;
}

static void add_number(struct buf *out, uint32_t n) {
    for (int shift = 24; shift >= 0; shift -= 8)
        buf_add_char(out, (char)(n >> shift));
}

static struct buf frame_of(uint32_t total, uint32_t headers_len, struct span headers,
                           struct span payload) {
    struct buf f = { 0 };
    add_number(&f, total);
    add_number(&f, headers_len);
    add_number(&f, sum_of(f.at, f.len));
    buf_add(&f, headers);
    buf_add(&f, payload);
    add_number(&f, sum_of(f.at, f.len));
    return f;
}

static void expect_frame(struct span headers, struct span payload, const char *expected) {
    struct buf f = frame_of((uint32_t)(16 + headers.len + payload.len), (uint32_t)headers.len,
                            headers, payload);
    expect(buf_span(&f), expected);
    buf_deinit(&f);
}

static void headers_of_every_type_are_passed_over(void **state) {
    expect_frame(SPAN("\x01"
                      "a\0\x01"
                      "b\x01\x01"
                      "c\x02x\x01"
                      "d\x03xx\x01"
                      "e\x04xxxx\x01"
                      "f\x05xxxxxxxx\x01"
                      "g\x06\0\x03xxx\x01"
                      "h\x08xxxxxxxx\x01"
                      "i\x09xxxxxxxxxxxxxxxx\x0d:message-type\x07\0\x05"
                      "error\x0b:error-code\x07\0\x01"
                      "7\x0e:error-message\x07\0\x04"
                      "gone"),
                 SPAN(""), " message=error code=7 says=gone payload=\nwhole");
    expect_frame(SPAN(""), SPAN("x"), " payload=x\nwhole");
    /* A name we know, with a value that is no text. */
    expect_frame(SPAN("\x0b:event-type\x06\0\x01x"), SPAN(""), " payload=\nwhole");
}

static void headers_that_make_no_sense_break_it(void **state) {
    static const struct span headers[] = {
        { "\x05"
          "ab",
          3 }, /* a name longer than what there is */
        { "\x01"
          "a",
          2 }, /* no type */
        { "\x01"
          "a\x0a",
          3 }, /* a type nobody knows */
        { "\x01"
          "a\x07\0",
          4 }, /* half a length */
        { "\x01"
          "a\x07\0\x02x",
          6 }, /* half a value */
        { "\x01"
          "a\x09xxx",
          6 },
    };
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        expect_frame(headers[i], SPAN("payload"), "broken");
}

static void lengths_that_make_no_sense_break_it_at_once(void **state) {
    static const struct {
        uint32_t total, headers;
    } lengths[] = { { 0, 0 },       { 15, 0 },         { 16, 1 },          { 20, 5 },
                    { MAX + 1, 0 }, { 0xffffffff, 0 }, { 100, 0xffffffff } };
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct buf f = frame_of(lengths[i].total, lengths[i].headers, SPAN(""), SPAN(""));
        expect(span_sub(buf_span(&f), 0, 12), "broken");
        buf_deinit(&f);
    }
}

static void the_largest_frame_passes(void **state) {
    char payload[MAX - 16];
    memset(payload, 'x', sizeof payload);
    struct buf f = frame_of(MAX, 0, SPAN(""), (struct span){ payload, sizeof payload });
    struct buf expected = { 0 };
    buf_printf(&expected, " payload=%.*s\nwhole", (int)sizeof payload, payload);
    expect_same(expected.at, run(buf_span(&f), f.len, false));
    expect_same(expected.at, run(buf_span(&f), 0, true));
    expect_same(expected.at, run(buf_span(&f), 4095, false));
    buf_deinit(&expected);
    buf_deinit(&f);
}

static void text_is_no_frame(void **state) {
    expect(SPAN("data: {\"a\":1}\n\n"), "broken");
    expect(SPAN("<html><body>oops</body></html>"), "broken");
}

static void the_callback_stops_it(void **state) {
    struct eventstream s;
    struct seen seen = { .stop_after = 1 };
    struct buf two = { 0 };
    buf_append(&two, reference, REFERENCE);
    buf_append(&two, reference, REFERENCE);
    eventstream_init(&s, MAX);
    assert_false(feed(&s, &seen, two.at, two.len));
    assert_int_equal(seen.frames, 1);
    eventstream_deinit(&s);
    buf_deinit(&seen.text);
    buf_deinit(&two);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_reference_frame),
        cmocka_unit_test(writes_the_reference_frame),
        cmocka_unit_test(c5_a_cut_within_a_frame_is_seen),
        cmocka_unit_test(every_damaged_byte_breaks_it),
        cmocka_unit_test(headers_of_every_type_are_passed_over),
        cmocka_unit_test(headers_that_make_no_sense_break_it),
        cmocka_unit_test(lengths_that_make_no_sense_break_it_at_once),
        cmocka_unit_test(the_largest_frame_passes),
        cmocka_unit_test(text_is_no_frame),
        cmocka_unit_test(the_callback_stops_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
