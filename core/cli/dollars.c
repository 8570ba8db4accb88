#include "cli/dollars.h"

#include <stdio.h>

#define NANO INT64_C(1000000000)

/* What stands for a billion of them is more than anybody has. */
enum { DOLLARS_MAX = 1000000000, PLACES = 9 };

bool dollars_read(struct span text, nanousd *amount) {
    text = span_starts(text, SPAN("$")) ? span_sub(text, 1, text.len) : text;
    size_t point = span_find(text, '.');
    struct span places = span_sub(text, point + 1, text.len);
    uint64_t whole, rest = 0;
    if (!span_uint(span_sub(text, 0, point), &whole) || whole > DOLLARS_MAX)
        return false;
    if (point < text.len && (places.len > PLACES || !span_uint(places, &rest)))
        return false;
    for (size_t i = places.len; i < PLACES; i++)
        rest *= 10;
    *amount = (nanousd)whole * NANO + (nanousd)rest;
    return true;
}

const char *dollars_show(nanousd amount, char out[DOLLARS_SIZE]) {
    out[0] = '\0';
    if (amount < 0)
        return out;
    if (amount && amount < 1000) {
        snprintf(out, DOLLARS_SIZE, "$0.%09lld", (long long)amount);
        return out;
    }
    long long micro = amount / 1000 + (amount % 1000 >= 500);
    snprintf(out, DOLLARS_SIZE, "$%lld.%06lld", micro / 1000000, micro % 1000000);
    return out;
}

const char *dollars_brief(nanousd amount, char out[DOLLARS_SIZE]) {
    size_t len = strlen(dollars_show(amount, out));
    size_t cents = span_find(span_of(out), '.') + sizeof ".00" - 1;
    while (len > cents && out[len - 1] == '0')
        len--;
    if (len && len == cents && memcmp(out + len - 3, ".00", 3) == 0)
        len -= 3;
    out[len] = '\0';
    return out;
}
