#include "base/period.h"

#include <time.h>

enum { DAY_S = 86400 };

/* Midnight of the first of a month, in the zone's own seconds. `later`: so many months on. */
static int64_t first_of_month(int64_t local_s, int later) {
    time_t t = (time_t)local_s;
    struct tm tm;
    gmtime_r(&t, &tm);
    tm = (struct tm){ .tm_year = tm.tm_year, .tm_mon = tm.tm_mon + later, .tm_mday = 1 };
    return timegm(&tm);
}

struct period period_at(enum period_kind kind, int offset_min, int64_t now_s) {
    /* The year 9999, as clock.h ends: what a broken clock says beyond it is no year the C library
     * must be able to count. */
    const int64_t last = INT64_C(253402300799), offset = (int64_t)offset_min * 60;
    int64_t local = (now_s < 0 ? 0 : now_s > last ? last : now_s) + offset;
    struct period p = { 0, PERIOD_FOR_EVER };
    if (kind == PERIOD_DAY) {
        /* West of Greenwich 1970 begins on the day before. */
        p.from_s = local - ((local % DAY_S) + DAY_S) % DAY_S - offset;
        p.to_s = p.from_s + DAY_S;
    } else if (kind == PERIOD_MONTH) {
        p.from_s = first_of_month(local, 0) - offset;
        p.to_s = first_of_month(local, 1) - offset;
    }
    return p;
}

static const char *const names[PERIOD_KINDS] = { "day", "month", "total" };

const char *period_name(enum period_kind kind) {
    return names[kind];
}

enum period_kind period_of(struct span name) {
    int kind = 0;
    while (kind < PERIOD_KINDS && !span_eq(name, span_of(names[kind])))
        kind++;
    return (enum period_kind)kind;
}
