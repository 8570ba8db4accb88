/* export_test.c - CSV has as many cells as its head, JSON is JSON, money is exact, and no text
 * becomes a
 * formula. */
#include "money/export.h"

#include "base/json.h"
#include "support/records.h"
#include "support/unit.h"

static struct buf out;

static int tear_down(void **state) {
    buf_deinit(&out);
    return 0;
}

/* Cells of the last line, counted as RFC 4180 has them. */
static unsigned count_cells(void) {
    unsigned n = 1;
    bool quoted = false;
    size_t from = out.len - 1;
    while (from && (out.at[from - 1] != '\n'))
        from--;
    for (size_t i = from; i < out.len; i++) {
        quoted ^= out.at[i] == '"';
        n += !quoted && out.at[i] == ',';
    }
    return n;
}

static struct search_row row_of(const struct entry *e) {
    return (struct search_row){ .entry = *e, .sums = entry_sum(e), .n_attempts = e->n_attempts };
}

static void each_line_has_the_cells_of_its_head(void **state) {
    struct records r;
    struct entry e = { .queue_us = -1, .policy_us = -1, .first_us = -1, .total_us = -1 };
    struct search_row row = row_of(&e);
    export_requests_head(&out);
    unsigned cells = count_cells();
    export_request_csv(&out, &row);
    assert_int_equal(count_cells(), cells);
    records_init(&r, 1);
    for (unsigned i = 0; i < 100; i++) {
        records_make(&r, i, 1790000000000000, &e);
        row = row_of(&e);
        export_request_csv(&out, &row);
        assert_int_equal(count_cells(), cells);
    }
    struct usage_line line = { .name = SPAN("a,b"), .p50_ms = -1, .p95_ms = 12.7 };
    export_usage_head(&out);
    cells = count_cells();
    export_usage_csv(&out, &line);
    assert_int_equal(count_cells(), cells);
    line.day = 20000;
    export_usage_csv(&out, &line);
    assert_int_equal(count_cells(), cells);
    assert_non_null(strstr(out.at, "2024-10-04,\"a,b\",0,"));
}

static void texts_are_quoted_and_no_formulas(void **state) {
    struct entry e = { .at_us = 1790000000123456,
                       .id = SPAN("a\"b"),
                       .project = SPAN("=1+1"),
                       .key = SPAN("@x,y"),
                       .model = SPAN("plain") };
    struct search_row row = row_of(&e);
    export_request_csv(&out, &row);
    buf_add_char(&out, '\0');
    assert_true(span_starts(buf_span(&out),
                            SPAN("2026-09-21T14:13:20.123Z,\"a\"\"b\",'=1+1,\"'@x,y\",,,plain,")));
}

static void json_is_json(void **state) {
    struct arena arena;
    struct records r;
    struct entry e;
    struct json_value root;
    struct json_parser *p = json_parser_new();
    arena_init(&arena, 4096);
    records_init(&r, 1);
    for (unsigned i = 0; i < 200; i++) {
        records_make(&r, i, 1790000000000000, &e);
        e.user = SPAN("\"\n\\<\x01");
        struct search_row row = row_of(&e);
        buf_clear(&out);
        export_request_json(&out, &row);
        assert_int_equal(json_parse(p, buf_span(&out), &root), JSON_OK);
        assert_int_equal(json_type(json_get(root, "id")), JSON_STRING);
        assert_int_equal(json_count(json_get(root, "tries")), e.n_attempts);
        assert_int_equal(json_type(json_get(root, "cost_nano")), JSON_NUMBER);
        assert_int_equal(json_type(json_get(root, "most_nano")), JSON_ABSENT);
    }
    struct usage_line lines[2] = { { .name = SPAN("p/a"), .p50_ms = -1, .p95_ms = 3 },
                                   { .name = SPAN("p/b"), .p50_ms = 2, .p95_ms = 3 } };
    struct usage_statement s = {
        .project = SPAN("shop"), .year = 2026, .month = 9, .lines = { lines, 2 }
    };
    buf_clear(&out);
    export_statement_json(&out, &s);
    assert_int_equal(json_parse(p, buf_span(&out), &root), JSON_OK);
    assert_int_equal(json_count(json_get(root, "lines")), 2);
    buf_clear(&out);
    export_usage_json(&out, &lines[0]);
    assert_int_equal(json_parse(p, buf_span(&out), &root), JSON_OK);
    assert_int_equal(json_type(json_get(root, "p50_ms")), JSON_ABSENT);
    json_parser_free(p);
    arena_deinit(&arena);
}

static void a_statement_ends_with_its_total(void **state) {
    struct usage_line line = { .name = SPAN("p/a"), .figures = { .cost = 1500000001 } };
    struct usage_statement s = { .lines = { &line, 1 }, .total = line };
    export_statement_csv(&out, &s);
    buf_add_char(&out, '\0');
    const char *total = strstr(out.at, "\n,total,");
    assert_non_null(total);
    assert_non_null(strstr(total, ",1.500000001,"));
    assert_non_null(strstr(out.at, "\n,p/a,"));
}

static void scores_are_there_where_something_was_said(void **state) {
    struct entry e = { .id = SPAN("r") };
    struct search_row row = row_of(&e);
    struct usage_line line = { .name = SPAN("x/1"), .score_mean = 0.1 };
    export_request_json(&out, &row);
    export_usage_json(&out, &line);
    buf_add_char(&out, '\0');
    assert_null(strstr(out.at, "score"));
    buf_clear(&out);
    row.scored = true;
    row.score = -0.1;
    row.label = SPAN("wrong, twice");
    export_request_json(&out, &row);
    export_request_csv(&out, &row);
    line.figures.scores = 1;
    export_usage_json(&out, &line);
    buf_add_char(&out, '\0');
    assert_non_null(strstr(out.at, "\"score\":-0.1,\"label\":\"wrong, twice\""));
    assert_non_null(strstr(out.at, ",-0.1,\"wrong, twice\"\n"));
    assert_non_null(strstr(out.at, "\"score_n\":1,\"score_mean\":0.1}"));
    buf_clear(&out);
    line.figures.scores = 2;
    line.score_low = -1;
    line.score_high = 2;
    export_usage_csv(&out, &line);
    buf_add_char(&out, '\0');
    assert_non_null(strstr(out.at, ",2,0.1,0,-1,2\n"));
}

static void money_is_exact(void **state) {
    export_usd(&out, 1);
    buf_add_char(&out, ' ');
    export_usd(&out, 12345678901);
    buf_add_char(&out, ' ');
    export_usd(&out, INT64_MAX);
    export_usd(&out, -1);
    assert_span(buf_span(&out), "0.000000001 12.345678901 9223372036.854775807");
}

int main(void) {
#define UNIT(name) cmocka_unit_test_teardown(name, tear_down)
    const struct CMUnitTest tests[] = {
        UNIT(each_line_has_the_cells_of_its_head),
        UNIT(texts_are_quoted_and_no_formulas),
        UNIT(json_is_json),
        UNIT(a_statement_ends_with_its_total),
        UNIT(scores_are_there_where_something_was_said),
        UNIT(money_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
