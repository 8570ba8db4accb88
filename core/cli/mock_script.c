/* mock_script.c - the mock's Lua file, in a trusted state: who writes it starts the mock. */
#include "cli/mock_script.h"

#include "script/vm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define MEMORY (256u << 20)
#define FUNCTION "perilune.mock" /* where the registry keeps what the file returned */

struct mock_script {
    struct vm *vm;
};

/* ---- loading ---- */

struct source {
    struct span text;
    struct buf name; /* "@faults.lua", for messages */
};

static const char *read_source(lua_State *L, void *arg, size_t *len) {
    struct source *source = arg;
    struct span text = source->text;
    (void)L;
    source->text = SPAN_NONE;
    *len = text.len;
    return text.at;
}

/* Runs inside vm_call. */
static enum vm_result load(lua_State *L, void *arg) {
    struct source *source = arg;
    if (lua_load(L, read_source, source, source->name.at) != 0)
        return lua_error(L), VM_BAD_RESULT;
    lua_call(L, 0, 1); /* stack: answer */
    if (lua_type(L, -1) != LUA_TFUNCTION) {
        lua_pushstring(L, "the file must return a function");
        return VM_BAD_RESULT;
    }
    lua_setfield(L, LUA_REGISTRYINDEX, FUNCTION);
    return VM_OK;
}

static bool read_file(const char *path, struct buf *text, struct buf *error) {
    FILE *file = fopen(path, "rb");
    size_t n;
    if (!file) {
        buf_printf(error, "%s: %s", path, strerror(errno));
        return false;
    }
    while ((n = fread(buf_reserve(text, 4096), 1, 4096, file)) > 0)
        text->len += n;
    bool fine = !ferror(file);
    fclose(file);
    if (!fine)
        buf_printf(error, "%s: can not be read", path);
    return fine;
}

struct mock_script *mock_script_new(const char *path, struct buf *error) {
    struct buf text = { 0 };
    struct source source = { 0 };
    struct mock_script *s = NULL;
    if (!read_file(path, &text, error))
        goto done;
    s = calloc(1, sizeof *s);
    if (!s)
        abort();
    source.text = buf_span(&text);
    buf_printf(&source.name, "@%s", path);
    buf_add_char(&source.name, '\0');
    s->vm = vm_new(VM_TRUSTED, MEMORY, NULL);
    if (vm_call(s->vm, NULL, 0, load, &source) != VM_OK) {
        buf_add(error, span_of(vm_error(s->vm)));
        mock_script_free(s);
        s = NULL;
    }
done:
    buf_deinit(&source.name);
    buf_deinit(&text);
    return s;
}

void mock_script_free(struct mock_script *s) {
    if (!s)
        return;
    vm_free(s->vm);
    free(s);
}

/* ---- asking ---- */

struct question {
    const struct mock_script_request *request;
    struct mock_fault *fault;
    struct arena *arena;
    struct buf *error;
    bool spoke;
};

/* stack: table -> table */
static void set_text(lua_State *L, const char *name, struct span text) {
    if (!text.at)
        return;
    lua_pushlstring(L, text.at, text.len);
    lua_setfield(L, -2, name);
}

/* stack: -> request */
static void push_request(lua_State *L, const struct mock_script_request *r) {
    const struct http_message *m = r->message;
    lua_createtable(L, 0, 8);
    lua_pushnumber(L, (lua_Number)r->n);
    lua_setfield(L, -2, "n");
    lua_pushboolean(L, r->ask->stream);
    lua_setfield(L, -2, "stream");
    set_text(L, "method", m->method);
    set_text(L, "path", r->path);
    set_text(L, "provider", r->provider);
    set_text(L, "model", r->ask->model);
    set_text(L, "body", m->body.at ? buf_span(&m->body) : SPAN(""));
    lua_createtable(L, 0, (int)m->n_headers);
    for (size_t i = 0; i < m->n_headers; i++) {
        lua_pushlstring(L, m->headers[i].name.at, m->headers[i].name.len);
        lua_pushlstring(L, m->headers[i].value.at, m->headers[i].value.len);
        lua_settable(L, -3);
    }
    lua_setfield(L, -2, "headers");
}

/* stack: ..., key, value -> the same. False: the question's error says why. */
static bool take_word(lua_State *L, struct question *q) {
    size_t len;
    struct span value = SPAN_NONE;
    if (lua_type(L, -2) != LUA_TSTRING) {
        buf_add(q->error, SPAN("the table of a script may have names only"));
        return false;
    }
    if (lua_type(L, -1) == LUA_TBOOLEAN && !lua_toboolean(L, -1))
        return true;
    if (lua_type(L, -1) == LUA_TNUMBER || lua_type(L, -1) == LUA_TSTRING) {
        lua_pushvalue(L, -1); /* a number becomes a text: not in the script's own table */
        value.at = lua_tolstring(L, -1, &len);
        value.len = len;
        value = arena_copy(q->arena, value);
        lua_pop(L, 1);
    }
    struct span word = { lua_tolstring(L, -2, &len), 0 };
    word.len = len;
    return mock_fault_set(q->fault, word, value, q->error);
}

/* Runs inside vm_call. */
static enum vm_result ask(lua_State *L, void *arg) {
    struct question *q = arg;
    lua_getfield(L, LUA_REGISTRYINDEX, FUNCTION);
    push_request(L, q->request);
    lua_call(L, 1, 1); /* stack: what it said */
    if (lua_type(L, -1) == LUA_TNIL || (lua_type(L, -1) == LUA_TBOOLEAN && !lua_toboolean(L, -1)))
        return VM_OK;
    if (lua_type(L, -1) != LUA_TTABLE) {
        lua_pushstring(L, "the script must return a table or nothing");
        return VM_BAD_RESULT;
    }
    q->spoke = true;
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
        if (!take_word(L, q))
            return lua_pushlstring(L, q->error->at, q->error->len), VM_BAD_RESULT;
    return VM_OK;
}

enum mock_script_result mock_script_ask(struct mock_script *s,
                                        const struct mock_script_request *request,
                                        struct mock_fault *fault, struct arena *arena,
                                        struct buf *error) {
    struct question q = { request, fault, arena, error, false };
    if (vm_call(s->vm, NULL, 0, ask, &q) != VM_OK) {
        buf_clear(error);
        buf_add(error, span_of(vm_error(s->vm)));
        return MOCK_SCRIPT_FAILED;
    }
    return q.spoke ? MOCK_SCRIPT_SPOKE : MOCK_SCRIPT_SILENT;
}
