#include "support/unit.h"

#include "cli/mock_count.h"

static struct http_message *last;

static void keep(void *owner, struct http_message *m) {
    last = m;
}

static bool welcome(void *owner, struct http_message *m) {
    return true;
}

/* A message as it would come over the wire. */
static struct http_message *message(struct http_pool *pool, const char *body) {
    static const struct http1_events events = { .on_head = welcome, .on_message = keep };
    static const struct http_limits limits = { 1000, 1000, 10, 10 << 20 };
    struct http1 h;
    struct buf bytes = { 0 };
    buf_printf(&bytes, "POST /x?y HTTP/1.1\r\nHost: a\r\nX-B: \"q\"\r\nContent-Length: %zu\r\n\r\n",
               strlen(body));
    buf_add(&bytes, span_of(body));
    http1_init(&h, &limits, pool, &events, NULL);
    assert_int_equal(http1_feed(&h, bytes.at, bytes.len), bytes.len);
    http1_deinit(&h);
    buf_deinit(&bytes);
    return last;
}

static void test_tally(void **state) {
    struct mock_tally *t = calloc(1, sizeof *t);
    char name[32];
    assert_int_equal(mock_tally_add(t, SPAN("a")), 1);
    assert_int_equal(mock_tally_add(t, SPAN("a")), 2);
    assert_int_equal(mock_tally_add(t, SPAN("")), 1);
    assert_int_equal(mock_tally_add(t, SPAN("a")), 3);
    for (int i = 0; i < 10000; i++) {
        snprintf(name, sizeof name, "name %d", i);
        mock_tally_add(t, span_of(name));
    }
    assert_int_equal(t->used, MOCK_NAMES / 4 * 3 + 1);
    assert_int_equal(mock_tally_add(t, SPAN("one more")), 10000 - (MOCK_NAMES / 4 * 3 - 2) + 1);
    assert_int_equal(mock_tally_add(t, SPAN("a")), 4);
    mock_tally_clear(t);
    assert_int_equal(mock_tally_add(t, SPAN("a")), 1);
    mock_tally_clear(t);
    free(t);
}

static void test_stats_are_summed_up(void **state) {
    struct mock_count *counts = calloc(2, sizeof *counts);
    struct mock_report *reports = calloc(2, sizeof *reports);
    struct buf out = { 0 };
    for (int i = 0; i < 2; i++) {
        counts[i].numbers = (struct mock_numbers){ 1, 2, 3, 4, 5, 6 };
        counts[i].under_way = 7;
        mock_tally_add(&counts[i].by_model, SPAN("m\""));
        mock_tally_add(&counts[i].by_path, i ? SPAN("/b") : SPAN("/a"));
        mock_report_take(&reports[i], &counts[i], 10);
    }
    mock_report_stats(reports, 2, &out);
    buf_add_char(&out, '\0');
    assert_non_null(
        strstr(out.at, "{\"requests\":2,\"streams\":4,\"cancelled\":6,\"connections\":32,"
                       "\"open\":20,\"under_way\":14,\"prompt_tokens\":8,\"completion_tokens\":10,"
                       "\"tokens\":18,"));
    assert_non_null(strstr(out.at, "\"by_model\":{\"m\\\"\":2}"));
    assert_non_null(strstr(out.at, "\"/a\":1"));
    assert_non_null(strstr(out.at, "\"/b\":1"));
    for (int i = 0; i < 2; i++) {
        mock_report_deinit(&reports[i]);
        mock_count_reset(&counts[i]);
        assert_int_equal(counts[i].numbers.requests, 0);
        assert_int_equal(counts[i].under_way, 7); /* they go on */
    }
    buf_deinit(&out);
    free(reports);
    free(counts);
}

static void test_last_requests(void **state) {
    struct http_pool *pool = http_pool_new(100 << 20);
    struct mock_count *c = calloc(1, sizeof *c);
    struct mock_report *r = calloc(1, sizeof *r);
    struct buf out = { 0 };
    char body[32];
    mock_report_take(r, c, 0);
    mock_report_requests(r, 1, true, &out);
    assert_span(buf_span(&out), "null");
    mock_report_deinit(r);
    for (int i = 0; i < 250; i++) {
        snprintf(body, sizeof body, "{\"i\":%d}", i);
        mock_received_release(mock_count_received(c, message(pool, body)));
    }
    mock_report_take(r, c, 0);
    buf_clear(&out);
    mock_report_requests(r, 1, true, &out);
    assert_span(
        buf_span(&out),
        "{\"method\":\"POST\",\"path\":\"/x?y\",\"headers\":{\"host\":\"a\",\"x-b\":\"\\\"q\\\"\","
        "\"content-length\":\"9\"},\"body\":\"{\\\"i\\\":249}\"}");
    buf_clear(&out);
    mock_report_requests(r, 1, false, &out);
    buf_add_char(&out, '\0');
    assert_null(strstr(out.at, ":149}"));
    assert_true(strstr(out.at, ":150}") < strstr(out.at, ":151}"));
    assert_non_null(strstr(out.at, ":249}"));
    mock_report_deinit(r);
    mock_count_reset(c);
    http_pool_release(pool);
    buf_deinit(&out);
    free(r);
    free(c);
}

/* Who answers may take longer than a hundred other requests do. */
static void test_a_request_lives_until_both_let_go(void **state) {
    struct http_pool *pool = http_pool_new(100 << 20);
    struct mock_count *c = calloc(1, sizeof *c);
    struct mock_received *slow = mock_count_received(c, message(pool, "slow"));
    for (int i = 0; i < 200; i++)
        mock_received_release(mock_count_received(c, message(pool, "fast")));
    assert_span(buf_span(&slow->message->body), "slow");
    mock_received_release(slow);
    mock_count_reset(c);
    assert_int_equal(http_pool_body_bytes(pool), 0);
    http_pool_release(pool);
    free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tally),
        cmocka_unit_test(test_stats_are_summed_up),
        cmocka_unit_test(test_last_requests),
        cmocka_unit_test(test_a_request_lives_until_both_let_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
