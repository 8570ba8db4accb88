/* health_test.c - the live figures: a window that slides, percentiles, predictions, classes that say
 * nothing about a target, and many threads at once. With "bench" as argument: what it costs. */
#include "route/health.h"

#include "base/clock.h"
#include "support/unit.h"

#include <math.h>
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

enum { NOW = 1000000, WINDOW_MS = HEALTH_SLICES * HEALTH_SLICE_MS };

static void ends(struct health_figure *f, enum failure class, uint64_t now_ms) {
    const struct health_end end = {
        .class = class, .permit = BREAKER_CLOSED, .retry_after_ms = -1, .total_ms = 10
    };
    health_began(f);
    health_ended(f, &end, now_ms);
}

static void answers(struct health_figure *f, uint32_t first_ms, uint32_t total_ms, int64_t tokens,
                    uint64_t now_ms) {
    const struct health_end end = { .permit = BREAKER_CLOSED,
                                    .retry_after_ms = -1,
                                    .first_ms = first_ms,
                                    .total_ms = total_ms,
                                    .output_tokens = tokens };
    health_began(f);
    health_ended(f, &end, now_ms);
}

static struct health_view view_of(struct health_figure *f, uint64_t now_ms) {
    struct health_view view;
    health_read(f, &view, now_ms);
    return view;
}

static void assert_near(double got, double wanted) {
    if (fabs(got - wanted) > 0.06 * wanted)
        fail_msg("got %f, wanted %f", got, wanted);
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

static void knows_nothing(struct health_figure *f, uint64_t now_ms) {
    struct health_view view = view_of(f, now_ms);
    assert_true(view.error_rate < 0 && view.headroom < 0 && view.tokens_per_s < 0);
    for (int i = 0; i < 3; i++)
        assert_true(view.first_ms[i] < 0 && view.total_ms[i] < 0);
    assert_int_equal(view.ended, 0);
    assert_int_equal(health_latency(f, 100, now_ms), 0);
}

static void at_first_nothing_is_known(void **state) {
    struct health_figure *f = health_figure(health, SPAN("p/a"));
    knows_nothing(f, NOW);
    assert_true(view_of(f, NOW).last_success_s < 0);
    assert_int_equal(view_of(f, NOW).state, BREAKER_IS_CLOSED);
}

static void what_was_never_asked_is_small(void **state) {
    struct health_figure *f = health_figure(health, SPAN("p/a"));
    assert_true(sizeof *f <= 400);
    health_began(f);
    assert_null(atomic_load(&f->slices));
    assert_true(HEALTH_SLICES * sizeof(struct health_slice) <= 8192);
}

static void attempts_under_way_are_counted(void **state) {
    struct health_figure *f = health_figure(health, SPAN("p/a"));
    health_began(f);
    health_began(f);
    for (enum failure why = FAILURE_NONE; why < FAILURE_COUNT; why++) {
        ends(f, why, NOW);
        assert_int_equal(view_of(f, NOW).in_flight, 2);
    }
}

static void percentiles_are_of_all_answers(void **state) {
    struct health_figure *f = health_figure(health, SPAN("p/a"));
    for (uint32_t i = 1; i <= 100; i++)
        answers(f, i * 10, i * 100, -1, NOW + i * 100);
    struct health_view view = view_of(f, NOW + 10000);
    assert_near(view.first_ms[0], 500);
    assert_near(view.first_ms[1], 950);
    assert_near(view.first_ms[2], 990);
    assert_near(view.total_ms[0], 5000);
    assert_near(view.total_ms[1], 9500);
    assert_near(view.total_ms[2], 9900);
    assert_int_equal(view.ended, 100);
}

static void the_window_slides(void **state) {
    struct health_figure *f = health_figure(health, SPAN("p/a"));
    for (uint64_t at = 0; at < 2 * WINDOW_MS; at += HEALTH_SLICE_MS / 10) {
        uint32_t ms = at < WINDOW_MS ? 100 : 1000;
        answers(f, 0, ms, -1, NOW + at);
        struct health_view view = view_of(f, NOW + at);
        size_t half = WINDOW_MS + WINDOW_MS / 2;
        if (at < half - HEALTH_SLICE_MS)
            assert_near(view.total_ms[0], 100);
        else if (at > half + HEALTH_SLICE_MS)
            assert_near(view.total_ms[0], 1000);
        assert_true(view.ended <= 60);
    }
    assert_int_equal(view_of(f, NOW + 2 * WINDOW_MS - 1).ended, 60);
}

static void after_a_minute_of_silence_it_is_unknown_again(void **state) {
    struct health_figure *f = health_figure(health, SPAN("p/a"));
    answers(f, 100, 800, 50, NOW);
    health_headroom(f, 0.25);
    ends(f, FAILURE_TIMEOUT, NOW);
    struct health_view view = view_of(f, NOW + WINDOW_MS - HEALTH_SLICE_MS);
    assert_int_equal(view.ended, 2);
    assert_true(view.headroom == 0.25);
    knows_nothing(f, NOW + WINDOW_MS);
    assert_true(view_of(f, NOW + WINDOW_MS).last_success_s == WINDOW_MS / 1000);
    /* And known again, without what was. */
    answers(f, 100, 200, 50, NOW + 5 * WINDOW_MS);
    view = view_of(f, NOW + 5 * WINDOW_MS);
    assert_int_equal(view.ended, 1);
    assert_near(view.total_ms[0], 200);
}

static void an_answer_within_a_millisecond_is_an_answer(void **state) {
    struct health_figure *f = health_figure(health, SPAN("p/a"));
    answers(f, 0, 0, -1, NOW);
    assert_int_equal(health_latency(f, 0, NOW), 1);
}

static void an_answer_that_was_no_stream_says_nothing_of_the_first_content(void **state) {
    struct health_figure *f = health_figure(health, SPAN("p/a"));
    answers(f, 0, 800, 100, NOW);
    struct health_view view = view_of(f, NOW);
    assert_true(view.first_ms[0] < 0 && view.tokens_per_s < 0);
    /* Then half of the answers are what is expected, however long this one is to be. */
    assert_near(health_latency(f, 10, NOW), 800);
    assert_near(health_latency(f, 10000, NOW), 800);
}

static void speed_is_that_of_streams_behind_their_first_content(void **state) {
    struct health_figure *f = health_figure(health, SPAN("p/a"));
    answers(f, 500, 1500, 101, NOW); /* a hundred in a second */
    answers(f, 500, 2500, 101, NOW); /* and in two */
    answers(f, 500, 500, 1, NOW);    /* nothing behind the first */
    answers(f, 500, 9000, -1, NOW);  /* nobody knows how many */
    assert_near(view_of(f, NOW).tokens_per_s, 200.0 / 3);
}

static void a_prediction_is_the_first_content_and_the_rest_at_speed(void **state) {
    struct health_figure *f = health_figure(health, SPAN("p/a"));
    for (int i = 0; i < 10; i++)
        answers(f, 400, 1400, 51, NOW); /* fifty tokens a second */
    assert_near(health_latency(f, 0, NOW), 400);
    assert_near(health_latency(f, 51, NOW), 1400);
    assert_near(health_latency(f, 501, NOW), 10400);
    assert_int_equal(health_latency(f, UINT64_MAX, NOW), UINT32_MAX);
}

static void the_longest_times_do_not_wrap(void **state) {
    struct health_figure *f = health_figure(health, SPAN("p/a"));
    answers(f, UINT32_MAX, UINT32_MAX, INT64_MAX, NOW);
    assert_near(view_of(f, NOW).total_ms[2], HISTOGRAM_MOST);
}

static void what_says_nothing_about_a_target_is_not_counted(void **state) {
    struct health_figure *f = health_figure(health, SPAN("p/a"));
    for (enum failure why = FAILURE_CONNECT; why < FAILURE_COUNT; why++)
        for (int i = 0; i < 100 && (BREAKER_NEUTRAL & FAILURE_BIT(why)); i++)
            ends(f, why, NOW);
    assert_int_equal(atomic_load(&f->failed) + atomic_load(&f->answered), 0);
    assert_int_equal(view_of(f, NOW).ended, 0);
    assert_true(view_of(f, NOW).error_rate < 0);
    assert_int_equal(view_of(f, NOW).state, BREAKER_IS_CLOSED);
}

static void failures_are_counted_by_class(void **state) {
    struct health_figure *f = health_figure(health, SPAN("p/a"));
    unsigned failed = 0;
    for (enum failure why = FAILURE_CONNECT; why < FAILURE_COUNT; why++) {
        if (BREAKER_NEUTRAL & FAILURE_BIT(why))
            continue;
        ends(f, why, NOW);
        failed++;
        assert_int_equal(view_of(f, NOW).failed[why], 1);
    }
    for (unsigned i = 0; i < 3 * failed; i++)
        answers(f, 10, 10, -1, NOW);
    struct health_view view = view_of(f, NOW);
    assert_true(view.error_rate == 0.25);
    assert_int_equal(view.ended, 4 * failed);
    assert_int_equal(atomic_load(&f->failed), failed);
    /* A failure is not quick or slow. */
    assert_near(view.total_ms[0], 10);
}

static void a_target_that_fails_is_open_and_then_half_open(void **state) {
    struct health_figure *f = health_figure(health, SPAN("p/a"));
    for (int i = 0; i < BREAKER_ROW; i++)
        ends(f, FAILURE_CONNECT, NOW);
    assert_int_equal(view_of(f, NOW).state, BREAKER_IS_OPEN);
    assert_int_equal(view_of(f, NOW + BREAKER_COOL_MS).state, BREAKER_IS_HALF_OPEN);
    assert_int_equal(breaker_ask(&f->breaker, NOW + BREAKER_COOL_MS), BREAKER_PROBE);
    health_began(f);
    health_content(f, BREAKER_PROBE, NOW + BREAKER_COOL_MS + 10);
    assert_int_equal(view_of(f, NOW + BREAKER_COOL_MS + 10).state, BREAKER_IS_CLOSED);
}

static void a_key_that_rests_closes_no_target(void **state) {
    struct health_figure *f = health_figure(health, SPAN("p/a"));
    struct health_end end = {
        .class = FAILURE_QUOTA, .permit = BREAKER_CLOSED, .key_rests = true, .retry_after_ms = 5000
    };
    health_began(f);
    health_ended(f, &end, NOW);
    assert_int_equal(view_of(f, NOW).state, BREAKER_IS_CLOSED);
    assert_true(view_of(f, NOW).error_rate == 1);
    end.key_rests = false;
    health_began(f);
    health_ended(f, &end, NOW);
    assert_int_equal(view_of(f, NOW).state, BREAKER_IS_OPEN);
    assert_int_equal(breaker_reopens_in(&f->breaker, NULL, NOW), 5000);
}

static void headroom_is_from_nothing_to_all(void **state) {
    struct health_figure *f = health_figure(health, SPAN("p/a"));
    answers(f, 10, 10, -1, NOW);
    assert_true(view_of(f, NOW).headroom < 0);
    for (double left = 0; left <= 1; left += 0.125) {
        health_headroom(f, left);
        assert_true(view_of(f, NOW).headroom == left);
    }
    health_headroom(f, -3);
    assert_true(view_of(f, NOW).headroom == 0);
    health_headroom(f, 7);
    assert_true(view_of(f, NOW).headroom == 1);
}

static bool changes(struct health_figure *f, uint64_t *last, uint64_t now_ms) {
    uint64_t before = *last;
    *last = health_changes(f, now_ms);
    return *last != before;
}

static void tells_whether_anything_changed(void **state) {
    struct health_figure *f = health_figure(health, SPAN("p/a"));
    uint64_t last = health_changes(f, NOW);
    assert_false(changes(f, &last, NOW + 10 * WINDOW_MS));
    health_began(f);
    assert_true(changes(f, &last, NOW));
    answers(f, 1, 1, -1, NOW);
    assert_true(changes(f, &last, NOW));
    health_headroom(f, 0.5);
    assert_true(changes(f, &last, NOW));
    health_headroom(f, 0.5);
    assert_false(changes(f, &last, NOW));
    for (int i = 0; i < BREAKER_ROW; i++)
        ends(f, FAILURE_CONNECT, NOW);
    changes(f, &last, NOW);
    /* Time alone: a breaker's moment, a window that slides. */
    assert_false(changes(f, &last, NOW + BREAKER_COOL_MS - 1));
    assert_true(changes(f, &last, NOW + BREAKER_COOL_MS));
    assert_false(changes(f, &last, NOW + WINDOW_MS - HEALTH_SLICE_MS));
    assert_true(changes(f, &last, NOW + WINDOW_MS));
}

static void note_id(void *owner, struct span target, struct health_figure *f) {
    char *ids = owner;
    assert_ptr_not_equal(f, NULL);
    strncat(ids, target.at, target.len);
    strcat(ids, " ");
}

static void names_every_target_that_was_asked(void **state) {
    char ids[64] = "";
    ends(health_figure(health, SPAN("p/a")), FAILURE_NONE, NOW);
    health_figure(health, SPAN("p/never"));
    ends(health_figure(health, SPAN("p/b")), FAILURE_TIMEOUT, NOW);
    health_each(health, note_id, ids);
    assert_string_equal(ids, "p/a p/b ");
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

static void answers_count_in_full_when_they_are_shorter(void **state) {
    struct health_figure *f = health_figure(health, SPAN("p/a"));
    health_output(f, 128, 256);
    assert_true(health_output_factor(f) == 1 + 1.0 / 8);
    assert_true(health_token_factor(f) == 1); /* of prompts nothing is known */
    health_output(f, 0, 100);
    assert_true(health_output_factor(f) == 1 + 1.0 / 8);
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

/* All turn to new slices together, again and again. */
static void *work(void *arg) {
    struct health_figure *shared = health_figure(health, SPAN("p/shared"));
    for (unsigned i = 0; i < ROUNDS; i++) {
        char name[32];
        uint64_t now = NOW + (uint64_t)i * (WINDOW_MS - HEALTH_SLICE_MS) / ROUNDS;
        snprintf(name, sizeof name, "p/%u", i % NAMES);
        struct health_figure *f = health_figure(health, span_of(name));
        answers(f, 50, 100, 10, now);
        ends(shared, i % 2 ? FAILURE_NONE : FAILURE_TIMEOUT, now);
        health_headroom(shared, 0.5);
        if (i % 100 == 0) {
            struct health_view view = view_of(f, now);
            if (view.error_rate != 0 || view.total_ms[0] < 94 || view.total_ms[2] > 106)
                return arg;
        }
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
    struct health_view view = view_of(shared, NOW + WINDOW_MS - HEALTH_SLICE_MS - 1);
    assert_int_equal(view.in_flight, 0);
    assert_int_equal(view.ended, THREADS * ROUNDS);
    assert_true(view.error_rate == 0.5);
    assert_int_equal(atomic_load(&shared->answered), THREADS * ROUNDS / 2);
    assert_int_equal(atomic_load(&shared->failed), THREADS * ROUNDS / 2);
}

/* --- what it costs --- */

enum { TURNS = 1000000 };

static volatile uint64_t sink; /* so that nothing measured is left out */

static void attempt(struct health_figure *f, uint64_t now_ms) {
    answers(f, 300, 1300, 50, now_ms);
}

static void ask(struct health_figure *f, uint64_t now_ms) {
    sink += breaker_ask(&f->breaker, now_ms);
}

static void read_view(struct health_figure *f, uint64_t now_ms) {
    sink += view_of(f, now_ms).ended;
}

static void predict(struct health_figure *f, uint64_t now_ms) {
    sink += health_latency(f, 100, now_ms);
}

static void look_for_changes(struct health_figure *f, uint64_t now_ms) {
    sink += health_changes(f, now_ms);
}

/* Nanoseconds of one, over a minute of the clock it is given. */
static double measure(void (*what)(struct health_figure *f, uint64_t now_ms), unsigned turns) {
    struct health_figure *f = health_figure(health, SPAN("p/a"));
    uint64_t began = clock_us();
    for (unsigned i = 0; i < turns; i++)
        what(f, NOW + (uint64_t)i * (WINDOW_MS - HEALTH_SLICE_MS) / turns);
    return (double)(clock_us() - began) * 1000 / turns;
}

static void bench(void) {
    health = health_new();
    printf("figure %zu bytes, slices %zu\n", sizeof(struct health_figure),
           HEALTH_SLICES * sizeof(struct health_slice));
    printf("began and ended  %5.0f ns\n", measure(attempt, TURNS));
    printf("breaker_ask      %5.1f ns\n", measure(ask, TURNS));
    printf("changes          %5.1f ns\n", measure(look_for_changes, TURNS));
    printf("view             %5.0f ns\n", measure(read_view, TURNS / 10));
    printf("prediction       %5.0f ns\n", measure(predict, TURNS / 10));
    health_free(health);
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "bench") == 0) {
        bench();
        return 0;
    }
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_target_has_one_figure_for_ever),
        TEST(at_first_nothing_is_known),
        TEST(what_was_never_asked_is_small),
        TEST(attempts_under_way_are_counted),
        TEST(percentiles_are_of_all_answers),
        TEST(the_window_slides),
        TEST(after_a_minute_of_silence_it_is_unknown_again),
        TEST(an_answer_within_a_millisecond_is_an_answer),
        TEST(an_answer_that_was_no_stream_says_nothing_of_the_first_content),
        TEST(speed_is_that_of_streams_behind_their_first_content),
        TEST(a_prediction_is_the_first_content_and_the_rest_at_speed),
        TEST(the_longest_times_do_not_wrap),
        TEST(what_says_nothing_about_a_target_is_not_counted),
        TEST(failures_are_counted_by_class),
        TEST(a_target_that_fails_is_open_and_then_half_open),
        TEST(a_key_that_rests_closes_no_target),
        TEST(headroom_is_from_nothing_to_all),
        TEST(tells_whether_anything_changed),
        TEST(names_every_target_that_was_asked),
        TEST(an_estimate_is_right_until_it_is_known_better),
        TEST(what_is_reported_is_averaged),
        TEST(a_short_prompt_says_little),
        TEST(answers_count_in_full_when_they_are_shorter),
        TEST(an_estimate_is_off_by_four_at_most),
        TEST(threads_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
