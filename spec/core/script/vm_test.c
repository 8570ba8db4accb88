/* Limits of one Lua state: what ends a call, and that nothing else does.
 *
 * With "soak N" as arguments it ends N runaway calls of policies instead, on three threads, and as
 * many of trusted states that live through all of it, while another trusted state raises errors
 * beside them (the target kill_soak does so a hundred thousand times).
 */
#include "runaways.h"
#include "script/vm.h"

#include <lauxlib.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

enum { MEMORY = 4 << 20, DEADLINE_US = 3000 };

struct script {
    const char *text;
    double number; /* what it returned */
};

static enum vm_result run_script(lua_State *L, void *arg) {
    struct script *script = arg;
    if (luaL_loadbufferx(L, script->text, strlen(script->text), "@script.lua", "t") != 0)
        return lua_error(L);
    lua_call(L, 0, 1);
    if (!lua_isnumber(L, -1)) {
        lua_pushliteral(L, "a number was expected");
        return VM_BAD_RESULT;
    }
    script->number = lua_tonumber(L, -1);
    return VM_OK;
}

static enum vm_result run(struct vm *vm, struct vm_guard *guard, uint32_t deadline_us,
                          const char *text, double *number) {
    struct script script = { .text = text };
    enum vm_result result = vm_call(vm, guard, deadline_us, run_script, &script);
    if (number)
        *number = script.number;
    return result;
}

struct world {
    struct vm_watchdog *watchdog;
    struct vm_guard *guard;
};

static int world_open(void **state) {
    struct world *w = calloc(1, sizeof *w);
    w->watchdog = vm_watchdog_new();
    assert_non_null(w->watchdog);
    w->guard = vm_guard_open(w->watchdog);
    *state = w;
    return 0;
}

static int world_close(void **state) {
    struct world *w = *state;
    vm_guard_close(w->guard);
    vm_watchdog_free(w->watchdog);
    free(w);
    return 0;
}

/* ---- ordinary endings ---- */

static void answers_and_errors(void **state) {
    struct world *w = *state;
    struct vm *vm = vm_new(VM_POLICY, MEMORY, NULL);
    double number = 0;
    assert_int_equal(run(vm, w->guard, DEADLINE_US, "return 6 * 7", &number), VM_OK);
    assert_true(number == 42);
    assert_string_equal(vm_error(vm), "");

    assert_int_equal(run(vm, w->guard, DEADLINE_US, "local a\nerror('no way')", NULL), VM_RAISED);
    assert_string_equal(vm_error(vm), "script.lua:2: no way");
    assert_int_equal(run(vm, w->guard, DEADLINE_US, "return 'text'", NULL), VM_BAD_RESULT);
    assert_string_equal(vm_error(vm), "a number was expected");
    assert_int_equal(run(vm, w->guard, DEADLINE_US, "return = 1", NULL), VM_RAISED);
    assert_non_null(strstr(vm_error(vm), "script.lua:1:"));

    assert_false(vm_dead(vm));
    assert_int_equal(run(vm, NULL, 0, "return 1", NULL), VM_OK);
    assert_string_equal(vm_error(vm), "");
    vm_free(vm);
}

static void error_values_are_not_asked(void **state) {
    struct world *w = *state;
    struct vm *vm = vm_new(VM_POLICY, MEMORY, NULL);
    const char *text = "error(setmetatable({}, { __tostring = function() while true do end end }))";
    assert_int_equal(run(vm, w->guard, DEADLINE_US, text, NULL), VM_RAISED);
    assert_string_equal(vm_error(vm), "the error is a table value");
    assert_int_equal(run(vm, w->guard, DEADLINE_US, "error(12.5, 0)", NULL), VM_RAISED);
    assert_string_equal(vm_error(vm), "12.5");
    assert_int_equal(run(vm, w->guard, DEADLINE_US, "error(('x'):rep(100000))", NULL), VM_RAISED);
    assert_in_range(strlen(vm_error(vm)), 500, 4096);
    vm_free(vm);
}

static void only_what_a_policy_may_see_is_open(void **state) {
    static const char *const absent[] = { "io",       "os",     "package",    "debug",
                                          "ffi",      "jit",    "print",      "dofile",
                                          "loadfile", "gcinfo", "newproxy",   "collectgarbage",
                                          "cjson",    "module", "string.dump" };
    struct vm *vm = vm_new(VM_POLICY, MEMORY, NULL);
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
        char text[100];
        snprintf(text, sizeof text, "return %s == nil and 1 or 0", absent[i]);
        double number = 0;
        assert_int_equal(run(vm, NULL, 0, text, &number), VM_OK);
        if (number != 1)
            fail_msg("%s is there", absent[i]);
    }
    assert_int_equal(run(vm, NULL, 0, "require 'cjson'", NULL), VM_RAISED);
    assert_int_equal(run(vm, NULL, 0, "require 'ffi'", NULL), VM_RAISED);
    assert_int_equal(run(vm, NULL, 0, "require 'perilune.../secrets'", NULL), VM_RAISED);
    assert_int_equal(run(vm, NULL, 0, "return require 'string' == string and 1", NULL), VM_OK);
    vm_free(vm);

    vm = vm_new(VM_TRUSTED, MEMORY, NULL);
    double number = 0;
    assert_int_equal(run(vm, NULL, 0, "return #require 'cjson'.encode { 1, 2 }", &number), VM_OK);
    assert_true(number == 5);
    assert_int_equal(run(vm, NULL, 0, "return not (io or os or jit or xpcall) and 1", NULL), VM_OK);
    vm_free(vm);
}

static void modules_come_from_the_folder_first(void **state) {
    char dir[] = "/tmp/perilune-vm-XXXXXX", path[200];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "mkdir %s/perilune", dir);
    assert_int_equal(system(path), 0);
    snprintf(path, sizeof path, "%s/perilune/own.lua", dir);
    FILE *f = fopen(path, "w");
    fputs("counted = (counted or 0) + 1 return { answer = 7 }", f);
    fclose(f);

    struct vm *vm = vm_new(VM_TRUSTED, MEMORY, &(struct vm_library){ .dir = dir });
    double number = 0;
    const char *text =
        "return require 'perilune.own'.answer + require 'perilune.own'.answer + 100 * counted";
    assert_int_equal(run(vm, NULL, 0, text, &number), VM_OK);
    assert_true(number == 114);
    assert_int_equal(run(vm, NULL, 0, "require 'perilune.no_such_module'", NULL), VM_RAISED);
    assert_non_null(strstr(vm_error(vm), "perilune.no_such_module"));
    vm_free(vm);
    remove(path);
    snprintf(path, sizeof path, "rm -r %s", dir);
    assert_int_equal(system(path), 0);
}

/* ---- memory ---- */

static void a_swallowed_refusal_still_counts(void **state) {
    struct world *w = *state;
    struct vm *vm = vm_new(VM_POLICY, MEMORY, NULL);
    const char *text = "pcall(string.rep, 'x', 1e9) return 1";
    assert_int_equal(run(vm, w->guard, DEADLINE_US, text, NULL), VM_NOMEM);
    assert_true(vm_dead(vm));
    assert_non_null(strstr(vm_error(vm), "4096 KB"));
    vm_free(vm);
}

static void a_trusted_state_survives_its_limits(void **state) {
    struct vm *vm = vm_new(VM_TRUSTED, MEMORY, NULL);
    double number = 0;
    size_t before = vm_memory(vm);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(run(vm, NULL, 0, "local t = {} for i = 1, 1e9 do t[i] = {} end", NULL),
                         VM_NOMEM);
        assert_false(vm_dead(vm));
        assert_in_range(vm_memory(vm), 1, before + 400000);
        assert_int_equal(run(vm, NULL, 0, "while true do end", NULL), VM_RAISED);
        assert_non_null(strstr(vm_error(vm), "ran for too long"));
        assert_int_equal(
            run(vm, NULL, 0, "while true do pcall(function() while true do end end) end", NULL),
            VM_RAISED);
        assert_int_equal(run(vm, NULL, 0, "return 5", &number), VM_OK);
        assert_true(number == 5);
    }
    vm_free(vm);
}

static void garbage_is_collected_within_the_cap(void **state) {
    struct vm *vm = vm_new(VM_POLICY, MEMORY, NULL);
    for (int i = 0; i < 20000; i++)
        assert_int_equal(
            run(vm, NULL, 0, "local t = {} for i = 1, 20 do t[i] = { i } end return 1", NULL),
            VM_OK);
    assert_in_range(vm_memory(vm), 1, MEMORY);
    vm_free(vm);
}

/* ---- time ---- */

static double wall_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void every_runaway_is_ended(void **state) {
    struct world *w = *state;
    for (size_t i = 0; i < RUNAWAY_COUNT; i++) {
        struct vm *vm = vm_new(VM_POLICY, MEMORY, NULL);
        double began = wall_ms();
        enum vm_result result = run(vm, w->guard, DEADLINE_US, runaways[i].text, NULL);
        double took = wall_ms() - began;
        if (result != VM_TIMEOUT && result != VM_NOMEM)
            fail_msg("%s ended with %s: %s", runaways[i].name, vm_result_name(result),
                     vm_error(vm));
        assert_true(vm_dead(vm));
        assert_in_range(vm_memory(vm), 1, MEMORY);
        if (took > 2000)
            fail_msg("%s took %.0f ms", runaways[i].name, took);
        vm_free(vm);
        /* The thread serves on. */
        vm = vm_new(VM_POLICY, MEMORY, NULL);
        double number = 0;
        assert_int_equal(run(vm, w->guard, 1000000, "return 3", &number), VM_OK);
        assert_true(number == 3);
        vm_free(vm);
    }
}

/* In a trusted state, one for all of them. */
static enum vm_result run_stopped(struct vm *vm, struct vm_guard *guard, uint32_t deadline_us,
                                  const struct runaway *r) {
    enum vm_result result = run(vm, guard, deadline_us, r->text, NULL);
    if ((result != VM_RAISED && result != VM_NOMEM) || vm_dead(vm)) {
        fprintf(stderr, "%s ended with %s: %s\n", r->name, vm_result_name(result), vm_error(vm));
        abort();
    }
    return result;
}

static void every_trusted_runaway_is_stopped(void **state) {
    struct world *w = *state;
    struct vm *vm = vm_new(VM_TRUSTED, MEMORY, NULL);
    for (size_t i = RUNAWAYS_OUTSIDE; i < RUNAWAY_COUNT; i++) {
        double number = 0, began = wall_ms();
        run_stopped(vm, w->guard, DEADLINE_US, &runaways[i]);
        double took = wall_ms() - began;
        if (took > 2000)
            fail_msg("%s took %.0f ms", runaways[i].name, took);
        /* The state serves on, and nothing stays behind that would stop it. */
        assert_int_equal(run(vm, w->guard, 1000000,
                             "local n = 0 for i = 1, 1e4 do n = n + i end return n", &number),
                         VM_OK);
        assert_true(number == 50005000);
    }
    assert_int_equal(vm_guard_kills(w->guard), 0);
    vm_free(vm);
}

static void the_deadline_is_of_processor_time(void **state) {
    struct world *w = *state;
    struct vm *vm = vm_new(VM_POLICY, MEMORY, NULL);
    struct timespec before, after;
    assert_int_equal(run(vm, w->guard, 1000, "return 1", NULL), VM_OK);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
    assert_int_equal(run(vm, w->guard, 20000, "while true do end", NULL), VM_TIMEOUT);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
    double used_ms = (double)(after.tv_sec - before.tv_sec) * 1e3 +
                     (double)(after.tv_nsec - before.tv_nsec) / 1e6;
    /* Never early; late by one look of the watchdog, and what a busy machine adds to that. */
    assert_true(used_ms >= 20);
    assert_true(used_ms < 40);
    assert_string_equal(vm_error(vm), "used more than its 20 ms of processor time");
    vm_free(vm);
}

/* A body that stays in our own code: it must not be jumped out of, whatever its time. */
static enum vm_result stay_outside(lua_State *L, void *arg) {
    double until = wall_ms() + 30;
    while (wall_ms() < until)
        ;
    *(int *)arg = 1;
    return VM_OK;
}

static void our_own_code_is_never_left(void **state) {
    struct world *w = *state;
    struct vm *vm = vm_new(VM_POLICY, MEMORY, NULL);
    int finished = 0;
    vm_call(vm, w->guard, 1000, stay_outside, &finished);
    assert_int_equal(finished, 1);
    vm_free(vm);
}

static void a_slept_watchdog_wakes(void **state) {
    struct world *w = *state;
    for (int i = 0; i < 3; i++) {
        struct vm *vm = vm_new(VM_POLICY, MEMORY, NULL);
        /* Longer than its idle time: it has gone to sleep on most machines, and must wake up on
         * all. */
        nanosleep(&(struct timespec){ .tv_nsec = 120 * 1000 * 1000 }, NULL);
        assert_int_equal(run(vm, w->guard, DEADLINE_US, "while true do end", NULL), VM_TIMEOUT);
        vm_free(vm);
    }
}

/* ---- the soak ---- */

struct soak {
    struct vm_watchdog *watchdog;
    atomic_long kills_left;
    atomic_long answers, timeouts, refusals, stopped;
    atomic_long raised;
    atomic_bool stop;
};

static void soak_answer(struct soak *s, struct vm *vm, struct vm_guard *guard, unsigned n) {
    char text[64];
    double number = 0;
    snprintf(text, sizeof text, "local t = { %u } return t[1] * 2", n);
    assert_int_equal(run(vm, guard, 1000000, text, &number), VM_OK);
    assert_true(number == n * 2.0);
    atomic_fetch_add(&s->answers, 1);
}

static void *soak_kill(void *arg) {
    struct soak *s = arg;
    struct vm_guard *guard = vm_guard_open(s->watchdog);
    struct vm *trusted = vm_new(VM_TRUSTED, 2 << 20, NULL);
    unsigned n = 0;
    long left;
    while ((left = atomic_fetch_sub(&s->kills_left, 1)) > 0) {
        struct vm *vm = vm_new(VM_POLICY, 2 << 20, NULL);
        for (int i = 0; i < 5; i++)
            soak_answer(s, vm, guard, n++);
        size_t which = (size_t)left % RUNAWAY_COUNT;
        const struct runaway *r = &runaways[which];
        enum vm_result result = run(vm, guard, 200, r->text, NULL);
        if (result != VM_TIMEOUT && result != VM_NOMEM) {
            fprintf(stderr, "%s ended with %s: %s\n", r->name, vm_result_name(result),
                    vm_error(vm));
            abort();
        }
        atomic_fetch_add(result == VM_TIMEOUT ? &s->timeouts : &s->refusals, 1);
        vm_free(vm);
        soak_answer(s, trusted, guard, n++);
        if (which >= RUNAWAYS_OUTSIDE) {
            run_stopped(trusted, guard, 200, r);
            atomic_fetch_add(&s->stopped, 1);
        }
    }
    vm_free(trusted);
    vm_guard_close(guard);
    return NULL;
}

static void *soak_raise(void *arg) {
    struct soak *s = arg;
    struct vm *vm = vm_new(VM_TRUSTED, MEMORY, NULL);
    const char *text =
        "local n = 0 for i = 1, 100 do if not pcall(error, 'x') then n = n + 1 end end return n";
    while (!atomic_load(&s->stop)) {
        double number = 0;
        assert_int_equal(run(vm, NULL, 0, text, &number), VM_OK);
        assert_true(number == 100);
        assert_int_equal(run(vm, NULL, 0, "error 'out'", NULL), VM_RAISED);
        atomic_fetch_add(&s->raised, 101);
    }
    vm_free(vm);
    return NULL;
}

static long resident_kb(void) {
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%*s %ld", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return pages * 4;
}

static struct soak soak(long kills, bool print) {
    struct soak s = { .watchdog = vm_watchdog_new() };
    pthread_t killers[3], raiser;
    atomic_store(&s.kills_left, kills);
    pthread_create(&raiser, NULL, soak_raise, &s);
    for (int i = 0; i < 3; i++)
        pthread_create(&killers[i], NULL, soak_kill, &s);
    while (print && atomic_load(&s.kills_left) > 0) {
        printf("%ld left, %ld answers, %ld timeouts, %ld refusals, %ld stopped, %ld errors raised "
               "beside, %ld KB\n",
               atomic_load(&s.kills_left), atomic_load(&s.answers), atomic_load(&s.timeouts),
               atomic_load(&s.refusals), atomic_load(&s.stopped), atomic_load(&s.raised),
               resident_kb());
        fflush(stdout);
        nanosleep(&(struct timespec){ .tv_sec = 5 }, NULL);
    }
    for (int i = 0; i < 3; i++)
        pthread_join(killers[i], NULL);
    atomic_store(&s.stop, true);
    pthread_join(raiser, NULL);
    vm_watchdog_free(s.watchdog);
    return s;
}

static void a_few_hundred_kills_on_three_threads(void **state) {
    struct soak s = soak(400, false);
    assert_int_equal(s.timeouts + s.refusals, 400);
    assert_int_equal(s.answers, 2400);
    assert_true(s.stopped > 300);
    assert_true(s.raised > 0);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers_and_errors, world_open, world_close),
        cmocka_unit_test_setup_teardown(error_values_are_not_asked, world_open, world_close),
        cmocka_unit_test(only_what_a_policy_may_see_is_open),
        cmocka_unit_test(modules_come_from_the_folder_first),
        cmocka_unit_test_setup_teardown(a_swallowed_refusal_still_counts, world_open, world_close),
        cmocka_unit_test(a_trusted_state_survives_its_limits),
        cmocka_unit_test(garbage_is_collected_within_the_cap),
        cmocka_unit_test_setup_teardown(every_runaway_is_ended, world_open, world_close),
        cmocka_unit_test_setup_teardown(every_trusted_runaway_is_stopped, world_open, world_close),
        cmocka_unit_test_setup_teardown(the_deadline_is_of_processor_time, world_open, world_close),
        cmocka_unit_test_setup_teardown(our_own_code_is_never_left, world_open, world_close),
        cmocka_unit_test_setup_teardown(a_slept_watchdog_wakes, world_open, world_close),
        cmocka_unit_test(a_few_hundred_kills_on_three_threads),
    };
    if (argc == 3 && strcmp(argv[1], "soak") == 0) {
        struct soak s = soak(strtol(argv[2], NULL, 10), true);
        printf(
            "%ld timeouts, %ld refusals, %ld answers, %ld stopped, %ld errors raised beside, %ld "
            "KB\n",
            atomic_load(&s.timeouts), atomic_load(&s.refusals), atomic_load(&s.answers),
            atomic_load(&s.stopped), atomic_load(&s.raised), resident_kb());
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
