/* idempotency_test.c - what is sent twice: answered once, for those who asked it, for a while. */
#include "route/idempotency.h"

#include "support/unit.h"

#include <pthread.h>

static const struct idempotency_limits limits = {
    .max_bytes = 64 << 10, .answer_ms = 600, .name_ms = 5000, .max_names = 50
};

static struct idempotency_answer *found;

static int set_up(void **state) {
    *state = idempotency_new(&limits);
    found = NULL;
    return 0;
}

static int tear_down(void **state) {
    idempotency_answer_unref(found);
    idempotency_free(*state);
    return 0;
}

static struct idempotency_id id_of(const char *key, const char *body) {
    return idempotency_id(SPAN("key_a"), span_of(key), SPAN("/v1/chat/completions"), span_of(body));
}

static struct idempotency_answer *answer_of(const char *body) {
    const struct pair headers[] = { { SPAN("content-type"), SPAN("application/json") } };
    return idempotency_answer_new(200, SPAN("01REQUEST"), headers, 1, span_of(body));
}

/* Asks on lane 0 and forgets what was found before. */
static enum idempotency_found ask(struct idempotency *t, struct idempotency_id id, uint64_t now) {
    idempotency_answer_unref(found);
    found = NULL;
    return idempotency_ask(t, &id, 0, now, &found);
}

/* As the first, at once. */
static void answer(struct idempotency *t, struct idempotency_id id, const char *body,
                   uint64_t now) {
    assert_int_equal(ask(t, id, now), IDEMPOTENCY_FIRST);
    assert_int_equal(idempotency_keep(t, &id, body ? answer_of(body) : NULL, now), 0);
}

static void the_answer_of_the_first_is_everybodys(void **state) {
    struct idempotency *t = *state;
    answer(t, id_of("k", "hello"), "hi", 10);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask(t, id_of("k", "hello"), 11), IDEMPOTENCY_ANSWERED);
        assert_int_equal(found->status, 200);
        assert_span(found->id, "01REQUEST");
        assert_span(found->body, "hi");
        assert_int_equal(found->n_headers, 1);
        assert_span(found->headers[0].name, "content-type");
        assert_span(found->headers[0].value, "application/json");
    }
}

static void another_body_or_endpoint_is_another_request(void **state) {
    struct idempotency *t = *state;
    struct idempotency_id elsewhere =
        idempotency_id(SPAN("key_a"), SPAN("k"), SPAN("/v1/messages"), SPAN("hello"));
    assert_int_equal(ask(t, id_of("k", "hello"), 10), IDEMPOTENCY_FIRST);
    assert_int_equal(ask(t, id_of("k", "hello "), 10), IDEMPOTENCY_OTHER);
    struct idempotency_id id = id_of("k", "hello");
    idempotency_keep(t, &id, answer_of("hi"), 10);
    assert_int_equal(ask(t, id_of("k", "hello "), 11), IDEMPOTENCY_OTHER);
    assert_int_equal(ask(t, elsewhere, 11), IDEMPOTENCY_OTHER);
    assert_null(found);
}

static void nobody_gets_what_is_anothers(void **state) {
    struct idempotency *t = *state;
    answer(t, id_of("k", "hello"), "hi", 10);
    struct idempotency_id theirs =
        idempotency_id(SPAN("key_b"), SPAN("k"), SPAN("/v1/chat/completions"), SPAN("hello"));
    assert_int_equal(ask(t, theirs, 11), IDEMPOTENCY_FIRST);
    assert_int_equal(ask(t, id_of("l", "hello"), 11), IDEMPOTENCY_FIRST);
}

static void who_waits_is_told_by_lane(void **state) {
    struct idempotency *t = *state;
    struct idempotency_id id = id_of("k", "hello");
    assert_int_equal(idempotency_ask(t, &id, 3, 10, &found), IDEMPOTENCY_FIRST);
    assert_int_equal(idempotency_ask(t, &id, 0, 10, &found), IDEMPOTENCY_UNDER_WAY);
    assert_int_equal(idempotency_ask(t, &id, 63, 10, &found), IDEMPOTENCY_UNDER_WAY);
    assert_true(idempotency_keep(t, &id, answer_of("hi"), 10) == (UINT64_C(1) << 63 | 1));
    assert_int_equal(ask(t, id, 11), IDEMPOTENCY_ANSWERED);
}

static void what_came_to_nothing_is_tried_again_by_one_of_them(void **state) {
    struct idempotency *t = *state;
    struct idempotency_id id = id_of("k", "hello");
    assert_int_equal(ask(t, id, 10), IDEMPOTENCY_FIRST);
    assert_int_equal(idempotency_ask(t, &id, 5, 10, &found), IDEMPOTENCY_UNDER_WAY);
    assert_true(idempotency_drop(t, &id) == UINT64_C(1) << 5);
    assert_int_equal(ask(t, id, 11), IDEMPOTENCY_FIRST);
    assert_int_equal(ask(t, id, 11), IDEMPOTENCY_UNDER_WAY);
}

static void who_leaves_is_dropped_unless_somebody_waits(void **state) {
    struct idempotency *t = *state;
    struct idempotency_id id = id_of("k", "hello");
    assert_int_equal(ask(t, id, 10), IDEMPOTENCY_FIRST);
    assert_true(idempotency_leave(t, &id));
    assert_int_equal(ask(t, id, 11), IDEMPOTENCY_FIRST);
    assert_int_equal(ask(t, id, 11), IDEMPOTENCY_UNDER_WAY);
    assert_false(idempotency_leave(t, &id));
    idempotency_keep(t, &id, answer_of("hi"), 12);
    assert_int_equal(ask(t, id, 12), IDEMPOTENCY_ANSWERED);
}

static void an_answer_is_forgotten_before_the_fact(void **state) {
    struct idempotency *t = *state;
    answer(t, id_of("k", "hello"), "hi", 10);
    assert_int_equal(ask(t, id_of("k", "hello"), 609), IDEMPOTENCY_ANSWERED);
    assert_int_equal(ask(t, id_of("k", "hello"), 610), IDEMPOTENCY_FORGOTTEN);
    assert_int_equal(ask(t, id_of("k", "other"), 5009), IDEMPOTENCY_OTHER);
    assert_int_equal(ask(t, id_of("k", "other"), 5010), IDEMPOTENCY_FIRST);
}

static void what_was_too_large_is_known_to_have_been(void **state) {
    struct idempotency *t = *state;
    answer(t, id_of("large", "x"), NULL, 10);
    answer(t, id_of("small", "x"), "hi", 11);
    assert_int_equal(ask(t, id_of("large", "x"), 12), IDEMPOTENCY_FORGOTTEN);
    assert_int_equal(ask(t, id_of("small", "x"), 12), IDEMPOTENCY_ANSWERED);
    assert_int_equal(ask(t, id_of("small", "x"), 611), IDEMPOTENCY_FORGOTTEN);
}

static void the_oldest_answers_go_for_want_of_room(void **state) {
    struct idempotency *t = *state;
    char key[16], body[4097];
    memset(body, 'x', sizeof body - 1);
    body[sizeof body - 1] = '\0';
    for (int i = 0; i < 40; i++) {
        snprintf(key, sizeof key, "%d", i);
        answer(t, id_of(key, "x"), body, 10);
    }
    assert_int_equal(ask(t, id_of("0", "x"), 11), IDEMPOTENCY_FORGOTTEN);
    assert_int_equal(ask(t, id_of("24", "x"), 11), IDEMPOTENCY_FORGOTTEN);
    assert_int_equal(ask(t, id_of("30", "x"), 11), IDEMPOTENCY_ANSWERED);
    assert_int_equal(ask(t, id_of("39", "x"), 11), IDEMPOTENCY_ANSWERED);
    assert_int_equal(found->body.len, sizeof body - 1);
}

static void the_oldest_names_go_for_want_of_room(void **state) {
    struct idempotency *t = *state;
    char key[16];
    for (int i = 0; i < 60; i++) {
        snprintf(key, sizeof key, "%d", i);
        answer(t, id_of(key, "x"), "hi", 10);
    }
    assert_int_equal(ask(t, id_of("10", "y"), 11), IDEMPOTENCY_OTHER);
    assert_int_equal(ask(t, id_of("9", "y"), 11), IDEMPOTENCY_FIRST);
}

/* One that began early and ends late keeps nothing else from going. */
static void one_under_way_is_never_forgotten(void **state) {
    struct idempotency *t = *state;
    struct idempotency_id slow = id_of("slow", "x");
    assert_int_equal(ask(t, slow, 10), IDEMPOTENCY_FIRST);
    answer(t, id_of("quick", "x"), "hi", 20);
    assert_int_equal(ask(t, id_of("quick", "x"), 6000), IDEMPOTENCY_FIRST);
    assert_int_equal(ask(t, slow, 6000), IDEMPOTENCY_UNDER_WAY);
    idempotency_keep(t, &slow, answer_of("late"), 6000);
    assert_int_equal(ask(t, slow, 6599), IDEMPOTENCY_ANSWERED);
}

static void an_answer_somebody_has_outlives_its_place(void **state) {
    struct idempotency *t = *state;
    answer(t, id_of("k", "x"), "hi", 10);
    assert_int_equal(ask(t, id_of("k", "x"), 11), IDEMPOTENCY_ANSWERED);
    struct idempotency_answer *held = found;
    found = NULL;
    assert_int_equal(ask(t, id_of("k", "x"), 9000), IDEMPOTENCY_FIRST);
    assert_span(held->body, "hi");
    idempotency_answer_unref(held);
}

/* --- from many threads ---------------------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 2000 };

struct racer {
    struct idempotency *table;
    unsigned lane;
    unsigned firsts, answered;
    pthread_t thread;
};

/* Each round is a key of its own, which all threads ask for until it is answered. */
static void *race(void *arg) {
    struct racer *r = arg;
    char key[16];
    for (int i = 0; i < ROUNDS; i++) {
        struct idempotency_answer *a = NULL;
        enum idempotency_found how;
        snprintf(key, sizeof key, "%d", i);
        struct idempotency_id id = id_of(key, "x");
        while ((how = idempotency_ask(r->table, &id, r->lane, 10, &a)) == IDEMPOTENCY_UNDER_WAY)
            sched_yield();
        if (how == IDEMPOTENCY_FIRST) {
            r->firsts++;
            idempotency_keep(r->table, &id, answer_of(key), 10);
        } else if (how == IDEMPOTENCY_ANSWERED) {
            r->answered += span_eq(a->body, span_of(key));
            idempotency_answer_unref(a);
        }
    }
    return NULL;
}

static void one_of_many_threads_is_first(void **state) {
    const struct idempotency_limits wide = {
        .max_bytes = 64 << 20, .answer_ms = 1000, .name_ms = 1000, .max_names = ROUNDS
    };
    struct idempotency *t = idempotency_new(&wide);
    struct racer racers[THREADS];
    unsigned firsts = 0, answered = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        racers[i] = (struct racer){ .table = t, .lane = i };
        assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(racers[i].thread, NULL);
        firsts += racers[i].firsts;
        answered += racers[i].answered;
    }
    assert_int_equal(firsts, ROUNDS);
    assert_int_equal(answered, ROUNDS * (THREADS - 1));
    idempotency_free(t);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_answer_of_the_first_is_everybodys),
        TEST(another_body_or_endpoint_is_another_request),
        TEST(nobody_gets_what_is_anothers),
        TEST(who_waits_is_told_by_lane),
        TEST(what_came_to_nothing_is_tried_again_by_one_of_them),
        TEST(who_leaves_is_dropped_unless_somebody_waits),
        TEST(an_answer_is_forgotten_before_the_fact),
        TEST(what_was_too_large_is_known_to_have_been),
        TEST(the_oldest_answers_go_for_want_of_room),
        TEST(the_oldest_names_go_for_want_of_room),
        TEST(one_under_way_is_never_forgotten),
        TEST(an_answer_somebody_has_outlives_its_place),
        cmocka_unit_test(one_of_many_threads_is_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
