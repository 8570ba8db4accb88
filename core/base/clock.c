#include "base/clock.h"

#include <time.h>

uint64_t clock_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t clock_ms(void) {
    return clock_us() / 1000;
}

uint64_t clock_wall_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* `n` in so many digits, and the character behind them; returns where the next one goes. */
static char *put(char *at, int n, int digits, char behind) {
    for (int i = digits; i-- > 0; n /= 10)
        at[i] = (char)('0' + n % 10);
    at[digits] = behind;
    return at + digits + 1;
}

void clock_rfc3339(uint64_t wall_ms, char out[25]) {
    /* RFC 3339 ends with the year 9999. */
    const uint64_t last = UINT64_C(253402300799999);
    if (wall_ms > last)
        wall_ms = last;
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    out = put(out, tm.tm_year + 1900, 4, '-');
    out = put(out, tm.tm_mon + 1, 2, '-');
    out = put(out, tm.tm_mday, 2, 'T');
    out = put(out, tm.tm_hour, 2, ':');
    out = put(out, tm.tm_min, 2, ':');
    out = put(out, tm.tm_sec, 2, '.');
    *put(out, (int)(wall_ms % 1000), 3, 'Z') = '\0';
}

static bool take_char(struct span *text, char c) {
    if (!text->len || *text->at != c)
        return false;
    *text = span_sub(*text, 1, text->len);
    return true;
}

/* `digits` digits off the front. */
static bool take_number(struct span *text, size_t digits, int *value) {
    uint64_t n;
    if (text->len < digits || !span_uint(span_sub(*text, 0, digits), &n))
        return false;
    *value = (int)n;
    *text = span_sub(*text, digits, text->len);
    return true;
}

/* ".123" off the front, if it stands there; more than milliseconds are cut off. */
static bool take_fraction(struct span *text, int *ms) {
    size_t n = 1;
    *ms = 0;
    if (!text->len || *text->at != '.')
        return true;
    for (int scale = 100; n < text->len && text->at[n] >= '0' && text->at[n] <= '9'; n++) {
        *ms += scale * (text->at[n] - '0');
        scale /= 10;
    }
    *text = span_sub(*text, n, text->len);
    return n > 1;
}

/* "Z" or "+02:00", which is all that is left. */
static bool take_zone(struct span *text, int *minutes) {
    int hour, minute, sign = take_char(text, '-') ? -1 : 1;
    *minutes = 0;
    if (span_eq_nocase(*text, SPAN("z")))
        return sign > 0;
    if (sign > 0 && !take_char(text, '+'))
        return false;
    if (!take_number(text, 2, &hour) || !take_char(text, ':') || !take_number(text, 2, &minute))
        return false;
    *minutes = sign * (60 * hour + minute);
    return !text->len && hour < 24 && minute < 60;
}

/* "T12:58:28.123Z", which is all that is left. */
static bool take_time(struct span *text, struct tm *tm, int *ms, int *zone) {
    return (take_char(text, 'T') || take_char(text, 't') || take_char(text, ' ')) &&
           take_number(text, 2, &tm->tm_hour) && take_char(text, ':') &&
           take_number(text, 2, &tm->tm_min) && take_char(text, ':') &&
           take_number(text, 2, &tm->tm_sec) && take_fraction(text, ms) && take_zone(text, zone);
}

bool clock_parse(struct span text, uint64_t *wall_ms) {
    int year, month, ms = 0, zone = 0;
    struct tm tm = { 0 };
    if (!take_number(&text, 4, &year) || !take_char(&text, '-') || !take_number(&text, 2, &month) ||
        !take_char(&text, '-') || !take_number(&text, 2, &tm.tm_mday) ||
        (text.len && !take_time(&text, &tm, &ms, &zone)))
        return false;
    tm.tm_year = year - 1900;
    tm.tm_mon = month - 1;
    tm.tm_sec -= tm.tm_sec == 60; /* a leap second, which Unix time has not */
    struct tm there = tm;
    int64_t seconds = (int64_t)timegm(&there) - 60 * (int64_t)zone;
    /* What timegm() had to move is no such moment. */
    if (seconds < 0 || there.tm_sec != tm.tm_sec || there.tm_min != tm.tm_min ||
        there.tm_hour != tm.tm_hour || there.tm_mday != tm.tm_mday || there.tm_mon != tm.tm_mon)
        return false;
    *wall_ms = (uint64_t)seconds * 1000 + (uint64_t)ms;
    return true;
}
