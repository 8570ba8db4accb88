/* chain_backoff_test.c - how long the same step is waited for: evenly spread, under a cap that doubles. */
#include "route/chain.h"

#include "support/unit.h"

#include <math.h>

enum { DRAWS = 100000, FIRST_CAP_MS = 100, LAST_CAP_MS = 5000 };

static nanousd bound(void *owner, const struct step *step) {
    return 0;
}

static uint32_t latency(void *owner, const struct step *step) {
    return 0;
}

/* A chain of one step that fails for ever. */
struct bench {
    struct provider provider;
    struct target target;
    struct step step;
    struct chain chain;
    struct chain_walk walk;
    struct chain_view view;
    struct random random;
};

static void set_up(struct bench *b, uint64_t seed) {
    *b = (struct bench){ .target = { .provider = &b->provider } };
    random_seed(&b->random, seed);
    b->step = (struct step){ .target = &b->target, .retries = 64, .max_cost = NANOUSD_NONE };
    b->chain = (struct chain){ .steps = &b->step, .n_steps = 1, .max_cost = NANOUSD_NONE };
    b->view = (struct chain_view){ .bound = bound, .latency = latency, .random = &b->random };
}

/* The waits before the 2nd, 3rd ... try. */
static void walk(struct bench *b, uint32_t *waits, size_t n) {
    const struct chain_failure failed = { FAILURE_SERVER_ERROR, -1 };
    chain_begin(&b->walk, &b->chain, 0, 0);
    assert_int_equal(chain_next(&b->walk, &b->view, NULL, 0).verdict, CHAIN_TRY);
    for (size_t i = 0; i < n; i++) {
        struct chain_move move = chain_next(&b->walk, &b->view, &failed, 0);
        assert_int_equal(move.verdict, CHAIN_WAIT);
        waits[i] = move.wait_ms;
        assert_int_equal(chain_resume(&b->walk, &b->view, 0).verdict, CHAIN_TRY);
    }
}

/* Pearson's: each wait from 0 to the cap is as likely as any other. Its sum is spread like chi-square of
 * `cells - 1` degrees, near enough a normal one of mean k and variance 2k; five deviations are met by
 * chance once in millions of seeds, and the seed stands. */
static void every_wait_is_as_likely_as_any_other(void **state) {
    enum { CELLS = FIRST_CAP_MS + 1 };
    unsigned found[CELLS] = { 0 };
    double sum = 0, wanted = (double)DRAWS / CELLS, degrees = CELLS - 1;
    struct bench b;
    set_up(&b, 20);
    for (int i = 0; i < DRAWS; i++) {
        uint32_t wait;
        walk(&b, &wait, 1);
        assert_true(wait < CELLS);
        found[wait]++;
    }
    for (int i = 0; i < CELLS; i++)
        sum += (found[i] - wanted) * (found[i] - wanted) / wanted;
    assert_true(fabs(sum - degrees) < 5 * sqrt(2 * degrees));
}

/* The mean of n even draws from 0 to c is c/2, give or take c / sqrt(12 n); the largest of so many is all
 * but the cap. */
static void the_cap_doubles_up_to_five_seconds(void **state) {
    enum { TRIES = 12, WALKS = DRAWS / TRIES };
    double sums[TRIES] = { 0 };
    uint32_t most[TRIES] = { 0 }, waits[TRIES];
    struct bench b;
    set_up(&b, 21);
    for (int i = 0; i < WALKS; i++) {
        walk(&b, waits, TRIES);
        for (int t = 0; t < TRIES; t++) {
            sums[t] += waits[t];
            most[t] = waits[t] > most[t] ? waits[t] : most[t];
        }
    }
    for (int t = 0; t < TRIES; t++) {
        double cap = fmin(FIRST_CAP_MS * pow(2, t), LAST_CAP_MS);
        assert_true(fabs(sums[t] / WALKS - cap / 2) < 5 * (cap + 1) / sqrt(12.0 * WALKS));
        assert_true(most[t] <= cap && most[t] > cap * 0.99 - 1);
    }
}

/* Two that failed at the same moment do not come again at the same moments. */
static void two_do_not_keep_step(void **state) {
    uint32_t a[10], b[10];
    struct bench one, other;
    set_up(&one, 1);
    set_up(&other, 2);
    walk(&one, a, 10);
    walk(&other, b, 10);
    assert_memory_not_equal(a, b, sizeof a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_wait_is_as_likely_as_any_other),
        cmocka_unit_test(the_cap_doubles_up_to_five_seconds),
        cmocka_unit_test(two_do_not_keep_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
