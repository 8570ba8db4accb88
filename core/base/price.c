#include "base/price.h"

static bool in_hours(const struct price_rule *r, unsigned minute) {
    if (r->from_min < 0)
        return true;
    unsigned from = (unsigned)r->from_min, to = (unsigned)r->to_min;
    return from <= to ? minute >= from && minute < to : minute >= from || minute < to;
}

static bool holds(const struct price_rule *r, int64_t input_tokens, uint64_t now_s) {
    uint64_t day = now_s / 86400;
    unsigned weekday = (unsigned)((day + 3) % 7); /* 1970-01-01 was a Thursday; Monday is 0 */
    return (r->above_input < 0 || input_tokens > r->above_input) &&
           (!r->until_s || now_s < r->until_s) && (!r->days || (r->days >> weekday & 1)) &&
           in_hours(r, (unsigned)(now_s % 86400 / 60));
}

struct price price_at(const struct target *target, int64_t input_tokens, uint64_t now_s) {
    for (size_t i = 0; i < target->n_rules; i++)
        if (holds(&target->rules[i], input_tokens, now_s))
            return target->rules[i].price;
    return target->price;
}

static int64_t higher(int64_t a, int64_t b) {
    if (a == PRICE_UNKNOWN || b == PRICE_UNKNOWN)
        return PRICE_UNKNOWN;
    return a > b ? a : b;
}

struct price price_highest(const struct target *target, int64_t input_tokens) {
    struct price most = target->price;
    for (size_t i = 0; i < target->n_rules; i++) {
        const struct price_rule *r = &target->rules[i];
        if (r->above_input >= 0 && input_tokens <= r->above_input)
            continue;
        most.input = higher(most.input, r->price.input);
        most.output = higher(most.output, r->price.output);
        most.cached = higher(most.cached, r->price.cached);
        most.cache_write = higher(most.cache_write, r->price.cache_write);
    }
    return most;
}
