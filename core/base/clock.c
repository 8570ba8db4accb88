#include "base/clock.h"

#include <stdio.h>
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

void clock_rfc3339(uint64_t wall_ms, char out[25]) {
    /* RFC 3339 ends with the year 9999. */
    const uint64_t last = UINT64_C(253402300799999);
    if (wall_ms > last)
        wall_ms = last;
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;
    char day[20]; /* strftime, because the compiler can not know that the numbers are short */
    gmtime_r(&seconds, &tm);
    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, 25, "%s.%03uZ", day, (unsigned)(wall_ms % 1000));
}
