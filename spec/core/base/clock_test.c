#include "base/clock.h"
#include "support/unit.h"

static void writes_rfc_3339(void **state) {
    char text[25];
    clock_rfc3339(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000Z");
    clock_rfc3339(UINT64_C(1795352308123), text);
    assert_string_equal(text, "2026-11-22T12:58:28.123Z");
    clock_rfc3339(UINT64_C(951782399999), text);
    assert_string_equal(text, "2000-02-28T23:59:59.999Z");
    clock_rfc3339(UINT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
}

static void does_not_go_back(void **state) {
    uint64_t last = clock_us();
    for (int i = 0; i < 10000; i++) {
        uint64_t now = clock_us();
        assert_true(now >= last);
        last = now;
    }
    assert_true(clock_ms() >= last / 1000);
    assert_true(clock_wall_ms() > UINT64_C(1700000000000));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_rfc_3339),
        cmocka_unit_test(does_not_go_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
