/* ratelimit_test.c - what is left of a rate limit, in each spelling. */
#include "route/ratelimit.h"

#include "support/unit.h"

#define HEADERS(...)                                                                               \
    (const struct pair[]){ __VA_ARGS__ },                                                          \
        sizeof((const struct pair[]){ __VA_ARGS__ }) / sizeof(struct pair)

static void is(double got, double wanted) {
    assert_true(got > wanted - 1e-9 && got < wanted + 1e-9);
}

static void reads_openais(void **state) {
    is(ratelimit_left(HEADERS({ SPAN("x-ratelimit-limit-requests"), SPAN("500") },
                              { SPAN("x-ratelimit-remaining-requests"), SPAN("499") },
                              { SPAN("x-ratelimit-limit-tokens"), SPAN("30000") },
                              { SPAN("x-ratelimit-remaining-tokens"), SPAN("6000") },
                              { SPAN("x-ratelimit-reset-tokens"), SPAN("6m0s") })),
       0.2);
}

static void reads_anthropics(void **state) {
    is(ratelimit_left(
           HEADERS({ SPAN("anthropic-ratelimit-requests-limit"), SPAN("50") },
                   { SPAN("anthropic-ratelimit-requests-remaining"), SPAN("49") },
                   { SPAN("anthropic-ratelimit-input-tokens-limit"), SPAN("40000") },
                   { SPAN("anthropic-ratelimit-input-tokens-remaining"), SPAN("0") },
                   { SPAN("anthropic-ratelimit-requests-reset"), SPAN("2026-11-22T12:00:00Z") })),
       0);
}

static void reads_the_others(void **state) {
    is(ratelimit_left(HEADERS({ SPAN("x-ratelimitbysize-limit-minute"), SPAN("2000000") },
                              { SPAN("x-ratelimitbysize-remaining-minute"), SPAN("500000") })),
       0.25);
    is(ratelimit_left(HEADERS({ SPAN("x-ratelimit-limit"), SPAN("10") },
                              { SPAN("x-ratelimit-remaining"), SPAN("12") })),
       1);
    is(ratelimit_left(HEADERS({ SPAN("ratelimit-limit"), SPAN("10") },
                              { SPAN("ratelimit-remaining"), SPAN("5") })),
       0.5);
}

static void knows_when_nothing_is_said(void **state) {
    is(ratelimit_left(NULL, 0), -1);
    is(ratelimit_left(HEADERS({ SPAN("content-type"), SPAN("application/json") })), -1);
    is(ratelimit_left(HEADERS({ SPAN("x-ratelimit-remaining-requests"), SPAN("5") })), -1);
    is(ratelimit_left(HEADERS({ SPAN("x-ratelimit-limit-requests"), SPAN("0") },
                              { SPAN("x-ratelimit-remaining-requests"), SPAN("0") })),
       -1);
    is(ratelimit_left(HEADERS({ SPAN("x-ratelimit-limit-requests"), SPAN("many") },
                              { SPAN("x-ratelimit-remaining-requests"), SPAN("-1") })),
       -1);
    is(ratelimit_left(HEADERS({ SPAN("x-limit"), SPAN("10") }, { SPAN("x-remaining"), SPAN("1") })),
       -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_openais),
        cmocka_unit_test(reads_anthropics),
        cmocka_unit_test(reads_the_others),
        cmocka_unit_test(knows_when_nothing_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
