/* breaker_test.c - when a target may be asked: rows, shares, words of the provider, the one probe. */
#include "route/breaker.h"

#include "support/unit.h"

#include <stdatomic.h>

static struct breaker breaker;

static int set_up(void **state) {
    breaker_init(&breaker);
    return 0;
}

static int tear_down(void **state) {
    breaker_deinit(&breaker);
    return 0;
}

static void ends(enum failure class, uint64_t now_ms) {
    enum breaker_permit permit = breaker_ask(&breaker, now_ms);
    assert_int_not_equal(permit, BREAKER_REFUSED);
    breaker_ended(&breaker, permit, class, -1, now_ms);
}

static void opens(uint64_t now_ms) {
    for (int i = 0; i < BREAKER_ROW; i++)
        ends(FAILURE_SERVER_ERROR, now_ms);
    assert_int_equal(breaker_state(&breaker, now_ms), BREAKER_IS_OPEN);
}

static uint64_t reopens_in(uint64_t now_ms) {
    return breaker_reopens_in(&breaker, NULL, now_ms);
}

static void begins_closed(void **state) {
    enum failure why = FAILURE_AUTH;
    assert_int_equal(breaker_state(&breaker, 0), BREAKER_IS_CLOSED);
    assert_int_equal(breaker_ask(&breaker, 0), BREAKER_CLOSED);
    assert_int_equal(breaker_insist(&breaker, 0), BREAKER_CLOSED);
    assert_int_equal(breaker_reopens_in(&breaker, &why, 0), 0);
    assert_int_equal(why, FAILURE_NONE);
}

static void failures_in_a_row_open_it(void **state) {
    enum failure why;
    for (int i = 0; i < BREAKER_ROW - 1; i++)
        ends(FAILURE_CONNECT, 100);
    ends(FAILURE_NONE, 100);
    for (int i = 0; i < BREAKER_ROW - 1; i++)
        ends(FAILURE_TIMEOUT, 100);
    assert_int_equal(breaker_state(&breaker, 100), BREAKER_IS_CLOSED);
    ends(FAILURE_TIMEOUT, 100);
    assert_int_equal(breaker_state(&breaker, 100), BREAKER_IS_OPEN);
    assert_int_equal(breaker_ask(&breaker, 100 + BREAKER_COOL_MS - 1), BREAKER_REFUSED);
    assert_int_equal(breaker_reopens_in(&breaker, &why, 100), BREAKER_COOL_MS);
    assert_int_equal(why, FAILURE_TIMEOUT);
}

static void what_the_client_did_says_nothing(void **state) {
    static const enum failure neutral[] = { FAILURE_CANCELLED,      FAILURE_BAD_REQUEST,
                                            FAILURE_CONTENT_FILTER, FAILURE_CONTEXT_LENGTH,
                                            FAILURE_COST,           FAILURE_LATENCY };
    for (size_t i = 0; i < sizeof neutral / sizeof *neutral; i++)
        for (int n = 0; n < 100; n++)
            ends(neutral[i], 100);
    assert_int_equal(breaker_state(&breaker, 100), BREAKER_IS_CLOSED);
    /* Nor does it end a row. */
    for (int i = 0; i < BREAKER_ROW - 1; i++)
        ends(FAILURE_CONNECT, 100);
    ends(FAILURE_CANCELLED, 100);
    ends(FAILURE_CONNECT, 100);
    assert_int_equal(breaker_state(&breaker, 100), BREAKER_IS_OPEN);
}

static void a_share_of_failures_opens_it(void **state) {
    for (int i = 0; i < BREAKER_SAMPLE_MIN / 2 - 1; i++) {
        ends(FAILURE_NONE, 100);
        ends(FAILURE_OVERLOADED, 100);
    }
    ends(FAILURE_NONE, 100);
    assert_int_equal(breaker_state(&breaker, 100), BREAKER_IS_CLOSED);
    ends(FAILURE_OVERLOADED, 100); /* the twentieth, and the tenth that failed */
    assert_int_equal(breaker_state(&breaker, 100), BREAKER_IS_OPEN);
}

static void a_smaller_share_does_not(void **state) {
    for (int i = 0; i < 1000; i++)
        ends(i % 5 < 2 ? FAILURE_OVERLOADED : FAILURE_NONE, (uint64_t)i);
    assert_int_equal(breaker_state(&breaker, 1000), BREAKER_IS_CLOSED);
}

static void what_is_past_the_window_is_forgotten(void **state) {
    for (int i = 0; i < BREAKER_SAMPLE_MIN - 1; i++)
        ends(i % 2 ? FAILURE_OVERLOADED : FAILURE_NONE, 100);
    ends(FAILURE_NONE, 2 * BREAKER_SLICE_MS + 100);
    ends(FAILURE_OVERLOADED, 2 * BREAKER_SLICE_MS + 100);
    assert_int_equal(breaker_state(&breaker, 2 * BREAKER_SLICE_MS + 100), BREAKER_IS_CLOSED);
}

static void one_probe_decides(void **state) {
    opens(100);
    uint64_t now = 100 + BREAKER_COOL_MS;
    assert_int_equal(breaker_state(&breaker, now), BREAKER_IS_HALF_OPEN);
    assert_int_equal(breaker_ask(&breaker, now), BREAKER_PROBE);
    assert_int_equal(breaker_ask(&breaker, now), BREAKER_REFUSED);
    assert_int_equal(breaker_insist(&breaker, now), BREAKER_REFUSED);
    assert_true(breaker_probing(&breaker, now));
    breaker_ended(&breaker, BREAKER_PROBE, FAILURE_NONE, -1, now + 50);
    assert_false(breaker_probing(&breaker, now + 50));
    assert_int_equal(breaker_state(&breaker, now + 50), BREAKER_IS_CLOSED);
    /* What was before is forgotten: one failure does not open it again. */
    ends(FAILURE_SERVER_ERROR, now + 60);
    assert_int_equal(breaker_state(&breaker, now + 60), BREAKER_IS_CLOSED);
}

static void a_probe_that_learns_nothing_makes_room_for_another(void **state) {
    opens(100);
    uint64_t now = 100 + BREAKER_COOL_MS;
    assert_int_equal(breaker_ask(&breaker, now), BREAKER_PROBE);
    breaker_ended(&breaker, BREAKER_PROBE, FAILURE_CANCELLED, -1, now);
    assert_int_equal(breaker_state(&breaker, now), BREAKER_IS_HALF_OPEN);
    assert_int_equal(breaker_ask(&breaker, now), BREAKER_PROBE);
    breaker_return(&breaker, BREAKER_PROBE);
    assert_int_equal(breaker_ask(&breaker, now), BREAKER_PROBE);
}

static void a_probe_that_never_comes_back_is_given_out_again(void **state) {
    opens(100);
    uint64_t now = 100 + BREAKER_COOL_MS;
    assert_int_equal(breaker_ask(&breaker, now), BREAKER_PROBE);
    assert_int_equal(breaker_ask(&breaker, now + BREAKER_LOST_MS - 1), BREAKER_REFUSED);
    assert_false(breaker_probing(&breaker, now + BREAKER_LOST_MS));
    assert_int_equal(breaker_ask(&breaker, now + BREAKER_LOST_MS), BREAKER_PROBE);
}

static void each_time_it_is_open_for_longer(void **state) {
    uint64_t now = 100;
    opens(now);
    for (uint64_t cool = BREAKER_COOL_MS; cool < 4 * BREAKER_COOL_MAX_MS; cool *= 2) {
        uint64_t wanted = cool < BREAKER_COOL_MAX_MS ? cool : BREAKER_COOL_MAX_MS;
        assert_int_equal(reopens_in(now), wanted);
        now += wanted;
        ends(FAILURE_SERVER_ERROR, now);
    }
}

static void closing_is_not_being_well_yet(void **state) {
    uint64_t now = 100;
    opens(now);
    now += BREAKER_COOL_MS;
    ends(FAILURE_NONE, now); /* the probe */
    opens(now);
    assert_int_equal(reopens_in(now), 2 * BREAKER_COOL_MS);
    now += 2 * BREAKER_COOL_MS;
    for (int i = 0; i < BREAKER_ROW; i++) /* the probe among them */
        ends(FAILURE_NONE, now);
    opens(now);
    assert_int_equal(reopens_in(now), BREAKER_COOL_MS);
}

static void the_providers_word_is_kept(void **state) {
    breaker_ended(&breaker, breaker_ask(&breaker, 100), FAILURE_RATE_LIMITED, 20, 100);
    assert_int_equal(reopens_in(100), 20);
    /* Not even for want of anything else. */
    assert_int_equal(breaker_insist(&breaker, 119), BREAKER_REFUSED);
    assert_int_equal(breaker_ask(&breaker, 120), BREAKER_PROBE);
    /* A word that did not hold is not enough the next time. */
    breaker_ended(&breaker, BREAKER_PROBE, FAILURE_RATE_LIMITED, 20, 130);
    assert_int_equal(reopens_in(130), BREAKER_COOL_MS);
    assert_int_equal(breaker_insist(&breaker, 149), BREAKER_REFUSED);
    assert_int_equal(breaker_insist(&breaker, 150), BREAKER_PROBE);
}

static void the_providers_word_is_bounded(void **state) {
    breaker_ended(&breaker, breaker_ask(&breaker, 100), FAILURE_QUOTA, INT64_MAX, 100);
    assert_int_equal(reopens_in(100), BREAKER_TOLD_MAX_MS);
}

static void a_moment_that_is_now_is_none(void **state) {
    breaker_ended(&breaker, breaker_ask(&breaker, 100), FAILURE_RATE_LIMITED, 0, 100);
    breaker_ended(&breaker, breaker_ask(&breaker, 100), FAILURE_RATE_LIMITED, -1, 100);
    assert_int_equal(breaker_state(&breaker, 100), BREAKER_IS_CLOSED);
}

static void a_refused_key_opens_it_at_once(void **state) {
    static const enum failure refused[] = { FAILURE_AUTH, FAILURE_QUOTA };
    for (int i = 0; i < 2; i++) {
        enum failure why;
        breaker_init(&breaker);
        ends(refused[i], 100);
        assert_int_equal(breaker_reopens_in(&breaker, &why, 100), BREAKER_COOL_MS);
        assert_int_equal(why, refused[i]);
        breaker_deinit(&breaker);
    }
    breaker_init(&breaker);
}

static void for_want_of_anything_else_it_is_asked_while_open(void **state) {
    opens(100);
    assert_int_equal(breaker_ask(&breaker, 101), BREAKER_REFUSED);
    assert_int_equal(breaker_insist(&breaker, 101), BREAKER_PROBE);
    assert_int_equal(breaker_insist(&breaker, 101), BREAKER_REFUSED);
    assert_int_equal(breaker_ask(&breaker, 100 + BREAKER_COOL_MS), BREAKER_REFUSED);
    breaker_ended(&breaker, BREAKER_PROBE, FAILURE_NONE, -1, 2000);
    assert_int_equal(breaker_ask(&breaker, 2000), BREAKER_CLOSED);
}

static void what_began_before_it_opened_changes_only_the_moment(void **state) {
    opens(100);
    breaker_ended(&breaker, BREAKER_CLOSED, FAILURE_NONE, -1, 200);
    assert_int_equal(breaker_state(&breaker, 200), BREAKER_IS_OPEN);
    breaker_ended(&breaker, BREAKER_CLOSED, FAILURE_TIMEOUT, -1, 300);
    assert_int_equal(reopens_in(300), 100 + BREAKER_COOL_MS - 300);
    breaker_ended(&breaker, BREAKER_CLOSED, FAILURE_RATE_LIMITED, 5000, 300);
    assert_int_equal(reopens_in(300), 5000);
    breaker_ended(&breaker, BREAKER_CLOSED, FAILURE_RATE_LIMITED, 10, 300);
    assert_int_equal(reopens_in(300), 5000);
}

/* A stream's probe is well when its first content comes; its end may be minutes away. */
static void a_probe_that_went_well_ends_like_any_other(void **state) {
    opens(100);
    uint64_t now = 100 + BREAKER_COOL_MS;
    assert_int_equal(breaker_ask(&breaker, now), BREAKER_PROBE);
    breaker_ended(&breaker, BREAKER_PROBE, FAILURE_NONE, -1, now + 10);
    assert_int_equal(breaker_ask(&breaker, now + 10), BREAKER_CLOSED);
    breaker_ended(&breaker, BREAKER_PROBE, FAILURE_CUT_STREAM, -1, now + 20);
    assert_int_equal(breaker_state(&breaker, now + 20), BREAKER_IS_CLOSED);
    for (int i = 1; i < BREAKER_ROW; i++)
        ends(FAILURE_CUT_STREAM, now + 30);
    assert_int_equal(breaker_state(&breaker, now + 30), BREAKER_IS_OPEN);
}

/* --- threads --- */

/* So few that less time passes than a probe may take: a thread may stand still for all of it. */
enum { THREADS = 4, ROUNDS = 14000 };

struct world {
    atomic_uint probes, most; /* out now, and the most that ever were */
    atomic_ullong now_ms;
};

/* Nine of ten fail: it opens, lets one through, opens again, as long as it goes on. */
static void *hammer(void *arg) {
    struct world *w = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t now = atomic_fetch_add(&w->now_ms, 1);
        enum breaker_permit permit =
            i % 7 ? breaker_ask(&breaker, now) : breaker_insist(&breaker, now);
        if (permit == BREAKER_REFUSED)
            continue;
        if (permit == BREAKER_PROBE) {
            unsigned out = atomic_fetch_add(&w->probes, 1) + 1, most = atomic_load(&w->most);
            while (most < out && !atomic_compare_exchange_weak(&w->most, &most, out))
                ;
            breaker_state(&breaker, now);
            atomic_fetch_sub(&w->probes, 1);
        }
        breaker_ended(&breaker, permit, i % 10 ? FAILURE_TIMEOUT : FAILURE_NONE, -1, now);
    }
    return NULL;
}

static void the_one_probe_is_one_over_threads(void **state) {
    struct world w = { .now_ms = 1000 };
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, &w), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&w.most), 1);
    /* Nothing is left hanging: it is asked again when its time has come. */
    assert_int_not_equal(breaker_ask(&breaker, atomic_load(&w.now_ms) + BREAKER_COOL_MAX_MS),
                         BREAKER_REFUSED);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(begins_closed),
        TEST(failures_in_a_row_open_it),
        TEST(what_the_client_did_says_nothing),
        TEST(a_share_of_failures_opens_it),
        TEST(a_smaller_share_does_not),
        TEST(what_is_past_the_window_is_forgotten),
        TEST(one_probe_decides),
        TEST(a_probe_that_learns_nothing_makes_room_for_another),
        TEST(a_probe_that_never_comes_back_is_given_out_again),
        TEST(each_time_it_is_open_for_longer),
        TEST(closing_is_not_being_well_yet),
        TEST(the_providers_word_is_kept),
        TEST(the_providers_word_is_bounded),
        TEST(a_moment_that_is_now_is_none),
        TEST(a_refused_key_opens_it_at_once),
        TEST(for_want_of_anything_else_it_is_asked_while_open),
        TEST(what_began_before_it_opened_changes_only_the_moment),
        TEST(a_probe_that_went_well_ends_like_any_other),
        TEST(the_one_probe_is_one_over_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
