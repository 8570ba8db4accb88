/* bound_test.c - how long an answer can be: never shorter than what a provider may be asked for. */
#include "route/bound.h"

#include "support/unit.h"

static const struct target model = { .max_output = 1000 };

static struct bound of(struct facts facts, const char *name, const char *value) {
    struct pair params[] = { { SPAN("temperature"), SPAN("1") },
                             { span_of(name), value ? span_of(value) : SPAN_NONE } };
    struct step step = { .target = &model, .params = params, .n_params = 2 };
    return bound_of(&facts, &step);
}

static void the_step_goes_before_the_client_and_the_model(void **state) {
    struct facts client = { .max_tokens = 50, .output_tokens = 50 },
                 silent = { .output_tokens = 9 };
    assert_int_equal(of(client, "max_tokens", "70").each, 70);
    assert_int_equal(of(client, "max_completion_tokens", "7").each, 7);
    assert_int_equal(of(client, "max_output_tokens", "7").each, 7);
    assert_int_equal(of(client, "seed", "7").each, 50);
    assert_int_equal(of(silent, "seed", "7").each, 1000);
    assert_int_equal(of((struct facts){ 0 }, "seed", "7").each, 0);
}

static void what_is_no_number_bounds_nothing(void **state) {
    struct facts client = { .max_tokens = 50, .output_tokens = 50 };
    const char *values[] = { NULL, "null", "\"70\"", "0", "-1", "[]" };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        assert_int_equal(of(client, "max_tokens", values[i]).each, 1000);
}

static void numbers_are_read_as_lua_writes_them(void **state) {
    assert_int_equal(of((struct facts){ 0 }, "max_tokens", "2.5").each, 3);
    assert_int_equal(of((struct facts){ 0 }, "max_tokens", "1e+15").each, 1000000000000000);
    assert_int_equal(of((struct facts){ 0 }, "max_tokens", "1e+300").each, INT64_C(1) << 53);
}

static void of_two_bounds_the_larger_counts(void **state) {
    struct pair params[] = { { SPAN("max_tokens"), SPAN("10") },
                             { SPAN("max_completion_tokens"), SPAN_NONE } };
    struct step step = { .target = &model, .params = params, .n_params = 2 };
    assert_int_equal(bound_of(&(struct facts){ 0 }, &step).each, 1000);
}

static void a_step_may_ask_for_more_answers(void **state) {
    struct facts one = { .max_tokens = 50 }, three = { .max_tokens = 50, .answers = 3 };
    assert_int_equal(bound_tokens(of(one, "seed", "7")), 50);
    assert_int_equal(bound_tokens(of(three, "seed", "7")), 150);
    assert_int_equal(bound_tokens(of(one, "n", "4")), 200);
    assert_int_equal(bound_tokens(of(three, "best_of", "4")), 600);
    assert_int_equal(bound_tokens(of(three, "n", NULL)), 150);
}

static void nothing_overflows(void **state) {
    struct facts most = { .max_tokens = UINT32_MAX, .answers = UINT64_C(1) << 40 };
    assert_true(bound_tokens(of(most, "seed", "7")) == UINT64_MAX);
}

static void a_model_that_tells_nothing_may_say_much(void **state) {
    struct target told = { .context = 8000 }, untold = { 0 };
    struct facts facts = { .output_tokens = 9 };
    struct step step = { .target = &told };
    assert_int_equal(bound_of(&facts, &step).each, 8000);
    step.target = &untold;
    assert_int_equal(bound_of(&facts, &step).each, 131072);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_step_goes_before_the_client_and_the_model),
        cmocka_unit_test(what_is_no_number_bounds_nothing),
        cmocka_unit_test(numbers_are_read_as_lua_writes_them),
        cmocka_unit_test(of_two_bounds_the_larger_counts),
        cmocka_unit_test(a_step_may_ask_for_more_answers),
        cmocka_unit_test(nothing_overflows),
        cmocka_unit_test(a_model_that_tells_nothing_may_say_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
