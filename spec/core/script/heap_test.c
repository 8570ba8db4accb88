/* The memory of a Lua state against a plain model of it. */
#include "support/unit.h"

#include "base/random.h"
#include "script/heap.h"

enum { SLOTS = 2000, ROUNDS = 200000, CAP = 4 << 20 };

struct slot {
    unsigned char *at;
    size_t size;
    unsigned char mark;
};

/* A block holds its mark in every byte. */
static void assert_whole(const struct slot *s, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (s->at[i] != s->mark)
            fail_msg("byte %zu of %zu was overwritten", i, s->size);
}

static size_t some_size(struct random *r) {
    return 1 + (size_t)random_below(r, random_below(r, 10) ? 100 : 3000);
}

/* Resizes, makes or frees one slot. */
static void turn(struct heap *h, struct slot *s, struct random *r) {
    size_t size = random_below(r, 3) ? some_size(r) : 0;
    if (s->at)
        assert_whole(s, s->size);
    unsigned char *at = heap_allocate(h, s->at, s->size, size);
    if (!at && size)
        return; /* refused: the old one stands */
    s->at = at;
    if (at)
        assert_whole(s, s->size < size ? s->size : size);
    s->size = size;
    s->mark = (unsigned char)random_below(r, 256);
    if (at)
        memset(at, s->mark, size);
}

static void blocks_keep_their_bytes(void **state) {
    struct heap h;
    struct random r;
    struct slot *slots = calloc(SLOTS, sizeof *slots);
    random_seed(&r, 7);
    heap_init(&h, CAP);
    for (unsigned i = 0; i < ROUNDS; i++) {
        turn(&h, &slots[random_below(&r, SLOTS)], &r);
        assert_true(h.taken <= CAP);
    }
    for (unsigned i = 0; i < SLOTS; i++)
        if (slots[i].at)
            heap_allocate(&h, slots[i].at, slots[i].size, 0);
    /* A few empty pages are kept, no more. */
    assert_in_range(h.taken, 0, 300000);
    heap_deinit(&h);
    free(slots);
}

static void what_is_left_is_given_back(void **state) {
    struct heap h;
    heap_init(&h, CAP);
    for (size_t size = 1; size < 1500; size++)
        assert_non_null(heap_allocate(&h, NULL, 0, size));
    heap_deinit(&h);
    assert_int_equal(h.taken, 0);
}

static void the_cap_is_kept(void **state) {
    struct heap h;
    size_t n = 0;
    heap_init(&h, 100000);
    assert_null(heap_allocate(&h, NULL, 0, 200000));
    assert_true(h.refused);
    h.refused = false;
    assert_null(heap_allocate(&h, NULL, 0, SIZE_MAX));
    assert_true(h.refused);
    h.refused = false;
    while (heap_allocate(&h, NULL, 0, 64))
        n++;
    assert_true(h.refused);
    assert_in_range(n, 1000, 100000 / 64);
    assert_true(h.taken <= 100000);
    heap_deinit(&h);
}

static void memory_is_aligned(void **state) {
    struct heap h;
    heap_init(&h, CAP);
    for (size_t size = 1; size < 2000; size += 7)
        assert_int_equal((uintptr_t)heap_allocate(&h, NULL, 0, size) % 8, 0);
    heap_deinit(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_keep_their_bytes),
        cmocka_unit_test(what_is_left_is_given_back),
        cmocka_unit_test(the_cap_is_kept),
        cmocka_unit_test(memory_is_aligned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
