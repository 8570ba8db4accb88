/* redact_test.c - what tells of people is replaced, what only looks like it stays, and no text takes
 * longer than its length says. */
#include "money/redact.h"

#include "base/random.h"
#include "support/unit.h"

#include <time.h>

static struct buf out;

static int tear_down(void **state) {
    buf_deinit(&out);
    return 0;
}

static struct span redacted(struct span text) {
    buf_clear(&out);
    redact(&out, text);
    return out.at ? buf_span(&out) : SPAN("");
}

/* Text and what is to come of it; NULL: itself. */
struct sample {
    const char *text, *wanted;
};

static void check(const struct sample *samples, size_t n) {
    for (size_t i = 0; i < n; i++)
        assert_span(redacted(span_of(samples[i].text)),
                    samples[i].wanted ? samples[i].wanted : samples[i].text);
}

#define CHECK(samples) check((samples), sizeof(samples) / sizeof *(samples))

static void addresses(void **state) {
    static const struct sample samples[] = {
        { "write to ann.lee+x@mail.example.com.", "write to [email]." },
        { "<a@b.co>, c_d@e-f.org", "<[email]>, [email]" },
        { "{\"to\":\"a@b.co\"}", "{\"to\":\"[email]\"}" },
        { "first\\nann@b.co\\tand", "first\\n[email]\\tand" },
        { "caf\\u00e9ann@b.co", "caf\\u00e9[email]" },
        { "\xe8\x81\x94\xe7\xb3\xbb"
          "a@b.com\xef\xbc\x8c\xe4\xbd\xa0\xe5\xa5\xbd",
          "\xe8\x81\x94\xe7\xb3\xbb"
          "[email]\xef\xbc\x8c\xe4\xbd\xa0\xe5\xa5\xbd" },
        { "a@m\xc3\xbcller.de!", "[email]!" },
        { "a@b.coc@d.co", "[email]@d.co" },
        { "@handle and a@b and @ and a@b.1 and x @y.com", NULL },
        { "john+49170123456@b.co", "[email]" },
    };
    CHECK(samples);
}

static void cards(void **state) {
    static const struct sample samples[] = {
        { "4111111111111111", "[card]" },
        { "card: 4111 1111 1111 1111, 12/27", "card: [card], 12/27" },
        { "4111-1111-1111-1111", "[card]" },
        { "12 4111 1111 1111 1111 12", "12 [card] 12" },
        { "3782 822463 10005", "[card]" },
        { "5555555555554444;2223003122003222", "[card];[card]" },
        { "4111111111111112", NULL }, /* no check digit */
        { "1795348800123456", NULL }, /* a time */
        { "[0.4111111111111111, 4111111111111111.5]", NULL },
        { "41111111111111111111111111111111", NULL }, /* too long */
        { "x4111111111111111 4111111111111111x", NULL },
        { "41 11 11 11 11 11 11 11", NULL },
    };
    CHECK(samples);
}

static void phones(void **state) {
    static const struct sample samples[] = {
        { "+49 170 1234567", "[phone]" },
        { "call +49 (0)170/1234567.", "call [phone]." },
        { "+14155552671,+44 20 7946 0958", "[phone],[phone]" },
        { "(415) 555-2671 or 415.555.2671", "[phone] or [phone]" },
        { "1-800-555-0199", "[phone]" },
        { "\\n+49 170 1234567\\n030 1234567", "\\n[phone]\\n[phone]" },
        { "0170 12345678, 06 12 34 56 78", "[phone], [phone]" },
        { "0170/1234567", "[phone]" },
        { "2026-11-22 10:30:00, 01-02-2026, 10.0.0.1, 192.168.100.200", NULL },
        { "0.0123456789 0.123.456.789 +5 1e+05", NULL },
        { "00000000-0000-0000-0000-000000000000 a-415-555-2671", NULL },
        { "4155552671 12345678901234567", NULL },
    };
    CHECK(samples);
}

static void keys(void **state) {
    static const struct sample samples[] = {
        { "sk-proj-abcDEF0123456789abcdef", "[key]" },
        { "use pl-0123456789abcdefghijklmnopqrstuv.", "use [key]." },
        { "AKIAIOSFODNN7EXAMPLE", "[key]" },
        { "Authorization: Bearer abc.DEF-123~xyz/==", "Authorization: Bearer [key]" },
        { "\"bearer 0123456789abcdef\"", "\"bearer [key]\"" },
        { "\\nsk-abcDEF0123456789abcdef", "\\n[key]" },
        { "ghp_0123456789abcdefghij", "[key]" },
        { "sk-learn-a-little-every-day", NULL }, /* words */
        { "task-abcDEF0123456789abcdef", NULL },
        { "sk-short1 Bearer of news AKIA1", NULL },
        { "Bearer authentication is missing", NULL },
    };
    CHECK(samples);
}

static void keys_alone(void **state) {
    buf_clear(&out);
    assert_true(redact_keys(&out, SPAN("a@b.co, sk-abcDEF0123456789abcdef, 4111111111111111")));
    assert_span(buf_span(&out), "a@b.co, [key], 4111111111111111");
    buf_clear(&out);
    assert_false(redact_keys(&out, SPAN("a@b.co, 4111111111111111")));
    assert_int_equal(out.len, 0);
}

static void what_has_none_of_it_stays(void **state) {
    static const struct sample samples[] = {
        { "", NULL },
        { "{\"messages\":[{\"role\":\"user\",\"content\":\"What is 2 + 2?\"}]}", NULL },
        { "\xff\xfe\x80 broken \xc3", NULL },
    };
    CHECK(samples);
    struct span got = redacted((struct span){ "a\0a@b.co\0", 9 });
    assert_true(span_eq(got, (struct span){ "a\0[email]\0", 10 }));
}

/* Texts by chance, which have nothing more to redact afterwards. Each has a block of its own size, so
 * that sanitizers see a look beyond it. */
static void nothing_is_left_after_it(void **state) {
    static const char *const parts[] = {
        "sk-", "pl-",  "A1b2C3d4E5f6G7h8", "Bearer ", "4111", " ",   "-", "@", "b.co",  "+",
        "49",  "0170", "1234567",          "(",       ")",    "\\n", ".", "x", "\\u00", "415",
    };
    struct random r;
    struct buf text = { 0 }, once = { 0 };
    random_seed(&r, 1);
    for (unsigned i = 0; i < 20000; i++) {
        buf_clear(&text);
        for (uint64_t n = random_below(&r, 12); n; n--)
            buf_add(&text, span_of(parts[random_below(&r, sizeof parts / sizeof *parts)]));
        char *exact = malloc(text.len + 1);
        memcpy(exact + 1, text.at ? text.at : "", text.len);
        redacted((struct span){ exact + 1, text.len });
        free(exact);
        buf_clear(&once);
        buf_add(&once, buf_span(&out));
        redacted(buf_span(&once));
        if (!span_eq(buf_span(&once), buf_span(&out)))
            fail_msg("%.*s: %.*s: %.*s", SPAN_ARGS(buf_span(&text)), SPAN_ARGS(buf_span(&once)),
                     SPAN_ARGS(buf_span(&out)));
    }
    buf_deinit(&text);
    buf_deinit(&once);
}

/* A megabyte of whatever it may look at in vain. */
static void it_takes_time_in_proportion(void **state) {
    static const char *const parts[] = {
        "@",  "a",    "a@",   "4",       "4111 ",    "sk-", "sk-a",
        "+4", "0-1 ", "a@b.", "Bearer ", "bearer a", "\\",  "\xe4\xbd\xa0@"
    };
    struct buf text = { 0 };
    clock_t slowest = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        buf_clear(&text);
        while (text.len < 1000000)
            buf_add(&text, span_of(parts[i]));
        clock_t began = clock();
        redacted(buf_span(&text));
        clock_t took = clock() - began;
        slowest = took > slowest ? took : slowest;
    }
    double slowest_s = (double)slowest / CLOCKS_PER_SEC;
    print_message("the slowest megabyte: %.1f ms of processor time\n", slowest_s * 1000);
    assert_true(slowest_s < 5); /* the square of it would take hours */
    buf_deinit(&text);
}

int main(void) {
#define UNIT(name) cmocka_unit_test_teardown(name, tear_down)
    const struct CMUnitTest tests[] = {
        UNIT(addresses),
        UNIT(cards),
        UNIT(phones),
        UNIT(keys),
        UNIT(keys_alone),
        UNIT(what_has_none_of_it_stays),
        UNIT(nothing_is_left_after_it),
        UNIT(it_takes_time_in_proportion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
