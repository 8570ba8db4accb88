/* period_test.c - where days and months begin in any zone; each moment lies in one of them. */
#include "base/period.h"

#include "base/random.h"
#include "support/unit.h"

#include <time.h>

static int64_t utc(int year, int month, int day, int hour) {
    struct tm tm = { .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = hour };
    return timegm(&tm);
}

#define assert_period(kind, offset, now, from, to)                                                 \
    do {                                                                                           \
        struct period got = period_at(kind, offset, now);                                          \
        assert_int_equal(got.from_s, from);                                                        \
        assert_int_equal(got.to_s, to);                                                            \
    } while (0)

static void days_begin_at_the_zones_midnight(void **state) {
    int64_t noon = utc(2026, 11, 22, 12);
    assert_period(PERIOD_DAY, 0, noon, utc(2026, 11, 22, 0), utc(2026, 11, 23, 0));
    assert_period(PERIOD_DAY, 120, noon, utc(2026, 11, 21, 22), utc(2026, 11, 22, 22));
    assert_period(PERIOD_DAY, -780, noon, utc(2026, 11, 21, 13), utc(2026, 11, 22, 13));
    assert_period(PERIOD_DAY, 330, utc(2026, 11, 22, 0) - 330 * 60, utc(2026, 11, 22, 0) - 330 * 60,
                  utc(2026, 11, 23, 0) - 330 * 60);
}

static void months_are_as_long_as_they_are(void **state) {
    assert_period(PERIOD_MONTH, 0, utc(2028, 2, 29, 23), utc(2028, 2, 1, 0), utc(2028, 3, 1, 0));
    assert_period(PERIOD_MONTH, 0, utc(2026, 12, 31, 23), utc(2026, 12, 1, 0), utc(2027, 1, 1, 0));
    assert_period(PERIOD_MONTH, 60, utc(2026, 12, 31, 23), utc(2026, 12, 31, 23),
                  utc(2027, 1, 31, 23));
}

static void the_total_has_no_end(void **state) {
    assert_period(PERIOD_TOTAL, 0, utc(2026, 1, 1, 0), 0, PERIOD_FOR_EVER);
}

static void broken_clocks_have_a_period_too(void **state) {
    assert_period(PERIOD_DAY, 0, -5, 0, 86400);
    assert_period(PERIOD_DAY, -60, 0, 3600 - 86400, 3600);
    assert_period(PERIOD_MONTH, 0, INT64_MAX, utc(9999, 12, 1, 0), utc(10000, 1, 1, 0));
}

/* Walking from end to beginning leaves no gap and meets every moment once. */
static void periods_follow_each_other(void **state) {
    struct random random;
    random_seed(&random, 1);
    for (int i = 0; i < 20000; i++) {
        enum period_kind kind = (enum period_kind)random_below(&random, 2);
        int offset = (int)random_below(&random, 2 * 1439 + 1) - 1439;
        int64_t now = (int64_t)random_below(&random, UINT64_C(1) << 35);
        struct period p = period_at(kind, offset, now);
        assert_true(p.from_s <= now && now < p.to_s);
        struct period next = period_at(kind, offset, p.to_s);
        assert_int_equal(next.from_s, p.to_s);
        struct period last = period_at(kind, offset, p.to_s - 1);
        assert_int_equal(last.from_s, p.from_s);
    }
}

static void names_lead_back(void **state) {
    for (int kind = 0; kind < PERIOD_KINDS; kind++)
        assert_int_equal(period_of(span_of(period_name((enum period_kind)kind))), kind);
    assert_int_equal(period_of(SPAN("week")), PERIOD_KINDS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(days_begin_at_the_zones_midnight),
        cmocka_unit_test(months_are_as_long_as_they_are),
        cmocka_unit_test(the_total_has_no_end),
        cmocka_unit_test(broken_clocks_have_a_period_too),
        cmocka_unit_test(periods_follow_each_other),
        cmocka_unit_test(names_lead_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
