#include "base/span.h"

#include <math.h>
#include <stdlib.h>
#include <strings.h>

bool span_eq_nocase(struct span a, struct span b) {
    return a.len == b.len && (a.len == 0 || strncasecmp(a.at, b.at, a.len) == 0);
}

bool span_starts(struct span s, struct span prefix) {
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.at, prefix.at, prefix.len) == 0);
}

bool span_ends(struct span s, struct span suffix) {
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.at + s.len - suffix.len, suffix.at, suffix.len) == 0);
}

size_t span_find(struct span s, char c) {
    const char *found = s.len ? memchr(s.at, c, s.len) : NULL;
    return found ? (size_t)(found - s.at) : s.len;
}

struct span span_sub(struct span s, size_t from, size_t len) {
    if (from > s.len)
        from = s.len;
    if (len > s.len - from)
        len = s.len - from;
    return (struct span){ from ? s.at + from : s.at, len }; /* what is absent stays it */
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

struct span span_trim(struct span s) {
    while (s.len && is_blank(s.at[0]))
        s.at++, s.len--;
    while (s.len && is_blank(s.at[s.len - 1]))
        s.len--;
    return s;
}

bool span_split(struct span *rest, char separator, struct span *part) {
    if (!rest->at)
        return false;
    size_t cut = span_find(*rest, separator);
    *part = span_trim(span_sub(*rest, 0, cut));
    if (cut < rest->len)
        *rest = span_sub(*rest, cut + 1, rest->len);
    else
        *rest = SPAN_NONE;
    return true;
}

bool span_uint(struct span s, uint64_t *value) {
    uint64_t n = 0;
    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] < '0' || s.at[i] > '9')
            return false;
        unsigned digit = (unsigned)(s.at[i] - '0');
        if (n > (UINT64_MAX - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    *value = n;
    return true;
}

bool span_double(struct span s, double *value) {
    char text[64];
    char *end;
    if (s.len == 0 || s.len >= sizeof text || is_blank(s.at[0]))
        return false;
    memcpy(text, s.at, s.len);
    text[s.len] = '\0';
    double n = strtod(text, &end);
    if (*end != '\0' || !isfinite(n))
        return false;
    *value = n;
    return true;
}

enum { DISTANCE_MAX = 64 };

unsigned span_distance(struct span a, struct span b) {
    /* Optimal string alignment over three rows of the table. */
    unsigned rows[3][DISTANCE_MAX + 1];
    if (a.len > DISTANCE_MAX || b.len > DISTANCE_MAX)
        return DISTANCE_MAX;
    unsigned *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b.len; j++)
        last[j] = (unsigned)j;
    for (size_t i = 1; i <= a.len; i++) {
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b.len; j++) {
            unsigned cost = a.at[i - 1] != b.at[j - 1];
            unsigned best = last[j - 1] + cost;
            if (last[j] + 1 < best)
                best = last[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a.at[i - 1] == b.at[j - 2] && a.at[i - 2] == b.at[j - 1] &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
        unsigned *spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[b.len];
}

void span_copy(struct span s, char *out, size_t size) {
    size_t len = s.len < size ? s.len : size - 1;
    if (len)
        memcpy(out, s.at, len);
    out[len] = '\0';
}

uint32_t span_hash(struct span s) {
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < s.len; i++)
        h = (h ^ (unsigned char)s.at[i]) * 16777619u;
    return h;
}
