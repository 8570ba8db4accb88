/* outcome_test.c - which error a request that comes to nothing ends with. */
#include "route/outcome.h"

#include "support/unit.h"

static struct arena arena;
static struct trace trace;
static uint32_t too_short_ms;
static struct target target = { .id = { "p/m", 3 } };

static int set_up(void **state) {
    arena_init(&arena, 1024);
    trace_init(&trace, SPAN("id"), 0);
    return 0;
}

static int tear_down(void **state) {
    arena_deinit(&arena);
    return 0;
}

static void tried(enum failure class) {
    struct trace_attempt *a = trace_add(&trace, &arena, &target);
    a->tried = true;
    a->failure = class;
    trace.tried++;
}

static struct api_error ended(enum failure class, const char *message, int64_t reopens_in_ms) {
    const struct attempt_failure last = { .class = class,
                                          .retry_after_ms = -1,
                                          .message = span_of(message),
                                          .code = SPAN("their_code"),
                                          .type = SPAN("their_type"),
                                          .status = 422 };
    const struct outcome_wait wait = { reopens_in_ms, too_short_ms };
    return outcome_exhausted(&trace, &last, wait, &arena);
}

/* The status after attempts that failed so. */
static int status_of(enum failure first, enum failure second) {
    trace_init(&trace, SPAN("id"), 0);
    tried(first);
    tried(second);
    struct api_error error = ended(second, "", -1);
    assert_int_equal(error.code, ERROR_FALLBACKS_EXHAUSTED);
    assert_ptr_equal(error.trace, &trace);
    return error_status(&error);
}

static void the_status_is_that_of_the_class_all_share(void **state) {
    assert_int_equal(status_of(FAILURE_RATE_LIMITED, FAILURE_RATE_LIMITED), 429);
    assert_int_equal(status_of(FAILURE_QUOTA, FAILURE_QUOTA), 429);
    assert_int_equal(status_of(FAILURE_TIMEOUT, FAILURE_TIMEOUT), 504);
    assert_int_equal(status_of(FAILURE_AUTH, FAILURE_AUTH), 502);
    assert_int_equal(status_of(FAILURE_BAD_RESPONSE, FAILURE_BAD_RESPONSE), 502);
    assert_int_equal(status_of(FAILURE_CONNECT, FAILURE_CONNECT), 503);
    assert_int_equal(status_of(FAILURE_NOT_FOUND, FAILURE_NOT_FOUND), 503);
}

static void classes_that_mean_the_same_count_as_one(void **state) {
    assert_int_equal(status_of(FAILURE_TIMEOUT, FAILURE_FIRST_TOKEN), 504);
    assert_int_equal(status_of(FAILURE_AUTH, FAILURE_BAD_RESPONSE), 502);
}

static void a_mixture_is_503(void **state) {
    assert_int_equal(status_of(FAILURE_RATE_LIMITED, FAILURE_TIMEOUT), 503);
    assert_int_equal(status_of(FAILURE_CONTEXT_LENGTH, FAILURE_RATE_LIMITED), 503);
}

static void steps_that_were_passed_over_do_not_count(void **state) {
    trace_add(&trace, &arena, &target)->failure = FAILURE_COST;
    tried(FAILURE_RATE_LIMITED);
    struct api_error error = ended(FAILURE_RATE_LIMITED, "slow down", 2500);
    assert_int_equal(error_status(&error), 429);
    assert_int_equal(error.retry_after_ms, 2500);
    assert_span(error.message,
                "No target could answer: 1 attempt, the last one ended with rate_limited. "
                "slow down");
}

static void nothing_tried_was_a_matter_of_money(void **state) {
    trace_add(&trace, &arena, &target)->failure = FAILURE_COST;
    struct api_error error = ended(FAILURE_COST, NULL, -1);
    assert_int_equal(error.code, ERROR_NO_ELIGIBLE_TARGET);
    assert_int_equal(error_status(&error), 402);
}

static void a_wrong_request_gets_the_providers_word(void **state) {
    tried(FAILURE_SERVER_ERROR);
    tried(FAILURE_BAD_REQUEST);
    struct api_error error = ended(FAILURE_BAD_REQUEST, "temperature is wrong", -1);
    assert_int_equal(error_status(&error), 422);
    assert_span(error.message, "temperature is wrong");
    assert_span(error.custom_code, "their_code");
    assert_span(error.type, "their_type");
}

static void content_that_was_refused_keeps_our_code(void **state) {
    tried(FAILURE_CONTENT_FILTER);
    struct api_error error = ended(FAILURE_CONTENT_FILTER, NULL, -1);
    assert_int_equal(error.code, ERROR_CONTENT_POLICY_VIOLATION);
    assert_span(error.custom_code, NULL);
    assert_span(error.message, "The request was refused.");
}

static void a_prompt_too_long_everywhere_is_said(void **state) {
    tried(FAILURE_CONTEXT_LENGTH);
    tried(FAILURE_CONTEXT_LENGTH);
    struct api_error error = ended(FAILURE_CONTEXT_LENGTH, NULL, -1);
    assert_int_equal(error.code, ERROR_CONTEXT_LENGTH_EXCEEDED);
    assert_int_equal(error_status(&error), 400);
    assert_true(error.message.len > 0);
}

/* The figures a client is told, as providers put them. */
static void how_much_was_too_much_is_read_from_what_was_said(void **state) {
    static const struct {
        const char *message;
        uint32_t context;
        uint64_t tokens, limit;
    } cases[] = {
        { "prompt is too long: 205000 tokens > 200000 maximum", 0, 205000, 200000 },
        { "This model's maximum context length is 8192 tokens. However, you requested 10000 tokens "
          "(9000 in the messages, 1000 in the completion).",
          0, 10000, 8192 },
        { "The input token count (1200000) exceeds the maximum number of tokens allowed "
          "(1048576).",
          1048576, 1200000, 1048576 },
        { "Requested 9,000 of 10,000 tokens; there are 8,192.", 8192, 10000, 8192 },
        { "Input is too long for requested model.", 8192, 0, 0 },
        { "gpt-4-0613 of 2024-06-13 has room for 4096 tokens.", 4096, 0, 0 },
        { "The model claude-3-5-sonnet-20241022 is full.", 200000, 0, 0 },
        { "8192 8192", 8192, 0, 0 },
        { "7 is more than 5", 0, 0, 0 },
        { "99999999999999999999999 tokens are more than 8192", 8192, 0, 0 },
        { ",,, ( ) . 300", 0, 0, 0 },
        { "", 8192, 0, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        trace_init(&trace, SPAN("id"), 0);
        target.context = cases[i].context;
        tried(FAILURE_CONTEXT_LENGTH);
        struct api_error error = ended(FAILURE_CONTEXT_LENGTH, cases[i].message, -1);
        if (error.tokens != cases[i].tokens || error.limit != cases[i].limit)
            fail_msg("%llu > %llu: %s", (unsigned long long)error.tokens,
                     (unsigned long long)error.limit, cases[i].message);
    }
    target.context = 0;
}

static int empty_after(const char *why, unsigned count) {
    const struct cut cuts[] = {
        { .word = SPAN("able"), .why = SPAN("abilities: tools"), .count = 1 },
        { .word = SPAN("where"), .why = span_of(why), .count = count }
    };
    const struct decision decision = { .cuts = cuts, .n_cuts = 2 };
    struct api_error error = outcome_no_target(&decision, &trace, &arena);
    assert_int_equal(error.code, ERROR_NO_ELIGIBLE_TARGET);
    return error_status(&error);
}

static void an_empty_chain_names_what_emptied_it(void **state) {
    assert_int_equal(empty_after("price_unknown", 2), 402);
    assert_int_equal(empty_after("context: 8192 tokens", 2), 400);
    assert_int_equal(empty_after("not in Europe", 2), 503);
    assert_int_equal(empty_after("price_unknown", 0), 400); /* cut nothing: the word before did */
    const struct decision none = { 0 };
    struct api_error error = outcome_no_target(&none, &trace, &arena);
    assert_int_equal(error_status(&error), 503);
    assert_span(error.message, "The policy left no target.");
}

static void of_one_word_the_commonest_reason_is_named(void **state) {
    const struct cut cuts[] = {
        { .word = SPAN("able"), .why = SPAN("abilities: images"), .count = 90 },
        { .word = SPAN("at_most"), .why = SPAN("price: cost too high"), .count = 30 },
        { .word = SPAN("at_most"), .why = SPAN("price_unknown"), .count = 1 },
    };
    const struct decision decision = { .cuts = cuts, .n_cuts = 3 };
    struct api_error error = outcome_no_target(&decision, &trace, &arena);
    assert_true(memmem(error.message.at, error.message.len, "cost too high", 13));
}

/* A strict request's own model had gone before for want of a price: that is why. */
static void of_a_strict_request_the_price_is_the_reason(void **state) {
    const struct cut cuts[] = {
        { .word = SPAN("able"), .why = SPAN("price_unknown"), .count = 1 },
        { .word = SPAN("strict"), .why = SPAN("not named by the client"), .count = 9 },
    };
    const struct decision decision = { .cuts = cuts, .n_cuts = 2 };
    struct api_error error = outcome_no_target(&decision, &trace, &arena);
    assert_int_equal(error_status(&error), 402);
    assert_true(memmem(error.message.at, error.message.len, "price_unknown", 13));
    const struct decision other = { .cuts = cuts + 1, .n_cuts = 1 };
    error = outcome_no_target(&other, &trace, &arena);
    assert_int_equal(error_status(&error), 503);
}

static void passed_over_as_open(enum failure class) {
    struct trace_attempt *a = trace_add(&trace, &arena, &target);
    a->failure = class;
    a->open = true;
}

static void with_every_breaker_open_it_is_known_when_to_come_again(void **state) {
    passed_over_as_open(FAILURE_SERVER_ERROR);
    struct api_error error = ended(FAILURE_NONE, "", 7000);
    assert_int_equal(error.code, ERROR_NO_ELIGIBLE_TARGET);
    assert_int_equal(error_status(&error), 503);
    assert_int_equal(error.retry_after_ms, 7000);
    /* Somebody is finding out. */
    assert_int_equal(ended(FAILURE_NONE, "", -1).retry_after_ms, 1000);
    tried(FAILURE_TIMEOUT);
    error = ended(FAILURE_TIMEOUT, "", 7000);
    assert_int_equal(error.code, ERROR_FALLBACKS_EXHAUSTED);
    assert_int_equal(error_status(&error), 504);
}

static void whoever_never_tried_is_told_the_status_of_those_who_did(void **state) {
    passed_over_as_open(FAILURE_RATE_LIMITED);
    passed_over_as_open(FAILURE_RATE_LIMITED);
    struct api_error error = ended(FAILURE_NONE, "", 7000);
    assert_int_equal(error.code, ERROR_NO_ELIGIBLE_TARGET);
    assert_int_equal(error_status(&error), 429);
    passed_over_as_open(FAILURE_TIMEOUT);
    error = ended(FAILURE_NONE, "", 7000);
    assert_int_equal(error_status(&error), 503);
}

static void a_wait_that_was_too_short_is_named(void **state) {
    too_short_ms = 5000;
    passed_over_as_open(FAILURE_RATE_LIMITED);
    struct api_error error = ended(FAILURE_NONE, "", 7000);
    assert_span(error.message, "No target was tried: every one of the chain has failed of late and "
                               "is not asked for now. The wait of 5000 ms ends before a target "
                               "comes back.");
    tried(FAILURE_RATE_LIMITED);
    error = ended(FAILURE_RATE_LIMITED, "slowly", 7000);
    assert_span(error.message, "No target could answer: 1 attempt, the last one ended with "
                               "rate_limited. The wait of 5000 ms ends before a target comes "
                               "back. slowly");
    too_short_ms = 0;
}

static void a_full_queue_says_when_to_come_again(void **state) {
    struct api_error error = outcome_queue_full(&trace, 2500);
    assert_int_equal(error_status(&error), 429);
    assert_int_equal(error.retry_after_ms, 2500);
    assert_ptr_equal(error.trace, &trace);
}

static void a_stream_that_broke_off_and_a_deadline(void **state) {
    const struct attempt_failure last = { .class = FAILURE_CUT_STREAM, .message = SPAN("gone") };
    struct api_error error = outcome_interrupted(&trace, &last, &arena);
    assert_int_equal(error.code, ERROR_UPSTREAM_INTERRUPTED);
    assert_span(error.message, "The answer broke off (cut_stream). gone");
    error = outcome_too_late(&trace, 1500, &arena);
    assert_int_equal(error_status(&error), 504);
    assert_span(error.message, "The request's deadline of 1500 ms has passed.");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_status_is_that_of_the_class_all_share, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(classes_that_mean_the_same_count_as_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_mixture_is_503, set_up, tear_down),
        cmocka_unit_test_setup_teardown(steps_that_were_passed_over_do_not_count, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(nothing_tried_was_a_matter_of_money, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_wrong_request_gets_the_providers_word, set_up, tear_down),
        cmocka_unit_test_setup_teardown(content_that_was_refused_keeps_our_code, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_prompt_too_long_everywhere_is_said, set_up, tear_down),
        cmocka_unit_test_setup_teardown(how_much_was_too_much_is_read_from_what_was_said, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_empty_chain_names_what_emptied_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(of_one_word_the_commonest_reason_is_named, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(of_a_strict_request_the_price_is_the_reason, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(with_every_breaker_open_it_is_known_when_to_come_again,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(whoever_never_tried_is_told_the_status_of_those_who_did,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_wait_that_was_too_short_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_queue_says_when_to_come_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stream_that_broke_off_and_a_deadline, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
