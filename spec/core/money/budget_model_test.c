/* budget_model_test.c - the budget against its rules said a second time, over random sequences.
 *
 * The second time they are said without any sum that is carried along: there is a list of what was
 * reserved and what it cost, and each question is answered by adding up what of it counts. With
 * "N [seed]" as arguments it runs N sequences and prints what it did (the target budget_model runs a
 * million).
 */
#include "money/budget.h"

#include "base/random.h"
#include "support/unit.h"

#include <inttypes.h>

enum { STEPS = 60, CAPS = 7, GIVEN = 4, DAY = 86400 };

#define NOON INT64_C(1795348800)

/* What was reserved: of which caps, when, how much; and what became of it. */
struct event {
    size_t caps[GIVEN];
    size_t n_caps;
    int64_t at, nano, cost;
    bool settled;
    struct budget_hold hold;
};

struct run {
    struct budget *budget;
    struct random random;
    struct budget_cap caps[CAPS]; /* of which each request has some; accounts differ */
    struct event events[STEPS];
    size_t n;
    int64_t loaded[CAPS], loaded_at[CAPS]; /* -1: nothing was */
    int64_t now;
    uint64_t free_used, free_held;
    uint64_t refused, clamped;
};

/* --- the rules, by adding up --- */

static bool same_period(const struct budget_cap *cap, int64_t a, int64_t b) {
    return period_at(cap->period, cap->offset_min, a).from_s ==
           period_at(cap->period, cap->offset_min, b).from_s;
}

/* What is spent of a cap, or, with `held`, under way; of a request's own nothing is remembered. */
static int64_t sum(const struct run *r, size_t cap, bool held) {
    const struct budget_cap *c = &r->caps[cap];
    bool loaded = r->loaded[cap] >= 0 && same_period(c, r->loaded_at[cap], r->now);
    int64_t total = !held && loaded ? r->loaded[cap] : 0;
    if (c->scope == BUDGET_REQUEST)
        return 0;
    for (size_t i = 0; i < r->n; i++) {
        const struct event *e = &r->events[i];
        for (size_t k = 0; k < e->n_caps; k++)
            if (e->caps[k] == cap && e->settled != held && same_period(c, e->at, r->now))
                total += held ? e->nano : e->cost;
    }
    return total;
}

static int64_t left_of(const struct run *r, size_t cap, bool at_best) {
    return r->caps[cap].nano - sum(r, cap, false) - (at_best ? 0 : sum(r, cap, true));
}

/* Small enough numbers that the bound is plain arithmetic. */
static int64_t bound(const struct budget_ask *ask, uint64_t tokens) {
    int64_t output = ask->per_million * (int64_t)tokens;
    return ask->fixed + output / 1000000 + (output % 1000000 != 0);
}

/* Whether so many tokens fit under all of the caps. */
static bool fits(const struct run *r, const struct event *e, const struct budget_ask *ask,
                 uint64_t tokens, bool at_best) {
    for (size_t k = 0; k < e->n_caps; k++)
        if (bound(ask, tokens) > left_of(r, e->caps[k], at_best))
            return false;
    return true;
}

/* The most that fits, counted down; UINT64_MAX: it is refused. */
static uint64_t model_tokens(const struct run *r, const struct event *e,
                             const struct budget_ask *ask) {
    uint64_t tokens = ask->tokens, least = ask->least ? ask->least : 1;
    if (fits(r, e, ask, tokens, false))
        return tokens;
    while (ask->least < ask->tokens && tokens-- > least)
        if (fits(r, e, ask, tokens, false))
            return tokens;
    return UINT64_MAX;
}

/* --- both, step by step --- */

static struct budget_ask some_ask(struct run *r) {
    uint64_t tokens = random_below(&r->random, 30);
    return (struct budget_ask){ (int64_t)random_below(&r->random, 40),
                                (int64_t)random_below(&r->random, 4000000), tokens,
                                random_below(&r->random, tokens + 2),
                                random_below(&r->random, 5) == 0 };
}

/* A few of the caps, each once; a free request does not have its key's and project's in the model. */
static size_t some_caps(struct run *r, struct budget_cap *caps, struct event *e, bool is_free) {
    size_t n = 0, first = random_below(&r->random, CAPS);
    size_t wanted = random_below(&r->random, GIVEN + 1);
    for (; n < wanted; n++) {
        size_t cap = (first + n) % CAPS;
        enum budget_scope scope = r->caps[cap].scope;
        caps[n] = r->caps[cap];
        if (!is_free || (scope != BUDGET_KEY && scope != BUDGET_PROJECT))
            e->caps[e->n_caps++] = cap;
    }
    return n;
}

/* What a refusal or a clamp names really is short. */
static bool names_a_short_one(const struct run *r, const struct budget_answer *a,
                              const struct budget_ask *ask) {
    return a->cap && a->left < bound(ask, ask->tokens) && a->resets_s > r->now;
}

static bool reserves(struct run *r) {
    struct event *e = &r->events[r->n];
    struct budget_cap caps[GIVEN];
    struct budget_answer answer;
    struct budget_ask ask = some_ask(r);
    *e = (struct event){ .at = r->now };
    size_t n = some_caps(r, caps, e, ask.is_free);
    uint64_t tokens = model_tokens(r, e, &ask);
    bool allowed = budget_reserve(r->budget, caps, n, &ask, r->now, &e->hold, &answer);
    if (allowed != (tokens != UINT64_MAX))
        return false;
    if (!allowed) {
        uint64_t least = ask.least < ask.tokens ? (ask.least ? ask.least : 1) : ask.tokens;
        r->refused++;
        return names_a_short_one(r, &answer, &ask) &&
               answer.pending == fits(r, e, &ask, least, true);
    }
    e->nano = bound(&ask, tokens);
    r->clamped += answer.clamped;
    r->n++;
    return answer.tokens == tokens && answer.clamped == (tokens < ask.tokens) &&
           (!answer.clamped || names_a_short_one(r, &answer, &ask));
}

/* Mostly within its bound, and now and then beyond. */
static bool settles(struct run *r) {
    struct event *e = &r->events[random_below(&r->random, r->n)];
    if (e->settled)
        return true;
    e->settled = true;
    e->cost = (int64_t)random_below(&r->random, (uint64_t)e->nano + 1);
    if (random_below(&r->random, 30) == 0)
        e->cost = e->nano + 5;
    return budget_settle(r->budget, &e->hold, e->cost) == (e->cost > e->nano);
}

/* Fewer periods than are remembered. */
static void time_passes(struct run *r) {
    static const int64_t days[] = { 0, 0, 0, 1, 1, 1, -2, 400 };
    r->now =
        NOON + days[random_below(&r->random, 8)] * DAY + (int64_t)random_below(&r->random, DAY / 2);
}

static bool loads(struct run *r) {
    size_t cap = random_below(&r->random, CAPS);
    const struct budget_cap *c = &r->caps[cap];
    int64_t spent = (int64_t)random_below(&r->random, 60);
    if (c->scope == BUDGET_REQUEST || r->loaded[cap] >= 0 || r->n)
        return true;
    r->loaded[cap] = spent;
    r->loaded_at[cap] = r->now;
    return budget_load(r->budget, c, spent, r->now);
}

static bool gives(struct run *r) {
    const uint64_t allowance = 3;
    bool is_free = r->free_used + r->free_held < allowance;
    if (random_below(&r->random, 2) && r->free_held) {
        bool answered = random_below(&r->random, 2);
        budget_free_end(r->budget, SPAN("shop"), answered);
        r->free_held--;
        r->free_used += answered;
        return true;
    }
    r->free_held += is_free;
    return budget_free_begin(r->budget, SPAN("shop"), allowance) == is_free;
}

static bool says_the_same(struct run *r) {
    for (size_t i = 0; i < CAPS; i++) {
        struct budget_figure f = budget_figure(r->budget, &r->caps[i], r->now);
        int64_t left = left_of(r, i, false);
        if (f.left != (left > 0 ? left : 0) || f.spent != sum(r, i, false) ||
            f.held != sum(r, i, true))
            return false;
    }
    return budget_free_left(r->budget, SPAN("shop"), 3) == 3 - r->free_used - r->free_held;
}

static bool step(struct run *r) {
    uint64_t what = random_below(&r->random, 16);
    if (what < 2)
        time_passes(r);
    else if (what == 2)
        return loads(r);
    else if (what == 3)
        return gives(r);
    else if (what < 10 || !r->n)
        return reserves(r);
    else
        return settles(r);
    return true;
}

static void make_caps(struct run *r) {
    static const struct {
        enum budget_scope scope;
        const char *name;
        enum period_kind period;
        int offset;
    } made[CAPS] = {
        { BUDGET_REQUEST, NULL, PERIOD_TOTAL, 0 },   { BUDGET_KEY, "a", PERIOD_DAY, 0 },
        { BUDGET_KEY, "a", PERIOD_DAY, 720 },        { BUDGET_PROJECT, "a", PERIOD_DAY, 0 },
        { BUDGET_PROJECT, "a", PERIOD_MONTH, -300 }, { BUDGET_ROUTE, "/v1", PERIOD_TOTAL, 0 },
        { BUDGET_ACCOUNT, NULL, PERIOD_MONTH, 0 },
    };
    for (size_t i = 0; i < CAPS; i++) {
        int64_t nano = (int64_t)random_below(&r->random, 400);
        r->caps[i] = (struct budget_cap){ made[i].scope,  span_of(made[i].name),
                                          made[i].period, made[i].offset,
                                          nano,           { 0 } };
        r->loaded[i] = -1;
    }
}

static bool sequence(uint64_t seed, uint64_t *refused, uint64_t *clamped) {
    struct run *r = calloc(1, sizeof *r);
    assert_non_null(r);
    r->budget = budget_new(NULL, NULL);
    random_seed(&r->random, seed);
    r->now = NOON;
    make_caps(r);
    bool same = true;
    for (int i = 0; i < STEPS && same; i++)
        same = step(r) && (i % 8 || says_the_same(r));
    same = same && says_the_same(r);
    *refused += r->refused;
    *clamped += r->clamped;
    budget_free(r->budget);
    free(r);
    return same;
}

/* How many of so many sequences diverge; the first one's seed is printed. */
static uint64_t sequences(uint64_t n, uint64_t seed, uint64_t *refused, uint64_t *clamped) {
    uint64_t diverged = 0;
    for (uint64_t i = 0; i < n; i++)
        if (!sequence(seed + i, refused, clamped) && !diverged++)
            print_error("diverges: seed %" PRIu64 "\n", seed + i);
    return diverged;
}

static void no_sequence_diverges(void **state) {
    uint64_t refused = 0, clamped = 0;
    assert_int_equal(sequences(20000, 1, &refused, &clamped), 0);
    assert_true(refused > 20000 && clamped > 20000); /* or it would show little */
}

int main(int argc, char **argv) {
    if (argc > 1) {
        uint64_t n = strtoull(argv[1], NULL, 10), seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
        uint64_t refused = 0, clamped = 0, diverged = sequences(n, seed, &refused, &clamped);
        printf("%" PRIu64 " sequences from seed %" PRIu64 ", %" PRIu64 " refused, %" PRIu64
               " clamped: %" PRIu64 " diverged\n",
               n, seed, refused, clamped, diverged);
        return diverged != 0;
    }
    const struct CMUnitTest tests[] = { cmocka_unit_test(no_sequence_diverges) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
