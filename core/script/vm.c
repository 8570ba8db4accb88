#include "script/vm.h"

#include "base/log.h"
#include "script/heap.h"
#include "script/loader.h"
#include "script/rawjson.h"
#include "script/watchdog.h"

#include <lauxlib.h>
#include <luajit.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>

/* Of lua-cjson. Its own header would bring in the lua.h of another Lua. */
extern int luaopen_cjson(lua_State *L);

enum {
    ERROR_MAX = 1024,
    /* Of Lua's, in a trusted call that nobody watches: a tenth of a second of empty loops, two
     * seconds of making tables and texts. */
    INSTRUCTIONS_MAX = 50 * 1000 * 1000
};

struct vm {
    lua_State *L;
    enum vm_kind kind;
    struct vm_library library;
    struct heap heap;
    bool dead;
    /* The call under way. */
    enum vm_result (*body)(lua_State *L, void *arg);
    void *arg;
    enum vm_result result;
    char error[ERROR_MAX];
};

const char *vm_result_name(enum vm_result r) {
    static const char *const names[] = { "ok", "raised", "timeout", "memory", "bad result" };
    return names[r];
}

static struct vm *vm_of(lua_State *L) {
    void *heap;
    lua_getallocf(L, &heap);
    return (struct vm *)((char *)heap - offsetof(struct vm, heap));
}

/* ---- making a state ---- */

/* An error outside of any protected call: ours alone can be that wrong. */
static int on_panic(lua_State *L) {
    log_error("Lua error outside of a protected call");
    abort();
}

static void open_library(lua_State *L, lua_CFunction open, const char *name) {
    lua_pushcfunction(L, open);
    lua_pushstring(L, name);
    lua_call(L, 1, 0);
}

static void forget_globals(lua_State *L, const char *const *names) {
    for (; *names; names++) {
        lua_pushnil(L);
        lua_setglobal(L, *names);
    }
}

/* Opened in either kind: what reads no file, starts nothing and compiles no machine code. The base
 * library still brings some of that. */
static void open_libraries(lua_State *L, enum vm_kind kind) {
    static const char *const unwanted[] = { "dofile",   "loadfile", "print",
                                            "newproxy", "gcinfo",   NULL };
    static const char *const unwanted_in_policies[] = { "collectgarbage", NULL };
    /* Its message handler runs inside the hook that stops a call, where no hook is asked. */
    static const char *const unwanted_in_trusted[] = { "xpcall", NULL };
    open_library(L, luaopen_base, "");
    open_library(L, luaopen_table, LUA_TABLIBNAME);
    open_library(L, luaopen_string, LUA_STRLIBNAME);
    open_library(L, luaopen_math, LUA_MATHLIBNAME);
    open_library(L, luaopen_bit, LUA_BITLIBNAME);
    forget_globals(L, unwanted);
    lua_getglobal(L, "string");
    lua_pushnil(L);
    lua_setfield(L, -2, "dump");
    lua_pop(L, 1);
    if (kind == VM_POLICY) {
        forget_globals(L, unwanted_in_policies);
    } else {
        forget_globals(L, unwanted_in_trusted);
        lua_pushcfunction(L, luaopen_cjson);
        lua_call(L, 0, 1);
        lua_setglobal(L, "cjson");
        lua_pushcfunction(L, rawjson_open);
        lua_call(L, 0, 1);
        lua_setglobal(L, "perilune.rawjson"); /* where the loader looks */
    }
}

static enum vm_result open_state(lua_State *L, void *arg) {
    const struct vm *vm = arg;
    open_libraries(L, vm->kind);
    loader_open(L, &vm->library);
    return VM_OK;
}

/* The one function ever called from C: it finds out from the state's owner what to run, so that
 * entering takes no allocation. */
static int run_body(lua_State *L) {
    struct vm *vm = vm_of(L);
    vm->result = vm->body(L, vm->arg);
    if (vm->result == VM_BAD_RESULT) {
        const char *message = lua_tostring(L, -1);
        snprintf(vm->error, sizeof vm->error, "%s", message ? message : "no answer");
    }
    return 0;
}

/* lua_pushcclosure may raise, so it needs a protected call of its own kind. */
static int keep_run_body(lua_State *L) {
    lua_pushcfunction(L, run_body);
    lua_rawseti(L, LUA_REGISTRYINDEX, 1);
    return 0;
}

struct vm *vm_new(enum vm_kind kind, size_t memory, const struct vm_library *library) {
    struct vm *vm = calloc(1, sizeof *vm);
    if (!vm)
        abort();
    vm->kind = kind;
    if (library)
        vm->library = *library;
    heap_init(&vm->heap, SIZE_MAX); /* no cap until it stands */
    vm->L = lua_newstate(heap_allocate, &vm->heap);
    if (!vm->L)
        abort();
    lua_atpanic(vm->L, on_panic);
    luaJIT_setmode(vm->L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
    if (lua_cpcall(vm->L, keep_run_body, NULL) != 0)
        abort();
    lua_rawgeti(vm->L, LUA_REGISTRYINDEX, 1); /* stack: run_body, for ever */
    enum vm_result opened = vm_call(vm, NULL, 0, open_state, vm);
    assert(opened == VM_OK);
    (void)opened;
    vm->heap.cap = memory;
    return vm;
}

void vm_free(struct vm *vm) {
    if (!vm)
        return;
    /* cjson keeps memory of its own, which its finalizer gives back. Nothing in a policy state has
     * one. */
    if (vm->kind == VM_TRUSTED)
        lua_close(vm->L);
    heap_deinit(&vm->heap);
    free(vm);
}

bool vm_dead(const struct vm *vm) {
    return vm->dead;
}

size_t vm_memory(const struct vm *vm) {
    return vm->heap.taken;
}

/* ---- a call ---- */

static int run_protected(struct vm *vm) {
    lua_pushvalue(vm->L, 1);
    return lua_pcall(vm->L, 0, 0, 0);
}

/* What was raised, without asking it: a table's __tostring would run outside of the limits. */
static void keep_error(struct vm *vm) {
    int type = lua_type(vm->L, -1);
    if (type == LUA_TSTRING)
        snprintf(vm->error, sizeof vm->error, "%s", lua_tostring(vm->L, -1));
    else if (type == LUA_TNUMBER)
        snprintf(vm->error, sizeof vm->error, "%.14g", lua_tonumber(vm->L, -1));
    else
        snprintf(vm->error, sizeof vm->error, "the error is a %s value", lua_typename(vm->L, type));
}

static int collect_garbage(lua_State *L) {
    lua_gc(L, LUA_GCCOLLECT, 0);
    return 0;
}

/* Past the cap, since making room must not fail for want of it. */
static void make_room(struct vm *vm) {
    size_t cap = vm->heap.cap;
    vm->heap.cap = SIZE_MAX;
    if (lua_cpcall(vm->L, collect_garbage, NULL) != 0)
        lua_settop(vm->L, 1);
    vm->heap.cap = cap;
}

/* A refusal counts even if the script caught the error: it works with less than it thinks. */
static enum vm_result out_of_memory(struct vm *vm) {
    snprintf(vm->error, sizeof vm->error, "used more than its %zu KB of memory",
             vm->heap.cap / 1024);
    if (vm->kind == VM_POLICY)
        vm->dead = true;
    else
        make_room(vm);
    return VM_NOMEM;
}

static enum vm_result ended(struct vm *vm, int status) {
    if (status != 0)
        keep_error(vm);
    lua_settop(vm->L, 1);
    /* Lua itself refuses, without asking the allocator, what no string can hold. */
    if (vm->heap.refused || status == LUA_ERRMEM)
        return out_of_memory(vm);
    return status == 0 ? vm->result : VM_RAISED;
}

static void on_count(lua_State *L, lua_Debug *at) {
    guard_stop(L);
}

/* Never left: a call that is late ends with an error. Counting costs a dozen machine instructions
 * for each of Lua's, so it is for calls which nobody watches. */
static int run_trusted(struct vm *vm, struct vm_guard *guard, uint32_t deadline_us) {
    if (guard)
        guard_begin(guard, deadline_us, vm->L);
    else
        lua_sethook(vm->L, on_count, LUA_MASKCOUNT, INSTRUCTIONS_MAX);
    int status = run_protected(vm);
    if (guard)
        guard_end(guard);
    if (lua_gethookmask(vm->L))
        lua_sethook(vm->L, NULL, 0, 0);
    return status;
}

static enum vm_result killed(struct vm *vm, struct vm_guard *guard) {
    guard_killed(guard);
    vm->dead = true;
    snprintf(vm->error, sizeof vm->error, "used more than its %g ms of processor time",
             atomic_load(&guard->deadline_us) / 1000.0);
    return VM_TIMEOUT;
}

enum vm_result vm_call(struct vm *vm, struct vm_guard *guard, uint32_t deadline_us,
                       enum vm_result (*body)(lua_State *L, void *arg), void *arg) {
    assert(!vm->dead && !vm->body);
    vm->body = body;
    vm->arg = arg;
    vm->heap.refused = false;
    vm->error[0] = '\0';
    int status;
    if (!deadline_us)
        guard = NULL;
    if (vm->kind == VM_TRUSTED) {
        status = run_trusted(vm, guard, deadline_us);
    } else if (guard) {
        if (sigsetjmp(guard->jump, 0) != 0)
            return killed(vm, guard);
        guard_begin(guard, deadline_us, NULL);
        status = run_protected(vm);
        guard_end(guard);
    } else {
        status = run_protected(vm);
    }
    vm->body = NULL;
    return ended(vm, status);
}

const char *vm_error(const struct vm *vm) {
    return vm->error;
}
