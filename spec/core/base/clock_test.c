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

static void reads_what_people_write(void **state) {
    static const struct {
        const char *text, *same;
    } good[] = {
        { "1970-01-01", "1970-01-01T00:00:00.000Z" },
        { "2026-11-22", "2026-11-22T00:00:00.000Z" },
        { "2028-02-29", "2028-02-29T00:00:00.000Z" },
        { "2026-11-22T12:58:28.123Z", "2026-11-22T12:58:28.123Z" },
        { "2026-11-22t12:58:28z", "2026-11-22T12:58:28.000Z" },
        { "2026-11-22 12:58:28.1234567Z", "2026-11-22T12:58:28.123Z" },
        { "2027-01-01T01:30:00+02:00", "2026-12-31T23:30:00.000Z" },
        { "2026-12-31T22:30:00.5-05:30", "2027-01-01T04:00:00.500Z" },
        { "2016-12-31T23:59:60Z", "2016-12-31T23:59:59.000Z" },
    };
    static const char *const bad[] = {
        "",
        "2026",
        "2026-11",
        "2026-11-",
        "2026-11-22T",
        "2026-13-01",
        "2026-00-01",
        "2026-11-00",
        "2026-02-29",
        "2026-11-31",
        "2026-11-22T24:00:00Z",
        "2026-11-22T12:60:00Z",
        "2026-11-22T12:00:61Z",
        "2026-11-22T12:00:00",
        "2026-11-22T12:00:00.Z",
        "2026-11-22T12:00:00+24:00",
        "2026-11-22T12:00:00+0200",
        "2026-11-22T12:00:00Zz",
        "1969-12-31",
        "1970-01-01T00:00:00+01:00",
        "+026-11-22",
        "2026-11-22Z",
        "26-11-22",
        "2026-02-29T00:00:60Z",
    };
    uint64_t ms;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char text[25];
        assert_true(clock_parse(span_of(good[i].text), &ms));
        clock_rfc3339(ms, text);
        assert_string_equal(text, good[i].same);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (clock_parse(span_of(bad[i]), &ms))
            fail_msg("\"%s\" was read", bad[i]);
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
        cmocka_unit_test(reads_what_people_write),
        cmocka_unit_test(does_not_go_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
