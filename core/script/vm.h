/* vm.h - one Lua state with limits, and the one way into it.
 *
 * Owns          the lua_State and its heap; the watchdog thread.
 * Fed by        policy, adapter, config: with a C function that runs inside the protected call.
 * Feeds         them, with one of a closed set of endings.
 * Must not know what the scripts are for.
 *
 *   struct vm_guard *g = vm_guard_open(watchdog);     once a thread that runs deadlined calls
 *   r = vm_call(vm, g, deadline_us, run, &args);
 *   if (vm_dead(vm)) vm_free(vm);                     after VM_TIMEOUT and VM_NOMEM nothing else
 */
#ifndef PERILUNE_SCRIPT_VM_H
#define PERILUNE_SCRIPT_VM_H

#include "base/span.h"

#include <lua.h>

enum vm_result {
    VM_OK,
    VM_RAISED,    /* an error: vm_error() tells which */
    VM_TIMEOUT,   /* over its processor time; the state is dead */
    VM_NOMEM,     /* over its memory, also when the script swallowed the error; a policy's state is
                   * dead */
    VM_BAD_RESULT /* it ended, with something that is no answer: vm_error() tells */
};

/* "timeout", "raised", "memory", "bad result", "ok": for traces. */
const char *vm_result_name(enum vm_result r);

/* The thread that watches calls of other threads. One serves a process, more do not disturb each
 * other; NULL, with the reason logged, when it does not start. */
struct vm_watchdog;
struct vm_watchdog *vm_watchdog_new(void);
void vm_watchdog_free(struct vm_watchdog *w); /* every guard must be closed */

/* A thread's place at the watchdog. Opened and closed on that thread. */
struct vm_guard;
struct vm_guard *vm_guard_open(struct vm_watchdog *w);
void vm_guard_close(struct vm_guard *g);
uint64_t vm_guard_kills(const struct vm_guard *g);

enum vm_kind {
    VM_POLICY, /* jumped out of; only base, string, table, math, bit, coroutine, and those cut down
                * by perilune.sandbox */
    VM_TRUSTED /* adapters, configuration: a hook and the allocator end a call with an error, the
                * state lives on; cjson is there */
};

/* Where `require` finds the modules of the trusted library (perilune.*), in this order. What it
 * points to outlives the state. */
struct vm_library {
    const struct pair *compiled; /* from loader_compile(): name and bytes */
    size_t n_compiled;
    const char *dir; /* a folder with perilune/NAME.lua; NULL: none */
    /* and last, what the binary carries */
};

struct vm;
/* JIT off. `memory` is the cap in bytes. `library` is copied; NULL: what the binary carries
 * alone. */
struct vm *vm_new(enum vm_kind kind, size_t memory, const struct vm_library *library);

/* Also for a dead one. Gives back all memory; nothing of a policy state runs any more. */
void vm_free(struct vm *vm);

bool vm_dead(const struct vm *vm);
size_t vm_memory(const struct vm *vm);

/* Runs `body` inside a protected call on the state. What body pushes is gone afterwards: the stack
 * is as high as before. `guard` NULL or deadline 0: no limit by clock (trusted kinds then count
 * their instructions). A trusted call that is late ends with VM_RAISED once it is back in Lua: a
 * search for a pattern runs to its end. body returns VM_OK or VM_BAD_RESULT (then with a message on
 * top of the stack); raising a Lua error in it is VM_RAISED. */
enum vm_result vm_call(struct vm *vm, struct vm_guard *guard, uint32_t deadline_us,
                       enum vm_result (*body)(lua_State *L, void *arg), void *arg);

/* The message of the last call that did not end well, "" after VM_OK; with "file:line:" in front
 * where Lua gave one. Valid until the next call. */
const char *vm_error(const struct vm *vm);

#endif
