#include "script/renewal.h"

#include "script/luaspan.h"
#include "script/sources.h"
#include "script/vm.h"

#include <lauxlib.h>

enum { LUA_MEMORY = 256 << 20 };

struct work {
    struct renewal *r;
    const char *dir;
    struct span json;           /* a catalogue, */
    const struct pair *answers; /* or what providers list */
    size_t n_answers;
};

static void set_text(lua_State *L, const char *name, struct span text) {
    luaspan_push(L, text);
    lua_setfield(L, -2, name);
}

/* All provider files, with those of models among them, as a list. */
static void push_files(lua_State *L, const struct work *w) {
    struct source_file *files;
    size_t n = sources_read(SOURCES_PROVIDERS, w->dir, &w->r->arena, &files);
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        if (files[i].error)
            luaL_error(L, "%s can not be read", files[i].path.at);
        lua_createtable(L, 0, 3);
        set_text(L, "name", files[i].name);
        set_text(L, "path", files[i].path);
        set_text(L, "text", files[i].text);
        lua_rawseti(L, -2, (int)i + 1);
    }
}

/* How many elements the list `name` of the table on top of the stack has. */
static size_t count(lua_State *L, const char *name) {
    lua_getfield(L, -1, name);
    size_t n = lua_objlen(L, -1);
    lua_pop(L, 1);
    return n;
}

/* stack: files, skipped */
static void take(lua_State *L, struct renewal *r) {
    r->n_skipped = lua_objlen(L, -1);
    r->skipped = arena_new_array(&r->arena, struct span, r->n_skipped + 1);
    for (size_t i = 0; i < r->n_skipped; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        r->skipped[i] = arena_copy(&r->arena, luaspan_at(L, -1));
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    r->n_files = lua_objlen(L, -1);
    r->files = arena_new_array(&r->arena, struct renewal_file, r->n_files + 1);
    for (size_t i = 0; i < r->n_files; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        r->files[i] = (struct renewal_file){
            .provider = luaspan_field(L, "provider", &r->arena),
            .text = luaspan_field(L, "text", &r->arena),
            .n_added = count(L, "added"),
            .n_changed = count(L, "changed"),
        };
        lua_pop(L, 1);
    }
}

static enum vm_result run_renew(lua_State *L, void *arg) {
    struct work *w = arg;
    lua_getglobal(L, "require");
    lua_pushliteral(L, "perilune.models_file");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, w->answers ? "discover" : "update");
    if (w->answers)
        luaspan_push_pairs(L, w->answers, w->n_answers);
    else
        luaspan_push(L, w->json);
    push_files(L, w);
    lua_call(L, 2, 2); /* stack: module, files or nil, skipped or why */
    if (lua_istable(L, -2))
        take(L, w->r);
    else
        w->r->why = arena_copy(&w->r->arena, luaspan_at(L, -1));
    return VM_OK;
}

static bool renew(struct work *w) {
    *w->r = (struct renewal){ 0 };
    arena_init(&w->r->arena, 65536);
    struct vm *vm = vm_new(VM_TRUSTED, LUA_MEMORY, NULL);
    if (vm_call(vm, NULL, 0, run_renew, w) != VM_OK)
        w->r->why = arena_copy(&w->r->arena, span_of(vm_error(vm)));
    vm_free(vm);
    return !w->r->why.at;
}

bool renewal_of_catalogue(struct renewal *r, const char *dir, struct span json) {
    return renew(&(struct work){ .r = r, .dir = dir, .json = json });
}

bool renewal_of_lists(struct renewal *r, const char *dir, const struct pair *answers, size_t n) {
    return renew(&(struct work){ .r = r, .dir = dir, .answers = answers, .n_answers = n });
}

void renewal_deinit(struct renewal *r) {
    arena_deinit(&r->arena);
}
