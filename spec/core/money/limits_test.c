/* limits_test.c - what gets in and what it is told, corrections, and exactness over threads. */
#include "money/limits.h"

#include "base/clock.h"
#include "base/random.h"
#include "support/unit.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

#define SECOND UINT64_C(1000000)
#define START (1000 * SECOND)

struct world {
    struct limits *limits;
    struct limits_on on[3];
    struct limits_pass pass;
    struct limits_state state;
};

static int set_up(void **state) {
    struct world *w = calloc(1, sizeof *w);
    w->limits = limits_new();
    w->on[0] = (struct limits_on){ LIMITS_KEY, SPAN("key_a"), { 0 } };
    w->on[1] = (struct limits_on){ LIMITS_PROJECT, SPAN("shop"), { 0 } };
    w->on[2] = (struct limits_on){ LIMITS_MODEL, SPAN("gpt-4o"), { 0 } };
    *state = w;
    return 0;
}

static int tear_down(void **state) {
    struct world *w = *state;
    limits_free(w->limits);
    free(w);
    return 0;
}

static bool enter(struct world *w, uint64_t tokens, uint64_t now_us) {
    return limits_enter(w->limits, w->on, 3, tokens, now_us, &w->pass, &w->state);
}

/* Enters and leaves at once with just what was estimated. */
static bool came(struct world *w, uint64_t tokens, uint64_t now_us) {
    bool in = enter(w, tokens, now_us);
    limits_leave(w->limits, &w->pass, tokens, now_us);
    return in;
}

static unsigned how_many(struct world *w, uint64_t tokens, uint64_t now_us) {
    unsigned n = 0;
    while (n < 100000 && came(w, tokens, now_us))
        n++;
    return n;
}

#define assert_figure(f, of, limit_, remaining_, reset)                                            \
    do {                                                                                           \
        assert_true((f).is_set);                                                                   \
        assert_int_equal((f).scope, of);                                                           \
        assert_int_equal((f).limit, limit_);                                                       \
        assert_int_equal((f).remaining, remaining_);                                               \
        assert_int_equal((f).reset_ms, reset);                                                     \
    } while (0)

/* --- one limit --- */

static void without_a_limit_everything_gets_in(void **state) {
    struct world *w = *state;
    assert_int_equal(how_many(w, UINT64_MAX, START), 100000);
    assert_false(w->state.figures[LIMITS_REQUESTS].is_set);
    assert_int_equal(limits_count(w->limits), 0);
}

static void a_minutes_requests_go_at_once_and_come_back_evenly(void **state) {
    struct world *w = *state;
    w->on[0].rule.rpm = 7;
    assert_int_equal(how_many(w, 1, START), 7);
    assert_int_equal(w->state.worst, LIMITS_REQUESTS);
    assert_int_equal(w->state.retry_ms, 8572);
    assert_false(came(w, 1, START + 8 * SECOND));
    assert_int_equal(how_many(w, 1, START + 9 * SECOND), 1);
    assert_int_equal(how_many(w, 1, START + 200 * SECOND), 7);
}

static void retrying_when_told_gets_in_and_not_before(void **state) {
    struct world *w = *state;
    w->on[1].rule.rpm = 90;
    w->on[2].rule.tpm = 7000;
    struct random random;
    random_seed(&random, 3);
    uint64_t now = START;
    for (int i = 0; i < 2000; i++) {
        uint64_t tokens = random_below(&random, 9000);
        if (came(w, tokens, now))
            continue;
        assert_true(w->state.retry_ms > 0);
        now += (w->state.retry_ms - 1) * 1000;
        assert_false(came(w, tokens, now));
        now += 1000;
        assert_true(came(w, tokens, now));
    }
}

static void figures_are_as_openai_tells_them(void **state) {
    struct world *w = *state;
    w->on[0].rule = (struct limits_rule){ 60, 150000, 3 };
    assert_true(enter(w, 16, START));
    assert_figure(w->state.figures[LIMITS_REQUESTS], LIMITS_KEY, 60, 59, 1000);
    assert_figure(w->state.figures[LIMITS_TOKENS], LIMITS_KEY, 150000, 149984, 7);
    assert_figure(w->state.figures[LIMITS_CONCURRENT], LIMITS_KEY, 3, 2, 0);
}

static void tells_the_tightest_of_each_kind(void **state) {
    struct world *w = *state;
    w->on[0].rule = (struct limits_rule){ 100, 0, 0 };
    w->on[1].rule = (struct limits_rule){ 60, 5000, 10 };
    w->on[2].rule = (struct limits_rule){ 0, 2000, 20 };
    assert_true(enter(w, 500, START));
    assert_figure(w->state.figures[LIMITS_REQUESTS], LIMITS_PROJECT, 60, 59, 1000);
    assert_figure(w->state.figures[LIMITS_TOKENS], LIMITS_MODEL, 2000, 1500, 15000);
    assert_figure(w->state.figures[LIMITS_CONCURRENT], LIMITS_PROJECT, 10, 9, 0);
}

static void a_refusal_tells_the_limit_to_wait_for(void **state) {
    struct world *w = *state;
    w->on[0].rule.rpm = 60;
    w->on[1].rule.tpm = 600;
    assert_true(came(w, 600, START));
    assert_int_equal(how_many(w, 0, START), 59);
    assert_false(came(w, 300, START));
    assert_int_equal(w->state.worst, LIMITS_TOKENS);
    assert_figure(w->state.figures[LIMITS_TOKENS], LIMITS_PROJECT, 600, 0, 60000);
    assert_int_equal(w->state.retry_ms, 30000);
}

static void requests_at_once_are_counted(void **state) {
    struct world *w = *state;
    struct limits_pass first;
    w->on[2].rule.concurrent = 2;
    assert_true(enter(w, 1, START));
    first = w->pass;
    assert_true(enter(w, 1, START));
    struct limits_pass second = w->pass;
    assert_false(enter(w, 1, START));
    assert_int_equal(w->state.worst, LIMITS_CONCURRENT);
    assert_figure(w->state.figures[LIMITS_CONCURRENT], LIMITS_MODEL, 2, 0, 0);
    assert_true(w->state.retry_ms > 0);
    limits_leave(w->limits, &first, 1, START);
    limits_leave(w->limits, &first, 1, START); /* once more does nothing */
    assert_true(enter(w, 1, START));
    assert_false(enter(w, 1, START));
    limits_leave(w->limits, &second, 1, START);
}

static void all_limits_or_none_are_charged(void **state) {
    struct world *w = *state;
    w->on[0].rule = (struct limits_rule){ 10, 1000, 5 };
    w->on[1].rule.tpm = 100;
    assert_true(came(w, 100, START));
    for (int i = 0; i < 50; i++)
        assert_false(came(w, 50, START));
    w->on[1].rule.tpm = 0;
    assert_true(enter(w, 1, START));
    assert_int_equal(w->state.figures[LIMITS_REQUESTS].remaining, 8);
    assert_int_equal(w->state.figures[LIMITS_TOKENS].remaining, 899);
    assert_int_equal(w->state.figures[LIMITS_CONCURRENT].remaining, 4);
}

static void names_and_scopes_are_kept_apart(void **state) {
    struct world *w = *state;
    w->on[0].rule.rpm = 1;
    assert_true(came(w, 1, START));
    assert_false(came(w, 1, START));
    w->on[0].scope = LIMITS_PROJECT;
    assert_true(came(w, 1, START));
    w->on[0].name = SPAN("key_ab");
    assert_true(came(w, 1, START));
    static char names[2][400];
    memset(names, 'x', sizeof names);
    names[1][399] = 'y';
    w->on[0].name = (struct span){ names[0], 400 };
    assert_true(came(w, 1, START));
    assert_false(came(w, 1, START));
    w->on[0].name = (struct span){ names[1], 400 };
    assert_true(came(w, 1, START));
}

static void what_is_larger_than_the_minute_goes_alone(void **state) {
    struct world *w = *state;
    w->on[0].rule.tpm = 1000;
    assert_true(came(w, 50000, START));
    assert_false(came(w, 1, START));
    assert_true(came(w, 500, START + 30 * SECOND));
    assert_false(came(w, 50000, START + 89 * SECOND));
    assert_true(came(w, 50000, START + 90 * SECOND));
}

/* --- corrections --- */

static void what_was_not_used_is_given_back(void **state) {
    struct world *w = *state;
    w->on[0].rule.tpm = w->on[1].rule.tpm = 1000;
    assert_true(enter(w, 800, START));
    limits_leave(w->limits, &w->pass, 100, START);
    assert_true(enter(w, 900, START));
    assert_int_equal(w->state.figures[LIMITS_TOKENS].remaining, 0);
}

static void what_has_flowed_off_is_not_given_back(void **state) {
    struct world *w = *state;
    w->on[0].rule.tpm = 60;
    assert_true(enter(w, 60, START));
    struct limits_pass first = w->pass;
    assert_true(came(w, 59, START + 59 * SECOND));
    limits_leave(w->limits, &first, 0,
                 START + 59 * SECOND); /* one second of it had not flowed off */
    assert_int_equal(how_many(w, 1, START + 59 * SECOND), 1);
}

static void nothing_given_back_is_saved_up(void **state) {
    struct world *w = *state;
    struct limits_pass passes[5];
    w->on[0].rule.tpm = 60;
    for (unsigned i = 0; i < 5; i++) {
        assert_true(enter(w, 60, START + i * 60 * SECOND));
        passes[i] = w->pass;
    }
    for (unsigned i = 0; i < 5; i++)
        limits_leave(w->limits, &passes[i], 0, START + 300 * SECOND);
    assert_int_equal(how_many(w, 1, START + 300 * SECOND), 60);
}

static void what_was_short_is_waited_for(void **state) {
    struct world *w = *state;
    w->on[0].rule.tpm = 60;
    assert_true(enter(w, 10, START));
    limits_leave(w->limits, &w->pass, 60, START);
    assert_false(came(w, 1, START));
    assert_true(came(w, 1, START + SECOND));
}

static void one_request_locks_nobody_out_for_long(void **state) {
    struct world *w = *state;
    w->on[0].rule.tpm = 60;
    assert_true(enter(w, 10, START));
    limits_leave(w->limits, &w->pass, UINT64_MAX, START);
    assert_false(came(w, 1, START));
    assert_true(came(w, 60, START + 60 * SECOND));
}

static void a_stream_is_cut_where_the_minute_ends(void **state) {
    struct world *w = *state;
    w->on[0].rule.tpm = 600;
    w->on[2].rule.tpm = 100000;
    assert_true(enter(w, 100, START));
    unsigned tokens = 0;
    while (limits_grow(w->limits, &w->pass, tokens + 1, START, &w->state))
        tokens++;
    assert_int_equal(tokens, 600);
    assert_int_equal(w->state.worst, LIMITS_TOKENS);
    assert_figure(w->state.figures[LIMITS_TOKENS], LIMITS_KEY, 600, 0, 60000);
    /* A second later there is room for ten more. */
    while (limits_grow(w->limits, &w->pass, tokens + 1, START + SECOND, &w->state))
        tokens++;
    assert_int_equal(tokens, 610);
}

static void a_stream_as_long_as_estimated_is_not_cut(void **state) {
    struct world *w = *state;
    w->on[0].rule.tpm = 600;
    assert_true(enter(w, 600, START));
    assert_true(limits_grow(w->limits, &w->pass, 600, START, &w->state));
    assert_false(limits_grow(w->limits, &w->pass, 601, START, &w->state));
    limits_leave(w->limits, &w->pass, 600, START);
    w->on[0].rule.tpm = 0;
    assert_true(enter(w, 1, START));
    assert_true(limits_grow(w->limits, &w->pass, UINT64_MAX, START, &w->state));
}

/* --- the promise, over random histories --- */

enum { HISTORY = 400, AT_ONCE = 16 };

struct let_in {
    uint64_t at;
    uint64_t tokens; /* in truth */
};

struct running {
    struct limits_pass pass;
    uint64_t truth;
};

/* Over each stretch from one request let in to another: the minute's allowance for that time, and
 * one burst. A unit more a request, because a cost is rounded down to the microsecond. */
static bool keeps_the_promise(const struct let_in *in, size_t n, uint64_t tpm) {
    for (size_t i = 0; i < n; i++) {
        uint64_t sum = 0;
        for (size_t j = i; j < n; j++) {
            sum += in[j].tokens;
            uint64_t may = tpm + (in[j].at - in[i].at) * tpm / (60 * SECOND);
            if (sum > may + (j - i + 1) / 1000 + 1)
                return false;
        }
    }
    return true;
}

static bool some_history(uint64_t seed, size_t *let) {
    struct world w = { .limits = limits_new() };
    struct let_in in[HISTORY];
    struct running runs[AT_ONCE];
    struct random random;
    size_t n = 0, n_runs = 0;
    uint64_t now = START;
    random_seed(&random, seed);
    w.on[0] = (struct limits_on){ LIMITS_KEY, SPAN("k"), { .tpm = 6000 } };
    for (int i = 0; i < HISTORY; i++) {
        now += random_below(&random, 4) ? random_below(&random, 2 * SECOND)
                                        : random_below(&random, 40 * SECOND);
        if (n_runs == AT_ONCE || (n_runs && random_below(&random, 2))) {
            size_t k = random_below(&random, n_runs);
            limits_leave(w.limits, &runs[k].pass, runs[k].truth, now);
            runs[k] = runs[--n_runs];
        }
        uint64_t tokens = random_below(&random, 6000);
        if (n_runs < AT_ONCE && limits_enter(w.limits, w.on, 1, tokens, now, &w.pass, &w.state)) {
            uint64_t truth = random_below(&random, 3) ? random_below(&random, tokens + 1) : 0;
            runs[n_runs++] = (struct running){ w.pass, truth };
            in[n++] = (struct let_in){ now, truth };
        }
    }
    while (n_runs--)
        limits_leave(w.limits, &runs[n_runs].pass, 0, now);
    limits_free(w.limits);
    *let += n;
    return keeps_the_promise(in, n, 6000);
}

static void no_history_gets_more_than_its_allowance(void **state) {
    size_t let = 0;
    for (uint64_t seed = 1; seed <= 500; seed++)
        if (!some_history(seed, &let))
            fail_msg("seed %" PRIu64, seed);
    assert_true(let > 20000); /* or it would show little */
}

/* --- memory --- */

static void what_is_idle_is_forgotten(void **state) {
    struct world *w = *state;
    struct limits_pass kept;
    w->on[0].rule = (struct limits_rule){ 60, 0, 1 };
    assert_true(enter(w, 1, START));
    kept = w->pass;
    for (unsigned i = 0; i < 100000; i++) {
        char name[32];
        snprintf(name, sizeof name, "key_%u", i);
        w->on[0].name = span_of(name);
        assert_true(came(w, 1, START + i * SECOND));
    }
    assert_true(limits_count(w->limits) < 2100);
    w->on[0].name = SPAN("key_a"); /* held all the while */
    assert_false(came(w, 1, START + 100000 * SECOND));
    limits_leave(w->limits, &kept, 1, START);
}

/* --- threads --- */

enum { THREADS = 4, TRIES = 20000 };

struct racer {
    struct world *w;
    pthread_t thread;
    atomic_int *inside;
    unsigned entered;
    int most;
};

static void *race(void *arg) {
    struct racer *r = arg;
    for (int i = 0; i < TRIES; i++) {
        struct limits_pass pass;
        struct limits_state state;
        if (!limits_enter(r->w->limits, r->w->on, 3, 10, START, &pass, &state))
            continue;
        r->entered++;
        int inside = atomic_fetch_add(r->inside, 1) + 1;
        r->most = inside > r->most ? inside : r->most;
        atomic_fetch_sub(r->inside, 1);
        limits_leave(r->w->limits, &pass, 10, START);
    }
    return NULL;
}

/* Returns how many got in. */
static unsigned run_race(struct world *w, int *most, double *ns) {
    struct racer racers[THREADS];
    atomic_int inside = 0;
    unsigned entered = 0;
    uint64_t begin = clock_us();
    *most = 0;
    for (int i = 0; i < THREADS; i++) {
        racers[i] = (struct racer){ .w = w, .inside = &inside };
        pthread_create(&racers[i].thread, NULL, race, &racers[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(racers[i].thread, NULL);
        entered += racers[i].entered;
        *most = racers[i].most > *most ? racers[i].most : *most;
    }
    *ns = (double)(clock_us() - begin) * 1000 / (THREADS * TRIES);
    return entered;
}

static void is_exact_over_threads(void **state) {
    struct world *w = *state;
    int most;
    double ns;
    w->on[0].rule.rpm = 30000;
    w->on[1].rule.tpm = 123450;
    w->on[2].rule.concurrent = 2;
    assert_int_equal(run_race(w, &most, &ns), 12345);
    assert_in_range(most, 1, 2);
}

static void tells_its_price(void **state) {
    struct world *w = *state;
    int most;
    double ns;
    for (int i = 0; i < 3; i++)
        w->on[i].rule = (struct limits_rule){ 4000000000u, 4000000000u, 1000 };
    assert_int_equal(run_race(w, &most, &ns), THREADS * TRIES);
    print_message("entering and leaving under three scopes, %d threads: %.0f ns\n", THREADS, ns);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(without_a_limit_everything_gets_in),
        TEST(a_minutes_requests_go_at_once_and_come_back_evenly),
        TEST(retrying_when_told_gets_in_and_not_before),
        TEST(figures_are_as_openai_tells_them),
        TEST(tells_the_tightest_of_each_kind),
        TEST(a_refusal_tells_the_limit_to_wait_for),
        TEST(requests_at_once_are_counted),
        TEST(all_limits_or_none_are_charged),
        TEST(names_and_scopes_are_kept_apart),
        TEST(what_is_larger_than_the_minute_goes_alone),
        TEST(what_was_not_used_is_given_back),
        TEST(what_has_flowed_off_is_not_given_back),
        TEST(nothing_given_back_is_saved_up),
        TEST(what_was_short_is_waited_for),
        TEST(one_request_locks_nobody_out_for_long),
        TEST(a_stream_is_cut_where_the_minute_ends),
        TEST(a_stream_as_long_as_estimated_is_not_cut),
        TEST(no_history_gets_more_than_its_allowance),
        TEST(what_is_idle_is_forgotten),
        TEST(is_exact_over_threads),
        TEST(tells_its_price),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
