/* wheel_test.c - timers that never fire early, at most one step late, and may do anything when they
 * do. */
#include "route/wheel.h"

#include "support/unit.h"

enum { TIMERS = 2000, ROUND_MS = WHEEL_STEP_MS * WHEEL_SLOTS };

struct probe {
    struct wheel_timer timer;
    struct wheel *wheel;
    struct probe *other; /* disarmed when this one fires */
    uint64_t *now;
    uint64_t due, fired_at;
    unsigned fired;
    uint64_t again_in; /* arms itself so many ms later, once */
};

static void on_fire(void *owner) {
    struct probe *p = owner;
    p->fired++;
    p->fired_at = *p->now;
    assert_false(wheel_armed(&p->timer));
    if (p->other)
        wheel_disarm(p->wheel, &p->other->timer);
    if (p->again_in) {
        p->due = *p->now + p->again_in;
        p->again_in = 0;
        wheel_arm(p->wheel, &p->timer, p->due);
    }
}

static void make(struct probe *p, struct wheel *w, uint64_t *now, uint64_t due) {
    *p = (struct probe){ .wheel = w, .now = now, .due = due };
    p->timer.fire = on_fire;
    p->timer.owner = p;
    wheel_arm(w, &p->timer, due);
}

static void fires_once_never_early_at_most_a_step_late(void **state) {
    static struct probe probes[TIMERS];
    struct wheel w;
    uint64_t now = 1000;
    wheel_init(&w, now);
    for (unsigned i = 0; i < TIMERS; i++)
        make(&probes[i], &w, &now, now + (i * 7919u) % (3 * ROUND_MS));
    assert_int_equal(w.armed, TIMERS);
    for (; now < 1000 + 3 * ROUND_MS + 100; now++)
        wheel_turn(&w, now);
    for (unsigned i = 0; i < TIMERS; i++) {
        assert_int_equal(probes[i].fired, 1);
        assert_true(probes[i].fired_at >= probes[i].due);
        assert_true(probes[i].fired_at <= probes[i].due + 2 * WHEEL_STEP_MS);
    }
    assert_int_equal(w.armed, 0);
}

static void a_long_pause_fires_all_that_is_due_and_no_more(void **state) {
    static struct probe due[100], later[100];
    struct wheel w;
    uint64_t now = 0;
    wheel_init(&w, now);
    for (unsigned i = 0; i < 100; i++) {
        make(&due[i], &w, &now, i * 150);
        make(&later[i], &w, &now, 5 * ROUND_MS + i * 150);
    }
    now = 4 * ROUND_MS;
    wheel_turn(&w, now);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(due[i].fired, 1);
        assert_int_equal(later[i].fired, 0);
    }
    assert_int_equal(w.armed, 100);
}

static void disarmed_timers_stay_silent(void **state) {
    struct probe p;
    struct wheel w;
    uint64_t now = 0;
    wheel_init(&w, now);
    make(&p, &w, &now, 50);
    wheel_disarm(&w, &p.timer);
    wheel_disarm(&w, &p.timer);
    now = ROUND_MS;
    wheel_turn(&w, now);
    assert_int_equal(p.fired, 0);
    assert_int_equal(w.armed, 0);
}

static void a_timer_may_disarm_its_neighbour_in_the_same_slot(void **state) {
    struct probe a, b;
    struct wheel w;
    uint64_t now = 0;
    wheel_init(&w, now);
    make(&a, &w, &now, 20);
    make(&b, &w, &now, 20);
    a.other = &b;
    b.other = &a;
    now = 100;
    wheel_turn(&w, now);
    assert_int_equal(a.fired + b.fired, 1);
    assert_int_equal(w.armed, 0);
}

static void a_timer_may_arm_itself_again(void **state) {
    struct probe p;
    struct wheel w;
    uint64_t now = 0;
    wheel_init(&w, now);
    make(&p, &w, &now, 20);
    p.again_in = 1;
    for (; now < 100; now++)
        wheel_turn(&w, now);
    assert_int_equal(p.fired, 2);
}

static void a_moment_in_the_past_fires_at_the_next_turn(void **state) {
    struct probe p;
    struct wheel w;
    uint64_t now = 5000;
    wheel_init(&w, now);
    make(&p, &w, &now, 10);
    wheel_turn(&w, now);
    assert_int_equal(p.fired, 0);
    now += WHEEL_STEP_MS;
    wheel_turn(&w, now);
    assert_int_equal(p.fired, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fires_once_never_early_at_most_a_step_late),
        cmocka_unit_test(a_long_pause_fires_all_that_is_due_and_no_more),
        cmocka_unit_test(disarmed_timers_stay_silent),
        cmocka_unit_test(a_timer_may_disarm_its_neighbour_in_the_same_slot),
        cmocka_unit_test(a_timer_may_arm_itself_again),
        cmocka_unit_test(a_moment_in_the_past_fires_at_the_next_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
