/* health.h - what targets have been doing lately, shared by all workers.
 *
 * Owns          one set of figures and one breaker a target, by its id; they survive every reload.
 * Fed by        request, when attempts begin and end.
 * Feeds         chain, with a predicted time and with whether a target may be asked; worker, which
 *               tells the policies; tokens, with what estimates are off by.
 * Must not know requests; clocks: `now_ms` is given (clock_ms()).
 *
 *   struct health_figure *f = health_figure(h, target->id);       once a snapshot and worker
 *   health_began(f); ... health_ended(f, &ended, now_ms);
 *   health_read(f, &view, now_ms);
 *
 * Figures are of the last minute, in slices of ten seconds: times as histograms, so that percentiles
 * are those of all workers' attempts together. A target nobody asked for a minute is unknown again.
 * What was never asked costs a few hundred bytes; the slices, eight thousand, come with the first end.
 */
#ifndef PERILUNE_ROUTE_HEALTH_H
#define PERILUNE_ROUTE_HEALTH_H

#include "base/failure.h"
#include "base/histogram.h"
#include "base/span.h"
#include "route/breaker.h"

#include <pthread.h>
#include <stdatomic.h>

struct health;

enum { HEALTH_SLICES = 6, HEALTH_SLICE_MS = 10000 };

/* What ended in ten seconds. Atomics, each right for itself: a figure may lag another by one attempt. */
struct health_slice {
    atomic_ullong number;           /* which ten seconds, from 1; others' figures are stale */
    struct histogram first, total;  /* ms */
    atomic_ullong tokens, token_ms; /* put out after the first content, and the time that took */
    atomic_uint answered, failed[FAILURE_COUNT];
};

struct health_figure {
    struct breaker breaker;
    atomic_uint in_flight;
    atomic_uint token_factor;  /* reported to estimated input tokens, in HEALTH_FACTOR_ONE; 0: none
                               * reported yet */
    atomic_uint output_factor; /* the same of output tokens */
    atomic_uint headroom; /* of the provider's rate limit, in thousandths and one; 0: not told */
    atomic_uint changes;  /* goes up with whatever happens that a view would show */
    atomic_ullong last_success_ms;       /* 0: never */
    atomic_ullong answered, failed;      /* since the start */
    pthread_mutex_t lock;                /* over making slices and turning to the next */
    struct health_slice *_Atomic slices; /* HEALTH_SLICES of them; NULL: nothing has ended yet */
};

#define HEALTH_FACTOR_ONE 65536

struct health *health_new(void);
void health_free(struct health *h);

/* The figures of a target, made on first use. They stay where they are until health_free(). Any
 * thread, as are all that follow. */
struct health_figure *health_figure(struct health *h, struct span target);

void health_began(struct health_figure *f);

/* The first content has come. What is a probe has found out what it was to find out: others need not
 * wait for the end of its stream. */
void health_content(struct health_figure *f, enum breaker_permit permit, uint64_t now_ms);

/* How an attempt ended. */
struct health_end {
    enum failure class;         /* FAILURE_NONE: answered. A time that ran out because the client
                                 * itself had set it shorter than the chain: FAILURE_CANCELLED */
    enum breaker_permit permit; /* as it was begun with */
    bool key_rests;         /* the key was refused, and others work: says nothing to the breaker */
    int64_t retry_after_ms; /* -1: not told */
    uint32_t first_ms;      /* until the first content; 0 where the answer was no stream */
    uint32_t total_ms;
    int64_t output_tokens; /* -1: not told */
};

/* A cancelled attempt, a refusal that was the client's doing and a threshold (BREAKER_NEUTRAL) say
 * nothing about the target. */
void health_ended(struct health_figure *f, const struct health_end *end, uint64_t now_ms);

/* What is left of the target's rate limit, 0 to 1. */
void health_headroom(struct health_figure *f, double left);

/* The figures of a target as policies and people read them; negative: unknown. */
struct health_view {
    enum breaker_state state;
    double error_rate; /* 0 to 1, of what ended in the window */
    unsigned in_flight;
    double headroom;
    double first_ms[3], total_ms[3]; /* p50, p95, p99 */
    double tokens_per_s;             /* of one stream, behind its first content */
    double last_success_s;           /* ago */
    unsigned ended;                  /* attempts in the window, and of them */
    unsigned failed[FAILURE_COUNT];  /* by class */
};

void health_read(struct health_figure *f, struct health_view *view, uint64_t now_ms);

/* A number that is another one whenever a view may be another one: attempts, and time alone, which
 * opens breakers again and forgets. */
uint64_t health_changes(struct health_figure *f, uint64_t now_ms);

/* Calls `each` for every target that was ever asked. It must ask health for no other target. */
void health_each(struct health *h,
                 void (*each)(void *owner, struct span target, struct health_figure *f),
                 void *owner);

/* Predicted time of an attempt that puts out so many tokens, in ms: until the first content, then the
 * rest at the target's speed; where no stream was measured, what half of the answers took. 0 while
 * nothing is known. */
uint32_t health_latency(struct health_figure *f, uint64_t output_tokens, uint64_t now_ms);

/* An answer reported so many input tokens where so many were estimated (uncorrected). Long prompts
 * say more than short ones, which are mostly what a provider puts around them. Nothing is learned
 * of a zero. */
void health_tokens(struct health_figure *f, uint64_t estimated, uint64_t reported);

/* The same of output tokens, where their text was all there was to them. */
void health_output(struct health_figure *f, uint64_t estimated, uint64_t reported);

/* What an estimate for the target is to be multiplied by: 0.25 to 4; 1 while nothing is known. */
double health_token_factor(const struct health_figure *f);
double health_output_factor(const struct health_figure *f);

#endif
