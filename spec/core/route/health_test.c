/* health_test.c - the live figures: averages that follow, classes that say nothing about a target,
 * and many threads at once. */
#include "route/health.h"

#include "support/unit.h"

#include <pthread.h>

static struct health *health;

static int set_up(void **state) {
    health = health_new();
    return 0;
}

static int tear_down(void **state) {
    health_free(health);
    return 0;
}

static void answers(struct health_figure *f, uint32_t first_ms, uint32_t total_ms) {
    health_began(f);
    health_ended(f, FAILURE_NONE, first_ms, total_ms);
}

static void a_target_has_one_figure_for_ever(void **state) {
    struct health_figure *f = health_figure(health, SPAN("openai/gpt-4o"));
    char name[32];
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "p/model-%d", i);
        assert_ptr_not_equal(health_figure(health, span_of(name)), f);
    }
    /* By its name, wherever that lies. */
    strcpy(name, "openai/gpt-4o");
    assert_ptr_equal(health_figure(health, span_of(name)), f);
    memset(name, 'x', sizeof name);
    assert_ptr_equal(health_figure(health, SPAN("openai/gpt-4o")), f);
    assert_ptr_not_equal(health_figure(health, SPAN("openai/gpt-4")), f);
    assert_ptr_not_equal(health_figure(health, SPAN("openai/gpt-4o-mini")), f);
}

static void at_first_nothing_is_known(void **state) {
    struct health_figure *f = health_figure(health, SPAN("p/a"));
    assert_int_equal(health_latency(f), 0);
    assert_int_equal(atomic_load(&f->in_flight), 0);
    assert_int_equal(atomic_load(&f->answered) + atomic_load(&f->failed), 0);
}

static void attempts_under_way_are_counted(void **state) {
    struct health_figure *f = health_figure(health, SPAN("p/a"));
    health_began(f);
    health_began(f);
    assert_int_equal(atomic_load(&f->in_flight), 2);
    for (enum failure why = FAILURE_NONE; why < FAILURE_COUNT; why++) {
        health_began(f);
        health_ended(f, why, 1, 1);
        assert_int_equal(atomic_load(&f->in_flight), 2);
    }
}

static void the_first_answer_is_the_average(void **state) {
    struct health_figure *f = health_figure(health, SPAN("p/a"));
    answers(f, 120, 800);
    assert_int_equal(health_latency(f), 800);
    assert_int_equal(atomic_load(&f->first_ms), 120);
    assert_int_equal(atomic_load(&f->answered), 1);
}

static void the_average_follows_an_eighth_a_time(void **state) {
    struct health_figure *f = health_figure(health, SPAN("p/a"));
    answers(f, 100, 800);
    answers(f, 100, 1600);
    assert_int_equal(health_latency(f), 900);
    answers(f, 100, 100);
    assert_int_equal(health_latency(f), 800);
    assert_int_equal(atomic_load(&f->first_ms), 100);
    for (int i = 0; i < 60; i++)
        answers(f, 100, 2000);
    assert_in_range(health_latency(f), 1990, 2000);
    for (int i = 0; i < 100; i++)
        answers(f, 100, 10);
    assert_in_range(health_latency(f), 10, 14);
}

static void an_answer_within_a_millisecond_is_an_answer(void **state) {
    struct health_figure *f = health_figure(health, SPAN("p/a"));
    answers(f, 0, 0);
    assert_int_equal(health_latency(f), 1);
}

static void an_answer_that_was_no_stream_says_nothing_of_the_first_token(void **state) {
    struct health_figure *f = health_figure(health, SPAN("p/a"));
    answers(f, 0, 800);
    assert_int_equal(atomic_load(&f->first_ms), 0);
    answers(f, 300, 800);
    answers(f, 0, 800);
    assert_int_equal(atomic_load(&f->first_ms), 300);
}

static void the_longest_times_do_not_wrap(void **state) {
    struct health_figure *f = health_figure(health, SPAN("p/a"));
    for (int i = 0; i < 20; i++)
        answers(f, UINT32_MAX, UINT32_MAX);
    assert_int_equal(health_latency(f), UINT32_MAX);
    answers(f, UINT32_MAX, 0);
    assert_in_range(health_latency(f), UINT32_MAX / 8 * 7 - 1, UINT32_MAX / 8 * 7 + 8);
}

static void what_says_nothing_about_a_target_is_not_counted(void **state) {
    static const enum failure neutral[] = { FAILURE_CANCELLED,      FAILURE_BAD_REQUEST,
                                            FAILURE_CONTENT_FILTER, FAILURE_CONTEXT_LENGTH,
                                            FAILURE_COST,           FAILURE_LATENCY };
    struct health_figure *f = health_figure(health, SPAN("p/a"));
    uint32_t set = 0;
    for (size_t i = 0; i < sizeof neutral / sizeof *neutral; i++) {
        set |= FAILURE_BIT(neutral[i]);
        health_began(f);
        health_ended(f, neutral[i], 10, 10);
    }
    assert_int_equal(atomic_load(&f->failed) + atomic_load(&f->answered), 0);
    unsigned failed = 0;
    for (enum failure why = FAILURE_CONNECT; why < FAILURE_COUNT; why++) {
        if (set & FAILURE_BIT(why))
            continue;
        health_began(f);
        health_ended(f, why, 10, 10);
        assert_int_equal(atomic_load(&f->failed), ++failed);
    }
    /* A failure is not quick or slow. */
    assert_int_equal(health_latency(f), 0);
    assert_int_equal(atomic_load(&f->first_ms), 0);
}

/* --- tokens --- */

static void an_estimate_is_right_until_it_is_known_better(void **state) {
    struct health_figure *f = health_figure(health, SPAN("p/a"));
    assert_true(health_token_factor(f) == 1);
    health_tokens(f, 0, 100);
    health_tokens(f, 100, 0);
    assert_true(health_token_factor(f) == 1);
    health_tokens(f, 5000, 5000);
    assert_true(health_token_factor(f) == 1);
}

static void what_is_reported_is_averaged(void **state) {
    struct health_figure *f = health_figure(health, SPAN("p/a"));
    health_tokens(f, 10000, 20000);
    assert_true(health_token_factor(f) == 1 + 1.0 / 8);
    for (int i = 0; i < 100; i++)
        health_tokens(f, 10000, 20000);
    assert_true(health_token_factor(f) > 1.99 && health_token_factor(f) <= 2);
}

/* What a provider puts around a prompt is most of a short one. */
static void a_short_prompt_says_little(void **state) {
    struct health_figure *f = health_figure(health, SPAN("p/a"));
    for (int i = 0; i < 10; i++)
        health_tokens(f, 4, 40);
    assert_true(health_token_factor(f) > 1 && health_token_factor(f) < 1.02);
}

static void an_estimate_is_off_by_four_at_most(void **state) {
    struct health_figure *f = health_figure(health, SPAN("p/a"));
    for (int i = 0; i < 200; i++)
        health_tokens(f, 2000, UINT64_MAX);
    assert_true(health_token_factor(f) > 3.9 && health_token_factor(f) <= 4);
    for (int i = 0; i < 200; i++)
        health_tokens(f, UINT64_MAX, 1);
    assert_true(health_token_factor(f) >= 0.25 && health_token_factor(f) < 0.26);
}

/* --- many threads --- */

enum { THREADS = 4, ROUNDS = 20000, NAMES = 16 };

static void *work(void *arg) {
    struct health_figure *shared = health_figure(health, SPAN("p/shared"));
    for (unsigned i = 0; i < ROUNDS; i++) {
        char name[32];
        snprintf(name, sizeof name, "p/%u", i % NAMES);
        struct health_figure *f = health_figure(health, span_of(name));
        health_began(f);
        health_began(shared);
        health_ended(shared, i % 2 ? FAILURE_NONE : FAILURE_TIMEOUT, 200, 1000);
        health_ended(f, FAILURE_NONE, 50, 100);
        if (health_latency(f) != 100)
            return arg; /* all agree on it: whoever writes last, nothing else may stand there */
    }
    return NULL;
}

static void threads_lose_nothing(void **state) {
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, health), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    struct health_figure *shared = health_figure(health, SPAN("p/shared"));
    assert_int_equal(atomic_load(&shared->answered), THREADS * ROUNDS / 2);
    assert_int_equal(atomic_load(&shared->failed), THREADS * ROUNDS / 2);
    assert_int_equal(atomic_load(&shared->in_flight), 0);
    assert_int_equal(health_latency(shared), 1000);
    unsigned long long answered = 0;
    for (int i = 0; i < NAMES; i++) {
        char name[32];
        snprintf(name, sizeof name, "p/%d", i);
        struct health_figure *f = health_figure(health, span_of(name));
        answered += atomic_load(&f->answered);
        assert_int_equal(atomic_load(&f->in_flight), 0);
    }
    assert_int_equal(answered, THREADS * ROUNDS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_target_has_one_figure_for_ever, set_up, tear_down),
        cmocka_unit_test_setup_teardown(at_first_nothing_is_known, set_up, tear_down),
        cmocka_unit_test_setup_teardown(attempts_under_way_are_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_first_answer_is_the_average, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_average_follows_an_eighth_a_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_answer_within_a_millisecond_is_an_answer, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            an_answer_that_was_no_stream_says_nothing_of_the_first_token, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_longest_times_do_not_wrap, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_says_nothing_about_a_target_is_not_counted, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_estimate_is_right_until_it_is_known_better, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_reported_is_averaged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_short_prompt_says_little, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_estimate_is_off_by_four_at_most, set_up, tear_down),
        cmocka_unit_test_setup_teardown(threads_lose_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
