/* exposition_test.c - the text format, letter by letter. */
#include "admin/exposition.h"

#include "support/unit.h"

static struct buf out;

static int end(void **state) {
    buf_deinit(&out);
    return 0;
}

static void assert_text(const char *want) {
    if (!span_eq(buf_span(&out), span_of(want)))
        fail_msg("%.*s", SPAN_ARGS(buf_span(&out)));
}

static void write_some(struct exposition *x) {
    const double bounds[] = { 0.00005, 0.5, 1, 120 };
    const uint64_t counts[] = { 1, 0, 2, 3, 4 };
    exposition_family(x, "a_total", "counter", "What a is.");
    exposition_count(x, 18446744073709551615u);
    exposition_label(x, "one", SPAN("x\"y\\z\nw"));
    exposition_label(x, "none", SPAN(""));
    exposition_label(x, "two", SPAN("2"));
    exposition_nano(x, 1234000000005);
    exposition_family(x, "b_seconds", "histogram", "What b is.");
    exposition_label(x, "k", SPAN("v"));
    exposition_histogram(x, bounds, 4, counts, 12.25);
    exposition_family(x, "c", "gauge", "What c is.");
    exposition_number(x, -0.125);
    exposition_end(x);
}

#define SAMPLES                                                                                    \
    "# HELP b_seconds What b is.\n"                                                                \
    "# TYPE b_seconds histogram\n"                                                                 \
    "b_seconds_bucket{k=\"v\",le=\"5e-05\"} 1\n"                                                   \
    "b_seconds_bucket{k=\"v\",le=\"0.5\"} 1\n"                                                     \
    "b_seconds_bucket{k=\"v\",le=\"1.0\"} 3\n"                                                     \
    "b_seconds_bucket{k=\"v\",le=\"120.0\"} 6\n"                                                   \
    "b_seconds_bucket{k=\"v\",le=\"+Inf\"} 10\n"                                                   \
    "b_seconds_sum{k=\"v\"} 12.25\n"                                                               \
    "b_seconds_count{k=\"v\"} 10\n"                                                                \
    "# HELP c What c is.\n"                                                                        \
    "# TYPE c gauge\n"                                                                             \
    "c -0.125\n"

static void text_is_as_prometheus_has_it(void **state) {
    struct exposition x = { .out = &out };
    write_some(&x);
    assert_text("# HELP a_total What a is.\n"
                "# TYPE a_total counter\n"
                "a_total 18446744073709551615\n"
                "a_total{one=\"x\\\"y\\\\z\\nw\",two=\"2\"} 1234.000000005\n" SAMPLES);
    assert_string_equal(exposition_type(&x), "text/plain; version=0.0.4; charset=utf-8");
}

static void text_is_as_open_metrics_has_it(void **state) {
    struct exposition x = { .out = &out, .open_metrics = true };
    write_some(&x);
    assert_text("# HELP a What a is.\n"
                "# TYPE a counter\n"
                "a_total 18446744073709551615\n"
                "a_total{one=\"x\\\"y\\\\z\\nw\",two=\"2\"} 1234.000000005\n" SAMPLES "# EOF\n");
    assert_string_equal(exposition_type(&x),
                        "application/openmetrics-text; version=1.0.0; charset=utf-8");
}

static void which_of_them_is_asked_for(void **state) {
    assert_true(exposition_wants_open_metrics(
        SPAN("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3")));
    assert_true(exposition_wants_open_metrics(SPAN("text/html, Application/OpenMetrics-Text")));
    assert_false(exposition_wants_open_metrics(SPAN("text/plain;version=0.0.4, */*")));
    assert_false(exposition_wants_open_metrics(SPAN_NONE));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(text_is_as_prometheus_has_it, end),
        cmocka_unit_test_teardown(text_is_as_open_metrics_has_it, end),
        cmocka_unit_test(which_of_them_is_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
