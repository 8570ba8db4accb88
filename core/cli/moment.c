#include "cli/moment.h"

#include "money/usage.h"

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

/* Takes `digits` of them off the front, and `after` behind them unless that is 0. */
static bool take(struct span *text, size_t digits, char after, uint64_t *n) {
    size_t len = digits + (after ? 1 : 0);
    if (text->len < len || !span_uint(span_sub(*text, 0, digits), n) ||
        (after && text->at[digits] != after))
        return false;
    *text = span_sub(*text, len, text->len);
    return true;
}

/* A day that there is: the 30th of February would come out as another. */
static bool take_day(struct span *text, uint32_t *day) {
    struct span date = span_sub(*text, 0, 10);
    uint64_t year, month, day_of_month;
    char written[16];
    if (!take(text, 4, '-', &year) || !take(text, 2, '-', &month) ||
        !take(text, 2, 0, &day_of_month) || year < 1970 || month < 1 || month > 12)
        return false;
    *day = usage_day_of((unsigned)year, (unsigned)month, (unsigned)day_of_month);
    usage_day_write(*day, written);
    return span_eq(span_of(written), date);
}

/* ".5", ".123456789": what is finer than microseconds is dropped. */
static bool take_fraction(struct span *text, uint64_t *us) {
    uint64_t unit = SECOND;
    size_t i = 1;
    if (!text->len || text->at[0] != '.')
        return true;
    for (; i < text->len && text->at[i] >= '0' && text->at[i] <= '9'; i++)
        *us += (unit /= 10) * (uint64_t)(text->at[i] - '0');
    *text = span_sub(*text, i, text->len);
    return i > 1;
}

/* "Z", "+02:00": how far the zone is ahead of UTC. */
static bool take_zone(struct span text, int64_t *ahead_us) {
    uint64_t hours, minutes;
    *ahead_us = 0;
    if (span_eq_nocase(text, SPAN("Z")))
        return true;
    int64_t sign = text.len && text.at[0] == '-' ? -1 : 1;
    if (!text.len || !strchr("+-", text.at[0]))
        return false;
    text = span_sub(text, 1, text.len);
    if (!take(&text, 2, ':', &hours) || !take(&text, 2, 0, &minutes) || text.len || hours > 23 ||
        minutes > 59)
        return false;
    *ahead_us = sign * (int64_t)((hours * 60 + minutes) * 60 * SECOND);
    return true;
}

/* "T08:30:00Z" behind a day, the seconds may be missing. */
static bool take_time(struct span text, int64_t *us) {
    uint64_t hours, minutes, seconds = 0, fraction = 0;
    int64_t ahead;
    if (!strchr("Tt ", text.at[0]))
        return false;
    text = span_sub(text, 1, text.len);
    if (!take(&text, 2, ':', &hours) || !take(&text, 2, 0, &minutes) || hours > 23 || minutes > 59)
        return false;
    if (text.len && text.at[0] == ':') {
        text = span_sub(text, 1, text.len);
        if (!take(&text, 2, 0, &seconds) || seconds > 60 || !take_fraction(&text, &fraction))
            return false;
    }
    if (!take_zone(text, &ahead))
        return false;
    *us = (int64_t)(((hours * 60 + minutes) * 60 + seconds) * SECOND + fraction) - ahead;
    return true;
}

bool moment_read(struct span text, enum moment_use use, uint64_t now_us, uint64_t *us) {
    uint64_t ago;
    int64_t time = 0;
    uint32_t day;
    if (read_ago(text, &ago)) {
        *us = use == MOMENT_UNTIL ? now_us + ago : now_us - (ago < now_us ? ago : now_us);
        return true;
    }
    if (!take_day(&text, &day))
        return false;
    if (!text.len)
        time = use == MOMENT_TO ? (int64_t)DAY : 0;
    else if (!take_time(text, &time) || (int64_t)(day * DAY) + time < 0)
        return false;
    *us = (uint64_t)((int64_t)(day * DAY) + time);
    return true;
}
