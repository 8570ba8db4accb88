#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "upstream/head.h"

#include <stdio.h>

/* Feeds a head line by line, as curl would cut it; the verdict of the line that decided. */
static enum head_verdict feed(struct head *h, const char *text, size_t max) {
    head_begin(h, max);
    enum head_verdict verdict = HEAD_MORE;
    while (*text && verdict == HEAD_MORE) {
        const char *end = strchr(text, '\n');
        size_t len = end ? (size_t)(end - text) + 1 : strlen(text);
        verdict = head_line(h, text, len);
        text += len;
    }
    return verdict;
}

static void assert_span(struct span s, const char *text) {
    assert_int_equal(s.len, strlen(text));
    assert_memory_equal(s.at, text, s.len);
}

static void reads_a_head(void **state) {
    struct head h = { 0 };
    assert_int_equal(feed(&h,
                          "HTTP/1.1 429 Too Many Requests\r\nRetry-After:  7 \r\nX-EMPTY:\r\n"
                          "Content-Length: 12\r\n\r\n",
                          0),
                     HEAD_DONE);
    assert_int_equal(h.status, 429);
    assert_int_equal(h.n, 3);
    assert_span(h.pairs[0].name, "retry-after");
    assert_span(h.pairs[0].value, "7");
    assert_span(h.pairs[1].name, "x-empty");
    assert_int_equal(h.pairs[1].value.len, 0);
    assert_span(h.pairs[2].value, "12");
    head_deinit(&h);
}

static void keeps_fields_while_memory_moves(void **state) {
    struct head h = { 0 };
    head_begin(&h, 1 << 20);
    head_line(&h, "HTTP/1.1 200 OK\r\n", 17);
    char line[600];
    for (int i = 0; i < 200; i++) {
        int len = snprintf(line, sizeof line, "H-%d: %0*d\r\n", i, 500, i);
        assert_int_equal(head_line(&h, line, (size_t)len), HEAD_MORE);
    }
    assert_int_equal(head_line(&h, "\r\n", 2), HEAD_DONE);
    assert_int_equal(h.n, 200);
    for (size_t i = 0; i < h.n; i++) {
        snprintf(line, sizeof line, "h-%zu", i);
        assert_span(h.pairs[i].name, line);
        snprintf(line, sizeof line, "%0*zu", 500, i);
        assert_span(h.pairs[i].value, line);
    }
    head_deinit(&h);
}

static void forgets_interim_heads(void **state) {
    struct head h = { 0 };
    assert_int_equal(feed(&h,
                          "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nContent-Length: 3\r\n\r\n"
                          "HTTP/1.1 100 Continue\r\n\r\n"
                          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                          0),
                     HEAD_DONE);
    assert_int_equal(h.status, 200);
    assert_int_equal(h.n, 1);
    assert_span(h.pairs[0].name, "transfer-encoding");
    head_deinit(&h);
}

static void takes_line_feeds_alone_and_old_versions(void **state) {
    struct head h = { 0 };
    assert_int_equal(feed(&h, "HTTP/1.0 200\nA: b\n\n", 0), HEAD_DONE);
    assert_int_equal(h.status, 200);
    assert_span(h.pairs[0].value, "b");
    head_deinit(&h);
}

static void ignores_trailers_but_counts_them(void **state) {
    struct head h = { 0 };
    assert_int_equal(feed(&h, "HTTP/1.1 200 OK\r\nA: b\r\n\r\n", 64), HEAD_DONE);
    assert_int_equal(head_line(&h, "Content-Length: 5\r\n", 19), HEAD_MORE);
    assert_int_equal(h.n, 1);
    assert_int_equal(head_line(&h, "T: 0123456789012345678901234567\r\n", 34), HEAD_BAD);
    head_deinit(&h);
}

static void refuses(void **state) {
    static const char *const heads[] = {
        "hello\r\n",
        "HTTP/2 200\r\n",
        "HTTP/1.2 200 OK\r\n",
        "HTTP/0.9 200 OK\r\n",
        " HTTP/1.1 200 OK\r\n",
        "HTTP/1.1  200 OK\r\n",
        "HTTP/1.1 20 OK\r\n",
        "HTTP/1.1 2000 OK\r\n",
        "HTTP/1.1 099 OK\r\n",
        "HTTP/1.1 +20 OK\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n",
        "\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n",
        "HTTP/1.1 200 OK\r\n: nameless\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n",
        "HTTP/1.1 200 OK\r\n\tA: b\r\n",
        "HTTP/1.1 200 OK\r\nA: b\rc: d\r\n",
        "HTTP/1.1 200 OK\r\nA: b\x01\r\n",
        "HTTP/1.1 200 OK\r\nA\xa0: b\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\ncontent-length: 5\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length:\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: ,chunked\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n",
    };
    struct head h = { 0 };
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        if (feed(&h, heads[i], 0) != HEAD_BAD)
            fail_msg("taken: %s", heads[i]);
        assert_non_null(h.why);
    }
    head_deinit(&h);
}

static void refuses_nul(void **state) {
    struct head h = { 0 };
    head_begin(&h, 0);
    assert_int_equal(head_line(&h, "HTTP/1.1 200 OK\r\n", 17), HEAD_MORE);
    assert_int_equal(head_line(&h, "A: b\0c\r\n", 8), HEAD_BAD);
    head_begin(&h, 0);
    assert_int_equal(head_line(&h, "HTTP/1.1 200 OK\r\n", 17), HEAD_MORE);
    assert_int_equal(head_line(&h, "A\0: bc\r\n", 8), HEAD_BAD);
    head_deinit(&h);
}

static void limits_bytes_of_all_heads_together(void **state) {
    struct head h = { 0 };
    head_begin(&h, 1000);
    unsigned rounds = 0;
    enum head_verdict verdict = HEAD_MORE;
    for (; verdict == HEAD_MORE && rounds < 1000; rounds++) {
        verdict = head_line(&h, "HTTP/1.1 100 Continue\r\n", 23);
        if (verdict == HEAD_MORE)
            verdict = head_line(&h, "\r\n", 2);
    }
    assert_int_equal(verdict, HEAD_BAD);
    assert_int_equal(rounds, 1000 / 25 + 1);
    head_deinit(&h);
}

static void limits_the_number_of_fields(void **state) {
    struct head h = { 0 };
    head_begin(&h, 1 << 20);
    head_line(&h, "HTTP/1.1 200 OK\r\n", 17);
    for (int i = 0; i < HEAD_LINES_MAX; i++)
        assert_int_equal(head_line(&h, "a: b\r\n", 6), HEAD_MORE);
    assert_int_equal(head_line(&h, "a: b\r\n", 6), HEAD_BAD);
    head_deinit(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_head),
        cmocka_unit_test(keeps_fields_while_memory_moves),
        cmocka_unit_test(forgets_interim_heads),
        cmocka_unit_test(takes_line_feeds_alone_and_old_versions),
        cmocka_unit_test(ignores_trailers_but_counts_them),
        cmocka_unit_test(refuses),
        cmocka_unit_test(refuses_nul),
        cmocka_unit_test(limits_bytes_of_all_heads_together),
        cmocka_unit_test(limits_the_number_of_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
