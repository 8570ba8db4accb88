/* Moments as people write them. */
#include "cli/moment.h"

#include "support/unit.h"

#define S UINT64_C(1000000)
#define NOW (UINT64_C(1798761600) * S) /* 2027-01-01T00:00:00Z */

static uint64_t read_it(const char *text, enum moment_use use) {
    uint64_t us = 1;
    return moment_read(span_of(text), use, NOW, &us) ? us : 0;
}

static void a_length_of_time_is_before_now_or_after(void **state) {
    assert_int_equal(read_it("30s", MOMENT_FROM), NOW - 30 * S);
    assert_int_equal(read_it("90m", MOMENT_TO), NOW - 5400 * S);
    assert_int_equal(read_it("24h", MOMENT_FROM), NOW - 86400 * S);
    assert_int_equal(read_it("7d", MOMENT_UNTIL), NOW + 7 * 86400 * S);
    assert_int_equal(read_it("2w", MOMENT_UNTIL), NOW + 14 * 86400 * S);
}

static void a_day_is_meant_whole(void **state) {
    assert_int_equal(read_it("2026-12-31", MOMENT_FROM), NOW - 86400 * S);
    assert_int_equal(read_it("2026-12-31", MOMENT_TO), NOW);
    assert_int_equal(read_it("2027-01-01", MOMENT_UNTIL), NOW);
}

static void a_time_is_of_its_zone(void **state) {
    assert_int_equal(read_it("2027-01-01T00:00:00Z", MOMENT_TO), NOW);
    assert_int_equal(read_it("2027-01-01T02:00:00+02:00", MOMENT_FROM), NOW);
    assert_int_equal(read_it("2027-01-01T00:00:01.5Z", MOMENT_FROM), NOW + S + S / 2);
}

static void what_is_no_moment_is_refused(void **state) {
    static const char *const wrong[] = {
        "",           "7",
        "d",          "-7d",
        "7 d",        "7y",
        "99999999d",  "18446744073709551615s",
        "2026-02-30", "2026-11-01T08:30:00",
        "yesterday",
    };
    uint64_t us;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        for (int use = MOMENT_FROM; use <= MOMENT_UNTIL; use++)
            if (moment_read(span_of(wrong[i]), (enum moment_use)use, NOW, &us))
                fail_msg("'%s' was read", wrong[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_length_of_time_is_before_now_or_after),
        cmocka_unit_test(a_day_is_meant_whole),
        cmocka_unit_test(a_time_is_of_its_zone),
        cmocka_unit_test(what_is_no_moment_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
