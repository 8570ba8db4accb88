#include "base/ident.h"
#include "support/unit.h"

static void is_26_characters_of_crockford(void **state) {
    struct ident ids;
    char id[IDENT_SIZE];
    ident_init(&ids);
    for (int i = 0; i < 1000; i++) {
        ident_make(&ids, 1795352308123 + (uint64_t)i, id);
        assert_int_equal(strlen(id), IDENT_LEN);
        assert_int_equal(strspn(id, "0123456789ABCDEFGHJKMNPQRSTVWXYZ"), IDENT_LEN);
    }
}

static void begins_with_the_time(void **state) {
    struct ident ids;
    char id[IDENT_SIZE];
    ident_init(&ids);
    ident_make(&ids, 1469918176385, id); /* the example of the ULID specification */
    assert_memory_equal(id, "01ARYZ6S41", 10);
}

static void always_rises(void **state) {
    struct ident ids;
    char last[IDENT_SIZE] = "", id[IDENT_SIZE];
    ident_init(&ids);
    for (uint64_t i = 0; i < 20000; i++) {
        uint64_t ms = 1000 + i / 100;
        ident_make(&ids, i % 7 ? ms : ms - 5, id); /* the clock goes back at times */
        assert_true(strcmp(id, last) > 0);
        strcpy(last, id);
    }
}

static void carries(void **state) {
    struct ident ids;
    char id[IDENT_SIZE];
    ident_init(&ids);
    ids.ms = 5;
    ids.high = 1;
    ids.low = UINT64_MAX;
    ident_make(&ids, 5, id);
    assert_string_equal(id, "0000000005"
                            "0010000000000000");
    ids.high = UINT16_MAX;
    ids.low = UINT64_MAX;
    ident_make(&ids, 5, id);
    assert_string_equal(id, "0000000006"
                            "0000000000000000");
}

static void threads_do_not_meet(void **state) {
    struct ident a, b;
    char x[IDENT_SIZE], y[IDENT_SIZE];
    ident_init(&a);
    ident_init(&b);
    ident_make(&a, 7, x);
    ident_make(&b, 7, y);
    assert_string_not_equal(x, y);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_26_characters_of_crockford),
        cmocka_unit_test(begins_with_the_time),
        cmocka_unit_test(always_rises),
        cmocka_unit_test(carries),
        cmocka_unit_test(threads_do_not_meet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
