#include "cli/moment.h"

#include "base/clock.h"

#define SECOND UINT64_C(1000000)
#define DAY (86400 * SECOND)

/* Longer ago, or ahead, nobody means: and so nothing overflows. */
enum { AGO_MAX_DAYS = 36500 };

static bool read_ago(struct span text, uint64_t *us) {
    static const struct {
        char unit;
        uint64_t us;
    } units[] = {
        { 's', SECOND }, { 'm', 60 * SECOND }, { 'h', 3600 * SECOND },
        { 'd', DAY },    { 'w', 7 * DAY },
    };
    uint64_t n;
    if (!text.len || !span_uint(span_sub(text, 0, text.len - 1), &n))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (text.at[text.len - 1] == units[i].unit && n <= AGO_MAX_DAYS * DAY / units[i].us) {
            *us = n * units[i].us;
            return true;
        }
    return false;
}

bool moment_read(struct span text, enum moment_use use, uint64_t now_us, uint64_t *us) {
    uint64_t ago, ms;
    if (read_ago(text, &ago)) {
        *us = use == MOMENT_UNTIL ? now_us + ago : now_us - (ago < now_us ? ago : now_us);
        return true;
    }
    if (!clock_parse(text, &ms))
        return false;
    bool whole_day = use == MOMENT_TO && text.len == sizeof "2026-11-30" - 1;
    *us = ms * 1000 + (whole_day ? DAY : 0);
    return true;
}
