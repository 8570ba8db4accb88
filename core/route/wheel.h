/* wheel.h - many timers, nearly free.
 *
 * Owns          the order of the timers; the timers themselves lie in whatever they belong to.
 * Fed by        request and attempt, which arm and disarm; the worker, which says what time it is.
 * Feeds         the timers' own callbacks.
 * Must not know clocks: `now` is an argument, so that a spec can say it.
 *
 *   struct wheel_timer t = { .fire = on_deadline, .owner = request };
 *   wheel_arm(&wheel, &t, now_ms + 500);
 *   wheel_disarm(&wheel, &t);               // also when it is not armed
 *   wheel_turn(&wheel, now_ms);             // fires what is due
 */
#ifndef PERILUNE_ROUTE_WHEEL_H
#define PERILUNE_ROUTE_WHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A timer fires at most WHEEL_STEP_MS late, and never early. */
enum { WHEEL_STEP_MS = 4, WHEEL_SLOTS = 1024 };

struct wheel_timer {
    /* Called once, disarmed already; may arm it again, may free what it lies in. */
    void (*fire)(void *owner);
    void *owner;
    /* kept by the wheel */
    struct wheel_timer *next, **back; /* `back` is NULL while disarmed */
    uint64_t due_ms;
};

struct wheel {
    struct wheel_timer *slots[WHEEL_SLOTS];
    uint64_t turned; /* slots up to this step have been looked at */
    size_t armed;
};

void wheel_init(struct wheel *w, uint64_t now_ms);

/* (Re)arms it for `due_ms`; a moment in the past fires at the next turn. */
void wheel_arm(struct wheel *w, struct wheel_timer *t, uint64_t due_ms);
void wheel_disarm(struct wheel *w, struct wheel_timer *t);

static inline bool wheel_armed(const struct wheel_timer *t) {
    return t->back != NULL;
}

/* Fires every timer due at `now_ms`. */
void wheel_turn(struct wheel *w, uint64_t now_ms);

#endif
