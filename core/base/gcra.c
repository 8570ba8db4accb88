#include "base/gcra.h"

uint64_t gcra_cost_us(uint64_t n, uint32_t a_minute) {
    return n < a_minute ? n * GCRA_MINUTE_US / a_minute : GCRA_MINUTE_US;
}

uint64_t gcra_ahead_us(uint64_t empty_us, uint64_t now_us) {
    return empty_us > now_us ? empty_us - now_us : 0;
}

uint64_t gcra_charged(uint64_t empty_us, uint64_t cost_us, uint64_t now_us) {
    return (empty_us > now_us ? empty_us : now_us) + cost_us;
}
