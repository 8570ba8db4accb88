#include "route/wheel.h"

void wheel_init(struct wheel *w, uint64_t now_ms) {
    *w = (struct wheel){ .turned = now_ms / WHEEL_STEP_MS };
}

static void link_into(struct wheel_timer **list, struct wheel_timer *t) {
    t->next = *list;
    t->back = list;
    if (t->next)
        t->next->back = &t->next;
    *list = t;
}

static void take_out(struct wheel_timer *t) {
    *t->back = t->next;
    if (t->next)
        t->next->back = t->back;
    t->next = NULL;
    t->back = NULL;
}

void wheel_arm(struct wheel *w, struct wheel_timer *t, uint64_t due_ms) {
    wheel_disarm(w, t);
    /* The slot behind the moment, so that it has passed when the slot is looked at. */
    uint64_t step = due_ms / WHEEL_STEP_MS + 1;
    if (step <= w->turned)
        step = w->turned + 1;
    t->due_ms = due_ms;
    link_into(&w->slots[step % WHEEL_SLOTS], t);
    w->armed++;
}

void wheel_disarm(struct wheel *w, struct wheel_timer *t) {
    if (!wheel_armed(t))
        return;
    take_out(t);
    w->armed--;
}

/* Timers of later rounds share the slot and stay. The slot's list is taken off first, so that a
 * callback may arm, disarm or free any timer, this slot's included: each is linked into one of two
 * lists at any time. */
static void turn_slot(struct wheel *w, struct wheel_timer **slot, uint64_t now_ms) {
    struct wheel_timer *looking = NULL;
    if (!*slot)
        return;
    looking = *slot;
    looking->back = &looking;
    *slot = NULL;
    while (looking) {
        struct wheel_timer *t = looking;
        take_out(t);
        if (t->due_ms > now_ms) {
            link_into(slot, t);
            continue;
        }
        w->armed--;
        t->fire(t->owner);
    }
}

void wheel_turn(struct wheel *w, uint64_t now_ms) {
    uint64_t to = now_ms / WHEEL_STEP_MS;
    if (to <= w->turned)
        return;
    /* After a long pause every slot is looked at once. */
    uint64_t from = to - w->turned > WHEEL_SLOTS ? to - WHEEL_SLOTS : w->turned;
    w->turned = to;
    for (uint64_t step = from + 1; step <= to; step++)
        turn_slot(w, &w->slots[step % WHEEL_SLOTS], now_ms);
}
