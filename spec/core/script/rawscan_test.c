/* Where JSON values begin and end. What is and is not JSON is held against the same in Lua by
 * rawjson_test.c. */
#include "support/unit.h"

#include "script/rawscan.h"

#include <stdlib.h>

/* A text in memory of just its size, so that reading behind it is seen. */
static struct rawscan text_of(const char *bytes) {
    struct rawscan t = { .len = strlen(bytes) };
    char *copy = malloc(t.len + !t.len);
    memcpy(copy, bytes, t.len);
    t.at = copy;
    return t;
}

static size_t end_of(const char *bytes) {
    struct rawscan t = text_of(bytes);
    size_t end = rawscan_value(&t, 0);
    assert_true((end == RAWSCAN_NOWHERE) == (t.wrong != NULL));
    free((char *)t.at);
    return end;
}

static void values_end(void **state) {
    assert_int_equal(end_of("true,"), 4);
    assert_int_equal(end_of("-0.5e+10]"), 8);
    assert_int_equal(end_of("1.x"), 1);
    assert_int_equal(end_of("\"12345678\\\"12345678\" "), 20);
    assert_int_equal(end_of("[[],{\"a\":[1,{}]}] x"), 17);
    assert_int_equal(end_of("{}"), 2);
}

static void cut_anywhere_they_do_not(void **state) {
    const char *whole = "{\"a\\u00e9bcdefgh\":[1,{\"b\":null},\"12345678\\n\",-2.5e1,[[]]]}";
    char cut[80];
    size_t len = strlen(whole);
    assert_int_equal(end_of(whole), len);
    for (size_t i = 0; i < len; i++) {
        snprintf(cut, sizeof cut, "%.*s", (int)i, whole);
        assert_true(end_of(cut) == RAWSCAN_NOWHERE);
    }
}

static void what_is_wrong_is_told(void **state) {
    struct rawscan t = text_of("[1,\"\\q\"]");
    assert_true(rawscan_value(&t, 0) == RAWSCAN_NOWHERE);
    assert_string_equal(t.wrong, "bad escape");
    assert_int_equal(t.wrong_at, 4);
    free((char *)t.at);
}

static void depth_has_a_limit(void **state) {
    char deep[600];
    for (int levels = 256; levels <= 257; levels++) {
        memset(deep, '[', levels);
        memset(deep + levels, ']', levels);
        deep[2 * levels] = '\0';
        assert_int_equal(end_of(deep) != RAWSCAN_NOWHERE, levels == 256);
    }
}

static void containers_are_walked(void **state) {
    struct rawscan t = text_of(" { \"a\" : 1 ,\"b\":[2] } ");
    struct rawscan_walk w = rawscan_walk(&t, '{', '}');
    struct rawscan_element e;
    assert_true(rawscan_next(&w, &e));
    assert_int_equal(e.key, 3);
    assert_int_equal(e.key_end, 6);
    assert_int_equal(e.value, 9);
    assert_int_equal(e.end, 10);
    assert_false(w.over);
    assert_true(rawscan_next(&w, &e));
    assert_int_equal(e.value, 16);
    assert_int_equal(e.end, 19);
    assert_true(w.over);
    assert_false(rawscan_next(&w, &e));
    assert_null(t.wrong);
    assert_int_equal(w.at, 21);
    free((char *)t.at);
}

static void walks_end_at_what_is_wrong(void **state) {
    static const char *const texts[] = { "[1 2]", "[1,", "[1]x", "{}", "", "[,]" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct rawscan t = text_of(texts[i]);
        struct rawscan_walk w = rawscan_walk(&t, '[', ']');
        struct rawscan_element e;
        int n = 0;
        while (rawscan_next(&w, &e))
            n++;
        assert_non_null(t.wrong);
        assert_in_range(n, 0, 1);
        free((char *)t.at);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_end),
        cmocka_unit_test(cut_anywhere_they_do_not),
        cmocka_unit_test(what_is_wrong_is_told),
        cmocka_unit_test(depth_has_a_limit),
        cmocka_unit_test(containers_are_walked),
        cmocka_unit_test(walks_end_at_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
