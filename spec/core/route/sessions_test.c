/* sessions_test.c - what is remembered of a session, whose it is, for how long, and how much of it. */
#include "route/sessions.h"

#include "support/unit.h"

#include <pthread.h>

static struct arena arena;
static struct session_target found[SESSIONS_TARGETS];

static int set_up(void **state) {
    arena_init(&arena, 1024);
    *state = sessions_new();
    return 0;
}

static int tear_down(void **state) {
    sessions_free(*state);
    arena_deinit(&arena);
    return 0;
}

static size_t find(struct sessions *s, const char *key, const char *session, uint64_t now_ms) {
    return sessions_find(s, span_of(key), span_of(session), &arena, found, now_ms);
}

static void tells_the_newest_target_first(void **state) {
    struct sessions *s = *state;
    assert_int_equal(find(s, "sk-one", "chat", 9), 0);
    sessions_answered(s, SPAN("sk-one"), SPAN("chat"), SPAN("a/x"), 100, 10);
    sessions_answered(s, SPAN("sk-one"), SPAN("chat"), SPAN("b/y"), 200, 20);
    assert_int_equal(find(s, "sk-one", "chat", 30), 2);
    assert_span(found[0].id, "b/y");
    assert_int_equal(found[0].cached_tokens, 200);
    assert_span(found[1].id, "a/x");
    assert_int_equal(found[1].cached_tokens, 100);
}

static void a_target_stands_there_once(void **state) {
    struct sessions *s = *state;
    sessions_answered(s, SPAN("sk-one"), SPAN("chat"), SPAN("a/x"), 100, 10);
    sessions_answered(s, SPAN("sk-one"), SPAN("chat"), SPAN("b/y"), 200, 20);
    sessions_answered(s, SPAN("sk-one"), SPAN("chat"), SPAN("a/x"), 300, 30);
    assert_int_equal(find(s, "sk-one", "chat", 40), 2);
    assert_span(found[0].id, "a/x");
    assert_int_equal(found[0].cached_tokens, 300);
    assert_span(found[1].id, "b/y");
}

static void the_oldest_target_makes_room(void **state) {
    struct sessions *s = *state;
    char id[8];
    for (int i = 0; i < SESSIONS_TARGETS + 2; i++) {
        snprintf(id, sizeof id, "p/%d", i);
        sessions_answered(s, SPAN("sk-one"), SPAN("chat"), span_of(id), 1, 10);
    }
    assert_int_equal(find(s, "sk-one", "chat", 20), SESSIONS_TARGETS);
    for (int i = 0; i < SESSIONS_TARGETS; i++) {
        snprintf(id, sizeof id, "p/%d", SESSIONS_TARGETS + 1 - i);
        assert_span(found[i].id, id);
    }
}

static void a_session_is_its_keys(void **state) {
    struct sessions *s = *state;
    sessions_answered(s, SPAN("sk-one"), SPAN("chat"), SPAN("a/x"), 100, 10);
    assert_int_equal(find(s, "sk-two", "chat", 20), 0);
    assert_int_equal(find(s, "", "chat", 20), 0);
    sessions_answered(s, SPAN("sk-two"), SPAN("chat"), SPAN("b/y"), 200, 20);
    assert_int_equal(find(s, "sk-one", "chat", 30), 1);
    assert_span(found[0].id, "a/x");
}

static void without_a_name_there_is_no_session(void **state) {
    struct sessions *s = *state;
    sessions_answered(s, SPAN("sk-one"), SPAN_NONE, SPAN("a/x"), 100, 10);
    sessions_answered(s, SPAN("sk-one"), SPAN(""), SPAN("a/x"), 100, 10);
    assert_int_equal(sessions_find(s, SPAN("sk-one"), SPAN_NONE, &arena, found, 20), 0);
    assert_int_equal(find(s, "sk-one", "", 20), 0);
}

static void a_cache_goes_cold_before_the_session_is_forgotten(void **state) {
    struct sessions *s = *state;
    sessions_answered(s, SPAN("sk-one"), SPAN("chat"), SPAN("a/x"), 100, 10);
    find(s, "sk-one", "chat", 10 + SESSIONS_WARM_MS - 1);
    assert_int_equal(found[0].cached_tokens, 100);
    assert_int_equal(find(s, "sk-one", "chat", 10 + SESSIONS_WARM_MS), 1);
    assert_span(found[0].id, "a/x");
    assert_int_equal(found[0].cached_tokens, 0);
}

static void is_forgotten_when_nobody_asks_for_it(void **state) {
    struct sessions *s = *state;
    sessions_answered(s, SPAN("sk-one"), SPAN("chat"), SPAN("a/x"), 100, 10);
    assert_int_equal(find(s, "sk-one", "chat", 10 + SESSIONS_KEEP_MS - 1), 1);
    uint64_t asked = 10 + SESSIONS_KEEP_MS - 1;
    assert_int_equal(find(s, "sk-one", "chat", asked + SESSIONS_KEEP_MS - 1), 1);
    asked += SESSIONS_KEEP_MS - 1;
    assert_int_equal(find(s, "sk-one", "chat", asked + SESSIONS_KEEP_MS), 0);
}

static void when_full_the_one_asked_for_longest_ago_goes(void **state) {
    struct sessions *s = *state;
    char name[16];
    for (unsigned i = 0; i < SESSIONS_MAX; i++) {
        snprintf(name, sizeof name, "s-%u", i);
        sessions_answered(s, SPAN("k"), span_of(name), SPAN("a/x"), 1, 10);
    }
    assert_int_equal(find(s, "k", "s-0", 20), 1); /* asked for: now s-1 is the one */
    sessions_answered(s, SPAN("k"), SPAN("one more"), SPAN("a/x"), 1, 20);
    assert_int_equal(find(s, "k", "s-1", 30), 0);
    assert_int_equal(find(s, "k", "s-0", 30), 1);
    assert_int_equal(find(s, "k", "s-2", 30), 1);
    assert_int_equal(find(s, "k", "one more", 30), 1);
}

/* --- threads --- */

enum { THREADS = 4, ROUNDS = 5000, NAMES = 16 };

static void *use(void *arg) {
    struct sessions *s = arg;
    struct arena own;
    struct session_target mine[SESSIONS_TARGETS];
    void *wrong = NULL;
    arena_init(&own, 4096);
    for (unsigned i = 0; i < ROUNDS && !wrong; i++) {
        char name[16], id[16];
        snprintf(name, sizeof name, "s-%u", i % NAMES);
        snprintf(id, sizeof id, "p/%u", i % (SESSIONS_TARGETS + 2));
        sessions_answered(s, SPAN("k"), span_of(name), span_of(id), i, i);
        size_t n = sessions_find(s, SPAN("k"), span_of(name), &own, mine, i);
        for (size_t j = 0; j < n; j++)
            if (!span_starts(mine[j].id, SPAN("p/")))
                wrong = s;
        if (!n)
            wrong = s;
        arena_reset(&own, 4096);
    }
    arena_deinit(&own);
    return wrong;
}

static void threads_share_it(void **state) {
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use, *state), 0);
    for (int i = 0; i < THREADS; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(tells_the_newest_target_first),
        TEST(a_target_stands_there_once),
        TEST(the_oldest_target_makes_room),
        TEST(a_session_is_its_keys),
        TEST(without_a_name_there_is_no_session),
        TEST(a_cache_goes_cold_before_the_session_is_forgotten),
        TEST(is_forgotten_when_nobody_asks_for_it),
        TEST(when_full_the_one_asked_for_longest_ago_goes),
        TEST(threads_share_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
