/* kept_test.c - what models want back: found by key and call, bounded in size and time. */
#include "route/kept.h"

#include "support/unit.h"

static struct arena arena;

static int set_up(void **state) {
    arena_init(&arena, 1024);
    *state = kept_new(16 << 10, 1000);
    return 0;
}

static int tear_down(void **state) {
    kept_free(*state);
    arena_deinit(&arena);
    return 0;
}

static void gives_back_what_was_put_more_than_once(void **state) {
    struct kept *k = *state;
    kept_put(k, SPAN("sk-one"), SPAN("call_a"), SPAN("signature"), 10);
    assert_span(kept_get(k, SPAN("sk-one"), SPAN("call_a"), &arena, 11), "signature");
    assert_span(kept_get(k, SPAN("sk-one"), SPAN("call_a"), &arena, 12), "signature");
    assert_null(kept_get(k, SPAN("sk-one"), SPAN("call_b"), &arena, 12).at);
}

static void tells_no_key_what_is_anothers(void **state) {
    struct kept *k = *state;
    kept_put(k, SPAN("sk-one"), SPAN("call_a"), SPAN("mine"), 10);
    assert_null(kept_get(k, SPAN("sk-two"), SPAN("call_a"), &arena, 11).at);
    kept_put(k, SPAN("sk-two"), SPAN("call_a"), SPAN("theirs"), 10);
    assert_span(kept_get(k, SPAN("sk-one"), SPAN("call_a"), &arena, 11), "mine");
    assert_span(kept_get(k, SPAN("sk-two"), SPAN("call_a"), &arena, 11), "theirs");
}

static void takes_the_newest_of_one_call(void **state) {
    struct kept *k = *state;
    kept_put(k, SPAN("sk-one"), SPAN("call_a"), SPAN("old"), 10);
    kept_put(k, SPAN("sk-one"), SPAN("call_a"), SPAN("new"), 900);
    assert_span(kept_get(k, SPAN("sk-one"), SPAN("call_a"), &arena, 1500), "new");
}

static void forgets_in_time(void **state) {
    struct kept *k = *state;
    kept_put(k, SPAN("sk-one"), SPAN("call_a"), SPAN("x"), 10);
    assert_span(kept_get(k, SPAN("sk-one"), SPAN("call_a"), &arena, 1009), "x");
    assert_null(kept_get(k, SPAN("sk-one"), SPAN("call_a"), &arena, 1010).at);
}

static void forgets_the_oldest_for_want_of_room(void **state) {
    struct kept *k = *state;
    char id[32], text[900];
    memset(text, 'x', sizeof text);
    for (int i = 0; i < 100; i++) {
        snprintf(id, sizeof id, "call_%d", i);
        kept_put(k, SPAN("sk-one"), span_of(id), (struct span){ text, sizeof text }, 10);
    }
    assert_null(kept_get(k, SPAN("sk-one"), SPAN("call_0"), &arena, 11).at);
    assert_null(kept_get(k, SPAN("sk-one"), SPAN("call_80"), &arena, 11).at);
    assert_int_equal(kept_get(k, SPAN("sk-one"), SPAN("call_99"), &arena, 11).len, sizeof text);
    assert_int_equal(kept_get(k, SPAN("sk-one"), SPAN("call_90"), &arena, 11).len, sizeof text);
}

static void does_not_empty_itself_for_one_large_text(void **state) {
    struct kept *k = *state;
    static char text[2048];
    kept_put(k, SPAN("sk-one"), SPAN("call_a"), SPAN("small"), 10);
    kept_put(k, SPAN("sk-one"), SPAN("call_b"), (struct span){ text, sizeof text }, 10);
    assert_null(kept_get(k, SPAN("sk-one"), SPAN("call_b"), &arena, 11).at);
    assert_span(kept_get(k, SPAN("sk-one"), SPAN("call_a"), &arena, 11), "small");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(gives_back_what_was_put_more_than_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tells_no_key_what_is_anothers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(takes_the_newest_of_one_call, set_up, tear_down),
        cmocka_unit_test_setup_teardown(forgets_in_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(forgets_the_oldest_for_want_of_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(does_not_empty_itself_for_one_large_text, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
