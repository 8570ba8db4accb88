/* What policies are told is what health has. */
#include "route/figures.h"

#include "support/unit.h"

static void unknown_is_negative(void **state) {
    struct health *health = health_new();
    struct policy_figure f = figures_of(health_figure(health, SPAN("p/m")), 3, 1000);
    assert_int_equal(f.target, 3);
    assert_string_equal(f.state, "closed");
    assert_true(f.ttft_ms[0] < 0 && f.total_ms[2] < 0 && f.tokens_per_s < 0 && f.headroom < 0);
    health_free(health);
}

static void what_ended_is_told(void **state) {
    struct health *health = health_new();
    struct health_figure *f = health_figure(health, SPAN("p/m"));
    const struct health_end good = { .permit = BREAKER_CLOSED,
                                     .retry_after_ms = -1,
                                     .first_ms = 100,
                                     .total_ms = 1100,
                                     .output_tokens = 50 };
    const struct health_end limited = { .class = FAILURE_RATE_LIMITED,
                                        .permit = BREAKER_CLOSED,
                                        .retry_after_ms = 5000,
                                        .output_tokens = -1 };
    health_began(f);
    health_began(f);
    health_ended(f, &good, 1000);
    health_headroom(f, 0.25);
    struct policy_figure told = figures_of(f, 0, 1000);
    assert_true(told.ttft_ms[0] > 90 && told.ttft_ms[0] < 110);
    assert_true(told.total_ms[1] > 1000 && told.total_ms[1] < 1200);
    assert_true(told.tokens_per_s > 40 && told.tokens_per_s < 60);
    assert_true(told.in_flight == 1 && told.error_rate == 0);
    assert_true(told.headroom > 0.24 && told.headroom < 0.26);
    health_ended(f, &limited, 1000);
    told = figures_of(f, 0, 1000);
    assert_string_equal(told.state, "open");
    assert_true(told.error_rate == 0.5);
    health_free(health);
}

static void states_have_names(void **state) {
    assert_string_equal(figures_state(SPAN("half_open")), "half_open");
    assert_string_equal(figures_state(SPAN("open")), "open");
    assert_string_equal(figures_state(SPAN("ajar")), "closed");
    assert_string_equal(figures_state(SPAN_NONE), "closed");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_is_negative),
        cmocka_unit_test(what_ended_is_told),
        cmocka_unit_test(states_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
