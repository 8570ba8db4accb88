#include "route/ratelimit.h"

#include <stdio.h>
#include <string.h>

enum { HEADER_MAX = 96 };

/* What stands before and behind `word` in a header's name. */
static bool split(struct span name, struct span word, struct span *before, struct span *behind) {
    const char *at = name.len >= word.len ? memmem(name.at, name.len, word.at, word.len) : NULL;
    if (!at)
        return false;
    *before = span_sub(name, 0, (size_t)(at - name.at));
    *behind = span_sub(name, before->len + word.len, name.len);
    return true;
}

static const struct pair *find(const struct pair *headers, size_t n, struct span name) {
    for (size_t i = 0; i < n; i++)
        if (span_eq(headers[i].name, name))
            return &headers[i];
    return NULL;
}

/* The share left of the limit whose "remaining" header this is; -1 when it is none. */
static double share(const struct pair *headers, size_t n, const struct pair *remaining) {
    struct span before, behind;
    double left, limit;
    char name[HEADER_MAX];
    if (!split(remaining->name, SPAN("remaining"), &before, &behind) ||
        !split(before, SPAN("ratelimit"), &(struct span){ 0 }, &(struct span){ 0 }))
        return -1;
    int len = snprintf(name, sizeof name, "%.*slimit%.*s", SPAN_ARGS(before), SPAN_ARGS(behind));
    if (len < 0 || len >= HEADER_MAX)
        return -1;
    const struct pair *whole = find(headers, n, (struct span){ name, (size_t)len });
    if (!whole || !span_double(remaining->value, &left) || !span_double(whole->value, &limit) ||
        !(limit > 0 && left >= 0))
        return -1;
    return left < limit ? left / limit : 1;
}

double ratelimit_left(const struct pair *headers, size_t n) {
    double least = -1;
    for (size_t i = 0; i < n; i++) {
        double left = share(headers, n, &headers[i]);
        if (left >= 0 && (least < 0 || left < least))
            least = left;
    }
    return least;
}
