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
