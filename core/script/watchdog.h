/* watchdog.h - the part of the watchdog vm_call() needs; vm.h is what others see.
 *
 * Owns          the thread that watches; a guard for each thread that is watched.
 * Fed by        vm_call(), which says when a call begins and ends.
 * Feeds         the watched thread: a signal, and out of it a jump back into vm_call(), or a hook
 *               in the state that runs.
 * Must not know what runs.
 *
 *   if (sigsetjmp(g->jump, 0)) { guard_killed(g); ... }   first: it may jump once it is published
 *   guard_begin(g, deadline_us, NULL);
 *   ... Lua ...
 *   guard_end(g);
 *
 * or, where the state must live on: guard_begin(g, deadline_us, L), and after guard_end() the hook
 * is taken off.
 */
#ifndef PERILUNE_SCRIPT_WATCHDOG_H
#define PERILUNE_SCRIPT_WATCHDOG_H

#include "script/vm.h"

#include <assert.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <time.h>

struct vm_guard {
    struct vm_watchdog *watchdog;
    pthread_t thread;
    clockid_t clock; /* its processor time */
    uint64_t kills;
    sigjmp_buf jump; /* back into vm_call(); valid while `call` is odd */

    /* Counts up by two a call; odd while one runs. Written by the guarded thread alone. */
    _Atomic uint64_t call;
    _Atomic uint32_t deadline_us; /* of the running call */
    /* Its state, to be stopped by guard_stop(); NULL: the call is jumped out of. */
    lua_State *_Atomic hooked;
    /* The values of `call` that seem to have used up half their time, and that have used up all of
     * it: see judge(). Written by the watchdog alone. */
    _Atomic uint64_t warned, condemned;
    _Atomic uint64_t heard; /* the warned call that was really running; by the handler */
    /* Signals the thread has answered; the watchdog sends the next one only then, so that they do
     * not pile up while the thread waits for a processor. */
    _Atomic uint64_t answered;

    /* The watchdog's own, under its lock. */
    struct vm_guard *next;
    uint64_t seen;     /* `call` when it last looked */
    uint64_t began_ns; /* processor time when it first saw that call */
    uint64_t heard_ns; /* and when it first knew that the warned call had been running */
    uint64_t noted;    /* of which call that is */
    uint64_t sent;     /* signals */
};

/* Whether the watchdog waits for somebody to begin a call. */
bool watchdog_asleep(const struct vm_watchdog *w);
void watchdog_wake(struct vm_watchdog *w);

/* Publishes a call. Costs two atomic operations, and a system call only when the watchdog sleeps.
 */
static inline void guard_begin(struct vm_guard *g, uint32_t deadline_us, lua_State *hooked) {
    uint64_t call = atomic_load_explicit(&g->call, memory_order_relaxed) + 1;
    assert(call & 1);
    atomic_store_explicit(&g->deadline_us, deadline_us, memory_order_relaxed);
    atomic_store_explicit(&g->hooked, hooked, memory_order_relaxed);
    /* Sequentially consistent, as is the watchdog's way to bed: either it sees the call or we see
     * it asleep. */
    atomic_store(&g->call, call);
    if (watchdog_asleep(g->watchdog))
        watchdog_wake(g->watchdog);
}

static inline void guard_end(struct vm_guard *g) {
    uint64_t call = atomic_load_explicit(&g->call, memory_order_relaxed) + 1;
    atomic_store_explicit(&g->call, call, memory_order_release);
}

/* After the jump: the call has been ended by the handler, the signal is still blocked. */
void guard_killed(struct vm_guard *g);

/* From its next instruction, call or return on the state raises an error, for as long as the hook
 * is there: a pcall that catches one gets the next. Safe at any point of a call, also in a signal's
 * handler. */
void guard_stop(lua_State *L);

#endif
