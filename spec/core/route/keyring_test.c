/* keyring_test.c - weights, paces and cool-downs of a provider's keys, alone and under threads. */
#include "route/breaker.h"
#include "route/keyring.h"

#include "support/unit.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

struct world {
    struct keyring *ring;
    struct keyring_keys *keys;
    struct provider provider;
    struct provider_key key[3];
    struct random random;
};

static int set_up(void **state) {
    struct world *w = calloc(1, sizeof *w);
    w->ring = keyring_new();
    w->key[0] = (struct provider_key){ .secret = SPAN("sk-a"), .weight = 1 };
    w->key[1] = (struct provider_key){ .secret = SPAN("sk-b"), .weight = 3 };
    w->key[2] = (struct provider_key){ .secret = SPAN("sk-c"), .weight = 1 };
    w->provider = (struct provider){ .name = SPAN("openai"), .keys = w->key, .n_keys = 2 };
    random_seed(&w->random, 7);
    *state = w;
    return 0;
}

static int tear_down(void **state) {
    struct world *w = *state;
    free(w->keys);
    keyring_free(w->ring);
    free(w);
    return 0;
}

static void begin(struct world *w) {
    free(w->keys);
    w->keys = keyring_keys(w->ring, &w->provider);
}

static struct keyring_pick pick(struct world *w, uint64_t now_ms) {
    return keyring_pick(w->keys, 100, &w->random, now_ms);
}

static void shares_by_weight(void **state) {
    struct world *w = *state;
    unsigned picked[2] = { 0 };
    begin(w);
    for (int i = 0; i < 4000; i++)
        picked[pick(w, 1000).key - w->key]++;
    assert_in_range(picked[0], 850, 1150);
    assert_int_equal(picked[0] + picked[1], 4000);
}

static void gives_nothing_where_there_are_no_keys(void **state) {
    struct world *w = *state;
    w->provider.n_keys = 0;
    begin(w);
    struct keyring_pick p = pick(w, 1000);
    assert_null(p.key);
    assert_int_equal(p.wait_ms, 0);
    assert_true(keyring_headroom(w->keys, 1000) == 1);
}

/* Whether the key is among those that are picked. */
static bool is_picked(struct world *w, size_t key, uint64_t now_ms) {
    bool picked = false;
    for (int i = 0; i < 50; i++)
        picked |= pick(w, now_ms).key == &w->key[key];
    return picked;
}

static bool cool(struct world *w, size_t key, enum failure class, int64_t told, uint64_t now_ms) {
    return keyring_cool(w->keys, &w->key[key], class, told, now_ms);
}

static void passes_over_a_key_that_cools_down(void **state) {
    struct world *w = *state;
    begin(w);
    assert_true(cool(w, 1, FAILURE_RATE_LIMITED, 4000, 1000));
    for (int i = 0; i < 50; i++)
        assert_ptr_equal(pick(w, 4999).key, &w->key[0]);
    assert_true(is_picked(w, 1, 5000));
}

static void does_not_shorten_a_cool_down(void **state) {
    struct world *w = *state;
    begin(w);
    cool(w, 1, FAILURE_RATE_LIMITED, 4000, 1000);
    cool(w, 1, FAILURE_RATE_LIMITED, 1000, 1000);
    cool(w, 1, FAILURE_QUOTA, -1, 1000);
    assert_false(is_picked(w, 1, 4999));
    cool(w, 1, FAILURE_RATE_LIMITED, 6000, 4999);
    assert_false(is_picked(w, 1, 10998));
    assert_true(is_picked(w, 1, 10999));
}

static void keeps_the_last_key_that_works(void **state) {
    struct world *w = *state;
    begin(w);
    assert_true(cool(w, 0, FAILURE_AUTH, 8000, 1000));
    assert_false(cool(w, 1, FAILURE_AUTH, 8000, 1000));
    assert_ptr_equal(pick(w, 1000).key, &w->key[1]);
}

static void what_says_nothing_about_a_key_leaves_it(void **state) {
    struct world *w = *state;
    begin(w);
    for (enum failure class = FAILURE_CONNECT; class < FAILURE_COUNT; class ++) {
        bool of_key =
            class == FAILURE_AUTH || class == FAILURE_QUOTA || class == FAILURE_RATE_LIMITED;
        if (!of_key)
            assert_false(cool(w, 1, class, 4000, 1000));
    }
    assert_true(is_picked(w, 1, 1000));
}

static void rests_longer_each_time_until_it_works(void **state) {
    struct world *w = *state;
    uint64_t now = 1000;
    begin(w);
    for (uint64_t ms = BREAKER_COOL_MS; ms < 4 * BREAKER_COOL_MAX_MS; ms *= 2) {
        uint64_t wanted = ms < BREAKER_COOL_MAX_MS ? ms : BREAKER_COOL_MAX_MS;
        assert_true(cool(w, 1, FAILURE_AUTH, -1, now));
        cool(w, 1, FAILURE_AUTH, -1, now); /* another that was under way */
        keyring_worked(w->keys, &w->key[1], now);
        assert_false(is_picked(w, 1, now + wanted - 1));
        assert_true(is_picked(w, 1, now + wanted));
        now += wanted;
    }
    keyring_worked(w->keys, &w->key[1], now);
    cool(w, 1, FAILURE_AUTH, -1, now);
    assert_false(is_picked(w, 1, now + BREAKER_COOL_MS - 1));
    assert_true(is_picked(w, 1, now + BREAKER_COOL_MS));
}

static void a_word_that_does_not_hold_is_not_enough(void **state) {
    struct world *w = *state;
    begin(w);
    cool(w, 1, FAILURE_RATE_LIMITED, 20, 1000);
    assert_true(is_picked(w, 1, 1020));
    cool(w, 1, FAILURE_RATE_LIMITED, 20, 1020);
    assert_false(is_picked(w, 1, 1020 + BREAKER_COOL_MS - 1));
    assert_true(is_picked(w, 1, 1020 + BREAKER_COOL_MS));
    cool(w, 1, FAILURE_QUOTA, INT64_MAX, 10000);
    assert_false(is_picked(w, 1, 10000 + BREAKER_TOLD_MAX_MS - 1));
    assert_true(is_picked(w, 1, 10000 + BREAKER_TOLD_MAX_MS));
}

static void sends_evenly_behind_the_burst(void **state) {
    struct world *w = *state;
    w->provider.n_keys = 1;
    w->key[0].rpm =
        600; /* ten a second; a tenth of a minute at once is 60, and the one that opens */
    begin(w);
    unsigned sent = 0;
    while (pick(w, 1000).key)
        sent++;
    assert_in_range(sent, 60, 61);
    struct keyring_pick p = pick(w, 1000);
    assert_in_range(p.wait_ms, 1, 100);
    assert_ptr_equal(pick(w, 1000 + p.wait_ms).key, &w->key[0]);
    assert_null(pick(w, 1000 + p.wait_ms).key);
    for (unsigned second = 0; second < 20; second++) {
        unsigned more = 0;
        for (unsigned ms = 0; ms < 1000; ms++)
            more += pick(w, 10000 + second * 1000 + ms).key != NULL;
        if (second >= 10) /* what had gathered is used up */
            assert_in_range(more, 9, 11);
    }
}

static void waits_as_long_as_it_may(void **state) {
    struct world *w = *state;
    w->provider.n_keys = 1;
    w->provider.pace_wait_ms = 250;
    w->key[0].rpm = 600;
    begin(w);
    unsigned sent = 0;
    uint64_t longest = 0;
    for (struct keyring_pick p; (p = pick(w, 1000)).key; sent++)
        longest = p.wait_ms > longest ? p.wait_ms : longest;
    assert_in_range(sent, 62, 64);
    assert_in_range(longest, 100, 250);
}

static void counts_tokens_as_well(void **state) {
    struct world *w = *state;
    w->provider.n_keys = 1;
    w->key[0].rpm = 60000;
    w->key[0].tpm = 10000; /* a hundred at a time: ten at once */
    begin(w);
    unsigned sent = 0;
    while (pick(w, 1000).key)
        sent++;
    assert_in_range(sent, 10, 11);
    assert_true(keyring_headroom(w->keys, 1000) == 0);
    assert_true(keyring_headroom(w->keys, 4000) > 0.3 && keyring_headroom(w->keys, 4000) < 0.6);
}

static void lets_what_is_larger_than_the_burst_go_alone(void **state) {
    struct world *w = *state;
    w->provider.n_keys = 1;
    w->key[0].tpm = 1000;
    begin(w);
    assert_non_null(keyring_pick(w->keys, 50000, &w->random, 1000).key);
    assert_null(keyring_pick(w->keys, 1, &w->random, 54000).key);
}

static void is_back_in_a_minute_after_more_than_a_minute_allows(void **state) {
    static const uint64_t sizes[] = { 11, 5000000, UINT64_C(1) << 53, UINT64_MAX };
    struct world *w = *state;
    w->provider.n_keys = 1;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint64_t now_ms = 1000 + i * 1000000;
        w->key[0].tpm = i ? 1 : 10;
        begin(w);
        assert_non_null(keyring_pick(w->keys, sizes[i], &w->random, now_ms).key);
        assert_null(keyring_pick(w->keys, 1, &w->random, now_ms + 53000).key);
        assert_non_null(keyring_pick(w->keys, 1, &w->random, now_ms + 54000).key);
    }
}

static void remembers_a_key_over_reloads_and_by_provider(void **state) {
    struct world *w = *state;
    begin(w);
    cool(w, 1, FAILURE_RATE_LIMITED, 4000, 1000);
    begin(w);
    for (int i = 0; i < 50; i++)
        assert_ptr_equal(pick(w, 1000).key, &w->key[0]);
    struct provider other = w->provider;
    other.name = SPAN("azure");
    struct keyring_keys *keys = keyring_keys(w->ring, &other);
    bool there = false;
    for (int i = 0; i < 50; i++)
        there |= keyring_pick(keys, 1, &w->random, 1000).key == &w->key[1];
    assert_true(there);
    free(keys);
}

/* --- threads --- */

struct racer {
    struct world *w;
    pthread_t thread;
    unsigned sent;
};

static void *race(void *arg) {
    struct racer *r = arg;
    struct random random;
    random_seed(&random, (uint64_t)(uintptr_t)r);
    for (int i = 0; i < 20000; i++)
        r->sent += keyring_pick(r->w->keys, 1, &random, 1000).key != NULL;
    return NULL;
}

static void is_exact_over_threads(void **state) {
    struct world *w = *state;
    struct racer racers[4];
    unsigned sent = 0;
    w->key[0].rpm = w->key[1].rpm = 6000;
    begin(w);
    for (int i = 0; i < 4; i++) {
        racers[i] = (struct racer){ .w = w };
        pthread_create(&racers[i].thread, NULL, race, &racers[i]);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(racers[i].thread, NULL);
        sent += racers[i].sent;
    }
    assert_in_range(sent, 2 * 600, 2 * 601);
}

/* Each finds the other's key working, and rests its own: one of them must not. */
struct refuser {
    struct world *w;
    pthread_t thread;
    atomic_uint *here; /* how many came to where both are to be, in all rounds */
    size_t key;
    bool rests;
};

enum { ROUNDS = 20000, ROUND_MS = 2 * BREAKER_TOLD_MAX_MS };

/* Both go on from here at the same moment, as near as can be. */
static void meet(struct refuser *r, unsigned nth) {
    atomic_fetch_add(r->here, 1);
    for (unsigned spins = 1; atomic_load(r->here) < 2 * nth; spins++)
        if (spins % 1000 == 0) /* there may be one core for both */
            sched_yield();
}

static void *refuse(void *arg) {
    struct refuser *r = arg;
    void *both = NULL;
    for (unsigned round = 1; round <= ROUNDS; round++) {
        meet(r, 2 * round - 1);
        /* Who came last leaves first: the other is given every head start there is. */
        for (volatile unsigned i = r->key ? 100 : round % 200; i; i--)
            ;
        r->rests =
            cool(r->w, r->key, FAILURE_QUOTA, BREAKER_TOLD_MAX_MS, (uint64_t)round * ROUND_MS);
        meet(r, 2 * round);
        if (r->rests && r[r->key ? -1 : 1].rests)
            both = r;
    }
    return both;
}

static void keeps_the_last_key_over_threads(void **state) {
    struct world *w = *state;
    struct refuser refusers[2];
    atomic_uint here = 0;
    begin(w);
    for (size_t i = 0; i < 2; i++)
        refusers[i] = (struct refuser){ .w = w, .here = &here, .key = i };
    for (size_t i = 0; i < 2; i++)
        pthread_create(&refusers[i].thread, NULL, refuse, &refusers[i]);
    for (size_t i = 0; i < 2; i++) {
        void *both;
        pthread_join(refusers[i].thread, &both);
        assert_null(both);
    }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(shares_by_weight),
        TEST(gives_nothing_where_there_are_no_keys),
        TEST(passes_over_a_key_that_cools_down),
        TEST(does_not_shorten_a_cool_down),
        TEST(keeps_the_last_key_that_works),
        TEST(what_says_nothing_about_a_key_leaves_it),
        TEST(rests_longer_each_time_until_it_works),
        TEST(a_word_that_does_not_hold_is_not_enough),
        TEST(sends_evenly_behind_the_burst),
        TEST(waits_as_long_as_it_may),
        TEST(counts_tokens_as_well),
        TEST(lets_what_is_larger_than_the_burst_go_alone),
        TEST(is_back_in_a_minute_after_more_than_a_minute_allows),
        TEST(remembers_a_key_over_reloads_and_by_provider),
        TEST(is_exact_over_threads),
        TEST(keeps_the_last_key_over_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
