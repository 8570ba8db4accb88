/* trace_test.c - what a request cost and what became of it: exact to the nano-dollar, one rounding
 * up, nothing made up where a figure is not known. */
#include "route/trace.h"

#include "base/json.h"
#include "support/unit.h"

static struct arena arena;
static struct json_parser *parser;
static struct buf out;

static int set_up(void **state) {
    arena_init(&arena, 512);
    parser = json_parser_new();
    return 0;
}

static int tear_down(void **state) {
    arena_deinit(&arena);
    json_parser_free(parser);
    buf_deinit(&out);
    return 0;
}

/* Prices in nano-dollars a million tokens. */
static nanousd cost(int64_t price_in, int64_t price_out, int64_t price_cached, int64_t input,
                    int64_t output, int64_t cached) {
    struct target t = { .price = { price_in, price_out, price_cached, PRICE_UNKNOWN } };
    return trace_cost(&t, (struct trace_tokens){ input, output, cached, -1 }, 0);
}

#define USD INT64_C(1000000000)

/* --- costs --- */

static void what_is_used_costs_its_price(void **state) {
    /* 2.50 and 10 dollars a million. */
    assert_int_equal(cost(5 * USD / 2, 10 * USD, PRICE_UNKNOWN, 1000000, 0, -1), 5 * USD / 2);
    assert_int_equal(cost(5 * USD / 2, 10 * USD, PRICE_UNKNOWN, 0, 1000000, -1), 10 * USD);
    assert_int_equal(cost(5 * USD / 2, 10 * USD, PRICE_UNKNOWN, 12, 3, -1), 30000 + 30000);
    assert_int_equal(cost(0, 0, 0, 12, 3, 4), 0);
    assert_int_equal(cost(5 * USD, 10 * USD, 0, 0, 0, -1), 0);
}

static void one_rounding_up_for_all_of_it(void **state) {
    assert_int_equal(cost(1, 1, PRICE_UNKNOWN, 1, 0, -1), 1);
    assert_int_equal(cost(1, 1, PRICE_UNKNOWN, 1, 1, -1), 1);
    assert_int_equal(cost(1, 1, 1, 2, 1, 1), 1);
    assert_int_equal(cost(1, 1, PRICE_UNKNOWN, 500000, 500000, -1), 1);
    assert_int_equal(cost(1, 1, PRICE_UNKNOWN, 500000, 500001, -1), 2);
    assert_int_equal(cost(999999, 1, PRICE_UNKNOWN, 1, 1, -1), 1);
    assert_int_equal(cost(1000000, 1, PRICE_UNKNOWN, 1, 1, -1), 2);
}

static void sums_stop_at_the_largest_amount(void **state) {
    assert_int_equal(trace_sum(1, 2), 3);
    assert_int_equal(trace_sum(INT64_MAX, 1), INT64_MAX);
    assert_int_equal(trace_sum(INT64_MAX - 1, INT64_MAX), INT64_MAX);
}

static void cached_tokens_are_a_part_of_the_input(void **state) {
    assert_int_equal(cost(2 * USD, USD, USD / 2, 1000000, 0, 400000), 1200000000 + 200000000);
    assert_int_equal(cost(2 * USD, USD, USD / 2, 1000000, 0, 1000000), USD / 2);
    assert_int_equal(cost(2 * USD, USD, 0, 1000000, 0, 1000000), 0);
    /* Not said, or no price for them: as any other. */
    assert_int_equal(cost(2 * USD, USD, USD / 2, 1000000, 0, -1), 2 * USD);
    assert_int_equal(cost(2 * USD, USD, PRICE_UNKNOWN, 1000000, 0, 400000), 2 * USD);
    /* More than there are: a provider that counts them apart. */
    assert_int_equal(cost(2 * USD, USD, USD / 2, 1000000, 0, 5000000), USD / 2);
}

static void written_tokens_cost_more(void **state) {
    struct target t = { .price = { 4 * USD, 20 * USD, USD / 5, 5 * USD } };
    struct trace_tokens tokens = { 1000000, 0, 200000, 300000 };
    assert_int_equal(trace_cost(&t, tokens, 0), 2 * USD + 40000000 + 3 * USD / 2);
    /* No more than there are, and as any other where they have no price. */
    tokens.written = 5000000;
    assert_int_equal(trace_cost(&t, tokens, 0), 40000000 + 4 * USD);
    t.price.cache_write = PRICE_UNKNOWN;
    assert_int_equal(trace_cost(&t, tokens, 0), 16 * USD / 5 + 40000000);
}

static void the_price_is_that_of_the_size_and_the_hour(void **state) {
    struct price_rule long_context = { 1000, 0, -1, -1, 0, { 2 * USD, 3 * USD, -1, -1 } };
    struct target t = { .price = { USD, USD, -1, -1 }, .rules = &long_context, .n_rules = 1 };
    assert_int_equal(trace_cost(&t, (struct trace_tokens){ 1000, 1, -1, -1 }, 0), 1001000);
    assert_int_equal(trace_cost(&t, (struct trace_tokens){ 1001, 1, -1, -1 }, 0), 2002000 + 3000);
}

static void an_attempt_knows_its_own(void **state) {
    struct target t = { .price = { USD, 2 * USD, 0, 4 * USD } };
    struct trace trace;
    trace_init(&trace, SPAN("id"), 0);
    struct trace_attempt *a = trace_add(&trace, &arena, &t);
    assert_int_equal(trace_attempt_cost(a), -1);
    a->input_tokens = 10, a->output_tokens = 1, a->cached_tokens = 3, a->written_tokens = 2;
    assert_int_equal(trace_attempt_cost(a), 5000 + 2000 + 0 + 8000);
}

static void what_is_not_known_has_no_cost(void **state) {
    assert_int_equal(cost(PRICE_UNKNOWN, USD, 0, 1, 1, 0), -1);
    assert_int_equal(cost(USD, PRICE_UNKNOWN, 0, 1, 1, 0), -1);
    assert_int_equal(cost(USD, USD, 0, -1, 1, 0), -1);
    assert_int_equal(cost(USD, USD, 0, 1, -1, 0), -1);
}

static void huge_numbers_do_not_wrap(void **state) {
    assert_int_equal(cost(INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX / 2),
                     INT64_MAX);
    assert_int_equal(cost(INT64_MAX, INT64_MAX, PRICE_UNKNOWN, INT64_MAX, INT64_MAX, -1),
                     INT64_MAX);
    assert_int_equal(cost(1000000, 0, PRICE_UNKNOWN, INT64_MAX, 0, -1), INT64_MAX);
    assert_int_equal(cost(1000000, 0, PRICE_UNKNOWN, INT64_MAX - 1, 0, -1), INT64_MAX - 1);
    assert_int_equal(cost(1000000, 1, PRICE_UNKNOWN, INT64_MAX, INT64_MAX, -1), INT64_MAX);
    assert_int_equal(cost(1, 0, PRICE_UNKNOWN, INT64_MAX, 0, -1), INT64_MAX / 1000000 + 1);
}

/* --- sums --- */

static struct trace_attempt *add(struct trace *t, bool tried, enum failure failure, nanousd cost) {
    static const struct target target = { .id = { "p/a", 3 } };
    struct trace_attempt *a = trace_add(t, &arena, &target);
    a->tried = tried;
    a->failure = failure;
    a->cost = cost;
    return a;
}

static void the_sum_is_of_what_is_known(void **state) {
    struct trace t;
    trace_init(&t, SPAN("01ID"), 500);
    assert_int_equal(trace_total_cost(&t), 0);
    add(&t, false, FAILURE_COST, -1);
    add(&t, true, FAILURE_SERVER_ERROR, -1);
    assert_int_equal(trace_total_cost(&t), 0);
    add(&t, true, FAILURE_CUT_STREAM, 30);
    add(&t, true, FAILURE_NONE, 12);
    assert_int_equal(trace_total_cost(&t), 42);
    add(&t, true, FAILURE_NONE, INT64_MAX);
    assert_int_equal(trace_total_cost(&t), INT64_MAX);
}

static void an_answer_of_unknown_cost_makes_the_sum_unknown(void **state) {
    struct trace t;
    trace_init(&t, SPAN("01ID"), 500);
    add(&t, true, FAILURE_SERVER_ERROR, 30);
    add(&t, true, FAILURE_NONE, -1);
    assert_int_equal(trace_total_cost(&t), -1);
}

static void attempts_stay_in_order(void **state) {
    struct trace t;
    trace_init(&t, SPAN("x"), 1);
    struct trace_attempt *a[5];
    for (int i = 0; i < 5; i++)
        a[i] = add(&t, true, FAILURE_NONE, i);
    struct trace_attempt *at = t.attempts;
    for (int i = 0; i < 5; i++, at = at->next)
        assert_ptr_equal(at, a[i]);
    assert_null(at);
    assert_int_equal(a[0]->input_tokens, -1);
    assert_int_equal(a[0]->cached_tokens, -1);
}

static struct span usd(nanousd amount) {
    buf_clear(&out);
    trace_write_usd(&out, amount);
    return buf_span(&out);
}

static void dollars_have_all_their_digits_and_no_more(void **state) {
    assert_span(usd(0), "0.0");
    assert_span(usd(1), "0.000000001");
    assert_span(usd(1234000), "0.001234");
    assert_span(usd(100000000), "0.1");
    assert_span(usd(USD), "1.0");
    assert_span(usd(10 * USD), "10.0");
    assert_span(usd(12 * USD + 345678900), "12.3456789");
    assert_span(usd(INT64_MAX), "9223372036.854775807");
    buf_clear(&out);
    buf_add(&out, SPAN("00."));
    trace_write_usd(&out, 0);
    assert_span(buf_span(&out), "00.0.0");
}

/* --- as JSON --- */

static struct json_value whole(const struct trace *t) {
    struct json_value root;
    buf_clear(&out);
    trace_write(t, &out);
    assert_int_equal(json_parse(parser, buf_span(&out), &root), JSON_OK);
    return root;
}

static void a_trace_of_nothing(void **state) {
    struct trace t;
    trace_init(&t, SPAN("01ID"), 500);
    whole(&t);
    assert_span(buf_span(&out),
                "{\"id\":\"01ID\",\"policy_us\":0,\"attempts\":[],\"cost_usd\":0.0}");
    buf_clear(&out);
    trace_write_attempts(&t, &out);
    assert_span(buf_span(&out), "[]");
}

static void a_trace_of_everything(void **state) {
    static const struct target a = { .id = { "p/a", 3 } }, b = { .id = { "q/b\"", 4 } };
    static const struct cut cuts[] = {
        { .target = { "p/c", 3 },
          .word = { "able", 4 },
          .why = { "context 8000", 12 },
          .count = 1 },
        { .word = { "take", 4 }, .count = 7 },
    };
    static const struct pair notes[] = { { { "k\n", 2 }, { "v</script>", 10 } } };
    static const struct span findings[] = { { "chain[2]: \"a\"", 13 }, { "chain.b: c", 10 } };
    struct trace t;
    trace_init(&t, SPAN("01ID"), 500);
    t.policy = SPAN("tier@3f9c2a1b");
    t.policy_error = SPAN("timeout: \"x\"");
    t.reason = SPAN("because");
    t.policy_us = 42;
    t.cuts = cuts, t.n_cuts = 2;
    t.notes = notes, t.n_notes = 1;
    t.findings = findings, t.n_findings = 2;
    struct trace_attempt *one = trace_add(&t, &arena, &a);
    one->tried = true;
    one->failure = FAILURE_TIMEOUT;
    one->status = 200;
    one->began_us = 1000, one->ended_us = 61999;
    one->message = SPAN("slow");
    struct trace_attempt *two = trace_add(&t, &arena, &b);
    two->tried = true;
    two->over_threshold = true;
    two->status = 200;
    two->began_us = 70000, two->first_us = 71250, two->ended_us = 80000;
    two->input_tokens = 9, two->output_tokens = 0;
    two->cost = 1234;
    two->upstream_id = SPAN("req-1");
    whole(&t);
    assert_span(
        buf_span(&out),
        "{\"id\":\"01ID\",\"policy\":\"tier@3f9c2a1b\",\"policy_error\":\"timeout: \\\"x\\\"\","
        "\"reason\":\"because\",\"policy_us\":42,\"attempts\":["
        "{\"target\":\"p/"
        "a\",\"failure\":\"timeout\",\"status\":200,\"ms\":60,\"message\":\"slow\"},"
        "{\"target\":\"q/b\\\"\",\"failure\":null,\"status\":200,\"ms\":10,\"over_threshold\":true,"
        "\"first_token_ms\":1.2,\"input_tokens\":9,\"output_tokens\":0,\"cost_usd\":0.000001234,"
        "\"upstream_request_id\":\"req-1\"}],\"cost_usd\":0.000001234,"
        "\"cut\":[{\"word\":\"able\",\"target\":\"p/c\",\"why\":\"context 8000\",\"count\":1},"
        "{\"word\":\"take\",\"count\":7}],\"notes\":{\"k\\n\":\"v\\u003c/script>\"},"
        "\"findings\":[\"chain[2]: \\\"a\\\"\",\"chain.b: c\"]}");
}

static void what_was_special_about_an_attempt_is_said(void **state) {
    static const struct target a = { .id = { "p/a", 3 } };
    struct trace t;
    trace_init(&t, SPAN("x"), 500);
    struct trace_attempt *open = trace_add(&t, &arena, &a);
    open->failure = FAILURE_QUOTA;
    open->open = true;
    struct trace_attempt *lost = trace_add(&t, &arena, &a);
    lost->tried = lost->hedge = lost->last_resort = lost->maybe_accepted = true;
    lost->failure = FAILURE_CANCELLED;
    lost->most = 2500;
    buf_clear(&out);
    trace_write_attempts(&t, &out);
    assert_span(
        buf_span(&out),
        "[{\"target\":\"p/a\",\"failure\":\"quota\",\"status\":null,\"ms\":0,\"skipped\":true,"
        "\"open\":true},{\"target\":\"p/a\",\"failure\":\"cancelled\",\"status\":null,\"ms\":0,"
        "\"last_resort\":true,\"hedge\":true,\"maybe_accepted\":true}]");
    buf_clear(&out);
    trace_write(&t, &out);
    assert_true(memmem(out.at, out.len, "\"cost_usd_most\":0.0000025}", 26) != NULL);
    assert_null(memmem(out.at, out.len, "estimated", 9));
    lost->output_tokens = 7;
    lost->estimated = true;
    buf_clear(&out);
    trace_write(&t, &out);
    assert_true(memmem(out.at, out.len, "\"output_tokens\":7,\"estimated\":true", 34) != NULL);
}

static void an_attempt_under_way_has_taken_no_time(void **state) {
    static const struct target a = { .id = { "p/a", 3 } };
    struct trace t;
    trace_init(&t, SPAN("x"), 500);
    struct trace_attempt *one = trace_add(&t, &arena, &a);
    one->tried = true;
    one->began_us = 1000;
    struct json_value root = whole(&t);
    struct json_iter it = json_iter(json_get(root, "attempts"));
    assert_true(json_next(&it));
    assert_int_equal(json_number(json_get(it.value, "ms"), -1), 0);
    assert_int_equal(json_type(json_get(root, "cost_usd")), JSON_NULL);
}

static void hostile_texts_stay_texts(void **state) {
    static const struct target a = { .id = { "p/\xff\n\"", 5 } };
    const struct span text = SPAN("\"}],\"x\":1,\r\n\r\ndata: \x01 \xe2\x80\xa8 <script>");
    const struct cut cut = { .target = text, .word = text, .why = text };
    const struct pair note = { text, text };
    struct trace t;
    trace_init(&t, text, 500);
    t.policy = t.policy_error = t.reason = text;
    t.cuts = &cut, t.n_cuts = 1;
    t.notes = &note, t.n_notes = 1;
    struct trace_attempt *one = trace_add(&t, &arena, &a);
    one->message = one->upstream_id = text;
    struct json_value root = whole(&t);
    assert_int_equal(json_count(root), 9);
    assert_true(span_eq(json_text(json_get(root, "reason")), text));
    for (size_t i = 0; i < out.len; i++)
        assert_true((unsigned char)out.at[i] >= 0x20 && out.at[i] != '<');
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_used_costs_its_price),
        cmocka_unit_test(one_rounding_up_for_all_of_it),
        cmocka_unit_test(sums_stop_at_the_largest_amount),
        cmocka_unit_test(cached_tokens_are_a_part_of_the_input),
        cmocka_unit_test(written_tokens_cost_more),
        cmocka_unit_test(the_price_is_that_of_the_size_and_the_hour),
        cmocka_unit_test(an_attempt_knows_its_own),
        cmocka_unit_test(what_is_not_known_has_no_cost),
        cmocka_unit_test(huge_numbers_do_not_wrap),
        cmocka_unit_test(the_sum_is_of_what_is_known),
        cmocka_unit_test(an_answer_of_unknown_cost_makes_the_sum_unknown),
        cmocka_unit_test(attempts_stay_in_order),
        cmocka_unit_test(dollars_have_all_their_digits_and_no_more),
        cmocka_unit_test(a_trace_of_nothing),
        cmocka_unit_test(a_trace_of_everything),
        cmocka_unit_test(what_was_special_about_an_attempt_is_said),
        cmocka_unit_test(an_attempt_under_way_has_taken_no_time),
        cmocka_unit_test(hostile_texts_stay_texts),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
