/* reply_test.c - the headers of a reply: nothing can be slipped into them, their number and length
 * are bounded, pages hear of them only where that is configured. */
#include "route/reply.h"

#include "support/unit.h"

static struct arena arena;

static int set_up(void **state) {
    arena_init(&arena, 512);
    return 0;
}

static int tear_down(void **state) {
    arena_deinit(&arena);
    return 0;
}

static struct reply fresh(void) {
    struct reply r;
    reply_init(&r, &arena);
    return r;
}

/* The value of a header, SPAN_NONE without one; there is never a second. */
static struct span value_of(const struct reply *r, const char *name) {
    struct span found = SPAN_NONE;
    for (size_t i = 0; i < r->n; i++)
        if (span_eq(r->headers[i].name, span_of(name))) {
            assert_null(found.at);
            found = r->headers[i].value;
        }
    return found;
}

static struct span added(const char *value, size_t len) {
    struct reply r = fresh();
    reply_add(&r, SPAN("x-test"), (struct span){ value, len });
    assert_int_equal(r.n, 1);
    assert_true(http_value_ok(r.headers[0].value));
    return r.headers[0].value;
}

static void no_byte_ends_a_header(void **state) {
    assert_span(added("a\r\nset-cookie: x=1", 18), "a??set-cookie: x=1");
    assert_span(added("a\nb", 3), "a?b");
    assert_span(added("a\rb", 3), "a?b");
    assert_span(added("a\0b", 3), "a?b");
    assert_span(added("a\x7f"
                      "b",
                      3),
                "a?b");
    assert_span(added("\r\n\r\n", 4), "????");
    for (int c = 0; c < 256; c++) {
        char text[2] = { (char)c, 'z' };
        bool control = (c < 0x20 && c != '\t') || c == 0x7f;
        struct span value = added(text, 2);
        assert_int_equal((unsigned char)value.at[0], control ? '?' : c);
        assert_int_equal(value.at[1], 'z');
    }
}

static void the_callers_text_is_left_alone(void **state) {
    char text[] = "a\nb";
    struct reply r = fresh();
    reply_add(&r, SPAN("x-test"), span_of(text));
    assert_string_equal(text, "a\nb");
    memset(text, 'z', 3);
    assert_span(r.headers[0].value, "a?b");
}

static void a_clean_text_is_borrowed(void **state) {
    static const char text[] = "caf\xc3\xa9, \"quoted\"\tand more";
    assert_ptr_equal(added(text, sizeof text - 1).at, text);
}

static void a_value_is_cut_at_a_kilobyte(void **state) {
    char text[4096];
    memset(text, 'x', sizeof text);
    assert_int_equal(added(text, 1024).len, 1024);
    assert_int_equal(added(text, 1025).len, 1024);
    text[1024] = '\n';
    assert_ptr_equal(added(text, sizeof text).at, text);
    text[1023] = '\n';
    struct span value = added(text, sizeof text);
    assert_int_equal(value.len, 1024);
    assert_int_equal(value.at[1023], '?');
}

static void an_empty_value_is_no_header(void **state) {
    struct reply r = fresh();
    reply_add(&r, SPAN("a"), SPAN_NONE);
    reply_add(&r, SPAN("b"), SPAN(""));
    assert_int_equal(r.n, 0);
}

static void there_is_room_for_so_many(void **state) {
    struct reply r = fresh();
    for (int i = 0; i < REPLY_HEADERS + 10; i++)
        reply_add(&r, SPAN("x"), SPAN("y"));
    assert_int_equal(r.n, REPLY_HEADERS);
}

/* --- errors --- */

static struct reply of_error(int64_t retry_after_ms, bool tried) {
    struct reply r = fresh();
    struct api_error e = api_error(ERROR_OVERLOADED, SPAN("x"));
    e.retry_after_ms = retry_after_ms;
    reply_error_headers(&r, &e, tried);
    return r;
}

static void retry_after_is_in_whole_seconds_rounded_up(void **state) {
    static const struct {
        int64_t ms;
        const char *value;
    } cases[] = { { -1, NULL },  { 0, "0" },    { 1, "1" },      { 999, "1" },
                  { 1000, "1" }, { 1001, "2" }, { 59999, "60" }, { 119001, "120" } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reply r = of_error(cases[i].ms, false);
        assert_span(value_of(&r, "retry-after"), cases[i].value);
        assert_null(value_of(&r, "x-should-retry").at);
    }
}

static void h6_nobody_is_told_to_wait_for_hours(void **state) {
    static const int64_t cases[] = { 120000, 120001, 86400000, INT64_MAX };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reply r = of_error(cases[i], false);
        assert_span(value_of(&r, "retry-after"), "120");
    }
}

static void what_was_tried_is_not_to_be_tried_by_the_client(void **state) {
    struct reply r = of_error(-1, true);
    assert_span(value_of(&r, "x-should-retry"), "false");
    assert_null(value_of(&r, "retry-after").at);
}

/* Libraries retry a 409 unless they are told. */
static void a_conflict_is_not_to_be_tried_again(void **state) {
    struct reply r = fresh();
    struct api_error e = api_error(ERROR_CONFLICT, SPAN("x"));
    reply_error_headers(&r, &e, false);
    assert_span(value_of(&r, "x-should-retry"), "false");
}

/* --- pages of others --- */

static const struct span origins[] = { { "https://app.example", 19 },
                                       { "http://localhost:3000", 21 } };

static struct reply for_page(const char *method, const char *origin, const char *headers,
                             size_t n_origins) {
    struct pair list[] = { { SPAN("origin"), span_of(origin) },
                           { SPAN("access-control-request-headers"), span_of(headers) } };
    struct http_message m = { .method = span_of(method),
                              .headers = list + !origin,
                              .n_headers = 2 - !origin };
    struct config config = { .cors_origins = origins, .n_cors_origins = n_origins };
    struct reply r = fresh();
    reply_cors(&r, &config, &m);
    for (size_t i = 0; i < r.n; i++)
        r.headers[i].value = arena_copy(&arena, r.headers[i].value);
    return r;
}

static void nothing_is_said_where_nothing_is_configured(void **state) {
    struct reply r = for_page("OPTIONS", "https://app.example", "authorization", 0);
    assert_int_equal(r.n, 0);
}

static void a_configured_page_hears_all_our_headers(void **state) {
    struct reply r = for_page("POST", "http://localhost:3000", NULL, 2);
    assert_span(value_of(&r, "access-control-allow-origin"), "http://localhost:3000");
    assert_span(value_of(&r, "vary"), "origin");
    struct span exposed = value_of(&r, "access-control-expose-headers");
    static const char *const ours[] = { "x-request-id",
                                        "request-id",
                                        "x-routed-model",
                                        "x-routed-provider",
                                        "x-route-policy",
                                        "x-route-arm",
                                        "x-route-attempts",
                                        "x-route-cost-usd",
                                        "x-route-dropped",
                                        "x-route-replaced",
                                        "x-upstream-request-id",
                                        "server-timing",
                                        "retry-after",
                                        "x-should-retry",
                                        "idempotent-replayed",
                                        "x-idempotent-original",
                                        "x-ratelimit-limit-requests",
                                        "x-ratelimit-remaining-requests",
                                        "x-ratelimit-reset-requests",
                                        "x-ratelimit-limit-tokens",
                                        "x-ratelimit-remaining-tokens",
                                        "x-ratelimit-reset-tokens" };
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        struct span rest = exposed, one;
        bool found = false;
        while (span_split(&rest, ',', &one))
            found |= span_eq(one, span_of(ours[i]));
        assert_true(found);
    }
    assert_null(value_of(&r, "access-control-allow-methods").at);
    assert_null(value_of(&r, "access-control-allow-credentials").at);
}

static void a_preflight_is_told_what_it_may_send(void **state) {
    struct reply r = for_page("OPTIONS", "https://app.example", "authorization,x-route-policy", 2);
    assert_span(value_of(&r, "access-control-allow-origin"), "https://app.example");
    assert_span(value_of(&r, "access-control-allow-methods"), "GET, POST, OPTIONS");
    assert_span(value_of(&r, "access-control-allow-headers"), "authorization,x-route-policy");
    assert_span(value_of(&r, "access-control-max-age"), "600");
    r = for_page("OPTIONS", "https://app.example", "a\r\nset-cookie: x", 2);
    assert_span(value_of(&r, "access-control-allow-headers"), "a??set-cookie: x");
}

static void another_page_hears_only_that_replies_vary(void **state) {
    static const char *const pages[] = { "https://evil.example",
                                         "https://app.example.evil.example",
                                         "http://app.example",
                                         "https://app.example:444",
                                         "https://APP.example",
                                         "null",
                                         "*",
                                         "",
                                         NULL };
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        struct reply r = for_page("OPTIONS", pages[i], "x", 2);
        assert_int_equal(r.n, 1);
        assert_span(value_of(&r, "vary"), "origin");
    }
}

static void every_page_may_ask_where_that_is_said(void **state) {
    const struct span listed[] = { SPAN("*"), SPAN("https://app.example") };
    const struct config config = { .cors_origins = listed, .n_cors_origins = 2 };
    struct pair headers[] = { { SPAN("origin"), SPAN("https://any.example") } };
    struct http_message m = { .method = SPAN("GET"), .headers = headers, .n_headers = 1 };
    struct reply r = fresh();
    reply_cors(&r, &config, &m);
    assert_span(value_of(&r, "access-control-allow-origin"), "*");
    assert_null(value_of(&r, "access-control-allow-credentials").at);
    headers[0].value = SPAN("https://app.example");
    r = fresh();
    reply_cors(&r, &config, &m);
    assert_span(value_of(&r, "access-control-allow-origin"), "https://app.example");
    m.n_headers = 0;
    r = fresh();
    reply_cors(&r, &config, &m);
    assert_null(value_of(&r, "access-control-allow-origin").at);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_byte_ends_a_header),
        cmocka_unit_test(the_callers_text_is_left_alone),
        cmocka_unit_test(a_clean_text_is_borrowed),
        cmocka_unit_test(a_value_is_cut_at_a_kilobyte),
        cmocka_unit_test(an_empty_value_is_no_header),
        cmocka_unit_test(there_is_room_for_so_many),
        cmocka_unit_test(retry_after_is_in_whole_seconds_rounded_up),
        cmocka_unit_test(h6_nobody_is_told_to_wait_for_hours),
        cmocka_unit_test(what_was_tried_is_not_to_be_tried_by_the_client),
        cmocka_unit_test(a_conflict_is_not_to_be_tried_again),
        cmocka_unit_test(nothing_is_said_where_nothing_is_configured),
        cmocka_unit_test(a_configured_page_hears_all_our_headers),
        cmocka_unit_test(a_preflight_is_told_what_it_may_send),
        cmocka_unit_test(another_page_hears_only_that_replies_vary),
        cmocka_unit_test(every_page_may_ask_where_that_is_said),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
