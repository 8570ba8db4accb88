#include "base/arena.h"
#include "support/unit.h"

static void gives_aligned_memory_that_does_not_overlap(void **state) {
    struct arena a;
    unsigned char *blocks[500];
    arena_init(&a, 256);
    for (int i = 0; i < 500; i++) {
        size_t size = (size_t)(i * 37 % 600) + 1;
        blocks[i] = arena_alloc(&a, size);
        assert_int_equal((uintptr_t)blocks[i] % _Alignof(max_align_t), 0);
        memset(blocks[i], i & 255, size);
    }
    for (int i = 0; i < 500; i++)
        for (size_t k = 0; k < (size_t)(i * 37 % 600) + 1; k++)
            assert_int_equal(blocks[i][k], i & 255);
    assert_true(arena_size(&a) > 0);
    arena_deinit(&a);
    assert_int_equal(arena_size(&a), 0);
    assert_non_null(arena_alloc(&a, 1)); /* usable again */
    arena_deinit(&a);
}

static void copies_end_in_nul(void **state) {
    struct arena a;
    arena_init(&a, 256);
    struct span copy = arena_copy(&a, span_sub(SPAN("abcdef"), 0, 3));
    assert_string_equal(copy.at, "abc");
    assert_span(arena_copy(&a, SPAN_NONE), NULL);
    assert_span(arena_copy(&a, SPAN("")), "");
    assert_string_equal(arena_printf(&a, "%d-%s", 7, "x").at, "7-x");
    arena_deinit(&a);
}

static void joins_parts(void **state) {
    struct arena a;
    arena_init(&a, 256);
    struct span parts[] = { SPAN("one"), SPAN_NONE, SPAN(", "), SPAN("two") };
    assert_string_equal(arena_join(&a, parts, 4).at, "one, two");
    assert_int_equal(arena_join(&a, parts, 4).len, 8);
    assert_span(arena_join(&a, NULL, 0), "");
    arena_deinit(&a);
}

static void writes_numbers(void **state) {
    struct arena a;
    arena_init(&a, 256);
    assert_span(arena_number(&a, 0, 0), "0");
    assert_span(arena_number(&a, 1090, 1), "1090");
    assert_span(arena_number(&a, 7, 3), "007");
    assert_string_equal(arena_number(&a, UINT64_MAX, 20).at, "18446744073709551615");
    arena_deinit(&a);
}

static void zeroes_on_request(void **state) {
    struct arena a;
    arena_init(&a, 256);
    assert_non_null(arena_new_array(&a, int, 0)); /* also of nothing */
    memset(arena_alloc(&a, 64), 0xff, 64);
    arena_deinit(&a);
    const char *zeroed = arena_zalloc(&a, 8, 8);
    for (int i = 0; i < 64; i++)
        assert_int_equal(zeroed[i], 0);
    arena_deinit(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_aligned_memory_that_does_not_overlap),
        cmocka_unit_test(copies_end_in_nul),
        cmocka_unit_test(joins_parts),
        cmocka_unit_test(writes_numbers),
        cmocka_unit_test(zeroes_on_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
