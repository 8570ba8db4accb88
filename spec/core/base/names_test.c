/* The closed sets: failure classes, dialects, abilities. Every name leads back to its value. */
#include "base/ability.h"
#include "base/dialect.h"
#include "base/failure.h"
#include "support/unit.h"

static void failures(void **state) {
    for (int f = FAILURE_NONE + 1; f < FAILURE_COUNT; f++)
        assert_int_equal(failure_of(span_of(failure_name(f))), f);
    assert_string_equal(failure_name(FAILURE_NONE), "none");
    assert_string_equal(failure_name(FAILURE_COUNT), "none");
    assert_int_equal(failure_of(SPAN("none")), FAILURE_NONE);
    assert_int_equal(failure_of(SPAN("rate-limited")), FAILURE_NONE);
}

static void default_when_leaves_three_out(void **state) {
    for (int f = FAILURE_NONE + 1; f < FAILURE_COUNT; f++) {
        bool stops =
            f == FAILURE_BAD_REQUEST || f == FAILURE_CONTENT_FILTER || f == FAILURE_CANCELLED;
        assert_int_equal((FAILURE_DEFAULT_WHEN & FAILURE_BIT(f)) == 0, stops);
    }
    assert_int_equal(FAILURE_DEFAULT_WHEN & FAILURE_BIT(FAILURE_NONE), 0);
}

static void dialects(void **state) {
    for (int d = DIALECT_NONE + 1; d < DIALECT_COUNT; d++)
        assert_int_equal(dialect_of(span_of(dialect_name(d))), d);
    assert_int_equal(dialect_of(SPAN("none")), DIALECT_NONE);
    assert_int_equal(dialect_of(SPAN("klingon")), DIALECT_NONE);
}

static void abilities(void **state) {
    for (unsigned i = 0; i < ABILITY_COUNT; i++)
        assert_int_equal(ability_of(span_of(ability_name(i))), 1 << i);
    assert_int_equal(ability_of(SPAN("json_schema")), ABILITY_JSON_SCHEMA);
    assert_int_equal(ability_of(SPAN("files")), ABILITY_FILES);
    assert_int_equal(ability_of(SPAN("flying")), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures),
        cmocka_unit_test(default_when_leaves_three_out),
        cmocka_unit_test(dialects),
        cmocka_unit_test(abilities),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
