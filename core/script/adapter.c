#include "script/adapter.h"

#include "base/log.h"
#include "script/loader.h"
#include "script/luaspan.h"
#include "script/vm.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

/* Beside a few bodies of the largest size, so that no honest request runs into the cap. */
enum { MEMORY = 64 << 20, BODIES = 4 };
/* So much more than after the last look, and garbage is collected at once instead of when Lua
 * comes to it. */
enum { GARBAGE_MAX = 8 << 20 };

/* Where the functions of perilune.adapter lie in the registry. */
struct refs {
    int open, feed, finish, answer, close;
};

struct adapter {
    struct vm *vm;
    struct refs refs;
    size_t settled;    /* bytes the state had after garbage was last collected here */
    struct buf texts;  /* what `seen` of the last call points into */
    struct buf failed; /* what `why` of the last call points to */
};

static int keep_function(lua_State *L, const char *name) {
    lua_getfield(L, -1, name);
    if (!lua_isfunction(L, -1))
        luaL_error(L, "perilune.adapter has no function '%s'", name);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

static enum vm_result run_setup(lua_State *L, void *arg) {
    struct adapter *a = arg;
    lua_getglobal(L, "require");
    lua_pushliteral(L, "perilune.adapter");
    lua_call(L, 1, 1);
    a->refs.open = keep_function(L, "open");
    a->refs.feed = keep_function(L, "feed");
    a->refs.finish = keep_function(L, "finish");
    a->refs.answer = keep_function(L, "answer");
    a->refs.close = keep_function(L, "close");
    return VM_OK;
}

struct adapter *adapter_new(const struct snapshot *snap) {
    struct adapter *a = calloc(1, sizeof *a);
    if (!a)
        abort();
    struct vm_library library = loader_library(snap);
    a->vm = vm_new(VM_TRUSTED, MEMORY + BODIES * snap->config.max_body, &library);
    if (vm_call(a->vm, NULL, 0, run_setup, a) != VM_OK) {
        log_error("the adapters do not load: %s", vm_error(a->vm));
        adapter_free(a);
        return NULL;
    }
    a->settled = vm_memory(a->vm);
    return a;
}

void adapter_free(struct adapter *a) {
    if (!a)
        return;
    vm_free(a->vm);
    buf_deinit(&a->texts);
    buf_deinit(&a->failed);
    free(a);
}

/* ---- calls ---- */

struct call {
    struct adapter *a;
    int function;
    int handle;
    struct span event, data;
    int status;
    struct adapter_setup *setup;
    struct buf *out;
    size_t out_before; /* its length, to go back to when the call fails */
    struct adapter_seen *seen;
};

/* Takes the message on top of the stack, to be `why`. */
static enum vm_result refuse(lua_State *L) {
    if (lua_type(L, -1) != LUA_TSTRING)
        lua_pushliteral(L, "the adapter said nothing");
    return VM_BAD_RESULT;
}

/* Runs one call; 0, or -1 with `*why`. What it wrote before it failed is taken back. */
static int run(struct call *c, enum vm_result (*body)(lua_State *L, void *arg), const char **why) {
    struct adapter *a = c->a;
    c->out_before = c->out ? c->out->len : 0;
    buf_clear(&a->texts);
    if (vm_call(a->vm, NULL, 0, body, c) == VM_OK)
        return 0;
    if (c->out)
        c->out->len = c->out_before;
    buf_clear(&a->failed);
    buf_append(&a->failed, vm_error(a->vm), strlen(vm_error(a->vm)) + 1);
    *why = a->failed.at;
    return -1;
}

/* ---- requests ---- */

static void push_target(lua_State *L, const struct target *t) {
    const struct {
        const char *name;
        struct span value;
    } fields[] = {
        { "id", t->id },
        { "model", t->model },
        { "upstream", t->upstream },
        { "dialect", span_of(dialect_name(t->provider->dialect)) },
    };
    lua_createtable(L, 0, 4);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        luaspan_push(L, fields[i].value);
        lua_setfield(L, -2, fields[i].name);
    }
}

static enum vm_result run_open(lua_State *L, void *arg) {
    struct call *c = arg;
    struct adapter_setup *s = c->setup;
    lua_rawgeti(L, LUA_REGISTRYINDEX, c->function);
    luaspan_push(L, span_of(dialect_name(s->client)));
    push_target(L, s->target);
    luaspan_push(L, s->body);
    lua_pushboolean(L, s->stream);
    luaspan_push_pairs(L, s->params, s->n_params);
    luaspan_push(L, s->id);
    lua_pushnumber(L, (double)s->created_s);
    lua_call(L, 7, 4); /* stack: handle or nil, body or why, path, dropped */
    if (!lua_isnumber(L, 1)) {
        lua_settop(L, 2);
        return refuse(L);
    }
    c->handle = (int)lua_tointeger(L, 1);
    buf_add(s->out, luaspan_at(L, 2));
    s->path = arena_copy(s->arena, luaspan_at(L, 3));
    s->dropped = arena_copy(s->arena, luaspan_at(L, 4));
    return VM_OK;
}

int adapter_open(struct adapter *a, struct adapter_setup *setup, const char **why) {
    struct call c = { .a = a, .function = a->refs.open, .setup = setup, .out = setup->out };
    return run(&c, run_open, why) == 0 ? c.handle : 0;
}

/* ---- answers ---- */

static bool seen_flag(lua_State *L, const char *name) {
    lua_getfield(L, -1, name);
    bool flag = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return flag;
}

static int64_t seen_count(lua_State *L, const char *name) {
    lua_getfield(L, -1, name);
    double n = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
    lua_pop(L, 1);
    return n >= 0 && n < 9e15 ? (int64_t)n : -1;
}

/* The texts behind each other in one buffer; where they lie is set when it does not move any
 * more. */
static size_t keep_text(lua_State *L, struct buf *texts, const char *name, bool *there) {
    lua_getfield(L, -1, name);
    struct span s = luaspan_at(L, -1);
    size_t before = texts->len;
    *there = s.at != NULL;
    if (*there)
        buf_add(texts, s);
    lua_pop(L, 1);
    return texts->len - before;
}

static void take_seen(lua_State *L, struct adapter *a, struct adapter_seen *seen) {
    bool has_message, has_model;
    seen->content = seen_flag(L, "content");
    seen->finished = seen_flag(L, "finished");
    seen->excused = seen_flag(L, "excused");
    seen->error = seen_flag(L, "error");
    seen->input_tokens = seen_count(L, "input_tokens");
    seen->output_tokens = seen_count(L, "output_tokens");
    seen->cached_tokens = seen_count(L, "cached_tokens");
    seen->cache_write_tokens = seen_count(L, "cache_write_tokens");
    seen->reasoning_tokens = seen_count(L, "reasoning_tokens");
    buf_reserve(&a->texts, 1);
    size_t message = keep_text(L, &a->texts, "message", &has_message);
    size_t model = keep_text(L, &a->texts, "model", &has_model);
    seen->message = has_message ? (struct span){ a->texts.at, message } : SPAN_NONE;
    seen->model = has_model ? (struct span){ a->texts.at + message, model } : SPAN_NONE;
}

/* stack: out or nil, seen or why */
static enum vm_result take_answer(lua_State *L, struct call *c) {
    if (!lua_istable(L, -1))
        return refuse(L);
    buf_add(c->out, luaspan_at(L, -2));
    take_seen(L, c->a, c->seen);
    return VM_OK;
}

static enum vm_result run_feed(lua_State *L, void *arg) {
    struct call *c = arg;
    lua_rawgeti(L, LUA_REGISTRYINDEX, c->function);
    lua_pushinteger(L, c->handle);
    luaspan_push(L, c->event);
    luaspan_push(L, c->data);
    lua_call(L, 3, 2);
    return take_answer(L, c);
}

static enum vm_result run_finish(lua_State *L, void *arg) {
    struct call *c = arg;
    lua_rawgeti(L, LUA_REGISTRYINDEX, c->function);
    lua_pushinteger(L, c->handle);
    lua_call(L, 1, 2);
    return take_answer(L, c);
}

static enum vm_result run_answer(lua_State *L, void *arg) {
    struct call *c = arg;
    lua_rawgeti(L, LUA_REGISTRYINDEX, c->function);
    lua_pushinteger(L, c->handle);
    lua_pushinteger(L, c->status);
    luaspan_push(L, c->data);
    lua_call(L, 3, 2);
    return take_answer(L, c);
}

static const struct adapter_seen nothing_seen = {
    .input_tokens = -1,
    .output_tokens = -1,
    .cached_tokens = -1,
    .cache_write_tokens = -1,
    .reasoning_tokens = -1,
};

int adapter_feed(struct adapter *a, int handle, struct span event, struct span data,
                 struct buf *out, struct adapter_seen *seen, const char **why) {
    struct call c = { .a = a,
                      .function = a->refs.feed,
                      .handle = handle,
                      .event = event,
                      .data = data,
                      .out = out,
                      .seen = seen };
    *seen = nothing_seen;
    return run(&c, run_feed, why);
}

int adapter_finish(struct adapter *a, int handle, struct buf *out, struct adapter_seen *seen,
                   const char **why) {
    struct call c = {
        .a = a, .function = a->refs.finish, .handle = handle, .out = out, .seen = seen
    };
    *seen = nothing_seen;
    return run(&c, run_finish, why);
}

int adapter_answer(struct adapter *a, int handle, int status, struct span body, struct buf *out,
                   struct adapter_seen *seen, const char **why) {
    struct call c = { .a = a,
                      .function = a->refs.answer,
                      .handle = handle,
                      .status = status,
                      .data = body,
                      .out = out,
                      .seen = seen };
    *seen = nothing_seen;
    return run(&c, run_answer, why);
}

static enum vm_result run_close(lua_State *L, void *arg) {
    struct call *c = arg;
    lua_rawgeti(L, LUA_REGISTRYINDEX, c->function);
    lua_pushinteger(L, c->handle);
    lua_call(L, 1, 0);
    if (vm_memory(c->a->vm) > c->a->settled + GARBAGE_MAX) {
        lua_gc(L, LUA_GCCOLLECT, 0);
        c->a->settled = vm_memory(c->a->vm);
    }
    return VM_OK;
}

void adapter_close(struct adapter *a, int handle) {
    struct call c = { .a = a, .function = a->refs.close, .handle = handle };
    const char *why;
    if (run(&c, run_close, &why) < 0)
        log_warn("an adapter's stream could not be closed: %s", why);
}
