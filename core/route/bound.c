#include "route/bound.h"

#include <math.h>

enum { OUTPUT_UNKNOWN = 131072 /* tokens of an answer whose model tells no maximum */ };

/* More than any provider gives, and a number of any kind holds it. */
#define MOST (UINT64_C(1) << 53)

bool bound_is_name(struct span param) {
    return span_eq(param, SPAN("max_tokens")) || span_eq(param, SPAN("max_completion_tokens")) ||
           span_eq(param, SPAN("max_output_tokens"));
}

/* A param as Lua writes numbers: 100, 1e+15. 0: it is none of 1 or more. */
static uint64_t number_of(struct span raw) {
    double n;
    if (!raw.at || !span_double(span_trim(raw), &n) || n < 1)
        return 0;
    return n < (double)MOST ? (uint64_t)ceil(n) : MOST;
}

static uint64_t of_model(const struct target *t) {
    return t->max_output ? t->max_output : t->context ? t->context : OUTPUT_UNKNOWN;
}

/* Of several bounds nobody knows which one is kept to. */
static uint64_t larger(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

static uint64_t of_step(const struct step *step) {
    uint64_t most = 0;
    for (size_t i = 0; i < step->n_params; i++) {
        if (!bound_is_name(step->params[i].name))
            continue;
        uint64_t n = number_of(step->params[i].value);
        most = larger(most, n ? n : of_model(step->target));
    }
    return most;
}

/* Each prompt is answered as often as the step says, or the client: both at most. */
static uint64_t answers_of(const struct facts *f, const struct step *step) {
    uint64_t own = 1;
    for (size_t i = 0; i < step->n_params; i++)
        if (span_eq(step->params[i].name, SPAN("n")) ||
            span_eq(step->params[i].name, SPAN("best_of")))
            own = larger(own, number_of(step->params[i].value));
    uint64_t all = bound_tokens((struct bound){ own, larger(f->answers, 1) });
    return all < MOST ? all : MOST;
}

struct bound bound_of(const struct facts *f, const struct step *step) {
    struct bound b = { of_step(step), answers_of(f, step) };
    if (!b.each)
        b.each = f->max_tokens;
    /* Of embeddings there is none, nor of a cache that is only to be warmed. */
    if (!b.each && f->output_tokens)
        b.each = of_model(step->target);
    return b;
}

uint64_t bound_tokens(struct bound b) {
    uint64_t all;
    return __builtin_mul_overflow(b.each, b.answers, &all) ? UINT64_MAX : all;
}
