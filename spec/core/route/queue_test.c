/* queue_test.c - who waits, how many may, whose turn it is and how many go at a time. */
#include "route/queue.h"

#include "support/unit.h"

enum { MOST = 1200 };

static struct queue queue;
static struct waiter {
    struct queue_place place;
    unsigned key, number;
    uint64_t again_ms; /* joins again at its turn, for then */
} waiters[MOST];
static struct waiter *gone[2 * MOST]; /* in the order of their turns */
static size_t n_gone;

static void on_turn(void *owner) {
    struct waiter *w = owner;
    assert_null(w->place.back);
    gone[n_gone++] = w;
    if (!w->again_ms)
        return;
    queue_went(&queue, false);
    assert_true(queue_join(&queue, &w->place, w->key, w->again_ms, 0));
}

static int set_up(void **state) {
    memset(waiters, 0, sizeof waiters);
    for (unsigned i = 0; i < MOST; i++) {
        waiters[i].number = i;
        waiters[i].place.turn = on_turn;
        waiters[i].place.owner = &waiters[i];
    }
    n_gone = 0;
    queue_init(&queue, MOST, MOST);
    return 0;
}

static int tear_down(void **state) {
    for (unsigned i = 0; i < MOST; i++)
        queue_leave(&queue, &waiters[i].place);
    queue_deinit(&queue);
    return 0;
}

static bool join(unsigned number, unsigned key, uint64_t at_ms, uint64_t now_ms) {
    waiters[number].key = key;
    return queue_join(&queue, &waiters[number].place, key, at_ms, now_ms);
}

/* Lets one go at a time, as often as anybody may. */
static void one_by_one(uint64_t now_ms) {
    size_t before;
    do {
        before = n_gone;
        queue_turn(&queue, now_ms);
        if (n_gone > before)
            queue_went(&queue, false);
    } while (n_gone > before);
}

static void goes_in_the_order_of_waiting(void **state) {
    for (unsigned i = 0; i < 5; i++)
        assert_true(join(i, 1, 100, 10 + i));
    one_by_one(100);
    assert_int_equal(n_gone, 5);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(gone[i]->number, i);
}

static void nobody_goes_before_the_moment(void **state) {
    join(0, 1, 300, 10);
    join(1, 1, 200, 11);
    assert_int_equal(queue_due(&queue), 200);
    one_by_one(199);
    assert_int_equal(n_gone, 0);
    one_by_one(200); /* who waits longer, for later, holds nobody up */
    assert_int_equal(n_gone, 1);
    assert_int_equal(gone[0]->number, 1);
    assert_int_equal(queue_due(&queue), 300);
    one_by_one(300);
    assert_int_equal(n_gone, 2);
    assert_true(queue_due(&queue) == UINT64_MAX);
}

static void turns_go_round_by_key(void **state) {
    for (unsigned i = 0; i < 1000; i++)
        assert_true(join(i, 1, 100, 10));
    for (unsigned i = 0; i < 3; i++) {
        assert_true(join(1000 + i, 2, 100, 20));
        assert_true(join(1100 + i, 3, 100, 20));
    }
    one_by_one(100);
    assert_int_equal(n_gone, 1006);
    for (unsigned i = 0; i < 9; i++)
        assert_int_equal(gone[i]->key, i % 3 + 1);
    for (unsigned i = 9; i < 1006; i++)
        assert_int_equal(gone[i]->key, 1);
}

static void a_key_that_comes_again_has_not_missed_its_turn(void **state) {
    for (unsigned i = 0; i < 4; i++)
        join(i, 1, 100, 10);
    join(10, 2, 100, 10);
    queue_turn(&queue, 100);
    queue_went(&queue, false);
    queue_turn(&queue, 100); /* key 2's only one */
    queue_went(&queue, false);
    join(11, 2, 100, 100);
    one_by_one(100);
    assert_int_equal(gone[0]->key, 1);
    assert_int_equal(gone[1]->key, 2);
    assert_int_equal(gone[2]->key, 1);
    assert_int_equal(gone[3]->key, 2);
}

static void one_first_then_two_after_each_good_answer(void **state) {
    for (unsigned i = 0; i < 20; i++)
        join(i, i % 3, 100, 10);
    queue_turn(&queue, 100);
    queue_turn(&queue, 100);
    assert_int_equal(n_gone, 1);
    assert_true(queue_due(&queue) == UINT64_MAX); /* as long as that one says nothing */
    queue_went(&queue, true);
    assert_int_equal(queue_due(&queue), 100);
    queue_turn(&queue, 100);
    assert_int_equal(n_gone, 3);
    queue_went(&queue, true);
    queue_turn(&queue, 100);
    assert_int_equal(n_gone, 5);
    queue_went(&queue, true);
    queue_turn(&queue, 100);
    assert_int_equal(n_gone, 7); /* four are under way */
    queue_went(&queue, false);
    queue_turn(&queue, 100);
    queue_went(&queue, false);
    queue_turn(&queue, 100);
    queue_went(&queue, false);
    queue_turn(&queue, 100);
    assert_int_equal(n_gone, 7); /* one still is */
    queue_went(&queue, false);
    queue_turn(&queue, 100);
    assert_int_equal(n_gone, 8);
}

static void a_new_wait_begins_with_one(void **state) {
    join(0, 1, 100, 10);
    queue_turn(&queue, 100);
    queue_went(&queue, true);
    for (unsigned i = 1; i < 4; i++)
        join(i, 1, 200, 110);
    queue_turn(&queue, 200);
    assert_int_equal(n_gone, 2);
}

static void is_bounded_in_all_and_by_key(void **state) {
    queue_init(&queue, 5, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_true(join(i, 1, 100, 10));
    assert_false(join(3, 1, 100, 10));
    assert_true(join(4, 2, 100, 10));
    assert_true(join(5, 3, 100, 10));
    assert_false(join(6, 4, 100, 10));
    queue_leave(&queue, &waiters[0].place);
    assert_true(join(3, 1, 100, 10));
}

static void whoever_leaves_is_gone_at_once(void **state) {
    for (unsigned i = 0; i < 4; i++)
        join(i, i / 2, 100, 10);
    queue_leave(&queue, &waiters[0].place);
    queue_leave(&queue, &waiters[0].place); /* twice is as good as once */
    queue_leave(&queue, &waiters[3].place);
    one_by_one(100);
    assert_int_equal(n_gone, 2);
    assert_int_equal(gone[0]->number, 1);
    assert_int_equal(gone[1]->number, 2);
    queue_leave(&queue, &waiters[1].place); /* it has had its turn */
    assert_int_equal(queue.n, 0);
    assert_null(queue.lanes);
}

static void who_fails_again_keeps_its_place(void **state) {
    join(0, 1, 100, 10);
    join(1, 1, 100, 20);
    waiters[0].again_ms = 200;
    queue_turn(&queue, 100);
    waiters[0].again_ms = 0;
    queue_turn(&queue, 200);
    queue_went(&queue, false);
    queue_turn(&queue, 200);
    assert_int_equal(gone[0]->number, 0);
    assert_int_equal(gone[1]->number, 1); /* within the first turn: 0 waits for 200 */
    assert_int_equal(gone[2]->number, 0);
    assert_int_equal(waiters[0].place.since_ms, 10);
}

static void who_was_let_go_comes_back_although_it_is_full_by_now(void **state) {
    queue_deinit(&queue);
    queue_init(&queue, 2, 2);
    join(0, 1, 100, 10);
    join(1, 1, 100, 20);
    queue_turn(&queue, 100);
    assert_true(join(2, 1, 200, 110));
    assert_false(join(3, 2, 200, 120));
    queue_went(&queue, false);
    assert_true(join(0, 1, 200, 130));
    assert_int_equal(queue_position(&queue, &waiters[0].place), 0);
    assert_false(join(3, 2, 200, 140));
}

static void who_fails_at_once_again_and_again_ends_no_loop(void **state) {
    for (unsigned i = 0; i < 3; i++) {
        join(i, i, 100, 10);
        waiters[i].again_ms = 100;
    }
    queue_turn(&queue, 100);
    assert_int_equal(n_gone, 3);
    assert_int_equal(queue.n, 3);
}

static void tells_how_many_are_before(void **state) {
    for (unsigned i = 0; i < 50; i++)
        join(i, 1, 100, 10 + i);
    join(50, 2, 100, 80);
    join(51, 2, 100, 81);
    join(52, 3, 100, 82);
    assert_int_equal(queue_position(&queue, &waiters[0].place), 0);
    assert_int_equal(queue_position(&queue, &waiters[50].place), 1);
    assert_int_equal(queue_position(&queue, &waiters[52].place), 2);
    assert_int_equal(queue_position(&queue, &waiters[51].place), 4);
    assert_int_equal(queue_position(&queue, &waiters[49].place), 52);
    /* As they then go. */
    size_t told[53];
    for (unsigned i = 0; i < 53; i++)
        told[i] = queue_position(&queue, &waiters[i].place);
    one_by_one(100);
    for (size_t i = 0; i < 53; i++)
        assert_int_equal(told[gone[i]->number], i);
    assert_int_equal(queue_position(&queue, &waiters[0].place), 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(goes_in_the_order_of_waiting),
        TEST(nobody_goes_before_the_moment),
        TEST(turns_go_round_by_key),
        TEST(a_key_that_comes_again_has_not_missed_its_turn),
        TEST(one_first_then_two_after_each_good_answer),
        TEST(a_new_wait_begins_with_one),
        TEST(is_bounded_in_all_and_by_key),
        TEST(whoever_leaves_is_gone_at_once),
        TEST(who_fails_again_keeps_its_place),
        TEST(who_was_let_go_comes_back_although_it_is_full_by_now),
        TEST(who_fails_at_once_again_and_again_ends_no_loop),
        TEST(tells_how_many_are_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
