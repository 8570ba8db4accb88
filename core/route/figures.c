#include "route/figures.h"

static const char *const states[] = {
    [BREAKER_IS_CLOSED] = "closed",
    [BREAKER_IS_OPEN] = "open",
    [BREAKER_IS_HALF_OPEN] = "half_open",
};

struct policy_figure figures_of(struct health_figure *f, unsigned target, uint64_t now_ms) {
    struct health_view view;
    health_read(f, &view, now_ms);
    struct policy_figure figure = {
        .target = target,
        .state = states[view.state],
        .error_rate = view.error_rate,
        .in_flight = view.in_flight,
        .headroom = view.headroom,
        .tokens_per_s = view.tokens_per_s,
    };
    memcpy(figure.ttft_ms, view.first_ms, sizeof figure.ttft_ms);
    memcpy(figure.total_ms, view.total_ms, sizeof figure.total_ms);
    return figure;
}

const char *figures_state(struct span name) {
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (span_eq(name, span_of(states[i])))
            return states[i];
    return states[BREAKER_IS_CLOSED];
}
