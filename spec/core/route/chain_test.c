/* chain_test.c - the walk along a chain: which failure leads where, thresholds, retries, waiting,
 * the limits over all. */
#include "route/chain.h"

#include "support/unit.h"

enum { STEPS = 4 };

struct bench {
    struct provider provider;
    struct target targets[STEPS];
    struct step steps[STEPS];
    struct chain chain;
    struct chain_walk walk;
    struct chain_view view;
    struct random random;
    nanousd bounds[STEPS];
    uint32_t predicted[STEPS];
    enum failure skipped[STEPS];
    enum failure open[STEPS]; /* what opened the target's breaker; FAILURE_NONE: it is closed */
    uint64_t reopens_in[STEPS];
    bool probed;     /* nobody may insist: somebody has, */
    bool under_way;  /* and it is not known yet how that goes */
    unsigned passed; /* times an open one was passed over */
    unsigned purse;  /* attempts to spare, where `view.afford` asks for it */
    uint64_t now;
};

static size_t index_of(const struct bench *b, const struct step *step) {
    return (size_t)(step->target - b->targets);
}

static nanousd bound(void *owner, const struct step *step) {
    struct bench *b = owner;
    return b->bounds[index_of(b, step)];
}

static uint32_t latency(void *owner, const struct step *step) {
    struct bench *b = owner;
    return b->predicted[index_of(b, step)];
}

static void on_skip(void *owner, const struct step *step, enum failure why) {
    struct bench *b = owner;
    b->skipped[index_of(b, step)] = why;
}

static enum breaker_permit admit(void *owner, const struct step *step, bool insist,
                                 enum failure *why) {
    struct bench *b = owner;
    *why = b->open[index_of(b, step)];
    if (*why == FAILURE_NONE)
        return BREAKER_CLOSED;
    if (!insist || b->probed)
        return BREAKER_REFUSED;
    b->probed = true;
    return BREAKER_PROBE;
}

static uint64_t reopens_in(void *owner, const struct step *step) {
    struct bench *b = owner;
    return b->reopens_in[index_of(b, step)];
}

static bool probed(void *owner, const struct step *step) {
    struct bench *b = owner;
    return b->under_way && b->open[index_of(b, step)];
}

static void on_open(void *owner, const struct step *step, enum failure why) {
    struct bench *b = owner;
    assert_int_equal(why, b->open[index_of(b, step)]);
    b->passed++;
}

static bool afford(void *owner) {
    struct bench *b = owner;
    return b->purse && b->purse--;
}

static void set_up(struct bench *b, size_t n_steps) {
    *b = (struct bench){ .now = 1000 };
    random_seed(&b->random, 7);
    for (size_t i = 0; i < n_steps; i++) {
        b->targets[i].provider = &b->provider;
        b->steps[i] =
            (struct step){ .target = &b->targets[i], .retries = -1, .max_cost = NANOUSD_NONE };
    }
    b->chain = (struct chain){ .steps = b->steps, .n_steps = n_steps, .max_cost = NANOUSD_NONE };
    b->view = (struct chain_view){ .bound = bound,
                                   .latency = latency,
                                   .admit = admit,
                                   .reopens_in = reopens_in,
                                   .probed = probed,
                                   .on_skip = on_skip,
                                   .on_open = on_open,
                                   .owner = b,
                                   .random = &b->random };
}

static struct chain_move first(struct bench *b, uint64_t deadline) {
    chain_begin(&b->walk, &b->chain, b->now, deadline);
    return chain_next(&b->walk, &b->view, NULL, b->now);
}

static struct chain_move after(struct bench *b, enum failure class, int64_t retry_after_ms) {
    struct chain_failure failed = { class, retry_after_ms };
    return chain_next(&b->walk, &b->view, &failed, b->now);
}

static void tries(struct bench *b, struct chain_move move, size_t step) {
    assert_int_equal(move.verdict, CHAIN_TRY);
    assert_int_equal(index_of(b, move.step), step);
}

static void ends(struct chain_move move) {
    assert_int_equal(move.verdict, CHAIN_END);
}

static void an_empty_chain_ends(void **state) {
    struct bench b;
    set_up(&b, 0);
    ends(first(&b, 0));
}

static void every_default_class_leads_on_and_the_others_stop(void **state) {
    for (enum failure f = FAILURE_CONNECT; f < FAILURE_COUNT; f++) {
        struct bench b;
        set_up(&b, 2);
        tries(&b, first(&b, 0), 0);
        struct chain_move move = after(&b, f, -1);
        bool stops =
            f == FAILURE_BAD_REQUEST || f == FAILURE_CONTENT_FILTER || f == FAILURE_CANCELLED;
        if (stops)
            ends(move);
        else
            tries(&b, move, 1);
    }
}

static void when_chooses_the_step_a_failure_leads_to(void **state) {
    struct bench b;
    set_up(&b, 3);
    b.steps[1].when = FAILURE_BIT(FAILURE_RATE_LIMITED);
    b.steps[2].when = FAILURE_BIT(FAILURE_CONTENT_FILTER);
    tries(&b, first(&b, 0), 0);
    tries(&b, after(&b, FAILURE_CONTENT_FILTER, -1), 2);
    set_up(&b, 3);
    b.steps[1].when = FAILURE_BIT(FAILURE_RATE_LIMITED);
    tries(&b, first(&b, 0), 0);
    tries(&b, after(&b, FAILURE_SERVER_ERROR, -1), 2);
}

static void a_long_prompt_goes_only_to_a_larger_window(void **state) {
    struct bench b;
    set_up(&b, 3);
    b.targets[0].context = 8000;
    b.targets[1].context = 8000;
    b.targets[2].context = 128000;
    tries(&b, first(&b, 0), 0);
    tries(&b, after(&b, FAILURE_CONTEXT_LENGTH, -1), 2);
    ends(after(&b, FAILURE_CONTEXT_LENGTH, -1));
}

static void a_step_over_its_ceiling_is_passed_over(void **state) {
    struct bench b;
    set_up(&b, 2);
    b.bounds[0] = 2001;
    b.steps[0].max_cost = 2000;
    tries(&b, first(&b, 0), 1);
    assert_int_equal(b.skipped[0], FAILURE_COST);
    assert_int_equal(b.walk.attempts, 1);
}

static void an_unknown_price_is_out_where_money_is_limited(void **state) {
    struct bench b;
    set_up(&b, 2);
    b.bounds[0] = NANOUSD_UNKNOWN;
    tries(&b, first(&b, 0), 0);
    b.chain.max_cost = 5000;
    b.bounds[1] = 5000;
    tries(&b, first(&b, 0), 1);
}

static void the_chains_ceiling_counts_what_was_spent(void **state) {
    struct bench b;
    set_up(&b, 2);
    b.chain.max_cost = 5000;
    b.bounds[0] = b.bounds[1] = 3000;
    tries(&b, first(&b, 0), 0);
    b.walk.spent = 2001;
    ends(after(&b, FAILURE_SERVER_ERROR, -1));
    assert_int_equal(b.skipped[1], FAILURE_COST);
}

static void a_slow_step_is_passed_over_and_unknown_speed_is_not(void **state) {
    struct bench b;
    set_up(&b, 2);
    b.chain.max_latency_ms = 100;
    b.predicted[0] = 101;
    tries(&b, first(&b, 0), 1);
    assert_int_equal(b.skipped[0], FAILURE_LATENCY);
}

static void if_all_are_slow_the_fastest_runs_marked(void **state) {
    struct bench b;
    set_up(&b, 3);
    b.chain.max_latency_ms = 100;
    b.predicted[0] = 900;
    b.predicted[1] = 300;
    b.predicted[2] = 500;
    struct chain_move move = first(&b, 0);
    tries(&b, move, 1);
    assert_true(move.over_threshold);
}

static void a_step_that_is_too_dear_never_runs_for_being_fast(void **state) {
    struct bench b;
    set_up(&b, 2);
    b.chain.max_latency_ms = 100;
    b.chain.max_cost = 10;
    b.bounds[0] = 11;
    b.predicted[1] = 5000;
    struct chain_move move = first(&b, 0);
    tries(&b, move, 1);
    assert_true(move.over_threshold);
}

static void with_somewhere_to_go_nothing_is_retried(void **state) {
    struct bench b;
    set_up(&b, 2);
    tries(&b, first(&b, 0), 0);
    tries(&b, after(&b, FAILURE_CONNECT, -1), 1);
}

static void the_last_step_is_retried_once_for_connect(void **state) {
    struct bench b;
    set_up(&b, 1);
    tries(&b, first(&b, 0), 0);
    struct chain_move move = after(&b, FAILURE_CONNECT, -1);
    assert_int_equal(move.verdict, CHAIN_WAIT);
    tries(&b, chain_resume(&b.walk, &b.view, b.now + move.wait_ms), 0);
    ends(after(&b, FAILURE_CONNECT, -1));
}

static void a_rate_limit_is_waited_for_when_it_says_how_long_and_that_fits(void **state) {
    struct bench b;
    set_up(&b, 1);
    tries(&b, first(&b, b.now + 5000), 0);
    struct chain_move move = after(&b, FAILURE_RATE_LIMITED, 1500);
    assert_int_equal(move.verdict, CHAIN_WAIT);
    assert_int_equal(move.wait_ms, 1500);
    tries(&b, first(&b, b.now + 1500), 0);
    ends(after(&b, FAILURE_RATE_LIMITED, 1500));
    tries(&b, first(&b, 0), 0);
    ends(after(&b, FAILURE_RATE_LIMITED, 3600000));
    tries(&b, first(&b, 0), 0);
    ends(after(&b, FAILURE_RATE_LIMITED, -1));
}

static void asked_for_retries_come_before_the_next_step(void **state) {
    struct bench b;
    set_up(&b, 2);
    b.steps[0].retries = 2;
    tries(&b, first(&b, 0), 0);
    for (unsigned i = 0; i < 2; i++) {
        struct chain_move move = after(&b, FAILURE_SERVER_ERROR, -1);
        assert_int_equal(move.verdict, CHAIN_WAIT);
        assert_true(move.wait_ms <= 200);
        tries(&b, chain_resume(&b.walk, &b.view, b.now), 0);
    }
    tries(&b, after(&b, FAILURE_SERVER_ERROR, -1), 1);
    assert_int_equal(b.walk.attempts, 4);
}

static void a_retry_counts_what_was_spent_too(void **state) {
    struct bench b;
    set_up(&b, 2);
    b.chain.max_cost = 5000;
    b.bounds[0] = 3000;
    b.bounds[1] = 1000;
    b.steps[0].retries = 3;
    tries(&b, first(&b, 0), 0);
    b.walk.spent = 2500;
    assert_int_equal(after(&b, FAILURE_SERVER_ERROR, -1).verdict, CHAIN_WAIT);
    tries(&b, chain_resume(&b.walk, &b.view, b.now), 1);
    assert_int_equal(b.skipped[0], FAILURE_COST);
}

static void what_will_not_pass_is_not_retried(void **state) {
    const enum failure lasting[] = { FAILURE_AUTH, FAILURE_QUOTA, FAILURE_NOT_FOUND,
                                     FAILURE_BAD_REQUEST };
    for (size_t i = 0; i < sizeof lasting / sizeof *lasting; i++) {
        struct bench b;
        set_up(&b, 1);
        b.steps[0].retries = 5;
        tries(&b, first(&b, 0), 0);
        ends(after(&b, lasting[i], 0));
    }
}

static void attempts_and_the_deadline_bound_everything(void **state) {
    struct bench b;
    set_up(&b, 3);
    b.chain.max_attempts = 2;
    tries(&b, first(&b, 0), 0);
    tries(&b, after(&b, FAILURE_SERVER_ERROR, -1), 1);
    ends(after(&b, FAILURE_SERVER_ERROR, -1));
    set_up(&b, 3);
    tries(&b, first(&b, b.now + 100), 0);
    b.now += 100;
    ends(after(&b, FAILURE_SERVER_ERROR, -1));
}

static void a_queue_begins_again_within_its_window(void **state) {
    struct bench b;
    set_up(&b, 2);
    b.chain.on_exhausted = EXHAUSTED_QUEUE;
    b.chain.retry_window_ms = 1000;
    tries(&b, first(&b, 0), 0);
    tries(&b, after(&b, FAILURE_OVERLOADED, -1), 1);
    struct chain_move move = after(&b, FAILURE_OVERLOADED, 400);
    assert_int_equal(move.verdict, CHAIN_WAIT);
    b.now += 400;
    tries(&b, chain_resume(&b.walk, &b.view, b.now), 0);
    tries(&b, after(&b, FAILURE_OVERLOADED, -1), 1);
    ends(after(&b, FAILURE_OVERLOADED, 601));
}

static void a_queue_does_not_wait_for_what_will_not_pass(void **state) {
    struct bench b;
    set_up(&b, 1);
    b.chain.on_exhausted = EXHAUSTED_QUEUE;
    b.chain.retry_window_ms = 1000;
    tries(&b, first(&b, 0), 0);
    ends(after(&b, FAILURE_AUTH, 10));
}

static void the_rest_can_be_replaced(void **state) {
    struct bench b;
    struct arena arena;
    set_up(&b, 3);
    arena_init(&arena, 512);
    struct step rest = b.steps[2];
    tries(&b, first(&b, 0), 0);
    chain_replace(&b.walk, &b.chain, &arena, &rest, 1);
    tries(&b, after(&b, FAILURE_SERVER_ERROR, -1), 2);
    ends(after(&b, FAILURE_SERVER_ERROR, -1));
    arena_deinit(&arena);
}

static void staying_is_bounded_too(void **state) {
    struct bench b;
    set_up(&b, 1);
    tries(&b, first(&b, b.now + 1000), 0);
    assert_int_equal(chain_stay(&b.walk, 500, b.now).verdict, CHAIN_WAIT);
    ends(chain_stay(&b.walk, 1000, b.now));
    /* The last resort is asked once. */
    set_up(&b, 1);
    b.open[0] = FAILURE_TIMEOUT;
    tries(&b, first(&b, 0), 0);
    ends(chain_stay(&b.walk, 100, b.now));
}

/* --- breakers --- */

static void an_open_step_is_passed_over_as_if_it_had_failed(void **state) {
    struct bench b;
    set_up(&b, 3);
    b.open[0] = FAILURE_RATE_LIMITED;
    b.steps[1].when = FAILURE_BIT(FAILURE_TIMEOUT);
    b.steps[2].when = FAILURE_BIT(FAILURE_RATE_LIMITED);
    tries(&b, first(&b, 0), 2);
    assert_int_equal(b.passed, 1);
    assert_int_equal(b.walk.attempts, 1);
}

static void for_want_of_others_the_first_to_reopen_is_asked_once(void **state) {
    struct bench b;
    set_up(&b, 3);
    b.open[0] = b.open[2] = FAILURE_SERVER_ERROR;
    b.reopens_in[0] = 3000;
    b.reopens_in[2] = 2000;
    b.steps[2].retries = 5;
    tries(&b, first(&b, 0), 1);
    struct chain_move move = after(&b, FAILURE_TIMEOUT, -1);
    tries(&b, move, 2);
    assert_int_equal(move.permit, BREAKER_PROBE);
    ends(after(&b, FAILURE_SERVER_ERROR, -1));
    assert_int_equal(b.walk.attempts, 2);
    /* Somebody else has the permit. */
    set_up(&b, 1);
    b.open[0] = FAILURE_SERVER_ERROR;
    b.probed = true;
    ends(first(&b, 0));
}

/* A walk that waits for what another one finds out, resumed `ms` later. */
static struct chain_move looks_again(struct bench *b, struct chain_move move) {
    assert_true(move.verdict == CHAIN_WAIT && !move.queue && move.wait_ms > 0);
    b->now += move.wait_ms;
    return chain_resume(&b->walk, &b->view, b->now);
}

static void while_another_finds_out_how_a_target_is_the_walk_waits(void **state) {
    struct bench b;
    set_up(&b, 3);
    b.steps[0].retries = 5;
    b.open[0] = b.open[2] = FAILURE_OVERLOADED;
    b.probed = b.under_way = true;
    tries(&b, first(&b, 0), 1);
    struct chain_move move = looks_again(&b, after(&b, FAILURE_TIMEOUT, -1));
    assert_int_equal(b.passed, 2);
    /* It went well: there is nothing behind that step, and no second try of it. */
    b.open[0] = FAILURE_NONE;
    move = looks_again(&b, move);
    tries(&b, move, 0);
    assert_int_equal(move.permit, BREAKER_CLOSED);
    assert_int_equal(b.passed, 2);
    /* The other one is still being found out about. */
    move = looks_again(&b, after(&b, FAILURE_SERVER_ERROR, -1));
    /* It went badly: nobody insists behind that. */
    b.under_way = b.probed = false;
    ends(looks_again(&b, move));
    assert_int_equal(b.walk.attempts, 2);
}

static void that_is_waited_for_within_bounds_only(void **state) {
    struct bench b;
    uint64_t began = 1000;
    for (unsigned i = 0; i < 3; i++) {
        set_up(&b, 1);
        b.chain.retry_window_ms = i == 1 ? 500 : 0;
        b.open[0] = FAILURE_RATE_LIMITED;
        b.probed = b.under_way = true;
        struct chain_move move = first(&b, i == 2 ? began + 300 : 0);
        while (move.verdict == CHAIN_WAIT)
            move = looks_again(&b, move);
        ends(move);
        const uint64_t most[] = { 5000, 500, 300 };
        assert_in_range(b.now - began, most[i] - 20, most[i]);
    }
    /* Nor for what would not help: the last failure stops the walk. */
    set_up(&b, 2);
    b.open[0] = FAILURE_RATE_LIMITED;
    b.probed = b.under_way = true;
    tries(&b, first(&b, 0), 1);
    ends(after(&b, FAILURE_BAD_REQUEST, -1));
}

static void what_stops_a_walk_stops_the_last_resort_too(void **state) {
    struct bench b;
    set_up(&b, 2);
    b.open[0] = FAILURE_SERVER_ERROR;
    tries(&b, first(&b, 0), 1);
    ends(after(&b, FAILURE_BAD_REQUEST, -1));
    set_up(&b, 2);
    b.open[0] = FAILURE_SERVER_ERROR;
    b.chain.max_attempts = 1;
    tries(&b, first(&b, 0), 1);
    ends(after(&b, FAILURE_TIMEOUT, -1));
    set_up(&b, 2);
    b.open[0] = FAILURE_SERVER_ERROR;
    b.targets[0].context = b.targets[1].context = 8000;
    tries(&b, first(&b, 0), 1);
    ends(after(&b, FAILURE_CONTEXT_LENGTH, -1));
}

static void a_retry_is_not_made_through_a_door_that_closed_meanwhile(void **state) {
    struct bench b;
    set_up(&b, 2);
    b.steps[0].retries = 3;
    tries(&b, first(&b, 0), 0);
    assert_int_equal(after(&b, FAILURE_SERVER_ERROR, -1).verdict, CHAIN_WAIT);
    b.open[0] = FAILURE_SERVER_ERROR;
    tries(&b, chain_resume(&b.walk, &b.view, b.now), 1);
}

static void a_later_moment_that_others_were_told_is_waited_for_too(void **state) {
    struct bench b;
    set_up(&b, 1);
    tries(&b, first(&b, 0), 0);
    struct chain_move move = after(&b, FAILURE_RATE_LIMITED, 500);
    assert_int_equal(move.verdict, CHAIN_WAIT);
    b.open[0] = FAILURE_RATE_LIMITED;
    b.reopens_in[0] = 7;
    b.now += 500;
    move = chain_resume(&b.walk, &b.view, b.now);
    assert_true(move.verdict == CHAIN_WAIT && move.wait_ms == 7);
    assert_int_equal(b.passed, 0);
    /* It moves on and on: that is not followed for ever. */
    while (move.verdict == CHAIN_WAIT) {
        b.now += move.wait_ms;
        b.reopens_in[0] = 400;
        b.probed = true;
        move = chain_resume(&b.walk, &b.view, b.now);
    }
    ends(move);
    assert_in_range(b.now, 6100, 6507);
}

static void a_replaced_rest_brings_no_second_probe(void **state) {
    struct bench b;
    struct arena arena;
    set_up(&b, 2);
    arena_init(&arena, 512);
    b.open[0] = FAILURE_SERVER_ERROR;
    struct step rest = b.steps[1], again = b.steps[0];
    b.chain.n_steps = 1;
    tries(&b, first(&b, 0), 0);
    size_t n;
    chain_rest(&b.walk, &n);
    assert_int_equal(n, 0);
    chain_replace(&b.walk, &b.chain, &arena, &again, 1);
    b.probed = false;
    ends(after(&b, FAILURE_SERVER_ERROR, -1));
    chain_replace(&b.walk, &b.chain, &arena, &rest, 1);
    tries(&b, after(&b, FAILURE_SERVER_ERROR, -1), 1);
    arena_deinit(&arena);
}

/* --- the budget --- */

static void without_money_a_retry_gives_way_to_the_next_step(void **state) {
    struct bench b;
    set_up(&b, 2);
    b.view.afford = afford;
    b.purse = 1;
    b.steps[0].retries = 5;
    tries(&b, first(&b, 0), 0);
    assert_int_equal(after(&b, FAILURE_SERVER_ERROR, -1).verdict, CHAIN_WAIT);
    tries(&b, chain_resume(&b.walk, &b.view, b.now), 0);
    tries(&b, after(&b, FAILURE_SERVER_ERROR, -1), 1);
}

static void a_round_is_paid_by_those_who_asked(void **state) {
    struct bench b;
    set_up(&b, 1);
    b.view.afford = afford;
    b.chain.on_exhausted = EXHAUSTED_QUEUE;
    b.open[0] = FAILURE_OVERLOADED;
    b.probed = true;
    b.reopens_in[0] = 700;
    struct chain_move move = first(&b, 0);
    assert_true(move.verdict == CHAIN_WAIT && move.queue && move.doors);
    assert_int_equal(move.wait_ms, 700);
    assert_int_equal(chain_patience(&b.walk), b.now + 30000);
    b.open[0] = FAILURE_NONE;
    b.reopens_in[0] = 0;
    tries(&b, chain_resume(&b.walk, &b.view, b.now), 0);
    ends(after(&b, FAILURE_OVERLOADED, -1));
    set_up(&b, 1);
    b.view.afford = afford;
    b.purse = 1;
    b.chain.on_exhausted = EXHAUSTED_QUEUE;
    tries(&b, first(&b, 0), 0);
    move = after(&b, FAILURE_OVERLOADED, -1);
    assert_true(move.verdict == CHAIN_WAIT && move.queue && !move.doors);
    assert_int_equal(b.purse, 0);
}

/* --- races --- */

static void a_hedge_is_the_next_that_may_run_and_the_walk_goes_on_behind_it(void **state) {
    struct bench b;
    set_up(&b, 4);
    b.steps[0].retries = b.steps[2].retries = 3;
    b.open[1] = FAILURE_TIMEOUT;
    tries(&b, first(&b, 0), 0);
    tries(&b, chain_hedge(&b.walk, &b.view, b.now), 2);
    assert_int_equal(b.passed, 1);
    assert_int_equal(b.walk.attempts, 2);
    tries(&b, after(&b, FAILURE_SERVER_ERROR, -1), 3);
}

static void both_of_a_race_stay_under_the_ceiling(void **state) {
    struct bench b;
    set_up(&b, 3);
    b.chain.max_cost = 100;
    b.bounds[0] = 60;
    b.bounds[1] = 50;
    b.bounds[2] = 10;
    tries(&b, first(&b, 0), 0);
    /* It is not given up for the cheaper one behind it: alone there will be money for it. */
    ends(chain_hedge(&b.walk, &b.view, b.now));
    assert_int_equal(b.skipped[1], FAILURE_NONE);
    tries(&b, after(&b, FAILURE_SERVER_ERROR, -1), 1);
    tries(&b, chain_hedge(&b.walk, &b.view, b.now), 2);
}

static void without_one_that_may_run_a_hedge_changes_nothing(void **state) {
    struct bench b;
    set_up(&b, 3);
    b.open[1] = FAILURE_TIMEOUT;
    b.bounds[2] = 10;
    b.steps[2].max_cost = 5;
    tries(&b, first(&b, 0), 0);
    ends(chain_hedge(&b.walk, &b.view, b.now));
    assert_int_equal(b.passed, 0);
    assert_int_equal(b.skipped[2], FAILURE_NONE);
    b.open[1] = FAILURE_NONE;
    tries(&b, after(&b, FAILURE_SERVER_ERROR, -1), 1);
    set_up(&b, 2);
    b.steps[1].when = FAILURE_BIT(FAILURE_TIMEOUT);
    tries(&b, first(&b, 0), 0);
    ends(chain_hedge(&b.walk, &b.view, b.now));
    set_up(&b, 2);
    b.chain.max_attempts = 1;
    tries(&b, first(&b, 0), 0);
    ends(chain_hedge(&b.walk, &b.view, b.now));
}

/* Whatever fails however: the walk ends, never exceeds its attempts, never runs what is too
 * dear. */
static void any_sequence_ends(void **state) {
    struct random r;
    random_seed(&r, 42);
    for (unsigned round = 0; round < 20000; round++) {
        struct bench b;
        set_up(&b, 1 + random_below(&r, STEPS));
        b.chain.max_attempts = (uint32_t)random_below(&r, 6);
        b.chain.max_cost = random_below(&r, 2) ? NANOUSD_NONE : 1000;
        b.chain.on_exhausted = (enum on_exhausted)random_below(&r, 2);
        b.chain.retry_window_ms = (uint32_t)random_below(&r, 2000);
        for (size_t i = 0; i < b.chain.n_steps; i++) {
            b.steps[i].retries = (int)random_below(&r, 4) - 1;
            b.steps[i].when = random_below(&r, 3) ? 0 : (uint32_t)random_next(&r) & 0x3fffe;
            b.bounds[i] = (nanousd)random_below(&r, 2000);
            b.predicted[i] = (uint32_t)random_below(&r, 100);
            b.open[i] = random_below(&r, 3) ? FAILURE_NONE : FAILURE_SERVER_ERROR;
            b.reopens_in[i] = b.open[i] ? random_below(&r, 3000) : 0;
        }
        uint64_t deadline = b.now + 1 + random_below(&r, 5000);
        struct chain_move move = first(&b, deadline);
        unsigned tried = 0;
        for (unsigned turn = 0; move.verdict != CHAIN_END; turn++) {
            assert_true(turn < 10000);
            if (move.verdict == CHAIN_WAIT) {
                b.now += move.wait_ms;
                assert_true(b.now < deadline);
                move = chain_resume(&b.walk, &b.view, b.now);
                continue;
            }
            tried++;
            assert_true(b.chain.max_cost == NANOUSD_NONE ||
                        b.bounds[index_of(&b, move.step)] <= 1000);
            b.now += 1 + random_below(&r, 50);
            move = after(&b, 1 + (enum failure)random_below(&r, FAILURE_COUNT - 1),
                         (int64_t)random_below(&r, 500) - 1);
        }
        assert_int_equal(tried, b.walk.attempts);
        if (b.chain.max_attempts)
            assert_true(tried <= b.chain.max_attempts);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_chain_ends),
        cmocka_unit_test(every_default_class_leads_on_and_the_others_stop),
        cmocka_unit_test(when_chooses_the_step_a_failure_leads_to),
        cmocka_unit_test(a_long_prompt_goes_only_to_a_larger_window),
        cmocka_unit_test(a_step_over_its_ceiling_is_passed_over),
        cmocka_unit_test(an_unknown_price_is_out_where_money_is_limited),
        cmocka_unit_test(the_chains_ceiling_counts_what_was_spent),
        cmocka_unit_test(a_slow_step_is_passed_over_and_unknown_speed_is_not),
        cmocka_unit_test(if_all_are_slow_the_fastest_runs_marked),
        cmocka_unit_test(a_step_that_is_too_dear_never_runs_for_being_fast),
        cmocka_unit_test(with_somewhere_to_go_nothing_is_retried),
        cmocka_unit_test(the_last_step_is_retried_once_for_connect),
        cmocka_unit_test(a_rate_limit_is_waited_for_when_it_says_how_long_and_that_fits),
        cmocka_unit_test(asked_for_retries_come_before_the_next_step),
        cmocka_unit_test(a_retry_counts_what_was_spent_too),
        cmocka_unit_test(what_will_not_pass_is_not_retried),
        cmocka_unit_test(attempts_and_the_deadline_bound_everything),
        cmocka_unit_test(a_queue_begins_again_within_its_window),
        cmocka_unit_test(a_queue_does_not_wait_for_what_will_not_pass),
        cmocka_unit_test(the_rest_can_be_replaced),
        cmocka_unit_test(staying_is_bounded_too),
        cmocka_unit_test(an_open_step_is_passed_over_as_if_it_had_failed),
        cmocka_unit_test(for_want_of_others_the_first_to_reopen_is_asked_once),
        cmocka_unit_test(while_another_finds_out_how_a_target_is_the_walk_waits),
        cmocka_unit_test(that_is_waited_for_within_bounds_only),
        cmocka_unit_test(what_stops_a_walk_stops_the_last_resort_too),
        cmocka_unit_test(a_retry_is_not_made_through_a_door_that_closed_meanwhile),
        cmocka_unit_test(a_later_moment_that_others_were_told_is_waited_for_too),
        cmocka_unit_test(a_replaced_rest_brings_no_second_probe),
        cmocka_unit_test(without_money_a_retry_gives_way_to_the_next_step),
        cmocka_unit_test(a_round_is_paid_by_those_who_asked),
        cmocka_unit_test(a_hedge_is_the_next_that_may_run_and_the_walk_goes_on_behind_it),
        cmocka_unit_test(both_of_a_race_stay_under_the_ceiling),
        cmocka_unit_test(without_one_that_may_run_a_hedge_changes_nothing),
        cmocka_unit_test(any_sequence_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
