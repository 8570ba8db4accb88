#include "script/adapter.h"

#include "base/log.h"
#include "script/push.h"
#include "script/vm.h"

#include <lauxlib.h>
#include <stdlib.h>

/* Enough for a hundred streams with an event of 1 MB each in work. */
enum { ADAPTER_MEMORY = 256 * 1024 * 1024 };

struct adapter {
    struct vm *vm;
    int open, feed, finish, answer, close; /* functions of perilune.adapter, in the registry */
    struct buf model, message;             /* texts of the last `seen` */
};

/* One call: what goes in, what comes out. */
struct call {
    struct adapter *a;
    struct adapter_setup *setup; /* of open */
    int handle, status;
    struct span event, data;
    int function;
    struct buf *out;
    struct adapter_seen *seen;
};

static int keep_field(lua_State *L, const char *name) {
    lua_getfield(L, -1, name);
    if (!lua_isfunction(L, -1))
        luaL_error(L, "perilune.adapter has no function '%s'", name);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

static enum vm_result load(lua_State *L, void *arg) {
    struct adapter *a = arg;
    lua_getglobal(L, "require");
    lua_pushliteral(L, "perilune.adapter");
    lua_call(L, 1, 1); // stack: library
    a->open = keep_field(L, "open");
    a->feed = keep_field(L, "feed");
    a->finish = keep_field(L, "finish");
    a->answer = keep_field(L, "answer");
    a->close = keep_field(L, "close");
    return VM_OK;
}

struct adapter *adapter_new(const struct snapshot *snap) {
    struct adapter *a = calloc(1, sizeof *a);
    if (!a)
        abort();
    a->vm = vm_new(VM_TRUSTED, ADAPTER_MEMORY, snap->config.lua_dir.at);
    if (vm_call(a->vm, NULL, 0, load, a) == VM_OK)
        return a;
    log_error("the adapters do not load: %s", vm_error(a->vm));
    adapter_free(a);
    return NULL;
}

void adapter_free(struct adapter *a) {
    vm_free(a->vm);
    buf_deinit(&a->model);
    buf_deinit(&a->message);
    free(a);
}

/* --- open ------------------------------------------------------------------------------------ */

static void push_target(lua_State *L, const struct target *t) {
    const struct pair fields[] = {
        { SPAN("id"), t->id },
        { SPAN("model"), t->model },
        { SPAN("upstream"), t->upstream },
        { SPAN("dialect"), span_of(dialect_name(t->provider->dialect)) },
    };
    lua_createtable(L, 0, 4);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        push_span(L, fields[i].value);
        lua_setfield(L, -2, fields[i].name.at);
    }
}

static void push_params(lua_State *L, const struct pair *params, size_t n) {
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        lua_createtable(L, 2, 0);
        push_span(L, params[i].name);
        lua_rawseti(L, -2, 1);
        push_span(L, params[i].value);
        lua_rawseti(L, -2, 2);
        lua_rawseti(L, -2, (int)i + 1);
    }
}

/* A text result; SPAN_NONE when it is nil. Good as long as it lies on the stack. */
static struct span text_at(lua_State *L, int index) {
    struct span s = SPAN_NONE;
    if (lua_type(L, index) == LUA_TSTRING)
        s.at = lua_tolstring(L, index, &s.len);
    return s;
}

/* The library's own `nil, why`. */
static enum vm_result refused(lua_State *L, int why) {
    if (lua_type(L, why) != LUA_TSTRING) {
        lua_pushliteral(L, "the adapter failed without a word");
        return VM_BAD_RESULT;
    }
    lua_pushvalue(L, why);
    return VM_BAD_RESULT;
}

static enum vm_result run_open(lua_State *L, void *arg) {
    struct call *c = arg;
    struct adapter_setup *s = c->setup;
    int top = lua_gettop(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, c->a->open);
    lua_pushstring(L, dialect_name(s->client));
    push_target(L, s->target);
    push_span(L, s->body);
    lua_pushboolean(L, s->stream);
    push_params(L, s->params, s->n_params);
    push_span(L, s->id);
    lua_pushnumber(L, (lua_Number)s->created_s);
    lua_call(L, 7, 4); // stack: handle, body, path, dropped
    struct span body = text_at(L, top + 2), path = text_at(L, top + 3);
    if (lua_isnil(L, top + 1))
        return refused(L, top + 2);
    if (!lua_isnumber(L, top + 1) || !body.at || !path.at) {
        lua_pushliteral(L, "the adapter opened without a handle, a body or a path");
        return VM_BAD_RESULT;
    }
    c->handle = (int)lua_tointeger(L, top + 1);
    buf_add(s->out, body);
    s->path = arena_copy(s->arena, path);
    s->dropped = arena_copy(s->arena, text_at(L, top + 4));
    return VM_OK;
}

int adapter_open(struct adapter *a, struct adapter_setup *setup, const char **why) {
    struct call c = { .a = a, .setup = setup };
    if (vm_call(a->vm, NULL, 0, run_open, &c) == VM_OK)
        return c.handle;
    *why = vm_error(a->vm);
    return 0;
}

/* --- what comes back ------------------------------------------------------------------------- */

static bool flag(lua_State *L, int table, const char *name) {
    lua_getfield(L, table, name);
    bool set = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return set;
}

static int64_t tokens(lua_State *L, int table, const char *name) {
    lua_getfield(L, table, name);
    double n = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
    lua_pop(L, 1);
    return n >= 0 && n < 1e15 ? (int64_t)n : -1;
}

static struct span kept_text(lua_State *L, int table, const char *name, struct buf *kept) {
    lua_getfield(L, table, name);
    struct span text = text_at(L, -1);
    buf_clear(kept);
    buf_add(kept, text);
    lua_pop(L, 1);
    return text.at ? buf_span(kept) : SPAN_NONE;
}

static void read_seen(lua_State *L, int table, struct call *c) {
    *c->seen = (struct adapter_seen){
        .content = flag(L, table, "content"),
        .finished = flag(L, table, "finished"),
        .error = flag(L, table, "error"),
        .message = kept_text(L, table, "message", &c->a->message),
        .model = kept_text(L, table, "model", &c->a->model),
        .input_tokens = tokens(L, table, "input_tokens"),
        .output_tokens = tokens(L, table, "output_tokens"),
        .cached_tokens = tokens(L, table, "cached_tokens"),
        .reasoning_tokens = tokens(L, table, "reasoning_tokens"),
    };
}

/* out, seen = function(handle, ...) */
static enum vm_result take(lua_State *L, int top, struct call *c) {
    struct span out = text_at(L, top + 1);
    if (!out.at)
        return refused(L, top + 2);
    if (!lua_istable(L, top + 2)) {
        lua_pushliteral(L, "the adapter did not say what it saw");
        return VM_BAD_RESULT;
    }
    read_seen(L, top + 2, c);
    buf_add(c->out, out);
    return VM_OK;
}

static enum vm_result run_feed(lua_State *L, void *arg) {
    struct call *c = arg;
    int top = lua_gettop(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, c->function);
    lua_pushinteger(L, c->handle);
    push_span(L, c->event);
    push_span(L, c->data);
    lua_call(L, 3, 2); // stack: out, seen
    return take(L, top, c);
}

static enum vm_result run_finish(lua_State *L, void *arg) {
    struct call *c = arg;
    int top = lua_gettop(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, c->function);
    lua_pushinteger(L, c->handle);
    lua_call(L, 1, 2); // stack: out, seen
    return take(L, top, c);
}

static enum vm_result run_answer(lua_State *L, void *arg) {
    struct call *c = arg;
    int top = lua_gettop(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, c->function);
    lua_pushinteger(L, c->handle);
    lua_pushinteger(L, c->status);
    push_span(L, c->data);
    lua_call(L, 3, 2); // stack: out, seen
    return take(L, top, c);
}

static int result(struct adapter *a, enum vm_result r, const char **why) {
    if (r == VM_OK)
        return 0;
    *why = vm_error(a->vm);
    return -1;
}

int adapter_feed(struct adapter *a, int handle, struct span event, struct span data,
                 struct buf *out, struct adapter_seen *seen, const char **why) {
    struct call c = { .a = a,
                      .handle = handle,
                      .event = event,
                      .data = data,
                      .function = a->feed,
                      .out = out,
                      .seen = seen };
    return result(a, vm_call(a->vm, NULL, 0, run_feed, &c), why);
}

int adapter_finish(struct adapter *a, int handle, struct buf *out, struct adapter_seen *seen,
                   const char **why) {
    struct call c = { .a = a, .handle = handle, .function = a->finish, .out = out, .seen = seen };
    return result(a, vm_call(a->vm, NULL, 0, run_finish, &c), why);
}

int adapter_answer(struct adapter *a, int handle, int status, struct span body, struct buf *out,
                   struct adapter_seen *seen, const char **why) {
    struct call c = { .a = a,
                      .handle = handle,
                      .status = status,
                      .data = body,
                      .function = a->answer,
                      .out = out,
                      .seen = seen };
    return result(a, vm_call(a->vm, NULL, 0, run_answer, &c), why);
}

static enum vm_result run_close(lua_State *L, void *arg) {
    struct call *c = arg;
    lua_rawgeti(L, LUA_REGISTRYINDEX, c->function);
    lua_pushinteger(L, c->handle);
    lua_call(L, 1, 0);
    return VM_OK;
}

void adapter_close(struct adapter *a, int handle) {
    struct call c = { .a = a, .handle = handle, .function = a->close };
    if (vm_call(a->vm, NULL, 0, run_close, &c) != VM_OK)
        log_error("an adapter stream did not close: %s", vm_error(a->vm));
}
