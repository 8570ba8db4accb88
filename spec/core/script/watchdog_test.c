/* Who is ended and who is not; the kinds of runaway scripts are in vm_test. */
#include "lua_unit.h"

#include "script/watchdog.h"

#include <signal.h>
#include <unistd.h>

enum { DEADLINE_US = 3000 };

struct world {
    struct vm_watchdog *watchdog;
    struct vm_guard *guard;
    struct vm *vm;
};

static int open_world(void **state) {
    struct world *w = calloc(1, sizeof *w);
    w->watchdog = vm_watchdog_new();
    assert_non_null(w->watchdog);
    w->guard = vm_guard_open(w->watchdog);
    w->vm = vm_new(VM_POLICY, 4 << 20, NULL);
    *state = w;
    return 0;
}

static int close_world(void **state) {
    struct world *w = *state;
    vm_free(w->vm);
    vm_guard_close(w->guard);
    vm_watchdog_free(w->watchdog);
    free(w);
    return 0;
}

static enum vm_result run_away(lua_State *L, void *arg) {
    lua_value(L, "(function() while true do end end)()");
    return VM_OK;
}

static enum vm_result wait_outside(lua_State *L, void *arg) {
    nanosleep(&(struct timespec){ .tv_nsec = 50 * 1000 * 1000 }, NULL);
    lua_value(L, "1");
    return VM_OK;
}

static enum vm_result count_a_little(lua_State *L, void *arg) {
    lua_value(L, "(function() local n = 0 for i = 1, 1000 do n = n + i end return n end)()");
    return lua_tonumber(L, -1) == 500500 ? VM_OK : VM_BAD_RESULT;
}

/* A thread that sleeps uses no processor. */
static void waiting_is_not_charged(void **state) {
    struct world *w = *state;
    assert_int_equal(vm_call(w->vm, w->guard, DEADLINE_US, wait_outside, NULL), VM_OK);
    assert_int_equal(vm_guard_kills(w->guard), 0);
}

/* Each call begins anew: many short ones together take longer than the deadline. */
static void short_calls_do_not_add_up(void **state) {
    struct world *w = *state;
    struct timespec began, now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &began);
    do {
        assert_int_equal(vm_call(w->vm, w->guard, DEADLINE_US, count_a_little, NULL), VM_OK);
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    } while ((now.tv_sec - began.tv_sec) * 1000 + (now.tv_nsec - began.tv_nsec) / 1000000 < 200);
    assert_int_equal(vm_guard_kills(w->guard), 0);
}

static uint64_t used_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void use_up(uint64_t us) {
    for (uint64_t from = used_us(); used_us() < from + us;)
        ;
}

/* The thread's clock goes on while the thread itself does not run, as far as signals can tell; then it
 * does what little it had to do. */
static enum vm_result lose_the_processor(lua_State *L, void *arg) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    use_up(3 * DEADLINE_US);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    for (uint64_t from = used_us(); used_us() < from + DEADLINE_US / 30;)
        lua_value(L, "(function() local n = 0 for i = 1, 1000 do n = n + i end return n end)()");
    return VM_OK;
}

/* On a machine that is shared it may really happen meanwhile. */
static void time_that_others_took_is_not_charged(void **state) {
    struct world *w = *state;
    unsigned good = 0;
    for (unsigned i = 0; i < 20; i++) {
        good += vm_call(w->vm, w->guard, DEADLINE_US, lose_the_processor, NULL) == VM_OK;
        if (vm_dead(w->vm)) {
            vm_free(w->vm);
            w->vm = vm_new(VM_POLICY, 4 << 20, NULL);
        }
    }
    assert_true(good >= 15);
}

static void kills_are_counted(void **state) {
    struct world *w = *state;
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(vm_call(w->vm, w->guard, DEADLINE_US, run_away, NULL), VM_TIMEOUT);
        assert_int_equal(vm_guard_kills(w->guard), i);
        vm_free(w->vm);
        w->vm = vm_new(VM_POLICY, 4 << 20, NULL);
    }
}

/* Of its thread's time; the quickest of some, since others' time is in it as well. */
static void a_runaway_is_ended_within_two_deadlines(void **state) {
    struct world *w = *state;
    uint64_t quickest = UINT64_MAX;
    for (unsigned i = 0; i < 10; i++) {
        uint64_t from = used_us();
        assert_int_equal(vm_call(w->vm, w->guard, DEADLINE_US, run_away, NULL), VM_TIMEOUT);
        uint64_t used = used_us() - from;
        quickest = used < quickest ? used : quickest;
        vm_free(w->vm);
        w->vm = vm_new(VM_POLICY, 4 << 20, NULL);
    }
    assert_true(quickest >= DEADLINE_US && quickest <= 2 * DEADLINE_US);
}

static void a_strangers_signal_is_ignored(void **state) {
    struct world *w = *state;
    for (int i = 0; i < 10; i++) {
        kill(getpid(), SIGRTMIN + 4);
        assert_int_equal(vm_call(w->vm, w->guard, 1000000, count_a_little, NULL), VM_OK);
    }
}

/* ---- trusted states ---- */

static enum vm_result loop_in_pcall(lua_State *L, void *arg) {
    lua_value(L, "(function() while true do pcall(function() while true do end end) end end)()");
    return VM_OK;
}

/* What is stopped is the function between two matches, or the call of one of C's. */
static enum vm_result loop_in_callbacks(lua_State *L, void *arg) {
    lua_value(L, "(function() local s = ('ab '):rep(100) while true do "
                 "s:gsub('(%a)(%a)', function(a, b) return b .. a end) "
                 "s:gsub('%a+', string.upper) end end)()");
    return VM_OK;
}

static void a_trusted_state_is_never_left(void **state) {
    static enum vm_result (*const bodies[])(lua_State *, void *) = { run_away, loop_in_pcall,
                                                                     loop_in_callbacks };
    struct world *w = *state;
    struct vm *trusted = vm_new(VM_TRUSTED, 4 << 20, NULL);
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        uint64_t began = used_us();
        assert_int_equal(vm_call(trusted, w->guard, DEADLINE_US, bodies[i], NULL), VM_RAISED);
        assert_true(used_us() - began >= DEADLINE_US);
        assert_non_null(strstr(vm_error(trusted), "ran for too long"));
        assert_false(vm_dead(trusted));
    }
    assert_int_equal(vm_guard_kills(w->guard), 0);
    vm_free(trusted);
}

/* Ours until the hook is there, and then Lua's again. */
static enum vm_result wait_for_the_hook(lua_State *L, void *arg) {
    uint64_t until = used_us() + 10 * 1000 * 1000;
    while (!lua_gethookmask(L) && used_us() < until)
        ;
    *(bool *)arg = lua_gethookmask(L) != 0;
    lua_value(L, "1");
    return VM_OK;
}

static enum vm_result hook_is_gone(lua_State *L, void *arg) {
    return lua_gethookmask(L) ? VM_BAD_RESULT : VM_OK;
}

static void what_is_late_in_c_is_stopped_in_lua(void **state) {
    struct world *w = *state;
    struct vm *trusted = vm_new(VM_TRUSTED, 4 << 20, NULL);
    bool hooked = false;
    assert_int_equal(vm_call(trusted, w->guard, DEADLINE_US, wait_for_the_hook, &hooked),
                     VM_RAISED);
    assert_true(hooked);
    assert_int_equal(vm_call(trusted, w->guard, 1000000, hook_is_gone, NULL), VM_OK);
    vm_free(trusted);
}

/* Two kinds of calls on one thread, with one guard, each ended in its own way. */
static void policies_and_trusted_states_take_turns(void **state) {
    struct world *w = *state;
    struct vm *trusted = vm_new(VM_TRUSTED, 4 << 20, NULL);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(vm_call(trusted, w->guard, 1000, run_away, NULL), VM_RAISED);
        assert_int_equal(vm_call(w->vm, w->guard, 1000, run_away, NULL), VM_TIMEOUT);
        vm_free(w->vm);
        w->vm = vm_new(VM_POLICY, 4 << 20, NULL);
        assert_int_equal(vm_call(trusted, w->guard, 1000000, count_a_little, NULL), VM_OK);
        assert_int_equal(vm_call(w->vm, w->guard, 1000000, count_a_little, NULL), VM_OK);
    }
    assert_int_equal(vm_guard_kills(w->guard), 5);
    vm_free(trusted);
}

/* The configuration is read with a watchdog of its own beside the engine's. */
static void two_watchdogs_do_not_disturb_each_other(void **state) {
    struct world *w = *state;
    struct vm_watchdog *other = vm_watchdog_new();
    struct vm_guard *guard = vm_guard_open(other);
    struct vm *vm = vm_new(VM_POLICY, 4 << 20, NULL);
    assert_int_equal(vm_call(vm, guard, DEADLINE_US, run_away, NULL), VM_TIMEOUT);
    vm_free(vm);
    assert_int_equal(vm_guard_kills(w->guard), 0);
    vm_guard_close(guard);
    vm_watchdog_free(other);
    assert_int_equal(vm_call(w->vm, w->guard, DEADLINE_US, run_away, NULL), VM_TIMEOUT);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
    const struct CMUnitTest tests[] = {
        CASE(waiting_is_not_charged),
        CASE(short_calls_do_not_add_up),
        CASE(time_that_others_took_is_not_charged),
        CASE(kills_are_counted),
        CASE(a_runaway_is_ended_within_two_deadlines),
        CASE(a_strangers_signal_is_ignored),
        CASE(a_trusted_state_is_never_left),
        CASE(what_is_late_in_c_is_stopped_in_lua),
        CASE(policies_and_trusted_states_take_turns),
        CASE(two_watchdogs_do_not_disturb_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
