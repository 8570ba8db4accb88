/* budget_test.c - reserving, clamping and settling under caps, periods and clocks, alerts, free
 * requests, and all of it over threads. */
#include "money/budget.h"

#include "base/clock.h"
#include "base/random.h"
#include "support/unit.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

enum { DAY = 86400 };

/* Noon of 2026-11-22. */
#define NOON INT64_C(1795348800)
#define DOLLAR INT64_C(1000000000)

struct world {
    struct budget *budget;
    struct budget_hold hold;
    struct budget_answer answer;
    struct budget_alert told[16];
    size_t n_told;
};

static void on_alert(void *owner, const struct budget_alert *alert) {
    struct world *w = owner;
    assert_true(w->n_told < 16);
    w->told[w->n_told++] = *alert;
    /* No lock is held: this would not come back. */
    budget_free_left(w->budget, SPAN("shop"), 1);
}

static int set_up(void **state) {
    static const struct budget_events events = { on_alert };
    struct world *w = calloc(1, sizeof *w);
    w->budget = budget_new(&events, w);
    *state = w;
    return 0;
}

static int tear_down(void **state) {
    struct world *w = *state;
    budget_free(w->budget);
    free(w);
    return 0;
}

static struct budget_cap cap_of(enum budget_scope scope, const char *name, enum period_kind period,
                                int64_t nano) {
    return (struct budget_cap){ scope, span_of(name), period, 0, nano, { 0 } };
}

/* An attempt that costs at most that much, and has no output to clamp. */
static bool reserve(struct world *w, const struct budget_cap *caps, size_t n, int64_t nano,
                    int64_t now_s) {
    struct budget_ask ask = { .fixed = nano };
    return budget_reserve(w->budget, caps, n, &ask, now_s, &w->hold, &w->answer);
}

static bool spend(struct world *w, const struct budget_cap *cap, int64_t nano, int64_t now_s) {
    bool allowed = reserve(w, cap, 1, nano, now_s);
    budget_settle(w->budget, &w->hold, nano);
    return allowed;
}

static int64_t left(struct world *w, const struct budget_cap *cap, int64_t now_s) {
    return budget_figure(w->budget, cap, now_s).left;
}

/* --- one cap --- */

static void what_is_reserved_is_not_there_for_others(void **state) {
    struct world *w = *state;
    struct budget_cap cap = cap_of(BUDGET_PROJECT, "shop", PERIOD_MONTH, 100);
    assert_true(reserve(w, &cap, 1, 60, NOON));
    struct budget_hold first = w->hold;
    assert_false(reserve(w, &cap, 1, 41, NOON));
    assert_ptr_equal(w->answer.cap, &cap);
    assert_int_equal(w->answer.left, 40);
    assert_int_equal(w->answer.tokens, 0);
    assert_int_equal(w->answer.resets_s, NOON + 8 * DAY + DAY / 2);
    assert_true(w->answer.pending);
    assert_true(reserve(w, &cap, 1, 40, NOON));
    assert_false(budget_settle(w->budget, &first, 25));
    budget_settle(w->budget, &first, 25); /* once more does nothing */
    struct budget_figure f = budget_figure(w->budget, &cap, NOON);
    assert_int_equal(f.left, 35);
    assert_int_equal(f.spent, 25);
    assert_int_equal(f.held, 40);
    budget_settle(w->budget, &w->hold, 0);
    assert_int_equal(left(w, &cap, NOON), 75);
}

static void waiting_is_in_vain_for_what_is_spent(void **state) {
    struct world *w = *state;
    struct budget_cap caps[] = { cap_of(BUDGET_KEY, "a", PERIOD_DAY, 100),
                                 cap_of(BUDGET_ACCOUNT, NULL, PERIOD_DAY, 130) };
    struct budget_cap *key = &caps[0], *account = &caps[1];
    assert_true(spend(w, account, 60, NOON));
    assert_true(reserve(w, key, 1, 90, NOON));
    struct budget_hold held = w->hold;
    /* The key leaves less, but the account is the one that never will do. */
    assert_false(reserve(w, caps, 2, 80, NOON));
    assert_false(w->answer.pending);
    assert_ptr_equal(w->answer.cap, account);
    assert_int_equal(w->answer.left, 70);
    assert_false(reserve(w, caps, 2, 70, NOON));
    assert_true(w->answer.pending);
    assert_ptr_equal(w->answer.cap, key);
    budget_settle(w->budget, &held, 0);
    assert_true(reserve(w, caps, 2, 70, NOON));
    budget_settle(w->budget, &w->hold, 0);
}

static void the_truth_counts_even_beyond_the_bound(void **state) {
    struct world *w = *state;
    struct budget_cap cap = cap_of(BUDGET_KEY, "a", PERIOD_TOTAL, 100);
    assert_true(reserve(w, &cap, 1, 10, NOON));
    assert_true(budget_settle(w->budget, &w->hold, 130));
    assert_int_equal(budget_figure(w->budget, &cap, NOON).spent, 130);
    assert_int_equal(left(w, &cap, NOON), 0);
    assert_false(reserve(w, &cap, 1, 0, NOON));
    assert_int_equal(w->answer.left, -30);
    assert_int_equal(w->answer.resets_s, PERIOD_FOR_EVER);
}

static void a_request_cap_is_each_requests_own(void **state) {
    struct world *w = *state;
    struct budget_cap cap = cap_of(BUDGET_REQUEST, NULL, PERIOD_TOTAL, 100);
    for (int i = 0; i < 3; i++)
        assert_true(spend(w, &cap, 100, NOON));
    assert_false(reserve(w, &cap, 1, 101, NOON));
    assert_false(w->answer.pending);
    assert_int_equal(left(w, &cap, NOON), 100);
}

static void without_a_cap_all_is_allowed(void **state) {
    struct world *w = *state;
    struct budget_ask ask = { 5, DOLLAR, UINT64_MAX, 1, false };
    assert_true(budget_reserve(w->budget, NULL, 0, &ask, NOON, &w->hold, &w->answer));
    assert_null(w->answer.cap);
    assert_true(w->answer.tokens == UINT64_MAX && !w->answer.clamped);
    struct budget_figure figure;
    assert_null(budget_tightest(w->budget, NULL, 0, false, NOON, &figure));
    assert_true(figure.left == BUDGET_UNLIMITED);
    assert_int_equal(w->hold.nano, BUDGET_UNLIMITED);
    assert_false(budget_settle(w->budget, &w->hold, 7));
}

/* --- several --- */

static void all_caps_or_none_are_charged(void **state) {
    struct world *w = *state;
    struct budget_cap caps[] = {
        cap_of(BUDGET_KEY, "a", PERIOD_DAY, 1000),
        cap_of(BUDGET_PROJECT, "a", PERIOD_DAY, 1000), /* the same name, and another one */
        cap_of(BUDGET_PROJECT, "a", PERIOD_MONTH, 50),
        cap_of(BUDGET_ACCOUNT, NULL, PERIOD_TOTAL, 500),
    };
    assert_false(reserve(w, caps, 4, 51, NOON));
    assert_ptr_equal(w->answer.cap, &caps[2]);
    for (int i = 0; i < 4; i++)
        assert_int_equal(left(w, &caps[i], NOON), caps[i].nano);
    assert_true(reserve(w, caps, 4, 50, NOON));
    budget_settle(w->budget, &w->hold, 30);
    for (int i = 0; i < 4; i++)
        assert_int_equal(left(w, &caps[i], NOON), caps[i].nano - 30);
    struct budget_figure f;
    assert_ptr_equal(budget_tightest(w->budget, caps, 4, false, NOON, &f), &caps[2]);
    assert_int_equal(f.left, 20);
    assert_int_equal(f.spent, 30);
    assert_ptr_equal(budget_tightest(w->budget, caps, 4, true, NOON, &f), &caps[3]);
    assert_int_equal(f.left, 470);
}

static void one_account_is_charged_once(void **state) {
    struct world *w = *state;
    struct budget_cap caps[] = { cap_of(BUDGET_KEY, "a", PERIOD_DAY, 1000),
                                 cap_of(BUDGET_KEY, "a", PERIOD_DAY, 100) };
    assert_true(reserve(w, caps, 2, 60, NOON));
    assert_int_equal(left(w, &caps[0], NOON), 940);
    budget_settle(w->budget, &w->hold, 60);
    assert_int_equal(left(w, &caps[1], NOON), 40);
    assert_false(reserve(w, caps, 2, 60, NOON));
}

static void long_names_are_names(void **state) {
    struct world *w = *state;
    static char names[2][500];
    memset(names, 'x', sizeof names);
    names[0][499] = '\0';
    names[1][498] = 'y';
    names[1][499] = '\0';
    struct budget_cap a = cap_of(BUDGET_KEY, names[0], PERIOD_DAY, 10);
    struct budget_cap b = cap_of(BUDGET_KEY, names[1], PERIOD_DAY, 10);
    assert_true(spend(w, &a, 10, NOON));
    assert_false(spend(w, &a, 1, NOON));
    assert_true(spend(w, &b, 10, NOON));
}

/* --- clamping --- */

static void a_bound_is_rounded_up_once(void **state) {
    struct budget_ask ask = { 3, 1, 0, 0, false };
    assert_int_equal(budget_bound(&ask, 0), 3);
    assert_int_equal(budget_bound(&ask, 1), 4);
    assert_int_equal(budget_bound(&ask, 1000000), 4);
    assert_int_equal(budget_bound(&ask, 1000001), 5);
    ask.per_million = 75 * DOLLAR;
    assert_int_equal(budget_bound(&ask, 8192), 3 + 614400000);
    assert_int_equal(budget_bound(&ask, UINT64_MAX), BUDGET_UNLIMITED);
}

static void a_clamp_is_as_much_as_there_is(void **state) {
    struct world *w = *state;
    struct random random;
    random_seed(&random, 5);
    for (int i = 0; i < 20000; i++) {
        struct budget_cap cap =
            cap_of(BUDGET_REQUEST, NULL, PERIOD_TOTAL, (int64_t)random_below(&random, 100000000));
        struct budget_ask ask = { (int64_t)random_below(&random, 50000000),
                                  (int64_t)random_below(&random, 80 * DOLLAR),
                                  random_below(&random, 20000), 1, false };
        bool allowed = budget_reserve(w->budget, &cap, 1, &ask, NOON, &w->hold, &w->answer);
        uint64_t tokens = w->answer.tokens;
        if (allowed) {
            assert_true(budget_bound(&ask, tokens) <= cap.nano);
            assert_true(tokens == ask.tokens || budget_bound(&ask, tokens + 1) > cap.nano);
            assert_int_equal(w->answer.clamped, tokens < ask.tokens);
            assert_int_equal(w->hold.nano, budget_bound(&ask, tokens));
        } else {
            assert_true(budget_bound(&ask, ask.tokens ? 1 : 0) > cap.nano);
        }
        budget_settle(w->budget, &w->hold, 0);
    }
}

static void too_few_tokens_are_none(void **state) {
    struct world *w = *state;
    struct budget_cap cap = cap_of(BUDGET_KEY, "a", PERIOD_DAY, 100);
    struct budget_ask ask = { 10, 1000000, 200, 91, false };
    assert_false(budget_reserve(w->budget, &cap, 1, &ask, NOON, &w->hold, &w->answer));
    assert_int_equal(w->answer.tokens, 0);
    ask.least = 90;
    assert_true(budget_reserve(w->budget, &cap, 1, &ask, NOON, &w->hold, &w->answer));
    assert_int_equal(w->answer.tokens, 90);
    assert_true(w->answer.clamped);
    assert_ptr_equal(w->answer.cap, &cap);
    budget_settle(w->budget, &w->hold, 0);
    ask.least = ask.tokens; /* refuse rather than clamp */
    assert_false(budget_reserve(w->budget, &cap, 1, &ask, NOON, &w->hold, &w->answer));
}

/* --- periods and clocks --- */

static void a_period_begins_with_the_whole_cap(void **state) {
    struct world *w = *state;
    struct budget_cap day = cap_of(BUDGET_KEY, "a", PERIOD_DAY, 100);
    struct budget_cap month = cap_of(BUDGET_KEY, "a", PERIOD_MONTH, 100);
    struct budget_cap total = cap_of(BUDGET_KEY, "a", PERIOD_TOTAL, 100);
    day.offset_min = -60;
    assert_true(spend(w, &day, 80, NOON) && spend(w, &month, 80, NOON) &&
                spend(w, &total, 80, NOON));
    assert_int_equal(left(w, &day, NOON + DAY / 2 + 3599), 20);
    assert_int_equal(left(w, &day, NOON + DAY / 2 + 3600), 100);
    assert_int_equal(left(w, &month, NOON + 8 * DAY), 20);
    assert_int_equal(left(w, &month, NOON + 9 * DAY), 100);
    assert_int_equal(left(w, &total, NOON + 9000 * (int64_t)DAY), 20);
}

static void what_was_reserved_yesterday_is_spent_yesterday(void **state) {
    struct world *w = *state;
    struct budget_cap cap = cap_of(BUDGET_KEY, "a", PERIOD_DAY, 100);
    assert_true(reserve(w, &cap, 1, 70, NOON));
    struct budget_hold over_midnight = w->hold;
    assert_true(spend(w, &cap, 100, NOON + DAY));
    budget_settle(w->budget, &over_midnight, 70);
    assert_int_equal(left(w, &cap, NOON + DAY), 0);
    assert_int_equal(left(w, &cap, NOON), 30);
}

static void a_clock_that_jumps_gives_nothing_twice(void **state) {
    struct world *w = *state;
    static const int64_t moments[] = { NOON, NOON + DAY, NOON + 20000 * (int64_t)DAY, 0, INT64_MAX,
                                       -5,   NOON + 50 };
    struct budget_cap cap = cap_of(BUDGET_KEY, "a", PERIOD_DAY, 100);
    int64_t sum = 0;
    for (int i = 0; i < 700; i++)
        if (spend(w, &cap, 30, moments[i % 7]))
            sum += 30;
    /* Five days are named, three times thirty fit into each. */
    assert_int_equal(sum, 5 * 90);
}

static void a_clock_that_comes_back_locks_nobody_out(void **state) {
    struct world *w = *state;
    struct budget_cap cap = cap_of(BUDGET_KEY, "a", PERIOD_MONTH, 100);
    assert_true(spend(w, &cap, 100, NOON + 5000 * (int64_t)DAY));
    assert_false(spend(w, &cap, 1, NOON + 5000 * (int64_t)DAY));
    assert_true(spend(w, &cap, 100, NOON));
    assert_true(spend(w, &cap, 100, NOON + 20 * DAY));
}

static void periods_long_gone_are_forgotten_but_for_what_is_held(void **state) {
    struct world *w = *state;
    struct budget_cap cap = cap_of(BUDGET_KEY, "a", PERIOD_DAY, 100);
    assert_true(reserve(w, &cap, 1, 60, NOON));
    struct budget_hold held = w->hold;
    assert_true(spend(w, &cap, 60, NOON + DAY));
    for (int i = 2; i < 40; i++)
        assert_true(spend(w, &cap, 60, NOON + i * DAY));
    assert_int_equal(left(w, &cap, NOON + DAY), 100);
    assert_int_equal(left(w, &cap, NOON + 35 * DAY), 40);
    budget_settle(w->budget, &held, 50);
    assert_int_equal(left(w, &cap, NOON), 50);
}

static void what_the_ledger_knows_counts_once(void **state) {
    struct world *w = *state;
    struct budget_cap cap = cap_of(BUDGET_KEY, "a", PERIOD_DAY, 100);
    assert_true(budget_load(w->budget, &cap, 70, NOON));
    assert_false(spend(w, &cap, 31, NOON));
    assert_true(spend(w, &cap, 30, NOON));
    assert_false(budget_load(w->budget, &cap, 70, NOON));
    assert_int_equal(left(w, &cap, NOON), 0);
    /* Another zone has another day, which is told anew. */
    cap.offset_min = 60;
    assert_true(budget_load(w->budget, &cap, 90, NOON));
    assert_int_equal(left(w, &cap, NOON), 10);
}

static void a_cap_that_changes_keeps_what_was_spent(void **state) {
    struct world *w = *state;
    struct budget_cap cap = cap_of(BUDGET_KEY, "a", PERIOD_DAY, 100);
    assert_true(spend(w, &cap, 80, NOON));
    cap.nano = 50;
    assert_false(spend(w, &cap, 1, NOON));
    assert_int_equal(w->answer.left, -30);
    cap.nano = 200;
    assert_true(spend(w, &cap, 120, NOON));
}

/* --- alerts --- */

static void shares_are_told_once_a_period(void **state) {
    struct world *w = *state;
    struct budget_cap cap = cap_of(BUDGET_PROJECT, "shop", PERIOD_DAY, 1000);
    memcpy(cap.alerts, (unsigned char[]){ 50, 80, 100 }, 3);
    assert_true(spend(w, &cap, 499, NOON));
    assert_int_equal(w->n_told, 0);
    assert_true(spend(w, &cap, 1, NOON));
    assert_int_equal(w->n_told, 1);
    assert_int_equal(w->told[0].percent, 50);
    assert_int_equal(w->told[0].spent, 500);
    assert_int_equal(w->told[0].nano, 1000);
    assert_int_equal(w->told[0].scope, BUDGET_PROJECT);
    assert_span(w->told[0].name, "shop");
    assert_int_equal(w->told[0].when.to_s, NOON + DAY / 2);
    assert_true(spend(w, &cap, 200, NOON));
    assert_int_equal(w->n_told, 1);
    assert_true(spend(w, &cap, 300, NOON)); /* two at once */
    assert_int_equal(w->n_told, 3);
    assert_int_equal(w->told[1].percent, 80);
    assert_int_equal(w->told[2].percent, 100);
    assert_true(spend(w, &cap, 600, NOON + DAY));
    assert_int_equal(w->n_told, 4);
    assert_true(spend(w, &cap, 0, NOON)); /* the clock went back: that was told */
    assert_int_equal(w->n_told, 4);
}

static void a_raised_cap_is_told_of_again(void **state) {
    struct world *w = *state;
    struct budget_cap cap = cap_of(BUDGET_PROJECT, "shop", PERIOD_DAY, 100);
    cap.alerts[0] = 80;
    assert_true(spend(w, &cap, 90, NOON));
    cap.nano = 1000;
    assert_true(spend(w, &cap, 700, NOON));
    assert_int_equal(w->n_told, 1);
    assert_true(spend(w, &cap, 10, NOON));
    assert_int_equal(w->n_told, 2);
}

static void what_was_reached_before_the_start_is_not_told(void **state) {
    struct world *w = *state;
    struct budget_cap cap = cap_of(BUDGET_ACCOUNT, NULL, PERIOD_MONTH, 100);
    cap.alerts[0] = 50;
    cap.alerts[1] = 90;
    budget_load(w->budget, &cap, 60, NOON);
    assert_true(spend(w, &cap, 10, NOON));
    assert_int_equal(w->n_told, 0);
    assert_true(spend(w, &cap, 20, NOON));
    assert_int_equal(w->n_told, 1);
    assert_int_equal(w->told[0].percent, 90);
}

/* --- free requests --- */

static void free_requests_count_when_answered(void **state) {
    struct world *w = *state;
    struct span shop = SPAN("shop");
    assert_false(budget_free_begin(w->budget, shop, 0));
    assert_true(budget_free_begin(w->budget, shop, 2));
    assert_true(budget_free_begin(w->budget, shop, 2));
    assert_false(budget_free_begin(w->budget, shop, 2));
    assert_true(budget_free_begin(w->budget, SPAN("other"), 2));
    budget_free_end(w->budget, shop, false);
    assert_int_equal(budget_free_left(w->budget, shop, 2), 1);
    assert_true(budget_free_begin(w->budget, shop, 2));
    budget_free_end(w->budget, shop, true);
    budget_free_end(w->budget, shop, true);
    assert_int_equal(budget_free_left(w->budget, shop, 2), 0);
    assert_int_equal(budget_free_left(w->budget, shop, 1), 0);
    assert_int_equal(budget_free_left(w->budget, SPAN("new"), 5), 5);
    budget_free_end(w->budget, SPAN("other"), true);
}

static void free_requests_are_for_life(void **state) {
    struct world *w = *state;
    struct span shop = SPAN("shop");
    assert_true(budget_free_load(w->budget, shop, 999));
    assert_false(budget_free_load(w->budget, shop, 0));
    assert_true(budget_free_begin(w->budget, shop, 1000));
    assert_false(budget_free_begin(w->budget, shop, 1000));
    budget_free_end(w->budget, shop, true);
}

static void what_is_free_costs_the_account_alone(void **state) {
    struct world *w = *state;
    struct budget_cap caps[] = {
        cap_of(BUDGET_REQUEST, NULL, PERIOD_TOTAL, 1000),
        cap_of(BUDGET_KEY, "a", PERIOD_DAY, 0),
        cap_of(BUDGET_PROJECT, "shop", PERIOD_MONTH, 0),
        cap_of(BUDGET_ROUTE, "/v1/messages", PERIOD_DAY, 1000),
        cap_of(BUDGET_ACCOUNT, NULL, PERIOD_DAY, 100),
    };
    struct budget_ask ask = { .fixed = 60, .is_free = true };
    assert_true(budget_reserve(w->budget, caps, 5, &ask, NOON, &w->hold, &w->answer));
    budget_settle(w->budget, &w->hold, 60);
    assert_int_equal(budget_figure(w->budget, &caps[2], NOON).spent, 0);
    assert_int_equal(left(w, &caps[3], NOON), 940);
    assert_false(budget_reserve(w->budget, caps, 5, &ask, NOON, &w->hold, &w->answer));
    assert_ptr_equal(w->answer.cap, &caps[4]);
}

/* --- threads --- */

enum { THREADS = 8, RACE = 10000, ROOM = 100, BOUND = 1000000 };

struct racer {
    struct world *w;
    pthread_t thread;
    const struct budget_cap *caps;
    uint64_t seed;
    int64_t spent;
    unsigned allowed, refused;
    bool wrong; /* refused what fitted */
};

/* A few stay under way, as streams do; then they end, by chance first or last. */
static void *race(void *arg) {
    struct racer *r = arg;
    struct budget_hold holds[16];
    size_t n = 0;
    struct random random;
    random_seed(&random, r->seed);
    for (int i = 0; i < RACE / THREADS; i++) {
        struct budget_ask ask = { .fixed = BOUND };
        struct budget_answer answer;
        if (budget_reserve(r->w->budget, r->caps, 3, &ask, NOON, &holds[n], &answer)) {
            r->allowed++;
            n++;
        } else {
            r->refused++;
            r->wrong |= answer.left >= BOUND;
        }
        if (n == 16 || (n && random_below(&random, 3))) {
            size_t k = random_below(&random, n);
            int64_t cost = (int64_t)random_below(&random, BOUND + 1);
            r->wrong |= budget_settle(r->w->budget, &holds[k], cost);
            r->spent += cost;
            holds[k] = holds[--n];
        }
    }
    while (n) {
        int64_t cost = (int64_t)random_below(&random, BOUND + 1);
        budget_settle(r->w->budget, &holds[--n], cost);
        r->spent += cost;
    }
    return NULL;
}

/* No more is spent than the cap; what was refused did not fit beside what was spent and under way
 * at that moment; and once all are settled less is left than the last one would have needed. */
static void ten_thousand_at_once_keep_to_room_for_a_hundred(void **state) {
    struct world *w = *state;
    struct racer racers[THREADS];
    struct budget_cap caps[] = {
        cap_of(BUDGET_KEY, "a", PERIOD_DAY, INT64_C(2) * ROOM * BOUND),
        cap_of(BUDGET_PROJECT, "shop", PERIOD_MONTH, (int64_t)ROOM * BOUND),
        cap_of(BUDGET_ACCOUNT, NULL, PERIOD_TOTAL, INT64_C(3) * ROOM * BOUND),
    };
    int64_t spent = 0;
    unsigned allowed = 0, refused = 0;
    for (int i = 0; i < THREADS; i++) {
        racers[i] = (struct racer){ .w = w, .caps = caps, .seed = (uint64_t)i };
        pthread_create(&racers[i].thread, NULL, race, &racers[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(racers[i].thread, NULL);
        spent += racers[i].spent;
        allowed += racers[i].allowed;
        refused += racers[i].refused;
        assert_false(racers[i].wrong);
    }
    assert_int_equal(allowed + refused, RACE);
    assert_true(allowed >= ROOM && refused > 0);
    assert_true(spent <= caps[1].nano);
    for (int i = 0; i < 3; i++) {
        struct budget_figure f = budget_figure(w->budget, &caps[i], NOON);
        assert_int_equal(f.spent, spent);
        assert_int_equal(f.held, 0);
    }
    /* Whoever comes now gets the rest, to the nano-dollar. */
    int64_t rest = left(w, &caps[1], NOON);
    assert_false(reserve(w, caps, 3, rest + 1, NOON));
    assert_true(reserve(w, caps, 3, rest, NOON));
    budget_settle(w->budget, &w->hold, rest);
    assert_int_equal(left(w, &caps[1], NOON), 0);
}

struct guest {
    struct world *w;
    pthread_t thread;
    uint64_t seed;
    unsigned free, charged;
};

/* A free one that fails is asked for again, as its client would. */
static void *visit(void *arg) {
    struct guest *g = arg;
    struct random random;
    random_seed(&random, g->seed);
    for (int i = 0; i < 1500 / 5; i++) {
        bool answered = false;
        while (!answered) {
            bool is_free = budget_free_begin(g->w->budget, SPAN("new"), 1000);
            answered = random_below(&random, 4) != 0;
            if (is_free)
                budget_free_end(g->w->budget, SPAN("new"), answered);
            g->free += is_free && answered;
            g->charged += !is_free && answered;
        }
    }
    return NULL;
}

static void a_new_project_gets_exactly_its_free_requests(void **state) {
    struct world *w = *state;
    struct guest guests[5];
    unsigned given = 0, charged = 0;
    for (int i = 0; i < 5; i++) {
        guests[i] = (struct guest){ .w = w, .seed = (uint64_t)i };
        pthread_create(&guests[i].thread, NULL, visit, &guests[i]);
    }
    for (int i = 0; i < 5; i++) {
        pthread_join(guests[i].thread, NULL);
        given += guests[i].free;
        charged += guests[i].charged;
    }
    assert_int_equal(given, 1000);
    assert_int_equal(charged, 500);
    assert_int_equal(budget_free_left(w->budget, SPAN("new"), 1000), 0);
}

/* --- what it costs --- */

enum { ROUNDS = 50000 };

static void *pay(void *arg) {
    struct world *w = arg;
    struct budget_cap caps[] = {
        cap_of(BUDGET_KEY, "a", PERIOD_DAY, INT64_MAX),
        cap_of(BUDGET_KEY, "a", PERIOD_MONTH, INT64_MAX),
        cap_of(BUDGET_PROJECT, "shop", PERIOD_DAY, INT64_MAX),
        cap_of(BUDGET_PROJECT, "shop", PERIOD_MONTH, INT64_MAX),
        cap_of(BUDGET_ACCOUNT, NULL, PERIOD_MONTH, INT64_MAX),
    };
    struct budget_ask ask = { 100, DOLLAR, 1000, 1, false };
    for (int i = 0; i < ROUNDS; i++) {
        struct budget_hold hold;
        struct budget_answer answer;
        budget_reserve(w->budget, caps, 5, &ask, NOON, &hold, &answer);
        budget_settle(w->budget, &hold, 50);
    }
    return NULL;
}

static void tells_its_price(void **state) {
    struct world *w = *state;
    pthread_t threads[4];
    uint64_t begin = clock_us();
    pay(w);
    double alone = (double)(clock_us() - begin) * 1000 / ROUNDS;
    begin = clock_us();
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, pay, w);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    double together = (double)(clock_us() - begin) * 1000 / (4 * ROUNDS);
    print_message("reserving and settling under five caps: %.0f ns alone, %.0f ns each from four "
                  "threads\n",
                  alone, together);
    struct budget_cap cap = cap_of(BUDGET_PROJECT, "shop", PERIOD_DAY, INT64_MAX);
    assert_int_equal(budget_figure(w->budget, &cap, NOON).spent, 5 * ROUNDS * INT64_C(50));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_is_reserved_is_not_there_for_others),
        TEST(waiting_is_in_vain_for_what_is_spent),
        TEST(the_truth_counts_even_beyond_the_bound),
        TEST(a_request_cap_is_each_requests_own),
        TEST(without_a_cap_all_is_allowed),
        TEST(all_caps_or_none_are_charged),
        TEST(one_account_is_charged_once),
        TEST(long_names_are_names),
        TEST(a_bound_is_rounded_up_once),
        TEST(a_clamp_is_as_much_as_there_is),
        TEST(too_few_tokens_are_none),
        TEST(a_period_begins_with_the_whole_cap),
        TEST(what_was_reserved_yesterday_is_spent_yesterday),
        TEST(a_clock_that_jumps_gives_nothing_twice),
        TEST(a_clock_that_comes_back_locks_nobody_out),
        TEST(periods_long_gone_are_forgotten_but_for_what_is_held),
        TEST(what_the_ledger_knows_counts_once),
        TEST(a_cap_that_changes_keeps_what_was_spent),
        TEST(shares_are_told_once_a_period),
        TEST(a_raised_cap_is_told_of_again),
        TEST(what_was_reached_before_the_start_is_not_told),
        TEST(free_requests_count_when_answered),
        TEST(free_requests_are_for_life),
        TEST(what_is_free_costs_the_account_alone),
        TEST(ten_thousand_at_once_keep_to_room_for_a_hundred),
        TEST(a_new_project_gets_exactly_its_free_requests),
        TEST(tells_its_price),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
